//! The modern era over stdio: requests without a session, beside one, and what listens.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use throughline::model::LoggingLevel;
use throughline::revision::Revision;
use throughline::session::SessionLimits;
use throughline::{Context, Era, Error, Server, resource, tool};

use crate::support::{
    Gate, Lines, MODERN, about, call, initialize, kit, listen, modern, modern_of, request, settle, text,
    until,
};

const NEWEST: Revision = Revision::V2025_11_25;

fn server(gate: &Gate) -> Server {
    kit::server(gate).resource(resource("it://motd", "motd", || async { "Have a nice day." }))
}

fn start(gate: &Gate) -> Lines {
    Lines::start(server(gate).stdio())
}

fn tool_call(id: impl Into<Value>, tool: &str, arguments: Value) -> Value {
    modern(id, "tools/call", json!({ "name": tool, "arguments": arguments }))
}

fn echo(id: impl Into<Value>, text: &str) -> Value {
    tool_call(id, "echo", json!({ "text": text }))
}

fn gated(id: impl Into<Value>) -> Value {
    tool_call(id, "gated", json!({ "before": 0, "after": 0 }))
}

fn cancel(id: impl Into<Value>) -> Value {
    json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id.into() } })
}

fn everything() -> Value {
    json!({ "toolsListChanged": true, "resourcesListChanged": true, "resourceSubscriptions": ["it://motd"] })
}

/// Whether nothing was sent meanwhile: the answer to another request comes next.
async fn is_quiet(lines: &mut Lines) -> bool {
    settle().await;
    lines.send(&echo("quiet?", "quiet")).await;
    lines.next().await["id"] == "quiet?"
}

// Requests

