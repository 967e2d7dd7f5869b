//! The lab itself: runs targets in turns under the same load and compares them.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::Result;
use crate::generator::Measured;
use crate::process::{Load, Pinning, RunningTarget, generate};
use crate::scenario::{self, Scenario, Target, Work};

#[derive(Args)]
pub(crate) struct Options {
    /// A short run that shows the lab works; its figures mean nothing
    #[arg(long, conflicts_with_all = ["rounds", "requests"])]
    quick: bool,
    /// Rounds per scenario; in each, every target runs once
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Measured requests of one run; a tenth of them goes before, as warm-up
    #[arg(long, default_value_t = 40_000, value_parser = clap::value_parser!(u32).range(1_000..=1_000_000))]
    requests: u32,
    /// Targets, in the order of their turns; the first is what the others are compared with
    #[arg(long, value_delimiter = ',', default_values = ["floor", "us"])]
    targets: Vec<Target>,
    /// Also writes the figures, with every single run, to this file as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Serialize)]
struct Report {
    is_quick: bool,
    is_pinned: bool,
    cores: usize,
    rounds: u32,
    requests: u32,
    lines: Vec<Line>,
}

/// One scenario of one target: medians over the rounds.
#[derive(Serialize)]
struct Line {
    scenario: Scenario,
    target: Target,
    requests_per_second: f64,
    cpu_us_per_request: f64,
    /// Share of the run's time that the server's core was busy with the server, 0 to 1.
    server_busy: f64,
    p50_us: f64,
    p99_us: f64,
    /// Median of the rounds' ratios to the first target in the same round.
    throughput_ratio: f64,
    cpu_ratio: f64,
    runs: Vec<Measured>,
}

/// Runs all scenarios and prints the table.
///
/// # Errors
///
/// When no target starts, or a run fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    let (rounds, requests) = if options.quick { (1, 1_000) } else { (options.rounds, options.requests) };
    let pinning = Pinning::detect();
    let cores = std::thread::available_parallelism()?.get();
    let targets = targets_that_start(&options.targets)?;
    let mut out = std::io::stdout();
    if cfg!(debug_assertions) {
        writeln!(out, "note: this is a build without optimization; use --release")?;
    }
    if !pinning.is_pinned() {
        writeln!(out, "note: not pinned (no taskset, or fewer than two cores): expect noise")?;
    }
    writeln!(
        out,
        "{:<22} {:<8} {:>9} {:>11} {:>6} {:>9} {:>9} {:>9} {:>9}",
        "scenario", "target", "req/s", "CPU us/req", "busy", "p50 us", "p99 us", "x req/s", "x CPU"
    )?;

    let mut report = Report {
        is_quick: options.quick,
        is_pinned: pinning.is_pinned(),
        cores,
        rounds,
        requests,
        lines: Vec::new(),
    };
    for scenario in scenario::ALL {
        let mut runs: Vec<Vec<Measured>> = vec![Vec::new(); targets.len()];
        for _ in 0..rounds {
            for (&target, runs) in targets.iter().zip(&mut runs) {
                runs.push(measure(scenario, target, requests, pinning)?);
            }
        }
        let first = runs[0].clone();
        for (&target, runs) in targets.iter().zip(runs) {
            let line = Line::new(scenario, target, runs, &first);
            line.print(&mut out)?;
            report.lines.push(line);
        }
    }
    if let Some(path) = &options.json {
        serde_json::to_writer_pretty(File::create(path)?, &report)?;
    }
    Ok(())
}

/// The targets that can be measured. One that does not start is named and left out, for the floor
/// alone still says what the machine can do.
///
/// # Errors
///
/// When none is left.
pub(crate) fn targets_that_start(wanted: &[Target]) -> Result<Vec<Target>> {
    let mut found = Vec::new();
    for &target in wanted {
        let load = Load {
            work: Work::Json,
            connections: 1,
            requests: 1,
            warm_up: 0,
            give_up: Duration::from_secs(10),
        };
        let tried = RunningTarget::start(target, Work::Json, Pinning::NONE, &[])
            .and_then(|running| generate(&running, load, Pinning::NONE));
        match tried {
            Ok(_) => found.push(target),
            Err(error) => writeln!(std::io::stderr(), "warning: {target} is left out: {error}")?,
        }
    }
    if found.is_empty() { Err("none of the targets answers".into()) } else { Ok(found) }
}

