//! The primitive schemas that a form is made of.

use serde::ser::SerializeSeq;
use serde::{Deserialize, Serialize, Serializer};

use super::super::wire;
use crate::jsonrpc::{Raw, Str};

/// The schema of one field of a form; see
/// [requested schema](https://modelcontextprotocol.io/specification/2025-11-25/client/elicitation#requested-schema).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, try_from = "AnySchema")]
#[non_exhaustive]
pub enum PrimitiveSchema {
    /// Text.
    String(StringSchema),
    /// A number.
    Number(NumberSchema),
    /// Yes or no.
    Boolean(BooleanSchema),
    /// One of several values.
    SingleSelect(SingleSelectSchema),
    /// Some of several values.
    MultiSelect(MultiSelectSchema),
}

macro_rules! primitives {
    ($($variant:ident($schema:ident);)*) => {
        $(
            impl From<$schema> for PrimitiveSchema {
                fn from(schema: $schema) -> PrimitiveSchema {
                    PrimitiveSchema::$variant(schema)
                }
            }
        )*
    };
}

primitives! {
    String(StringSchema);
    Number(NumberSchema);
    Boolean(BooleanSchema);
    SingleSelect(SingleSelectSchema);
    MultiSelect(MultiSelectSchema);
}

/// Text.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", tag = "type", rename = "string")]
#[non_exhaustive]
pub struct StringSchema {
    /// The field's name, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<Str>,
    /// What to fill in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Str>,
    /// The fewest characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_length: Option<u64>,
    /// The most characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u64>,
    /// What kind of text. A kind that is not known here is read as none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<StringFormat>,
    /// What the field holds at first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Str>,
}

impl StringSchema {
    /// Any text.
    #[must_use]
    pub fn new() -> StringSchema {
        StringSchema::default()
    }

    setters! {
        /// The field's name, for people.
        with_title(title: impl Into<Str>) = Some(title.into());
        /// What to fill in.
        with_description(description: impl Into<Str>) = Some(description.into());
        /// The fewest characters.
        with_min_length(min_length: u64) = Some(min_length);
        /// The most characters.
        with_max_length(max_length: u64) = Some(max_length);
        /// What kind of text.
        with_format(format: StringFormat) = Some(format);
        /// What the field holds at first.
        with_default(default: impl Into<Str>) = Some(default.into());
    }
}

/// A kind of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum StringFormat {
    /// An address of electronic mail.
    Email,
    /// A URI.
    Uri,
    /// A date.
    Date,
    /// A date with a time.
    DateTime,
}

impl StringFormat {
    fn parse(name: &str) -> Option<StringFormat> {
        Some(match name {
            "email" => StringFormat::Email,
            "uri" => StringFormat::Uri,
            "date" => StringFormat::Date,
            "date-time" => StringFormat::DateTime,
            _ => return None,
        })
    }
}

/// A number.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct NumberSchema {
    /// Whether it must be a whole number.
    #[serde(rename = "type", serialize_with = "number_type")]
    pub integer: bool,
    /// The field's name, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<Str>,
    /// What to fill in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Str>,
    /// The least.
    #[serde(with = "wire::maybe_number", skip_serializing_if = "Option::is_none")]
    pub minimum: Option<f64>,
    /// The most.
    #[serde(with = "wire::maybe_number", skip_serializing_if = "Option::is_none")]
    pub maximum: Option<f64>,
    /// What the field holds at first.
    #[serde(with = "wire::maybe_number", skip_serializing_if = "Option::is_none")]
    pub default: Option<f64>,
}

impl NumberSchema {
    /// Any number.
    #[must_use]
    pub fn number() -> NumberSchema {
        NumberSchema::default()
    }

    /// Any whole number.
    #[must_use]
    pub fn integer() -> NumberSchema {
        NumberSchema { integer: true, ..NumberSchema::default() }
    }

