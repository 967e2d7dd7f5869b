//! `--data`: the server is killed and started again, and its clients go on.

use std::path::Path;

use serde_json::{Value, json};

use super::http::Messages;
#[cfg(unix)]
use super::process::binary_without_room;
use super::process::{Served, binary, run, serve};
use super::session::{Session, text_of};

async fn start(data: &Path, more: &[&str]) -> Served {
    let data = data.to_str().expect("a path of ASCII");
    let line: Vec<&str> = ["--data", data].iter().chain(more).copied().collect();
    serve(&line).await
}

/// A research call that is at its first step: its messages so far, and where to come back to.
async fn research(session: &mut Session) -> (Vec<Value>, String) {
    let mut messages =
        session.call("research", json!({ "topic": "sea", "steps": 3, "step_ms": 1_000 })).await;
    let mut seen = Vec::new();
    while seen.last().is_none_or(|last: &Value| last["params"]["progress"] != 1.0) {
        seen.push(messages.expect().await);
    }
    (seen, messages.last_id.expect("events have ids"))
}

/// The progress and the log lines among messages.
fn steps(messages: &[Value]) -> (Vec<f64>, usize) {
    let progress = messages.iter().filter_map(|message| message["params"]["progress"].as_f64()).collect();
    let logs = messages.iter().filter(|message| message["method"] == "notifications/message").count();
    (progress, logs)
}

#[tokio::test]
async fn killed_in_the_middle_of_a_call_it_goes_on_where_it_was() {
    let data = tempfile::tempdir().expect("a directory");
    let served = start(data.path(), &[]).await;
    assert!(served.greeting.contains("\nData: "), "{}", served.greeting);
    assert!(served.greeting.contains(", 0 sessions go on\n"), "{}", served.greeting);
    let mut session = Session::open(served.address, json!({})).await;
    session.ask("logging/setLevel", json!({ "level": "info" })).await;
    session.ask("resources/subscribe", json!({ "uri": "metrics://cpu" })).await;
    let (seen, place) = research(&mut session).await;
    assert_eq!(steps(&seen), (vec![1.0], 1), "the level was set");
    served.kill().await;

    let served = start(data.path(), &[]).await;
    let goes_on = ", 1 session goes on, 1 interrupted call runs again\n";
    assert!(served.greeting.contains(goes_on), "{}", served.greeting);
    let mut session = session.moved_to(served.address);
    let mut rest = session.resume(&place).await.rest().await;
    let (report, is_error) = text_of(&rest.pop().expect("an answer"));
    assert!(report.starts_with("Report on sea") && !is_error, "{report}");
    // What runs again logs again, at the level as it was; its client hears of progress that is new.
    assert_eq!(steps(&rest), (vec![2.0, 3.0], 3));
    // The session is what it was.
    let mut again = session.call("research", json!({ "topic": "sky", "steps": 1, "step_ms": 0 })).await;
    assert_eq!(steps(&again.rest().await), (vec![1.0], 1));
    let changed = session.listen().await.expect().await;
    assert_eq!(changed["params"]["uri"], "metrics://cpu");
}

