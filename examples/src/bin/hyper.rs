//! An MCP endpoint in bare hyper, for programs that accept their own connections. Others use `throughline::serve`,
//! which adds limits, timeouts and a graceful shutdown.

use std::convert::Infallible;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use throughline::{Server, StreamableHttp, tool};

/// Says hello.
#[tool]
async fn hello() -> String {
    "Hello from hyper.".into()
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let server = Server::new("in-hyper", "1.0.0").tool(hello);
    let endpoint = StreamableHttp::new(server);

    // Another address may be given as the first argument.
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8808".into());
    let listener = tokio::net::TcpListener::bind(address).await?;
    loop {
        let (connection, _) = listener.accept().await?;
        // Events are small: without this, the system would hold them back.
        connection.set_nodelay(true)?;
        let endpoint = endpoint.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let endpoint = endpoint.clone();
                async move { Ok::<_, Infallible>(endpoint.handle(request).await) }
            });
            // A connection that fails ends alone.
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(connection), service)
                .await;
        });
    }
}
