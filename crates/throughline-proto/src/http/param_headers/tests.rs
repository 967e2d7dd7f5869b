use proptest::prelude::*;
use serde_json::json;

use super::*;

fn compile(schema: &serde_json::Value) -> Result<Option<ParamHeaders>, String> {
    ParamHeaders::compile(&Raw::new(schema).unwrap())
}

/// `s`, `i` and `b` at the root, and a string below two objects.
fn params() -> ParamHeaders {
    compile(&json!({
        "type": "object",
        "properties": {
            "s": {"type": "string", "x-mcp-header": "Text"},
            "i": {"type": "integer", "x-mcp-header": "Number"},
            "b": {"type": "boolean", "x-mcp-header": "Flag"},
            "o": {"type": "object", "properties": {
                "s": {"type": "string"},
                "o": {"properties": {"s": {"type": "string", "x-mcp-header": "Nested"}}},
            }},
            "other": {"type": "string"},
        },
        "required": ["s"],
    }))
    .unwrap()
    .unwrap()
}

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

/// The code and the sentence of the refusal, when there is one.
fn check(lines: &[(&str, &str)], arguments: &str) -> Option<(i32, String)> {
    let arguments = Raw::from_json(arguments.to_owned()).unwrap();
    let refusal = params().check(&headers(lines), Some(&arguments)).err()?;
    assert_eq!(refusal.status(), 400);
    Some((refusal.code().0, refusal.message().to_owned()))
}

fn code(lines: &[(&str, &str)], arguments: &str) -> Option<i32> {
    check(lines, arguments).map(|(code, _)| code)
}

const TEXT: &str = "mcp-param-text";
const NUMBER: &str = "mcp-param-number";
const FLAG: &str = "mcp-param-flag";
const NESTED: &str = "mcp-param-nested";
const MISMATCH: Option<i32> = Some(-32020);
const INVALID: Option<i32> = Some(-32602);

