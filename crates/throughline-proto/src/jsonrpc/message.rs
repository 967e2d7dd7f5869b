use super::{ErrorObject, Raw, RequestId, Str};

/// One JSON-RPC message.
///
/// Specification: <https://modelcontextprotocol.io/specification/2025-11-25/basic#messages>.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Wants a response.
    Request(Request),
    /// Wants none.
    Notification(Notification),
    /// Answers a request.
    Response(Response),
}

/// A message that wants a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What its response will carry.
    pub id: RequestId,
    /// What is asked for, such as `tools/call`.
    pub method: Str,
    /// An object, when there is one.
    pub params: Option<Raw>,
}

/// A message that wants no response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// What is told, such as `notifications/progress`.
    pub method: Str,
    /// An object, when there is one.
    pub params: Option<Raw>,
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The id of the request. `None` only for an error whose id was absent or null: its sender could not read
    /// ours.
    pub id: Option<RequestId>,
    /// The result (an object in all of MCP; any JSON value is accepted here), or the error.
    pub outcome: Result<Raw, ErrorObject>,
}

/// What one body or one line held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// One message.
    Single(Message),
    /// A batch with at least one entry, in order; each that is no message says why. Whether batches are
    /// allowed is a question to the revision.
    Batch(Vec<Result<Message, Malformed>>),
}

/// Why something is not a message, ready to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The id to put into the error response, when one could be read and the message was not a response.
    pub id: Option<RequestId>,
    /// For a malformed *response*: the request of ours that it meant to answer, so that its caller can be
    /// told. Never send this one back: the peer would take it for one of its own ids.
    pub answers: Option<Box<RequestId>>,
    /// The error to answer with: parse error or invalid request.
    pub error: ErrorObject,
}

impl Message {
    /// The method of a request or a notification.
    pub fn method(&self) -> Option<&Str> {
        match self {
            Message::Request(request) => Some(&request.method),
            Message::Notification(notification) => Some(&notification.method),
            Message::Response(_) => None,
        }
    }

    /// The params of a request or a notification, when there are any.
    pub fn params(&self) -> Option<&Raw> {
        match self {
            Message::Request(request) => request.params.as_ref(),
            Message::Notification(notification) => notification.params.as_ref(),
            Message::Response(_) => None,
        }
    }
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Malformed {}
