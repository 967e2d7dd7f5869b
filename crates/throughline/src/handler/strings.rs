//! Named texts, read into a type: template variables and prompt arguments are always text on the wire.

use std::cell::Cell;
use std::iter;

use serde::de::value::MapDeserializer;
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Visitor, value};
use serde::forward_to_deserialize_any;

/// Reads `{name: text}` into `T`; fields that are numbers or booleans are read from their text.
pub(crate) fn parse<T: DeserializeOwned>(values: Vec<(String, String)>) -> Result<T, String> {
    let (names, texts): (Vec<String>, Vec<String>) = values.into_iter().unzip();
    // Which argument is being read; none once all are.
    let reading = Cell::new(None);
    let read = names.iter().zip(texts).map(|(name, text)| {
        reading.set(Some(name));
        (name.as_str(), Text(text))
    });
    let end = iter::from_fn(|| {
        reading.set(None);
        None
    });
    T::deserialize(MapDeserializer::new(read.chain(end))).map_err(|error: value::Error| match reading.get() {
        Some(name) => format!("the argument `{name}` does not fit: {error}"),
        None => format!("the arguments do not fit: {error}"),
    })
}

struct Text(String);

impl<'de> IntoDeserializer<'de> for Text {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! from_text {
    ($($method:ident $visit:ident $kind:literal),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, value::Error> {
            match self.0.parse() {
                Ok(value) => visitor.$visit(value),
                Err(_) => Err(serde::de::Error::custom(format_args!("`{}` is not {}", self.0, $kind))),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Text {
    type Error = value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, value::Error> {
        visitor.visit_string(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, value::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, value::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, value::Error> {
        visitor.visit_enum(self.0.into_deserializer())
    }

    from_text! {
        deserialize_bool visit_bool "true or false",
        deserialize_i8 visit_i8 "a whole number in range", deserialize_i16 visit_i16 "a whole number in range",
        deserialize_i32 visit_i32 "a whole number in range", deserialize_i64 visit_i64 "a whole number in range",
        deserialize_u8 visit_u8 "a whole number in range", deserialize_u16 visit_u16 "a whole number in range",
        deserialize_u32 visit_u32 "a whole number in range", deserialize_u64 visit_u64 "a whole number in range",
        deserialize_f32 visit_f32 "a number", deserialize_f64 visit_f64 "a number"
    }

    forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Row {
        table: String,
        id: u32,
        full: Option<bool>,
        order: Option<Order>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Order {
        Up,
    }

    fn read(values: &[(&str, &str)]) -> Result<Row, String> {
        parse(values.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect())
    }

    #[test]
    fn text_becomes_what_the_field_is() {
        let row = read(&[("table", "7"), ("id", "7"), ("full", "true"), ("order", "up")]);
        assert_eq!(row, Ok(Row { table: "7".into(), id: 7, full: Some(true), order: Some(Order::Up) }));
        assert_eq!(read(&[("table", "t"), ("id", "1")]).map(|row| row.full), Ok(None));
    }

    #[test]
    fn a_misfit_says_why() {
        assert_eq!(
            read(&[("table", "t"), ("id", "x")]).unwrap_err(),
            "the argument `id` does not fit: `x` is not a whole number in range"
        );
        assert_eq!(read(&[("table", "t")]).unwrap_err(), "the arguments do not fit: missing field `id`");
    }
}
