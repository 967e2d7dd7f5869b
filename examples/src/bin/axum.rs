//! An MCP endpoint as one route of an axum application.
//!
//! [`StreamableHttp`] is a tower service over `http` types, so it is mounted as it is.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use throughline::{Server, StreamableHttp, tool};

/// Says hello.
#[tool]
async fn hello() -> String {
    "Hello from axum.".into()
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let server = Server::new("in-axum", "1.0.0").tool(hello);
    let endpoint = StreamableHttp::new(server);
    let app = Router::new()
        .route("/", get(|| async { "The MCP endpoint is /mcp." }))
        .route_service("/mcp", endpoint.clone());

    // Another address may be given as the first argument.
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8808".into());
    let listener = tokio::net::TcpListener::bind(address).await?;
    axum::serve(listener, app).with_graceful_shutdown(stopped(endpoint)).await
}

/// Ends after Ctrl-C, when running calls are done and the streams are closed: axum waits for open connections, and a
/// stream would otherwise never end.
async fn stopped(endpoint: StreamableHttp) {
    // Without the signal there is nothing to wait for, and the server goes on.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
    endpoint.drain(Duration::from_secs(10)).await;
}
