//! In a session: the library asks where the handler answers that it asks.

use std::future::IntoFuture;
use std::sync::{Arc, Mutex};

use serde_json::json;
use throughline::jsonrpc::Raw;
use throughline::model::{ElicitAction, ElicitParams, ElicitResult, ListRootsResult};
use throughline::revision::Revision;
use throughline::{Client, Context, Server, StreamableHttp, tool};

use super::{Deeds, Name, server};
use crate::support::{Wire, client, request, within};

/// A client that gives these answers in turn; the questions that it was asked.
async fn answering(endpoint: &StreamableHttp, answers: &[ElicitResult]) -> (Client, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let answers = Mutex::new(Vec::from(answers).into_iter());
    let questions = Arc::clone(&asked);
    let client = client(endpoint)
        .on_elicit(move |params| {
            let ElicitParams::Form(form) = params else { panic!("no form") };
            questions.lock().unwrap().push(form.message.to_string());
            let answer = answers.lock().unwrap().next().expect("it asked too often");
            async { Ok(answer) }
        })
        .on_roots(|| async { Ok(ListRootsResult::new([])) })
        .await
        .unwrap();
    (client, asked)
}

fn named(name: &str) -> ElicitResult {
    ElicitResult::accept(Raw::new(&json!({ "name": name })).unwrap())
}

fn yes() -> ElicitResult {
    ElicitResult::accept(Raw::new(&json!({ "approved": true })).unwrap())
}

async fn call(client: &Client, tool: &str) -> (String, bool) {
    let result = within(client.call_tool(tool, &json!({})).into_future()).await.unwrap();
    (result.content[0].as_text().unwrap().to_owned(), result.is_error)
}

#[tokio::test(start_paused = true)]
async fn questions_one_after_another_and_at_once() {
    let deeds = Deeds::default();
    let endpoint = StreamableHttp::new(server(&deeds));
    let answers = [named("Ulm"), named("Bonn"), yes(), named("ada")];
    let (client, asked) = answering(&endpoint, &answers).await;
    assert_eq!(call(&client, "trip").await, ("Ulm Bonn true 1 1".into(), false));
    assert_eq!(deeds.count(), 1, "it was done once, although it was said twice");
    assert_eq!(call(&client, "both").await, ("ada 0".into(), false));
    assert_eq!(*asked.lock().unwrap(), ["From?", "To?", "Ticket 1?", "Who?"]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_asks_is_asked() {
    let endpoint = StreamableHttp::new(server(&Deeds::default()));
    let no = ElicitResult::new(ElicitAction::Decline);
    let (client, asked) = answering(&endpoint, &[named("ada"), named("bob"), no]).await;
    assert_eq!(call(&client, "own").await, ("ada and bob".into(), false));
    assert_eq!(*asked.lock().unwrap(), ["Name 1?", "Name 2?"]);
    assert_eq!(call(&client, "own").await, ("the user declined".into(), true));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_inside_once_here_either() {
    let nested = |cx: Context| async move {
        cx.once("name", || async { Ok(cx.elicit::<Name>("Who?").await?.name) }).await
    };
    let endpoint = StreamableHttp::new(Server::new("it", "1").tool(tool("nested", nested)));
    let (client, asked) = answering(&endpoint, &[]).await;
    let (said, is_error) = call(&client, "nested").await;
    assert!(is_error && said.contains("inside `once`"), "{said}");
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_of_two_refused_ends_both() {
    let endpoint = StreamableHttp::new(server(&Deeds::default()));
    let (client, _) = answering(&endpoint, &[ElicitResult::new(ElicitAction::Cancel)]).await;
    assert_eq!(call(&client, "both").await, ("the user closed the question without an answer".into(), true));
}

#[tokio::test(start_paused = true)]
async fn prompts_resources_and_templates_ask_so_too() {
    let endpoint = StreamableHttp::new(server(&Deeds::default()));
    let wire = Wire::open_with(&endpoint, Revision::V2025_11_25, json!({ "elicitation": {} })).await;
    let greet = json!({ "name": "greet", "arguments": { "greeting": "Hi" } });
    for (id, method, params, says) in [
        (1, "prompts/get", greet, "Hi ada!"),
        (2, "resources/read", json!({ "uri": "it://name" }), "ada"),
        (3, "resources/read", json!({ "uri": "it://Hello/name" }), "Hello ada!"),
    ] {
        let mut events = wire.post(request(id, method, params)).send().await.events();
        let question = events.message().await.message;
        assert_eq!(question["params"]["message"], "Who?");
        let answer = json!({ "action": "accept", "content": { "name": "ada" } });
        let answer = json!({ "jsonrpc": "2.0", "id": question["id"], "result": answer });
        assert_eq!(wire.post(answer).send().await.status(), 202);
        let result = events.message().await.message["result"].clone();
        let said = result.pointer("/messages/0/content/text").or(result.pointer("/contents/0/text"));
        assert_eq!(said.unwrap(), says);
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_never_has_enough_is_ended() {
    let endpoint = StreamableHttp::new(server(&Deeds::default()));
    let wire = Wire::open(&endpoint, Revision::V2025_11_25).await;
    let params = json!({ "name": "endless", "arguments": {} });
    let answer = wire.post(request(1, "tools/call", params)).send().await.json().await;
    insta::assert_snapshot!(answer["error"], @r#"{"code":-32603,"message":"this call asked for input 100 times, and that is the most"}"#);
}
