//! How sessions begin, whom they belong to, and how they end.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::request::Parts;
use serde_json::json;
use throughline::revision::Revision;
use throughline::{Builder, Principal, StreamableHttp};

use crate::support::{Answer, Gate, Wire, call, initialize, kit, request, settle, text, until, within};

/// What the hooks saw, as "opened ID" and "closed ID REASON".
type Seen = Arc<Mutex<Vec<String>>>;

/// An endpoint that numbers its sessions and tells what its hooks saw.
fn watched(gate: &Gate, build: impl FnOnce(Builder) -> Builder) -> (StreamableHttp, Seen) {
    let seen = Seen::default();
    let (opened, closed) = (Arc::clone(&seen), Arc::clone(&seen));
    let count = AtomicUsize::new(0);
    let builder = StreamableHttp::builder(kit::server(gate))
        .session_id(move || format!("s{}", count.fetch_add(1, Ordering::Relaxed)))
        .on_session_opened(move |session| {
            opened.lock().unwrap().push(format!("opened {}", session.id().as_str()));
        })
        .on_session_closed(move |session, why| {
            closed.lock().unwrap().push(format!("closed {} {why:?}", session.id().as_str()));
        });
    (build(builder).build(), seen)
}

async fn hello(endpoint: &StreamableHttp) -> Answer {
    Wire::new(endpoint).post(initialize(Revision::V2025_11_25, &json!({}))).send().await
}

async fn status(wire: &Wire) -> u16 {
    wire.post(request("alive", "ping", json!({}))).send().await.status()
}

#[tokio::test(start_paused = true)]
async fn a_client_ends_its_session() {
    let (endpoint, seen) = watched(&Gate::new(), |builder| builder);
    let wire = Wire::open(&endpoint, Revision::V2025_11_25).await;
    let mut stream = wire.get().send().await.events();
    assert!(stream.next().await.is_some());
    let answer = wire.delete().send().await;
    assert_eq!(answer.status(), 204);
    assert!(stream.next().await.is_none(), "its streams end");
    assert_eq!(status(&wire).await, 404);
    assert_eq!(wire.get().send().await.status(), 404);
    assert_eq!(wire.delete().send().await.status(), 404);
    assert_eq!(*seen.lock().unwrap(), ["opened s0", "closed s0 ByClient"]);
    assert_eq!((endpoint.sessions(), endpoint.store_usage().sessions), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_was_never_used_goes_first() {
    let (endpoint, seen) = watched(&Gate::new(), |builder| builder);
    assert_eq!(hello(&endpoint).await.status(), 200);
    let used = Wire::open(&endpoint, Revision::V2025_11_25).await;
    tokio::time::sleep(Duration::from_secs(55)).await;
    assert_eq!(endpoint.sessions(), 2);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(endpoint.sessions(), 1);
    assert_eq!(seen.lock().unwrap().last().unwrap(), "closed s0 Idle");
    assert_eq!(status(&used).await, 200);
}

#[tokio::test(start_paused = true)]
async fn an_idle_session_expires() {
    let gate = Gate::new();
    let (endpoint, seen) = watched(&gate, |builder| builder);
    let wire = Wire::open(&endpoint, Revision::V2025_11_25).await;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(29 * 60)).await;
        assert_eq!(status(&wire).await, 200, "each request starts the time anew");
    }
    // An open stream keeps it, and so does a call in flight.
    let mut stream = wire.get().send().await.events();
    assert!(stream.next().await.is_some());
    let reading = tokio::spawn(async move { stream.all().await });
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(status(&wire).await, 200);
    reading.abort();
    let running = wire.call(1, "gated", json!({ "before": 0, "after": 0 })).await;
    drop(running);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(endpoint.sessions(), 1);
    gate.open(1);
    until(|| endpoint.in_flight() == 0).await;
    tokio::time::sleep(Duration::from_secs(29 * 60)).await;
    assert_eq!(endpoint.sessions(), 1);
    tokio::time::sleep(Duration::from_secs(2 * 60)).await;
    assert_eq!((endpoint.sessions(), endpoint.store_usage().sessions), (0, 0));
    assert_eq!(*seen.lock().unwrap(), ["opened s0", "closed s0 Idle"]);
    assert_eq!(status(&wire).await, 404);
}

