//! Whether a run was sound.

use std::io::Write as _;

use serde::Serialize;
use serde_json::json;

use super::sampler::Sample;
use super::tally::Tally;
use crate::Result;

/// One question and its answer.
#[derive(Debug, Serialize)]
struct Finding {
    is_sound: bool,
    words: String,
}

#[derive(Debug)]
pub(super) struct Verdict(Vec<Finding>);

/// Judges a run by its samples, its counts, the calls that were left in flight and the server's log.
pub(super) fn judge(samples: &[Sample], tally: &Tally, left: u64, log: &str) -> Verdict {
    let [done, wrong, hung] = tally.sums();
    let mut findings = vec![
        finding(wrong == 0, format!("{wrong} of {done} pieces of work went wrong")),
        finding(hung == 0, format!("{hung} hung")),
        finding(done > 0, format!("{done} were done")),
        finding(left == 0, format!("{left} calls were left in flight after the clients had gone")),
        finding(log.is_empty(), format!("the server warned of {} things {log}", log.lines().count())),
    ];
    findings.push(levels_off("resident memory in KiB", samples, MEMORY_SLACK, |sample| {
        sample.resident_bytes / 1024
    }));
    findings.push(levels_off("open files", samples, FILES_SLACK, |sample| sample.open_files));
    findings.push(levels_off("sessions", samples, SESSIONS_SLACK, |sample| sample.sessions));
    Verdict(findings)
}

fn finding(is_sound: bool, words: String) -> Finding {
    Finding { is_sound, words: words.trim_end().to_owned() }
}

/// Whether the median of the last third is no more than a tenth, and a little, above that of the middle third. The first
/// third is for warming up.
fn levels_off(what: &str, samples: &[Sample], slack: u64, of: impl Fn(&Sample) -> u64) -> Finding {
    let third = samples.len() / 3;
    if third < 2 {
        return finding(false, format!("{what}: {} samples are too few to judge; run longer", samples.len()));
    }
    let median = |part: &[Sample]| {
        let mut values: Vec<u64> = part.iter().map(&of).collect();
        values.sort_unstable();
        values[values.len() / 2]
    };
    let (middle, last) = (median(&samples[third..2 * third]), median(&samples[2 * third..]));
    let most = middle + middle / 10 + slack;
    finding(
        last <= most,
        format!("{what}: median {middle} in the middle third, {last} in the last; at most {most} is level"),
    )
}

impl Verdict {
    pub(super) fn is_sound(&self) -> bool {
        self.0.iter().all(|finding| finding.is_sound)
    }

    pub(super) fn print(&self) {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out);
        for finding in &self.0 {
            // Nothing is left to do when the output is closed.
            let _ = writeln!(out, "{} {}", if finding.is_sound { "ok:   " } else { "WRONG:" }, finding.words);
        }
    }

    /// The run as JSON.
    pub(super) fn json(
        &self,
        minutes: f64,
        clients: usize,
        seed: u64,
        samples: &[Sample],
        tally: &Tally,
    ) -> Result<String> {
        let run = json!({
            "minutes": minutes, "clients": clients, "seed": seed, "is_sound": self.is_sound(),
            "findings": self.0, "work": tally.kinds(), "wrong": tally.wrong(), "samples": samples,
        });
        Ok(serde_json::to_string_pretty(&run)? + "\n")
    }
}

/// What the allocator's own moods make of a few MiB, in KiB.
const MEMORY_SLACK: u64 = 4 * 1024;
/// As many connections as a burst of clients has open beside the ordinary ones.
const FILES_SLACK: u64 = 16;
const SESSIONS_SLACK: u64 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(resident: impl Fn(u64) -> u64) -> Vec<Sample> {
        (0..30).map(|at| Sample { resident_bytes: resident(at) << 20, ..Sample::default() }).collect()
    }

    fn is_level(samples: &[Sample]) -> bool {
        levels_off("memory", samples, MEMORY_SLACK, |sample| sample.resident_bytes / 1024).is_sound
    }

    #[test]
    fn what_rises_at_first_and_then_stays_is_level() {
        assert!(is_level(&samples(|at| 20 + at.min(10) * 8)));
        assert!(is_level(&samples(|at| 100 + at % 3)));
        assert!(is_level(&samples(|at| 100 - at)));
    }

    #[test]
    fn what_rises_to_the_end_is_not() {
        assert!(!is_level(&samples(|at| 50 + at * 4)));
        assert!(!is_level(&samples(|at| if at < 20 { 50 } else { 70 })));
    }

    #[test]
    fn a_run_that_went_wrong_or_hung_is_not_sound() {
        let level = samples(|_| 50);
        let took = std::time::Duration::ZERO;
        let fine = Tally::default();
        fine.count("work", took, Some(Ok(())));
        assert!(judge(&level, &fine, 0, "").is_sound());
        assert!(!judge(&level, &fine, 1, "").is_sound());
        assert!(!judge(&level, &fine, 0, "WARN").is_sound());
        assert!(!judge(&level[..5], &fine, 0, "").is_sound());
        assert!(!judge(&level, &Tally::default(), 0, "").is_sound(), "nothing was done");
        fine.count("work", took, None);
        assert!(!judge(&level, &fine, 0, "").is_sound());
    }
}
