//! Pages of lists, and parameters that hold nothing of their own.

use serde::{Deserialize, Serialize};

use super::Meta;
use crate::jsonrpc::Str;

/// Where the next page of a list begins. Only the server that made it can read it; see
/// [pagination](https://modelcontextprotocol.io/specification/2025-11-25/server/utilities/pagination).
pub type Cursor = Str;

/// The parameters of every `*/list` request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PaginatedParams {
    /// The page wanted; absent is the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    /// What the request carries beside.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl PaginatedParams {
    /// Asks for the page that begins here; `None` is the first one.
    #[must_use]
    pub fn new(cursor: Option<Cursor>) -> PaginatedParams {
        PaginatedParams { cursor, meta: None }
    }
}

/// The parameters of messages that say all by their method: `ping`, `roots/list`, `notifications/initialized`, the
/// notifications of changed lists.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EmptyParams {
    /// What the message carries beside.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl EmptyParams {
    /// Parameters without anything.
    #[must_use]
    pub fn new() -> EmptyParams {
        EmptyParams::default()
    }
}
