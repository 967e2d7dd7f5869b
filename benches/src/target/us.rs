//! Our own target: the same tools through the library, with all defaults.

use schemars::JsonSchema;
use serde::Deserialize;
use throughline::{
    Builder, Context, ResponseMode, Result as ToolResult, Server, StreamableHttp, resource, tool,
};
use tokio::net::TcpListener;

use super::Settings;
use crate::echo::CHANGING;
use crate::scenario::{Form, MAX_CONNECTIONS};
use crate::{LiveHeap, Result};

#[derive(Deserialize, JsonSchema)]
struct Echo {
    text: String,
}

#[derive(Deserialize, JsonSchema)]
struct Count {
    count: u32,
}

#[derive(Deserialize, JsonSchema)]
struct Approval {
    approved: bool,
}

/// Asks the user, then answers with the text.
async fn ask(args: Echo, cx: Context) -> ToolResult<String> {
    let Approval { approved } = cx.elicit("Go on?").key("approval").await?;
    Ok(if approved { args.text } else { "no".to_owned() })
}

async fn progress(args: Count, cx: Context) -> ToolResult<&'static str> {
    for done in 1..=args.count {
        cx.progress(f64::from(done)).await?;
    }
    Ok("done")
}

/// The tools that the load calls, and `tools` in all.
fn server(tools: Option<usize>, heap: Option<LiveHeap>) -> Server {
    let mut server = Server::new("lab", "1.0.0")
        .tool(tool("echo", |args: Echo| async move { args.text }))
        .tool(tool("echo_later", |args: Echo| async move {
            tokio::task::yield_now().await;
            args.text
        }))
        .tool(tool("progress", progress))
        .tool(tool("ask", ask))
        .resource(resource(CHANGING, "changing", || async { "changed" }));
    let changing = server.clone();
    server = server.tool(tool("touch", move || {
        changing.resource_updated(CHANGING);
        async { "touched" }
    }));
    let mut so_far = OWN_TOOLS;
    if let Some(heap) = heap {
        server = server.tool(tool("heap", move || async move { heap().to_string() }));
        so_far += 1;
    }
    for extra in so_far..tools.unwrap_or_default() {
        let name = format!("extra_{}", extra - so_far + 1);
        server = server.tool(tool(name, |args: Echo| async move { args.text }));
    }
    server
}

/// Everything but how events are kept.
pub(super) fn builder(settings: Settings, heap: Option<LiveHeap>) -> Builder {
    let mode = match settings.answers {
        Form::Sse => ResponseMode::Sse,
        Form::Json => ResponseMode::Adaptive,
    };
    StreamableHttp::builder(server(settings.tools, heap))
        .response_mode(mode)
        .stateless_http(settings.is_stateless)
        // The load asks for as many as it likes; what one costs does not depend on how many there may be.
        .max_sessions(MAX_CONNECTIONS)
}

/// Serves until dropped.
///
/// # Errors
///
/// When the listener fails.
pub(super) async fn serve(listener: TcpListener, settings: Settings, heap: Option<LiveHeap>) -> Result<()> {
    let endpoint = builder(settings, heap).build();
    throughline::serve(listener, endpoint).max_connections(MAX_CONNECTIONS).await?;
    Ok(())
}

/// `echo`, `echo_later`, `progress`, `ask` and `touch`.
const OWN_TOOLS: usize = 5;
