//! The body of a response from the network.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::error::{HttpError, Name};
use super::pool::Lease;

/// The body of a response, as it arrives. It is not bounded here and not decompressed.
///
/// # Drop behavior
///
/// Dropped before its end it ends the exchange: the connection is closed (HTTP/1.1) or the stream reset (HTTP/2). An
/// HTTP/1.1 connection stays in use if the end of the body is there already and only was not read.
pub(crate) struct NetworkBody {
    /// Before the lease: when both are dropped, the connection knows that nobody reads before anybody takes it again.
    incoming: Incoming,
    lease: Option<Lease>,
    server: Name,
}

impl NetworkBody {
    pub(super) fn new(incoming: Incoming, lease: Lease, server: Name) -> Self {
        let mut body = Self { incoming, lease: Some(lease), server };
        body.settle();
        body
    }

    /// Gives the connection back once nothing more comes.
    fn settle(&mut self) {
        if self.incoming.is_end_stream() {
            self.lease = None;
        }
    }
}

impl Body for NetworkBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        match &polled {
            Poll::Ready(None | Some(Err(_))) => self.lease = None,
            Poll::Ready(Some(Ok(_))) => self.settle(),
            Poll::Pending => {}
        }
        polled.map_err(|error| HttpError::within_body(&self.server, error))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl fmt::Debug for NetworkBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetworkBody").field("server", &self.server).finish_non_exhaustive()
    }
}
