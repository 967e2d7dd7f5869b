use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use bytestring::ByteString;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer as _};
use serde_json::Deserializer;
use serde_json::value::RawValue;

use super::depth::deeper_than;
use super::error::present;
use super::id::text_of;
use super::members::Members;
use super::{
    ErrorCode, ErrorObject, Frame, Malformed, Message, Notification, Part, Raw, Request, RequestId, Response,
    Str, scan,
};

/// What [`parse`] accepts at most. The length of the body itself is bounded by whoever reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseLimits {
    /// Levels of nested objects and arrays, the outermost being one. Default 128, `serde_json`'s own limit,
    /// which bounds the recursion of whoever reads the raw parts later.
    pub depth: usize,
    /// Entries of a batch. Default 100: far more than any client is known to send, and a bound on the calls
    /// that one body can start.
    pub batch: usize,
}

impl Default for ParseLimits {
    fn default() -> ParseLimits {
        ParseLimits { depth: 128, batch: 100 }
    }
}

/// Reads one message or one batch. `params`, `result`, `data`, and text without escapes are slices of `body`,
/// not copies.
///
/// The rules, each with its code:
///
/// - parse error: UTF-8, and exactly one JSON value;
/// - invalid request: an object or a non-empty array of at most [`ParseLimits::batch`] entries, nested at
///   most [`ParseLimits::depth`] levels; `jsonrpc` is `"2.0"`; `method` a string; `params`, when present, an
///   object; `id` an integer or a string; no member of the envelope twice; a response has exactly one of
///   `result` and `error`, and its id may be absent or null only beside an `error`.
///
/// Members that JSON-RPC does not know are ignored. In a batch each entry is judged by itself.
///
/// ```
/// use bytes::Bytes;
/// use throughline_proto::jsonrpc::{ErrorCode, Frame, ParseLimits, parse};
///
/// let batch = Bytes::from_static(br#"[{"jsonrpc":"2.0","method":"notifications/initialized"}, 1]"#);
/// let Ok(Frame::Batch(entries)) = parse(&batch, &ParseLimits::default()) else { panic!("an array is a batch") };
/// assert!(entries[0].is_ok());
/// assert_eq!(entries[1].as_ref().unwrap_err().error.code, ErrorCode::INVALID_REQUEST);
/// ```
///
/// # Errors
///
/// [`Malformed`], with a sentence that says what to change.
pub fn parse(body: &Bytes, limits: &ParseLimits) -> Result<Frame, Malformed> {
    let body = &ByteString::try_from(body.clone()).map_err(|error| {
        parse_error(format!(
            "The message is not UTF-8 at byte {}. Send JSON encoded as UTF-8.",
            error.valid_up_to()
        ))
    })?;
    let text: &str = body;
    match text.bytes().find(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {
        Some(b'{') => parse_message(text, body, limits.depth, 0).map(Frame::Single),
        Some(b'[') => parse_batch(text, body, limits),
        Some(_) => match serde_json::from_str::<IgnoredAny>(text) {
            Ok(_) => Err(invalid("A message must be a JSON object.").into()),
            Err(error) => Err(not_json(&error)),
        },
        None => Err(parse_error("The message is empty. Send one JSON-RPC message.")),
    }
}

fn parse_batch(text: &str, body: &ByteString, limits: &ParseLimits) -> Result<Frame, Malformed> {
    let mut json = Deserializer::from_str(text);
    let entries = json.deserialize_seq(Entries { most: limits.batch }).map_err(|error| not_json(&error))?;
    json.end().map_err(|error| not_json(&error))?;
    if entries.is_empty() {
        return Err(invalid("The batch is empty. Send at least one message.").into());
    }
    if entries.len() > limits.batch {
        return Err(invalid(format!(
            "The batch has more than {} entries. Send the messages in several bodies.",
            limits.batch
        ))
        .into());
    }
    Ok(Frame::Batch(entries.iter().map(|entry| parse_message(entry.get(), body, limits.depth, 1)).collect()))
}

/// Reads the first entries of a batch, one more than allowed at most, and skips the others.
struct Entries {
    most: usize,
}

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<&'de RawValue>, A::Error> {
        let mut entries = Vec::new();
        while entries.len() <= self.most {
            match seq.next_element()? {
                Some(entry) => entries.push(entry),
                None => return Ok(entries),
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(entries)
    }
}

const ENVELOPE: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];

