//! How a session begins and how it ends.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Method;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use throughline::revision::Revision;
use throughline::{Builder, StreamableHttp};

use crate::support::older::{refusal, send};
use crate::support::{Gate, Older, Wire, call, kit, request, settle, text, until, within};

const NEWEST: Revision = Revision::V2025_11_25;
const EVENTS: (&str, &str) = ("accept", "text/event-stream");

/// What the hooks saw.
type Seen = Arc<Mutex<Vec<String>>>;

fn watched(gate: &Gate, build: impl FnOnce(Builder) -> Builder) -> (StreamableHttp, Seen) {
    let seen = Seen::default();
    let (opened, closed) = (Arc::clone(&seen), Arc::clone(&seen));
    let builder = StreamableHttp::builder(kit::server(gate))
        .on_session_opened(move |session| {
            opened.lock().unwrap().push(format!("opened by {}", session.caller().revision()));
        })
        .on_session_closed(move |_, why| closed.lock().unwrap().push(format!("closed: {why:?}")));
    (build(builder).build(), seen)
}

fn ping() -> String {
    request("alive", "ping", json!({})).to_string()
}

fn gated(id: u32) -> Value {
    call(id, "gated", json!({ "before": 1, "after": 1 }))
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_with_its_stream_and_its_calls_with_it() {
    let gate = Gate::new();
    let (endpoint, seen) = watched(&gate, |builder| builder);
    let sse = endpoint.http_sse();
    let mut older = Older::open(&sse, NEWEST, json!({})).await;
    let mut other = Older::open(&sse, Revision::V2024_11_05, json!({})).await;
    older.send(&gated(1)).await;
    other.send(&gated(1)).await;
    gate.until_came(2).await;
    assert_eq!((endpoint.sessions(), endpoint.in_flight()), (2, 2));
    #[cfg(feature = "metrics")]
    assert!(endpoint.metrics().contains("\nthroughline_streams 2\n"));
    older.cut();
    until(|| endpoint.in_flight() == 1).await;
    assert_eq!(endpoint.sessions(), 1);
    assert!(refusal(older.post(ping()).await).await.starts_with("404"));
    assert_eq!(*seen.lock().unwrap(), ["opened by 2025-11-25", "opened by 2024-11-05", "closed: ByClient"]);
    // The other one does not notice.
    gate.open(1);
    let messages = [other.next().await, other.next().await, other.next().await];
    assert_eq!(text(&messages[2]), "done");
    let counters = endpoint.counters();
    assert_eq!((counters.sessions_opened, counters.sessions_closed), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_question_fails_when_its_stream_ends() {
    let told = Arc::new(Mutex::new(None));
    let tell = Arc::clone(&told);
    let server = throughline::Server::new("it", "1").tool(throughline::tool(
        "ask",
        move |cx: throughline::Context| {
            let tell = Arc::clone(&tell);
            async move {
                // Outside the call, so that it is seen what becomes of it.
                let session = cx.session().expect("a session").clone();
                tokio::spawn(async move {
                    let asked = session.ask(throughline::Roots).await;
                    *tell.lock().unwrap() = Some(asked.is_err());
                });
                "asking"
            }
        },
    ));
    let mut older = Older::of(server, NEWEST, json!({ "roots": {} })).await;
    older.send(&call(1, "ask", json!({}))).await;
    assert_eq!(text(&older.next().await), "asking");
    assert_eq!(older.next().await["method"], "roots/list");
    older.cut();
    until(|| told.lock().unwrap().is_some()).await;
    assert_eq!(*told.lock().unwrap(), Some(true));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_not_used_ends() {
    let (endpoint, seen) = watched(&Gate::new(), |builder| builder.keep_alive(Duration::ZERO));
    let sse = endpoint.http_sse();
    let mut waiting = Older::connect(&sse).await;
    let mut unused = Older::connect(&sse).await;
    unused.ask(&crate::support::initialize(NEWEST, &json!({}))).await;
    let mut used = Older::open(&sse, NEWEST, json!({})).await;
    tokio::time::sleep(Duration::from_secs(55)).await;
    assert_eq!(endpoint.sessions(), 3);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(waiting.next_or_end().await, None);
    assert_eq!(unused.next_or_end().await, None);
    // As long as its stream is open, one that is used is not idle.
    tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
    assert!(used.is_quiet().await);
    assert_eq!(*seen.lock().unwrap(), ["opened by 2025-11-25", "opened by 2025-11-25", "closed: Idle"]);
}

#[tokio::test(start_paused = true)]
async fn sessions_of_both_transports_count_together() {
    let (endpoint, seen) = watched(&Gate::new(), |builder| builder.max_sessions(3));
    let sse = endpoint.http_sse();
    let wire = Wire::open(&endpoint, NEWEST).await;
    let mut waiting = Older::connect(&sse).await;
    let mut first = Older::open(&sse, NEWEST, json!({})).await;
    // Those that were never used make room, the oldest first.
    let second = Older::connect(&sse).await;
    assert_eq!(waiting.next_or_end().await, None);
    let other = Wire::open(&endpoint, NEWEST).await;
    assert!(refusal(second.post(ping()).await).await.starts_with("404"));
    assert_eq!(endpoint.sessions(), 3);
    let full = send(&sse, Method::GET, "/sse", &[EVENTS], "").await;
    assert_eq!(full.headers()["retry-after"], "10");
    insta::assert_snapshot!(refusal(full).await, @"503 -32603: The server has as many sessions as it can take. Try again later.");
    for wire in [&wire, &other] {
        assert_eq!(wire.post(request(1, "ping", json!({}))).send().await.status(), 200);
    }
    assert!(first.is_quiet().await);
    first.cut();
    drop(Older::connect(&sse).await);
    assert_eq!(endpoint.sessions(), 2);
    assert!(seen.lock().unwrap().iter().all(|seen| !seen.contains("Evicted")), "no session was evicted");
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_is_kept_alive() {
    let mut older = Older::of(kit::server(&Gate::new()), NEWEST, json!({})).await;
    let stream = older.stream.as_mut().unwrap();
    let began = tokio::time::Instant::now();
    for _ in 0..3 {
        let frame = within(stream.frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), ":\n");
    }
    let took = began.elapsed().as_secs();
    assert!((45..=48).contains(&took), "{took}");
    assert!(older.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_lets_calls_finish_and_ends_streams_in_good_order() {
    let gate = Gate::new();
    let (endpoint, seen) = watched(&gate, |builder| builder);
    let sse = endpoint.http_sse();
    let mut older = Older::open(&sse, NEWEST, json!({})).await;
    let mut waiting = Older::connect(&sse).await;
    older.send(&gated(1)).await;
    assert_eq!(older.next().await["params"]["progress"], 1);
    let draining = tokio::spawn({
        let endpoint = endpoint.clone();
        async move { endpoint.drain(Duration::from_secs(30)).await }
    });
    settle().await;
    for refused in [older.post(ping()).await, send(&sse, Method::GET, "/sse", &[EVENTS], "").await] {
        assert!(refusal(refused).await.starts_with("503 -32603"));
    }
    gate.open(1);
    assert_eq!(older.next().await["params"]["progress"], 2);
    assert_eq!(text(&older.next().await), "done");
    for older in [&mut older, &mut waiting] {
        assert_eq!(older.next_or_end().await, None);
    }
    within(draining).await.unwrap();
    assert_eq!(endpoint.sessions(), 0);
    assert_eq!(*seen.lock().unwrap(), ["opened by 2025-11-25", "closed: Shutdown"]);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_answers_what_does_not_finish_and_waits_for_no_reader() {
    let gate = Gate::new();
    let endpoint = StreamableHttp::new(kit::server(&gate));
    let sse = endpoint.http_sse();
    let mut older = Older::open(&sse, NEWEST, json!({})).await;
    let unread = Older::open(&sse, NEWEST, json!({})).await;
    older.send(&gated(1)).await;
    assert_eq!(older.next().await["params"]["progress"], 1);
    let reading = tokio::spawn(async move {
        let mut left = Vec::new();
        while let Some(event) = older.event().await {
            left.push((event.data, event.retry));
        }
        left
    });
    within(endpoint.drain(Duration::from_secs(1))).await;
    let left = within(reading).await.unwrap();
    let answer: Value = serde_json::from_str(&left[0].0).unwrap();
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(1), &json!(-32600)), "{answer}");
    assert_eq!(endpoint.in_flight(), 0);
    drop(unread);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_that_is_given_up_ends_the_streams_all_the_same() {
    let gate = Gate::new();
    let endpoint = StreamableHttp::new(kit::server(&gate));
    let mut older = Older::open(&endpoint.http_sse(), NEWEST, json!({})).await;
    // It is given up while it waits for the reader.
    let draining = tokio::time::timeout(Duration::from_millis(5), endpoint.drain(Duration::ZERO));
    assert!(draining.await.is_err());
    assert_eq!(older.next_or_end().await, None);
    within(endpoint.drain(Duration::ZERO)).await;
    assert_eq!(endpoint.sessions(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_panics_when_a_stream_is_lost_harms_nobody() {
    let endpoint = StreamableHttp::builder(kit::server(&Gate::new()))
        .on_session_closed(|_, _| panic!("as the test wants it"))
        .build();
    let sse = endpoint.http_sse();
    let mut older = Older::open(&sse, NEWEST, json!({})).await;
    older.cut();
    assert_eq!(endpoint.sessions(), 0);
    assert!(Older::open(&sse, NEWEST, json!({})).await.is_quiet().await);
    // The last one panics too, where it is dropped.
}

/// Whoever keeps a list of sessions by the hooks would keep one that is gone.
#[tokio::test(start_paused = true)]
async fn a_stream_that_is_lost_while_its_session_is_told_of_is_told_of_after_it() {
    let (seen, stream) = (Seen::default(), Arc::new(Mutex::new(None)));
    let (opened, closed, lost) = (Arc::clone(&seen), Arc::clone(&seen), Arc::clone(&stream));
    let endpoint = StreamableHttp::builder(kit::server(&Gate::new()))
        .on_session_opened(move |_| {
            drop(lost.lock().unwrap().take());
            opened.lock().unwrap().push("opened".to_owned());
        })
        .on_session_closed(move |_, why| closed.lock().unwrap().push(format!("closed: {why:?}")))
        .build();
    let mut older = Older::connect(&endpoint.http_sse()).await;
    *stream.lock().unwrap() = older.stream.take();
    let hello = crate::support::initialize(NEWEST, &json!({}));
    assert_eq!(older.post(hello.to_string()).await.status(), 202);
    assert_eq!(*seen.lock().unwrap(), ["opened", "closed: ByClient"]);
    assert_eq!(endpoint.sessions(), 0);
}

/// Whoever comes second with an `initialize` is told so, and what fails can be tried again.
#[tokio::test(start_paused = true)]
async fn a_stream_has_one_session_however_many_ask_for_it() {
    let (endpoint, seen) = watched(&Gate::new(), |builder| builder);
    let sse = endpoint.http_sse();
    let mut older = Older::connect(&sse).await;
    let hello = crate::support::initialize(NEWEST, &json!({}));
    older.note(&hello);
    let posts: Vec<_> = (0..5)
        .map(|_| {
            let (sse, address, hello) = (sse.clone(), older.address.clone(), hello.to_string());
            tokio::spawn(async move {
                send(&sse, Method::POST, &address, &[("content-type", "application/json")], hello)
                    .await
                    .status()
            })
        })
        .collect();
    for post in posts {
        assert_eq!(within(post).await.unwrap(), 202);
    }
    let mut opened = 0;
    for _ in 0..5 {
        let answer = older.next().await;
        opened += usize::from(answer.get("result").is_some());
    }
    assert_eq!((opened, endpoint.counters().sessions_opened), (1, 1));
    assert_eq!(*seen.lock().unwrap(), ["opened by 2025-11-25"]);
}
