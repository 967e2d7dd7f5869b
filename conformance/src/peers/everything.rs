//! The checks of npm `@modelcontextprotocol/server-everything`.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use throughline::Client;
use throughline::jsonrpc::ErrorCode;
use throughline::model::{CompleteParams, CompletionContext, Content, ElicitAction, ElicitResult, Reference};

use crate::checks::{Checked, Checks, holds, same};
use crate::meeting::{Meeting, accepted, lock, text};
use crate::options::Transport;
use crate::shared;

/// Makes all checks that suit the transport.
pub(crate) async fn check(meeting: &Meeting, checks: &mut Checks) {
    let Some(client) = checks.make("connect", shared::connect(meeting)).await else { return };
    let client = &client;
    checks.make("identity", identity(client)).await;
    checks.make("ping", async { Ok(client.ping().await.map(drop)?) }).await;
    checks.make("tools that come after the session began", tools(client)).await;
    checks.make("echo", echo(client)).await;
    checks.make("no such tool", no_such_tool(client)).await;
    checks.make("structured content", structured(client)).await;
    checks.make("progress in order, before the result", progress(client)).await;
    checks.make("a form of every kind of field, with its defaults", form(meeting, client)).await;
    checks.make("a form, declined", declined(meeting, client)).await;
    checks.make("a form, filled in wrongly", misfit(meeting, client)).await;
    checks.make("sampling", sample(client)).await;
    checks.make("roots", roots(client)).await;
    checks.make("resources", resources(client)).await;
    checks.make("a resource that changes", changes(meeting, client)).await;
    checks.make("prompts", prompts(client)).await;
    checks.make("completion", completion(client)).await;
    checks.make("a timeout", timeout(client)).await;
    checks.make("cancelling", cancelling(client)).await;
    checks.make("close", shared::close(client)).await;
    if meeting.options.transport != Transport::Stdio {
        let call = ("trigger-long-running-operation", json!({ "duration": 2, "steps": 40 }));
        let wanted = "Long running operation completed. Duration: 2 seconds, Steps: 40.";
        checks.make("the connection is lost", shared::lost(meeting, call, wanted, 40)).await;
    }
}

async fn identity(client: &Client) -> Checked {
    let peer = client.peer();
    holds("it says who it is", peer.info.as_ref().is_some_and(|info| info.name.contains("everything")))?;
    holds("it says how it is used", peer.instructions.is_some())?;
    holds("it completes", peer.capabilities.completions)
}

