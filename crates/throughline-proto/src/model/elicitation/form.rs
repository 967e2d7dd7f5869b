//! What a form was filled in with: completed, and checked before it is sent.
//!
//! ```text
//!   what the user gave --> nothing but fields of the form --> defaults for what is missing --> each field fits --> sent
//! ```
//!
//! Specification: [requested schema](https://modelcontextprotocol.io/specification/2025-11-25/client/elicitation#requested-schema),
//! [form mode security](https://modelcontextprotocol.io/specification/2025-11-25/client/elicitation#form-mode-security).

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::{
    ElicitAction, ElicitParams, ElicitResult, ElicitSchema, EnumOption, MultiSelectSchema, NumberSchema,
    PrimitiveSchema, StringSchema,
};
use crate::jsonrpc::{Raw, Str, excerpt};
use crate::model::ElicitationCapability;

/// Why what a form was filled in with cannot be sent. It says which field is wrong and what the form wants of it, and
/// nothing of what was filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormError {
    field: Option<Str>,
    why: String,
}

impl FormError {
    /// The field that is wrong; `None` when it is not about a single one.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    /// What the form wants of it: the rest of a sentence that begins with the field.
    #[must_use]
    pub fn why(&self) -> &str {
        &self.why
    }

    fn of(field: &Str, why: impl Into<String>) -> FormError {
        FormError { field: Some(field.clone()), why: why.into() }
    }

    fn whole(why: impl Into<String>) -> FormError {
        FormError { field: None, why: why.into() }
    }
}

impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.field {
            Some(field) => write!(f, "the field `{}` of the form {}", excerpt(field), self.why),
            None => write!(f, "what the form was filled in with {}", self.why),
        }
    }
}

impl std::error::Error for FormError {}

impl ElicitParams {
    /// What of an answer to this question is sent: a form that was accepted is [complete](ElicitSchema::complete), and
    /// nothing else has content.
    ///
    /// # Errors
    ///
    /// When what the form was filled in with does not fit it.
    pub fn complete(&self, answer: ElicitResult) -> Result<ElicitResult, FormError> {
        let content = match (self, answer.action) {
            (ElicitParams::Form(form), ElicitAction::Accept) => {
                let filled_in = answer.content.unwrap_or_else(Raw::empty_object);
                Some(form.requested_schema.complete(&filled_in)?)
            }
            _ => None,
        };
        Ok(ElicitResult { content, ..answer })
    }

    /// Whether a client that can do this may be asked so; see
    /// [error handling](https://modelcontextprotocol.io/specification/2025-11-25/client/elicitation#error-handling).
    #[must_use]
    pub fn suits(&self, capability: ElicitationCapability) -> bool {
        match self {
            ElicitParams::Form(_) => capability.has_form(),
            ElicitParams::Url(_) => capability.url,
        }
    }
}

impl ElicitSchema {
    /// What is sent when the form was filled in with `content`, a JSON object: its fields in the form's order, and the
    /// form's defaults for those that are missing. A field that is null counts as missing. A default that its own field
    /// does not take is none.
    ///
    /// ```
    /// use throughline_proto::jsonrpc::Raw;
    /// use throughline_proto::model::{ElicitSchema, NumberSchema, StringSchema};
    ///
    /// let form = ElicitSchema::new()
    ///     .with_required("name", StringSchema::new())
    ///     .with_optional("age", NumberSchema::integer().with_minimum(18.0).with_default(30.0));
    /// let complete = form.complete(&Raw::from_json(r#"{"name":"Ada"}"#)?)?;
    /// assert_eq!(complete.as_str(), r#"{"name":"Ada","age":30}"#);
    ///
    /// let error = form.complete(&Raw::from_json(r#"{"name":"Ada","age":17}"#)?).unwrap_err();
    /// assert_eq!(error.to_string(), "the field `age` of the form must be at least 18");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Which field is wrong and what the form wants of it: when a field does not fit, a required one is missing, or the
    /// form has no such field. (JSON Schema would let the last pass; but nobody asked for it, and it may be a required
    /// one's name written wrongly.)
    pub fn complete(&self, content: &Raw) -> Result<Raw, FormError> {
        let filled_in: BTreeMap<Str, Raw> =
            content.parse().map_err(|_| FormError::whole("must be a JSON object"))?;
        let mut given: BTreeMap<&Str, &Raw> =
            filled_in.iter().filter(|(_, value)| !value.is_null()).collect();
        let mut complete = Vec::with_capacity(self.properties.len());
        for (name, schema) in &self.properties {
            if let Some(value) = given.remove(name) {
                schema.check(value).map_err(|why| FormError::of(name, why))?;
                complete.push((name, value.clone()));
            } else if let Some(default) =
                schema.default_value().filter(|default| schema.check(default).is_ok())
            {
                complete.push((name, default));
            } else if self.required.contains(name) {
                return Err(FormError::of(name, "must be filled in"));
            }
        }
        // A form may require what it does not describe: then any value does that an answer may have.
        for name in &self.required {
            if self.properties.iter().any(|(known, _)| known == name) {
                continue;
            }
            match given.remove(name) {
                Some(value) if is_primitive(value) => complete.push((name, value.clone())),
                Some(_) => {
                    return Err(FormError::of(name, "must be text, a number, a boolean or a list of texts"));
                }
                None if complete.iter().any(|(known, _)| *known == name) => {}
                None => return Err(FormError::of(name, "must be filled in")),
            }
        }
        if let Some((name, _)) = given.first_key_value() {
            return Err(FormError::of(name, "is not asked for; leave it out"));
        }
        Ok(Raw::new(&Filled(complete)).expect("texts and JSON have a JSON form"))
    }
}

