//! Against servers that a test plays itself.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty};
use serde_json::{Value, json};
use throughline::revision::Revision;
use throughline::{Client, ClientError, RequestBody, StreamStatus, TransportChoice};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tower::service_fn;

use crate::support::{Scripted, Streaming};

type Connecting = JoinHandle<Result<Client, ClientError>>;

fn connect(server: &Scripted) -> Connecting {
    let connect = Client::connect(server.url("/v1/sse")).transport(TransportChoice::Sse);
    tokio::spawn(connect.into_future())
}

fn welcome() -> Value {
    json!({ "protocolVersion": "2024-11-05", "capabilities": {}, "serverInfo": { "name": "old", "version": "1" } })
}

/// Plays the handshake at this address, as `POST /m`.
async fn shake_hands(server: &mut Scripted, stream: &mut Streaming) {
    let asked = server.expect("POST /m?s=1").await;
    assert_eq!(asked.method(), "initialize");
    let id = asked.id();
    asked.answer("202 Accepted", "text/plain", "Accepted").await;
    stream.result(id, welcome()).await;
    let asked = server.expect("POST /m?s=1").await;
    assert_eq!(asked.method(), "notifications/initialized");
    asked.status("202 Accepted").await;
}

async fn open(server: &mut Scripted) -> Streaming {
    let mut stream = server.expect("GET /v1/sse").await.stream().await;
    stream.endpoint("/m?s=1").await;
    stream
}

async fn connected() -> (Scripted, Streaming, Client) {
    let mut server = Scripted::start().await;
    let connecting = connect(&server);
    let mut stream = open(&mut server).await;
    shake_hands(&mut server, &mut stream).await;
    let client = connecting.await.unwrap().unwrap();
    assert_eq!(client.revision(), Revision::V2024_11_05);
    assert_eq!(*client.status().borrow(), StreamStatus::Open);
    (server, stream, client)
}

fn call(client: &Client, tool: &'static str) -> JoinHandle<Result<(), ClientError>> {
    let client = client.clone();
    tokio::spawn(async move { client.call_tool(tool, &()).await.map(drop) })
}

fn called() -> Value {
    json!({ "content": [] })
}

