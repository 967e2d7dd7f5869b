//! `KEY=VALUE`, read as the types of a tool's input schema.

use serde_json::{Map, Number, Value};
use throughline::jsonrpc::Raw;

use super::near::hint;
use super::schema::{Kind, Object, Schema};
use crate::flags::Given;

/// The arguments of a tool.
///
/// # Errors
///
/// A sentence that says what the schema wants.
pub(super) fn typed(schema: &Raw, given: &[Given]) -> Result<Map<String, Value>, String> {
    let schema = Object::parse(schema);
    let mut arguments = Map::new();
    for Given { key, value, is_json } in given {
        if *is_json {
            let value = serde_json::from_str(value).map_err(|error| format!("`{key}`: {error}"))?;
            arguments.insert(key.clone(), value);
            continue;
        }
        let value = match schema.property(key) {
            Some(wanted) => read(value, wanted).map_err(|why| format!("`{key}` {why}"))?,
            None if schema.takes_others() => any(value),
            None => {
                let hint = hint(key, schema.names());
                return Err(format!("it has no argument `{key}`{hint}"));
            }
        };
        match (arguments.get_mut(key), value) {
            // Lists may be given one by one.
            (Some(Value::Array(list)), Value::Array(more)) => list.extend(more),
            (Some(_), _) => return Err(format!("`{key}` is given twice; it takes one value")),
            (None, value) => {
                arguments.insert(key.clone(), value);
            }
        }
    }
    let missing: Vec<String> = schema
        .names()
        .filter(|name| schema.is_required(name) && !arguments.contains_key(*name))
        .map(|name| match schema.property(name) {
            Some(wanted) => format!("{name}=VALUE ({wanted})"),
            None => format!("{name}=VALUE"),
        })
        .collect();
    match &missing[..] {
        [] => Ok(arguments),
        missing => Err(format!("it needs {}", missing.join(", "))),
    }
}

/// Reads a value as one that the schema takes.
pub(super) fn read(text: &str, wanted: Schema<'_>) -> Result<Value, String> {
    let value = read_kind(text, wanted);
    let value = match (value, wanted.choices()) {
        (value, None) => value,
        (Some(value), Some(choices)) => choices.contains(&&value).then_some(value),
        (None, Some(_)) => None,
    };
    value.ok_or_else(|| {
        let wanted = wanted.to_string();
        let article = match wanted.split(' ').next() {
            Some("integer" | "object") => "an ",
            Some("number" | "list") => "a ",
            _ => "",
        };
        format!("must be {article}{wanted}")
    })
}

fn read_kind(text: &str, wanted: Schema<'_>) -> Option<Value> {
    let kinds = wanted.kinds();
    if kinds.are_any() {
        return Some(any(text));
    }
    let parsed: Option<Value> = serde_json::from_str(text).ok();
    let fits = |value: &Value| match value {
        Value::Null => kinds.has(Kind::Null) && !kinds.has(Kind::String),
        Value::Bool(_) => kinds.has(Kind::Boolean),
        Value::Number(number) => kinds.has(Kind::Number) || (kinds.has(Kind::Integer) && is_whole(number)),
        // Text is typed as it is, and quotes are part of it.
        Value::String(_) => false,
        Value::Array(_) => kinds.has(Kind::Array),
        Value::Object(_) => kinds.has(Kind::Object),
    };
    if let Some(value) = parsed.filter(fits) {
        return Some(value);
    }
    if kinds.has(Kind::String) {
        return Some(Value::String(text.to_owned()));
    }
    if kinds.has(Kind::Number) {
        let number = text.parse::<f64>().ok().and_then(Number::from_f64);
        if let Some(number) = number {
            return Some(Value::Number(number));
        }
    }
    if kinds.has(Kind::Array) && !text.trim_start().starts_with(['[', '{']) {
        let parts = text.split(',').filter(|_| !text.is_empty());
        return match wanted.items() {
            Some(items) => parts.map(|part| read(part, items).ok()).collect(),
            None => Some(parts.map(any).collect()),
        };
    }
    None
}

