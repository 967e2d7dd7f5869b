//! What one client may make the server hold, and that it holds up nobody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use throughline::revision::Revision;
use throughline::session::SessionLimits;
use throughline::store::{Limits, MemoryStore};
use throughline::{Context, Error, StreamableHttp, tool};

use crate::support::older::refusal;
use crate::support::{Gate, Older, call, kit, request, settle, text, until, within};

const NEWEST: Revision = Revision::V2025_11_25;

fn gated(id: u32) -> Value {
    call(id, "gated", json!({ "before": 0, "after": 0 }))
}

#[tokio::test(start_paused = true)]
async fn requests_in_flight_are_bounded_for_a_session_and_in_all() {
    let gate = Gate::new();
    let limits = SessionLimits { calls: 2, ..SessionLimits::default() };
    let endpoint =
        StreamableHttp::builder(kit::server(&gate)).session_limits(limits).max_in_flight(3).build();
    let sse = endpoint.http_sse();
    let mut one = Older::open(&sse, NEWEST, json!({})).await;
    let mut other = Older::open(&sse, NEWEST, json!({})).await;
    for id in [1, 2] {
        one.send(&gated(id)).await;
    }
    insta::assert_snapshot!(one.refused(&gated(3)).await, @"3 -32603: this session has 2 requests in flight, as many as it may have; wait for an answer first");
    other.send(&gated(1)).await;
    insta::assert_snapshot!(other.refused(&gated(2)).await, @"2 -32603: Too many requests are in flight. Await some of them, then try again.");
    // What is refused is over: its id can be used again.
    gate.open(4);
    let mut done = [one.next().await["id"].as_i64(), one.next().await["id"].as_i64()];
    done.sort_unstable();
    assert_eq!(done, [Some(1), Some(2)]);
    assert_eq!(text(&one.ask(&gated(3)).await), "done");
    assert_eq!(other.next().await["id"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing_holds_up_its_own_calls_and_then_loses_its_session() {
    let sent = Arc::<AtomicUsize>::default();
    let counting = Arc::clone(&sent);
    let server = kit::server(&Gate::new()).tool(tool("flood", move |cx: Context| {
        let sent = Arc::clone(&counting);
        async move {
            for step in 1..=50_000 {
                cx.progress(f64::from(step)).message("something that nobody reads").await?;
                sent.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, Error>("flooded")
        }
    }));
    let endpoint = StreamableHttp::new(server.clone());
    let sse = endpoint.http_sse();
    let mut unread = Older::open(&sse, NEWEST, json!({})).await;
    let mut others = Older::open(&sse, NEWEST, json!({})).await;
    unread.send(&call(1, "flood", json!({}))).await;
    settle().await;
    let stuck = sent.load(Ordering::Relaxed);
    assert!((1..=256).contains(&stuck), "{stuck}");
    // Everybody else goes on meanwhile, and it does itself, as far as it reads.
    let began = tokio::time::Instant::now();
    for id in 2..50 {
        assert_eq!(text(&others.ask(&call(id, "echo", json!({ "text": "x" }))).await), "x");
    }
    assert_eq!((began.elapsed(), sent.load(Ordering::Relaxed)), (Duration::ZERO, stuck));
    // After ten seconds the session ends, and with it its call.
    until(|| endpoint.in_flight() == 0).await;
    let waited = began.elapsed().as_secs();
    assert!((10..=12).contains(&waited), "{waited}");
    assert_eq!((endpoint.sessions(), endpoint.counters().readers_detached), (1, 1));
    assert!(sent.load(Ordering::Relaxed) <= stuck + 1);
    let late = refusal(unread.post(request(2, "ping", json!({})).to_string()).await).await;
    assert!(late.starts_with("404"), "{late}");
    assert_eq!(unread.next_or_end().await, None, "what it did not take is gone");
    assert!(others.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_slow_is_not_taken_for_one_that_is_gone() {
    let mut older = Older::of(kit::server(&Gate::new()), NEWEST, json!({})).await;
    let large = "0123456789".repeat(100_000);
    older.send(&call(1, "echo", json!({ "text": large }))).await;
    let mut stream = older.stream.take().unwrap();
    let mut bytes = 0;
    while bytes < large.len() {
        tokio::time::sleep(Duration::from_secs(9)).await;
        let frame = within(http_body_util::BodyExt::frame(&mut stream)).await.unwrap().unwrap();
        bytes += frame.into_data().unwrap().len();
    }
    older.stream = Some(stream);
    assert!(older.is_quiet().await);
}

/// Requests wait while 4 MiB of answers do, so many as may be in flight; what asks for nothing does not.
#[tokio::test(start_paused = true)]
async fn who_does_not_read_its_answers_gets_no_more() {
    let limits = SessionLimits { calls: 3, ..SessionLimits::default() };
    let endpoint = StreamableHttp::builder(kit::server(&Gate::new()))
        .session_limits(limits)
        .body_timeout(Duration::from_secs(5))
        .build();
    let mut older = Older::open(&endpoint.http_sse(), NEWEST, json!({})).await;
    let large = "0123456789".repeat(300_000);
    for id in [1, 2] {
        older.send(&call(id, "echo", json!({ "text": large }))).await;
    }
    older.note(&request(7, "ping", json!({})));
    let (service, address) = (endpoint.http_sse(), older.address.clone());
    let post = |body: Value| {
        let (service, address) = (service.clone(), address.clone());
        let headers = [("content-type", "application/json")];
        let posting = async move {
            crate::support::older::send(&service, http::Method::POST, &address, &headers, body.to_string())
                .await
        };
        tokio::spawn(posting)
    };
    let waiting: Vec<_> = (3..6).map(|id| post(request(id, "ping", json!({})))).collect();
    settle().await;
    assert!(waiting.iter().all(|waiting| !waiting.is_finished()));
    let beyond = within(post(request(6, "ping", json!({})))).await.unwrap();
    assert_eq!(beyond.headers()["retry-after"], "1");
    insta::assert_snapshot!(refusal(beyond).await, @"503 -32603 (id 6): Too much waits to be read on this stream. Read it, then send the request again.");
    let note = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 9 } });
    assert_eq!(within(post(note)).await.unwrap().status(), 202, "what asks for nothing is taken");
    for waiting in waiting {
        assert!(
            refusal(within(waiting).await.unwrap()).await.starts_with("503"),
            "no longer than a body may take"
        );
    }
    // Who reads goes on.
    let next = post(request(7, "ping", json!({})));
    for id in [1, 2] {
        assert_eq!(older.next_or_end().await.unwrap()["id"], id);
    }
    assert_eq!(within(next).await.unwrap().status(), 202);
    assert_eq!(older.next_or_end().await.unwrap()["id"], 7);
}

/// However many do not read: all together hold no more than half of what the store may.
#[tokio::test(start_paused = true)]
async fn streams_that_nobody_reads_share_a_budget() {
    let server = kit::server(&Gate::new());
    let store = MemoryStore::new(Limits { store_bytes: 200_000, ..Limits::default() });
    let endpoint = StreamableHttp::builder(server.clone()).event_store(store).build();
    let sse = endpoint.http_sse();
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(Older::open(&sse, NEWEST, json!({})).await);
    }
    let note = json!({ "n": "x".repeat(5_000) });
    for _ in 0..10 {
        server.notify_all("it/n", &note).unwrap();
    }
    // 100,000 bytes are some 19 of them.
    let dropped = endpoint.counters().notifications_undeliverable;
    assert!((70..=85).contains(&dropped), "{dropped}");
    let mut got = 0;
    for client in &mut clients {
        // What was taken is written once more is asked for.
        while tokio::time::timeout(Duration::from_millis(1), client.next()).await.is_ok() {
            got += 1;
        }
    }
    assert_eq!(got + dropped, 100);
    server.notify_all("it/n", &note).unwrap();
    for client in &mut clients {
        assert_eq!(client.next().await["method"], "it/n", "there is room again");
    }
}
