//! Connections as such: many requests in one write, and clients that vanish.

use serde_json::json;

use super::raw::{head, post};
use super::{PING, Target, call};

/// Pipelined requests are answered in their order, each by itself, whatever became of the one before.
#[tokio::test]
async fn many_requests_in_one_write() {
    let target = Target::start(&[]).await;
    let session = target.session().await;
    let mut raw = target.raw().await;
    for round in 0..20 {
        let ids = round * 200..(round + 1) * 200;
        let requests = ids.clone().map(|id| match id % 4 {
            0 => post(Some(&session), &PING.replace(r#""id":1"#, &format!(r#""id":{id}"#))),
            1 => post(Some("nobody"), PING),
            2 => post(Some(&session), "{"),
            _ => post(Some(&session), &call(&json!(id), "echo", &json!({"text": id.to_string()}))),
        });
        raw.send(requests.collect::<Vec<_>>().concat()).await;
        for id in ids {
            let answer = raw.answer().await;
            match id % 4 {
                0 => assert_eq!((answer.status, &answer.json()["id"]), (200, &json!(id))),
                1 => assert_eq!(answer.says(), (404, -32600)),
                2 => assert_eq!(answer.says(), (400, -32700)),
                _ => assert_eq!(answer.json()["result"]["content"][0]["text"], id.to_string()),
            }
        }
    }
    target.stands(16).await;
}

/// Somebody who only ever writes: what is not read of the answers stops what is read of the requests.
#[tokio::test]
async fn requests_without_end_whose_answers_nobody_reads() {
    let target = Target::start(&[]).await;
    let session = target.session().await;
    let echo = post(Some(&session), &call(&json!(1), "echo", &json!({"text": "x".repeat(100_000)})));
    let mut raw = target.raw().await;
    let mut taken = 0;
    // Others are served again and again while it takes nothing more.
    let others = || async {
        for _ in 0..25 {
            super::serves(target.address()).await;
        }
    };
    while taken < 1 << 28 && raw.takes(&echo, others()).await {
        taken += echo.len();
    }
    assert!(taken < 1 << 28, "it took {taken} bytes");
    target.stands(16).await;
}

/// Connections that are reset, before and in the middle of everything.
#[tokio::test]
async fn connections_that_are_reset() {
    let target = Target::start(&[]).await;
    let session = target.session().await;
    let whole = [
        post(Some(&session), PING),
        post(Some(&session), &call(&json!("x"), "echo", &json!({"text": "x".repeat(10_000)}))),
        post(None, super::INITIALIZE),
        head("GET", &[("mcp-session-id", &session)]).into_bytes(),
    ];
    for round in 0..400 {
        let request = &whole[round % whole.len()];
        let mut raw = target.raw().await;
        raw.send(&request[..request.len() * round / 400]).await;
        raw.reset();
    }
    // And after they were sent whole, before the answer is read.
    for request in &whole {
        for _ in 0..50 {
            let mut raw = target.raw().await;
            raw.send(request).await;
            raw.reset();
        }
    }
    // A call of a session goes on when its connection is lost, and is to be had under its id no more than once.
    let mut raw = target.raw().await;
    raw.send(post(Some(&session), &call(&json!("long"), "slow", &json!({"ms": 600_000, "events": 1})))).await;
    assert_eq!(raw.head().await.status, 200);
    raw.reset();
    let mut raw = target.raw().await;
    raw.send(post(Some(&session), &call(&json!("long"), "echo", &json!({"text": "x"})))).await;
    assert_eq!(raw.answer().await.says(), (400, -32600), "it still runs");
    target.until_metric("throughline_calls_in_flight", 1).await;
    target.stands(16).await;
}

/// Half a farewell is one: who has said all it will say is taken to be gone, as over HTTP/1.1 nothing else tells that a client
/// is. A call of a session goes on, one of the modern era is cancelled.
#[tokio::test]
async fn connections_that_are_half_closed() {
    let target = Target::start(&[]).await;
    let session = target.session().await;
    let slow = json!({"ms": 600_000, "events": 1});
    let mut kept = target.raw().await;
    kept.send(post(Some(&session), &call(&json!("kept"), "slow", &slow))).await;
    target.until_metric("throughline_calls_in_flight", 1).await;
    let mut cancelled = target.raw().await;
    cancelled.send(super::modern::call("slow", "slow", &slow)).await;
    target.until_metric("throughline_calls_in_flight", 2).await;
    for raw in [&mut kept, &mut cancelled] {
        raw.finish().await;
        raw.closed().await;
    }
    target.until_metric("throughline_calls_in_flight", 1).await;
    let mut raw = target.raw().await;
    raw.send(post(Some(&session), &call(&json!("kept"), "echo", &json!({"text": "x"})))).await;
    assert_eq!(raw.answer().await.says(), (400, -32600), "it is the session's that goes on");
    // One that never said a word.
    let mut raw = target.raw().await;
    raw.finish().await;
    assert_eq!(raw.closed().await, b"");
    target.stands(8).await;
}

/// Connections that say nothing, by the hundred, coming and going.
#[tokio::test]
async fn connections_that_say_nothing() {
    let target = Target::start(&[]).await;
    let mut silent = Vec::new();
    for number in 0..1_500 {
        let raw = target.raw().await;
        match number % 3 {
            0 => silent.push(raw),
            1 => raw.reset(),
            _ => drop(raw),
        }
    }
    super::serves(target.address()).await;
    target.stands(16).await;
}
