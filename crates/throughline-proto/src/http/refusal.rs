use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use ::http::{HeaderValue, StatusCode};
use bytes::BytesMut;
use serde::Serialize;

use crate::jsonrpc::{self, ErrorCode, ErrorObject, Malformed, Raw, RequestId};
use crate::model::ClientCapabilities;
use crate::revision::Revision;

/// Why a request is refused, ready to be answered: an HTTP status and a JSON-RPC error with one plain
/// sentence.
///
/// ```
/// use bytes::BytesMut;
/// use throughline_proto::http::{Refusal, RefusalKind};
///
/// let refusal = Refusal::new(RefusalKind::UnknownSession);
/// assert_eq!(refusal.status(), 404);
/// let mut body = BytesMut::new();
/// refusal.write(&mut body);
/// assert_eq!(
///     body,
///     r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"The session is unknown or has ended. Send initialize without an Mcp-Session-Id header to open a new one."}}"#,
/// );
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Refusal(Box<Inner>); // boxed because it is rare and travels in every `Result`

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    kind: RefusalKind,
    message: Cow<'static, str>,
    data: Option<Raw>,
    id: Option<RequestId>,
    retry_after: Option<Duration>,
    challenge: Option<HeaderValue>,
}

/// The reasons for which a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    /// The body is not JSON.
    Parse,
    /// The body is no message, or one that may not be sent now.
    InvalidRequest,
    /// The parameters do not fit the method.
    InvalidParams,
    /// The method does not exist. Only the modern era refuses this with a status (404); a session answers it
    /// as an ordinary error response, because there 404 means that the session is gone.
    MethodNotFound,
    /// The `Host` is none that this server answers to.
    BadHost,
    /// The `Origin` is none that may ask.
    BadOrigin,
    /// Nobody vouches for the sender, and the request needs that
    /// ([error handling](https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization#error-handling)).
    Unauthorized,
    /// The sender lacks a scope that the request needs
    /// ([scope challenge](https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization#scope-challenge-handling)).
    InsufficientScope,
    /// The sender takes more than its share: it asks too fast, or has too much open or in flight.
    TooManyRequests,
    /// `Accept` admits nothing that this endpoint can answer with.
    NotAcceptable,
    /// The body is not declared as JSON.
    UnsupportedMediaType,
    /// The body is longer than allowed.
    BodyTooLarge,
    /// The body took too long to arrive.
    BodyTimeout,
    /// The HTTP method is not served.
    MethodNotAllowed {
        /// The value of the `Allow` header.
        allow: &'static str,
    },
    /// The request needs a session and names none.
    MissingSession,
    /// The session is unknown, has ended or belongs to somebody else.
    UnknownSession,
    /// The protocol version is none that this server speaks.
    UnsupportedVersion,
    /// The protocol version is not the one that the session negotiated.
    VersionMismatch,
    /// A request of the modern era came to a server that only speaks sessions. Its code is not one of the
    /// modern era's, which tells a client that speaks both to fall back to `initialize`.
    ModernEra,
    /// The headers and the body of a request of the modern era disagree, or a header that it needs is missing,
    /// sent twice or unreadable.
    HeaderMismatch,
    /// A request of the modern era needs what its client did not declare.
    MissingClientCapability,
    /// A request of the modern era names a protocol version that this server does not speak.
    UnsupportedProtocolVersion,
    /// The `Last-Event-ID` is none that this session gave out.
    CursorInvalid,
    /// Events after the cursor were dropped.
    CursorGone,
    /// The cursor is at the end of a stream that has ended.
    CursorAtEnd,
    /// No more sessions are taken.
    SessionsFull,
    /// Too many requests are in flight.
    RequestsFull,
    /// No more clients can listen for changes, or this one listens as often as it may.
    ListensFull,
    /// The server is shutting down.
    Draining,
    /// The sessions that outlive the process cannot be read or kept at the moment.
    SessionsUnavailable,
    /// The id is that of a request still in flight.
    DuplicateRequestId,
    /// The session has not been initialized.
    NotInitialized,
    /// Something broke on this side.
    Internal,
}

