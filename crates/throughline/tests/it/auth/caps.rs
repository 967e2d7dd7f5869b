//! What one principal may take, and that nobody else pays for it.

use std::time::Duration;

use serde_json::json;
use throughline::revision::Revision;
use throughline::{Builder, StreamableHttp};

use super::token;
use crate::support::older::Older;
use crate::support::{Gate, Wire, call, initialize, kit, listen, modern, request, settle, text, until};

const NEWEST: Revision = Revision::V2025_11_25;

fn endpoint(gate: &Gate, build: impl FnOnce(Builder) -> Builder) -> StreamableHttp {
    build(StreamableHttp::builder(kit::server(gate))).build()
}

fn ann(endpoint: &StreamableHttp) -> Wire {
    Wire::new(endpoint).authorized(token("ann", ""))
}

fn bob(endpoint: &StreamableHttp) -> Wire {
    Wire::new(endpoint).authorized(token("bob", ""))
}

#[tokio::test(start_paused = true)]
async fn sessions() {
    let endpoint = endpoint(&Gate::new(), |builder| builder.max_sessions_per_principal(2));
    let first = ann(&endpoint).opened(NEWEST, json!({})).await;
    let sse = Older::connect_as(&endpoint.http_sse(), Some(token("ann", "")), &[]).await;
    let refused = ann(&endpoint).post(initialize(NEWEST, &json!({}))).send().await;
    assert_eq!(refused.header("retry-after"), "1");
    insta::assert_snapshot!(refused.refusal().await, @"429 -32603: You have 2 sessions, as many as you may. End one with DELETE, then open another.");
    // Others, and whom nobody vouches for, have room.
    bob(&endpoint).opened(NEWEST, json!({})).await;
    for _ in 0..5 {
        Wire::new(&endpoint).opened(NEWEST, json!({})).await;
    }
    assert_eq!(endpoint.counters().requests_throttled, 1);
    assert_eq!(first.delete().send().await.status(), 204);
    let second = ann(&endpoint).opened(NEWEST, json!({})).await;
    assert_eq!(ann(&endpoint).post(initialize(NEWEST, &json!({}))).send().await.status(), 429);
    drop(sse);
    ann(&endpoint).opened(NEWEST, json!({})).await;
    // One that is over by itself counts no more either.
    tokio::time::sleep(Duration::from_secs(31 * 60)).await;
    assert_eq!(endpoint.sessions(), 0);
    assert_eq!(second.delete().send().await.status(), 404);
    for _ in 0..2 {
        ann(&endpoint).opened(NEWEST, json!({})).await;
    }
}

