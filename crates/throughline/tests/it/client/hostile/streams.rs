//! Streams that break off, and the standalone one.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use throughline::jsonrpc::Raw;
use throughline::model::ListRootsResult;
use throughline::revision::Revision;
use throughline::{Client, ClientError, StreamStatus};

use super::script::{Asked, Reply, Script, Step};
use super::{Ends, PATIENCE, call, check_usable, result};
use crate::support::{settle, until, within};

const LEGACY: Revision = Revision::LATEST_LEGACY;

/// A server whose call breaks off after an event with the id `1`; each GET after that is answered by the next of these.
/// The id of the call's request is in the place of `ID`.
fn breaking(replies: Vec<fn(&Value) -> Reply>) -> Script {
    let (id, next) = (Mutex::new(Value::Null), AtomicUsize::new(0));
    Script::new(move |asked| {
        if asked.method() == "tools/call" {
            *id.lock().unwrap() = asked.id().clone();
            return Some(Reply::sse().say("id: 1\nretry: 700\ndata:\n\n"));
        }
        asked.header("last-event-id")?;
        let next = next.fetch_add(1, Ordering::SeqCst);
        let reply = replies.get(next).or(replies.last())?;
        Some(reply(&id.lock().unwrap()))
    })
}

/// The GETs of the call.
fn resumes(script: &Script) -> Vec<Asked> {
    script.seen("GET").into_iter().filter(|asked| asked.header("last-event-id").is_some()).collect()
}

fn gone(oldest: &str, lost: u64) -> Reply {
    let data = json!({ "reason": "gone", "oldest": oldest, "lost": lost });
    let error = json!({ "code": -32600, "message": "gone", "data": data });
    let text = json!({ "jsonrpc": "2.0", "error": error }).to_string();
    Reply::status(400).kind("application/json").say(text)
}

/// Calls and tells what was lost.
async fn call_losing(client: &Client) -> (Result<Raw, ClientError>, u64) {
    let lost = Arc::new(AtomicU64::new(0));
    let counting = Arc::clone(&lost);
    let call = client
        .request::<Raw>("tools/call", &json!({ "name": "t" }))
        .timeout(Duration::from_secs(3_600))
        .on_lost(move |lost| {
            counting.fetch_add(lost, Ordering::SeqCst);
        });
    let outcome = call.await;
    (outcome, lost.load(Ordering::SeqCst))
}

#[tokio::test(start_paused = true)]
async fn a_call_comes_back_when_it_was_asked_to() {
    let script = breaking(vec![|id| Reply::sse().event_at("2", &result(id))]);
    let client = script.connect(LEGACY).await.unwrap();
    for _ in 0..50 {
        call(&client).await.unwrap();
    }
    let (calls, resumes) = (script.seen("tools/call"), resumes(&script));
    assert_eq!((calls.len(), resumes.len()), (50, 50));
    for (call, resume) in calls.iter().zip(&resumes) {
        let waited = resume.at - call.at;
        // The timer's wheel turns in milliseconds.
        assert!(
            waited >= Duration::from_millis(700) && waited <= Duration::from_millis(772),
            "it came back after {waited:?}"
        );
        assert_eq!(resume.header("last-event-id"), Some("1"));
        assert_eq!(resume.header("mcp-session-id"), Some("session-1"));
    }
}

