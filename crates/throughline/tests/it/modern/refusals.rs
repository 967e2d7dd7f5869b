//! Each refusal: its status, its code and one plain sentence.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use throughline::{Ability, Context, Server, StreamableHttp, prompt, resource, template, tool};

use super::tool_call;
use crate::support::{Gate, MODERN, Wire, kit, modern, modern_of, text};

const META: &str = "io.modelcontextprotocol/";

fn wire() -> Wire {
    Wire::new(&StreamableHttp::new(kit::server(&Gate::new())))
}

/// An `echo` whose `_meta` has this member changed; null takes it out.
fn echo_with(member: &str, value: Value) -> Value {
    let mut call = tool_call(7, "echo", json!({ "text": "hi" }));
    let meta = call["params"]["_meta"].as_object_mut().unwrap();
    if value.is_null() {
        meta.remove(&format!("{META}{member}"))
    } else {
        meta.insert(format!("{META}{member}"), value)
    };
    call
}

#[tokio::test(start_paused = true)]
async fn headers_say_what_the_body_says() {
    let wire = wire();
    let echo = || wire.post_modern(tool_call(7, "echo", json!({ "text": "hi" })));
    for (what, sending) in [
        ("no version", echo().without("mcp-protocol-version")),
        ("no method", echo().without("mcp-method")),
        ("no name", echo().without("mcp-name")),
        ("another version", echo().header("mcp-protocol-version", "2025-11-25")),
        ("another method", echo().header("mcp-method", "tools/list")),
        ("another case", echo().header("mcp-method", "Tools/Call")),
        ("another name", echo().header("mcp-name", "steps")),
        ("the version twice", echo().append("mcp-protocol-version", MODERN.date())),
        ("the method twice", echo().append("mcp-method", "tools/call")),
        ("the name twice", echo().append("mcp-name", "steps")),
        ("no Base64", echo().header("mcp-name", "=?base64?***?=")),
    ] {
        let answer = sending.send().await;
        assert_eq!(answer.status(), 400, "{what}");
        let answer = answer.json().await;
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(7), &json!(-32020)), "{what}");
    }
    for sending in [
        echo().header("mcp-name", "=?base64?ZWNobw==?="),
        echo().header("mcp-name", " echo "),
        echo().header("mcp-session-id", "nobody"),
        echo().header("last-event-id", "1"),
    ] {
        assert_eq!(text(&sending.send().await.json().await), "hi");
    }
    insta::assert_snapshot!(echo().without("mcp-name").send().await.refusal().await, @"400 -32020: The Mcp-Name header is missing. Send in it what the body says.");
    insta::assert_snapshot!(echo().header("mcp-method", "tools/list").send().await.refusal().await, @r#"400 -32020: The Mcp-Method header says "tools/list", and the body "tools/call". Send the same in both."#);
}

#[tokio::test(start_paused = true)]
async fn metadata_is_there_and_readable() {
    let wire = wire();
    for (member, value, code) in [
        ("protocolVersion", Value::Null, -32602),
        ("protocolVersion", json!(7), -32602),
        ("clientCapabilities", Value::Null, -32602),
        ("clientCapabilities", json!([]), -32602),
        ("clientInfo", json!("it"), -32602),
        ("logLevel", json!("loud"), -32602),
    ] {
        let answer = wire.post_modern(echo_with(member, value.clone())).send().await;
        assert_eq!(answer.status(), 400, "{member} {value}");
        let answer = answer.json().await;
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(7), &json!(code)), "{member} {value}");
    }
    // The header alone says what it is.
    for params in [json!({}), json!({ "_meta": {} }), json!({ "_meta": 7 })] {
        let request = json!({ "jsonrpc": "2.0", "id": 8, "method": "tools/list", "params": params });
        let answer = wire.post_modern(request).send().await;
        assert_eq!(answer.status(), 400);
        let answer = answer.json().await;
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(8), &json!(-32602)));
    }
    insta::assert_snapshot!(wire.post_modern(echo_with("protocolVersion", Value::Null)).send().await.refusal().await, @r#"400 -32602: The member "io.modelcontextprotocol/protocolVersion" of "_meta" is missing. Send it in the params of every request."#);
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_not_spoken_is_told_those_that_are() {
    let wire = wire();
    for date in ["2030-01-01", "1900-01-01", "2025-11-25"] {
        let call = echo_with("protocolVersion", json!(date));
        let answer = wire.post_modern(call).header("mcp-protocol-version", date).send().await;
        assert_eq!(answer.status(), 400);
        let error = &answer.json().await["error"];
        assert_eq!((&error["code"], &error["data"]["requested"]), (&json!(-32022), &json!(date)));
        assert_eq!(
            error["data"]["supported"],
            json!(["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"])
        );
    }
}

#[tokio::test(start_paused = true)]
async fn only_requests_are_answered() {
    let endpoint = StreamableHttp::new(kit::server(&Gate::new()));
    let wire = Wire::new(&endpoint).with("mcp-protocol-version", MODERN.date());
    let cancelled =
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } });
    let mut own = cancelled.clone();
    own["params"]["_meta"] = modern(1, "", json!({}))["params"]["_meta"].clone();
    for notification in [cancelled, own] {
        let answer = wire.post(notification).send().await;
        assert_eq!((answer.status(), &*answer.text().await), (202, ""));
    }
    let response = wire.post(json!({ "jsonrpc": "2.0", "id": 1, "result": {} })).send().await;
    insta::assert_snapshot!(response.refusal().await, @"400 -32600: This server asks by results, so there is no request that a response could answer. Send the answers with the request that is sent again.");
    let batch = wire.post(json!([tool_call(1, "echo", json!({ "text": "hi" }))])).send().await;
    insta::assert_snapshot!(batch.refusal().await, @"400 -32600: this revision has no batches; send each message in a POST of its own");
    let batch =
        Wire::new(&endpoint).post(json!([tool_call(1, "echo", json!({ "text": "hi" }))])).send().await;
    assert_eq!(batch.status(), 400, "its body says what it is, too");
    let nonsense = wire.post_bytes("{").send().await;
    assert_eq!((nonsense.status(), &nonsense.json().await["error"]["code"]), (400, &json!(-32700)));
}

