//! What can go wrong with a call.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use throughline_proto::auth::{Challenge, ChallengeError, ScopeSet};
use throughline_proto::client::{Overdue, Patience, Unreachable, is_era_in_doubt};
use throughline_proto::jsonrpc::{ErrorCode, ErrorObject};
use throughline_proto::revision::Revision;

use super::authorize::TokenError;
#[cfg(feature = "client")]
use super::connector::HttpError;
use super::line::{BoxError, NeverSent};
#[cfg(feature = "client")]
use super::process::SpawnError;

/// Why a call of a [`Client`](super::Client) has no result. The questions say what a program can do about it; the text
/// is one sentence for people.
///
/// | question | what happened | safe to call again |
/// |---|---|---|
/// | [`error`](Self::error) | the server answered with an error | as the error says |
/// | [`status`](Self::status), and the outcome is not unknown | the server refused the request, which did not run | yes |
/// | [`is_outcome_unknown`](Self::is_outcome_unknown) | the answer is lost; the call ran at most once | only if the call may run twice |
/// | [`is_protocol_violation`](Self::is_protocol_violation) | what the server answered makes no sense; it may have run the call | only if the call may run twice |
/// | [`is_connection_lost`](Self::is_connection_lost), and nothing else | the server could not be reached; the call was not sent | yes |
/// | [`is_timeout`](Self::is_timeout) | there was no answer in time; the call was cancelled | only if the call may run twice |
/// | [`is_cancelled`](Self::is_cancelled) | this side took it back | - |
/// | [`is_closed`](Self::is_closed) | the client was closed, or its server's process ended | with a new client |
/// | [`is_tool_error`](Self::is_tool_error) | the tool ran and failed, and its [output](super::Calling::output) was wanted | as the tool says |
/// | [`is_unauthorized`](Self::is_unauthorized), and the outcome is not unknown | the server wants other credentials, or the login [failed](Self::is_login_failed); the request did not run | with credentials, or more [scopes](Self::needed_scopes) |
/// | [`is_unsupported_revision`](Self::is_unsupported_revision) | the server speaks no revision that the client may speak | - |
#[derive(Clone, Debug)]
pub struct ClientError(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    /// The server answered with an error.
    Answered(ErrorObject),
    /// The server did not take the request on.
    Refused {
        status: StatusCode,
        error: Option<ErrorObject>,
        retry_after: Option<Duration>,
        challenges: Vec<Challenge>,
    },
    /// There are no credentials; with the refusal that asked for some.
    Login { refusal: Option<ClientError>, why: TokenError },
    /// The connection could not be made or was lost.
    Connection { source: BoxError, never_sent: bool },
    /// The connection was lost, and with it what became of the request.
    OutcomeUnknown { why: Option<ClientError>, session_gone: bool },
    /// No answer in time.
    Timeout(Overdue, Patience),
    /// This side took the call back.
    Cancelled,
    /// The client was closed.
    Closed,
    /// The server's process ended, or its pipe did.
    Ended { why: String, pending: bool },
    /// The same while it was asked what it speaks.
    EndedByProbe(ClientError),
    /// The tool says that its work failed.
    Tool(String),
    /// There is no way to speak with the server.
    Unreachable(Unreachable),
    /// The server broke the protocol.
    Peer(String),
    /// The server asks something that this client has no handler for, or asks too often.
    Asks(String),
    /// What was to be sent cannot be sent.
    Unsendable(String),
    /// The result is good, and not what the caller expects.
    Misfit(String),
    /// What was said about the connection cannot be used.
    #[cfg(feature = "client")]
    Misconfigured(String),
    /// The server does not offer it.
    Unsupported(String),
}

impl ClientError {
    /// The JSON-RPC error that the server sent, as an answer or with a refusal.
    pub fn error(&self) -> Option<&ErrorObject> {
        match &*self.0 {
            Kind::Answered(error) | Kind::Unreachable(Unreachable::Answered(error)) => Some(error),
            Kind::Refused { error, .. } | Kind::Unreachable(Unreachable::Refused(_, error)) => error.as_ref(),
            _ => None,
        }
    }

