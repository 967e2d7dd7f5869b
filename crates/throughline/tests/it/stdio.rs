//! The server over a reader and a writer: lines, one session, and how it ends.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use throughline::model::{CreateMessageParams, LoggingLevel, SamplingContent, SamplingMessage};
use throughline::revision::Revision;
use throughline::session::SessionLimits;
use throughline::{Context, Era, Error, Roots, Server, Stdio, resource, tool};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::support::{Gate, Lines, call, initialize, kit, request, settle, text, until, within};

const NEWEST: Revision = Revision::V2025_11_25;
const WITH_BATCHES: Revision = Revision::V2025_03_26;

fn gated(id: u32) -> Value {
    call(id, "gated", json!({ "before": 1, "after": 1 }))
}

fn echo(id: u32, text: &str) -> Value {
    call(id, "echo", json!({ "text": text }))
}

fn answer(question: &Value, result: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": question["id"], "result": result })
}

// Sessions

#[tokio::test(start_paused = true)]
async fn every_revision_with_sessions_is_spoken() {
    for revision in Revision::LEGACY {
        let mut lines = Lines::start(kit::server(&Gate::new()).stdio());
        let answer = lines.initialize(revision, &json!({})).await;
        assert_eq!(answer["result"]["capabilities"]["tools"]["listChanged"], true);
        let tools = lines.ask(&request(1, "tools/list", json!({}))).await;
        assert_eq!(tools["result"]["tools"].as_array().map(Vec::len), Some(3));
        lines.send(&call(2, "steps", json!({ "count": 3 }))).await;
        for step in 1..=3 {
            let progress = lines.next().await;
            assert_eq!(
                (&progress["params"]["progress"], &progress["params"]["progressToken"]),
                (&json!(step), &json!(2))
            );
        }
        assert_eq!(text(&lines.next().await), "done");
        let missing = lines.ask(&request(3, "none/such", json!({}))).await;
        assert_eq!(missing["error"]["code"], -32601);
        lines.end();
        assert_eq!(lines.next_or_end().await, None);
        lines.ended().await.expect("a good end");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_revision_is_answered_with_the_newest() {
    let mut lines = Lines::start(Server::new("it", "1").stdio());
    let mut initialize = initialize(NEWEST, &json!({}));
    initialize["params"]["protocolVersion"] = json!("1999-12-31");
    assert_eq!(lines.ask(&initialize).await["result"]["protocolVersion"], NEWEST.date());
}

#[tokio::test(start_paused = true)]
async fn before_initialize_only_a_ping_is_answered() {
    let mut lines = Lines::start(kit::server(&Gate::new()).stdio());
    assert_eq!(lines.ask(&request(1, "ping", json!({}))).await["result"], json!({}));
    lines.send(&echo(2, "early")).await;
    insta::assert_snapshot!(lines.refusal().await, @"2 -32600: This server needs a session. Send initialize first.");
    // They can have no effect, and no answer.
    lines
        .send(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } }))
        .await;
    lines.send(&json!({ "jsonrpc": "2.0", "id": 1, "result": {} })).await;
    lines.send(&json!([request(3, "ping", json!({})), { "jsonrpc": "2.0", "method": "x" }, 4])).await;
    insta::assert_snapshot!(lines.refusal().await, @"3 -32600: This server needs a session. Send initialize first.");
    lines.send(&request(5, "initialize", json!({ "protocolVersion": 7 }))).await;
    insta::assert_snapshot!(lines.refusal().await, @"5 -32602: the params of `initialize` do not fit: invalid type: integer `7`, expected a string");
    lines.initialize(NEWEST, &json!({})).await;
    lines.send(&initialize(NEWEST, &json!({}))).await;
    insta::assert_snapshot!(lines.refusal().await, @"0 -32600: This session is initialized already. Start the server anew to open another.");
    assert_eq!(text(&lines.ask(&echo(6, "then")).await), "then", "the session goes on");
}

