//! Connections are kept, shared and let go.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tower_service::Service;

use super::super::pool::Origin;
use super::super::{Connector, NetworkBody};
use super::server::{Answer, Authority, Endless, Server, answer, raw};
use super::{connector, options, post, request, send, text};
use crate::Client;
use crate::client::line::{BoxError, RequestBody};
use crate::revision::Revision;

async fn a_hundred(server: &Server, url: &str, connector: &super::Connector, version: &str) {
    for number in 0..100 {
        let response = send(connector, post(url, number.to_string())).await.unwrap();
        assert_eq!(response.headers()["x-version"], version);
        assert_eq!(text(response).await, number.to_string());
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_hundred_requests_one_connection() {
    let server = Server::echo(None).await;
    a_hundred(&server, &server.http("/"), &connector(&options()), "HTTP/1.1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn also_when_the_caller_is_faster_than_the_connection() {
    let server = Server::echo(None).await;
    a_hundred(&server, &server.http("/"), &connector(&options()), "HTTP/1.1").await;
}

#[tokio::test]
async fn a_hundred_requests_one_tls_connection_of_either_http() {
    let authority = Authority::new();
    for (protocols, version) in
        [(&["h2", "http/1.1"][..], "HTTP/2.0"), (&["http/1.1"], "HTTP/1.1"), (&[], "HTTP/1.1")]
    {
        let server = Server::echo(Some(authority.server(&["localhost"], protocols))).await;
        let connector = connector(&options().root_certificates(&authority.pem));
        a_hundred(&server, &server.https("/"), &connector, version).await;
    }
}

#[tokio::test]
async fn many_at_once_share_one_http_2_connection_from_the_start() {
    let authority = Authority::new();
    let server = Server::echo(Some(authority.server(&["localhost"], &["h2"]))).await;
    let connector = connector(&options().root_certificates(&authority.pem));
    let mut calls = Vec::new();
    for number in 0..50 {
        let (connector, url) = (connector.clone(), server.https("/"));
        calls.push(tokio::spawn(async move {
            text(send(&connector, post(url, number.to_string())).await.unwrap()).await
        }));
    }
    for (number, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap(), number.to_string());
    }
    assert_eq!(server.connections(), 1);
}

/// Open streams do not use up the connection: beyond what every server allows, there is another.
#[tokio::test]
async fn a_full_http_2_connection_is_not_waited_for() {
    let authority = Authority::new();
    let (dropped, _kept) = mpsc::unbounded_channel();
    let server = Server::start(Some(authority.server(&["localhost"], &["h2"])), move |request| {
        let answer = if request.uri().path() == "/open" { Endless::answer(&dropped) } else { answer("done") };
        async move { answer }
    })
    .await;
    let connector = connector(&options().root_certificates(&authority.pem));
    let mut open = Vec::new();
    for _ in 0..100 {
        open.push(send(&connector, request(Method::GET, server.https("/open"), "")).await.unwrap());
    }
    assert_eq!(server.connections(), 1);
    assert_eq!(text(send(&connector, post(server.https("/"), "x")).await.unwrap()).await, "done");
    assert_eq!(server.connections(), 2);
    drop(open.pop());
    for _ in 0..10 {
        assert_eq!(text(send(&connector, post(server.https("/"), "x")).await.unwrap()).await, "done");
    }
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn an_answer_without_a_body_gives_the_connection_back_unread() {
    let server = Server::start(None, |_| async {
        let mut answer = answer("");
        *answer.status_mut() = StatusCode::ACCEPTED;
        answer
    })
    .await;
    let connector = connector(&options());
    for _ in 0..10 {
        drop(send(&connector, post(server.http("/"), "x")).await.unwrap());
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn open_streams_and_calls_have_connections_of_their_own() {
    let (dropped, _kept) = mpsc::unbounded_channel();
    let server = Server::start(None, move |request| {
        let answer = if request.method() == Method::GET { Endless::answer(&dropped) } else { answer("done") };
        async move { answer }
    })
    .await;
    let connector = connector(&options());
    let _stream = send(&connector, request(Method::GET, server.http("/"), "")).await.unwrap();
    for _ in 0..10 {
        assert_eq!(text(send(&connector, post(server.http("/"), "x")).await.unwrap()).await, "done");
    }
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn requests_say_who_sends_them_and_to_whom() {
    let server = Server::start(None, |request| async move {
        assert_eq!(request.uri(), "/mcp?a=b");
        answer(format!("{:?} {:?}", request.headers()["host"], request.headers()["user-agent"]))
    })
    .await;
    let connector = connector(&options());
    let said = text(send(&connector, post(server.http("/mcp?a=b"), "x")).await.unwrap()).await;
    assert_eq!(said, format!("\"{}\" \"throughline/{}\"", server.address, env!("CARGO_PKG_VERSION")));
    let mut own = post(server.http("/mcp?a=b"), "x");
    own.headers_mut().insert("host", HeaderValue::from_static("inside.example.com"));
    own.headers_mut().insert("user-agent", HeaderValue::from_static("mine/1"));
    assert_eq!(text(send(&connector, own).await.unwrap()).await, "\"inside.example.com\" \"mine/1\"");
}

#[tokio::test]
async fn a_host_of_the_callers_is_the_authority_of_http_2() {
    let authority = Authority::new();
    let server = Server::start(Some(authority.server(&["localhost"], &["h2"])), |request| async move {
        assert!(!request.headers().contains_key("host"));
        answer(request.uri().authority().unwrap().to_string())
    })
    .await;
    let connector = connector(&options().root_certificates(&authority.pem));
    let mut own = post(server.https("/"), "x");
    own.headers_mut().insert("host", HeaderValue::from_static("inside.example.com"));
    assert_eq!(text(send(&connector, own).await.unwrap()).await, "inside.example.com");
}

/// The origin of a server in the pool.
fn origin(connector: &super::Connector, url: &str) -> std::sync::Arc<Origin> {
    connector.0.origin(&url.parse().unwrap()).unwrap()
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let mut server = Server::echo(None).await;
    let connector = connector(&options());
    text(send(&connector, post(server.http("/"), "x")).await.unwrap()).await;
    assert_eq!(origin(&connector, &server.http("/")).idle(), 1);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(49)).await;
    assert_eq!(*server.ended.borrow(), 0);
    // The clock is virtual: this ends when the client closes it, and hangs if it does not.
    server.ended.wait_for(|&ended| ended == 1).await.unwrap();
}

#[tokio::test]
async fn idle_http_2_connections_are_closed_and_used_ones_are_not() {
    let authority = Authority::new();
    let (dropped, _kept) = mpsc::unbounded_channel();
    let mut server = Server::start(Some(authority.server(&["localhost"], &["h2"])), move |_| {
        let answer = Endless::answer(&dropped);
        async move { answer }
    })
    .await;
    let connector =
        connector(&options().root_certificates(&authority.pem).idle_timeout(Duration::from_secs(5)));
    let stream = send(&connector, request(Method::GET, server.https("/"), "")).await.unwrap();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(20)).await;
    assert_eq!(*server.ended.borrow(), 0);
    drop(stream);
    server.ended.wait_for(|&ended| ended == 1).await.unwrap();
}

#[tokio::test]
async fn the_last_clone_takes_idle_connections_along() {
    let mut server = Server::echo(None).await;
    let connector = connector(&options());
    text(send(&connector, post(server.http("/"), "x")).await.unwrap()).await;
    let clone = connector.clone();
    drop(connector);
    text(send(&clone, post(server.http("/"), "x")).await.unwrap()).await;
    assert_eq!((server.connections(), *server.ended.borrow()), (1, 0));
    drop(clone);
    server.ended.wait_for(|&ended| ended == 1).await.unwrap();
}

/// Node.js closes after five seconds, and says so.
#[tokio::test]
async fn a_connection_is_not_used_when_the_server_is_about_to_close_it() {
    let server = Server::start(None, |_| async {
        let mut answer = answer("done");
        answer.headers_mut().insert("keep-alive", HeaderValue::from_static("timeout=5"));
        answer
    })
    .await;
    let connector = connector(&options());
    for (wait, connections) in [(0, 1), (3, 1), (4, 2)] {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(wait)).await;
        tokio::time::resume();
        text(send(&connector, post(server.http("/"), "x")).await.unwrap()).await;
        assert_eq!(server.connections(), connections, "after {wait} s");
    }
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_left() {
    let (address, mut connections) = raw().await;
    let url = format!("http://{address}/");
    let connector = connector(&options());
    for number in 0..3 {
        let calling = tokio::spawn({
            let (connector, url) = (connector.clone(), url.clone());
            async move { text(send(&connector, post(url, "ping")).await.unwrap()).await }
        });
        let mut stream = connections.recv().await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"ping") {
            assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0);
        }
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{number}");
        stream.write_all(answer.as_bytes()).await.unwrap();
        assert_eq!(calling.await.unwrap(), number.to_string());
        drop(stream);
        let origin = origin(&connector, &url);
        while origin.idle() > 0 {
            tokio::task::yield_now().await;
        }
    }
}

/// The runtime's only thread is blocked while the server closes, as by a computation or a machine that sleeps.
#[tokio::test]
async fn a_connection_that_was_closed_unseen_is_left() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (close, closing) = std::sync::mpsc::channel::<()>();
    let serve = move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"ping") {
            let mut some = [0; 1024];
            let count = stream.read(&mut some).unwrap();
            seen.extend_from_slice(&some[..count]);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\npong").unwrap();
        closing.recv().unwrap();
        (listener, closing)
    };
    let first = std::thread::spawn(serve);
    let connector = connector(&options());
    assert_eq!(text(send(&connector, post(&url, "ping")).await.unwrap()).await, "pong");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(2)).await;
    close.send(()).unwrap();
    let (listener, _closing) = first.join().unwrap();
    tokio::time::resume();
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let mut calling = tokio::spawn(async move { send(&connector, post(&url, "ping")).await });
    let mut stream = tokio::select! {
        accepted = listener.accept() => accepted.unwrap().0,
        called = &mut calling => panic!("it went over the old connection: {called:?}"),
    };
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nagain").await.unwrap();
    assert_eq!(text(calling.await.unwrap().unwrap()).await, "again");
}

