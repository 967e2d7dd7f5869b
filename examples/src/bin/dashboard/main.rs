//! A dashboard in the browser: a web page that is an MCP client, and shows metrics as they change.
//!
//! The page comes from another address than the endpoint, as it usually does in production. Browsers let it call the
//! endpoint because the endpoint names the page's origin (CORS). What the page does is in `page.html`, without a library: it
//! opens a session, subscribes to the metrics, listens on the standalone stream, and reads a metric when it changed.
#![allow(clippy::print_stdout, reason = "an example speaks on its terminal")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use throughline::{Server, State, StreamableHttp, resource, serve, tool};
use tokio::net::TcpListener;
use tokio::time::Instant;

/// What the metrics are read from.
#[derive(Clone)]
struct Metrics {
    started: Instant,
    presses: Arc<AtomicU64>,
}

/// How long the server has been up, in seconds.
#[resource("metrics://uptime", mime_type = "text/plain")]
async fn uptime(State(metrics): State<Metrics>) -> String {
    metrics.started.elapsed().as_secs().to_string()
}

/// How often the button was pressed, in any browser.
#[resource("metrics://presses", mime_type = "text/plain")]
async fn presses(State(metrics): State<Metrics>) -> String {
    metrics.presses.load(Ordering::Relaxed).to_string()
}

/// Presses the button.
#[tool]
async fn press(State(metrics): State<Metrics>) -> u64 {
    metrics.presses.fetch_add(1, Ordering::Relaxed) + 1
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The addresses of the endpoint and of the page may be given as arguments.
    let mut addresses = std::env::args().skip(1);
    let endpoint = TcpListener::bind(addresses.next().unwrap_or("127.0.0.1:8808".into())).await?;
    let page = TcpListener::bind(addresses.next().unwrap_or("127.0.0.1:8809".into())).await?;
    let url = format!("http://{}/mcp", endpoint.local_addr()?);
    let origin = format!("http://{}", page.local_addr()?);

    let metrics = Metrics { started: Instant::now(), presses: Arc::default() };
    let server = Server::new("dashboard", "1.0.0")
        .state(metrics.clone())
        .resource(uptime)
        .resource(presses)
        .tool(press);
    tokio::spawn(tell_of_changes(server.clone(), metrics));

    let mcp = StreamableHttp::builder(server).allow_origin(&origin)?.build();
    let html = include_str!("page.html").replace("{{endpoint}}", &url);
    let app = Router::new().route("/", get(|| async { Html(html) }));
    println!("Open {origin} in a browser.");
    tokio::try_join!(serve(endpoint, mcp), async { axum::serve(page, app).await })?;
    Ok(())
}

/// Tells those who subscribed, at most ten times a second however often the button is pressed.
async fn tell_of_changes(server: Server, metrics: Metrics) {
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    let (mut seconds, mut presses) = (0, 0);
    loop {
        ticks.tick().await;
        let now = metrics.started.elapsed().as_secs();
        if std::mem::replace(&mut seconds, now) != now {
            server.resource_updated("metrics://uptime");
        }
        let now = metrics.presses.load(Ordering::Relaxed);
        if std::mem::replace(&mut presses, now) != now {
            server.resource_updated("metrics://presses");
        }
    }
}
