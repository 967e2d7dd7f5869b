//! What client and server say to each other.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
#[cfg(feature = "macros")]
use throughline::Parts;
use throughline::revision::Revision;
use throughline::{Context, Error, Server, StreamableHttp, resource, tool};

use crate::support::{Gate, Older, call, initialize, kit, request, settle, text, until};

const NEWEST: Revision = Revision::V2025_11_25;
const OLDEST: Revision = Revision::V2024_11_05;
const WITH_BATCHES: Revision = Revision::V2025_03_26;

fn echo(id: u32, text: &str) -> Value {
    call(id, "echo", json!({ "text": text }))
}

fn gated(id: u32) -> Value {
    call(id, "gated", json!({ "before": 1, "after": 1 }))
}

#[tokio::test(start_paused = true)]
async fn every_revision_with_sessions_is_spoken() {
    for revision in Revision::LEGACY {
        let mut older = Older::of(kit::server(&Gate::new()), revision, json!({})).await;
        let tools = older.ask(&request(1, "tools/list", json!({}))).await;
        assert_eq!(tools["result"]["tools"].as_array().map(Vec::len), Some(3));
        older.send(&call(2, "steps", json!({ "count": 3 }))).await;
        for step in 1..=3 {
            let progress = older.next().await;
            assert_eq!(
                (&progress["params"]["progress"], &progress["params"]["progressToken"]),
                (&json!(step), &json!(2))
            );
        }
        assert_eq!(text(&older.next().await), "done");
        let missing = older.ask(&request(3, "none/such", json!({}))).await;
        assert_eq!(missing["error"]["code"], -32601);
        assert_eq!(older.ask(&request(4, "ping", json!({}))).await["result"], json!({}));
    }
}

#[tokio::test(start_paused = true)]
async fn a_revision_that_is_not_served_is_answered_with_the_newest() {
    for date in ["1999-12-31", "2026-07-28"] {
        let mut older = Older::connect(&StreamableHttp::new(kit::server(&Gate::new())).http_sse()).await;
        let mut initialize = initialize(NEWEST, &json!({}));
        initialize["params"]["protocolVersion"] = json!(date);
        assert_eq!(older.ask(&initialize).await["result"]["protocolVersion"], NEWEST.date());
    }
}

#[tokio::test(start_paused = true)]
async fn before_initialize_only_a_ping_is_answered() {
    let mut older = Older::connect(&StreamableHttp::new(kit::server(&Gate::new())).http_sse()).await;
    assert_eq!(older.ask(&request(1, "ping", json!({}))).await["result"], json!({}));
    insta::assert_snapshot!(older.refused(&echo(2, "early")).await, @"2 -32600: This server needs a session. Send initialize first.");
    // They can have no effect, and no answer.
    older.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
    older.send(&json!({ "jsonrpc": "2.0", "id": 1, "result": {} })).await;
    insta::assert_snapshot!(older.refused(&request(5, "initialize", json!({ "protocolVersion": 7 }))).await, @"5 -32602: the params of `initialize` do not fit: invalid type: integer `7`, expected a string");
    older.initialize(OLDEST, &json!({})).await;
    insta::assert_snapshot!(older.refused(&initialize(NEWEST, &json!({}))).await, @"0 -32600: This session is initialized already. Open another stream for another session.");
    assert_eq!(text(&older.ask(&echo(6, "then")).await), "then", "the session goes on");
}

#[tokio::test(start_paused = true)]
async fn requests_of_the_modern_era_are_refused_so_that_their_clients_fall_back() {
    let mut older = Older::connect(&StreamableHttp::new(kit::server(&Gate::new())).http_sse()).await;
    let meta = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28" });
    let discover = request(1, "server/discover", json!({ "_meta": meta }));
    insta::assert_snapshot!(older.refused(&discover).await, @"1 -32600: HTTP+SSE is for sessions. Send initialize first, or this request to the Streamable HTTP endpoint.");
    older.initialize(NEWEST, &json!({})).await;
    let arguments = json!({ "name": "echo", "arguments": { "text": "x" }, "_meta": meta });
    for modern in [discover, request(3, "tools/call", arguments)] {
        assert!(older.refused(&modern).await.contains("-32600"));
    }
    let ready =
        json!({ "jsonrpc": "2.0", "method": "notifications/initialized", "params": { "_meta": meta } });
    older.send(&ready).await;
    assert!(older.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn any_text_is_one_event_and_a_large_answer_comes_whole() {
    let mut older = Older::of(kit::server(&Gate::new()), OLDEST, json!({})).await;
    let large = "0123456789".repeat(300_000);
    for said in ["data: x\n\nid: 7\r\nevent: endpoint\n\n", "\u{2028}\u{0}\\\"", "", &large] {
        assert_eq!(text(&older.ask(&echo(1, said)).await), said);
    }
}

#[tokio::test(start_paused = true)]
async fn calls_run_beside_each_other_and_can_be_cancelled() {
    let gate = Gate::new();
    let mut older = Older::of(kit::server(&gate), NEWEST, json!({})).await;
    for id in [1, 2] {
        older.send(&gated(id)).await;
        assert_eq!(older.next().await["params"]["progressToken"], id);
    }
    assert_eq!(text(&older.ask(&echo(3, "meanwhile")).await), "meanwhile");
    let cancelled =
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } });
    older.send(&cancelled).await;
    settle().await;
    gate.open(2);
    assert_eq!(older.next().await["params"]["progressToken"], 2);
    let done = older.next().await;
    assert_eq!((text(&done), &done["id"]), ("done", &json!(2)));
    assert!(older.is_quiet().await, "nothing is answered that was taken back");
}