    /// The status with which the server refused the request. Then it was not run, unless the outcome is
    /// [unknown](Self::is_outcome_unknown): a server that fails (500), or what is in front of it, may have begun.
    pub fn status(&self) -> Option<StatusCode> {
        match &*self.0 {
            Kind::Refused { status, .. } | Kind::Unreachable(Unreachable::Refused(status, _)) => {
                Some(*status)
            }
            Kind::OutcomeUnknown { why: Some(why), .. } => why.status(),
            Kind::Login { refusal: Some(refusal), .. } => refusal.status(),
            _ => None,
        }
    }

    /// When the server asks to try again.
    pub fn retry_after(&self) -> Option<Duration> {
        if let Kind::Refused { retry_after, .. } = &*self.0 { *retry_after } else { None }
    }

    /// There was no answer in time. The server was told that the call is cancelled.
    pub fn is_timeout(&self) -> bool {
        matches!(&*self.0, Kind::Timeout(..) | Kind::Unreachable(Unreachable::TimedOut))
    }

    /// The session is unknown to the server: it ended. With [`is_outcome_unknown`](Self::is_outcome_unknown) the request
    /// had been sent before; otherwise it was not run.
    pub fn is_session_gone(&self) -> bool {
        matches!(&*self.0, Kind::OutcomeUnknown { session_gone: true, .. })
            || (self.status() == Some(StatusCode::NOT_FOUND)
                && self.error().is_none_or(|error| error.code != ErrorCode::METHOD_NOT_FOUND))
    }

    /// The connection could not be made, or was lost.
    pub fn is_connection_lost(&self) -> bool {
        match &*self.0 {
            Kind::Connection { .. } | Kind::Ended { .. } | Kind::EndedByProbe(_) => true,
            Kind::OutcomeUnknown { why, .. } => why.as_ref().is_none_or(ClientError::is_connection_lost),
            _ => false,
        }
    }

    /// The connection was lost for good before the answer came: the server may or may not have run the request, at most
    /// once.
    pub fn is_outcome_unknown(&self) -> bool {
        matches!(&*self.0, Kind::OutcomeUnknown { .. } | Kind::Ended { pending: true, .. })
    }

    /// This side took the call back.
    pub fn is_cancelled(&self) -> bool {
        matches!(&*self.0, Kind::Cancelled)
    }

    /// The client was closed, or its server has ended. With [`is_outcome_unknown`](Self::is_outcome_unknown) the call had been
    /// sent by then; otherwise it was not.
    pub fn is_closed(&self) -> bool {
        match &*self.0 {
            Kind::Closed | Kind::Ended { pending: false, .. } => true,
            Kind::OutcomeUnknown { why: Some(why), .. } => matches!(&*why.0, Kind::Closed),
            _ => false,
        }
    }

