//! The floor: the least work a server can do and still answer this load correctly.
//!
//! Bare hyper on one thread. It finds method, id, tool and argument in the body and writes the answer
//! into one buffer. It keeps no sessions, checks no headers, reads nothing of what a request says about its
//! client, seals nothing, spawns no task per request, has no timeouts and cannot resume: whatever a real server
//! costs above it is the price of those.

use std::borrow::Cow;
use std::convert::Infallible;
use std::io::Write as _;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Either, Full, Limited};
use hyper::body::{Body, Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinSet;

use crate::Result;
use crate::echo::{CHANGING, MAX_BODY, REVISION, SESSION_HEADER};
use crate::scenario::{EVENT_STREAM, JSON, MAX_CONNECTIONS, Work};

/// Serves until dropped.
///
/// # Errors
///
/// When the listener fails.
pub(crate) async fn serve(listener: TcpListener, work: Work) -> Result<()> {
    let floor = Arc::new(Floor { work, streams: AtomicU64::new(0), listeners: Mutex::default() });
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
    work: Work,
    /// Numbers the streams, so that event ids differ within a session as the specification asks.
    streams: AtomicU64,
    /// The streams that listen, each with the id of its request.
    listeners: Mutex<Vec<(String, UnboundedSender<Bytes>)>>,
}

/// A whole body, or a stream of events.
type Answer = Response<Either<Full<Bytes>, Events>>;

/// What a stream that listens is told.
struct Events(UnboundedReceiver<Bytes>);

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|event| event.map(|event| Ok(Frame::data(event))))
    }
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
#[serde(rename_all = "camelCase")]
struct Call<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    arguments: Echo<'a>,
    #[serde(borrow, default)]
    request_state: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Echo<'a> {
    #[serde(borrow)]
    text: Cow<'a, str>,
}

impl Floor {
    async fn answer(&self, request: Request<Incoming>) -> Result<Answer, Infallible> {
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

    fn post(&self, body: &[u8]) -> Answer {
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
                let mut response = with_body(JSON, answer.into_bytes());
                response
                    .headers_mut()
                    .insert(SESSION_HEADER, HeaderValue::from_static("0123456789abcdef0123456789abcdef"));
                response
            }
            "tools/call" => {
                let params = message.params.map_or("null", RawValue::get);
                match serde_json::from_str::<Call<'_>>(params) {
                    Ok(call) if call.name == "echo" => self.echo(id, &call.arguments.text),
                    Ok(call) if call.name == "ask" && call.request_state.is_none() => ask(id),
                    Ok(call) if call.name == "ask" => self.echo(id, &call.arguments.text),
                    Ok(call) if call.name == "touch" => self.touch(id),
                    _ => refuse(id, -32602, "call echo, ask or touch with a string named text"),
                }
            }
            "subscriptions/listen" => self.listen(id),
            _ => refuse(id, -32601, "use initialize, tools/call or subscriptions/listen"),
        }
    }

    fn echo(&self, id: &RawValue, text: &str) -> Answer {
        // Room for the frame around the text; a text full of escapes makes the buffer grow.
        let mut body = Vec::with_capacity(text.len() + 192);
        match self.work {
            Work::Sse => {
                let stream = self.streams.fetch_add(1, Ordering::Relaxed);
                write!(body, "id: {stream}-0\nretry: 1000\ndata:\n\nid: {stream}-1\ndata: ")
                    .expect(TO_MEMORY);
            }
            Work::ModernSse => body.extend_from_slice(b"data: "),
            Work::Json | Work::ModernJson | Work::Rounds | Work::Listen => {}
        }
        body.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
        body.extend_from_slice(id.get().as_bytes());
        body.extend_from_slice(match self.work {
            Work::Json | Work::Sse => br#","result":{"content":[{"type":"text","text":"#.as_slice(),
            _ => br#","result":{"resultType":"complete","content":[{"type":"text","text":"#,
        });
        serde_json::to_writer(&mut body, text).expect(TO_MEMORY);
        body.extend_from_slice(b"}]}}");
        let is_stream = matches!(self.work, Work::Sse | Work::ModernSse);
        if is_stream {
            body.extend_from_slice(b"\n\n");
        }
        with_body(if is_stream { EVENT_STREAM } else { JSON }, body)
    }

    fn listen(&self, id: &RawValue) -> Answer {
        let (sender, receiver) = mpsc::unbounded_channel();
        let acknowledged = format!(
            "data: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/acknowledged\",\"params\":{{\"_meta\":{{\"io.modelcontextprotocol/subscriptionId\":{id}}},\"notifications\":{{\"resourceSubscriptions\":[\"{CHANGING}\"]}}}}}}\n\n"
        );
        // The receiver is right here.
        let _ = sender.send(Bytes::from(acknowledged));
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).push((id.get().to_owned(), sender));
        let mut response = Response::new(Either::Right(Events(receiver)));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
        response
    }

    /// Tells every stream that listens.
    fn touch(&self, id: &RawValue) -> Answer {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).retain(|(id, listener)| {
            let event = format!(
                "data: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/resources/updated\",\"params\":{{\"_meta\":{{\"io.modelcontextprotocol/subscriptionId\":{id}}},\"uri\":\"{CHANGING}\"}}}}\n\n"
            );
            listener.send(Bytes::from(event)).is_ok()
        });
        self.echo(id, "touched")
    }
}

/// A question. Its state is as long as one that is sealed.
fn ask(id: &RawValue) -> Answer {
    let state = "s".repeat(256);
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"resultType":"input_required","inputRequests":{{"approval":{{"method":"elicitation/create","params":{{"mode":"form","message":"Go on?","requestedSchema":{{"type":"object","properties":{{"approved":{{"type":"boolean"}}}},"required":["approved"]}}}}}}}},"requestState":"{state}"}}}}"#
    );
    with_body(JSON, body.into_bytes())
}

fn refuse(id: &RawValue, code: i32, text: &str) -> Answer {
    let error = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":"{text}"}}}}"#);
    with_body(JSON, error.into_bytes())
}

fn with_body(media_type: &'static str, body: Vec<u8>) -> Answer {
    let mut response = Response::new(Either::Left(Full::new(Bytes::from(body))));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

fn empty(status: StatusCode) -> Answer {
    let mut response = Response::new(Either::Left(Full::default()));
    *response.status_mut() = status;
    response
}

const TO_MEMORY: &str = "writing to a vector does not fail";
