//! How a client finds out what a server speaks.

#[cfg(test)]
mod tests;

use ::http::StatusCode;
use serde::Deserialize;

use crate::jsonrpc::{ErrorCode, ErrorObject, Raw};
use crate::model::{DiscoverResult, InitializeResult};
use crate::revision::Revision;

/// Over what a client reaches its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportKind {
    /// Streamable HTTP, and HTTP+SSE behind it.
    Http,
    /// One stream of messages each way: standard input and output.
    Pipe,
}

/// Which of the HTTP transports may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransportChoice {
    /// Whichever the server speaks.
    #[default]
    Auto,
    /// Streamable HTTP alone.
    Streamable,
    /// HTTP+SSE alone, the transport of the first revision.
    Sse,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Send `server/discover` as a request of this revision.
    Discover(Revision),
    /// Send `initialize` and ask for this revision.
    Initialize(Revision),
    /// Open a GET stream and wait for its `endpoint`; then [`Negotiation::handle_endpoint`].
    OpenSse,
    /// Ask for authorization, then repeat the step.
    Authorize,
    /// The server speaks a revision without sessions.
    Modern(Revision, Box<DiscoverResult>),
    /// The server speaks a revision with sessions.
    Legacy(Revision, Box<InitializeResult>),
    /// There is no way to speak with it.
    Fail(Unreachable),
}

/// Why there is no way to speak with a server.
#[derive(Clone, Debug, PartialEq)]
pub enum Unreachable {
    /// It answered with this error.
    Answered(ErrorObject),
    /// It refused the request.
    Refused(StatusCode, Option<ErrorObject>),
    /// It speaks none of our revisions; these are its own.
    NoRevision(Vec<String>),
    /// It did not answer in time.
    TimedOut,
    /// What it answered is nothing that a server of MCP says.
    NotMcp(String),
}

/// What became of a request of the negotiation.
#[derive(Clone, Debug)]
pub enum Answered {
    /// A result.
    Result(Raw),
    /// An error, with the status of the response that held it.
    Error(StatusCode, ErrorObject),
    /// A status that is none of success, and no error that can be read.
    Refused(StatusCode),
    /// Nothing, in time.
    TimedOut,
    /// Something that is no message.
    NotMcp(String),
}

/// Finds out what a server speaks, never with a request of the caller's own. Begin with [`first`](Self::first), do what each
/// step says, and tell what came of it.
///
/// ```text
///   Discover ---- result ----------------------------------------> Modern
///      |    \---- a modern error: again, or Fail
///      |          anything else
///      v
///   Initialize -- result ----------------------------------------> Legacy
///      |    \---- error ---------------------------------------->  Fail
///      |          400, 404, 405
///      v
///   OpenSse ----- endpoint: Initialize
/// ```
///
/// Specification:
/// [versioning](https://modelcontextprotocol.io/specification/2026-07-28/basic/versioning#backward-compatibility-with-initialization-based-versions),
/// [Streamable HTTP](https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http#backward-compatibility).
#[derive(Clone, Debug)]
pub struct Negotiation {
    kind: TransportKind,
    choice: TransportChoice,
    /// The one revision that will do.
    pinned: Option<Revision>,
    /// The revision that `initialize` asks for.
    initialize_with: Revision,
    /// `server/discover` was refused for its revision once.
    retried: bool,
    /// It goes over HTTP+SSE by now.
    sse: bool,
    /// What `initialize` got before HTTP+SSE was tried.
    refused: Option<Unreachable>,
    /// What was found out before, as long as nothing speaks against it.
    verdict: Option<Revision>,
    /// The answer to a `server/discover` that was no longer waited for.
    late: Option<Answered>,
    /// Whether `server/discover` may be sent.
    discovers: bool,
}

impl Negotiation {
    /// A negotiation that has not begun. `pinned`: the one revision that will do.
    #[must_use]
    pub fn new(kind: TransportKind, choice: TransportChoice, pinned: Option<Revision>) -> Self {
        let initialize_with =
            pinned.filter(|revision| !revision.is_modern()).unwrap_or(Revision::LATEST_LEGACY);
        Self {
            kind,
            choice,
            pinned,
            initialize_with,
            retried: false,
            sse: false,
            refused: None,
            verdict: None,
            late: None,
            discovers: true,
        }
    }

    /// The same with what was found out about this server before. A legacy server is not asked what it is; a modern one is,
    /// since the answer also says what it can do. When the verdict turns out wrong, everything is found out anew.
    #[must_use]
    pub fn with_verdict(mut self, revision: Revision) -> Self {
        self.verdict = Some(revision).filter(|revision| self.pinned.is_none_or(|pinned| pinned == *revision));
        self
    }

    /// The same for a client that, in a session, had rather speak this revision than the latest. One without sessions changes
    /// nothing.
    #[must_use]
    pub fn with_session_revision(mut self, revision: Revision) -> Self {
        if self.pinned.is_none() && !revision.is_modern() {
            self.initialize_with = revision;
        }
        self
    }

