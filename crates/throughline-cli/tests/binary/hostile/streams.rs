//! Streams that are opened and not read, taken over, and ended in the middle.

use serde_json::json;

use super::raw::{Raw, head, post};
use super::{PING, Target, call};

/// The standalone stream of a session, with its head read.
async fn listening(target: &Target, session: &str) -> Raw {
    let mut raw = target.raw().await;
    raw.send(head("GET", &[("mcp-session-id", session)])).await;
    assert_eq!(raw.head().await.status, 200);
    raw
}

/// Calls that send much to connections that read nothing. A stream keeps 1 MiB at most, a session 4 MiB, and a
/// connection what its socket and 256 KiB of buffer hold: 60 of them are no 60 times 50,000 events.
#[tokio::test]
async fn streams_that_are_never_read() {
    let target = Target::start(&[]).await;
    let mut unread = Vec::new();
    for _ in 0..4 {
        let session = target.session().await;
        for number in 0..15 {
            let mut raw = target.raw().await;
            let flood = call(&json!(number), "slow", &json!({"ms": 0, "events": 50_000}));
            raw.send(post(Some(&session), &flood)).await;
            assert_eq!(raw.head().await.status, 200);
            unread.push(raw);
        }
    }
    target.until_metric("throughline_calls_in_flight", 60).await;
    super::serves(target.address()).await;
    target.stands(64).await;
}

/// Readers that come, read nothing and are reset: the call floods its log, which is bounded, and comes to its end.
#[tokio::test]
async fn streams_whose_readers_vanish() {
    let target = Target::start(&[]).await;
    let session = target.session().await;
    for number in 0..30 {
        let mut raw = target.raw().await;
        let flood = call(&json!(number), "slow", &json!({"ms": 0, "events": 2_000}));
        raw.send(post(Some(&session), &flood)).await;
        assert_eq!(raw.head().await.status, 200);
        raw.reset();
    }
    target.until_metric("throughline_calls_in_flight", 0).await;
    assert!(target.metric("throughline_store_bytes").await <= 4 << 20, "what a session may keep");
    target.stands(24).await;
}

/// One GET after another: the newest reads, each before it ends, and the session has one stream.
#[tokio::test]
async fn the_newest_get_takes_over() {
    let target = Target::start(&[]).await;
    let session = target.session().await;
    let mut last = listening(&target, &session).await;
    for _ in 0..300 {
        let next = listening(&target, &session).await;
        let mut before = std::mem::replace(&mut last, next);
        while before.chunk().await.is_some() {}
    }
    // The last one is told what happens.
    let subscribe = json!({"jsonrpc": "2.0", "id": 1, "method": "resources/subscribe", "params": {"uri": "metrics://cpu"}});
    let mut raw = target.raw().await;
    raw.send(post(Some(&session), &subscribe.to_string())).await;
    assert_eq!(raw.answer().await.says(), (200, 0));
    last.stream_until("notifications/resources/updated").await;
    target.stands(16).await;
}

/// Many readers of one stream of a call, by its cursor: the same.
#[tokio::test]
async fn the_newest_resume_takes_over() {
    let target = Target::start(&[]).await;
    let session = target.session().await;
    let mut first = target.raw().await;
    first.send(post(Some(&session), &call(&json!(1), "slow", &json!({"ms": 600_000, "events": 1})))).await;
    assert_eq!(first.head().await.status, 200);
    let prime = first.stream_until("\n\n").await;
    let cursor = prime.lines().find_map(|line| line.strip_prefix("id: ")).expect("an id").to_owned();
    let mut last = first;
    for _ in 0..300 {
        let mut next = target.raw().await;
        next.send(head("GET", &[("mcp-session-id", &session), ("last-event-id", &cursor)])).await;
        assert_eq!(next.head().await.status, 200);
        while last.chunk().await.is_some() {}
        last = next;
    }
    target.until_metric("throughline_calls_in_flight", 1).await;
    target.stands(16).await;
}

/// The session is ended while its streams are open: they end in good order, its calls with them, and nothing of it is left.
#[tokio::test]
async fn a_session_is_ended_in_the_middle() {
    let target = Target::start(&[]).await;
    let session = target.session().await;
    let mut standalone = listening(&target, &session).await;
    let mut calls = Vec::new();
    for number in 0..20 {
        let mut raw = target.raw().await;
        let message = call(&json!(number), "slow", &json!({"ms": 600_000, "events": 50_000}));
        raw.send(post(Some(&session), &message)).await;
        assert_eq!(raw.head().await.status, 200);
        calls.push(raw);
    }
    // Twenty at once: one of them ends it.
    let mut ends = Vec::new();
    for _ in 0..20 {
        let mut raw = target.raw().await;
        raw.send(head("DELETE", &[("mcp-session-id", &session)])).await;
        ends.push(raw);
    }
    let mut statuses = Vec::new();
    for mut raw in ends {
        statuses.push(raw.answer().await.status);
    }
    statuses.sort_unstable();
    assert_eq!((statuses[0], &statuses[1..]), (204, &[404; 19][..]));
    while standalone.chunk().await.is_some() {}
    for mut call in calls {
        while call.chunk().await.is_some() {}
    }
    target.until_metric("throughline_calls_in_flight", 0).await;
    let mut raw = target.raw().await;
    raw.send(post(Some(&session), PING)).await;
    assert_eq!(raw.answer().await.says(), (404, -32600));
    raw.send(head("GET", &[("mcp-session-id", &session)])).await;
    assert_eq!(raw.answer().await.says(), (404, -32600));
    assert_eq!(target.metric("throughline_store_streams").await, 0, "nothing of it is kept");
    target.stands(16).await;
}

/// More calls than a session may have.
#[tokio::test]
async fn calls_beyond_the_limit() {
    let target = Target::start(&[]).await;
    let session = target.session().await;
    let mut running = Vec::new();
    for number in 0..64 {
        let mut raw = target.raw().await;
        raw.send(post(Some(&session), &call(&json!(number), "slow", &json!({"ms": 600_000, "events": 1}))))
            .await;
        running.push(raw);
    }
    target.until_metric("throughline_calls_in_flight", 64).await;
    let mut raw = target.raw().await;
    for number in 64..400 {
        raw.send(post(Some(&session), &call(&json!(number), "echo", &json!({"text": "x"})))).await;
        let answer = raw.answer().await;
        assert_eq!(answer.says(), (503, -32603));
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    let cancelled =
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 0}});
    raw.send(post(Some(&session), &cancelled.to_string())).await;
    assert_eq!(raw.answer().await.status, 202);
    target.until_metric("throughline_calls_in_flight", 63).await;
    raw.send(post(Some(&session), &call(&json!(400), "echo", &json!({"text": "x"})))).await;
    assert_eq!(raw.answer().await.says(), (200, 0));
    target.stands(16).await;
}
