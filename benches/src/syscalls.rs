//! System calls per request, under strace.
//!
//! As with instructions, a target runs once for N and once for 2N requests, and the difference is what
//! N requests cost. The figure to watch is writes per reply: an answer that leaves in two writes is two
//! packets with TCP_NODELAY, and twice the kernel's work.

use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::Args;

use crate::Result;
use crate::lab::targets_that_start;
use crate::process::{Load, Pinning, RunningTarget, generate};
use crate::scenario::{COUNTED, Target, Work};

#[derive(Args)]
pub(crate) struct Options {
    /// N: the runs send N and 2N requests
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(100..=100_000))]
    requests: u32,
    /// Targets to count, in this order
    #[arg(long, value_delimiter = ',', default_values = ["floor", "us"])]
    targets: Vec<Target>,
}

/// Calls by what they do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Calls {
    writes: u64,
    reads: u64,
    waits: u64,
    others: u64,
}

/// Counts every target in every kind of work and prints a table.
///
/// # Errors
///
/// When strace is missing or not permitted, or a run fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut probe = Command::new("strace");
    probe.args(["-o", "/dev/null", "true"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if !probe.status().is_ok_and(|status| status.success()) {
        return Err(
            "system calls are counted with strace, which is not installed or not permitted here".into()
        );
    }
    let targets = targets_that_start(&options.targets)?;
    let file = std::env::temp_dir().join(format!("throughline-strace-{}", std::process::id()));

    let mut out = std::io::stdout();
    writeln!(
        out,
        "{:<12} {:<8} {:>10} {:>10} {:>10} {:>10}   per request",
        "scenario", "target", "writes", "reads", "waits", "others"
    )?;
    for work in COUNTED {
        for &target in &targets {
            let n = options.requests;
            let once = count(target, work, n, &file)?;
            let twice = count(target, work, 2 * n, &file)?;
            let per_request = |twice: u64, once: u64| (twice as f64 - once as f64) / f64::from(n);
            writeln!(
                out,
                "{:<12} {:<8} {:>10.3} {:>10.3} {:>10.3} {:>10.3}",
                work.name(),
                target,
                per_request(twice.writes, once.writes),
                per_request(twice.reads, once.reads),
                per_request(twice.waits, once.waits),
                per_request(twice.others, once.others),
            )?;
        }
    }
    Ok(())
}

fn count(target: Target, work: Work, requests: u32, file: &Path) -> Result<Calls> {
    let under: Vec<OsString> =
        ["strace".into(), "-f".into(), "-qq".into(), "-c".into(), "-o".into(), file.as_os_str().to_owned()]
            .into();
    let running = RunningTarget::start(target, work, Pinning::NONE, &under)?;
    let load = Load {
        work,
        connections: 1,
        requests: requests as usize,
        warm_up: 100,
        give_up: Duration::from_secs(600),
    };
    generate(&running, load, Pinning::NONE)?;
    running.stop()?;
    let summary = fs::read_to_string(file)
        .map_err(|error| format!("strace left no summary in {}: {error}", file.display()))?;
    // A summary that stays in the temporary directory harms nobody.
    let _ = fs::remove_file(file);
    Ok(sum(&summary))
}

/// Adds up the lines `% time, seconds, usecs/call, calls, [errors,] name`.
fn sum(summary: &str) -> Calls {
    let mut calls = Calls::default();
    for line in summary.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (Some(Ok(count)), Some(name)) = (fields.get(3).map(|calls| calls.parse::<u64>()), fields.last())
        else {
            continue;
        };
        match *name {
            "total" => {}
            "write" | "writev" | "sendto" | "sendmsg" => calls.writes += count,
            "read" | "readv" | "recvfrom" | "recvmsg" => calls.reads += count,
            "epoll_wait" | "epoll_pwait" | "epoll_pwait2" => calls.waits += count,
            _ => calls.others += count,
        }
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
        assert_eq!(sum(summary), Calls { writes: 1_000, reads: 2_003, waits: 1_002, others: 5 });
    }
}
