//! The official conformance suite against our `conformance-server`, one process per scenario.

use crate::node::Node;
use crate::scenario::{self, Checks, Floors, Scenario, Verdict};
use crate::server::{self, Server};
use crate::sh::{self, Group, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::ScopedJoinHandle;
use std::time::Duration;

/// The revisions whose required server scenarios are run, one of each era and both against one process, each with
/// `conformance/floor-server-<revision>.json`.
const REVISIONS: [&str; 2] = ["2025-11-25", "2026-07-28"];

/// How our server answers: always as a stream, of which the suite checks most, and as it does by default. Each is a server
/// of its own, and they are tried at the same time.
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
    let total = match &options.url {
        Some(url) => suite.run_revisions(url, "url", &[])?,
        None => {
            let program = server::build(root, "throughline-conformance", "conformance-server")?;
            std::thread::scope(|scope| {
                let run = |mode| {
                    let (suite, program) = (&suite, &program);
                    scope.spawn(move || suite.run_mode(program, mode))
                };
                // Both run before the first is waited for.
                let runs = RESPONSE_MODES.each_ref().map(run);
                let wait =
                    |run: ScopedJoinHandle<'_, _>| run.join().map_err(|_| "a scenario's thread panicked")?;
                let totals = runs.into_iter().map(wait).collect::<Result<Vec<Total>>>()?;
                Ok::<_, String>(totals.into_iter().fold(Total::default(), Total::add))
            })?
        }
    };
    let Total { passed, failed, known, informational } = total;
    if known > 0 {
        println!("{known} known failures are not counted");
    }
    if informational > 0 {
        println!(
            "{informational} runs that neither a revision nor a floor demands did not pass and are not counted"
        );
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
    /// Not demanded by a revision or a floor, and not passed.
    informational: usize,
}

impl Total {
    fn add(self, other: Total) -> Total {
        Total {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            known: self.known + other.known,
            informational: self.informational + other.informational,
        }
    }
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

/// The scenarios of a revision that are run, and what is known of them.
struct Part {
    revision: &'static str,
    floors: Floors,
    known: Vec<String>,
    chosen: Vec<Scenario>,
}

impl Suite<'_> {
    /// Runs everything against a server of its own.
    fn run_mode(&self, program: &Path, mode: &ResponseMode) -> Result<Total> {
        let log = self.out.join(mode.name).join("conformance-server.log");
        let mut server = start_server(program, mode.name, &log)?;
        let total = self.run_revisions(&server.url, mode.name, mode.floors)?;
        server.check_running()?;
        Ok(total)
    }

    /// Runs the scenarios of every revision against one server, which `mode` names. `lower`: floors that hold instead of
    /// the file's.
    fn run_revisions(&self, url: &str, mode: &str, lower: &[(&str, usize)]) -> Result<Total> {
        let parts =
            REVISIONS.iter().map(|revision| self.part(revision, lower)).collect::<Result<Vec<_>>>()?;
        let mut total = Total::default();
        for part in choose(parts, self.only)? {
            total = total.add(self.run_part(url, mode, &part)?);
        }
        Ok(total)
    }

    /// What a revision has.
    fn part(&self, revision: &'static str, lower: &[(&str, usize)]) -> Result<Part> {
        let read = |name: &str| {
            let path = self.root.join("conformance").join(name);
            fs::read_to_string(&path).map_err(|e| format!("{} cannot be read: {e}", path.display()))
        };
        let mut floors = scenario::parse_floors(&read(&format!("floor-server-{revision}.json"))?)?;
        floors.extend(lower.iter().map(|&(name, floor)| (name.to_owned(), floor)));
        let known = scenario::parse_known(&read("known-failures.txt")?, "server", revision)?;
        let listing = sh::capture(self.node.suite().args(["list", "--requirements", revision]))?;
        let chosen = scenario::parse_listing(&listing, "server");
        for name in floors.keys().chain(&known) {
            if !chosen.iter().any(|scenario| scenario.name == *name) {
                return Err(format!(
                    "the suite does not list the scenario `{name}` for {revision}: is it the pinned one?"
                ));
            }
        }
        Ok(Part { revision, floors, known, chosen })
    }

    /// Runs the scenarios one after the other: some change the server's lists, and some watch the clock.
    fn run_part(&self, url: &str, mode: &str, part: &Part) -> Result<Total> {
        let mut total = Total::default();
        let place = format!("{mode} {}", part.revision);
        let out = self.out.join(mode).join(part.revision);
        println!("{place}: {} server scenarios at {url}", part.chosen.len());
        // An old result must not stand in for one that was not written.
        if let Err(e) = fs::remove_dir_all(&out).or_else(|e| if out.exists() { Err(e) } else { Ok(()) }) {
            return Err(format!("{} cannot be emptied: {e}", out.display()));
        }
        for scenario in &part.chosen {
            let started = sh::now();
            let folder = out.join(scenario.name.replace('/', "_"));
            let (exit, checks) = run_scenario(&self.node, url, part.revision, &scenario.name, &folder)?;
            let verdict = scenario::judge(scenario, &part.floors, exit, &checks);
            let known = part.known.contains(&scenario.name);
            let seconds = sh::seconds_since(started);
            print_scenario(&place, scenario, &verdict, known, &checks, seconds);
            match (verdict, known) {
                (Verdict::Passed, false) => total.passed += 1,
                (Verdict::Passed, true) | (Verdict::Failed(_), false) => total.failed += 1,
                (Verdict::Failed(_) | Verdict::Informational(_), true) => total.known += 1,
                (Verdict::Informational(_), false) => total.informational += 1,
            }
        }
        Ok(total)
    }
}

/// Keeps the scenarios that `--only` names, and the revisions that have some; without it all.
fn choose(mut parts: Vec<Part>, only: Option<&str>) -> Result<Vec<Part>> {
    let Some(only) = only else { return Ok(parts) };
    let mut names: Vec<_> =
        parts.iter().flat_map(|part| &part.chosen).map(|scenario| scenario.name.clone()).collect();
    let one = names.iter().any(|name| name == only);
    for part in &mut parts {
        part.chosen.retain(|scenario| if one { scenario.name == only } else { scenario.name.contains(only) });
    }
    parts.retain(|part| !part.chosen.is_empty());
    if parts.is_empty() {
        names.sort();
        names.dedup();
        return Err(format!("no scenario is named `{only}`; there are: {}", names.join(", ")));
    }
    Ok(parts)
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

/// Prints how a scenario ended. `place`: the server and the revision.
fn print_scenario(
    place: &str,
    scenario: &Scenario,
    verdict: &Verdict,
    known: bool,
    checks: &Checks,
    seconds: f64,
) {
    let (word, reasons) = match (verdict, known) {
        (Verdict::Passed, false) => ("ok", &[][..]),
        (Verdict::Passed, true) => {
            ("FAIL", &["it passes: take it off conformance/known-failures.txt".to_owned()][..])
        }
        (Verdict::Failed(reasons) | Verdict::Informational(reasons), true) => ("known", &reasons[..]),
        (Verdict::Failed(reasons), false) => ("FAIL", &reasons[..]),
        // What nobody demands is not explained here; its folder tells.
        (Verdict::Informational(_), false) => ("info", &[][..]),
    };
    let Checks { success, failure, warning, skipped, .. } = checks;
    let counts = format!("{success} succeeded, {failure} failed, {warning} warned, {skipped} skipped");
    let lines: String = reasons.iter().map(|reason| format!("\n        {reason}")).collect();
    // One write, so that two servers' scenarios do not mix their lines.
    println!("  {word:5} {place:20} {:45} {counts}, {seconds:.1} s{lines}", scenario.name);
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
        let part = |revision, names: &[&str]| {
            let scenario = |name: &&str| Scenario { name: (*name).into(), scored: true };
            let chosen = names.iter().map(scenario).collect();
            Part { revision, floors: Floors::new(), known: Vec::new(), chosen }
        };
        let names = |only| {
            let parts = vec![part("r1", &["ping", "ping-pong", "tools"]), part("r2", &["tools", "listen"])];
            let of =
                |part: Part| part.chosen.into_iter().map(move |s| format!("{} {}", part.revision, s.name));
            choose(parts, only).map(|parts| parts.into_iter().flat_map(of).collect::<Vec<_>>())
        };
        assert_eq!(names(None).unwrap().len(), 5);
        assert_eq!(names(Some("ping")).unwrap(), ["r1 ping"]);
        assert_eq!(names(Some("in")).unwrap(), ["r1 ping", "r1 ping-pong"]);
        assert_eq!(names(Some("tools")).unwrap(), ["r1 tools", "r2 tools"]);
        assert!(names(Some("pang")).unwrap_err().contains("listen, ping, ping-pong, tools"));
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
