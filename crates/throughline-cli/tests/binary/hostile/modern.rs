//! The era without sessions: what a request says of itself may be false.

use serde_json::{Value, json};
use throughline_proto::jsonrpc::Raw as RawJson;
use throughline_proto::stateless::{Binding, KeyRing, Rounds};

use super::Target;
use super::raw::{Answer, post_with};

const VERSION: &str = "2026-07-28";

fn params(own: &Value) -> Value {
    let mut params = own.clone();
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": VERSION,
        "io.modelcontextprotocol/clientInfo": {"name": "hostile", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}, "sampling": {}, "roots": {}},
    });
    params
}

fn message(method: &str, own: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params(own)}).to_string()
}

/// A request whose headers say this.
fn request(method: &str, name: &str, body: &str) -> Vec<u8> {
    let headers = [("mcp-protocol-version", VERSION), ("mcp-method", method), ("mcp-name", name)];
    post_with(&headers, body.as_bytes())
}

/// A call of `tool` whose headers name `named`.
pub(super) fn call(named: &str, tool: &str, arguments: &Value) -> Vec<u8> {
    request("tools/call", named, &message("tools/call", &json!({"name": tool, "arguments": arguments})))
}

async fn answer_to(target: &Target, request: Vec<u8>) -> Answer {
    let mut raw = target.raw().await;
    raw.send(request).await;
    raw.answer().await
}

/// A proxy that let `echo` pass must not have let `slow` pass.
#[tokio::test]
async fn headers_that_say_something_else() {
    let target = Target::start(&[]).await;
    let body = message("tools/call", &json!({"name": "slow", "arguments": {"ms": 600_000}}));
    for (what, headers) in [
        ("another name", vec![("mcp-method", "tools/call"), ("mcp-name", "echo")]),
        ("another method", vec![("mcp-method", "tools/list"), ("mcp-name", "slow")]),
        ("both names", vec![("mcp-method", "tools/call"), ("mcp-name", "echo"), ("mcp-name", "slow")]),
        ("a list of names", vec![("mcp-method", "tools/call"), ("mcp-name", "slow, echo")]),
        ("another case", vec![("mcp-method", "tools/call"), ("mcp-name", "SLOW")]),
        ("an encoded other name", vec![("mcp-method", "tools/call"), ("mcp-name", "=?base64?ZWNobw==?=")]),
        ("a broken encoding", vec![("mcp-method", "tools/call"), ("mcp-name", "=?base64?c2xvdw=?=")]),
        ("none", vec![]),
    ] {
        let headers = [&[("mcp-protocol-version", VERSION)][..], &headers].concat();
        let answer = answer_to(&target, post_with(&headers, body.as_bytes())).await;
        assert_eq!(answer.says(), (400, -32020), "{what}");
    }
    for version in ["2025-11-25", "1999-01-01", "x", "2026-07-28, 2025-11-25"] {
        let headers = [("mcp-protocol-version", version), ("mcp-method", "tools/call"), ("mcp-name", "slow")];
        let answer = answer_to(&target, post_with(&headers, body.as_bytes())).await;
        assert_eq!(answer.says(), (400, -32020), "{version}");
    }
    let long = "s".repeat(100_000);
    assert_eq!(answer_to(&target, call(&long, "slow", &json!({}))).await.says(), (400, -32020));
    let answer = answer_to(&target, call(&long, &long, &json!({}))).await;
    assert_eq!(answer.says(), (200, -32602), "a tool of that name is unknown");
    assert!(answer.body.len() < 2_000, "and its name does not come back whole");
    target.until_metric("throughline_calls_in_flight", 0).await;
    target.stands(16).await;
}

/// A session's door with a modern knock, and the other way round.
#[tokio::test]
async fn eras_that_are_mixed() {
    let target = Target::start(&[]).await;
    let session = target.session().await;
    let echo = message("tools/call", &json!({"name": "echo", "arguments": {"text": "x"}}));
    let headers = [("mcp-protocol-version", VERSION), ("mcp-method", "tools/call"), ("mcp-name", "echo")];
    let with_session = [&headers[..], &[("mcp-session-id", &session), ("last-event-id", "x")]].concat();
    let answer = answer_to(&target, post_with(&with_session, echo.as_bytes())).await;
    assert_eq!(answer.says(), (200, 0), "headers of the other era say nothing here");
    assert_eq!(
        answer_to(&target, post_with(&[("mcp-session-id", &session)], echo.as_bytes())).await.says(),
        (400, -32020)
    );
    let batch = format!("[{echo},{echo}]");
    assert_eq!(answer_to(&target, request("tools/call", "echo", &batch)).await.says(), (400, -32600));
    let initialize = message("initialize", &json!({}));
    assert_eq!(answer_to(&target, request("initialize", "", &initialize)).await.says(), (404, -32601));
    target.stands(8).await;
}

const SECRET: &str = "a secret that the attacker does not have";

/// A round of a call of `ask_permission` that comes with a state.
fn round(tool: &str, path: &str, state: &str) -> Vec<u8> {
    let answers = json!({"1": {"action": "accept", "content": {"allow": true}}});
    let own =
        json!({"name": tool, "arguments": {"path": path}, "requestState": state, "inputResponses": answers});
    request("tools/call", tool, &message("tools/call", &own))
}

