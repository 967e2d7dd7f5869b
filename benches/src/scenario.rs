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

/// What is asked of a target, and how it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Work {
    /// A call in a session, answered by one JSON body
    Json,
    /// A call in a session, answered by an event stream: a priming event, then the response
    Sse,
    /// A call without a session, answered by one JSON body
    ModernJson,
    /// A call without a session, answered by an event stream
    ModernSse,
    /// A call without a session whose tool asks the user: two requests, the second with the answer
    Rounds,
    /// A change that is told to every listening stream; what is counted are the messages that arrived
    Listen,
}

/// One line of the table, for each target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Scenario {
    pub(crate) work: Work,
    pub(crate) connections: usize,
}

/// Everything the lab measures by default: one connection shows latency, 32 show throughput.
pub(crate) const ALL: [Scenario; 10] = [
    Scenario { work: Work::Json, connections: 1 },
    Scenario { work: Work::Json, connections: 32 },
    Scenario { work: Work::Sse, connections: 1 },
    Scenario { work: Work::Sse, connections: 32 },
    Scenario { work: Work::ModernJson, connections: 1 },
    Scenario { work: Work::ModernJson, connections: 32 },
    Scenario { work: Work::ModernSse, connections: 32 },
    Scenario { work: Work::Rounds, connections: 1 },
    Scenario { work: Work::Rounds, connections: 32 },
    Scenario { work: Work::Listen, connections: 1_000 },
];

/// What instructions and system calls are counted of: everything that has one connection.
pub(crate) const COUNTED: [Work; 5] =
    [Work::Json, Work::Sse, Work::ModernJson, Work::ModernSse, Work::Rounds];

impl Target {
    /// The name used on the command line and in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Us => "us",
        }
    }
}

impl Work {
    /// The name used on the command line and in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Sse => "sse",
            Self::ModernJson => "modern-json",
            Self::ModernSse => "modern-sse",
            Self::Rounds => "rounds",
            Self::Listen => "listen",
        }
    }

    /// Whether the answer is an event stream, and not one JSON body.
    pub(crate) fn is_stream(self) -> bool {
        matches!(self, Self::Sse | Self::ModernSse | Self::Listen)
    }

    /// The media type of an answer.
    pub(crate) fn media_type(self) -> &'static str {
        if self.is_stream() { EVENT_STREAM } else { JSON }
    }
}

pub(crate) const JSON: &str = "application/json";
pub(crate) const EVENT_STREAM: &str = "text/event-stream";

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} conn", self.work.name(), self.connections)
    }
}
