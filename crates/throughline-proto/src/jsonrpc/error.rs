use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use super::Raw;

/// The code of a JSON-RPC error. The constants are the one table of the codes this protocol gives a meaning
/// to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ErrorCode(pub i32);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        impl ErrorCode {
            $($(#[$doc])* pub const $name: ErrorCode = ErrorCode($code);)*

            /// What the code is called, when it is one of the table.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($code => Some($text),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    /// What arrived is not JSON.
    PARSE_ERROR = -32700, "parse error";
    /// It is JSON, but not a request, or not one that may be sent now.
    INVALID_REQUEST = -32600, "invalid request";
    /// The method does not exist or is not available.
    METHOD_NOT_FOUND = -32601, "method not found";
    /// The parameters do not fit the method.
    INVALID_PARAMS = -32602, "invalid params";
    /// Something broke on the side that answers.
    INTERNAL_ERROR = -32603, "internal error";
    /// No such resource, in the legacy era; the modern one says invalid params.
    /// <https://modelcontextprotocol.io/specification/2025-11-25/server/resources#error-handling>
    RESOURCE_NOT_FOUND = -32002, "resource not found";
    /// An elicitation by URL must be completed first, in the one legacy revision that has those.
    /// <https://modelcontextprotocol.io/specification/2025-11-25/client/elicitation#url-elicitation-required-error>
    URL_ELICITATION_REQUIRED = -32042, "URL elicitation required";
    /// HTTP headers and body disagree, in the modern era.
    /// <https://modelcontextprotocol.io/specification/2026-07-28/schema#headermismatcherror>
    HEADER_MISMATCH = -32020, "header mismatch";
    /// The request needs a capability its client did not declare, in the modern era.
    /// <https://modelcontextprotocol.io/specification/2026-07-28/schema#missingrequiredclientcapabilityerror>
    MISSING_CLIENT_CAPABILITY = -32021, "missing required client capability";
    /// The request names a protocol version this side does not speak, in the modern era.
    /// <https://modelcontextprotocol.io/specification/2026-07-28/schema#unsupportedprotocolversionerror>
    UNSUPPORTED_PROTOCOL_VERSION = -32022, "unsupported protocol version";
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} ({name})", self.0),
            None => self.0.fmt(f),
        }
    }
}

/// The `error` of a response: a code, one sentence for people, and data for programs.
///
/// ```
/// use throughline_proto::jsonrpc::{ErrorCode, ErrorObject};
///
/// let error = ErrorObject::new(ErrorCode::INVALID_PARAMS, "There is no tool \"ad\". Ask tools/list for the names.")
///     .with_data(&serde_json::json!({"name": "ad"}));
/// assert_eq!(
///     serde_json::to_string(&error)?,
///     r#"{"code":-32602,"message":"There is no tool \"ad\". Ask tools/list for the names.","data":{"name":"ad"}}"#,
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorObject {
    /// What kind of error it is.
    pub code: ErrorCode,
    /// One sentence.
    pub message: Cow<'static, str>,
    /// More about it. `Some` of a `null` is a `null` that was sent.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub data: Option<Raw>,
}

/// Why JSON does not have the shape that was asked for, without the position: it counts within a part of the message that
/// its sender never saw by itself.
///
/// At most 400 characters of it: some reasons repeat what was sent.
pub fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let reason = text.rsplit_once(" at line ").map_or(&*text, |(reason, _)| reason);
    shortened(reason, 400).into_owned()
}

/// What an error repeats of what a peer sent: all of it where it is short, as names are, and else its beginning and `..`, so
/// that an error is small whatever it is about.
///
/// ```
/// use throughline_proto::jsonrpc::excerpt;
///
/// assert_eq!(excerpt("tools/call"), "tools/call");
/// assert_eq!(excerpt(&"x".repeat(4_000_000)).len(), 130);
/// ```
#[must_use]
pub fn excerpt(text: &str) -> Cow<'_, str> {
    shortened(text, 128)
}

fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        Some((end, _)) => Cow::Owned(format!("{}..", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

impl ErrorObject {
    /// An error without data.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> ErrorObject {
        ErrorObject { code, message: message.into(), data: None }
    }

    /// The same error with `data`. A value that has no JSON form is left out: an error must never fail to be
    /// told.
    #[must_use]
    pub fn with_data<T: Serialize + ?Sized>(mut self, data: &T) -> ErrorObject {
        self.data = Raw::new(data).ok();
        self
    }
}

impl fmt::Display for ErrorObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for ErrorObject {}

/// Reads a member that is there, so that `null` is not taken for absence.
pub(super) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    value: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_of_the_table_has_its_number_and_name() {
        let table: Vec<String> = [
            ErrorCode::PARSE_ERROR,
            ErrorCode::INVALID_REQUEST,
            ErrorCode::METHOD_NOT_FOUND,
            ErrorCode::INVALID_PARAMS,
            ErrorCode::INTERNAL_ERROR,
            ErrorCode::RESOURCE_NOT_FOUND,
            ErrorCode::URL_ELICITATION_REQUIRED,
            ErrorCode::HEADER_MISMATCH,
            ErrorCode::MISSING_CLIENT_CAPABILITY,
            ErrorCode::UNSUPPORTED_PROTOCOL_VERSION,
            ErrorCode(7),
        ]
        .iter()
        .map(|code| format!("{code:?}"))
        .collect();
        assert_eq!(
            table,
            [
                "-32700 (parse error)",
                "-32600 (invalid request)",
                "-32601 (method not found)",
                "-32602 (invalid params)",
                "-32603 (internal error)",
                "-32002 (resource not found)",
                "-32042 (URL elicitation required)",
                "-32020 (header mismatch)",
                "-32021 (missing required client capability)",
                "-32022 (unsupported protocol version)",
                "7",
            ]
        );
    }

    #[test]
    fn null_data_is_kept_and_no_data_is_none() {
        let read = |text| serde_json::from_str::<ErrorObject>(text).unwrap();
        assert_eq!(read(r#"{"code":1,"message":"m"}"#).data, None);
        assert_eq!(read(r#"{"code":1,"message":"m","data":null}"#).data, Some(Raw::null()));
        assert_eq!(read(r#"{"code":1,"message":"m","data":null}"#).to_string(), "m (1)");
    }

    #[test]
    fn data_without_a_json_form_is_left_out() {
        let keys_that_are_not_strings = std::collections::BTreeMap::from([((1, 2), 3)]);
        let error = ErrorObject::new(ErrorCode(1), "m").with_data(&keys_that_are_not_strings);
        assert_eq!(error.data, None);
    }
}