#[tokio::test]
async fn an_unread_rest_that_has_arrived_costs_no_connection() {
    let server = Server::start(None, |_| async { answer("x".repeat(100)) }).await;
    let connector = connector(&options());
    let mut body = send(&connector, post(server.http("/"), "x")).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), 100);
    drop(body);
    text(send(&connector, post(server.http("/"), "x")).await.unwrap()).await;
    assert_eq!(server.connections(), 1);
}

/// A server that answers a call by a stream, and ends the stream only when it is told to.
#[tokio::test]
async fn a_stream_that_ends_after_its_answer_keeps_its_connection() {
    let (ends, server) = ending_late().await;
    let (told, mut ended) = mpsc::unbounded_channel();
    let watched = Watched { connector: connector(&options()), told };
    let client = Client::over(watched)
        .uri(server.http("/mcp").parse().unwrap())
        .revision(Revision::LATEST_LEGACY)
        .standalone_stream(false)
        .await
        .unwrap();
    for _ in 0..5 {
        client.call_tool("any", &json!({})).await.unwrap();
        ends.send(()).unwrap();
        assert_eq!(ended.recv().await, Some(true));
    }
    assert_eq!(server.connections(), 1);
}

async fn ending_late() -> (mpsc::UnboundedSender<()>, Server) {
    let (ends, end) = mpsc::unbounded_channel();
    let end = std::sync::Arc::new(tokio::sync::Mutex::new(end));
    let server = Server::start(None, move |request: Request<Incoming>| {
        let end = std::sync::Arc::clone(&end);
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let message: Value = serde_json::from_slice(&body).unwrap_or_default();
            let id = &message["id"];
            match message["method"].as_str() {
                Some("initialize") => {
                    let version = Revision::LATEST_LEGACY.date();
                    let info = json!({ "name": "late", "version": "1" });
                    let result =
                        json!({ "protocolVersion": version, "capabilities": {}, "serverInfo": info });
                    let text = json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string();
                    of_type("application/json", answer(text))
                }
                Some("tools/call") => {
                    let text = json!({ "jsonrpc": "2.0", "id": id, "result": { "content": [] } });
                    let first = Some(Bytes::from(format!("data: {text}\n\n")));
                    let end = end.lock_owned().await;
                    of_type("text/event-stream", Response::new(Late { first, end }.boxed_unsync()))
                }
                _ => {
                    let mut answer = answer("");
                    *answer.status_mut() = StatusCode::ACCEPTED;
                    answer
                }
            }
        }
    })
    .await;
    (ends, server)
}