impl RefusalKind {
    /// The status, the code and what is said when nothing more particular is: the one table.
    const fn row(self) -> (StatusCode, ErrorCode, &'static str) {
        use ErrorCode as Code;
        use StatusCode as Status;
        match self {
            RefusalKind::Parse => {
                (Status::BAD_REQUEST, Code::PARSE_ERROR, "The body is not JSON. Send one JSON-RPC message.")
            }
            RefusalKind::InvalidRequest => {
                (Status::BAD_REQUEST, Code::INVALID_REQUEST, "The body is not a JSON-RPC message. Send one.")
            }
            RefusalKind::InvalidParams => {
                (Status::BAD_REQUEST, Code::INVALID_PARAMS, "The params do not fit the method. Correct them.")
            }
            RefusalKind::MethodNotFound => (
                Status::NOT_FOUND,
                Code::METHOD_NOT_FOUND,
                "The method does not exist here. Use one that the server's capabilities offer.",
            ),
            RefusalKind::BadHost => (
                Status::FORBIDDEN,
                Code::INVALID_REQUEST,
                "This server does not answer to that Host. Use its own address, or have its operator allow the host.",
            ),
            RefusalKind::BadOrigin => (
                Status::FORBIDDEN,
                Code::INVALID_REQUEST,
                "That Origin may not use this server. Have its operator allow the origin.",
            ),
            RefusalKind::Unauthorized => (
                Status::UNAUTHORIZED,
                Code::INVALID_REQUEST,
                "The request needs credentials. Send a token that this server takes in the Authorization header.",
            ),
            RefusalKind::InsufficientScope => (
                Status::FORBIDDEN,
                Code::INVALID_REQUEST,
                "The token lacks a scope that this request needs. Get one with the scopes in the WWW-Authenticate header.",
            ),
            RefusalKind::TooManyRequests => (
                Status::TOO_MANY_REQUESTS,
                Code::INTERNAL_ERROR,
                "You send more requests than you may. Wait as long as the Retry-After header says, then try again.",
            ),
            RefusalKind::NotAcceptable => (
                Status::NOT_ACCEPTABLE,
                Code::INVALID_REQUEST,
                "The Accept header admits no answer. Send: Accept: application/json, text/event-stream",
            ),
            RefusalKind::UnsupportedMediaType => (
                Status::UNSUPPORTED_MEDIA_TYPE,
                Code::INVALID_REQUEST,
                "The body must be JSON in UTF-8. Send: Content-Type: application/json",
            ),
            RefusalKind::BodyTooLarge => (
                Status::PAYLOAD_TOO_LARGE,
                Code::INVALID_REQUEST,
                "The body is too large. Send a smaller message.",
            ),
            RefusalKind::BodyTimeout => (
                Status::REQUEST_TIMEOUT,
                Code::INVALID_REQUEST,
                "The body took too long to arrive. Send it again.",
            ),
            RefusalKind::MethodNotAllowed { .. } => (
                Status::METHOD_NOT_ALLOWED,
                Code::INVALID_REQUEST,
                "This HTTP method is not served here. Use one that the Allow header lists.",
            ),
            RefusalKind::MissingSession => (
                Status::BAD_REQUEST,
                Code::INVALID_REQUEST,
                "The Mcp-Session-Id header is missing. Send the one that initialize was answered with, or send initialize first.",
            ),
            RefusalKind::UnknownSession => (
                Status::NOT_FOUND,
                Code::INVALID_REQUEST,
                "The session is unknown or has ended. Send initialize without an Mcp-Session-Id header to open a new one.",
            ),
            RefusalKind::UnsupportedVersion => (
                Status::BAD_REQUEST,
                // Not the code that the modern era has for this: it would tell a client that speaks both eras
                // not to fall back.
                Code::INVALID_REQUEST,
                "The protocol version is not supported. Send the one that initialize was answered with.",
            ),
            RefusalKind::VersionMismatch => (
                Status::BAD_REQUEST,
                Code::INVALID_REQUEST,
                "The MCP-Protocol-Version header is not the version that this session negotiated. Send that one.",
            ),
            RefusalKind::ModernEra => (
                Status::BAD_REQUEST,
                Code::INVALID_REQUEST,
                "This server needs a session. Send initialize first.",
            ),
            RefusalKind::HeaderMismatch => (
                Status::BAD_REQUEST,
                Code::HEADER_MISMATCH,
                "The headers do not match the body. Send in them what the body says.",
            ),
            RefusalKind::MissingClientCapability => (
                Status::BAD_REQUEST,
                Code::MISSING_CLIENT_CAPABILITY,
                "The request needs a capability that the client did not declare. Declare those in the data, if the client has them.",
            ),
            RefusalKind::UnsupportedProtocolVersion => (
                Status::BAD_REQUEST,
                Code::UNSUPPORTED_PROTOCOL_VERSION,
                "The protocol version is not supported. Send one that server/discover lists.",
            ),
            RefusalKind::CursorInvalid => (
                Status::BAD_REQUEST,
                Code::INVALID_REQUEST,
                "The Last-Event-ID is not an event id of this session. Open the stream without it.",
            ),
            RefusalKind::CursorGone => (
                Status::BAD_REQUEST,
                Code::INVALID_REQUEST,
                "Events after the Last-Event-ID are no longer held. Resume from the oldest cursor in the data for the rest.",
            ),
            RefusalKind::CursorAtEnd => (
                Status::BAD_REQUEST,
                Code::INVALID_REQUEST,
                "The stream has ended and nothing follows the Last-Event-ID. Do not resume it.",
            ),
            RefusalKind::SessionsFull => (
                Status::SERVICE_UNAVAILABLE,
                Code::INTERNAL_ERROR,
                "The server has as many sessions as it can take. Try again later.",
            ),
            RefusalKind::RequestsFull => (
                Status::SERVICE_UNAVAILABLE,
                Code::INTERNAL_ERROR,
                "Too many requests are in flight. Await some of them, then try again.",
            ),
            RefusalKind::ListensFull => (
                Status::SERVICE_UNAVAILABLE,
                Code::INTERNAL_ERROR,
                "As many clients listen for changes as the server can take. Try again later.",
            ),
            RefusalKind::Draining => (
                Status::SERVICE_UNAVAILABLE,
                Code::INTERNAL_ERROR,
                "The server is shutting down. Try again later.",
            ),
            RefusalKind::SessionsUnavailable => (
                Status::SERVICE_UNAVAILABLE,
                Code::INTERNAL_ERROR,
                "The server cannot read or keep its sessions at the moment. Try again later.",
            ),
            RefusalKind::DuplicateRequestId => (
                Status::BAD_REQUEST,
                Code::INVALID_REQUEST,
                "A request with this id is still in flight. Give each request an id of its own.",
            ),
            RefusalKind::NotInitialized => (
                Status::BAD_REQUEST,
                Code::INVALID_REQUEST,
                "The session is not initialized. Send initialize first.",
            ),
            RefusalKind::Internal => (
                Status::INTERNAL_SERVER_ERROR,
                Code::INTERNAL_ERROR,
                "Something went wrong in the server. Its log says what.",
            ),
        }
    }

