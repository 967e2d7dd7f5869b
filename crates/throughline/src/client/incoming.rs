//! A response as it arrives.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use http::{Response, StatusCode};
use throughline_proto::jsonrpc::{Frame, Message, ParseLimits, parse};
use throughline_proto::sse::Decoder;

use super::line::BoxBody;
use super::{ClientError, Inner, MAX_EVENT, handlers};

/// The messages of one response: a stream of events, or what one JSON body held.
///
/// Requests of the server are answered by the client's handlers as they are read, and still given here.
///
/// # Drop behavior
///
/// The connection is dropped; the call goes on at the server.
#[derive(Debug)]
pub struct Incoming {
    client: Arc<Inner>,
    reader: Reader,
}

/// One event of a stream, or one message of a JSON body.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Received {
    /// The event's id, which [`Client::resume`](super::Client::resume) takes.
    pub id: Option<String>,
    /// When to come back after the connection ends, where the event says so.
    pub retry: Option<Duration>,
    /// The message; `None` for an event that only carries an id or `retry`.
    pub message: Option<Message>,
}

impl Incoming {
    pub(super) async fn new(client: Arc<Inner>, response: Response<BoxBody>) -> Result<Self, ClientError> {
        Ok(Self { client, reader: Reader::new(response).await? })
    }

    /// The status: 200, or 202 for what is not answered.
    pub fn status(&self) -> StatusCode {
        self.reader.status
    }

    /// The headers of the response.
    pub fn headers(&self) -> &HeaderMap {
        &self.reader.headers
    }

    /// Whether it is a stream of events.
    pub fn is_stream(&self) -> bool {
        self.reader.decoder.is_some()
    }

    /// The next event; `None` when the server ended the response.
    ///
    /// # Errors
    ///
    /// When the connection is lost, or what comes is no JSON-RPC message or larger than 16 MiB.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again: nothing is lost.
    pub async fn next(&mut self) -> Result<Option<Received>, ClientError> {
        let received = self.reader.next().await?;
        if let Some(Received { message: Some(message), .. }) = &received {
            handlers::take(&self.client, message);
        }
        Ok(received)
    }
}

/// Reads the messages of a response that is no stream that goes on.
pub(super) async fn read_whole(response: Response<BoxBody>) -> Result<Vec<Message>, ClientError> {
    let mut reader = Reader::new(response).await?;
    let mut messages = Vec::new();
    while let Some(received) = reader.next().await? {
        messages.extend(received.message);
        if messages.len() > ParseLimits::default().batch {
            return Err(ClientError::peer("the response holds too many messages"));
        }
    }
    Ok(messages)
}

struct Reader {
    status: StatusCode,
    headers: HeaderMap,
    body: BoxBody,
    /// For a stream of events.
    decoder: Option<Decoder>,
    ready: VecDeque<Received>,
    done: bool,
}

impl Reader {
    async fn new(response: Response<BoxBody>) -> Result<Self, ClientError> {
        let (parts, body) = response.into_parts();
        let (status, headers) = (parts.status, parts.headers);
        let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        let (is_stream, is_json) = (kind == "text/event-stream", kind == "application/json");
        let decoder = is_stream.then(|| Decoder::new(MAX_EVENT));
        let mut reader = Self { status, headers, body, decoder, ready: VecDeque::new(), done: false };
        if is_stream && status.is_success() {
            return Ok(reader);
        }
        reader.done = true;
        let text = reader.rest().await?;
        if !status.is_success() {
            let error = match is_json.then(|| parse(&text, &ParseLimits::default())) {
                Some(Ok(Frame::Single(Message::Response(response)))) => response.outcome.err(),
                _ => None,
            };
            let wait = reader.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            return Err(ClientError::refused(status, error, wait.map(Duration::from_secs)));
        }
        if is_json {
            reader.ready = messages(&text)?.into_iter().map(Received::of).collect();
        } else if !text.is_empty() {
            return Err(ClientError::peer("the response is neither application/json nor text/event-stream"));
        }
        Ok(reader)
    }

    async fn next(&mut self) -> Result<Option<Received>, ClientError> {
        loop {
            if let Some(received) = self.ready.pop_front() {
                return Ok(Some(received));
            }
            let Some(decoder) = &mut self.decoder else { return Ok(None) };
            match decoder.next_event() {
                Some(Ok(event)) => {
                    let head = Received { id: event.id, retry: event.retry, message: None };
                    if event.data.is_empty() {
                        return Ok(Some(head));
                    }
                    let mut all = messages(&Bytes::from(event.data))?.into_iter();
                    self.ready.push_back(Received { message: all.next(), ..head });
                    self.ready.extend(all.map(Received::of));
                }
                Some(Err(_)) => return Err(ClientError::peer("an event is larger than 16 MiB")),
                None if self.done => return Ok(None),
                None => match self.chunk().await? {
                    Some(chunk) => self.decoder.as_mut().expect("it was just there").push(&chunk),
                    None => self.done = true,
                },
            }
        }
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            match poll_fn(|cx| self.body.as_mut().poll_frame(cx)).await {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(error)) => {
                    self.done = true;
                    return Err(ClientError::connection(error));
                }
            }
        }
    }

    async fn rest(&mut self) -> Result<Bytes, ClientError> {
        let mut all = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            if all.len() + chunk.len() > MAX_EVENT {
                return Err(ClientError::peer("the response is larger than 16 MiB"));
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    }
}

impl Received {
    fn of(message: Message) -> Self {
        Self { message: Some(message), ..Self::default() }
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("status", &self.status)
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}

fn messages(text: &Bytes) -> Result<Vec<Message>, ClientError> {
    let malformed = |error| ClientError::peer(format!("the server sent what is no message: {error}"));
    match parse(text, &ParseLimits::default()).map_err(malformed)? {
        Frame::Single(message) => Ok(vec![message]),
        Frame::Batch(entries) => entries.into_iter().collect::<Result<_, _>>().map_err(malformed),
    }
}
