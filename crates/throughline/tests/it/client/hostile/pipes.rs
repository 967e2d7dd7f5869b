//! The same over a pipe: one stream of lines each way, which all calls share.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use throughline::jsonrpc::Raw;
use throughline::revision::Revision;
use throughline::{Client, Connect};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::sync::{Notify, mpsc};

use super::answers::progress;
use super::{ERAS, Ends, PATIENCE, call, check_usable, result};
use crate::support::settle;

/// What the server does about a call.
enum Act {
    /// Writes this.
    Write(String),
    /// Writes the same without end.
    Forever(String),
    /// Closes its output.
    Close,
}

/// A server on a pipe that answers calls so, and all else as it should. It tells every message that it got.
fn serve(act: impl Fn(&Value) -> Vec<Act> + Send + 'static) -> (Connect, mpsc::UnboundedReceiver<Value>) {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let (reader, mut writer) = tokio::io::split(theirs);
    let (seen, told) = mpsc::unbounded_channel();
    let (out, mut outgoing) = mpsc::unbounded_channel::<Act>();
    tokio::spawn(async move {
        while let Some(act) = outgoing.recv().await {
            let written = match act {
                Act::Write(text) => writer.write_all(text.as_bytes()).await,
                Act::Forever(text) => loop {
                    if let Err(error) = writer.write_all(text.as_bytes()).await {
                        break Err(error);
                    }
                },
                Act::Close => {
                    let _ = writer.shutdown().await;
                    return;
                }
            };
            if written.is_err() {
                return;
            }
        }
    });
    tokio::spawn(async move {
        let mut lines = BufReader::new(reader).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let message: Value = serde_json::from_str(&line).expect("a client writes messages");
            let _ = seen.send(message.clone());
            let id = &message["id"];
            let answer =
                |result: Value| vec![line_of(&json!({ "jsonrpc": "2.0", "id": id, "result": result }))];
            let acts = match message["method"].as_str().unwrap_or_default() {
                "tools/call" => act(&message),
                "initialize" => answer(json!({
                    "protocolVersion": message["params"]["protocolVersion"],
                    "capabilities": { "tools": {} },
                    "serverInfo": { "name": "script", "version": "1" },
                })),
                "server/discover" => answer(json!({
                    "resultType": "complete",
                    "supportedVersions": [Revision::LATEST.date()],
                    "capabilities": { "tools": {} },
                    "ttlMs": 0,
                    "cacheScope": "private",
                })),
                "tools/list" => answer(json!({ "tools": [], "ttlMs": 0, "cacheScope": "private" })),
                _ => Vec::new(),
            };
            for act in acts {
                let _ = out.send(act);
            }
        }
    });
    let (reader, writer) = tokio::io::split(ours);
    (Client::over_io(reader, writer), told)
}

fn line_of(message: &Value) -> Act {
    Act::Write(format!("{message}\n"))
}

