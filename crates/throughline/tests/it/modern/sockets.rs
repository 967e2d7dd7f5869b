//! Over real sockets.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use throughline::revision::Revision;
use throughline::{Context, Server, StreamableHttp, tool};
use tokio::net::TcpStream;

use super::{Drops, tool_call, with_progress};
use crate::support::{Gate, Loopback, MODERN, call, initialize, kit, text, until};

/// A connection that is kept.
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: tokio::task::JoinHandle<()>,
    host: String,
}

impl Connection {
    async fn open(served: &Loopback) -> Self {
        let stream = TcpStream::connect(served.address).await.unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        let driver = tokio::spawn(async move {
            let _ = connection.await;
        });
        Self { sender, driver, host: served.address.to_string() }
    }

    async fn post(&mut self, headers: &[(&str, &str)], body: &Value) -> Response<Incoming> {
        let mut request = Request::post("/mcp")
            .header("host", &self.host)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream");
        for (name, value) in headers {
            request = request.header(HeaderName::try_from(*name).unwrap(), *value);
        }
        self.sender.ready().await.unwrap();
        self.sender
            .send_request(request.body(Full::new(Bytes::from(body.to_string()))).unwrap())
            .await
            .unwrap()
    }

    async fn post_modern(&mut self, body: &Value) -> Response<Incoming> {
        let method = body["method"].as_str().unwrap().to_owned();
        let name = body["params"]["name"].as_str().unwrap_or("none").to_owned();
        let headers =
            [("mcp-protocol-version", MODERN.date()), ("mcp-method", &*method), ("mcp-name", &*name)];
        self.post(&headers, body).await
    }

    /// The connection is closed, whatever is under way.
    fn cut(self) {
        self.driver.abort();
    }
}

async fn json_of(response: Response<Incoming>) -> (u16, HeaderMap, Value) {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status.as_u16(), parts.headers, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn eras_are_mixed_over_one_connection() {
    let endpoint = StreamableHttp::new(kit::server(&Gate::new()));
    let served = Loopback::serve(&endpoint).await;
    let mut connection = Connection::open(&served).await;
    let hello = connection.post(&[], &initialize(Revision::V2025_11_25, &json!({}))).await;
    let (status, headers, _) = json_of(hello).await;
    assert_eq!(status, 200);
    let session = headers["mcp-session-id"].to_str().unwrap();
    for round in 0..3 {
        let new = connection.post_modern(&tool_call(round, "echo", json!({ "text": "new" }))).await;
        let (status, headers, new) = json_of(new).await;
        assert_eq!((status, text(&new), &new["id"]), (200, "new", &json!(round)));
        assert!(!headers.contains_key("mcp-session-id"));
        let old = connection
            .post(
                &[("mcp-session-id", session), ("mcp-protocol-version", "2025-11-25")],
                &call(round, "echo", json!({ "text": "old" })),
            )
            .await;
        let (status, _, old) = json_of(old).await;
        assert_eq!((status, text(&old), &old["id"]), (200, "old", &json!(round)));
        assert!(old["result"].get("resultType").is_none());
        let wrong = connection
            .post(&[("mcp-protocol-version", MODERN.date())], &tool_call(1, "echo", json!({})))
            .await;
        assert_eq!(json_of(wrong).await.0, 400, "a refusal leaves the connection as it was");
    }
    drop(connection);
    served.stop().await;
}

#[tokio::test]
async fn a_connection_that_is_cut_drops_the_handler() {
    let (drops, gate) = (Drops::default(), Gate::new());
    let (guards, passes) = (drops.clone(), gate.clone());
    let server = Server::new("it", "1").tool(tool("wait", move |cx: Context| {
        let (guard, gate) = (guards.guard(), passes.clone());
        async move {
            let _guard = guard;
            cx.progress(1.0).await?;
            gate.pass().await;
            Ok::<_, throughline::Error>("never")
        }
    }));
    let endpoint = StreamableHttp::new(server);
    let served = Loopback::serve(&endpoint).await;

    let mut streaming = Connection::open(&served).await;
    let mut response = streaming.post_modern(&with_progress(tool_call(1, "wait", json!({})), "t")).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let first = response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(first.starts_with(b"data: "), "{first:?}");
    let mut undecided = Connection::open(&served).await;
    let sending = tokio::spawn(async move {
        let call = tool_call(2, "wait", json!({}));
        let _ = undecided.post_modern(&call).await;
    });
    gate.until_came(2).await;
    assert_eq!(drops.count(), 0);
    streaming.cut();
    until(|| drops.count() == 1).await;
    sending.abort();
    let _ = sending.await;
    until(|| drops.count() == 2).await;
    until(|| endpoint.in_flight() == 0).await;
    assert_eq!(gate.went(), 0);
    served.stop().await;
}
