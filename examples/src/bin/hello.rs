//! The shortest server: one tool, on this machine.

use schemars::JsonSchema;
use serde::Deserialize;
use throughline::{Server, StreamableHttp, serve, tool};

#[derive(Deserialize, JsonSchema)]
struct Add {
    a: i64,
    b: i64,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let add = tool("add", |args: Add| async move { args.a + args.b }).description("Adds two integers.");
    let server = Server::new("hello", "1.0.0").tool(add);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8808").await?;
    serve(listener, StreamableHttp::new(server)).await
}
