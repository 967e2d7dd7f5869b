//! What must hold when clients drop, sessions end and stores fail at the wrong moment.

use std::future::{Future, poll_fn};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use super::backlog::Backlog;
use super::live::Logs;
use super::stream::{Stream, Weight};
use super::tail::Tail;
use super::{ResponseBody, ResponseMode, StoreFailure, StreamableHttp};
use crate::lock::Lock;
use crate::store::{
    Append, AppendError, BoxError, Dropped, Epoch, EventStore, Limits, MemoryStore, Page, ReadBudget,
    ReadError, SessionId, Soon, StreamKey, Usage, Watch,
};
use crate::{Context, Server, tool};

/// Longer than anything here takes; only a hang reaches it.
const HANG: Duration = Duration::from_secs(8);

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"roots":{}},"clientInfo":{"name":"t","version":"1"}}}"#;

async fn within<F: Future>(future: F) -> F::Output {
    timeout(HANG, future).await.expect("it must not hang")
}

async fn send(
    endpoint: &StreamableHttp,
    method: Method,
    session: Option<&str>,
    body: String,
) -> Response<ResponseBody> {
    let mut request = Request::builder()
        .method(method)
        .uri("/mcp")
        .header("host", "localhost")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream");
    if let Some(session) = session {
        request = request.header("mcp-session-id", session);
    }
    endpoint.handle(request.body(Full::new(Bytes::from(body))).unwrap()).await
}

async fn post(endpoint: &StreamableHttp, session: &str, body: &str) -> Response<ResponseBody> {
    send(endpoint, Method::POST, (!session.is_empty()).then_some(session), body.to_owned()).await
}

/// Opens a session of this revision; its id.
async fn open(endpoint: &StreamableHttp, revision: &str) -> String {
    let response = send(endpoint, Method::POST, None, INITIALIZE.replace("2025-11-25", revision)).await;
    assert_eq!(response.status(), 200);
    response.headers()["mcp-session-id"].to_str().unwrap().to_owned()
}

async fn text(response: Response<ResponseBody>) -> String {
    // In a task of its own: a timeout around it would poll it once more, and so hide a lost wakeup.
    let reading = tokio::spawn(response.into_body().collect());
    let bytes = within(reading).await.unwrap().unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn call(id: u64, name: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{name}","_meta":{{"progressToken":{id}}}}}}}"#
    )
}

