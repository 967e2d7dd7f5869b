//! Hosts that open a session.

use serde_json::{Value, json};

use super::super::process::{Served, serve};
use super::{Host, call, text};

/// Everything that a host with a session does, whatever the server speaks.
async fn check(host: &mut Host) {
    let tools = host.ask(json!(1), "tools/list", json!({})).await;
    assert!(tools["result"]["tools"].as_array().is_some_and(|tools| tools.len() > 3), "{tools}");
    assert_eq!(host.ask(json!("p"), "ping", json!({})).await["result"], json!({}));

    // The tokens are numbers that the bridge's own requests may have for ids.
    for token in 1..=12 {
        let mut params = call("slow", json!({"ms": 20, "events": 4}));
        params["_meta"] = json!({"progressToken": token});
        let done = host.ask(json!(100 + token), "tools/call", params).await;
        assert_eq!(text(&done), "done after 20 ms and 4 events");
        assert_eq!(host.progress(&json!(token)), [1, 2, 3, 4]);
    }

    host.request(json!(2), "tools/call", call("ask_permission", json!({"path": "a.txt"}))).await;
    let question = host.told("elicitation/create").await;
    host.reply(&question, json!({"action": "accept", "content": {"allow": true}})).await;
    assert_eq!(text(&host.answer(&json!(2)).await), "Permission granted: a.txt may be changed.");
    // An error instead of an answer.
    host.request(json!(3), "tools/call", call("ask_permission", json!({"path": "b.txt"}))).await;
    let question = host.told("elicitation/create").await;
    host.say(
        &json!({"jsonrpc": "2.0", "id": question["id"], "error": {"code": -32000, "message": "no screen"}}),
    )
    .await;
    let failed = host.answer(&json!(3)).await;
    assert!(failed.to_string().contains("no screen"), "{failed}");
    // An answer that is none.
    host.request(json!(3), "tools/call", call("ask_permission", json!({"path": "b.txt"}))).await;
    let question = host.told("elicitation/create").await;
    host.say(&json!({"jsonrpc": "2.0", "id": question["id"], "result": {}, "error": {}})).await;
    let failed = host.answer(&json!(3)).await;
    assert!(failed.to_string().contains("no message"), "{failed}");

    // A call that waits for an answer is taken back, and with it the question.
    host.request(json!(4), "tools/call", call("ask_permission", json!({"path": "c.txt"}))).await;
    let question = host.told("elicitation/create").await;
    host.say(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 4}}))
        .await;
    assert_eq!(host.told("notifications/cancelled").await["params"]["requestId"], question["id"]);
    // The id may be used again.
    let echo = host.ask(json!(4), "tools/call", call("echo", json!({"text": "again"}))).await;
    assert_eq!(text(&echo), "again");

    assert_eq!(
        host.ask(json!(5), "resources/subscribe", json!({"uri": "metrics://cpu"})).await["result"],
        json!({})
    );
    assert_eq!(host.told("notifications/resources/updated").await["params"]["uri"], "metrics://cpu");
    assert_eq!(
        host.ask(json!(6), "resources/unsubscribe", json!({"uri": "metrics://cpu"})).await["result"],
        json!({})
    );
    assert_eq!(host.ask(json!(7), "logging/setLevel", json!({"level": "debug"})).await["result"], json!({}));
    host.ask(json!(8), "tools/call", call("research", json!({"topic": "x", "steps": 1, "step_ms": 1}))).await;
    host.told("notifications/message").await;
    let wrong = host.ask(json!(9), "logging/setLevel", json!({"level": "loud"})).await;
    assert_eq!(wrong["error"]["code"], -32602, "{wrong}");
    let unknown = host.ask(json!(10), "example/unknown", json!({})).await;
    assert_eq!(unknown["error"]["code"], -32601, "{unknown}");
    let twice = host.initialize("2025-06-18").await;
    assert_eq!(twice["error"]["code"], -32600, "{twice}");
}

fn url(server: &Served, path: &str) -> String {
    format!("http://{}{path}", server.address)
}

#[tokio::test]
async fn everything_passes_over_every_transport() {
    let server = serve(&["--sse"]).await;
    for (path, arguments) in [
        ("/mcp", &[][..]),
        ("/mcp", &["--transport", "streamable"]),
        ("/sse", &[]),
        ("/sse", &["--transport", "sse"]),
    ] {
        for revision in ["2025-06-18", "2025-11-25"] {
            let mut host = Host::open(&url(&server, path), arguments, revision).await;
            check(&mut host).await;
            let (code, _, log) = host.close().await;
            assert_eq!((code, log.as_str()), (0, ""), "{path} {revision}");
        }
    }
}

