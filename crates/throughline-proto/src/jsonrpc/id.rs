use std::borrow::Cow;
use std::fmt;

use bytestring::ByteString;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{ErrorCode, ErrorObject, Part, Raw, Str};

/// The id of a request: an integer or a string, never null, echoed exactly in its response.
///
/// `1` and `"1"` are different ids. Numbers with a fraction or an exponent and numbers outside `i64` are
/// refused, because they could not be echoed exactly by everyone.
///
/// Specification: <https://modelcontextprotocol.io/specification/2025-11-25/basic#requests>.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RequestId {
    /// An integer.
    Number(i64),
    /// A string, possibly a slice of the message it came in.
    String(Str),
}

/// What a requester attaches to a request to receive progress on it: an integer or a string, unique among its
/// requests in flight.
///
/// Specification: <https://modelcontextprotocol.io/specification/2025-11-25/basic/utilities/progress>.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProgressToken {
    /// An integer.
    Number(i64),
    /// A string, possibly a slice of the message it came in.
    String(Str),
}

impl RequestId {
    /// The same id in memory of its own, so that it does not keep a whole message alive.
    pub fn detached(&self) -> RequestId {
        match self {
            RequestId::Number(number) => RequestId::Number(*number),
            RequestId::String(text) => RequestId::String(text.detached()),
        }
    }

    /// Reads an id found in `owner`: `None` when `part` is neither a string nor an integer.
    pub(crate) fn from_part(owner: &ByteString, part: Part<'_>) -> Option<RequestId> {
        match Scalar::from_part(owner, part)? {
            Scalar::Number(number) => Some(RequestId::Number(number)),
            Scalar::String(text) => Some(RequestId::String(text)),
        }
    }
}

impl ProgressToken {
    /// Reads the `progressToken` that [`MetaOutline`](super::MetaOutline) found in `params`, without a copy.
    ///
    /// # Errors
    ///
    /// Invalid params when it is neither a string nor an integer, or longer than [`MAX_BYTES`](Self::MAX_BYTES).
    pub fn from_part(params: &Raw, part: Part<'_>) -> Result<ProgressToken, ErrorObject> {
        let error = match Scalar::from_part(params.text(), part) {
            Some(Scalar::Number(number)) => return Ok(ProgressToken::Number(number)),
            Some(Scalar::String(text)) if text.len() <= Self::MAX_BYTES => {
                return Ok(ProgressToken::String(text));
            }
            Some(Scalar::String(_)) => Self::TOO_LONG,
            None => "The member \"progressToken\" of \"_meta\" must be a string or an integer.",
        };
        Err(ErrorObject::new(ErrorCode::INVALID_PARAMS, error))
    }

    /// The longest that a server takes, in bytes. It comes back in every notification of its request, so that a long one
    /// would make a small request a large answer; those in use are numbers and UUIDs.
    pub const MAX_BYTES: usize = 1024;

    pub(crate) const TOO_LONG: &str =
        "The member \"progressToken\" of \"_meta\" is longer than 1024 bytes. Send a shorter one.";

    pub(crate) fn is_too_long(&self) -> bool {
        matches!(self, ProgressToken::String(text) if text.len() > Self::MAX_BYTES)
    }
}

/// The JSON string `part` as text: a slice of `owner` unless it has escapes; `None` when it is no (sound)
/// string.
pub(crate) fn text_of(owner: &ByteString, part: Part<'_>) -> Option<Str> {
    match text(part)? {
        Cow::Borrowed(text) => Some(Str::slice_of(owner, text)),
        Cow::Owned(text) => Some(Str::from(text)),
    }
}

