//! `summarize`: borrows the client's model.

use schemars::JsonSchema;
use serde::Deserialize;
use throughline::model::{CreateMessageParams, SamplingContent, SamplingMessage, ToolAnnotations};
use throughline::{Context, Error, Result, ToolDef};

use super::bounded::Text;

#[derive(Deserialize, JsonSchema)]
struct Summarize {
    /// What to summarize.
    text: Text<100_000>,
}

pub(super) fn tool() -> ToolDef {
    throughline::tool("summarize", summarize)
        .description("Has the client's own model summarize a text (sampling).")
        .annotations(ToolAnnotations::new().with_read_only_hint(true))
}

async fn summarize(args: Summarize, cx: Context) -> Result<String> {
    let request = format!("Summarize this text in at most three sentences:\n\n{}", args.text.as_str());
    let sample =
        CreateMessageParams::new([SamplingMessage::user(SamplingContent::text(request))], MAX_TOKENS)
            .with_system_prompt("You write short, plain summaries.");
    let answer = cx.sample(sample).key("summary").await?;
    let texts: Vec<&str> = answer.content.iter().filter_map(SamplingContent::as_text).collect();
    if texts.is_empty() {
        return Err(Error::msg("the client's model answered without text"));
    }
    Ok(texts.join("\n"))
}

/// Three long sentences.
const MAX_TOKENS: u64 = 300;
