//! A client by the book of the specification's rules for resuming, which notes down everything that it sees
//! ([resumability](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#resumability-and-redelivery)).
//!
//! It shares nothing with the library's own client. What it needs of a network is [`Dial`]; what it saw is a [`Record`] for
//! each request, with the checks that a record must pass.

mod follow;
mod http;
mod record;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use ::http::{HeaderValue, Method, Request};
use bytes::Bytes;
use http_body_util::Full;
use serde_json::{Value, json};
use throughline::revision::Revision;

pub(crate) use http::{Dial, Http, Lost, Reply};
pub(crate) use record::{Fate, Loss, Record, Seen, check_session};

/// How a reader behaves where the specification leaves it open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    /// How long a connection may be silent before it counts as broken.
    pub(crate) patience: Duration,
    /// How long to wait before trying again, until the server says so with `retry`.
    pub(crate) pause: Duration,
}

/// What is told of each event as it comes.
pub(crate) type Watch<'a> = &'a (dyn Fn(&Value) + Sync);

/// A client with a session, or of the modern era without one. Clones share it.
pub(crate) struct Reader<D>(Arc<Inner<D>>);

struct Inner<D> {
    http: Http<D>,
    revision: Revision,
    session: Option<HeaderValue>,
    habits: Habits,
    next_id: AtomicU64,
    resumes: AtomicUsize,
    /// Requests that were refused because the session had too many in flight.
    full: AtomicUsize,
}

impl<D> Clone for Reader<D> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<D: Dial> Reader<D> {
    /// A client of the modern era: it needs no session.
    pub(crate) fn modern(dial: D, habits: Habits) -> Self {
        Self::with(dial, Revision::V2026_07_28, None, habits)
    }

    /// Opens a session, and tries until it has one that is ready.
    pub(crate) async fn open(dial: D, revision: Revision, habits: Habits) -> Self {
        loop {
            let opening = Self::with(dial.clone(), revision, None, habits);
            if let Some(session) = opening.initialize().await {
                let reader = Self::with(dial.clone(), revision, Some(session), habits);
                let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
                if reader.tell(&ready).await == 202 {
                    return reader;
                }
            }
            tokio::time::sleep(habits.pause).await;
        }
    }

    fn with(dial: D, revision: Revision, session: Option<HeaderValue>, habits: Habits) -> Self {
        Self(Arc::new(Inner {
            http: Http::new(dial, habits.patience),
            revision,
            session,
            habits,
            next_id: AtomicU64::new(1),
            resumes: AtomicUsize::new(0),
            full: AtomicUsize::new(0),
        }))
    }

    /// One try. What is known of a session without its result is not used.
    async fn initialize(&self) -> Option<HeaderValue> {
        let id = json!(0);
        let request = json!({
            "jsonrpc": "2.0", "id": id, "method": "initialize",
            "params": {
                "protocolVersion": self.0.revision.date(),
                "capabilities": { "roots": {} },
                "clientInfo": { "name": "reader", "version": "1" },
            },
        });
        let reply = self.0.http.send(self.post(&request)).await.ok()?;
        let session = reply.headers.get("mcp-session-id").cloned();
        let mut record = Record::new(id);
        self.read(reply, &mut record, &|_| {}, &|_| false).await.ok()?;
        let result = record.response()?;
        assert_eq!(result["result"]["protocolVersion"], self.0.revision.date(), "{result}");
        Some(session.expect("a session comes with its id"))
    }

    pub(crate) fn revision(&self) -> Revision {
        self.0.revision
    }

