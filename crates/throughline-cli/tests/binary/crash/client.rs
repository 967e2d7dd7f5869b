//! A client that writes down what it saw, and compares.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use throughline_proto::sse::Decoder;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::{Draw, Seen};
use crate::within;

/// The server is gone.
#[derive(Debug)]
struct Lost;

/// What a client saw.
#[derive(Clone, Debug, Default)]
pub(super) struct Saw {
    pub(super) sessions: u64,
    pub(super) deleted: u64,
    pub(super) events: u64,
    pub(super) results: u64,
    pub(super) interrupted: u64,
    pub(super) resumed: u64,
    pub(super) levels: u64,
    /// Calls whose response never began: nobody can say whether they were made.
    pub(super) unknown: u64,
}

impl Saw {
    pub(super) fn add(&mut self, other: &Saw) {
        self.sessions += other.sessions;
        self.deleted += other.deleted;
        self.events += other.events;
        self.results += other.results;
        self.interrupted += other.interrupted;
        self.resumed += other.resumed;
        self.levels += other.levels;
        self.unknown += other.unknown;
    }
}

pub(super) struct Client {
    draw: Draw,
    addresses: watch::Receiver<Option<SocketAddr>>,
    stopping: watch::Receiver<bool>,
    seen: Arc<Seen>,
    saw: Saw,
    session: Option<Session>,
    next_id: u64,
}

struct Session {
    id: String,
    /// Whether log lines come; `None` when the answer to the last change was lost.
    logs: Option<bool>,
}

/// One event: its id and what it says.
type Event = (String, Value);

/// A stream, as far as a client saw it.
#[derive(Default)]
struct Stream {
    events: Vec<Event>,
}

impl Client {
    pub(super) fn new(
        draw: Draw,
        addresses: watch::Receiver<Option<SocketAddr>>,
        stopping: watch::Receiver<bool>,
        seen: Arc<Seen>,
    ) -> Self {
        Self { draw, addresses, stopping, seen, saw: Saw::default(), session: None, next_id: 1 }
    }

    /// Goes on until it is told to stop, with no call open then.
    pub(super) async fn run(mut self) -> Saw {
        while !*self.stopping.borrow() {
            if self.session.is_none() {
                self.open().await;
                continue;
            }
            match self.draw.below(20) {
                0 => self.delete().await,
                1..4 => self.set_level().await,
                _ => self.call().await,
            }
        }
        self.saw
    }

