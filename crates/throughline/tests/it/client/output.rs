//! The structured content of results, and whether it is checked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use throughline::jsonrpc::Raw;
use throughline::model::{CallToolResult, Content};
use throughline::revision::Revision;
use throughline::{Client, ClientError, Json, Round, Server, StreamableHttp, tool};

#[derive(Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
struct Sum {
    sum: i64,
}

#[derive(Deserialize, schemars::JsonSchema)]
struct Numbers {
    a: i64,
    b: i64,
}

fn server() -> Server {
    Server::new("demo", "1.0.0")
        .tool(tool("sum", |n: Numbers| async move { Json(Sum { sum: n.a + n.b }) }))
        .tool(tool("text", || async { "no structure" }))
        .tool(tool("fail", || async {
            let said = [Content::text("it broke"), Content::text("twice")];
            CallToolResult::new(said).with_is_error(true)
        }))
        .tool(tool("silent", || async { CallToolResult::new([]).with_is_error(true) }))
        .tool(tool("loose", || async {
            CallToolResult::structured(Raw::new(&json!({ "sum": "many" })).unwrap())
        }))
}

async fn clients() -> Vec<Client> {
    let mut clients = Vec::new();
    for revision in [Revision::LATEST_LEGACY, Revision::LATEST] {
        clients.push(Client::over(StreamableHttp::new(server())).revision(revision).await.unwrap());
    }
    clients
}

#[tokio::test]
async fn structured_content_is_read() {
    for client in clients().await {
        let call = || client.call_tool("sum", &json!({ "a": 2, "b": 3 }));
        assert_eq!(call().output::<Sum>().await.unwrap(), Sum { sum: 5 });
        assert_eq!(call().output::<Value>().await.unwrap(), json!({ "sum": 5 }));
        assert_eq!(call().output::<Raw>().await.unwrap().as_str(), r#"{"sum":5}"#);
        let Round::Complete(sum) = call().output::<Sum>().one_round().await.unwrap() else {
            panic!("it asks")
        };
        assert_eq!(sum, Sum { sum: 5 });
    }
}

#[tokio::test]
async fn what_cannot_be_read_says_why() {
    async fn error(client: &Client, tool: &'static str) -> ClientError {
        client.call_tool(tool, &()).output::<Sum>().await.unwrap_err()
    }
    for client in clients().await {
        let failed = error(&client, "fail").await;
        assert!(failed.is_tool_error());
        assert_eq!(failed.to_string(), "it broke\ntwice");
        assert!(error(&client, "silent").await.is_tool_error());
        let none = error(&client, "text").await;
        assert!(!none.is_tool_error() && !none.is_protocol_violation());
        assert_eq!(
            none.to_string(),
            "the result of the tool `text` has no structured content: read its `content` instead"
        );
        let other = error(&client, "loose").await;
        assert!(!other.is_protocol_violation());
        assert!(other.to_string().contains("not what is expected here at `sum`: "), "{other}");
    }
}

#[cfg(feature = "client")]
mod checked {
    use super::*;

    use super::super::answering::{Said, answering};
    use throughline::Connect;

    /// A server of one tool, which says what it gives and gives what it wants. It counts how often its tools are listed.
    fn lying(content: Option<Value>) -> (Connect, Arc<AtomicUsize>) {
        let lists = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&lists);
        let answer = move |method: &str, _: &Value| match method {
            "tools/list" => {
                counted.fetch_add(1, Ordering::Relaxed);
                let properties = json!({ "sum": { "type": "integer" } });
                let schema = json!({ "type": "object", "properties": properties, "required": ["sum"] });
                let tool =
                    json!({ "name": "sum", "inputSchema": { "type": "object" }, "outputSchema": schema });
                Said::result(json!({ "tools": [tool] }))
            }
            "tools/call" => match &content {
                Some(content) => Said::result(json!({ "content": [], "structuredContent": content })),
                None => Said::result(json!({ "content": [] })),
            },
            _ => Said::result(json!({})).after([json!({ "method": "notifications/tools/list_changed" })]),
        };
        (answering(answer).0, lists)
    }

    #[tokio::test]
    async fn content_that_does_not_fit_names_the_place() {
        for (content, why) in [
            (Some(json!({"sum": "many"})), "at `/sum`: it is not of type \"integer\""),
            (Some(json!({})), "\"sum\" is a required property"),
            (None, "no structured content, though the tool has an output schema"),
        ] {
            let (connect, _) = lying(content);
            let client = connect.await.unwrap();
            let error = client.call_tool("sum", &()).output::<Value>().await.unwrap_err();
            assert!(error.is_protocol_violation());
            assert!(error.to_string().contains(why), "{error}");
            // Without it nothing is checked.
            client.call_tool("sum", &()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn tools_are_listed_once_and_again_when_they_changed() {
        let (connect, lists) = lying(Some(json!({"sum": 1})));
        let client = connect.await.unwrap();
        for _ in 0..3 {
            client.call_tool("sum", &()).output::<Sum>().await.unwrap();
            // It is not there, which is known too.
            client.call_tool("other", &()).output::<Sum>().await.unwrap();
        }
        assert_eq!(lists.load(Ordering::Relaxed), 1);
        // The server says so before it answers this.
        client.request::<Raw>("example/change", &()).await.unwrap();
        client.call_tool("sum", &()).output::<Sum>().await.unwrap();
        assert_eq!(lists.load(Ordering::Relaxed), 2);
        client.call_tool("sum", &()).output::<Sum>().await.unwrap();
        assert_eq!(lists.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn tools_that_the_user_listed_are_known() {
        let (connect, lists) = lying(Some(json!({"sum": 1})));
        let client = connect.await.unwrap();
        client.list_tools().await.unwrap();
        client.call_tool("sum", &()).output::<Sum>().await.unwrap();
        assert_eq!(lists.load(Ordering::Relaxed), 1);
    }
}
