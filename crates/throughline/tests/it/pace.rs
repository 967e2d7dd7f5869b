//! Readers and their pace: keep-alives, readers that stall, senders that wait, messages that are too large.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use throughline::revision::Revision;
use throughline::{Context, Error, ResponseMode, Server, StreamableHttp, tool};

use crate::support::{Gate, Wire, call, kit, settle, text, until};

/// A tool that sends `count` progress notifications with a message of `bytes`, and how many it has sent.
fn flood(count: usize, bytes: usize) -> (Server, Arc<AtomicUsize>) {
    let sent = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&sent);
    let server = kit::server(&Gate::new()).tool(tool("flood", move |cx: Context| {
        let sent = Arc::clone(&counting);
        async move {
            for step in 1..=count {
                cx.progress(step as f64).message("x".repeat(bytes)).await?;
                sent.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, Error>("done")
        }
    }));
    (server, sent)
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_is_kept_alive_by_a_comment() {
    let gate = Gate::new();
    for stateless in [false, true] {
        let endpoint = StreamableHttp::builder(kit::server(&gate)).stateless_http(stateless).build();
        let wire =
            if stateless { Wire::new(&endpoint) } else { Wire::open(&endpoint, Revision::V2025_11_25).await };
        let mut events = wire.call(1, "gated", json!({ "before": 1, "after": 0 })).await;
        assert_eq!(events.message().await.progress(), Some(1.0));
        let began = tokio::time::Instant::now();
        for comment in 1..=3 {
            assert_eq!(events.chunk().await.unwrap(), ":\n");
            let elapsed = began.elapsed().as_secs();
            assert!((comment * 15..comment * 15 + 3).contains(&elapsed), "after {elapsed} s");
        }
        gate.open(1);
        assert_eq!(text(&events.message().await.message), "done", "the comments disturb nothing");
    }
}

#[tokio::test(start_paused = true)]
async fn keep_alives_can_be_turned_off() {
    let endpoint = StreamableHttp::builder(kit::server(&Gate::new())).keep_alive(Duration::ZERO).build();
    let wire = Wire::open(&endpoint, Revision::V2025_11_25).await;
    let mut stream = wire.get().send().await.events();
    assert!(stream.next().await.is_some());
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(stream.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn a_send_waits_while_the_reader_is_256_events_behind() {
    for stateless in [false, true] {
        let (server, sent) = flood(1000, 0);
        let endpoint = StreamableHttp::builder(server).stateless_http(stateless).build();
        let wire =
            if stateless { Wire::new(&endpoint) } else { Wire::open(&endpoint, Revision::V2025_06_18).await };
        let mut events = wire.call(1, "flood", json!({})).await;
        settle().await;
        assert_eq!(sent.load(Ordering::Relaxed), 256, "stateless: {stateless}");
        assert_eq!(events.message().await.progress(), Some(1.0));
        settle().await;
        let further = sent.load(Ordering::Relaxed);
        assert!((257..=512).contains(&further), "what was taken makes room: {further}");
        let rest = events.all().await;
        assert_eq!(rest.len(), 1000, "999 more and the result: nothing is lost");
        assert_eq!(text(&rest.last().unwrap().message), "done");
        assert_eq!(endpoint.counters().readers_detached, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_send_waits_while_the_reader_is_256_kib_behind() {
    let (server, sent) = flood(100, 32 * 1024);
    let wire = Wire::open(&StreamableHttp::new(server), Revision::V2025_06_18).await;
    let events = wire.call(1, "flood", json!({})).await;
    settle().await;
    assert_eq!(sent.load(Ordering::Relaxed), 8);
    assert_eq!(events.all().await.len(), 101);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_stalls_is_detached_and_can_resume() {
    let (server, sent) = flood(1000, 0);
    let endpoint = StreamableHttp::new(server);
    let wire = Wire::open(&endpoint, Revision::V2025_11_25).await;
    let mut events = wire.call(1, "flood", json!({})).await;
    let prime = events.next().await.unwrap();
    settle().await;
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(endpoint.counters().readers_detached, 0);
    assert!(sent.load(Ordering::Relaxed) < 1000);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(endpoint.counters().readers_detached, 1);
    until(|| endpoint.in_flight() == 0).await;
    assert_eq!(sent.load(Ordering::Relaxed), 1000, "the call goes on without it");
    let mut last = prime.id;
    let mut got = Vec::new();
    while let Some(event) = events.next().await {
        last = event.id.or(last);
        got.push(event.message);
    }
    let rest = wire.resume(&last.unwrap()).send().await.events().all().await;
    got.extend(rest.into_iter().map(|event| event.message));
    let progress: Vec<u64> =
        got.iter().filter_map(|message| message["params"]["progress"].as_u64()).collect();
    assert_eq!(progress, (1..=1000).collect::<Vec<_>>());
    assert_eq!(text(got.last().unwrap()), "done");
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_that_advances_is_never_detached() {
    let (server, _) = flood(600, 0);
    let endpoint = StreamableHttp::new(server);
    let wire = Wire::open(&endpoint, Revision::V2025_06_18).await;
    let mut events = wire.call(1, "flood", json!({})).await;
    let mut chunks = 0;
    while events.chunk().await.is_some() {
        chunks += 1;
        tokio::time::sleep(Duration::from_secs(8)).await;
    }
    assert!(chunks > 2);
    assert_eq!(endpoint.counters().readers_detached, 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_post_is_gone_before_its_response_waits_for_nobody() {
    let gate = Gate::new();
    let endpoint =
        StreamableHttp::builder(kit::server(&gate)).upgrade_delay(Duration::from_secs(3600)).build();
    let wire = Wire::open(&endpoint, Revision::V2025_11_25).await;
    let sending = wire.post(call(1, "gated", json!({ "before": 0, "after": 2000 }))).start();
    gate.until_came(1).await;
    sending.abort();
    assert!(sending.await.is_err(), "its head was not there yet");
    gate.open(1);
    let began = tokio::time::Instant::now();
    until(|| endpoint.in_flight() == 0).await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(gate.went(), 1);
}

/// A tool whose result has so many bytes, after a progress notification.
fn big(bytes: usize) -> Server {
    let gate = Gate::new();
    kit::server(&gate).tool(tool("big", move |cx: Context| async move {
        cx.progress(1.0).await?;
        Ok::<_, Error>("x".repeat(bytes))
    }))
}

#[tokio::test(start_paused = true)]
async fn a_response_larger_than_the_log_reaches_its_reader() {
    let endpoint = StreamableHttp::new(big(3 << 20));
    let wire = Wire::open(&endpoint, Revision::V2025_11_25).await;
    let mut events = wire.call(1, "big", json!({})).await;
    let prime = events.next().await.unwrap();
    assert_eq!(events.message().await.progress(), Some(1.0));
    assert_eq!(text(&events.message().await.message).len(), 3 << 20);
    assert!(events.next().await.is_none());
    // It could not be kept: who comes back is told so, under the id of its request.
    let resumed = wire.resume(&prime.id.unwrap()).send().await.events().all().await;
    let answer = &resumed.last().unwrap().message;
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(1), &json!(-32603)));
    let sentence = answer["error"]["message"].as_str().unwrap();
    assert!(sentence.contains("can be resumed"), "{sentence}");
    // In one JSON body there is no such bound.
    let answer = wire.post(call(2, "big", json!({}))).header("accept", "application/json").send().await;
    assert_eq!(text(&answer.json().await).len(), 3 << 20);
}

#[tokio::test(start_paused = true)]
async fn a_response_larger_than_the_log_and_nobody_there() {
    let gate = Gate::new();
    let waiting = gate.clone();
    let server = kit::server(&gate).tool(tool("big", move |cx: Context| {
        let gate = waiting.clone();
        async move {
            cx.progress(1.0).await?;
            gate.pass().await;
            Ok::<_, Error>("x".repeat(2 << 20))
        }
    }));
    let endpoint = StreamableHttp::new(server);
    let wire = Wire::open(&endpoint, Revision::V2025_06_18).await;
    let mut events = wire.call(1, "big", json!({})).await;
    let first = events.message().await;
    drop(events);
    gate.open(1);
    until(|| endpoint.in_flight() == 0).await;
    let resumed = wire.resume(&first.id.unwrap()).send().await.events().all().await;
    assert_eq!(resumed[0].message["error"]["code"], -32603);
    assert_eq!(resumed[0].message["id"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_notification_larger_than_the_log_is_counted_as_undeliverable() {
    let (server, _) = flood(1, 2 << 20);
    let endpoint = StreamableHttp::builder(server).response_mode(ResponseMode::Sse).build();
    let wire = Wire::open(&endpoint, Revision::V2025_06_18).await;
    let events = wire.call(1, "flood", json!({})).await.all().await;
    assert_eq!(events.len(), 1);
    assert_eq!(text(&events[0].message), "done");
    assert_eq!(endpoint.counters().notifications_undeliverable, 1);
}