#[test]
fn every_scenario_of_the_specification_is_served() {
    // Parameter value provided.
    assert_eq!(code(&[(TEXT, "us-west1")], r#"{"s":"us-west1"}"#), None);
    assert_eq!(code(&[(TEXT, "us-east1")], r#"{"s":"us-west1"}"#), MISMATCH);
    // Parameter value is `null`.
    assert_eq!(code(&[], r#"{"s":null,"i":null,"b":null,"o":null}"#), None);
    assert_eq!(code(&[(TEXT, "null")], r#"{"s":null}"#), MISMATCH);
    assert_eq!(code(&[(TEXT, "")], r#"{"s":null}"#), MISMATCH);
    // Parameter not in arguments.
    assert_eq!(code(&[], "{}"), None);
    assert_eq!(code(&[(TEXT, "us-west1")], "{}"), MISMATCH);
    assert_eq!(code(&[(TEXT, "")], "{}"), MISMATCH);
    // Client omits header but value is in body.
    assert_eq!(code(&[], r#"{"s":"us-west1"}"#), MISMATCH);
    assert_eq!(code(&[], r#"{"s":""}"#), MISMATCH);
    assert_eq!(code(&[], r#"{"i":0}"#), MISMATCH);
    assert_eq!(code(&[], r#"{"b":false}"#), MISMATCH);
    assert_eq!(code(&[], r#"{"o":{"o":{"s":"x"}}}"#), MISMATCH);
    // No arguments at all.
    assert!(params().check(&headers(&[]), None).is_ok());
    assert!(params().check(&headers(&[(TEXT, "x")]), None).is_err());
    // Headers that the tool knows nothing of.
    assert_eq!(code(&[("mcp-param-other", "x"), ("mcp-param-s", "y")], r#"{"other":"z"}"#), None);
}

#[test]
fn the_sentences_say_what_to_do() {
    let unreadable = "The Mcp-Param-Text header is not visible ASCII, or not the Base64 that it is marked as. Send in it what the body says.";
    for (lines, arguments, expected) in [
        (&[][..], r#"{"s":"a"}"#, "The Mcp-Param-Text header is missing. Send in it what the body says."),
        (
            &[(TEXT, "b")],
            r#"{"s":"\u0061"}"#,
            "The Mcp-Param-Text header says \"b\", and the body \"a\". Send the same in both.",
        ),
        (
            &[(NUMBER, "43")],
            r#"{"i":42}"#,
            "The Mcp-Param-Number header says \"43\", and the body \"42\". Send the same in both.",
        ),
        (
            &[(TEXT, "a"), (TEXT, "a")],
            r#"{"s":"a"}"#,
            "The Mcp-Param-Text header was sent more than once. Send it once.",
        ),
        (
            &[(NESTED, "a")],
            r#"{"o":{"o":{}}}"#,
            "The Mcp-Param-Nested header is sent, and the body has no argument \"o.o.s\". Leave the header out.",
        ),
        (&[(TEXT, "é")], r#"{"s":"é"}"#, unreadable),
        (&[(TEXT, "=?base64?SGVsbG8?=")], r#"{"s":"Hello"}"#, unreadable),
    ] {
        assert_eq!(check(lines, arguments), Some((-32020, expected.to_owned())), "{lines:?} {arguments}");
    }
    for (arguments, expected) in [
        (
            r#"{"s":["a"]}"#,
            "The argument \"s\" goes into the Mcp-Param-Text header and must be a string, an integer or a boolean. Correct it.",
        ),
        (
            r#"{"o":{"o":{"s":"\ud800"}}}"#,
            "The argument \"o.o.s\" goes into the Mcp-Param-Nested header and must be text in Unicode. Correct it.",
        ),
        (
            r#"{"i":9007199254740992}"#,
            "The argument \"i\" goes into the Mcp-Param-Number header and must be an integer from -(2^53-1) to 2^53-1. Correct it.",
        ),
        (r#"{"s":"a","s":"a"}"#, "The member \"s\" occurs twice in \"arguments\". Send it once."),
    ] {
        assert_eq!(check(&[], arguments), Some((-32602, expected.to_owned())), "{arguments}");
    }
}

#[test]
fn strings_are_compared_exactly() {
    for (value, arguments) in [
        ("=?base64?SGVsbG8=?=", r#"{"s":"Hello"}"#),
        ("SGVsbG8=", r#"{"s":"SGVsbG8="}"#),
        ("=?base64?SGVsbG8=", r#"{"s":"=?base64?SGVsbG8="}"#),
        ("=?base64?SGVsbG8sIOS4lueVjA==?=", r#"{"s":"Hello, \u4e16界"}"#),
        ("=?base64?IHBhZGRlZCA=?=", r#"{"s":" padded "}"#),
        ("=?base64?bGluZTEKbGluZTI=?=", r#"{"s":"line1\nline2"}"#),
        ("=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=", r#"{"s":"=?base64?literal?="}"#),
        ("  us-west1\t", r#"{"s":"us-west1"}"#),
        ("us west 1", r#"{"s":"us west 1"}"#),
        ("", r#"{"s":""}"#),
        ("=?base64??=", r#"{"s":""}"#),
        ("042", r#"{"s":"042"}"#),
        ("null", r#"{"s":"null"}"#),
        ("a, b", r#"{"s":"a, b"}"#),
    ] {
        assert_eq!(check(&[(TEXT, value)], arguments), None, "{value} {arguments}");
    }
    for (value, arguments) in [
        ("US-WEST1", r#"{"s":"us-west1"}"#),
        ("us-west1, us-west1", r#"{"s":"us-west1"}"#),
        ("42.0", r#"{"s":"42"}"#),
        ("true", r#"{"s":"True"}"#),
        ("padded", r#"{"s":" padded "}"#),
        ("=?base64?SGVs!!!bG8=?=", r#"{"s":"Hello"}"#),
        ("=?base64?SGVsbG8=?=", r#"{"s":"=?base64?SGVsbG8=?="}"#),
    ] {
        assert_eq!(code(&[(TEXT, value)], arguments), MISMATCH, "{value} {arguments}");
    }
}

#[test]
fn numbers_are_compared_by_value() {
    let same = ["42", "42.0", "4.2e1", "420E-1", "=?base64?NDI=?=", " 42 "];
    for value in same {
        for argument in ["42", "42.0", "4.2e1", "42.000"] {
            let arguments = format!("{{\"i\":{argument}}}");
            assert_eq!(check(&[(NUMBER, value)], &arguments), None, "{value} {argument}");
        }
    }
    for (value, argument) in [
        ("0", "-0"),
        ("-0.0", "0"),
        ("-7", "-7"),
        ("9007199254740991", "9007199254740991"),
        ("-9007199254740991.0", "-9007199254740991"),
        // No integers, which the handler will say.
        ("42.5", "42.5"),
        ("0.5", "5e-1"),
    ] {
        assert_eq!(check(&[(NUMBER, value)], &format!("{{\"i\":{argument}}}")), None, "{value} {argument}");
    }
    for (value, argument) in [
        ("43", "42"),
        ("-42", "42"),
        ("42.1", "42"),
        ("+42", "42"),
        ("042", "42"),
        ("0x2A", "42"),
        ("4 2", "42"),
        ("42,42", "42"),
        ("forty-two", "42"),
        ("\"42\"", "42"),
        ("", "0"),
        ("true", "1"),
        ("9007199254740992", "9007199254740991"),
        ("9007199254740991.0000000001", "9007199254740991"),
        ("1e99999999999", "1"),
    ] {
        assert_eq!(
            code(&[(NUMBER, value)], &format!("{{\"i\":{argument}}}")),
            MISMATCH,
            "{value} {argument}"
        );
    }
    // Beyond the integers that everybody can tell apart, whatever the header says.
    for argument in ["9007199254740992", "-9007199254740992", "18446744073709551616", "1e16", "1e99999999999"]
    {
        let arguments = format!("{{\"i\":{argument}}}");
        assert_eq!(code(&[(NUMBER, argument)], &arguments), INVALID, "{argument}");
        assert_eq!(code(&[], &arguments), INVALID, "{argument}");
    }
}

#[test]
fn booleans_are_two_words() {
    for (value, argument, expected) in [
        ("true", "true", None),
        ("false", "false", None),
        ("=?base64?dHJ1ZQ==?=", "true", None),
        ("false", "true", MISMATCH),
        ("True", "true", MISMATCH),
        ("TRUE", "true", MISMATCH),
        ("1", "true", MISMATCH),
        ("0", "false", MISMATCH),
        ("", "false", MISMATCH),
    ] {
        assert_eq!(code(&[(FLAG, value)], &format!("{{\"b\":{argument}}}")), expected, "{value} {argument}");
    }
}

#[test]
fn the_argument_counts_and_not_the_type_it_should_have() {
    assert_eq!(code(&[(TEXT, "42.0")], r#"{"s":42}"#), None);
    assert_eq!(code(&[(NUMBER, "42")], r#"{"i":"42"}"#), None);
    assert_eq!(code(&[(NUMBER, "42.0")], r#"{"i":"42"}"#), MISMATCH);
    assert_eq!(code(&[(FLAG, "yes")], r#"{"b":"yes"}"#), None);
    for arguments in [r#"{"s":{}}"#, r#"{"i":[42]}"#, r#"{"b":{"s":true}}"#] {
        assert_eq!(code(&[], arguments), INVALID, "{arguments}");
    }
}

#[test]
fn the_exact_path_leads_to_the_argument() {
    assert_eq!(code(&[(NESTED, "x")], r#"{"o":{"o":{"s":"x"}}}"#), None);
    assert_eq!(code(&[(NESTED, "x")], r#"{"o":{"s":"x","o":{"o":{"s":"x"}}},"s":null}"#), MISMATCH);
    // Keys are compared as text.
    assert_eq!(code(&[(NESTED, "x")], "{\"\\u006f\":{\"o\":{\"\\u0073\":\"x\"}}}"), None);
    // What is no object has no members.
    for arguments in [
        r#"{"o":[{"o":{"s":"x"}}]}"#,
        r#"{"o":"o"}"#,
        r#"{"o":{"o":7}}"#,
        r#"{"o":{"o":[]}}"#,
        "[]",
        "null",
        "\"s\"",
    ] {
        assert_eq!(code(&[], arguments), None, "{arguments}");
        assert_eq!(code(&[(NESTED, "x")], arguments), MISMATCH, "{arguments}");
    }
}

#[test]
fn what_is_said_twice_is_refused() {
    for arguments in [
        r#"{"s":"x","s":"x"}"#,
        r#"{"s":null,"s":"x"}"#,
        "{\"s\":\"x\",\"\\u0073\":\"y\"}",
        r#"{"o":{"o":{"s":"x"}},"o":{}}"#,
        r#"{"o":{},"o":{"o":{"s":"x"}}}"#,
        r#"{"o":{"o":{"s":"x"},"o":null}}"#,
    ] {
        for lines in [&[][..], &[(TEXT, "x")], &[(NESTED, "x")]] {
            assert_eq!(code(lines, arguments), INVALID, "{arguments}");
        }
    }
    assert_eq!(code(&[], r#"{"other":1,"other":2,"o":{"s":1,"s":2}}"#), None, "nobody routes on these");
    assert_eq!(code(&[(TEXT, "x"), (TEXT, "x")], r#"{"s":"x"}"#), MISMATCH);
    assert_eq!(code(&[(TEXT, "x"), (TEXT, "y")], "{}"), MISMATCH);
}

#[test]
fn a_client_sends_what_the_server_expects() {
    let arguments = Raw::from_json(
        "{\"b\":true,\"i\":-4.20e1,\"s\":\"Hello, 世界\",\"o\":{\"o\":{\"s\":\"us west 1\"}},\"other\":\"x\"}",
    )
    .unwrap();
    let sent: Vec<_> = params()
        .encode(Some(&arguments))
        .into_iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    let mut sorted = sent.clone();
    sorted.sort();
    assert_eq!(
        sorted,
        [
            "mcp-param-flag: true",
            "mcp-param-nested: us west 1",
            "mcp-param-number: -42",
            "mcp-param-text: =?base64?SGVsbG8sIOS4lueVjA==?=",
        ]
    );
    for (arguments, expected) in [
        ("{}", &[][..]),
        (r#"{"s":null,"i":9007199254740992,"b":[true]}"#, &[]),
        (r#"{"s":"","i":-0}"#, &["0", "=?base64??="]),
        (r#"{"i":1e3}"#, &["1000"]),
        (r#"{"i":42.5}"#, &["42.5"]),
        (r#"{"i":9007199254740991}"#, &["9007199254740991"]),
        (r#"{"b":false}"#, &["false"]),
    ] {
        let arguments = Raw::from_json(arguments).unwrap();
        let mut values: Vec<_> =
            params().encode(Some(&arguments)).into_iter().map(|(_, value)| value).collect();
        values.sort();
        assert_eq!(values, expected, "{arguments:?}");
    }
    assert!(params().encode(None).is_empty());
}

#[test]
fn schemas_without_annotations_have_no_headers() {
    for schema in [
        json!(true),
        json!({}),
        json!({"type": "object", "additionalProperties": false}),
        json!({"properties": {"x-mcp-header": {"type": "string"}}}),
        json!({"properties": {"a": {"type": "object", "properties": {"x-mcp-header": {"type": "array"}}}}}),
        json!({"properties": {"a": {
            "default": {"x-mcp-header": "A"}, "const": {"x-mcp-header": "A"}, "enum": [{"x-mcp-header": "A"}],
            "examples": [{"x-mcp-header": "A"}],
        }}}),
        json!({"$defs": {"x-mcp-header": {"type": "string"}}, "$ref": "#/$defs/x-mcp-header"}),
        json!({"dependencies": {"a": ["x-mcp-header"]}, "properties": []}),
    ] {
        assert!(compile(&schema).unwrap().is_none(), "{schema}");
    }
}

#[test]
fn annotations_may_be_where_properties_alone_lead() {
    let shown = |schema: serde_json::Value| {
        let mut shown: Vec<_> = compile(&schema)
            .unwrap()
            .unwrap()
            .params
            .into_iter()
            .map(|param| format!("{} {}", param.path, param.header))
            .collect();
        shown.sort();
        shown
    };
    let annotated = |kind: &str, name: &str| json!({"type": kind, "x-mcp-header": name});
    assert_eq!(
        shown(json!({"properties": {
            "a": annotated("string", "A-b_c.1"),
            "n": annotated("integer", "Method"),
            "f": annotated("boolean", "!#$%&'*+-.^_`|~"),
            "properties": {"properties": {"properties": annotated("string", "Deep")}},
            "x-mcp-header": annotated("string", "X-Mcp-Header"),
        }})),
        [
            "a mcp-param-a-b_c.1",
            "f mcp-param-!#$%&'*+-.^_`|~",
            "n mcp-param-method",
            "properties.properties mcp-param-deep",
            "x-mcp-header mcp-param-x-mcp-header",
        ]
    );
    // Beside other keywords, even where the property refers elsewhere.
    assert_eq!(
        shown(json!({"properties": {"a": {
            "$ref": "#/$defs/a", "type": "string", "x-mcp-header": "A", "enum": ["x"], "default": "x",
        }}})),
        ["a mcp-param-a"]
    );
}

#[test]
fn annotations_elsewhere_make_the_definition_invalid() {
    let annotated = json!({"type": "string", "x-mcp-header": "A"});
    let named = json!({"a": annotated});
    let object = json!({"properties": named});
    for (schema, at) in [
        (annotated.clone(), ""),
        (json!({"items": annotated}), "items"),
        (json!({"items": [annotated]}), "items"),
        (json!({"prefixItems": [{}, annotated]}), "prefixItems"),
        (json!({"contains": annotated}), "contains"),
        (json!({"additionalItems": annotated}), "additionalItems"),
        (json!({"unevaluatedItems": annotated}), "unevaluatedItems"),
        (json!({"additionalProperties": annotated}), "additionalProperties"),
        (json!({"unevaluatedProperties": annotated}), "unevaluatedProperties"),
        (json!({"propertyNames": annotated}), "propertyNames"),
        (json!({"contentSchema": annotated}), "contentSchema"),
        (json!({"patternProperties": named}), "a"),
        (json!({"dependentSchemas": named}), "a"),
        (json!({"dependencies": named}), "a"),
        (json!({"$defs": named, "properties": {"b": {"$ref": "#/$defs/a"}}}), "a"),
        (json!({"definitions": named}), "a"),
        (json!({"oneOf": [object]}), "oneOf.a"),
        (json!({"anyOf": [true, object]}), "anyOf.a"),
        (json!({"allOf": [object]}), "allOf.a"),
        (json!({"not": object}), "not.a"),
        (json!({"if": object}), "if.a"),
        (json!({"then": object}), "then.a"),
        (json!({"else": object}), "else.a"),
        (json!({"properties": {"l": {"type": "array", "items": object}}}), "l.items.a"),
        (json!({"properties": {"o": {"properties": {"u": {"oneOf": [annotated]}}}}}), "o.u.oneOf"),
        // Below one that has a header itself.
        (json!({"properties": {"p": {"type": "string", "x-mcp-header": "P", "properties": named}}}), "p.a"),
    ] {
        assert_eq!(
            compile(&schema).unwrap_err(),
            format!(
                "The x-mcp-header at \"{at}\" is not on a property that is reached from the schema's root by \"properties\" alone. Move it to one, or leave it out."
            ),
            "{schema}"
        );
    }
}

#[test]
fn annotations_that_break_a_rule_are_refused() {
    let property = |kind: serde_json::Value, name: serde_json::Value| {
        compile(&json!({"properties": {"a": {"type": kind, "x-mcp-header": name}}})).err()
    };
    let long = "x".repeat(129);
    for name in [
        json!(""),
        json!(" "),
        json!("My Region"),
        json!("Region:"),
        json!("Région"),
        json!("a\tb"),
        json!("a\r\nX-Evil: 1"),
        json!("a\0"),
        json!("(a)"),
        json!("a/b"),
        json!("\"a\""),
        json!(long),
        json!(null),
        json!(true),
        json!(7),
        json!(["Region"]),
        json!({"name": "Region"}),
    ] {
        assert_eq!(
            property(json!("string"), name.clone()).as_deref(),
            Some(
                "The x-mcp-header of \"a\" must be the end of a header's name, of 1 to 128 characters. Use letters, digits and hyphens."
            ),
            "{name}"
        );
    }
    for kind in [
        json!("number"),
        json!("object"),
        json!("array"),
        json!("null"),
        json!("String"),
        json!(null),
        json!(["string"]),
        json!(["string", "null"]),
    ] {
        assert_eq!(
            property(kind.clone(), json!("A")).as_deref(),
            Some(
                "The x-mcp-header of \"a\" is on a property whose \"type\" is not \"string\", \"integer\" or \"boolean\". Give it one of these, or leave the x-mcp-header out."
            ),
            "{kind}"
        );
    }
    assert!(compile(&json!({"properties": {"a": {"x-mcp-header": "A"}}})).is_err(), "a type is needed");
    for other in ["Region", "REGION", "region"] {
        assert_eq!(
            compile(&json!({"properties": {
                "a": {"type": "string", "x-mcp-header": "Region"},
                "b": {"properties": {"c": {"type": "integer", "x-mcp-header": other}}},
            }}))
            .unwrap_err(),
            format!(
                "The x-mcp-header \"{other}\" is on \"b.c\" and, but for its case, on \"a\" too. Give each its own."
            )
        );
    }
}

#[test]
fn there_is_a_bound_on_headers() {
    let many = |count: usize| {
        let properties: serde_json::Map<_, _> = (0..count)
            .map(|at| (format!("p{at:03}"), json!({"type": "integer", "x-mcp-header": format!("P{at}")})))
            .collect();
        compile(&json!({"properties": properties}))
    };
    let most = many(64).unwrap().unwrap();
    assert_eq!(
        many(65).unwrap_err(),
        "There are more than 64 properties with an x-mcp-header. Keep those that proxies need."
    );
    // The last of them is found, and found twice.
    let arguments = Raw::from_json(r#"{"p063":7,"p000":1}"#).unwrap();
    assert!(most.check(&headers(&[("mcp-param-p63", "7"), ("mcp-param-p0", "1")]), Some(&arguments)).is_ok());
    let arguments = Raw::from_json(r#"{"p063":7,"p063":7}"#).unwrap();
    assert_eq!(
        most.check(&HeaderMap::new(), Some(&arguments)).unwrap_err().kind(),
        RefusalKind::InvalidParams
    );
    let deep = format!("{}{{}}{}", "{\"not\":".repeat(127), "}".repeat(127));
    assert!(ParamHeaders::compile(&Raw::from_json(deep).unwrap()).unwrap_err().contains("cannot be read"));
}

fn argument() -> impl Strategy<Value = serde_json::Value> {
    prop_oneof![
        any::<String>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        (-9_007_199_254_740_991_i64..=9_007_199_254_740_991).prop_map(serde_json::Value::from),
        any::<bool>().prop_map(serde_json::Value::from),
        Just(serde_json::Value::Null),
    ]
}

/// Whether a header can carry it.
fn is_carried(value: &serde_json::Value) -> bool {
    value.as_i64().is_none_or(|number| number.unsigned_abs() < 1 << 53)
}

proptest! {
    #[test]
    fn what_a_client_encodes_a_server_accepts(values in proptest::collection::vec(argument(), 4), drop in 0..5_usize) {
        let arguments = json!({"s": values[0], "i": values[1], "b": values[2], "o": {"o": {"s": values[3]}}});
        let arguments = Raw::new(&arguments).unwrap();
        let params = params();
        let mut lines = params.encode(Some(&arguments));
        let is_sound = values.iter().all(is_carried);
        let headers: HeaderMap = lines.iter().cloned().collect();
        prop_assert_eq!(params.check(&headers, Some(&arguments)).is_ok(), is_sound);
        // Without any one of them it is refused.
        if drop < lines.len() {
            lines.remove(drop);
            let headers: HeaderMap = lines.into_iter().collect();
            prop_assert!(params.check(&headers, Some(&arguments)).is_err());
        }
    }

    #[test]
    fn headers_of_other_arguments_are_refused(one in argument(), other in argument()) {
        let raw = |value: &serde_json::Value| Raw::new(&json!({"s": value})).unwrap();
        let params = params();
        let headers: HeaderMap = params.encode(Some(&raw(&one))).into_iter().collect();
        let is_ok = params.check(&headers, Some(&raw(&other))).is_ok();
        // Different types may look the same in a header: "42" and 42.
        let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let is_same = text(&one) == text(&other) && one.is_null() == other.is_null();
        let nothing_to_say = other.is_null() && headers.is_empty();
        prop_assert_eq!(is_ok, is_carried(&other) && ((is_same && is_carried(&one)) || nothing_to_say));
    }

    #[test]
    fn no_header_makes_it_fail_otherwise(value in proptest::collection::vec(any::<u8>(), 0..24)) {
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            let headers = HeaderMap::from_iter([(HeaderName::from_static(TEXT), value)]);
            let arguments = Raw::from_json(r#"{"s":"x"}"#).unwrap();
            if let Err(refusal) = params().check(&headers, Some(&arguments)) {
                prop_assert_eq!(refusal.kind(), RefusalKind::HeaderMismatch);
            }
        }
    }
}
