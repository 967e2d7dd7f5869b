//! Middleware: tower layers around every call, from tower's own crates and one of your own.
//!
//! They see what clients ask of the server, whatever transport it came over. What is around HTTP requests goes around
//! [`StreamableHttp`] instead, which is a tower service too.
#![allow(clippy::print_stderr, reason = "an example speaks on its terminal")]

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use throughline::model::Answer;
use throughline::{CallRequest, Server, StreamableHttp, serve, tool};
use tower::limit::ConcurrencyLimitLayer;
use tower::timeout::TimeoutLayer;
use tower::{Layer, Service};

/// Waits for some time.
#[tool]
async fn wait(#[arg(range = 0..=60_000)] milliseconds: u64) -> String {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    format!("waited {milliseconds} ms")
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let server = Server::new("patient", "1.0.0")
        .tool(wait)
        // A tool that takes longer becomes a tool error, which the model reads.
        .layer(TimeoutLayer::new(Duration::from_secs(2)))
        // The ninth call waits. Before the timeout's layer, so waiting does not count as taking long.
        .layer(ConcurrencyLimitLayer::new(8))
        // The last layer sees a call first.
        .layer(Journal);
    // Another address may be given as the first argument.
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8808".into());
    let listener = tokio::net::TcpListener::bind(address).await?;
    serve(listener, StreamableHttp::new(server)).await
}

/// A layer makes a service out of the one that it is put around.
struct Journal;

impl<S> Layer<S> for Journal {
    type Service = Written<S>;

    fn layer(&self, inner: S) -> Written<S> {
        Written { inner }
    }
}

/// Writes a line for each call: what was called, and how long it took.
struct Written<S> {
    inner: S,
}

impl<S> Service<CallRequest> for Written<S>
where
    S: Service<CallRequest, Response = Answer>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::Future: Send + 'static,
{
    type Response = Answer;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: CallRequest) -> Self::Future {
        let what = format!("{} {}", request.call.method, request.call.target.as_deref().unwrap_or_default());
        let started = tokio::time::Instant::now();
        let answering = self.inner.call(request);
        Box::pin(async move {
            let outcome = answering.await.map_err(Into::into);
            let word = if outcome.is_ok() { "answered" } else { "failed" };
            eprintln!("{what} {word} after {:?}", started.elapsed());
            outcome
        })
    }
}
