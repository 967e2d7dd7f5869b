//! Methods and notifications of a server's own.

use std::sync::{Arc, Mutex};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use throughline::revision::Revision;
use throughline::{Context, Error, Json, McpError, Server, StreamableHttp};

use crate::support::{Gate, REVISIONS, Wire, request, until};

#[derive(Deserialize, JsonSchema)]
struct Search {
    text: String,
}

#[derive(Serialize)]
struct Found {
    hits: Vec<String>,
}

fn server() -> Server {
    Server::new("it", "1")
        .method("it/search", |search: Search| async move { Json(Found { hits: vec![search.text] }) })
        .method("it/nothing", || async {})
        .method("it/progress", |cx: Context| async move {
            cx.progress(1.0).await?;
            Ok::<_, Error>(Json(json!({})))
        })
        .method("it/array", || async { Json([1, 2]) })
        .method("it/refuses", || async { Err::<(), _>(McpError::new(-32000, "not today")) })
        .method("it/fails", || async { Err::<(), _>(Error::msg("it broke")) })
}

#[tokio::test(start_paused = true)]
async fn a_method_of_ones_own_is_answered_in_every_revision() {
    let endpoint = StreamableHttp::new(server());
    for revision in REVISIONS {
        let wire = Wire::open(&endpoint, revision).await;
        let answer = async |method: &str| {
            wire.post(request(1, method, json!({ "text": "x" }))).send().await.json().await
        };
        assert_eq!(answer("it/search").await["result"], json!({ "hits": ["x"] }));
        assert_eq!(answer("it/nothing").await["result"], json!({}));
        assert_eq!(answer("it/refuses").await["error"], json!({ "code": -32000, "message": "not today" }));
        assert_eq!(answer("it/fails").await["error"], json!({ "code": -32603, "message": "it broke" }));
        assert_eq!(answer("it/array").await["error"]["code"], -32603);
        assert_eq!(answer("it/unknown").await["error"]["code"], -32601);
    }
}

#[tokio::test(start_paused = true)]
async fn it_reads_its_params_and_has_a_way_back() {
    let wire = Wire::open(&StreamableHttp::new(server()), Revision::V2025_11_25).await;
    let answer = wire.post(request(1, "it/search", json!({ "text": 7 }))).send().await.json().await;
    insta::assert_snapshot!(answer["error"], @r#"{"code":-32602,"message":"the argument `text` does not fit: invalid type: integer `7`, expected a string"}"#);
    let params = json!({ "_meta": { "progressToken": "p" } });
    let mut events = wire.post(request(2, "it/progress", params)).send().await.events();
    assert_eq!(events.message().await.message["params"]["progressToken"], "p");
    assert_eq!(events.message().await.message["result"], json!({}));
}

#[derive(Default, Clone)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

#[tokio::test(start_paused = true)]
async fn notifications_reach_their_functions() {
    let heard = Heard::default();
    let (own, ready) = (heard.clone(), heard.clone());
    let server = Server::new("it", "1")
        .notification("it/told", move |search: Search, cx: Context| {
            let own = own.clone();
            async move {
                own.0.lock().unwrap().push(search.text);
                let session = cx.session().ok_or_else(|| Error::msg("no session"))?;
                session.notify("it/heard", &json!({})).await?;
                cx.notify("it/heard-too", &json!({})).await?;
                Ok::<_, Error>(())
            }
        })
        .notification("notifications/initialized", move |cx: Context| {
            let ready = ready.clone();
            async move { ready.0.lock().unwrap().push(cx.caller().revision().to_string()) }
        })
        .notification("it/panics", || async {
            if true {
                panic!("as told")
            }
        });
    let wire = Wire::open(&StreamableHttp::new(server), Revision::V2025_11_25).await;
    let mut stream = wire.get().send().await.events();
    assert!(stream.next().await.is_some(), "it is primed");
    for (method, text) in [("it/panics", json!("x")), ("it/told", json!(1)), ("it/told", json!("x"))] {
        let told = json!({ "jsonrpc": "2.0", "method": method, "params": { "text": text } });
        assert_eq!(wire.post(told).send().await.status(), 202);
    }
    until(|| heard.count() == 2).await;
    assert_eq!(*heard.0.lock().unwrap(), ["2025-11-25", "x"]);
    assert_eq!(stream.message().await.message["method"], "it/heard");
    assert_eq!(stream.message().await.message["method"], "it/heard-too");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_notifications_is_bounded() {
    let gate = Gate::new();
    let waits = gate.clone();
    let server = Server::new("it", "1").notification("it/told", move || {
        let waits = waits.clone();
        async move { waits.pass().await }
    });
    let wire = Wire::open(&StreamableHttp::new(server), Revision::V2025_11_25).await;
    let told = json!({ "jsonrpc": "2.0", "method": "it/told" });
    for _ in 0..1_100 {
        assert_eq!(wire.post(told.clone()).send().await.status(), 202);
    }
    crate::support::settle().await;
    assert_eq!(gate.came(), 1_024);
    gate.open(1_024);
    until(|| gate.went() == 1_024).await;
    crate::support::settle().await;
    wire.post(told).send().await;
    gate.until_came(1_025).await;
}

fn misuse(register: impl FnOnce() -> Server + std::panic::UnwindSafe) -> String {
    let panic = std::panic::catch_unwind(register).expect_err("it must be refused");
    panic.downcast_ref::<String>().expect("a sentence").clone()
}

#[test]
fn names_of_mcp_and_of_json_rpc_are_not_for_the_taking() {
    let server = || Server::new("it", "1");
    let nothing = || async {};
    insta::assert_snapshot!(misuse(move || server().method("tools/call", nothing)), @"`tools/call` is a method of MCP, which the library answers; name yours after a domain, such as `com.example/tools/call`");
    insta::assert_snapshot!(misuse(move || server().notification("notifications/cancelled", nothing)), @"`notifications/cancelled` is a notification of MCP, which the library answers; name yours after a domain, such as `com.example/notifications/cancelled`");
    insta::assert_snapshot!(misuse(move || server().method("rpc.x", nothing)), @"`rpc.x` is no name for a method; use 1 to 256 bytes that do not begin with `rpc.`");
    insta::assert_snapshot!(misuse(move || server().method("it/x", nothing).method("it/x", nothing)), @"the method `it/x` is registered already; give each method a name of its own");
    // A method and a notification may share a name.
    drop(server().method("it/x", nothing).notification("it/x", nothing));
}
