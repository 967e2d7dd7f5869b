//! The server that most tests talk to.

use schemars::JsonSchema;
use serde::Deserialize;
use throughline::{Context, Error, Server, tool};

use super::Gate;

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Echo {
    text: String,
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Steps {
    count: u32,
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Gated {
    before: u32,
    after: u32,
}

/// `echo {text}`; `steps {count}`: so many progress notifications, then a result; `gated {before, after}`: the same,
/// with a stop at the gate in between.
pub(crate) fn server(gate: &Gate) -> Server {
    let gate = gate.clone();
    Server::new("it", "1")
        .tool(tool("echo", |echo: Echo| async move { echo.text }))
        .tool(tool("steps", |steps: Steps, cx: Context| async move {
            count(&cx, 1, steps.count).await?;
            Ok::<_, Error>("done")
        }))
        .tool(tool("gated", move |gated: Gated, cx: Context| {
            let gate = gate.clone();
            async move {
                count(&cx, 1, gated.before).await?;
                gate.pass().await;
                count(&cx, gated.before + 1, gated.before + gated.after).await?;
                Ok::<_, Error>("done")
            }
        }))
}

async fn count(cx: &Context, from: u32, to: u32) -> Result<(), Error> {
    for step in from..=to {
        cx.progress(step.into()).await?;
    }
    Ok(())
}