    /// The server wants to know who asks, or does not let them (401, 403), or there are no credentials to ask with.
    pub fn is_unauthorized(&self) -> bool {
        matches!(self.status(), Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN))
            || self.is_login_failed()
    }

    /// The request needs credentials, and the [provider](super::TokenProvider) could not get any: a login was refused, given up or not
    /// possible here. The text of this error is the provider's. The request was not run.
    pub fn is_login_failed(&self) -> bool {
        match &*self.0 {
            Kind::Login { .. } => true,
            Kind::OutcomeUnknown { why: Some(why), .. } => why.is_login_failed(),
            _ => false,
        }
    }

    /// The scopes that the server says the request needs, where it refused it for want of some
    /// ([insufficient scope](https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization#runtime-insufficient-scope-errors)),
    /// or asked for a token.
    pub fn needed_scopes(&self) -> Option<&ScopeSet> {
        self.challenges().iter().find_map(|challenge| challenge.scope.as_ref())
    }

    /// What the server said of the credentials that it wants (`WWW-Authenticate`); empty when it said nothing.
    pub fn challenges(&self) -> &[Challenge] {
        match &*self.0 {
            Kind::Refused { challenges, .. } => challenges,
            Kind::OutcomeUnknown { why: Some(why), .. } => why.challenges(),
            Kind::Login { refusal: Some(refusal), .. } => refusal.challenges(),
            _ => &[],
        }
    }

    /// Whether a handshake can go no further for want of credentials, whatever else the server speaks.
    pub(crate) fn is_challenged(&self) -> bool {
        match self.status() {
            Some(StatusCode::UNAUTHORIZED) => {
                self.error().is_none_or(|error| error.code != ErrorCode::UNSUPPORTED_PROTOCOL_VERSION)
            }
            Some(StatusCode::FORBIDDEN) => self
                .challenges()
                .iter()
                .any(|challenge| challenge.error == Some(ChallengeError::InsufficientScope)),
            _ => false,
        }
    }

    /// The tool ran and says that its work failed; the text of this error is the tool's.
    pub fn is_tool_error(&self) -> bool {
        matches!(&*self.0, Kind::Tool(_))
    }

    /// What the server sent is no MCP, or breaks its rules.
    pub fn is_protocol_violation(&self) -> bool {
        matches!(&*self.0, Kind::Peer(_) | Kind::Unreachable(Unreachable::NotMcp(_)))
    }

    /// The server speaks no revision that this client may speak.
    pub fn is_unsupported_revision(&self) -> bool {
        matches!(&*self.0, Kind::Unreachable(Unreachable::NoRevision(_)))
            || self.error().is_some_and(|error| error.code == ErrorCode::UNSUPPORTED_PROTOCOL_VERSION)
    }

    /// The server asked what this client does not answer.
    #[cfg(feature = "testing")]
    pub(crate) fn is_unanswered(&self) -> bool {
        matches!(&*self.0, Kind::Asks(_))
    }

    fn new(kind: Kind) -> Self {
        Self(Arc::new(kind))
    }

    pub(crate) fn answered(error: ErrorObject) -> Self {
        Self::new(Kind::Answered(error))
    }

    pub(crate) fn refused(
        status: StatusCode,
        error: Option<ErrorObject>,
        retry_after: Option<Duration>,
    ) -> Self {
        Self::new(Kind::Refused { status, error, retry_after, challenges: Vec::new() })
    }

    /// The same for what credentials could help with.
    pub(crate) fn challenged(
        status: StatusCode,
        error: Option<ErrorObject>,
        challenges: Vec<Challenge>,
    ) -> Self {
        Self::new(Kind::Refused { status, error, retry_after: None, challenges })
    }

    /// There are no credentials. `refusal`: what asked for some.
    pub(crate) fn login_failed(refusal: Option<ClientError>, why: TokenError) -> Self {
        Self::new(Kind::Login { refusal, why })
    }

    /// What a tower service ended with.
    pub(crate) fn from_service(source: BoxError) -> Self {
        #[cfg(feature = "client")]
        if let Some(error) = HttpError::of(&*source).filter(|error| error.is_redirect()) {
            return Self::unsendable(error);
        }
        let never_sent = source.is::<NeverSent>();
        Self::new(Kind::Connection { source, never_sent })
    }

    /// The process of the server could not be started.
    #[cfg(feature = "client")]
    pub(crate) fn not_started(why: SpawnError) -> Self {
        Self::new(Kind::Connection { source: why.into(), never_sent: true })
    }

    pub(crate) fn connection(source: BoxError) -> Self {
        Self::new(Kind::Connection { source, never_sent: false })
    }

    /// The same for a request that may have been run when this happened.
    pub(crate) fn after_sending(self) -> Self {
        match &*self.0 {
            Kind::Connection { never_sent: false, .. } => Self::outcome_unknown(Some(self)),
            Kind::Refused { status, error: None, .. } if says_nothing(*status) => {
                Self::outcome_unknown(Some(self))
            }
            _ => self,
        }
    }

    /// The same for a request of a handshake, whose outcome does not matter.
    pub(crate) fn of_handshake(self) -> Self {
        match &*self.0 {
            Kind::OutcomeUnknown { why: Some(why), .. } => why.clone(),
            Kind::OutcomeUnknown { why: None, .. } => {
                Self::connection("the server closed it during the handshake".into())
            }
            Kind::Ended { why, pending: true } => Self::ended(why.clone(), false),
            _ => self,
        }
    }

    /// There is no connection, so nothing was sent.
    pub(crate) fn not_connected(why: impl Into<BoxError>) -> Self {
        Self::from_service(NeverSent(why.into()).into())
    }

    pub(crate) fn outcome_unknown(why: Option<ClientError>) -> Self {
        let session_gone = why.as_ref().is_some_and(ClientError::is_session_gone);
        Self::new(Kind::OutcomeUnknown { why, session_gone })
    }

    pub(crate) fn timeout(overdue: Overdue, patience: Patience) -> Self {
        Self::new(Kind::Timeout(overdue, patience))
    }

    pub(crate) fn cancelled() -> Self {
        Self::new(Kind::Cancelled)
    }

    /// The server does not know the session.
    pub(crate) fn gone() -> Self {
        Self::refused(StatusCode::NOT_FOUND, None, None)
    }

    /// What the server did wrong, without saying that it did.
    pub(crate) fn detail(&self) -> String {
        match &*self.0 {
            Kind::Peer(what) => what.clone(),
            _ => self.to_string(),
        }
    }

    pub(crate) fn closed() -> Self {
        Self::new(Kind::Closed)
    }

    /// The server's process or pipe ended. `pending`: the call had been sent.
    pub(crate) fn ended(why: impl Into<String>, pending: bool) -> Self {
        Self::new(Kind::Ended { why: why.into(), pending })
    }

    /// The same while the server was asked what it speaks: some older ones end when they are asked what they do not know.
    pub(crate) fn by_probe(self) -> Self {
        if matches!(&*self.0, Kind::Ended { .. }) { Self::new(Kind::EndedByProbe(self)) } else { self }
    }

    /// Whether the server ended when it was asked what it speaks. Started anew it may speak an older revision: whoever owns the
    /// process connects once more and begins with `initialize`.
    pub(crate) fn is_ended_by_probe(&self) -> bool {
        matches!(&*self.0, Kind::EndedByProbe(_))
    }

    /// Whether this answer to a request raises the question whether the server still speaks this revision.
    pub(crate) fn raises_doubt(&self, revision: Revision) -> bool {
        match (&*self.0, self.error()) {
            (Kind::Refused { status, .. }, error) => is_era_in_doubt(revision, *status, error),
            (Kind::Answered(_), Some(error)) => error.code == ErrorCode::UNSUPPORTED_PROTOCOL_VERSION,
            _ => false,
        }
    }

    pub(crate) fn unsupported(what: impl Into<String>) -> Self {
        Self::new(Kind::Unsupported(what.into()))
    }

    pub(crate) fn tool(text: impl Into<String>) -> Self {
        Self::new(Kind::Tool(text.into()))
    }

    pub(crate) fn unreachable(why: Unreachable) -> Self {
        Self::new(Kind::Unreachable(why))
    }

    pub(crate) fn peer(what: impl Into<String>) -> Self {
        Self::new(Kind::Peer(what.into()))
    }

    pub(crate) fn asks(what: impl Into<String>) -> Self {
        Self::new(Kind::Asks(what.into()))
    }

    #[cfg(feature = "client")]
    pub(crate) fn misconfigured(why: impl fmt::Display) -> Self {
        Self::new(Kind::Misconfigured(why.to_string()))
    }

    /// The result is not what the caller expects of it.
    pub(crate) fn misfit(why: impl Into<String>) -> Self {
        Self::new(Kind::Misfit(why.into()))
    }

    pub(crate) fn unsendable(why: impl fmt::Display) -> Self {
        Self::new(Kind::Unsendable(why.to_string()))
    }
}

