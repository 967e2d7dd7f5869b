use std::fmt;

use bytes::Bytes;
use bytestring::ByteString;
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser};
use serde_json::value::RawValue;

use super::id::text_of;
use super::str::slice_of;
use super::{Part, Str};

/// Exactly one JSON value, kept as the text it arrived in.
///
/// It is either a slice of a message (a clone is a reference count) or owned. Two are equal when their bytes
/// are. Nothing of a value is looked at before [`parse`](Raw::parse) is called.
///
/// ```
/// use throughline_proto::jsonrpc::Raw;
///
/// let raw = Raw::from_json(r#" {"a": [1, 2]} "#)?;
/// assert_eq!(raw.as_str(), r#"{"a": [1, 2]}"#);
///
/// #[derive(serde::Deserialize)]
/// struct A { a: Vec<u8> }
/// assert_eq!(raw.parse::<A>()?.a, [1, 2]);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Raw(ByteString); // always one JSON value, without white space around it

impl Raw {
    /// `null`, without allocation.
    pub const fn null() -> Raw {
        Raw(ByteString::from_static("null"))
    }

    /// `{}`, without allocation.
    pub const fn empty_object() -> Raw {
        Raw(ByteString::from_static("{}"))
    }

    /// The JSON of `value`.
    ///
    /// # Errors
    ///
    /// When `value` has no JSON form: a map with keys that are not strings, or its own `Serialize` fails.
    pub fn new<T: Serialize + ?Sized>(value: &T) -> Result<Raw, serde_json::Error> {
        serde_json::to_string(value).map(|text| Raw(ByteString::from(text)))
    }

    /// Takes JSON text over, without its surrounding white space. Depth is not bounded here:
    /// [`parse`](super::parse) does that for what peers send.
    ///
    /// # Errors
    ///
    /// When the text is not exactly one JSON value in UTF-8.
    pub fn from_json(text: impl Into<Bytes>) -> Result<Raw, serde_json::Error> {
        let text = ByteString::try_from(text.into()).map_err(ser::Error::custom)?;
        let value: &RawValue = serde_json::from_str(&text)?;
        Ok(Raw(slice_of(&text, value.get())))
    }

    /// The JSON text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The JSON text as bytes.
    pub fn as_bytes(&self) -> &Bytes {
        self.0.as_bytes()
    }

    pub(crate) fn text(&self) -> &ByteString {
        &self.0
    }

    /// Whether the value is `null`.
    pub fn is_null(&self) -> bool {
        self.as_str() == "null"
    }

    /// Whether the value is an object.
    pub fn is_object(&self) -> bool {
        self.0.starts_with('{')
    }

    /// Reads the value into a type, which may borrow from it.
    ///
    /// # Errors
    ///
    /// When the value does not have the shape of `T`.
    pub fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.0)
    }

    /// `part` as a value of its own: without a copy when it borrows from `self`, else with one.
    pub fn slice(&self, part: Part<'_>) -> Raw {
        Raw::slice_of(&self.0, part)
    }

    /// `part` as text of its own: without a copy when it borrows from `self`, else with one.
    pub fn str_of(&self, part: &str) -> Str {
        Str::slice_of(&self.0, part)
    }

    /// The text that the JSON string `part` says, without a copy when it borrows from `self` and has no escapes; `None` when it
    /// is no string.
    pub fn text_of(&self, part: Part<'_>) -> Option<Str> {
        text_of(&self.0, part)
    }

    pub(crate) fn slice_of(owner: &ByteString, part: Part<'_>) -> Raw {
        Raw(slice_of(owner, part.get()))
    }
}

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Verbatim where the serializer is `serde_json`'s. That path checks the text once more (a raw value cannot
/// be made unchecked); to write a whole result without it, use [`write_raw_result`](super::write_raw_result).
impl Serialize for Raw {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value: &RawValue = serde_json::from_str(&self.0).map_err(ser::Error::custom)?;
        value.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Raw, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(Raw::from)
    }
}

impl From<Box<RawValue>> for Raw {
    fn from(value: Box<RawValue>) -> Raw {
        Raw(ByteString::from(String::from(Box::<str>::from(value))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_json_value_is_taken() {
        for bad in ["", " ", "{", "1 2", "{}x", "nul", "\"\n\"", "[1,]"] {
            assert!(Raw::from_json(bad).is_err(), "{bad:?}");
        }
        assert!(Raw::from_json(&b"\"\xff\""[..]).is_err());
        for (text, kept) in [(" null\n", "null"), ("[1 ]", "[1 ]"), ("\"ä\"", "\"ä\"")] {
            assert_eq!(Raw::from_json(text).unwrap().as_str(), kept);
        }
    }

    #[test]
    fn it_serializes_as_it_came_and_deserializes_anywhere() {
        #[derive(Serialize, Deserialize)]
        struct Holder {
            value: Raw,
        }
        let text = r#"{"value":{"b" : 1.50, "a":[ ]}}"#;
        let holder: Holder = serde_json::from_str(text).unwrap();
        assert_eq!(holder.value.as_str(), r#"{"b" : 1.50, "a":[ ]}"#);
        assert_eq!(serde_json::to_string(&holder).unwrap(), text);
        let from_tree: Raw = serde_json::from_value(serde_json::json!({"a": 1})).unwrap();
        assert_eq!(from_tree, Raw::from_json(r#"{"a":1}"#).unwrap());
        assert_eq!(format!("{from_tree:?}"), r#"{"a":1}"#);
    }

    #[test]
    fn parts_are_slices() {
        #[derive(Deserialize)]
        struct Parts<'a> {
            #[serde(borrow)]
            value: &'a RawValue,
            text: &'a str,
        }
        let raw = Raw::from_json(r#"{"value":[1,2],"text":"abc"}"#.to_owned()).unwrap();
        let parts: Parts<'_> = raw.parse().unwrap();
        let value = raw.slice(parts.value.into());
        assert_eq!(value.as_str(), "[1,2]");
        assert_eq!(value.as_bytes().as_ptr(), parts.value.get().as_ptr());
        assert_eq!(raw.str_of(parts.text).as_ptr(), parts.text.as_ptr());
        let elsewhere = serde_json::value::to_raw_value(&7).unwrap();
        assert_eq!(raw.slice((&*elsewhere).into()).as_str(), "7");
        assert_eq!(Raw::from(elsewhere).as_str(), "7");
    }

    #[test]
    fn the_constants_are_what_they_say() {
        assert!(Raw::null().is_null() && !Raw::null().is_object());
        assert!(Raw::empty_object().is_object() && !Raw::empty_object().is_null());
        assert_eq!(Raw::new(&()).unwrap(), Raw::null());
    }
}
