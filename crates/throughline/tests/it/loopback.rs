//! Real sockets: HTTP/1.1, HTTP/2 without TLS, and a shutdown.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::request::Parts;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use throughline::revision::Revision;
use throughline::{Client, Context, PeerAddress, Principal, Server, StreamStatus, StreamableHttp, tool};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Checked, Gate, Loopback, REVISIONS, Tcp, Wire, call, initialize, kit, request, within};

#[tokio::test]
async fn every_revision_over_http_1() {
    let endpoint = StreamableHttp::new(kit::server(&Gate::new()));
    let served = Loopback::serve(&endpoint).await;
    for revision in REVISIONS {
        let client = Client::over(Checked::new(Tcp(served.address))).revision(revision).await.unwrap();
        let heard = Arc::new(AtomicUsize::new(0));
        let hears = Arc::clone(&heard);
        let result = client
            .call_tool("steps", &json!({ "count": 1000 }))
            .on_progress(move |_| {
                hears.fetch_add(1, Ordering::Relaxed);
            })
            .await
            .unwrap();
        assert_eq!(result.content[0].as_text(), Some("done"));
        assert_eq!(heard.load(Ordering::Relaxed), 1000);
        let mut status = client.status();
        within(status.wait_for(|status| *status == StreamStatus::Open)).await.unwrap();
        client.close().await.unwrap();
        assert_eq!(*status.borrow(), StreamStatus::Closed);
        assert!(client.ping().await.unwrap_err().is_closed());
        assert_eq!(endpoint.sessions(), 0);

        let wire = Wire::over(Tcp(served.address)).opened(revision, json!({})).await;
        let stream = wire.get().send().await.events();
        assert_eq!(wire.delete().send().await.status(), 204);
        assert!(stream.all().await.iter().all(|event| event.message.is_null()), "it ends with the session");
        assert_eq!(wire.post(request(2, "ping", json!({}))).send().await.status(), 404);
    }
    served.stop().await;
}

/// Where nobody looks at heads it is left out: whoever looks must find it.
#[tokio::test]
async fn hooks_and_handlers_see_the_address_of_the_peer() {
    fn seen(parts: &Parts) -> String {
        parts.extensions.get::<PeerAddress>().map(|peer| peer.0.ip().to_string()).unwrap_or_default()
    }

    /// Says where its caller is.
    #[tool]
    async fn peer(parts: Parts) -> String {
        seen(&parts)
    }

    let looks = StreamableHttp::new(Server::new("it", "1").tool(peer));
    let named = tool("peer", |cx: Context| async move {
        cx.caller().principal().map(|principal| principal.subject.to_string()).unwrap_or_default()
    });
    let hooked = StreamableHttp::builder(Server::new("it", "1").tool(named))
        .principal(|parts| Some(Principal::new("address", seen(parts))))
        .build();
    for endpoint in [looks, hooked] {
        let served = Loopback::serve(&endpoint).await;
        let client = Client::over(Checked::new(Tcp(served.address))).await.unwrap();
        let result = client.call_tool("peer", &json!({})).await.unwrap();
        assert_eq!(result.content[0].as_text(), Some("127.0.0.1"));
        client.close().await.unwrap();
        served.stop().await;
    }
}

