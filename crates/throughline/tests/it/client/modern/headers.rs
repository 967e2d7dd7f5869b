//! Arguments that are repeated in headers.

use std::future::IntoFuture;

use serde_json::{Value, json};

use super::scripted::{Over, Scripted, connected};

/// A page with one tool, whose argument `region` is repeated in a header of this name.
fn tools(header: &Value) -> Value {
    json!({
        "resultType": "complete", "ttlMs": 60_000, "cacheScope": "private",
        "tools": [
            { "name": "plain", "inputSchema": { "type": "object" } },
            { "name": "query", "inputSchema": {
                "type": "object", "properties": { "region": { "type": "string", "x-mcp-header": header } },
            } },
        ],
    })
}

fn done() -> Value {
    json!({ "resultType": "complete", "content": [] })
}

async fn list(client: &throughline::Client, server: &mut Scripted, header: &Value) -> Vec<String> {
    let (tools, ()) = tokio::join!(client.list_tools().fresh().into_future(), async {
        server.expect("tools/list").await.result(tools(header));
    });
    tools.unwrap().iter().map(|tool| tool.name.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_mismatch_is_looked_into_once() {
    let (mut server, client) = connected(Over::Http, |connect| connect).await;
    assert_eq!(list(&client, &mut server, &json!("Old")).await, ["plain", "query"]);
    let arguments = json!({ "region": "é" });
    let call = || client.call_tool("query", &arguments).into_future();
    let (called, ()) = tokio::join!(call(), async {
        let seen = server.expect("tools/call").await;
        assert_eq!(seen.header("mcp-param-old"), "=?base64?w6k=?=");
        let first = seen.id();
        seen.error(400, -32020);
        // The list is asked for although it is fresh.
        server.expect("tools/list").await.result(tools(&json!("New")));
        let seen = server.expect("tools/call").await;
        assert_ne!(seen.id(), first);
        assert_eq!((seen.header("mcp-param-old"), seen.header("mcp-param-new")), ("", "=?base64?w6k=?="));
        seen.result(done());
    });
    called.unwrap();
    // Once: then it is the caller's to know.
    let (called, ()) = tokio::join!(call(), async {
        server.expect("tools/call").await.error(400, -32020);
        server.expect("tools/list").await.result(tools(&json!("New")));
        server.expect("tools/call").await.error(400, -32020);
    });
    assert_eq!(called.unwrap_err().error().unwrap().code.0, -32020);
    // Without a list there is nothing new to say.
    let (called, ()) = tokio::join!(call(), async {
        server.expect("tools/call").await.error(400, -32020);
        server.expect("tools/list").await.error(200, -32603);
    });
    assert_eq!(called.unwrap_err().error().unwrap().code.0, -32020);
    // Other methods have no such headers.
    let (read, ()) = tokio::join!(client.read_resource("it://a").into_future(), async {
        server.expect("resources/read").await.error(400, -32020);
    });
    assert_eq!(read.unwrap_err().error().unwrap().code.0, -32020);
    assert!(server.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn a_tool_with_annotations_that_break_the_rules_is_left_out() {
    let (mut server, client) = connected(Over::Http, |connect| connect).await;
    for broken in [json!(""), json!("a b"), json!("é"), json!("a\r\nb"), json!(7)] {
        assert_eq!(list(&client, &mut server, &broken).await, ["plain"], "{broken}");
        let error = client.call_tool("query", &json!({ "region": "x" })).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("the tool `query` is left out") && text.contains("x-mcp-header"), "{text}");
        assert!(server.is_quiet().await);
    }
    // It may get better.
    assert_eq!(list(&client, &mut server, &json!("Region")).await, ["plain", "query"]);
    let arguments = json!({ "region": "x" });
    let (called, ()) = tokio::join!(client.call_tool("query", &arguments).into_future(), async {
        let seen = server.expect("tools/call").await;
        assert_eq!(seen.header("mcp-param-region"), "x");
        seen.result(done());
    });
    called.unwrap();
}

#[tokio::test(start_paused = true)]
async fn on_a_pipe_the_annotations_mean_nothing() {
    let (mut server, client) = connected(Over::Pipe, |connect| connect).await;
    assert_eq!(list(&client, &mut server, &json!("a b")).await, ["plain", "query"]);
    let arguments = json!({ "region": "x" });
    let (called, ()) = tokio::join!(client.call_tool("query", &arguments).into_future(), async {
        server.expect("tools/call").await.result(done());
    });
    called.unwrap();
}
