//! Hosts without sessions.

use serde_json::{Value, json};

use super::super::process::serve;
use super::{Host, call, text};

/// Params with what each request of a host without sessions says.
fn modern(mut params: Value) -> Value {
    let meta = params.as_object_mut().expect("an object").entry("_meta").or_insert(json!({}));
    meta["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
    meta["io.modelcontextprotocol/clientInfo"] = json!({"name": "host", "version": "1"});
    meta["io.modelcontextprotocol/clientCapabilities"] = json!({"elicitation": {}});
    params
}

#[tokio::test]
async fn the_hosts_requests_pass_as_they_are() {
    let server = serve(&["--page-size", "4"]).await;
    let mut host = Host::start(&format!("http://{}/mcp", server.address), &[]);
    let found = host.ask(json!("d"), "server/discover", modern(json!({}))).await;
    assert!(found["result"]["supportedVersions"].to_string().contains("2026-07-28"), "{found}");
    assert!(host.ask(json!(1), "tools/list", modern(json!({}))).await["result"]["nextCursor"].is_string());

    // Progress comes on the call's stream, under the host's token.
    let mut params = call("slow", json!({"ms": 30, "events": 3}));
    params["_meta"] = json!({"progressToken": "1.0"});
    let done = host.ask(json!(2), "tools/call", modern(params)).await;
    assert_eq!(text(&done), "done after 30 ms and 3 events");
    assert_eq!(host.progress(&json!("1.0")), [1, 2, 3]);

    // What the server needs to know is the host's to answer, with a request of its own.
    let ask = call("ask_permission", json!({"path": "a.txt"}));
    let round = host.ask(json!(3), "tools/call", modern(ask.clone())).await;
    assert_eq!(round["result"]["resultType"], "input_required", "{round}");
    let name =
        round["result"]["inputRequests"].as_object().expect("questions").keys().next().expect("one").clone();
    let mut again = ask;
    again["inputResponses"] = json!({name: {"action": "accept", "content": {"allow": true}}});
    again["requestState"] = round["result"]["requestState"].clone();
    let granted = host.ask(json!(4), "tools/call", modern(again)).await;
    assert_eq!(text(&granted), "Permission granted: a.txt may be changed.");

    // What it listens to names the request as the host does, and two are told apart.
    for id in ["one", "two"] {
        let wanted = json!({"notifications": {"resourceSubscriptions": ["metrics://cpu"]}});
        host.request(json!(id), "subscriptions/listen", modern(wanted)).await;
    }
    let of = |message: &Value| message["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"].clone();
    let mut agreed = [
        of(&host.told("notifications/subscriptions/acknowledged").await),
        of(&host.told("notifications/subscriptions/acknowledged").await),
    ];
    agreed.sort_by_key(Value::to_string);
    assert_eq!(agreed, [json!("one"), json!("two")]);
    let cancel =
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "one"}});
    host.say(&cancel).await;
    host.seen.clear();
    let mut updates = Vec::new();
    while updates.iter().filter(|id| **id == "two").count() < 2 {
        updates.push(of(&host.told("notifications/resources/updated").await));
    }
    assert!(updates.iter().filter(|id| **id == "one").count() <= 1, "{updates:?}");

    // A call is taken back and has no answer.
    host.request(json!(5), "tools/call", modern(call("slow", json!({"ms": 600_000, "events": 1})))).await;
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 5}});
    host.say(&cancel).await;
    let again = host.ask(json!(5), "tools/call", modern(call("echo", json!({"text": "5"})))).await;
    let again = if again["error"].is_object() {
        // The first was still on its way out.
        host.ask(json!(6), "tools/call", modern(call("echo", json!({"text": "5"})))).await
    } else {
        again
    };
    assert_eq!(text(&again), "5");

    let mut newer = modern(json!({}));
    newer["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2099-01-01");
    let refused = host.ask(json!(7), "tools/list", newer).await;
    assert_eq!(refused["error"]["data"]["supported"], json!(["2026-07-28"]), "{refused}");

    // Beside it the host may open a session.
    assert_eq!(host.initialize("2025-06-18").await["result"]["protocolVersion"], "2025-06-18");
    assert_eq!(text(&host.ask(json!(8), "tools/call", call("echo", json!({"text": "8"}))).await), "8");
    let (code, _, log) = host.close().await;
    assert_eq!((code, log.as_str()), (0, ""));
}

#[tokio::test]
async fn a_host_falls_back_where_the_server_needs_a_session() {
    let older = serve(&["--era", "legacy"]).await;
    let both = serve(&[]).await;
    for (server, arguments) in [(&older, &[][..]), (&both, &["--revision", "2025-06-18"])] {
        let mut host = Host::start(&format!("http://{}/mcp", server.address), arguments);
        let refused = host.ask(json!(0), "server/discover", modern(json!({}))).await;
        assert_eq!(refused["error"]["code"], -32600, "{refused}");
        assert_eq!(host.initialize("2025-06-18").await["result"]["protocolVersion"], "2025-06-18");
        assert_eq!(text(&host.ask(json!(1), "tools/call", call("echo", json!({"text": "x"}))).await), "x");
    }
}
