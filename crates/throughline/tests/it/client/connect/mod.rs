//! `Client::connect`: by an address alone, over real sockets.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use serde_json::json;
use throughline::revision::Revision;
use throughline::{Client, Era, HttpOptions, Proxy, StreamableHttp, TransportChoice};

use super::basics::{approving, check, server};
use crate::support::{Loopback, Scripted};

/// What refuses to be connected to.
fn closed_port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/mcp", listener.local_addr().unwrap())
}

#[tokio::test]
async fn an_address_is_all_that_is_needed_in_every_era() {
    for (era, revision) in [
        (Era::Hybrid, Revision::LATEST),
        (Era::Modern, Revision::LATEST),
        (Era::Legacy, Revision::LATEST_LEGACY),
    ] {
        let endpoint = StreamableHttp::builder(server()).era(era).build();
        let loopback = Loopback::serve(&endpoint).await;
        let client = approving(Client::connect(format!("http://{}/mcp", loopback.address))).await.unwrap();
        assert_eq!(client.revision(), revision);
        check(client).await;
        loopback.stop().await;
    }
}

#[tokio::test]
async fn an_address_that_is_none_is_told_when_it_is_awaited() {
    for (address, what) in [
        ("localhost:8808/mcp", "has no scheme"),
        ("ftp://example.com/", "must be https or http"),
        ("https://user:s3cret@example.com/mcp", "`Authorization` header"),
        ("http://:8808/mcp", "has no host"),
    ] {
        let error = Client::connect(address).timeout(Duration::from_secs(1)).await.unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
        assert!(!error.is_connection_lost() && !error.to_string().contains("s3cret"), "{error}");
    }
}

#[tokio::test]
async fn options_that_cannot_be_used_are_told_too() {
    let error =
        Client::connect("https://localhost/mcp").root_certificates("no certificate").await.unwrap_err();
    assert!(error.to_string().contains("BEGIN CERTIFICATE"), "{error}");
    let error = Client::connect("https://localhost/mcp").proxy(Proxy::Address("socks5://x".into())).await;
    assert!(error.unwrap_err().to_string().contains("proxy"));
}

#[tokio::test]
async fn a_server_that_is_not_there_cannot_be_reached() {
    let url = closed_port();
    let error = Client::connect(&url).await.unwrap_err();
    assert!(error.is_connection_lost() && !error.is_outcome_unknown(), "{error:?}");
    let host = url.trim_start_matches("http://").trim_end_matches("/mcp");
    assert!(error.to_string().contains(host), "{error}");
}

#[tokio::test]
async fn a_call_to_a_server_that_was_stopped_was_never_sent() {
    let endpoint = StreamableHttp::new(server());
    let loopback = Loopback::serve(&endpoint).await;
    let client = Client::connect(format!("http://{}/mcp", loopback.address)).standalone_stream(false).await;
    let client = client.unwrap();
    client.list_tools().await.unwrap();
    loopback.stop().await;
    let error = client.call_tool("count", &json!({ "to": 1 })).await.unwrap_err();
    assert!(error.is_connection_lost() && !error.is_outcome_unknown(), "{error:?}");
}

#[tokio::test]
async fn the_proxy_and_the_headers_are_used() {
    let mut proxy = Scripted::start().await;
    let client = Client::connect("http://mcp.example/mcp")
        .http(HttpOptions::new().idle_timeout(Duration::from_secs(1)))
        .proxy(Proxy::Address(proxy.url("")))
        .connect_timeout(Duration::from_secs(5))
        .header(HeaderName::from_static("x-team"), HeaderValue::from_static("blue"));
    let connecting = tokio::spawn(async move { client.await });
    let asked = proxy.expect("POST http://mcp.example/mcp").await;
    assert!(asked.head.contains("\r\nx-team: blue"), "{}", asked.head);
    asked.status("403 Forbidden").await;
    let asked = proxy.expect("POST http://mcp.example/mcp").await;
    assert_eq!(asked.method(), "initialize");
    asked.status("403 Forbidden").await;
    let error = connecting.await.unwrap().unwrap_err();
    assert!(error.is_unauthorized(), "{error:?}");
}

#[tokio::test]
async fn a_redirect_to_another_origin_is_no_lost_answer() {
    let mut server = Scripted::start().await;
    let connecting = tokio::spawn(Client::connect(server.url("/mcp")).into_future());
    let asked = server.expect("POST /mcp").await;
    asked.answer("307 Temporary Redirect\r\nlocation: http://other.example/mcp", "text/plain", "").await;
    let error = connecting.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("`http://other.example/mcp`"), "{error}");
    assert!(!error.is_outcome_unknown() && !error.is_connection_lost(), "{error:?}");
}

#[tokio::test]
async fn what_the_newer_transport_said_is_told_when_neither_is_spoken() {
    let mut server = Scripted::start().await;
    let connecting = tokio::spawn(Client::connect(server.url("/mcp")).into_future());
    server.expect("POST /mcp").await.status("404 Not Found").await;
    let asked = server.expect("POST /mcp").await;
    let error =
        json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32600, "message": "not on Mondays" } });
    asked.answer("400 Bad Request", "application/json", &error.to_string()).await;
    server.expect("GET /mcp").await.status("405 Method Not Allowed").await;
    let error = connecting.await.unwrap().unwrap_err();
    assert_eq!(error.status().map(|status| status.as_u16()), Some(400));
    assert!(error.to_string().contains("not on Mondays"), "{error}");
}

#[tokio::test]
async fn the_older_transport_is_not_tried_when_it_may_not_be_used() {
    let mut server = Scripted::start().await;
    let client = Client::connect(server.url("/mcp")).transport(TransportChoice::Streamable);
    let connecting = tokio::spawn(client.into_future());
    for _ in 0..2 {
        server.expect("POST /mcp").await.status("405 Method Not Allowed").await;
    }
    let error = connecting.await.unwrap().unwrap_err();
    assert_eq!(error.status().map(|status| status.as_u16()), Some(405));
    assert!(!server.has_more());
}