    /// How long to wait before the next try, for the kinds that pass by themselves.
    const fn wait(self) -> Option<Duration> {
        match self {
            // Sessions end by the minute (unused ones live for 60 s), and so do listeners, requests by the second, and a
            // replacement of this process listens within seconds.
            RefusalKind::SessionsFull | RefusalKind::ListensFull => Some(Duration::from_secs(10)),
            RefusalKind::RequestsFull | RefusalKind::TooManyRequests => Some(Duration::from_secs(1)),
            RefusalKind::Draining | RefusalKind::SessionsUnavailable => Some(Duration::from_secs(2)),
            _ => None,
        }
    }
}

/// The HTTP status of an error that answers a request while the head of the response has not left: where the modern era
/// prescribes one it has it, and everything else is an ordinary answer, 200.
///
/// ```
/// use throughline_proto::http::status_of;
/// use throughline_proto::jsonrpc::ErrorCode;
/// use throughline_proto::revision::Revision;
///
/// assert_eq!(status_of(Revision::LATEST_LEGACY, ErrorCode::METHOD_NOT_FOUND), 200);
/// assert_eq!(status_of(Revision::LATEST, ErrorCode::METHOD_NOT_FOUND), 404);
/// assert_eq!(status_of(Revision::LATEST, ErrorCode::MISSING_CLIENT_CAPABILITY), 400);
/// assert_eq!(status_of(Revision::LATEST, ErrorCode::INVALID_PARAMS), 200);
/// ```
///
/// Specification:
/// <https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http#protocol-version-header>.
#[must_use]
pub fn status_of(revision: Revision, code: ErrorCode) -> StatusCode {
    const PRESCRIBED: [RefusalKind; 4] = [
        RefusalKind::MethodNotFound,
        RefusalKind::HeaderMismatch,
        RefusalKind::MissingClientCapability,
        RefusalKind::UnsupportedProtocolVersion,
    ];
    PRESCRIBED
        .iter()
        .map(|kind| kind.row())
        .find(|row| revision.is_modern() && row.1 == code)
        .map_or(StatusCode::OK, |row| row.0)
}