    /// A new session. Where the answer is lost there is none.
    async fn open(&mut self) {
        let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "crash", "version": "1"},
        }});
        let Ok(response) = self.post(&initialize).await else { return };
        assert_eq!(response.status(), 200);
        let id = response.headers()["mcp-session-id"].to_str().expect("it is ASCII").to_owned();
        // The session is there with the head of the response, whatever becomes of the rest.
        self.session = Some(Session { id, logs: Some(false) });
        self.saw.sessions += 1;
        self.seen.one();
        drop(response);
        let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        if let Ok(response) = self.post(&ready).await {
            assert_eq!(response.status(), 202, "an acknowledged session is there");
        }
    }

    async fn delete(&mut self) {
        let answer = self.request(Method::DELETE, &[], String::new()).await;
        let Ok(response) = answer else {
            // It may be gone or not: both are right, and another one is opened.
            self.session = None;
            return;
        };
        assert_eq!(response.status(), 204);
        self.saw.deleted += 1;
        let ping = json!({"jsonrpc": "2.0", "id": 0, "method": "ping"});
        if let Ok(response) = self.post(&ping).await {
            assert_eq!(response.status(), 404, "what was deleted does not come back");
        }
        self.session = None;
    }

    async fn set_level(&mut self) {
        let logs = self.draw.below(2) == 1;
        let level = if logs { "info" } else { "error" };
        let message = json!({"jsonrpc": "2.0", "id": self.id(), "method": "logging/setLevel", "params": {"level": level}});
        let Some(session) = &mut self.session else { return };
        session.logs = None;
        let Ok(response) = self.post(&message).await else { return };
        assert_eq!(response.status(), 200);
        let Ok(body) = response.into_body().collect().await else { return };
        let answer: Value = serde_json::from_slice(&body.to_bytes()).expect("it is JSON");
        assert_eq!(answer["result"], json!({}), "{answer}");
        self.saw.levels += 1;
        self.seen.one();
        if let Some(session) = &mut self.session {
            session.logs = Some(logs);
        }
    }

    /// Calls a tool that takes its time, and stays with it to its end through every restart.
    async fn call(&mut self) {
        let (steps, step_ms) = (1 + self.draw.below(8), self.draw.below(25));
        let id = self.id();
        let message = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {
            "name": "research", "arguments": {"topic": "crash", "steps": steps, "step_ms": step_ms},
            "_meta": {"progressToken": id},
        }});
        let mut stream = Stream::default();
        let Ok(response) = self.post(&message).await else {
            self.saw.unknown += 1;
            return;
        };
        assert_eq!(response.status(), 200);
        // A response that begins as a stream of events ends as one, and has its first id with its head.
        assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
        let mut answered = self.read(response, &mut stream, &id).await.is_ok();
        if stream.events.is_empty() && !answered {
            self.saw.unknown += 1;
            return;
        }
        while !answered {
            // From the place seen last, or from the first: then all that was seen must come once more, the same.
            let from = if self.draw.below(2) == 0 { 0 } else { stream.events.len() - 1 };
            let before = stream.events.split_off(from + 1);
            let place = stream.events[from].0.clone();
            let headers = [("last-event-id", place.as_str())];
            let Ok(response) = self.request(Method::GET, &headers, String::new()).await else {
                stream.events.extend(before);
                continue;
            };
            assert_eq!(
                response.status(),
                200,
                "after {place}: an event that was seen is a place to come back to"
            );
            self.saw.resumed += 1;
            answered = self.read(response, &mut stream, &id).await.is_ok();
            let again = &stream.events[from + 1..];
            let common = again.len().min(before.len());
            assert_eq!(again[..common], before[..common], "what was seen is as it was");
            assert!(!answered || again.len() >= before.len(), "what was seen is there");
            if again.len() < before.len() {
                stream.events.truncate(from + 1);
                stream.events.extend(before);
            }
        }
        self.check(&stream, &id, steps);
    }

    /// Reads to the end of a response. Fine when the request has its answer then.
    async fn read(
        &mut self,
        response: Response<Incoming>,
        stream: &mut Stream,
        id: &Value,
    ) -> Result<(), Lost> {
        let mut body = response.into_body();
        let mut decoder = Decoder::new(1 << 20);
        let mut answered = false;
        while let Some(frame) = within("the next event", body.frame()).await {
            let Ok(frame) = frame else { break };
            decoder.push(frame.data_ref().expect("it has no trailers"));
            while let Some(event) = decoder.next_event() {
                let event = event.expect("events are small");
                let message = match &*event.data {
                    "" => Value::Null,
                    data => serde_json::from_str(data).expect("it is JSON"),
                };
                let Some(event_id) = event.id else { continue };
                assert!(!answered, "nothing follows the answer: {message}");
                answered = message["id"] == *id;
                stream.events.push((event_id, message));
                self.saw.events += 1;
                self.seen.one();
            }
        }
        if answered { Ok(()) } else { Err(Lost) }
    }

    /// What a stream must be once it has ended.
    fn check(&mut self, stream: &Stream, id: &Value, steps: u64) {
        let ids: std::collections::HashSet<&str> = stream.events.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids.len(), stream.events.len(), "each event has an id of its own");
        let answers: Vec<&Value> =
            stream.events.iter().map(|(_, message)| message).filter(|message| message["id"] == *id).collect();
        let [answer] = answers[..] else { panic!("one answer: {answers:?}") };
        let progress: Vec<f64> =
            stream.events.iter().filter_map(|(_, message)| message["params"]["progress"].as_f64()).collect();
        assert!(progress.is_sorted_by(|one, next| one < next), "progress grows: {progress:?}");
        let logs =
            stream.events.iter().filter(|(_, message)| message["method"] == "notifications/message").count();
        if let Some(false) = self.session.as_ref().and_then(|session| session.logs) {
            assert_eq!(logs, 0, "a level that was acknowledged holds");
        }
        if answer["error"].is_null() {
            self.saw.results += 1;
            assert!(
                answer["result"]["content"][0]["text"]
                    .as_str()
                    .is_some_and(|text| text.starts_with("Report on crash"))
            );
            assert_eq!(progress.len() as u64, steps, "all of its progress");
            if let Some(true) = self.session.as_ref().and_then(|session| session.logs) {
                assert!(logs as u64 >= steps, "a level that was acknowledged holds");
            }
        } else {
            self.saw.interrupted += 1;
            let said = answer["error"]["message"].as_str().expect("a message");
            assert!(said.starts_with("the server stopped while this ran"), "{answer}");
        }
    }

    fn id(&mut self) -> Value {
        self.next_id += 1;
        json!(self.next_id)
    }

    async fn post(&mut self, message: &Value) -> Result<Response<Incoming>, Lost> {
        let headers = [(CONTENT_TYPE.as_str(), "application/json")];
        self.request(Method::POST, &headers, message.to_string()).await
    }

    /// A request on a connection of its own, to the server that is there now.
    async fn request(
        &mut self,
        method: Method,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<Response<Incoming>, Lost> {
        let address = within("a server", self.addresses.wait_for(Option::is_some)).await;
        let address = address.expect("the test goes on").expect("it was waited for");
        let stream = TcpStream::connect(address).await.map_err(|_| Lost)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|_| Lost)?;
        tokio::spawn(connection);
        // Calls are streamed from the start, so that there is something to come back to.
        let accept = if body.contains("tools/call") || method == Method::GET {
            "text/event-stream"
        } else {
            "application/json"
        };
        let mut request = Request::builder()
            .method(method)
            .uri("/mcp")
            .header(HOST, address.to_string())
            .header(ACCEPT, accept);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(session) = &self.session {
            request = request.header("mcp-session-id", &session.id);
        }
        let request = request.body(Full::new(Bytes::from(body))).expect("it is a request");
        within("a response", sender.send_request(request)).await.map_err(|_| Lost)
    }
}
