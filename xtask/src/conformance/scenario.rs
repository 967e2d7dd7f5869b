//! One scenario of the official suite: what a run of it gave, and the strict verdict.
//!
//! The suite's own modes for many scenarios let warnings and scenarios without a single check pass. Here a scenario
//! passes only when nothing failed, nothing warned, the suite exited with 0, and at least as many checks succeeded
//! as its floor says.

use crate::sh::Result;
use serde_json::Value;
use std::collections::BTreeMap;

/// A scenario that a revision's requirements list.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    /// Whether the revision demands it. The others are run too, and are demanded once they have a floor.
    pub(crate) scored: bool,
}

/// The fewest successes of each scenario: what a full pass gives. A demanded scenario without one needs 1.
pub(crate) type Floors = BTreeMap<String, usize>;

/// Reads `{"scenario": successes, ..}`.
pub(crate) fn parse_floors(json: &str) -> Result<Floors> {
    serde_json::from_str(json).map_err(|e| format!("a floor file holds an object of numbers: {e}"))
}

/// The scenarios of one side (`server` or `client`) in the output of the suite's `list --requirements REVISION`.
pub(crate) fn parse_listing(listing: &str, side: &str) -> Vec<Scenario> {
    let (mut section, mut scored) = ("", true);
    let mut found = Vec::new();
    for line in listing.lines() {
        if line.starts_with("Server scenarios") {
            section = "server";
        } else if line.starts_with("Client scenarios") {
            section = "client";
        } else if line.starts_with("Run and reported") {
            (section, scored) = ("", false);
        } else if let Some(item) = line.trim_start().strip_prefix("- ").filter(|_| line.starts_with(' ')) {
            let (name, of) = match item.split_once(" [") {
                Some((name, of)) => (name, of.trim_end_matches(']')),
                None => (item, section),
            };
            if of == side {
                found.push(Scenario { name: name.to_owned(), scored });
            }
        }
    }
    found
}

/// The scenarios in the output of the suite's `list --client --spec-version REVISION`, where each is followed by the revisions
/// that it is of. All are demanded.
pub(crate) fn parse_tagged(listing: &str) -> Vec<Scenario> {
    let items = listing.lines().filter_map(|line| line.strip_prefix("  - ")?.split_once(" ["));
    items.map(|(name, _)| Scenario { name: name.to_owned(), scored: true }).collect()
}

/// The checks of one run, counted.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Checks {
    pub(crate) success: usize,
    pub(crate) failure: usize,
    pub(crate) warning: usize,
    pub(crate) skipped: usize,
    /// A line for each failure and warning.
    pub(crate) bad: Vec<String>,
}

impl Checks {
    /// Adds the checks of one `checks.json`.
    pub(crate) fn add(&mut self, json: &str) -> Result<()> {
        let checks: Vec<Value> =
            serde_json::from_str(json).map_err(|e| format!("checks.json is no list: {e}"))?;
        for check in &checks {
            let text = |key: &str| check.get(key).and_then(Value::as_str).unwrap_or_default();
            match text("status") {
                "SUCCESS" => self.success += 1,
                "SKIPPED" => self.skipped += 1,
                "INFO" => {}
                status => {
                    match status {
                        "WARNING" => self.warning += 1,
                        // A word that the suite does not use yet is nothing to pass over.
                        _ => self.failure += 1,
                    }
                    // A violation can quote whole messages; a line is enough to find it in the file.
                    let message: String = text("errorMessage").chars().take(300).collect();
                    self.bad.push(format!("{status} {}: {}", text("id"), message.replace('\n', " ")));
                }
            }
        }
        Ok(())
    }
}

/// How a scenario ended.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    Passed,
    /// With each reason.
    Failed(Vec<String>),
    /// Neither the revision nor a floor demands it, and it did not pass.
    Informational(Vec<String>),
}

/// Judges one run. `exit`: the suite's exit code, `None` when it had to be ended.
pub(crate) fn judge(scenario: &Scenario, floors: &Floors, exit: Option<i32>, checks: &Checks) -> Verdict {
    let floor = floors.get(&scenario.name);
    let mut reasons = checks.bad.clone();
    match exit {
        Some(0) => {}
        Some(code) => reasons.push(format!("the suite exited with {code}")),
        None => reasons.push("the suite did not end in time".into()),
    }
    let least = floor.copied().unwrap_or(1);
    // All of what nobody demands may be skipped.
    let skipped = !scenario.scored && floor.is_none() && checks.skipped > 0;
    if checks.success < least && !skipped {
        reasons.push(format!("{} checks succeeded, at least {least} must", checks.success));
    }
    if reasons.is_empty() {
        Verdict::Passed
    } else if scenario.scored || floor.is_some() {
        Verdict::Failed(reasons)
    } else {
        Verdict::Informational(reasons)
    }
}

