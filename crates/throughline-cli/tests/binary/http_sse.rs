//! `--sse`: the older HTTP+SSE transport beside the endpoint.

use http::{Method, StatusCode};
use serde_json::json;

use super::http::Connection;
use super::older::Older;
use super::process::{binary, serve, start};
use super::session::Session;
use super::within;

const ECHO: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

#[tokio::test]
async fn clients_of_both_transports_are_served_on_one_port() {
    let server = serve(&["--sse"]).await;
    let says = format!("For clients of HTTP+SSE: http://{}/sse\n", server.address);
    assert!(server.greeting.contains(&says), "{}", server.greeting);
    let mut one = Older::open(server.address).await;
    let mut other = Older::open(server.address).await;
    let mut session = Session::open(server.address, json!({})).await;
    assert!(one.path.starts_with("/messages?sessionId=") && one.path != other.path);
    for (older, text) in [(&mut one, "first"), (&mut other, "second")] {
        let id = older.call("echo", json!({"text": text})).await;
        let answer = older.expect().await;
        assert_eq!((&answer["id"], &answer["result"]["content"][0]["text"]), (&json!(id), &json!(text)));
    }
    assert_eq!(session.text("echo", json!({"text": "third"})).await, ("third".to_owned(), false));
    one.call("slow", json!({"ms": 100, "events": 5})).await;
    for step in 1..=5 {
        assert_eq!(one.expect().await["params"]["progress"], step);
    }
    assert_eq!(one.expect().await["result"]["content"][0]["text"], "done after 100 ms and 5 events");
    // What the demo announces every second reaches who asked for it.
    let subscribe = json!({"jsonrpc": "2.0", "id": "s", "method": "resources/subscribe", "params": {"uri": "metrics://cpu"}});
    assert_eq!(other.post(&subscribe).await, 202);
    assert_eq!(other.expect().await["id"], "s");
    assert_eq!(other.expect().await["params"]["uri"], "metrics://cpu");
}

#[tokio::test]
async fn it_is_served_where_it_is_said_and_only_then() {
    let without = serve(&[]).await;
    let response = Connection::open(without.address).await.send(Method::GET, "/sse", &[], "").await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert!(!without.greeting.contains("SSE"), "{}", without.greeting);
    let mut command = binary(&["serve", "--sse-path", "/older"]);
    command.env("THROUGHLINE_LISTEN", "127.0.0.1:0").env("THROUGHLINE_SSE", "true");
    command.env("THROUGHLINE_SSE_PATH", "/variable").env("THROUGHLINE_SSE_MESSAGE_PATH", "/older");
    let server = start(command).await;
    assert!(server.greeting.contains("/older\n"), "{}", server.greeting);
    let mut older = Older::connect(server.address, "/older").await;
    assert!(older.path.starts_with("/older?sessionId="));
    let ping = serde_json::from_str(ECHO).expect("it is JSON");
    assert_eq!(older.post(&ping).await, 202);
    assert_eq!(older.expect().await["result"], json!({}));
}

/// What tells a client of several transports that this one is older: see the specification on backwards compatibility.
#[tokio::test]
async fn a_newer_client_falls_back() {
    let server = serve(&["--sse"]).await;
    let mut connection = Connection::open(server.address).await;
    let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}});
    let posted = connection.post("/sse", None, &hello).await;
    assert_eq!(
        (posted.status(), &posted.headers()["allow"]),
        (StatusCode::METHOD_NOT_ALLOWED, &"GET".parse().expect("a value"))
    );
    let mut older = Older::connect(server.address, "/sse").await;
    assert_eq!(older.post(&hello).await, 202);
    assert_eq!(older.expect().await["result"]["protocolVersion"], "2025-11-25");
}

#[tokio::test]
async fn a_connection_that_is_lost_cancels_its_calls() {
    let mut server = serve(&["--sse"]).await;
    let mut older = Older::open(server.address).await;
    older.call("slow", json!({"ms": 600_000, "events": 50_000})).await;
    assert_eq!(older.expect().await["params"]["progress"], 1);
    drop(older);
    server.logs("a session was closed").await;
    let metrics = async {
        loop {
            let mut connection = Connection::open(server.address).await;
            let page = connection.send(Method::GET, "/metrics", &[], "").await.into_body();
            let page = http_body_util::BodyExt::collect(page).await.expect("it is whole").to_bytes();
            let page = String::from_utf8(page.to_vec()).expect("it is text");
            if page.contains("\nthroughline_calls_in_flight 0\n")
                && page.contains("\nthroughline_sessions 0\n")
            {
                return;
            }
        }
    };
    within("that nothing runs", metrics).await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_signal_lets_calls_finish_and_ends_the_streams() {
    let mut server = serve(&["--sse"]).await;
    let mut older = Older::open(server.address).await;
    let mut waiting = Older::connect(server.address, "/sse").await;
    older.call("slow", json!({"ms": 1_500, "events": 3})).await;
    assert_eq!(older.expect().await["params"]["progress"], 1);
    server.terminate();
    server.logs("stopping").await;
    for step in 2..=3 {
        assert_eq!(older.expect().await["params"]["progress"], step);
    }
    assert_eq!(older.expect().await["result"]["content"][0]["text"], "done after 1500 ms and 3 events");
    assert_eq!((older.next().await, waiting.next().await), (None, None));
    let (code, log) = server.ended().await;
    assert_eq!(code, 0, "{log}");
    assert!(!log.contains("WARN"), "{log}");
}