#[tokio::test(start_paused = true)]
async fn where_it_is_not_served_the_modern_era_is_refused_so_that_its_clients_fall_back() {
    let mut lines = Lines::start(kit::server(&Gate::new()).stdio().era(Era::Legacy));
    let meta = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28" });
    let discover = request(1, "server/discover", json!({ "_meta": meta }));
    lines.send(&discover).await;
    insta::assert_snapshot!(lines.refusal().await, @"1 -32600: This server needs a session. Send initialize first.");
    lines.initialize(NEWEST, &json!({})).await;
    for modern in [
        discover,
        request(2, "subscriptions/listen", json!({})),
        request(3, "tools/call", json!({ "name": "echo", "arguments": { "text": "x" }, "_meta": meta })),
    ] {
        let refusal = lines.ask(&modern).await;
        assert_eq!(refusal["error"]["code"], -32600, "{refusal}");
    }
    lines
        .send(
            &json!({ "jsonrpc": "2.0", "method": "notifications/initialized", "params": { "_meta": meta } }),
        )
        .await;
    assert!(lines.is_quiet().await);
}

// Lines

#[tokio::test(start_paused = true)]
async fn a_malformed_line_is_answered_and_skipped() {
    let mut lines = Lines::open(kit::server(&Gate::new()), NEWEST, json!({})).await;
    for (line, refusal) in [
        (&b"nonsense"[..], "null -32700"),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,", "null -32700"),
        (b"\"\xff\"", "null -32700"),
        (b"7", "null -32600"),
        (b"[]", "null -32600"),
        (br#"{"jsonrpc":"1.0","id":"a","method":"ping"}"#, "\"a\" -32600"),
        (br#"{"jsonrpc":"2.0","id":2,"method":"ping","params":[]}"#, "2 -32600"),
        (br#"{"jsonrpc":"2.0","id":3}"#, "3 -32600"),
    ] {
        lines.send_text(line).await;
        lines.send_text("\n").await;
        let said = lines.refusal().await;
        assert!(said.starts_with(refusal), "{said}");
    }
    lines.send_text("\n\r\n  \t\r\n").await;
    lines.note(&echo(4, "fine"));
    lines.send_text(format!("{}\r\n", echo(4, "fine"))).await;
    let answer = lines.next().await;
    assert_eq!(answer["result"]["content"][0]["text"], "fine");
}

#[tokio::test(start_paused = true)]
async fn lines_may_be_cut_anywhere() {
    let mut lines = Lines::start_with(kit::server(&Gate::new()).stdio(), 1);
    lines.initialize(NEWEST, &json!({})).await;
    assert_eq!(text(&lines.ask(&echo(1, "älso\nthis")).await), "älso\nthis");
    let mut lines = Lines::open(kit::server(&Gate::new()), NEWEST, json!({})).await;
    lines.note(&json!([echo(1, "a"), echo(2, "b"), echo(3, "c")]));
    lines.send_text(format!("{}\n{}\n{}\n", echo(1, "a"), echo(2, "b"), echo(3, "c"))).await;
    for (id, said) in [(1, "a"), (2, "b"), (3, "c")] {
        let answer = lines.next().await;
        assert_eq!((&answer["id"], &answer["result"]["content"][0]["text"]), (&json!(id), &json!(said)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_too_long_is_answered_once_and_skipped() {
    let mut lines = Lines::start(kit::server(&Gate::new()).stdio().max_line(1000));
    lines.initialize(NEWEST, &json!({})).await;
    lines.send(&echo(1, &"x".repeat(1000))).await;
    insta::assert_snapshot!(lines.refusal().await, @"null -32600: The line is longer than 1000 bytes. Send a smaller message.");
    // It is told before its end, and what follows is thrown away as it comes.
    lines.send_text("x".repeat(2000)).await;
    assert!(lines.refusal().await.starts_with("null -32600"));
    for _ in 0..100 {
        lines.send_text("x".repeat(100_000)).await;
    }
    lines.send_text("\n").await;
    assert_eq!(text(&lines.ask(&echo(2, "short")).await), "short");
    assert!(lines.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn a_last_line_without_its_newline_counts() {
    let mut lines = Lines::open(kit::server(&Gate::new()), NEWEST, json!({})).await;
    lines.note(&echo(1, "last"));
    lines.send_text(echo(1, "last").to_string()).await;
    lines.end();
    assert_eq!(lines.next().await["result"]["content"][0]["text"], "last");
    assert_eq!(lines.next_or_end().await, None);
    lines.ended().await.expect("a good end");
}

// Batches

#[tokio::test(start_paused = true)]
async fn a_batch_is_answered_by_one_line_in_the_order_of_its_requests() {
    let gate = Gate::new();
    let mut lines = Lines::open(kit::server(&gate), WITH_BATCHES, json!({})).await;
    lines
        .send(&json!([
            gated(1),
            request("b", "ping", json!({})),
            { "jsonrpc": "2.0", "method": "notifications/initialized" },
            7,
            echo(3, "three"),
            initialize(WITH_BATCHES, &json!({})),
        ]))
        .await;
    assert_eq!(lines.next().await["params"]["progress"], 1, "what comes before the answers comes at once");
    assert!(lines.is_quiet().await);
    gate.open(1);
    assert_eq!(lines.next().await["params"]["progress"], 2);
    let answers = lines.next().await;
    let ids: Vec<&Value> = answers.as_array().expect("an array").iter().map(|answer| &answer["id"]).collect();
    assert_eq!(ids, [&json!(1), &json!("b"), &Value::Null, &json!(3), &json!(0)]);
    assert_eq!((text(&answers[0]), text(&answers[3])), ("done", "three"));
    assert_eq!(
        (&answers[2]["error"]["code"], &answers[4]["error"]["code"]),
        (&json!(-32600), &json!(-32600))
    );
    // An array of one, and nothing for what wants no answer.
    lines.send(&json!([{ "jsonrpc": "2.0", "method": "notifications/initialized" }])).await;
    lines.send(&json!([request(4, "ping", json!({}))])).await;
    assert_eq!(lines.next().await, json!([{ "jsonrpc": "2.0", "id": 4, "result": {} }]));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_taken_back_is_answered_without_it() {
    let gate = Gate::new();
    let mut lines = Lines::open(kit::server(&gate), WITH_BATCHES, json!({})).await;
    let taken_back = |id: u32| json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } });
    lines.send(&json!([call(1, "gated", json!({ "before": 0, "after": 0 })), echo(2, "two")])).await;
    gate.until_came(1).await;
    lines.send(&taken_back(1)).await;
    let answers = lines.next().await;
    assert_eq!((answers.as_array().map(Vec::len), &answers[0]["id"]), (Some(1), &json!(2)));
    lines.send(&json!([call(3, "gated", json!({ "before": 0, "after": 0 }))])).await;
    gate.until_came(2).await;
    lines.send(&taken_back(3)).await;
    assert!(lines.is_quiet().await, "an empty array is no answer");
}

#[tokio::test(start_paused = true)]
async fn other_revisions_have_no_batches() {
    for revision in [Revision::V2024_11_05, Revision::V2025_06_18, NEWEST] {
        let mut lines = Lines::open(kit::server(&Gate::new()), revision, json!({})).await;
        lines.send(&json!([echo(1, "a"), { "jsonrpc": "2.0", "method": "x" }, echo(2, "b")])).await;
        for id in [1, 2] {
            let why = "This revision has no batches. Send each message on a line of its own.";
            assert_eq!(lines.refusal().await, format!("{id} -32600: {why}"));
        }
        lines.send(&json!([{ "jsonrpc": "2.0", "method": "x" }])).await;
        assert!(lines.refusal().await.starts_with("null -32600"));
    }
}

// What goes to the client

#[derive(Deserialize, JsonSchema)]
struct Approval {
    approved: bool,
}

fn asking() -> Server {
    let sample = || CreateMessageParams::new([SamplingMessage::user(SamplingContent::text("sum up"))], 50);
    Server::new("it", "1")
        .tool(tool("form", |cx: Context| async move {
            match cx.elicit::<Approval>("May I?").timeout(Duration::from_secs(30)).await {
                Ok(answer) => format!("{}", answer.approved),
                Err(error) => format!("no: {error}"),
            }
        }))
        .tool(tool("sample", move |cx: Context| async move {
            match cx.sample(sample()).await {
                Ok(answer) => answer.content[0].as_text().unwrap_or("no text").to_owned(),
                Err(error) => format!("no: {error}"),
            }
        }))
        .tool(tool("roots", |cx: Context| async move {
            match cx.roots().await {
                Ok(roots) => format!("{} roots", roots.len()),
                Err(error) => format!("no: {error}"),
            }
        }))
}

fn capable() -> Value {
    json!({ "elicitation": {}, "sampling": {}, "roots": {} })
}

#[tokio::test(start_paused = true)]
async fn calls_ask_and_are_answered() {
    let mut lines = Lines::open(asking(), NEWEST, capable()).await;
    for (id, tool, method, result, said) in [
        (
            1,
            "form",
            "elicitation/create",
            json!({ "action": "accept", "content": { "approved": true } }),
            "true",
        ),
        (2, "form", "elicitation/create", json!({ "action": "decline" }), "no: the user declined"),
        (
            3,
            "sample",
            "sampling/createMessage",
            json!({ "model": "m", "role": "assistant", "content": { "type": "text", "text": "the sum" } }),
            "the sum",
        ),
        (4, "roots", "roots/list", json!({ "roots": [{ "uri": "file:///a" }] }), "1 roots"),
    ] {
        lines.send(&call(id, tool, json!({}))).await;
        let question = lines.next().await;
        assert_eq!(question["method"], method);
        lines.send(&answer(&question, &result)).await;
        assert_eq!(text(&lines.next().await), said);
    }
    // Two at once, answered the other way round.
    lines.send(&call(5, "roots", json!({}))).await;
    lines.send(&call(6, "form", json!({}))).await;
    let (roots, form) = (lines.next().await, lines.next().await);
    lines.send(&answer(&form, &json!({ "action": "accept", "content": { "approved": false } }))).await;
    assert_eq!(lines.next().await["id"], 6);
    lines.send(&answer(&roots, &json!({ "roots": [] }))).await;
    assert_eq!(lines.next().await["id"], 5);
    // A malformed answer settles its question.
    lines.send(&call(7, "roots", json!({}))).await;
    let question = lines.next().await;
    let both = json!({ "jsonrpc": "2.0", "id": question["id"], "result": {}, "error": { "code": 1, "message": "x" } });
    lines.send(&both).await;
    let (one, other) = (lines.next().await, lines.next().await);
    let (refusal, result) = if one.get("error").is_some() { (one, other) } else { (other, one) };
    assert_eq!(
        (refusal.get("id"), &refusal["error"]["code"]),
        (None, &json!(-32600)),
        "it is our id, not the client's"
    );
    assert!(text(&result).starts_with("no: "), "{result}");
}

#[tokio::test(start_paused = true)]
async fn a_question_is_taken_back_when_nobody_waits_for_it() {
    let mut lines = Lines::open(asking(), NEWEST, capable()).await;
    lines.send(&call(1, "form", json!({}))).await;
    let question = lines.next().await;
    let back = lines.next().await;
    assert_eq!(
        (&back["method"], &back["params"]["requestId"]),
        (&json!("notifications/cancelled"), &question["id"])
    );
    assert_eq!(text(&lines.next().await), "no: the client did not answer in time");
    // The client takes the call back while its question is open.
    lines.send(&call(2, "roots", json!({}))).await;
    let question = lines.next().await;
    lines
        .send(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 2 } }))
        .await;
    let back = lines.next().await;
    assert_eq!(back["params"]["requestId"], question["id"]);
    lines.send(&answer(&question, &json!({ "roots": [] }))).await;
    assert!(lines.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_did_not_declare_it_is_not_asked() {
    let mut lines = Lines::open(asking(), NEWEST, json!({})).await;
    let said = lines.ask(&call(1, "roots", json!({}))).await;
    insta::assert_snapshot!(text(&said), @"no: the client cannot be asked: it did not declare the capability `roots`");
}

#[tokio::test(start_paused = true)]
async fn a_session_asks_and_tells_outside_of_calls() {
    let server = Server::new("it", "1").tool(tool("later", |cx: Context| async move {
        let session = cx.session().expect("a session").clone();
        assert_eq!(session.id().as_str().len(), 32);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let roots = session.ask(Roots).await.expect("an answer");
            session.notify("it/roots", &json!({ "count": roots.len() })).await.expect("a client");
        });
        "soon"
    }));
    let mut lines = Lines::open(server, NEWEST, capable()).await;
    assert_eq!(text(&lines.ask(&call(1, "later", json!({}))).await), "soon");
    let question = lines.next().await;
    assert_eq!(question["method"], "roots/list");
    lines.send(&answer(&question, &json!({ "roots": [{ "uri": "file:///a" }] }))).await;
    let told = lines.next().await;
    assert_eq!((&told["method"], &told["params"]), (&json!("it/roots"), &json!({ "count": 1 })));
}

#[tokio::test(start_paused = true)]
async fn logs_keep_to_the_level() {
    let server = Server::new("it", "1").tool(tool("log", |cx: Context| async move {
        cx.log(LoggingLevel::Info, "quiet").await?;
        cx.log(LoggingLevel::Error, "loud").await?;
        Ok::<_, Error>("done")
    }));
    let mut lines = Lines::open(server.clone(), NEWEST, json!({})).await;
    lines.send(&call(1, "log", json!({}))).await;
    assert_eq!(lines.next().await["params"]["data"], "loud");
    assert_eq!(text(&lines.next().await), "done");
    assert_eq!(
        lines.ask(&request(2, "logging/setLevel", json!({ "level": "debug" }))).await["result"],
        json!({})
    );
    lines.send(&call(3, "log", json!({}))).await;
    assert_eq!(lines.next().await["params"]["data"], "quiet");
    let mut lines = Lines::start(server.stdio().log_level(LoggingLevel::Info));
    lines.initialize(NEWEST, &json!({})).await;
    lines.send(&call(1, "log", json!({}))).await;
    assert_eq!(lines.next().await["params"]["data"], "quiet");
}

#[tokio::test(start_paused = true)]
async fn changed_lists_and_subscribed_resources_are_told() {
    let server = kit::server(&Gate::new()).resource(resource("it://a", "a", || async { "a" }));
    let mut early = Lines::start(server.clone().stdio());
    let mut lines = Lines::open(server.clone(), NEWEST, json!({})).await;
    server.add_tool(tool("more", || async { "more" })).unwrap();
    assert_eq!(lines.next().await["method"], "notifications/tools/list_changed");
    assert_eq!(server.resource_updated("it://a"), 0);
    let uri = json!({ "uri": "it://a" });
    assert_eq!(lines.ask(&request(1, "resources/subscribe", uri.clone())).await["result"], json!({}));
    assert_eq!(server.resource_updated("it://a"), 1);
    let updated = lines.next().await;
    assert_eq!(
        (&updated["method"], &updated["params"]["uri"]),
        (&json!("notifications/resources/updated"), &uri["uri"])
    );
    assert_eq!(lines.ask(&request(2, "resources/unsubscribe", uri)).await["result"], json!({}));
    assert_eq!(server.resource_updated("it://a"), 0);
    assert_eq!(server.notify_where(|info| info.caller.revision().primes(), "it/all", &json!({})).unwrap(), 1);
    assert_eq!(lines.next().await["method"], "it/all");
    assert!(lines.is_quiet().await);
    // Nothing comes before the answer to `initialize`.
    early.initialize(NEWEST, &json!({})).await;
    lines.end();
    lines.ended().await.expect("a good end");
    early.end();
    early.ended().await.expect("a good end");
    assert_eq!(server.notify_all("it/all", &json!({})).unwrap(), 0);
}

// Calls

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_gets_no_answer() {
    let gate = Gate::new();
    let mut lines = Lines::open(kit::server(&gate), NEWEST, json!({})).await;
    lines.send(&gated(1)).await;
    assert_eq!(lines.next().await["params"]["progress"], 1);
    lines
        .send(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } }))
        .await;
    settle().await;
    gate.open(1);
    assert!(lines.is_quiet().await);
    assert_eq!(gate.went(), 0);
    assert_eq!(text(&lines.ask(&echo(1, "again")).await), "again", "its id is free");
}

#[tokio::test(start_paused = true)]
async fn ids_in_flight_and_their_number_are_checked() {
    let gate = Gate::new();
    let limits = SessionLimits { calls: 2, ..SessionLimits::default() };
    let mut lines = Lines::start(kit::server(&gate).stdio().session_limits(limits));
    lines.initialize(NEWEST, &json!({})).await;
    let gated = |id: u32| call(id, "gated", json!({ "before": 0, "after": 0 }));
    lines.send(&gated(1)).await;
    lines.send(&gated(1)).await;
    insta::assert_snapshot!(lines.refusal().await, @"1 -32600: a request with this id is still in flight; give each request an id of its own");
    lines.send(&gated(2)).await;
    lines.send(&gated(3)).await;
    insta::assert_snapshot!(lines.refusal().await, @"3 -32603: this session has 2 requests in flight, as many as it may have; wait for an answer first");
    gate.open(2);
    assert_eq!(text(&lines.next().await), "done");
    assert_eq!(text(&lines.next().await), "done");
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_an_answer_and_the_session_goes_on() {
    let server = kit::server(&Gate::new())
        .tool(tool("at-once", || async { if true { panic!("at once") } else { "" } }))
        .tool(tool("later", || async {
            tokio::task::yield_now().await;
            if true { panic!("later") } else { "" }
        }));
    let mut lines = Lines::open(server, NEWEST, json!({})).await;
    for (id, tool) in [(1, "at-once"), (2, "later")] {
        assert_eq!(lines.ask(&call(id, tool, json!({}))).await["error"]["code"], -32603);
    }
    assert_eq!(text(&lines.ask(&echo(3, "on")).await), "on");
}

// Pace

#[tokio::test(start_paused = true)]
async fn a_slow_reader_holds_up_only_who_sends() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&sent);
    let server = kit::server(&Gate::new()).tool(tool("flood", move |cx: Context| {
        let sent = Arc::clone(&counting);
        async move {
            for step in 1..=2000 {
                cx.progress(f64::from(step)).await?;
                sent.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, Error>("done")
        }
    }));
    let gate = Gate::new();
    let passed = gate.clone();
    let server = server.tool(tool("pass", move || {
        let gate = passed.clone();
        async move {
            gate.pass().await;
            "passed"
        }
    }));
    let mut lines = Lines::start_with(server.stdio(), 1024);
    lines.initialize(NEWEST, &json!({})).await;
    lines.send(&call(1, "flood", json!({}))).await;
    settle().await;
    let waiting = sent.load(Ordering::Relaxed);
    assert!((256..=256 * 3).contains(&waiting), "{waiting} were sent to a client that does not read");
    settle().await;
    assert_eq!(sent.load(Ordering::Relaxed), waiting);
    // Another call is taken in and runs.
    gate.open(1);
    lines.send(&call(2, "pass", json!({}))).await;
    until(|| gate.went() == 1).await;
    let (mut steps, mut passed) = (0, 0);
    loop {
        let message = lines.next().await;
        if message["id"] == 1 {
            assert_eq!((steps, text(&message)), (2000, "done"));
            break;
        } else if message["id"] == 2 {
            passed += 1;
        } else {
            steps += 1;
            assert_eq!(message["params"]["progress"], steps, "none is lost, and all are in order");
        }
    }
    assert_eq!(passed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_only_writes_is_not_read_for_ever() {
    let mut lines = Lines::start_with(kit::server(&Gate::new()).stdio(), 1024);
    lines.initialize(NEWEST, &json!({})).await;
    let written = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&written);
    (1..=200).for_each(|id| lines.note(&echo(id, "")));
    let mut input = lines.take_input();
    let writing = tokio::spawn(async move {
        let text = "x".repeat(100_000);
        for id in 1..=200 {
            input.write_all(format!("{}\n", echo(id, &text)).as_bytes()).await.unwrap();
            counting.store(id as usize, Ordering::Relaxed);
        }
    });
    for _ in 0..100 {
        settle().await;
    }
    let taken = written.load(Ordering::Relaxed);
    assert!((40..60).contains(&taken), "4 MiB of answers wait after {taken} calls");
    for id in 1..=200 {
        assert_eq!(lines.next().await["id"], id);
    }
    within(writing).await.unwrap();
    lines.ended().await.expect("a good end");
}

/// Keeps what each write had.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<String>>>);

impl AsyncWrite for Recorder {
    fn poll_write(self: Pin<&mut Self>, _: &mut TaskContext<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.lock().unwrap().push(String::from_utf8(bytes.to_vec()).expect("text"));
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn everything_that_is_ready_leaves_in_one_write() {
    let recorder = Recorder::default();
    let (mut input, reader) = tokio::io::duplex(64 * 1024);
    let serving =
        tokio::spawn(kit::server(&Gate::new()).stdio().over(reader, recorder.clone()).into_future());
    input.write_all(format!("{}\n", initialize(NEWEST, &json!({}))).as_bytes()).await.unwrap();
    settle().await;
    let mut many = String::new();
    for id in 1..=10 {
        many += &format!("{}\n", call(id, "steps", json!({ "count": 3 })));
    }
    input.write_all(many.as_bytes()).await.unwrap();
    drop(input);
    within(serving).await.unwrap().expect("a good end");
    let writes = recorder.0.lock().unwrap();
    let counts: Vec<usize> = writes.iter().map(|write| write.lines().count()).collect();
    assert_eq!(counts, [1, 40]);
    assert!(writes.iter().all(|write| write.ends_with('\n')), "whole lines");
}

// The end

#[tokio::test(start_paused = true)]
async fn running_calls_may_answer_after_the_input_ended() {
    let gate = Gate::new();
    let mut lines = Lines::open(kit::server(&gate), NEWEST, json!({})).await;
    lines.send(&gated(1)).await;
    assert_eq!(lines.next().await["params"]["progress"], 1);
    lines.end();
    settle().await;
    gate.open(1);
    assert_eq!(lines.next().await["params"]["progress"], 2);
    assert_eq!(text(&lines.next().await), "done");
    assert_eq!(lines.next_or_end().await, None);
    lines.ended().await.expect("a good end");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_too_long_is_dropped_with_an_error() {
    for grace in [None, Some(Duration::from_secs(30))] {
        let gate = Gate::new();
        let stdio = kit::server(&gate).stdio();
        let mut lines = Lines::start(match grace {
            Some(grace) => stdio.grace(grace),
            None => stdio,
        });
        lines.initialize(NEWEST, &json!({})).await;
        lines.send(&gated(1)).await;
        assert_eq!(lines.next().await["params"]["progress"], 1);
        let began = tokio::time::Instant::now();
        lines.end();
        let why = "the session ended before the call was answered";
        assert_eq!(lines.refusal().await, format!("1 -32600: {why}"));
        assert_eq!(lines.next_or_end().await, None);
        lines.ended().await.expect("a good end");
        assert_eq!(began.elapsed().as_secs(), grace.map_or(1, |grace| grace.as_secs()));
        assert_eq!(gate.went(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_of_a_client_that_left_fails_at_once() {
    let mut lines = Lines::open(asking(), NEWEST, capable()).await;
    lines.send(&call(1, "roots", json!({}))).await;
    assert_eq!(lines.next().await["method"], "roots/list");
    let began = tokio::time::Instant::now();
    lines.end();
    let mut rest = Vec::new();
    while let Some(message) = lines.next_or_end().await {
        rest.push(message);
    }
    let last = rest.last().expect("an answer");
    assert!(text(last).starts_with("no: "), "{last}");
    lines.ended().await.expect("a good end");
    assert_eq!(began.elapsed(), Duration::ZERO, "nothing waited for the grace to pass");
}

#[tokio::test(start_paused = true)]
async fn it_stops_when_told_to() {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let gate = Gate::new();
    let mut lines = Lines::start(kit::server(&gate).stdio().shutdown_on(async {
        let _ = stopped.await;
    }));
    lines.initialize(NEWEST, &json!({})).await;
    lines.send(&gated(1)).await;
    assert_eq!(lines.next().await["params"]["progress"], 1);
    stop.send(()).unwrap();
    settle().await;
    gate.open(1);
    assert_eq!(lines.next().await["params"]["progress"], 2);
    assert_eq!(text(&lines.next().await), "done");
    assert_eq!(lines.next_or_end().await, None);
    lines.ended().await.expect("a good end");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_reading_ends_the_server_cleanly() {
    let gate = Gate::new();
    let held = Arc::new(());
    let inside = Arc::clone(&held);
    let server = kit::server(&gate).tool(tool("hold", move || {
        let held = Arc::clone(&inside);
        async move {
            std::future::pending::<()>().await;
            drop(held);
            "never"
        }
    }));
    let mut lines = Lines::open(server, NEWEST, json!({})).await;
    lines.send(&call(1, "hold", json!({}))).await;
    until(|| Arc::strong_count(&held) == 3).await;
    lines.close_output();
    lines.send(&request(2, "ping", json!({}))).await;
    lines.ended().await.expect("a client that is gone is no error");
    until(|| Arc::strong_count(&held) == 1).await;
}

#[tokio::test(start_paused = true)]
async fn dropping_it_drops_its_calls() {
    let gate = Gate::new();
    let server = kit::server(&gate);
    let mut lines = Lines::open(server.clone(), NEWEST, json!({})).await;
    lines.send(&gated(1)).await;
    gate.until_came(1).await;
    lines.abort().await;
    gate.open(1);
    settle().await;
    assert_eq!(gate.went(), 0);
    assert_eq!(server.notify_all("it/all", &json!({})).unwrap(), 0);
    assert_eq!(lines.next().await["params"]["progress"], 1);
    assert_eq!(lines.next_or_end().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_its_last_answers_is_not_waited_for() {
    let mut lines = Lines::start_with(kit::server(&Gate::new()).stdio(), 1024);
    lines.initialize(NEWEST, &json!({})).await;
    lines.send(&echo(1, &"x".repeat(10_000))).await;
    settle().await;
    lines.end();
    lines.ended().await.expect("a good end");
}

/// A pipe that breaks in a way of its own.
struct Broken;

impl AsyncRead for Broken {
    fn poll_read(self: Pin<&mut Self>, _: &mut TaskContext<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::Error::other("the reader broke")))
    }
}

impl AsyncWrite for Broken {
    fn poll_write(self: Pin<&mut Self>, _: &mut TaskContext<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::Error::other("the writer broke")))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn other_failures_are_told() {
    let server = Server::new("it", "1");
    let error = within(server.clone().stdio().over(Broken, tokio::io::sink()).into_future()).await;
    assert_eq!(error.unwrap_err().to_string(), "the reader broke");
    let (mut input, reader) = tokio::io::duplex(1024);
    input.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n").await.unwrap();
    let error = within(Stdio::new(server).over(reader, Broken).into_future()).await;
    assert_eq!(error.unwrap_err().to_string(), "the writer broke");
}