#[derive(Deserialize, JsonSchema)]
struct Approval {
    approved: bool,
}

#[tokio::test(start_paused = true)]
async fn a_tool_asks_and_is_answered() {
    let server = Server::new("it", "1")
        .tool(tool("roots", |cx: Context| async move {
            let roots = cx.roots().await?;
            Ok::<_, Error>(roots.first().map_or_else(String::new, |root| root.uri.to_string()))
        }))
        .tool(tool("ask", |cx: Context| async move {
            let Approval { approved } = cx.elicit("May I?").await?;
            Ok::<_, Error>(approved.to_string())
        }));
    let endpoint = StreamableHttp::new(server);
    let mut older =
        Older::open(&endpoint.http_sse(), NEWEST, json!({ "roots": {}, "elicitation": {} })).await;
    older.send(&call(1, "roots", json!({}))).await;
    let question = older.next().await;
    assert_eq!(question["method"], "roots/list");
    older
        .send(&json!({ "jsonrpc": "2.0", "id": question["id"], "result": { "roots": [{ "uri": "file:///a" }] } }))
        .await;
    assert_eq!(text(&older.next().await), "file:///a");
    older.send(&call(2, "ask", json!({}))).await;
    let question = older.next().await;
    let answer = json!({ "action": "accept", "content": { "approved": true } });
    // The first answer counts.
    for result in [answer, json!({ "action": "decline" })] {
        older.send(&json!({ "jsonrpc": "2.0", "id": question["id"], "result": result })).await;
    }
    assert_eq!(text(&older.next().await), "true");
    assert_eq!(endpoint.counters().responses_unexpected, 1);
    // An answer that is none settles the question too.
    older.send(&call(3, "ask", json!({}))).await;
    let question = older.next().await;
    let broken = json!({ "jsonrpc": "2.0", "id": question["id"], "result": 1, "error": 2 });
    assert_eq!(older.post(broken.to_string()).await.status(), 400);
    assert_eq!(older.next().await["result"]["isError"], true);
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_answered_by_one_event() {
    let gate = Gate::new();
    let mut older = Older::of(kit::server(&gate), WITH_BATCHES, json!({})).await;
    older.send(&json!([gated(1), { "jsonrpc": "2.0", "method": "x" }, echo(2, "b"), 7])).await;
    assert_eq!(older.next().await["params"]["progress"], 1, "progress does not wait for the answers");
    gate.open(1);
    assert_eq!(older.next().await["params"]["progress"], 2);
    let answers = older.next().await;
    assert_eq!(answers[0]["id"], 1);
    assert_eq!((text(&answers[1]), &answers[2]["error"]["code"]), ("b", &json!(-32600)));
    assert_eq!(answers.as_array().map(Vec::len), Some(3));
}

#[tokio::test(start_paused = true)]
async fn what_happens_outside_calls_comes_on_the_same_stream() {
    let server = kit::server(&Gate::new()).resource(resource("it://a", "a", || async { "a" }));
    let endpoint = StreamableHttp::new(server.clone());
    let sse = endpoint.http_sse();
    let waiting = Older::connect(&sse).await;
    let mut one = Older::open(&sse, OLDEST, json!({})).await;
    let mut other = Older::open(&sse, NEWEST, json!({})).await;
    one.ask(&request(1, "resources/subscribe", json!({ "uri": "it://a" }))).await;
    server.resource_updated("it://a");
    assert_eq!(one.next().await["params"]["uri"], "it://a");
    assert!(other.is_quiet().await, "who did not subscribe is not told");
    assert_eq!(server.notify_all("it/n", &json!({ "n": 1 })).unwrap(), 2);
    for older in [&mut one, &mut other] {
        assert_eq!(older.next().await["params"]["n"], 1);
    }
    // A stream without a session is told nothing.
    assert!({
        let mut waiting = waiting;
        waiting.is_quiet().await
    });
}

#[cfg(feature = "macros")]
#[tool]
async fn head(parts: Parts, cx: Context) -> String {
    let session = cx.session().expect("a session");
    format!("{} {} in {}", parts.method, parts.uri.path(), session.id().as_str())
}

#[cfg(feature = "macros")]
#[tokio::test(start_paused = true)]
async fn a_tool_sees_the_head_of_its_post_and_the_session() {
    let server = Server::new("it", "1").tool(head);
    let endpoint = StreamableHttp::builder(server).session_id(|| "sessionId=odd&1".to_owned()).build();
    let mut older = Older::open(&endpoint.http_sse(), NEWEST, json!({})).await;
    assert_eq!(older.address, "/messages?sessionId=sessionId%3Dodd%261");
    assert_eq!(text(&older.ask(&call(1, "head", json!({}))).await), "POST /messages in sessionId=odd&1");
}

/// A handler that computes on without waiting keeps nothing to itself that it sent.
#[tokio::test(start_paused = true)]
async fn what_a_call_sends_first_leaves_at_once() {
    let gate = Gate::new();
    let came = gate.clone();
    let server = Server::new("it", "1").tool(tool("busy", move |cx: Context| {
        let gate = came.clone();
        async move {
            cx.progress(1.0).await?;
            // It is looked at here whether somebody could have read it.
            gate.pass().await;
            Ok::<_, Error>("done")
        }
    }));
    let mut older = Older::of(server, NEWEST, json!({})).await;
    older.send(&call(1, "busy", json!({}))).await;
    assert_eq!(gate.came(), 0, "it stands aside before it goes on");
    assert_eq!(older.next().await["params"]["progress"], 1);
    until(|| gate.came() == 1).await;
    gate.open(1);
    assert_eq!(text(&older.next().await), "done");
}
