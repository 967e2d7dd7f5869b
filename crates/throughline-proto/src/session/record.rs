//! What is needed to rebuild a session elsewhere.

use serde::{Deserialize, Serialize};

use crate::jsonrpc::Str;
use crate::model::{ClientCapabilities, Implementation, LoggingLevel};

/// A session at rest: what `initialize` said and what the client set since. Requests in flight are not part of it, and no
/// count of anything: it changes only where [`Session::changes`](super::Session::changes) does.
///
/// Its JSON is what a durable store or another node keeps.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionRecord {
    /// The negotiated revision, by its date.
    pub protocol_version: Str,
    /// Who the client says it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_info: Option<Implementation>,
    /// What the client can do.
    pub capabilities: ClientCapabilities,
    /// The level the client set by `logging/setLevel`, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<LoggingLevel>,
    /// Resources whose updates the client wants.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subscriptions: Vec<Str>,
    /// Whether the client said `notifications/initialized`.
    pub initialized: bool,
    /// The tag in this session's cursors.
    pub tag: u32,
}
