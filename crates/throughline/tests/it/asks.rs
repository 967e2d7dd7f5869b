//! What a running call asks the client: forms, pages, samples, roots.

use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use throughline::jsonrpc::Raw;
use throughline::model::{
    ClientCapabilities, CreateMessageParams, CreateMessageResult, ElicitAction, ElicitParams, ElicitResult,
    ElicitationCapability, ListRootsResult, Root, RootsCapability, SamplingContent, SamplingMessage,
};
use throughline::revision::Revision;
use throughline::session::Patience;
use throughline::{AskError, Client, Context, McpError, Server, StreamableHttp, tool};

use crate::support::{REVISIONS, Wire, call, client, text, within};

#[derive(Deserialize, JsonSchema)]
struct Approval {
    /// Whether it may be done.
    approved: bool,
    reason: Option<String>,
}

fn said<T>(outcome: Result<T, AskError>, say: impl FnOnce(T) -> String) -> String {
    match outcome {
        Ok(answer) => say(answer),
        Err(error) => format!("no: {error}"),
    }
}

fn endpoint() -> StreamableHttp {
    let sample = || CreateMessageParams::new([SamplingMessage::user(SamplingContent::text("sum up"))], 50);
    let server = Server::new("it", "1")
        .tool(tool("form", |cx: Context| async move {
            let asked = cx.elicit::<Approval>("May I?").timeout(Duration::from_secs(30)).await;
            said(asked, |answer| format!("{} {:?}", answer.approved, answer.reason))
        }))
        .tool(tool("page", |cx: Context| async move {
            said(cx.elicit_url("Sign in", "https://example.org/in", "e-1").await, |()| "visited".into())
        }))
        .tool(tool("sample", move |cx: Context| async move {
            said(cx.sample(sample()).await, |answer| answer.content[0].as_text().unwrap_or("no text").into())
        }))
        .tool(tool("roots", |cx: Context| async move {
            said(cx.roots().await, |roots| {
                roots.iter().map(|root| root.uri.to_string()).collect::<Vec<_>>().join(" ")
            })
        }))
        .tool(tool("patient", |cx: Context| async move {
            let patience = Patience::new(Duration::from_secs(10)).max_total(Duration::from_secs(35));
            said(cx.elicit::<Approval>("May I?").patience(patience).await, |_| "answered".into())
        }))
        .tool(tool("join", |cx: Context| async move {
            let (form, roots) = tokio::join!(cx.elicit::<Approval>("May I?"), cx.roots());
            format!("{} {}", form.is_ok_and(|form| form.approved), roots.is_ok_and(|roots| roots.is_empty()))
        }))
        .tool(tool("forget", |cx: Context| async move {
            let asked = tokio::time::timeout(Duration::from_secs(3), cx.roots().into_future());
            format!("gave up: {}", asked.await.is_err())
        }));
    StreamableHttp::new(server)
}

async fn ask(client: &Client, tool: &str) -> String {
    let result = within(client.call_tool(tool, &json!({})).into_future()).await.expect("a result");
    result.content[0].as_text().expect("text").to_owned()
}

