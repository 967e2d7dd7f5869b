use std::io;

use bytes::BytesMut;
use serde::Serialize;

use super::{ErrorObject, Raw, RequestId};

/// Appends a response with a result.
///
/// # Errors
///
/// When `result` has no JSON form; `out` then holds what it held before.
pub fn write_result<T: Serialize + ?Sized>(
    out: &mut BytesMut,
    id: &RequestId,
    result: &T,
) -> Result<(), serde_json::Error> {
    whole(out, |out| {
        start_result(out, id);
        json(out, result)
    })
}

/// Appends a response whose result `result` writes.
///
/// # Errors
///
/// The writer's own; `out` then holds what it held before.
pub(crate) fn write_result_with(
    out: &mut BytesMut,
    id: &RequestId,
    result: impl FnOnce(&mut BytesMut) -> Result<(), serde_json::Error>,
) -> Result<(), serde_json::Error> {
    whole(out, |out| {
        start_result(out, id);
        result(out)
    })
}

/// Appends a value that is no message by itself.
///
/// # Errors
///
/// When `value` has no JSON form; `out` then holds what it held before.
pub(crate) fn write_value<T: Serialize + ?Sized>(
    out: &mut BytesMut,
    value: &T,
) -> Result<(), serde_json::Error> {
    let start = out.len();
    json(out, value).inspect_err(|_| out.truncate(start))
}

/// Appends a response whose result is already JSON, as it is and without looking at it.
pub fn write_raw_result(out: &mut BytesMut, id: &RequestId, result: &Raw) {
    start_result(out, id);
    out.extend_from_slice(result.as_bytes());
    out.extend_from_slice(b"}");
}