#[tokio::test(start_paused = true)]
async fn streams() {
    let endpoint = endpoint(&Gate::new(), |builder| builder.max_streams_per_principal(3));
    let wire = ann(&endpoint).opened(NEWEST, json!({})).await;
    let mut get = wire.get().send().await.events();
    assert!(get.next().await.is_some());
    let listening = ann(&endpoint).listen(1, json!({ "toolsListChanged": true })).await;
    let sse = Older::connect_as(&endpoint.http_sse(), Some(token("ann", "")), &[]).await;
    let refused = ann(&endpoint).post_modern(listen(2, json!({}))).send().await;
    insta::assert_snapshot!(refused.refusal().await, @"429 -32603: You have 3 streams open, as many as you may. Close one, then open another.");
    assert_eq!(wire.get().send().await.status(), 429);
    assert_eq!(endpoint.listeners(), 1);
    let of_bob = bob(&endpoint).listen(3, json!({})).await;
    // A call needs none: its stream ends with its answer.
    let answer = wire.call(1, "steps", json!({ "count": 2 })).await.all().await;
    assert_eq!(text(&answer.last().unwrap().message), "done");
    drop(get);
    let again = wire.get().send().await;
    assert_eq!(again.status(), 200);
    drop((again, listening, sse, of_bob));
    for _ in 0..3 {
        assert_eq!(ann(&endpoint).post_modern(listen(2, json!({}))).send().await.status(), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn requests_in_flight_in_both_eras() {
    let gate = Gate::new();
    let endpoint = endpoint(&gate, |builder| builder.max_in_flight_per_principal(2));
    let gated = |id| call(id, "gated", json!({ "before": 0, "after": 0 }));
    let modern_gated = |id: u64| {
        modern(id, "tools/call", json!({ "name": "gated", "arguments": { "before": 0, "after": 0 } }))
    };
    let wire = ann(&endpoint).opened(NEWEST, json!({})).await;
    let first = wire.post(gated(1)).start();
    let second = ann(&endpoint).post_modern(modern_gated(1)).start();
    gate.until_came(2).await;
    // One principal, however it asks.
    let refused = ann(&endpoint).post_modern(modern_gated(2)).send().await;
    assert_eq!(refused.header("retry-after"), "1");
    insta::assert_snapshot!(refused.refusal().await, @"429 -32603: You have 2 requests in flight, as many as you may. Await one, then send another.");
    assert_eq!(wire.post(gated(2)).send().await.status(), 429);
    let old = ann(&endpoint).opened(Revision::V2025_03_26, json!({})).await;
    let batch = json!([request(1, "ping", json!({})), gated(2)]);
    let answers = old.post(batch).header("accept", "application/json").send().await.json().await;
    assert_eq!(
        (answers[0]["result"].is_object(), answers[1]["error"]["code"].as_i64()),
        (true, Some(-32603))
    );
    // What runs nothing needs no place.
    assert_eq!(wire.post(request(3, "ping", json!({}))).send().await.status(), 200);
    let of_bob = bob(&endpoint).post_modern(modern_gated(1)).start();
    let of_nobody: Vec<_> =
        (0..3).map(|id| Wire::new(&endpoint).post_modern(modern_gated(id)).start()).collect();
    gate.until_came(6).await;
    gate.open(6);
    for running in [first, second, of_bob].into_iter().chain(of_nobody) {
        assert_eq!(running.await.unwrap().status(), 200);
    }
    until(|| endpoint.in_flight() == 0).await;
    let again = wire.post(gated(9)).start();
    gate.until_came(1).await;
    gate.open(1);
    assert_eq!(again.await.unwrap().status(), 200);
    assert_eq!(endpoint.counters().requests_throttled, 3);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_lost_gives_its_place_back() {
    let gate = Gate::new();
    let endpoint = endpoint(&gate, |builder| builder.max_in_flight_per_principal(1));
    let gated = |id: u64| {
        let params = json!({ "name": "gated", "arguments": { "before": 1, "after": 0 }, "_meta": { "progressToken": 1 } });
        modern(id, "tools/call", params)
    };
    for id in 0..5 {
        let mut events = ann(&endpoint).post_modern(gated(id)).send().await.events();
        assert_eq!(events.message().await.progress(), Some(1.0));
        drop(events);
        settle().await;
        until(|| endpoint.in_flight() == 0).await;
    }
}

#[cfg(feature = "auth")]
#[tokio::test(start_paused = true)]
async fn how_fast() {
    let endpoint = endpoint(&Gate::new(), |builder| builder.rate_per_principal(2, 4));
    let ping = || request(1, "ping", json!({}));
    // Two requests open a session.
    let wire = ann(&endpoint).opened(NEWEST, json!({})).await;
    for _ in 0..2 {
        assert_eq!(wire.post(ping()).send().await.status(), 200);
    }
    for sending in
        [wire.post(ping()), wire.get(), wire.delete(), ann(&endpoint).post_modern(listen(1, json!({})))]
    {
        let refused = sending.send().await;
        assert_eq!((refused.status(), refused.header("retry-after")), (429, "1"));
        let said = refused.refusal().await;
        assert!(
            said.starts_with("429 -32603: You send more requests than you may. Wait as long as"),
            "{said}"
        );
    }
    assert_eq!(endpoint.counters().requests_throttled, 4);
    for other in [bob(&endpoint), Wire::new(&endpoint)] {
        let other = other.opened(NEWEST, json!({})).await;
        assert_eq!(other.post(ping()).send().await.status(), 200);
    }
    for _ in 0..20 {
        let of_nobody = Wire::new(&endpoint).post_modern(modern(1, "tools/list", json!({})));
        assert_eq!(of_nobody.send().await.status(), 200, "whom nobody vouches for has no pace");
    }
    tokio::time::advance(Duration::from_secs(1)).await;
    for _ in 0..2 {
        assert_eq!(wire.post(ping()).send().await.status(), 200);
    }
    assert_eq!(wire.post(ping()).send().await.status(), 429);
}

#[cfg(feature = "auth")]
#[tokio::test(start_paused = true)]
async fn the_messages_of_a_batch_count_each() {
    let endpoint = endpoint(&Gate::new(), |builder| builder.rate_per_principal(1, 6));
    let wire = ann(&endpoint).opened(Revision::V2025_03_26, json!({})).await;
    let batch = |of: u64| json!((0..of).map(|id| request(id, "ping", json!({}))).collect::<Vec<_>>());
    let refused = wire.post(batch(5)).send().await;
    assert_eq!((refused.status(), refused.header("retry-after")), (429, "1"));
    assert_eq!(wire.post(batch(3)).send().await.status(), 200);
    assert_eq!(wire.post(batch(1)).send().await.status(), 429);
    tokio::time::advance(Duration::from_secs(6)).await;
    assert_eq!(wire.post(batch(6)).send().await.status(), 200);
}
