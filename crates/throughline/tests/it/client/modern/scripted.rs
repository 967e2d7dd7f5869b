//! A server that says what the test says, over HTTP or over a pipe.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{self, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use throughline::revision::Revision;
use throughline::{Client, Connect, RequestBody};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::sync::{mpsc, oneshot};

use crate::support::{settle, within};

/// The server's side.
pub(super) struct Scripted {
    requests: mpsc::UnboundedReceiver<Seen>,
    /// What is said on a pipe.
    pipe: Option<mpsc::UnboundedSender<Value>>,
}

/// A message that the client sent.
pub(super) struct Seen {
    pub(super) headers: HeaderMap,
    /// Null for a request without a body.
    pub(super) message: Value,
    pub(super) verb: http::Method,
    way: Way,
}

enum Way {
    Http(oneshot::Sender<Response<Scroll>>),
    Pipe(mpsc::UnboundedSender<Value>),
}

/// A response that goes on. Dropping it ends the response.
pub(super) struct Stream {
    pub(super) id: Value,
    way: StreamWay,
}

enum StreamWay {
    Http(mpsc::UnboundedSender<Bytes>),
    Pipe(mpsc::UnboundedSender<Value>),
}

/// The transports.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Over {
    Http,
    Pipe,
}

pub(super) const BOTH: [Over; 2] = [Over::Http, Over::Pipe];

