//! Answers to what the server asks the user.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use throughline::jsonrpc::Raw;
use throughline::model::{
    ClientCapabilities, ElicitAction, ElicitResult, ElicitSchema, ElicitationCapability, NumberSchema,
    StringSchema,
};
use throughline::revision::Revision;
use throughline::{Client, Connect, Context, Elicit, Server, StreamableHttp, tool};

use super::answering::{Said, answering};

fn form() -> ElicitSchema {
    let age = NumberSchema::integer().with_minimum(18.0).with_default(30.0);
    ElicitSchema::new().with_required("name", StringSchema::new()).with_optional("age", age)
}

/// What the tool got, in words.
async fn ask(cx: Context) -> throughline::Result<String> {
    let answer = cx.ask(Elicit::<Raw>::with_schema("Who are you?", form())).await;
    Ok(match answer {
        Ok(content) => content.as_str().to_owned(),
        Err(error) => format!("error: {error}"),
    })
}

/// What the tool of a server of each era got when the user answered so.
async fn got(answer: ElicitResult) -> Vec<Result<String, String>> {
    let mut got = Vec::new();
    for revision in [Revision::LATEST_LEGACY, Revision::LATEST] {
        let server = Server::new("demo", "1.0.0").tool(tool("ask", ask));
        let answer = answer.clone();
        let client = Client::over(StreamableHttp::new(server)).revision(revision);
        let client = client.on_elicit(move |_| std::future::ready(Ok(answer.clone()))).await.unwrap();
        let result = client.call_tool("ask", &()).await;
        got.push(match result {
            Ok(result) => Ok(result.content[0].as_text().unwrap().to_owned()),
            Err(error) => Err(error.to_string()),
        });
    }
    got
}

fn filled_in(content: &Value) -> ElicitResult {
    ElicitResult::accept(Raw::new(content).unwrap())
}

#[tokio::test]
async fn defaults_are_filled_in() {
    let wanted = Ok(r#"{"name":"Ada","age":30}"#.to_owned());
    assert_eq!(got(filled_in(&json!({ "name": "Ada" }))).await, [wanted.clone(), wanted]);
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_never_sent() {
    for (content, field) in [
        (json!({"name": "secret", "age": 17}), "age"),
        (json!({}), "name"),
        (json!({"nmae": "secret"}), "name"),
    ] {
        for got in got(filled_in(&content)).await {
            let said = got.unwrap_or_else(|error| error);
            assert!(said.contains(&format!("the field `{field}` of the form")), "{said}");
            assert!(!said.contains("secret"));
        }
    }
}

/// What a client answers to these params of `elicitation/create`.
async fn answered(with: impl FnOnce(Connect) -> Connect, params: Value) -> Value {
    let ask = json!({ "id": 7, "method": "elicitation/create", "params": params });
    let (connect, mut answers) = answering(move |_, _| Said::result(json!({})).after([ask.clone()]));
    let client = with(connect).await.unwrap();
    client.request::<Raw>("example/ask", &()).await.unwrap();
    answers.recv().await.unwrap()
}

#[tokio::test]
async fn what_is_not_accepted_has_no_content() {
    let content = Raw::new(&json!({ "name": "secret" })).unwrap();
    let mut declined = ElicitResult::new(ElicitAction::Decline);
    declined.content = Some(content.clone());
    let params = json!({"message": "?", "requestedSchema": form()});
    let answer =
        answered(|connect| connect.on_elicit(move |_| std::future::ready(Ok(declined.clone()))), params)
            .await;
    assert_eq!(answer["result"], json!({ "action": "decline" }));
    // A page has none either.
    let page = json!({"mode": "url", "message": "?", "url": "https://example.com", "elicitationId": "1"});
    let accepted = ElicitResult::accept(content);
    let answer =
        answered(|connect| connect.on_elicit(move |_| std::future::ready(Ok(accepted.clone()))), page).await;
    assert_eq!(answer["result"], json!({ "action": "accept" }));
}

#[tokio::test]
async fn a_mode_that_was_not_declared_is_refused() {
    let page = json!({"mode": "url", "message": "?", "url": "https://example.com", "elicitationId": "1"});
    let forms = ClientCapabilities::new().with_elicitation(ElicitationCapability { form: true, url: false });
    let asked = |_| async { panic!("the user is not asked") };
    let answer = answered(|connect| connect.capabilities(forms).on_elicit(asked), page).await;
    assert_eq!(answer["error"]["code"], -32602);
}

#[tokio::test]
async fn a_page_that_is_known_is_told_once() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let complete = |id: &str| json!({ "method": "notifications/elicitation/complete", "params": { "elicitationId": id } });
    let page = |id: &str| json!({ "mode": "url", "message": "?", "url": "https://example.com", "elicitationId": id });
    let (connect, _answers) = answering(move |method, _| match method {
        "example/page" => {
            let ask = json!({ "id": 7, "method": "elicitation/create", "params": page("known") });
            Said::result(json!({})).after([ask, complete("unknown"), complete("known"), complete("known")])
        }
        "example/refused" => Said::error(-32042, json!({ "elicitations": [page("by error")] })),
        _ => Said::result(json!({})).after([complete("by error")]),
    });
    let client = connect
        .on_elicit(|_| std::future::ready(Ok(ElicitResult::new(ElicitAction::Accept))))
        .on_elicitation_complete(move |done| tell.lock().unwrap().push(done.elicitation_id.to_string()))
        .await
        .unwrap();
    client.request::<Raw>("example/page", &()).await.unwrap();
    assert_eq!(*told.lock().unwrap(), ["known"]);
    let refused = client.request::<Raw>("example/refused", &()).await.unwrap_err();
    assert_eq!(refused.error().map(|error| error.code.0), Some(-32042));
    client.request::<Raw>("example/then", &()).await.unwrap();
    assert_eq!(*told.lock().unwrap(), ["known", "by error"]);
}
