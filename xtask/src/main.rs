//! The project's tasks: `cargo xtask --help` lists them.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program speaks on its streams")]

mod browser;
mod checks;
mod clients;
mod conformance;
mod fuzz;
mod layout;
mod logins;
mod node;
mod peers;
mod pool;
mod purity;
mod python;
mod schemas;
mod server;
mod sh;
mod test;

use conformance::Side;
use std::path::Path;
use std::process::ExitCode;

const HELP: &str = "\
The project's tasks.

usage: cargo xtask <task> [options]

tasks:
  test [--fast]              everything that continuous integration checks, in order; the first
                             failure stops. --fast leaves out the conformance suite, the
                             clients, the peers and the browser
  conformance [--server|--client] [--only NAME] [--url URL]
                             the official conformance suite against our conformance-server and with our
                             conformance-client.
                             --server, --client: the scenarios of this side alone
                             --only: the scenario of this name, or those whose name holds it
                             --url: a server that already runs, e.g. http://127.0.0.1:8001/mcp
  clients [--only NAME] [--mode legacy|auto|modern] [--transport http|stdio|sse|connect]
                             public clients of others (two lines of the TypeScript SDK, the Python
                             SDK, the Inspector) in each of their modes against the demo of the
                             binary `throughline`, all at the same moment.
                             --only: the client of this name
  peers [--only NAME] [--mode auto|legacy|modern] [--transport http|stateless|sse|stdio]
                             our peer-client against servers of others (npm server-everything, two lines
                             of the TypeScript SDK, the Python SDK) over each transport and in each mode; and logins
                             at an authorization server of others (npm oidc-provider).
                             --only: the server of this name; `authorization` for the logins
  browser                    the example `dashboard` in a headless Chromium: a page of another
                             origin sees a metric change
  bench [ARGS]               the load lab, in release mode; ARGS are its own (try --help), e.g. `bench gates`,
                             which fails where a request costs more than it may. BENCHMARKING.md says more
  fuzz [--seconds N] [--keep] [TARGET]
                             the fuzz targets, 10 seconds each unless told otherwise, from the corpus in
                             fuzz/corpus. --keep: what reaches new code goes into that corpus
  soak [ARGS]                the binary under a mixed load with churn for five minutes, and whether it
                             levels off; ARGS are its own (try --help), e.g. `soak --minutes 30`
  help                       this text

It installs the npm packages and the Python packages that conformance/ and the folders below it pin by itself and says what
else is missing.
";

/// A task and its options.
#[derive(Debug, PartialEq)]
enum Task {
    Help,
    Test { fast: bool },
    Conformance(conformance::Options),
    Clients(clients::Options),
    Peers(peers::Options),
    Browser,
    Bench(Vec<String>),
    Fuzz(fuzz::Options),
    Soak(Vec<String>),
}

/// Reads the command line without the program's name. The error is a sentence for the user.
fn parse(mut args: impl Iterator<Item = String>) -> Result<Task, String> {
    let Some(task) = args.next() else { return Ok(Task::Help) };
    match task.as_str() {
        "help" | "--help" | "-h" => return Ok(Task::Help),
        "bench" => return Ok(Task::Bench(args.collect())),
        "soak" => return Ok(Task::Soak(args.collect())),
        "test" | "conformance" | "clients" | "peers" | "browser" | "fuzz" => {}
        other => return Err(format!("there is no task `{other}`: see `cargo xtask --help`")),
    }
    let mut fast = false;
    let mut options = conformance::Options::default();
    let mut clients = clients::Options::default();
    let mut peers = peers::Options::default();
    let mut fuzz = fuzz::Options::default();
    while let Some(arg) = args.next() {
        let (name, attached) = match arg.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (arg.as_str(), None),
        };
        let mut value = || {
            let value = attached.clone().or_else(|| args.next()).filter(|v| !v.is_empty());
            value.ok_or_else(|| format!("`{name}` needs a value, as in `{name} VALUE`"))
        };
        match (task.as_str(), name) {
            (_, "--help" | "-h") => return Ok(Task::Help),
            ("test", "--fast") if attached.is_none() => fast = true,
            ("conformance", "--server" | "--client") if attached.is_none() => {
                let side = if name == "--server" { Side::Server } else { Side::Client };
                if options.side.replace(side).is_some_and(|other| other != side) {
                    return Err("`--server` and `--client` are both run when neither is named".into());
                }
            }
            ("conformance", "--only") => options.only = Some(value()?),
            ("conformance", "--url") => options.url = Some(value()?),
            ("clients", "--only") => clients.only = Some(value()?),
            ("clients", "--mode") => clients.mode = Some(value()?.parse()?),
            ("clients", "--transport") => clients.transport = Some(value()?.parse()?),
            ("peers", "--only") => peers.only = Some(value()?),
            ("peers", "--mode") => peers.mode = Some(value()?.parse()?),
            ("peers", "--transport") => peers.transport = Some(value()?.parse()?),
            ("fuzz", "--keep") if attached.is_none() => fuzz.keep = true,
            ("fuzz", "--seconds") => {
                fuzz.seconds = value()?.parse().map_err(|_| "`--seconds` needs a whole number of seconds")?;
            }
            ("fuzz", target) if fuzz.target.is_none() && !target.starts_with('-') => {
                fuzz.target = Some(target.to_owned());
            }
            _ => return Err(format!("`{task}` does not take `{arg}`: see `cargo xtask --help`")),
        }
    }
    Ok(match task.as_str() {
        "test" => Task::Test { fast },
        "clients" => Task::Clients(clients),
        "peers" => Task::Peers(peers),
        "browser" => Task::Browser,
        "fuzz" => Task::Fuzz(fuzz),
        _ => Task::Conformance(options),
    })
}

