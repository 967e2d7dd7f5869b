//! A response as it arrives.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use http::{Response, StatusCode};
use throughline_proto::auth::Challenge;
use throughline_proto::jsonrpc::{Frame, Malformed, Message, ParseLimits, parse};
use throughline_proto::sse::Decoder;

use tokio::task::coop::consume_budget;

use crate::client::ClientError;
use crate::client::core::FAREWELL;
use crate::client::line::BoxBody;

/// The messages of one response: a stream of events, or what one JSON body held.
pub(crate) struct Reading {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: BoxBody,
    /// For a stream of events.
    decoder: Option<Decoder>,
    ready: VecDeque<Received>,
    done: bool,
}

/// One event of a stream, or one message of a JSON body.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub(crate) id: Option<String>,
    pub(crate) retry: Option<Duration>,
    pub(crate) message: Option<Result<Message, Malformed>>,
    /// What an `endpoint` event of HTTP+SSE held.
    pub(crate) endpoint: Option<String>,
    /// How much the data of the event was.
    pub(crate) bytes: usize,
}

impl Reading {
    /// Reads the head, and the whole body unless it is a stream.
    ///
    /// # Errors
    ///
    /// A refusal for a status that is none of success; otherwise when the body is nothing that answers a message.
    pub(crate) async fn new(response: Response<BoxBody>) -> Result<Self, ClientError> {
        let (parts, body) = response.into_parts();
        let (status, headers) = (parts.status, parts.headers);
        let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let (is_stream, is_json) = (kind == "text/event-stream", kind == "application/json");
        let decoder = is_stream.then(|| Decoder::new(MAX_EVENT));
        let mut reading = Self { status, headers, body, decoder, ready: VecDeque::new(), done: false };
        if is_stream && status.is_success() {
            return Ok(reading);
        }
        if !status.is_success() {
            return Err(reading.refusal(is_json).await);
        }
        reading.done = true;
        let text = reading.rest(MAX_EVENT).await?;
        if is_json {
            reading.ready = messages(&text).map(Received::of).collect();
        } else if !text.is_empty() {
            let kind =
                if kind.is_empty() { "without a content type".to_owned() } else { format!("as `{kind}`") };
            return Err(ClientError::peer(format!(
                "its response came {kind}, which is neither application/json nor text/event-stream; is this the address of an MCP endpoint?"
            )));
        }
        Ok(reading)
    }

    /// What a response says that refuses.
    async fn refusal(&mut self, is_json: bool) -> ClientError {
        let wait = self.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        // What cannot be read says nothing; the status does.
        let text = match tokio::time::timeout(FAREWELL, self.rest(MAX_REFUSAL)).await {
            Ok(Ok(text)) => text,
            Ok(Err(_)) | Err(_) => Bytes::new(),
        };
        let error = match is_json.then(|| parse(&text, &ParseLimits::default())) {
            Some(Ok(Frame::Single(Message::Response(response)))) => response.outcome.err(),
            _ => None,
        };
        if matches!(self.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return ClientError::challenged(self.status, error, Challenge::parse_all(&self.headers));
        }
        ClientError::refused(self.status, error, wait.map(Duration::from_secs))
    }

    /// Whether it is a stream of events.
    pub(crate) fn is_stream(&self) -> bool {
        self.decoder.is_some()
    }

    /// The next event; `None` when the server ended the response.
    pub(crate) async fn next(&mut self) -> Result<Option<Received>, ClientError> {
        loop {
            if let Some(received) = self.next_ready()? {
                return Ok(Some(received));
            }
            if !self.fill().await? {
                return Ok(None);
            }
        }
    }

    /// The next event of what has arrived.
    pub(crate) fn next_ready(&mut self) -> Result<Option<Received>, ClientError> {
        if let Some(received) = self.ready.pop_front() {
            return Ok(Some(received));
        }
        let Some(decoder) = &mut self.decoder else { return Ok(None) };
        let event = match decoder.next_event() {
            Some(Ok(event)) => event,
            Some(Err(error)) => return Err(ClientError::peer(error.to_string())),
            None => return Ok(None),
        };
        let bytes = event.data.len();
        let mut head = Received { id: event.id, retry: event.retry, bytes, ..Received::default() };
        if event.event.as_deref() == Some("endpoint") {
            head.endpoint = Some(event.data);
            return Ok(Some(head));
        }
        // Others say `prime`, `ping` or `close`: nothing of these is a message.
        let is_message = event.event.as_deref().is_none_or(|kind| kind == "message");
        if !event.data.is_empty() && is_message {
            match parse(&Bytes::from(event.data), &ParseLimits::default()) {
                Ok(Frame::Single(message)) => head.message = Some(Ok(message)),
                Ok(Frame::Batch(entries)) => {
                    let mut entries = entries.into_iter();
                    head.message = entries.next();
                    self.ready.extend(entries.map(Received::of));
                }
                Err(malformed) => head.message = Some(Err(malformed)),
            }
        }
        Ok(Some(head))
    }

    /// Waits for more; false when the server ended the response. May be dropped and called again.
    pub(crate) async fn fill(&mut self) -> Result<bool, ClientError> {
        if self.done || self.decoder.is_none() {
            return Ok(false);
        }
        match self.chunk().await? {
            Some(chunk) => self.decoder.as_mut().expect("it was just there").push(&chunk),
            None => self.done = true,
        }
        Ok(!self.done)
    }

