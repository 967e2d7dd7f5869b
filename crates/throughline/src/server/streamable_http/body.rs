//! The bodies we send.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::server::exchange::{Exchange, SessionExchange};
use crate::server::http_sse::LinkStream;
use crate::server::listen::Seat;
use crate::server::queue::Queue;
use crate::server::tail::Tail;

/// The body of a response: nothing, one piece of JSON, or a stream of events.
///
/// # Drop behavior
///
/// Dropping a stream is losing its connection: a session's call goes on, a stateless one is cancelled, a listener is gone. With
/// the stream of HTTP+SSE its session ends.
pub struct ResponseBody(Kind);

enum Kind {
    Full(Bytes),
    Tail(Box<Tail>),
    Queue(Arc<Queue>, #[expect(dead_code, reason = "it acts when it is dropped")] CancelOnDrop),
    Listen(Seat),
    Link(LinkStream),
}

/// Cancels the calls of a POST without a session when its connection is lost.
pub(crate) struct CancelOnDrop(pub(crate) Option<Arc<dyn Exchange>>);

impl ResponseBody {
    pub(crate) fn empty() -> Self {
        Self(Kind::Full(Bytes::new()))
    }

    pub(crate) fn full(bytes: Bytes) -> Self {
        Self(Kind::Full(bytes))
    }

    pub(crate) fn tail(tail: Tail) -> Self {
        Self(Kind::Tail(Box::new(tail)))
    }

    pub(crate) fn queue(queue: Arc<Queue>, guard: CancelOnDrop) -> Self {
        Self(Kind::Queue(queue, guard))
    }

    pub(crate) fn listen(seat: Seat) -> Self {
        Self(Kind::Listen(seat))
    }

    pub(crate) fn link(stream: LinkStream) -> Self {
        Self(Kind::Link(stream))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = match &mut self.0 {
            Kind::Full(bytes) => Poll::Ready((!bytes.is_empty()).then(|| std::mem::take(bytes))),
            Kind::Tail(tail) => tail.poll_frame(cx),
            // The guard stays: a queue whose reader stalled ends without the answer, and then its call is to end too.
            Kind::Queue(queue, _) => queue.poll_frame(cx),
            Kind::Listen(seat) => seat.poll_frame(cx),
            Kind::Link(stream) => stream.poll_frame(cx),
        };
        data.map(|data| data.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Full(bytes) => bytes.is_empty(),
            Kind::Tail(tail) => tail.is_done(),
            Kind::Queue(queue, _) => queue.is_over(),
            Kind::Listen(seat) => seat.is_over(),
            Kind::Link(stream) => stream.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Tail(_) | Kind::Queue(..) | Kind::Listen(_) | Kind::Link(_) => SizeHint::default(),
        }
    }
}

impl std::fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match &self.0 {
            Kind::Full(_) => "ResponseBody::Full",
            Kind::Tail(_) => "ResponseBody::Tail",
            Kind::Queue(..) => "ResponseBody::Queue",
            Kind::Listen(_) => "ResponseBody::Listen",
            Kind::Link(_) => "ResponseBody::Link",
        })
    }
}

impl CancelOnDrop {
    /// Armed for a POST without a session; with one, its calls outlive the connection.
    pub(crate) fn of(exchange: &Arc<SessionExchange>) -> Self {
        Self((!exchange.live().is_session()).then(|| Arc::clone(exchange) as Arc<dyn Exchange>))
    }

    /// The call is over: nothing is left to cancel.
    pub(crate) fn disarm(&mut self) {
        self.0 = None;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(exchange) = self.0.take() {
            exchange.abandon();
        }
    }
}
