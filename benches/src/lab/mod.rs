//! The lab itself: runs targets in turns under the same load and compares them.

mod flush;
mod pace;

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;

use crate::Result;
use crate::generator::Measured;
use crate::process::{Amount, Load, Pinning, RunningTarget, files, generate};
use crate::report::{Figures, Line, Named, Outcome, Report, picture, table};
use crate::scenario::{self, Scenario};
use crate::target::{Choice, Target};
use pace::Paces;

#[derive(Args)]
pub(crate) struct Options {
    /// A short run that shows the lab works; its figures mean nothing
    #[arg(long, conflicts_with_all = ["rounds", "seconds", "sessions"])]
    quick: bool,
    /// Rounds per scenario; in each, every target runs once
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Measured seconds of one run; a fifth of them goes before, as warm-up
    #[arg(long, default_value_t = 0.7)]
    seconds: f64,
    #[command(flatten)]
    targets: Choice,
    /// Only these works, e.g. json,progress,canary
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Requests per second that are due in the open loop; by default a share of what was answered in the closed one
    #[arg(long)]
    rate: Option<f64>,
    /// Idle sessions
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    sessions: u32,
    /// Also writes the figures, with every single run, to this file as JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// Also draws the picture
    #[arg(long)]
    svg: Option<PathBuf>,
}

/// How each scenario is run.
#[derive(Debug, Clone, Copy)]
struct Plan {
    rounds: u32,
    seconds: f64,
    pinning: Pinning,
}

/// Runs all scenarios and prints the table.
///
/// # Errors
///
/// When no target can be measured, one of ours fails, or a figure cannot be written.
pub(crate) fn run(options: &Options) -> Result<()> {
    files::raise_limit();
    let (rounds, seconds, sessions) = if options.quick {
        (1, QUICK_SECONDS, QUICK_SESSIONS)
    } else {
        (options.rounds, options.seconds, options.sessions as usize)
    };
    if !(0.01..=60.0).contains(&seconds) {
        return Err("ask for 0.01 to 60 seconds per run".into());
    }
    let scenarios = chosen(scenario::all(sessions), &options.only)?;
    let targets = options.targets.targets()?;
    let plan = Plan { rounds, seconds, pinning: Pinning::detect() };
    let mut report = Report {
        is_quick: options.quick,
        is_optimized: !cfg!(debug_assertions),
        is_pinned: plan.pinning.is_pinned(),
        cores: std::thread::available_parallelism()?.get(),
        rounds,
        seconds,
        targets: targets
            .iter()
            .map(|target| Named { name: target.name().into(), about: target.about().into() })
            .collect(),
        lines: Vec::new(),
        flush: None,
    };
    let mut paces = Paces::new(options.rate);
    let started = Instant::now();
    for (number, &scenario) in scenarios.iter().enumerate() {
        let so_far = started.elapsed().as_secs();
        writeln!(std::io::stderr(), "[{:>2}/{}, {so_far:>4} s] {scenario}", number + 1, scenarios.len())?;
        report.lines.extend(plan.measure(scenario, &targets, &mut paces)?);
    }
    if targets.iter().any(Target::is_durable) {
        report.flush = Some(flush::measure(seconds)?);
    }

    table::print(&report, &mut std::io::stdout())?;
    if let Some(path) = &options.json {
        serde_json::to_writer_pretty(File::create(path)?, &report)?;
    }
    if let Some(path) = &options.svg {
        picture::write(&report, path)?;
    }
    let failed: Vec<String> = report
        .lines
        .iter()
        .filter(|line| targets.iter().any(|target| target.is_built_in() && target.name() == line.target))
        .filter_map(|line| match &line.outcome {
            Outcome::LeftOut(reason) => Some(format!("{} in {}: {reason}", line.target, line.scenario)),
            Outcome::Measured(_) => None,
        })
        .collect();
    if failed.is_empty() { Ok(()) } else { Err(format!("ours must not fail: {}", failed.join("; ")).into()) }
}