/// The middle of some figures; the mean of the two in the middle of an even number.
pub(crate) fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len(), sorted.len() / 2) {
        (0, _) => f64::NAN,
        (len, middle) if len % 2 == 0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
        (_, middle) => sorted[middle],
    }
}

/// One run of one target, in a process of its own.
fn measure(scenario: Scenario, target: Target, requests: u32, pinning: Pinning) -> Result<Measured> {
    let requests = requests as usize;
    let load = Load {
        work: scenario.work,
        connections: scenario.connections,
        requests,
        warm_up: requests / 10,
        give_up: Duration::from_secs(120),
    };
    let running = RunningTarget::start(target, scenario.work, pinning, &[])?;
    let measured = generate(&running, load, pinning)
        .map_err(|error| format!("{scenario} against {target} failed: {error}"))?;
    running.stop()?;
    Ok(measured)
}

impl Measured {
    fn requests_per_second(&self) -> f64 {
        self.requests as f64 / self.seconds
    }

    fn cpu_us_per_request(&self) -> f64 {
        self.server_cpu_us.map_or(f64::NAN, |cpu| cpu / self.requests as f64)
    }

    fn server_busy(&self) -> f64 {
        self.server_cpu_us.map_or(f64::NAN, |cpu| cpu / 1e6 / self.seconds)
    }
}

impl Line {
    fn new(scenario: Scenario, target: Target, runs: Vec<Measured>, first: &[Measured]) -> Self {
        let over_rounds = |figure: fn(&Measured) -> f64| median(&runs.iter().map(figure).collect::<Vec<_>>());
        let ratio = |figure: fn(&Measured) -> f64| {
            median(
                &runs.iter().zip(first).map(|(run, first)| figure(run) / figure(first)).collect::<Vec<_>>(),
            )
        };
        Self {
            scenario,
            target,
            requests_per_second: over_rounds(Measured::requests_per_second),
            cpu_us_per_request: over_rounds(Measured::cpu_us_per_request),
            server_busy: over_rounds(Measured::server_busy),
            p50_us: over_rounds(|run| run.p50_us),
            p99_us: over_rounds(|run| run.p99_us),
            throughput_ratio: ratio(Measured::requests_per_second),
            cpu_ratio: ratio(Measured::cpu_us_per_request),
            runs,
        }
    }

    fn print(&self, out: &mut impl std::io::Write) -> Result<()> {
        writeln!(
            out,
            "{:<22} {:<8} {:>9.0} {:>11.2} {:>5.0}% {:>9.1} {:>9.1} {:>9.2} {:>9.2}",
            self.scenario.to_string(),
            self.target.name(),
            self.requests_per_second,
            self.cpu_us_per_request,
            self.server_busy * 100.0,
            self.p50_us,
            self.p99_us,
            self.throughput_ratio,
            self.cpu_ratio,
        )?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(requests: usize, seconds: f64, cpu: f64) -> Measured {
        Measured { requests, seconds, p50_us: 10.0, p99_us: 20.0, server_cpu_us: Some(cpu) }
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        // The machine is twice as slow in the second round, for both.
        let floor = vec![measured(100, 1.0, 1_000.0), measured(100, 2.0, 2_000.0)];
        let us = vec![measured(100, 1.25, 1_500.0), measured(100, 2.5, 3_000.0)];
        let line = Line::new(scenario::ALL[0], Target::Us, us, &floor);
        assert_eq!(line.throughput_ratio, 0.8);
        assert_eq!(line.cpu_ratio, 1.5);
        assert_eq!(line.cpu_us_per_request, 22.5);
    }
}