/// Appends a response with an error. Without an id it has no `id` member: that is what is sent where no id
/// could be read (<https://modelcontextprotocol.io/specification/2025-11-25/basic#responses>).
///
/// ```
/// use bytes::BytesMut;
/// use throughline_proto::jsonrpc::{ErrorCode, ErrorObject, write_error};
///
/// let mut out = BytesMut::new();
/// write_error(&mut out, None, &ErrorObject::new(ErrorCode::PARSE_ERROR, "The message is empty."));
/// assert_eq!(out, r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"The message is empty."}}"#);
/// ```
pub fn write_error(out: &mut BytesMut, id: Option<&RequestId>, error: &ErrorObject) {
    out.extend_from_slice(br#"{"jsonrpc":"2.0","#);
    if let Some(id) = id {
        out.extend_from_slice(br#""id":"#);
        infallible(out, id);
        out.extend_from_slice(b",");
    }
    out.extend_from_slice(br#""error":{"code":"#);
    infallible(out, &error.code);
    out.extend_from_slice(br#","message":"#);
    infallible(out, &*error.message);
    if let Some(data) = &error.data {
        out.extend_from_slice(br#","data":"#);
        out.extend_from_slice(data.as_bytes());
    }
    out.extend_from_slice(b"}}");
}

/// Appends a request.
///
/// # Errors
///
/// When `params` has no JSON form; `out` then holds what it held before.
pub fn write_request<T: Serialize + ?Sized>(
    out: &mut BytesMut,
    id: &RequestId,
    method: &str,
    params: &T,
) -> Result<(), serde_json::Error> {
    whole(out, |out| {
        out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
        infallible(out, id);
        out.extend_from_slice(br#","method":"#);
        name(out, method);
        out.extend_from_slice(br#","params":"#);
        json(out, params)
    })
}

/// Appends a notification.
///
/// # Errors
///
/// When `params` has no JSON form; `out` then holds what it held before.
pub fn write_notification<T: Serialize + ?Sized>(
    out: &mut BytesMut,
    method: &str,
    params: Option<&T>,
) -> Result<(), serde_json::Error> {
    whole(out, |out| {
        out.extend_from_slice(br#"{"jsonrpc":"2.0","method":"#);
        name(out, method);
        match params {
            Some(params) => {
                out.extend_from_slice(br#","params":"#);
                json(out, params)
            }
            None => Ok(()),
        }
    })
}

/// Makes a line of the message that starts at `start`: ends it with a newline, and turns those within it into
/// spaces. In JSON they can only be white space between tokens, which a [`Raw`] written verbatim may have
/// brought along.
///
/// Specification: <https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#stdio>.
///
/// # Panics
///
/// When `start` is past the end of `out`.
pub fn end_line(out: &mut BytesMut, start: usize) {
    for byte in &mut out[start..] {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    out.extend_from_slice(b"\n");
}

/// Runs `write`, closes the message, and undoes what it wrote when it fails.
fn whole(
    out: &mut BytesMut,
    write: impl FnOnce(&mut BytesMut) -> Result<(), serde_json::Error>,
) -> Result<(), serde_json::Error> {
    let start = out.len();
    match write(out) {
        Ok(()) => {
            out.extend_from_slice(b"}");
            Ok(())
        }
        Err(error) => {
            out.truncate(start);
            Err(error)
        }
    }
}

fn start_result(out: &mut BytesMut, id: &RequestId) {
    out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    infallible(out, id);
    out.extend_from_slice(br#","result":"#);
}

fn json<T: Serialize + ?Sized>(out: &mut BytesMut, value: &T) -> Result<(), serde_json::Error> {
    serde_json::to_writer(Sink(out), value)
}

/// For text that hardly ever needs an escape, as all its bytes are looked at together.
fn name(out: &mut BytesMut, text: &str) {
    let is_plain =
        text.bytes().fold(true, |plain, byte| plain & (byte >= b' ') & (byte != b'"') & (byte != b'\\'));
    if !is_plain {
        return infallible(out, text);
    }
    out.extend_from_slice(b"\"");
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\"");
}

/// For text and numbers.
fn infallible<T: Serialize + ?Sized>(out: &mut BytesMut, value: &T) {
    json(out, value).expect("text and numbers have a JSON form and memory takes every write");
}

/// The buffer as a writer that never fails and never writes a part only.
struct Sink<'a>(&'a mut BytesMut);

impl io::Write for Sink<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::jsonrpc::{
        ErrorCode, Frame, Message, Notification, ParseLimits, Request, Response, Str, parse,
    };

    fn written(write: impl FnOnce(&mut BytesMut)) -> String {
        let mut out = BytesMut::from("before|");
        write(&mut out);
        String::from_utf8(out.to_vec()).unwrap().strip_prefix("before|").unwrap().to_owned()
    }

    #[test]
    fn messages_are_compact_json() {
        let id = RequestId::from("a\"b");
        let params = json!({"x": [1, null]});
        let none: Option<&()> = None;
        for (text, expected) in [
            (
                written(|out| write_result(out, &1.into(), &params).unwrap()),
                r#"{"jsonrpc":"2.0","id":1,"result":{"x":[1,null]}}"#,
            ),
            (
                written(|out| write_raw_result(out, &id, &Raw::from_json("{ }").unwrap())),
                r#"{"jsonrpc":"2.0","id":"a\"b","result":{ }}"#,
            ),
            (
                written(|out| write_request(out, &(-5).into(), "ping\n", &json!({})).unwrap()),
                r#"{"jsonrpc":"2.0","id":-5,"method":"ping\n","params":{}}"#,
            ),
            (written(|out| write_notification(out, "n", none).unwrap()), r#"{"jsonrpc":"2.0","method":"n"}"#),
            (
                written(|out| write_notification(out, "n", Some(&params)).unwrap()),
                r#"{"jsonrpc":"2.0","method":"n","params":{"x":[1,null]}}"#,
            ),
            (
                written(|out| {
                    write_error(
                        out,
                        Some(&id),
                        &ErrorObject::new(ErrorCode(5), "a \"b\"").with_data(&params),
                    );
                }),
                r#"{"jsonrpc":"2.0","id":"a\"b","error":{"code":5,"message":"a \"b\"","data":{"x":[1,null]}}}"#,
            ),
            (
                written(|out| write_error(out, None, &ErrorObject::new(ErrorCode::INTERNAL_ERROR, ""))),
                r#"{"jsonrpc":"2.0","error":{"code":-32603,"message":""}}"#,
            ),
        ] {
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn a_failure_leaves_the_buffer_as_it_was() {
        // The first entry is written before the second one fails.
        let broken = (1, BTreeMap::from([((1, 2), 3)]));
        let mut out = BytesMut::from("before");
        assert!(write_result(&mut out, &1.into(), &broken).is_err());
        assert!(write_request(&mut out, &1.into(), "m", &broken).is_err());
        assert!(write_notification(&mut out, "m", Some(&broken)).is_err());
        assert_eq!(out, "before");
    }

    #[test]
    fn a_line_has_no_newline_within() {
        let mut out = BytesMut::from("first\r\n");
        let start = out.len();
        write_raw_result(&mut out, &"a\nb".into(), &Raw::from_json("{\r\n  \"x\": \"\\n\"\n}").unwrap());
        end_line(&mut out, start);
        assert_eq!(out, "first\r\n{\"jsonrpc\":\"2.0\",\"id\":\"a\\nb\",\"result\":{    \"x\": \"\\n\" }}\n");
    }

    fn id() -> impl Strategy<Value = RequestId> {
        prop_oneof![any::<i64>().prop_map(RequestId::from), any::<String>().prop_map(RequestId::from)]
    }

    proptest! {
        #[test]
        fn what_is_written_is_parsed(id in id(), method: String, texts: BTreeMap<String, String>, code: i32, message: String) {
            let read = |out: BytesMut| match parse(&Bytes::from(out), &ParseLimits::default()) {
                Ok(Frame::Single(message)) => message,
                other => panic!("one message: {other:?}"),
            };
            let raw = Raw::new(&texts).unwrap();
            let method = Str::from(method);

            let mut out = BytesMut::new();
            write_request(&mut out, &id, &method, &texts).unwrap();
            let request = Request { id: id.clone(), method: method.clone(), params: Some(raw.clone()) };
            prop_assert_eq!(read(out), Message::Request(request));

            let mut out = BytesMut::new();
            write_notification(&mut out, &method, Some(&raw)).unwrap();
            prop_assert_eq!(read(out), Message::Notification(Notification { method, params: Some(raw.clone()) }));

            let mut out = BytesMut::new();
            write_result(&mut out, &id, &texts).unwrap();
            let mut same = BytesMut::new();
            write_raw_result(&mut same, &id, &raw);
            prop_assert_eq!(&out, &same);
            prop_assert_eq!(read(out), Message::Response(Response { id: Some(id.clone()), outcome: Ok(raw) }));

            let error = ErrorObject::new(ErrorCode(code), message).with_data(&texts);
            for id in [None, Some(id)] {
                let mut out = BytesMut::new();
                write_error(&mut out, id.as_ref(), &error);
                prop_assert_eq!(read(out), Message::Response(Response { id, outcome: Err(error.clone()) }));
            }
        }
    }
}
