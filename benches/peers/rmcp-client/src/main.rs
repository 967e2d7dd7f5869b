//! The official Rust SDK's client over its Streamable HTTP transport, driven as `benches/README.md` says of clients.
//!
//! It is left as it comes: reqwest without a pool of idle connections, so that each call opens one. `--pooled` gives it a
//! `reqwest::Client` with reqwest's own defaults.

use std::error::Error;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rmcp::model::{CallToolRequestParams, ProgressNotificationParam, ProtocolVersion};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt as _, NotificationContext, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientHandler, RoleClient};
use serde_json::json;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Counts progress.
#[derive(Clone, Default)]
struct Counting(Arc<AtomicU64>);

impl ClientHandler for Counting {
    async fn on_progress(&self, _: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct Flags {
    address: String,
    is_progress: bool,
    is_modern: bool,
    is_pooled: bool,
    count: u64,
    warm_up: u64,
}

fn main() -> Result<()> {
    let flags = Flags::read(std::env::args().skip(1))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(drive(&flags))
}

async fn drive(flags: &Flags) -> Result<()> {
    let config = StreamableHttpClientTransportConfig::with_uri(flags.address.clone());
    let transport = if flags.is_pooled {
        StreamableHttpClientTransport::with_client(reqwest::Client::new(), config)
    } else {
        StreamableHttpClientTransport::from_config(config)
    };
    let lifecycle = if flags.is_modern {
        ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] }
    } else {
        ClientLifecycleMode::Initialize
    };
    let counting = Counting::default();
    let client = counting.clone().serve_with_lifecycle(transport, lifecycle).await?;
    work(&client, &counting, flags, flags.warm_up).await?;
    tell("warm", &text(&client, "connections", json!({})).await?)?;
    std::io::stdin().read_line(&mut String::new())?;
    work(&client, &counting, flags, flags.count).await?;
    tell("done", &text(&client, "connections", json!({})).await?)?;
    // Read from outside now: the process lives until it is told to end.
    std::io::stdin().read_line(&mut String::new())?;
    client.cancel().await?;
    Ok(())
}

async fn work(
    client: &RunningService<RoleClient, Counting>,
    counting: &Counting,
    flags: &Flags,
    count: u64,
) -> Result<()> {
    if !flags.is_progress {
        for number in 0..count {
            let said = format!("what was said in request {number:06}");
            if text(client, "echo", json!({ "text": &said })).await? != said {
                return Err(format!("call {number} was answered with another text").into());
            }
        }
        return Ok(());
    }
    counting.0.store(0, Ordering::Relaxed);
    if text(client, "progress", json!({ "count": count })).await? != "done" {
        return Err("progress was not answered with \"done\"".into());
    }
    // Each is handled by a task of its own, which may run after the answer came.
    let deadline = Instant::now() + LATE;
    while counting.0.load(Ordering::Relaxed) < count && Instant::now() < deadline {
        tokio::task::yield_now().await;
    }
    match counting.0.load(Ordering::Relaxed) {
        came if came == count => Ok(()),
        came => Err(format!("{came} progress notifications came of {count}").into()),
    }
}

/// Calls a tool: the text of its result.
async fn text(
    client: &RunningService<RoleClient, Counting>,
    tool: &'static str,
    arguments: serde_json::Value,
) -> Result<String> {
    let arguments = arguments.as_object().cloned().ok_or("arguments are an object")?;
    let result = client.call_tool(CallToolRequestParams::new(tool).with_arguments(arguments)).await?;
    let content = result.content.first().and_then(|content| content.as_text());
    Ok(content.ok_or("a result has no text")?.text.clone())
}

fn tell(what: &str, connections: &str) -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{what} {connections}")?;
    Ok(out.flush()?)
}

impl Flags {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let address = arguments.next().ok_or("give an address")?;
        let mut flags =
            Self { address, is_progress: false, is_modern: false, is_pooled: false, count: 1, warm_up: 1 };
        while let Some(flag) = arguments.next() {
            match &*flag {
                "--progress" => flags.is_progress = true,
                "--modern" => flags.is_modern = true,
                "--pooled" => flags.is_pooled = true,
                "--count" => flags.count = arguments.next().ok_or("--count takes a number")?.parse()?,
                "--warm-up" => flags.warm_up = arguments.next().ok_or("--warm-up takes a number")?.parse()?,
                unknown => return Err(format!("{unknown} is not known").into()),
            }
        }
        Ok(flags)
    }
}

/// The tasks that are left run within milliseconds.
const LATE: Duration = Duration::from_secs(60);