fn of_type(kind: &'static str, mut answer: Answer) -> Answer {
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

/// Something, and the end when it is told.
struct Late {
    first: Option<Bytes>,
    end: tokio::sync::OwnedMutexGuard<mpsc::UnboundedReceiver<()>>,
}

impl Body for Late {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
            None => self.end.poll_recv(cx).map(|_| None),
        }
    }
}

/// A connector that tells whether a stream of events was read to its end.
#[derive(Clone)]
struct Watched {
    connector: Connector,
    told: mpsc::UnboundedSender<bool>,
}

struct WatchedBody {
    body: NetworkBody,
    told: Option<mpsc::UnboundedSender<bool>>,
}

impl Service<Request<RequestBody>> for Watched {
    type Response = Response<WatchedBody>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<WatchedBody>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let (answering, told) = (self.connector.call(request), self.told.clone());
        Box::pin(async move {
            let response = answering.await?;
            let is_stream =
                response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream");
            Ok(response.map(|body| WatchedBody { body, told: is_stream.then_some(told) }))
        })
    }
}

impl Body for WatchedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None))
            && let Some(told) = self.told.take()
        {
            told.send(true).unwrap();
        }
        polled.map_err(Into::into)
    }
}

impl Drop for WatchedBody {
    fn drop(&mut self) {
        if let Some(told) = self.told.take() {
            // The test may be over.
            let _ = told.send(false);
        }
    }
}
