//! MCP written by hand on axum and serde_json, for these tools only: what the field's usual parts cost without an SDK.
//!
//! It reads a request in one pass into a struct, knows its sessions, checks the headers that repeat what the body says, and
//! writes typed answers. It does not validate arguments against a schema, keeps no events (its streams cannot be resumed), ends
//! no session by itself, and limits nothing but the size of a body.
//!
//! What it lacks is by design: no resuming, no input rounds and no subscriptions, which would be a protocol library of its own.

mod message;

use std::collections::HashSet;
use std::convert::Infallible;
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use peer::Flags;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};

use message::{CallResult, List, Message, Notification, Params, Progress, Refusal, Reply, Text};

fn main() -> Result<(), Box<dyn Error>> {
    peer::run(|flags| {
        let server = Arc::new(Server::new(flags));
        Router::new().route("/mcp", post(asked).get(listened).delete(left)).with_state(server)
    })
}

struct Server {
    is_sse: bool,
    is_stateless: bool,
    /// What `tools/list` tells, and how many tools there are beyond the named ones.
    tools: Box<RawValue>,
    extra: usize,
    sessions: Mutex<HashSet<String>>,
    /// Numbers the streams, so that event ids differ.
    streams: AtomicU64,
}

impl Server {
    fn new(flags: &Flags) -> Self {
        let extra = flags.tools.saturating_sub(NAMED);
        Self {
            is_sse: flags.is_sse,
            is_stateless: flags.is_stateless,
            tools: tools(extra),
            extra,
            sessions: Mutex::default(),
            streams: AtomicU64::new(0),
        }
    }

    fn is_extra(&self, name: &str) -> bool {
        let number = name.strip_prefix("extra_").and_then(|number| number.parse().ok());
        number.is_some_and(|number| (1..=self.extra).contains(&number))
    }

    fn sessions(&self) -> MutexGuard<'_, HashSet<String>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the request names a session that is open.
    fn check_session(&self, headers: &HeaderMap) -> Result<(), StatusCode> {
        let id = header(headers, "mcp-session-id").ok_or(StatusCode::BAD_REQUEST)?;
        if self.sessions().contains(id) { Ok(()) } else { Err(StatusCode::NOT_FOUND) }
    }
}

/// A POST.
async fn asked(State(server): State<Arc<Server>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    if !header(&head.headers, "content-type").is_some_and(|kind| kind.starts_with("application/json")) {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    }
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let Ok(message) = serde_json::from_slice::<Message<'_>>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    answer(&server, &head.headers, message).await
}

async fn answer(server: &Server, headers: &HeaderMap, message: Message<'_>) -> Response {
    let Some(id) = message.id else {
        return StatusCode::ACCEPTED.into_response();
    };
    let is_modern = match header(headers, "mcp-protocol-version") {
        Some(MODERN) => true,
        Some(LEGACY) | None => false,
        Some(_) => return StatusCode::BAD_REQUEST.into_response(),
    };
    if is_modern {
        let is_repeated = header(headers, "mcp-method") == Some(&message.method)
            && header(headers, "mcp-name").unwrap_or_default() == message.params.name
            && message.params.meta.version == MODERN;
        if !is_repeated {
            return refuse(id, -32602, "the headers must repeat what the body says");
        }
    } else if message.method == "initialize" {
        return initialize(server, id);
    } else if !server.is_stateless
        && let Err(status) = server.check_session(headers)
    {
        return status.into_response();
    }
    match &*message.method {
        "tools/call" => call(server, id, message.params, is_modern).await,
        "tools/list" => Json(Reply::new(id, List::new(&server.tools, is_modern))).into_response(),
        "ping" => Json(Reply::new(id, json!({}))).into_response(),
        _ => refuse(id, -32601, "there is no such method"),
    }
}