    setters! {
        /// The field's name, for people.
        with_title(title: impl Into<Str>) = Some(title.into());
        /// What to fill in.
        with_description(description: impl Into<Str>) = Some(description.into());
        /// The least.
        with_minimum(minimum: f64) = Some(minimum);
        /// The most.
        with_maximum(maximum: f64) = Some(maximum);
        /// What the field holds at first.
        with_default(default: f64) = Some(default);
    }
}

/// Yes or no.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(tag = "type", rename = "boolean")]
#[non_exhaustive]
pub struct BooleanSchema {
    /// The field's name, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<Str>,
    /// What to decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Str>,
    /// What the field holds at first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<bool>,
}

impl BooleanSchema {
    /// Yes or no.
    #[must_use]
    pub fn new() -> BooleanSchema {
        BooleanSchema::default()
    }

    setters! {
        /// The field's name, for people.
        with_title(title: impl Into<Str>) = Some(title.into());
        /// What to decide.
        with_description(description: impl Into<Str>) = Some(description.into());
        /// What the field holds at first.
        with_default(default: bool) = Some(default);
    }
}

/// A value that can be chosen.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EnumOption {
    /// The value.
    pub value: Str,
    /// Its name, for people; absent means the value itself.
    pub title: Option<Str>,
}

impl EnumOption {
    /// A value that people read as it is.
    pub fn new(value: impl Into<Str>) -> EnumOption {
        EnumOption { value: value.into(), title: None }
    }

    /// A value with a name for people.
    pub fn titled(value: impl Into<Str>, title: impl Into<Str>) -> EnumOption {
        EnumOption { value: value.into(), title: Some(title.into()) }
    }

    /// The name that people read.
    #[must_use]
    pub fn label(&self) -> &Str {
        self.title.as_ref().unwrap_or(&self.value)
    }
}

impl From<&'static str> for EnumOption {
    fn from(value: &'static str) -> EnumOption {
        EnumOption::new(value)
    }
}

impl From<String> for EnumOption {
    fn from(value: String) -> EnumOption {
        EnumOption::new(value)
    }
}

/// One of several values. Without titles it is written as `enum`, with them as `oneOf`.
///
/// ```
/// use throughline_proto::model::{EnumOption, SingleSelectSchema};
///
/// let plain = SingleSelectSchema::new(["red", "green"]);
/// assert_eq!(serde_json::to_string(&plain)?, r#"{"type":"string","enum":["red","green"]}"#);
/// let titled = SingleSelectSchema::new([EnumOption::titled("#f00", "Red")]);
/// assert_eq!(serde_json::to_string(&titled)?, r##"{"type":"string","oneOf":[{"const":"#f00","title":"Red"}]}"##);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct SingleSelectSchema {
    /// The field's name, for people.
    pub title: Option<Str>,
    /// What to choose.
    pub description: Option<Str>,
    /// The values.
    pub options: Vec<EnumOption>,
    /// What is chosen at first.
    pub default: Option<Str>,
    /// Whether titles are written as `enumNames` beside `enum`, the older form that JSON Schema does not know.
    pub enum_names: bool,
}

impl SingleSelectSchema {
    /// One of these values.
    pub fn new<T: Into<EnumOption>>(options: impl IntoIterator<Item = T>) -> SingleSelectSchema {
        SingleSelectSchema {
            options: options.into_iter().map(Into::into).collect(),
            ..SingleSelectSchema::default()
        }
    }

    setters! {
        /// The field's name, for people.
        with_title(title: impl Into<Str>) = Some(title.into());
        /// What to choose.
        with_description(description: impl Into<Str>) = Some(description.into());
        /// What is chosen at first.
        with_default(default: impl Into<Str>) = Some(default.into());
        /// Whether titles are written as `enumNames`.
        with_enum_names(enum_names: bool) = enum_names;
    }
}

/// Some of several values. Without titles the items are written as `enum`, with them as `anyOf`.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct MultiSelectSchema {
    /// The field's name, for people.
    pub title: Option<Str>,
    /// What to choose.
    pub description: Option<Str>,
    /// The fewest values.
    pub min_items: Option<u64>,
    /// The most values.
    pub max_items: Option<u64>,
    /// The values.
    pub options: Vec<EnumOption>,
    /// What is chosen at first.
    pub default: Option<Vec<Str>>,
}