fn main() -> ExitCode {
    let result = parse(std::env::args().skip(1)).and_then(|task| {
        sh::end_groups_on_signals()?;
        let root = sh::root();
        match task {
            Task::Help => {
                print!("{HELP}");
                Ok(())
            }
            Task::Test { fast } => test::run(&root, fast),
            Task::Conformance(options) => conformance::run(&root, &options),
            Task::Clients(options) => clients::run(&root, &options),
            Task::Peers(options) => peers::run(&root, &options),
            Task::Browser => browser::run(&root),
            Task::Fuzz(options) => fuzz::run(&root, &options),
            Task::Soak(args) => soak(&root, &args),
            Task::Bench(args) => {
                // All of its programs: the lab starts the one that counts heap bytes from beside itself.
                let package = ["--release", "--locked", "-p", "throughline-benches"];
                sh::run(sh::cargo(&root).arg("build").args(package).arg("--bins"))?;
                sh::run(sh::cargo(&root).args(["run", "--quiet"]).args(package).arg("--").args(args))
            }
        }
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Builds the binary and the lab, and puts the one under the load of the other.
fn soak(root: &Path, args: &[String]) -> sh::Result<()> {
    let release = ["--release", "--locked", "-p"];
    sh::run(sh::cargo(root).arg("build").args(release).arg("throughline-cli"))?;
    let binary = root.join("target/release").join(format!("throughline{}", std::env::consts::EXE_SUFFIX));
    let mut lab = sh::cargo(root);
    lab.arg("run").args(release).args(["throughline-benches", "--", "soak", "--binary"]).arg(binary);
    sh::run(lab.args(args))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Task, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn tasks_and_their_options() {
        assert_eq!(parsed(""), Ok(Task::Help));
        assert_eq!(parsed("test -h"), Ok(Task::Help));
        assert_eq!(parsed("test --fast"), Ok(Task::Test { fast: true }));
        let url = Some("http://[::1]/?a=b".into());
        let both = conformance::Options { side: None, only: Some("ping".into()), url };
        assert_eq!(parsed("conformance --only ping --url=http://[::1]/?a=b"), Ok(Task::Conformance(both)));
        let client = conformance::Options { side: Some(Side::Client), only: None, url: None };
        assert_eq!(parsed("conformance --client"), Ok(Task::Conformance(client)));
        let clients = clients::Options {
            only: Some("python".into()),
            mode: Some(clients::Mode::Auto),
            transport: Some(clients::Transport::Stdio),
        };
        let line = "clients --only python --mode auto --transport stdio";
        assert_eq!(parsed(line), Ok(Task::Clients(clients)));
        let peers = peers::Options {
            only: Some("python".into()),
            mode: Some(clients::Mode::Modern),
            transport: Some(peers::Transport::Stateless),
        };
        assert_eq!(parsed("peers --only python --mode modern --transport stateless"), Ok(Task::Peers(peers)));
        assert_eq!(parsed("browser"), Ok(Task::Browser));
        assert_eq!(parsed("fuzz"), Ok(Task::Fuzz(fuzz::Options::default())));
        let one = fuzz::Options { seconds: 60, target: Some("sse".into()), keep: true, seed: None };
        assert_eq!(parsed("fuzz --seconds 60 sse --keep"), Ok(Task::Fuzz(one)));
        parsed("fuzz sse json").unwrap_err();
        parsed("fuzz --seconds soon").unwrap_err();
        assert_eq!(parsed("soak --minutes 1"), Ok(Task::Soak(vec!["--minutes".into(), "1".into()])));
        assert_eq!(parsed("bench --help x"), Ok(Task::Bench(vec!["--help".into(), "x".into()])));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        assert!(parsed("tset").unwrap_err().contains("`tset`"));
        assert!(parsed("test --fats").unwrap_err().contains("`--fats`"));
        assert!(parsed("test --fast=1").unwrap_err().contains("`--fast=1`"));
        assert!(parsed("clients --mode new").unwrap_err().contains("`new`"));
        assert!(parsed("clients --transport ws").unwrap_err().contains("`ws`"));
        assert!(parsed("clients --url x").unwrap_err().contains("`--url`"));
        assert!(parsed("peers --transport http2").unwrap_err().contains("`http2`"));
        assert!(parsed("conformance --server --client").unwrap_err().contains("neither"));
        assert!(parsed("conformance --client=x").unwrap_err().contains("`--client=x`"));
        assert!(parsed("conformance --only").unwrap_err().contains("needs a value"));
        assert!(parsed("conformance --only=").unwrap_err().contains("needs a value"));
    }
}
