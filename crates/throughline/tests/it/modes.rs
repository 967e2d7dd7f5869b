//! How a POST is answered: JSON or SSE, by the server's mode and the client's `Accept`.

use std::time::Duration;

use serde_json::{Value, json};
use throughline::revision::Revision;
use throughline::{Context, ResponseMode, StreamableHttp, tool};

use crate::support::{Event, Gate, REVISIONS, Wire, call, initialize, kit, request, text, until, within};

fn endpoint(mode: ResponseMode) -> StreamableHttp {
    StreamableHttp::builder(kit::server(&Gate::new())).response_mode(mode).build()
}

/// What a stream of `steps` has to be: progress 1, 2, 3 .., then the result.
fn assert_steps(events: &[Event], count: u32) {
    let messages: Vec<&Event> = events.iter().filter(|event| !event.message.is_null()).collect();
    let (result, progress) = messages.split_last().expect("a result");
    let progress: Vec<f64> = progress.iter().map(|event| event.progress().expect("progress")).collect();
    assert_eq!(progress, (1..=count).map(f64::from).collect::<Vec<_>>());
    assert_eq!(text(&result.message), "done");
}

#[tokio::test(start_paused = true)]
async fn adaptive_answers_with_json_until_something_comes_before_the_answer() {
    let endpoint = endpoint(ResponseMode::Adaptive);
    for revision in REVISIONS {
        let wire = Wire::open(&endpoint, revision).await;
        let answer = wire.post(call(1, "echo", json!({ "text": "hi" }))).send().await;
        assert_eq!(text(&answer.json().await), "hi");
        assert_steps(&wire.call(2, "steps", json!({ "count": 3 })).await.all().await, 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_streams_ids_follow_its_revision() {
    let endpoint = endpoint(ResponseMode::Sse);
    for revision in REVISIONS {
        let wire = Wire::open(&endpoint, revision).await;
        let events = wire.call(1, "steps", json!({ "count": 3 })).await.all().await;
        let primes = revision.primes();
        assert_eq!(events[0].message.is_null(), primes, "{revision}");
        assert_eq!(events[0].retry.is_some(), primes, "{revision}");
        let sequences: Vec<&str> = events
            .iter()
            .map(|event| event.id.as_deref().expect("an id").rsplit('-').next().unwrap())
            .collect();
        let expected: &[&str] = if primes { &["0", "1", "2", "3", "4"] } else { &["1", "2", "3", "4"] };
        assert_eq!(sequences, expected, "{revision}");
    }
}

#[tokio::test(start_paused = true)]
async fn adaptive_begins_a_stream_when_the_answer_takes_its_time() {
    let gate = Gate::new();
    let endpoint =
        StreamableHttp::builder(kit::server(&gate)).upgrade_delay(Duration::from_millis(400)).build();
    let wire = Wire::open(&endpoint, Revision::V2025_11_25).await;
    let began = tokio::time::Instant::now();
    let mut events = wire.call(1, "gated", json!({ "before": 0, "after": 0 })).await;
    assert_eq!(began.elapsed(), Duration::from_millis(400));
    gate.open(1);
    assert_eq!(text(&events.message().await.message), "done");
    assert!(events.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn sse_mode_streams_every_answer() {
    let endpoint = endpoint(ResponseMode::Sse);
    let wire = Wire::new(&endpoint);
    let mut hello = wire.post(initialize(Revision::V2025_11_25, &json!({}))).send().await.events();
    assert_eq!(hello.message().await.message["id"], 0);
    let wire = Wire::open(&endpoint, Revision::V2025_06_18).await;
    let mut pong = wire.post(request(1, "ping", json!({}))).send().await.events();
    assert_eq!(pong.message().await.message["result"], json!({}));
    assert!(pong.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_accepts_one_form_gets_it() {
    let endpoint = endpoint(ResponseMode::Adaptive);
    let wire = Wire::open(&endpoint, Revision::V2025_11_25).await;
    for accept in ["text/event-stream", "text/*", "application/json;q=0, text/event-stream"] {
        let echo = wire.post(call(1, "echo", json!({ "text": "hi" }))).header("accept", accept);
        assert_eq!(text(&echo.send().await.events().message().await.message), "hi", "{accept}");
    }
    for accept in ["application/json", "application/*"] {
        let before = endpoint.counters().notifications_undeliverable;
        let steps = wire.post(call(1, "steps", json!({ "count": 3 }))).header("accept", accept);
        assert_eq!(text(&steps.send().await.json().await), "done", "{accept}");
        assert_eq!(endpoint.counters().notifications_undeliverable, before + 3);
    }
    for accept in ["*/*", "text/event-stream;q=0.1, application/json"] {
        let steps = wire.post(call(1, "steps", json!({ "count": 1 }))).header("accept", accept);
        assert_steps(&steps.send().await.events().all().await, 1);
    }
    let steps = wire.post(call(1, "steps", json!({ "count": 1 }))).without("accept");
    assert_steps(&steps.send().await.events().all().await, 1);
}

/// A server whose tool asks for a name and tells why it could not.
fn asking() -> throughline::Server {
    kit::server(&Gate::new()).tool(tool("roots", |cx: Context| async move {
        match cx.roots().await {
            Ok(roots) => format!("{} roots", roots.len()),
            Err(error) => error.to_string(),
        }
    }))
}

#[tokio::test(start_paused = true)]
async fn json_response_takes_away_what_comes_before_the_answer() {
    let endpoint = StreamableHttp::builder(asking()).json_response(true).build();
    let wire = Wire::open_with(&endpoint, Revision::V2025_11_25, json!({ "roots": {} })).await;
    let steps = wire.post(call(1, "steps", json!({ "count": 5 }))).send().await;
    assert_eq!(text(&steps.json().await), "done");
    assert_eq!(endpoint.counters().notifications_undeliverable, 5);
    let asked = wire.post(call(2, "roots", json!({}))).send().await.json().await;
    insta::assert_snapshot!(text(&asked), @"the client cannot be asked: this server answers with one JSON body (`json_response`), so nothing can be sent before the answer");
    // The standalone stream is still there.
    let mut stream = wire.get().send().await.events();
    assert!(stream.next().await.is_some_and(|prime| prime.id.is_some()));
    insta::assert_snapshot!(endpoint.limitations().join("\n"), @"json_response: in sessions, progress and log messages of calls are not sent, and tools cannot ask the client anything");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_only_takes_json_cannot_be_asked() {
    let endpoint = StreamableHttp::new(asking());
    let wire = Wire::open_with(&endpoint, Revision::V2025_11_25, json!({ "roots": {} })).await;
    let asked = wire.post(call(2, "roots", json!({}))).header("accept", "application/json").send().await;
    insta::assert_snapshot!(text(&asked.json().await), @"the client cannot be asked: its request accepts only application/json, so nothing can be sent before the answer; accept text/event-stream too");
}

#[tokio::test(start_paused = true)]
async fn stateless_serves_each_post_by_itself() {
    let endpoint = StreamableHttp::builder(asking()).stateless_http(true).build();
    let wire = Wire::new(&endpoint).with("mcp-protocol-version", "2025-11-25");
    let hello = wire.post(initialize(Revision::V2025_11_25, &json!({ "roots": {} }))).send().await;
    assert_eq!(hello.header("mcp-session-id"), "");
    assert_eq!(hello.json().await["result"]["protocolVersion"], "2025-11-25");
    let ready = wire.post(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).send().await;
    assert_eq!(ready.status(), 202);
    let events = wire.call(1, "steps", json!({ "count": 3 })).await.all().await;
    assert_steps(&events, 3);
    assert!(events.iter().all(|event| event.id.is_none()), "nothing could be resumed: {events:?}");
    let asked = wire.post(call(2, "roots", json!({}))).send().await.json().await;
    insta::assert_snapshot!(text(&asked), @"the client cannot be asked: this server keeps no sessions (`stateless_http`), so no answer could find its way back");
    assert_eq!(endpoint.sessions(), 0);
    insta::assert_snapshot!(endpoint.limitations().join("\n"), @"stateless_http: no sessions, so clients that would open one have no subscriptions, no messages outside a call, no resuming, and tools cannot ask them anything");
    // A session id from elsewhere means nothing here.
    let ping = wire.post(request(3, "ping", json!({}))).header("mcp-session-id", "from-elsewhere");
    assert_eq!(ping.send().await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn stateless_says_what_it_cannot_do() {
    let server = asking().resource(throughline::resource("it://a", "a", || async { "a" }));
    let endpoint = StreamableHttp::builder(server).stateless_http(true).build();
    let wire = Wire::new(&endpoint).with("mcp-protocol-version", "2025-11-25");
    let hello = wire.post(initialize(Revision::V2025_11_25, &json!({}))).send().await.json().await;
    insta::assert_snapshot!(hello["result"]["capabilities"], @r#"{"logging":{},"resources":{},"tools":{}}"#);
    let answer = wire.post(request(1, "resources/subscribe", json!({ "uri": "it://a" }))).send().await;
    insta::assert_snapshot!(answer.json().await["error"], @r#"{"code":-32601,"message":"this server keeps no sessions (`stateless_http`), so it could not remember this; do without it"}"#);
    let answer = wire.post(request(1, "logging/setLevel", json!({ "level": "debug" }))).send().await;
    insta::assert_snapshot!(answer.json().await["error"], @r#"{"code":-32601,"message":"this server keeps no sessions (`stateless_http`), so it could not remember this; do without it"}"#);
}

#[tokio::test(start_paused = true)]
async fn without_sessions_a_lost_connection_cancels_the_call() {
    let gate = Gate::new();
    let endpoint = StreamableHttp::builder(kit::server(&gate)).stateless_http(true).build();
    let wire = Wire::new(&endpoint);
    // While the response is a stream ..
    let mut events = wire.call(1, "gated", json!({ "before": 1, "after": 0 })).await;
    assert_eq!(events.message().await.progress(), Some(1.0));
    assert_eq!(endpoint.in_flight(), 1);
    drop(events);
    until(|| endpoint.in_flight() == 0).await;
    // .. and before its head was sent.
    let sending = wire.post(call(2, "gated", json!({ "before": 0, "after": 0 }))).start();
    gate.until_came(2).await;
    sending.abort();
    until(|| endpoint.in_flight() == 0).await;
    gate.open(2);
    assert_eq!(gate.went(), 0, "the handlers were dropped at the gate");
}

#[tokio::test(start_paused = true)]
async fn json_mode_with_and_without_sessions_go_together() {
    let endpoint =
        StreamableHttp::builder(kit::server(&Gate::new())).json_response(true).stateless_http(true).build();
    let answer = Wire::new(&endpoint).post(call(1, "steps", json!({ "count": 2 }))).send().await;
    assert_eq!(text(&answer.json().await), "done");
    assert_eq!(endpoint.counters().notifications_undeliverable, 2);
    assert_eq!(endpoint.limitations().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn without_a_header_the_revision_is_the_specifications_default() {
    let revision = tool("revision", |cx: Context| async move { cx.caller().revision().date() });
    let endpoint =
        StreamableHttp::builder(kit::server(&Gate::new()).tool(revision)).stateless_http(true).build();
    let wire = Wire::new(&endpoint);
    let asked =
        |sending: crate::support::Sending| async { text(&sending.send().await.json().await).to_owned() };
    let ask: Value = call(1, "revision", json!({}));
    assert_eq!(within(asked(wire.post(ask.clone()))).await, "2025-03-26");
    assert_eq!(
        within(asked(wire.post(ask).header("mcp-protocol-version", "2025-06-18"))).await,
        "2025-06-18"
    );
}
