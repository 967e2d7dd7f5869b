//! CPU time and memory of another process, from Linux's `/proc`.

use std::fs;
use std::time::Duration;

use crate::Result;

/// CPU time, user and kernel, that the living threads of a process have spent.
///
/// Nanoseconds from `schedstat`, summed over the threads; a thread that ended is no longer counted,
/// which the targets' single thread makes harmless. Where the kernel keeps no `schedstat`, the clock
/// ticks of `stat`, 10 ms each.
///
/// # Errors
///
/// When the process is gone, or there is no `/proc`.
pub(crate) fn cpu(pid: u32) -> Result<Duration> {
    let mut spent = Duration::ZERO;
    let mut is_kept = false;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end between the listing and the reading.
        let Ok(line) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        let on_cpu = line.split_whitespace().next().and_then(|field| field.parse().ok());
        let nanoseconds: u64 = on_cpu.ok_or_else(|| format!("schedstat of process {pid} reads {line:?}"))?;
        is_kept |= nanoseconds > 0;
        spent += Duration::from_nanos(nanoseconds);
    }
    if is_kept {
        return Ok(spent);
    }
    ticks(&fs::read_to_string(format!("/proc/{pid}/stat"))?)
        .map(|ticks| TICK * ticks)
        .ok_or_else(|| format!("stat of process {pid} could not be read").into())
}

/// Resident bytes of a process.
///
/// # Errors
///
/// When the process is gone, or there is no `/proc`.
pub(crate) fn resident(pid: u32) -> Result<u64> {
    of_status(pid, "VmRSS:")
}

/// Resident bytes of a process that are of no file: its heap and stacks, without the program itself.
///
/// # Errors
///
/// When the process is gone, or there is no `/proc`.
pub(crate) fn anonymous(pid: u32) -> Result<u64> {
    of_status(pid, "RssAnon:")
}

/// The most bytes that a process ever had resident.
///
/// # Errors
///
/// When the process is gone, or there is no `/proc`.
pub(crate) fn most_resident(pid: u32) -> Result<u64> {
    of_status(pid, "VmHWM:")
}

fn of_status(pid: u32, name: &str) -> Result<u64> {
    bytes_of(&fs::read_to_string(format!("/proc/{pid}/status"))?, name)
        .ok_or_else(|| format!("status of process {pid} could not be read").into())
}

/// The bytes in a line like `VmRSS:  1234 kB`.
fn bytes_of(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}

/// utime and stime, the 14th and 15th field of `stat`. The 2nd, the name, may hold spaces.
fn ticks(stat: &str) -> Option<u32> {
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut times = after_name.split(' ').skip(11);
    Some(times.next()?.parse::<u32>().ok()? + times.next()?.parse::<u32>().ok()?)
}

/// `USER_HZ` is 100 on every architecture Rust runs Linux on.
const TICK: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_behind_a_name_with_spaces() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194304 90 0 0 0 12 30 0 0 20 0 1 0 100 8192 64";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!(ticks("7 (a) S 1"), None);
    }

    #[test]
    fn the_resident_line_is_found() {
        let status = "Name:\tx\nVmPeak:\t  900 kB\nVmRSS:\t     512 kB\nThreads:\t1\n";
        assert_eq!(bytes_of(status, "VmRSS:"), Some(512 * 1024));
        assert_eq!(bytes_of("Name:\tx\n", "VmRSS:"), None);
        let own = std::process::id();
        assert!(anonymous(own).unwrap() <= most_resident(own).unwrap());
        resident(own).unwrap();
    }

    #[test]
    fn own_time_can_be_read() {
        cpu(std::process::id()).unwrap();
    }
}
