//! HTTP requests written by hand, and their responses taken apart.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use throughline::revision::Revision;
use throughline::{Authorized, StreamableHttp};
use throughline_proto::sse::Decoder;
use tower_service::Service;

use super::checked::CheckedBody;
use super::{Checked, Tcp, call, initialize, within};

/// A client without any wits: what the test says is what is sent.
#[derive(Clone)]
pub(crate) struct Wire {
    way: Way,
    headers: HeaderMap,
    /// What vouches for each of its requests.
    authorized: Option<Authorized>,
}

/// The way to the server.
#[derive(Clone)]
enum Way {
    Memory(Checked<StreamableHttp>),
    Socket(Checked<Tcp>),
}

impl Way {
    /// Sends a request; the error says how its connection was lost.
    async fn send(self, request: Request<Full<Bytes>>) -> Result<Answer, String> {
        match self {
            Way::Memory(mut service) => service.call(request).await.map(Answer::new),
            Way::Socket(mut service) => service.call(request).await.map(Answer::new),
        }
        .map_err(|error| error.to_string())
    }
}

impl Wire {
    /// Without a session.
    pub(crate) fn new(endpoint: &StreamableHttp) -> Self {
        Self { way: Way::Memory(Checked::new(endpoint.clone())), headers: HeaderMap::new(), authorized: None }
    }

    /// Over real sockets, without a session.
    pub(crate) fn over(socket: Tcp) -> Self {
        Self { way: Way::Socket(Checked::new(socket)), headers: HeaderMap::new(), authorized: None }
    }

    /// With a session that is ready.
    pub(crate) async fn open(endpoint: &StreamableHttp, revision: Revision) -> Self {
        Self::open_with(endpoint, revision, json!({})).await
    }

    /// With a session that is ready, of a client with these capabilities.
    pub(crate) async fn open_with(
        endpoint: &StreamableHttp,
        revision: Revision,
        capabilities: Value,
    ) -> Self {
        Self::new(endpoint).opened(revision, capabilities).await
    }

    /// The same with a session that is ready, of a client with these capabilities.
    pub(crate) async fn opened(mut self, revision: Revision, capabilities: Value) -> Self {
        let answer = self.post(initialize(revision, &capabilities)).send().await;
        self.adopt(&answer, revision);
        drop(answer.text().await);
        let ready =
            self.post(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).send().await;
        assert_eq!(ready.status(), 202);
        self
    }

    /// Goes on in the session that this answer to `initialize` opened.
    pub(crate) fn adopt(&mut self, answer: &Answer, revision: Revision) {
        assert_eq!(answer.status(), 200);
        let id = answer.headers.get("mcp-session-id").expect("a session id").clone();
        self.headers.insert("mcp-session-id", id);
        if revision.has_version_header() {
            self.headers.insert("mcp-protocol-version", HeaderValue::from_static(revision.date()));
        }
    }

    /// Goes on in the same session, with another process.
    pub(crate) fn moved_to(&self, endpoint: &StreamableHttp) -> Self {
        let Way::Memory(service) = &self.way else { panic!("processes here are in memory") };
        Self { way: Way::Memory(service.moved_to(endpoint.clone())), ..self.clone() }
    }

    /// The same, and whatever checks credentials in front of the server lets it in as this.
    pub(crate) fn authorized(mut self, authorized: Authorized) -> Self {
        self.authorized = Some(authorized);
        self
    }

    /// The same with one more header.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(HeaderName::from_static(name), value.parse().expect("a header"));
        self
    }

    pub(crate) fn session_id(&self) -> &str {
        self.headers["mcp-session-id"].to_str().expect("text")
    }

    /// A POST of a message.
    pub(crate) fn post(&self, message: Value) -> Sending {
        self.post_bytes(message.to_string())
    }

    /// A POST of any body.
    pub(crate) fn post_bytes(&self, body: impl Into<Bytes>) -> Sending {
        self.request(Method::POST, body.into())
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
    }

    /// A GET of events.
    pub(crate) fn get(&self) -> Sending {
        self.request(Method::GET, Bytes::new()).header("accept", "text/event-stream")
    }

    /// A GET of the events after this id.
    pub(crate) fn resume(&self, last_event_id: &str) -> Sending {
        self.get().header("last-event-id", last_event_id)
    }

    pub(crate) fn delete(&self) -> Sending {
        self.request(Method::DELETE, Bytes::new())
    }

    pub(crate) fn request(&self, method: Method, body: Bytes) -> Sending {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = "http://localhost/mcp".parse().expect("an address");
        request.headers_mut().extend(self.headers.clone());
        if let Some(authorized) = &self.authorized {
            request.extensions_mut().insert(authorized.clone());
        }
        Sending { way: self.way.clone(), request }
    }

    /// Calls a tool, and gives the events of its stream.
    pub(crate) async fn call(&self, id: impl Into<Value>, tool: &str, arguments: Value) -> Events {
        self.post(call(id, tool, arguments)).send().await.events()
    }
}

/// A request about to be sent.
pub(crate) struct Sending {
    way: Way,
    request: Request<Full<Bytes>>,
}