fn raw(value: Value) -> Raw {
    Raw::new(&value).unwrap()
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_question_is_answered() {
    let endpoint = endpoint();
    for revision in REVISIONS {
        let client = client(&endpoint)
            .revision(revision)
            .on_elicit(|params| async move {
                Ok(match params {
                    ElicitParams::Form(form) => {
                        assert_eq!(form.requested_schema.required, ["approved"]);
                        ElicitResult::accept(raw(json!({ "approved": true, "reason": "why not" })))
                    }
                    _ => ElicitResult::new(ElicitAction::Accept),
                })
            })
            .on_sample(|params| async move {
                assert_eq!(params.max_tokens, 50);
                Ok(CreateMessageResult::new("m", [SamplingContent::text("the sum")]))
            })
            .on_roots(|| async { Ok(ListRootsResult::new([Root::new("file:///a"), Root::new("file:///b")])) })
            .await
            .unwrap();
        assert_eq!(ask(&client, "roots").await, "file:///a file:///b");
        assert_eq!(ask(&client, "sample").await, "the sum");
        let form = ask(&client, "form").await;
        let page = ask(&client, "page").await;
        match revision {
            Revision::V2025_11_25 => assert_eq!((&*form, &*page), ("true Some(\"why not\")", "visited")),
            Revision::V2025_06_18 => {
                assert_eq!(form, "true Some(\"why not\")");
                insta::assert_snapshot!(page, @"no: the client cannot be asked: revision 2025-06-18 does not have this request");
            }
            _ => {
                insta::assert_snapshot!(form, @"no: the client cannot be asked: revision 2025-03-26 does not have this request");
            }
        }
        client.close().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_did_not_declare_it_is_not_asked() {
    let client = client(&endpoint()).await.unwrap();
    insta::assert_snapshot!(ask(&client, "form").await, @"no: the client cannot be asked: it did not declare the capability `elicitation`");
    insta::assert_snapshot!(ask(&client, "page").await, @"no: the client cannot be asked: it did not declare the capability `elicitation.url`");
    insta::assert_snapshot!(ask(&client, "sample").await, @"no: the client cannot be asked: it did not declare the capability `sampling`");
    insta::assert_snapshot!(ask(&client, "roots").await, @"no: the client cannot be asked: it did not declare the capability `roots`");
}

#[tokio::test(start_paused = true)]
async fn a_user_declines_closes_or_answers_badly() {
    let answers = [
        ElicitResult::new(ElicitAction::Decline),
        ElicitResult::new(ElicitAction::Cancel),
        ElicitResult::new(ElicitAction::Accept),
        ElicitResult::accept(raw(json!({ "approved": "perhaps" }))),
    ];
    let asked = Arc::new(AtomicUsize::new(0));
    // Answers are given as they are: those to forms would be checked on this side before.
    let client = client(&endpoint())
        .capabilities(
            ClientCapabilities::new()
                .with_elicitation(ElicitationCapability { form: true, url: false })
                .with_roots(RootsCapability { list_changed: false }),
        )
        .on_request(move |request| {
            assert_eq!(request.method, "elicitation/create");
            let answer = Raw::new(&answers[asked.fetch_add(1, Ordering::Relaxed)]).unwrap();
            async { Ok(answer) }
        })
        .on_roots(|| async { Err(McpError::new(-1, "none of your business")) })
        .await
        .unwrap();
    insta::assert_snapshot!(ask(&client, "form").await, @"no: the user declined");
    insta::assert_snapshot!(ask(&client, "form").await, @"no: the user closed the question without an answer");
    insta::assert_snapshot!(ask(&client, "form").await, @"no: the client's answer is not what was asked for: it was accepted without `content`");
    insta::assert_snapshot!(ask(&client, "form").await, @r#"no: the client's answer is not what was asked for: invalid type: string "perhaps", expected a boolean"#);
    insta::assert_snapshot!(ask(&client, "roots").await, @"no: the client answered with error -1: none of your business");
}

#[tokio::test(start_paused = true)]
async fn two_questions_can_be_open_at_once() {
    let client = client(&endpoint())
        .on_elicit(|_| async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            Ok(ElicitResult::accept(raw(json!({ "approved": true }))))
        })
        .on_roots(|| async { Ok(ListRootsResult::new([])) })
        .await
        .unwrap();
    assert_eq!(ask(&client, "join").await, "true true");
}

#[tokio::test(start_paused = true)]
async fn a_question_without_an_answer_ends_by_its_time_and_is_taken_back() {
    let endpoint = endpoint();
    let wire = Wire::open_with(&endpoint, Revision::V2025_11_25, json!({ "elicitation": {} })).await;
    let mut events = wire.call(1, "form", json!({})).await;
    let question = events.message().await.message;
    assert_eq!(question["method"], "elicitation/create");
    let back = events.message().await.message;
    assert_eq!(back["method"], "notifications/cancelled");
    assert_eq!(back["params"]["requestId"], question["id"]);
    insta::assert_snapshot!(text(&events.message().await.message), @"no: the client did not answer in time");
    assert!(events.next().await.is_none());
    // An answer that comes too late is taken and counted.
    let late = json!({ "jsonrpc": "2.0", "id": question["id"], "result": { "action": "decline" } });
    assert_eq!(wire.post(late).send().await.status(), 202);
    assert_eq!(endpoint.counters().responses_unexpected, 1);
}

#[tokio::test(start_paused = true)]
async fn progress_renews_the_wait_up_to_a_total() {
    let endpoint = endpoint();
    let wire = Wire::open_with(&endpoint, Revision::V2025_11_25, json!({ "elicitation": {} })).await;
    let mut events = wire.call(1, "patient", json!({})).await;
    let began = tokio::time::Instant::now();
    let question = events.message().await.message;
    let token = question["params"]["_meta"]["progressToken"].clone();
    assert!(!token.is_null(), "{question}");
    for step in 1..=4 {
        tokio::time::sleep(Duration::from_secs(8)).await;
        let params = json!({ "progressToken": token, "progress": step });
        let progress = json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params });
        assert_eq!(wire.post(progress).send().await.status(), 202);
    }
    assert_eq!(events.message().await.message["method"], "notifications/cancelled");
    assert_eq!(began.elapsed().as_secs(), 35, "four times 8 s would have gone on to 42 s");
    assert!(text(&events.message().await.message).starts_with("no: "));
}

#[tokio::test(start_paused = true)]
async fn a_question_that_is_dropped_is_taken_back() {
    let wire = Wire::open_with(&endpoint(), Revision::V2025_11_25, json!({ "roots": {} })).await;
    let mut events = wire.call(1, "forget", json!({})).await;
    let question = events.message().await.message;
    let back = events.message().await.message;
    assert_eq!(
        (&back["method"], &back["params"]["requestId"]),
        (&json!("notifications/cancelled"), &question["id"])
    );
    assert_eq!(text(&events.message().await.message), "gave up: true");
}

#[tokio::test(start_paused = true)]
async fn a_taken_back_question_stops_its_answerer() {
    let (running, stopped) = (Arc::new(()), Arc::new(AtomicUsize::new(0)));
    let inside = Arc::clone(&running);
    let told = Arc::clone(&stopped);
    let client = client(&endpoint())
        .on_roots(move || {
            let held = Arc::clone(&inside);
            async move {
                std::future::pending::<()>().await;
                drop(held);
                Ok(ListRootsResult::new([]))
            }
        })
        .on_notification(move |notification| {
            told.fetch_add(usize::from(notification.method == "notifications/cancelled"), Ordering::Relaxed);
        })
        .await
        .unwrap();
    assert_eq!(ask(&client, "forget").await, "gave up: true");
    assert_eq!(stopped.load(Ordering::Relaxed), 1);
    crate::support::until(|| Arc::strong_count(&running) == 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_malformed_answer_settles_the_question() {
    let endpoint = endpoint();
    let wire = Wire::open_with(&endpoint, Revision::V2025_11_25, json!({ "roots": {} })).await;
    let mut events = wire.call(1, "roots", json!({})).await;
    let question = events.message().await.message;
    let both = json!({ "jsonrpc": "2.0", "id": question["id"], "result": {}, "error": { "code": 1, "message": "x" } });
    let answer = wire.post(both).send().await;
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.json().await.get("id"), None, "it is our id, not the client's");
    insta::assert_snapshot!(text(&events.message().await.message), @r#"no: the client answered with error -32600: A response has either "result" or "error". Send one of them."#);
    // A result of the wrong type.
    let mut events = wire.call(2, "roots", json!({})).await;
    let question = events.message().await.message;
    let wrong = json!({ "jsonrpc": "2.0", "id": question["id"], "result": { "roots": 5 } });
    assert_eq!(wire.post(wrong).send().await.status(), 202);
    assert!(
        text(&events.message().await.message)
            .starts_with("no: the client's answer is not what was asked for")
    );
}

#[tokio::test(start_paused = true)]
async fn a_question_of_a_cancelled_call_is_over() {
    let endpoint = endpoint();
    let wire = Wire::open_with(&endpoint, Revision::V2025_11_25, json!({ "roots": {} })).await;
    let mut events = wire.call(1, "roots", json!({})).await;
    let question = events.message().await.message;
    let cancel =
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } });
    assert_eq!(wire.post(cancel).send().await.status(), 202);
    let rest = events.all().await;
    assert!(rest.iter().all(|event| event.message.get("result").is_none()), "{rest:?}");
    let late = json!({ "jsonrpc": "2.0", "id": question["id"], "result": { "roots": [] } });
    assert_eq!(wire.post(late).send().await.status(), 202);
    assert_eq!((endpoint.in_flight(), endpoint.counters().responses_unexpected), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_another_session_is_no_answer() {
    let endpoint = endpoint();
    let wire = Wire::open_with(&endpoint, Revision::V2025_11_25, json!({ "roots": {} })).await;
    let other = Wire::open(&endpoint, Revision::V2025_11_25).await;
    let mut events = wire.call(1, "roots", json!({})).await;
    let question = events.message().await.message;
    let answer = json!({ "jsonrpc": "2.0", "id": question["id"], "result": { "roots": [] } });
    assert_eq!(other.post(answer.clone()).send().await.status(), 202);
    assert!(events.is_quiet().await);
    assert_eq!(wire.post(answer).send().await.status(), 202);
    assert_eq!(text(&events.message().await.message), "");
}

#[tokio::test(start_paused = true)]
async fn questions_are_bounded() {
    let server = Server::new("it", "1").tool(tool("many", |cx: Context| async move {
        let mut asks: Vec<_> = (0..64).map(|_| Box::pin(cx.roots().into_future())).collect();
        for ask in &mut asks {
            assert!(
                std::future::poll_fn(|cx| std::task::Poll::Ready(ask.as_mut().poll(cx))).await.is_pending()
            );
        }
        said(cx.roots().await, |_| "answered".into())
    }));
    let wire =
        Wire::open_with(&StreamableHttp::new(server), Revision::V2025_11_25, json!({ "roots": {} })).await;
    let events = wire.post(call(1, "many", json!({}))).send().await.events().all().await;
    insta::assert_snapshot!(text(&events.last().unwrap().message), @"no: 64 questions to this client are open; wait for an answer first");
}
