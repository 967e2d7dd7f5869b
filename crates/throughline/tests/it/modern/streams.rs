//! What is sent before the answer, and what becomes of a call when nobody is there to take it.

use std::time::Duration;

use serde_json::json;
use throughline::model::LoggingLevel;
use throughline::{Context, ResponseMode, Server, StreamableHttp, tool};

use super::{Drops, tool_call, with_level, with_progress};
use crate::support::{Gate, Wire, kit, modern, settle, text, until};

#[tokio::test(start_paused = true)]
async fn progress_comes_only_where_it_was_asked_for() {
    let wire = Wire::new(&StreamableHttp::new(kit::server(&Gate::new())));
    let steps = || tool_call(1, "steps", json!({ "count": 3 }));
    let quiet = wire.post_modern(steps()).send().await.json().await;
    assert_eq!(text(&quiet), "done");

    let answer = wire.post_modern(with_progress(steps(), "t")).send().await;
    assert_eq!(answer.header("x-accel-buffering"), "no");
    assert_eq!(answer.header("cache-control"), "no-cache");
    let events = answer.events().all().await;
    assert_eq!(events.len(), 4);
    for (event, done) in events.iter().zip([1.0, 2.0, 3.0]) {
        assert_eq!(event.progress(), Some(done));
        assert_eq!(event.message["params"]["progressToken"], "t");
    }
    assert_eq!(text(&events[3].message), "done");
    assert!(events.iter().all(|event| event.id.is_none() && event.retry.is_none()), "nothing can be resumed");
}

fn talkative() -> Server {
    Server::new("it", "1").tool(tool("talk", |cx: Context| async move {
        for level in LoggingLevel::ALL {
            cx.log(level, level.as_str()).await?;
        }
        Ok::<_, throughline::Error>("done")
    }))
}

#[tokio::test(start_paused = true)]
async fn logs_come_only_where_asked_for_and_from_that_level_on() {
    // What the server's own setting says is for sessions.
    let endpoint = StreamableHttp::builder(talkative()).log_level(LoggingLevel::Debug).build();
    let wire = Wire::new(&endpoint);
    let quiet = wire.post_modern(tool_call(1, "talk", json!({}))).send().await.json().await;
    assert_eq!(text(&quiet), "done");
    for (level, expected) in [("debug", 8), ("error", 4), ("emergency", 1)] {
        let call = with_level(tool_call(1, "talk", json!({})), level);
        let events = wire.post_modern(call).send().await.events().all().await;
        assert_eq!(events.len(), expected + 1, "{level}");
        assert_eq!(events[0].message["params"]["level"], level);
        assert_eq!(text(&events[expected].message), "done");
    }
}

