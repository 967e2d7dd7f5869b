//! The test kit: what it lets through, and what it must not.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use throughline::jsonrpc::Raw;
use throughline::model::{
    CallToolResult, ClientCapabilities, CreateMessageParams, ElicitParams, ElicitResult, LoggingLevel,
    SamplingContent, SamplingMessage,
};
use throughline::revision::Revision;
use throughline::testing::{Kit, Running, accept, cancel, decline, error, json, roots, sampled, silence};
use throughline::{
    Client, Context, Json, McpError, RawQuestion, ResponseMode, Server, StreamableHttp, resource, tool,
};

#[derive(Deserialize, JsonSchema)]
struct Approval {
    approved: bool,
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
struct Sum {
    sum: i64,
}

#[derive(Deserialize, JsonSchema)]
struct Add {
    a: i64,
    b: i64,
}

async fn talk(cx: Context) -> throughline::Result<String> {
    cx.progress(1.0).total(2.0).message("first").await?;
    cx.log(LoggingLevel::Debug, json!({ "found": 3 })).logger("db").await?;
    let form = match cx.elicit::<Approval>("Delete 3 files?").await {
        Ok(approval) => approval.approved.to_string(),
        Err(error) => error.to_string(),
    };
    let params = CreateMessageParams::new([SamplingMessage::user(SamplingContent::text("Sum up."))], 50);
    let sample = cx.sample(params).await?;
    let roots = cx.roots().await?.len();
    cx.progress(2.0).await?;
    Ok(format!("{form}, {}, {roots} roots", sample.content[0].as_text().unwrap_or_default()))
}

/// The same where each answer begins another round: what fails ends it.
async fn rounds(cx: Context) -> throughline::Result<String> {
    cx.progress(1.0).await?;
    cx.log(LoggingLevel::Debug, "round").await?;
    let approval: Approval = cx.elicit("Delete 3 files?").await?;
    let params = CreateMessageParams::new([SamplingMessage::user(SamplingContent::text("Sum up."))], 50);
    let (sample, roots) = tokio::join!(cx.sample(params), cx.roots());
    let text = sample?.content[0].as_text().unwrap_or_default().to_owned();
    Ok(format!("{}, {text}, {} roots", approval.approved, roots?.len()))
}

async fn steps(cx: Context) -> throughline::Result<String> {
    for step in 1..=3 {
        cx.progress(step.into()).await?;
        cx.log(LoggingLevel::Info, step).await?;
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    Ok("done".into())
}

fn server() -> Server {
    Server::new("it", "1")
        .tool(tool("talk", talk))
        .tool(tool("rounds", rounds))
        .tool(tool("steps", steps))
        .tool(tool("add", |add: Add| async move { Json(Sum { sum: add.a + add.b }) }))
        .tool(tool("fail", || async { Err::<String, _>(throughline::Error::msg("no such file")) }))
        .tool(tool("refuse", || async { Err::<String, _>(McpError::invalid_params("not today")) }))
        .tool(tool("image", || async {
            CallToolResult::new([throughline::model::Content::image([1], "image/png")])
        }))
        .tool(tool("hang", |cx: Context| async move {
            cx.progress(1.0).await?;
            std::future::pending::<throughline::Result<String>>().await
        }))
        .tool(tool("form", |cx: Context| async move {
            match cx.elicit::<Approval>("Sure?").await {
                Ok(approval) => approval.approved.to_string(),
                Err(error) => error.to_string(),
            }
        }))
        .tool(tool("own", |cx: Context| async move {
            let question = RawQuestion::new("x/weather", &json!({ "place": "here" })).expect("it is JSON");
            match cx.ask(question).await {
                Ok(answer) => answer.as_str().to_owned(),
                Err(error) => error.to_string(),
            }
        }))
        .tool(tool("apart", |cx: Context| async move {
            cx.progress(1.0).await?;
            let closed = cx.close_connection(Duration::from_secs(2));
            cx.progress(2.0).await?;
            Ok::<_, throughline::Error>(format!("closed: {closed}"))
        }))
        .tool(tool("session", |cx: Context| async move {
            let question = RawQuestion::new("roots/list", &json!({})).expect("it is JSON");
            cx.session().expect("there is one").ask(question).await.map(|answer| answer.as_str().len())
        }))
        .resource(resource("it://load", "load", || async { "0.7" }))
        .resource(resource("it://count", "count", || async {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            COUNT.fetch_add(1, Ordering::Relaxed).to_string()
        }))
}

#[tokio::test(start_paused = true)]
async fn a_conversation_in_order() {
    let mut kit = Kit::of(server()).await;
    let mut call = kit.call("talk", ());
    let progress = call.expect_progress(1.0).await;
    assert_eq!((progress.total, progress.message.as_deref()), (Some(2.0), Some("first")));
    let log = call.expect_log(LoggingLevel::Debug, json!({ "found": 3 })).await;
    assert_eq!(log.logger.as_deref(), Some("db"));
    call.expect_elicit(|form| {
        assert!(matches!(form, ElicitParams::Form(form) if form.message == "Delete 3 files?"));
        accept(json!({ "approved": true }))
    })
    .await;
    call.expect_sample(|sample| {
        assert_eq!(sample.max_tokens, 50);
        sampled("short")
    })
    .await;
    call.expect_roots(roots(["file:///a", "file:///b"])).await;
    call.expect_progress(2.0).await;
    assert_eq!(call.text().await, "true, short, 2 roots");
    insta::assert_snapshot!(kit.transcript());
    kit.close().await;
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_end() {
    let mut kit = Kit::of(server()).await;
    assert_eq!(kit.call("add", json!({ "a": 1, "b": 2 })).structured::<Sum>().await, Sum { sum: 3 });
    assert_eq!(kit.call("add", json!({ "a": 1, "b": 2 })).result().await.content.len(), 1);
    assert_eq!(kit.call("fail", ()).tool_error().await, "no such file");
    let refusal = kit.call("refuse", ()).protocol_error().await;
    assert_eq!((refusal.code(), refusal.message()), (-32602, "not today"));
    assert_eq!(kit.call("nothing", ()).protocol_error().await.code(), -32602);
    let pong: serde_json::Value = kit.request("ping", ()).answer().await;
    assert_eq!(pong, json!({}));
    let mut call = kit.call("hang", ());
    call.expect_progress(1.0).await;
    call.cancel("enough").await;
    call.no_result().await;
}

#[tokio::test(start_paused = true)]
async fn each_answer_to_a_question() {
    let mut kit = Kit::of(server()).await;
    let answers = [
        (decline(), "the user declined"),
        (cancel(), "the user closed the question without an answer"),
        (error(McpError::new(-1, "busy")), "the client answered with error -1: busy"),
        (json(json!({ "action": "accept", "content": { "approved": false } })), "false"),
    ];
    for (answer, said) in answers {
        let mut call = kit.call("form", ());
        call.expect_elicit(|_| answer).await;
        assert_eq!(call.text().await, said);
    }
    let mut call = kit.call("form", ());
    call.expect_elicit(|_| silence()).await;
    call.expect_nothing_for(Duration::from_secs(599)).await;
    call.expect_withdrawn().await;
    assert_eq!(call.text().await, "the client did not answer in time");
    let mut call = kit.call("own", ());
    call.expect_question("x/weather", |params| {
        assert_eq!(params["place"], "here");
        json("sunny")
    })
    .await;
    assert_eq!(call.text().await, "\"sunny\"");
}

#[tokio::test(start_paused = true)]
async fn calls_run_beside_each_other_on_the_paused_clock() {
    let mut kit = Kit::of(server()).await;
    let started = tokio::time::Instant::now();
    let mut first = kit.call("steps", ());
    let second = kit.call("steps", ()).ignore_progress().ignore_logs();
    for step in 1..=3 {
        first.expect_progress(f64::from(step)).await;
        first.expect_log(LoggingLevel::Info, step).await;
    }
    assert_eq!(first.text().await, "done");
    assert_eq!(second.text().await, "done");
    assert_eq!(started.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_followed_over_a_closed_connection() {
    let mut kit = Kit::of(server()).await;
    let mut call = kit.call("apart", ());
    call.expect_progress(1.0).await;
    call.expect_progress(2.0).await;
    assert_eq!(call.text().await, "closed: true");
}

#[tokio::test(start_paused = true)]
async fn what_belongs_to_no_call() {
    let server = server();
    let mut kit = Kit::of(server.clone()).await;
    kit.subscribe("it://load").await;
    assert_eq!(server.resource_updated("it://load"), 1);
    kit.expect_updated("it://load").await;
    server.notify_all("notifications/x", &json!({ "n": 1 })).unwrap();
    assert_eq!(kit.expect_notification("notifications/x").await, json!({ "n": 1 }));
    let call = kit.call("session", ());
    kit.expect_question("roots/list", |_| json(json!({ "roots": [] }))).await;
    assert_eq!(call.text().await, "12");
    kit.expect_nothing_for(Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_can_do_less() {
    let client = Client::over(StreamableHttp::new(server()))
        .revision(Revision::V2025_03_26)
        .capabilities(ClientCapabilities::new());
    let mut kit = Kit::connect(client).await;
    assert!(kit.call("form", ()).text().await.contains("cannot be asked"));

    let endpoint = StreamableHttp::builder(server()).response_mode(ResponseMode::Json).build();
    assert_eq!(Kit::over(endpoint).await.call("steps", ()).text().await, "done");
    let endpoint = StreamableHttp::builder(server()).stateless_http(true).build();
    assert_eq!(
        Kit::over(endpoint).await.call("steps", ()).ignore_progress().ignore_logs().text().await,
        "done"
    );

    // What the client answers by itself is not the test's to answer.
    let yes = Raw::new(&json!({ "approved": true })).unwrap();
    let client = Client::over(StreamableHttp::new(server()))
        .on_elicit(move |_| std::future::ready(Ok(ElicitResult::accept(yes.clone()))));
    assert_eq!(Kit::connect(client).await.call("form", ()).text().await, "true");
}

/// The message of the panic that a test ends with. Each is run as a task, because a panic ends it.
async fn failure<F, Fut>(test: F) -> String
where
    F: FnOnce(Kit) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let kit = Kit::of(server()).await;
    let ended = tokio::spawn(test(kit)).await.expect_err("the test must fail");
    let panic = ended.into_panic();
    let text = panic.downcast_ref::<String>().expect("a message").clone();
    // The lines of this file change with every edit.
    let (head, tail) = text.split_once(concat!(file!(), ":")).expect("where the test asks");
    format!("{head}HERE{}", tail.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':'))
}

#[tokio::test(start_paused = true)]
async fn a_failure_tells_what_came_and_all_before() {
    let text = failure(|mut kit| async move {
        let mut call = kit.call("talk", ());
        call.expect_progress(1.0).await;
        call.expect_progress(2.0).await;
    })
    .await;
    insta::assert_snapshot!(text);
}

/// Starts a tool and fails at the given expectation: the first line of what it says.
macro_rules! fails {
    ($tool:literal, |$call:ident| $expect:expr) => {{
        let text = failure(|mut kit| async move {
            #[allow(unused_mut, reason = "an end takes the call")]
            let mut $call: Running = kit.call($tool, ());
            let _ = $expect.await;
        })
        .await;
        text.lines().next().expect("a line").to_owned()
    }};
}

#[tokio::test(start_paused = true)]
async fn every_expectation_can_fail() {
    let hour = Duration::from_secs(3_600);
    let said = [
        fails!("steps", |call| call.expect_progress(1.5)),
        fails!("steps", |call| call.expect_log(LoggingLevel::Info, 1)),
        fails!("steps", |call| async {
            call.expect_progress(1.0).await;
            call.expect_log(LoggingLevel::Debug, 1).await
        }),
        fails!("steps", |call| async {
            call.expect_progress(1.0).await;
            call.expect_log(LoggingLevel::Info, 2).await
        }),
        fails!("form", |call| call.expect_sample(|_| silence())),
        fails!("form", |call| call.expect_roots(silence())),
        fails!("form", |call| call.expect_question("x/y", |_| silence())),
        fails!("own", |call| call.expect_elicit(|_| silence())),
        fails!("form", |call| call.expect_withdrawn()),
        fails!("form", |call| call.expect_notification("notifications/x")),
        fails!("steps", |call| call.expect_nothing_for(hour)),
        fails!("form", |call| call.text()),
        fails!("fail", |call| call.text()),
        fails!("fail", |call| call.result()),
        fails!("refuse", |call| call.result()),
        fails!("image", |call| call.text()),
        fails!("image", |call| call.structured::<Sum>()),
        fails!("refuse", |call| call.tool_error()),
        fails!("image", |call| call.tool_error()),
        fails!("fail", |call| call.protocol_error()),
        fails!("image", |call| call.answer::<Sum>()),
        fails!("image", |call| call.no_result()),
        fails!("hang", |call| async {
            call.expect_progress(1.0).await;
            call.text().await
        }),
    ];
    insta::assert_snapshot!(said.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn the_standalone_stream_is_checked_too() {
    let text = failure(|mut kit| async move { kit.expect_updated("it://load").await }).await;
    assert!(text.starts_with("stream: expected notifications/resources/updated, but nothing came"), "{text}");
    let server = server();
    let text = failure(|_| async move {
        let mut kit = Kit::of(server.clone()).await;
        kit.subscribe("it://load").await;
        server.resource_updated("it://load");
        kit.expect_updated("it://other").await;
    })
    .await;
    assert!(text.starts_with("stream: expected a change of it://other, but \"it://load\" changed"), "{text}");
}

/// A kit of a client without a session.
async fn modern(server: Server) -> Kit {
    Kit::connect(Client::over(StreamableHttp::new(server)).revision(Revision::LATEST)).await
}

#[tokio::test(start_paused = true)]
async fn a_conversation_without_a_session() {
    let mut kit = modern(server()).await;
    assert_eq!(kit.client().session_id(), None);
    let mut call = kit.call("rounds", ());
    call.expect_progress(1.0).await;
    call.expect_log(LoggingLevel::Debug, "round").await;
    call.expect_elicit(|form| {
        assert!(matches!(form, ElicitParams::Form(form) if form.message == "Delete 3 files?"));
        accept(json!({ "approved": true }))
    })
    .await;
    call.expect_progress(1.0).await;
    let mut call = call.ignore_progress().ignore_logs();
    call.expect_sample(|sample| {
        assert_eq!(sample.max_tokens, 50);
        sampled("short")
    })
    .await;
    call.expect_roots(roots(["file:///a", "file:///b"])).await;
    assert_eq!(call.text().await, "true, short, 2 roots");
    insta::assert_snapshot!(kit.transcript());
    kit.close().await;
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_end_without_a_session() {
    let mut kit = modern(server()).await;
    assert_eq!(kit.call("add", json!({ "a": 1, "b": 2 })).structured::<Sum>().await, Sum { sum: 3 });
    assert_eq!(kit.call("fail", ()).tool_error().await, "no such file");
    assert_eq!(kit.call("refuse", ()).protocol_error().await.message(), "not today");
    let mut call = kit.call("hang", ());
    call.expect_progress(1.0).await;
    call.cancel("enough").await;
    call.no_result().await;
    for (answer, said) in [(decline(), "the user declined"), (accept(json!({ "approved": false })), "false")]
    {
        let mut call = kit.call("form", ());
        call.expect_elicit(|_| answer).await;
        assert_eq!(call.text().await, said);
    }
    let mut call = kit.call("form", ());
    call.expect_elicit(|_| error(McpError::new(-1, "busy"))).await;
    call.no_result().await;
    let mut call = kit.call("form", ());
    call.expect_elicit(|_| silence()).await;
    call.expect_nothing_for(Duration::from_secs(24 * 3_600)).await;
}

/// Each call has its own questions, also where they have the same names.
#[tokio::test(start_paused = true)]
async fn rounds_run_beside_each_other() {
    let mut kit = modern(server()).await;
    let (mut first, mut second) = (kit.call("form", ()), kit.call("form", ()));
    second.expect_elicit(|_| accept(json!({ "approved": false }))).await;
    assert_eq!(second.text().await, "false");
    first.expect_elicit(|_| accept(json!({ "approved": true }))).await;
    assert_eq!(first.text().await, "true");
}

#[tokio::test(start_paused = true)]
async fn changes_without_a_session() {
    let server = server();
    let mut kit = modern(server.clone()).await;
    assert!(server.remove_tool("image"), "the kit listens from the start");
    kit.expect_notification("notifications/tools/list_changed").await;
    kit.subscribe("it://load").await;
    server.resource_updated("it://load");
    kit.expect_updated("it://load").await;
    // Once, although two streams may be open for a moment.
    assert!(server.remove_tool("hang"));
    kit.expect_notification("notifications/tools/list_changed").await;
    kit.expect_nothing_for(Duration::from_secs(60)).await;

    let read = |kit: &mut Kit| kit.request("resources/read", json!({ "uri": "it://count" }));
    let first: serde_json::Value = read(&mut kit).answer().await;
    let second: serde_json::Value = read(&mut kit).answer().await;
    assert_ne!(
        first["contents"], second["contents"],
        "each answer is the server's, however long it may be kept"
    );
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_gone_stays_gone() {
    let endpoint = StreamableHttp::builder(server()).idle_timeout(Duration::from_secs(60)).build();
    let client = Client::over(endpoint.clone()).standalone_stream(false);
    let mut kit = Kit::connect(client).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(endpoint.sessions(), 0);
    kit.call("steps", ()).protocol_error().await;
    assert_eq!(endpoint.sessions(), 0);
}

/// To drop a call is to look at it no more.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_goes_on() {
    for revision in [Revision::LATEST_LEGACY, Revision::LATEST] {
        let endpoint = StreamableHttp::new(server());
        let mut kit = Kit::connect(Client::over(endpoint.clone()).revision(revision)).await;
        let mut call = kit.call("steps", ());
        call.expect_progress(1.0).await;
        drop(call);
        tokio::time::sleep(Duration::from_secs(25)).await;
        assert_eq!(endpoint.in_flight(), 1);
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(kit.transcript().contains("steps#1 < result"), "{}", kit.transcript());
    }
}
