use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::model::{BooleanSchema, ElicitFormParams, ElicitUrlParams, SingleSelectSchema, StringFormat};

fn raw(value: &Value) -> Raw {
    Raw::new(value).unwrap()
}

fn form(properties: &Value, required: &[&str]) -> ElicitSchema {
    raw(&json!({ "type": "object", "properties": properties, "required": required })).parse().unwrap()
}

fn completed(form: &ElicitSchema, content: &Value) -> Result<String, String> {
    form.complete(&raw(content)).map(|content| content.as_str().to_owned()).map_err(|error| error.to_string())
}

#[test]
fn defaults_fill_what_is_missing_in_the_forms_order() {
    let form = form(
        &json!({
            "name": {"type": "string", "default": "John Doe"},
            "age": {"type": "integer", "default": 30},
            "score": {"type": "number", "default": 95.5},
            "status": {"type": "string", "enum": ["active", "inactive"], "default": "active"},
            "verified": {"type": "boolean", "default": true},
            "colours": {"type": "array", "items": {"anyOf": [{"const": "r", "title": "Red"}]}, "default": ["r"]},
            "note": {"type": "string"},
        }),
        &["name"],
    );
    let all =
        r#"{"name":"John Doe","age":30,"score":95.5,"status":"active","verified":true,"colours":["r"]}"#;
    let all: Map<String, Value> = serde_json::from_str(all).unwrap();
    let complete = |content: Value| -> Map<String, Value> {
        serde_json::from_str(&completed(&form, &content).unwrap()).unwrap()
    };
    assert_eq!(complete(json!({})), all);
    assert_eq!(complete(json!({"note": null, "age": null})), all);
    let mut other = all.clone();
    other.insert("age".into(), json!(31));
    other.insert("verified".into(), json!(false));
    assert_eq!(complete(json!({"verified": false, "age": 31})), other);
}

