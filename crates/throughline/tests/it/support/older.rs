//! A client of HTTP+SSE by hand: what the test says is what is posted, and what comes on the stream is checked.

use std::collections::HashMap;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use throughline::revision::Revision;
use throughline::{Authorized, HttpSse, ResponseBody, Server, StreamableHttp};
use throughline_proto::sse::{Decoder, Event};

use super::{checked, initialize, within};

/// One client with its stream.
pub(crate) struct Older {
    service: HttpSse,
    /// What vouches for each of its requests.
    pub(crate) authorized: Option<Authorized>,
    /// Where it posts.
    pub(crate) address: String,
    pub(crate) stream: Option<ResponseBody>,
    decoder: Decoder,
    revision: Revision,
    /// The method of each request, by id.
    methods: HashMap<String, String>,
}

/// Sends a request with a body and further headers.
pub(crate) async fn send(
    service: &HttpSse,
    method: Method,
    address: &str,
    headers: &[(&'static str, &str)],
    body: impl Into<Bytes>,
) -> Response<ResponseBody> {
    send_as(service, None, method, address, headers, body).await
}

/// The same of somebody whom whatever checks credentials in front of the server lets in.
async fn send_as(
    service: &HttpSse,
    authorized: Option<&Authorized>,
    method: Method,
    address: &str,
    headers: &[(&'static str, &str)],
    body: impl Into<Bytes>,
) -> Response<ResponseBody> {
    let mut request = Request::new(Full::new(body.into()));
    *request.method_mut() = method;
    *request.uri_mut() = format!("http://localhost{address}").parse().expect("an address");
    for (name, value) in headers {
        let value = HeaderValue::from_str(value).expect("a header");
        request.headers_mut().append(HeaderName::from_static(name), value);
    }
    if let Some(authorized) = authorized {
        request.extensions_mut().insert(authorized.clone());
    }
    within(service.handle(request)).await
}

/// The refusal in one line: status, code, sentence.
pub(crate) async fn refusal(response: Response<ResponseBody>) -> String {
    let status = response.status().as_u16();
    assert!(status >= 400, "a refusal: {status}");
    assert_eq!(response.headers()["content-type"], "application/json");
    let body = within(response.into_body().collect()).await.expect("a body").to_bytes();
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(body["jsonrpc"], "2.0");
    let id = if body["id"].is_null() { String::new() } else { format!(" (id {})", body["id"]) };
    format!(
        "{status} {}{id}: {}",
        body["error"]["code"],
        body["error"]["message"].as_str().expect("a sentence")
    )
}

impl Older {
    /// With a stream, without a session.
    pub(crate) async fn connect(service: &HttpSse) -> Self {
        Self::connect_with(service, &[]).await
    }

    /// The same with further headers.
    pub(crate) async fn connect_with(service: &HttpSse, headers: &[(&'static str, &str)]) -> Self {
        Self::connect_as(service, None, headers).await
    }

    /// The same of somebody who is let in.
    pub(crate) async fn connect_as(
        service: &HttpSse,
        authorized: Option<Authorized>,
        headers: &[(&'static str, &str)],
    ) -> Self {
        let headers = [&[("accept", "text/event-stream")], headers].concat();
        let response = send_as(service, authorized.as_ref(), Method::GET, "/sse", &headers, "").await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut older = Self {
            service: service.clone(),
            authorized,
            address: String::new(),
            stream: Some(response.into_body()),
            decoder: Decoder::new(32 << 20),
            revision: Revision::LATEST_LEGACY,
            methods: HashMap::new(),
        };
        let first = older.event().await.expect("an event");
        assert_eq!((first.event.as_deref(), first.id), (Some("endpoint"), None));
        older.address = first.data;
        older
    }

    /// With a session that is ready, of a client with these capabilities.
    pub(crate) async fn open(service: &HttpSse, revision: Revision, capabilities: Value) -> Self {
        let mut older = Self::connect(service).await;
        older.initialize(revision, &capabilities).await;
        older
    }

    /// The same with a server that nobody else uses.
    pub(crate) async fn of(server: Server, revision: Revision, capabilities: Value) -> Self {
        Self::open(&StreamableHttp::new(server).http_sse(), revision, capabilities).await
    }

    /// Opens the session; the answer.
    pub(crate) async fn initialize(&mut self, revision: Revision, capabilities: &Value) -> Value {
        self.revision = revision;
        let answer = self.ask(&initialize(revision, capabilities)).await;
        assert_eq!(answer["result"]["protocolVersion"], revision.date(), "{answer}");
        self.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
        answer
    }

    pub(crate) fn session_id(&self) -> &str {
        self.address.split_once("sessionId=").expect("a session").1
    }

    /// Posts a message, or a batch, which is taken.
    pub(crate) async fn send(&mut self, message: &Value) {
        self.note(message);
        let response = self.post(message.to_string()).await;
        let status = response.status();
        if status != 202 {
            panic!("{}", refusal(response).await);
        }
        let body = within(response.into_body().collect()).await.expect("a body").to_bytes();
        assert!(body.is_empty(), "the answer is on the stream");
    }

    /// Remembers what is posted by other means, so that its answer can be checked.
    pub(crate) fn note(&mut self, message: &Value) {
        let messages = message.as_array().map_or(std::slice::from_ref(message), Vec::as_slice);
        for message in messages {
            if let (Some(id), Some(method)) = (message.get("id"), message["method"].as_str()) {
                self.methods.insert(id.to_string(), method.to_owned());
            }
        }
    }

    /// Posts anything.
    pub(crate) async fn post(&self, body: impl Into<Bytes>) -> Response<ResponseBody> {
        let headers = [("content-type", "application/json")];
        send_as(&self.service, self.authorized.as_ref(), Method::POST, &self.address, &headers, body).await
    }

    /// The next event; `None` at the end of the stream.
    pub(crate) async fn event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.decoder.next_event() {
                return Some(event.expect("an event of bounded size"));
            }
            let frame = within(self.stream.as_mut().expect("it was not closed").frame()).await?;
            self.decoder.push(&frame.expect("it holds").into_data().expect("no trailers"));
        }
    }

    /// The next message, or array of messages; `None` at the end of the stream.
    pub(crate) async fn next_or_end(&mut self) -> Option<Value> {
        let event = loop {
            let event = self.event().await?;
            // What says when to come back carries nothing.
            if event.retry.is_none() || !event.data.is_empty() {
                break event;
            }
        };
        assert_eq!((event.event.as_deref(), &event.id), (Some("message"), &None));
        let value: Value = serde_json::from_str(&event.data).expect("JSON");
        let messages = value.as_array().map_or(std::slice::from_ref(&value), Vec::as_slice);
        for message in messages {
            let method = message["method"].as_str().map(str::to_owned);
            let answered = || self.methods.get(&message["id"].to_string()).cloned().unwrap_or_default();
            // Only the newest schema has errors without an id.
            let is_bare = message.get("id").is_none() && message.get("error").is_some();
            let revision = if is_bare { Revision::LATEST_LEGACY } else { self.revision };
            checked::check(revision, &method.unwrap_or_else(answered), message);
        }
        Some(value)
    }

    /// The next message, which must be there.
    pub(crate) async fn next(&mut self) -> Value {
        self.next_or_end().await.expect("a message before the end")
    }

    /// The answer to a request that sends nothing before it.
    pub(crate) async fn ask(&mut self, request: &Value) -> Value {
        self.send(request).await;
        let answer = self.next().await;
        assert_eq!(answer["id"], request["id"], "{answer}");
        answer
    }

    /// The answer to a request, which must be a refusal: its id, code and sentence.
    pub(crate) async fn refused(&mut self, request: &Value) -> String {
        let answer = self.ask(request).await;
        let error = &answer["error"];
        let sentence = error["message"].as_str().unwrap_or_else(|| panic!("{answer}"));
        format!("{} {}: {sentence}", answer["id"], error["code"])
    }

    /// Whether the server has nothing to say: it answers a ping next.
    pub(crate) async fn is_quiet(&mut self) -> bool {
        super::settle().await;
        let ping = super::request("quiet?", "ping", json!({}));
        self.send(&ping).await;
        self.next().await["id"] == "quiet?"
    }

    /// Loses the connection of the stream.
    pub(crate) fn cut(&mut self) {
        self.stream = None;
    }
}
