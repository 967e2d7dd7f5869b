//! What a server asks: too much, twice, of a client that panics, and in a session that is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use throughline::jsonrpc::Raw;
use throughline::model::{ElicitAction, ElicitResult};
use throughline::revision::Revision;
use throughline::{Client, Connect, Context, Server, Stdio, StreamableHttp, tool};

use super::script::{Asked, Reply, Script, Step};
use super::{PATIENCE, call, check_usable, result};
use crate::support::{Gate, settle};

const LEGACY: Revision = Revision::LATEST_LEGACY;

fn question(id: impl Into<Value>, method: &str) -> Value {
    let params = json!({ "message": "m", "requestedSchema": { "type": "object", "properties": {} } });
    json!({ "jsonrpc": "2.0", "id": id.into(), "method": method, "params": params })
}

/// A server whose calls ask these questions, and end when so many answers came.
fn asking(questions: Vec<Value>, answers: usize) -> Script {
    Script::knowing_itself(move |script, asked| {
        let script = script.clone();
        let reply = questions.iter().fold(Reply::sse(), Reply::event);
        let waits = async move { script.until("answer", answers).await };
        let reply = reply.then(Step::Wait(Box::pin(waits))).event(&result(asked.id()));
        (asked.method() == "tools/call").then_some(reply)
    })
}

fn answers(script: &Script) -> Vec<Value> {
    script.seen("answer").into_iter().map(|asked| asked.message).collect()
}

#[tokio::test(start_paused = true)]
async fn a_question_is_answered_even_when_its_answerer_panics() {
    let questions = vec![
        question(1, "elicitation/create"),
        question("two", "roots/list"),
        question(3, "ping"),
        question(4, "no/such"),
        json!({ "jsonrpc": "2.0", "id": 5, "method": "elicitation/create", "params": { "message": 7 } }),
    ];
    let script = asking(questions, 5);
    let client = script
        .connect(LEGACY)
        .on_elicit(|_| async { panic!("as told") })
        .on_roots(|| -> std::future::Ready<_> { panic!("as told") })
        .await
        .unwrap();
    call(&client).await.unwrap();
    let codes: Vec<_> = answers(&script)
        .iter()
        .map(|answer| (answer["id"].to_string(), answer["error"]["code"].as_i64()))
        .collect();
    for expected in [
        ("1", Some(-32603)),
        ("\"two\"", Some(-32603)),
        ("3", None),
        ("4", Some(-32601)),
        ("5", Some(-32602)),
    ] {
        assert!(codes.contains(&(expected.0.to_owned(), expected.1)), "{expected:?}: {codes:?}");
    }
    check_usable(&client, "panics").await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_questions_are_declined_and_the_call_goes_on() {
    let questions = (0..1_000).map(|id| question(id, "elicitation/create")).collect();
    let script = asking(questions, 1_000 - 64);
    let asked = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&asked);
    let client = script
        .connect(LEGACY)
        .on_elicit(move |_| {
            counting.fetch_add(1, Ordering::SeqCst);
            std::future::pending()
        })
        .await
        .unwrap();
    call(&client).await.unwrap();
    settle().await;
    assert_eq!(asked.load(Ordering::SeqCst), 64);
    let declined = answers(&script);
    assert_eq!(declined.len(), 1_000 - 64);
    assert!(declined.iter().all(|answer| answer["error"]["code"] == -32603), "{}", declined[0]);
    check_usable(&client, "questions").await;
}

