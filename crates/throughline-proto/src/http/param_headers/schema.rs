use ::http::HeaderName;
use serde_json::Value;

use super::super::header_text::is_token;
use super::{Below, Level, Param, ParamHeaders};
use crate::jsonrpc::{Raw, reason};

const ANNOTATION: &str = "x-mcp-header";

/// Headers of one tool at most: HTTP servers refuse requests with more than 100 headers (hyper by default), and others need
/// some too.
pub(super) const MOST: usize = 64;

/// Bytes of an annotation at most: far more than any header's name has.
const MAX_NAME: usize = 128;

/// Keywords of JSON Schema that hold a schema, or an array of them. `items`, `dependencies` and the last two are also those of
/// drafts before 2020-12.
const HOLD_SCHEMAS: &[&str] = &[
    "items",
    "prefixItems",
    "contains",
    "additionalProperties",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contentSchema",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "additionalItems",
    "extends",
];

/// Keywords that hold an object of schemas, by names that are no keywords.
const HOLD_NAMED_SCHEMAS: &[&str] =
    &["patternProperties", "dependentSchemas", "$defs", "definitions", "dependencies"];

pub(super) fn compile(input_schema: &Raw) -> Result<Option<ParamHeaders>, String> {
    let schema: Value = input_schema
        .parse()
        .map_err(|error| format!("The input schema cannot be read: {}. Correct it.", reason(&error)))?;
    let mut found = ParamHeaders { root: Level::default(), params: Vec::new() };
    walk(&schema, &mut Vec::new(), true, &mut found)?;
    Ok((!found.params.is_empty()).then_some(found))
}

/// Looks for annotations in one schema and those in it. `path` leads to it, by names of properties while `is_reached`, which
/// is that it is reached from the root by `properties` alone. The recursion is bounded by that of the JSON parser.
fn walk<'a>(
    schema: &'a Value,
    path: &mut Vec<&'a str>,
    is_reached: bool,
    found: &mut ParamHeaders,
) -> Result<(), String> {
    let Value::Object(keywords) = schema else { return Ok(()) };
    if let Some(annotation) = keywords.get(ANNOTATION) {
        if !is_reached || path.is_empty() {
            return Err(format!(
                "The {ANNOTATION} at \"{}\" is not on a property that is reached from the schema's root by \"properties\" alone. Move it to one, or leave it out.",
                path.join(".")
            ));
        }
        found.insert(annotation, keywords.get("type"), path)?;
    }
    // Below a parameter with a header, which is no object, nothing can have a value.
    let is_reached = is_reached && !keywords.contains_key(ANNOTATION);
    for (keyword, value) in keywords {
        let (is_named, is_reached) = match keyword.as_str() {
            "properties" => (true, is_reached),
            keyword if HOLD_NAMED_SCHEMAS.contains(&keyword) => (true, false),
            keyword if HOLD_SCHEMAS.contains(&keyword) => (false, false),
            _ => continue,
        };
        match value {
            Value::Object(schemas) if is_named => {
                for (name, schema) in schemas {
                    path.push(name);
                    walk(schema, path, is_reached, found)?;
                    path.pop();
                }
            }
            Value::Array(schemas) if !is_named => {
                path.push(keyword);
                schemas.iter().try_for_each(|schema| walk(schema, path, false, found))?;
                path.pop();
            }
            schema if !is_named => {
                path.push(keyword);
                walk(schema, path, false, found)?;
                path.pop();
            }
            _ => {}
        }
    }
    Ok(())
}

impl ParamHeaders {
    /// Takes the annotation of the property at `path`.
    fn insert(&mut self, annotation: &Value, kind: Option<&Value>, path: &[&str]) -> Result<(), String> {
        let path_text = path.join(".");
        let Some(name) = annotation.as_str().filter(|name| is_token(name) && name.len() <= MAX_NAME) else {
            return Err(format!(
                "The {ANNOTATION} of \"{path_text}\" must be the end of a header's name, of 1 to {MAX_NAME} characters. Use letters, digits and hyphens."
            ));
        };
        if !matches!(kind.and_then(Value::as_str), Some("string" | "integer" | "boolean")) {
            return Err(format!(
                "The {ANNOTATION} of \"{path_text}\" is on a property whose \"type\" is not \"string\", \"integer\" or \"boolean\". Give it one of these, or leave the {ANNOTATION} out."
            ));
        }
        let shown = format!("Mcp-Param-{name}");
        let header = HeaderName::from_bytes(shown.as_bytes()).expect("a token is a header's name");
        if let Some(other) = self.params.iter().find(|param| param.header == header) {
            return Err(format!(
                "The {ANNOTATION} \"{name}\" is on \"{path_text}\" and, but for its case, on \"{}\" too. Give each its own.",
                other.path
            ));
        }
        if self.params.len() == MOST {
            return Err(format!(
                "There are more than {MOST} properties with an {ANNOTATION}. Keep those that proxies need."
            ));
        }
        self.root.insert(path, self.params.len());
        self.params.push(Param { header, shown, path: path_text });
        Ok(())
    }
}

impl Level {
    fn insert(&mut self, path: &[&str], param: usize) {
        let Some((first, rest)) = path.split_first() else { return };
        let at = match self.names.iter().position(|name| **name == **first) {
            Some(at) => at,
            None => {
                self.names.push((*first).into());
                self.below.push(if rest.is_empty() {
                    Below::Header(param)
                } else {
                    Below::Level(Level::default())
                });
                self.names.len() - 1
            }
        };
        // A header has nothing below it, see `walk`.
        if let Below::Level(level) = &mut self.below[at] {
            level.insert(rest, param);
        }
    }
}
