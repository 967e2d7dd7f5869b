use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::model::{PromptsCapability, ResourcesCapability, ToolsCapability};

fn everything() -> ServerCapabilities {
    ServerCapabilities::new()
        .with_tools(ToolsCapability { list_changed: true })
        .with_prompts(PromptsCapability { list_changed: true })
        .with_resources(ResourcesCapability { list_changed: true, subscribe: true })
}

fn params(filter: &Value) -> Raw {
    Raw::new(&json!({ "notifications": filter, "_meta": {"io.modelcontextprotocol/clientCapabilities": {}} }))
        .unwrap()
}

fn open_with(filter: &Value, offered: &ServerCapabilities) -> Listening {
    let id = RequestId::String(Str::from("listen-1"));
    Listening::open(&id, Some(&params(filter)), offered, &ListenLimits::default()).unwrap()
}

fn open(filter: &Value) -> Listening {
    open_with(filter, &everything())
}

/// All that is to be written now. Each message is checked against the published schema, where that is at hand.
fn drain(listening: &mut Listening) -> Vec<Value> {
    let mut messages = Vec::new();
    while listening.has_next() {
        let mut out = BytesMut::from("before|");
        assert!(listening.write_next(&mut out));
        let line = out.strip_prefix(b"before|").expect("it appends");
        assert!(!line.contains(&b'\n'), "a message is a line");
        messages.push(serde_json::from_slice(line).unwrap());
    }
    assert!(!listening.write_next(&mut BytesMut::new()));
    messages
}

/// What a message is about, in short: `tools`, `a:b`, `acknowledged`, `result`, `cancelled`.
fn in_short(message: &Value) -> String {
    let Some(method) = message["method"].as_str() else { return "result".to_owned() };
    match method {
        "notifications/resources/updated" => message["params"]["uri"].as_str().unwrap().to_owned(),
        "notifications/subscriptions/acknowledged" => "acknowledged".to_owned(),
        _ => method.split('/').nth(1).unwrap().to_owned(),
    }
}

fn shorts(listening: &mut Listening) -> Vec<String> {
    drain(listening).iter().map(in_short).collect()
}

fn acknowledged(listening: &mut Listening) -> Value {
    let messages = drain(listening);
    assert_eq!(in_short(&messages[0]), "acknowledged");
    messages[0]["params"]["notifications"].clone()
}

#[test]
fn the_acknowledgment_comes_first_whatever_happened_before_it() {
    let all = json!({"toolsListChanged": true, "resourceSubscriptions": ["a:b"]});
    for (before, expected) in [
        ((|_| {}) as fn(&mut Listening), ["acknowledged"].as_slice()),
        (
            |it| {
                it.handle_change(Change::Resource("a:b"));
                it.handle_change(Change::Tools);
            },
            &["acknowledged", "a:b", "tools"],
        ),
        (|it| it.end_gracefully(None), &["acknowledged", "result"]),
        (
            |it| {
                it.handle_change(Change::Tools);
                it.end_gracefully(None);
            },
            &["acknowledged", "tools", "result"],
        ),
        (
            |it| {
                it.handle_change(Change::Tools);
                it.end_forced("why");
            },
            &["acknowledged", "cancelled"],
        ),
    ] {
        let mut listening = open(&all);
        before(&mut listening);
        assert_eq!(shorts(&mut listening), expected);
    }
}