#[tokio::test]
async fn endpoints_are_resolved_and_what_comes_before_them_is_kept() {
    for (endpoint, line) in [
        ("/m?s=1", "POST /m?s=1"),
        ("m?s=1", "POST /v1/m?s=1"),
        ("?s=1", "POST /v1/sse?s=1"),
        ("http://SERVER/m?s=1", "POST /m?s=1"),
    ] {
        let mut server = Scripted::start().await;
        let connecting = connect(&server);
        let asked = server.expect("GET /v1/sse").await;
        assert!(asked.head.contains("\r\naccept: text/event-stream"), "{}", asked.head);
        let mut stream = asked.stream().await;
        stream.raw(": hello\n\nretry: 10\n\n").await;
        stream.message(json!({ "jsonrpc": "2.0", "id": "early", "method": "ping" })).await;
        stream.endpoint(&endpoint.replace("SERVER", &server.address.to_string())).await;
        let (mut initialize, mut pong) = (server.expect(line).await, server.expect(line).await);
        if initialize.body["id"] == "early" {
            std::mem::swap(&mut initialize, &mut pong);
        }
        assert_eq!(pong.body, json!({ "jsonrpc": "2.0", "id": "early", "result": {} }));
        let id = initialize.id();
        pong.status("202 Accepted").await;
        initialize.status("202 Accepted").await;
        stream.raw(": keep-alive\n\n").await;
        stream.result(id, welcome()).await;
        server.expect(line).await.status("202 Accepted").await;
        connecting.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn an_endpoint_of_another_origin_is_not_used() {
    let mut other = Scripted::start().await;
    let mut server = Scripted::start().await;
    let connecting = connect(&server);
    let mut stream = server.expect("GET /v1/sse").await.stream().await;
    stream.endpoint(&other.url("/m?s=secret")).await;
    let error = connecting.await.unwrap().unwrap_err();
    let text = error.to_string();
    assert!(text.contains("another origin") && !text.contains("secret"), "{text}");
    assert!(error.is_protocol_violation());
    assert!(!server.has_more() && !other.has_more());
    stream.closed().await;
}

#[tokio::test]
async fn a_stream_without_an_endpoint_is_none() {
    let mut server = Scripted::start().await;
    let large = json!({ "jsonrpc": "2.0", "method": "x", "params": { "x": "y".repeat(9 << 20) } });
    let large = format!("data: {large}\n\n");
    for (events, what) in [
        (String::new(), "before an `endpoint` event"),
        ("event: endpoint\ndata:\n\n".into(), "no address"),
        ("data: {\"jsonrpc\":\"2.0\",\"method\":\"x\"}\n\n".repeat(65), "64 messages"),
        (large.repeat(2), "16777216 bytes"),
    ] {
        let connecting = connect(&server);
        let mut stream = server.expect("GET /v1/sse").await.stream().await;
        stream.raw(&events).await;
        drop(stream);
        let error = connecting.await.unwrap().unwrap_err();
        assert!(error.is_protocol_violation() && error.to_string().contains(what), "{error}");
    }
    for (status, kind) in
        [("200 OK", "application/json"), ("200 OK", "text/html"), ("401 Unauthorized", "text/html")]
    {
        let connecting = connect(&server);
        server.expect("GET /v1/sse").await.answer(status, kind, "{}").await;
        let error = connecting.await.unwrap().unwrap_err();
        assert_eq!(error.is_unauthorized(), status.starts_with("401"), "{error}");
        assert_eq!(error.is_protocol_violation(), status.starts_with("200"), "{error}");
    }
}

/// A stream on which nothing ever comes.
#[tokio::test(start_paused = true)]
async fn an_endpoint_is_waited_for_in_bounded_time() {
    struct Silent;
    impl http_body::Body for Silent {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }
    }
    let service = service_fn(|request: Request<RequestBody>| async move {
        let response = Response::builder();
        Ok::<_, Infallible>(if request.method() == Method::GET {
            response.header("content-type", "text/event-stream").body(BoxBody::new(Silent)).unwrap()
        } else {
            response.status(405).body(BoxBody::new(Empty::new())).unwrap()
        })
    });
    let error = Client::over(service).transport(TransportChoice::Sse).await.unwrap_err();
    assert!(error.to_string().contains("within 10s"), "{error}");
    // Where both were tried, what the newer one said counts.
    let error = Client::over(service).timeout(Duration::from_secs(3)).await.unwrap_err();
    assert_eq!(error.status().map(|status| status.as_u16()), Some(405));
}

/// A server that answers `initialize`, and never says that it took what comes after it.
#[tokio::test(start_paused = true)]
async fn a_handshake_whose_end_is_not_taken_fails_in_bounded_time() {
    struct Events(mpsc::UnboundedReceiver<Bytes>);
    impl http_body::Body for Events {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
            self.0.poll_recv(cx).map(|event| event.map(|event| Ok(http_body::Frame::data(event))))
        }
    }
    let (events, stream) = mpsc::unbounded_channel();
    events.send(Bytes::from_static(b"event: endpoint\ndata: /m\n\n")).unwrap();
    let stream = Arc::new(Mutex::new(Some(stream)));
    let service = service_fn(move |request: Request<RequestBody>| {
        let (events, stream) = (events.clone(), stream.lock().unwrap().take());
        async move {
            let response = Response::builder();
            if let Some(stream) = stream {
                let response = response.header("content-type", "text/event-stream");
                return Ok::<_, Infallible>(response.body(BoxBody::new(Events(stream))).unwrap());
            }
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let asked: Value = serde_json::from_slice(&body).unwrap();
            if asked["method"] != "initialize" {
                std::future::pending::<()>().await;
            }
            let answer = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": welcome() });
            events.send(format!("data: {answer}\n\n").into()).unwrap();
            Ok(response.status(202).body(BoxBody::new(Empty::new())).unwrap())
        }
    });
    let connect = Client::over(service).transport(TransportChoice::Sse).timeout(Duration::from_secs(3));
    let connected = tokio::time::timeout(Duration::from_secs(60), connect.into_future()).await;
    let error = connected.expect("it gives up").unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
}

