//! Our own target: the same tools through the library, with all defaults.

use schemars::JsonSchema;
use serde::Deserialize;
use throughline::{Context, ResponseMode, Result as ToolResult, Server, StreamableHttp, resource, tool};
use tokio::net::TcpListener;

use crate::Result;
use crate::echo::CHANGING;
use crate::scenario::Work;

#[derive(Deserialize, JsonSchema)]
struct Echo {
    text: String,
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

/// Serves until dropped.
///
/// # Errors
///
/// When the listener fails.
pub(crate) async fn serve(listener: TcpListener, work: Work) -> Result<()> {
    let server = Server::new("lab", "1.0.0")
        .tool(tool("echo", |args: Echo| async move { args.text }))
        .tool(tool("ask", ask))
        .resource(resource(CHANGING, "changing", || async { "changed" }));
    let changing = server.clone();
    let touch = move || {
        changing.resource_updated(CHANGING);
        async { "touched" }
    };
    let server = server.tool(tool("touch", touch));
    let mode = match work {
        Work::Sse | Work::ModernSse => ResponseMode::Sse,
        Work::Json | Work::ModernJson | Work::Rounds | Work::Listen => ResponseMode::Adaptive,
    };
    let endpoint = StreamableHttp::builder(server).response_mode(mode).build();
    throughline::serve(listener, endpoint).await?;
    Ok(())
}
