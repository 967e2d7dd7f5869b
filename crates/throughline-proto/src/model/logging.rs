//! Log messages that a server sends to its client.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Meta;
use crate::jsonrpc::{Raw, Str};

/// How severe a log message is, ordered from the least to the most (RFC 5424); see
/// [log levels](https://modelcontextprotocol.io/specification/2025-11-25/server/utilities/logging#log-levels).
///
/// ```
/// use throughline_proto::model::LoggingLevel;
///
/// assert!(LoggingLevel::Debug < LoggingLevel::Warning && LoggingLevel::Warning < LoggingLevel::Emergency);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LoggingLevel {
    /// Detail for finding errors.
    Debug,
    /// General information.
    Info,
    /// Normal but significant events.
    Notice,
    /// Something is about to go wrong.
    Warning,
    /// Something failed.
    Error,
    /// A component failed.
    Critical,
    /// Act at once.
    Alert,
    /// The system cannot be used.
    Emergency,
}

impl LoggingLevel {
    /// All levels, from the least severe.
    pub const ALL: [LoggingLevel; 8] = [
        LoggingLevel::Debug,
        LoggingLevel::Info,
        LoggingLevel::Notice,
        LoggingLevel::Warning,
        LoggingLevel::Error,
        LoggingLevel::Critical,
        LoggingLevel::Alert,
        LoggingLevel::Emergency,
    ];

    /// The level's name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            LoggingLevel::Debug => "debug",
            LoggingLevel::Info => "info",
            LoggingLevel::Notice => "notice",
            LoggingLevel::Warning => "warning",
            LoggingLevel::Error => "error",
            LoggingLevel::Critical => "critical",
            LoggingLevel::Alert => "alert",
            LoggingLevel::Emergency => "emergency",
        }
    }
}

impl fmt::Display for LoggingLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The parameters of `logging/setLevel`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SetLevelParams {
    /// The least severe level that the client wants to hear of.
    pub level: LoggingLevel,
    /// What the request carries beside.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl SetLevelParams {
    /// Asks for messages of this level and above.
    #[must_use]
    pub fn new(level: LoggingLevel) -> SetLevelParams {
        SetLevelParams { level, meta: None }
    }
}

/// The parameters of `notifications/message`.
///
/// Deprecated by the specification since 2026-07-28, and served in every revision all the same: servers log to standard
/// error or to OpenTelemetry instead
/// ([deprecated features](https://modelcontextprotocol.io/specification/2026-07-28/deprecated)).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LoggingMessageParams {
    /// How severe it is.
    pub level: LoggingLevel,
    /// Which part of the server speaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logger: Option<Str>,
    /// What it says: any JSON.
    pub data: Raw,
    /// What the notification carries beside.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl LoggingMessageParams {
    /// A message of this level.
    #[must_use]
    pub fn new(level: LoggingLevel, data: Raw) -> LoggingMessageParams {
        LoggingMessageParams { level, logger: None, data, meta: None }
    }

    setters! {
        /// Which part of the server speaks.
        with_logger(logger: impl Into<Str>) = Some(logger.into());
        /// What the notification carries beside.
        with_meta(meta: Meta) = Some(meta);
    }
}
