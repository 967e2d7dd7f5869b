//! As much of JSON Schema as it takes to read what somebody typed, and to say what is wanted.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use throughline::jsonrpc::Raw;

/// The schema of an object: what a tool takes.
pub(super) struct Object {
    root: Value,
    /// In the order of the schema.
    names: Vec<String>,
}

/// The schema of one value.
#[derive(Clone, Copy)]
pub(super) struct Schema<'a> {
    root: &'a Value,
    own: &'a Value,
}

/// The types that a schema takes; none of them when it takes any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kinds(u8);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    String = 1,
    Integer = 2,
    Number = 4,
    Boolean = 8,
    Array = 16,
    Object = 32,
    Null = 64,
}

impl Object {
    pub(super) fn parse(schema: &Raw) -> Self {
        let names = schema.parse::<Named>().map(|named| named.properties.0).unwrap_or_default();
        Self { root: schema.parse().unwrap_or(Value::Bool(true)), names }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    pub(super) fn property(&self, name: &str) -> Option<Schema<'_>> {
        let own = self.root.get("properties")?.get(name)?;
        Some(Schema { root: &self.root, own }.resolved())
    }

    pub(super) fn is_required(&self, name: &str) -> bool {
        let required = self.root.get("required").and_then(Value::as_array);
        required.is_some_and(|required| required.iter().any(|known| known == name))
    }

    /// Whether it says that it takes properties that it does not name. Where it says nothing, a name that it does not know is
    /// more likely one that was written wrongly.
    pub(super) fn takes_others(&self) -> bool {
        match self.root.get("additionalProperties") {
            Some(others) => others != &Value::Bool(false),
            None => self.names.is_empty(),
        }
    }
}

impl<'a> Schema<'a> {
    /// The types of value that it takes.
    pub(super) fn kinds(self) -> Kinds {
        self.kinds_within(DEEPEST)
    }

    /// The values that it takes, where it lists them.
    pub(super) fn choices(self) -> Option<Vec<&'a Value>> {
        self.choices_within(DEEPEST)
    }

    fn choices_within(self, deepest: usize) -> Option<Vec<&'a Value>> {
        if let Some(only) = self.own.get("const") {
            return Some(vec![only]);
        }
        if let Some(values) = self.own.get("enum").and_then(Value::as_array) {
            return Some(values.iter().collect());
        }
        if self.own.get("type").is_some_and(|kind| kind == "null") {
            return Some(vec![&Value::Null]);
        }
        let mut choices = Vec::new();
        for option in self.alternatives().filter(|_| deepest > 0)? {
            // Only where each of them is a list is there a whole one.
            choices.extend(self.at(option).choices_within(deepest - 1)?);
        }
        Some(choices)
    }

    pub(super) fn items(self) -> Option<Schema<'a>> {
        self.own.get("items").map(|items| self.at(items))
    }

    pub(super) fn description(self) -> Option<&'a str> {
        self.own.get("description").and_then(Value::as_str)
    }

    pub(super) fn default(self) -> Option<&'a Value> {
        self.own.get("default")
    }

    fn at(self, own: &'a Value) -> Self {
        Self { root: self.root, own }.resolved()
    }

    fn alternatives(self) -> Option<&'a Vec<Value>> {
        self.own.get("anyOf").or_else(|| self.own.get("oneOf")).and_then(Value::as_array)
    }

    /// What `$ref` leads to, within the schema.
    fn resolved(mut self) -> Self {
        for _ in 0..DEEPEST {
            let Some(target) = self.own.get("$ref").and_then(Value::as_str) else { break };
            let Some(own) = target.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer)) else {
                break;
            };
            self.own = own;
        }
        self
    }

    fn kinds_within(self, deepest: usize) -> Kinds {
        if let Some(kind) = self.own.get("type") {
            let names = kind.as_array().map_or(std::slice::from_ref(kind), Vec::as_slice);
            return names.iter().filter_map(Value::as_str).filter_map(Kind::named).collect();
        }
        if deepest == 0 {
            return Kinds::default();
        }
        if let Some(choices) = self.choices_within(deepest) {
            return choices.into_iter().map(Kind::of).collect();
        }
        if let Some(options) = self.alternatives() {
            let mut all = Kinds::default();
            for option in options {
                match self.at(option).kinds_within(deepest - 1) {
                    Kinds(0) => return Kinds::default(),
                    kinds => all.0 |= kinds.0,
                }
            }
            return all;
        }
        if let Some(parts) = self.own.get("allOf").and_then(Value::as_array) {
            let kinds = parts.iter().map(|part| self.at(part).kinds_within(deepest - 1));
            return kinds.into_iter().find(|kinds| *kinds != Kinds::default()).unwrap_or_default();
        }
        Kinds::default()
    }
}

