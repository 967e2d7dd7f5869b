//! Layers of tower's own around calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use throughline::revision::Revision;
use throughline::{CallRequest, Context, Layered, McpError, Server, StreamableHttp, tool};
use tower::ServiceBuilder;
use tower::limit::{ConcurrencyLimitLayer, RateLimitLayer};
use tower::load_shed::LoadShedLayer;
use tower::timeout::TimeoutLayer;
use tower::timeout::error::Elapsed;
use tower::util::{MapErrLayer, MapRequestLayer};

use crate::support::{Answer, Gate, Wire, call, kit, request, settle, text, within};

fn gated(number: u32) -> Value {
    call(number, "gated", json!({ "before": 0, "after": 0 }))
}

async fn open(server: Layered) -> Wire {
    Wire::open(&StreamableHttp::new(server), Revision::V2025_11_25).await
}

/// The message that answers a call, however it was sent.
async fn answer(answer: Answer) -> Value {
    if answer.header("content-type") == "application/json" {
        return answer.json().await;
    }
    answer.events().all().await.pop().expect("an answer").message
}

#[tokio::test(start_paused = true)]
async fn a_timeout_ends_a_call() {
    let gate = Gate::new();
    let wire = open(kit::server(&gate).layer(TimeoutLayer::new(Duration::from_secs(5)))).await;
    let slow = answer(wire.post(gated(1)).send().await).await;
    assert_eq!(slow["result"]["isError"], true);
    insta::assert_snapshot!(text(&slow), @"the server gave this call up: request timed out");
    gate.open(1);
    assert_eq!(text(&answer(wire.post(gated(2)).send().await).await), "done");
}

#[tokio::test(start_paused = true)]
async fn a_limit_has_calls_wait_in_line() {
    let gate = Gate::new();
    let wire = open(kit::server(&gate).layer(ConcurrencyLimitLayer::new(2))).await;
    let running: Vec<_> = (1..=5).map(|number| wire.post(gated(number)).start()).collect();
    gate.until_came(2).await;
    settle().await;
    assert_eq!(gate.came(), 2, "two at a time");
    for done in 1..=5 {
        gate.open(1);
        gate.until_came((done + 2).min(5)).await;
        settle().await;
        assert!(gate.came() - gate.went() <= 2);
    }
    for running in running {
        assert_eq!(text(&answer(within(running).await.unwrap()).await), "done");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_cancelled_in_line_lets_the_others_pass() {
    let gate = Gate::new();
    let wire = open(kit::server(&gate).layer(ConcurrencyLimitLayer::new(1))).await;
    let first = wire.post(gated(1)).start();
    gate.until_came(1).await;
    let second = wire.post(gated(2)).start();
    settle().await;
    let third = wire.post(gated(3)).start();
    settle().await;
    let cancel =
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 2 } });
    assert_eq!(wire.post(cancel).send().await.status(), 202);
    gate.open(2);
    for running in [first, third] {
        assert_eq!(text(&answer(within(running).await.unwrap()).await), "done");
    }
    drop(second);
    assert_eq!(gate.came(), 2, "the one in between never ran");
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_kept() {
    let gate = Gate::new();
    let wire = open(kit::server(&gate).layer(RateLimitLayer::new(2, Duration::from_secs(60)))).await;
    let started = tokio::time::Instant::now();
    for number in 1..=5 {
        let echo = call(number, "echo", json!({ "text": "x" }));
        assert_eq!(text(&answer(wire.post(echo).send().await).await), "x");
    }
    // Two in each minute: the fifth comes in the third.
    assert_eq!(started.elapsed().as_secs() / 60, 2);
}

#[tokio::test(start_paused = true)]
async fn load_is_shed_when_that_is_wanted() {
    let gate = Gate::new();
    let layers = ServiceBuilder::new().layer(LoadShedLayer::new()).layer(ConcurrencyLimitLayer::new(1));
    let wire = open(kit::server(&gate).layer(layers)).await;
    let running = wire.post(gated(1)).start();
    gate.until_came(1).await;
    let shed = answer(wire.post(gated(2)).send().await).await;
    insta::assert_snapshot!(shed["result"], @r#"{"content":[{"text":"the server gave this call up: service overloaded","type":"text"}],"isError":true}"#);
    let shed = answer(wire.post(request(3, "tools/list", json!({}))).send().await).await;
    insta::assert_snapshot!(shed["error"], @r#"{"code":-32603,"message":"the server gave this call up: service overloaded"}"#);
    gate.open(1);
    assert_eq!(text(&answer(within(running).await.unwrap()).await), "done");
}

#[tokio::test(start_paused = true)]
async fn layers_see_the_call_and_its_caller_and_the_last_one_sees_it_first() {
    let seen = Arc::new(AtomicUsize::new(0));
    let (inner, outer) = (Arc::clone(&seen), Arc::clone(&seen));
    let server = Server::new("it", "1")
        .tool(tool("who", |cx: Context| async move { cx.caller().revision().to_string() }))
        .layer(MapRequestLayer::new(move |request: CallRequest| {
            assert_eq!(inner.fetch_add(1, Ordering::SeqCst), 1);
            request
        }))
        .layer(MapRequestLayer::new(move |mut request: CallRequest| {
            assert_eq!(outer.fetch_add(1, Ordering::SeqCst), 0);
            assert_eq!(request.context.caller().revision(), Revision::V2025_11_25);
            assert_eq!(request.call.target.as_deref(), Some("alias"));
            request.call.target = Some("who".into());
            request
        }));
    let wire = open(server).await;
    assert_eq!(text(&answer(wire.post(call(1, "alias", json!({}))).send().await).await), "2025-11-25");
    assert_eq!(seen.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn an_error_can_be_given_a_code() {
    let layers = ServiceBuilder::new()
        .layer(MapErrLayer::new(|error: tower::BoxError| match error.downcast::<Elapsed>() {
            Ok(_) => McpError::new(-32001, "too slow").into(),
            Err(other) => other,
        }))
        .layer(TimeoutLayer::new(Duration::from_secs(1)));
    let wire = open(kit::server(&Gate::new()).layer(layers)).await;
    let slow = answer(wire.post(gated(1)).send().await).await;
    assert_eq!(slow["error"], json!({ "code": -32001, "message": "too slow" }));
    let unknown = answer(wire.post(request(2, "it/unknown", json!({}))).send().await).await;
    assert_eq!(unknown["error"]["code"], -32601, "what is no layer's error stays as it is");
}
