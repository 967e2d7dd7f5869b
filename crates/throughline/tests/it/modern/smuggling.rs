//! Requests that mean to say one thing to what routes them and another to the server.

use serde_json::json;
use throughline::{Server, StreamableHttp, resource, tool};

use crate::support::{MODERN, Wire, modern, text};

fn wire() -> Wire {
    let server = Server::new("it", "1")
        .tool(tool("harmless", || async { "harmless" }))
        .tool(tool("dangerous", || async { "dangerous" }))
        .resource(resource("it://public", "public", || async { "public" }))
        .resource(resource("it://secret", "secret", || async { "secret" }));
    Wire::new(&StreamableHttp::new(server))
}

/// The `Mcp-Name` header repeats `name` where a tool is called and `uri` where a resource is read; nothing else may say what
/// is meant.
#[tokio::test(start_paused = true)]
async fn what_is_meant_is_what_the_header_repeats() {
    let wire = wire();
    let params = json!({ "uri": "it://public", "name": "it://secret" });
    let read = wire.post_modern(modern(1, "resources/read", params)).header("mcp-name", "it://public");
    let read = read.send().await.json().await;
    assert_eq!(read["result"]["contents"][0]["text"], "public", "{read}");

    let call = modern(1, "tools/call", json!({ "uri": "dangerous", "arguments": {} }));
    let call = wire.post_modern(call).header("mcp-name", "harmless").send().await.json().await;
    assert_eq!(call["error"]["code"], -32602, "{call}");

    let call = modern(1, "tools/call", json!({ "name": "harmless", "uri": "dangerous", "arguments": {} }));
    assert_eq!(text(&wire.post_modern(call).send().await.json().await), "harmless");
}

/// An `initialize` that looks modern is refused, and its sender learns what to speak.
#[tokio::test(start_paused = true)]
async fn a_modern_initialize_is_told_the_versions() {
    let answer = wire().post_modern(modern(1, "initialize", json!({}))).send().await;
    assert_eq!(answer.status(), 404);
    let answer = answer.json().await;
    assert_eq!(answer["error"]["code"], -32601);
    assert!(answer["error"]["message"].as_str().unwrap().contains(MODERN.date()), "{answer}");
}