/// Reads one message from `text`, which lies in `body`, `outer` levels deep.
fn parse_message(text: &str, body: &ByteString, depth: usize, outer: usize) -> Result<Message, Malformed> {
    // Only an entry of a batch can be something else here, and it is sound JSON.
    if !text.trim_ascii_start().starts_with('{') {
        return Err(invalid("A message must be a JSON object.").into());
    }
    let (members, is_too_deep) = match scan::checked(&ENVELOPE, text, depth.saturating_sub(outer)) {
        Some(members) => (members, false),
        None => {
            let members = Members::read(&ENVELOPE, &mut Deserializer::from_str(text));
            let too_deep = deeper_than(text.as_bytes(), depth.saturating_sub(outer));
            (members.map_err(|error| not_json(&error))?, too_deep)
        }
    };
    let [jsonrpc, id, method, params, result, error] = members.values;
    // Which of two ids was meant cannot be known.
    let [_, is_id_repeated, ..] = members.is_repeated;
    let readable_id = id.filter(|_| !is_id_repeated).and_then(|id| RequestId::from_part(body, id));
    let is_response = method.is_none() && (result.is_some() || error.is_some());
    let refuse = |error: ErrorObject, id: Option<RequestId>| {
        if is_response {
            Malformed { id: None, answers: id.map(Box::new), error }
        } else {
            Malformed { id, answers: None, error }
        }
    };

    if let Some(at) = members.repeated() {
        let message = format!("The member \"{}\" occurs twice. Send it once.", ENVELOPE[at]);
        return Err(refuse(invalid(message), readable_id));
    }
    if is_too_deep {
        let message = format!("The message is nested deeper than {depth} levels. Send a flatter one.");
        return Err(refuse(invalid(message), readable_id));
    }
    if !jsonrpc.is_some_and(is_two_point_zero) {
        return Err(refuse(invalid("The member \"jsonrpc\" must be the string \"2.0\"."), readable_id));
    }
    let Some(method) = method else {
        return match response(body, id, readable_id.as_ref(), result, error) {
            Ok(outcome) => Ok(Message::Response(Response { id: readable_id, outcome })),
            Err(error) => Err(refuse(error, readable_id)),
        };
    };
    match call(body, method, params, result.or(error)) {
        Err(error) => Err(refuse(error, readable_id)),
        Ok((method, params)) => match (id, readable_id) {
            (None, _) => Ok(Message::Notification(Notification { method, params })),
            (Some(_), Some(id)) => Ok(Message::Request(Request { id, method, params })),
            (Some(_), None) => Err(refuse(
                invalid("The member \"id\" must be an integer or a string. Leave it out of a notification."),
                None,
            )),
        },
    }
}

/// Checks what a request and a notification have in common.
fn call(
    body: &ByteString,
    method: Part<'_>,
    params: Option<Part<'_>>,
    outcome: Option<Part<'_>>,
) -> Result<(Str, Option<Raw>), ErrorObject> {
    if outcome.is_some() {
        return Err(invalid(
            "A message has either \"method\" or one of \"result\" and \"error\". Send a request or a response.",
        ));
    }
    let Some(method) = text_of(body, method) else {
        return Err(invalid("The member \"method\" must be a string."));
    };
    match params {
        Some(params) if !params.get().starts_with('{') => Err(invalid(
            "The member \"params\" must be an object. Leave it out when there are no parameters.",
        )),
        params => Ok((method, params.map(|params| Raw::slice_of(body, params)))),
    }
}

/// Checks what is left of a response.
fn response(
    body: &ByteString,
    id: Option<Part<'_>>,
    readable_id: Option<&RequestId>,
    result: Option<Part<'_>>,
    error: Option<Part<'_>>,
) -> Result<Result<Raw, ErrorObject>, ErrorObject> {
    let outcome = match (result, error) {
        (None, None) => {
            return Err(invalid(
                "The message has no \"method\", \"result\" or \"error\". Send a request, a notification or a response.",
            ));
        }
        (Some(_), Some(_)) => {
            return Err(invalid("A response has either \"result\" or \"error\". Send one of them."));
        }
        (Some(result), None) => Ok(Raw::slice_of(body, result)),
        (None, Some(error)) => Err(error_object(body, error)?),
    };
    let id_may_be_missing = outcome.is_err() && id.is_none_or(|id| id.get() == "null");
    if readable_id.is_none() && !id_may_be_missing {
        return Err(invalid(
            "The member \"id\" of a response must be the integer or the string of its request.",
        ));
    }
    Ok(outcome)
}

#[derive(Deserialize)]
struct ErrorParts<'a> {
    code: ErrorCode,
    #[serde(borrow)]
    message: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
}

fn error_object(body: &ByteString, error: Part<'_>) -> Result<ErrorObject, ErrorObject> {
    // Asked first because a derived struct would also take an array.
    let parts: Option<ErrorParts<'_>> =
        error.get().starts_with('{').then(|| serde_json::from_str(error.get()).ok()).flatten();
    match parts {
        Some(ErrorParts { code, message, data }) => Ok(ErrorObject {
            code,
            message: Cow::Owned(message.into_owned()),
            data: data.map(|data| Raw::slice_of(body, data.into())),
        }),
        None => Err(invalid(
            "The member \"error\" must be an object with an integer \"code\" and a string \"message\", each once.",
        )),
    }
}

fn is_two_point_zero(jsonrpc: Part<'_>) -> bool {
    // The second question is for text with escapes, which is the same text.
    jsonrpc.get() == r#""2.0""#
        || serde_json::from_str::<Cow<'_, str>>(jsonrpc.get()).is_ok_and(|text| text == "2.0")
}

fn invalid(message: impl Into<Cow<'static, str>>) -> ErrorObject {
    ErrorObject::new(ErrorCode::INVALID_REQUEST, message)
}

fn parse_error(message: impl Into<Cow<'static, str>>) -> Malformed {
    ErrorObject::new(ErrorCode::PARSE_ERROR, message).into()
}

fn not_json(error: &serde_json::Error) -> Malformed {
    parse_error(format!("The message is not JSON: {error}. Send one JSON-RPC message."))
}

impl From<ErrorObject> for Malformed {
    fn from(error: ErrorObject) -> Malformed {
        Malformed { id: None, answers: None, error }
    }
}

#[cfg(test)]
mod tests;
