//! For how long a result may be kept, and by whom.

use serde::{Deserialize, Serialize};

/// Who may keep a result; see
/// [cache scope](https://modelcontextprotocol.io/specification/2026-07-28/server/utilities/caching#cache-scope-field).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheScope {
    /// Only the caller: the result may say something about whom it was made for.
    #[default]
    Private,
    /// Anybody: the result is the same for everyone.
    Public,
}

/// How a result may be kept. Without any hint it is stale at once and private.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CacheHints {
    /// For how many milliseconds it counts as fresh.
    pub ttl_ms: u64,
    /// Who may keep it.
    pub scope: CacheScope,
}