#[test]
fn it_tells_what_was_asked_and_offered_and_nothing_else() {
    let asked = json!({
        "toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true,
        "resourceSubscriptions": ["z:1", "a:b"], "com.example/moonPhases": true,
    });
    let changes = [
        Change::Tools,
        Change::Prompts,
        Change::Resources,
        Change::Resource("a:b"),
        Change::Resource("a:c"),
        Change::Resource("a:"),
    ];
    let heard = |filter: &Value, offered: &ServerCapabilities| {
        let mut listening = open_with(filter, offered);
        let agreed = acknowledged(&mut listening);
        for change in changes {
            let wants = listening.wants(change);
            assert_eq!(listening.handle_change(change) == Heard::New, wants);
        }
        (agreed, shorts(&mut listening))
    };
    // The order of the URIs stays the client's own.
    let (agreed, told) = heard(&asked, &everything());
    assert_eq!(
        agreed,
        json!({
            "toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true,
            "resourceSubscriptions": ["z:1", "a:b"],
        })
    );
    assert_eq!(told, ["tools", "prompts", "resources", "a:b"]);
    let nothing = ServerCapabilities::new()
        .with_tools(ToolsCapability { list_changed: false })
        .with_resources(ResourcesCapability { list_changed: false, subscribe: false });
    assert_eq!(heard(&asked, &nothing), (json!({}), vec![]));
    assert_eq!(heard(&json!({}), &everything()), (json!({}), vec![]));
    let off = json!({"toolsListChanged": false, "promptsListChanged": null, "resourceSubscriptions": []});
    assert_eq!(heard(&off, &everything()), (json!({}), vec![]));
    let only = ServerCapabilities::new()
        .with_resources(ResourcesCapability { list_changed: false, subscribe: true });
    assert_eq!(heard(&asked, &only), (json!({"resourceSubscriptions": ["z:1", "a:b"]}), vec!["a:b".into()]));
}

#[test]
fn what_waits_is_told_once_and_what_comes_later_again() {
    let mut listening =
        open(&json!({"toolsListChanged": true, "resourceSubscriptions": ["a:b", "a:b", "c:d"]}));
    assert_eq!(listening.handle_change(Change::Resource("c:d")), Heard::New);
    for change in [Change::Tools, Change::Resource("a:b")] {
        assert_eq!(listening.handle_change(change), Heard::New);
        assert_eq!(listening.handle_change(change), Heard::Again);
    }
    assert_eq!(listening.handle_change(Change::Prompts), Heard::Not);
    assert_eq!(shorts(&mut listening), ["acknowledged", "c:d", "tools", "a:b"]);
    assert_eq!(listening.handle_change(Change::Tools), Heard::New);
    assert_eq!(shorts(&mut listening), ["tools"]);
}

#[test]
fn after_the_end_nothing_comes() {
    for forced in [false, true] {
        let mut listening = open(&json!({"toolsListChanged": true}));
        if forced {
            listening.end_forced("why");
        } else {
            listening.end_gracefully(None);
        }
        assert!(!listening.is_over() && !listening.wants(Change::Tools));
        assert_eq!(listening.handle_change(Change::Tools), Heard::Not);
        // The first end counts.
        listening.end_gracefully(None);
        listening.end_forced("another");
        let last = if forced { "cancelled" } else { "result" };
        assert_eq!(shorts(&mut listening), ["acknowledged", last]);
        assert!(listening.is_over());
        listening.end_forced("too late");
        listening.end_gracefully(None);
        assert!(!listening.has_next() && listening.is_over());
    }
}

#[test]
fn what_its_client_took_back_says_nothing_more() {
    for before in [
        (|_| {}) as fn(&mut Listening),
        |it| drop(drain(it)),
        |it| it.end_gracefully(None),
        |it| it.end_forced("why"),
    ] {
        let mut listening = open(&json!({"toolsListChanged": true}));
        before(&mut listening);
        listening.handle_change(Change::Tools);
        listening.cancel();
        assert!(listening.is_over() && !listening.has_next());
        assert_eq!(listening.handle_change(Change::Tools), Heard::Not);
        listening.end_gracefully(None);
        assert!(!listening.write_next(&mut BytesMut::new()));
    }
}

