//! Starting, answering beside the endpoint, and stopping.

use http::{Method, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::http::{Connection, Messages};
use super::process::{binary, run, serve, start};
use super::session::Session;
use super::within;

/// The client configuration in a greeting.
fn configuration(greeting: &str) -> Value {
    let from = greeting.find('{').expect("it begins");
    let to = greeting.rfind('}').expect("it ends");
    serde_json::from_str(&greeting[from..=to]).expect("it is JSON")
}

#[tokio::test]
async fn the_greeting_names_the_address() {
    let server = serve(&["--path", "/tools"]).await;
    let url = format!("http://{}/tools", server.address);
    let entry = json!({"type": "http", "url": url});
    assert_eq!(configuration(&server.greeting), json!({"mcpServers": {"throughline": entry}}));
    assert!(server.greeting.contains(&format!("serves its demo at {url}\n")), "{}", server.greeting);
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let response = Connection::open(server.address).await.post("/tools", None, &ping).await;
    assert_ne!(response.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn every_option_is_also_a_variable() {
    let mut command = binary(&["serve", "--path", "/line"]);
    command.env("THROUGHLINE_LISTEN", "127.0.0.1:0").env("THROUGHLINE_PATH", "/variable");
    command
        .env("THROUGHLINE_STATELESS", "1")
        .env("THROUGHLINE_RESPONSE", "json")
        .env("THROUGHLINE_LOG_FORMAT", "json");
    let mut server = start(command).await;
    assert!(server.greeting.contains("/line\n"), "the command line wins: {}", server.greeting);
    for flag in ["json_response", "stateless_http"] {
        let line: Value = serde_json::from_str(&server.logs(flag).await).expect("the log is JSON");
        assert_eq!(line["level"], "WARN", "{line}");
    }
}

#[tokio::test]
async fn stateless_serves_without_a_session() {
    let server = serve(&["--stateless"]).await;
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "echo", "arguments": {"text": "hi"}}});
    let response = Connection::open(server.address).await.post("/mcp", None, &call).await;
    assert_eq!(Messages::of(response).expect().await["result"]["content"][0]["text"], "hi");
}

#[tokio::test]
async fn an_era_is_chosen() {
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}});
    let discover = json!({"jsonrpc": "2.0", "id": 1, "method": "server/discover",
        "params": {"_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {}}}});
    let headers = [
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "server/discover"),
    ];
    for (era, initializes, discovers) in [("hybrid", 200, 200), ("modern", 400, 200), ("legacy", 200, 400)] {
        let server = serve(&["--era", era]).await;
        let mut connection = Connection::open(server.address).await;
        let opened = connection.post("/mcp", None, &hello).await;
        assert_eq!(opened.status(), initializes, "{era}");
        drop(opened.into_body().collect().await.expect("it is answered"));
        let found = connection.send(Method::POST, "/mcp", &headers, &discover.to_string()).await;
        assert_eq!(found.status(), discovers, "{era}");
    }
}

#[tokio::test]
async fn the_server_says_how_it_is() {
    let server = serve(&[]).await;
    let mut connection = Connection::open(server.address).await;
    assert_eq!(connection.page("/healthz").await, (StatusCode::OK, json!({"status": "ok"})));
    assert_eq!(connection.page("/readyz").await, (StatusCode::OK, json!({"status": "ready"})));
    let nothing = json!({"error": "nothing is here; the MCP endpoint is /mcp"});
    assert_eq!(connection.page("/mcp/").await, (StatusCode::NOT_FOUND, nothing));
    let response = connection.send(Method::POST, "/healthz", &[], "").await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()["allow"], "GET, HEAD");
}

#[tokio::test]
async fn prometheus_reads_what_happened() {
    let server = serve(&[]).await;
    let mut session = Session::open(server.address, json!({})).await;
    session.call("echo", json!({"text": "x"})).await.rest().await;
    session.call("made up", json!({})).await.rest().await;
    let mut connection = Connection::open(server.address).await;
    let response = connection.send(Method::GET, "/metrics", &[], "").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let page = within("the page", response.into_body().collect()).await.expect("it is whole").to_bytes();
    let page = std::str::from_utf8(&page).expect("it is text");
    for line in [
        "throughline_sessions 1",
        r#"throughline_calls_total{method="tools/call",tool="echo",outcome="ok"} 1"#,
        r#"throughline_calls_total{method="tools/call",tool="other",outcome="error"} 1"#,
    ] {
        assert!(page.lines().any(|found| found == line), "{line} in\n{page}");
    }
}