/// JSON if it is some, else text.
fn any(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

fn is_whole(number: &Number) -> bool {
    !number.is_f64() || number.as_f64().is_some_and(|number| number.fract() == 0.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Raw {
        Raw::new(&json!({
            "type": "object",
            "properties": {
                "text": {"type": "string"},
                "count": {"$ref": "#/$defs/Count"},
                "part": {"type": "number"},
                "really": {"type": "boolean"},
                "tags": {"type": "array", "items": {"type": "string"}},
                "sizes": {"type": "array", "items": {"type": "integer"}},
                "place": {"type": "object"},
                "by": {"enum": ["train", "ship"]},
                "depth": {"anyOf": [{"$ref": "#/$defs/Depth"}, {"type": "null"}]},
                "maybe": {"type": ["integer", "null"]},
                "id": {"type": ["string", "integer"]},
                "what": {},
                "grade": {"oneOf": [{"const": 1, "title": "good"}, {"const": "F"}]},
                "loop": {"$ref": "#/properties/loop"},
            },
            "required": ["text"],
            "$defs": {"Count": {"type": "integer", "minimum": 0}, "Depth": {"type": "string", "enum": ["low", "high"]}},
        }))
        .expect("it is JSON")
    }

    fn one(key: &str, value: &str) -> Result<Value, String> {
        let given = |key: &str, value: &str| Given { key: key.into(), value: value.into(), is_json: false };
        let mut arguments = typed(&schema(), &[given("text", ""), given(key, value)])?;
        Ok(arguments.remove(key).expect("it was given"))
    }

    #[test]
    fn values_have_the_types_of_the_schema() {
        for (key, text, value) in [
            ("count", "5", json!(5)),
            ("count", "-5", json!(-5)),
            ("count", "5.0", json!(5.0)),
            ("part", "5", json!(5)),
            ("part", ".5", json!(0.5)),
            ("part", "1e3", json!(1000.0)),
            ("really", "true", json!(true)),
            ("tags", "a,b", json!(["a", "b"])),
            ("tags", r#"["a,b","c"]"#, json!(["a,b", "c"])),
            ("tags", "", json!([])),
            ("sizes", "1,2", json!([1, 2])),
            ("place", r#"{"x": 1}"#, json!({"x": 1})),
            ("by", "ship", json!("ship")),
            ("depth", "low", json!("low")),
            ("maybe", "null", json!(null)),
            ("maybe", "3", json!(3)),
            ("id", "3", json!(3)),
            ("id", "x3", json!("x3")),
            ("id", "\"3\"", json!("\"3\"")),
            ("what", "3", json!(3)),
            ("what", "x", json!("x")),
            ("grade", "1", json!(1)),
            ("grade", "F", json!("F")),
            ("loop", "x", json!("x")),
        ] {
            assert_eq!(one(key, text), Ok(value), "{key}={text}");
        }
        let text = |value: &str| {
            typed(&schema(), &[Given { key: "text".into(), value: value.into(), is_json: false }])
        };
        for value in ["", "5", "true", "null", "[1]", "a=b"] {
            assert_eq!(text(value).expect("it is text")["text"], json!(value));
        }
    }

    #[test]
    fn what_does_not_fit_says_what_is_wanted() {
        let says: Vec<String> = [
            ("count", "five"),
            ("count", "5.5"),
            ("part", "NaN"),
            ("really", "yes"),
            ("sizes", "1,x"),
            ("place", "here"),
            ("by", "plane"),
            ("depth", "deep"),
            ("maybe", "x"),
            ("grade", "2"),
            ("cuont", "5"),
            ("text", "twice"),
        ]
        .iter()
        .map(|(key, text)| one(key, text).expect_err(key))
        .collect();
        insta::assert_snapshot!(says.join("\n"), @r#"
        `count` must be an integer
        `count` must be an integer
        `part` must be a number
        `really` must be true or false
        `sizes` must be a list of integer
        `place` must be an object
        `by` must be one of "train", "ship"
        `depth` must be one of "low", "high"
        `maybe` must be an integer
        `grade` must be one of 1, "F"
        it has no argument `cuont`; did you mean `count`?
        `text` is given twice; it takes one value
        "#);
        assert_eq!(typed(&schema(), &[]), Err("it needs text=VALUE (text)".into()));
    }

    #[test]
    fn lists_grow_and_json_is_taken_as_it_is() {
        let given =
            |word: (&str, &str, bool)| Given { key: word.0.into(), value: word.1.into(), is_json: word.2 };
        let words =
            [("text", "5", true), ("tags", "a", false), ("tags", "b", false), ("unknown", "[null]", true)];
        let arguments = typed(&schema(), &words.map(given)).expect("they fit");
        assert_eq!(Value::Object(arguments), json!({"text": 5, "tags": ["a", "b"], "unknown": [null]}));
    }

    #[test]
    fn a_schema_that_names_nothing_takes_anything() {
        let given = [Given { key: "x".into(), value: "1".into(), is_json: false }];
        for open in [
            json!({}),
            json!({"type": "object"}),
            json!({"properties": {"y": {}}, "additionalProperties": true}),
        ] {
            let schema = Raw::new(&open).expect("it is JSON");
            assert_eq!(typed(&schema, &given).map(Value::Object), Ok(json!({"x": 1})), "{open}");
        }
        let closed = Raw::new(&json!({"additionalProperties": false})).expect("it is JSON");
        assert_eq!(typed(&closed, &given), Err("it has no argument `x`; there are none".into()));
    }
}