#[test]
fn the_messages_are_those_of_the_specification() {
    let mut listening =
        open(&json!({"toolsListChanged": true, "resourceSubscriptions": ["file:///project/config.json"]}));
    listening.handle_change(Change::Resource("file:///project/config.json"));
    listening.handle_change(Change::Tools);
    listening.end_gracefully(Some(Raw::from_json(r#"{"name":"s","version":"1"}"#).unwrap()));
    let mut messages = drain(&mut listening);
    let mut cancelled = open(&json!({}));
    cancelled.end_forced("say \"when\"\n");
    messages.extend(drain(&mut cancelled));
    let meta = json!({"io.modelcontextprotocol/subscriptionId": "listen-1"});
    assert_eq!(
        messages,
        [
            json!({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": {
                "_meta": meta,
                "notifications": {"toolsListChanged": true, "resourceSubscriptions": ["file:///project/config.json"]},
            }}),
            json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {
                "_meta": meta, "uri": "file:///project/config.json",
            }}),
            json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed", "params": {"_meta": meta}}),
            json!({"jsonrpc": "2.0", "id": "listen-1", "result": {
                "resultType": "complete",
                "_meta": {
                    "io.modelcontextprotocol/subscriptionId": "listen-1",
                    "io.modelcontextprotocol/serverInfo": {"name": "s", "version": "1"},
                },
            }}),
            json!({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": {
                "_meta": meta, "notifications": {},
            }}),
            json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {
                "_meta": meta, "requestId": "listen-1", "reason": "say \"when\"\n",
            }}),
        ]
    );
    let Some(directory) = crate::model::tests::schema_directory() else { return };
    let path = directory.join("2026-07-28").join("schema.json");
    let schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    for message in &messages {
        let definition = if message.get("id").is_some() {
            "SubscriptionsListenResultResponse"
        } else {
            "ServerNotification"
        };
        let mut schema = schema.clone();
        schema["$ref"] = json!(format!("#/$defs/{definition}"));
        let misfits: Vec<String> = jsonschema::validator_for(&schema)
            .unwrap()
            .iter_errors(message)
            .map(|error| format!("{error} at {}", error.instance_path()))
            .collect();
        assert!(misfits.is_empty(), "{misfits:#?}\n{message:#}");
    }
}