/// What is wanted: `integer`, `text`, `one of "train", "ship"`, `list of text`.
impl fmt::Display for Schema<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut choices = self.choices().unwrap_or_default();
        // Who leaves a value out means null.
        choices.retain(|choice| !choice.is_null());
        if !choices.is_empty() {
            f.write_str(if choices.len() == 1 { "" } else { "one of " })?;
            for (at, choice) in choices.iter().take(MOST_CHOICES).enumerate() {
                write!(f, "{}{choice}", if at == 0 { "" } else { ", " })?;
            }
            return f.write_str(if choices.len() > MOST_CHOICES { " and others" } else { "" });
        }
        let kinds = self.kinds();
        if kinds == Kinds::default() {
            return f.write_str("any JSON");
        }
        let mut first = true;
        for kind in Kind::ALL {
            // Who leaves a value out means null.
            if !kinds.has(kind) || (kind == Kind::Null && kinds != Kinds(Kind::Null as u8)) {
                continue;
            }
            f.write_str(if first { "" } else { " or " })?;
            first = false;
            match (kind, self.items()) {
                (Kind::Array, Some(items)) => write!(f, "list of {items}")?,
                _ => f.write_str(kind.name())?,
            }
        }
        Ok(())
    }
}

impl Kinds {
    pub(super) fn has(self, kind: Kind) -> bool {
        self.0 & kind as u8 != 0
    }

    pub(super) fn are_any(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Kind> for Kinds {
    fn from_iter<I: IntoIterator<Item = Kind>>(kinds: I) -> Self {
        Self(kinds.into_iter().fold(0, |all, kind| all | kind as u8))
    }
}

impl Kind {
    const ALL: [Kind; 7] =
        [Kind::String, Kind::Integer, Kind::Number, Kind::Boolean, Kind::Array, Kind::Object, Kind::Null];

    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "string" => Kind::String,
            "integer" => Kind::Integer,
            "number" => Kind::Number,
            "boolean" => Kind::Boolean,
            "array" => Kind::Array,
            "object" => Kind::Object,
            "null" => Kind::Null,
            _ => return None,
        })
    }

    fn of(value: &Value) -> Self {
        match value {
            Value::Null => Kind::Null,
            Value::Bool(_) => Kind::Boolean,
            Value::Number(number) if number.is_f64() => Kind::Number,
            Value::Number(_) => Kind::Integer,
            Value::String(_) => Kind::String,
            Value::Array(_) => Kind::Array,
            Value::Object(_) => Kind::Object,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::String => "text",
            Kind::Integer => "integer",
            Kind::Number => "number",
            Kind::Boolean => "true or false",
            Kind::Array => "list",
            Kind::Object => "object",
            Kind::Null => "null",
        }
    }
}

/// The properties of a schema by name, in their order.
#[derive(serde::Deserialize)]
struct Named {
    #[serde(default)]
    properties: Names,
}

#[derive(Default)]
struct Names(Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;

        impl<'de> Visitor<'de> for Keys {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some((name, serde::de::IgnoredAny)) = map.next_entry()? {
                    names.push(name);
                }
                Ok(Names(names))
            }
        }

        deserializer.deserialize_map(Keys)
    }
}

/// Values that a sentence lists.
const MOST_CHOICES: usize = 10;
/// References and alternatives that are followed: a schema may lead back to itself.
const DEEPEST: usize = 16;
