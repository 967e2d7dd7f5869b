//! Our own client as a program of the lab.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Args;
use serde_json::json;
use throughline::Client;
use throughline::revision::Revision;

use crate::Result;

#[derive(Args)]
pub(crate) struct Options {
    /// Where the server listens
    address: String,
    /// One call with so many progress events, instead of so many calls
    #[arg(long)]
    progress: bool,
    /// By the revision without sessions
    #[arg(long)]
    modern: bool,
    #[arg(long)]
    count: u64,
    #[arg(long)]
    warm_up: u64,
}

/// Connects, warms up and says so, works when it is told to, says so, and ends when it is told to.
///
/// # Errors
///
/// When a call fails, or is not answered as it should be.
pub(crate) fn run(options: &Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(drive(options))
}

async fn drive(options: &Options) -> Result<()> {
    let revision = if options.modern { Revision::LATEST } else { Revision::LATEST_LEGACY };
    let client = Client::connect(&options.address).revision(revision).await?;
    work(&client, options, options.warm_up).await?;
    tell("warm", &text(&client, "connections", &json!({})).await?)?;
    std::io::stdin().read_line(&mut String::new())?;
    work(&client, options, options.count).await?;
    tell("done", &text(&client, "connections", &json!({})).await?)?;
    // Read from outside now: the process lives until it is told to end.
    std::io::stdin().read_line(&mut String::new())?;
    client.close().await?;
    Ok(())
}

async fn work(client: &Client, options: &Options, count: u64) -> Result<()> {
    if !options.progress {
        for number in 0..count {
            let said = format!("what was said in request {number:06}");
            if text(client, "echo", &json!({ "text": &said })).await? != said {
                return Err(format!("call {number} was answered with another text").into());
            }
        }
        return Ok(());
    }
    let came = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&came);
    let call = client.call_tool("progress", &json!({ "count": count })).on_progress(move |progress| {
        // One that is not the next leaves the count behind, which fails the run.
        if progress.progress == (counted.load(Ordering::Relaxed) + 1) as f64 {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    if call.await?.content.first().and_then(|content| content.as_text()) != Some("done") {
        return Err("progress was not answered with \"done\"".into());
    }
    match came.load(Ordering::Relaxed) {
        came if came == count => Ok(()),
        came => Err(format!("{came} progress notifications came in order of {count}").into()),
    }
}

/// Calls a tool: the text of its result.
async fn text(client: &Client, tool: &'static str, arguments: &serde_json::Value) -> Result<String> {
    let result = client.call_tool(tool, arguments).await?;
    let text = result.content.first().and_then(|content| content.as_text());
    Ok(text.ok_or("a result has no text")?.to_owned())
}

fn tell(what: &str, connections: &str) -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{what} {connections}")?;
    Ok(out.flush()?)
}
