use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::jsonrpc::{ErrorCode, Str};
use crate::model::{Client, ClientCapabilities, Implementation, InitializeParams};

fn raw(text: &str) -> Raw {
    Raw::from_json(text.to_owned()).unwrap()
}

fn client() -> Client {
    Client { info: Some(Implementation::new("it", "1.0.0")), capabilities: ClientCapabilities::new() }
}

fn envelope(revision: Revision) -> Envelope {
    Envelope::new(revision, &client()).unwrap()
}

fn write(method: &str, params: &Raw, own: &Meta, envelope: &Envelope) -> Result<String, ErrorObject> {
    let mut out = BytesMut::new();
    write_call(&mut out, &RequestId::Number(1), method, params, own, envelope)?;
    Ok(String::from_utf8(out.to_vec()).unwrap())
}

/// One request of each kind that a client sends.
fn requests() -> Vec<(&'static str, &'static str)> {
    vec![
        ("tools/list", "{}"),
        ("tools/list", r#"{"cursor":""}"#),
        ("tools/call", r#"{"name":"add","arguments":{"a":1.50,"b":1e2}}"#),
        ("tools/call", r#"{"_meta":{"example.org/trace":"a1"},"name":"add"}"#),
        ("prompts/list", "{}"),
        ("prompts/get", r#"{"name":"hello","arguments":{"who":"\u00e9"}}"#),
        ("resources/list", "{}"),
        ("resources/templates/list", "{}"),
        ("resources/read", r#"{"uri":"file:///a"}"#),
        (
            "completion/complete",
            r#"{"ref":{"type":"ref/prompt","name":"hello"},"argument":{"name":"who","value":"A"}}"#,
        ),
    ]
}

fn only_modern() -> Vec<(&'static str, &'static str)> {
    vec![
        ("server/discover", "{}"),
        (
            "subscriptions/listen",
            r#"{"notifications":{"toolsListChanged":true,"resourceSubscriptions":["file:///a"]}}"#,
        ),
        (
            "tools/call",
            r#"{"name":"ask","inputResponses":{"q":{"action":"accept","content":{"ok":true}}},"requestState":"a\u0000\ud83d\ude00"}"#,
        ),
    ]
}

fn only_legacy() -> Vec<(&'static str, &'static str)> {
    vec![
        ("ping", "{}"),
        ("logging/setLevel", r#"{"level":"info"}"#),
        ("resources/subscribe", r#"{"uri":"file:///a"}"#),
        ("resources/unsubscribe", r#"{"uri":"file:///a"}"#),
    ]
}

/// Fails when the message is no request of a client in this revision. Checks nothing where the schemas are not at hand.
fn check(revision: Revision, message: &str) {
    let Some(directory) = crate::model::tests::schema_directory() else { return };
    let text = std::fs::read(directory.join(revision.date()).join("schema.json")).unwrap();
    let mut schema: Value = serde_json::from_slice(&text).unwrap();
    let message: Value = serde_json::from_str(message).unwrap();
    // By its own definition: the union of all would take a `_meta` of another kind for an addition.
    let method = message["method"].as_str().unwrap();
    let defined = schema["$defs"].as_object().unwrap().iter().find(|(name, definition)| {
        name.ends_with("Request") && definition["properties"]["method"]["const"] == method
    });
    let name = defined.unwrap_or_else(|| panic!("{revision} has no {method}")).0.clone();
    schema["$ref"] = json!(format!("#/$defs/{name}"));
    let validator = jsonschema::validator_for(&schema).unwrap();
    let misfits: Vec<String> = validator
        .iter_errors(&message)
        .map(|error| format!("{error} at {}", error.instance_path()))
        .collect();
    assert!(misfits.is_empty(), "no {name} of {revision}: {misfits:#?}\n{message:#}");
}

/// The lines in `golden/` are what a client wrote when they were read the last time. `UPDATE_TRANSCRIPTS=1` writes what it writes
/// now: read the difference.
#[test]
fn what_goes_over_the_wire_is_what_the_schemas_want() {
    for (revision, more, golden) in [
        (Revision::LATEST, only_modern(), "modern.jsonl"),
        (Revision::LATEST_LEGACY, only_legacy(), "legacy.jsonl"),
    ] {
        let level = Some(LoggingLevel::Info).filter(|_| revision.is_modern());
        let envelope = envelope(revision).with_log_level(level);
        let mut written = String::new();
        if !revision.is_modern() {
            let who = client();
            let params = InitializeParams::new(revision.date(), who.capabilities, who.info.unwrap());
            let mut message = BytesMut::new();
            jsonrpc::write_request(&mut message, &RequestId::Number(1), "initialize", &params).unwrap();
            let message = String::from_utf8(message.to_vec()).unwrap();
            check(revision, &message);
            written.extend([&message, "\n"]);
        }
        for (method, params) in requests().into_iter().chain(more) {
            let own = match method {
                "tools/call" => Meta::new().with("progressToken", &7).unwrap(),
                _ => Meta::new(),
            };
            let message = write(method, &raw(params), &own, &envelope).unwrap();
            check(revision, &message);
            written.extend([&message, "\n"]);
        }
        let golden =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/client/envelope/golden").join(golden);
        if std::env::var_os("UPDATE_TRANSCRIPTS").is_some() {
            std::fs::write(&golden, &written).unwrap();
        }
        assert_eq!(written, std::fs::read_to_string(&golden).unwrap(), "in {revision}");
    }
}

#[test]
fn what_the_caller_put_into_meta_stays() {
    let envelope = envelope(Revision::LATEST).with_log_level(Some(LoggingLevel::Info));
    let params = raw(r#"{"_meta":{"io.modelcontextprotocol/logLevel":"debug","progressToken":"mine"}}"#);
    let own = Meta::new().with("progressToken", &1).unwrap();
    let message: Value =
        serde_json::from_str(&write("tools/list", &params, &own, &envelope).unwrap()).unwrap();
    let meta = &message["params"]["_meta"];
    assert_eq!(meta["io.modelcontextprotocol/logLevel"], "debug");
    assert_eq!(meta["progressToken"], "mine");
    assert_eq!(meta["io.modelcontextprotocol/clientInfo"]["name"], "it");
    // A level that is said later replaces the one before.
    let envelope = envelope.with_log_level(Some(LoggingLevel::Error));
    let message = write("tools/list", &Raw::empty_object(), &Meta::new(), &envelope).unwrap();
    assert!(message.contains(r#""io.modelcontextprotocol/logLevel":"error""#) && !message.contains("info\""));
}

#[test]
fn params_that_are_none_are_refused() {
    for params in ["[]", "1", r#""x""#, r#"{"_meta":1}"#, r#"{"_meta":{},"_meta":{}}"#] {
        let error = write("x", &raw(params), &Meta::new(), &Envelope::default()).unwrap_err();
        assert_eq!(error.code, ErrorCode::INVALID_PARAMS, "{params}");
    }
}

#[test]
fn answers_and_state_are_the_last_rounds() {
    let params = raw(r#"{"name":"t","requestState":"old","inputResponses":{"old":1},"arguments":{"x":1.0}}"#);
    let state = Str::from(r#"a"\ 😀"#);
    let answers = [(Str::from("q \"1\""), raw(r#"{"action":"accept"}"#)), (Str::from("r"), raw("[1.0]"))];
    let next = with_input(&params, &answers, Some(&state)).unwrap();
    assert_eq!(
        next.as_str(),
        r#"{"name":"t","arguments":{"x":1.0},"inputResponses":{"q \"1\"":{"action":"accept"},"r":[1.0]},"requestState":"a\"\\ 😀"}"#
    );
    // Without a state none is sent, and without answers none.
    assert_eq!(with_input(&params, &[], None).unwrap().as_str(), r#"{"name":"t","arguments":{"x":1.0}}"#);
    assert!(with_input(&raw("[]"), &[], None).is_err());
}

#[test]
fn only_a_result_type_asks_for_input() {
    for (result, asks) in [
        (r#"{"resultType":"input_required","requestState":"s"}"#, true),
        (r#"{"resultType":"input\u005frequired"}"#, true),
        (r#"{"resultType":"complete","x":"input_required"}"#, false),
        (r#"{"x":{"resultType":"input_required"}}"#, false),
        (r#"{"resultType":null}"#, false),
        (r#"{"content":[]}"#, false),
        ("[]", false),
    ] {
        assert_eq!(is_input_required(&raw(result)), asks, "{result}");
    }
}

/// Any JSON, as some writer might put it down.
fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        Just("1.50".to_owned()),
        Just("-0.0e+7".to_owned()),
        ".{0,6}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        Just(r#""\ud83d\ude00 \/ \u0041""#.to_owned()),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|all| format!("[{}]", all.join(" , "))),
            prop::collection::vec((".{0,4}", inner), 0..4).prop_map(|all| {
                let all: Vec<_> =
                    all.iter().map(|(name, value)| format!("{} :{value}", json!(name))).collect();
                format!("{{ {}\n}}", all.join(","))
            }),
        ]
    })
}

proptest! {
    /// Every member but `_meta` keeps its bytes and its place, and `_meta` has everything that belongs there.
    #[test]
    fn params_keep_their_bytes(
        members in prop::collection::vec(("[a-z\"é]{1,4}", any_json()), 0..5),
        meta in prop::option::of((0usize..6, prop::collection::btree_map("[a-z]{1,4}", any_json(), 0..3))),
        space in "[ \n\t]{0,2}",
        is_modern in any::<bool>(),
    ) {
        let mut seen = std::collections::BTreeSet::new();
        let members: Vec<(String, String)> = members
            .into_iter()
            // Names that mean something here may not be there twice.
            .filter(|(name, _)| !["name", "uri"].contains(&name.as_str()) && seen.insert(name.clone()))
            .collect();
        let mut written: Vec<String> =
            members.iter().map(|(name, value)| format!("{}{space}:{space}{value}", json!(name))).collect();
        if let Some((place, meta)) = &meta {
            let inside: Vec<_> = meta.iter().map(|(name, value)| format!("{}:{value}", json!(name))).collect();
            written.insert((*place).min(written.len()), format!(r#""_meta":{{{}}}"#, inside.join(",")));
        }
        let params = raw(&format!("{{{space}{}{space}}}", written.join(&format!("{space},"))));
        let revision = if is_modern { Revision::LATEST } else { Revision::LATEST_LEGACY };
        let own = Meta::new().with("progressToken", &9).unwrap();
        let message = write("x/y", &params, &own, &envelope(revision)).unwrap();

        let message = raw(&message);
        let envelope: std::collections::BTreeMap<String, Raw> = message.parse().unwrap();
        let Members(got) = envelope["params"].parse().unwrap();
        let others: Vec<(String, String)> = got
            .iter()
            .filter(|(name, _)| *name != "_meta")
            .map(|(name, value)| (name.to_string(), value.as_str().to_owned()))
            .collect();
        prop_assert_eq!(others, members);
        let got: Meta = got.iter().find(|(name, _)| *name == "_meta").unwrap().1.parse().unwrap();
        prop_assert_eq!(got.get("progressToken").map(Raw::as_str), Some("9"));
        prop_assert_eq!(got.get(Meta::PROTOCOL_VERSION).is_some(), is_modern);
        for (name, value) in meta.iter().flat_map(|(_, meta)| meta) {
            prop_assert_eq!(got.get(name).map(Raw::as_str), Some(value.as_str()));
        }
    }

    /// What a server gave as its state comes back byte for byte as a text, whatever it is.
    #[test]
    fn state_comes_back(state in ".*") {
        let next = with_input(&raw(r#"{"name":"t"}"#), &[], Some(&Str::from(state.clone()))).unwrap();
        let next: Value = next.parse().unwrap();
        prop_assert_eq!(next["requestState"].as_str(), Some(state.as_str()));
    }
}

#[test]
fn what_is_added_to_meta_comes_at_its_end_and_nothing_else_moves() {
    let own = Meta::new().with("progressToken", &1).unwrap();
    for (params, expected) in [
        ("{ }", r#"{"_meta":{"progressToken":1} }"#),
        (r#"{ "a":1.0 }"#, r#"{"_meta":{"progressToken":1}, "a":1.0 }"#),
        (r#"{"a":1e3,"_meta":{ },"b":[ ]}"#, r#"{"a":1e3,"_meta":{ "progressToken":1},"b":[ ]}"#),
        (
            r#"{"a":1,"a":2,"_m\u0065ta" : {"x":1.0 },"b":0}"#,
            r#"{"a":1,"a":2,"_m\u0065ta" : {"x":1.0 ,"progressToken":1},"b":0}"#,
        ),
        (r#"{"_meta":{"progressToken":7}}"#, r#"{"_meta":{"progressToken":7}}"#),
    ] {
        let written = write("x", &raw(params), &own, &Envelope::default()).unwrap();
        assert_eq!(written, format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{expected}}}"#));
        let untouched = write("x", &raw(params), &Meta::new(), &Envelope::default()).unwrap();
        assert_eq!(untouched, format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{params}}}"#));
    }
}