#[tokio::test]
async fn hosts_and_origins_are_those_that_are_named() {
    let server = serve(&["--allow-host", "mcp.example", "--allow-origin", "https://app.example"]).await;
    let mut connection = Connection::open(server.address).await;
    for (host, origin, status) in [
        ("mcp.example", "https://app.example", StatusCode::NO_CONTENT),
        ("other.example", "https://app.example", StatusCode::FORBIDDEN),
        ("mcp.example", "https://other.example", StatusCode::FORBIDDEN),
    ] {
        let headers = [("origin", origin), ("access-control-request-method", "POST")];
        let response = connection.send_to(host, Method::OPTIONS, "/mcp", &headers, "").await;
        assert_eq!(response.status(), status, "{host} {origin}");
    }
}

#[tokio::test]
async fn a_server_without_a_lock_stays_on_this_machine() {
    let (code, out, error) = run(binary(&["serve", "--listen", "0.0.0.0:0"])).await;
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(error.contains("nothing asks them who they are") && error.contains("--insecure-open"), "{error}");

    let mut server = start(binary(&["serve", "--listen", "0.0.0.0:0", "--insecure-open"])).await;
    let warning = server.logs("may do everything").await;
    assert!(warning.contains("WARN --insecure-open"), "{warning}");
    server.logs("--allow-host").await;
}

#[tokio::test]
async fn a_port_in_use_is_one_sentence() {
    let server = serve(&[]).await;
    let address = server.address.to_string();
    let (code, out, error) = run(binary(&["serve", "--listen", &address])).await;
    assert_eq!((code, out.as_str()), (2, ""));
    let says = "is in use by another program; stop that one, or give another address with --listen.";
    assert_eq!(error, format!("error: {address} {says}\n"));
}

#[cfg(unix)]
#[tokio::test]
async fn a_running_call_finishes_when_the_server_is_told_to_stop() {
    let server = serve(&["--shutdown-grace", "1m"]).await;
    let mut session = Session::open(server.address, json!({})).await;
    let mut standalone = session.listen().await;
    let mut messages = session.call("slow", json!({"ms": 1_000, "events": 20})).await;
    assert_eq!(messages.expect().await["params"]["progress"], 1);
    server.terminate();
    let rest = messages.rest().await;
    let answer = rest.last().expect("an answer");
    assert_eq!(answer["result"]["content"][0]["text"], "done after 1000 ms and 20 events");
    assert_eq!(rest.len(), 20, "19 more notifications and the answer");
    assert_eq!(standalone.next().await, None, "the stream ends in good order");
    let (code, log) = server.ended().await;
    assert_eq!(code, 0, "{log}");
    assert!(log.ends_with(" INFO stopped\n"), "{log}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_server_that_drains_is_not_ready_and_still_takes_answers() {
    let mut server = serve(&["--shutdown-grace", "1m"]).await;
    let mut session = Session::open(server.address, json!({"elicitation": {}})).await;
    // These were there before: the server takes no connections while it drains.
    let mut watcher = Connection::open(server.address).await;
    assert_eq!(watcher.page("/readyz").await.0, StatusCode::OK);
    let mut answering = Connection::open(server.address).await;
    assert_eq!(answering.page("/healthz").await.0, StatusCode::OK);
    let mut messages = session.call("ask_permission", json!({"path": "a.txt"})).await;
    let question = messages.expect().await;
    server.terminate();
    server.logs("stopping").await;
    // Each answer is an event that brings the next question: draining begins a moment after the log line.
    let draining = async {
        loop {
            match watcher.page("/readyz").await {
                (StatusCode::SERVICE_UNAVAILABLE, status) => return status,
                (status, _) => assert_eq!(status, StatusCode::OK),
            }
        }
    };
    assert_eq!(within("draining", draining).await, json!({"status": "draining"}));
    assert_eq!(watcher.page("/healthz").await.0, StatusCode::OK);

    let result = json!({"action": "accept", "content": {"allow": true}});
    let answer = json!({"jsonrpc": "2.0", "id": question["id"], "result": result});
    let response = answering.post("/mcp", Some(session.id()), &answer).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let answer = messages.expect().await;
    assert_eq!(answer["result"]["content"][0]["text"], "Permission granted: a.txt may be changed.");
    let (code, log) = server.ended().await;
    assert_eq!(code, 0, "{log}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_second_signal_stops_at_once() {
    let mut server = serve(&["--shutdown-grace", "1h"]).await;
    let mut session = Session::open(server.address, json!({})).await;
    let mut messages = session.call("slow", json!({"ms": 600_000, "events": 50_000})).await;
    messages.expect().await;
    server.terminate();
    server.logs("stopping").await;
    server.terminate();
    let (code, log) = server.ended().await;
    assert_eq!(code, 128 + 15, "{log}");
    assert!(!log.contains("stopped"), "{log}");
}
