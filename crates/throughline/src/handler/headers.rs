//! Arguments of a tool that HTTP headers carry too, so that what routes requests need not read their bodies.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use throughline_proto::jsonrpc::{Raw, Str};

use super::Misuse;
use super::template::percent_decode;

/// Marks a property of an object schema with the header that carries it
/// ([`x-mcp-header`](https://modelcontextprotocol.io/specification/2026-07-28/server/tools#x-mcp-header)).
///
/// Clients leave out a tool whose mark stands at anything but one primitive type, so what was derived of a Rust type is
/// written plainly first: an `Option` without its null, a type that stands elsewhere in the schema in its place.
pub(super) fn mark(tool: &str, schema: &Raw, marks: &[(Str, Str)]) -> Result<Raw, Misuse> {
    let mut schema: Map<String, Value> = schema.parse().map_err(|_| {
        Misuse::new(format!(
            "the tool `{tool}` carries arguments in headers, and its input schema is no object; describe the arguments in `properties`"
        ))
    })?;
    let definitions = schema.get("$defs").cloned().unwrap_or_default();
    for (parameter, header) in marks {
        let property = schema.get_mut("properties").and_then(|properties| properties.get_mut(&**parameter));
        let Some(Value::Object(property)) = property else {
            return Err(Misuse::new(format!(
                "the tool `{tool}` has no argument `{parameter}` for the header `{header}`; name one of those in its input schema"
            )));
        };
        write_plainly(property, &definitions);
        property.insert("x-mcp-header".to_owned(), Value::from(&**header));
    }
    forget_unused(&mut schema);
    Ok(Raw::new(&schema).expect("a schema is JSON"))
}

/// Takes out the types that nothing refers to any more; a type that only they referred to goes with them.
fn forget_unused(schema: &mut Map<String, Value>) {
    loop {
        let mut used = BTreeSet::new();
        schema.values().for_each(|value| gather_used(value, &mut used));
        let Some(Value::Object(definitions)) = schema.get_mut("$defs") else { return };
        let before = definitions.len();
        definitions.retain(|name, _| used.contains(name));
        let (after, empty) = (definitions.len(), definitions.is_empty());
        if empty {
            schema.remove("$defs");
        }
        if empty || after == before {
            return;
        }
    }
}

/// The names of the types that a schema refers to.
fn gather_used(schema: &Value, used: &mut BTreeSet<String>) {
    match schema {
        Value::Object(members) => {
            used.extend(members.get("$ref").and_then(definition_of));
            members.values().for_each(|value| gather_used(value, used));
        }
        Value::Array(values) => values.iter().for_each(|value| gather_used(value, used)),
        _ => {}
    }
}

/// The name of the type that a `$ref` leads to, or into: a JSON pointer in the fragment of an address.
fn definition_of(reference: &Value) -> Option<String> {
    let name = reference.as_str()?.strip_prefix("#/$defs/")?.split('/').next()?;
    Some(percent_decode(name)?.replace("~1", "/").replace("~0", "~"))
}

/// Gives a property that can only be one primitive, or null, that one `type`.
fn write_plainly(property: &mut Map<String, Value>, definitions: &Value) {
    // `Option<Enum>`: the enum or null.
    if let Some(Value::Array(options)) = property.get("anyOf") {
        let mut values = options.iter().filter(|option| option["type"] != "null");
        if let (Some(Value::Object(only)), None) = (values.next(), values.next()) {
            let only = only.clone();
            property.remove("anyOf");
            merge(property, only);
        }
    }
    let is_whole = |path: &&Value| path.as_str().is_some_and(|path| path.matches('/').count() == 2);
    let definition = property.get("$ref").filter(is_whole).and_then(definition_of);
    if let Some(Value::Object(definition)) = definition.and_then(|name| definitions.get(name)) {
        let definition = definition.clone();
        property.remove("$ref");
        merge(property, definition);
    }
    let mut kinds = match property.get("type") {
        Some(Value::Array(kinds)) => kinds.clone(),
        Some(_) => return,
        // An enum with doc comments: each value says its type.
        None => match property.get("oneOf") {
            Some(Value::Array(options)) => options.iter().map(|option| option["type"].clone()).collect(),
            _ => return,
        },
    };
    kinds.retain(|kind| kind != "null");
    kinds.dedup();
    if let [kind] = kinds.as_slice() {
        property.insert("type".to_owned(), kind.clone());
        if let Some(Value::Array(values)) = property.get_mut("enum") {
            values.retain(|value| !value.is_null());
        }
    }
}

/// What a property says itself comes before what its type says.
fn merge(property: &mut Map<String, Value>, of_type: Map<String, Value>) {
    for (keyword, value) in of_type {
        property.entry(keyword).or_insert(value);
    }
}