#[tokio::test(start_paused = true)]
async fn a_question_is_answered_once_and_not_when_it_is_taken_back() {
    let taken_back = json!({
        "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": "back" }
    });
    let questions = vec![
        question("back", "roots/list"),
        question("twice", "elicitation/create"),
        question("twice", "elicitation/create"),
        taken_back,
    ];
    let script = asking(questions, 1);
    let gate = Gate::new();
    let waiting = gate.clone();
    let client = script
        .connect(LEGACY)
        .on_roots(std::future::pending)
        .on_elicit(move |_| {
            let waiting = waiting.clone();
            async move {
                waiting.pass().await;
                Ok(ElicitResult::new(ElicitAction::Decline))
            }
        })
        .await
        .unwrap();
    let calling = client.clone();
    let running = tokio::spawn(async move { call(&calling).await });
    gate.until_came(1).await;
    gate.open(2);
    running.await.unwrap().unwrap();
    settle().await;
    let answers = answers(&script);
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(answers[0]["id"], "twice");
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_not_sent_into_another_session() {
    let script = Script::new(|asked: &Asked| {
        let first = asked.header("mcp-session-id") == Some("session-1");
        if asked.verb == http::Method::GET {
            return Some(match first {
                true => Reply::sse().event(&question(1, "elicitation/create")).then(Step::Hang),
                false => Reply::sse().then(Step::Hang),
            });
        }
        (asked.method() == "tools/call" && first).then(|| Reply::status(404))
    });
    let gate = Gate::new();
    let waiting = gate.clone();
    let client = script
        .connect(LEGACY)
        .on_elicit(move |_| {
            let waiting = waiting.clone();
            async move {
                waiting.pass().await;
                Ok(ElicitResult::new(ElicitAction::Decline))
            }
        })
        .await
        .unwrap();
    gate.until_came(1).await;
    call(&client).await.unwrap();
    assert_eq!(client.session_id().as_deref(), Some("session-2"));
    gate.open(1);
    settle().await;
    assert_eq!((gate.went(), answers(&script).len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn another_session_may_ask_under_the_id_of_an_open_question() {
    let taken_back =
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 2 } });
    let script = Script::new(move |asked: &Asked| {
        let first = asked.header("mcp-session-id") == Some("session-1");
        if asked.verb == http::Method::GET {
            let asks = Reply::sse()
                .event(&question(1, "elicitation/create"))
                .event(&question(2, "elicitation/create"));
            let asks = if first { asks } else { asks.event(&taken_back) };
            return Some(asks.then(Step::Hang));
        }
        (asked.method() == "tools/call" && first).then(|| Reply::status(404))
    });
    let gate = Gate::new();
    let waiting = gate.clone();
    let client = script
        .connect(LEGACY)
        .on_elicit(move |_| {
            let waiting = waiting.clone();
            async move {
                waiting.pass().await;
                Ok(ElicitResult::new(ElicitAction::Decline))
            }
        })
        .await
        .unwrap();
    gate.until_came(2).await;
    call(&client).await.unwrap();
    settle().await;
    // The second was taken back before its answerer ran.
    assert_eq!(gate.came(), 3, "the other session asks, too");
    gate.open(3);
    script.until("answer", 1).await;
    settle().await;
    let answers = script.seen("answer");
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(answers[0].id(), 1);
    assert_eq!(answers[0].header("mcp-session-id"), Some("session-2"));
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Approval {
    #[allow(dead_code, reason = "only its shape counts")]
    approved: bool,
}

/// Our own server asks, and its user takes five minutes: the call's clock stands still.
#[tokio::test(start_paused = true)]
async fn a_user_may_take_longer_than_the_call() {
    let server = || {
        Server::new("it", "1").tool(tool("ask", async |cx: Context| -> throughline::Result<String> {
            cx.elicit::<Approval>("May I?").await?;
            Ok("asked".into())
        }))
    };
    let slow = |connect: Connect| {
        let yes = Raw::new(&json!({ "approved": true })).unwrap();
        connect.on_elicit(move |_| {
            let yes = yes.clone();
            async move {
                tokio::time::sleep(Duration::from_secs(300)).await;
                Ok(ElicitResult::accept(yes))
            }
        })
    };
    for revision in super::ERAS {
        let over_http = slow(Client::over(StreamableHttp::new(server()))).revision(revision).await.unwrap();
        let (ours, theirs) = tokio::io::duplex(4_096);
        let (reader, writer) = tokio::io::split(theirs);
        let serving = Stdio::new(server()).over(reader, writer);
        tokio::spawn(std::future::IntoFuture::into_future(serving));
        let (reader, writer) = tokio::io::split(ours);
        let over_io = slow(Client::over_io(reader, writer)).revision(revision).await.unwrap();
        for client in [over_http, over_io] {
            let result = client.call_tool("ask", &()).timeout(PATIENCE).await;
            let result = result.unwrap_or_else(|error| panic!("{}: {error}", revision.date()));
            assert_eq!(result.content[0].as_text(), Some("asked"));
        }
    }
}