/// The scenarios whose work is one of `only`; all when that is empty.
fn chosen(all: Vec<Scenario>, only: &[String]) -> Result<Vec<Scenario>> {
    let is_of = |scenario: &Scenario, name: &String| scenario.work.to_string() == *name;
    if let Some(unknown) = only.iter().find(|name| !all.iter().any(|scenario| is_of(scenario, name))) {
        let mut names: Vec<String> = all.iter().map(|scenario| scenario.work.to_string()).collect();
        names.dedup();
        return Err(format!("there is no work named {unknown}; there are {}", names.join(", ")).into());
    }
    Ok(all
        .into_iter()
        .filter(|scenario| only.is_empty() || only.iter().any(|name| is_of(scenario, name)))
        .collect())
}

impl Plan {
    /// One scenario with every target that takes part in it, in turns.
    fn measure(self, scenario: Scenario, targets: &[Target], paces: &mut Paces) -> Result<Vec<Line>> {
        let rounds = if scenario.work.is_memory() { 1 } else { self.rounds };
        let mut turns: Vec<Turn<'_>> = targets
            .iter()
            .filter(|target| target.takes_part_in(scenario.work))
            .map(|target| Turn { target, runs: Vec::new(), left_out: target.missing(scenario.work) })
            .collect();
        for turn in turns.iter_mut().filter(|turn| turn.is_on()) {
            let known =
                paces.know(scenario, turn.target, |scenario, target| self.one(scenario, target, None));
            turn.went(scenario, known)?;
        }
        paces.agree(scenario, turns.iter().filter(|turn| turn.is_on()).map(|turn| turn.target));
        for _ in 0..rounds {
            for turn in turns.iter_mut().filter(|turn| turn.is_on()) {
                let ran = self.one(scenario, turn.target, paces.rate(scenario, turn.target));
                let ran = ran.map(|measured| turn.runs.push(measured));
                turn.went(scenario, ran)?;
            }
        }
        let first = turns.iter().find(|turn| turn.is_on()).map(|turn| turn.runs.clone()).unwrap_or_default();
        let mut lines = Vec::new();
        for Turn { target, runs, left_out } in turns {
            let outcome = match left_out {
                Some(reason) => Outcome::LeftOut(reason),
                None => {
                    let figures = Figures::new(runs, &first, paces.rate(scenario, target));
                    paces.learn(scenario, target, figures.units_per_second);
                    Outcome::Measured(Box::new(figures))
                }
            };
            lines.push(Line { scenario, target: target.name().to_owned(), outcome });
        }
        Ok(lines)
    }

    /// One run of one target, in a process of its own.
    fn one(self, scenario: Scenario, target: &Target, rate: Option<f64>) -> Result<Measured> {
        let load = Load {
            work: scenario.work,
            connections: scenario.connections,
            amount: Amount::Seconds(self.seconds),
            rate,
            give_up: GIVE_UP + Duration::from_secs_f64(10.0 * self.seconds),
        };
        let running = RunningTarget::start(target, scenario.work, self.pinning, &[])?;
        let measured = generate(&running, load, self.pinning)?;
        running.stop()?;
        Ok(measured)
    }
}

/// What became of a target in a scenario so far.
struct Turn<'a> {
    target: &'a Target,
    runs: Vec<Measured>,
    left_out: Option<String>,
}

impl Turn<'_> {
    fn is_on(&self) -> bool {
        self.left_out.is_none()
    }

    /// Leaves the target out from now on when it failed, and says so while the others go on.
    fn went(&mut self, scenario: Scenario, how: Result<()>) -> Result<()> {
        if let Err(error) = how {
            writeln!(std::io::stderr(), "warning: {} in {scenario}: {error}", self.target)?;
            self.left_out = Some(error.to_string());
        }
        Ok(())
    }
}

const QUICK_SECONDS: f64 = 0.05;
const QUICK_SESSIONS: usize = 20;

/// Opening 10,000 sessions takes the slowest peer a minute.
const GIVE_UP: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn works_are_chosen_by_name() {
        let all = scenario::all(10);
        let count = all.len();
        assert_eq!(chosen(all.clone(), &[]).unwrap().len(), count);
        let json = chosen(all.clone(), &["json".into()]).unwrap();
        assert!(json.len() > 2 && json.iter().all(|scenario| scenario.work.to_string() == "json"));
        assert!(chosen(all, &["jsn".into()]).unwrap_err().to_string().contains("no work named jsn"));
    }
}
