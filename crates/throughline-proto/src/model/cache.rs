//! For how long a result may be kept, and by whom.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::wire;
use crate::jsonrpc::Raw;

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

impl CacheHints {
    /// Fresh for this long, for the caller alone.
    ///
    /// ```
    /// use std::time::Duration;
    /// use throughline_proto::model::{CacheHints, CacheScope};
    ///
    /// let hints = CacheHints::private(Duration::from_secs(60));
    /// assert_eq!((hints.ttl_ms, hints.scope), (60_000, CacheScope::Private));
    /// ```
    #[must_use]
    pub fn private(ttl: Duration) -> CacheHints {
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(LONGEST_MS).min(LONGEST_MS);
        CacheHints { ttl_ms, scope: CacheScope::Private }
    }

    /// Fresh for this long, and the same for everybody: a proxy may serve it to callers of any identity.
    #[must_use]
    pub fn public(ttl: Duration) -> CacheHints {
        CacheHints { scope: CacheScope::Public, ..CacheHints::private(ttl) }
    }

    /// What a result says of how it may be kept: nothing said is stale at once and private.
    ///
    /// ```
    /// use throughline_proto::jsonrpc::Raw;
    /// use throughline_proto::model::{CacheHints, CacheScope};
    ///
    /// let result = Raw::from_json(r#"{"tools":[],"ttlMs":5000,"cacheScope":"public"}"#)?;
    /// assert_eq!(CacheHints::of(&result), CacheHints { ttl_ms: 5000, scope: CacheScope::Public });
    /// assert_eq!(CacheHints::of(&Raw::from_json(r#"{"tools":[],"ttlMs":-1}"#)?), CacheHints::default());
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[must_use]
    pub fn of(result: &Raw) -> CacheHints {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Hints {
            #[serde(default, deserialize_with = "wire::ttl")]
            ttl_ms: Option<u64>,
            #[serde(default, deserialize_with = "wire::scope")]
            cache_scope: Option<CacheScope>,
        }
        // Most results do not have the word in them at all.
        if !result.as_str().contains("ttlMs") {
            return CacheHints::default();
        }
        result.parse::<Hints>().map_or_else(
            |_| CacheHints::default(),
            |hints| CacheHints {
                ttl_ms: hints.ttl_ms.unwrap_or_default(),
                scope: hints.cache_scope.unwrap_or_default(),
            },
        )
    }

    /// Fresh for as long, but for the caller alone.
    #[must_use]
    pub fn kept_private(self) -> CacheHints {
        CacheHints { scope: CacheScope::Private, ..self }
    }
}

/// The largest integer that every JSON reader reads exactly (2^53 - 1): longer than any cache lives.
const LONGEST_MS: u64 = (1 << 53) - 1;
