//! From raw JSON to a handler's own type, and from that type to a schema.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use throughline_proto::jsonrpc::{Raw, reason};
use throughline_proto::model::ElicitSchema;

/// Reads arguments into `T`. This *is* the validation.
///
/// On an error the text is read once more with its path tracked, so that the message names the field; a call that fits
/// never pays for it.
pub(crate) fn parse<T: DeserializeOwned>(arguments: &Raw) -> Result<T, String> {
    serde_json::from_str(arguments.as_str()).map_err(|error| explain::<T>(arguments, &error))
}

#[cold]
fn explain<T: DeserializeOwned>(arguments: &Raw, first: &serde_json::Error) -> String {
    let mut text = serde_json::Deserializer::from_str(arguments.as_str());
    let (path, error) = match serde_path_to_error::deserialize::<_, T>(&mut text) {
        Ok(_) => (String::from("."), reason(first)),
        Err(error) => (error.path().to_string(), reason(error.inner())),
    };
    if path == "." {
        format!("the arguments do not fit: {error}")
    } else {
        format!("the argument `{path}` does not fit: {error}")
    }
}

/// The JSON Schema of a tool's arguments or output: an object schema, as MCP asks for.
///
/// # Panics
///
/// When `T` is not described by an object schema: a mistake in the program, found when the tool is registered.
pub(crate) fn object_schema<T: JsonSchema>(what: &str) -> Raw {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    let mut schema = schema.to_value();
    let Value::Object(members) = &mut schema else {
        panic!(
            "{what}: {} is not described by an object schema; use a struct with named fields",
            T::schema_name()
        );
    };
    members.remove("title");
    let is_object = members.get("type").is_none_or(|kind| kind == "object");
    assert!(
        is_object,
        "{what}: {} is described as {}, and must be an object; use a struct with named fields",
        T::schema_name(),
        members["type"]
    );
    members.entry("type").or_insert_with(|| "object".into());
    // Schemas of no arguments have none; there are clients that look for it all the same.
    members.entry("properties").or_insert_with(|| Value::Object(Map::new()));
    if let Some(Value::Object(fields)) = members.get_mut("properties") {
        // A field of any value is described as `true`, which the schemas of MCP do not admit; `{}` says the same.
        fields
            .values_mut()
            .filter(|field| field.is_boolean())
            .for_each(|field| *field = Value::Object(Map::new()));
        // That an optional field is null when it is left out needs no saying.
        let fields = fields.values_mut().filter_map(Value::as_object_mut);
        fields.for_each(|field| {
            field.retain(|keyword, value| keyword != "default" || !value.is_null());
        });
    }
    Raw::new(&schema).expect("a schema is JSON")
}

/// Whether `T` is described by an object schema.
pub(crate) fn is_object<T: JsonSchema>() -> bool {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    schema.get("type").is_some_and(|kind| kind == "object")
}

/// The form of `T`: an object of primitive fields, as elicitation asks for. Made once for each type.
///
/// # Errors
///
/// A sentence when a field is nothing a form can show.
pub(crate) fn elicit_schema<T: JsonSchema + 'static>() -> Result<ElicitSchema, String> {
    /// One entry for each type that was asked for: as many as the program has.
    static MADE: RwLock<BTreeMap<TypeId, Result<ElicitSchema, String>>> = RwLock::new(BTreeMap::new());

    let of = TypeId::of::<T>();
    if let Some(made) = MADE.read().unwrap_or_else(PoisonError::into_inner).get(&of) {
        return made.clone();
    }
    let made = make_elicit_schema::<T>();
    MADE.write().unwrap_or_else(PoisonError::into_inner).entry(of).or_insert(made).clone()
}

fn make_elicit_schema<T: JsonSchema>() -> Result<ElicitSchema, String> {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    if let Some(members) = schema.as_object_mut() {
        members.remove("title");
        members.remove("description");
        if let Some(Value::Object(fields)) = members.get_mut("properties") {
            fields.values_mut().for_each(simplify_field);
        }
    }
    serde_json::from_value(schema).map_err(|error| {
        format!("{} is no form of text, numbers, booleans and enums: {error}", T::schema_name())
    })
}