#[tokio::test(start_paused = true)]
async fn a_notification_of_mcp_that_nobody_asked_for_is_not_sent_by_hand_either() {
    let server = Server::new("it", "1").tool(tool("notify", |cx: Context| async move {
        for method in
            ["notifications/tools/list_changed", "notifications/message", "it/own", "notifications/progress"]
        {
            cx.notify(method, &json!({ "own": true })).await?;
        }
        Ok::<_, throughline::Error>("done")
    }));
    let endpoint = StreamableHttp::new(server);
    let wire = Wire::new(&endpoint);
    let events = wire.post_modern(tool_call(1, "notify", json!({}))).send().await.events().all().await;
    assert_eq!(events.len(), 2);
    assert_eq!(events[0].message["method"], "it/own");
    assert_eq!(text(&events[1].message), "done");
    assert_eq!(endpoint.counters().notifications_undeliverable, 3);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_one_form_gets_that_form() {
    let endpoint = StreamableHttp::new(kit::server(&Gate::new()));
    let wire = Wire::new(&endpoint);
    let call = with_progress(tool_call(1, "steps", json!({ "count": 2 })), "t");
    let json = wire.post_modern(call).header("accept", "application/json").send().await;
    assert_eq!(text(&json.json().await), "done");
    assert_eq!(endpoint.counters().notifications_undeliverable, 2);

    let call = tool_call(1, "echo", json!({ "text": "hi" }));
    let events = wire.post_modern(call).header("accept", "text/event-stream").send().await.events();
    let events = events.all().await;
    assert_eq!((events.len(), text(&events[0].message)), (1, "hi"));
}

#[tokio::test(start_paused = true)]
async fn the_flags_of_a_server_are_for_sessions() {
    let endpoint =
        StreamableHttp::builder(kit::server(&Gate::new())).json_response(true).stateless_http(true).build();
    let wire = Wire::new(&endpoint);
    let echo = wire.post_modern(tool_call(1, "echo", json!({ "text": "hi" }))).send().await;
    assert_eq!(text(&echo.json().await), "hi");
    let steps = with_progress(tool_call(1, "steps", json!({ "count": 2 })), "t");
    assert_eq!(wire.post_modern(steps).send().await.events().all().await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_server_may_always_stream_but_for_errors_with_a_status() {
    let endpoint =
        StreamableHttp::builder(kit::server(&Gate::new())).response_mode(ResponseMode::Sse).build();
    let wire = Wire::new(&endpoint);
    let echo = wire.post_modern(tool_call(1, "echo", json!({ "text": "hi" }))).send().await;
    let events = echo.events().all().await;
    assert_eq!((events.len(), text(&events[0].message)), (1, "hi"));
    let unknown = wire.post_modern(modern(2, "nothing/here", json!({}))).send().await;
    assert_eq!((unknown.status(), &unknown.json().await["error"]["code"]), (404, &json!(-32601)));
    let json = wire.post_modern(tool_call(1, "echo", json!({ "text": "hi" })));
    assert_eq!(text(&json.header("accept", "application/json").send().await.json().await), "hi");
}

#[tokio::test(start_paused = true)]
async fn the_head_is_never_later_than_the_upgrade_delay_and_a_quiet_stream_is_kept_alive() {
    let gate = Gate::new();
    let endpoint = StreamableHttp::new(kit::server(&gate));
    let wire = Wire::new(&endpoint);
    let before = tokio::time::Instant::now();
    let call = tool_call(1, "gated", json!({ "before": 0, "after": 0 }));
    let mut events = wire.post_modern(call).send().await.events();
    assert_eq!(before.elapsed(), Duration::from_millis(250));
    assert_eq!(events.chunk().await.unwrap(), ":\n");
    assert!(before.elapsed() >= Duration::from_secs(15));
    gate.open(1);
    assert_eq!(text(&events.message().await.message), "done");
    assert!(events.next().await.is_none());
}

/// `wait`: says that it runs, and waits for ever; `drops` is told when it is dropped.
fn waiting(drops: &Drops, gate: &Gate) -> Server {
    let (drops, gate) = (drops.clone(), gate.clone());
    Server::new("it", "1").tool(tool("wait", move |cx: Context| {
        let (guard, gate) = (drops.guard(), gate.clone());
        async move {
            let _guard = guard;
            cx.progress(1.0).await?;
            gate.pass().await;
            Ok::<_, throughline::Error>("never")
        }
    }))
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_drops_the_handler() {
    let (drops, gate) = (Drops::default(), Gate::new());
    let endpoint = StreamableHttp::new(waiting(&drops, &gate));
    let wire = Wire::new(&endpoint);

    // Before there is a response.
    let sending = wire.post_modern(tool_call(1, "wait", json!({}))).start();
    gate.until_came(1).await;
    assert_eq!((drops.count(), endpoint.in_flight()), (0, 1));
    sending.abort();
    until(|| drops.count() == 1).await;

    // While it streams.
    let mut events =
        wire.post_modern(with_progress(tool_call(1, "wait", json!({})), "t")).send().await.events();
    assert_eq!(events.message().await.progress(), Some(1.0));
    gate.until_came(2).await;
    assert_eq!(drops.count(), 1);
    drop(events);
    until(|| drops.count() == 2).await;
    until(|| endpoint.in_flight() == 0).await;
    assert_eq!(gate.went(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_looks_goes_on_when_its_connection_is_lost() {
    let (told, mut hear) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::new("it", "1").tool(tool("tidy", move |cx: Context| {
        let told = told.clone();
        async move {
            cx.progress(1.0).await.expect("while it runs");
            cx.cancelled().await;
            tokio::time::sleep(Duration::from_secs(3)).await;
            told.send((cx.is_cancelled(), cx.progress(2.0).await.is_err())).expect("the test listens");
            "tidied up"
        }
    }));
    let endpoint = StreamableHttp::new(server);
    let wire = Wire::new(&endpoint);
    let call = with_progress(tool_call(1, "tidy", json!({})), "t");
    let mut events = wire.post_modern(call).send().await.events();
    assert_eq!(events.message().await.progress(), Some(1.0));
    drop(events);
    assert_eq!(hear.recv().await, Some((true, true)));
    until(|| endpoint.in_flight() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_behind_holds_up_only_its_call() {
    let endpoint = StreamableHttp::new(kit::server(&Gate::new()));
    let wire = Wire::new(&endpoint);
    let call = with_progress(tool_call(1, "steps", json!({ "count": 1000 })), "t");
    let slow = wire.post_modern(call).send().await;
    settle().await;
    assert_eq!(endpoint.in_flight(), 1, "it waits for its reader");
    let echo = wire.post_modern(tool_call(2, "echo", json!({ "text": "hi" }))).send().await;
    assert_eq!(text(&echo.json().await), "hi");
    assert_eq!(slow.events().all().await.len(), 1001);
}

/// A stream that was given up because nobody took it has no answer: its call is not left to run unheard.
#[tokio::test(start_paused = true)]
async fn a_call_whose_reader_stalled_is_dropped_even_where_the_rest_is_read_later() {
    let (drops, gate) = (Drops::default(), Gate::new());
    let endpoint = StreamableHttp::new(waiting(&drops, &gate));
    let wire = Wire::new(&endpoint);
    let stalled = wire.post_modern(with_progress(tool_call(1, "wait", json!({})), "t")).send().await;
    gate.until_came(1).await;
    until(|| endpoint.counters().readers_detached == 1).await;
    let events = stalled.events().all().await;
    assert_eq!(events.len(), 1, "the progress, and no answer");
    until(|| drops.count() == 1).await;
    until(|| endpoint.in_flight() == 0).await;
}
