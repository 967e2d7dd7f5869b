//! The checks of the servers that offer what `conformance/peers/README.md` lists.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use throughline::Client;
use throughline::jsonrpc::ErrorCode;
use throughline::model::{
    CompleteParams, Content, ElicitAction, ElicitResult, LoggingLevel, Reference, ResourceContents,
};

use crate::checks::{Checked, Checks, holds, same};
use crate::meeting::{Meeting, accepted, lock, text};
use crate::options::Transport;
use crate::shared;

const WATCHED: &str = "peer://watched";
const TOOLS: [&str; 10] = ["echo", "count", "log", "ask", "sample", "roots", "cut", "touch", "fail", "sum"];

/// Makes all checks that suit the server.
pub(crate) async fn check(meeting: &Meeting, checks: &mut Checks) {
    let Some(client) = checks.make("connect", shared::connect(meeting)).await else { return };
    let client = &client;
    checks.make("identity", identity(meeting, client)).await;
    if !meeting.is_modern() {
        checks.make("ping", async { Ok(client.ping().await.map(drop)?) }).await;
    }
    checks.make("tools: all pages", all_tools(client)).await;
    checks.make("tools: one page after the other", pages(client)).await;
    checks.make("tools: no such page", no_such_page(client)).await;
    checks.make("echo", echo(client, "Grüße, 世界")).await;
    checks.make("echo of 200 KB", echo(client, &"ab\n\"ü".repeat(30_000))).await;
    checks.make("20 echoes at the same time", at_the_same_time(client)).await;
    checks.make("no such tool", no_such_tool(client)).await;
    checks.make("a tool that fails", fail(client)).await;
    checks.make("structured content", sum(client)).await;
    checks.make("progress in order, before the result", progress(client)).await;
    checks.make("log lines in order, before the result", logs(meeting, client)).await;
    if meeting.has_sessions() {
        checks.make("fewer log lines", fewer_logs(meeting, client)).await;
    }
    if meeting.has_sessions() || meeting.is_modern() {
        checks.make("a form, with its defaults", form(meeting, client)).await;
        checks.make("a form, declined", declined(meeting, client)).await;
        checks.make("a form, filled in wrongly", misfit(meeting, client)).await;
        checks.make("sampling", sample(client)).await;
        checks.make("roots", roots(client)).await;
        checks.make("resources and tools that change", changes(meeting, client)).await;
    } else {
        checks.make("questions end in an error", no_questions(client)).await;
    }
    checks.make("resources", resources(client)).await;
    checks.make("no such resource", no_such_resource(client)).await;
    checks.make("prompts", prompts(client)).await;
    checks.make("a prompt without its argument", no_argument(client)).await;
    checks.make("no completions", no_completions(client)).await;
    checks.make("a timeout", timeout(client)).await;
    checks.make("cancelling", cancelling(client)).await;
    checks.make("a call that is dropped", dropped(client)).await;
    checks.make("the server closes the connection", cut(meeting, client)).await;
    checks.make("close", shared::close(client)).await;
    if meeting.options.transport != Transport::Stdio {
        let call = ("count", json!({ "to": STEPS, "ms": 50 }));
        checks.make("the connection is lost", shared::lost(meeting, call, "counted to 40", STEPS)).await;
    }
}

async fn identity(meeting: &Meeting, client: &Client) -> Checked {
    let peer = client.peer();
    let info = peer.info.as_ref().ok_or("it does not say who it is")?;
    same("its name", &*info.name, &*format!("peer-{}", meeting.options.peer))?;
    same("its instructions", peer.instructions.as_deref(), Some("A peer for the tests of a client."))?;
    holds("it has tools, resources and prompts", {
        let can = &peer.capabilities;
        can.tools.is_some() && can.resources.is_some() && can.prompts.is_some()
    })?;
    let has_session = meeting.options.transport == Transport::Http && meeting.has_sessions();
    same("a session", client.session_id().is_some(), has_session)
}