    /// Skips what has arrived. True when nothing more is to be waited for: the response has ended, or goes on for too long.
    pub(crate) async fn skip_arrived(&mut self) -> bool {
        let mut skipped = 0;
        while !self.done && skipped <= MOST_AFTER {
            match poll_fn(|cx| Poll::Ready(self.body.as_mut().poll_frame(cx))).await {
                Poll::Pending => return false,
                Poll::Ready(Some(Ok(frame))) => skipped += frame.data_ref().map_or(0, Bytes::len),
                Poll::Ready(None | Some(Err(_))) => self.done = true,
            }
        }
        true
    }

    /// Skips what is left of the response up to its end: dropped before it, an HTTP/1 connection cannot be used again.
    pub(crate) async fn finish(mut self) {
        let mut skipped = 0;
        let to_end = async {
            while let Ok(Some(chunk)) = self.chunk().await {
                skipped += chunk.len();
                if skipped > MOST_AFTER {
                    break;
                }
            }
        };
        // A server that has more to say, or takes longer, keeps the connection from nobody: it is closed.
        let _ = tokio::time::timeout(END_AFTER, to_end).await;
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            // A body that is always ready must let others run, the clock of its call among them.
            consume_budget().await;
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

    async fn rest(&mut self, most: usize) -> Result<Bytes, ClientError> {
        let mut all = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            if all.len() + chunk.len() > most {
                return Err(ClientError::peer(format!("its response is larger than {most} bytes")));
            }
            if all.is_empty() && self.body.is_end_stream() {
                // Most bodies are one chunk.
                return Ok(chunk);
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    }
}

impl Received {
    fn of(message: Result<Message, Malformed>) -> Self {
        Self { message: Some(message), ..Self::default() }
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading")
            .field("status", &self.status)
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}

/// The messages of one text: one, or those of a batch.
pub(crate) fn messages(text: &Bytes) -> impl Iterator<Item = Result<Message, Malformed>> + use<> {
    let (one, batch) = match parse(text, &ParseLimits::default()) {
        Ok(Frame::Single(message)) => (Some(Ok(message)), Vec::new()),
        Ok(Frame::Batch(entries)) => (None, entries),
        Err(malformed) => (Some(Err(malformed)), Vec::new()),
    };
    one.into_iter().chain(batch)
}

/// The largest event or JSON body that is read (design §8).
pub(crate) const MAX_EVENT: usize = 16 * 1024 * 1024;

/// What is read of a response after its answer, where at most a comment or an event without a message should come.
const MOST_AFTER: usize = 64 * 1024;

/// How long its end is waited for: a server sends it at once, or some round trip later.
const END_AFTER: Duration = Duration::from_secs(1);

/// The largest body of a refusal: a JSON-RPC error is a sentence and some data, and a page of HTML is not read on.
const MAX_REFUSAL: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Context;

    use http_body::{Body, Frame};
    use tokio::sync::oneshot;

    use super::*;
    use crate::client::line::BoxError;

    /// An answer, and then what a server does that does not end the response.
    struct Unended {
        answer: Option<Bytes>,
        /// Sent again and again; nothing: it is silent.
        more: Option<Bytes>,
        taken: Arc<AtomicUsize>,
        _dropped: oneshot::Sender<()>,
    }

    impl Body for Unended {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            if let Some(answer) = self.answer.take() {
                return Poll::Ready(Some(Ok(Frame::data(answer))));
            }
            let Some(more) = self.more.clone() else { return Poll::Pending };
            self.taken.fetch_add(more.len(), Ordering::Relaxed);
            Poll::Ready(Some(Ok(Frame::data(more))))
        }
    }

    async fn answered(more: Option<Bytes>) -> (Reading, Arc<AtomicUsize>, oneshot::Receiver<()>) {
        let (taken, (dropped, is_dropped)) = (Arc::<AtomicUsize>::default(), oneshot::channel());
        let answer = Bytes::from_static(b"data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n");
        let body = Unended { answer: Some(answer), more, taken: Arc::clone(&taken), _dropped: dropped };
        let body: BoxBody = Box::pin(body);
        let response = Response::builder().header(CONTENT_TYPE, "text/event-stream").body(body).unwrap();
        let mut reading = Reading::new(response).await.unwrap();
        let received = reading.next().await.unwrap().unwrap();
        assert!(matches!(received.message, Some(Ok(Message::Response(_)))));
        (reading, taken, is_dropped)
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_that_does_not_come_is_waited_for_a_second() {
        let (mut reading, _, is_dropped) = answered(None).await;
        let before = tokio::time::Instant::now();
        assert!(!reading.skip_arrived().await);
        reading.finish().await;
        assert_eq!(before.elapsed(), END_AFTER);
        is_dropped.await.unwrap_err();
    }

    #[tokio::test(start_paused = true)]
    async fn what_goes_on_after_the_answer_is_not_read_for_long() {
        for arrived_alone in [true, false] {
            let (mut reading, taken, is_dropped) =
                answered(Some(Bytes::from_static(b": still here\n\n"))).await;
            if arrived_alone {
                assert!(reading.skip_arrived().await);
                drop(reading);
            } else {
                reading.finish().await;
            }
            let taken = taken.load(Ordering::Relaxed);
            assert!((MOST_AFTER..MOST_AFTER + 100).contains(&taken), "{taken}");
            is_dropped.await.unwrap_err();
        }
    }
}