    /// The same for a server that certainly knows no `server/discover`: it ended when it was asked.
    #[must_use]
    pub fn without_discovery(mut self) -> Self {
        self.discovers = false;
        self
    }

    /// What to do first.
    pub fn first(&mut self) -> Step {
        match (self.kind, self.choice, self.pinned) {
            (TransportKind::Http, TransportChoice::Sse, _) => {
                self.sse = true;
                Step::OpenSse
            }
            (_, _, Some(revision)) if !revision.is_modern() => Step::Initialize(revision),
            _ if !self.discovers => Step::Initialize(self.initialize_with),
            (_, _, pinned) => match self.verdict {
                Some(revision) if !revision.is_modern() => Step::Initialize(revision),
                verdict => Step::Discover(pinned.or(verdict).unwrap_or(Revision::LATEST)),
            },
        }
    }

    /// The answer to a `server/discover` came after it was given up. It counts when `initialize` fails: a server that was
    /// slow to start is no older for it.
    pub fn handle_late_discover(&mut self, answered: Answered) {
        self.late = Some(answered);
    }

    /// `server/discover` was answered.
    pub fn handle_discover(&mut self, answered: Answered) -> Step {
        match answered {
            Answered::Result(result) => match result.parse::<DiscoverResult>() {
                Ok(found) if !found.supported_versions.is_empty() => self.choose(found),
                Ok(_) | Err(_) => self.fall_back(Unreachable::NotMcp(
                    "its answer to `server/discover` names no revisions".into(),
                )),
            },
            Answered::Error(_, error) if error.code == ErrorCode::UNSUPPORTED_PROTOCOL_VERSION => {
                self.handle_unsupported(error)
            }
            Answered::Error(_, error) if is_modern_error(error.code) => {
                Step::Fail(Unreachable::Answered(error))
            }
            Answered::Error(StatusCode::UNAUTHORIZED, _) | Answered::Refused(StatusCode::UNAUTHORIZED) => {
                Step::Authorize
            }
            Answered::TimedOut if self.kind == TransportKind::Http => Step::Fail(Unreachable::TimedOut),
            Answered::TimedOut => self.fall_back(Unreachable::TimedOut),
            Answered::Error(_, error) => self.fall_back(Unreachable::Answered(error)),
            Answered::Refused(status) => self.fall_back(Unreachable::Refused(status, None)),
            Answered::NotMcp(what) => self.fall_back(Unreachable::NotMcp(what)),
        }
    }

    /// `initialize` was answered.
    pub fn handle_initialize(&mut self, answered: Answered) -> Step {
        let timed_out = matches!(answered, Answered::TimedOut);
        let step = self.read_initialize(answered);
        if !matches!(step, Step::Fail(_) | Step::OpenSse) {
            return step;
        }
        if let Some(late) = self.late.take().filter(is_modern_answer) {
            return self.handle_discover(late);
        }
        let guessed = self.verdict.take().is_some_and(|verdict| !verdict.is_modern());
        if guessed && !timed_out && self.discovers {
            (self.sse, self.refused) = (false, None);
            return self.first();
        }
        step
    }

    fn read_initialize(&mut self, answered: Answered) -> Step {
        match answered {
            Answered::Result(result) => match result.parse::<InitializeResult>() {
                Ok(found) => match Revision::parse(&found.protocol_version) {
                    Some(revision)
                        if !revision.is_modern() && self.pinned.is_none_or(|pinned| pinned == revision) =>
                    {
                        Step::Legacy(revision, Box::new(found))
                    }
                    _ => Step::Fail(Unreachable::NoRevision(vec![found.protocol_version.to_string()])),
                },
                Err(error) => Step::Fail(Unreachable::NotMcp(format!(
                    "its answer to `initialize` is none: {}",
                    crate::jsonrpc::reason(&error)
                ))),
            },
            Answered::Error(StatusCode::UNAUTHORIZED, _) | Answered::Refused(StatusCode::UNAUTHORIZED) => {
                Step::Authorize
            }
            Answered::Error(status, error) => {
                let is_modern = is_modern_error(error.code);
                self.maybe_sse(status, is_modern, Unreachable::Refused(status, Some(error)))
            }
            Answered::Refused(status) => self.maybe_sse(status, false, Unreachable::Refused(status, None)),
            Answered::TimedOut => Step::Fail(Unreachable::TimedOut),
            Answered::NotMcp(what) => Step::Fail(Unreachable::NotMcp(what)),
        }
    }

    /// The GET stream told its `endpoint`, or `Err` when it did not come.
    pub fn handle_endpoint(&mut self, opened: Result<(), Unreachable>) -> Step {
        match opened {
            Ok(()) => Step::Initialize(self.initialize_with),
            // What the newer transport said is what the user wants to know.
            Err(error) => Step::Fail(self.refused.take().unwrap_or(error)),
        }
    }

