//! The floor: the least work a server can do and still answer this load correctly.
//!
//! Bare hyper on one thread. It finds method, id, tool and argument in the body and writes the answer
//! into one buffer. It keeps no sessions and no events, checks no headers, reads nothing of what a request says about its
//! client, seals nothing, spawns no task per request and has no timeouts: whatever a real server
//! costs above it is the price of those. What it replays was written once, into one buffer.

mod body;
mod events;
mod message;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::value::RawValue;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::task::JoinSet;

use super::Settings;
use crate::echo::{
    CHANGING, CURSOR_HEADER, MAX_BODY, METHOD_HEADER, MODERN_REVISION, REVISION, SESSION_HEADER,
};
use crate::scenario::{EVENT_STREAM, Form, JSON, MAX_CONNECTIONS, Way};
use crate::{LiveHeap, Result};
use body::{Answer, Content, empty, refuse, whole, with};
use events::{Events, Writing};
use message::{Call, Message, ProgressCall};

/// Serves until dropped.
///
/// # Errors
///
/// When the listener fails.
pub(super) async fn serve(
    listener: TcpListener,
    settings: Settings,
    coalesces: bool,
    heap: Option<LiveHeap>,
) -> Result<()> {
    let floor = Arc::new(Floor {
        settings,
        coalesces,
        heap,
        tools: tools(settings.tools.unwrap_or_default()),
        streams: AtomicU64::new(0),
        connections: AtomicU64::new(0),
        listeners: Mutex::default(),
        reported: Mutex::default(),
    });
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        while connections.try_join_next().is_some() {}
        if connections.len() >= MAX_CONNECTIONS {
            continue; // dropping the stream closes it, and the generator reports that
        }
        stream.set_nodelay(true)?;
        floor.connections.fetch_add(1, Ordering::Relaxed);
        let floor = Arc::clone(&floor);
        connections.spawn(async move {
            let service = service_fn(|request| floor.answer(request));
            // A connection that breaks is the generator's to report.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

struct Floor {
    settings: Settings,
    coalesces: bool,
    heap: Option<LiveHeap>,
    /// The list of tools as JSON.
    tools: String,
    /// Numbers the streams, so that event ids differ within a session as the specification asks.
    streams: AtomicU64,
    /// How many connections were accepted.
    connections: AtomicU64,
    /// The streams that listen, each with the id of its request.
    listeners: Mutex<Vec<(String, UnboundedSender<Bytes>)>>,
    /// The last calls that reported progress.
    reported: Mutex<VecDeque<Reported>>,
}

/// A call that reported progress, and its events once somebody asked for them.
struct Reported {
    events: Events,
    replay: Option<Bytes>,
}

impl Floor {
    async fn answer(&self, request: Request<Incoming>) -> Result<Answer, Infallible> {
        let answer = match *request.method() {
            Method::POST => {
                let way = self.way(request.headers());
                match Limited::new(request.into_body(), MAX_BODY).collect().await {
                    Ok(body) => self.post(way, &body.to_bytes()).await,
                    Err(_) => empty(StatusCode::PAYLOAD_TOO_LARGE),
                }
            }
            Method::GET => match request.headers().get(CURSOR_HEADER) {
                Some(cursor) => self.resume(cursor),
                None => with(EVENT_STREAM, Content::Open(Some(Bytes::from_static(PRIMING)))),
            },
            Method::DELETE => empty(StatusCode::NO_CONTENT),
            _ => empty(StatusCode::METHOD_NOT_ALLOWED),
        };
        Ok(answer)
    }

    fn way(&self, headers: &HeaderMap) -> Way {
        if self.settings.is_stateless {
            Way::Stateless
        } else if headers.contains_key(METHOD_HEADER) {
            Way::Modern
        } else {
            Way::Session
        }
    }

    async fn post(&self, way: Way, body: &[u8]) -> Answer {
        let Ok(message) = serde_json::from_slice::<Message<'_>>(body) else {
            return empty(StatusCode::BAD_REQUEST);
        };
        let Some(id) = message.id else {
            return empty(StatusCode::ACCEPTED);
        };
        match &*message.method {
            "tools/call" => self.call(way, id, message.params.map_or("null", RawValue::get)).await,
            "initialize" => self.initialize(id),
            "server/discover" => discover(id),
            "tools/list" => {
                let tools = &self.tools;
                whole(
                    JSON,
                    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"tools":{tools}}}}}"#).into_bytes(),
                )
            }
            "subscriptions/listen" => self.listen(id),
            _ => refuse(
                id,
                -32601,
                "use initialize, server/discover, tools/list, tools/call or subscriptions/listen",
            ),
        }
    }

    fn initialize(&self, id: &RawValue) -> Answer {
        let answer = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"protocolVersion":"{REVISION}","capabilities":{{"tools":{{}}}},"serverInfo":{{"name":"floor","version":"1.0.0"}}}}}}"#
        );
        let mut response = whole(JSON, answer.into_bytes());
        if !self.settings.is_stateless {
            let session = HeaderValue::from_static("0123456789abcdef0123456789abcdef");
            response.headers_mut().insert(SESSION_HEADER, session);
        }
        response
    }

    async fn call(&self, way: Way, id: &RawValue, params: &str) -> Answer {
        let Ok(call) = serde_json::from_str::<Call<'_>>(params) else {
            return refuse(id, -32602, "give a call its name and its arguments");
        };
        match &*call.name {
            "echo" => self.text(way, id, &call.arguments.text),
            "echo_later" => {
                tokio::task::yield_now().await;
                self.text(way, id, &call.arguments.text)
            }
            "progress" => self.progress(way, id, params),
            "ask" if call.request_state.is_none() => ask(id),
            "ask" => self.text(way, id, &call.arguments.text),
            "connections" => self.text(way, id, &self.connections.load(Ordering::Relaxed).to_string()),
            "touch" => self.touch(way, id),
            "heap" => match self.heap {
                Some(heap) => self.text(way, id, &heap().to_string()),
                None => refuse(id, -32602, "this build does not count its heap"),
            },
            _ => refuse(id, -32602, "there is no tool of this name"),
        }
    }

    fn text(&self, way: Way, id: &RawValue, text: &str) -> Answer {
        // Room for the frame around the text; a text full of escapes makes the buffer grow.
        let mut body = Vec::with_capacity(text.len() + 192);
        let is_stream = self.settings.answers == Form::Sse;
        if is_stream && way == Way::Session {
            let stream = self.streams.fetch_add(1, Ordering::Relaxed);
            write!(body, "id: {stream}-0\nretry: 1000\ndata:\n\nid: {stream}-1\ndata: ").expect(TO_MEMORY);
        } else if is_stream {
            body.extend_from_slice(b"data: ");
        }
        body.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
        body.extend_from_slice(id.get().as_bytes());
        body.extend_from_slice(match way {
            Way::Session | Way::Stateless => br#","result":{"content":[{"type":"text","text":"#.as_slice(),
            Way::Modern => br#","result":{"resultType":"complete","content":[{"type":"text","text":"#,
        });
        serde_json::to_writer(&mut body, text).expect(TO_MEMORY);
        body.extend_from_slice(b"}]}}");
        if is_stream {
            body.extend_from_slice(b"\n\n");
        }
        whole(if is_stream { EVENT_STREAM } else { JSON }, body)
    }

    fn progress(&self, way: Way, id: &RawValue, params: &str) -> Answer {
        let Ok(call) = serde_json::from_str::<ProgressCall<'_>>(params) else {
            return refuse(id, -32602, "give progress a count and a progress token");
        };
        let events = Events {
            id: id.get().to_owned(),
            token: call.meta.progress_token.get().to_owned(),
            count: call.arguments.count,
            stream: (way == Way::Session).then(|| self.streams.fetch_add(1, Ordering::Relaxed)),
            is_modern: way == Way::Modern,
        };
        if events.stream.is_some() {
            let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
            reported.truncate(REPORTED - 1);
            reported.push_front(Reported { events: events.clone(), replay: None });
        }
        with(EVENT_STREAM, Content::Counted(Writing::new(events, self.coalesces)))
    }

    /// A call's events again, for a reader that saw its priming event alone.
    fn resume(&self, cursor: &HeaderValue) -> Answer {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        let resumed = reported
            .iter_mut()
            .find(|call| call.events.stream.is_some_and(|stream| cursor == format!("{stream}-0").as_str()));
        match resumed {
            Some(Reported { events, replay }) => {
                let all = replay.get_or_insert_with(|| events.replay()).clone();
                with(EVENT_STREAM, Content::Whole(Some(all)))
            }
            None => empty(StatusCode::BAD_REQUEST),
        }
    }

    fn listen(&self, id: &RawValue) -> Answer {
        let (sender, receiver) = mpsc::unbounded_channel();
        let acknowledged = format!(
            "data: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/acknowledged\",\"params\":{{\"_meta\":{{\"io.modelcontextprotocol/subscriptionId\":{id}}},\"notifications\":{{\"resourceSubscriptions\":[\"{CHANGING}\"]}}}}}}\n\n"
        );
        // The receiver is right here.
        let _ = sender.send(Bytes::from(acknowledged));
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).push((id.get().to_owned(), sender));
        with(EVENT_STREAM, Content::Told(receiver))
    }

    /// Tells every stream that listens.
    fn touch(&self, way: Way, id: &RawValue) -> Answer {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).retain(|(id, listener)| {
            let event = format!(
                "data: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/resources/updated\",\"params\":{{\"_meta\":{{\"io.modelcontextprotocol/subscriptionId\":{id}}},\"uri\":\"{CHANGING}\"}}}}\n\n"
            );
            listener.send(Bytes::from(event)).is_ok()
        });
        self.text(way, id, "touched")
    }
}

