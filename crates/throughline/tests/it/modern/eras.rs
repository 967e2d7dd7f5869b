//! Which clients are served.

use http::Method;
use serde_json::json;
use throughline::revision::Revision;
use throughline::{Era, StreamableHttp};

use super::tool_call;
use crate::support::{Gate, MODERN, Wire, call, initialize, kit, modern, request, text};

fn endpoint(era: Era) -> StreamableHttp {
    StreamableHttp::builder(kit::server(&Gate::new())).era(era).build()
}

#[tokio::test(start_paused = true)]
async fn both_are_served_at_once() {
    let endpoint = endpoint(Era::default());
    let old = Wire::open(&endpoint, Revision::V2025_11_25).await;
    let new = Wire::new(&endpoint);
    for id in 0..3 {
        let answer = old.post(call(id, "echo", json!({ "text": "old" }))).send().await.json().await;
        assert_eq!((text(&answer), answer["result"].get("resultType")), ("old", None));
        let answer = new.post_modern(tool_call(id, "echo", json!({ "text": "new" }))).send().await;
        assert_eq!(text(&answer.json().await), "new");
    }
    // Also where the client names its session in a modern request: it is not looked at.
    let both = old.post_modern(tool_call(9, "echo", json!({ "text": "both" }))).send().await;
    assert_eq!(text(&both.json().await), "both");
    assert_eq!(endpoint.sessions(), 1);
    // A request of a session that says nothing of its own era goes by its header.
    let ping = new.post(request(1, "ping", json!({}))).send().await;
    assert_eq!((ping.status(), &ping.json().await["error"]["code"]), (400, &json!(-32600)));
    let ping = new.post(request(1, "ping", json!({}))).header("mcp-protocol-version", MODERN.date());
    assert_eq!(ping.send().await.json().await["error"]["code"], -32602);
}

#[tokio::test(start_paused = true)]
async fn without_sessions_an_initialize_is_told_the_versions() {
    let endpoint = endpoint(Era::Modern);
    let wire = Wire::new(&endpoint);
    for headers in [vec![], vec![("mcp-session-id", "x")], vec![("mcp-protocol-version", "2025-11-25")]] {
        let mut sending = wire.post(initialize(Revision::V2025_11_25, &json!({})));
        for (name, value) in headers {
            sending = sending.header(name, value);
        }
        let answer = sending.send().await;
        assert_eq!(answer.status(), 400);
        let answer = answer.json().await;
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(0), &json!(-32022)));
        assert_eq!(
            answer["error"]["data"],
            json!({ "supported": ["2026-07-28"], "requested": "2025-11-25" })
        );
        insta::allow_duplicates! {
            insta::assert_snapshot!(answer["error"]["message"].as_str().unwrap(), @"This server has no sessions and no initialize. Use a client that speaks one of: 2026-07-28.");
        }
    }
    let modern_one = wire.post_modern(modern(1, "initialize", json!({}))).send().await;
    assert_eq!(modern_one.status(), 404);
    for method in [Method::GET, Method::DELETE] {
        let answer = wire.request(method, "".into()).header("mcp-session-id", "x").send().await;
        assert_eq!((answer.status(), answer.header("allow")), (405, "POST"));
    }
    let ignored =
        wire.post_modern(tool_call(1, "echo", json!({ "text": "hi" }))).header("mcp-session-id", "x");
    let ignored = ignored.send().await;
    assert_eq!(ignored.header("mcp-session-id"), "");
    assert_eq!(text(&ignored.json().await), "hi");
    let ready = wire.post(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).send().await;
    assert_eq!(ready.status(), 202);
    let bare = wire.post(request(5, "tools/list", json!({}))).send().await;
    assert_eq!((bare.status(), &bare.json().await["error"]["code"]), (400, &json!(-32602)));
    // Another version than the ones spoken: only those are named.
    let mut call = tool_call(1, "echo", json!({ "text": "hi" }));
    call["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2025-11-25");
    let answer =
        wire.post_modern(call).header("mcp-protocol-version", "2025-11-25").send().await.json().await;
    assert_eq!(answer["error"]["data"]["supported"], json!(["2026-07-28"]));
    assert_eq!(endpoint.sessions(), 0);
    insta::assert_snapshot!(endpoint.limitations().join("\n"), @"era modern: clients of the revisions with sessions are refused, so those that begin with initialize cannot connect");
}

#[tokio::test(start_paused = true)]
async fn with_sessions_alone_a_modern_client_falls_back() {
    let endpoint = endpoint(Era::Legacy);
    let wire = Wire::open(&endpoint, Revision::V2025_11_25).await;
    let echo = wire.post(call(1, "echo", json!({ "text": "hi" }))).send().await;
    assert_eq!(text(&echo.json().await), "hi");
    let wire = Wire::new(&endpoint);
    for message in [
        tool_call(1, "echo", json!({ "text": "hi" })),
        modern(1, "server/discover", json!({})),
        request(1, "server/discover", json!({})),
    ] {
        let answer = wire.post_modern(message).send().await;
        assert_eq!(answer.status(), 400);
        let code = answer.json().await["error"]["code"].as_i64().unwrap();
        assert_eq!(code, -32600, "none that is a modern one's");
    }
    let cancel = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": modern(1, "", json!({}))["params"] });
    assert_eq!(wire.post(cancel).send().await.status(), 400);
    insta::assert_snapshot!(endpoint.limitations().join("\n"), @"era legacy: clients of the revisions without sessions are refused, unless they fall back to initialize");
}

#[tokio::test(start_paused = true)]
async fn a_get_of_the_revision_without_gets_is_405() {
    let endpoint = endpoint(Era::Hybrid);
    let wire = Wire::new(&endpoint).with("mcp-protocol-version", MODERN.date());
    for method in [Method::GET, Method::DELETE] {
        let answer = wire.request(method, "".into()).header("accept", "text/event-stream").send().await;
        assert_eq!((answer.status(), answer.header("allow")), (405, "POST"));
    }
}
