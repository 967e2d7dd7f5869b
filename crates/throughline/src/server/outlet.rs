//! What carries the messages of a call, whatever the transport.

use std::sync::Arc;
use std::task::{self, Poll};

use bytes::BytesMut;

use super::pipe::Pipe;
use super::queue::Queue;
use super::stream::{Stream, Weight};
use crate::handler::CallOver;

/// Where messages go.
#[derive(Clone)]
pub(crate) enum Outlet {
    /// A stream of a session: kept, resumable.
    Log(Arc<Stream>),
    /// Without sessions: only to this connection.
    Queue(Arc<Queue>),
    /// The one way to the client, for everything.
    Pipe(Arc<Pipe>),
}

impl Outlet {
    /// Sends an encoded message at once. False when nothing can be sent any more.
    pub(crate) fn send(&self, weight: Weight, message: &[u8]) -> bool {
        self.send_with(weight, |out| out.extend_from_slice(message))
    }

    /// Sends what `write` writes at once. False when nothing can be sent any more.
    pub(crate) fn send_with(&self, weight: Weight, write: impl FnOnce(&mut BytesMut)) -> bool {
        match self {
            Outlet::Log(stream) => stream.send(weight, write),
            Outlet::Queue(queue) => {
                queue.send(weight.ends, write);
                true
            }
            Outlet::Pipe(pipe) => pipe.send(weight, write),
        }
    }

    /// Sends a notification once the reader is near enough. Pending wakes `cx` when that may be so.
    pub(crate) fn poll_send(
        &self,
        write: impl FnOnce(&mut BytesMut),
        cx: &task::Context<'_>,
    ) -> Poll<Result<(), CallOver>> {
        match self {
            Outlet::Log(stream) => stream.poll_send(write, cx),
            Outlet::Queue(queue) => queue.poll_send(write, cx),
            Outlet::Pipe(pipe) => pipe.poll_send(write, cx),
        }
    }

    /// Nothing more comes from the calls of this stream.
    pub(crate) fn end(&self) {
        match self {
            Outlet::Log(stream) => stream.end(),
            Outlet::Queue(queue) => queue.end(),
            // Other calls go on.
            Outlet::Pipe(_) => {}
        }
    }
}
