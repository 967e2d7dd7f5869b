//! Our own target: the same `echo` through the library, with all defaults.

use schemars::JsonSchema;
use serde::Deserialize;
use throughline::{ResponseMode, Server, StreamableHttp, tool};
use tokio::net::TcpListener;

use crate::Result;
use crate::scenario::Mode;

#[derive(Deserialize, JsonSchema)]
struct Echo {
    text: String,
}

/// Serves until dropped.
///
/// # Errors
///
/// When the listener fails.
pub(crate) async fn serve(listener: TcpListener, mode: Mode) -> Result<()> {
    let server = Server::new("lab", "1.0.0").tool(tool("echo", |args: Echo| async move { args.text }));
    let mode = match mode {
        Mode::Json => ResponseMode::Adaptive,
        Mode::Sse => ResponseMode::Sse,
    };
    let endpoint = StreamableHttp::builder(server).response_mode(mode).build();
    throughline::serve(listener, endpoint).await?;
    Ok(())
}