/// Leaves out what a form's field may not have: the null of an `Option`, and formats of numbers.
fn simplify_field(field: &mut Value) {
    let Value::Object(members) = field else { return };
    if let Some(Value::Array(kinds)) = members.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [kind] = kinds.as_slice() {
            let kind = kind.clone();
            members.insert("type".into(), kind);
        }
    }
    if let Some(Value::Array(values)) = members.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if let Some(Value::Array(options)) = members.get_mut("anyOf") {
        options.retain(|option| option.get("type").is_none_or(|kind| kind != "null"));
        if let [only] = options.as_slice() {
            let only = only.clone();
            members.remove("anyOf");
            if let Value::Object(only) = only {
                members.extend(only);
            }
        }
    }
    if members.get("default").is_some_and(Value::is_null) {
        members.remove("default");
    }
    titled_options(members);
    if members.get("type").is_some_and(|kind| kind != "string") {
        members.remove("format");
    }
}

/// An enum with doc comments is described as `oneOf` of constants: each gets its comment as title.
fn titled_options(members: &mut Map<String, Value>) {
    let Some(Value::Array(options)) = members.get_mut("oneOf") else { return };
    for option in options {
        let Value::Object(option) = option else { continue };
        let description = option.remove("description");
        option.remove("type");
        let title = description.or_else(|| option.get("const").cloned());
        if let Some(title) = title {
            option.entry("title").or_insert(title);
        }
    }
    members.entry("type").or_insert_with(|| "string".into());
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, JsonSchema)]
    #[allow(dead_code, reason = "only its shape matters")]
    struct Order {
        count: u32,
        items: Vec<Item>,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[allow(dead_code, reason = "only its shape matters")]
    struct Item {
        name: String,
    }

    #[test]
    fn a_misfit_names_the_field_and_what_was_expected() {
        let misfit = |text: &str| {
            parse::<Order>(&Raw::from_json(text.to_owned()).expect("JSON")).expect_err("a misfit")
        };
        insta::assert_snapshot!(misfit(r#"{"count": "many", "items": []}"#), @"the argument `count` does not fit: invalid type: string \"many\", expected u32");
        insta::assert_snapshot!(misfit(r#"{"count": 1, "items": [{"name": "a"}, {"name": 2}]}"#), @"the argument `items[1].name` does not fit: invalid type: integer `2`, expected a string");
        insta::assert_snapshot!(misfit(r#"{"count": 1}"#), @"the arguments do not fit: missing field `items`");
    }

    #[derive(Deserialize, JsonSchema)]
    #[allow(dead_code, reason = "only its shape matters")]
    struct Form {
        /// Who you are.
        name: String,
        age: Option<u8>,
        #[serde(default)]
        share: bool,
        size: Size,
    }

    #[derive(Deserialize, JsonSchema)]
    #[allow(dead_code, reason = "only its shape matters")]
    enum Size {
        /// Up to ten.
        Small,
        /// More than ten.
        Large,
    }

    #[test]
    fn a_form_has_a_field_for_each_member() {
        let schema = elicit_schema::<Form>().expect("a form");
        let json = serde_json::to_value(&schema).expect("JSON");
        assert_eq!(
            json["properties"]["name"],
            serde_json::json!({"type": "string", "description": "Who you are."})
        );
        assert_eq!(json["properties"]["age"]["type"], "integer");
        assert_eq!(json["properties"]["age"].get("format"), None);
        assert_eq!(
            json["properties"]["size"]["oneOf"][0],
            serde_json::json!({"const": "Small", "title": "Up to ten."})
        );
        assert_eq!(json["required"], serde_json::json!(["name", "size"]));
    }

    #[test]
    fn a_nested_type_is_no_form() {
        let error = elicit_schema::<Order>().expect_err("no form");
        assert!(error.starts_with("Order is no form of text"), "{error}");
    }
}
