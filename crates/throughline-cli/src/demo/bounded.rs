//! Arguments with limits: what does not keep them is refused where it is read, so that the error names the argument.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

/// A whole number from `LEAST` to `MOST`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub(super) struct Within<const LEAST: u32, const MOST: u32>(u32);

impl<const LEAST: u32, const MOST: u32> Within<LEAST, MOST> {
    /// A number that is known to keep the limits.
    pub(super) const fn new(number: u32) -> Self {
        assert!(LEAST <= number && number <= MOST, "the number keeps its limits");
        Self(number)
    }

    pub(super) fn get(self) -> u32 {
        self.0
    }

    /// So many milliseconds.
    pub(super) fn millis(self) -> Duration {
        Duration::from_millis(self.0.into())
    }
}

impl<'de, const LEAST: u32, const MOST: u32> Deserialize<'de> for Within<LEAST, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = i64::deserialize(deserializer)?;
        u32::try_from(number)
            .ok()
            .filter(|number| (LEAST..=MOST).contains(number))
            .map(Self)
            .ok_or_else(|| D::Error::custom(format_args!("{number} is not from {LEAST} to {MOST}")))
    }
}

impl<const LEAST: u32, const MOST: u32> JsonSchema for Within<LEAST, MOST> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Within{LEAST}To{MOST}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": LEAST, "maximum": MOST })
    }
}

/// Text of at most `MOST` characters, and not empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Text<const MOST: usize>(String);

impl<const MOST: usize> Text<MOST> {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de, const MOST: usize> Deserialize<'de> for Text<MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Err(D::Error::custom("it is empty"));
        }
        // A text without more bytes than that has no more characters either.
        if text.len() > MOST {
            let characters = text.chars().count();
            if characters > MOST {
                return Err(D::Error::custom(format_args!(
                    "it has {characters} characters, more than {MOST}"
                )));
            }
        }
        Ok(Self(text))
    }
}

impl<const MOST: usize> JsonSchema for Text<MOST> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Text{MOST}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "maxLength": MOST })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(text: &str) -> Result<u32, String> {
        serde_json::from_str::<Within<1, 10>>(text).map(Within::get).map_err(|error| error.to_string())
    }

    #[test]
    fn numbers_keep_their_limits() {
        assert_eq!(within("1"), Ok(1));
        assert_eq!(within("10"), Ok(10));
        for number in ["0", "11", "-1", "4294967297"] {
            assert_eq!(within(number), Err(format!("{number} is not from 1 to 10")));
        }
        assert!(within("1.5").is_err());
        assert!(within("\"1\"").is_err());
    }

    #[test]
    fn texts_keep_their_limits_in_characters() {
        let text =
            |text: &str| serde_json::from_value::<Text<3>>(text.into()).map_err(|error| error.to_string());
        assert_eq!(text("äöü").expect("three characters").as_str(), "äöü");
        assert_eq!(text("äöüß"), Err("it has 4 characters, more than 3".into()));
        assert_eq!(text(""), Err("it is empty".into()));
    }
}