#[test]
fn the_id_is_echoed_as_it_is() {
    for id in
        [RequestId::Number(-7), RequestId::String(Str::from("a\"\n\u{e4}")), RequestId::String(Str::from(""))]
    {
        let mut listening =
            Listening::open(&id, Some(&params(&json!({}))), &everything(), &ListenLimits::default()).unwrap();
        listening.end_gracefully(None);
        let messages = drain(&mut listening);
        let expected = serde_json::to_value(&id).unwrap();
        assert_eq!(messages[0]["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], expected);
        assert_eq!(messages[1]["id"], expected);
    }
}

#[test]
fn a_filter_that_is_none_is_refused_with_a_sentence() {
    let limits = ListenLimits { resources: 2, uri_bytes: 8, filter_bytes: 12, id_bytes: 4 };
    let refused = |id: &str, params: Option<&str>| {
        let id = RequestId::String(Str::from(id.to_owned()));
        let params = params.map(|params| Raw::from_json(params.to_owned()).unwrap());
        Listening::open(&id, params.as_ref(), &everything(), &limits)
            .map(|_| "taken".to_owned())
            .unwrap_or_else(|error| format!("{} {}", error.code, error.message))
    };
    let filter = |filter: &str| refused("1", Some(&format!(r#"{{"notifications":{filter}}}"#)));
    let cases = [
        ("no params", refused("1", None)),
        ("an array", refused("1", Some("[]"))),
        ("no filter", refused("1", Some("{}"))),
        ("null", filter("null")),
        ("a list", filter("[true,true]")),
        ("a flag that is none", filter(r#"{"toolsListChanged":"yes"}"#)),
        ("a URI that is none", filter(r#"{"resourceSubscriptions":[1]}"#)),
        ("one URI", filter(r#"{"resourceSubscriptions":"a:b"}"#)),
        ("as many as may be", filter(r#"{"resourceSubscriptions":["a:345678","a:34"]}"#)),
        ("too many", filter(r#"{"resourceSubscriptions":["a","b","c"]}"#)),
        ("too long", filter(r#"{"resourceSubscriptions":["a:3456789"]}"#)),
        ("too much", filter(r#"{"resourceSubscriptions":["a:345678","a:345"]}"#)),
        ("two filters", refused("1", Some(r#"{"notifications":{},"notifications":{}}"#))),
        ("a long id", refused("12345", Some(r#"{"notifications":{}}"#))),
        ("an id as long as may be", refused("1234", Some(r#"{"notifications":{}}"#))),
    ];
    let text: String = cases.iter().map(|(case, outcome)| format!("{case}: {outcome}\n")).collect();
    insta::assert_snapshot!(text);
}

#[test]
fn its_debug_form_tells_no_uri() {
    let listening = open(&json!({"resourceSubscriptions": ["file:///private"]}));
    let text = format!("{listening:?}");
    assert!(text.contains("uris: 1") && !text.contains("private"), "{text}");
}

/// What may happen to a subscription.
#[derive(Clone, Debug)]
enum Op {
    Change(usize),
    Write,
    EndGracefully,
    EndForced,
    Cancel,
}

const NAMES: [&str; 6] = ["tools", "prompts", "resources", "a:1", "a:2", "a:3"];

fn change(at: usize) -> Change<'static> {
    match NAMES[at] {
        "tools" => Change::Tools,
        "prompts" => Change::Prompts,
        "resources" => Change::Resources,
        uri => Change::Resource(uri),
    }
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => (0..NAMES.len()).prop_map(Op::Change),
        8 => Just(Op::Write),
        1 => Just(Op::EndGracefully),
        1 => Just(Op::EndForced),
        1 => Just(Op::Cancel),
    ]
}

proptest! {
    /// Whatever happens in whatever order: the acknowledgment first, then every change that was asked for after it happened
    /// and once, then the end, and never more waiting than the filter has.
    #[test]
    fn it_does_as_a_simple_list_would(asked in vec(any::<bool>(), NAMES.len()), ops in vec(op(), 0..60)) {
        let uris: Vec<&str> = (3..NAMES.len()).filter(|at| asked[*at]).map(|at| NAMES[at]).collect();
        let mut listening = open(&json!({
            "toolsListChanged": asked[0], "promptsListChanged": asked[1], "resourcesListChanged": asked[2],
            "resourceSubscriptions": uris,
        }));
        let mut expected = vec!["acknowledged".to_owned()];
        let mut ended = false;
        for op in ops {
            match op {
                Op::Change(at) => {
                    let waits = expected.iter().any(|name| name == NAMES[at]);
                    let heard = match (asked[at] && !ended, waits) {
                        (false, _) => Heard::Not,
                        (true, true) => Heard::Again,
                        (true, false) => Heard::New,
                    };
                    prop_assert_eq!(listening.handle_change(change(at)), heard);
                    if heard == Heard::New {
                        expected.push(NAMES[at].to_owned());
                    }
                }
                Op::Write => {
                    let mut out = BytesMut::new();
                    let wrote = listening.write_next(&mut out);
                    prop_assert_eq!(wrote, !expected.is_empty());
                    if wrote {
                        let message = serde_json::from_slice::<Value>(&out).unwrap();
                        prop_assert_eq!(in_short(&message), expected.remove(0));
                    }
                }
                Op::EndGracefully if !ended => {
                    ended = true;
                    listening.end_gracefully(None);
                    expected.push("result".to_owned());
                }
                Op::EndForced if !ended => {
                    ended = true;
                    listening.end_forced("why");
                    expected.retain(|name| name == "acknowledged");
                    expected.push("cancelled".to_owned());
                }
                Op::Cancel => {
                    ended = true;
                    listening.cancel();
                    expected.clear();
                }
                Op::EndGracefully => listening.end_gracefully(None),
                Op::EndForced => listening.end_forced("why"),
            }
            let once: BTreeSet<&String> = expected.iter().collect();
            prop_assert_eq!(once.len(), expected.len());
            prop_assert_eq!(listening.has_next(), !expected.is_empty());
            prop_assert_eq!(listening.is_over(), ended && expected.is_empty());
        }
        prop_assert_eq!(shorts(&mut listening), expected);
    }
}
