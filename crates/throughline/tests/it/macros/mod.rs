//! `#[tool]`, `#[prompt]`, `#[resource]`, `#[server]`, extractors: what clients see of them, and calls by hand.

mod arguments;
mod extractors;
mod functions;
mod group;
mod misuse;

use serde_json::{Value, json};
use throughline::revision::Revision;
use throughline::{Client, Connect, Server, StreamableHttp};

async fn client(server: Server) -> Client {
    over(StreamableHttp::new(server)).await.expect("a session")
}

fn over(endpoint: StreamableHttp) -> Connect {
    Client::over(endpoint).revision(Revision::LATEST_LEGACY)
}

/// What `tools/list` says of the only tool.
async fn listed(server: Server) -> Value {
    let tools = request(&client(server).await, "tools/list", json!({})).await;
    tools["tools"][0].clone()
}

async fn request(client: &Client, method: &str, params: Value) -> Value {
    client.request(method, &params).await.expect("an answer")
}

/// The text of a tool's result, or of its error after `error: `.
async fn call(client: &Client, tool: &str, arguments: Value) -> String {
    let result = client.call_tool(tool, &arguments).await.expect("an answer");
    let text = result.content.first().and_then(|content| content.as_text()).unwrap_or_default();
    if result.is_error { format!("error: {text}") } else { text.to_owned() }
}

/// The protocol error of a request that must have one.
async fn refused(client: &Client, method: &str, params: Value) -> String {
    let error = client.request::<Value>(method, &params).await.expect_err("an error");
    let error = error.error().expect("of the server");
    format!("{}: {}", error.code.0, error.message)
}

/// The error of a tool's call, wherever it is told.
async fn refused_or_error(client: &Client, tool: &str, arguments: Value) -> String {
    match client.request::<Value>("tools/call", &json!({"name": tool, "arguments": arguments})).await {
        Ok(result) => {
            assert_eq!(result["isError"], true, "{result}");
            result["content"][0]["text"].as_str().expect("a text").to_owned()
        }
        Err(error) => error.error().expect("of the server").message.to_string(),
    }
}
