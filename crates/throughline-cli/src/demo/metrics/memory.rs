//! Memory: what the machine has, and what this server uses.

use serde::Serialize;
use throughline::Result;

use super::{proc, unreadable};

/// One reading, in bytes.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reading {
    /// What the machine has.
    total_bytes: u64,
    /// What programs could still get.
    available_bytes: u64,
    /// What this process holds in memory.
    process_bytes: u64,
}

impl Reading {
    pub(super) fn take() -> Result<Self> {
        let (machine, process) = (proc("meminfo")?, proc("self/status")?);
        Ok(Self {
            total_bytes: bytes(&machine, "MemTotal").ok_or_else(|| unreadable("meminfo"))?,
            available_bytes: bytes(&machine, "MemAvailable").ok_or_else(|| unreadable("meminfo"))?,
            process_bytes: bytes(&process, "VmRSS").ok_or_else(|| unreadable("self/status"))?,
        })
    }
}

/// The entry of this name: a line `name: number kB` (<https://docs.kernel.org/filesystems/proc.html>).
fn bytes(text: &str, name: &str) -> Option<u64> {
    let entry = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    entry.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn entries_are_found_by_their_whole_name() {
        let text = "MemTotal:       16316420 kB\nMemAvailable:   9 kB\nHugePages_Total:       0\nMem: x kB\n";
        assert_eq!(bytes(text, "MemTotal"), Some(16_316_420 * 1024));
        assert_eq!(bytes(text, "MemAvailable"), Some(9 * 1024));
        for name in ["MemT", "HugePages_Total", "Mem", "SwapTotal"] {
            assert_eq!(bytes(text, name), None, "{name}");
        }
    }
}
