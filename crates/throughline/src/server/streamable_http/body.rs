//! The bodies we send.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use throughline_proto::jsonrpc::Raw;
use tokio::time::Sleep;

use crate::runtime;
use crate::server::exchange::{Exchange, SessionExchange};
use crate::server::http_sse::LinkStream;
use crate::server::listen::Seat;
use crate::server::queue::Queue;
use crate::server::shares::Held;
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
    /// One of those, of somebody who is known.
    Bound(Box<Bound>),
}

/// A stream that is bound to an authorization: it ends with it, and takes its place in the share of the principal.
struct Bound {
    stream: Kind,
    expiry: Option<Pin<Box<Sleep>>>,
    /// What an answer says of the server, where the stream ends with one.
    server_info: Option<Raw>,
    _held: Option<Held>,
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

    /// Whether more may come of it than one piece.
    pub(crate) fn is_stream(&self) -> bool {
        !matches!(self.0, Kind::Full(_))
    }

    /// A stream that ends at `expiry`, in a way that its client can come back from, and holds a place until it does.
    pub(crate) fn bound(self, expiry: Option<Instant>, held: Option<Held>) -> Self {
        if expiry.is_none() && held.is_none() || !self.is_stream() {
            return self;
        }
        let expiry = expiry.map(|at| Box::pin(runtime::sleep_until(at)));
        Self(Kind::Bound(Box::new(Bound { stream: self.0, expiry, server_info: None, _held: held })))
    }

    /// What the answer says of the server that the stream may end with.
    pub(crate) fn of_server(mut self, server_info: Option<Raw>) -> Self {
        if let Kind::Bound(bound) = &mut self.0 {
            bound.server_info = server_info;
        }
        self
    }
}

impl Bound {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(expiry) = &mut self.expiry
            && expiry.as_mut().poll(cx).is_ready()
            && self.stream.expire(self.server_info.as_ref())
        {
            self.expiry = None;
        }
        self.stream.poll_frame(cx)
    }
}

impl Kind {
    /// Who reads it is no longer authorized. False where it cannot end yet without a loss for its client.
    fn expire(&mut self, server_info: Option<&Raw>) -> bool {
        match self {
            Kind::Tail(tail) => tail.expire(),
            Kind::Listen(seat) => {
                seat.end_gracefully(server_info);
                true
            }
            // A call was allowed when it began, and its answer is the end of it. A session of HTTP+SSE ends as a whole.
            Kind::Full(_) | Kind::Queue(..) | Kind::Link(_) | Kind::Bound(_) => true,
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match self {
            Kind::Full(bytes) => Poll::Ready((!bytes.is_empty()).then(|| std::mem::take(bytes))),
            Kind::Tail(tail) => tail.poll_frame(cx),
            // The guard stays: a queue whose reader stalled ends without the answer, and then its call is to end too.
            Kind::Queue(queue, _) => queue.poll_frame(cx),
            Kind::Listen(seat) => seat.poll_frame(cx),
            Kind::Link(stream) => stream.poll_frame(cx),
            Kind::Bound(bound) => bound.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Kind::Full(bytes) => bytes.is_empty(),
            Kind::Tail(tail) => tail.is_done(),
            Kind::Queue(queue, _) => queue.is_over(),
            Kind::Listen(seat) => seat.is_over(),
            Kind::Link(stream) => stream.is_over(),
            Kind::Bound(bound) => bound.stream.is_end_stream(),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Kind::Full(_) => "ResponseBody::Full",
            Kind::Tail(_) => "ResponseBody::Tail",
            Kind::Queue(..) => "ResponseBody::Queue",
            Kind::Listen(_) => "ResponseBody::Listen",
            Kind::Link(_) => "ResponseBody::Link",
            Kind::Bound(bound) => bound.stream.name(),
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_frame(cx).map(|data| data.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Tail(_) | Kind::Queue(..) | Kind::Listen(_) | Kind::Link(_) | Kind::Bound(_) => {
                SizeHint::default()
            }
        }
    }
}

impl std::fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.name())
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