impl Refusal {
    /// A refusal with the usual sentence for its kind.
    pub fn new(kind: RefusalKind) -> Refusal {
        let (_, _, message) = kind.row();
        Refusal(Box::new(Inner {
            kind,
            message: Cow::Borrowed(message),
            data: None,
            id: None,
            retry_after: kind.wait(),
            challenge: None,
        }))
    }

    /// The body is longer than `limit` bytes.
    pub fn body_too_large(limit: usize) -> Refusal {
        Refusal::new(RefusalKind::BodyTooLarge)
            .with_message(format!("The body is longer than {limit} bytes. Send a smaller message."))
    }

    /// The HTTP method is none of `allow`, which is a list as the `Allow` header wants it.
    pub fn method_not_allowed(allow: &'static str) -> Refusal {
        Refusal::new(RefusalKind::MethodNotAllowed { allow })
            .with_message(format!("This HTTP method is not served here. Use one of: {allow}."))
    }

    /// The `MCP-Protocol-Version` header says `requested`, and none of `supported` (dates, separated by
    /// commas) is that.
    pub fn unsupported_version(requested: &str, supported: &str) -> Refusal {
        Refusal::new(RefusalKind::UnsupportedVersion).with_message(format!(
            "The protocol version \"{}\" is not supported. Send one of: {supported}.",
            excerpt(requested)
        ))
    }

    /// The `MCP-Protocol-Version` header says `requested`, and the session negotiated `negotiated`.
    pub fn version_mismatch(requested: &str, negotiated: &str) -> Refusal {
        Refusal::new(RefusalKind::VersionMismatch).with_message(format!(
            "The MCP-Protocol-Version header says \"{}\", and this session negotiated \"{negotiated}\". Send that.",
            excerpt(requested)
        ))
    }

    /// A header of the modern era is not what it must be; `message` says which and what to send.
    pub(super) fn header_mismatch(message: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal::new(RefusalKind::HeaderMismatch).with_message(message)
    }