#[tokio::test(start_paused = true)]
async fn the_same_door_is_guarded_for_both_eras() {
    let wire = wire();
    let echo = || wire.post_modern(tool_call(7, "echo", json!({ "text": "hi" })));
    assert_eq!(echo().uri("http://evil.example/mcp").send().await.status(), 403);
    assert_eq!(echo().header("origin", "https://evil.example").send().await.status(), 403);
    assert_eq!(echo().header("accept", "text/html").send().await.status(), 406);
    assert_eq!(echo().header("content-type", "text/plain").send().await.status(), 415);
    let put = wire.request(Method::PUT, "".into()).send().await;
    assert_eq!((put.status(), put.header("allow")), (405, "GET, POST, DELETE"));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_lacks_what_is_needed_is_told_before_anything_runs() {
    let ran = Gate::new();
    let tool_ran = ran.clone();
    let server = Server::new("it", "1")
        .tool(
            tool("ask", move |_: Context| {
                let ran = tool_ran.clone();
                async move { ran.pass().await }
            })
            .needs(Ability::Sampling),
        )
        .prompt(prompt("ask", |_: Context| async { "" }).needs(Ability::Roots))
        .resource(resource("it://ask", "ask", |_: Context| async { "" }).needs(Ability::Elicitation))
        .template(template("it://ask/{x}", "ask", |_: String| async { "" }).needs(Ability::ElicitationUrl));
    let endpoint = StreamableHttp::new(server);
    let wire = Wire::new(&endpoint);
    for (method, params, needed) in [
        ("tools/call", json!({ "name": "ask" }), json!({ "sampling": {} })),
        ("prompts/get", json!({ "name": "ask" }), json!({ "roots": {} })),
        ("resources/read", json!({ "uri": "it://ask" }), json!({ "elicitation": { "form": {} } })),
        ("resources/read", json!({ "uri": "it://ask/1" }), json!({ "elicitation": { "url": {} } })),
    ] {
        for accept in ["application/json, text/event-stream", "application/json", "text/event-stream"] {
            let answer =
                wire.post_modern(modern(7, method, params.clone())).header("accept", accept).send().await;
            assert_eq!(answer.status(), 400, "{method}");
            let answer = answer.json().await;
            assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(7), &json!(-32021)), "{method}");
            assert_eq!(answer["error"]["data"], json!({ "requiredCapabilities": needed }), "{method}");
        }
    }
    assert_eq!(ran.came(), 0);
    ran.open(1);
    let able = modern_of(json!({ "sampling": {} }), 8, "tools/call", json!({ "name": "ask" }));
    assert_eq!(wire.post_modern(able).send().await.status(), 200);
    assert_eq!((ran.came(), endpoint.in_flight()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn there_are_so_many_at_a_time() {
    let gate = Gate::new();
    let endpoint = StreamableHttp::builder(kit::server(&gate)).max_in_flight(1).build();
    let wire = Wire::new(&endpoint);
    let call = || wire.post_modern(tool_call(1, "gated", json!({ "before": 0, "after": 0 })));
    let first = call().start();
    gate.until_came(1).await;
    let second = call().send().await;
    assert_eq!(second.header("retry-after"), "1");
    insta::assert_snapshot!(second.refusal().await, @"503 -32603: Too many requests are in flight. Await some of them, then try again.");
    // What needs no place is answered.
    assert_eq!(wire.post_modern(modern(1, "server/discover", json!({}))).send().await.status(), 200);
    gate.open(2);
    assert_eq!(first.await.unwrap().status(), 200);
    assert_eq!(call().send().await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_shuts_down_takes_nothing_new_and_ends_what_runs() {
    let gate = Gate::new();
    let endpoint = StreamableHttp::new(kit::server(&gate));
    let wire = Wire::new(&endpoint);
    let call = tool_call(1, "gated", json!({ "before": 0, "after": 0 }));
    let running = wire.post_modern(call).start();
    gate.until_came(1).await;
    let draining = tokio::spawn({
        let endpoint = endpoint.clone();
        async move { endpoint.drain(Duration::from_secs(5)).await }
    });
    crate::support::until(|| endpoint.is_draining()).await;
    let late = wire.post_modern(tool_call(2, "echo", json!({ "text": "hi" }))).send().await;
    assert_eq!(late.header("retry-after"), "2");
    insta::assert_snapshot!(late.refusal().await, @"503 -32603: The server is shutting down. Try again later.");
    let late = wire.post_modern(modern(3, "server/discover", json!({}))).send().await;
    assert_eq!((late.status(), &late.json().await["id"]), (503, &json!(3)));
    gate.open(1);
    assert_eq!(running.await.unwrap().status(), 200);
    draining.await.unwrap();
}
