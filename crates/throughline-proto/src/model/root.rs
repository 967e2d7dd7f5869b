//! Roots: where a client lets a server work.

use serde::{Deserialize, Serialize};

use super::{Meta, wire};
use crate::jsonrpc::Str;

/// A place that the server may work in; see
/// [roots](https://modelcontextprotocol.io/specification/2025-11-25/client/roots).
///
/// Deprecated by the specification since 2026-07-28, and served in every revision all the same: arguments, resource
/// URIs or the server's configuration say it instead
/// ([deprecated features](https://modelcontextprotocol.io/specification/2026-07-28/deprecated)).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Root {
    /// Where it is: a `file:` URI.
    pub uri: Str,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Str>,
    /// What the root carries beside.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl Root {
    /// A root at this URI.
    pub fn new(uri: impl Into<Str>) -> Root {
        Root { uri: uri.into(), name: None, meta: None }
    }

    setters! {
        /// A name for people.
        with_name(name: impl Into<Str>) = Some(name.into());
        /// What the root carries beside.
        with_meta(meta: Meta) = Some(meta);
    }
}

/// The answer to `roots/list`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ListRootsResult {
    /// The client's roots.
    #[serde(default, deserialize_with = "wire::nullable")]
    pub roots: Vec<Root>,
    /// What the result carries beside.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl ListRootsResult {
    /// These roots.
    pub fn new(roots: impl Into<Vec<Root>>) -> ListRootsResult {
        ListRootsResult { roots: roots.into(), meta: None }
    }

    setters! {
        /// What the result carries beside.
        with_meta(meta: Meta) = Some(meta);
    }
}