#[tokio::test(start_paused = true)]
async fn each_request_is_served_by_itself() {
    let mut lines = start(&Gate::new());
    let discovered = lines.ask(&modern(1, "server/discover", json!({}))).await;
    let dates: Vec<_> = Revision::ALL.iter().rev().map(|revision| revision.date()).collect();
    assert_eq!(discovered["result"]["supportedVersions"], json!(dates));
    assert_eq!(discovered["result"]["capabilities"]["resources"]["subscribe"], true);
    let tools = lines.ask(&modern("t", "tools/list", json!({}))).await;
    assert_eq!(tools["result"]["tools"].as_array().map(Vec::len), Some(3));
    let echoed = lines.ask(&echo(2, "hello")).await;
    assert_eq!(text(&echoed), "hello");
    for answer in [discovered, tools, echoed] {
        assert_eq!(answer["result"]["resultType"], "complete");
        assert_eq!(answer["result"]["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "it");
    }
    lines.end();
    assert_eq!(lines.next_or_end().await, None);
    lines.ended().await.expect("a good end");
}

#[tokio::test(start_paused = true)]
async fn progress_and_logs_come_where_the_request_asked_for_them() {
    let server = server(&Gate::new()).tool(tool("talk", |cx: Context| async move {
        cx.log(LoggingLevel::Info, "in detail").await?;
        cx.log(LoggingLevel::Error, "in short").await?;
        cx.progress(1.0).await?;
        Ok::<_, Error>("done")
    }));
    let mut lines = Lines::start(server.stdio());
    assert_eq!(text(&lines.ask(&tool_call(1, "talk", json!({}))).await), "done");
    let meta = json!({ "progressToken": "p", "io.modelcontextprotocol/logLevel": "error" });
    let talk = modern(2, "tools/call", json!({ "name": "talk", "_meta": meta }));
    lines.send(&talk).await;
    assert_eq!(lines.next().await["params"]["data"], "in short");
    assert_eq!(lines.next().await["params"]["progressToken"], "p");
    assert_eq!(text(&lines.next().await), "done");
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_a_request_is_said() {
    let mut lines = start(&Gate::new());
    let mut other = modern(1, "tools/list", json!({}));
    other["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2099-01-01");
    let refused = lines.ask(&other).await;
    assert_eq!(
        (&refused["error"]["code"], &refused["error"]["data"]["requested"]),
        (&json!(-32022), &json!("2099-01-01"))
    );
    let mut bare = modern(2, "tools/list", json!({}));
    bare["params"]["_meta"].as_object_mut().unwrap().remove("io.modelcontextprotocol/clientCapabilities");
    let mut refusals = Vec::new();
    for request in [
        bare,
        request(3, "server/discover", json!({})),
        modern(4, "ping", json!({})),
        modern(5, "logging/setLevel", json!({ "level": "info" })),
        modern(6, "none/such", json!({})),
        modern(7, "initialize", json!({})),
        tool_call(8, "nobody", json!({})),
        modern(9, "subscriptions/listen", json!({ "notifications": [] })),
    ] {
        lines.send(&request).await;
        refusals.push(lines.refusal().await);
    }
    insta::assert_snapshot!(refusals.join("\n"), @r#"
    2 -32602: The member "io.modelcontextprotocol/clientCapabilities" of "_meta" is missing. Send it in the params of every request.
    3 -32602: The member "io.modelcontextprotocol/protocolVersion" of "_meta" is missing. Send it in the params of every request.
    4 -32601: The method does not exist here. Use one that the server's capabilities offer.
    5 -32601: The method does not exist here. Use one that the server's capabilities offer.
    6 -32601: this server has no method `none/such`
    7 -32601: There is no initialize in 2026-07-28. Send requests of 2026-07-28 without it, or one without the "_meta" of 2026-07-28.
    8 -32602: there is no tool `nobody`; `tools/list` names those there are
    9 -32602: The params of subscriptions/listen do not fit it: `notifications` must be an object
    "#);
    // A batch has no place in this era.
    lines.send(&json!([echo(10, "x"), echo(11, "y")])).await;
    for id in 10..=11 {
        let why = "This revision has no batches. Send each message on a line of its own.";
        assert_eq!(lines.refusal().await, format!("{id} -32600: {why}"));
    }
    assert!(is_quiet(&mut lines).await);
}

// Both eras

#[tokio::test(start_paused = true)]
async fn a_session_may_begin_after_a_probe_and_both_go_on() {
    let gate = Gate::new();
    let mut lines = start(&gate);
    lines.ask(&modern(0, "server/discover", json!({}))).await;
    lines.initialize(NEWEST, &json!({})).await;
    assert_eq!(text(&lines.ask(&call(1, "echo", json!({ "text": "with" }))).await), "with");
    assert_eq!(text(&lines.ask(&echo(2, "without")).await), "without");
    // At the same time.
    lines.send(&gated("modern")).await;
    lines.send(&call("legacy", "gated", json!({ "before": 0, "after": 0 }))).await;
    gate.until_came(2).await;
    gate.open(2);
    let mut ids = [lines.next().await["id"].clone(), lines.next().await["id"].clone()];
    ids.sort_by_key(Value::to_string);
    assert_eq!(ids, ["legacy", "modern"]);
    // A session stays without what belongs to the other era, and the other way round.
    let plain = lines.ask(&request(3, "tools/list", json!({}))).await;
    assert!(plain["result"].get("resultType").is_none(), "{plain}");
    assert_eq!(lines.ask(&request(4, "ping", json!({}))).await["result"], json!({}));
}

#[tokio::test(start_paused = true)]
async fn an_id_in_flight_is_refused_whatever_era_it_is_of() {
    let gate = Gate::new();
    let mut lines = start(&gate);
    lines.initialize(NEWEST, &json!({})).await;
    lines.send(&gated(1)).await;
    lines.send(&call(2, "gated", json!({ "before": 0, "after": 0 }))).await;
    lines.send(&listen(3, everything())).await;
    assert_eq!(about(&lines.next().await, &json!(3)), "subscriptions/acknowledged");
    gate.until_came(2).await;
    for id in 1..=3 {
        for again in [echo(id, "x"), call(id, "echo", json!({ "text": "x" })), listen(id, json!({}))] {
            lines.send(&again).await;
            let why = "a request with this id is still in flight; give each request an id of its own";
            assert_eq!(lines.refusal().await, format!("{id} -32600: {why}"));
        }
    }
    assert_eq!(text(&lines.ask(&echo("1", "other")).await), "other", "text is no number");
    // What was refused is not what is answered.
    lines.note(&gated(1));
    lines.note(&call(2, "gated", json!({})));
    gate.open(2);
    lines.next().await;
    lines.next().await;
    for id in 1..=2 {
        assert_eq!(text(&lines.ask(&echo(id, "free")).await), "free");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_of_one_era_says_so_to_the_other() {
    let mut lines = Lines::start(server(&Gate::new()).stdio().era(Era::Modern));
    let refused = lines.ask(&initialize(NEWEST, &json!({}))).await;
    assert_eq!(refused["error"]["data"], json!({ "supported": [MODERN.date()], "requested": NEWEST.date() }));
    let mut refusals = vec![refused["error"]["message"].as_str().unwrap().to_owned()];
    lines.send(&request(1, "tools/list", json!({}))).await;
    refusals.push(lines.refusal().await);
    lines.send(&json!([request(2, "ping", json!({}))])).await;
    refusals.push(lines.refusal().await);
    assert_eq!(text(&lines.ask(&echo(3, "served")).await), "served");

    let mut lines = Lines::start(server(&Gate::new()).stdio().era(Era::Legacy));
    for request in [modern(1, "server/discover", json!({})), echo(2, "x"), listen(3, everything())] {
        lines.send(&request).await;
        refusals.push(lines.refusal().await);
    }
    lines.initialize(NEWEST, &json!({})).await;
    lines.send(&echo(4, "x")).await;
    refusals.push(lines.refusal().await);
    assert_eq!(text(&lines.ask(&call(5, "echo", json!({ "text": "served" }))).await), "served");
    insta::assert_snapshot!(refusals.join("\n"), @r#"
    This server has no sessions and no initialize. Use a client that speaks one of: 2026-07-28.
    1 -32602: The member "io.modelcontextprotocol/protocolVersion" of "_meta" is missing. Send it in the params of every request.
    2 -32600: This revision has no batches. Send each message on a line of its own.
    1 -32600: This server needs a session. Send initialize first.
    2 -32600: This server needs a session. Send initialize first.
    3 -32600: This server needs a session. Send initialize first.
    4 -32600: This server needs a session. Send initialize first.
    "#);
}

// Taken back, and bounded

#[tokio::test(start_paused = true)]
async fn a_request_that_is_taken_back_is_dropped_without_an_answer() {
    let gate = Gate::new();
    let mut lines = start(&gate);
    lines.send(&gated("g")).await;
    gate.until_came(1).await;
    lines.send(&cancel("unknown")).await;
    lines.send(&cancel("g")).await;
    assert!(is_quiet(&mut lines).await);
    assert_eq!(text(&lines.ask(&echo("g", "free")).await), "free");
    // Beside a session, which has other ids.
    lines.initialize(NEWEST, &json!({})).await;
    lines.send(&gated("h")).await;
    lines.send(&call("i", "gated", json!({ "before": 0, "after": 0 }))).await;
    gate.until_came(3).await;
    for id in ["h", "i"] {
        lines.send(&cancel(id)).await;
    }
    assert!(is_quiet(&mut lines).await);
    gate.open(3);
    assert!(is_quiet(&mut lines).await);
    assert_eq!(gate.went(), 0, "their handlers were dropped");
}

#[tokio::test(start_paused = true)]
async fn as_many_may_be_in_flight_as_in_a_session() {
    let gate = Gate::new();
    let limits = SessionLimits { calls: 2, ..SessionLimits::default() };
    let mut lines = Lines::start(server(&gate).stdio().session_limits(limits));
    lines.send(&gated(1)).await;
    lines.send(&listen(2, everything())).await;
    lines.next().await;
    gate.until_came(1).await;
    for id in 3..=4 {
        lines.send(&listen(id, everything())).await;
        let refusal = lines.refusal().await;
        assert_eq!(
            refusal,
            format!(
                "{id} -32603: 2 requests are in flight, as many as may be; await the answer of one, or take one back"
            )
        );
    }
    lines.send(&cancel(2)).await;
    assert_eq!(text(&lines.ask(&echo(5, "there is room")).await), "there is room");
}

// Listening

#[tokio::test(start_paused = true)]
async fn each_subscription_is_told_under_its_own_id() {
    let server = server(&Gate::new());
    let mut lines = Lines::start(server.clone().stdio());
    lines.send(&listen("tools", json!({ "toolsListChanged": true }))).await;
    assert_eq!(about(&lines.next().await, &json!("tools")), "subscriptions/acknowledged");
    lines.send(&listen(7, json!({ "resourceSubscriptions": ["it://motd"] }))).await;
    assert_eq!(about(&lines.next().await, &json!(7)), "subscriptions/acknowledged");
    assert!(server.remove_tool("echo"));
    assert_eq!(about(&lines.next().await, &json!("tools")), "tools/list_changed");
    assert_eq!(server.resource_updated("it://motd"), 1);
    let updated = lines.next().await;
    assert_eq!(about(&updated, &json!(7)), "resources/updated");
    assert_eq!(updated["params"]["uri"], "it://motd");
    assert_eq!(server.resource_updated("it://other"), 0);
    assert_eq!(server.notify_all("notifications/it.example/lunch", &json!({})).unwrap(), 0);
    assert_eq!(
        lines.ask(&modern(8, "tools/list", json!({}))).await["result"]["tools"].as_array().unwrap().len(),
        2
    );
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_is_taken_back_ends_without_a_word() {
    let server = server(&Gate::new());
    let mut lines = Lines::start(server.clone().stdio());
    lines.send(&listen(1, everything())).await;
    assert_eq!(about(&lines.next().await, &json!(1)), "subscriptions/acknowledged");
    lines.send(&cancel(1)).await;
    until(|| server.resource_updated("it://motd") == 0).await;
    assert!(is_quiet(&mut lines).await);
    // Its id is free.
    lines.send(&listen(1, everything())).await;
    assert_eq!(about(&lines.next().await, &json!(1)), "subscriptions/acknowledged");
    assert_eq!(server.resource_updated("it://motd"), 1);
    assert_eq!(about(&lines.next().await, &json!(1)), "resources/updated");
    // The notification may say of which era it is.
    let mut cancel = cancel(1);
    cancel["params"]["_meta"] = modern(0, "x", json!({}))["params"]["_meta"].clone();
    lines.send(&cancel).await;
    until(|| server.resource_updated("it://motd") == 0).await;
    assert!(is_quiet(&mut lines).await);
}

#[tokio::test(start_paused = true)]
async fn sessions_and_listeners_hear_of_the_same_change() {
    let server = server(&Gate::new());
    let mut lines = Lines::start(server.clone().stdio());
    lines.initialize(NEWEST, &json!({})).await;
    lines.send(&listen(1, json!({ "toolsListChanged": true }))).await;
    lines.next().await;
    assert!(server.remove_tool("steps"));
    let mut told = [lines.next().await, lines.next().await];
    told.sort_by_key(|message| message["params"]["_meta"].is_object());
    assert_eq!(told[0], json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" }));
    assert_eq!(about(&told[1], &json!(1)), "tools/list_changed");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_told_once_of_what_changed_often() {
    let server = server(&Gate::new());
    let mut lines = Lines::start_with(server.clone().stdio(), 1024);
    lines.send(&listen(1, everything())).await;
    assert_eq!(about(&lines.next().await, &json!(1)), "subscriptions/acknowledged");
    for _ in 0..10_000 {
        assert_eq!(server.resource_updated("it://motd"), 1);
        settle_a_little().await;
    }
    // What the pipe holds, and then one more for all that came later.
    lines.send(&echo("end", "end")).await;
    let mut updates = 0;
    while lines.next().await["id"] != "end" {
        updates += 1;
    }
    assert!((1..400).contains(&updates), "{updates}");
}

async fn settle_a_little() {
    for _ in 0..4 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_input_answers_who_listens() {
    let gate = Gate::new();
    let server = server(&gate);
    let mut lines = Lines::start(server.clone().stdio());
    lines.send(&listen("l", everything())).await;
    lines.next().await;
    lines.send(&gated("g")).await;
    gate.until_came(1).await;
    let began = tokio::time::Instant::now();
    lines.end();
    settle().await;
    // Calls may finish, and are told of.
    assert_eq!(server.resource_updated("it://motd"), 1);
    assert_eq!(about(&lines.next().await, &json!("l")), "resources/updated");
    let mut last = [lines.next().await, lines.next().await];
    last.sort_by_key(|message| message["id"].to_string());
    assert_eq!(last[0]["error"]["code"], -32603, "the call was dropped after the grace: {}", last[0]);
    assert_eq!(about(&last[1], &json!("l")), "result");
    assert_eq!(last[1]["result"]["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "it");
    assert_eq!(lines.next_or_end().await, None);
    lines.ended().await.expect("a good end");
    assert_eq!(began.elapsed(), Duration::from_secs(1));
    assert_eq!(server.resource_updated("it://motd"), 0);
}

#[tokio::test(start_paused = true)]
async fn dropping_it_drops_who_listens() {
    let server = server(&Gate::new());
    let mut lines = Lines::start(server.clone().stdio());
    lines.send(&listen(1, everything())).await;
    lines.next().await;
    lines.abort().await;
    settle().await;
    assert_eq!(server.resource_updated("it://motd"), 0);
    assert_eq!(lines.next_or_end().await, None);
}

// Input rounds

#[derive(Deserialize, JsonSchema)]
struct Approval {
    approved: bool,
}

#[tokio::test(start_paused = true)]
async fn questions_are_asked_and_answered_by_calling_again() {
    let server = server(&Gate::new()).tool(tool("ask", |cx: Context| async move {
        let first: Approval = cx.elicit("First?").key("first").await?;
        let second: Approval = cx.elicit("Second?").key("second").await?;
        Ok::<_, Error>(format!("{} {}", first.approved, second.approved))
    }));
    let mut lines = Lines::start(server.stdio());
    let ask = |id: u32, more: Value| {
        let mut params = json!({ "name": "ask", "arguments": {} });
        params.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        modern_of(json!({ "elicitation": {} }), id, "tools/call", params)
    };
    let mut asked = lines.ask(&ask(1, json!({}))).await;
    for (id, key, approved) in [(2, "first", true), (3, "second", false)] {
        assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
        assert_eq!(asked["result"]["inputRequests"][key]["method"], "elicitation/create", "{asked}");
        let answers = json!({ key: { "action": "accept", "content": { "approved": approved } } });
        let state = &asked["result"]["requestState"];
        asked = lines.ask(&ask(id, json!({ "inputResponses": answers, "requestState": state }))).await;
    }
    assert_eq!(text(&asked), "true false");
    // Who cannot be asked is told which capability it takes.
    let refused = lines.ask(&tool_call(4, "ask", json!({}))).await;
    assert_eq!(refused["error"]["code"], -32021, "{refused}");
}