    /// Whether it goes over HTTP+SSE.
    #[must_use]
    pub fn is_sse(&self) -> bool {
        self.sse
    }

    fn choose(&mut self, found: DiscoverResult) -> Step {
        let speaks = |revision: &Revision| {
            found.supported_versions.iter().any(|version| version.as_str() == revision.date())
        };
        let pinned = |revision: &Revision| self.pinned.is_none_or(|pinned| pinned == *revision);
        if let Some(revision) = Revision::MODERN.into_iter().rev().filter(pinned).find(speaks) {
            return Step::Modern(revision, Box::new(found));
        }
        if self.pinned.is_none() && Revision::LEGACY.iter().any(speaks) {
            return Step::Initialize(self.initialize_with);
        }
        Step::Fail(Unreachable::NoRevision(
            found.supported_versions.iter().map(ToString::to_string).collect(),
        ))
    }

    /// The server is modern, and does not speak the revision that was tried.
    fn handle_unsupported(&mut self, error: ErrorObject) -> Step {
        #[derive(Deserialize)]
        struct Data {
            #[serde(default)]
            supported: Vec<String>,
        }
        let supported = error.data.as_ref().and_then(|data| data.parse::<Data>().ok());
        let supported = supported.map(|data| data.supported).unwrap_or_default();
        let speaks = |revision: &Revision| supported.iter().any(|version| version == revision.date());
        let pinned = |revision: &Revision| self.pinned.is_none_or(|pinned| pinned == *revision);
        let again = Revision::MODERN.into_iter().rev().filter(pinned).find(speaks);
        if let Some(revision) = again.filter(|_| !self.retried) {
            self.retried = true;
            return Step::Discover(revision);
        }
        if self.pinned.is_none() && Revision::LEGACY.iter().any(speaks) {
            return Step::Initialize(self.initialize_with);
        }
        Step::Fail(Unreachable::NoRevision(supported))
    }

    fn fall_back(&mut self, why: Unreachable) -> Step {
        match self.pinned {
            Some(_) => Step::Fail(why),
            None => Step::Initialize(self.initialize_with),
        }
    }

    fn maybe_sse(&mut self, status: StatusCode, is_modern: bool, why: Unreachable) -> Step {
        let is_old = matches!(status.as_u16(), 400 | 404 | 405) && !is_modern;
        if self.kind == TransportKind::Http && self.choice == TransportChoice::Auto && is_old && !self.sse {
            self.refused = Some(why);
            self.sse = true;
            return Step::OpenSse;
        }
        Step::Fail(why)
    }
}

/// Whether the answer to `server/discover` is one of the modern era.
fn is_modern_answer(answered: &Answered) -> bool {
    match answered {
        Answered::Result(result) => {
            result.parse::<DiscoverResult>().is_ok_and(|found| !found.supported_versions.is_empty())
        }
        Answered::Error(_, error) => is_modern_error(error.code),
        _ => false,
    }
}

/// Whether a request was refused in a way that raises the question whether the server still speaks what it spoke: it may
/// have been replaced by one of another era. Finding out anew tells; most errors do not raise it. See
/// [backward compatibility](https://modelcontextprotocol.io/specification/2026-07-28/basic/versioning#backward-compatibility-with-initialization-based-versions).
///
/// ```
/// use http::StatusCode;
/// use throughline_proto::client::is_era_in_doubt;
/// use throughline_proto::jsonrpc::{ErrorCode, ErrorObject};
/// use throughline_proto::revision::Revision;
///
/// let no_session = ErrorObject::new(ErrorCode(-32000), "no session");
/// assert!(is_era_in_doubt(Revision::LATEST, StatusCode::BAD_REQUEST, Some(&no_session)));
/// let no_tool = ErrorObject::new(ErrorCode::INVALID_PARAMS, "no such tool");
/// assert!(!is_era_in_doubt(Revision::LATEST, StatusCode::BAD_REQUEST, Some(&no_tool)));
/// ```
#[must_use]
pub fn is_era_in_doubt(revision: Revision, status: StatusCode, error: Option<&ErrorObject>) -> bool {
    match error.map(|error| error.code) {
        Some(ErrorCode::UNSUPPORTED_PROTOCOL_VERSION) => true,
        Some(code) if is_modern_error(code) => !revision.is_modern(),
        // Names of errors that both eras know: the request was understood.
        Some(
            ErrorCode::METHOD_NOT_FOUND
            | ErrorCode::INVALID_PARAMS
            | ErrorCode::INTERNAL_ERROR
            | ErrorCode::PARSE_ERROR,
        ) => false,
        _ => revision.is_modern() && matches!(status.as_u16(), 400 | 404 | 405),
    }
}

/// Whether only a server of the modern era says so.
fn is_modern_error(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::HEADER_MISMATCH
            | ErrorCode::MISSING_CLIENT_CAPABILITY
            | ErrorCode::UNSUPPORTED_PROTOCOL_VERSION
    )
}
