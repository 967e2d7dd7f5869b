//! `_meta`: what a message carries beside its own fields.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::jsonrpc::{ProgressToken, Raw, RequestId, Str};

/// The `_meta` of a message: names with any JSON as value, ordered by name; see
/// [`_meta`](https://modelcontextprotocol.io/specification/2025-11-25/basic/index#_meta).
///
/// ```
/// use throughline_proto::model::Meta;
///
/// let meta = Meta::new().with("example.org/trace", &"a1b2")?;
/// assert_eq!(serde_json::to_string(&meta)?, r#"{"example.org/trace":"a1b2"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Meta(BTreeMap<Str, Raw>);

/// The name under which a request asks for progress.
const PROGRESS_TOKEN: &str = "progressToken";

impl Meta {
    /// The name under which a modern request says its protocol version; see
    /// [per-request fields](https://modelcontextprotocol.io/specification/2026-07-28/basic/index#_meta).
    pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";

    /// The name under which a modern request says who its client is.
    pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";

    /// The name under which a modern request says what its client can do.
    pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

    /// The name under which a modern request says from which level on it wants log messages.
    pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";

    /// The name under which a modern result says who the server is.
    pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

    /// The name under which what belongs to a `subscriptions/listen` says to which one: the id of that request.
    pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";

    /// A `_meta` without entries.
    #[must_use]
    pub fn new() -> Meta {
        Meta::default()
    }

    /// Adds an entry, or replaces the one of that name.
    ///
    /// # Errors
    ///
    /// When `value` cannot be written as JSON.
    pub fn with<T: Serialize + ?Sized>(
        mut self,
        name: impl Into<Str>,
        value: &T,
    ) -> Result<Meta, serde_json::Error> {
        self.insert(name, Raw::new(value)?);
        Ok(self)
    }

    /// Adds an entry and returns the one it replaces.
    pub fn insert(&mut self, name: impl Into<Str>, value: Raw) -> Option<Raw> {
        self.0.insert(name.into(), value)
    }

    /// The entry of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Raw> {
        self.0.get(name)
    }

    /// Takes the entry of that name out.
    pub fn remove(&mut self, name: &str) -> Option<Raw> {
        self.0.remove(name)
    }

    /// The token with which a request asks for progress; `None` when there is none or it is neither text nor an integer.
    #[must_use]
    pub fn progress_token(&self) -> Option<ProgressToken> {
        self.get(PROGRESS_TOKEN)?.parse().ok()
    }

    /// Says to which `subscriptions/listen` the message belongs.
    #[must_use]
    pub fn with_subscription_id(mut self, id: &RequestId) -> Meta {
        let id = Raw::new(id).expect("text and numbers have a JSON form");
        self.insert(Str::from_static(Meta::SUBSCRIPTION_ID), id);
        self
    }

    /// The `subscriptions/listen` to which the message belongs; `None` when it names none that can be.
    #[must_use]
    pub fn subscription_id(&self) -> Option<RequestId> {
        self.get(Meta::SUBSCRIPTION_ID)?.parse().ok()
    }

    /// All entries, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (&Str, &Raw)> {
        self.0.iter()
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(Str, Raw)> for Meta {
    fn from_iter<I: IntoIterator<Item = (Str, Raw)>>(entries: I) -> Meta {
        Meta(entries.into_iter().collect())
    }
}
