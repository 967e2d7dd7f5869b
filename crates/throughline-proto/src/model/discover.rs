//! Discovery: which revisions a server speaks, and what it can do.

use serde::{Deserialize, Serialize};

use super::{CacheHints, CacheScope, Meta, ServerCapabilities, wire};
use crate::jsonrpc::Str;

/// The answer to `server/discover`; see
/// [discovery](https://modelcontextprotocol.io/specification/2026-07-28/server/discover). Who the server is stands in the
/// `_meta` of every result of the modern era.
///
/// ```
/// use throughline_proto::model::{DiscoverResult, ServerCapabilities, ToolsCapability};
///
/// let capabilities = ServerCapabilities::new().with_tools(ToolsCapability { list_changed: true });
/// let result = DiscoverResult::new(["2026-07-28".into()], capabilities);
/// assert_eq!(
///     serde_json::to_string(&result)?,
///     r#"{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true}}}"#
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DiscoverResult {
    /// The dates of the revisions in which the server can be called.
    #[serde(default, deserialize_with = "wire::nullable")]
    pub supported_versions: Vec<Str>,
    /// What the server can do.
    #[serde(default, deserialize_with = "wire::nullable")]
    pub capabilities: ServerCapabilities,
    /// How to use the server, for a model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<Str>,
    /// For how many milliseconds the result counts as fresh; absent is the server's default. Only the modern era says it.
    #[serde(default, deserialize_with = "wire::ttl", skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
    /// Who may keep the result; absent is the server's default. Only the modern era says it.
    #[serde(default, deserialize_with = "wire::scope", skip_serializing_if = "Option::is_none")]
    pub cache_scope: Option<CacheScope>,
    /// What the result carries beside.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl DiscoverResult {
    /// This server speaks the revisions of these dates and can do this.
    pub fn new(supported_versions: impl Into<Vec<Str>>, capabilities: ServerCapabilities) -> DiscoverResult {
        DiscoverResult {
            supported_versions: supported_versions.into(),
            capabilities,
            ..DiscoverResult::default()
        }
    }

    /// Says how the result may be kept.
    #[must_use]
    pub fn with_cache(mut self, cache: CacheHints) -> DiscoverResult {
        (self.ttl_ms, self.cache_scope) = (Some(cache.ttl_ms), Some(cache.scope));
        self
    }

    setters! {
        /// How to use the server, for a model.
        with_instructions(instructions: impl Into<Str>) = Some(instructions.into());
        /// What the result carries beside.
        with_meta(meta: Meta) = Some(meta);
    }
}