/// Whether a status is one of those that something between client and server gives when it lost the server, so that nobody
/// knows what became of a request. 501, 503 and 505 say that it was not taken on.
fn says_nothing(status: StatusCode) -> bool {
    status.is_server_error() && !matches!(status.as_u16(), 501 | 503 | 505)
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Kind::Answered(error) | Kind::Unreachable(Unreachable::Answered(error)) => {
                write!(f, "the server answered with error {}: {}", error.code.0, error.message)
            }
            Kind::Refused { status, error: Some(error), .. }
            | Kind::Unreachable(Unreachable::Refused(status, Some(error))) => {
                write!(f, "the server refused the request ({status}): {}", error.message)
            }
            Kind::Refused { status: StatusCode::UNAUTHORIZED, error: None, .. } => f.write_str(
                "the server asks for credentials, or does not accept those that it got (401 Unauthorized); give it a token, or log in",
            ),
            Kind::Login { why, .. } => why.fmt(f),
            Kind::Refused { status, error: None, .. } | Kind::Unreachable(Unreachable::Refused(status, None)) => {
                write!(f, "the server refused the request ({status})")
            }
            #[cfg(feature = "client")]
            Kind::Connection { source, .. } if is_sentence(&**source) => source.fmt(f),
            Kind::Connection { never_sent: true, .. } => f.write_str("the server cannot be reached"),
            Kind::Connection { .. } => f.write_str("the connection to the server was lost"),
            Kind::OutcomeUnknown { session_gone: true, .. } => f.write_str(
                "the server no longer knows the session, so the answer cannot be had; it may or may not have run the request",
            ),
            Kind::OutcomeUnknown { why: Some(why), .. } if !why.is_connection_lost() => {
                write!(f, "the answer cannot be had: {why}; the server may or may not have run the request")
            }
            Kind::OutcomeUnknown { .. } => f.write_str(
                "the connection was lost for good before the answer came; the server may or may not have run the request",
            ),
            Kind::Timeout(Overdue::Silent, patience) => {
                write!(f, "the server did not answer within {:?}", patience.timeout)
            }
            Kind::Timeout(Overdue::InAll, patience) => {
                write!(f, "the call took longer than {:?} in all", patience.max_total)
            }
            Kind::Unreachable(Unreachable::TimedOut) => f.write_str("the server did not answer in time"),
            Kind::Cancelled => f.write_str("the call was cancelled"),
            Kind::Closed => f.write_str("the client is closed: connect again"),
            Kind::Ended { why, .. } => f.write_str(why),
            Kind::Tool(text) => f.write_str(text),
            Kind::Unreachable(Unreachable::NoRevision(theirs)) => {
                write!(f, "the server speaks no protocol revision that this client may speak; it names: ")?;
                f.write_str(if theirs.is_empty() { "none" } else { "" })?;
                f.write_str(&theirs.join(", "))
            }
            Kind::Unreachable(Unreachable::NotMcp(what)) | Kind::Peer(what) => {
                write!(f, "the server broke the protocol: {what}")
            }
            Kind::Asks(what) | Kind::Unsupported(what) | Kind::Misfit(what) => f.write_str(what),
            #[cfg(feature = "client")]
            Kind::Misconfigured(what) => f.write_str(what),
            Kind::EndedByProbe(why) => write!(f, "{why}"),
            Kind::Unsendable(why) => write!(f, "the request cannot be sent: {why}"),
        }
    }
}

/// Whether it is for people, and says all that there is to say.
#[cfg(feature = "client")]
fn is_sentence(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<SpawnError>() || HttpError::of(error).is_some()
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &*self.0 {
            // The text is the source's.
            #[cfg(feature = "client")]
            Kind::Connection { source, .. } if is_sentence(&**source) => source.source(),
            Kind::Connection { source, .. } => Some(&**source),
            Kind::OutcomeUnknown { why: Some(why), .. } => Some(why),
            // The text is the provider's.
            Kind::Login { why, .. } => why.source(),
            _ => None,
        }
    }
}
