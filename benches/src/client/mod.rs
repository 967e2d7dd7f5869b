//! Clients against the floor: what a call and an event cost the side that asks.
//!
//! ```text
//!   lab
//!    |-- floor            child, pinned to the first core: answers from memory, counts its connections
//!    `-- a client         child, pinned to the second core: connects, warms up, says so; is told to go on, and says when it is done
//! ```
//!
//! What a client spends is read from outside, from `/proc`, between what it says.

mod driver;
pub(crate) mod ours;

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::Result;
use crate::counted::instructions::Counter;
use crate::process::{Pinning, RunningTarget};
use crate::report::{median, median_ratio};
use crate::scenario::{Task, Way, Work};
use crate::target;
use driver::{Amount, Client};

#[derive(Args)]
pub(crate) struct Options {
    /// Clients, in the order of their turns; the first is what the others are compared with
    #[arg(long, value_delimiter = ',', default_values = driver::NAMES)]
    clients: Vec<String>,
    /// Only these works, e.g. json,progress
    #[arg(long, value_delimiter = ',', default_values = WORKS)]
    only: Vec<String>,
    /// Rounds; in each, every client runs once
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Calls of a run, one after another
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..))]
    calls: u64,
    /// Events of the one call of a run
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=4_000_000))]
    events: u64,
    /// Counts instructions under callgrind instead: the difference between N calls and 2N, N events and 2N
    #[arg(long)]
    instructions: bool,
    /// With --instructions, N
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(10..=1_000_000))]
    requests: u64,
    /// With --instructions, keeps callgrind's files in this directory
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Also writes the figures to this file as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

/// What a client is asked to do.
const WORKS: [&str; 5] = ["json", "sse", "modern-json", "progress", "modern-progress"];

/// One run of one client.
#[derive(Debug, Clone, Copy, Serialize)]
struct Run {
    seconds: f64,
    units: u64,
    /// CPU time of the client, user and kernel.
    cpu_us_per_unit: f64,
    /// Connections that the server accepted while the client connected and warmed up.
    connections: u64,
    /// Those while it was measured.
    connections_more: u64,
    /// Resident in the end, and of no file: heap and stacks.
    own_bytes: u64,
    /// Resident at the most, the program with it.
    peak_bytes: u64,
}

/// One line of the table.
#[derive(Debug, Serialize)]
struct Line {
    work: Work,
    client: String,
    unit: &'static str,
    per_second: f64,
    cpu_us_per_unit: f64,
    /// Medians of the rounds' ratios to the first client.
    throughput_ratio: f64,
    cpu_ratio: f64,
    runs: Vec<Run>,
}

#[derive(Debug, Serialize)]
struct Counted {
    work: Work,
    client: String,
    unit: &'static str,
    instructions_per_unit: f64,
}

/// Runs all clients and prints a table.
///
/// # Errors
///
/// When a client cannot be built or fails, or answers are not what they should be.
pub(crate) fn run(options: &Options) -> Result<()> {
    let works = options.only.iter().map(|name| work(name)).collect::<Result<Vec<Work>>>()?;
    let clients =
        options.clients.iter().map(|name| Client::prepare(name)).collect::<Result<Vec<Client>>>()?;
    if options.instructions { count(options, &works, &clients) } else { measure(options, &works, &clients) }
}

fn work(name: &str) -> Result<Work> {
    if !WORKS.contains(&name) {
        return Err(
            format!("there is no work of clients named {name}: there are {}", WORKS.join(", ")).into()
        );
    }
    Ok(name.parse()?)
}

fn measure(options: &Options, works: &[Work], clients: &[Client]) -> Result<()> {
    let mut out = std::io::stdout();
    if cfg!(debug_assertions) {
        writeln!(out, "note: a build without optimization: use `cargo xtask bench client`")?;
    }
    let pinning = Pinning::detect();
    if !pinning.is_pinned() {
        writeln!(out, "note: not pinned (no taskset, or fewer than two cores): expect noise")?;
    }
    writeln!(
        out,
        "{:<16} {:<12} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}",
        "work", "client", "per s", "CPU us", "connected", "own KB", "peak MB", "x per s", "x CPU"
    )?;
    let mut lines = Vec::new();
    for &work in works {
        let amount = match work.task {
            Task::Progress => Amount { count: options.events, warm_up: options.events.min(1_000) },
            _ => Amount { count: options.calls, warm_up: options.calls.min(200) },
        };
        let mut runs = vec![Vec::new(); clients.len()];
        for _ in 0..options.rounds {
            for (client, runs) in clients.iter().zip(&mut runs) {
                runs.push(one(client, work, amount, pinning)?);
            }
        }
        let first = runs[0].clone();
        for (client, runs) in clients.iter().zip(runs) {
            let line = Line::new(work, client, runs, &first);
            writeln!(out, "{}", line.cells())?;
            lines.push(line);
        }
    }
    write_json(options, &lines)
}

