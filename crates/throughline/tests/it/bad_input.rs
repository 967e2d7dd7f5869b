//! Bodies that are no messages, messages that are no requests, and requests that do not fit.

use serde_json::json;
use throughline::revision::Revision;
use throughline::{Context, McpError, ResponseMode, StreamableHttp, prompt, resource, tool};

use crate::support::{Gate, Wire, call, kit, request, settle, text};

async fn open() -> Wire {
    let server = kit::server(&Gate::new()).prompt(prompt("greet", || async { "Hello." })).resource(resource(
        "it://a",
        "a",
        || async { "a" },
    ));
    Wire::open(&StreamableHttp::new(server), Revision::V2025_11_25).await
}

/// What the server says to a body.
async fn said(wire: &Wire, body: impl Into<bytes::Bytes>) -> String {
    wire.post_bytes(body).send().await.refusal().await
}

#[tokio::test(start_paused = true)]
async fn bodies_that_are_no_json() {
    let wire = open().await;
    insta::assert_snapshot!(said(&wire, "").await, @"400 -32700: The message is empty. Send one JSON-RPC message.");
    insta::assert_snapshot!(said(&wire, r#"{"jsonrpc":"2.0","id":1,"meth"#).await, @"400 -32700: The message is not JSON: EOF while parsing a string at line 1 column 29. Send one JSON-RPC message.");
    insta::assert_snapshot!(said(&wire, "ping").await, @"400 -32700: The message is not JSON: expected value at line 1 column 1. Send one JSON-RPC message.");
    insta::assert_snapshot!(said(&wire, &b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}"[..]).await, @"400 -32700: The message is not UTF-8 at byte 34. Send JSON encoded as UTF-8.");
    insta::assert_snapshot!(said(&wire, r#"{"jsonrpc":"2.0","id":1,"method":"ping"} {}"#).await, @"400 -32700: The message is not JSON: trailing characters at line 1 column 42. Send one JSON-RPC message.");
    assert_still_serves(&wire).await;
}

#[tokio::test(start_paused = true)]
async fn json_that_is_no_message() {
    let wire = open().await;
    insta::assert_snapshot!(said(&wire, "5").await, @"400 -32600: A message must be a JSON object.");
    insta::assert_snapshot!(said(&wire, "{}").await, @r#"400 -32600: The member "jsonrpc" must be the string "2.0"."#);
    insta::assert_snapshot!(said(&wire, r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#).await, @r#"400 -32600: The member "jsonrpc" must be the string "2.0"."#);
    insta::assert_snapshot!(said(&wire, r#"{"id":1,"method":"ping"}"#).await, @r#"400 -32600: The member "jsonrpc" must be the string "2.0"."#);
    insta::assert_snapshot!(said(&wire, r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#).await, @r#"400 -32600: The member "id" must be an integer or a string. Leave it out of a notification."#);
    insta::assert_snapshot!(said(&wire, r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#).await, @r#"400 -32600: The member "id" must be an integer or a string. Leave it out of a notification."#);
    insta::assert_snapshot!(said(&wire, r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#).await, @r#"400 -32600: The member "id" must be an integer or a string. Leave it out of a notification."#);
    insta::assert_snapshot!(said(&wire, r#"{"jsonrpc":"2.0","id":1,"method":7}"#).await, @r#"400 -32600: The member "method" must be a string."#);
    insta::assert_snapshot!(said(&wire, r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#).await, @r#"400 -32600: The member "params" must be an object. Leave it out when there are no parameters."#);
    insta::assert_snapshot!(said(&wire, r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":null}"#).await, @r#"400 -32600: The member "params" must be an object. Leave it out when there are no parameters."#);
    insta::assert_snapshot!(said(&wire, r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#).await, @r#"400 -32600: The member "id" occurs twice. Send it once."#);
    insta::assert_snapshot!(said(&wire, r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#).await, @r#"400 -32600: A response has either "result" or "error". Send one of them."#);
    assert_still_serves(&wire).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_nested_too_deeply() {
    let wire = open().await;
    let nested = |levels: usize| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"a":{}1{}}}}}"#,
            "[".repeat(levels),
            "]".repeat(levels)
        )
    };
    insta::assert_snapshot!(said(&wire, nested(200)).await, @"400 -32600: The message is nested deeper than 128 levels. Send a flatter one.");
    assert!(said(&wire, nested(1_000_000)).await.starts_with("400 -32600"));
    assert_eq!(wire.post_bytes(nested(100)).send().await.status(), 200);
    // Brackets in a text are no nesting.
    let text = json!({ "a": "[".repeat(10_000) });
    assert_eq!(wire.post(request(1, "ping", text)).send().await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn params_that_do_not_fit_their_method() {
    let wire = open().await;
    let error = async |method: &str, params| {
        let answer = wire.post(request(1, method, params)).send().await;
        assert_eq!(answer.status(), 200, "what a session answers has no status of its own");
        answer.json().await["error"].to_string()
    };
    insta::assert_snapshot!(error("tools/call", json!({})).await, @r#"{"code":-32602,"message":"the params of `tools/call` need a text `name`"}"#);
    insta::assert_snapshot!(error("tools/call", json!({ "name": 5 })).await, @r#"{"code":-32602,"message":"the params of `tools/call` need a text `name`"}"#);
    insta::assert_snapshot!(error("tools/call", json!({ "name": "nobody" })).await, @r#"{"code":-32602,"message":"there is no tool `nobody`; `tools/list` names those there are"}"#);
    insta::assert_snapshot!(error("tools/call", json!({ "name": "echo", "_meta": 5 })).await, @r#"{"code":-32602,"message":"The member \"_meta\" must be an object."}"#);
    insta::assert_snapshot!(error("tools/call", json!({ "name": "echo", "_meta": { "progressToken": 1.5 } })).await, @r#"{"code":-32602,"message":"`_meta.progressToken` must be a text or a whole number"}"#);
    insta::assert_snapshot!(error("prompts/get", json!({ "name": "nobody" })).await, @r#"{"code":-32602,"message":"there is no prompt `nobody`; `prompts/list` names those there are"}"#);
    insta::assert_snapshot!(error("prompts/get", json!({ "name": "greet", "arguments": { "a": 5 } })).await, @r#"{"code":-32602,"message":"the arguments of a prompt are an object of texts: invalid type: integer `5`, expected a string"}"#);
    insta::assert_snapshot!(error("resources/read", json!({})).await, @r#"{"code":-32602,"message":"the params of `resources/read` need a text `uri`"}"#);
    insta::assert_snapshot!(error("resources/read", json!({ "uri": "it://nothing" })).await, @r#"{"code":-32002,"data":{"uri":"it://nothing"},"message":"there is no resource with this URI; `resources/list` names those there are"}"#);
    insta::assert_snapshot!(error("resources/subscribe", json!({})).await, @r#"{"code":-32602,"message":"the params of `resources/subscribe` do not fit: missing field `uri`"}"#);
    insta::assert_snapshot!(error("tools/list", json!({ "cursor": "nonsense" })).await, @r#"{"code":-32602,"message":"this `cursor` is none of ours; start again without one"}"#);
    insta::assert_snapshot!(error("logging/setLevel", json!({ "level": "loud" })).await, @r#"{"code":-32602,"message":"the params of `logging/setLevel` do not fit: unknown variant `loud`, expected one of `debug`, `info`, `notice`, `warning`, `error`, `critical`, `alert`, `emergency`"}"#);
    insta::assert_snapshot!(error("completion/complete", json!({ "ref": { "type": "ref/prompt", "name": "greet" } })).await, @r#"{"code":-32602,"message":"the params of `completion/complete` do not fit: missing field `argument`"}"#);
    insta::assert_snapshot!(error("no/such/method", json!({})).await, @r#"{"code":-32601,"message":"this server has no method `no/such/method`"}"#);
    insta::assert_snapshot!(error("initialize", json!({})).await, @r#"{"code":-32600,"message":"`initialize` opens a session, so it is sent alone and without a session id; send it so to open another"}"#);
    assert_still_serves(&wire).await;
}

#[tokio::test(start_paused = true)]
async fn duplicate_keys_are_refused_at_every_level_that_is_read() {
    let wire = open().await;
    for params in [
        r#"{"name":"echo","name":"steps","arguments":{"text":"x"}}"#,
        r#"{"name":"echo","arguments":{"text":"x"},"arguments":{}}"#,
        r#"{"name":"echo","arguments":{"text":"x"},"_meta":{},"_meta":{}}"#,
        r#"{"name":"echo","arguments":{"text":"x"},"_meta":{"progressToken":1,"progressToken":2}}"#,
    ] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
        let answer = wire.post_bytes(body).send().await.json().await;
        assert_eq!(answer["error"]["code"], -32602, "{params}: {answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_initialize_that_is_refused_opens_nothing() {
    let endpoint = StreamableHttp::new(kit::server(&Gate::new()));
    let wire = Wire::new(&endpoint);
    let answer = wire.post(request(1, "initialize", json!({ "protocolVersion": 5 }))).send().await;
    assert_eq!((answer.status(), answer.header("mcp-session-id")), (200, ""));
    insta::assert_snapshot!(answer.json().await["error"], @r#"{"code":-32602,"message":"the params of `initialize` do not fit: invalid type: integer `5`, expected a string"}"#);
    assert_eq!((endpoint.sessions(), endpoint.counters().sessions_opened), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_revision_is_answered_with_the_latest() {
    let endpoint = StreamableHttp::new(kit::server(&Gate::new()));
    let hello = |version: &str| {
        let params = json!({ "protocolVersion": version, "capabilities": {}, "clientInfo": { "name": "a", "version": "1" } });
        request(1, "initialize", params)
    };
    let wire = Wire::new(&endpoint);
    for (asked, answered) in
        [("1999-12-31", "2025-11-25"), ("2026-07-28", "2025-11-25"), ("2025-03-26", "2025-03-26")]
    {
        let answer = wire.post(hello(asked)).send().await.json().await;
        assert_eq!(answer["result"]["protocolVersion"], answered);
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_to_nothing_is_taken_and_counted() {
    let endpoint = StreamableHttp::new(kit::server(&Gate::new()));
    let wire = Wire::open(&endpoint, Revision::V2025_11_25).await;
    for nothing in [
        json!({ "jsonrpc": "2.0", "id": 77, "result": {} }),
        json!({ "jsonrpc": "2.0", "id": "x", "error": { "code": 1, "message": "no" } }),
        json!({ "jsonrpc": "2.0", "error": { "code": 1, "message": "no" } }),
    ] {
        assert_eq!(wire.post(nothing).send().await.status(), 202);
    }
    assert_eq!(endpoint.counters().responses_unexpected, 3);
    // A notification about nothing is no error either.
    let stray =
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 99 } });
    assert_eq!(wire.post(stray).send().await.status(), 202);
    let stray = json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": 5 });
    assert_eq!(wire.post(stray).send().await.status(), 400);
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_panics_is_answered() {
    let server = kit::server(&Gate::new())
        .tool(tool("sync", || -> std::future::Ready<String> { panic!("secret of the sync part") }))
        .tool(tool("async", |cx: Context| async move {
            cx.progress(1.0).await?;
            if !cx.is_over() {
                panic!("secret of the async part");
            }
            Ok::<_, throughline::Error>("never")
        }));
    let endpoint = StreamableHttp::new(server);
    let wire = Wire::open(&endpoint, Revision::V2025_11_25).await;
    let answer = wire.post(call(1, "sync", json!({}))).send().await.json().await;
    insta::assert_snapshot!(answer["error"], @r#"{"code":-32603,"message":"the handler failed unexpectedly; the server's log says more"}"#);
    let mut events = wire.call(2, "async", json!({})).await;
    assert_eq!(events.message().await.progress(), Some(1.0));
    let answer = events.message().await.message;
    insta::assert_snapshot!(answer["error"], @r#"{"code":-32603,"message":"the handler failed unexpectedly; the server's log says more"}"#);
    assert!(events.next().await.is_none());
    assert_eq!(endpoint.counters().panics, 2);
    assert_eq!(endpoint.in_flight(), 0);
    assert_still_serves(&wire).await;
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_sends_after_its_answer_is_told() {
    let (sent, got) = tokio::sync::oneshot::channel();
    let sent = std::sync::Mutex::new(Some(sent));
    let server = kit::server(&Gate::new()).tool(tool("late", move |cx: Context| {
        let sent = sent.lock().unwrap().take().expect("called once");
        async move {
            cx.progress(1.0).await.expect("while it runs");
            tokio::spawn(async move {
                while !cx.is_over() {
                    tokio::task::yield_now().await;
                }
                let all = (
                    cx.progress(2.0).await.is_err(),
                    cx.log(throughline::model::LoggingLevel::Emergency, "late").await.is_err(),
                    cx.notify("it/late", &json!({})).await.is_err(),
                    cx.roots().await.is_err_and(|error| error.is_call_over()),
                    cx.close_connection(std::time::Duration::ZERO),
                );
                sent.send(all).expect("the test waits");
            });
            "answered"
        }
    }));
    let endpoint = StreamableHttp::builder(server).response_mode(ResponseMode::Sse).build();
    let wire = Wire::open_with(&endpoint, Revision::V2025_11_25, json!({ "roots": {} })).await;
    let events = wire.call(1, "late", json!({})).await.all().await;
    assert_eq!(got.await.unwrap(), (true, true, true, true, false));
    assert_eq!(text(&events.last().unwrap().message), "answered");
    assert_eq!(events.iter().filter(|event| !event.message.is_null()).count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_protocol_error_of_a_tool_goes_out_as_it_is() {
    let server = kit::server(&Gate::new())
        .tool(tool("refuse", || async {
            Err::<String, _>(McpError::new(-32042, "first this").with_data(&json!({ "a": 1 })))
        }))
        .tool(tool("fail", || async { Err::<String, _>(throughline::Error::msg("the disk is full")) }));
    let wire = Wire::open(&StreamableHttp::new(server), Revision::V2025_11_25).await;
    let answer = wire.post(call(1, "refuse", json!({}))).send().await.json().await;
    assert_eq!(answer["error"], json!({ "code": -32042, "message": "first this", "data": { "a": 1 } }));
    let answer = wire.post(call(2, "fail", json!({}))).send().await.json().await;
    assert_eq!((text(&answer), &answer["result"]["isError"]), ("the disk is full", &json!(true)));
}

async fn assert_still_serves(wire: &Wire) {
    settle().await;
    let answer = wire.post(call("still", "echo", json!({ "text": "here" }))).send().await;
    assert_eq!(text(&answer.json().await), "here");
}
