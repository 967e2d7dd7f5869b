//! The id of a session.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// The id of a session, as its `Mcp-Session-Id` header carries it.
///
/// Who knows the id can speak for the session, so it is a secret: `Debug` shows a short prefix, enough to
/// tell sessions apart in a log and too little to take one over. There is no `Display`.
///
/// <https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#session-management>
///
/// ```
/// use throughline_proto::log::SessionId;
/// let id = SessionId::from("1868a90c-3f6f-4a9b-b0e5-1f6f1a1c5f9d");
/// assert_eq!(format!("{id:?}"), "SessionId(1868a9..)");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(Arc<str>);

impl SessionId {
    /// The whole id. Write it to the session's own client only.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for SessionId {
    fn from(id: &str) -> Self {
        Self(id.into())
    }
}

impl From<String> for SessionId {
    fn from(id: String) -> Self {
        Self(id.into())
    }
}

/// Hashes and compares as the text does, so that a map can be asked with the header's value.
impl Borrow<str> for SessionId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Six of usually 32 characters; of a short id from a user's generator no more than a quarter.
        let shown = (self.0.chars().count() / 4).min(6);
        write!(f, "SessionId({}..)", self.0.chars().take(shown).collect::<String>())
    }
}