#[test]
fn the_order_and_the_texts_are_kept() {
    let form = ElicitSchema::new()
        .with_optional("b", NumberSchema::number())
        .with_optional("a", StringSchema::new());
    let content = Raw::from_json(r#"{ "a": "\u0041",  "b": 1.50 }"#).unwrap();
    assert_eq!(form.complete(&content).unwrap().as_str(), r#"{"b":1.50,"a":"\u0041"}"#);
}

#[test]
fn what_does_not_fit_is_named_and_not_repeated() {
    let form = form(
        &json!({
            "name": {"type": "string", "minLength": 2, "maxLength": 4},
            "mail": {"type": "string", "format": "email"},
            "odd": {"type": "string", "format": "no-such-format"},
            "age": {"type": "integer", "minimum": 18, "maximum": 99},
            "score": {"type": "number", "maximum": 1.5},
            "yes": {"type": "boolean"},
            "plain": {"type": "string", "enum": ["a", "b"]},
            "old": {"type": "string", "enum": ["x"], "enumNames": ["An X"]},
            "titled": {"type": "string", "oneOf": [{"const": "t", "title": "T"}]},
            "some": {"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "string", "enum": ["a", "b"]}},
        }),
        &["name"],
    );
    let mut told = String::new();
    for other in [
        json!({"name": null}),
        json!({"name": 1}),
        json!({"name": "x"}),
        json!({"name": "12345"}),
        json!({"mail": "secret"}),
        json!({"age": "20"}),
        json!({"age": 20.5}),
        json!({"age": 17}),
        json!({"age": 100}),
        json!({"score": 1.6}),
        json!({"score": []}),
        json!({"yes": "secret"}),
        json!({"plain": "secret"}),
        json!({"old": "An X"}),
        json!({"titled": "T"}),
        json!({"some": "a"}),
        json!({"some": []}),
        json!({"some": ["a", "b", "a"]}),
        json!({"some": ["secret"]}),
        json!({"nmae": "secret"}),
    ] {
        let mut content = json!({"name": "Ada"});
        content.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
        let error = form.complete(&raw(&content)).unwrap_err();
        assert_eq!(error.field(), other.as_object().unwrap().keys().next().map(String::as_str));
        told.push_str(&error.to_string());
        told.push('\n');
    }
    assert!(!told.contains("secret"));
    insta::assert_snapshot!(told.trim_end(), @r"
    the field `name` of the form must be filled in
    the field `name` of the form must be text
    the field `name` of the form must have at least 2 characters
    the field `name` of the form must have at most 4 characters
    the field `mail` of the form must be an address of electronic mail (name@example.com)
    the field `age` of the form must be a whole number
    the field `age` of the form must be a whole number
    the field `age` of the form must be at least 18
    the field `age` of the form must be at most 99
    the field `score` of the form must be at most 1.5
    the field `score` of the form must be a number
    the field `yes` of the form must be true or false
    the field `plain` of the form must be one of `a`, `b`
    the field `old` of the form must be one of `x`
    the field `titled` of the form must be one of `t`
    the field `some` of the form must be a list of texts
    the field `some` of the form must hold at least 1 value
    the field `some` of the form must hold at most 2 values
    the field `some` of the form must hold nothing but `a`, `b`
    the field `nmae` of the form is not asked for; leave it out
    ");
    // A format that is not known here is none.
    completed(&form, &json!({"name": "Ada", "odd": "anything"})).unwrap();
}

#[test]
fn content_is_an_object() {
    for content in [json!([]), json!("x"), json!(null)] {
        let error = ElicitSchema::new().complete(&raw(&content)).unwrap_err();
        assert_eq!(error.field(), None);
        assert_eq!(error.to_string(), "what the form was filled in with must be a JSON object");
    }
}

#[test]
fn lengths_are_counted_in_characters() {
    let form = form(&json!({"name": {"type": "string", "minLength": 2, "maxLength": 2}}), &[]);
    completed(&form, &json!({"name": "üß"})).unwrap();
    completed(&form, &json!({"name": "a"})).unwrap_err();
}

#[test]
fn a_default_that_does_not_fit_is_none() {
    let other = form(&json!({"a": {"type": "string", "enum": ["x"], "default": "y"}}), &[]);
    assert_eq!(completed(&other, &json!({})).unwrap(), "{}");
    let required = form(&json!({"a": {"type": "integer", "maximum": 1, "default": 2}}), &["a"]);
    assert!(completed(&required, &json!({})).unwrap_err().contains("`a` of the form must be filled in"));
}

#[test]
fn a_field_that_is_required_but_not_described_may_be_anything_an_answer_may_have() {
    let form = form(&json!({}), &["a", "a"]);
    assert_eq!(completed(&form, &json!({"a": ["x"]})).unwrap(), r#"{"a":["x"]}"#);
    completed(&form, &json!({})).unwrap_err();
    completed(&form, &json!({"a": {"b": 1}})).unwrap_err();
}

#[test]
fn only_an_accepted_form_has_content() {
    let question = ElicitParams::from(ElicitFormParams::new(
        "?",
        ElicitSchema::new().with_required("yes", BooleanSchema::new().with_default(true)),
    ));
    let content = raw(&json!({"yes": "no"}));
    let declined = ElicitResult { action: ElicitAction::Decline, ..ElicitResult::accept(content.clone()) };
    assert_eq!(question.complete(declined), Ok(ElicitResult::new(ElicitAction::Decline)));
    let accepted = question.complete(ElicitResult::new(ElicitAction::Accept)).unwrap();
    assert_eq!(accepted.content, Some(raw(&json!({"yes": true}))));
    assert_eq!(question.complete(ElicitResult::accept(content.clone())).unwrap_err().field(), Some("yes"));

    let page = ElicitParams::from(ElicitUrlParams::new("1", "https://example.com", "?"));
    let accepted = page.complete(ElicitResult::accept(content)).unwrap();
    assert_eq!(accepted, ElicitResult::new(ElicitAction::Accept));
}

#[test]
fn a_mode_that_was_not_declared_does_not_suit() {
    let form = ElicitParams::from(ElicitFormParams::new("?", ElicitSchema::new()));
    let page = ElicitParams::from(ElicitUrlParams::new("1", "https://example.com", "?"));
    let suits = |form_mode, url| {
        let capability = ElicitationCapability { form: form_mode, url };
        (form.suits(capability), page.suits(capability))
    };
    assert_eq!(suits(false, false), (true, false));
    assert_eq!(suits(true, false), (true, false));
    assert_eq!(suits(false, true), (false, true));
    assert_eq!(suits(true, true), (true, true));
}

const WORDS: [&str; 5] = ["", "a", "ab", "abc", "üß"];

fn word() -> impl Strategy<Value = String> {
    prop::sample::select(&WORDS[..]).prop_map(str::to_owned)
}

fn field() -> impl Strategy<Value = PrimitiveSchema> {
    let options = || prop::collection::vec(word(), 0..4);
    let titled = |titled, options: Vec<String>| -> Vec<EnumOption> {
        let option =
            |value: String| if titled { EnumOption::titled(value, "T") } else { EnumOption::new(value) };
        options.into_iter().map(option).collect()
    };
    let small = || prop::option::of(0..4_u64);
    let bound = || prop::option::of((-4..8_i32).prop_map(|half| f64::from(half) / 2.0));
    prop_oneof![
        (small(), small(), prop::option::of(word())).prop_map(|(min_length, max_length, default)| {
            let default = default.map(Str::from);
            StringSchema { min_length, max_length, default, ..StringSchema::new() }.into()
        }),
        (any::<bool>(), bound(), bound(), bound()).prop_map(|(integer, minimum, maximum, default)| {
            NumberSchema { integer, minimum, maximum, default, ..NumberSchema::number() }.into()
        }),
        prop::option::of(any::<bool>())
            .prop_map(|default| BooleanSchema { default, ..BooleanSchema::new() }.into()),
        (options(), any::<(bool, bool)>(), prop::option::of(word())).prop_map(
            move |(options, (with_titles, enum_names), default)| {
                let default = default.map(Str::from);
                let options = titled(with_titles, options);
                let schema = SingleSelectSchema { default, enum_names, ..SingleSelectSchema::new(options) };
                schema.into()
            }
        ),
        (options(), any::<bool>(), small(), small(), prop::option::of(options())).prop_map(
            move |(options, with_titles, min_items, max_items, default)| {
                let default = default.map(|default| default.into_iter().map(Str::from).collect());
                let options = titled(with_titles, options);
                MultiSelectSchema { min_items, max_items, default, ..MultiSelectSchema::new(options) }.into()
            }
        ),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        word().prop_map(Value::from),
        (-4..8_i32).prop_map(|half| json!(f64::from(half) / 2.0)),
        (-2..4_i32).prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        prop::collection::vec(word(), 0..4).prop_map(Value::from),
        Just(json!([1])),
        Just(json!({})),
        Just(Value::Null),
    ]
}

proptest! {
    /// A validator of JSON Schema says the same of what is sent, and takes nothing that is refused here.
    #[test]
    fn a_form_is_as_json_schema_has_it(
        fields in prop::collection::btree_map("[a-d]", (field(), any::<bool>()), 0..4),
        content in prop::collection::btree_map("[a-d]", value(), 0..4),
    ) {
        let mut form = ElicitSchema::new();
        for (name, (schema, required)) in fields {
            form = if required { form.with_required(name, schema) } else { form.with_optional(name, schema) };
        }
        let mut schema = serde_json::to_value(&form).unwrap();
        schema["additionalProperties"] = json!(false);
        let validator = jsonschema::validator_for(&schema).unwrap();
        let given: Map<String, Value> =
            content.clone().into_iter().filter(|(_, value)| !value.is_null()).collect();
        match form.complete(&raw(&json!(content))) {
            Ok(complete) => {
                let complete: Value = complete.parse().unwrap();
                prop_assert!(validator.is_valid(&complete), "{schema} {complete}");
                for (name, value) in &given {
                    prop_assert_eq!(&complete[name], value);
                }
                // Once complete, it stays so.
                let again: Value = form.complete(&raw(&complete)).unwrap().parse().unwrap();
                prop_assert_eq!(again, complete);
            }
            Err(error) => prop_assert!(!validator.is_valid(&json!(given)), "{} {} {:?}", error, schema, given),
        }
    }

    /// Of dates and times nobody has another opinion.
    #[test]
    fn dates_are_as_json_schema_has_them(
        text in "(19|20)[0-9]{2}-[01][0-9]-[0-3][0-9]",
        time in "[T ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,3})?(Z|[+-][0-2][0-9]:[0-6][0-9])?",
    ) {
        for (format, name, text) in [
            (StringFormat::Date, "date", text.clone()),
            (StringFormat::DateTime, "date-time", format!("{text}{time}")),
        ] {
            let validator = jsonschema::options().should_validate_formats(true).build(&json!({"format": name})).unwrap();
            prop_assert_eq!(format.fits(&text), validator.is_valid(&json!(text)), "{}", text);
        }
    }

    #[test]
    fn no_text_breaks_a_format(text in any::<String>()) {
        for format in [StringFormat::Email, StringFormat::Uri, StringFormat::Date, StringFormat::DateTime] {
            let _ = format.fits(&text);
        }
    }
}
