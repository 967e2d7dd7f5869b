//! System calls per request or per 1,000 events, under strace.
//!
//! The figure to watch is writes per reply: an answer that leaves in two writes is two
//! packets with TCP_NODELAY, and twice the kernel's work.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;

use super::{answers, answers_to, chosen, live};
use crate::Result;
use crate::scenario::Work;
use crate::target::{Choice, Target};

#[derive(Args)]
pub(crate) struct Options {
    /// N: the runs send N and 2N requests, and a share of that where one request is much work
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(100..=100_000))]
    requests: u32,
    #[command(flatten)]
    targets: Choice,
    /// Only these works, e.g. json,progress
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

/// Calls by what they do.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Calls {
    pub(super) writes: f64,
    reads: f64,
    waits: f64,
    others: f64,
}

/// Counts every target in every kind of work and prints a table.
///
/// # Errors
///
/// When strace is missing or not permitted, or a run fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    let counter = Counter::new()?;
    let works = chosen(&options.only)?;
    let targets = options.targets.targets()?;

    let mut out = std::io::stdout();
    writeln!(
        out,
        "{:<16} {:<12} {:>10} {:>10} {:>10} {:>10}   per answer (of progress and replay: per 1,000 events)",
        "work", "target", "writes", "reads", "waits", "others"
    )?;
    for work in works {
        for target in targets.iter().filter(|target| target.takes_part_in(work)) {
            if let Some(reason) = target.missing(work) {
                writeln!(out, "{:<16} {:<12} left out: {reason}", work.to_string(), target.name())?;
                continue;
            }
            let calls = counter.per_answer(target, work, options.requests)?;
            writeln!(
                out,
                "{:<16} {:<12} {:>10.3} {:>10.3} {:>10.3} {:>10.3}",
                work.to_string(),
                target.name(),
                calls.writes,
                calls.reads,
                calls.waits,
                calls.others,
            )?;
        }
    }
    Ok(())
}

/// Counts system calls with strace, which writes a summary into a file.
pub(super) struct Counter {
    file: PathBuf,
}

impl Counter {
    /// # Errors
    ///
    /// When strace is missing or not permitted.
    pub(super) fn new() -> Result<Self> {
        if !answers_to("strace", &["-o", "/dev/null", "true"]) {
            return Err(
                "system calls are counted with strace, which is not installed or not permitted here".into()
            );
        }
        Ok(Self { file: std::env::temp_dir().join(format!("throughline-strace-{}", std::process::id())) })
    }

    /// Calls of one answer: the difference between N answers and 2N.
    ///
    /// # Errors
    ///
    /// When a run fails.
    pub(super) fn per_answer(&self, target: &Target, work: Work, requests: u32) -> Result<Calls> {
        let n = answers(work, requests);
        let once = self.count(target, work, n)?;
        let twice = self.count(target, work, 2 * n)?;
        let each = |twice: f64, once: f64| (twice - once) / f64::from(n);
        Ok(Calls {
            writes: each(twice.writes, once.writes),
            reads: each(twice.reads, once.reads),
            waits: each(twice.waits, once.waits),
            others: each(twice.others, once.others),
        })
    }

    fn count(&self, target: &Target, work: Work, answers: u32) -> Result<Calls> {
        let under =
            ["strace".into(), "-f".into(), "-qq".into(), "-c".into(), "-o".into(), self.file.clone().into()];
        live(target, work, answers, &under)?;
        let summary = fs::read_to_string(&self.file)
            .map_err(|error| format!("strace left no summary in {}: {error}", self.file.display()))?;
        Ok(sum(&summary))
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        // A summary that stays in the temporary directory harms nobody.
        let _ = fs::remove_file(&self.file);
    }
}

/// Adds up the lines `% time, seconds, usecs/call, calls, [errors,] name`.
fn sum(summary: &str) -> Calls {
    let mut calls = Calls::default();
    for line in summary.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (Some(Ok(count)), Some(name)) = (fields.get(3).map(|calls| calls.parse::<u32>()), fields.last())
        else {
            continue;
        };
        let kind = match *name {
            "total" => continue,
            "write" | "writev" | "sendto" | "sendmsg" => &mut calls.writes,
            "read" | "readv" | "recvfrom" | "recvmsg" => &mut calls.reads,
            "epoll_wait" | "epoll_pwait" | "epoll_pwait2" => &mut calls.waits,
            _ => &mut calls.others,
        };
        *kind += f64::from(count);
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_sorted_by_what_they_do() {
        let summary = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 50.00    0.002000           2      1000           writev
 30.00    0.001000           1      2003      1001 recvfrom
 10.00    0.000500           0      1002           epoll_wait
 10.00    0.000500         100         5           mmap
------ ----------- ----------- --------- --------- ----------------
100.00    0.004000           1      4010      1001 total
";
        assert_eq!(sum(summary), Calls { writes: 1_000.0, reads: 2_003.0, waits: 1_002.0, others: 5.0 });
    }
}
