//! What can be seen of the way to a server.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// The transport that a client speaks with its server over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientTransport {
    /// Streamable HTTP: every request has a response of its own.
    Streamable,
    /// HTTP+SSE, the transport of revision 2024-11-05.
    Sse,
    /// Standard input and output of a process, or another pair of a reader and a writer.
    Stdio,
}

/// How a call over Streamable HTTP was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerForm {
    /// With one JSON body.
    Json,
    /// With a stream of events, which can carry progress, log messages and questions before the answer.
    Stream,
}

/// A step of connecting that is done, whatever came of it; see [`Connect::on_step`](super::Connect::on_step).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectStep {
    /// A connection was made (name, TCP, proxy, TLS), or the process of the server was started.
    Reached,
    /// `server/discover` was answered, or refused.
    Discovered,
    /// `initialize` was answered, or refused.
    Initialized,
    /// The stream of HTTP+SSE was opened, or refused.
    SseOpened,
}

/// Who is told of the steps. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Steps(Option<Arc<dyn Fn(ConnectStep) + Send + Sync>>);

impl Steps {
    pub(super) fn new(tell: impl Fn(ConnectStep) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(tell)))
    }

    pub(super) fn done(&self, step: ConnectStep) {
        if let Some(tell) = &self.0 {
            tell(step);
        }
    }
}

impl fmt::Debug for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Steps").field(&self.0.is_some()).finish()
    }
}

/// How the last call was answered.
#[derive(Default)]
pub(crate) struct LastForm(AtomicU8);

impl LastForm {
    pub(crate) fn set(&self, stream: bool) {
        self.0.store(1 + u8::from(stream), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> Option<AnswerForm> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            1 => Some(AnswerForm::Json),
            _ => Some(AnswerForm::Stream),
        }
    }
}