    /// The request needs `required`, which its client did not declare. They are in the data:
    /// `{"requiredCapabilities":{"sampling":{}}}`.
    pub fn missing_client_capability(required: &ClientCapabilities) -> Refusal {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Missing<'a> {
            required_capabilities: &'a ClientCapabilities,
        }
        Refusal::new(RefusalKind::MissingClientCapability)
            .with_data(&Missing { required_capabilities: required })
    }

    /// A request of the modern era names `requested`, and none of `supported` is that. Both are in the data:
    /// `{"supported":["..",".."],"requested":".."}`.
    pub fn unsupported_protocol_version(requested: &str, supported: &[Revision]) -> Refusal {
        #[derive(Serialize)]
        struct Versions<'a> {
            supported: &'a [Revision],
            requested: &'a str,
        }
        Refusal::new(RefusalKind::UnsupportedProtocolVersion)
            .with_message(format!(
                "The protocol version \"{}\" is not supported. Send one that the data lists.",
                excerpt(requested)
            ))
            .with_data(&Versions { supported, requested: excerpt(requested) })
    }

    /// `lost` events after the cursor were dropped; `oldest` is the cursor to resume from for what is still
    /// held. Both are in the data: `{"reason":"gone","oldest":"..","lost":3}`.
    pub fn cursor_gone(oldest: &str, lost: u64) -> Refusal {
        #[derive(Serialize)]
        struct Gone<'a> {
            reason: &'static str,
            oldest: &'a str,
            lost: u64,
        }
        Refusal::new(RefusalKind::CursorGone).with_data(&Gone { reason: "gone", oldest, lost })
    }

    /// The same refusal with another sentence.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<Cow<'static, str>>) -> Refusal {
        self.0.message = message.into();
        self
    }

    /// The same refusal with `data`. A value that has no JSON form is left out.
    #[must_use]
    pub fn with_data<T: Serialize + ?Sized>(mut self, data: &T) -> Refusal {
        self.0.data = Raw::new(data).ok();
        self
    }

    /// The same refusal as the answer to the request `id`.
    #[must_use]
    pub fn with_id(mut self, id: RequestId) -> Refusal {
        self.0.id = Some(id);
        self
    }

    /// The same refusal with the time to wait before another try.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Refusal {
        self.0.retry_after = Some(wait);
        self
    }

    /// The same refusal with the value of the `WWW-Authenticate` header, as a
    /// [`Challenge`](crate::auth::Challenge) makes it.
    #[must_use]
    pub fn with_challenge(mut self, challenge: HeaderValue) -> Refusal {
        self.0.challenge = Some(challenge);
        self
    }

    /// The reason.
    pub fn kind(&self) -> RefusalKind {
        self.0.kind
    }

    /// The HTTP status to answer with.
    pub fn status(&self) -> StatusCode {
        self.0.kind.row().0
    }

    /// The JSON-RPC code to answer with.
    pub fn code(&self) -> ErrorCode {
        self.0.kind.row().1
    }

    /// The sentence to answer with.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The request that is refused, when its id could be read.
    pub fn id(&self) -> Option<&RequestId> {
        self.0.id.as_ref()
    }

    /// The JSON-RPC error to answer with.
    pub fn error(&self) -> ErrorObject {
        ErrorObject { code: self.code(), message: self.0.message.clone(), data: self.0.data.clone() }
    }

    /// The value of the `Allow` header.
    pub fn allow(&self) -> Option<&'static str> {
        match self.0.kind {
            RefusalKind::MethodNotAllowed { allow } => Some(allow),
            _ => None,
        }
    }

    /// The value of the `WWW-Authenticate` header.
    pub fn challenge(&self) -> Option<&HeaderValue> {
        self.0.challenge.as_ref()
    }

    /// How long to wait before another try, for the `Retry-After` header: 10 s when sessions or listeners are
    /// as many as may be, 1 s when requests are or the sender takes more than its share, 2 s while draining or while sessions cannot be read, unless told otherwise.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Appends the error response to answer with.
    pub fn write(&self, out: &mut BytesMut) {
        jsonrpc::write_error(out, self.id(), &self.error());
    }
}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Refusal {
        let kind = match malformed.error.code {
            ErrorCode::PARSE_ERROR => RefusalKind::Parse,
            _ => RefusalKind::InvalidRequest,
        };
        let mut refusal = Refusal::new(kind);
        refusal.0.message = malformed.error.message;
        refusal.0.data = malformed.error.data;
        refusal.0.id = malformed.id;
        refusal
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, message, data, id, retry_after, challenge } = &*self.0;
        f.debug_struct("Refusal")
            .field("kind", kind)
            .field("message", message)
            .field("data", data)
            .field("id", id)
            .field("retry_after", retry_after)
            .field("challenge", challenge)
            .finish()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Refusal {}