/// The JSON string `part` as text, without a copy unless it has escapes; `None` when it is no (sound) string.
pub(crate) fn text(part: Part<'_>) -> Option<Cow<'_, str>> {
    let inner = part.get().strip_prefix('"')?.strip_suffix('"')?;
    if inner.as_bytes().contains(&b'\\') {
        serde_json::from_str(part.get()).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// The representation that both types share.
enum Scalar {
    Number(i64),
    String(Str),
}

impl Scalar {
    fn from_part(owner: &ByteString, part: Part<'_>) -> Option<Scalar> {
        match part.get().as_bytes().first()? {
            b'"' => text_of(owner, part).map(Scalar::String),
            b'-' | b'0'..=b'9' => serde_json::from_str(part.get()).ok().map(Scalar::Number),
            _ => None,
        }
    }
}

struct ScalarVisitor;

impl de::Visitor<'_> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or an integer")
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Scalar, E> {
        Ok(Scalar::Number(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Scalar, E> {
        i64::try_from(number)
            .map(Scalar::Number)
            .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(number), &self))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar::String(Str::from(text.to_owned())))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Scalar, E> {
        Ok(Scalar::String(Str::from(text)))
    }
}

macro_rules! scalar {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $name::Number(number) => number.fmt(f),
                    $name::String(text) => fmt::Display::fmt(text, f),
                }
            }
        }

        /// As in JSON, so that `1` and `"1"` differ.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $name::Number(number) => number.fmt(f),
                    $name::String(text) => fmt::Debug::fmt(text, f),
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $name::Number(number) => serializer.serialize_i64(*number),
                    $name::String(text) => serializer.serialize_str(text),
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                Ok(match deserializer.deserialize_any(ScalarVisitor)? {
                    Scalar::Number(number) => $name::Number(number),
                    Scalar::String(text) => $name::String(text),
                })
            }
        }

        impl From<i64> for $name {
            fn from(number: i64) -> $name {
                $name::Number(number)
            }
        }

        impl From<Str> for $name {
            fn from(text: Str) -> $name {
                $name::String(text)
            }
        }

        impl From<&'static str> for $name {
            fn from(text: &'static str) -> $name {
                $name::String(Str::from_static(text))
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> $name {
                $name::String(Str::from(text))
            }
        }
    };
}

scalar!(RequestId);
scalar!(ProgressToken);

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &[&str] = &[
        "0",
        "1",
        "-1",
        "9223372036854775807",
        "-9223372036854775808",
        r#""""#,
        r#""a""#,
        r#""\u0061\n""#,
        r#""1""#,
    ];
    const BAD: &[&str] = &[
        "null",
        "true",
        "1.0",
        "1.5",
        "1e3",
        "-0",
        "9223372036854775808",
        "-9223372036854775809",
        "[]",
        "{}",
        r#""\ud800""#,
    ];

    #[test]
    fn integers_and_strings_are_ids_and_nothing_else_is() {
        for text in GOOD {
            let raw = Raw::from_json(*text).unwrap();
            let part = Part::from(raw.parse::<&serde_json::value::RawValue>().unwrap());
            let read = RequestId::from_part(raw.text(), part).unwrap();
            assert_eq!(read, serde_json::from_str(text).unwrap(), "{text}");
            assert_eq!(
                serde_json::to_string(&ProgressToken::from_part(&raw, part).unwrap()).unwrap(),
                serde_json::to_string(&read).unwrap()
            );
            assert_eq!(
                serde_json::from_str::<RequestId>(&serde_json::to_string(&read).unwrap()).unwrap(),
                read
            );
            assert_eq!(read.detached(), read);
        }
        for text in BAD {
            let raw = Raw::from_json(*text).unwrap();
            let part = Part::from(raw.parse::<&serde_json::value::RawValue>().unwrap());
            assert_eq!(RequestId::from_part(raw.text(), part), None, "{text}");
            assert!(serde_json::from_str::<RequestId>(text).is_err(), "{text}");
            let error = ProgressToken::from_part(&raw, part).unwrap_err();
            assert_eq!(error.code, ErrorCode::INVALID_PARAMS);
            assert_eq!(
                error.message,
                "The member \"progressToken\" of \"_meta\" must be a string or an integer."
            );
        }
    }

    #[test]
    fn a_number_and_its_text_are_two_ids() {
        assert_ne!(RequestId::from(1), RequestId::from("1"));
        assert_eq!(
            format!("{:?} {:?} {}", RequestId::from(1), RequestId::from("1"), RequestId::from("1")),
            "1 \"1\" 1"
        );
    }

    #[test]
    fn text_without_escapes_is_not_copied() {
        let raw = Raw::from_json(r#""plain""#.to_owned()).unwrap();
        let part = Part::from(raw.parse::<&serde_json::value::RawValue>().unwrap());
        assert_eq!(text_of(raw.text(), part).unwrap().as_ptr(), raw.as_str()[1..].as_ptr());
        // One quote alone is not a string of no characters.
        assert_eq!(text_of(raw.text(), (&*serde_json::value::to_raw_value(&5).unwrap()).into()), None);
    }
}