async fn all_tools(client: &Client) -> Checked {
    let tools = client.list_tools().await?;
    same("the tools", tools.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>(), TOOLS)
}

async fn pages(client: &Client) -> Checked {
    let (mut sizes, mut cursor) = (Vec::new(), None);
    loop {
        let page = client.list_tools().page(cursor).await?;
        sizes.push(page.tools.len());
        cursor = page.next_cursor;
        if cursor.is_none() || sizes.len() > 3 {
            return same("tools on the pages", sizes, [4, 4, 2]);
        }
    }
}

async fn no_such_page(client: &Client) -> Checked {
    let page = client.list_tools().page(Some("no-such-page".into())).await;
    let error = page.err().ok_or("it gave a page")?;
    same("the error", error.error().map(|error| error.code), Some(ErrorCode::INVALID_PARAMS))
}

async fn echo(client: &Client, said: &str) -> Checked {
    let result = client.call_tool("echo", &json!({ "text": said })).await?;
    holds("the text came back", text(&result)? == said)
}

async fn at_the_same_time(client: &Client) -> Checked {
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..20 {
        let client = client.clone();
        calls.spawn(async move { (n, client.call_tool("echo", &json!({ "text": format!("{n}") })).await) });
    }
    while let Some(call) = calls.join_next().await {
        let (n, result) = call?;
        same("the answer", text(&result?)?, &*n.to_string())?;
    }
    Ok(())
}

async fn no_such_tool(client: &Client) -> Checked {
    let result = client.call_tool("no-such-tool", &json!({})).await;
    let error = result.err().ok_or("it gave a result")?;
    same("the error", error.error().map(|error| error.code), Some(ErrorCode::INVALID_PARAMS))
}

async fn fail(client: &Client) -> Checked {
    let result = client.call_tool("fail", &json!({})).await?;
    holds("the result says that it failed", result.is_error)?;
    let output = client.call_tool("fail", &json!({})).output::<Value>().await;
    let error = output.err().ok_or("it gave structured content")?;
    holds("it is the tool's error", error.is_tool_error())?;
    same("its text", error.to_string(), "this tool always fails")
}

#[derive(Debug, Deserialize)]
struct Sum {
    sum: f64,
}

async fn sum(client: &Client) -> Checked {
    let sum: Sum = client.call_tool("sum", &json!({ "a": 2, "b": 3.5 })).output().await?;
    same("the sum", sum.sum, 5.5)?;
    // A tool without structured content.
    let none = client.call_tool("echo", &json!({ "text": "x" })).output::<Sum>().await;
    holds("an echo has none", none.is_err_and(|error| error.to_string().contains("no structured content")))
}

async fn progress(client: &Client) -> Checked {
    let steps = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&steps);
    let call = client.call_tool("count", &json!({ "to": 50 }));
    let call = call.on_progress(move |progress| lock(&told).push((progress.progress, progress.total)));
    same("the result", text(&call.await?)?, "counted to 50")?;
    let wanted: Vec<_> = (1..=50).map(|step| (f64::from(step), Some(50.0))).collect();
    same("the steps", &*lock(&steps), &wanted)
}

async fn logs(meeting: &Meeting, client: &Client) -> Checked {
    lock(&meeting.told.logs).clear();
    let result = client.call_tool("log", &json!({ "n": 3 })).await?;
    same("the result", text(&result)?, "logged 3")?;
    same("the lines", &*lock(&meeting.told.logs), &["line 1 of 3", "line 2 of 3", "line 3 of 3"])
}

async fn fewer_logs(meeting: &Meeting, client: &Client) -> Checked {
    lock(&meeting.told.logs).clear();
    client.set_log_level(LoggingLevel::Error).await?;
    client.call_tool("log", &json!({ "n": 3 })).await?;
    same("lines when only errors are wanted", lock(&meeting.told.logs).len(), 0)?;
    client.set_log_level(LoggingLevel::Info).await?;
    client.call_tool("log", &json!({ "n": 3 })).await?;
    same("lines when all are wanted", lock(&meeting.told.logs).len(), 3)
}

