//! Annotations: for whom a piece of content is meant, and how much it matters.

use serde::{Deserialize, Serialize};

use super::wire;
use crate::jsonrpc::Str;

/// Who speaks in a message, or for whom content is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The person, or the model's input.
    User,
    /// The model.
    Assistant,
}

/// Hints about content and resources; see
/// [annotations](https://modelcontextprotocol.io/specification/2025-11-25/server/resources#annotations).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Annotations {
    /// For whom the content is meant; empty says nothing.
    #[serde(default, deserialize_with = "wire::nullable", skip_serializing_if = "Vec::is_empty")]
    pub audience: Vec<Role>,
    /// How much it matters: 1 is required, 0 is entirely optional.
    #[serde(default, with = "wire::maybe_number", skip_serializing_if = "Option::is_none")]
    pub priority: Option<f64>,
    /// When it last changed, as an ISO 8601 time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<Str>,
}

impl Annotations {
    /// Annotations that say nothing yet.
    #[must_use]
    pub fn new() -> Annotations {
        Annotations::default()
    }

    setters! {
        /// For whom the content is meant.
        with_audience(audience: impl Into<Vec<Role>>) = audience.into();
        /// How much it matters, from 0 to 1.
        with_priority(priority: f64) = Some(priority);
        /// When it last changed, as an ISO 8601 time.
        with_last_modified(last_modified: impl Into<Str>) = Some(last_modified.into());
    }
}
