//! Sessions that the server forgets.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;
use throughline::jsonrpc::Raw;
use throughline::model::LoggingLevel;
use throughline::revision::Revision;
use throughline::{Client, ClientError, Context, ResumptionToken, Server, StreamableHttp, tool};

use super::script::{Asked, Busy, Reply, Script};
use super::{PATIENCE, call, check_usable};
use crate::support::{Gate, settle};

const LEGACY: Revision = Revision::LATEST_LEGACY;

/// What does not belong to the handshake is unknown in the first session.
fn is_forgotten(asked: &Asked) -> bool {
    asked.header("mcp-session-id") == Some("session-1") && asked.verb != http::Method::DELETE
}

fn calls(asked: &Asked) -> bool {
    ["tools/call", "it/note"].contains(&asked.method())
}

#[tokio::test(start_paused = true)]
async fn many_calls_open_one_other_session_and_are_repeated_once() {
    let script = Script::new(|asked| (calls(asked) && is_forgotten(asked)).then(|| Reply::status(404)));
    let client = script.connect(LEGACY).await.unwrap();
    client.set_log_level(LoggingLevel::Warning).await.unwrap();
    client.subscribe("it://a").await.unwrap();
    let running: Vec<_> = (0..50)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { call(&client).await })
        })
        .collect();
    for call in running {
        call.await.unwrap().unwrap();
    }
    assert_eq!(script.seen("initialize").len(), 2);
    assert_eq!(script.seen("notifications/initialized").len(), 2);
    assert_eq!(client.session_id().as_deref(), Some("session-2"));
    let calls = script.seen("tools/call");
    assert_eq!(calls.len(), 100, "each was repeated once");
    let ids: std::collections::HashSet<_> = calls.iter().map(|asked| asked.id().to_string()).collect();
    assert_eq!(ids.len(), 100, "each time under an id of its own");
    for method in ["logging/setLevel", "resources/subscribe"] {
        let told = script.seen(method);
        assert_eq!(told.len(), 2, "{method}");
        assert_eq!(told[1].header("mcp-session-id"), Some("session-2"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_404_is_an_error() {
    let script = Script::new(|asked| calls(asked).then(|| Reply::status(404)));
    let client = script.connect(LEGACY).await.unwrap();
    let error = call(&client).await.unwrap_err();
    assert!(error.is_session_gone() && !error.is_outcome_unknown(), "{error}");
    assert_eq!((script.seen("tools/call").len(), script.seen("initialize").len()), (2, 2));
    check_usable(&client, "404").await;
    // Without a session a 404 is what it says.
    let client = script.connect(Revision::LATEST).await.unwrap();
    assert_eq!(call(&client).await.unwrap_err().status().map(|status| status.as_u16()), Some(404));
    assert_eq!(script.seen("initialize").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_notification_goes_to_the_other_session_too() {
    let script = Script::new(|asked| (calls(asked) && is_forgotten(asked)).then(|| Reply::status(404)));
    let client = script.connect(LEGACY).await.unwrap();
    client.notify("it/note", &()).await.unwrap();
    assert_eq!((script.seen("it/note").len(), script.seen("initialize").len()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn settings_that_are_unknown_too_do_not_hold_the_session_up() {
    let script = Script::new(|asked| {
        let is_second = asked.header("mcp-session-id") == Some("session-2");
        let is_setting = asked.method() == "logging/setLevel" && is_second;
        (is_setting || (calls(asked) && is_forgotten(asked))).then(|| Reply::status(404))
    });
    let client = script.connect(LEGACY).await.unwrap();
    client.set_log_level(LoggingLevel::Warning).await.unwrap();
    call(&client).await.unwrap();
    assert_eq!(script.seen("initialize").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_cannot_be_opened_fails_its_calls_and_is_tried_again() {
    let down = Arc::new(AtomicBool::new(false));
    let is_down = Arc::clone(&down);
    let script = Script::new(move |asked| {
        let is_down = is_down.load(Ordering::SeqCst);
        match asked.method() {
            "initialize" if is_down => Some(Reply::status(503)),
            _ => (calls(asked) && is_forgotten(asked)).then(|| Reply::status(404)),
        }
    });
    let client = script.connect(LEGACY).await.unwrap();
    down.store(true, Ordering::SeqCst);
    let error = call(&client).await.unwrap_err();
    assert_eq!(error.status().map(|status| status.as_u16()), Some(503), "{error}");
    assert!(!error.is_outcome_unknown());
    down.store(false, Ordering::SeqCst);
    call(&client).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_does_not_leave_a_session_half_open() {
    let gate = Gate::new();
    let waiting = gate.clone();
    let initialized = Arc::new(AtomicUsize::new(0));
    let script = Script::slow(move |asked| {
        if asked.method() == "notifications/initialized" && initialized.fetch_add(1, Ordering::SeqCst) > 0 {
            let waiting = waiting.clone();
            return Some(Box::pin(async move {
                waiting.pass().await;
                Reply::status(202)
            }));
        }
        (calls(asked) && is_forgotten(asked)).then(|| Box::pin(std::future::ready(Reply::status(404))) as _)
    });
    let client = script.connect(LEGACY).await.unwrap();
    let calling = client.clone();
    let first = tokio::spawn(async move { call(&calling).await });
    gate.until_came(1).await;
    let calling = client.clone();
    let second = tokio::spawn(async move { call(&calling).await });
    settle().await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    gate.open(1);
    second.await.unwrap().unwrap();
    assert_eq!((script.seen("initialize").len(), gate.went()), (2, 1));
}

/// A server that forgets its first session when it is called, and does not open the second before it is let.
fn forgetful(gate: &Gate) -> Script {
    let gate = gate.clone();
    let opened = AtomicUsize::new(0);
    Script::slow(move |asked| {
        if asked.method() == "initialize" && opened.fetch_add(1, Ordering::SeqCst) > 0 {
            let gate = gate.clone();
            return Some(Box::pin(async move {
                gate.pass().await;
                Reply::status(503)
            }));
        }
        (calls(asked) && is_forgotten(asked)).then(|| Box::pin(std::future::ready(Reply::status(404))) as _)
    })
}

#[tokio::test(start_paused = true)]
async fn a_call_that_never_ran_is_not_taken_back_and_not_in_doubt() {
    let gate = Gate::new();
    let script = forgetful(&gate);
    let client = script.connect(LEGACY).await.unwrap();
    let begin = || {
        let client = client.clone();
        tokio::spawn(async move { call(&client).await })
    };
    let (dropped, waiting) = (begin(), begin());
    gate.until_came(1).await;
    settle().await;
    dropped.abort();
    assert!(dropped.await.unwrap_err().is_cancelled());
    client.close().await.unwrap();
    let error = waiting.await.unwrap().unwrap_err();
    assert!(!error.is_outcome_unknown(), "it was refused: {error}");
    settle().await;
    assert_eq!(script.seen("notifications/cancelled").len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_of_another_session_is_not_taken_back_in_this_one() {
    let gate = Gate::new();
    let waiting = gate.clone();
    let script = Script::slow(move |asked| {
        if asked.method() == "it/slow" {
            let waiting = waiting.clone();
            return Some(Box::pin(async move {
                waiting.pass().await;
                Reply::status(503)
            }));
        }
        (calls(asked) && is_forgotten(asked)).then(|| Box::pin(std::future::ready(Reply::status(404))) as _)
    });
    let client = script.connect(LEGACY).await.unwrap();
    let calling = client.clone();
    let slow = tokio::spawn(async move { calling.request::<Raw>("it/slow", &()).await });
    gate.until_came(1).await;
    call(&client).await.unwrap();
    assert_eq!(client.session_id().as_deref(), Some("session-2"));
    slow.abort();
    assert!(slow.await.unwrap_err().is_cancelled());
    client.close().await.unwrap();
    assert_eq!(script.seen("notifications/cancelled").len(), 0);
}

#[tokio::test(start_paused = true)]
async fn another_session_is_of_the_pinned_revision_too() {
    let opened = AtomicUsize::new(0);
    let older = Revision::LEGACY.into_iter().find(|revision| *revision != LEGACY).unwrap();
    let script = Script::new(move |asked| {
        if asked.method() == "initialize" && opened.fetch_add(1, Ordering::SeqCst) > 0 {
            let result = json!({
                "protocolVersion": older.date(), "capabilities": {},
                "serverInfo": { "name": "script", "version": "0" },
            });
            return Some(Reply::json(&json!({ "jsonrpc": "2.0", "id": asked.id(), "result": result })));
        }
        (calls(asked) && is_forgotten(asked)).then(|| Reply::status(404))
    });
    let client = script.connect(LEGACY).await.unwrap();
    let error = call(&client).await.unwrap_err();
    assert!(error.is_unsupported_revision(), "{error}");
    assert_eq!(client.revision(), LEGACY);
}

/// A server whose tool tells of two steps and waits before each.
fn two_steps(gate: &Gate) -> StreamableHttp {
    let gate = gate.clone();
    StreamableHttp::new(Server::new("it", "1").tool(tool("steps", move |cx: Context| {
        let gate = gate.clone();
        async move {
            for step in 1..=2 {
                gate.pass().await;
                cx.progress(f64::from(step)).await?;
            }
            gate.pass().await;
            Ok::<_, throughline::Error>("walked")
        }
    })))
}

type Steps = Arc<Mutex<Vec<f64>>>;

/// Begins a call, sees its first step, and forgets all but what an application may keep.
async fn begun(endpoint: &StreamableHttp, gate: &Gate) -> (throughline::SavedSession, ResumptionToken) {
    let is_dead = Arc::new(AtomicBool::new(false));
    let client = Client::over(Busy::new(endpoint.clone(), &is_dead)).revision(LEGACY).await.unwrap();
    let saved = client.saved().expect("there is a session");
    let place = Arc::new(Mutex::new(None));
    let (told, at_one) = tokio::sync::oneshot::channel();
    let (keeping, mut told) = (Arc::clone(&place), Some(told));
    let calling = client.clone();
    let running = tokio::spawn(async move {
        let seen = Arc::new(AtomicBool::new(false));
        let see = Arc::clone(&seen);
        calling
            .call_tool("steps", &())
            .on_progress(move |_| see.store(true, Ordering::SeqCst))
            .on_resumption_token(move |token| {
                *keeping.lock().unwrap() = Some(token.clone());
                if let Some(told) = told.take_if(|_| seen.load(Ordering::SeqCst)) {
                    let _ = told.send(());
                }
            })
            .await
    });
    gate.open(1);
    at_one.await.expect("it comes to its first step");
    // The application dies: nothing that it would say as it goes reaches the server.
    is_dead.store(true, Ordering::SeqCst);
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    let text = serde_json::to_string(&(&saved, place.lock().unwrap().clone().unwrap())).unwrap();
    serde_json::from_str(&text).unwrap()
}

async fn resume(client: &Client, token: ResumptionToken) -> (Result<String, ClientError>, Vec<f64>) {
    let steps = Steps::default();
    let seen = Arc::clone(&steps);
    let outcome = client
        .call_tool("steps", &())
        .on_progress(move |progress| seen.lock().unwrap().push(progress.progress))
        .timeout(PATIENCE)
        .resume(token)
        .await;
    let outcome = outcome.map(|result| result.content[0].as_text().unwrap().to_owned());
    let steps = steps.lock().unwrap().clone();
    (outcome, steps)
}

#[tokio::test(start_paused = true)]
async fn a_call_is_resumed_after_the_application_restarted() {
    for ended_meanwhile in [false, true] {
        let gate = Gate::new();
        let endpoint = two_steps(&gate);
        let (saved, token) = begun(&endpoint, &gate).await;
        if ended_meanwhile {
            gate.open(2);
            crate::support::until(|| gate.went() == 3).await;
            settle().await;
        }
        let client = Client::over(endpoint.clone()).restore(saved).await.unwrap();
        assert_eq!(client.revision(), LEGACY);
        gate.open(2);
        let (outcome, steps) = resume(&client, token.clone()).await;
        assert_eq!((outcome.unwrap().as_str(), steps), ("walked", vec![2.0]));
        // And as often as it likes, while the server keeps it.
        let (outcome, steps) = resume(&client, token).await;
        assert_eq!((outcome.unwrap().as_str(), steps), ("walked", vec![2.0]));
        assert_eq!(client.list_tools().await.unwrap().len(), 1);
        client.close().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_the_server_does_not_know_cannot_be_resumed() {
    let gate = Gate::new();
    let endpoint = two_steps(&gate);
    let (saved, token) = begun(&endpoint, &gate).await;
    // The server restarted as well, and kept nothing.
    let client = Client::over(two_steps(&gate)).restore(saved.clone()).await.unwrap();
    let (outcome, _) = resume(&client, token.clone()).await;
    let error = outcome.unwrap_err();
    assert!(error.is_outcome_unknown() && error.is_session_gone(), "{error}");
    // The next call opens a session by itself.
    assert_eq!(client.list_tools().await.unwrap().len(), 1);
    // A place that is none.
    let client = Client::over(endpoint.clone()).restore(saved).await.unwrap();
    let nonsense = serde_json::to_string(&token).unwrap().replace(r#""cursor":""#, r#""cursor":"x"#);
    let (outcome, _) = resume(&client, serde_json::from_str(&nonsense).unwrap()).await;
    let error = outcome.unwrap_err();
    assert!(error.is_outcome_unknown() && !error.is_session_gone(), "{error}");
    // Where there are no sessions there is nothing to resume, and nothing is asked.
    let client = Client::over(endpoint).await.unwrap();
    let (outcome, _) = resume(&client, token).await;
    let error = outcome.unwrap_err();
    assert!(!error.is_outcome_unknown() && error.to_string().contains("cannot be resumed"), "{error}");
    let _: Raw = client.request("tools/list", &json!({})).await.unwrap();
}
