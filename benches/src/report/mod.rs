//! What was measured, put together: medians over the rounds, ratios within each.

pub(crate) mod picture;
mod statistics;
pub(crate) mod table;

use serde::{Deserialize, Serialize};

use crate::generator::{Measured, Memory};
use crate::scenario::{Group, Scenario};
use statistics::median_of;
pub(crate) use statistics::{median, median_ratio};

/// All of a run of the lab.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Whether it was only to show that the lab works: then no figure means anything.
    pub(crate) is_quick: bool,
    pub(crate) is_optimized: bool,
    pub(crate) is_pinned: bool,
    pub(crate) cores: usize,
    pub(crate) rounds: u32,
    /// Measured seconds of a run.
    pub(crate) seconds: f64,
    pub(crate) targets: Vec<Named>,
    pub(crate) lines: Vec<Line>,
    /// What the disk takes to keep something for good, where a target does.
    #[serde(default)]
    pub(crate) flush: Option<Flush>,
}

/// A target, and what it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) about: String,
}

/// One scenario of one target.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) scenario: Scenario,
    pub(crate) target: String,
    pub(crate) outcome: Outcome,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    Measured(Box<Figures>),
    /// Why there are no figures.
    LeftOut(String),
}

/// Medians over the rounds; ratios are medians of the rounds' ratios to the first target in the same round.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) units_per_second: f64,
    pub(crate) cpu_us_per_unit: Option<f64>,
    /// Share of the run's time that the server's core was busy with the server, 0 to 1.
    pub(crate) server_busy: Option<f64>,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    /// Requests per second that were due in the open loop.
    pub(crate) rate: Option<f64>,
    pub(crate) throughput_ratio: f64,
    pub(crate) cpu_ratio: Option<f64>,
    pub(crate) p99_ratio: f64,
    pub(crate) memory: Option<Memory>,
    pub(crate) alone_p99_us: Option<f64>,
    pub(crate) runs: Vec<Measured>,
}

/// What one flush to the disk takes.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Flush {
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) per_second: f64,
}

impl Report {
    /// The figures of a target where the description of the scenario is `scenario`.
    pub(crate) fn figures(&self, scenario: &str, target: &str) -> Option<&Figures> {
        self.lines.iter().find_map(|line| match &line.outcome {
            Outcome::Measured(figures) if line.target == target && line.scenario.to_string() == scenario => {
                Some(&**figures)
            }
            _ => None,
        })
    }

    /// The lines of one part of the table.
    pub(crate) fn of(&self, group: Group) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(move |line| line.scenario.group == group)
    }
}

impl Figures {
    /// `first`: the runs of the first target, in the same rounds.
    pub(crate) fn new(runs: Vec<Measured>, first: &[Measured], rate: Option<f64>) -> Self {
        let p99 = |run: &Measured| Some(run.p99_us);
        Self {
            units_per_second: median_of(&runs, Measured::units_per_second).unwrap_or_default(),
            cpu_us_per_unit: median_of(&runs, Measured::cpu_us_per_unit),
            server_busy: median_of(&runs, Measured::server_busy),
            p50_us: median_of(&runs, |run| Some(run.p50_us)).unwrap_or_default(),
            p99_us: median_of(&runs, p99).unwrap_or_default(),
            p999_us: median_of(&runs, |run| Some(run.p999_us)).unwrap_or_default(),
            rate,
            throughput_ratio: median_ratio(&runs, first, Measured::units_per_second).unwrap_or_default(),
            cpu_ratio: median_ratio(&runs, first, Measured::cpu_us_per_unit),
            p99_ratio: median_ratio(&runs, first, p99).unwrap_or_default(),
            memory: runs.iter().find_map(|run| run.memory),
            alone_p99_us: median_of(&runs, |run| run.alone_p99_us),
            runs,
        }
    }
}

impl Measured {
    fn units_per_second(&self) -> Option<f64> {
        (self.seconds > 0.0).then(|| self.units as f64 / self.seconds)
    }

    fn cpu_us_per_unit(&self) -> Option<f64> {
        self.server_cpu_us.filter(|_| self.units > 0).map(|cpu| cpu / self.units as f64)
    }

    fn server_busy(&self) -> Option<f64> {
        self.server_cpu_us.filter(|_| self.seconds > 0.0).map(|cpu| cpu / 1e6 / self.seconds)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::scenario;

    pub(crate) fn measured(units: usize, seconds: f64, cpu: f64) -> Measured {
        Measured {
            units,
            seconds,
            p50_us: 10.0,
            p99_us: 20.0,
            p999_us: 30.0,
            server_cpu_us: Some(cpu),
            ..Measured::default()
        }
    }

    /// A report with figures of `floor` and `us` in every scenario, and of `them` in none.
    pub(crate) fn report() -> Report {
        let named = |name: &str| Named { name: name.into(), about: format!("what {name} is") };
        let mut lines = Vec::new();
        for scenario in scenario::all(10_000) {
            for (target, cpu) in [("floor", 1_000.0), ("us", 1_500.0)] {
                let mut run = measured(100, 1.0, cpu);
                if scenario.work.is_memory() {
                    run.memory =
                        Some(Memory { sessions: 100, heap_bytes: Some(2_048.0), rss_bytes: Some(4_096.0) });
                }
                let figures = Figures::new(vec![run], &[measured(100, 1.0, 1_000.0)], None);
                let outcome = Outcome::Measured(Box::new(figures));
                lines.push(Line { scenario, target: target.into(), outcome });
            }
            let outcome = Outcome::LeftOut("no <echo>: it & they".into());
            lines.push(Line { scenario, target: "them".into(), outcome });
        }
        Report {
            is_quick: false,
            is_optimized: true,
            is_pinned: true,
            cores: 2,
            rounds: 1,
            seconds: 1.0,
            targets: ["floor", "us", "them"].map(named).into(),
            lines,
            flush: Some(Flush { p50_us: 1_200.0, p99_us: 3_000.0, per_second: 800.0 }),
        }
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        // The machine is twice as slow in the second round, for both.
        let floor = vec![measured(100, 1.0, 1_000.0), measured(100, 2.0, 2_000.0)];
        let us = vec![measured(100, 1.25, 1_500.0), measured(100, 2.5, 3_000.0)];
        let figures = Figures::new(us, &floor, None);
        assert_eq!(figures.throughput_ratio, 0.8);
        assert_eq!(figures.cpu_ratio, Some(1.5));
        assert_eq!(figures.cpu_us_per_unit, Some(22.5));
    }

    #[test]
    fn a_report_survives_its_file() {
        let text = serde_json::to_string(&report()).unwrap();
        let read: Report = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        assert!(read.figures("json, 32 conn", "us").is_some());
        assert!(read.figures("json, 32 conn", "them").is_none());
    }
}
