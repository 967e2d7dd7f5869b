//! What handlers return when something goes wrong.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;
use throughline_proto::jsonrpc::{ErrorCode, ErrorObject, excerpt};

use crate::handler::{AskError, InputRequired, Outcome};

/// The result of a handler.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Any error a handler may end with.
///
/// Every `std::error::Error` turns into it by `?`. A tool that ends with one answers with a *tool error* (`isError`),
/// whose text the model sees; an [`McpError`] inside is sent as the *protocol error* that it is.
///
/// ```
/// use throughline::{Error, McpError};
///
/// fn parse(text: &str) -> throughline::Result<u16> {
///     Ok(text.parse()?)
/// }
/// assert_eq!(parse("many").unwrap_err().to_string(), "invalid digit found in string");
///
/// let error: Error = McpError::invalid_params("`count` must be positive").into();
/// assert!(error.as_protocol_error().is_some());
/// ```
pub struct Error(Box<dyn std::error::Error + Send + Sync>);

impl Error {
    /// An error that is only a sentence.
    pub fn msg(message: impl fmt::Display) -> Self {
        Self(message.to_string().into())
    }

    /// The protocol error inside, if it is one.
    pub fn as_protocol_error(&self) -> Option<&McpError> {
        self.0.downcast_ref()
    }

    /// The error inside, if it is an `E`: an [`AskError`](crate::AskError), for instance.
    pub fn downcast_ref<E: std::error::Error + 'static>(&self) -> Option<&E> {
        self.0.downcast_ref()
    }

    /// The error inside.
    pub fn into_inner(self) -> Box<dyn std::error::Error + Send + Sync> {
        self.0
    }

    /// Splits into the answer that it stands for, a protocol error or one that asks, or itself.
    pub(crate) fn into_answer(self) -> std::result::Result<Outcome, Error> {
        let other = match self.0.downcast::<McpError>() {
            Ok(error) => return Ok(Err(*error)),
            Err(other) => other,
        };
        let other = match other.downcast::<InputRequired>() {
            Ok(required) => return Ok(required.into_outcome()),
            Err(other) => other,
        };
        match other.downcast_ref::<AskError>().and_then(AskError::as_protocol_error) {
            Some(error) => Ok(Err(error.clone().into())),
            None => Err(Error(other)),
        }
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A JSON-RPC error: what a client gets instead of a result.
///
/// For a tool whose work failed, return an ordinary error instead: the model reads it and can try again. A protocol
/// error says that the request itself is wrong
/// ([error handling](https://modelcontextprotocol.io/specification/2025-11-25/server/tools#error-handling)).
#[derive(Clone, Debug)]
pub struct McpError(ErrorObject);

impl McpError {
    /// An error with a code of your own.
    pub fn new(code: i32, message: impl Into<Cow<'static, str>>) -> Self {
        Self(ErrorObject::new(ErrorCode(code), message))
    }

    /// -32602: the parameters do not fit.
    pub fn invalid_params(message: impl Into<Cow<'static, str>>) -> Self {
        Self(ErrorObject::new(ErrorCode::INVALID_PARAMS, message))
    }

    /// -32601: there is no such method.
    pub fn method_not_found(method: &str) -> Self {
        Self(ErrorObject::new(
            ErrorCode::METHOD_NOT_FOUND,
            format!("this server has no method `{}`", excerpt(method)),
        ))
    }

    /// -32603: something failed on this side.
    pub fn internal(message: impl Into<Cow<'static, str>>) -> Self {
        Self(ErrorObject::new(ErrorCode::INTERNAL_ERROR, message))
    }

    /// Adds `data`. A value that cannot be JSON is left out.
    #[must_use]
    pub fn with_data(self, data: &impl Serialize) -> Self {
        Self(self.0.with_data(data))
    }

    /// The code.
    pub fn code(&self) -> i32 {
        self.0.code.0
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The error as it goes on the wire.
    pub fn into_object(self) -> ErrorObject {
        self.0
    }
}

impl From<ErrorObject> for McpError {
    fn from(object: ErrorObject) -> Self {
        Self(object)
    }
}

impl fmt::Display for McpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (code {})", self.0.message, self.0.code.0)
    }
}

impl std::error::Error for McpError {}
