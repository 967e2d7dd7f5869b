//! A small HTTP client.

use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use throughline_proto::sse::Decoder;

use super::within;

/// One connection.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: String,
}

impl Connection {
    pub(super) async fn open(address: SocketAddr) -> Self {
        let stream = within("the connection", tokio::net::TcpStream::connect(address))
            .await
            .expect("somebody listens");
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("it speaks HTTP");
        // It ends with its sender.
        tokio::spawn(connection);
        Self { sender, host: address.to_string() }
    }

    pub(super) async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response<Incoming> {
        let host = self.host.clone();
        self.send_to(&host, method, path, headers, body).await
    }

    /// A request to a host of this name.
    pub(super) async fn send_to(
        &mut self,
        host: &str,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response<Incoming> {
        let mut request = Request::builder().method(method).uri(path).header(HOST, host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::from(body.to_owned())).expect("it is a request");
        within("that the connection is free", self.sender.ready()).await.expect("the connection is open");
        within("the response", self.sender.send_request(request)).await.expect("it is answered")
    }

    /// A GET of a page: its status and JSON.
    pub(super) async fn page(&mut self, path: &str) -> (StatusCode, Value) {
        let response = self.send(Method::GET, path, &[], "").await;
        let status = response.status();
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        (status, json(response).await)
    }

    /// A POST of one message.
    pub(super) async fn post(
        &mut self,
        path: &str,
        session: Option<&str>,
        message: &Value,
    ) -> Response<Incoming> {
        let mut headers = vec![
            (CONTENT_TYPE.as_str(), "application/json"),
            (ACCEPT.as_str(), "application/json, text/event-stream"),
        ];
        headers.extend(session.map(|id| ("mcp-session-id", id)));
        self.send(Method::POST, path, &headers, &message.to_string()).await
    }
}

/// The whole body as JSON.
pub(super) async fn json(response: Response<Incoming>) -> Value {
    let body = within("the body", response.into_body().collect()).await.expect("it is whole").to_bytes();
    serde_json::from_slice(&body).expect("it is JSON")
}

/// The messages of a response, whether it is one JSON body or a stream of events.
pub(super) struct Messages {
    body: Incoming,
    decoder: Decoder,
    /// What was read of a stream: ids and messages, null for an event without one.
    ready: VecDeque<(Option<String>, Value)>,
    whole: bool,
    /// The id of the last event that was taken: where to come back to.
    pub(super) last_id: Option<String>,
}

impl Messages {
    pub(super) fn of(response: Response<Incoming>) -> Self {
        assert_eq!(response.status(), StatusCode::OK);
        let whole = response.headers()[CONTENT_TYPE] == "application/json";
        Self {
            body: response.into_body(),
            decoder: Decoder::new(1 << 20),
            ready: VecDeque::new(),
            whole,
            last_id: None,
        }
    }

    /// The next message; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<Value> {
        loop {
            while let Some((id, message)) = self.ready.pop_front() {
                self.last_id = id.or(self.last_id.take());
                if !message.is_null() {
                    return Some(message);
                }
            }
            if self.whole {
                let body =
                    within("the body", (&mut self.body).collect()).await.expect("it is whole").to_bytes();
                return (!body.is_empty()).then(|| serde_json::from_slice(&body).expect("it is JSON"));
            }
            let frame = within("the next event", self.body.frame()).await?.expect("the stream is not cut");
            self.decoder.push(frame.data_ref().expect("it has no trailers"));
            while let Some(event) = self.decoder.next_event() {
                let event = event.expect("events are small");
                let message = match &*event.data {
                    "" => Value::Null,
                    data => serde_json::from_str(data).expect("it is JSON"),
                };
                self.ready.push_back((event.id, message));
            }
        }
    }

    /// The next message, which there must be.
    pub(super) async fn expect(&mut self) -> Value {
        self.next().await.expect("one more message")
    }

    /// All messages that are left.
    pub(super) async fn rest(&mut self) -> Vec<Value> {
        let mut all = Vec::new();
        while let Some(message) = self.next().await {
            all.push(message);
        }
        all
    }
}
