//! The official conformance suite against our `conformance-server`, one process per scenario.

use crate::node::Node;
use crate::scenario::{self, Checks, Scenario, Verdict};
use crate::server::{self, Server};
use crate::sh::{self, Group, Result};
use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The revisions whose required server scenarios are run, each with `conformance/floor-server-<revision>.json`.
const REVISIONS: [&str; 1] = ["2025-11-25"];

/// How our server answers, in turn: always as a stream, of which the suite checks most, and as it does by default.
const RESPONSE_MODES: [ResponseMode; 2] = [
    ResponseMode { name: "sse", floors: &[] },
    // Answers of lists are JSON here, and the check of concurrent streams is only made of streams.
    ResponseMode { name: "adaptive", floors: &[("server-sse-multiple-streams", 1)] },
];

/// A `--response-mode` of our server.
struct ResponseMode {
    name: &'static str,
    /// Where a full pass succeeds in fewer checks than the floor file says.
    floors: &'static [(&'static str, usize)],
}

/// Scenarios at a time. More starve each other on two cores: each is a process of its own that loads Node.js, and
/// some watch the clock.
const JOBS: usize = 2;

/// The suite ends a scenario by itself after 30 s; this is for a suite that hangs.
const SCENARIO_LIMIT: Duration = Duration::from_secs(60);

/// What the command line chose.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Options {
    /// The scenario of this name, else all whose name holds it.
    pub(crate) only: Option<String>,
    /// A server that already runs, instead of ours.
    pub(crate) url: Option<String>,
}

/// Runs the scenarios of every revision, in every response mode of our server. The server ends with its part of the
/// run, whatever happens.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    let suite = Suite {
        root,
        node: Node::ready(root)?,
        only: options.only.as_deref(),
        out: root.join("target/xtask/conformance"),
    };
    let mut total = Total::default();
    match &options.url {
        Some(url) => suite.run_revisions(url, &suite.out.join("url"), &[], &mut total)?,
        None => {
            let program = server::build(root, "throughline-conformance", "conformance-server")?;
            for mode in &RESPONSE_MODES {
                let out = suite.out.join(mode.name);
                let mut server = start_server(&program, mode.name, &out.join("conformance-server.log"))?;
                println!("response mode {}", mode.name);
                suite.run_revisions(&server.url, &out, mode.floors, &mut total)?;
                server.check_running()?;
            }
        }
    }
    let Total { passed, failed, known } = total;
    if known > 0 {
        println!("{known} known failures are not counted");
    }
    println!("what each scenario wrote is in {}", suite.out.display());
    println!("\nconformance: {passed} passed, {failed} failed\n");
    match (passed, failed) {
        (0, 0) => Err("no scenario was run to an end that counts".into()),
        (_, 0) => Ok(()),
        _ => Err(format!("{failed} of {} conformance scenarios failed", passed + failed)),
    }
}

/// Scenarios that count, by their end.
#[derive(Default)]
struct Total {
    passed: usize,
    failed: usize,
    known: usize,
}

/// What all parts of a run share.
struct Suite<'a> {
    root: &'a Path,
    node: Node,
    /// See [`Options::only`].
    only: Option<&'a str>,
    /// What the scenarios wrote.
    out: PathBuf,
}

