//! What the disk takes to keep something for good: the price below which no durable answer can be.

use std::fs::{self, File};
use std::io::Write as _;
use std::time::{Duration, Instant};

use crate::Result;
use crate::report::Flush;
use crate::target::data_directory;

/// Appends and flushes, one after another, where durable targets keep their data.
///
/// # Errors
///
/// When the disk takes nothing.
pub(super) fn measure(seconds: f64) -> Result<Flush> {
    let directory = data_directory()?;
    let path = directory.join("flush");
    let mut file = File::create(&path)?;
    let mut times = Vec::new();
    let started = Instant::now();
    while started.elapsed().as_secs_f64() < seconds {
        let before = Instant::now();
        file.write_all(&[7; BYTES])?;
        file.sync_data()?;
        times.push(before.elapsed());
    }
    let took = started.elapsed();
    fs::remove_dir_all(directory)?;
    times.sort_unstable();
    let at = |share: usize| microseconds(times.get(times.len() * share / 100).copied());
    Ok(Flush { p50_us: at(50), p99_us: at(99), per_second: times.len() as f64 / took.as_secs_f64() })
}

fn microseconds(time: Option<Duration>) -> f64 {
    time.map_or(f64::NAN, |time| time.as_nanos() as f64 / 1_000.0)
}

/// An event and what is kept with it.
const BYTES: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flush_takes_time() {
        let flush = measure(0.05).unwrap();
        assert!(flush.p50_us > 0.0 && flush.p99_us >= flush.p50_us && flush.per_second > 0.0);
    }
}