impl MultiSelectSchema {
    /// Some of these values.
    pub fn new<T: Into<EnumOption>>(options: impl IntoIterator<Item = T>) -> MultiSelectSchema {
        MultiSelectSchema {
            options: options.into_iter().map(Into::into).collect(),
            ..MultiSelectSchema::default()
        }
    }

    setters! {
        /// The field's name, for people.
        with_title(title: impl Into<Str>) = Some(title.into());
        /// What to choose.
        with_description(description: impl Into<Str>) = Some(description.into());
        /// The fewest values.
        with_min_items(min_items: u64) = Some(min_items);
        /// The most values.
        with_max_items(max_items: u64) = Some(max_items);
        /// What is chosen at first.
        with_default(default: impl Into<Vec<Str>>) = Some(default.into());
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde calls")]
fn number_type<S: Serializer>(integer: &bool, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(if *integer { "integer" } else { "number" })
}

/// Options, written as their values, as their labels, or as `{const, title}`.
enum Listed<'a> {
    Values(&'a [EnumOption]),
    Labels(&'a [EnumOption]),
    Pairs(&'a [EnumOption]),
}

impl Serialize for Listed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Pair<'a> {
            r#const: &'a Str,
            title: &'a Str,
        }

        let (Listed::Values(options) | Listed::Labels(options) | Listed::Pairs(options)) = *self;
        let mut seq = serializer.serialize_seq(Some(options.len()))?;
        for option in options {
            match self {
                Listed::Values(_) => seq.serialize_element(&option.value)?,
                Listed::Labels(_) => seq.serialize_element(option.label())?,
                Listed::Pairs(_) => {
                    seq.serialize_element(&Pair { r#const: &option.value, title: option.label() })?;
                }
            }
        }
        seq.end()
    }
}

fn are_titled(options: &[EnumOption]) -> bool {
    options.iter().any(|option| option.title.is_some())
}

impl Serialize for SingleSelectSchema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Wire<'a> {
            r#type: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            title: Option<&'a Str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            description: Option<&'a Str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            r#enum: Option<Listed<'a>>,
            #[serde(skip_serializing_if = "Option::is_none")]
            enum_names: Option<Listed<'a>>,
            #[serde(skip_serializing_if = "Option::is_none")]
            one_of: Option<Listed<'a>>,
            #[serde(skip_serializing_if = "Option::is_none")]
            default: Option<&'a Str>,
        }

        let options = &self.options[..];
        let titled = are_titled(options);
        let pairs = titled && !self.enum_names;
        Wire {
            r#type: "string",
            title: self.title.as_ref(),
            description: self.description.as_ref(),
            r#enum: (!pairs).then_some(Listed::Values(options)),
            enum_names: (titled && !pairs).then_some(Listed::Labels(options)),
            one_of: pairs.then_some(Listed::Pairs(options)),
            default: self.default.as_ref(),
        }
        .serialize(serializer)
    }
}

impl Serialize for MultiSelectSchema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Items<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            r#type: Option<&'static str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            r#enum: Option<Listed<'a>>,
            #[serde(skip_serializing_if = "Option::is_none")]
            any_of: Option<Listed<'a>>,
        }

        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Wire<'a> {
            r#type: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            title: Option<&'a Str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            description: Option<&'a Str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            min_items: Option<u64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            max_items: Option<u64>,
            items: Items<'a>,
            #[serde(skip_serializing_if = "Option::is_none")]
            default: Option<&'a [Str]>,
        }

        let options = &self.options[..];
        let titled = are_titled(options);
        Wire {
            r#type: "array",
            title: self.title.as_ref(),
            description: self.description.as_ref(),
            min_items: self.min_items,
            max_items: self.max_items,
            items: Items {
                r#type: (!titled).then_some("string"),
                r#enum: (!titled).then_some(Listed::Values(options)),
                any_of: titled.then_some(Listed::Pairs(options)),
            },
            default: self.default.as_deref(),
        }
        .serialize(serializer)
    }
}