/// What the tool `ask` got.
async fn ask(meeting: &Meeting, client: &Client, answer: Option<ElicitResult>) -> Checked<Value> {
    *lock(&meeting.told.next_answer) = answer;
    let result = client.call_tool("ask", &json!({})).await?;
    Ok(serde_json::from_str(text(&result)?)?)
}

async fn form(meeting: &Meeting, client: &Client) -> Checked {
    let all = json!({ "name": "Ada", "age": 30, "newsletter": true });
    same("what it got", ask(meeting, client, None).await?, json!({ "action": "accept", "content": all }))?;
    let own = accepted(&json!({ "newsletter": false, "name": "Ada" }));
    let got = ask(meeting, client, Some(own)).await?;
    same("what it got", &got["content"], &json!({ "name": "Ada", "age": 30, "newsletter": false }))
}

async fn declined(meeting: &Meeting, client: &Client) -> Checked {
    let got = ask(meeting, client, Some(ElicitResult::new(ElicitAction::Decline))).await?;
    same("the action", &got["action"], "decline")?;
    same("the content", &got["content"], &Value::Null)
}

/// It never reaches the server, and the client is good for the next call.
async fn misfit(meeting: &Meeting, client: &Client) -> Checked {
    let answer = accepted(&json!({ "name": "Ada", "age": "thirty" }));
    let got = ask(meeting, client, Some(answer)).await;
    let error = got.err().ok_or("the server got it")?.to_string();
    holds("the field is named", error.contains("`age`"))?;
    form(meeting, client).await
}

async fn sample(client: &Client) -> Checked {
    let result = client.call_tool("sample", &json!({ "prompt": "Say something." })).await?;
    same("the text", text(&result)?, "a sampled text")
}

async fn roots(client: &Client) -> Checked {
    let result = client.call_tool("roots", &json!({})).await?;
    same("the roots", text(&result)?, "file:///one\nfile:///two")
}

/// Nothing says when the server hears of a listener, so it is asked again until it was heard.
async fn changes(meeting: &Meeting, client: &Client) -> Checked {
    client.subscribe(WATCHED).await?;
    let told = &meeting.told;
    while lock(&told.updated).is_empty() || *lock(&told.tools_changed) == 0 {
        client.call_tool("touch", &json!({})).await?;
        tokio::time::sleep(PAUSE).await;
    }
    holds("it is the resource", lock(&told.updated).iter().all(|uri| uri == WATCHED))?;
    let contents = client.read_resource(WATCHED).await?.contents;
    let said = contents.first().and_then(text_of).unwrap_or_default();
    holds("it was touched", said.starts_with("touched ") && said != "touched 0 times")?;
    Ok(client.unsubscribe(WATCHED).await?)
}

async fn no_questions(client: &Client) -> Checked {
    for (tool, arguments) in [("ask", json!({})), ("sample", json!({ "prompt": "?" })), ("roots", json!({}))]
    {
        let result = client.call_tool(tool, &arguments).await;
        holds(tool, result.map_or_else(|error| error.error().is_some(), |result| result.is_error))?;
    }
    Ok(())
}

async fn resources(client: &Client) -> Checked {
    let resources = client.list_resources().await?;
    same("the resources", resources.iter().map(|r| r.uri.as_str()).collect::<Vec<_>>(), [WATCHED])?;
    let templates = client.list_resource_templates().await?;
    let templates: Vec<_> = templates.iter().map(|template| template.uri_template.as_str()).collect();
    same("the templates", templates, ["peer://items/{id}"])?;
    let contents = client.read_resource("peer://items/7").await?.contents;
    same("an item", contents.first().and_then(text_of), Some("item 7"))
}

fn text_of(contents: &ResourceContents) -> Option<&str> {
    match contents {
        ResourceContents::Text(contents) => Some(&contents.text),
        _ => None,
    }
}