#[tokio::test(start_paused = true)]
async fn each_bad_line_ends_in_a_clear_error_of_its_call() {
    type Acts = fn(&Value) -> Vec<Act>;
    let ok = Ends::Result(r#"{"ok":true}"#);
    let ended = Ends::Unknown("the server closed the connection");
    let cases: [(&str, Acts, Ends, bool); 16] = [
        ("an answer", |id| vec![line_of(&result(id))], ok, true),
        ("CRLF", |id| vec![Act::Write(format!("\r\n{}\r\n", result(id)))], ok, true),
        ("an array", |id| vec![line_of(&json!([progress(id), result(id)]))], ok, true),
        (
            "garbage before the answer",
            |id| vec![Act::Write("Server started!\n{\n\n\u{1b}[31m7\n".into()), line_of(&result(id))],
            ok,
            true,
        ),
        (
            "a huge line before the answer",
            |id| vec![Act::Write("x".repeat(17 << 20) + "\n"), line_of(&result(id))],
            ok,
            true,
        ),
        ("two answers", |id| vec![line_of(&result(id)), line_of(&result(id))], ok, true),
        (
            "answers to nothing",
            |id| vec![line_of(&result(&json!(987_654))), line_of(&result(&json!("x"))), line_of(&result(id))],
            ok,
            true,
        ),
        ("progress after the answer", |id| vec![line_of(&result(id)), line_of(&progress(id))], ok, true),
        (
            "an error",
            |id| {
                vec![line_of(
                    &json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -7, "message": "no" } }),
                )]
            },
            Ends::Error(-7),
            true,
        ),
        (
            "a result and an error",
            |id| {
                let error = json!({ "code": -7, "message": "no" });
                vec![line_of(&json!({ "jsonrpc": "2.0", "id": id, "result": {}, "error": error }))]
            },
            Ends::Violation("its answer is no message"),
            true,
        ),
        ("an id as text", |id| vec![line_of(&result(&json!(id.to_string())))], Ends::Timeout, true),
        ("nothing", |_| Vec::new(), Ends::Timeout, true),
        ("half a line", |id| vec![Act::Write(result(id).to_string())], Ends::Timeout, false),
        ("half a line and the end", |id| vec![Act::Write(result(id).to_string()), Act::Close], ended, false),
        ("the end", |_| vec![Act::Close], ended, false),
        ("the answer and the end", |id| vec![line_of(&result(id)), Act::Close], ok, false),
    ];
    for revision in ERAS {
        for (what, acts, ends, is_usable) in cases {
            let (connect, _told) = serve(move |message| acts(&message["id"]));
            let client = connect.revision(revision).await.unwrap();
            ends.check(what, call(&client).await);
            if is_usable {
                check_usable(&client, what).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_calls_after_the_end_is_told_so_at_once() {
    let (connect, _told) = serve(|_| vec![Act::Close]);
    let client = connect.await.unwrap();
    assert!(call(&client).await.unwrap_err().is_outcome_unknown());
    let error = call(&client).await.unwrap_err();
    assert!(error.is_closed() && !error.is_outcome_unknown(), "{error}");
}

/// On a real clock, as a paused one does not go on while there is always something to do.
#[tokio::test]
async fn a_flood_of_lines_does_not_stop_the_clock() {
    for text in
        [format!("{}\n", progress(&json!("x"))).repeat(100), "x".repeat(1 << 16), "\n".repeat(1 << 16)]
    {
        let (connect, _told) = serve(move |_| vec![Act::Forever(text.clone())]);
        let client = connect.await.unwrap();
        let call = client.request::<Raw>("tools/call", &json!({ "name": "t" }));
        Ends::Timeout.check("flood", call.timeout(Duration::from_millis(50)).await);
    }
}

#[tokio::test(start_paused = true)]
async fn who_gives_a_call_up_has_the_server_told() {
    for revision in ERAS {
        let (connect, mut told) = serve(|_| Vec::new());
        let client = connect.revision(revision).await.unwrap();
        let id = {
            let running = call(&client);
            tokio::pin!(running);
            loop {
                tokio::select! {
                    _ = &mut running => panic!("nothing answers it"),
                    message = told.recv() => {
                        let message = message.unwrap();
                        if message["method"] == "tools/call" {
                            break message["id"].clone();
                        }
                    }
                }
            }
        };
        let cancelled = told.recv().await.unwrap();
        assert_eq!(cancelled["method"], "notifications/cancelled");
        assert_eq!(cancelled["params"]["requestId"], id);
        check_usable(&client, revision.date()).await;
    }
}

/// A server that reads nothing: what waits is bounded, what was not sent is not taken back, and every call settles.
#[tokio::test(start_paused = true)]
async fn a_server_that_reads_nothing_holds_nobody_up_for_ever() {
    let (ours, theirs) = tokio::io::duplex(256);
    let (reader, writer) = tokio::io::split(theirs);
    let stop = Arc::new(Notify::new());
    let stopped = Arc::clone(&stop);
    let serving = tokio::spawn(async move {
        let mut lines = BufReader::with_capacity(16, reader).lines();
        let mut writer = writer;
        let hello = lines.next_line().await.unwrap().unwrap();
        let hello: Value = serde_json::from_str(&hello).unwrap();
        let result = json!({
            "protocolVersion": hello["params"]["protocolVersion"],
            "capabilities": {},
            "serverInfo": { "name": "deaf", "version": "1" },
        });
        let answer = json!({ "jsonrpc": "2.0", "id": hello["id"], "result": result });
        writer.write_all(format!("{answer}\n").as_bytes()).await.unwrap();
        stopped.notified().await;
        let mut rest = Vec::new();
        while let Ok(Some(line)) = lines.next_line().await {
            rest.push(serde_json::from_str::<Value>(&line).unwrap());
        }
        rest
    });
    let (reader, writer) = tokio::io::split(ours);
    let client =
        Client::over_io(reader, writer).revision(Revision::LATEST_LEGACY).timeout(PATIENCE).await.unwrap();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let client = client.clone();
        calls.spawn(async move { call(&client).await });
    }
    while let Some(outcome) = calls.join_next().await {
        assert!(outcome.unwrap().unwrap_err().is_timeout());
    }
    assert!(client.notify("it/note", &()).await.unwrap_err().is_timeout());
    stop.notify_one();
    settle().await;
    client.close().await.unwrap();
    drop(client);
    let rest = serving.await.unwrap();
    let of = |method: &'static str| rest.iter().filter(move |message| message["method"] == method);
    let sent: Vec<_> = of("tools/call").map(|message| message["id"].clone()).collect();
    assert!((65..=140).contains(&sent.len()), "{} were sent", sent.len());
    for cancelled in of("notifications/cancelled") {
        assert!(sent.contains(&cancelled["params"]["requestId"]), "{cancelled}");
    }
}
