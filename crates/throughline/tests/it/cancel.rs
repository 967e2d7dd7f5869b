//! Requests that are taken back, twice the same id, and how many may be in flight.

use std::time::Duration;

use serde_json::{Value, json};
use throughline::revision::Revision;
use throughline::session::SessionLimits;
use throughline::{Context, ResponseMode, Server, StreamableHttp, tool};

use crate::support::{Gate, Wire, call, kit, request, settle, text, until};

fn cancel(id: impl Into<Value>) -> Value {
    json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id.into(), "reason": "enough" } })
}

fn gated() -> Value {
    json!({ "before": 0, "after": 0 })
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_does_not_look_is_dropped() {
    for mode in [ResponseMode::Sse, ResponseMode::Adaptive, ResponseMode::Json] {
        let gate = Gate::new();
        let endpoint = StreamableHttp::builder(kit::server(&gate)).response_mode(mode).build();
        let wire = Wire::open(&endpoint, Revision::V2025_11_25).await;
        let sending = wire.post(call(1, "gated", gated())).start();
        gate.until_came(1).await;
        assert_eq!(wire.post(cancel(1)).send().await.status(), 202);
        until(|| endpoint.in_flight() == 0).await;
        let answer = sending.await.unwrap();
        match answer.status() {
            // It must get no response: nothing in a body, and a stream that ends.
            202 => assert_eq!(answer.text().await, ""),
            _ => assert!(answer.events().all().await.iter().all(|event| event.message.is_null())),
        }
        gate.open(1);
        settle().await;
        assert_eq!(gate.went(), 0);
        // Its id is free again.
        let echo = wire.post(call(1, "echo", json!({ "text": "again" }))).send().await;
        if mode == ResponseMode::Sse {
            assert_eq!(text(&echo.events().message().await.message), "again");
        } else {
            assert_eq!(text(&echo.json().await), "again");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_looks_goes_on_and_its_answer_is_swallowed() {
    let (told, mut hear) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::new("it", "1").tool(tool("tidy", move |cx: Context| {
        let told = told.clone();
        async move {
            cx.progress(1.0).await.expect("while it runs");
            cx.cancelled().await;
            tokio::time::sleep(Duration::from_secs(3)).await;
            told.send((cx.is_cancelled(), cx.progress(2.0).await.is_err())).expect("the test listens");
            "tidied up"
        }
    }));
    let endpoint = StreamableHttp::new(server);
    let wire = Wire::open(&endpoint, Revision::V2025_11_25).await;
    let mut events = wire.call(7, "tidy", json!({})).await;
    assert_eq!(events.message().await.progress(), Some(1.0));
    assert_eq!(wire.post(cancel(7)).send().await.status(), 202);
    assert_eq!(hear.recv().await, Some((true, true)));
    assert!(events.all().await.iter().all(|event| event.message.is_null()), "no answer follows");
    assert_eq!(endpoint.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_cancellation_that_crosses_the_answer_changes_nothing() {
    let wire = Wire::open(&StreamableHttp::new(kit::server(&Gate::new())), Revision::V2025_11_25).await;
    let answer = wire.post(call(1, "echo", json!({ "text": "quick" }))).send().await;
    assert_eq!(text(&answer.json().await), "quick");
    for stray in [cancel(1), cancel("1"), cancel(99)] {
        assert_eq!(wire.post(stray).send().await.status(), 202);
    }
    let answer = wire.post(call(1, "echo", json!({ "text": "again" }))).send().await;
    assert_eq!(text(&answer.json().await), "again");
}

#[tokio::test(start_paused = true)]
async fn an_id_in_flight_is_refused_and_its_first_request_goes_on() {
    let gate = Gate::new();
    let endpoint = StreamableHttp::new(kit::server(&gate));
    let wire = Wire::open(&endpoint, Revision::V2025_11_25).await;
    let mut first = wire.call(1, "gated", json!({ "before": 1, "after": 0 })).await;
    assert_eq!(first.message().await.progress(), Some(1.0));
    let second = wire.post(call(1, "gated", gated())).send().await;
    insta::assert_snapshot!(second.refusal().await, @"400 -32600: A request with this id is still in flight. Give each request an id of its own.");
    // As a text it is another id, and in another session another request.
    let texts = wire.post(call("1", "echo", json!({ "text": "a text" }))).send().await;
    assert_eq!(text(&texts.json().await), "a text");
    let other = Wire::open(&endpoint, Revision::V2025_11_25).await;
    assert_eq!(
        text(&other.post(call(1, "echo", json!({ "text": "other" }))).send().await.json().await),
        "other"
    );
    gate.open(1);
    assert_eq!(text(&first.message().await.message), "done");
}

#[tokio::test(start_paused = true)]
async fn a_session_has_64_requests_in_flight_at_most() {
    let gate = Gate::new();
    let endpoint = StreamableHttp::builder(kit::server(&gate)).response_mode(ResponseMode::Sse).build();
    let wire = Wire::open(&endpoint, Revision::V2025_11_25).await;
    let mut running = Vec::new();
    for id in 0..64 {
        running.push(wire.call(id, "gated", gated()).await);
    }
    let refused = wire.post(call(64, "gated", gated())).send().await;
    assert_eq!(refused.header("retry-after"), "1");
    insta::assert_snapshot!(refused.refusal().await, @"503 -32603: this session has 64 requests in flight, as many as it may have; wait for an answer first");
    // What the engine answers, and what others do, goes on.
    assert_eq!(wire.post(request("p", "ping", json!({}))).send().await.status(), 200);
    let other = Wire::open(&endpoint, Revision::V2025_11_25).await;
    let _theirs = other.call(1, "gated", gated()).await;
    gate.open(65);
    assert_eq!(text(&running.remove(0).message().await.message), "done");
    until(|| endpoint.in_flight() == 0).await;
    assert_eq!(wire.post(call(64, "echo", json!({ "text": "now" }))).send().await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_server_has_so_many_requests_in_flight_at_most() {
    let gate = Gate::new();
    let endpoint = StreamableHttp::builder(kit::server(&gate))
        .response_mode(ResponseMode::Sse)
        .max_in_flight(5)
        .session_limits(SessionLimits { calls: 3, ..SessionLimits::default() })
        .build();
    let one = Wire::open(&endpoint, Revision::V2025_11_25).await;
    let two = Wire::open(&endpoint, Revision::V2025_06_18).await;
    let mut running = Vec::new();
    for (wire, id) in [(&one, 1), (&one, 2), (&one, 3), (&two, 1), (&two, 2)] {
        running.push(wire.call(id, "gated", gated()).await);
    }
    assert_eq!(endpoint.in_flight(), 5);
    let refused = two.post(call(3, "gated", gated())).send().await;
    assert_eq!(refused.header("retry-after"), "1");
    insta::assert_snapshot!(refused.refusal().await, @"503 -32603: Too many requests are in flight. Await some of them, then try again.");
    gate.open(1);
    until(|| endpoint.in_flight() == 4).await;
    running.push(two.call(3, "gated", gated()).await);
    gate.open(5);
    for events in running {
        assert_eq!(text(&events.all().await.last().unwrap().message), "done");
    }
    assert_eq!(endpoint.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_tool_has_its_time() {
    let server = kit::server(&Gate::new())
        .tool(tool("stuck", std::future::pending::<String>).timeout(Duration::from_secs(20)));
    let endpoint = StreamableHttp::new(server);
    let wire = Wire::open(&endpoint, Revision::V2025_11_25).await;
    let answer = wire.call(1, "stuck", json!({})).await.message().await.message;
    insta::assert_snapshot!(answer["result"], @r#"{"content":[{"text":"the tool did not finish within 20s","type":"text"}],"isError":true}"#);
    assert_eq!(endpoint.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_session_drops_its_calls() {
    let gate = Gate::new();
    let endpoint = StreamableHttp::new(kit::server(&gate));
    let wire = Wire::open(&endpoint, Revision::V2025_11_25).await;
    let mut events = wire.call(1, "gated", json!({ "before": 1, "after": 1 })).await;
    assert_eq!(events.message().await.progress(), Some(1.0));
    assert_eq!(wire.delete().send().await.status(), 204);
    until(|| endpoint.in_flight() == 0).await;
    gate.open(1);
    assert!(events.all().await.iter().all(|event| event.message.get("result").is_none()));
    assert_eq!((gate.went(), endpoint.store_usage().events), (0, 0));
}
