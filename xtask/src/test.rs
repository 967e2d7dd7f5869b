//! Everything that continuous integration checks, in order; the first failure stops.

use crate::pool::both;
use crate::sh::{self, Result};
use crate::{browser, clients, conformance, fuzz, layout, peers, purity, schemas};
use std::path::Path;
use std::process::Command;

/// Runs the steps. `fast`: without the conformance suite, the clients and the servers of others.
pub(crate) fn run(root: &Path, fast: bool) -> Result<()> {
    let cargo = |args: &[&str]| {
        let mut command = sh::cargo(root);
        command.args(args);
        command
    };
    let mut steps = Steps { started: sh::now(), done: 0, missing: Vec::new() };
    let schemas = schemas::find(root)?;
    schemas.missing.into_iter().for_each(|sentence| steps.missing(sentence));
    if !answers(Command::new("valgrind").arg("--version")) {
        steps.missing("valgrind is missing: `cargo xtask bench` cannot count instructions without it".into());
    }
    let test = |args: &[&str]| {
        let mut command = cargo(&["test", "--locked", "--workspace", "--all-features"]);
        command.args(args);
        if let Some(folder) = &schemas.folder {
            command.env(schemas::VARIABLE, folder);
        }
        command
    };

    steps.step("fmt", || sh::run(&mut cargo(&["fmt", "--all", "--check"])))?;
    steps.step("layout", || layout::check(root))?;
    steps.step("clippy", || {
        sh::run(&mut cargo(&[
            "clippy",
            "--locked",
            "--workspace",
            "--all-features",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]))
    })?;
    steps.step("purity", || purity::check_tree(root))?;
    if purity::has_bare_target() {
        steps.step("purity, without an operating system", || purity::check_bare(root))?;
    } else {
        steps.missing("the target wasm32-unknown-unknown is missing: the engine is not built without an operating system (`rustup target add wasm32-unknown-unknown`)".into());
    }
    steps.step("test", || sh::run(&mut test(&["--lib", "--bins", "--tests", "--examples"])))?;
    steps.step("doc tests", || sh::run(&mut test(&["--doc"])))?;
    match fuzz::missing() {
        Some(sentence) => {
            steps.missing(sentence);
            steps.step("fuzz, the corpus alone", || fuzz::corpus(root))?;
        }
        None => steps
            .step("fuzz", || fuzz::run(root, &fuzz::Options { seed: Some(1), ..fuzz::Options::default() }))?,
    }
    steps.step("doc", || {
        let mut doc = cargo(&["doc", "--locked", "--workspace", "--all-features", "--no-deps"]);
        sh::run(doc.env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    if answers(&mut cargo(&["deny", "--version"])) {
        steps.step("deny", || {
            sh::run(&mut cargo(&["deny", "--locked", "check", "bans", "licenses", "sources"]))
        })?;
    } else {
        steps.missing("cargo-deny is missing: licences and sources of dependencies are not checked (`cargo install --locked cargo-deny`)".into());
    }
    if fast {
        steps.missing(
            "--fast: the conformance suite, the clients and servers of others and the browser are left out"
                .into(),
        );
    } else {
        steps.step("conformance", || conformance::run(root, &conformance::Options::default()))?;
        // The servers of others mostly wait, and so leave a processor to the clients.
        steps.step("clients and peers", || {
            clients::prepare(root)?;
            peers::prepare(root)?;
            let clients = || clients::run(root, &clients::Options::default());
            both(clients, || peers::run(root, &peers::Options::default()))
        })?;
        match browser::missing() {
            Some(sentence) => steps.missing(sentence),
            None => steps.step("browser", || browser::run(root))?,
        }
    }

    println!("\n{} steps passed in {:.0} s", steps.done, sh::seconds_since(steps.started));
    for sentence in &steps.missing {
        println!("not checked: {sentence}");
    }
    Ok(())
}

/// What was done and what could not be.
struct Steps {
    started: std::time::Instant,
    done: usize,
    missing: Vec<String>,
}

impl Steps {
    /// Runs one step and prints its name, outcome and time.
    fn step(&mut self, name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
        println!("== {name}");
        let started = sh::now();
        let result = work();
        let seconds = sh::seconds_since(started);
        match result {
            Ok(()) => {
                println!("== {name}: ok, {seconds:.1} s\n");
                self.done += 1;
                Ok(())
            }
            Err(message) => {
                println!("== {name}: FAILED, {seconds:.1} s\n");
                Err(format!("the step `{name}` failed: {message}"))
            }
        }
    }

    /// Says now, and once more at the end, what is left out.
    fn missing(&mut self, sentence: String) {
        println!("not checked: {sentence}\n");
        self.missing.push(sentence);
    }
}

/// Whether a tool is there.
fn answers(command: &mut Command) -> bool {
    sh::capture(command).is_ok()
}
