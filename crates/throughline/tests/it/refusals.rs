//! Each refusal: its status, its code and one plain sentence.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body::{Body, Frame};
use serde_json::json;
use throughline::revision::Revision;
use throughline::{Era, Server, StreamableHttp};

use crate::support::{Wire, call, initialize, request, within};

fn endpoint() -> StreamableHttp {
    StreamableHttp::new(Server::new("it", "1"))
}

#[tokio::test(start_paused = true)]
async fn a_foreign_host_or_origin_is_403() {
    let wire = Wire::new(&endpoint());
    let foreign = wire.post(initialize(Revision::V2025_11_25, &json!({}))).uri("http://evil.example/mcp");
    insta::assert_snapshot!(foreign.send().await.refusal().await, @"403 -32600: This server does not answer to that Host. Use its own address, or have its operator allow the host.");
    let foreign =
        wire.post(initialize(Revision::V2025_11_25, &json!({}))).uri("/mcp").header("host", "evil.example");
    insta::assert_snapshot!(foreign.send().await.refusal().await, @"403 -32600: This server does not answer to that Host. Use its own address, or have its operator allow the host.");
    let foreign =
        wire.post(initialize(Revision::V2025_11_25, &json!({}))).header("origin", "https://evil.example");
    insta::assert_snapshot!(foreign.send().await.refusal().await, @"403 -32600: That Origin may not use this server. Have its operator allow the origin.");
    let null = wire.get().header("origin", "null");
    assert_eq!(null.send().await.status(), 403);
}