/// Every field of every primitive schema. The default's type hangs on the schema's, so it stays raw until that is known.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnySchema {
    r#type: Str,
    title: Option<Str>,
    description: Option<Str>,
    default: Option<Raw>,
    min_length: Option<u64>,
    max_length: Option<u64>,
    format: Option<Str>,
    minimum: Option<f64>,
    maximum: Option<f64>,
    r#enum: Option<Vec<Str>>,
    #[serde(default, deserialize_with = "wire::nullable")]
    enum_names: Vec<Str>,
    one_of: Option<Vec<AnyOption>>,
    min_items: Option<u64>,
    max_items: Option<u64>,
    items: Option<AnyItems>,
}

#[derive(Deserialize)]
struct AnyOption {
    r#const: Str,
    title: Option<Str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnyItems {
    r#enum: Option<Vec<Str>>,
    any_of: Option<Vec<AnyOption>>,
}

impl TryFrom<AnySchema> for PrimitiveSchema {
    type Error = String;

    fn try_from(any: AnySchema) -> Result<PrimitiveSchema, String> {
        let AnySchema { title, description, .. } = any;
        Ok(match &*any.r#type {
            "string" => {
                let default = default_of(any.default.as_ref())?;
                let enum_names = !any.enum_names.is_empty();
                match (any.one_of, any.r#enum) {
                    (Some(pairs), _) => PrimitiveSchema::SingleSelect(SingleSelectSchema {
                        title,
                        description,
                        options: pairs.into_iter().map(EnumOption::from).collect(),
                        default,
                        enum_names: false,
                    }),
                    (None, Some(values)) => PrimitiveSchema::SingleSelect(SingleSelectSchema {
                        title,
                        description,
                        options: named(values, any.enum_names),
                        default,
                        enum_names,
                    }),
                    (None, None) => PrimitiveSchema::String(StringSchema {
                        title,
                        description,
                        min_length: any.min_length,
                        max_length: any.max_length,
                        format: any.format.as_deref().and_then(StringFormat::parse),
                        default,
                    }),
                }
            }
            kind @ ("number" | "integer") => PrimitiveSchema::Number(NumberSchema {
                integer: kind == "integer",
                title,
                description,
                minimum: any.minimum,
                maximum: any.maximum,
                default: default_of(any.default.as_ref())?,
            }),
            "boolean" => PrimitiveSchema::Boolean(BooleanSchema {
                title,
                description,
                default: default_of(any.default.as_ref())?,
            }),
            "array" => PrimitiveSchema::MultiSelect(MultiSelectSchema {
                title,
                description,
                min_items: any.min_items,
                max_items: any.max_items,
                options: match any.items {
                    Some(AnyItems { any_of: Some(pairs), .. }) => {
                        pairs.into_iter().map(EnumOption::from).collect()
                    }
                    Some(AnyItems { r#enum: Some(values), .. }) => named(values, Vec::new()),
                    _ => return Err("a field of type `array` needs `items` with `enum` or `anyOf`".into()),
                },
                default: default_of(any.default.as_ref())?,
            }),
            other => {
                return Err(format!(
                    "the type `{other}` cannot be asked for in a form: use string, number, integer, boolean or array"
                ));
            }
        })
    }
}

impl From<AnyOption> for EnumOption {
    fn from(any: AnyOption) -> EnumOption {
        EnumOption { value: any.r#const, title: any.title }
    }
}

fn named(values: Vec<Str>, names: Vec<Str>) -> Vec<EnumOption> {
    let mut names = names.into_iter();
    values.into_iter().map(|value| EnumOption { value, title: names.next() }).collect()
}

fn default_of<'a, T: Deserialize<'a>>(raw: Option<&'a Raw>) -> Result<Option<T>, String> {
    raw.map(|raw| raw.parse().map_err(|error| format!("the default does not fit the type: {error}")))
        .transpose()
}
