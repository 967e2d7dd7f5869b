//! What is measured: which target, how it answers, and over how many connections.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// Connections one run may open at most: the floor serves each with a task of its own, and more than
/// this measures the kernel's scheduler, not a server.
pub(crate) const MAX_CONNECTIONS: usize = 1_024;

/// Requests one run may send at most; the generator keeps one latency (8 bytes) of each.
pub(crate) const MAX_REQUESTS: usize = 5_000_000;

/// A server under load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Target {
    /// Bare hyper that does the least work possible
    Floor,
    /// This library
    Us,
}

/// How a target answers `tools/call`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// One JSON body
    Json,
    /// An event stream: a priming event, then the response
    Sse,
}

/// One line of the table, for each target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Scenario {
    pub(crate) mode: Mode,
    pub(crate) connections: usize,
}

/// Everything the lab measures by default: one connection shows latency, 32 show throughput.
pub(crate) const ALL: [Scenario; 4] = [
    Scenario { mode: Mode::Json, connections: 1 },
    Scenario { mode: Mode::Json, connections: 32 },
    Scenario { mode: Mode::Sse, connections: 1 },
    Scenario { mode: Mode::Sse, connections: 32 },
];

impl Target {
    /// The name used on the command line and in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Us => "us",
        }
    }
}

impl Mode {
    /// The name used on the command line and in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Sse => "sse",
        }
    }

    /// The media type of an answer in this mode.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Sse => "text/event-stream",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} echo, {} conn", self.mode.name(), self.connections)
    }
}