#[tokio::test(start_paused = true)]
async fn each_way_to_lose_a_stream_has_its_end() {
    struct Case {
        what: &'static str,
        replies: Vec<fn(&Value) -> Reply>,
        ends: Ends,
        lost: u64,
        resumes: &'static [&'static str],
    }
    let ok = Ends::Result(r#"{"ok":true}"#);
    let cases = vec![
        Case {
            what: "never there",
            replies: vec![|_| Reply::lost()],
            ends: Ends::Unknown("the connection was lost for good"),
            lost: 0,
            resumes: &["1"; 5],
        },
        Case {
            what: "ends again and again",
            replies: vec![|_| Reply::sse().say("id: 1\ndata:\n\n")],
            ends: Ends::Unknown("the connection was lost for good"),
            lost: 0,
            resumes: &["1"; 5],
        },
        Case {
            what: "comes back late",
            replies: vec![
                |_| Reply::lost(),
                |_| Reply::status(503),
                |_| Reply::status(409),
                |_| Reply::sse().event_at("2", &json!({ "jsonrpc": "2.0", "method": "it/x" })),
                |_| Reply::sse().then(Step::Break),
                |id| Reply::sse().event_at("3", &result(id)),
            ],
            ends: ok,
            lost: 0,
            resumes: &["1", "1", "1", "1", "2", "2"],
        },
        Case {
            what: "lost some",
            replies: vec![|_| gone("5", 4), |_| gone("8", 3), |id| Reply::sse().event_at("9", &result(id))],
            ends: ok,
            lost: 7,
            resumes: &["1", "5", "8"],
        },
        Case {
            what: "lost for ever",
            replies: vec![|_| gone("5", 4), |_| gone("6", 1)],
            ends: Ends::Unknown("gone"),
            lost: 5,
            resumes: &["1", "5", "6"],
        },
        Case {
            what: "nothing left",
            replies: vec![|_| Reply::status(400)],
            ends: Ends::Unknown("400 Bad Request"),
            lost: 0,
            resumes: &["1"],
        },
        Case {
            what: "forbidden",
            replies: vec![|_| Reply::status(403)],
            ends: Ends::Unknown("403 Forbidden"),
            lost: 0,
            resumes: &["1"],
        },
        Case {
            what: "not offered",
            replies: vec![|_| Reply::status(405)],
            ends: Ends::Unknown("405"),
            lost: 0,
            resumes: &["1"],
        },
        Case {
            what: "a page",
            replies: vec![|_| Reply::status(200).kind("text/html").say("<html>")],
            ends: Ends::Unknown("as `text/html`"),
            lost: 0,
            resumes: &["1"],
        },
        Case {
            what: "elsewhere",
            replies: vec![|_| Reply::status(307).header("location", "http://elsewhere.example/")],
            ends: Ends::Unknown("307"),
            lost: 0,
            resumes: &["1"],
        },
    ];
    for Case { what, replies, ends, lost, resumes: expected } in cases {
        let script = breaking(replies);
        let client = script.connect(LEGACY).await.unwrap();
        let (outcome, told) = call_losing(&client).await;
        ends.check(what, outcome);
        assert_eq!(told, lost, "{what}");
        let cursors: Vec<_> =
            resumes(&script).iter().map(|asked| asked.header("last-event-id").unwrap().to_owned()).collect();
        assert_eq!(cursors, expected, "{what}");
        check_usable(&client, what).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_gone_on_the_way_back_leaves_the_outcome_unknown() {
    let script = Script::new(|asked| {
        let is_first = asked.header("mcp-session-id") == Some("session-1");
        match asked.method() {
            "tools/call" if is_first => Some(Reply::sse().say("id: 1\nretry: 1\ndata:\n\n")),
            "tools/list" if is_first => Some(Reply::status(404)),
            _ => asked.header("last-event-id").map(|_| Reply::status(404)),
        }
    });
    let client = script.connect(LEGACY).await.unwrap();
    let error = call(&client).await.unwrap_err();
    assert!(error.is_outcome_unknown() && error.is_session_gone(), "{error}");
    assert_eq!(script.seen("tools/call").len(), 1, "it is not repeated: it may have run");
    check_usable(&client, "gone").await;
    assert_eq!(client.session_id().as_deref(), Some("session-2"));
}

#[tokio::test(start_paused = true)]
async fn without_a_session_nothing_is_resumed() {
    let script = breaking(vec![|id| Reply::sse().event_at("2", &result(id))]);
    let client = script.connect(Revision::LATEST).await.unwrap();
    Ends::Unknown("the connection was lost").check("modern", call(&client).await);
    assert!(script.seen("GET").is_empty());
}

/// A server whose GETs are answered by these in turn, the last of them for ever. It remembers the second session alone, once
/// there is one.
fn listening(replies: Vec<fn() -> Reply>) -> Script {
    let next = AtomicUsize::new(0);
    Script::new(move |asked| {
        let next = || next.fetch_add(1, Ordering::SeqCst);
        (asked.verb == http::Method::GET).then(|| replies.get(next()).or(replies.last()).unwrap()())
    })
}

#[tokio::test(start_paused = true)]
async fn the_standalone_stream_goes_through_everything() {
    const SOON: Duration = Duration::from_millis(10);
    let script = listening(vec![
        || {
            let ask = json!({ "jsonrpc": "2.0", "id": "q", "method": "roots/list" });
            Reply::sse().event_at("a", &ask).then(Step::Wait(Box::pin(tokio::time::sleep(SOON))))
        },
        || Reply::lost(),
        || Reply::status(409),
        || gone("c", 6),
        || Reply::sse().say("id: d\ndata:\n\n").after(SOON),
        || Reply::status(400),
        || Reply::sse().say("id: e\ndata:\n\n").then(Step::Break),
        || Reply::status(404),
        || Reply::sse().event_at("f", &json!({ "jsonrpc": "2.0", "method": "it/x" })),
        || Reply::status(401),
    ]);
    let connecting =
        script.connect(LEGACY).on_roots(|| std::future::ready(Ok(ListRootsResult::new(Vec::new()))));
    let client = connecting.await.unwrap();
    let mut status = client.status();
    let mut seen = vec![*status.borrow_and_update()];
    while seen.last() != Some(&StreamStatus::Unavailable) {
        within(status.changed()).await.unwrap();
        seen.push(*status.borrow_and_update());
    }
    assert!(seen.contains(&StreamStatus::Open), "{seen:?}");
    assert!(seen.contains(&StreamStatus::Reconnecting { lost: 6 }), "{seen:?}");
    let opened: Vec<_> = script
        .seen("GET")
        .iter()
        .map(|asked| {
            let session = asked.header("mcp-session-id").unwrap_or_default().to_owned();
            (session, asked.header("last-event-id").map(str::to_owned))
        })
        .collect();
    let expected = [
        ("session-1", None),
        ("session-1", Some("a")),
        ("session-1", Some("a")),
        ("session-1", Some("a")),
        ("session-1", Some("c")),
        ("session-1", Some("d")),
        ("session-1", None),
        ("session-1", Some("e")),
        ("session-2", None),
        ("session-2", Some("f")),
    ];
    let expected = expected.map(|(session, cursor)| (session.to_owned(), cursor.map(str::to_owned)));
    assert_eq!(opened, expected);
    assert_eq!(script.seen("initialize").len(), 2);
    assert_eq!(script.seen("answer")[0].message["id"], "q", "its questions are answered");
    let initialized = script.seen("notifications/initialized")[0].at;
    assert!(script.seen("GET")[0].at >= initialized);
    check_usable(&client, "standalone").await;
    client.close().await.unwrap();
    assert_eq!(*client.status().borrow(), StreamStatus::Closed);
}

/// Its 404 says that there is no such thing, and not that a session is gone.
#[tokio::test(start_paused = true)]
async fn a_server_without_sessions_and_gets_is_met_once() {
    let script = Script::new(|asked| {
        if asked.verb == http::Method::GET {
            return Some(Reply::status(404));
        }
        let result = json!({
            "protocolVersion": asked.message["params"]["protocolVersion"],
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "script", "version": "1" },
        });
        let answer = json!({ "jsonrpc": "2.0", "id": asked.id(), "result": result });
        (asked.method() == "initialize").then(|| Reply::json(&answer))
    });
    let client = script.connect(LEGACY).await.unwrap();
    let mut status = client.status();
    within(status.wait_for(|status| *status == StreamStatus::Unavailable)).await.unwrap();
    check_usable(&client, "no stream").await;
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!((script.seen("GET").len(), script.seen("initialize").len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_server_without_a_standalone_stream_is_tolerated() {
    let replies: [fn() -> Reply; 6] = [
        || Reply::status(405),
        || Reply::status(403),
        || Reply::status(501),
        || Reply::status(202),
        || Reply::status(200).kind("text/html").say("<html>"),
        || Reply::status(307).header("location", "http://elsewhere.example/"),
    ];
    for reply in replies {
        let script = listening(vec![reply]);
        let client = script.connect(LEGACY).await.unwrap();
        let mut status = client.status();
        within(status.wait_for(|status| *status == StreamStatus::Unavailable)).await.unwrap();
        check_usable(&client, "no stream").await;
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        assert_eq!(script.seen("GET").len(), 1);
    }
    // And none is opened where there is nothing to open.
    let script = listening(vec![|| Reply::status(405)]);
    let modern = script.connect(Revision::LATEST).await.unwrap();
    let without = script.connect(LEGACY).standalone_stream(false).await.unwrap();
    settle().await;
    assert!(script.seen("GET").is_empty());
    for client in [modern, without] {
        assert_eq!(*client.status().borrow(), StreamStatus::Idle);
    }
}

#[tokio::test(start_paused = true)]
async fn the_standalone_stream_comes_back_for_ever_and_never_in_a_circle() {
    for (reply, sessions) in [
        ((|| Reply::lost()) as fn() -> Reply, 1..=1),
        (|| Reply::status(503), 1..=1),
        (|| Reply::sse(), 1..=1),
        (|| Reply::sse().say("retry: 0\ndata:\n\n"), 1..=1),
        (|| Reply::sse().say("x".repeat(17 << 20)), 1..=1),
        (|| Reply::status(404), 100..=140),
    ] {
        let script = listening(vec![reply]);
        let client = script.connect(LEGACY).await.unwrap();
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        let opened = script.seen("GET");
        assert!((115..=140).contains(&opened.len()), "{} times in an hour", opened.len());
        let longest = opened.windows(2).map(|two| two[1].at - two[0].at).max().unwrap();
        assert!(longest <= Duration::from_millis(30_001), "{longest:?}");
        assert!(sessions.contains(&script.seen("initialize").len()), "{}", script.seen("initialize").len());
        check_usable(&client, "coming back").await;
        client.close().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_standalone_stream_follows_to_a_session_that_a_call_opened() {
    let script = Script::new(|asked| {
        let is_first = asked.header("mcp-session-id") == Some("session-1");
        match asked.method() {
            _ if asked.verb == http::Method::GET => Some(Reply::sse().then(Step::Hang)),
            "tools/call" if is_first => Some(Reply::status(404)),
            _ => None,
        }
    });
    let client = script.connect(LEGACY).await.unwrap();
    script.until("GET", 1).await;
    call(&client).await.unwrap();
    script.until("GET", 2).await;
    let opened = script.seen("GET");
    assert_eq!(opened[1].header("mcp-session-id"), Some("session-2"));
    let status = client.status();
    until(|| *status.borrow() == StreamStatus::Open).await;
    assert_eq!(script.seen("initialize").len(), 2);
    let late = client.request::<Raw>("tools/call", &json!({ "name": "t" })).timeout(PATIENCE).await;
    late.unwrap();
}