/// The scenarios of one side and revision in the list of known failures: `side revision scenario  # reason`.
pub(crate) fn parse_known(text: &str, side: &str, revision: &str) -> Result<Vec<String>> {
    let mut known = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let (entry, reason) = line.split_once('#').unwrap_or((line, ""));
        match entry.split_whitespace().collect::<Vec<_>>()[..] {
            [] => {}
            [of, at, name] if !reason.trim().is_empty() => {
                if of == side && at == revision {
                    known.push(name.to_owned());
                }
            }
            _ => {
                let wanted = "`server 2025-11-25 scenario  # reason`";
                return Err(format!("line {} of the known failures is not of the form {wanted}", number + 1));
            }
        }
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(scored: bool) -> Scenario {
        Scenario { name: "ping".into(), scored }
    }

    fn checks(statuses: &[&str]) -> Checks {
        let list: Vec<Value> = statuses
            .iter()
            .map(|s| serde_json::json!({"id": "x", "status": s, "errorMessage": "why"}))
            .collect();
        let mut checks = Checks::default();
        checks.add(&Value::from(list).to_string()).unwrap();
        checks
    }

    fn passes(scored: bool, floor: Option<usize>, exit: Option<i32>, statuses: &[&str]) -> bool {
        let floors = floor.map(|floor| ("ping".to_owned(), floor)).into_iter().collect();
        judge(&scenario(scored), &floors, exit, &checks(statuses)) == Verdict::Passed
    }

    #[test]
    fn a_pass_needs_successes_up_to_the_floor_and_nothing_else() {
        assert!(passes(true, Some(2), Some(0), &["SUCCESS", "SUCCESS", "INFO", "SKIPPED"]));
        assert!(!passes(true, Some(2), Some(0), &["SUCCESS"]));
        assert!(!passes(true, Some(1), Some(0), &["SUCCESS", "WARNING"]));
        assert!(!passes(true, Some(1), Some(0), &["SUCCESS", "FAILURE"]));
        assert!(!passes(true, Some(1), Some(0), &["SUCCESS", "PUZZLED"]));
        assert!(!passes(true, Some(1), Some(1), &["SUCCESS"]));
        assert!(!passes(true, Some(1), None, &["SUCCESS"]));
        assert!(!passes(true, None, Some(0), &[]));
        assert!(!passes(true, None, Some(0), &["SKIPPED"]));
    }

    #[test]
    fn what_nobody_demands_is_only_reported() {
        let run = checks(&["FAILURE"]);
        let verdict = judge(&scenario(false), &Floors::new(), Some(0), &run);
        assert!(matches!(verdict, Verdict::Informational(reasons) if reasons[0] == "FAILURE x: why"));
        let demanded = Floors::from([("ping".to_owned(), 1)]);
        assert!(matches!(judge(&scenario(false), &demanded, Some(0), &run), Verdict::Failed(_)));
        assert!(passes(false, None, Some(0), &["SKIPPED"]));
        assert!(!passes(false, Some(1), Some(0), &["SKIPPED"]));
    }

    #[test]
    fn the_listing_is_read_with_its_sections() {
        let listing = "Required for R (3 scenarios):\n\nServer scenarios (test against a server):\n  - ping\n\n\
            Client scenarios (test against a client):\n  - auth/a\n\nRun and reported, but never scored:\n  \
            pending (2):\n    - polling [server]\n    - auth/b [client]\n";
        let named = |name: &str, scored| Scenario { name: name.into(), scored };
        assert_eq!(parse_listing(listing, "server"), [named("ping", true), named("polling", false)]);
        assert_eq!(parse_listing(listing, "client"), [named("auth/a", true), named("auth/b", false)]);
    }

    #[test]
    fn a_listing_of_one_revision_is_read() {
        let listing = "Client scenarios (test against a client):\n  - auth/a [r1]\n  - b [r1,r2]\n";
        let named = |name: &str| Scenario { name: name.into(), scored: true };
        assert_eq!(parse_tagged(listing), [named("auth/a"), named("b")]);
    }

    #[test]
    fn known_failures_carry_a_reason() {
        let text = "# a comment\n\nserver r1 ping  # waits for x\nclient r1 auth/a # y\n";
        assert_eq!(parse_known(text, "server", "r1"), Ok(vec!["ping".to_owned()]));
        assert_eq!(parse_known(text, "server", "r2"), Ok(vec![]));
        assert!(parse_known("server r1 ping", "server", "r1").unwrap_err().contains("line 1"));
        assert!(parse_known("ping # x", "server", "r1").is_err());
    }
}