#[tokio::test]
async fn many_calls_over_one_http_2_connection() {
    let gate = Gate::new();
    let endpoint = StreamableHttp::new(kit::server(&gate));
    let served = Loopback::serve(&endpoint).await;
    let socket = TcpStream::connect(served.address).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
    let connection = tokio::spawn(connection);
    let uri = format!("http://{}/mcp", served.address);
    let post = |session: Option<&str>, body: String| {
        let mut request = Request::post(&uri)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream");
        if let Some(session) = session {
            request = request.header("mcp-session-id", session);
        }
        let mut sender = sender.clone();
        async move { sender.send_request(request.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap() }
    };
    let hello = post(None, initialize(Revision::V2025_11_25, &json!({})).to_string()).await;
    let session = hello.headers()["mcp-session-id"].to_str().unwrap().to_owned();
    drop(hello.into_body().collect().await.unwrap());
    let mut calls = Vec::new();
    for id in 0..50 {
        let body = call(id, "gated", json!({ "before": 1, "after": 1 })).to_string();
        calls.push(post(Some(&session), body).await);
    }
    assert_eq!(endpoint.in_flight(), 50, "all run at once");
    gate.open(50);
    for response in calls {
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&body).contains(r#""text":"done""#));
    }
    connection.abort();
    served.stop().await;
}

#[tokio::test]
async fn a_shutdown_finishes_what_runs_and_closes_the_rest() {
    let gate = Gate::new();
    let endpoint = StreamableHttp::new(kit::server(&gate));
    let served = Loopback::serve_draining(&endpoint, Duration::from_secs(60)).await;
    let address = served.address;
    let wire = Wire::over(Tcp(address)).opened(Revision::LATEST_LEGACY, json!({})).await;
    let mut standalone = wire.get().send().await.events();
    assert!(standalone.next().await.is_some_and(|prime| prime.id.is_some()));
    let client = Client::over(Checked::new(Tcp(address))).revision(Revision::LATEST_LEGACY);
    let client = client.standalone_stream(false).await.unwrap();
    let heard = Arc::new(AtomicUsize::new(0));
    let calling = {
        let (client, hears) = (client.clone(), Arc::clone(&heard));
        tokio::spawn(async move {
            let call = client.call_tool("gated", &json!({ "before": 1, "after": 1 }));
            let hear = move |_| {
                hears.fetch_add(1, Ordering::Relaxed);
            };
            call.on_progress(hear).await
        })
    };
    gate.until_came(1).await;
    let stopping = tokio::spawn(served.stop());
    while !endpoint.is_draining() {
        tokio::task::yield_now().await;
    }
    assert!(client.ping().await.unwrap_err().is_connection_lost(), "nobody is let in");
    gate.open(1);
    calling.await.unwrap().unwrap();
    assert_eq!(heard.load(Ordering::Relaxed), 2);
    let mut retry = None;
    while let Some(received) = standalone.next().await {
        assert!(received.message.get("result").is_none());
        retry = received.retry.or(retry);
    }
    assert!(retry.is_some(), "streams are told to come back");
    stopping.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_head_that_never_comes_whole_ends_its_connection() {
    let endpoint = StreamableHttp::new(kit::server(&Gate::new()));
    let served = Loopback::serve(&endpoint).await;
    let mut socket = TcpStream::connect(served.address).await.unwrap();
    socket.write_all(b"POST /mcp HTTP/1.1\r\nhost: loc").await.unwrap();
    let mut answer = Vec::new();
    // The clock is virtual: this ends when the server gives up, and hangs if it does not.
    socket.read_to_end(&mut answer).await.unwrap();
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&answer));
    served.stop().await;
}

/// Of such a connection it is not known which HTTP it will speak, and the clocks for heads do not run yet.
#[tokio::test(start_paused = true)]
async fn a_connection_that_says_nothing_or_half_a_preface_is_ended() {
    let endpoint = StreamableHttp::new(kit::server(&Gate::new()));
    let served = Loopback::serve(&endpoint).await;
    for words in [&b""[..], b"P", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r"] {
        let began = tokio::time::Instant::now();
        let mut socket = TcpStream::connect(served.address).await.unwrap();
        socket.write_all(words).await.unwrap();
        let mut answer = Vec::new();
        // The clock is virtual: this ends when the server gives up, and hangs if it does not.
        let _ = socket.read_to_end(&mut answer).await;
        assert_eq!((answer, began.elapsed().as_secs()), (Vec::new(), 30), "{words:?}");
    }
    served.stop().await;
}

/// A head that comes byte by byte is no reason to wait longer than for one that does not come.
#[tokio::test(start_paused = true)]
async fn a_head_that_trickles_ends_its_connection() {
    let endpoint = StreamableHttp::new(kit::server(&Gate::new()));
    let served = Loopback::serve(&endpoint).await;
    let began = tokio::time::Instant::now();
    let socket = TcpStream::connect(served.address).await.unwrap();
    let (mut reading, mut writing) = socket.into_split();
    let trickling = tokio::spawn(async move {
        while writing.write_all(b"x").await.is_ok() {
            tokio::time::advance(Duration::from_secs(1)).await;
        }
    });
    let mut answer = Vec::new();
    let _ = reading.read_to_end(&mut answer).await;
    assert!(began.elapsed() <= Duration::from_secs(61), "{:?}", began.elapsed());
    trickling.await.unwrap();
    served.stop().await;
}

/// Over HTTP/2 too a body has its time, and only its stream ends with it.
#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_over_http_2_is_408() {
    let endpoint = StreamableHttp::new(kit::server(&Gate::new()));
    let served = Loopback::serve(&endpoint).await;
    let socket = TcpStream::connect(served.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
    let connection = tokio::spawn(connection);
    let uri = format!("http://{}/mcp", served.address);
    let request = Request::post(&uri).header("content-type", "application/json").body(Silent).unwrap();
    let began = tokio::time::Instant::now();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!((response.status().as_u16(), began.elapsed().as_secs()), (408, 30));
    assert!(!connection.is_finished());
    connection.abort();
    served.stop().await;
}

/// A body that never comes.
struct Silent;

impl http_body::Body for Silent {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Pending
    }
}
