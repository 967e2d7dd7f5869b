//! Instructions per request or event, under callgrind. Only user space is counted.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::{answers, answers_to, chosen, live};
use crate::Result;
use crate::report::median;
use crate::scenario::Work;
use crate::target::{Choice, Target};

#[derive(Args)]
pub(crate) struct Options {
    /// N: the runs send N and 2N requests, and a share of that where one request is much work
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(100..=100_000))]
    requests: u32,
    /// How often the pair of runs is repeated; the table shows the median and the spread
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=20))]
    repeats: u32,
    #[command(flatten)]
    targets: Choice,
    /// Only these works, e.g. json,progress
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
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
    target: String,
    unit: &'static str,
    /// The median of `runs`.
    instructions_per_unit: f64,
    runs: Vec<f64>,
}

/// Counts every target in every kind of work and prints a table.
///
/// # Errors
///
/// When valgrind is missing, or a run fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    let counter = Counter::new(options.keep.as_deref())?;
    let works = chosen(&options.only)?;
    let targets = options.targets.targets()?;

    let mut out = std::io::stdout();
    writeln!(
        out,
        "{:<16} {:<12} {:>16} {:>8} {:>12}",
        "work", "target", "instructions per", "spread", "to the first"
    )?;
    let mut figures: Vec<Counted> = Vec::new();
    for work in works {
        let mut first = None;
        for target in targets.iter().filter(|target| target.takes_part_in(work)) {
            if let Some(reason) = target.missing(work) {
                writeln!(out, "{:<16} {:<12} left out: {reason}", work.to_string(), target.name())?;
                continue;
            }
            let runs = (0..options.repeats)
                .map(|repeat| counter.per_unit(target, work, options.requests, repeat))
                .collect::<Result<Vec<f64>>>()?;
            let middle = median(&runs);
            let spread =
                runs.iter().copied().fold(f64::MIN, f64::max) - runs.iter().copied().fold(f64::MAX, f64::min);
            let ratio = middle / *first.get_or_insert(middle);
            writeln!(
                out,
                "{:<16} {:<12} {middle:>8.0} {:<7} {spread:>8.0} {ratio:>12.2}",
                work.to_string(),
                target.name(),
                work.unit(),
            )?;
            figures.push(Counted {
                work,
                target: target.name().to_owned(),
                unit: work.unit(),
                instructions_per_unit: middle,
                runs,
            });
        }
    }
    if let Some(path) = &options.json {
        serde_json::to_writer_pretty(File::create(path)?, &figures)?;
    }
    Ok(())
}

/// Counts instructions with callgrind, which writes into a directory: one to keep, or one that is removed in the end.
pub(crate) struct Counter {
    directory: PathBuf,
    is_kept: bool,
}

impl Counter {
    /// # Errors
    ///
    /// When valgrind is missing, or the directory cannot be made.
    pub(crate) fn new(keep: Option<&Path>) -> Result<Self> {
        if !answers_to("valgrind", &["--version"]) {
            return Err("instructions are counted with valgrind, which is not installed here".into());
        }
        let directory = keep.map_or_else(
            || std::env::temp_dir().join(format!("throughline-callgrind-{}", std::process::id())),
            Path::to_owned,
        );
        fs::create_dir_all(&directory)
            .map_err(|error| format!("could not make the directory {}: {error}", directory.display()))?;
        Ok(Self { directory, is_kept: keep.is_some() })
    }

    /// Instructions of one request or event: the difference between N answers and 2N.
    ///
    /// # Errors
    ///
    /// When a run fails.
    pub(super) fn per_unit(&self, target: &Target, work: Work, requests: u32, repeat: u32) -> Result<f64> {
        let n = answers(work, requests);
        let once = self.count(target, work, n, repeat)?;
        let twice = self.count(target, work, 2 * n, repeat)?;
        Ok((twice as f64 - once as f64) / (f64::from(n) * work.units_per_answer() as f64))
    }

    /// Instructions of one target's whole life, with so many answers in it.
    fn count(&self, target: &Target, work: Work, answers: u32, repeat: u32) -> Result<u64> {
        self.total(&format!("{target}-{work}-{answers}-{repeat}"), |under| live(target, work, answers, under))
    }

    /// Instructions of what is run with these words before its own; `name` is the name of its run.
    ///
    /// # Errors
    ///
    /// When the run fails.
    pub(crate) fn total(&self, name: &str, run: impl FnOnce(&[OsString]) -> Result<()>) -> Result<u64> {
        let file = self.directory.join(format!("callgrind.out.{name}"));
        let mut out_file = OsString::from("--callgrind-out-file=");
        out_file.push(&file);
        run(&["valgrind".into(), "--quiet".into(), "--tool=callgrind".into(), out_file])?;
        for line in BufReader::new(File::open(&file)?).lines() {
            if let Some(count) = total(&line?) {
                return Ok(count);
            }
        }
        Err(format!("callgrind wrote no total to {}", file.display()).into())
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        if !self.is_kept {
            // Left-over files in the temporary directory harm nobody.
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

/// The count in callgrind's `totals:` line.
fn total(line: &str) -> Option<u64> {
    line.strip_prefix("totals:")?.split_whitespace().next()?.parse().ok()
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
