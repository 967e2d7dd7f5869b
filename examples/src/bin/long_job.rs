//! A job that takes its time: it reports progress, logs, and cleans up when it is cancelled.
//!
//! When the client's connection breaks meanwhile, nothing here notices: the job runs on, and the client comes back and
//! reads what it missed.
#![allow(clippy::print_stderr, reason = "an example speaks on its terminal")]

use std::time::Duration;

use serde_json::json;
use throughline::model::LoggingLevel;
use throughline::{Context, Server, tool};

/// Indexes a number of documents, one after another.
#[tool]
async fn index(
    /// How many.
    #[arg(range = 1..=10_000)]
    documents: u32,
    /// How long one takes, in milliseconds.
    #[arg(default = 200, range = 0..=60_000)]
    milliseconds: u64,
    cx: Context,
) -> throughline::Result<String> {
    let work = async {
        for document in 1..=documents {
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            // Sent only to clients that asked for it. The total lets them show a bar.
            let done = cx.progress(document.into()).total(documents.into());
            done.message(format!("document {document}")).await?;
        }
        // Sent only to clients that want this level. The data is any JSON.
        cx.log(LoggingLevel::Info, json!({ "indexed": documents })).logger("index").await?;
        Ok(format!("{documents} documents are indexed"))
    };
    // A tool that never asks whether it is cancelled is simply dropped then. This one has something to undo.
    tokio::select! {
        outcome = work => outcome,
        () = cx.cancelled() => {
            eprintln!("cancelled: the half-built index is thrown away");
            Err(throughline::Error::msg("cancelled"))
        }
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let server = Server::new("long-job", "1.0.0").tool(index);
    // Another address may be given as the first argument.
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8808".into());
    server.serve(address).await
}
