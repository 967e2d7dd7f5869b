//! `slow`: a call of known length, for clients to lose their connection in.

use schemars::JsonSchema;
use serde::Deserialize;
use throughline::model::ToolAnnotations;
use throughline::{Context, Result, ToolDef};
use tokio::time::{Instant, sleep_until};

use super::bounded::Within;

#[derive(Deserialize, JsonSchema)]
struct Slow {
    /// How long to take, in milliseconds.
    ms: Within<0, LONGEST_MS>,
    /// How many progress notifications to send on the way.
    #[serde(default = "Slow::default_events")]
    events: Within<0, MOST_EVENTS>,
}

impl Slow {
    fn default_events() -> Within<0, MOST_EVENTS> {
        Within::new(10)
    }
}

pub(super) fn tool() -> ToolDef {
    throughline::tool("slow", slow)
        .description("Takes its time: sends progress 1, 2, 3 .. spread over it, then a result.")
        .annotations(ToolAnnotations::new().with_read_only_hint(true))
}

async fn slow(args: Slow, cx: Context) -> Result<String> {
    let start = Instant::now();
    let (length, events) = (args.ms.millis(), args.events.get());
    for event in 1..=events {
        sleep_until(start + length * event / events).await;
        cx.progress(event.into()).total(events.into()).await?;
    }
    sleep_until(start + length).await;
    Ok(format!("done after {} ms and {events} events", args.ms.get()))
}

/// Ten minutes: longer than any proxy keeps a quiet connection.
const LONGEST_MS: u32 = 600_000;
/// More than a stream keeps by default, so that the limits of retention can be tried.
const MOST_EVENTS: u32 = 50_000;
