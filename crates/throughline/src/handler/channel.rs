//! What a [`Context`](super::Context) is bound to: the way back to the client while a call runs.
//!
//! A legacy session, a stateless request and a modern request each have a channel of their own; a handler cannot tell
//! which one it talks to.

use std::fmt;
use std::task::{self, Poll};
use std::time::{Duration, Instant};

use throughline_proto::jsonrpc::Raw;
use throughline_proto::model::{LoggingLevel, LoggingMessageParams, ProgressParams, ServerRequest};
use throughline_proto::session::{self, AskNo, CallNo, Patience};

use super::AskError;

/// A notification that belongs to a call, or to the session where there is no call.
#[derive(Clone, Copy)]
pub(crate) enum Note<'a> {
    Progress(&'a ProgressParams),
    Log(&'a LoggingMessageParams),
    Custom { method: &'a str, params: Option<&'a Raw> },
}

/// A question to the client, neutral: the channel knows the revision that it is written in.
pub(crate) struct QuestionBody {
    pub(crate) kind: session::Question,
    pub(crate) request: AskRequest,
    /// The name under which a revision without sessions keeps the answer; ordinal where the handler gave none. A session
    /// awaits its answers and needs no names: only the proof in `rounds` reads it until the modern era is served.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "read by the channel of the modern era, which is yet to come")
    )]
    pub(crate) key: Option<String>,
    pub(crate) patience: Patience,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) enum AskRequest {
    Mcp(Box<ServerRequest>),
    Custom { method: &'static str, params: Raw },
}

/// The way back to the client. `call` is `None` for what belongs to no call.
pub(crate) trait Channel: Send + Sync + 'static {
    /// Sends a notification. Pending: the reader is behind; only this call waits.
    fn poll_notify(
        &self,
        call: Option<CallNo>,
        note: Note<'_>,
        cx: &mut task::Context<'_>,
    ) -> Poll<Result<(), CallOver>>;

    /// Whether the client wants log messages of this level.
    fn wants_log(&self, level: LoggingLevel) -> bool;

    /// Asks the client something.
    fn open_ask(&self, call: Option<CallNo>, question: &QuestionBody) -> Result<AskNo, AskError>;

    /// The answer to an open ask.
    fn poll_ask(&self, ask: AskNo, cx: &mut task::Context<'_>) -> Poll<Result<Raw, AskError>>;

    /// When the time for an answer is up; `None` where nothing runs out.
    fn ask_deadline(&self, ask: AskNo) -> Option<Instant>;

    /// Gives up the asks whose time is up.
    fn expire_asks(&self, now: Instant);

    /// Nobody waits for this answer any more.
    fn close_ask(&self, ask: AskNo);

    /// Closes the connection that carries the call's stream without ending the stream. False where that cannot be.
    fn close_connection(&self, call: CallNo, retry: Duration) -> bool;
}

/// The call is over, or its session: nothing can be sent for it any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CallOver;

impl fmt::Display for CallOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the call is over: it was answered or cancelled, and nothing more can be sent for it")
    }
}

impl std::error::Error for CallOver {}
