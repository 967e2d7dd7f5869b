//! `ask_permission`: asks the client's user before it does anything.

use schemars::JsonSchema;
use serde::Deserialize;
use throughline::model::ToolAnnotations;
use throughline::{Context, Result, ToolDef};

use super::bounded::Text;

#[derive(Deserialize, JsonSchema)]
struct AskPermission {
    /// What the permission is for, such as the path of a file.
    path: Text<1_000>,
}

#[derive(Deserialize, JsonSchema)]
struct Permission {
    /// Whether it may be changed.
    allow: bool,
}

pub(super) fn tool() -> ToolDef {
    throughline::tool("ask_permission", ask_permission)
        .description("Asks the user for permission to change a file (elicitation), and says what they answered. Changes nothing.")
        .annotations(ToolAnnotations::new().with_read_only_hint(true))
}

async fn ask_permission(args: AskPermission, cx: Context) -> Result<String> {
    let path = args.path.as_str();
    match cx.elicit::<Permission>(format!("May {path} be changed?")).key("permission").await {
        Ok(Permission { allow: true }) => Ok(format!("Permission granted: {path} may be changed.")),
        Ok(Permission { allow: false }) => Ok(format!("Permission refused: {path} stays as it is.")),
        Err(error) if error.is_declined() => {
            Ok(format!("The user declined to answer: {path} stays as it is."))
        }
        Err(error) if error.is_cancelled() => {
            Ok(format!("The user closed the question: {path} stays as it is."))
        }
        Err(error) => Err(error.into()),
    }
}