impl Suite<'_> {
    fn run_revisions(&self, url: &str, out: &Path, lower: &[(&str, usize)], total: &mut Total) -> Result<()> {
        REVISIONS
            .iter()
            .try_for_each(|revision| self.run_revision(url, revision, &out.join(revision), lower, total))
    }

    /// Runs the scenarios of one revision. `lower`: floors that hold instead of the file's.
    fn run_revision(
        &self,
        url: &str,
        revision: &str,
        out: &Path,
        lower: &[(&str, usize)],
        total: &mut Total,
    ) -> Result<()> {
        let read = |name: &str| {
            let path = self.root.join("conformance").join(name);
            fs::read_to_string(&path).map_err(|e| format!("{} cannot be read: {e}", path.display()))
        };
        let mut floors = scenario::parse_floors(&read(&format!("floor-server-{revision}.json"))?)?;
        floors.extend(lower.iter().map(|&(name, floor)| (name.to_owned(), floor)));
        let known = scenario::parse_known(&read("known-failures.txt")?, "server", revision)?;
        let listing = sh::capture(self.node.suite().args(["list", "--requirements", revision]))?;
        let listed = scenario::parse_listing(&listing, "server");
        for name in floors.keys().chain(&known) {
            if !listed.iter().any(|scenario| scenario.name == *name) {
                return Err(format!(
                    "the suite does not list the scenario `{name}` for {revision}: is it the pinned one?"
                ));
            }
        }
        let chosen = choose(&listed, self.only)?;
        println!("{} server scenarios of {revision} at {url}", chosen.len());

        // An old result must not stand in for one that was not written.
        if let Err(e) = fs::remove_dir_all(out).or_else(|e| if out.exists() { Err(e) } else { Ok(()) }) {
            return Err(format!("{} cannot be emptied: {e}", out.display()));
        }
        let one = |scenario: &Scenario| -> Result<Verdict> {
            let started = sh::now();
            let folder = out.join(scenario.name.replace('/', "_"));
            let (exit, checks) = run_scenario(&self.node, url, revision, &scenario.name, &folder)?;
            let verdict = scenario::judge(scenario, &floors, exit, &checks);
            print_scenario(
                scenario,
                &verdict,
                known.contains(&scenario.name),
                &checks,
                sh::seconds_since(started),
            );
            Ok(verdict)
        };
        let queue = Mutex::new(chosen.into_iter().collect::<VecDeque<_>>());
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let total = Mutex::new(total);
        std::thread::scope(|scope| {
            let work = || -> Result<()> {
                while let Some(scenario) = next() {
                    let verdict = one(&scenario)?;
                    let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                    match (verdict, known.contains(&scenario.name)) {
                        (Verdict::Passed, false) => total.passed += 1,
                        (Verdict::Passed, true) | (Verdict::Failed(_), false) => total.failed += 1,
                        (Verdict::Failed(_) | Verdict::Informational(_), true) => total.known += 1,
                        (Verdict::Informational(_), false) => {}
                    }
                }
                Ok(())
            };
            let workers: Vec<_> = (0..JOBS).map(|_| scope.spawn(work)).collect();
            workers
                .into_iter()
                .try_for_each(|worker| worker.join().map_err(|_| "a scenario's thread panicked")?)
        })
    }
}

/// The scenarios that `--only` names; without it all.
fn choose(listed: &[Scenario], only: Option<&str>) -> Result<Vec<Scenario>> {
    let pick = |keep: &dyn Fn(&str) -> bool| -> Vec<Scenario> {
        listed.iter().filter(|scenario| keep(&scenario.name)).cloned().collect()
    };
    let chosen = match only {
        None => pick(&|_| true),
        Some(only) if listed.iter().any(|scenario| scenario.name == only) => pick(&|name| name == only),
        Some(only) => pick(&|name| name.contains(only)),
    };
    if chosen.is_empty() {
        let names: Vec<_> = listed.iter().map(|scenario| scenario.name.as_str()).collect();
        return Err(format!(
            "no scenario is named `{}`; there are: {}",
            only.unwrap_or_default(),
            names.join(", ")
        ));
    }
    Ok(chosen)
}

