//! The processors: how busy they are.

use std::time::Duration;

use serde::Serialize;
use throughline::Result;

use super::{proc, unreadable};

/// One reading.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Reading {
    /// How many processors there are.
    processors: usize,
    /// What part of their time they worked while the reading was taken, from 0 to 1.
    busy: f64,
    /// How many tasks wanted to run, as averages over 1, 5 and 15 minutes.
    load: [f64; 3],
}

impl Reading {
    /// Watches the processors for a moment.
    pub(super) async fn take() -> Result<Self> {
        let read = || Times::parse(&proc("stat")?).ok_or_else(|| unreadable("stat"));
        let load = parse_load(&proc("loadavg")?).ok_or_else(|| unreadable("loadavg"))?;
        let before = read()?;
        tokio::time::sleep(WINDOW).await;
        let after = read()?;
        Ok(Self { processors: after.processors, busy: after.busy_since(&before), load })
    }
}

/// How the processors spent their time since the machine started, in ticks.
#[derive(Debug, PartialEq)]
struct Times {
    processors: usize,
    total: u64,
    idle: u64,
}

impl Times {
    /// Reads `/proc/stat` (<https://docs.kernel.org/filesystems/proc.html>).
    fn parse(stat: &str) -> Option<Self> {
        let mut lines = stat.lines();
        let all = lines.next()?.strip_prefix("cpu ")?;
        let processors = lines.take_while(|line| line.starts_with("cpu")).count();
        let ticks: Vec<u64> = all.split_whitespace().map_while(|ticks| ticks.parse().ok()).collect();
        // user, nice, system, idle, iowait, irq, softirq, steal; the guests that follow are in user and nice already.
        let total = ticks.iter().take(8).try_fold(0u64, |sum, ticks| sum.checked_add(*ticks))?;
        let idle = ticks.get(3)?.checked_add(*ticks.get(4)?)?;
        (processors > 0).then_some(Self { processors, total, idle })
    }

    fn busy_since(&self, before: &Self) -> f64 {
        let total = self.total.saturating_sub(before.total);
        // The kernel counts idle time on its own, and it may go back a little.
        let idle = self.idle.saturating_sub(before.idle).min(total);
        if total == 0 { 0.0 } else { (total - idle) as f64 / total as f64 }
    }
}

/// The averages at the front of `/proc/loadavg`.
fn parse_load(text: &str) -> Option<[f64; 3]> {
    let mut averages = text.split_whitespace().map(|average| average.parse().ok());
    Some([averages.next()??, averages.next()??, averages.next()??])
}

/// Some twenty ticks of each processor: fine enough to see a change, and soon enough to wait for.
const WINDOW: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  100 5 50 800 45 0 3 2 77 7\ncpu0 50 2 25 400 20 0 1 1 0 0\ncpu1 50 3 25 400 25 0 2 1 0 0\nintr 5\n";

    #[test]
    fn busy_is_what_is_not_idle() {
        let before = Times::parse(STAT).expect("times");
        assert_eq!(before, Times { processors: 2, total: 1005, idle: 845 });
        let after = Times { processors: 2, total: 1105, idle: 870 };
        assert_eq!(after.busy_since(&before), 0.75);
    }

    #[test]
    fn counters_that_go_back_are_no_reading_out_of_range() {
        let before = Times { processors: 1, total: 100, idle: 50 };
        assert_eq!(Times { processors: 1, total: 100, idle: 50 }.busy_since(&before), 0.0);
        assert_eq!(Times { processors: 1, total: 90, idle: 40 }.busy_since(&before), 0.0);
        assert_eq!(Times { processors: 1, total: 110, idle: 40 }.busy_since(&before), 1.0);
        assert_eq!(Times { processors: 1, total: 110, idle: 90 }.busy_since(&before), 0.0);
    }

    #[test]
    fn what_is_no_statistics_is_none() {
        for text in ["", "cpu  1 2 3\ncpu0 1 2 3\n", "intr 5\n", "cpu  1 2 3 4 5 6 7 8\n"] {
            assert_eq!(Times::parse(text), None, "{text:?}");
        }
        assert_eq!(parse_load("0.50 0.25 0.10 1/200 4242\n"), Some([0.5, 0.25, 0.1]));
        assert_eq!(parse_load("0.50 x 0.10"), None);
    }
}
