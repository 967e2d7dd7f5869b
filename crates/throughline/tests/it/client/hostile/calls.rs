//! How calls end that the server does not end: in time, taken back, one too many, and with nothing left behind.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use throughline::Client;
use throughline::jsonrpc::Raw;
use throughline::revision::Revision;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::answers::progress;
use super::script::{Asked, Busy, Reply, Script, Step};
use super::{ERAS, PATIENCE, call, check_usable, result};
use crate::support::settle;

/// A script whose calls never end. What it gives out lives as long as their responses.
fn hanging() -> (Script, Arc<()>) {
    let held = Arc::new(());
    let hold = Arc::clone(&held);
    let script = Script::new(move |asked| {
        let hangs = asked.method() == "tools/call" || is_second(asked);
        hangs.then(|| Reply::sse().holding(&hold).then(Step::Hang))
    });
    (script, held)
}

/// Whether it is `initialize` in a session.
fn is_second(asked: &Asked) -> bool {
    asked.method() == "initialize" && asked.header("mcp-session-id").is_some()
}

/// How many tasks there are beside the test itself.
fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

#[tokio::test(start_paused = true)]
async fn progress_keeps_a_call_alive_for_so_long() {
    for revision in ERAS {
        let script = Script::new(|asked| {
            let token = &asked.message["params"]["_meta"]["progressToken"];
            let event = format!("data: {}\n\n", progress(token));
            let trickle = Step::Trickle(event.into(), Duration::from_secs(5));
            (asked.method() == "tools/call").then(|| Reply::sse().then(trickle))
        });
        let client = script.connect(revision).await.unwrap();
        for (reset, own_token, lasts, says) in [
            (true, None, 60, "longer than 60s in all"),
            (true, Some("mine"), 60, "longer than 60s in all"),
            (false, None, 10, "not answer within 10s"),
        ] {
            let begun = Instant::now();
            let mut calling = client.call_tool("t", &()).timeout(PATIENCE).reset_on_progress(reset);
            if let Some(token) = own_token {
                let meta = throughline::model::Meta::new().with("progressToken", &token).unwrap();
                calling = calling.meta(meta);
            }
            let error = calling.max_total(Duration::from_secs(60)).await.unwrap_err();
            assert!(error.is_timeout() && error.to_string().contains(says), "{error}");
            assert_eq!(begun.elapsed().as_secs(), lasts);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_gives_a_call_up_has_the_server_told() {
    for revision in ERAS {
        for how in ["dropped", "cancelled", "overdue"] {
            let (script, held) = hanging();
            let client = script.connect(revision).await.unwrap();
            let (cancel, cancelled) = tokio::sync::oneshot::channel::<()>();
            let calling = client.clone();
            let running = tokio::spawn(async move {
                let call = calling.request::<Raw>("tools/call", &json!({ "name": "t" })).timeout(PATIENCE);
                call.cancel_on(async { drop(cancelled.await) }).await
            });
            script.until("tools/call", 1).await;
            settle().await;
            assert_eq!(Arc::strong_count(&held), 3, "it is being read");
            let mut keep = Some(cancel);
            match how {
                "dropped" => running.abort(),
                "cancelled" => drop(keep.take()),
                _ => {}
            }
            match running.await {
                Ok(outcome) => {
                    let error = outcome.unwrap_err();
                    assert_eq!(
                        (error.is_cancelled(), error.is_timeout()),
                        (how == "cancelled", how == "overdue")
                    );
                }
                Err(aborted) => assert!(aborted.is_cancelled()),
            }
            settle().await;
            assert_eq!(Arc::strong_count(&held), 2, "the response is dropped");
            let told = script.seen("notifications/cancelled");
            if revision.is_modern() {
                // The lost connection says it.
                assert!(told.is_empty(), "{told:?}");
            } else {
                let id = script.seen("tools/call")[0].id().clone();
                assert_eq!(told.len(), 1);
                assert_eq!(told[0].message["params"]["requestId"], id);
            }
            check_usable(&client, how).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_not_sent_is_not_taken_back() {
    let (script, _) = hanging();
    let busy = Arc::new(AtomicBool::new(false));
    let client = Client::over(Busy::new(script.clone(), &busy)).revision(ERAS[0]).await.unwrap();
    busy.store(true, Ordering::SeqCst);
    let error = call(&client).await.unwrap_err();
    assert!(error.is_timeout());
    busy.store(false, Ordering::SeqCst);
    settle().await;
    assert_eq!((script.seen("tools/call").len(), script.seen("notifications/cancelled").len()), (0, 0));
    check_usable(&client, "busy").await;
}

#[tokio::test(start_paused = true)]
async fn initialize_is_never_taken_back() {
    let script =
        Script::slow(|asked| (asked.method() == "initialize").then(|| Box::pin(std::future::pending()) as _));
    assert!(script.connect(ERAS[0]).timeout(PATIENCE).await.unwrap_err().is_timeout());
    let (script, _) = hanging();
    let client = script.connect(ERAS[0]).await.unwrap();
    let again = client.request::<Raw>("initialize", &()).cancel_on(std::future::ready(()));
    assert!(again.await.unwrap_err().is_cancelled());
    settle().await;
    assert!(script.seen("notifications/cancelled").is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_answer_after_the_end_is_nobodys() {
    let script = Script::new(|asked| {
        let name = asked.message["params"]["name"].as_str();
        let id = asked.id().as_i64();
        match name {
            Some("late") => Some(Reply::sse().then(Step::Hang)),
            // Answers the calls before it as well.
            Some("t") => {
                let before = (1..id?).map(|id| result(&json!(id)));
                Some(before.fold(Reply::sse(), |reply, late| reply.event(&late)).event(&result(asked.id())))
            }
            _ => None,
        }
    });
    for revision in ERAS {
        let client = script.connect(revision).await.unwrap();
        let late = client.call_tool("late", &()).timeout(PATIENCE).await.unwrap_err();
        assert!(late.is_timeout());
        call(&client).await.unwrap();
        check_usable(&client, revision.date()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_on_the_stream_of_another_call_counts() {
    let script = Script::new(|asked| match asked.message["params"]["name"].as_str() {
        Some("waits") => Some(Reply::sse().then(Step::Hang)),
        Some("t") => {
            let other = json!(asked.id().as_i64()? - 1);
            Some(Reply::sse().event(&result(&other)).event(&result(asked.id())))
        }
        _ => None,
    });
    let client = script.connect(ERAS[0]).await.unwrap();
    let waiting = client.clone();
    let waiting =
        tokio::spawn(async move { waiting.request::<Raw>("tools/call", &json!({ "name": "waits" })).await });
    script.until("tools/call", 1).await;
    call(&client).await.unwrap();
    assert!(waiting.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn functions_of_the_caller_may_panic() {
    for revision in ERAS {
        let script = Script::new(|asked| {
            let token = &asked.message["params"]["_meta"]["progressToken"];
            let id = asked.id();
            (asked.method() == "tools/call")
                .then(|| Reply::sse().event_at("1", &progress(token)).event_at("2", &result(id)))
        });
        let client = script.connect(revision).on_notification(|_| panic!("as told")).await.unwrap();
        let call = client
            .request::<Raw>("tools/call", &json!({ "name": "t" }))
            .on_progress(|_| panic!("as told"))
            .on_message(|_| panic!("as told"))
            .on_resumption_token(|_| panic!("as told"));
        assert_eq!(call.await.unwrap().as_str(), r#"{"ok":true}"#);
        check_usable(&client, revision.date()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_calls_are_bounded_and_all_settle() {
    const TAKEN: usize = 4_096;
    for revision in ERAS {
        let before = tasks();
        let (script, held) = hanging();
        let client = script.connect(revision).await.unwrap();
        let mut calls = JoinSet::new();
        for _ in 0..10_000 {
            let client = client.clone();
            calls.spawn(async move { call(&client).await });
        }
        script.until("tools/call", TAKEN).await;
        let (mut refused, mut ended) = (0, 0);
        while refused < 10_000 - TAKEN {
            let error = calls.join_next().await.unwrap().unwrap().unwrap_err();
            assert!(error.to_string().contains("4096 calls are in flight already"), "{error}");
            assert!(!error.is_outcome_unknown() && !error.is_closed());
            refused += 1;
        }
        client.close().await.unwrap();
        while let Some(outcome) = calls.join_next().await {
            let error = outcome.unwrap().unwrap_err();
            assert!(error.is_closed() && error.is_outcome_unknown(), "{error}");
            ended += 1;
        }
        assert_eq!((refused, ended), (10_000 - TAKEN, TAKEN));
        assert!(call(&client).await.unwrap_err().is_closed());
        drop(client);
        settle().await;
        assert_eq!((Arc::strong_count(&held), script.holders(), tasks()), (2, 1, before), "nothing is left");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_of_a_client_that_is_dropped() {
    let before = tasks();
    for revision in ERAS {
        for clean in [true, false] {
            let ask = json!({ "jsonrpc": "2.0", "id": "ask", "method": "roots/list" });
            let script = Script::new(move |asked| {
                let stream = || Reply::sse().event(&ask).then(Step::Hang);
                (asked.verb == http::Method::GET || asked.method() == "tools/call").then(stream)
            });
            // A question is being answered, a call is under way, and the standalone stream is open.
            let client = script.connect(revision).on_roots(std::future::pending).await.unwrap();
            let calling = client.clone();
            let running = tokio::spawn(async move { call(&calling).await });
            script.until("tools/call", 1).await;
            settle().await;
            assert!(script.holders() > 1);
            if clean {
                client.close().await.unwrap();
                assert!(running.await.unwrap().unwrap_err().is_closed());
            } else {
                running.abort();
                assert!(running.await.unwrap_err().is_cancelled());
            }
            drop(client);
            settle().await;
            assert_eq!((script.holders(), tasks()), (1, before), "{} {clean}", revision.date());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn closing_does_not_wait_for_a_server_that_does_not_answer() {
    let script = Script::slow(|asked| {
        (asked.verb == http::Method::DELETE).then(|| Box::pin(std::future::pending()) as Pin<Box<_>> as _)
    });
    let client = script.connect(Revision::LATEST_LEGACY).await.unwrap();
    assert!(client.close().await.unwrap_err().is_timeout());
    assert!(call(&client).await.unwrap_err().is_closed());
    for (status, is_fine) in [(200, true), (202, true), (204, true), (404, true), (405, true), (400, false)] {
        let script =
            Script::new(move |asked| (asked.verb == http::Method::DELETE).then(|| Reply::status(status)));
        let client = script.connect(Revision::LATEST_LEGACY).await.unwrap();
        assert_eq!(client.close().await.is_ok(), is_fine, "{status}");
    }
}