#[tokio::test]
async fn a_post_that_is_refused_fails_its_call_alone() {
    let (mut server, mut stream, client) = connected().await;
    let waiting = call(&client, "slow");
    let slow = server.expect("POST /m?s=1").await;
    let slow_id = slow.id();
    slow.status("200 OK").await;
    for (status, error) in [
        ("400 Bad Request", Some("no such tool")),
        ("413 Content Too Large", None),
        ("429 Too Many Requests\r\nretry-after: 7", None),
        ("500 Internal Server Error", None),
    ] {
        let calling = call(&client, "x");
        let asked = server.expect("POST /m?s=1").await;
        let body = error.map(|message| {
            json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32602, "message": message } })
                .to_string()
        });
        asked.answer(status, "application/json", &body.unwrap_or_default()).await;
        let refused = calling.await.unwrap().unwrap_err();
        assert_eq!(refused.status().unwrap().as_str(), &status[..3]);
        assert_eq!(refused.error().map(|error| &*error.message), error);
        assert_eq!(refused.retry_after(), status.starts_with("429").then_some(Duration::from_secs(7)));
    }
    stream.result(slow_id, called()).await;
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_unknown_session_fails_the_call_and_is_opened_anew_by_the_next() {
    let (mut server, stream, client) = connected().await;
    let calling = call(&client, "x");
    server.expect("POST /m?s=1").await.status("404 Not Found").await;
    let error = calling.await.unwrap().unwrap_err();
    assert!(error.is_session_gone() && !error.is_outcome_unknown(), "{error:?}");
    stream.closed().await;
    let calling = call(&client, "x");
    let mut stream = open(&mut server).await;
    shake_hands(&mut server, &mut stream).await;
    let asked = server.expect("POST /m?s=1").await;
    stream.result(asked.id(), called()).await;
    // The answer is there before the word that the request was taken.
    calling.await.unwrap().unwrap();
    asked.status("202 Accepted").await;
}

#[tokio::test]
async fn calls_of_a_lost_stream_fail_and_the_next_share_another() {
    let (mut server, stream, client) = connected().await;
    let status = client.status();
    let calls = [call(&client, "a"), call(&client, "b")];
    let taken = server.expect("POST /m?s=1").await;
    taken.status("202 Accepted").await;
    // The other one is posted, and not taken yet.
    let waits = server.expect("POST /m?s=1").await;
    drop(stream);
    for calling in calls {
        let error = calling.await.unwrap().unwrap_err();
        assert!(error.is_outcome_unknown() && error.is_connection_lost(), "{error:?}");
    }
    drop(waits);
    assert_eq!(*status.borrow(), StreamStatus::Idle);

    let calls = [call(&client, "a"), call(&client, "b"), call(&client, "c")];
    let mut stream = open(&mut server).await;
    shake_hands(&mut server, &mut stream).await;
    for _ in 0..3 {
        let asked = server.expect("POST /m?s=1").await;
        assert_eq!(asked.method(), "tools/call");
        let id = asked.id();
        asked.status("202 Accepted").await;
        stream.result(id, called()).await;
    }
    for calling in calls {
        calling.await.unwrap().unwrap();
    }
    assert!(!server.has_more());
    assert_eq!(*status.borrow(), StreamStatus::Open);
}

