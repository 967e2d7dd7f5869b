//! What can be counted: instructions and system calls. Counts hardly depend on the machine's other work.
//!
//! A target is run twice, once for N answers and once for 2N. Start, warm-up, session and shutdown are the same in both, so
//! the difference is what N answers cost.

pub(crate) mod gates;
pub(crate) mod instructions;
pub(crate) mod writes;

use std::ffi::OsString;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Result;
use crate::process::{Amount, Load, Pinning, RunningTarget, generate};
use crate::scenario::{Task, Work};
use crate::target::Target;

/// What is counted, each over one connection, in the order of the tables.
const COUNTED: [&str; 18] = [
    "json",
    "sse",
    "json-later",
    "sse-later",
    "stateless-json",
    "stateless-sse",
    "modern-json",
    "modern-sse",
    "rounds",
    "progress",
    "modern-progress",
    "replay",
    "churn",
    "list-100",
    "among-100",
    "large",
    "verified",
    "modern-verified",
];

/// The works of these names, or all that can be counted.
///
/// # Errors
///
/// When a name is none of those.
fn chosen(only: &[String]) -> Result<Vec<Work>> {
    if let Some(other) = only.iter().find(|name| !COUNTED.contains(&name.as_str())) {
        return Err(format!("{other} cannot be counted; what can be is {}", COUNTED.join(", ")).into());
    }
    let is_chosen = |name: &&&str| only.is_empty() || only.iter().any(|only| only == *name);
    Ok(COUNTED.iter().filter(is_chosen).map(|name| name.parse()).collect::<Result<_, String>>()?)
}

/// How many answers make up N: fewer of those that cost much.
fn answers(work: Work, requests: u32) -> u32 {
    let share = match work.task {
        Task::Progress | Task::Replay => 100,
        Task::Large | Task::List => 10,
        Task::Churn => 5,
        _ => 1,
    };
    (requests / share).max(5)
}

/// Runs a target under a tool for its whole life, with so many answers in it.
fn live(target: &Target, work: Work, answers: u32, under: &[OsString]) -> Result<()> {
    let running = RunningTarget::start(target, work, Pinning::NONE, under)?;
    let load = Load {
        work,
        connections: 1,
        amount: Amount::Answers { measured: answers as usize, warm_up: warm_up(work) },
        rate: None,
        give_up: Duration::from_secs(600),
    };
    generate(&running, load, Pinning::NONE)?;
    running.stop()
}

fn warm_up(work: Work) -> usize {
    if work.units_per_answer() == 1 { 200 } else { 5 }
}

/// Whether a tool can be run.
fn answers_to(tool: &str, arguments: &[&str]) -> bool {
    let mut probe = Command::new(tool);
    probe.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_counted_can_be_chosen() {
        assert_eq!(chosen(&[]).unwrap().len(), COUNTED.len());
        assert_eq!(chosen(&["replay".into()]).unwrap(), ["replay".parse::<Work>().unwrap()]);
        chosen(&["canary".into()]).unwrap_err();
    }
}
