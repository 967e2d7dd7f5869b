//! `echo`: what comes back at once.

use schemars::JsonSchema;
use serde::Deserialize;
use throughline::ToolDef;
use throughline::model::ToolAnnotations;

#[derive(Deserialize, JsonSchema)]
struct Echo {
    /// What to say. The size of a request is its limit.
    text: String,
}

pub(super) fn tool() -> ToolDef {
    throughline::tool("echo", |echo: Echo| async move { echo.text })
        .description("Says what it is told.")
        .annotations(ToolAnnotations::new().with_read_only_hint(true))
}