#[tokio::test]
async fn states_that_were_changed_borrowed_or_kept_too_long() {
    let target = Target::start(&["--seal-key", SECRET]).await;
    let asked =
        answer_to(&target, call("ask_permission", "ask_permission", &json!({"path": "a.txt"}))).await.json();
    let state = asked["result"]["requestState"].as_str().unwrap_or_else(|| panic!("{asked}")).to_owned();
    let questions = asked["result"]["inputRequests"].as_object().expect("questions");
    let key = questions.keys().next().expect("one").clone();
    let round = |tool, path, state: &str| String::from_utf8(round(tool, path, state)).expect("it is text");
    let answers = |request: String| {
        let (_, body) = request.split_once("\r\n\r\n").expect("a head");
        let body = body.replace(r#""inputResponses":{"1":"#, &format!(r#""inputResponses":{{"{key}":"#));
        super::modern::request(
            "tools/call",
            if body.contains(r#""name":"echo""#) { "echo" } else { "ask_permission" },
            &body,
        )
    };
    let granted = answer_to(&target, answers(round("ask_permission", "a.txt", &state))).await.json();
    assert_eq!(granted["result"]["content"][0]["text"], "Permission granted: a.txt may be changed.");

    // Any one character changed, anything left out or added.
    let mut raw = target.raw().await;
    for at in 0..state.len() {
        let mut changed = state.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).expect("ASCII");
        raw.send(answers(round("ask_permission", "a.txt", &changed))).await;
        assert_eq!(raw.answer().await.says(), (400, -32602), "character {at}");
    }
    for (what, forged) in [
        ("nothing", String::new()),
        ("less", state[..state.len() - 1].to_owned()),
        ("more", format!("{state}A")),
        ("padding", format!("{state}=")),
        ("twice", state.repeat(2)),
        ("much", "A".repeat(3_000_000)),
        ("no base64", "\u{1f600}".repeat(100)),
    ] {
        raw.send(answers(round("ask_permission", "a.txt", &forged))).await;
        assert_eq!(raw.answer().await.says(), (400, -32602), "{what}");
    }
    // Of another call: one approval does not approve another.
    raw.send(answers(round("ask_permission", "b.txt", &state))).await;
    assert_eq!(raw.answer().await.says(), (400, -32602), "other arguments");

    // Sealed by another, and sealed by this one for long ago.
    let arguments = RawJson::from_json(r#"{"path":"a.txt"}"#).expect("JSON");
    let binding = Binding::new("tools/call", Some("ask_permission"), Some(&arguments), None);
    let sealed = |secret: &str, now: u64| {
        let ring = KeyRing::from_secret(secret).expect("it is long enough");
        Rounds::new(None)
            .expect("none")
            .input_required(&binding, &ring, [7; 24], now)
            .expect("it is small")
            .state
    };
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is later").as_secs();
    raw.send(answers(round("ask_permission", "a.txt", &sealed("another secret, just as long as this", now))))
        .await;
    assert_eq!(raw.answer().await.says(), (400, -32602), "another key");
    for (age, what) in [(0, "fresh"), (601, "expired"), (now, "ancient")] {
        raw.send(answers(round("ask_permission", "a.txt", &sealed(SECRET, now - age)))).await;
        let answer = raw.answer().await.json();
        assert_eq!(answer["result"]["resultType"], "input_required", "{what}: it asks (again): {answer}");
    }
    target.stands(24).await;
}

/// `subscriptions/listen` by the thousand: so many as may be, then 503, and places that are given up are free again.
#[tokio::test]
async fn listeners_by_the_thousand() {
    let target = Target::start(&[]).await;
    let listen = |filter: &Value| {
        request(
            "subscriptions/listen",
            "",
            &message("subscriptions/listen", &json!({"notifications": filter})),
        )
    };
    let filter = json!({"toolsListChanged": true, "resourceSubscriptions": ["metrics://cpu"]});
    let mut listening = Vec::new();
    for number in 0..1_000 {
        let mut raw = target.raw().await;
        raw.send(listen(&filter)).await;
        assert_eq!(raw.head().await.status, 200, "{number}");
        listening.push(raw);
    }
    let mut raw = target.raw().await;
    for _ in 0..500 {
        raw.send(listen(&filter)).await;
        let answer = raw.answer().await;
        assert_eq!(answer.says(), (503, -32603));
        assert_eq!(answer.header("retry-after"), Some("10"));
    }
    // A filter is bounded before it takes a place.
    let uris: Vec<_> = (0..20_000).map(|number| format!("metrics://{number}")).collect();
    raw.send(listen(&json!({"resourceSubscriptions": uris}))).await;
    assert_eq!(raw.answer().await.says(), (400, -32602));
    let mut kept = listening.split_off(500);
    listening.into_iter().for_each(super::raw::Raw::reset);
    target.until_metric("throughline_listeners", 500).await;
    kept[0].stream_until("notifications/resources/updated").await;
    drop(kept);
    target.until_metric("throughline_listeners", 0).await;
    target.stands(48).await;
}
