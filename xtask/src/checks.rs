//! A program that makes checks and prints a line for each, `ok NAME` or `FAIL NAME: why`: how it is run and judged.

use crate::node::Node;
use crate::sh::{self, Group, Result};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

/// A run takes some 20 s, and several times that on a busy machine; a check ends by itself after 60 s. This is for a
/// program that hangs.
const RUN_LIMIT: Duration = Duration::from_secs(300);

/// A program of others, by its file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Program {
    Node(&'static str),
    Python(&'static str),
}

impl Program {
    /// Whether it needs a Python.
    pub(crate) const fn is_python(self) -> bool {
        matches!(self, Program::Python(_))
    }

    /// The program, without arguments. `python` is made when a program needs it.
    pub(crate) fn command(self, node: &Node, python: Option<&Path>) -> Command {
        match self {
            Program::Node(file) => {
                let mut command = node.command();
                command.arg(file);
                command
            }
            Program::Python(file) => {
                let mut command = Command::new(python.expect("it is made when a program needs it"));
                command.arg("-B").arg(file);
                command
            }
        }
    }
}

/// Runs a program that makes `checks`; `None`: that many as it makes. Its checks go to `log`; those that failed are printed
/// as they end.
pub(crate) fn run(name: &str, command: &mut Command, log: &Path, checks: Option<usize>) -> Result<Outcome> {
    let started = sh::now();
    let path = log;
    let mut log = sh::create(path)?;
    let copy = log.try_clone().map_err(|e| format!("{} cannot be written: {e}", path.display()))?;
    command.stdout(Stdio::piped()).stderr(copy);
    let (tell, lines) = channel();
    let mut group = Group::start(command, |child| {
        let stdout = child.stdout.take().expect("the program's standard output is piped");
        std::thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(std::io::Result::ok);
            // Ends when nobody listens any more.
            let _ = lines.map(|line| tell.send(line)).find(std::result::Result::is_err);
        });
    })?;
    let mut outcome = Outcome::default();
    while let Some(left) = RUN_LIMIT.checked_sub(sh::now().duration_since(started)) {
        let Ok(line) = lines.recv_timeout(left) else { break };
        writeln!(log, "{line}").map_err(|e| format!("{} cannot be written: {e}", path.display()))?;
        if outcome.take(name, &line) != Line::Passed {
            println!("  {name}: {line}");
        }
    }
    let left = RUN_LIMIT.saturating_sub(sh::now().duration_since(started));
    let exit = group.wait(left)?.map(|status| status.code());
    drop(group);
    outcome.end(name, checks, exit);
    if !outcome.failures.is_empty() {
        println!("{name} wrote, in {}:\n{}", path.display(), sh::tail(path, 60));
    }
    println!("  {name}: {} checks passed in {:.1} s", outcome.passed, sh::seconds_since(started));
    Ok(outcome)
}

/// A line of a program.
#[derive(Debug, PartialEq)]
enum Line {
    Passed,
    Failed,
    Other,
}

/// How a run ended.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) passed: usize,
    /// A sentence for each check that failed, and for a run that ended otherwise than its checks.
    pub(crate) failures: Vec<String>,
}

impl Outcome {
    /// Adds what another run gave.
    pub(crate) fn add(&mut self, other: Outcome) {
        self.passed += other.passed;
        self.failures.extend(other.failures);
    }

    /// Takes a line of a program: `ok NAME` or `FAIL NAME: why`.
    fn take(&mut self, name: &str, line: &str) -> Line {
        if line.starts_with("ok ") {
            self.passed += 1;
            return Line::Passed;
        }
        let Some(failure) = line.strip_prefix("FAIL ") else { return Line::Other };
        self.failures.push(format!("{name}: {failure}"));
        Line::Failed
    }

    /// Judges the end of a run that was to make `checks`. `exit`: `None` when it had to be ended, else its exit code,
    /// which a signal leaves without.
    fn end(&mut self, name: &str, checks: Option<usize>, exit: Option<Option<i32>>) {
        let made = self.passed + self.failures.len();
        let told = !self.failures.is_empty();
        if let Some(checks) = checks.filter(|&checks| checks != made) {
            self.failures.push(format!("{name}: it made {made} checks, not {checks}"));
        }
        match exit {
            Some(Some(0)) if !told => {}
            Some(Some(1)) if told => {}
            Some(code) => {
                let code = code.map_or("a signal".to_owned(), |code| format!("the exit code {code}"));
                self.failures.push(format!("{name}: it ended with {code}"));
            }
            None => {
                self.failures.push(format!("{name}: it had not ended after {} s", RUN_LIMIT.as_secs()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(lines: &[&str], checks: usize, exit: Option<Option<i32>>) -> Outcome {
        let mut outcome = Outcome::default();
        for line in lines {
            outcome.take("x", line);
        }
        outcome.end("x", Some(checks), exit);
        outcome
    }

    #[test]
    fn a_run_passes_with_all_its_checks_and_a_good_end() {
        assert_eq!(
            outcome(&["ok a", "note", "ok b"], 2, Some(Some(0))),
            Outcome { passed: 2, failures: vec![] }
        );
        assert_eq!(outcome(&["ok a"], 2, Some(Some(0))).failures, ["x: it made 1 checks, not 2"]);
        assert_eq!(outcome(&["ok a"], 1, Some(Some(7))).failures, ["x: it ended with the exit code 7"]);
        assert_eq!(outcome(&["ok a"], 1, Some(None)).failures, ["x: it ended with a signal"]);
        assert_eq!(outcome(&["ok a"], 1, None).failures, ["x: it had not ended after 300 s"]);
    }

    #[test]
    fn a_failed_check_fails_the_run() {
        assert_eq!(outcome(&["ok a", "FAIL b: why"], 2, Some(Some(1))).failures, ["x: b: why"]);
        // A program that says 0 after a failed check cannot be trusted about the others either.
        assert_eq!(outcome(&["FAIL b: why"], 1, Some(Some(0))).failures.len(), 2);
    }
}