fn count(options: &Options, works: &[Work], clients: &[Client]) -> Result<()> {
    let counter = Counter::new(options.keep.as_deref())?;
    let mut out = std::io::stdout();
    writeln!(out, "{:<16} {:<12} {:>16} {:>12}", "work", "client", "instructions per", "to the first")?;
    let mut lines = Vec::new();
    for &work in works {
        let mut first = None;
        for client in clients {
            let n = if work.task == Task::Progress { options.requests * 10 } else { options.requests };
            let total = |count: u64| {
                counter.total(&format!("{}-{work}-{count}", client.name()), |under| {
                    let server = server(work, Pinning::NONE)?;
                    let amount = Amount { count, warm_up: 100 };
                    client.start(&server, work, amount, Pinning::NONE, under)?.finish()?;
                    server.stop()
                })
            };
            let each = (total(2 * n)? as f64 - total(n)? as f64) / n as f64;
            let ratio = each / *first.get_or_insert(each);
            let (name, unit) = (client.name(), work.unit());
            writeln!(out, "{:<16} {name:<12} {each:>8.0} {unit:<7} {ratio:>12.2}", work.to_string())?;
            lines.push(Counted { work, client: name.to_owned(), unit, instructions_per_unit: each });
        }
    }
    write_json(options, &lines)
}

fn write_json(options: &Options, lines: &impl Serialize) -> Result<()> {
    match &options.json {
        Some(path) => Ok(serde_json::to_writer_pretty(File::create(path)?, lines)?),
        None => Ok(()),
    }
}

/// The floor, which is faster than any client. Its events are coalesced, as a server's that has many to send.
fn server(work: Work, pinning: Pinning) -> Result<RunningTarget> {
    let name = if work.task == Task::Progress { "floor-8k" } else { "floor" };
    RunningTarget::start(&target::named(name)?, work, pinning, &[])
}

fn one(client: &Client, work: Work, amount: Amount, pinning: Pinning) -> Result<Run> {
    let server = server(work, pinning)?;
    let run = client.start(&server, work, amount, pinning, &[])?.finish()?;
    server.stop()?;
    Ok(run)
}

impl Line {
    fn new(work: Work, client: &Client, runs: Vec<Run>, first: &[Run]) -> Self {
        let middle = |figure: fn(&Run) -> f64| median(&runs.iter().map(figure).collect::<Vec<f64>>());
        let ratio =
            |figure: fn(&Run) -> f64| median_ratio(&runs, first, |run| Some(figure(run))).unwrap_or(f64::NAN);
        Self {
            work,
            client: client.name().to_owned(),
            unit: work.unit(),
            per_second: middle(Run::per_second),
            cpu_us_per_unit: middle(|run| run.cpu_us_per_unit),
            throughput_ratio: ratio(Run::per_second),
            cpu_ratio: ratio(|run| run.cpu_us_per_unit),
            runs,
        }
    }

    fn cells(&self) -> String {
        let most = |figure: fn(&Run) -> u64| self.runs.iter().map(figure).max().unwrap_or_default();
        format!(
            "{:<16} {:<12} {:>10.0} {:>10.2} {:>10} {:>10.0} {:>10.1} {:>10.2} {:>10.2}  {}",
            self.work.to_string(),
            self.client,
            self.per_second,
            self.cpu_us_per_unit,
            format!("{}+{}", most(|run| run.connections), most(|run| run.connections_more)),
            most(|run| run.own_bytes) as f64 / 1e3,
            most(|run| run.peak_bytes) as f64 / 1e6,
            self.throughput_ratio,
            self.cpu_ratio,
            self.unit,
        )
    }
}

impl Run {
    fn per_second(&self) -> f64 {
        self.units as f64 / self.seconds
    }
}

/// Whether a work is done in the modern era.
fn is_modern(work: Work) -> bool {
    work.way == Way::Modern
}
