//! A client of HTTP+SSE, by hand.

use std::net::SocketAddr;

use http::{Method, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};
use throughline_proto::sse::{Decoder, Event};

use super::http::Connection;
use super::within;

/// A client with its stream on one connection and its POSTs on another.
pub(super) struct Older {
    /// Where it posts: path and query.
    pub(super) path: String,
    posts: Connection,
    stream: Incoming,
    decoder: Decoder,
    /// The connection of the stream lasts as long as it.
    _streams: Connection,
    next: u32,
}

impl Older {
    /// With a stream that was opened here, without a session.
    pub(super) async fn connect(address: SocketAddr, path: &str) -> Self {
        let mut streams = Connection::open(address).await;
        let response = streams.send(Method::GET, path, &[("accept", "text/event-stream")], "").await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut older = Self {
            path: String::new(),
            posts: Connection::open(address).await,
            stream: response.into_body(),
            decoder: Decoder::new(8 << 20),
            _streams: streams,
            next: 1,
        };
        let first = older.event().await.expect("an event");
        assert_eq!(first.event.as_deref(), Some("endpoint"));
        older.path = first.data;
        older
    }

    /// With a session of the oldest revision that is ready.
    pub(super) async fn open(address: SocketAddr) -> Self {
        let mut older = Self::connect(address, "/sse").await;
        let params = json!({"protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": {"name": "older", "version": "1"}});
        let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
        assert_eq!(older.post(&hello).await, 202);
        assert_eq!(older.expect().await["result"]["protocolVersion"], "2024-11-05");
        let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        assert_eq!(older.post(&ready).await, 202);
        older
    }

    /// Posts a message: how it is answered.
    pub(super) async fn post(&mut self, message: &Value) -> StatusCode {
        let path = self.path.clone();
        let headers = [("content-type", "application/json")];
        let response = self.posts.send(Method::POST, &path, &headers, &message.to_string()).await;
        let status = response.status();
        within("the end of the body", response.into_body().collect()).await.expect("it is whole");
        status
    }

    /// Calls a tool that reports progress; the id of the request.
    pub(super) async fn call(&mut self, tool: &str, arguments: Value) -> u32 {
        let id = self.next;
        self.next += 1;
        let params = json!({"name": tool, "arguments": arguments, "_meta": {"progressToken": id}});
        let message = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params});
        assert_eq!(self.post(&message).await, 202);
        id
    }

    /// The next message; `None` at the end of the stream.
    pub(super) async fn next(&mut self) -> Option<Value> {
        let event = loop {
            let event = self.event().await?;
            // What says when to come back carries nothing.
            if event.retry.is_none() || !event.data.is_empty() {
                break event;
            }
        };
        assert_eq!(event.event.as_deref(), Some("message"));
        Some(serde_json::from_str(&event.data).expect("it is JSON"))
    }

    /// The next message, which there must be.
    pub(super) async fn expect(&mut self) -> Value {
        self.next().await.expect("one more message")
    }

    async fn event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.decoder.next_event() {
                return Some(event.expect("events are small"));
            }
            let frame = within("the next event", self.stream.frame()).await?.expect("the stream is not cut");
            self.decoder.push(frame.data_ref().expect("it has no trailers"));
        }
    }
}