impl Sending {
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.request.headers_mut().insert(HeaderName::from_static(name), value.parse().expect("a header"));
        self
    }

    /// Adds a header that may be there already.
    pub(crate) fn append(mut self, name: &'static str, value: &str) -> Self {
        self.request.headers_mut().append(HeaderName::from_static(name), value.parse().expect("a header"));
        self
    }

    pub(crate) fn without(mut self, name: &'static str) -> Self {
        self.request.headers_mut().remove(name);
        self
    }

    pub(crate) fn uri(mut self, uri: &'static str) -> Self {
        *self.request.uri_mut() = http::Uri::from_static(uri);
        self
    }

    /// Sends it and waits for the head of the response.
    pub(crate) fn send(self) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        Box::pin(async move { within(self.try_send()).await.expect("the server answers") })
    }

    /// The same where the connection may be lost.
    pub(crate) async fn try_send(self) -> Result<Answer, String> {
        self.way.send(self.request).await
    }

    /// Sends it in a task of its own: for a response whose head takes its time.
    pub(crate) fn start(self) -> tokio::task::JoinHandle<Answer> {
        tokio::spawn(self.send())
    }
}

type BoxBody = Pin<Box<dyn http_body::Body<Data = Bytes, Error = Box<dyn Debug + Send>> + Send>>;

/// A response.
pub(crate) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: BoxBody,
}

impl Answer {
    fn new<B>(response: Response<CheckedBody<B>>) -> Self
    where
        CheckedBody<B>: http_body::Body<Data = Bytes, Error: Debug + Send> + Send + 'static,
    {
        let (parts, body) = response.into_parts();
        let body = body.map_err(|error| Box::new(error) as Box<dyn Debug + Send>);
        Self { status: parts.status, headers: parts.headers, body: Box::pin(body) }
    }

    pub(crate) fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// A header; empty when it is missing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    pub(crate) async fn text(self) -> String {
        let body = within(self.body.collect()).await.expect("a body").to_bytes();
        String::from_utf8(body.to_vec()).expect("text")
    }

    /// The JSON body.
    pub(crate) async fn json(self) -> Value {
        assert_eq!(self.header("content-type"), "application/json");
        let text = self.text().await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("JSON: {error} in {text}"))
    }

    /// The stream of events.
    pub(crate) fn events(self) -> Events {
        assert_eq!((self.status(), self.header("content-type")), (200, "text/event-stream"));
        Events { body: self.body, decoder: Decoder::new(16 << 20) }
    }

    /// The refusal in one line: status, code, sentence.
    pub(crate) async fn refusal(self) -> String {
        let status = self.status();
        assert!(status >= 400, "a refusal: {status}");
        let body = self.json().await;
        assert_eq!(body["jsonrpc"], "2.0");
        let error = &body["error"];
        format!("{status} {}: {}", error["code"], error["message"].as_str().expect("a message"))
    }
}

/// The events of a response.
pub(crate) struct Events {
    body: BoxBody,
    decoder: Decoder,
}

/// One event.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) id: Option<String>,
    pub(crate) retry: Option<Duration>,
    /// The message; null where there is none.
    pub(crate) message: Value,
}

impl Event {
    /// Progress, when it is that.
    pub(crate) fn progress(&self) -> Option<f64> {
        self.message["params"]["progress"].as_f64()
    }
}

impl Events {
    /// The next event; `None` at the end of the response.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        within(self.try_next()).await.expect("a connection that holds")
    }

    /// The same where the connection may be lost.
    pub(crate) async fn try_next(&mut self) -> Result<Option<Event>, String> {
        loop {
            if let Some(event) = self.decoder.next_event() {
                let event = event.expect("an event of bounded size");
                let message = match &*event.data {
                    "" => Value::Null,
                    data => serde_json::from_str(data).expect("JSON"),
                };
                return Ok(Some(Event { id: event.id, retry: event.retry, message }));
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            let frame = frame.map_err(|error| format!("{error:?}"))?;
            self.decoder.push(&frame.into_data().expect("no trailers"));
        }
    }

    /// The next event that has a message.
    pub(crate) async fn message(&mut self) -> Event {
        loop {
            let event = self.next().await.expect("an event before the end");
            if !event.message.is_null() {
                return event;
            }
        }
    }

    /// All events up to the end of the response.
    pub(crate) async fn all(mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }

    /// The next bytes as they are.
    pub(crate) async fn chunk(&mut self) -> Option<Bytes> {
        let frame = within(self.body.frame()).await?;
        Some(frame.expect("a connection that holds").into_data().expect("no trailers"))
    }

    /// The messages that are there now, and whether the response has ended.
    pub(crate) async fn now(&mut self) -> (Vec<Value>, bool) {
        let (mut messages, mut ended) = (Vec::new(), false);
        super::settle().await;
        while !ended {
            let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(self.body.as_mut().poll_frame(cx)));
            match polled.await {
                std::task::Poll::Pending => break,
                std::task::Poll::Ready(None) => ended = true,
                std::task::Poll::Ready(Some(frame)) => {
                    let frame = frame.expect("a connection that holds");
                    self.decoder.push(&frame.into_data().expect("no trailers"));
                }
            }
        }
        while let Some(event) = self.decoder.next_event() {
            let event = event.expect("an event of bounded size");
            messages.push(serde_json::from_str(&event.data).expect("JSON"));
        }
        (messages, ended)
    }

    /// Whether nothing more is there now.
    pub(crate) async fn is_quiet(&mut self) -> bool {
        super::settle().await;
        std::future::poll_fn(|cx| std::task::Poll::Ready(self.body.as_mut().poll_frame(cx).is_pending()))
            .await
    }
}
