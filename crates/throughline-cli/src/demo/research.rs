//! `research`: an agent that works for a long time and says how far it is.

use schemars::JsonSchema;
use serde::Deserialize;
use throughline::model::{LoggingLevel, ToolAnnotations};
use throughline::{Context, Result, ToolDef};

use super::bounded::{Text, Within};

#[derive(Deserialize, JsonSchema)]
struct Research {
    /// What to look into.
    topic: Text<200>,
    /// How many steps to take.
    #[serde(default = "Research::default_steps")]
    steps: Within<1, 1_000>,
    /// How long each step takes, in milliseconds.
    #[serde(default = "Research::default_step_ms")]
    step_ms: Within<0, 60_000>,
}

impl Research {
    fn default_steps() -> Within<1, 1_000> {
        Within::new(5)
    }

    fn default_step_ms() -> Within<0, 60_000> {
        Within::new(1_000)
    }
}

pub(super) fn tool() -> ToolDef {
    throughline::tool("research", research)
        .description(
            "Looks into a topic step by step, like an agent that runs for a long time: progress and a log message for each \
             step, then a report. A demonstration: nothing is looked up.",
        )
        .annotations(ToolAnnotations::new().with_read_only_hint(true))
}

async fn research(args: Research, cx: Context) -> Result<String> {
    let (topic, steps) = (args.topic.as_str(), args.steps.get());
    let mut report = format!("Report on {topic}\n");
    for step in 1..=steps {
        tokio::time::sleep(args.step_ms.millis()).await;
        let activity = ACTIVITIES[step as usize % ACTIVITIES.len()];
        cx.log(LoggingLevel::Info, format!("step {step} of {steps}: {activity}")).logger("research").await?;
        cx.progress(step.into()).total(steps.into()).message(activity).await?;
        report.push_str(&format!("\n{step}. {activity}: done"));
    }
    report.push_str("\n\nThis was a demonstration: nothing was looked up.");
    Ok(report)
}

const ACTIVITIES: [&str; 4] = ["drawing conclusions", "collecting sources", "reading", "comparing notes"];
