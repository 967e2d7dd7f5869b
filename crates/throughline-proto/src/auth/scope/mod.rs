use std::error::Error;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

mod hierarchy;

pub use hierarchy::ScopeHierarchy;

/// Bytes of all scopes that are read together, which is as long as a token that holds them may be
/// ([`MAX_TOKEN`](super::MAX_TOKEN)). The longest lists of the large providers have some 2,000.
const MAX_SCOPES: usize = 8 * 1024;

/// A set of scopes: each once, in the order in which they came, so that what a server wrote is what is asked for. Two
/// sets with the same scopes are equal in any order.
///
/// A scope is one or more visible ASCII characters but `"` and `\`
/// ([RFC 6749, 3.3](https://www.rfc-editor.org/rfc/rfc6749#section-3.3)); upper and lower case differ. It is kept as one text,
/// so that to print, clone and serialise it costs no more than that.
///
/// ```
/// use throughline_proto::auth::ScopeSet;
///
/// let granted = ScopeSet::parse("files:read profile")?;
/// let required = ScopeSet::of(["files:read", "files:write"])?;
/// assert_eq!(required.difference(&granted).to_string(), "files:write");
/// assert_eq!(granted.union(&required).to_string(), "files:read profile files:write");
/// assert!(ScopeSet::parse("files\"read").is_err());
/// # Ok::<(), throughline_proto::auth::InvalidScope>(())
/// ```
#[derive(Clone, Default)]
pub struct ScopeSet {
    /// The scopes with one space between two of them.
    text: String,
}

impl ScopeSet {
    /// No scope.
    #[must_use]
    pub const fn new() -> ScopeSet {
        ScopeSet { text: String::new() }
    }

    /// The scopes of a list with spaces between them, at most 8 KiB. More spaces than one are one.
    ///
    /// # Errors
    ///
    /// When a character is in it that no scope has, or it is too long.
    pub fn parse(text: &str) -> Result<ScopeSet, InvalidScope> {
        let mut scopes = ScopeSet::new();
        for scope in text.split(' ').filter(|scope| !scope.is_empty()) {
            scopes.insert(scope)?;
        }
        Ok(scopes)
    }

    /// The scopes of a list that a peer wrote: what is no scope is left out, and so is what is beyond 8 KiB.
    ///
    /// Left out of what was granted it allows less, never more. What an operation requires is read with
    /// [`parse`](ScopeSet::parse) instead.
    #[must_use]
    pub fn parse_lossy(text: &str) -> ScopeSet {
        let mut scopes = ScopeSet::new();
        for scope in text.split_ascii_whitespace() {
            // What is refused is left out; see above.
            let _ = scopes.insert(scope);
        }
        scopes
    }

    /// These scopes, each a text of its own.
    ///
    /// # Errors
    ///
    /// When one of them is none, or they are more than 8 KiB together.
    pub fn of<I>(scopes: I) -> Result<ScopeSet, InvalidScope>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut set = ScopeSet::new();
        for scope in scopes {
            set.insert(scope.as_ref())?;
        }
        Ok(set)
    }

    /// Adds a scope. Was it missing?
    ///
    /// # Errors
    ///
    /// When it is empty, has a character that no scope has, or makes the set longer than 8 KiB.
    pub fn insert(&mut self, scope: &str) -> Result<bool, InvalidScope> {
        if !is_scope(scope) {
            return Err(InvalidScope(Why::Character));
        }
        if self.contains(scope) {
            return Ok(false);
        }
        if self.text.len() + 1 + scope.len() > MAX_SCOPES {
            return Err(InvalidScope(Why::Length));
        }
        self.push(scope);
        Ok(true)
    }

    /// Is this scope in it?
    #[must_use]
    pub fn contains(&self, scope: &str) -> bool {
        !scope.is_empty() && self.iter().any(|held| held == scope)
    }

    /// Every scope that is in one of them: first these, then those of the other.
    #[must_use]
    pub fn union(&self, other: &ScopeSet) -> ScopeSet {
        let mut all = self.clone();
        for scope in other.iter().filter(|scope| !self.contains(scope)) {
            all.push(scope);
        }
        all
    }

    /// The scopes that are not in the other set.
    #[must_use]
    pub fn difference(&self, other: &ScopeSet) -> ScopeSet {
        let mut rest = ScopeSet::new();
        for scope in self.iter().filter(|scope| !other.contains(scope)) {
            rest.push(scope);
        }
        rest
    }

    /// Is every one of them in the other set? Nothing is in every set.
    #[must_use]
    pub fn is_subset_of(&self, other: &ScopeSet) -> bool {
        self.iter().all(|scope| other.contains(scope))
    }

    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        // The one part of an empty text is empty.
        self.text.split(' ').filter(|scope| !scope.is_empty())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Is there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The scopes with one space between two of them: the form of the `scope` parameter.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Adds what is a scope and is missing.
    fn push(&mut self, scope: &str) {
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        self.text.push_str(scope);
    }
}

/// `scope-token` of <https://www.rfc-editor.org/rfc/rfc6749#section-3.3>.
pub(super) fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

impl PartialEq for ScopeSet {
    fn eq(&self, other: &ScopeSet) -> bool {
        self.text == other.text || (self.text.len() == other.text.len() && self.is_subset_of(other))
    }
}

impl Eq for ScopeSet {}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl FromStr for ScopeSet {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<ScopeSet, InvalidScope> {
        ScopeSet::parse(text)
    }
}

/// As one text, as in a token's answer.
impl Serialize for ScopeSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// From one text or from a list of texts, as peers write it; what is no scope is left out
/// ([`parse_lossy`](ScopeSet::parse_lossy)).
impl<'de> Deserialize<'de> for ScopeSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ScopeSet, D::Error> {
        struct Visitor;

        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = ScopeSet;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("scopes, as a text with spaces between them or as a list")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ScopeSet, E> {
                Ok(ScopeSet::parse_lossy(text))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<ScopeSet, A::Error> {
                let mut scopes = ScopeSet::new();
                while let Some(scope) = seq.next_element::<std::borrow::Cow<'de, str>>()? {
                    for scope in scope.split_ascii_whitespace() {
                        let _ = scopes.insert(scope);
                    }
                }
                Ok(scopes)
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

/// Scopes as a list of texts, as metadata documents have them.
pub(super) mod list {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::ScopeSet;

    pub(in crate::auth) fn serialize<S: Serializer>(
        scopes: &Option<ScopeSet>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(scopes.iter().flat_map(ScopeSet::iter))
    }

    pub(in crate::auth) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<ScopeSet>, D::Error> {
        Option::deserialize(deserializer)
    }
}

/// Why a text is no scope, or no set of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidScope(Why);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Why {
    Character,
    Length,
    Rules,
}

impl fmt::Display for InvalidScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Why::Character => f.write_str(
                "a scope is one or more visible ASCII characters without a quote, a backslash or a space",
            ),
            Why::Length => {
                write!(f, "the scopes are more than {MAX_SCOPES} bytes together; use fewer or shorter ones")
            }
            Why::Rules => {
                write!(f, "a hierarchy of scopes has at most {} rules; use fewer", hierarchy::MAX_RULES)
            }
        }
    }
}

impl Error for InvalidScope {}

#[cfg(test)]
mod tests;