/// A server without a script yet, and a client that will connect to it.
pub(super) fn scripted(over: Over) -> (Scripted, Connect) {
    match over {
        Over::Http => {
            let (sender, requests) = mpsc::unbounded_channel();
            (Scripted { requests, pipe: None }, Client::over(Service(sender)))
        }
        Over::Pipe => {
            let (sender, requests) = mpsc::unbounded_channel();
            let (said, mut saying) = mpsc::unbounded_channel::<Value>();
            let (ours, theirs) = tokio::io::duplex(1 << 20);
            let (reader, mut writer) = tokio::io::split(theirs);
            let way = said.clone();
            let reading = tokio::spawn(async move {
                let mut lines = BufReader::new(reader).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    let message = serde_json::from_str(&line).expect("the client writes JSON");
                    let seen = Seen {
                        headers: HeaderMap::new(),
                        message,
                        verb: http::Method::POST,
                        way: Way::Pipe(way.clone()),
                    };
                    if sender.send(seen).is_err() {
                        return;
                    }
                }
            });
            tokio::spawn(async move {
                while let Some(message) = saying.recv().await {
                    if message.is_null() {
                        // The end: both directions close.
                        reading.abort();
                        return;
                    }
                    if writer.write_all(format!("{message}\n").as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
            let (reader, writer) = tokio::io::split(ours);
            (Scripted { requests, pipe: Some(said) }, Client::over_io(reader, writer))
        }
    }
}

/// The same, connected in the modern era.
pub(super) async fn connected(over: Over, with: impl FnOnce(Connect) -> Connect) -> (Scripted, Client) {
    let (mut server, connect) = scripted(over);
    let (client, ()) = tokio::join!(with(connect), async {
        server.next().await.result(discovered());
    });
    (server, client.unwrap())
}

/// What a modern server says of itself.
pub(super) fn discovered() -> Value {
    discovered_as(&[Revision::LATEST])
}

pub(super) fn discovered_as(revisions: &[Revision]) -> Value {
    let versions: Vec<_> = revisions.iter().map(|revision| revision.date()).collect();
    json!({
        "resultType": "complete", "supportedVersions": versions, "ttlMs": 0, "cacheScope": "private",
        "capabilities": { "tools": {}, "resources": {}, "prompts": {}, "logging": {} },
    })
}

/// What a legacy server says of itself.
pub(super) fn initialized() -> Value {
    json!({
        "protocolVersion": Revision::LATEST_LEGACY.date(),
        "capabilities": { "tools": {}, "resources": { "subscribe": true }, "logging": {} },
        "serverInfo": { "name": "scripted", "version": "1" },
    })
}

impl Scripted {
    /// The next message of the client's.
    pub(super) async fn next(&mut self) -> Seen {
        within(self.requests.recv()).await.expect("the client is there")
    }

    /// The next request, which must be of this method.
    pub(super) async fn expect(&mut self, method: &str) -> Seen {
        let seen = self.next().await;
        assert_eq!(seen.method(), method, "{}", seen.message);
        seen
    }

    /// The client sends nothing more.
    pub(super) async fn is_quiet(&mut self) -> bool {
        settle().await;
        match self.requests.try_recv() {
            Ok(seen) => panic!("the client sent {}", seen.message),
            Err(_) => true,
        }
    }

    /// Ends the pipe.
    pub(super) fn hang_up(&self) {
        let _ = self.pipe.as_ref().expect("a pipe").send(Value::Null);
    }

    /// The handshake of the legacy era, from `initialize` on. Ends after the GET for the standalone stream was refused.
    pub(super) async fn open_session(&mut self, over: Over) {
        let initialize = self.expect("initialize").await;
        initialize.answer(
            200,
            &[("mcp-session-id", "s-1")],
            |id| json!({ "jsonrpc": "2.0", "id": id, "result": initialized() }),
        );
        self.expect("notifications/initialized").await.accept();
        if over == Over::Http {
            let get = self.next().await;
            assert_eq!(get.verb, http::Method::GET);
            get.refuse(405);
        }
    }
}

impl Seen {
    pub(super) fn method(&self) -> &str {
        self.message["method"].as_str().unwrap_or_default()
    }

    pub(super) fn id(&self) -> Value {
        self.message["id"].clone()
    }

    pub(super) fn params(&self) -> &Value {
        &self.message["params"]
    }

    pub(super) fn meta(&self, name: &str) -> &Value {
        &self.message["params"]["_meta"][name]
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// Answers with a result.
    pub(super) fn result(self, result: Value) {
        self.answer(200, &[], |id| json!({ "jsonrpc": "2.0", "id": id, "result": result }));
    }

    /// Answers with an error.
    pub(super) fn error(self, status: u16, code: i32) {
        self.error_with(status, code, Value::Null);
    }

    pub(super) fn error_with(self, status: u16, code: i32, data: Value) {
        self.answer(status, &[], |id| {
            let mut error = json!({ "code": code, "message": "no" });
            if !data.is_null() {
                error["data"] = data;
            }
            json!({ "jsonrpc": "2.0", "id": id, "error": error })
        });
    }

    fn answer(
        self,
        status: u16,
        headers: &[(&'static str, &'static str)],
        message: impl FnOnce(Value) -> Value,
    ) {
        let message = message(self.id());
        match self.way {
            Way::Http(reply) => {
                let mut response =
                    Response::builder().status(status).header("content-type", "application/json");
                for (name, value) in headers {
                    response = response.header(*name, *value);
                }
                let _ = reply.send(response.body(Scroll::of(message.to_string())).unwrap());
            }
            Way::Pipe(said) => said.send(message).unwrap(),
        }
    }

    /// Refuses without a word.
    pub(super) fn refuse(self, status: u16) {
        let Way::Http(reply) = self.way else { panic!("there are no statuses on a pipe") };
        let _ = reply.send(Response::builder().status(status).body(Scroll::of("")).unwrap());
    }

    /// Takes a message on that is not answered.
    pub(super) fn accept(self) {
        if matches!(self.way, Way::Http(_)) {
            self.refuse(202);
        }
    }

    /// Answers with a stream.
    pub(super) fn stream(self) -> Stream {
        let id = self.id();
        match self.way {
            Way::Http(reply) => {
                let (sender, body) = mpsc::unbounded_channel();
                let response = Response::builder().header("content-type", "text/event-stream");
                let _ = reply.send(response.body(Scroll(body)).unwrap());
                Stream { id, way: StreamWay::Http(sender) }
            }
            Way::Pipe(said) => Stream { id, way: StreamWay::Pipe(said) },
        }
    }
}

impl Stream {
    pub(super) fn send(&self, message: Value) {
        match &self.way {
            StreamWay::Http(body) => {
                let _ = body.send(Bytes::from(format!("data: {message}\n\n")));
            }
            StreamWay::Pipe(said) => said.send(message).unwrap(),
        }
    }

    /// A notification of this subscription.
    pub(super) fn tell(&self, method: &str, params: Value) {
        self.tell_as(self.id.clone(), method, params);
    }

    /// A notification of another, or of none.
    pub(super) fn tell_as(&self, id: Value, method: &str, mut params: Value) {
        if !id.is_null() {
            params["_meta"] = json!({ "io.modelcontextprotocol/subscriptionId": id });
        }
        self.send(json!({ "jsonrpc": "2.0", "method": format!("notifications/{method}"), "params": params }));
    }

    pub(super) fn acknowledge(&self, filter: Value) {
        self.tell("subscriptions/acknowledged", json!({ "notifications": filter }));
    }

    /// Answers the request: it is over in good order.
    pub(super) fn end(self) {
        let meta = json!({ "io.modelcontextprotocol/subscriptionId": self.id });
        self.send(json!({
            "jsonrpc": "2.0", "id": self.id, "result": { "resultType": "complete", "_meta": meta },
        }));
    }

    /// Waits until the client has closed it.
    pub(super) async fn closed(&self, server: &mut Scripted) {
        match &self.way {
            StreamWay::Http(body) => within(body.closed()).await,
            StreamWay::Pipe(_) => {
                let seen = server.expect("notifications/cancelled").await;
                assert_eq!(seen.params()["requestId"], self.id);
            }
        }
    }
}

/// The tower service of the HTTP side.
#[derive(Clone)]
struct Service(mpsc::UnboundedSender<Seen>);

impl tower_service::Service<Request<RequestBody>> for Service {
    type Response = Response<Scroll>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let requests = self.0.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.expect("a body in memory").to_bytes();
            let message = serde_json::from_slice(&body).unwrap_or(Value::Null);
            let (reply, response) = oneshot::channel();
            let (headers, verb) = (parts.headers, parts.method);
            requests.send(Seen { headers, message, verb, way: Way::Http(reply) })?;
            Ok(response.await?)
        })
    }
}

/// A body that is written as the test goes on.
struct Scroll(mpsc::UnboundedReceiver<Bytes>);

impl Scroll {
    fn of(text: impl Into<Bytes>) -> Self {
        let (sender, body) = mpsc::unbounded_channel();
        let _ = sender.send(text.into());
        Self(body)
    }
}

impl Body for Scroll {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
    }
}
