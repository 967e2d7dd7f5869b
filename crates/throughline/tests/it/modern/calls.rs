//! What is answered.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use throughline::revision::Revision;
use throughline::{Context, Error, McpError, Server, StreamableHttp, prompt, resource, template, tool};

use super::tool_call;
use crate::support::{Gate, MODERN, Wire, kit, modern, settle, text};

#[derive(Deserialize, JsonSchema)]
struct Day {
    day: String,
}

async fn broken() -> &'static str {
    if true {
        panic!("a bug");
    }
    ""
}

fn full() -> Server {
    kit::server(&Gate::new())
        .instructions("Ask away.")
        .tool(tool("fail", || async { Err::<String, Error>(Error::msg("no luck")) }))
        .tool(tool("broken", broken))
        .tool(tool("refuse", || async { Err::<String, _>(McpError::invalid_params("not like this")) }))
        .prompt(prompt("hello", || async { "Hello." }))
        .resource(resource("it://motd", "motd", || async { "Have a nice day." }))
        .template(template("it://day/{day}", "day", |day: Day| async move { day.day }))
        .method("it/own", || async { throughline::Json(json!({ "own": true })) })
}

#[tokio::test(start_paused = true)]
async fn a_tool_is_called_without_a_session() {
    let endpoint = StreamableHttp::new(full());
    let wire = Wire::new(&endpoint);
    let answer = wire.post_modern(tool_call("a", "echo", json!({ "text": "hi" }))).send().await;
    assert_eq!((answer.status(), answer.header("mcp-session-id")), (200, ""));
    let answer = answer.json().await;
    assert_eq!((&answer["id"], text(&answer)), (&json!("a"), "hi"));
    assert_eq!(answer["result"]["resultType"], "complete");
    assert_eq!(
        answer["result"]["_meta"]["io.modelcontextprotocol/serverInfo"],
        json!({ "name": "it", "version": "1" })
    );
    assert_eq!((endpoint.sessions(), endpoint.in_flight()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn every_method_of_the_revision_is_answered() {
    let wire = Wire::new(&StreamableHttp::new(full()));
    for (method, params) in [
        ("server/discover", json!({})),
        ("tools/list", json!({})),
        ("tools/call", json!({ "name": "echo", "arguments": { "text": "" } })),
        ("prompts/list", json!({})),
        ("prompts/get", json!({ "name": "hello" })),
        ("resources/list", json!({})),
        ("resources/templates/list", json!({})),
        ("resources/read", json!({ "uri": "it://day/monday" })),
        (
            "completion/complete",
            json!({ "ref": { "type": "ref/resource", "uri": "it://day/{day}" }, "argument": { "name": "day", "value": "m" } }),
        ),
        ("it/own", json!({})),
    ] {
        let answer = wire.post_modern(modern(1, method, params)).send().await;
        assert_eq!(answer.status(), 200, "{method}");
        assert_eq!(answer.json().await["result"]["resultType"], "complete", "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn discovery_says_what_is_there() {
    let wire = Wire::new(&StreamableHttp::new(full()));
    let found = wire.post_modern(modern(1, "server/discover", json!({}))).send().await.json().await;
    let found = &found["result"];
    let dates: Vec<_> = Revision::ALL.iter().rev().map(|revision| revision.date()).collect();
    assert_eq!(found["supportedVersions"], json!(dates));
    assert_eq!(found["instructions"], "Ask away.");
    assert_eq!(found["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "it");
    for capability in ["tools", "prompts", "resources", "logging"] {
        assert!(found["capabilities"][capability].is_object(), "{capability}");
    }
    assert!(found["ttlMs"].is_u64() && found["cacheScope"].is_string());

    let wire = Wire::new(&StreamableHttp::new(Server::new("it", "1")));
    let found = wire.post_modern(modern(1, "server/discover", json!({}))).send().await.json().await;
    let capabilities = &found["result"]["capabilities"];
    assert!(capabilities.get("tools").is_none() && capabilities.get("resources").is_none());
}

#[tokio::test(start_paused = true)]
async fn errors_of_handlers_keep_the_status_of_an_answer() {
    let endpoint = StreamableHttp::new(full());
    let wire = Wire::new(&endpoint);
    let call = async |message: Value| {
        let answer = wire.post_modern(message).send().await;
        (answer.status(), answer.json().await)
    };
    let (status, failed) = call(tool_call(1, "fail", json!({}))).await;
    assert_eq!((status, text(&failed), &failed["result"]["isError"]), (200, "no luck", &json!(true)));
    let (status, refused) = call(tool_call(2, "refuse", json!({}))).await;
    assert_eq!((status, &refused["error"]["code"], &refused["id"]), (200, &json!(-32602), &json!(2)));
    let (status, unknown) = call(tool_call(3, "nothing", json!({}))).await;
    assert_eq!((status, &unknown["error"]["code"]), (200, &json!(-32602)));
    let (status, missing) = call(modern(4, "resources/read", json!({ "uri": "it://nothing" }))).await;
    assert_eq!((status, &missing["error"]["code"]), (200, &json!(-32602)));
    assert_eq!(missing["error"]["data"]["uri"], "it://nothing");
    let (status, broken) = call(tool_call(5, "broken", json!({}))).await;
    assert_eq!((status, &broken["error"]["code"]), (200, &json!(-32603)));
    assert_eq!(endpoint.counters().panics, 1);
}

#[tokio::test(start_paused = true)]
async fn a_method_that_is_not_there_is_404() {
    let wire = Wire::new(&StreamableHttp::new(full()));
    for method in [
        "initialize",
        "ping",
        "logging/setLevel",
        "resources/subscribe",
        "resources/unsubscribe",
        "nothing/here",
        "com.example/own",
    ] {
        for accept in ["application/json, text/event-stream", "application/json", "text/event-stream"] {
            let answer =
                wire.post_modern(modern("x", method, json!({}))).header("accept", accept).send().await;
            assert_eq!(answer.status(), 404, "{method} {accept}");
            let answer = answer.json().await;
            assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!("x"), &json!(-32601)), "{method}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_id_may_be_in_flight_twice() {
    let gate = Gate::new();
    let endpoint = StreamableHttp::new(kit::server(&gate));
    let wire = Wire::new(&endpoint);
    let call = || wire.post_modern(tool_call(1, "gated", json!({ "before": 0, "after": 0 }))).start();
    let (first, second) = (call(), call());
    gate.until_came(2).await;
    assert_eq!(endpoint.in_flight(), 2);
    gate.open(2);
    for answer in [first, second] {
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(text(&answer.json().await), "done");
    }
    settle().await;
    assert_eq!(endpoint.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_handler_sees_who_calls_and_has_no_session() {
    let server = Server::new("it", "1").tool(tool("who", |cx: Context| async move {
        let caller = cx.caller();
        let client = caller.client().expect("it says who it is");
        let name = client.info.as_ref().map_or("", |info| &*info.name);
        format!(
            "{name} {} {} {} {}",
            caller.revision(),
            client.capabilities.roots.is_some(),
            cx.session().is_some(),
            cx.wants_progress()
        )
    }));
    let wire = Wire::new(&StreamableHttp::new(server));
    let mut call = tool_call(1, "who", json!({}));
    call["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({ "roots": {} });
    let answer = wire.post_modern(call.clone()).send().await.json().await;
    assert_eq!(text(&answer), format!("it {MODERN} true false false"));
    call["params"]["_meta"].as_object_mut().unwrap().remove("io.modelcontextprotocol/clientInfo");
    let answer = wire.post_modern(call).send().await.json().await;
    assert_eq!(text(&answer), format!(" {MODERN} true false false"), "a client may keep its name to itself");
}