#[tokio::test]
async fn a_stream_that_cannot_be_opened_again_fails_the_call_and_is_tried_by_the_next() {
    let (mut server, stream, client) = connected().await;
    drop(stream);
    let mut status = client.status();
    status.wait_for(|status| *status == StreamStatus::Idle).await.unwrap();

    let calling = call(&client, "x");
    server.expect("GET /v1/sse").await.status("503 Service Unavailable").await;
    let error = calling.await.unwrap().unwrap_err();
    assert_eq!(error.status().map(|status| status.as_u16()), Some(503));

    // Lost within the handshake: the call did not run.
    let calling = call(&client, "x");
    let stream = open(&mut server).await;
    let asked = server.expect("POST /m?s=1").await;
    asked.status("202 Accepted").await;
    drop(stream);
    let error = calling.await.unwrap().unwrap_err();
    assert!(error.is_connection_lost() && !error.is_outcome_unknown(), "{error:?}");

    // Given up within the handshake: the stream is closed, and the next call begins with another.
    let calling = call(&client, "x");
    let stream = open(&mut server).await;
    let asked = server.expect("POST /m?s=1").await;
    calling.abort();
    stream.closed().await;
    drop(asked);
    let calling = call(&client, "x");
    let mut stream = open(&mut server).await;
    shake_hands(&mut server, &mut stream).await;
    let asked = server.expect("POST /m?s=1").await;
    stream.result(asked.id(), called()).await;
    calling.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_answer_in_the_response_to_the_post_counts() {
    let (mut server, _stream, client) = connected().await;
    let calling = call(&client, "x");
    server.expect("POST /m?s=1").await.result(called()).await;
    calling.await.unwrap().unwrap();
    // JSON that is no message says no more than "Accepted".
    let calling = call(&client, "x");
    let asked = server.expect("POST /m?s=1").await;
    let answer = json!({ "jsonrpc": "2.0", "id": asked.id(), "result": called() });
    asked.answer("200 OK", "application/json", r#"{"status":"queued"}"#).await;
    let mut stream = _stream;
    stream.message(answer).await;
    calling.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_event_that_is_too_large_ends_the_stream_and_not_the_client() {
    let (mut server, mut stream, client) = connected().await;
    let calling = call(&client, "x");
    server.expect("POST /m?s=1").await.status("202 Accepted").await;
    stream.raw("data: ").await;
    let part = "x".repeat(1024 * 1024);
    for _ in 0..17 {
        stream.raw(&part).await;
    }
    let error = calling.await.unwrap().unwrap_err();
    assert!(error.is_outcome_unknown(), "{error:?}");
    stream.closed().await;
    let calling = call(&client, "x");
    let mut stream = open(&mut server).await;
    shake_hands(&mut server, &mut stream).await;
    let asked = server.expect("POST /m?s=1").await;
    stream.result(asked.id(), called()).await;
    calling.await.unwrap().unwrap();
}

#[tokio::test]
async fn closing_fails_what_waits_and_closes_the_stream() {
    let (mut server, stream, client) = connected().await;
    let calling = call(&client, "x");
    let asked = server.expect("POST /m?s=1").await;
    client.close().await.unwrap();
    assert!(calling.await.unwrap().unwrap_err().is_closed());
    stream.closed().await;
    drop(asked);
    assert!(client.notify("x", &()).await.unwrap_err().is_closed());

    let (_server, stream, client) = connected().await;
    drop(client);
    stream.closed().await;
}

#[tokio::test]
async fn the_revision_is_said_where_its_rules_want_it() {
    let mut server = Scripted::start().await;
    let connecting = connect(&server);
    let mut stream = open(&mut server).await;
    let asked = server.expect("POST /m?s=1").await;
    assert!(!asked.head.contains("mcp-protocol-version"));
    let mut result = welcome();
    result["protocolVersion"] = "2025-06-18".into();
    stream.result(asked.id(), result).await;
    let initialized = server.expect("POST /m?s=1").await;
    assert!(initialized.head.contains("mcp-protocol-version: 2025-06-18"), "{}", initialized.head);
    initialized.status("202 Accepted").await;
    connecting.await.unwrap().unwrap();
}