#[tokio::test(start_paused = true)]
async fn at_the_cap_unused_sessions_make_room_and_used_ones_never() {
    let (endpoint, seen) = watched(&Gate::new(), |builder| builder.max_sessions(3));
    let used = Wire::open(&endpoint, Revision::V2025_11_25).await;
    assert_eq!(hello(&endpoint).await.header("mcp-session-id"), "s1");
    let other = Wire::open(&endpoint, Revision::V2025_11_25).await;
    let third = Wire::open(&endpoint, Revision::V2025_11_25).await;
    assert_eq!(
        *seen.lock().unwrap(),
        ["opened s0", "opened s1", "opened s2", "closed s1 Evicted", "opened s3"]
    );
    for wire in [&used, &other, &third] {
        assert_eq!(status(wire).await, 200);
    }
    let full = hello(&endpoint).await;
    assert_eq!(full.header("retry-after"), "10");
    insta::assert_snapshot!(full.refusal().await, @"503 -32603: The server has as many sessions as it can take. Try again later.");
    assert_eq!((endpoint.sessions(), seen.lock().unwrap().len()), (3, 5));
    assert_eq!(other.delete().send().await.status(), 204);
    assert_eq!(hello(&endpoint).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn session_ids_are_unguessable_or_your_own() {
    let endpoint = StreamableHttp::new(kit::server(&Gate::new()));
    let (one, two) = (hello(&endpoint).await, hello(&endpoint).await);
    let (one, two) = (one.header("mcp-session-id"), two.header("mcp-session-id"));
    assert!(one != two && one.len() == 32 && one.bytes().all(|byte| byte.is_ascii_hexdigit()), "{one} {two}");
    // A generator that repeats itself, or gives what is no id, opens nothing.
    for (id, opened) in [("same", 1), ("with space", 0), ("", 0), ("ü", 0)] {
        let endpoint =
            StreamableHttp::builder(kit::server(&Gate::new())).session_id(move || id.to_owned()).build();
        let statuses = [hello(&endpoint).await.status(), hello(&endpoint).await.status()];
        assert_eq!(statuses, [if opened == 1 { 200 } else { 500 }, 500], "{id}");
        assert_eq!(endpoint.sessions(), opened);
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_initialize_is_refused_and_the_session_goes_on() {
    let (endpoint, _) = watched(&Gate::new(), |builder| builder);
    let wire = Wire::open(&endpoint, Revision::V2025_06_18).await;
    let again = wire.post(initialize(Revision::V2025_11_25, &json!({}))).send().await.json().await;
    assert_eq!(again["error"]["code"], -32600);
    assert_eq!((status(&wire).await, endpoint.sessions()), (200, 1));
}

#[tokio::test(start_paused = true)]
async fn a_session_knows_its_principal() {
    let who = |parts: &Parts| {
        parts.headers.get("authorization").map(|who| Principal::new("test", who.to_str().unwrap()))
    };
    let whose = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&whose);
    let endpoint = StreamableHttp::builder(kit::server(&Gate::new()))
        .principal(who)
        .on_session_opened(move |session| {
            let principal = session.caller().principal().map(|principal| principal.subject.to_string());
            seen.lock().unwrap().push(principal);
        })
        .build();
    let ann = Wire::new(&endpoint).with("authorization", "ann");
    assert_eq!(ann.post(initialize(Revision::V2025_11_25, &json!({}))).send().await.status(), 200);
    assert_eq!(hello(&endpoint).await.status(), 200);
    assert_eq!(*whose.lock().unwrap(), [Some("ann".to_owned()), None]);
}

#[tokio::test(start_paused = true)]
async fn draining_finishes_what_runs_and_sends_the_rest_away() {
    let gate = Gate::new();
    let (endpoint, seen) = watched(&gate, |builder| builder);
    let wire = Wire::open(&endpoint, Revision::V2025_11_25).await;
    let mut stream = wire.get().send().await.events();
    assert!(stream.next().await.is_some());
    let mut running = wire.call(1, "gated", json!({ "before": 1, "after": 1 })).await;
    assert_eq!(running.message().await.progress(), Some(1.0));
    let draining = {
        let endpoint = endpoint.clone();
        tokio::spawn(async move { endpoint.drain(Duration::from_secs(30)).await })
    };
    settle().await;
    assert!(endpoint.is_draining());
    for sending in [
        wire.post(call(2, "echo", json!({ "text": "hi" }))),
        wire.get(),
        Wire::new(&endpoint).post(initialize(Revision::V2025_11_25, &json!({}))),
    ] {
        let refused = sending.send().await;
        assert_eq!(refused.header("retry-after"), "2");
        let refusal = refused.refusal().await;
        insta::allow_duplicates! { insta::assert_snapshot!(refusal, @"503 -32603: The server is shutting down. Try again later."); }
    }
    // Answers to what running calls asked still come in.
    let note = json!({ "jsonrpc": "2.0", "id": 9, "result": {} });
    assert_eq!(wire.post(note).send().await.status(), 202);
    gate.open(1);
    assert_eq!(running.message().await.progress(), Some(2.0));
    assert_eq!(text(&running.message().await.message), "done");
    let rest = stream.all().await;
    assert!(rest.last().is_some_and(|last| last.retry.is_some()), "it is told to come back: {rest:?}");
    within(draining).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), ["opened s0", "closed s0 Shutdown"]);
    assert_eq!(endpoint.sessions(), 0);
}

#[tokio::test(start_paused = true)]
async fn draining_waits_no_longer_than_it_may() {
    let gate = Gate::new();
    let (endpoint, seen) = watched(&gate, |builder| builder);
    let wire = Wire::open(&endpoint, Revision::V2025_11_25).await;
    let mut running = wire.call(1, "gated", json!({ "before": 1, "after": 1 })).await;
    assert_eq!(running.message().await.progress(), Some(1.0));
    let began = tokio::time::Instant::now();
    let reading = tokio::spawn(running.all());
    within(endpoint.drain(Duration::from_secs(30))).await;
    assert!((30..35).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    until(|| endpoint.in_flight() == 0).await;
    let rest = within(reading).await.unwrap();
    assert!(rest.iter().all(|event| event.message.get("result").is_none()), "{rest:?}");
    assert_eq!(*seen.lock().unwrap(), ["opened s0", "closed s0 Shutdown"]);
    gate.open(1);
    settle().await;
    assert_eq!(gate.went(), 0);
}