/// Waits until no call is in flight.
async fn idle(endpoint: &StreamableHttp) {
    within(async {
        while endpoint.in_flight() > 0 {
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_result_too_large_for_the_log_reaches_the_connection_that_waits_for_it() {
    for mode in [ResponseMode::Adaptive, ResponseMode::Sse] {
        let server = Server::new("t", "1").tool(tool("large", |cx: Context| async move {
            cx.progress(1.0).await.unwrap();
            "x".repeat(3 * 1024 * 1024)
        }));
        let endpoint = StreamableHttp::builder(server).response_mode(mode).build();
        let session = open(&endpoint, "2025-11-25").await;
        let text = text(post(&endpoint, &session, &call(1, "large")).await).await;
        assert!(text.len() > 3 * 1024 * 1024, "{mode:?}: {}", &text[..text.len().min(600)]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_call_says_first_leaves_before_it_goes_on() {
    let went_on = Arc::new(AtomicBool::new(false));
    let server = Server::new("t", "1").tool(tool("busy", {
        let went_on = Arc::clone(&went_on);
        move |cx: Context| {
            let went_on = Arc::clone(&went_on);
            async move {
                cx.progress(1.0).await.unwrap();
                // From here on it computes, and no await makes it wait.
                went_on.store(true, Ordering::Relaxed);
                "done"
            }
        }
    }));
    let endpoint = StreamableHttp::new(server);
    let session = open(&endpoint, "2025-11-25").await;
    let mut body = post(&endpoint, &session, &call(1, "busy")).await.into_body();
    let first = within(body.frame()).await.unwrap().unwrap().into_data().unwrap();
    assert!(String::from_utf8_lossy(&first).contains("notifications/progress"));
    assert!(!went_on.load(Ordering::Relaxed), "it went on before its first event had left");
    let rest = within(body.collect()).await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&rest).contains("done"));
}

#[tokio::test(start_paused = true)]
async fn a_burst_leaves_in_few_frames() {
    let server = Server::new("t", "1").tool(tool("burst", |cx: Context| async move {
        for done in 1..=1_000 {
            cx.progress(f64::from(done)).await.unwrap();
        }
        "done"
    }));
    let endpoint = StreamableHttp::new(server);
    let session = open(&endpoint, "2025-11-25").await;
    let mut body = post(&endpoint, &session, &call(1, "burst")).await.into_body();
    let (mut frames, mut events) = (0, 0);
    while let Some(frame) = within(body.frame()).await {
        frames += 1;
        events += String::from_utf8_lossy(&frame.unwrap().into_data().unwrap())
            .matches("notifications/progress")
            .count();
    }
    assert_eq!(events, 1_000);
    assert!(frames <= 16, "{frames} frames");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_answer_of_a_batch_is_lost_when_calls_end_together() {
    let server = Server::new("t", "1").tool(tool("together", |cx: Context| async move {
        cx.progress(1.0).await.unwrap();
        tokio::task::yield_now().await;
        "done"
    }));
    let endpoint = StreamableHttp::builder(server).response_mode(ResponseMode::Sse).build();
    let session = open(&endpoint, "2025-03-26").await;
    for round in 0..300 {
        let calls: Vec<String> = (0..8).map(|id| call(round * 8 + id, "together")).collect();
        let text = text(post(&endpoint, &session, &format!("[{}]", calls.join(","))).await).await;
        assert_eq!(text.matches("\"done\"").count(), 8, "round {round}: {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_watcher_of_cancellation_ends_with_the_call() {
    let ended = Arc::new(Notify::new());
    let server = Server::new("t", "1").tool(tool("watched", {
        let ended = Arc::clone(&ended);
        move |cx: Context| {
            let ended = Arc::clone(&ended);
            async move {
                tokio::spawn(async move {
                    cx.cancelled().await;
                    ended.notify_one();
                });
                tokio::task::yield_now().await;
                "done"
            }
        }
    }));
    let endpoint = StreamableHttp::new(server);
    let session = open(&endpoint, "2025-11-25").await;
    assert!(text(post(&endpoint, &session, &call(1, "watched")).await).await.contains("done"));
    within(ended.notified()).await;
}

struct PanicsOnDrop;

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("dropped");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_while_it_is_dropped_is_settled() {
    let server = Server::new("t", "1").tool(tool("fragile", |cx: Context| async move {
        let _fragile = PanicsOnDrop;
        let _ = cx.log(crate::model::LoggingLevel::Error, "running").await;
        std::future::pending::<()>().await;
        "never"
    }));
    let endpoint = StreamableHttp::new(server);
    let session = open(&endpoint, "2025-11-25").await;
    let response = post(&endpoint, &session, &call(1, "fragile")).await;
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    assert_eq!(post(&endpoint, &session, cancel).await.status(), 202);
    text(response).await;
    idle(&endpoint).await;
}

#[tokio::test(start_paused = true)]
async fn a_stateless_call_ends_when_its_connection_is_lost_although_its_queue_is_full() {
    let sent = Arc::new(AtomicUsize::new(0));
    let server = Server::new("t", "1").tool(tool("chatty", {
        let sent = Arc::clone(&sent);
        move |cx: Context| {
            let sent = Arc::clone(&sent);
            async move {
                // From here on the handler is not dropped when the client is gone: it looks for that itself.
                let _ = cx.is_cancelled();
                let helper = tokio::spawn(async move {
                    for done in 0..10_000 {
                        if cx.progress(f64::from(done)).await.is_err() {
                            return "stopped";
                        }
                        sent.fetch_add(1, Ordering::Relaxed);
                    }
                    "sent all"
                });
                helper.await.unwrap()
            }
        }
    }));
    let endpoint = StreamableHttp::builder(server).stateless_http(true).build();
    let response = post(&endpoint, "", &call(1, "chatty")).await;
    within(async {
        while sent.load(Ordering::Relaxed) < 256 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop(response);
    idle(&endpoint).await;
}

#[tokio::test(start_paused = true)]
async fn a_post_ends_when_its_session_ends_before_it_is_decided() {
    let go = Arc::new(Notify::new());
    let server = Server::new("t", "1").tool(tool("tidy", {
        let go = Arc::clone(&go);
        move |cx: Context| {
            let go = Arc::clone(&go);
            async move {
                cx.cancelled().await;
                go.notified().await;
                "tidied up"
            }
        }
    }));
    let endpoint = StreamableHttp::builder(server).upgrade_delay(Duration::from_millis(50)).build();
    let session = open(&endpoint, "2025-11-25").await;
    let waiting = tokio::spawn({
        let (endpoint, session) = (endpoint.clone(), session.clone());
        async move { text(post(&endpoint, &session, &call(1, "tidy")).await).await }
    });
    within(async {
        while endpoint.in_flight() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(send(&endpoint, Method::DELETE, Some(&session), String::new()).await.status(), 204);
    tokio::time::sleep(Duration::from_millis(200)).await;
    go.notify_one();
    within(waiting).await.unwrap();
    idle(&endpoint).await;
}

/// A store that can be told to fail, to take its time for appends, and to hold reads back.
#[derive(Clone, Default)]
struct Moody {
    store: MemoryStore,
    fails: Arc<AtomicBool>,
    panics: Arc<AtomicBool>,
    slow_appends: Arc<AtomicBool>,
    /// Reads answer what they saw when they were asked, but only once this is fired.
    held_reads: Arc<Mutex<Option<Vec<oneshot::Sender<()>>>>>,
}

impl EventStore for Moody {
    fn append(&self, at: &StreamKey, epoch: Epoch, batch: Append<'_>) -> Soon<Result<(), AppendError>> {
        if self.fails.load(Ordering::SeqCst) {
            return Soon::now(Err(AppendError::Unavailable("it is moody".into())));
        }
        if self.slow_appends.load(Ordering::SeqCst) {
            let (store, at, events) = (self.store.clone(), at.clone(), batch.events.to_vec());
            let (written, ends) = (batch.written, batch.ends);
            let panics = self.panics.load(Ordering::SeqCst);
            return Soon::later(async move {
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                }
                assert!(!panics, "it is very moody, and takes its time");
                store.append(&at, epoch, Append { events: &events, written, ends, note: None }).await
            });
        }
        assert!(!self.panics.load(Ordering::SeqCst), "it is very moody");
        self.store.append(at, epoch, batch)
    }

    fn read(&self, at: &StreamKey, after: u64, max: ReadBudget) -> Soon<Result<Page, ReadError>> {
        let Some(held) = &mut *self.held_reads.locked() else { return self.store.read(at, after, max) };
        let Soon::Now(page) = self.store.read(at, after, max) else {
            unreachable!("a memory store need not wait")
        };
        let (release, released) = oneshot::channel();
        held.push(release);
        Soon::later(async move {
            let _ = released.await;
            page
        })
    }

    fn first_gap(&self, at: &StreamKey, after: u64) -> Soon<Result<Option<Dropped>, ReadError>> {
        self.store.first_gap(at, after)
    }

    fn watch(&self, at: &StreamKey) -> Watch {
        self.store.watch(at)
    }

    fn forget(&self, session: &SessionId) -> Soon<Result<(), BoxError>> {
        self.store.forget(session)
    }

    fn limits(&self) -> Limits {
        self.store.limits()
    }

    fn usage(&self) -> Usage {
        self.store.usage()
    }
}

#[tokio::test(start_paused = true)]
async fn a_post_whose_stream_was_cut_off_before_it_was_read_ends() {
    let store = Moody::default();
    let server = Server::new("t", "1").tool(tool("unlucky", {
        let store = store.clone();
        move |cx: Context| {
            let store = store.clone();
            async move {
                cx.progress(1.0).await.unwrap();
                store.fails.store(true, Ordering::SeqCst);
                let _ = cx.progress(2.0).await;
                "done"
            }
        }
    }));
    let endpoint = StreamableHttp::builder(server).event_store(store).build();
    let session = open(&endpoint, "2025-11-25").await;
    text(post(&endpoint, &session, &call(1, "unlucky")).await).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_first_event_is_on_its_way_into_the_store_is_not_empty() {
    let store = Moody::default();
    store.slow_appends.store(true, Ordering::SeqCst);
    let server = Server::new("t", "1").tool(tool("steps", |cx: Context| async move {
        for done in 0..5 {
            cx.progress(f64::from(done)).await.unwrap();
        }
        "done"
    }));
    let endpoint = StreamableHttp::builder(server).event_store(store).build();
    let session = open(&endpoint, "2025-06-18").await;
    let text = text(post(&endpoint, &session, &call(1, "steps")).await).await;
    assert_eq!(text.matches("notifications/progress").count(), 5, "{text}");
    assert!(text.contains("done"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn an_event_that_comes_while_a_read_takes_its_time_is_not_missed() {
    let store = Moody::default();
    *store.held_reads.locked() = Some(Vec::new());
    let go = Arc::new(Notify::new());
    let server = Server::new("t", "1").tool(tool("later", {
        let go = Arc::clone(&go);
        move |cx: Context| {
            let go = Arc::clone(&go);
            async move {
                cx.progress(1.0).await.unwrap();
                go.notified().await;
                cx.progress(2.0).await.unwrap();
                std::future::pending::<()>().await;
                "never"
            }
        }
    }));
    let endpoint =
        StreamableHttp::builder(server).event_store(store.clone()).keep_alive(Duration::ZERO).build();
    let session = open(&endpoint, "2025-06-18").await;
    let mut body = post(&endpoint, &session, &call(1, "later")).await.into_body();
    let reader = tokio::spawn(async move {
        let mut text = String::new();
        while !text.contains("\"progress\":2") {
            let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
            text.push_str(std::str::from_utf8(&frame).unwrap());
        }
    });
    let release = async || {
        within(async {
            loop {
                let held = store.held_reads.locked().as_mut().unwrap().pop();
                if let Some(held) = held {
                    break held.send(()).unwrap();
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    };
    // The first event is read; then nothing, so the stream is watched; then nothing again, but that takes its time.
    release().await;
    release().await;
    within(async {
        while store.held_reads.locked().as_ref().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    go.notify_one();
    within(async {
        while store.usage().events < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    release().await;
    release().await;
    within(reader).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_store_that_panics_has_failed_and_the_call_gets_an_answer() {
    for slow in [false, true] {
        let store = Moody::default();
        store.slow_appends.store(slow, Ordering::SeqCst);
        let panics = Arc::clone(&store.panics);
        let server = Server::new("t", "1").tool(tool("unlucky", move |cx: Context| {
            let panics = Arc::clone(&panics);
            async move {
                cx.progress(1.0).await?;
                tokio::time::sleep(Duration::from_millis(1)).await;
                panics.store(true, Ordering::SeqCst);
                cx.progress(2.0).await?;
                tokio::time::sleep(Duration::from_millis(1)).await;
                cx.progress(3.0).await?;
                Ok::<_, crate::Error>("done")
            }
        }));
        let endpoint = StreamableHttp::builder(server).event_store(store.clone()).build();
        let session = open(&endpoint, "2025-11-25").await;
        let text = text(post(&endpoint, &session, &call(7, "unlucky")).await).await;
        let last = text.trim_end().lines().last().unwrap();
        assert!(
            last.starts_with(r#"data: {"jsonrpc":"2.0","id":7,"error":{"code":-32603,"#),
            "{slow}: {text}"
        );
        assert!(endpoint.counters().store_failures >= 1);
        idle(&endpoint).await;
    }
}

#[tokio::test(start_paused = true)]
async fn two_who_resume_an_ended_stream_at_once_share_it() {
    let store = Moody::default();
    let server = Server::new("t", "1").tool(tool("steps", |cx: Context| async move {
        cx.progress(1.0).await.unwrap();
        "done"
    }));
    let endpoint = StreamableHttp::builder(server).event_store(store.clone()).build();
    let session = open(&endpoint, "2025-11-25").await;
    let all = text(post(&endpoint, &session, &call(1, "steps")).await).await;
    let first = all.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();

    *store.held_reads.locked() = Some(Vec::new());
    let resume = || {
        let request = Request::builder()
            .uri("/mcp")
            .header("host", "localhost")
            .header("accept", "text/event-stream")
            .header("mcp-session-id", &session)
            .header("last-event-id", &first)
            .body(Full::new(Bytes::new()))
            .unwrap();
        let endpoint = endpoint.clone();
        tokio::spawn(async move { endpoint.handle(request).await })
    };
    let resumes = [resume(), resume()];
    within(async {
        while store.held_reads.locked().as_ref().unwrap().len() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // Both have looked for the stream, and neither has found one in use.
    for held in store.held_reads.locked().take().unwrap() {
        held.send(()).unwrap();
    }
    let mut bodies = Vec::new();
    for resume in resumes {
        bodies.push(within(resume).await.unwrap());
    }
    let mut served = 0;
    for body in bodies {
        served += text(body).await.matches("done").count();
    }
    assert_eq!(served, 1, "the newer reader takes over, and the older one ends");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_pings_is_not_idle() {
    let endpoint =
        StreamableHttp::builder(Server::new("t", "1")).idle_timeout(Duration::from_secs(60)).build();
    let session = open(&endpoint, "2025-11-25").await;
    for id in 1..=6 {
        tokio::time::sleep(Duration::from_secs(40)).await;
        let ping = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
        assert_eq!(post(&endpoint, &session, &ping).await.status(), 200, "{id}");
    }
    tokio::time::sleep(Duration::from_secs(62)).await;
    assert_eq!(endpoint.sessions(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_panics_does_not_keep_other_sessions_from_expiring() {
    let panicked = AtomicBool::new(false);
    let endpoint = StreamableHttp::builder(Server::new("t", "1"))
        .on_session_closed(move |_, _| assert!(panicked.swap(true, Ordering::SeqCst), "the first one panics"))
        .build();
    open(&endpoint, "2025-11-25").await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    open(&endpoint, "2025-11-25").await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(endpoint.sessions(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_only_heard_a_broadcast_makes_room() {
    let server = Server::new("t", "1");
    let endpoint = StreamableHttp::builder(server.clone()).max_sessions(1).build();
    let first = open(&endpoint, "2025-11-25").await;
    assert_eq!(server.notify_all("x/changed", &()).unwrap(), 1);
    let second = open(&endpoint, "2025-11-25").await;
    assert_ne!(first, second);
}

#[tokio::test(start_paused = true)]
async fn a_withdrawn_question_is_told_on_the_stream_it_went_to() {
    let server = Server::new("t", "1").tool(tool("asks", |cx: Context| async move {
        let roots = cx.roots().timeout(Duration::from_millis(100)).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        roots.unwrap_err().to_string()
    }));
    let endpoint = StreamableHttp::new(server);
    let session = open(&endpoint, "2025-11-25").await;
    let texts = [1, 2].map(|id| {
        let (endpoint, session) = (endpoint.clone(), session.clone());
        tokio::spawn(async move { text(post(&endpoint, &session, &call(id, "asks")).await).await })
    });
    for reading in texts {
        let text = within(reading).await.unwrap();
        assert_eq!(text.matches("roots/list").count(), 1, "{text}");
        assert_eq!(text.matches("notifications/cancelled").count(), 1, "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn senders_go_on_after_the_store_dropped_events_ahead_of_a_reader() {
    let server = Server::new("t", "1").tool(tool("tell", |cx: Context| async move {
        cx.session().unwrap().notify("x/told", &()).await.unwrap();
        "told"
    }));
    let endpoint = StreamableHttp::new(server.clone());
    let session = open(&endpoint, "2025-06-18").await;
    let mut body = send(&endpoint, Method::GET, Some(&session), String::new()).await.into_body();
    for _ in 0..20_000 {
        server.notify_all("x/changed", &"a broadcast does not wait for readers").unwrap();
    }
    let reading = tokio::spawn(async move {
        while let Some(frame) = body.frame().await {
            if String::from_utf8_lossy(&frame.unwrap().into_data().unwrap()).contains("x/told") {
                return;
            }
        }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(text(post(&endpoint, &session, &call(1, "tell")).await).await.contains("told"));
    within(reading).await.unwrap();
}

/// A tool whose store fails after its first event, and that goes on after that: `steps` events, one each `pause`.
fn goes_on(store: &Moody, steps: u32, pause: Duration) -> StreamableHttp {
    let failing = store.clone();
    let server = Server::new("t", "1").tool(tool("goes_on", move |cx: Context| {
        let store = failing.clone();
        async move {
            cx.progress(0.0).await.unwrap();
            store.fails.store(true, Ordering::SeqCst);
            for done in 1..=steps {
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
                cx.progress(f64::from(done)).await.unwrap();
            }
            "done"
        }
    }));
    StreamableHttp::builder(server)
        .event_store(store.clone())
        .on_store_failure(StoreFailure::GoUnresumable)
        .build()
}

#[tokio::test(start_paused = true)]
async fn a_long_call_keeps_its_connection_after_the_store_failed() {
    let endpoint = goes_on(&Moody::default(), 30, Duration::from_secs(1));
    let session = open(&endpoint, "2025-11-25").await;
    let response = post(&endpoint, &session, &call(1, "goes_on")).await;
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    assert_eq!(text.matches("notifications/progress").count(), 31, "{text}");
    assert!(text.contains("done"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_store_failed_does_not_wait_for_a_reader_that_is_gone() {
    let endpoint = goes_on(&Moody::default(), 2_000, Duration::ZERO);
    let session = open(&endpoint, "2025-11-25").await;
    drop(post(&endpoint, &session, &call(1, "goes_on")).await);
    idle(&endpoint).await;
}

/// A server whose tool sends once, has the store fail, sends again, and answers.
fn unlucky(store: &Moody) -> Server {
    let store = store.clone();
    Server::new("t", "1").tool(tool("unlucky", move |cx: Context| {
        let store = store.clone();
        async move {
            cx.progress(1.0).await?;
            store.fails.store(true, Ordering::SeqCst);
            cx.progress(2.0).await?;
            cx.progress(3.0).await?;
            Ok::<_, crate::Error>("done")
        }
    }))
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_events_the_store_does_not_take_fails_with_an_answer() {
    for revision in ["2025-06-18", "2025-11-25"] {
        let store = Moody::default();
        let endpoint = StreamableHttp::builder(unlucky(&store)).event_store(store.clone()).build();
        let session = open(&endpoint, revision).await;
        let text = text(post(&endpoint, &session, &call(7, "unlucky")).await).await;
        assert!(text.contains(r#""progress":1"#), "{text}");
        assert!(!text.contains("done"), "{text}");
        let last = text.trim_end().lines().last().unwrap();
        assert!(last.starts_with(r#"data: {"jsonrpc":"2.0","id":7,"error":{"code":-32603,"#), "{last}");
        assert!(endpoint.counters().store_failures >= 1);
        idle(&endpoint).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_goes_on_without_the_store_where_that_is_allowed() {
    let store = Moody::default();
    let endpoint = StreamableHttp::builder(unlucky(&store))
        .event_store(store.clone())
        .on_store_failure(StoreFailure::GoUnresumable)
        .build();
    let session = open(&endpoint, "2025-11-25").await;
    let text = text(post(&endpoint, &session, &call(7, "unlucky")).await).await;
    for progress in 1..=3 {
        assert_eq!(text.matches(&format!(r#""progress":{progress}}}"#)).count(), 1, "{text}");
    }
    let last = text.trim_end().rsplit("\n\n").next().unwrap();
    assert!(last.starts_with("data: ") && last.contains("done"), "the response has no id: {last}");
    idle(&endpoint).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_for_the_get_stream_waits_until_the_store_is_back() {
    let store = Moody::default();
    let server = Server::new("t", "1");
    let endpoint = StreamableHttp::builder(server.clone()).event_store(store.clone()).build();
    let session = open(&endpoint, "2025-11-25").await;
    store.fails.store(true, Ordering::SeqCst);
    for number in 1..=3 {
        assert_eq!(server.notify_all("test/number", &serde_json::json!({ "number": number })).unwrap(), 1);
    }
    let mut events = send(&endpoint, Method::GET, Some(&session), String::new()).await.into_body();
    let mut read = String::new();
    store.fails.store(false, Ordering::SeqCst);
    while !read.contains(r#""number":3"#) {
        let frame = within(events.frame()).await.unwrap().unwrap();
        read += std::str::from_utf8(frame.data_ref().unwrap()).unwrap();
    }
    let numbers: Vec<_> =
        read.match_indices(r#""number":"#).map(|(at, name)| &read[at + name.len()..][..1]).collect();
    assert_eq!(numbers, ["1", "2", "3"], "{read}");
}

#[tokio::test(start_paused = true)]
async fn a_reader_is_not_blamed_for_a_store_that_is_down() {
    let store = Moody::default();
    let server = Server::new("t", "1");
    let endpoint = StreamableHttp::builder(server.clone()).event_store(store.clone()).build();
    let session = open(&endpoint, "2025-11-25").await;
    let mut events = send(&endpoint, Method::GET, Some(&session), String::new()).await.into_body();
    within(events.frame()).await.unwrap().unwrap();
    store.fails.store(true, Ordering::SeqCst);
    assert_eq!(server.notify_all("test/late", &serde_json::json!({})).unwrap(), 1);
    tokio::time::sleep(Duration::from_secs(25)).await;
    store.fails.store(false, Ordering::SeqCst);
    let mut read = String::new();
    while !read.contains("test/late") {
        let frame = within(events.frame()).await.expect("the stream goes on").unwrap();
        read += std::str::from_utf8(frame.data_ref().unwrap()).unwrap();
    }
    assert_eq!(endpoint.counters().readers_detached, 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_to_a_stream_that_was_cut_finds_its_end() {
    let backlog = Backlog::of_session(1 << 20, &Backlog::of_server(1 << 20));
    let store = Arc::new(MemoryStore::default());
    let logs = Logs {
        store: Arc::clone(&store) as Arc<dyn EventStore>,
        backlog: Arc::new(backlog),
        largest_event: 1 << 20,
        on_failure: StoreFailure::default(),
        keeping: None,
    };
    let key = StreamKey { session: SessionId::from("s"), stream: 1 };
    let stream = Stream::new(key.clone(), 7, logs, Arc::default(), None);
    assert!(stream.send(Weight::DROPPABLE, |out| out.extend_from_slice(b"{}")));
    // As when a session is released at a shutdown: the store keeps the event and knows of no end.
    stream.cut();
    let mut tail = Tail::new(stream, 0, Duration::from_secs(1));
    let mut read = Vec::new();
    while let Some(frame) = within(poll_fn(|cx| tail.poll_frame(cx))).await {
        read.extend_from_slice(&frame);
    }
    assert_eq!(String::from_utf8(read).unwrap(), "id: 00000007-1-1\ndata: {}\n\n");
    let page = store.read(&key, 0, ReadBudget::default()).await.unwrap();
    assert!(!page.ended, "a cut is no end: whoever rebuilds the session goes on with the stream");
}