#[tokio::test]
async fn a_call_that_may_not_run_again_says_that_it_was_cut_short() {
    let data = tempfile::tempdir().expect("a directory");
    let served = start(data.path(), &["--interrupted", "fail"]).await;
    let mut session = Session::open(served.address, json!({})).await;
    let (_, place) = research(&mut session).await;
    served.kill().await;

    let served = start(data.path(), &["--interrupted", "fail"]).await;
    assert!(
        served.greeting.contains(", 1 session goes on, 1 interrupted call failed\n"),
        "{}",
        served.greeting
    );
    let session = session.moved_to(served.address);
    let rest = session.resume(&place).await.rest().await;
    let error = &rest.last().expect("an answer")["error"];
    assert_eq!(error["code"], -32603);
    let why = "the server stopped while this ran, so its outcome is unknown";
    assert!(error["message"].as_str().is_some_and(|said| said.starts_with(why)), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn stopped_in_good_order_it_goes_on_too() {
    let data = tempfile::tempdir().expect("a directory");
    let served = start(data.path(), &["--shutdown-grace", "0s"]).await;
    let mut session = Session::open(served.address, json!({})).await;
    let (_, place) = research(&mut session).await;
    served.terminate();
    let (code, log) = served.ended().await;
    assert_eq!(code, 0, "{log}");

    let served = start(data.path(), &[]).await;
    let session = session.moved_to(served.address);
    let rest: Vec<Value> = session.resume(&place).await.rest().await;
    assert!(text_of(rest.last().expect("an answer")).0.starts_with("Report on sea"));
}

#[tokio::test]
async fn two_servers_do_not_share_a_directory() {
    let data = tempfile::tempdir().expect("a directory");
    let served = start(data.path(), &[]).await;
    let path = data.path().to_str().expect("a path of ASCII");
    let (code, out, error) = run(binary(&["serve", "--listen", "127.0.0.1:0", "--data", path])).await;
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(error.contains("error: --data: ") && error.contains("in use by another process"), "{error}");
    drop(served);
}

#[cfg(unix)]
#[tokio::test]
async fn on_a_full_disk_calls_fail_and_the_server_lives() {
    let data = tempfile::tempdir().expect("a directory");
    let path = data.path().to_str().expect("a path of ASCII");
    let line = ["serve", "--listen", "127.0.0.1:0", "--response", "sse", "--data", path];
    let mut served = super::process::start(binary_without_room(4_096, &line)).await;
    let mut session = Session::open(served.address, json!({})).await;
    let mut messages = session.call("slow", json!({ "ms": 1, "events": 3 })).await;
    let first = messages.expect().await;
    let place = messages.last_id.clone().expect("events have ids");
    let rest = messages.rest().await;
    assert_eq!((&first["params"]["progress"], rest.len()), (&json!(1), 3));

    let text = "x".repeat(50_000);
    let mut calls = 0;
    let error = loop {
        let answer =
            session.ask("tools/call", json!({ "name": "echo", "arguments": { "text": text } })).await;
        if let Some(error) = answer.get("error") {
            break error.clone();
        }
        calls += 1;
        assert!(calls < 200, "the file grew without end");
    };
    let told = "the server could not keep the events of this call, so it failed; try again";
    assert_eq!(error, json!({ "code": -32603, "message": told }));
    served.logs("the disk is full; make room").await;
    // It is there: for what needs no room, and for what was kept.
    let again = session.resume(&place).await.rest().await;
    assert_eq!(again, rest);
    served.kill().await;

    let served = start(data.path(), &[]).await;
    assert!(served.greeting.contains(", 1 session goes on"), "{}", served.greeting);
    let mut session = session.moved_to(served.address);
    assert_eq!(session.resume(&place).await.rest().await, rest);
    assert_eq!(session.text("echo", json!({ "text": text })).await, (text, false));
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_kept_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    let parent = tempfile::tempdir().expect("a directory");
    let data = parent.path().join("made/for/it");
    let served = start(&data, &[]).await;
    assert_eq!((mode(&data), mode(&data.join("throughline.redb"))), (0o700, 0o600));
    served.kill().await;
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    let mut served = start(&data, &[]).await;
    served.logs("can be looked into by other users").await;
}

#[tokio::test]
async fn a_session_that_was_deleted_does_not_come_back() {
    let data = tempfile::tempdir().expect("a directory");
    let served = start(data.path(), &[]).await;
    let session = Session::open(served.address, json!({})).await;
    let mut kept = Session::open(served.address, json!({})).await;
    session.delete().await;
    served.kill().await;
    let served = start(data.path(), &[]).await;
    assert!(served.greeting.contains(", 1 session goes on\n"), "{}", served.greeting);
    kept = kept.moved_to(served.address);
    let answer: Messages = kept.request("ping", json!({})).await;
    drop(answer);
}
