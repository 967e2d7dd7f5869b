//! What a run measured.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::process::proc;

/// What one run measured.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// What was done and verified in `seconds`, in units of the work.
    pub(crate) units: usize,
    pub(crate) seconds: f64,
    /// Latency from sending a request, or from when it was due at a given rate, to the end of its answer's body.
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    /// CPU time, user and kernel, the server process spent in `seconds`, in microseconds.
    pub(crate) server_cpu_us: Option<f64>,
    /// What each session holds, where that was asked.
    #[serde(default)]
    pub(crate) memory: Option<Memory>,
    /// The p99 of the same calls before anything disturbed them.
    #[serde(default)]
    pub(crate) alone_p99_us: Option<f64>,
}

/// What the server holds for each session.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Memory {
    pub(crate) sessions: usize,
    /// Live heap bytes per session, where the target can tell.
    pub(crate) heap_bytes: Option<f64>,
    /// Resident bytes per session.
    pub(crate) rss_bytes: Option<f64>,
}

/// A measurement that goes on.
pub(super) struct Charged {
    started: Instant,
    server: Option<(u32, Duration)>,
}

impl Charged {
    pub(super) fn begin(server_pid: Option<u32>) -> Result<Self> {
        let server = server_pid.map(|pid| proc::cpu(pid).map(|cpu| (pid, cpu))).transpose()?;
        Ok(Self { started: Instant::now(), server })
    }

    /// All that was measured since the beginning; each answer counts as `units`.
    pub(super) fn end(self, mut latencies: Vec<Duration>, units: usize) -> Result<Measured> {
        let seconds = self.started.elapsed().as_secs_f64();
        let server_cpu_us = match self.server {
            Some((pid, before)) => Some(microseconds(proc::cpu(pid)?.saturating_sub(before))),
            None => None,
        };
        latencies.sort_unstable();
        Ok(Measured {
            units: latencies.len() * units,
            seconds,
            p50_us: microseconds(percentile(&latencies, 50.0)),
            p99_us: microseconds(percentile(&latencies, 99.0)),
            p999_us: microseconds(percentile(&latencies, 99.9)),
            server_cpu_us,
            ..Measured::default()
        })
    }
}

fn microseconds(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1_000.0
}

/// The smallest latency that `percent` of all are not above. Zero when there are none.
fn percentile(sorted: &[Duration], percent: f64) -> Duration {
    // Rounded first: 99.9 % of 1,000 must not become 999.0000001.
    let rank = (sorted.len() as f64 * percent * 10.0).round() / 1_000.0;
    sorted.get((rank.ceil() as usize).saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let sorted: Vec<_> = (1..=1_000).map(Duration::from_micros).collect();
        assert_eq!(percentile(&sorted, 50.0), Duration::from_micros(500));
        assert_eq!(percentile(&sorted, 99.0), Duration::from_micros(990));
        assert_eq!(percentile(&sorted, 99.9), Duration::from_micros(999));
        assert_eq!(percentile(&sorted[..1], 99.0), Duration::from_micros(1));
        assert_eq!(percentile(&[], 50.0), Duration::ZERO);
    }

    #[test]
    fn an_answer_may_stand_for_many_units() {
        let measured = Charged::begin(None).unwrap().end(vec![Duration::from_micros(5); 3], 1_000).unwrap();
        assert_eq!(measured.units, 3_000);
        assert_eq!(measured.p50_us, 5.0);
        assert_eq!(measured.server_cpu_us, None);
    }
}