async fn no_such_resource(client: &Client) -> Checked {
    let read = client.read_resource("peer://nothing").await;
    let error = read.err().ok_or("it gave something")?;
    let error = error.error().ok_or("it is no answer")?;
    holds("its code", [-32002, -32602].contains(&error.code.0))?;
    let data: Value = error.data.as_ref().ok_or("it has no data")?.parse()?;
    same("what it is about", &data["uri"], "peer://nothing")
}

async fn prompts(client: &Client) -> Checked {
    let prompts = client.list_prompts().await?;
    same("the prompts", prompts.iter().map(|prompt| prompt.name.as_str()).collect::<Vec<_>>(), ["greet"])?;
    let messages = client.get_prompt("greet", &json!({ "name": "Ada" })).await?.messages;
    let said = messages.first().map(|message| &message.content).and_then(Content::as_text);
    same("what it says", said, Some("Hello, Ada!"))
}

async fn no_argument(client: &Client) -> Checked {
    let error = client.get_prompt("greet", &()).await.err().ok_or("it gave a prompt")?;
    same("the error", error.error().map(|error| error.code), Some(ErrorCode::INVALID_PARAMS))
}

async fn no_completions(client: &Client) -> Checked {
    let params = CompleteParams::new(Reference::prompt("greet"), "name", "A");
    let error = client.complete(&params).await.err().ok_or("it completes")?;
    same("the error", error.error().map(|error| error.code), Some(ErrorCode::METHOD_NOT_FOUND))
}

async fn timeout(client: &Client) -> Checked {
    let call = client.call_tool("count", &json!({ "to": 600, "ms": 100 }));
    let outcome = call.timeout(Duration::from_millis(500)).reset_on_progress(false).await;
    holds("it is a timeout", outcome.err().ok_or("it gave a result")?.is_timeout())?;
    echo(client, "still there").await
}

async fn cancelling(client: &Client) -> Checked {
    let (begun, wait) = tokio::sync::oneshot::channel();
    let mut begun = Some(begun);
    let call = client.call_tool("count", &json!({ "to": 600, "ms": 100 }));
    let call = call.on_progress(move |_| {
        if let Some(begun) = begun.take() {
            let _ = begun.send(());
        }
    });
    let outcome = call.cancel_on(async { drop(wait.await) }).await;
    holds("it is cancelled", outcome.err().ok_or("it gave a result")?.is_cancelled())?;
    echo(client, "still there").await
}

async fn dropped(client: &Client) -> Checked {
    let begun = Arc::new(tokio::sync::Notify::new());
    let tell = Arc::clone(&begun);
    let call =
        client.call_tool("count", &json!({ "to": 600, "ms": 100 })).on_progress(move |_| tell.notify_one());
    tokio::select! {
        outcome = call => { outcome?; }
        () = begun.notified() => {}
    }
    echo(client, "still there").await
}

/// Where the server can close the connection of a call that goes on, it is resumed: nothing is missing and nothing twice.
async fn cut(meeting: &Meeting, client: &Client) -> Checked {
    let steps = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&steps);
    let has_tokens = Arc::new(AtomicBool::new(false));
    let had = Arc::clone(&has_tokens);
    let call = client.call_tool("cut", &json!({ "after": 3, "to": 20 }));
    let call = call.on_progress(move |progress| lock(&told).push(progress.progress));
    let call = call.on_resumption_token(move |_| had.store(true, Ordering::Relaxed));
    same("the result", text(&call.await?)?, "counted to 20")?;
    meeting.all_came(&lock(&steps), 20)?;
    same("it could be resumed", has_tokens.load(Ordering::Relaxed), meeting.resumes())
}

/// Between two attempts to be told of a change.
const PAUSE: Duration = Duration::from_millis(100);
/// Two seconds of a call, of which some are left when its connection is lost.
const STEPS: u32 = 40;