    /// The id for the next request.
    pub(crate) fn next_id(&self) -> u64 {
        self.0.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// How often a stream was taken up again with its last id.
    pub(crate) fn resumes(&self) -> usize {
        self.0.resumes.load(Ordering::Relaxed)
    }

    /// How often the server had too many requests of this session in flight.
    pub(crate) fn full(&self) -> usize {
        self.0.full.load(Ordering::Relaxed)
    }

    /// Calls a tool with the id as progress token, and follows the call to its end. A call that the server did not take is
    /// sent again.
    pub(crate) async fn call(&self, id: u64, tool: &str, arguments: Value, watch: Watch<'_>) -> Record {
        let params = json!({ "name": tool, "arguments": arguments, "_meta": { "progressToken": id } });
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params });
        loop {
            let record = self.request(&request, watch).await;
            match &record.fate {
                Fate::Refused(503, _) => {
                    self.0.full.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(self.0.habits.pause).await;
                }
                _ => return record,
            }
        }
    }

    /// Sends a request and follows it to its end.
    pub(crate) async fn request(&self, request: &Value, watch: Watch<'_>) -> Record {
        let mut record = Record::new(request["id"].clone());
        let first = loop {
            match self.0.http.send(self.post(request)).await {
                Ok(reply) => break reply,
                // It never left.
                Err(Lost::Unsent) => tokio::time::sleep(self.0.habits.pause).await,
                Err(Lost::Cut) => {
                    record.connections = 1;
                    return record;
                }
            }
        };
        self.follow(Some(first), &mut record, watch, &|_| false).await;
        record
    }

    /// Reads the standalone stream until a message of it is what was waited for, or the session is gone.
    pub(crate) async fn listen(&self, is_last: &(dyn Fn(&Value) -> bool + Sync)) -> Record {
        let mut record = Record::new(Value::Null);
        self.follow(None, &mut record, &|_| {}, is_last).await;
        record
    }

    /// Sends a notification or a response until the server says something to it: its status.
    pub(crate) async fn tell(&self, message: &Value) -> u16 {
        self.insist(|| self.post(message)).await
    }

    /// Ends the session: 204, or 404 when a DELETE before got through and its answer did not.
    pub(crate) async fn close(&self) -> u16 {
        self.insist(|| self.bare(Method::DELETE).body(Full::default()).expect("a request")).await
    }

    async fn insist(&self, request: impl Fn() -> Request<Full<Bytes>>) -> u16 {
        loop {
            if let Ok(mut reply) = self.0.http.send(request()).await {
                let status = reply.status.as_u16();
                if reply.whole().await.is_ok() {
                    self.0.http.rest(reply);
                }
                return status;
            }
            tokio::time::sleep(self.0.habits.pause).await;
        }
    }

    fn bare(&self, method: Method) -> ::http::request::Builder {
        let mut request = Request::builder().method(method).uri("/mcp").header("host", "localhost");
        if let Some(session) = &self.0.session {
            request = request.header("mcp-session-id", session);
            if self.0.revision.has_version_header() {
                request = request.header("mcp-protocol-version", self.0.revision.date());
            }
        }
        request
    }

    fn post(&self, message: &Value) -> Request<Full<Bytes>> {
        let mut request = self
            .bare(Method::POST)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream");
        let mut message = message.clone();
        if self.0.revision.is_modern() {
            let method = message["method"].as_str().expect("a request").to_owned();
            request =
                request.header("mcp-protocol-version", self.0.revision.date()).header("mcp-method", method);
            if let Some(name) = message["params"]["name"].as_str() {
                request = request.header("mcp-name", name);
            }
            let meta = &mut message["params"]["_meta"];
            meta["io.modelcontextprotocol/protocolVersion"] = json!(self.0.revision.date());
            meta["io.modelcontextprotocol/clientInfo"] = json!({ "name": "reader", "version": "1" });
            meta["io.modelcontextprotocol/clientCapabilities"] = json!({});
        }
        request.body(Full::from(message.to_string())).expect("a request")
    }

    fn get(&self, last_event_id: Option<&str>) -> Request<Full<Bytes>> {
        let request = self.bare(Method::GET).header("accept", "text/event-stream");
        let request = match last_event_id {
            Some(id) => request.header("last-event-id", id),
            None => request,
        };
        request.body(Full::default()).expect("a request")
    }
}