/// Runs one scenario in a process of its own: the suite's exit code (`None`: it had to be ended) and its checks.
fn run_scenario(
    node: &Node,
    url: &str,
    revision: &str,
    name: &str,
    folder: &Path,
) -> Result<(Option<i32>, Checks)> {
    let log = sh::create(&folder.join("suite.log"))?;
    let copy = log.try_clone().map_err(|e| format!("the log of {name} cannot be written: {e}"))?;
    let mut suite = node.suite();
    suite.args(["server", "--url", url, "--scenario", name, "--spec-version", revision, "--force", "-o"]);
    suite.arg(folder).stdout(log).stderr(copy);
    let mut group = Group::start(&mut suite, |_| {})?;
    let exit = group.wait(SCENARIO_LIMIT)?.and_then(|status| status.code());
    drop(group);
    let mut checks = Checks::default();
    for file in check_files(folder)? {
        let json =
            fs::read_to_string(&file).map_err(|e| format!("{} cannot be read: {e}", file.display()))?;
        checks.add(&json).map_err(|e| format!("{}: {e}", file.display()))?;
    }
    Ok((exit, checks))
}

/// The `checks.json` of a scenario: the suite puts it into a folder that it names by the time.
fn check_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let list = fs::read_dir(folder).map_err(|e| format!("{} cannot be read: {e}", folder.display()))?;
    let files = list.flatten().map(|entry| entry.path().join("checks.json"));
    Ok(files.filter(|file| file.is_file()).collect())
}

fn print_scenario(scenario: &Scenario, verdict: &Verdict, known: bool, checks: &Checks, seconds: f64) {
    let (word, reasons) = match (verdict, known) {
        (Verdict::Passed, false) => ("ok", &[][..]),
        (Verdict::Passed, true) => {
            ("FAIL", &["it passes: take it off conformance/known-failures.txt".to_owned()][..])
        }
        (Verdict::Failed(reasons) | Verdict::Informational(reasons), true) => ("known", &reasons[..]),
        (Verdict::Failed(reasons), false) => ("FAIL", &reasons[..]),
        (Verdict::Informational(reasons), false) => ("info", &reasons[..]),
    };
    let Checks { success, failure, warning, skipped, .. } = checks;
    let counts = format!("{success} succeeded, {failure} failed, {warning} warned, {skipped} skipped");
    // One write, so that two scenarios do not mix their lines.
    let lines: String = reasons.iter().map(|reason| format!("\n        {reason}")).collect();
    println!("  {word:5} {:40} {counts}, {seconds:.1} s{lines}", scenario.name);
}

/// Starts our server on a free port.
fn start_server(program: &Path, response_mode: &str, log: &Path) -> Result<Server> {
    let mut command = Command::new(program);
    command.args(["--listen", "127.0.0.1:0", "--response-mode", response_mode]);
    Server::start(&mut command, log, "listening on http://127.0.0.1:PORT/mcp", parse_address)
}

/// The address in the server's first line.
fn parse_address(line: &str) -> Option<&str> {
    line.strip_prefix("listening on ").filter(|url| url.starts_with("http://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_what_follows_listening_on() {
        assert_eq!(parse_address("listening on http://127.0.0.1:80/mcp"), Some("http://127.0.0.1:80/mcp"));
        assert_eq!(parse_address("http://127.0.0.1:80/mcp"), None);
        assert_eq!(parse_address(""), None);
    }

    #[test]
    fn only_names_one_scenario_or_all_that_hold_it() {
        let listed = ["ping", "ping-pong", "tools"].map(|name| Scenario { name: name.into(), scored: true });
        let names =
            |only| choose(&listed, only).map(|chosen| chosen.into_iter().map(|s| s.name).collect::<Vec<_>>());
        assert_eq!(names(None).unwrap().len(), 3);
        assert_eq!(names(Some("ping")).unwrap(), ["ping"]);
        assert_eq!(names(Some("in")).unwrap(), ["ping", "ping-pong"]);
        assert!(names(Some("pang")).unwrap_err().contains("ping-pong"));
    }

    #[test]
    fn every_revision_has_its_floors() {
        for revision in REVISIONS {
            let file = sh::root().join(format!("conformance/floor-server-{revision}.json"));
            let floors = scenario::parse_floors(&fs::read_to_string(file).unwrap()).unwrap();
            assert!(!floors.is_empty() && floors.values().all(|&floor| floor > 0));
        }
    }
}
