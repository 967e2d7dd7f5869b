//! `plan_research`: a prompt, with suggestions for how deep to go.

use schemars::JsonSchema;
use serde::Deserialize;
use throughline::PromptDef;

use super::bounded::Text;

#[derive(Deserialize, JsonSchema)]
struct Plan {
    /// What to look into.
    topic: Text<200>,
    /// How deep to go: overview, detailed or exhaustive.
    depth: Option<Depth>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Depth {
    Overview,
    Detailed,
    Exhaustive,
}

pub(super) fn prompt() -> PromptDef {
    throughline::prompt("plan_research", |plan: Plan| async move {
        let steps = match plan.depth.unwrap_or(Depth::Overview) {
            Depth::Overview => 3,
            Depth::Detailed => 10,
            Depth::Exhaustive => 50,
        };
        let topic = plan.topic.as_str();
        format!("Call the tool `research` on \"{topic}\" with {steps} steps, then tell me the three things that matter most.")
    })
    .title("Plan research")
    .description("Has the model use the research tool.")
    .complete("depth", |so_far| async move {
        let depths = ["overview", "detailed", "exhaustive"].map(str::to_owned);
        depths.into_iter().filter(|depth| depth.starts_with(&so_far.value)).collect()
    })
}
