//! The floor: the least work a server can do and still answer this load correctly.
//!
//! Bare hyper on one thread. It finds method, id, tool and argument in the body and writes the answer
//! into one buffer. It keeps no sessions, checks no headers, spawns no task per request, has no
//! timeouts and cannot resume: whatever a real server costs above it is the price of those.

use std::borrow::Cow;
use std::convert::Infallible;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::Result;
use crate::echo::{MAX_BODY, REVISION, SESSION_HEADER};
use crate::scenario::{MAX_CONNECTIONS, Mode};

/// Serves until dropped.
///
/// # Errors
///
/// When the listener fails.
pub(crate) async fn serve(listener: TcpListener, mode: Mode) -> Result<()> {
    let floor = Arc::new(Floor { mode, streams: AtomicU64::new(0) });
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        while connections.try_join_next().is_some() {}
        if connections.len() >= MAX_CONNECTIONS {
            continue; // dropping the stream closes it, and the generator reports that
        }
        stream.set_nodelay(true)?;
        let floor = Arc::clone(&floor);
        connections.spawn(async move {
            let service = service_fn(|request| floor.answer(request));
            // A connection that breaks is the generator's to report.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

struct Floor {
    mode: Mode,
    /// Numbers the streams, so that event ids differ within a session as the specification asks.
    streams: AtomicU64,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    arguments: Echo<'a>,
}

#[derive(Deserialize)]
struct Echo<'a> {
    #[serde(borrow)]
    text: Cow<'a, str>,
}

impl Floor {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let answer = match *request.method() {
            Method::POST => match Limited::new(request.into_body(), MAX_BODY).collect().await {
                Ok(body) => self.post(&body.to_bytes()),
                Err(_) => empty(StatusCode::PAYLOAD_TOO_LARGE),
            },
            Method::DELETE => empty(StatusCode::NO_CONTENT),
            _ => empty(StatusCode::METHOD_NOT_ALLOWED),
        };
        Ok(answer)
    }

    fn post(&self, body: &[u8]) -> Response<Full<Bytes>> {
        let Ok(message) = serde_json::from_slice::<Message<'_>>(body) else {
            return empty(StatusCode::BAD_REQUEST);
        };
        let Some(id) = message.id else {
            return empty(StatusCode::ACCEPTED);
        };
        match &*message.method {
            "initialize" => {
                let answer = format!(
                    r#"{{"jsonrpc":"2.0","id":{id},"result":{{"protocolVersion":"{REVISION}","capabilities":{{"tools":{{}}}},"serverInfo":{{"name":"floor","version":"1.0.0"}}}}}}"#
                );
                let mut response = with_body(Mode::Json, answer.into_bytes());
                response
                    .headers_mut()
                    .insert(SESSION_HEADER, HeaderValue::from_static("0123456789abcdef0123456789abcdef"));
                response
            }
            "tools/call" => {
                let params = message.params.map_or("null", RawValue::get);
                match serde_json::from_str::<Call<'_>>(params) {
                    Ok(call) if call.name == "echo" => self.echo(id, &call.arguments.text),
                    _ => refuse(id, -32602, "call the tool echo with a string named text"),
                }
            }
            _ => refuse(id, -32601, "use initialize or tools/call"),
        }
    }

    fn echo(&self, id: &RawValue, text: &str) -> Response<Full<Bytes>> {
        // Room for the frame around the text; a text full of escapes makes the buffer grow.
        let mut body = Vec::with_capacity(text.len() + 160);
        if self.mode == Mode::Sse {
            let stream = self.streams.fetch_add(1, Ordering::Relaxed);
            write!(body, "id: {stream}-0\nretry: 1000\ndata:\n\nid: {stream}-1\ndata: ").expect(TO_MEMORY);
        }
        body.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
        body.extend_from_slice(id.get().as_bytes());
        body.extend_from_slice(br#","result":{"content":[{"type":"text","text":"#);
        serde_json::to_writer(&mut body, text).expect(TO_MEMORY);
        body.extend_from_slice(b"}]}}");
        if self.mode == Mode::Sse {
            body.extend_from_slice(b"\n\n");
        }
        with_body(self.mode, body)
    }
}

fn refuse(id: &RawValue, code: i32, text: &str) -> Response<Full<Bytes>> {
    let error = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":"{text}"}}}}"#);
    with_body(Mode::Json, error.into_bytes())
}

fn with_body(mode: Mode, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(mode.media_type()));
    response
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

const TO_MEMORY: &str = "writing to a vector does not fail";
