//! Runs the scenarios of one side and revision against one target.

use super::scenario::{self, Checks, Floors, Scenario, Verdict};
use super::{Part, Total};
use crate::node::Node;
use crate::pool::side_by_side;
use crate::sh::{self, Group, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The suite ends a scenario by itself after 30 s; this is for a suite that hangs.
const SCENARIO_LIMIT: Duration = Duration::from_secs(60);

/// Ends a client of ours before the suite would, which waits for ever for one that has forked: as a TERM after 27 s, and a
/// KILL a second later.
const CLIENT_LIMIT: &str = "timeout -k 1 27";

/// Scenarios of a client that run at the same moment, for a machine with two processors. Each has a server of its own.
const CLIENTS_AT_ONCE: usize = 2;

/// It wants a client back after half a second, and warns when that comes a fifth of a second late.
const WATCHES_THE_CLOCK: &str = "sse-retry";

/// What the scenarios are run against.
pub(super) enum Target {
    /// A server's URL.
    Server(String),
    /// A client's command, to which the suite adds a URL.
    Client(String),
}

impl Target {
    /// Our client, as the suite starts it.
    pub(super) fn client(program: &Path) -> Result<Target> {
        let limit = CLIENT_LIMIT.split(' ').next().unwrap_or_default();
        sh::capture(Command::new(limit).arg("--version")).map_err(|e| {
            format!("{e}; the client's scenarios need the command `{limit}` of GNU coreutils: install it")
        })?;
        Ok(Target::Client(client_command(program)?))
    }

    /// The suite's arguments that name it.
    fn arguments(&self) -> [&str; 3] {
        match self {
            Target::Server(url) => ["server", "--url", url],
            Target::Client(command) => ["client", "--command", command],
        }
    }
}

/// The command line of a client. The suite splits it at spaces and knows no quotes.
fn client_command(program: &Path) -> Result<String> {
    let program = program.to_str().filter(|path| !path.contains(char::is_whitespace));
    let program =
        program.ok_or("the suite cannot start a client whose path holds a space: move the checkout")?;
    Ok(format!("{CLIENT_LIMIT} {program}"))
}

/// What a run needs to know.
pub(super) struct Run<'a> {
    pub(super) node: &'a Node,
    pub(super) target: &'a Target,
    pub(super) part: &'a Part,
    /// Those of the part, or lower ones.
    pub(super) floors: Floors,
    /// The target and the revision, for those who read along.
    pub(super) place: String,
    /// What the scenarios write, emptied before.
    pub(super) out: PathBuf,
}

impl Run<'_> {
    /// Runs the scenarios: those of a server one after the other, since some change its lists; those of a client some at
    /// the same moment, but for the one that watches the clock.
    pub(super) fn run(&self) -> Result<Total> {
        let Run { part, place, out, .. } = self;
        let [side, _, target] = self.target.arguments();
        println!("{place}: {} {side} scenarios with {target}", part.chosen.len());
        // An old result must not stand in for one that was not written.
        if let Err(e) = fs::remove_dir_all(out).or_else(|e| if out.exists() { Err(e) } else { Ok(()) }) {
            return Err(format!("{} cannot be emptied: {e}", out.display()));
        }
        let (alone, others): (Vec<_>, Vec<_>) =
            part.chosen.iter().partition(|scenario| scenario.name == WATCHES_THE_CLOCK);
        let total = self.run_some(alone, 1)?;
        let at_once = if matches!(self.target, Target::Client(_)) { CLIENTS_AT_ONCE } else { 1 };
        Ok(total.add(self.run_some(others, at_once)?))
    }

    /// Runs scenarios, so many at the same moment.
    fn run_some(&self, scenarios: Vec<&Scenario>, at_once: usize) -> Result<Total> {
        let totals = side_by_side(at_once, scenarios, |scenario| self.run_one(scenario))?;
        Ok(totals.into_iter().fold(Total::default(), Total::add))
    }

    /// Runs one scenario, prints how it ended, and counts it.
    fn run_one(&self, scenario: &Scenario) -> Result<Total> {
        let started = sh::now();
        let (exit, checks) = self.run_scenario(&scenario.name)?;
        let verdict = scenario::judge(scenario, &self.floors, exit, &checks);
        let known = self.part.known.contains(&scenario.name);
        let seconds = sh::seconds_since(started);
        print_scenario(&self.place, scenario, &verdict, known, &checks, seconds);
        let mut total = Total::default();
        match (verdict, known) {
            (Verdict::Passed, false) => total.passed += 1,
            (Verdict::Passed, true) | (Verdict::Failed(_), false) => total.failed += 1,
            (Verdict::Failed(_) | Verdict::Informational(_), true) => total.known += 1,
            (Verdict::Informational(_), false) => total.informational += 1,
        }
        Ok(total)
    }

    /// Runs one scenario in a process of its own: the suite's exit code (`None`: it had to be ended) and its checks.
    fn run_scenario(&self, name: &str) -> Result<(Option<i32>, Checks)> {
        let folder = self.out.join(name.replace('/', "_"));
        let log = sh::create(&folder.join("suite.log"))?;
        let copy = log.try_clone().map_err(|e| format!("the log of {name} cannot be written: {e}"))?;
        let mut suite = self.node.suite();
        suite.args(self.target.arguments());
        suite.args(["--scenario", name, "--spec-version", self.part.revision, "--force", "-o"]);
        suite.arg(&folder).stdout(log).stderr(copy);
        let mut group = Group::start(&mut suite, |_| {})?;
        let exit = group.wait(SCENARIO_LIMIT)?.and_then(|status| status.code());
        drop(group);
        let mut checks = Checks::default();
        for file in check_files(&folder)? {
            let json =
                fs::read_to_string(&file).map_err(|e| format!("{} cannot be read: {e}", file.display()))?;
            checks.add(&json).map_err(|e| format!("{}: {e}", file.display()))?;
        }
        Ok((exit, checks))
    }
}

/// The `checks.json` of a scenario: the suite puts it into a folder that it names by scenario and time, and a name with a slash
/// is two folders.
fn check_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let list = fs::read_dir(&folder).map_err(|e| format!("{} cannot be read: {e}", folder.display()))?;
        for path in list.flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|name| name == "checks.json") {
                found.push(path);
            }
        }
    }
    Ok(found)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_always_ended_in_time() {
        assert_eq!(client_command(Path::new("/a/client")).unwrap(), "timeout -k 1 27 /a/client");
        assert!(client_command(Path::new("/a b/client")).unwrap_err().contains("space"));
    }

    #[test]
    fn the_suite_is_told_what_it_tries() {
        let server = Target::Server("http://[::1]/mcp".into());
        assert_eq!(server.arguments(), ["server", "--url", "http://[::1]/mcp"]);
        assert_eq!(Target::Client("a b".into()).arguments(), ["client", "--command", "a b"]);
    }
}