/// As much of a peer's text as is worth repeating: a date has 10 characters.
pub(super) fn excerpt(text: &str) -> &str {
    const MOST: usize = 32;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: &[(RefusalKind, u16, i32)] = &[
        (RefusalKind::Parse, 400, -32700),
        (RefusalKind::InvalidRequest, 400, -32600),
        (RefusalKind::InvalidParams, 400, -32602),
        (RefusalKind::MethodNotFound, 404, -32601),
        (RefusalKind::BadHost, 403, -32600),
        (RefusalKind::BadOrigin, 403, -32600),
        (RefusalKind::Unauthorized, 401, -32600),
        (RefusalKind::InsufficientScope, 403, -32600),
        (RefusalKind::TooManyRequests, 429, -32603),
        (RefusalKind::NotAcceptable, 406, -32600),
        (RefusalKind::UnsupportedMediaType, 415, -32600),
        (RefusalKind::BodyTooLarge, 413, -32600),
        (RefusalKind::BodyTimeout, 408, -32600),
        (RefusalKind::MethodNotAllowed { allow: "POST" }, 405, -32600),
        (RefusalKind::MissingSession, 400, -32600),
        (RefusalKind::UnknownSession, 404, -32600),
        (RefusalKind::UnsupportedVersion, 400, -32600),
        (RefusalKind::VersionMismatch, 400, -32600),
        (RefusalKind::ModernEra, 400, -32600),
        (RefusalKind::HeaderMismatch, 400, -32020),
        (RefusalKind::MissingClientCapability, 400, -32021),
        (RefusalKind::UnsupportedProtocolVersion, 400, -32022),
        (RefusalKind::CursorInvalid, 400, -32600),
        (RefusalKind::CursorGone, 400, -32600),
        (RefusalKind::CursorAtEnd, 400, -32600),
        (RefusalKind::SessionsFull, 503, -32603),
        (RefusalKind::RequestsFull, 503, -32603),
        (RefusalKind::ListensFull, 503, -32603),
        (RefusalKind::Draining, 503, -32603),
        (RefusalKind::SessionsUnavailable, 503, -32603),
        (RefusalKind::DuplicateRequestId, 400, -32600),
        (RefusalKind::NotInitialized, 400, -32600),
        (RefusalKind::Internal, 500, -32603),
    ];

    #[test]
    fn each_kind_has_its_status_and_code() {
        for &(kind, status, code) in EVERY {
            let refusal = Refusal::new(kind);
            assert_eq!((refusal.kind(), refusal.status().as_u16(), refusal.code().0), (kind, status, code));
            assert_eq!(refusal.retry_after().is_some(), matches!(status, 429 | 503), "{kind:?}");
            assert_eq!(refusal.allow().is_some(), status == 405, "{kind:?}");
            assert!(refusal.message().contains(". "), "{kind:?} says what is wrong and what to do");
        }
    }

    #[test]
    fn particular_refusals_say_the_particulars() {
        let long = "9".repeat(4000);
        for (refusal, expected) in [
            (Refusal::body_too_large(4096), "The body is longer than 4096 bytes. Send a smaller message."),
            (
                Refusal::method_not_allowed("GET, POST"),
                "This HTTP method is not served here. Use one of: GET, POST.",
            ),
            (
                Refusal::unsupported_version("1999-01-01", "2025-03-26, 2025-06-18"),
                "The protocol version \"1999-01-01\" is not supported. Send one of: 2025-03-26, 2025-06-18.",
            ),
            (
                Refusal::unsupported_version(&long, "2025-03-26"),
                "The protocol version \"99999999999999999999999999999999\" is not supported. Send one of: 2025-03-26.",
            ),
            (
                Refusal::version_mismatch("2025-03-26", "2025-06-18"),
                "The MCP-Protocol-Version header says \"2025-03-26\", and this session negotiated \"2025-06-18\". Send that.",
            ),
        ] {
            assert_eq!(refusal.to_string(), expected);
        }
        assert_eq!(Refusal::method_not_allowed("GET, POST").allow(), Some("GET, POST"));
        assert_eq!(excerpt("ééé"), "ééé");
    }

    #[test]
    fn the_modern_refusals_carry_their_data() {
        let written = |refusal: Refusal| {
            let mut out = BytesMut::new();
            refusal.with_id(RequestId::from(4)).write(&mut out);
            String::from_utf8(out.to_vec()).unwrap()
        };
        let sampling = ClientCapabilities::new().with_sampling(Default::default());
        assert_eq!(
            written(Refusal::missing_client_capability(&sampling)),
            r#"{"jsonrpc":"2.0","id":4,"error":{"code":-32021,"message":"The request needs a capability that the client did not declare. Declare those in the data, if the client has them.","data":{"requiredCapabilities":{"sampling":{}}}}}"#
        );
        let supported = [Revision::V2026_07_28, Revision::V2025_11_25];
        assert_eq!(
            written(Refusal::unsupported_protocol_version("v999.0.0", &supported)),
            r#"{"jsonrpc":"2.0","id":4,"error":{"code":-32022,"message":"The protocol version \"v999.0.0\" is not supported. Send one that the data lists.","data":{"supported":["2026-07-28","2025-11-25"],"requested":"v999.0.0"}}}"#
        );
        let long = "9".repeat(4000);
        assert!(written(Refusal::unsupported_protocol_version(&long, &supported)).len() < 400);
    }

    #[test]
    fn only_the_modern_era_prescribes_statuses_for_answers() {
        for (code, status) in [
            (ErrorCode::METHOD_NOT_FOUND, 404),
            (ErrorCode::HEADER_MISMATCH, 400),
            (ErrorCode::MISSING_CLIENT_CAPABILITY, 400),
            (ErrorCode::UNSUPPORTED_PROTOCOL_VERSION, 400),
            (ErrorCode::PARSE_ERROR, 200),
            (ErrorCode::INVALID_REQUEST, 200),
            (ErrorCode::INVALID_PARAMS, 200),
            (ErrorCode::INTERNAL_ERROR, 200),
            (ErrorCode(1), 200),
        ] {
            for revision in Revision::ALL {
                let expected = if revision.is_modern() { status } else { 200 };
                assert_eq!(status_of(revision, code), expected, "{code:?} in {revision}");
            }
        }
    }

    #[test]
    fn a_cursor_that_is_gone_says_where_to_resume() {
        let mut out = BytesMut::new();
        Refusal::cursor_gone("s-3-17", 16).with_id(RequestId::from(4)).write(&mut out);
        assert_eq!(
            out,
            r#"{"jsonrpc":"2.0","id":4,"error":{"code":-32600,"message":"Events after the Last-Event-ID are no longer held. Resume from the oldest cursor in the data for the rest.","data":{"reason":"gone","oldest":"s-3-17","lost":16}}}"#
        );
    }

    #[test]
    fn what_is_malformed_is_refused_in_its_own_words() {
        let body = bytes::Bytes::from_static(br#"{"jsonrpc":"1.0","id":"a","method":"x"}"#);
        let malformed = jsonrpc::parse(&body, &Default::default()).unwrap_err();
        let refusal = Refusal::from(malformed.clone());
        assert_eq!(refusal.kind(), RefusalKind::InvalidRequest);
        assert_eq!(refusal.id(), Some(&RequestId::from("a")));
        assert_eq!(refusal.error(), malformed.error);
        let refusal = Refusal::from(jsonrpc::parse(&bytes::Bytes::new(), &Default::default()).unwrap_err());
        assert_eq!((refusal.kind(), refusal.id()), (RefusalKind::Parse, None));
    }
}