#[tokio::test]
async fn a_server_without_sessions_is_spoken_to_in_its_way() {
    let modern = serve(&["--era", "modern"]).await;
    let both = serve(&[]).await;
    for (server, arguments) in [(&modern, &[][..]), (&both, &["--revision", "2026-07-28"])] {
        let mut host = Host::open(&url(server, "/mcp"), arguments, "2025-06-18").await;
        check(&mut host).await;
        let (code, _, log) = host.close().await;
        assert_eq!((code, log.as_str()), (0, ""));
    }
}

#[tokio::test]
async fn nothing_of_the_servers_comes_before_the_session() {
    let server = serve(&[]).await;
    let mut host = Host::start(&url(&server, "/mcp"), &["--revision", "2025-03-26"]);
    // Whatever the host may do before is refused or answered, and all of it in order.
    host.say_line("").await;
    host.say_line("{nothing").await;
    assert_eq!(host.next().await["error"]["code"], -32700);
    host.say(&json!({"jsonrpc": "2.0", "id": 1})).await;
    let none = host.next().await;
    assert_eq!((&none["id"], &none["error"]["code"]), (&json!(1), &json!(-32600)));
    assert_eq!(host.ask(json!(2), "ping", json!({})).await["result"], json!({}));
    for early in [
        json!({"jsonrpc": "2.0", "id": 3, "method": "tools/list"}),
        json!([{"jsonrpc": "2.0", "id": 3, "method": "ping"}]),
    ] {
        host.say(&early).await;
        let refused = host.next().await;
        assert_eq!((&refused["id"], &refused["error"]["code"]), (&json!(3), &json!(-32600)));
    }
    assert_eq!(
        host.ask(json!(4), "initialize", json!({"protocolVersion": 1})).await["error"]["code"],
        -32602
    );
    host.say(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
    host.say(&json!({"jsonrpc": "2.0", "id": 9, "result": {}})).await;
    assert_eq!(host.initialize("2025-03-26").await["result"]["protocolVersion"], "2025-03-26");

    // A batch has one answer, with an entry for each request.
    host.say(&json!([
        {"jsonrpc": "2.0", "id": "a", "method": "tools/call", "params": call("echo", json!({"text": "A"}))},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": "b", "method": "ping"},
        {"jsonrpc": "2.0", "id": "c", "method": "initialize", "params": {}},
        {"id": "d"},
    ]))
    .await;
    let mut answers = host.next().await.as_array().expect("an array").clone();
    answers.sort_by_key(|answer| answer["id"].to_string());
    let ids: Vec<&Value> = answers.iter().map(|answer| &answer["id"]).collect();
    assert_eq!(ids, ["a", "b", "c", "d"], "{answers:#?}");
    assert_eq!((text(&answers[0]), &answers[1]["result"]), ("A", &json!({})));
    assert_eq!(
        (&answers[2]["error"]["code"], &answers[3]["error"]["code"]),
        (&json!(-32600), &json!(-32600))
    );

    // An id that is in use is refused, and the call goes on.
    host.request(json!(5), "tools/call", call("summarize", json!({"text": "long"}))).await;
    let question = host.told("sampling/createMessage").await;
    let refused = host.ask(json!(5), "ping", json!({})).await;
    assert_eq!(refused["error"]["code"], -32600, "{refused}");
    let short = json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": "short"}});
    host.reply(&question, short).await;
    assert_eq!(text(&host.answer(&json!(5)).await), "short");
    host.say_line(&format!(r#"{{"jsonrpc":"2.0","id":6,"method":"{}"}}"#, "x".repeat(16 << 20))).await;
    assert_eq!(host.next().await["error"]["code"], -32600);
    assert_eq!(host.ask(json!(7), "ping", json!({})).await["result"], json!({}));
}

#[tokio::test]
async fn batches_are_refused_where_the_revision_has_none() {
    let server = serve(&[]).await;
    let mut host = Host::open(&url(&server, "/mcp"), &[], "2025-11-25").await;
    host.say(&json!([{"jsonrpc": "2.0", "id": 1, "method": "ping"}, {"jsonrpc": "2.0", "id": 2, "method": "ping"}])).await;
    for id in [1, 2] {
        let refused = host.next().await;
        assert_eq!((&refused["id"], &refused["error"]["code"]), (&json!(id), &json!(-32600)));
    }
    host.say(&json!([{"jsonrpc": "2.0", "method": "notifications/initialized"}])).await;
    assert_eq!(host.next().await["error"]["code"], -32600);
}
