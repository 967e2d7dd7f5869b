use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use bytestring::ByteString;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// UTF-8 text that is a slice of the message it came from, or owned.
///
/// A clone is cheap (a reference count). It compares, orders and hashes as the `str` it holds, so a map keyed
/// by `Str` is asked with a `&str`. A slice keeps the whole message alive: text that outlives its request is
/// better [detached](Str::detached).
///
/// ```
/// use throughline_proto::jsonrpc::Str;
///
/// const PING: Str = Str::from_static("ping");
/// assert_eq!(PING, "ping");
/// assert_eq!(PING.len(), 4);
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Str(ByteString);

impl Str {
    /// Text that lives as long as the program, without allocation.
    pub const fn from_static(text: &'static str) -> Str {
        Str(ByteString::from_static(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same text in memory of its own, so that it does not keep a whole message alive.
    pub fn detached(&self) -> Str {
        Str(ByteString::from(self.as_str()))
    }

    /// The slice of `owner` that `part` is, or a copy when `part` lies elsewhere.
    pub(crate) fn slice_of(owner: &ByteString, part: &str) -> Str {
        Str(slice_of(owner, part))
    }
}

/// The slice of `owner` that `part` is, or a copy when `part` lies elsewhere.
pub(crate) fn slice_of(owner: &ByteString, part: &str) -> ByteString {
    // Addresses are compared, nothing is read through them: `part` is inside exactly when it starts and ends
    // inside.
    match (part.as_ptr() as usize).checked_sub(owner.as_ptr() as usize) {
        Some(start) if start <= owner.len() && part.len() <= owner.len() - start => owner.slice_ref(part),
        _ => ByteString::from(part),
    }
}

impl Deref for Str {
    type Target = str;
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Str {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Str {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl PartialOrd for Str {
    fn partial_cmp(&self, other: &Str) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Str {
    fn cmp(&self, other: &Str) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for Str {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // As `str` does, because `Borrow<str>` promises equal hashes.
        self.as_str().hash(state);
    }
}

impl PartialEq<str> for Str {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Str {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl From<&'static str> for Str {
    fn from(text: &'static str) -> Str {
        Str::from_static(text)
    }
}

impl From<String> for Str {
    fn from(text: String) -> Str {
        Str(ByteString::from(text))
    }
}

impl From<&String> for Str {
    fn from(text: &String) -> Str {
        Str(ByteString::from(text.as_str()))
    }
}

impl fmt::Display for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

impl fmt::Debug for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl Serialize for Str {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Str {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Str, D::Error> {
        String::deserialize(deserializer).map(Str::from)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use super::*;

    #[test]
    fn maps_keyed_by_it_are_asked_with_a_str() {
        let hashed = HashMap::from([(Str::from("a".to_owned()), 1)]);
        assert_eq!(hashed.get("a"), Some(&1));
        let ordered = BTreeMap::from([(Str::from("ä".to_owned()), 1), (Str::from_static("b"), 2)]);
        assert_eq!(ordered.get("ä"), Some(&1));
        assert_eq!(ordered.keys().map(Str::as_str).collect::<Vec<_>>(), ["b", "ä"]);
    }

    #[test]
    fn a_part_of_the_owner_is_shared_and_any_other_text_copied() {
        let owner = ByteString::from("hello world".to_owned());
        let inside = &owner[6..];
        let shared = Str::slice_of(&owner, inside);
        assert_eq!(shared, "world");
        assert_eq!(shared.as_ptr(), inside.as_ptr());
        assert_ne!(shared.detached().as_ptr(), inside.as_ptr());
        assert_eq!(Str::slice_of(&owner, "world"), "world");
        // The empty text at the very end is inside.
        assert_eq!(Str::slice_of(&owner, &inside[5..]), "");
        // A part that starts inside and runs past the end is a copy: here `owner` is itself a slice of
        // something larger.
        let short = owner.slice_ref(&owner[..8]);
        assert_eq!(Str::slice_of(&short, inside), "world");
    }

    #[test]
    fn it_is_a_json_string() {
        let text: Str = serde_json::from_str(r#""a\n\u00e4""#).unwrap();
        assert_eq!(text, "a\nä");
        assert_eq!(serde_json::to_string(&text).unwrap(), r#""a\nä""#);
        assert!(serde_json::from_str::<Str>("1").is_err());
        assert_eq!(format!("{text:?} {}", Str::from(&"x".to_owned())), r#""a\nä" x"#);
    }
}
