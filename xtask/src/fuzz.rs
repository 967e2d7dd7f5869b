//! The fuzz targets: built with coverage for libFuzzer, which the stable toolchain can, and run from their corpus.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::pool::side_by_side;
use crate::sh::{self, Result};

/// What to run, and for how long.
#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    /// Seconds for each target.
    pub(crate) seconds: u32,
    /// Only this target.
    pub(crate) target: Option<String>,
    /// Keep what reaches new code in the committed corpus.
    pub(crate) keep: bool,
    /// What its choices follow from: with the same number a run begins as the one before. A test must not fail by luck.
    pub(crate) seed: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self { seconds: 10, target: None, keep: false, seed: None }
    }
}

/// Why the targets cannot be fuzzed here, as a sentence.
pub(crate) fn missing() -> Option<String> {
    if !cfg!(all(unix, target_pointer_width = "64")) {
        return Some(
            "libFuzzer is used on 64-bit Unix only: the corpus is run as a test, and nothing is fuzzed"
                .into(),
        );
    }
    let compiler = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
    match sh::capture(Command::new(&compiler).arg("--version")) {
        Ok(_) => None,
        Err(_) => Some(format!(
            "the C++ compiler `{}` is missing: the corpus is run as a test, and nothing is fuzzed (install one, or name it in CXX)",
            compiler.to_string_lossy()
        )),
    }
}

/// Runs every file of every corpus through its target, without the fuzzer.
pub(crate) fn corpus(root: &Path) -> Result<()> {
    sh::run(sh::cargo(&root.join(FOLDER)).args(["test", "--locked", "--quiet"]))
}

/// Builds the targets and runs each, first with its corpus and then with what is made of it.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    if let Some(why) = missing() {
        return Err(why);
    }
    let folder = root.join(FOLDER);
    let targets = targets(&folder)?;
    if let Some(wanted) = options.target.as_ref().filter(|wanted| !targets.contains(wanted)) {
        return Err(format!("there is no fuzz target `{wanted}`; there are {}", targets.join(", ")));
    }
    let built = build(&folder)?;
    let chosen = targets.iter().filter(|name| options.target.as_ref().is_none_or(|wanted| wanted == *name));
    side_by_side(AT_ONCE, chosen, |target| one(&folder, &built.join(target), target, options)).map(drop)
}

/// One program for each file of `targets/`.
fn targets(folder: &Path) -> Result<Vec<String>> {
    let listed = std::fs::read_dir(folder.join("targets")).and_then(|entries| {
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<Vec<_>>>()
    });
    let files = listed.map_err(|e| format!("{} cannot be read: {e}", folder.display()))?;
    let stem = |file: &PathBuf| file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let mut names: Vec<_> = files.iter().filter_map(stem).collect();
    names.sort();
    Ok(names)
}

/// Builds all targets; where they are. Named for a platform, so that build scripts and macros are built without coverage.
fn build(folder: &Path) -> Result<PathBuf> {
    let said = sh::capture(Command::new("rustc").arg("-vV").current_dir(folder))?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("rustc names no host")?;
    let mut cargo = sh::cargo(folder);
    cargo.args([
        "build",
        "--release",
        "--locked",
        "--quiet",
        "--features",
        "libfuzzer",
        "--bins",
        "--target",
        host,
    ]);
    cargo.env("RUSTFLAGS", COVERAGE.join(" ")).env_remove("CARGO_ENCODED_RUSTFLAGS");
    cargo.env("CARGO_TARGET_DIR", folder.join("target"));
    sh::run(&mut cargo)?;
    Ok(folder.join("target").join(host).join("release"))
}

fn one(folder: &Path, program: &Path, target: &str, options: &Options) -> Result<()> {
    let corpus = folder.join("corpus").join(target);
    // What is found goes to the first folder, and the committed ones stay as they are.
    let found = folder.join("target/corpus").join(target);
    let artifacts = folder.join("artifacts").join(target);
    for made in [&found, &artifacts, &corpus] {
        std::fs::create_dir_all(made).map_err(|e| format!("{} cannot be made: {e}", made.display()))?;
    }
    let log = folder.join("target").join(format!("{target}.log"));
    let mut fuzzer = Command::new(program);
    fuzzer.arg(format!("-max_total_time={}", options.seconds)).args(LIMITS);
    fuzzer.arg(format!("-rss_limit_mb={}", memory(target)));
    fuzzer.args(options.seed.map(|seed| format!("-seed={seed}")));
    fuzzer.arg(format!("-artifact_prefix={}/", artifacts.display())).args([&found, &corpus]);
    fuzzer.stdout(std::process::Stdio::null()).stderr(sh::create(&log)?);
    if let Err(failed) = sh::run(&mut fuzzer) {
        return Err(format!(
            "{failed}\n{}\nThe bytes are in {}; `{} FILE` runs them again. Fix it, and move the file to {}.",
            sh::tail(&log, 40),
            artifacts.display(),
            program.display(),
            corpus.display()
        ));
    }
    println!("{target}: {}", sh::tail(&log, 1));
    if options.keep {
        let mut merge = Command::new(program);
        merge.arg("-merge=1").args([&corpus, &found]);
        merge.stdout(std::process::Stdio::null()).stderr(sh::create(&log)?);
        sh::run(&mut merge)?;
    }
    Ok(())
}

const FOLDER: &str = "fuzz";

/// Targets that run at the same moment, one a processor, for a machine with two.
const AT_ONCE: usize = 2;

/// Counters and comparisons for libFuzzer, as rustc passes them to LLVM
/// (<https://clang.llvm.org/docs/SanitizerCoverage.html>).
const COVERAGE: [&str; 7] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    // A table of counters for each unit of code would be one too many for the linker to keep.
    "-Ccodegen-units=1",
];

/// An input has 10 seconds; inputs are no longer than what reaches everything.
const LIMITS: [&str; 3] = ["-timeout=10", "-max_len=4096", "-verbosity=1"];

/// What the process may hold, in MiB. The engine of the store believes the size that a damaged header claims, and was seen to
/// take 2 GiB before it refused the file.
fn memory(target: &str) -> u32 {
    if target == "store" { 8192 } else { 2048 }
}