impl PrimitiveSchema {
    /// Whether the field takes this value.
    ///
    /// # Errors
    ///
    /// What the field wants: the rest of a sentence that begins with the field. It says nothing of the value.
    pub fn check(&self, value: &Raw) -> Result<(), String> {
        match self {
            PrimitiveSchema::String(schema) => schema.check(value),
            PrimitiveSchema::Number(schema) => schema.check(value),
            PrimitiveSchema::Boolean(_) => match value.parse::<bool>() {
                Ok(_) => Ok(()),
                Err(_) => Err("must be true or false".into()),
            },
            PrimitiveSchema::SingleSelect(schema) => match value.parse::<Str>() {
                Ok(chosen) if has(&schema.options, &chosen) => Ok(()),
                _ => Err(format!("must be one of {}", listed(&schema.options))),
            },
            PrimitiveSchema::MultiSelect(schema) => schema.check(value),
        }
    }

    /// What the field holds at first.
    #[must_use]
    pub fn default_value(&self) -> Option<Raw> {
        fn raw<T: Serialize>(default: Option<&T>) -> Option<Raw> {
            Raw::new(default?).ok()
        }
        match self {
            PrimitiveSchema::String(schema) => raw(schema.default.as_ref()),
            // As the schema writes it: whole numbers without a point.
            PrimitiveSchema::Number(NumberSchema { default, .. }) => {
                default.is_some_and(f64::is_finite).then_some(())?;
                #[derive(Serialize)]
                #[serde(transparent)]
                struct Number(#[serde(with = "super::super::wire::maybe_number")] Option<f64>);
                raw(Some(&Number(*default)))
            }
            PrimitiveSchema::Boolean(schema) => raw(schema.default.as_ref()),
            PrimitiveSchema::SingleSelect(schema) => raw(schema.default.as_ref()),
            PrimitiveSchema::MultiSelect(schema) => raw(schema.default.as_ref()),
        }
    }
}

impl StringSchema {
    /// Lengths are counted in characters (Unicode code points), as
    /// [JSON Schema](https://json-schema.org/draft/2020-12/json-schema-validation#section-6.3.1) does.
    fn check(&self, value: &Raw) -> Result<(), String> {
        let text: Str = value.parse().map_err(|_| "must be text")?;
        let length = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
        if let Some(least) = self.min_length.filter(|&least| length < least) {
            return Err(format!("must have at least {least} {}", counted(least, "character")));
        }
        if let Some(most) = self.max_length.filter(|&most| length > most) {
            return Err(format!("must have at most {most} {}", counted(most, "character")));
        }
        match self.format.filter(|format| !format.fits(&text)) {
            Some(format) => Err(format!("must be {}", format.description())),
            None => Ok(()),
        }
    }
}

impl NumberSchema {
    /// A number without a fraction is whole, however it is written.
    fn check(&self, value: &Raw) -> Result<(), String> {
        let wanted = if self.integer { "must be a whole number" } else { "must be a number" };
        let number: f64 = value.parse().map_err(|_| wanted)?;
        if !number.is_finite() || (self.integer && number.fract() != 0.0) {
            return Err(wanted.into());
        }
        if let Some(least) = self.minimum.filter(|&least| number < least) {
            return Err(format!("must be at least {least}"));
        }
        match self.maximum.filter(|&most| number > most) {
            Some(most) => Err(format!("must be at most {most}")),
            None => Ok(()),
        }
    }
}

impl MultiSelectSchema {
    fn check(&self, value: &Raw) -> Result<(), String> {
        let chosen: Vec<Str> = value.parse().map_err(|_| "must be a list of texts")?;
        if !chosen.iter().all(|chosen| has(&self.options, chosen)) {
            return Err(format!("must hold nothing but {}", listed(&self.options)));
        }
        let count = u64::try_from(chosen.len()).unwrap_or(u64::MAX);
        if let Some(least) = self.min_items.filter(|&least| count < least) {
            return Err(format!("must hold at least {least} {}", counted(least, "value")));
        }
        match self.max_items.filter(|&most| count > most) {
            Some(most) => Err(format!("must hold at most {most} {}", counted(most, "value"))),
            None => Ok(()),
        }
    }
}

/// Fields in their order.
struct Filled<'a>(Vec<(&'a Str, Raw)>);

impl Serialize for Filled<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

fn has(options: &[EnumOption], chosen: &Str) -> bool {
    options.iter().any(|option| option.value == *chosen)
}

/// The values of a choice, for an error.
fn listed(options: &[EnumOption]) -> String {
    if options.is_empty() {
        return "its values, of which it has none".into();
    }
    let quoted = |option: &EnumOption| format!("`{}`", excerpt(&option.value));
    let mut list = options.iter().take(MOST_LISTED).map(quoted).collect::<Vec<_>>().join(", ");
    if options.len() > MOST_LISTED {
        list.push_str(" and others");
    }
    list
}

/// Whether an answer may have such a value at all.
fn is_primitive(value: &Raw) -> bool {
    value.parse::<Str>().is_ok()
        || value.parse::<f64>().is_ok()
        || value.parse::<bool>().is_ok()
        || value.parse::<Vec<Str>>().is_ok()
}

fn counted(count: u64, what: &str) -> String {
    if count == 1 { what.to_owned() } else { format!("{what}s") }
}

/// Values that an error lists: a sentence stays one.
const MOST_LISTED: usize = 10;

#[cfg(test)]
mod tests;