/// What a client of the modern era asks first.
fn discover(id: &RawValue) -> Answer {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"resultType":"complete","supportedVersions":["{MODERN_REVISION}"],"capabilities":{{"tools":{{}}}},"ttlMs":0,"cacheScope":"private","_meta":{{"io.modelcontextprotocol/serverInfo":{{"name":"floor","version":"1.0.0"}}}}}}}}"#
    );
    whole(JSON, body.into_bytes())
}

/// A question. Its state is as long as one that is sealed.
fn ask(id: &RawValue) -> Answer {
    let state = "s".repeat(256);
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"resultType":"input_required","inputRequests":{{"approval":{{"method":"elicitation/create","params":{{"mode":"form","message":"Go on?","requestedSchema":{{"type":"object","properties":{{"approved":{{"type":"boolean"}}}},"required":["approved"]}}}}}}}},"requestState":"{state}"}}}}"#
    );
    whole(JSON, body.into_bytes())
}

/// The list of so many tools; `echo` is the first.
fn tools(count: usize) -> String {
    let names = std::iter::once("echo".to_owned()).chain((1..).map(|extra| format!("extra_{extra}")));
    let tools: Vec<String> = names
        .take(count)
        .map(|name| {
            format!(
                r#"{{"name":"{name}","inputSchema":{{"type":"object","properties":{{"text":{{"type":"string"}}}},"required":["text"]}}}}"#
            )
        })
        .collect();
    format!("[{}]", tools.join(","))
}

/// What a GET stream begins with, where nothing else is to be said.
const PRIMING: &[u8] = b"id: 0\nretry: 1000\ndata:\n\n";

/// Calls whose events can be asked for again.
const REPORTED: usize = 64;

const TO_MEMORY: &str = "writing to a vector does not fail";
