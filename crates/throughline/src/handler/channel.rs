//! What a [`Context`](super::Context) is bound to: the way back to the client while a call runs.
//!
//! A legacy session, a stateless request and a modern request each have a channel of their own; a handler cannot tell
//! which one it talks to.

use std::fmt;
use std::task::{self, Poll};
use std::time::{Duration, Instant};

use throughline_proto::jsonrpc::{Raw, Str};
use throughline_proto::model::{LoggingLevel, LoggingMessageParams, ProgressParams, ServerRequest};
use throughline_proto::session::{self, AskNo, CallNo, Patience};

use super::{AskError, OnceError};

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
    /// awaits its answers and needs no names.
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

    /// Whether what is sent may be kept from leaving by the handler that sent it, as long as that goes on.
    fn is_held_up_by_its_handler(&self) -> bool {
        true
    }

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

    /// The answer that was just given cannot be read. True: it is as if it had not come, and the client is asked again.
    /// False: the handler learns of it, because a live client answered wrongly once and would again.
    fn reject_answer(&self, ask: AskNo) -> bool {
        let _ = ask;
        false
    }

    /// What the call carries from round to round. `None` where the call awaits its answers: it has one round, and what it
    /// carries is kept with the call.
    fn input(&self) -> Option<&dyn Input> {
        None
    }

    /// Closes the connection that carries the call's stream without ending the stream. False where that cannot be.
    fn close_connection(&self, call: CallNo, retry: Duration) -> bool;
}

/// What a call carries from one round to the next ([`Context::once`](super::Context::once),
/// [`InputRequired`](super::InputRequired)).
pub(crate) trait Input: Send + Sync {
    /// The result kept under this key, or `None`: then the caller makes it, and says so with
    /// [`end_once`](Input::end_once).
    fn begin_once(&self, key: &str) -> Result<Option<Raw>, OnceError>;

    /// The result is made and is kept, or it failed.
    fn end_once(&self, key: &str, made: Option<Raw>) -> Result<(), OnceError>;

    /// The client's answer to the question of this name, of those that the handler asked by its own
    /// [`InputRequired`](super::InputRequired).
    fn response(&self, key: &str) -> Option<Raw>;

    /// The state that the handler gave to its own [`InputRequired`](super::InputRequired).
    fn request_state(&self) -> Option<Str>;
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
