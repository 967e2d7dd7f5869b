//! Gates: what ours may cost at most. Counts alone, so that the verdict is the same on every machine and day.

use std::io::Write as _;

use clap::Args;

use super::{instructions, writes};
use crate::Result;
use crate::scenario::{EVENTS, Work};
use crate::target;

#[derive(Args)]
pub(crate) struct Options {
    /// N: the runs send N and 2N requests, and a share of that where one request is much work
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(100..=100_000))]
    requests: u32,
}

/// What one kind of work may cost at most.
struct Gate {
    target: &'static str,
    work: &'static str,
    cost: Cost,
    at_most: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cost {
    /// User-space instructions per request or event.
    Instructions,
    /// Writes per answer, which for progress is one of 1,000 events.
    Writes,
}

/// All gates. A reply is one write: with `TCP_NODELAY` a second one is a second packet. Of 1,000 events some sixteen are to
/// share a write.
const GATES: [Gate; 10] = [
    Gate { target: "us", work: "json", cost: Cost::Instructions, at_most: 34_000.0 },
    Gate { target: "us", work: "sse", cost: Cost::Instructions, at_most: 41_000.0 },
    Gate { target: "us", work: "modern-json", cost: Cost::Instructions, at_most: 38_000.0 },
    Gate { target: "us", work: "progress", cost: Cost::Instructions, at_most: 6_000.0 },
    Gate { target: "us-es256", work: "verified", cost: Cost::Instructions, at_most: 45_000.0 },
    Gate { target: "us-es256", work: "modern-verified", cost: Cost::Instructions, at_most: 48_500.0 },
    Gate { target: "us", work: "json", cost: Cost::Writes, at_most: 1.0 },
    Gate { target: "us", work: "sse", cost: Cost::Writes, at_most: 1.0 },
    Gate { target: "us", work: "modern-json", cost: Cost::Writes, at_most: 1.0 },
    Gate { target: "us", work: "progress", cost: Cost::Writes, at_most: 64.0 },
];

/// Writes of a run that are no reply's, a wake-up of the runtime say, may add up to so much of one.
const STRAY_WRITES: f64 = 0.01;

/// Counts what the gates are about, and prints each beside its gate.
///
/// # Errors
///
/// When a gate is not met, a tool is missing, or a run fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    let instructions = instructions::Counter::new(None)?;
    let writes = writes::Counter::new()?;
    let mut out = std::io::stdout();
    if cfg!(debug_assertions) {
        return Err("gates are for a build with optimization: use `cargo xtask bench gates`".into());
    }
    writeln!(out, "{:<14} {:<30} {:>10} {:>10}", "work", "cost", "counted", "at most")?;
    let mut broken = Vec::new();
    for gate in &GATES {
        let work: Work = gate.work.parse()?;
        let target = target::named(gate.target)?;
        let counted = match gate.cost {
            Cost::Instructions => instructions.per_unit(&target, work, options.requests, 0)?,
            Cost::Writes => writes.per_answer(&target, work, options.requests)?.writes,
        };
        let verdict = if gate.is_met(counted) { "" } else { "  NOT MET" };
        let cost = gate.cost_of(work);
        let name = gate.work;
        writeln!(out, "{name:<14} {cost:<30} {counted:>10.1} {:>10.0}{verdict}", gate.at_most)?;
        broken.extend((!gate.is_met(counted)).then(|| gate.sentence(work, counted)));
    }
    if broken.is_empty() {
        writeln!(out, "all {} gates are met", GATES.len())?;
        Ok(())
    } else {
        Err(format!("{} of {} gates are not met: {}", broken.len(), GATES.len(), broken.join("; ")).into())
    }
}

impl Gate {
    fn is_met(&self, counted: f64) -> bool {
        match self.cost {
            Cost::Instructions => counted <= self.at_most,
            Cost::Writes => counted <= self.at_most + STRAY_WRITES,
        }
    }

    fn cost_of(&self, work: Work) -> String {
        match self.cost {
            Cost::Instructions => format!("instructions per {}", work.unit()),
            Cost::Writes if work.units_per_answer() == EVENTS => format!("writes per {EVENTS} events"),
            Cost::Writes => "writes per reply".to_owned(),
        }
    }

    fn sentence(&self, work: Work, counted: f64) -> String {
        format!("{work} takes {counted:.1} {}, and {:.0} are allowed", self.cost_of(work), self.at_most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_that_is_not_met_says_so_in_a_sentence() {
        let gate = &GATES[9];
        let work: Work = gate.work.parse().unwrap();
        assert!(gate.is_met(64.0));
        assert!(!gate.is_met(65.0));
        assert_eq!(
            gate.sentence(work, 107.25),
            "progress takes 107.2 writes per 1000 events, and 64 are allowed"
        );
    }

    #[test]
    fn every_gate_is_about_a_work_that_can_be_counted() {
        for gate in &GATES {
            let work = super::super::chosen(&[gate.work.to_owned()]).unwrap()[0];
            assert!(target::named(gate.target).unwrap().takes_part_in(work), "{work}");
        }
    }
}
