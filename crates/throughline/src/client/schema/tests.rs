use serde_json::{Map, json};

use super::*;

fn raw(value: &Value) -> Raw {
    Raw::new(value).unwrap()
}

async fn checked(schema: &Value, content: &Value) -> Result<(), String> {
    let schemas = OutputSchemas::default();
    let checked = schemas.check(&"t".into(), &raw(schema), &raw(content)).await;
    checked.map_err(|error| error.to_string())
}

#[tokio::test]
async fn the_place_is_named_and_the_value_is_not() {
    let schema =
        json!({"type": "object", "properties": {"a": {"type": "array", "items": {"type": "integer"}}}});
    checked(&schema, &json!({"a": [1, 2]})).await.unwrap();
    let error = checked(&schema, &json!({"a": [1, "secret"]})).await.unwrap_err();
    assert!(error.contains("at `/a/1`: it is not of type \"integer\""), "{error}");
    assert!(!error.contains("secret"));
}

#[tokio::test]
async fn references_within_the_schema_are_followed_and_no_others() {
    let own = json!({"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}});
    checked(&own, &json!("x")).await.unwrap();
    assert!(checked(&own, &json!(1)).await.unwrap_err().contains("type \"string\""));
    for other in ["http://127.0.0.1:1/schema.json", "file:///etc/hostname", "other.json"] {
        let error = checked(&json!({"$ref": other}), &json!(1)).await.unwrap_err();
        assert!(error.contains("cannot be used"), "{error}");
    }
}

#[tokio::test]
async fn a_schema_that_is_none_is_named() {
    for schema in
        [json!({"type": 1}), json!([]), json!({"pattern": "("}), json!({"$schema": "http://127.0.0.1:1/x"})]
    {
        let error = checked(&schema, &json!("x")).await.unwrap_err();
        assert!(error.contains("the output schema of the tool `t` cannot be used: "), "{error}");
    }
}

#[tokio::test]
async fn a_schema_is_compiled_once_and_again_when_it_changed() {
    let schemas = OutputSchemas::default();
    let tool = Str::from_static("t");
    let check = async |schema: &Value| schemas.check(&tool, &raw(schema), &raw(&json!(1))).await;
    check(&json!({"type": "integer"})).await.unwrap();
    let first = schemas.compiled.locked()["t"].1.clone();
    check(&json!({"type": "integer"})).await.unwrap();
    assert!(Arc::ptr_eq(&first, &schemas.compiled.locked()["t"].1));
    check(&json!({"type": "string"})).await.unwrap_err();
    assert!(!Arc::ptr_eq(&first, &schemas.compiled.locked()["t"].1));
    for n in 0..MOST_COMPILED {
        let name = Str::from(n.to_string());
        schemas.check(&name, &raw(&json!({})), &raw(&json!(1))).await.unwrap();
    }
    assert!(schemas.compiled.locked().len() <= MOST_COMPILED);
}

/// A schema that refers to itself `length` times before it says anything.
fn chain(length: usize, last: Value) -> Value {
    let mut defs = Map::new();
    for n in 1..length {
        defs.insert(format!("d{n}"), json!({"$ref": format!("#/$defs/d{}", n + 1)}));
    }
    defs.insert(format!("d{length}"), last);
    json!({"$ref": "#/$defs/d1", "$defs": defs})
}

#[tokio::test]
async fn long_ways_through_a_schema_do_not_overflow_the_stack() {
    let long = chain(MOST_REFERENCES - 20, json!({"properties": {"a": {"$ref": "#"}}}));
    let mut deep = json!({});
    for _ in 0..100 {
        deep = json!({ "a": deep });
    }
    checked(&long, &deep).await.unwrap();
    let longer = chain(20_000, json!({}));
    assert!(checked(&longer, &json!({})).await.unwrap_err().contains("cannot be used"));
    for endless in [json!({"allOf": [{"$ref": "#"}]}), json!({"$ref": "#"}), json!({"not": {"$ref": "#"}})] {
        let _ = checked(&endless, &json!({})).await;
    }
}

/// It doubles at each of its steps: checking it to its end would take days.
#[tokio::test]
async fn a_check_without_an_end_does_not_hold_up_the_runtime() {
    let mut defs = Map::new();
    for n in 0..40 {
        let next = json!({"$ref": format!("#/$defs/d{}", n + 1)});
        defs.insert(format!("d{n}"), json!({"allOf": [next, next]}));
    }
    defs.insert("d40".into(), json!({}));
    let endless = json!({"$ref": "#/$defs/d0", "$defs": defs});
    let schemas = OutputSchemas::default();
    let (endless, content) = (raw(&endless), raw(&json!({})));
    let tool = Str::from_static("t");
    let checking = schemas.check(&tool, &endless, &content);
    // It is not polled again: what is here goes on at once.
    tokio::select! {
        biased;
        _ = checking => panic!("it ended"),
        () = tokio::task::yield_now() => {}
    }
    assert_eq!(schemas.threads.available_permits(), MOST_THREADS - 1);
    checked(&json!({"type": "object"}), &json!({})).await.unwrap();
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let large = json!({ "description": "x".repeat(MAX_SCHEMA) });
    assert!(checked(&large, &json!(1)).await.unwrap_err().contains("it is larger than"));
}

#[test]
fn what_may_take_long_is_seen_however_it_is_written() {
    assert!(is_plain(r#"{"type":"object","description":"see ref"}"#));
    for schema in [
        r##"{"$ref":"#"}"##,
        r##"{"$dynamicRef":"#"}"##,
        r##"{"\u0024ref":"#"}"##,
        r##"{"$re\u0066":"#"}"##,
        r##"{"pattern":"(a|a)+(?=b)"}"##,
        r##"{"patternProperties":{"(a|a)+(?=b)":true}}"##,
        r##"{"p\u0061ttern":"(a|a)+(?=b)"}"##,
    ] {
        assert!(!is_plain(schema), "{schema}");
    }
}
