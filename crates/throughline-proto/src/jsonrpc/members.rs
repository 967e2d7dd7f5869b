use std::fmt;

use serde::Deserializer as _;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::de::{Deserializer, Read};
use serde_json::value::RawValue;

use super::Part;

/// The wanted members of one JSON object, found in one scan; all others are skipped.
pub(super) struct Members<'a, const N: usize> {
    /// In the order of the names: the value that was there, `null` included, or `None` when there was none.
    pub(super) values: [Option<Part<'a>>; N],
    /// Which names occurred more than once. Their first values are the ones that were kept.
    pub(super) is_repeated: [bool; N],
}

impl<'a, const N: usize> Members<'a, N> {
    /// Reads one object and nothing after it.
    pub(super) fn read<R: Read<'a>>(
        names: &[&str; N],
        json: &mut Deserializer<R>,
    ) -> Result<Members<'a, N>, serde_json::Error> {
        let members = json.deserialize_map(Object(names))?;
        json.end()?;
        Ok(members)
    }

    /// The first of the names that occurred more than once.
    pub(super) fn repeated(&self) -> Option<usize> {
        self.is_repeated.iter().position(|is_repeated| *is_repeated)
    }
}

struct Object<'n, const N: usize>(&'n [&'n str; N]);

impl<'de, const N: usize> Visitor<'de> for Object<'_, N> {
    type Value = Members<'de, N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de, N>, A::Error> {
        let mut members = Members { values: [None; N], is_repeated: [false; N] };
        while let Some(key) = map.next_key_seed(Key(self.0))? {
            match key {
                Some(at) if members.values[at].is_none() => {
                    members.values[at] = Some(map.next_value::<&RawValue>()?.into());
                }
                // A second one is remembered, not refused at once: an id may still follow, and the refusal
                // should carry it.
                Some(at) => {
                    members.is_repeated[at] = true;
                    map.next_value::<IgnoredAny>()?;
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(members)
    }
}

/// Which of the names a key is. Asked by text, so that a key written with escapes is the same key.
pub(crate) struct Key<'n, T>(pub(crate) &'n [T]);

impl<'de, T: AsRef<str>> DeserializeSeed<'de> for Key<'_, T> {
    type Value = Option<usize>;

    fn deserialize<D: serde::Deserializer<'de>>(self, key: D) -> Result<Option<usize>, D::Error> {
        key.deserialize_str(self)
    }
}

impl<T: AsRef<str>> Visitor<'_> for Key<'_, T> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Option<usize>, E> {
        Ok(self.0.iter().position(|name| name.as_ref() == key))
    }
}