/// It offers some only once it knows what its client can do.
async fn tools(client: &Client) -> Checked {
    let wanted = ["echo", "get-roots-list", "trigger-sampling-request", "trigger-elicitation-request"];
    loop {
        let tools = client.list_tools().await?;
        if wanted.iter().all(|wanted| tools.iter().any(|tool| tool.name == *wanted)) {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn echo(client: &Client) -> Checked {
    let result = client.call_tool("echo", &json!({ "message": "Grüße, 世界" })).await?;
    same("the text", text(&result)?, "Echo: Grüße, 世界")?;
    let result = client.call_tool("get-sum", &json!({ "a": 2, "b": 3 })).await?;
    holds("the sum", text(&result)?.contains('5'))
}

/// The SDK turns its own error into a result.
async fn no_such_tool(client: &Client) -> Checked {
    let result = client.call_tool("no-such-tool", &json!({})).await;
    holds("it fails", result.map_or_else(|error| error.error().is_some(), |result| result.is_error))
}

#[derive(Debug, Deserialize)]
struct Weather {
    temperature: f64,
    conditions: String,
    humidity: f64,
}

async fn structured(client: &Client) -> Checked {
    let call = client.call_tool("get-structured-content", &json!({ "location": "Chicago" }));
    let weather: Weather = call.output().await?;
    holds("it is some weather", weather.temperature.is_finite() && weather.humidity >= 0.0)?;
    holds("it has a name", !weather.conditions.is_empty())
}

async fn progress(client: &Client) -> Checked {
    let steps = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&steps);
    let call = client.call_tool("trigger-long-running-operation", &json!({ "duration": 0.5, "steps": 10 }));
    let call = call.on_progress(move |progress| lock(&told).push((progress.progress, progress.total)));
    let result = call.await?;
    same(
        "the result",
        text(&result)?,
        "Long running operation completed. Duration: 0.5 seconds, Steps: 10.",
    )?;
    let wanted: Vec<_> = (1..=10).map(|step| (f64::from(step), Some(10.0))).collect();
    same("the steps", &*lock(&steps), &wanted)
}

/// What its tool says that it got: the last text is JSON behind a title.
async fn ask(meeting: &Meeting, client: &Client, answer: Option<ElicitResult>) -> Checked<Value> {
    *lock(&meeting.told.next_answer) = answer;
    let result = client.call_tool("trigger-elicitation-request", &json!({})).await?;
    if result.is_error {
        return Err(text(&result).err().ok_or("it failed without a text")?);
    }
    let raw =
        result.content.iter().filter_map(Content::as_text).find_map(|text| text.split_once("Raw result: "));
    Ok(serde_json::from_str(raw.ok_or("it does not say what it got")?.1)?)
}

#[allow(clippy::approx_constant, reason = "it is the default of the server's form")]
async fn form(meeting: &Meeting, client: &Client) -> Checked {
    let own = json!({
        "name": "Ada", "check": true, "email": "ada@example.com", "homepage": "https://example.com/ada",
        "birthdate": "1815-12-10", "titledMultipleSelectEnum": ["fish-2", "fish-3"],
    });
    let got = ask(meeting, client, Some(accepted(&own))).await?;
    let mut wanted = own;
    let defaults = json!({
        "firstLine": "It was a dark and stormy night.", "integer": 42, "number": 3.14, "untitledSingleSelectEnum": "Monica",
        "untitledMultipleSelectEnum": ["Guitar"], "titledSingleSelectEnum": "hero-1", "legacyTitledEnum": "pet-1",
    });
    if let (Some(wanted), Value::Object(defaults)) = (wanted.as_object_mut(), defaults) {
        wanted.extend(defaults);
    }
    same("what it got", got, json!({ "action": "accept", "content": wanted }))
}

async fn declined(meeting: &Meeting, client: &Client) -> Checked {
    let got = ask(meeting, client, Some(ElicitResult::new(ElicitAction::Decline))).await?;
    same("what it got", got, json!({ "action": "decline" }))
}

async fn misfit(meeting: &Meeting, client: &Client) -> Checked {
    let answer = accepted(&json!({ "name": "Ada", "birthdate": "yesterday" }));
    let error = ask(meeting, client, Some(answer)).await.err().ok_or("the server got it")?.to_string();
    holds("the field is named", error.contains("`birthdate`"))
}

async fn sample(client: &Client) -> Checked {
    let result = client.call_tool("trigger-sampling-request", &json!({ "prompt": "Say something." })).await?;
    holds("the text", text(&result)?.contains("a sampled text"))
}

async fn roots(client: &Client) -> Checked {
    let result = client.call_tool("get-roots-list", &json!({})).await?;
    let said = text(&result)?;
    holds("the roots", said.contains("file:///one") && said.contains("file:///two"))
}

async fn resources(client: &Client) -> Checked {
    let resources = client.list_resources().await?;
    let first = resources.first().ok_or("it has no resources")?;
    holds("one can be read", !client.read_resource(&first.uri).await?.contents.is_empty())?;
    let templates = client.list_resource_templates().await?;
    holds(
        "it has templates",
        templates.iter().any(|template| template.uri_template.contains("demo://resource")),
    )?;
    let contents = client.read_resource("demo://resource/dynamic/text/7").await?.contents;
    same("what a template gives", contents.len(), 1)
}

/// An update is sent when they are switched on, and once each 5 s from then on.
async fn changes(meeting: &Meeting, client: &Client) -> Checked {
    let uri = "demo://resource/dynamic/text/1";
    client.subscribe(uri).await?;
    client.call_tool("toggle-subscriber-updates", &json!({})).await?;
    while lock(&meeting.told.updated).is_empty() {
        tokio::time::sleep(PAUSE).await;
    }
    same("what changed", lock(&meeting.told.updated).first().cloned(), Some(uri.to_owned()))?;
    client.call_tool("toggle-subscriber-updates", &json!({})).await?;
    Ok(client.unsubscribe(uri).await?)
}

async fn prompts(client: &Client) -> Checked {
    let prompts = client.list_prompts().await?;
    holds("it has prompts", prompts.iter().any(|prompt| prompt.name == "completable-prompt"))?;
    let arguments = json!({ "department": "Sales", "name": "Eve" });
    let messages = client.get_prompt("completable-prompt", &arguments).await?.messages;
    let said = messages.first().map(|message| &message.content).and_then(Content::as_text);
    same("what it says", said, Some("Please promote Eve to the head of the Sales team."))
}

async fn completion(client: &Client) -> Checked {
    let prompt = || Reference::prompt("completable-prompt");
    let departments = client.complete(&CompleteParams::new(prompt(), "department", "S")).await?;
    same("departments", departments.completion.values, ["Sales", "Support"])?;
    let context = CompletionContext::new().with_argument("department", "Sales");
    let params = CompleteParams::new(prompt(), "name", "").with_context(context);
    same("their people", client.complete(&params).await?.completion.values, ["David", "Eve", "Frank"])?;
    let none = client.complete(&CompleteParams::new(Reference::prompt("no-such-prompt"), "x", "")).await;
    let error = none.err().ok_or("it completes what is not there")?;
    same("the error", error.error().map(|error| error.code), Some(ErrorCode::INVALID_PARAMS))
}

async fn timeout(client: &Client) -> Checked {
    let call = client.call_tool("trigger-long-running-operation", &json!({ "duration": 60, "steps": 600 }));
    let outcome = call.timeout(Duration::from_millis(500)).reset_on_progress(false).await;
    holds("it is a timeout", outcome.err().ok_or("it gave a result")?.is_timeout())?;
    echo(client).await
}

async fn cancelling(client: &Client) -> Checked {
    let begun = Arc::new(tokio::sync::Notify::new());
    let tell = Arc::clone(&begun);
    let call = client.call_tool("trigger-long-running-operation", &json!({ "duration": 60, "steps": 600 }));
    let call = call.on_progress(move |_| tell.notify_one()).cancel_on(async move { begun.notified().await });
    holds("it is cancelled", call.await.err().ok_or("it gave a result")?.is_cancelled())?;
    echo(client).await
}

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);
