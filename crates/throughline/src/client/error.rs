//! What can go wrong with a call.

use std::fmt;
use std::time::Duration;

use http::StatusCode;
use throughline_proto::jsonrpc::ErrorObject;

use super::line::BoxError;

/// Why a call of a [`Client`](super::Client) has no result.
#[derive(Debug)]
pub struct ClientError(Kind);

#[derive(Debug)]
enum Kind {
    /// The server answered with an error.
    Answered(ErrorObject),
    /// The server did not take the request on.
    Refused { status: StatusCode, error: Option<ErrorObject>, retry_after: Option<Duration> },
    /// The connection could not be made or was lost.
    Connection(BoxError),
    /// The connection was lost, and with it what became of the request.
    OutcomeUnknown(Option<Box<ClientError>>),
    /// The server broke the protocol.
    Peer(String),
    /// What was to be sent cannot be written.
    Unwritable(BoxError),
}

impl ClientError {
    /// The JSON-RPC error that the server sent, as an answer or with a refusal.
    pub fn error(&self) -> Option<&ErrorObject> {
        match &self.0 {
            Kind::Answered(error) => Some(error),
            Kind::Refused { error, .. } => error.as_ref(),
            _ => None,
        }
    }

    /// The status with which the server refused the request. Then it was not run.
    pub fn status(&self) -> Option<StatusCode> {
        if let Kind::Refused { status, .. } = &self.0 { Some(*status) } else { None }
    }

    /// When the server asks to try again.
    pub fn retry_after(&self) -> Option<Duration> {
        if let Kind::Refused { retry_after, .. } = &self.0 { *retry_after } else { None }
    }

    /// The session is unknown to the server: it ended. The request was not run.
    pub fn is_session_gone(&self) -> bool {
        self.status() == Some(StatusCode::NOT_FOUND)
    }

    /// The connection could not be made, or was lost.
    pub fn is_connection_lost(&self) -> bool {
        matches!(self.0, Kind::Connection(_))
    }

    /// The connection was lost and the stream cannot be taken up again: the server may or may not have run the
    /// request, at most once.
    pub fn is_outcome_unknown(&self) -> bool {
        matches!(self.0, Kind::OutcomeUnknown(_))
    }

    pub(super) fn answered(error: ErrorObject) -> Self {
        Self(Kind::Answered(error))
    }

    pub(super) fn refused(
        status: StatusCode,
        error: Option<ErrorObject>,
        retry_after: Option<Duration>,
    ) -> Self {
        Self(Kind::Refused { status, error, retry_after })
    }

    pub(super) fn connection(error: BoxError) -> Self {
        Self(Kind::Connection(error))
    }

    pub(super) fn outcome_unknown(lost: Option<ClientError>) -> Self {
        Self(Kind::OutcomeUnknown(lost.map(Box::new)))
    }

    pub(crate) fn peer(what: impl Into<String>) -> Self {
        Self(Kind::Peer(what.into()))
    }

    pub(super) fn unwritable(error: impl Into<BoxError>) -> Self {
        Self(Kind::Unwritable(error.into()))
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Answered(error) => write!(f, "the server answered with error {}: {}", error.code.0, error.message),
            Kind::Refused { status, error: Some(error), .. } => {
                write!(f, "the server refused the request ({status}): {}", error.message)
            }
            Kind::Refused { status, error: None, .. } => write!(f, "the server refused the request ({status})"),
            Kind::Connection(_) => f.write_str("the connection to the server was lost"),
            Kind::OutcomeUnknown(_) => f.write_str(
                "the connection was lost for good before the answer came; the server may or may not have run the request",
            ),
            Kind::Peer(what) => write!(f, "the server broke the protocol: {what}"),
            Kind::Unwritable(_) => f.write_str("the request cannot be sent: it cannot be written"),
        }
    }
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0 {
            Kind::Connection(error) | Kind::Unwritable(error) => Some(&**error),
            Kind::OutcomeUnknown(Some(lost)) => Some(&**lost),
            _ => None,
        }
    }
}
