//! Instructions per request, under callgrind.
//!
//! A target is run twice, once for N requests and once for 2N. Start, warm-up, session and shutdown
//! are the same in both, so `(I(2N) - I(N)) / N` is what one more request costs. Only user space is
//! counted. Unlike time, the count hardly depends on the machine's other work.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::Result;
use crate::lab::{median, targets_that_start};
use crate::process::{Load, Pinning, RunningTarget, generate};
use crate::scenario::{COUNTED, Target, Work};

#[derive(Args)]
pub(crate) struct Options {
    /// N: the runs send N and 2N requests
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(100..=100_000))]
    requests: u32,
    /// How often the pair of runs is repeated; the table shows the median and the spread
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=20))]
    repeats: u32,
    /// Targets to count, in this order; the first is what the others are compared with
    #[arg(long, value_delimiter = ',', default_values = ["floor", "us"])]
    targets: Vec<Target>,
    /// Keeps callgrind's files in this directory, to be read with callgrind_annotate
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Also writes the figures to this file as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Serialize)]
struct Counted {
    work: Work,
    target: Target,
    /// The median of `runs`.
    instructions_per_request: f64,
    runs: Vec<f64>,
}

/// Counts every target in every kind of work and prints a table.
///
/// # Errors
///
/// When valgrind is missing, or a run fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut probe = Command::new("valgrind");
    probe.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if !probe.status().is_ok_and(|status| status.success()) {
        return Err("instructions are counted with valgrind, which is not installed here".into());
    }
    let targets = targets_that_start(&options.targets)?;
    let scratch = Scratch::new(options.keep.as_deref())?;

    let mut out = std::io::stdout();
    writeln!(
        out,
        "{:<12} {:<8} {:>16} {:>8} {:>12}",
        "scenario", "target", "instructions/req", "spread", "to the first"
    )?;
    let mut figures: Vec<Counted> = Vec::new();
    for work in COUNTED {
        let mut first = None;
        for &target in &targets {
            let mut runs = Vec::new();
            for repeat in 0..options.repeats {
                let n = options.requests;
                let once = count(target, work, n, &scratch.file(target, work, n, repeat))?;
                let twice = count(target, work, 2 * n, &scratch.file(target, work, 2 * n, repeat))?;
                runs.push((twice as f64 - once as f64) / f64::from(n));
            }
            let middle = median(&runs);
            let spread =
                runs.iter().copied().fold(f64::MIN, f64::max) - runs.iter().copied().fold(f64::MAX, f64::min);
            let ratio = middle / *first.get_or_insert(middle);
            writeln!(out, "{:<12} {:<8} {middle:>16.0} {spread:>8.0} {ratio:>12.2}", work.name(), target)?;
            figures.push(Counted { work, target, instructions_per_request: middle, runs });
        }
    }
    if let Some(path) = &options.json {
        serde_json::to_writer_pretty(File::create(path)?, &figures)?;
    }
    Ok(())
}

/// Instructions of one target's whole life, with `requests` requests in it.
fn count(target: Target, work: Work, requests: u32, file: &Path) -> Result<u64> {
    let mut out_file = OsString::from("--callgrind-out-file=");
    out_file.push(file);
    let under = ["valgrind".into(), "--quiet".into(), "--tool=callgrind".into(), out_file];
    let running = RunningTarget::start(target, work, Pinning::NONE, &under)?;
    let load = Load {
        work,
        connections: 1,
        requests: requests as usize,
        warm_up: 200,
        give_up: Duration::from_secs(600),
    };
    generate(&running, load, Pinning::NONE)?;
    running.stop()?;
    for line in BufReader::new(File::open(file)?).lines() {
        if let Some(count) = total(&line?) {
            return Ok(count);
        }
    }
    Err(format!("callgrind wrote no total to {}", file.display()).into())
}

/// The count in callgrind's `totals:` line.
fn total(line: &str) -> Option<u64> {
    line.strip_prefix("totals:")?.split_whitespace().next()?.parse().ok()
}

/// Where callgrind writes: a directory to keep, or one that is removed in the end.
struct Scratch {
    directory: PathBuf,
    is_kept: bool,
}

impl Scratch {
    fn new(keep: Option<&Path>) -> Result<Self> {
        let directory = keep.map_or_else(
            || std::env::temp_dir().join(format!("throughline-callgrind-{}", std::process::id())),
            Path::to_owned,
        );
        fs::create_dir_all(&directory)
            .map_err(|error| format!("could not make the directory {}: {error}", directory.display()))?;
        Ok(Self { directory, is_kept: keep.is_some() })
    }

    fn file(&self, target: Target, work: Work, requests: u32, repeat: u32) -> PathBuf {
        self.directory.join(format!("callgrind.out.{target}-{}-{requests}-{repeat}", work.name()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.is_kept {
            // Left-over files in the temporary directory harm nobody.
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_found() {
        assert_eq!(total("totals: 45218394"), Some(45_218_394));
        assert_eq!(total("summary: 45218394"), None);
        assert_eq!(total("totals:"), None);
    }
}
