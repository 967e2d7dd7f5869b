//! A client of its own, so that nothing is checked with what is under test.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::Result;

/// One connection. Dropping it while an answer is read cuts it.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: String,
}

/// What came back: a head, and a body that may be a stream.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) session: Option<String>,
    is_stream: bool,
    body: Incoming,
    text: BytesMut,
}

/// An event of a stream.
#[derive(Debug, Default)]
pub(super) struct Event {
    pub(super) id: Option<String>,
    /// Null: the event has no message.
    pub(super) message: Value,
}

impl Connection {
    pub(super) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // It ends with its sender and the body that is read; a failure shows in the request that it breaks.
        tokio::spawn(connection);
        Ok(Self { sender, host: address.to_string() })
    }

    pub(super) async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer> {
        let mut request = Request::builder().method(method).uri(path).header("host", &self.host);
        request = request.header("content-type", "application/json");
        if !headers.iter().any(|(name, _)| *name == "accept") {
            request = request.header("accept", "application/json, text/event-stream");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.sender.ready().await?;
        Answer::of(self.sender.send_request(request.body(Full::new(body.into()))?).await?)
    }
}

impl Answer {
    fn of(response: Response<Incoming>) -> Result<Self> {
        let header =
            |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (session, kind) = (header("mcp-session-id"), header("content-type").unwrap_or_default());
        let is_stream = kind.starts_with("text/event-stream");
        let status = response.status().as_u16();
        Ok(Self { status, session, is_stream, body: response.into_body(), text: BytesMut::new() })
    }

    /// The whole body, of whatever kind.
    pub(super) async fn text(mut self) -> Result<String> {
        while self.more().await? {}
        Ok(String::from_utf8(self.text.to_vec())?)
    }

    /// The only message of the body; null where there is none.
    pub(super) async fn message(mut self) -> Result<Value> {
        if !self.is_stream {
            let text = self.text().await?;
            return Ok(if text.is_empty() { Value::Null } else { serde_json::from_str(&text)? });
        }
        let mut only = Value::Null;
        while let Some(event) = self.next().await? {
            if !event.message.is_null() && !std::mem::replace(&mut only, event.message).is_null() {
                return Err("more than one message came back".into());
            }
        }
        Ok(only)
    }

    /// The next event of a stream, or the one message of a body; nothing at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Event>> {
        if !self.is_stream {
            while self.more().await? {}
            let text = self.text.split();
            let message = || Ok(Event { id: None, message: serde_json::from_slice(&text)? });
            return if text.is_empty() { Ok(None) } else { message().map(Some) };
        }
        loop {
            let Some(end) = self.text.windows(2).position(|pair| pair == b"\n\n") else {
                if !self.more().await? {
                    return Ok(None);
                }
                continue;
            };
            let block = self.text.split_to(end + 2);
            let mut event = Event::default();
            let mut data = String::new();
            for line in std::str::from_utf8(&block)?.lines() {
                if let Some(id) = line.strip_prefix("id: ") {
                    event.id = Some(id.to_owned());
                } else if let Some(part) = line.strip_prefix("data: ") {
                    data.push_str(part);
                }
            }
            if !data.is_empty() {
                event.message = serde_json::from_str(&data)?;
            }
            return Ok(Some(event));
        }
    }

    async fn more(&mut self) -> Result<bool> {
        let Some(frame) = self.body.frame().await else { return Ok(false) };
        if let Ok(data) = frame?.into_data() {
            self.text.extend_from_slice(&data);
        }
        Ok(true)
    }
}

/// Fails with what was found where something else was wanted.
pub(super) fn expect<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, wanted: &T) -> Result<()> {
    if found == wanted { Ok(()) } else { Err(format!("{what}: {found:?}, and not {wanted:?}").into()) }
}

/// Whether a message is the result of request `id` with this text.
pub(super) fn is_text(message: &Value, id: u64, text: &str) -> Result<()> {
    let found = (&message["id"], &message["result"]["content"][0]["text"]);
    if found == (&id.into(), &text.into()) {
        Ok(())
    } else {
        Err(format!("request {id} was to be answered with {text:?}, and came {message}").into())
    }
}

/// Progress 1, 2, 3, .. and then the result of `slow`.
pub(super) struct Slow {
    pub(super) id: u64,
    pub(super) ms: u64,
    pub(super) events: u64,
    pub(super) came: u64,
}

impl Slow {
    /// Takes in the next message. True: it was the result.
    pub(super) fn take(&mut self, message: &Value) -> Result<bool> {
        if message["method"] == "notifications/progress" {
            self.came += 1;
            expect("progress", &message["params"]["progress"].as_u64(), &Some(self.came))?;
            return Ok(false);
        }
        expect("progress before the result", &self.came, &self.events)?;
        is_text(message, self.id, &format!("done after {} ms and {} events", self.ms, self.events))?;
        Ok(true)
    }
}
