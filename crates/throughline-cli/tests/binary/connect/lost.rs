//! Connections and servers that are lost.

use serde_json::{Value, json};

use super::super::process::serve;
use super::relay::Relay;
use super::{Host, call, text};

fn slow(steps: u64) -> Value {
    let mut params = call("research", json!({"topic": "x", "steps": steps, "step_ms": 60}));
    params["_meta"] = json!({"progressToken": 1});
    params
}

#[tokio::test]
async fn a_call_goes_on_after_a_lost_connection() {
    let server = serve(&["--response", "sse"]).await;
    let relay = Relay::to(server.address).await;
    let mut host = Host::open(&relay.url("/mcp"), &[], "2025-11-25").await;
    host.request(json!(1), "tools/call", slow(10)).await;
    for _ in 0..3 {
        let progress = host.told("notifications/progress").await;
        host.seen.push(progress);
        relay.cut();
        let progress = host.next().await;
        host.seen.push(progress);
    }
    let done = host.answer(&json!(1)).await;
    assert!(text(&done).starts_with("Report on x"), "{done}");
    // `told` takes from the front, so what is there is sorted again.
    let mut steps = host.progress(&json!(1));
    steps.sort_unstable();
    assert_eq!(steps, (1..=10).collect::<Vec<_>>(), "each once");
    let (code, _, log) = host.close().await;
    assert_eq!(code, 0, "{log}");
}

#[tokio::test]
async fn a_call_goes_on_in_the_next_life_of_a_server_that_keeps_sessions() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = ["--data", directory.path().to_str().expect("a path of ASCII"), "--response", "sse"];
    let server = serve(&data).await;
    let relay = Relay::to(server.address).await;
    let mut host = Host::open(&relay.url("/mcp"), &[], "2025-11-25").await;
    host.request(json!(1), "tools/call", slow(10)).await;
    host.told("notifications/progress").await;
    relay.lead_to(None);
    server.kill().await;
    let server = serve(&data).await;
    relay.lead_to(Some(server.address));
    let done = host.answer(&json!(1)).await;
    assert!(text(&done).starts_with("Report on x"), "{done}");
    assert_eq!(text(&host.ask(json!(2), "tools/call", call("echo", json!({"text": "on"}))).await), "on");
}

#[tokio::test]
async fn a_server_that_forgot_the_session_is_told_all_again() {
    for (path, arguments) in [("/mcp", &["--response", "sse"][..]), ("/sse", &["--sse"])] {
        let server = serve(arguments).await;
        let relay = Relay::to(server.address).await;
        let mut host = Host::open(&relay.url(path), &[], "2025-06-18").await;
        assert_eq!(
            host.ask(json!(1), "logging/setLevel", json!({"level": "debug"})).await["result"],
            json!({})
        );
        host.ask(json!(2), "resources/subscribe", json!({"uri": "metrics://cpu"})).await;
        host.request(json!(3), "tools/call", slow(1000)).await;
        host.told("notifications/progress").await;
        relay.lead_to(None);
        server.kill().await;
        let server = serve(arguments).await;
        relay.lead_to(Some(server.address));
        let lost = host.answer(&json!(3)).await;
        assert_eq!(lost["error"]["data"]["outcomeUnknown"], true, "{lost}");
        assert!(
            lost["error"]["message"].as_str().is_some_and(|why| why.contains("may or may not have run")),
            "{lost}"
        );

        assert_eq!(text(&host.ask(json!(4), "tools/call", call("echo", json!({"text": "on"}))).await), "on");
        host.seen.clear();
        assert_eq!(host.told("notifications/resources/updated").await["params"]["uri"], "metrics://cpu");
        host.ask(json!(5), "tools/call", call("research", json!({"topic": "x", "steps": 1, "step_ms": 1})))
            .await;
        host.told("notifications/message").await;
    }
}

#[tokio::test]
async fn a_call_while_the_server_is_away_says_so_and_the_next_works() {
    for path in ["/mcp", "/sse"] {
        let server = serve(&["--sse"]).await;
        let relay = Relay::to(server.address).await;
        let mut host = Host::open(&relay.url(path), &[], "2025-06-18").await;
        relay.lead_to(None);
        let failed = host.ask(json!(1), "tools/call", call("echo", json!({"text": "x"}))).await;
        assert_eq!(failed["error"]["code"], -32603, "{failed}");
        relay.lead_to(Some(server.address));
        assert_eq!(text(&host.ask(json!(2), "tools/call", call("echo", json!({"text": "on"}))).await), "on");
    }
}