fn initialize(server: &Server, id: &RawValue) -> Response {
    let info = json!({
        "protocolVersion": LEGACY,
        "capabilities": { "tools": {} },
        "serverInfo": { "name": "axum", "version": env!("CARGO_PKG_VERSION") },
    });
    let answer = Json(Reply::new(id, info));
    if server.is_stateless {
        return answer.into_response();
    }
    let mut random = [0; 16];
    if getrandom::fill(&mut random).is_err() {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let session = format!("{:032x}", u128::from_be_bytes(random));
    server.sessions().insert(session.clone());
    ([("mcp-session-id", session)], answer).into_response()
}

async fn call(server: &Server, id: &RawValue, params: Params<'_>, is_modern: bool) -> Response {
    let text = match (&*params.name, params.arguments.text, params.arguments.count) {
        ("echo", Some(text), _) => text,
        ("echo_later", Some(text), _) => {
            tokio::task::yield_now().await;
            text
        }
        ("progress", _, Some(count)) => {
            return progress(server, id, params.meta.progress_token, count, is_modern);
        }
        (name, Some(text), _) if server.is_extra(name) => text,
        _ => return refuse(id, -32602, "there is no such tool, or its arguments are missing"),
    };
    let reply = Reply::new(id, CallResult::new(text, is_modern));
    if !server.is_sse {
        return Json(reply).into_response();
    }
    let stream = Numbering::new(server, is_modern);
    stream.answer(tokio_stream::once(stream.event(1, &reply)))
}

/// Notifications as the client takes them, then the result.
fn progress(
    server: &Server,
    id: &RawValue,
    token: Option<&RawValue>,
    count: u32,
    is_modern: bool,
) -> Response {
    let stream = Numbering::new(server, is_modern);
    let (id, token) = (id.to_owned(), token.map(ToOwned::to_owned));
    let (sender, events) = mpsc::channel(64);
    tokio::spawn(async move {
        if let Some(progress_token) = token {
            for progress in 1..=count {
                let params = Progress { progress_token: &progress_token, progress };
                let event = stream.event(u64::from(progress), &Notification::progress(params));
                if sender.send(event).await.is_err() {
                    return;
                }
            }
        }
        let reply = Reply::new(&id, CallResult::new(Text::of("done"), is_modern));
        // A client that left needs no answer.
        let _ = sender.send(stream.event(u64::from(count) + 1, &reply)).await;
    });
    stream.answer(ReceiverStream::new(events))
}

/// How the events of one stream are numbered: in a session with ids, without one not at all.
#[derive(Clone, Copy)]
struct Numbering(Option<u64>);

impl Numbering {
    fn new(server: &Server, is_modern: bool) -> Self {
        Self((!is_modern).then(|| server.streams.fetch_add(1, Ordering::Relaxed)))
    }

    fn event(self, number: u64, message: &impl Serialize) -> Event {
        // A message that is not JSON cannot be built from these types.
        let event = Event::default().json_data(message).unwrap_or_default();
        match self.0 {
            Some(stream) => event.id(format!("{stream}-{number}")),
            None => event,
        }
    }

    /// In a session the stream begins with an id and the time until a client may come again.
    fn answer(self, events: impl Stream<Item = Event> + Send + 'static) -> Response {
        let priming = self
            .0
            .map(|stream| Event::default().id(format!("{stream}-0")).retry(Duration::from_secs(1)).data(""));
        let events = tokio_stream::iter(priming).chain(events).map(Ok::<_, Infallible>);
        Sse::new(events).keep_alive(KeepAlive::default()).into_response()
    }
}

/// A GET: a stream that has nothing to tell.
async fn listened(State(server): State<Arc<Server>>, headers: HeaderMap) -> Response {
    if server.is_stateless {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    if let Err(status) = server.check_session(&headers) {
        return status.into_response();
    }
    Numbering::new(&server, false).answer(tokio_stream::pending())
}

/// A DELETE.
async fn left(State(server): State<Arc<Server>>, headers: HeaderMap) -> StatusCode {
    match header(&headers, "mcp-session-id") {
        Some(id) if server.sessions().remove(id) => StatusCode::NO_CONTENT,
        Some(_) => StatusCode::NOT_FOUND,
        None => StatusCode::BAD_REQUEST,
    }
}

/// The tools as `tools/list` has them.
fn tools(extra: usize) -> Box<RawValue> {
    let takes = |name: &str, kind: &str| json!({ "type": "object", "properties": { name: { "type": kind } }, "required": [name] });
    let tool = |name: &str, schema: Value| json!({ "name": name, "inputSchema": schema });
    let mut tools = vec![
        tool("echo", takes("text", "string")),
        tool("echo_later", takes("text", "string")),
        tool("progress", takes("count", "integer")),
    ];
    tools.extend((1..=extra).map(|number| tool(&format!("extra_{number}"), takes("text", "string"))));
    to_raw_value(&tools).expect("values are JSON")
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn refuse(id: &RawValue, code: i32, message: &'static str) -> Response {
    Json(Refusal::new(id, code, message)).into_response()
}

/// Tools with a name of their own.
const NAMED: usize = 3;

/// Bytes that a request may have, as axum has it by default.
const MAX_BODY: usize = 2 * 1024 * 1024;

const LEGACY: &str = "2025-11-25";
const MODERN: &str = "2026-07-28";
