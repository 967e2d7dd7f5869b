//! `list_project_roots`: asks the client where it works.

use throughline::model::ToolAnnotations;
use throughline::{Context, Result, ToolDef};

pub(super) fn tool() -> ToolDef {
    throughline::tool("list_project_roots", list_project_roots)
        .description("Asks the client for its roots and lists them.")
        .annotations(ToolAnnotations::new().with_read_only_hint(true))
}

async fn list_project_roots(cx: Context) -> Result<String> {
    let roots = cx.roots().key("roots").await?;
    if roots.is_empty() {
        return Ok("The client has no roots.".into());
    }
    let lines = roots.iter().map(|root| match &root.name {
        Some(name) => format!("{name}: {}", root.uri),
        None => root.uri.to_string(),
    });
    Ok(lines.collect::<Vec<_>>().join("\n"))
}