#[tokio::test(start_paused = true)]
async fn a_name_of_this_machine_or_an_allowed_host_is_answered() {
    let endpoint = StreamableHttp::builder(Server::new("it", "1")).allow_host("mcp.example").unwrap().build();
    let wire = Wire::new(&endpoint);
    let hello = initialize(Revision::V2025_11_25, &json!({}));
    for uri in
        ["http://127.0.0.1:8808/mcp", "http://[::1]/", "http://localhost:1/mcp", "http://mcp.example/mcp"]
    {
        assert_eq!(wire.post(hello.clone()).uri(uri).send().await.status(), 200, "{uri}");
    }
    assert_eq!(wire.post(hello.clone()).header("origin", "http://localhost:3000").send().await.status(), 200);
    assert_eq!(wire.post(hello).uri("http://other.example/mcp").send().await.status(), 403);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_was_answered_to_opens_the_door_to_no_other() {
    let wire = Wire::new(&endpoint());
    let hello = |host: &str| {
        wire.post(initialize(Revision::V2025_11_25, &json!({}))).uri("/mcp").header("host", host)
    };
    for _ in 0..2 {
        assert_eq!(hello("localhost").send().await.status(), 200);
        assert_eq!(hello("127.0.0.1:8808").send().await.status(), 200);
        assert_eq!(hello("evil.example").send().await.status(), 403);
        assert_eq!(hello("localhost").append("host", "evil.example").send().await.status(), 403);
        assert_eq!(hello("localhost").without("host").send().await.status(), 403);
        assert_eq!(hello("localhost").header("origin", "https://evil.example").send().await.status(), 403);
        assert_eq!(hello("localhost").uri("http://evil.example/mcp").send().await.status(), 403);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_is_named_and_known() {
    let endpoint = endpoint();
    let wire = Wire::new(&endpoint);
    let ping = request(1, "ping", json!({}));
    insta::assert_snapshot!(wire.post(ping.clone()).send().await.refusal().await, @"400 -32600: The Mcp-Session-Id header is missing. Send the one that initialize was answered with, or send initialize first.");
    let answer = wire.post(ping.clone()).header("mcp-session-id", "nobody").send().await;
    insta::assert_snapshot!(answer.refusal().await, @"404 -32600: The session is unknown or has ended. Send initialize without an Mcp-Session-Id header to open a new one.");
    insta::assert_snapshot!(wire.get().send().await.refusal().await, @"400 -32600: The Mcp-Session-Id header is missing. Send the one that initialize was answered with, or send initialize first.");
    insta::assert_snapshot!(wire.get().header("mcp-session-id", "nobody").send().await.refusal().await, @"404 -32600: The session is unknown or has ended. Send initialize without an Mcp-Session-Id header to open a new one.");
    insta::assert_snapshot!(wire.delete().header("mcp-session-id", "nobody").send().await.refusal().await, @"404 -32600: The session is unknown or has ended. Send initialize without an Mcp-Session-Id header to open a new one.");
    let twice = wire.post(ping.clone()).header("mcp-session-id", "a").append("mcp-session-id", "b");
    insta::assert_snapshot!(twice.send().await.refusal().await, @"400 -32600: The Mcp-Session-Id header must be 1 to 256 visible ASCII characters. Send the one that initialize was answered with, once.");
    assert_eq!(wire.post(ping).header("mcp-session-id", "with space").send().await.status(), 400);
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_keeps_its_id() {
    let wire = Wire::new(&endpoint()).with("mcp-session-id", "nobody");
    let answer = wire.post(request("seven", "ping", json!({}))).send().await;
    assert_eq!((answer.status(), &answer.json().await["id"]), (404, &json!("seven")));

    let wire = Wire::open(&endpoint(), Revision::V2025_11_25).await;
    let ping = wire.post(request(5, "ping", json!({}))).header("mcp-protocol-version", "1999-12-31");
    assert_eq!(ping.send().await.json().await["id"], json!(5));
    let twice = wire.post_bytes(r#"{"jsonrpc":"2.0","id":5,"method":"ping","method":"ping"}"#).send().await;
    assert_eq!((twice.status(), &twice.json().await["error"]["code"]), (400, &json!(-32600)));
}

#[tokio::test(start_paused = true)]
async fn other_http_methods_are_405_with_allow() {
    let wire = Wire::new(&endpoint());
    for method in [Method::PUT, Method::PATCH, Method::HEAD, Method::OPTIONS] {
        let answer = wire.request(method, Bytes::new()).send().await;
        assert_eq!((answer.status(), answer.header("allow")), (405, "GET, POST, DELETE"));
    }
    let answer = wire.request(Method::PUT, Bytes::new()).send().await;
    insta::assert_snapshot!(answer.refusal().await, @"405 -32600: This HTTP method is not served here. Use one of: GET, POST, DELETE.");

    let stateless = StreamableHttp::builder(Server::new("it", "1")).stateless_http(true).build();
    let wire = Wire::new(&stateless);
    for sending in [wire.get(), wire.delete()] {
        let answer = sending.send().await;
        assert_eq!((answer.status(), answer.header("allow")), (405, "POST"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_accept_header_that_admits_nothing_is_406() {
    let wire = Wire::open(&endpoint(), Revision::V2025_11_25).await;
    let ping = request(1, "ping", json!({}));
    for nothing in ["text/html", "application/json;q=0", "image/*, text/plain"] {
        let answer = wire.post(ping.clone()).header("accept", nothing).send().await;
        assert_eq!(answer.status(), 406, "{nothing}");
    }
    let answer = wire.post(ping.clone()).header("accept", "text/html").send().await;
    insta::assert_snapshot!(answer.refusal().await, @"406 -32600: The Accept header admits no answer. Send: Accept: application/json, text/event-stream");
    let answer = wire.get().header("accept", "application/json").send().await;
    insta::assert_snapshot!(answer.refusal().await, @"406 -32600: a GET opens a stream of events; send: Accept: text/event-stream");

    let json_only = StreamableHttp::builder(Server::new("it", "1")).json_response(true).build();
    let answer = Wire::new(&json_only).post(initialize(Revision::V2025_11_25, &json!({})));
    assert_eq!(answer.header("accept", "text/event-stream").send().await.status(), 406);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_not_declared_as_json_is_415() {
    let wire = Wire::open(&endpoint(), Revision::V2025_11_25).await;
    let ping = request(1, "ping", json!({}));
    for kind in ["text/plain", "application/json; charset=latin1", "application/jsonp"] {
        let answer = wire.post(ping.clone()).header("content-type", kind).send().await;
        assert_eq!(answer.status(), 415, "{kind}");
    }
    insta::assert_snapshot!(wire.post(ping.clone()).without("content-type").send().await.refusal().await, @"415 -32600: The body must be JSON in UTF-8. Send: Content-Type: application/json");
    let answer = wire.post(ping).header("content-type", "Application/JSON; charset=UTF-8").send().await;
    assert_eq!(answer.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_too_large_is_413() {
    let endpoint = StreamableHttp::builder(Server::new("it", "1")).max_body(1000).build();
    let wire = Wire::open(&endpoint, Revision::V2025_11_25).await;
    let answer = wire.post(request(1, "ping", json!({ "filler": "x".repeat(1000) }))).send().await;
    insta::assert_snapshot!(answer.refusal().await, @"413 -32600: The body is longer than 1000 bytes. Send a smaller message.");
    // Without a length that tells before.
    let mut unannounced =
        Request::new(Trickle { pieces: 3, piece: Bytes::from(vec![b' '; 400]), then_stall: false });
    *unannounced.method_mut() = Method::POST;
    for (name, value) in [("host", "localhost"), ("content-type", "application/json")] {
        unannounced.headers_mut().insert(name, value.parse().unwrap());
    }
    assert_eq!(endpoint.handle(unannounced).await.status(), 413);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_arrive_is_408() {
    let endpoint =
        StreamableHttp::builder(Server::new("it", "1")).body_timeout(Duration::from_secs(7)).build();
    let mut slow = Request::new(Trickle { pieces: 2, piece: Bytes::from_static(b"{"), then_stall: true });
    *slow.method_mut() = Method::POST;
    for (name, value) in [("host", "localhost"), ("content-type", "application/json")] {
        slow.headers_mut().insert(name, value.parse().unwrap());
    }
    let began = tokio::time::Instant::now();
    let response = within(endpoint.handle(slow)).await;
    assert_eq!(response.status(), 408);
    assert_eq!(began.elapsed(), Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_not_spoken_is_400() {
    let wire = Wire::open(&endpoint(), Revision::V2025_11_25).await;
    let ping = request(1, "ping", json!({}));
    let answer = wire.post(ping.clone()).header("mcp-protocol-version", "1999-12-31").send().await;
    insta::assert_snapshot!(answer.refusal().await, @r#"400 -32600: The protocol version "1999-12-31" is not supported. Send one of: 2025-11-25, 2025-06-18, 2025-03-26, 2024-11-05."#);
    let answer = wire.get().header("mcp-protocol-version", "tomorrow").send().await;
    assert_eq!(answer.status(), 400);
    // The header is only recommended to be the negotiated one: another that is spoken is let through.
    let answer = wire.post(ping.clone()).header("mcp-protocol-version", "2025-06-18").send().await;
    assert_eq!(answer.status(), 200);
    assert_eq!(wire.post(ping).without("mcp-protocol-version").send().await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_modern_request_is_sent_back_to_initialize() {
    let endpoint = StreamableHttp::builder(Server::new("it", "1")).era(Era::Legacy).build();
    let wire = Wire::new(&endpoint);
    let discover = request(1, "server/discover", json!({}));
    insta::assert_snapshot!(wire.post(discover).send().await.refusal().await, @"400 -32600: This server needs a session. Send initialize first.");
    let mut modern = call(2, "echo", json!({}));
    modern["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
    let answer = wire.post(modern.clone()).header("mcp-protocol-version", "2026-07-28").send().await;
    let status = answer.status();
    let body = answer.json().await;
    assert_eq!((status, &body["error"]["code"], &body["id"]), (400, &json!(-32600), &json!(2)), "{body}");
    assert_eq!(wire.post(modern).send().await.status(), 400);
}

/// A body in pieces of unknown number.
struct Trickle {
    pieces: usize,
    piece: Bytes,
    then_stall: bool,
}

impl Body for Trickle {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.pieces == 0 {
            return if self.then_stall { Poll::Pending } else { Poll::Ready(None) };
        }
        self.pieces -= 1;
        Poll::Ready(Some(Ok(Frame::data(self.piece.clone()))))
    }
}
