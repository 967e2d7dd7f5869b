use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::jsonrpc::write_error;

fn parse_text(text: impl Into<Bytes>) -> Result<Frame, Malformed> {
    parse(&text.into(), &ParseLimits::default())
}

fn single(text: impl Into<Bytes>) -> Message {
    match parse_text(text) {
        Ok(Frame::Single(message)) => message,
        other => panic!("not one message: {other:?}"),
    }
}

fn raw(text: &'static str) -> Raw {
    Raw::from_json(text).unwrap()
}

#[test]
fn every_kind_of_message_is_read() {
    let request = |id: RequestId, method: &'static str, params: Option<&'static str>| {
        Message::Request(Request { id, method: method.into(), params: params.map(raw) })
    };
    for (text, expected) in [
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, request(1.into(), "ping", None)),
        (r#"{"jsonrpc":"2.0","id":"","method":"","params":{}}"#, request("".into(), "", Some("{}"))),
        (
            " \r\n\t{ \"params\" : { \"a\" : [ 1 ] } , \"method\" : \"m\" , \"id\" : -7 , \"jsonrpc\" : \"2.0\" }\n",
            request((-7).into(), "m", Some(r#"{ "a" : [ 1 ] }"#)),
        ),
        // Text and keys written with escapes are the same text and keys.
        (
            r#"{"jsonrpc":"\u0032.0","\u0069d":"a\"\u00e4","method":"tools\/call"}"#,
            request("a\"ä".into(), "tools/call", None),
        ),
        // What JSON-RPC does not know is ignored, even twice and even if it holds what it does know.
        (
            r#"{"jsonrpc":"2.0","x":{"id":null,"id":2},"x":[],"ID":3,"id":1,"method":"m"}"#,
            request(1.into(), "m", None),
        ),
        (
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
            Message::Notification(Notification { method: "notifications/initialized".into(), params: None }),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"result":{"a":1}}"#,
            Message::Response(Response { id: Some(1.into()), outcome: Ok(raw(r#"{"a":1}"#)) }),
        ),
        (
            r#"{"jsonrpc":"2.0","id":"x","result":null}"#,
            Message::Response(Response { id: Some("x".into()), outcome: Ok(Raw::null()) }),
        ),
        // Params beside a result mean nothing.
        (
            r#"{"jsonrpc":"2.0","id":"x","result":1,"params":7}"#,
            Message::Response(Response { id: Some("x".into()), outcome: Ok(raw("1")) }),
        ),
    ] {
        assert_eq!(single(text), expected, "{text}");
    }
}

#[test]
fn error_responses_keep_their_data_and_may_have_no_id() {
    for (id, expected) in [(r#""id":5,"#, Some(RequestId::from(5))), (r#""id":null,"#, None), ("", None)] {
        for (data, kept) in
            [("", None), (r#","data":null"#, Some("null")), (r#","data":[{"a":1}]"#, Some(r#"[{"a":1}]"#))]
        {
            let text = format!(
                r#"{{"jsonrpc":"2.0",{id}"error":{{"code":-32601,"message":"no\u0021"{data},"x":1}}}}"#
            );
            let Message::Response(response) = single(text.clone()) else { panic!("{text}") };
            let error = response.outcome.unwrap_err();
            assert_eq!(response.id, expected, "{text}");
            assert_eq!((error.code, &*error.message), (ErrorCode::METHOD_NOT_FOUND, "no!"), "{text}");
            assert_eq!(error.data, kept.map(raw), "{text}");
        }
    }
}

const NO_OBJECT: &str = "A message must be a JSON object.";
const NO_VERSION: &str = "The member \"jsonrpc\" must be the string \"2.0\".";
const BAD_ID: &str = "The member \"id\" must be an integer or a string. Leave it out of a notification.";
const BAD_RESPONSE_ID: &str =
    "The member \"id\" of a response must be the integer or the string of its request.";
const BAD_METHOD: &str = "The member \"method\" must be a string.";
const BAD_PARAMS: &str =
    "The member \"params\" must be an object. Leave it out when there are no parameters.";
const BAD_ERROR: &str =
    "The member \"error\" must be an object with an integer \"code\" and a string \"message\", each once.";
const BOTH: &str = "A response has either \"result\" or \"error\". Send one of them.";
const NOTHING: &str =
    "The message has no \"method\", \"result\" or \"error\". Send a request, a notification or a response.";
const MIXED: &str =
    "A message has either \"method\" or one of \"result\" and \"error\". Send a request or a response.";

/// Text of one message, what is said about it, the id to answer with, and the request of ours it meant to
/// answer.
const INVALID: &[(&str, &str, Option<i64>, Option<i64>)] = &[
    ("1", NO_OBJECT, None, None),
    ("null", NO_OBJECT, None, None),
    (r#""{}""#, NO_OBJECT, None, None),
    ("{}", NO_VERSION, None, None),
    (r#"{"id":1,"method":"m"}"#, NO_VERSION, Some(1), None),
    (r#"{"jsonrpc":"1.0","id":1,"method":"m"}"#, NO_VERSION, Some(1), None),
    (r#"{"jsonrpc":2.0,"id":1,"method":"m"}"#, NO_VERSION, Some(1), None),
    (r#"{"jsonrpc":null,"id":1,"method":"m"}"#, NO_VERSION, Some(1), None),
    (r#"{"jsonrpc":["2.0"],"id":1,"result":{}}"#, NO_VERSION, None, Some(1)),
    (r#"{"jsonrpc":"2.0"}"#, NOTHING, None, None),
    (r#"{"jsonrpc":"2.0","id":1}"#, NOTHING, Some(1), None),
    (r#"{"jsonrpc":"2.0","id":1,"params":{}}"#, NOTHING, Some(1), None),
    (r#"{"jsonrpc":"2.0","id":null,"method":"m"}"#, BAD_ID, None, None),
    (r#"{"jsonrpc":"2.0","id":1.5,"method":"m"}"#, BAD_ID, None, None),
    (r#"{"jsonrpc":"2.0","id":1.0,"method":"m"}"#, BAD_ID, None, None),
    (r#"{"jsonrpc":"2.0","id":1e2,"method":"m"}"#, BAD_ID, None, None),
    (r#"{"jsonrpc":"2.0","id":9223372036854775808,"method":"m"}"#, BAD_ID, None, None),
    (r#"{"jsonrpc":"2.0","id":true,"method":"m"}"#, BAD_ID, None, None),
    (r#"{"jsonrpc":"2.0","id":[1],"method":"m"}"#, BAD_ID, None, None),
    (r#"{"jsonrpc":"2.0","id":{},"method":"m"}"#, BAD_ID, None, None),
    (r#"{"jsonrpc":"2.0","id":"\ud800","method":"m"}"#, BAD_ID, None, None),
    (r#"{"jsonrpc":"2.0","id":1,"method":1}"#, BAD_METHOD, Some(1), None),
    (r#"{"jsonrpc":"2.0","id":1,"method":null}"#, BAD_METHOD, Some(1), None),
    (r#"{"jsonrpc":"2.0","id":1,"method":["m"]}"#, BAD_METHOD, Some(1), None),
    (r#"{"jsonrpc":"2.0","method":"\udc00"}"#, BAD_METHOD, None, None),
    (r#"{"jsonrpc":"2.0","id":1,"method":"m","params":[]}"#, BAD_PARAMS, Some(1), None),
    (r#"{"jsonrpc":"2.0","id":1,"method":"m","params":null}"#, BAD_PARAMS, Some(1), None),
    (r#"{"jsonrpc":"2.0","id":1,"method":"m","params":"{}"}"#, BAD_PARAMS, Some(1), None),
    (r#"{"jsonrpc":"2.0","method":"m","params":0}"#, BAD_PARAMS, None, None),
    (r#"{"jsonrpc":"2.0","id":1,"method":"m","result":{}}"#, MIXED, Some(1), None),
    (r#"{"jsonrpc":"2.0","id":1,"method":"m","error":null}"#, MIXED, Some(1), None),
    (r#"{"jsonrpc":"2.0","id":1,"result":{},"error":null}"#, BOTH, None, Some(1)),
    (r#"{"jsonrpc":"2.0","id":1,"result":null,"error":{"code":1,"message":""}}"#, BOTH, None, Some(1)),
    (r#"{"jsonrpc":"2.0","id":null,"result":{}}"#, BAD_RESPONSE_ID, None, None),
    (r#"{"jsonrpc":"2.0","result":{}}"#, BAD_RESPONSE_ID, None, None),
    (r#"{"jsonrpc":"2.0","id":1.5,"result":{}}"#, BAD_RESPONSE_ID, None, None),
    (r#"{"jsonrpc":"2.0","id":1.5,"error":{"code":1,"message":""}}"#, BAD_RESPONSE_ID, None, None),
    (r#"{"jsonrpc":"2.0","id":[],"error":{"code":1,"message":""}}"#, BAD_RESPONSE_ID, None, None),
    (r#"{"jsonrpc":"2.0","id":1,"error":null}"#, BAD_ERROR, None, Some(1)),
    (r#"{"jsonrpc":"2.0","id":1,"error":"no"}"#, BAD_ERROR, None, Some(1)),
    (r#"{"jsonrpc":"2.0","id":1,"error":{}}"#, BAD_ERROR, None, Some(1)),
    (r#"{"jsonrpc":"2.0","id":1,"error":[1,"m",null]}"#, BAD_ERROR, None, Some(1)),
    (r#"{"jsonrpc":"2.0","id":1,"error":{"code":1}}"#, BAD_ERROR, None, Some(1)),
    (r#"{"jsonrpc":"2.0","id":1,"error":{"message":"m"}}"#, BAD_ERROR, None, Some(1)),
    (r#"{"jsonrpc":"2.0","id":1,"error":{"code":"1","message":"m"}}"#, BAD_ERROR, None, Some(1)),
    (r#"{"jsonrpc":"2.0","id":1,"error":{"code":1.5,"message":"m"}}"#, BAD_ERROR, None, Some(1)),
    (r#"{"jsonrpc":"2.0","id":1,"error":{"code":2147483648,"message":"m"}}"#, BAD_ERROR, None, Some(1)),
    (r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":null}}"#, BAD_ERROR, None, Some(1)),
    (r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"code":1,"message":"m"}}"#, BAD_ERROR, None, Some(1)),
    (r#"{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,"method":"m"}"#, "jsonrpc", Some(1), None),
    (r#"{"jsonrpc":"2.0","method":"a","method":"a","id":1}"#, "method", Some(1), None),
    (r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{},"params":{}}"#, "params", Some(1), None),
    (r#"{"jsonrpc":"2.0","id":1,"method":"m","params":null,"par\u0061ms":{}}"#, "params", Some(1), None),
    (r#"{"jsonrpc":"2.0","id":1,"result":1,"result":1}"#, "result", None, Some(1)),
    (r#"{"jsonrpc":"2.0","id":1,"error":{},"error":{}}"#, "error", None, Some(1)),
    // Which of the two was meant cannot be known.
    (r#"{"jsonrpc":"2.0","id":1,"id":1,"method":"m"}"#, "id", None, None),
    (r#"{"jsonrpc":"2.0","id":1,"id":2,"result":{}}"#, "id", None, None),
];

#[test]
fn what_is_invalid_is_refused_with_the_id_to_answer() {
    for &(text, expected, id, answers) in INVALID {
        let malformed = parse_text(text).unwrap_err();
        let expected = match expected.contains(' ') {
            true => expected.to_owned(),
            false => format!("The member \"{expected}\" occurs twice. Send it once."),
        };
        assert_eq!(
            (malformed.error.code, &*malformed.error.message),
            (ErrorCode::INVALID_REQUEST, &*expected),
            "{text}"
        );
        assert_eq!(malformed.error.data, None, "{text}");
        assert_eq!(malformed.id, id.map(RequestId::from), "{text}");
        assert_eq!(malformed.answers.as_deref(), answers.map(RequestId::from).as_ref(), "{text}");

        // As an entry of a batch it is refused alike, by itself.
        let good = r#"{"jsonrpc":"2.0","method":"n"}"#;
        let Ok(Frame::Batch(entries)) = parse_text(format!("[{good}, {text} ,{good}]")) else {
            panic!("{text}")
        };
        assert_eq!(entries.len(), 3);
        assert!(entries[0].is_ok() && entries[2].is_ok(), "{text}");
        assert_eq!(entries[1], Err(malformed), "{text}");
    }
}

#[test]
fn two_ids_in_a_message_with_another_duplicate_are_still_not_trusted() {
    for text in [
        r#"{"method":"a","method":"b","id":1,"id":2,"jsonrpc":"2.0"}"#,
        r#"{"id":1,"id":2,"method":"a","method":"b","jsonrpc":"2.0"}"#,
        r#"{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,"id":2,"result":1}"#,
    ] {
        let malformed = parse_text(text).unwrap_err();
        assert_eq!((malformed.id, malformed.answers), (None, None), "{text}");
    }
}

#[test]
fn what_is_not_json_is_a_parse_error() {
    for (text, expected) in [
        ("", "The message is empty. Send one JSON-RPC message."),
        (" \n\t\r", "The message is empty. Send one JSON-RPC message."),
        (
            "nonsense",
            "The message is not JSON: expected ident at line 1 column 2. Send one JSON-RPC message.",
        ),
        (
            "{",
            "The message is not JSON: EOF while parsing an object at line 1 column 1. Send one JSON-RPC message.",
        ),
        (
            "{\"jsonrpc\":\"2.0\",\n\"id\":1,}",
            "The message is not JSON: trailing comma at line 2 column 8. Send one JSON-RPC message.",
        ),
        (
            "{}{}",
            "The message is not JSON: trailing characters at line 1 column 3. Send one JSON-RPC message.",
        ),
        (
            "[{}",
            "The message is not JSON: EOF while parsing a list at line 1 column 3. Send one JSON-RPC message.",
        ),
        (
            "[] 1",
            "The message is not JSON: trailing characters at line 1 column 4. Send one JSON-RPC message.",
        ),
        (
            "{\"id\":01}",
            "The message is not JSON: invalid number at line 1 column 8. Send one JSON-RPC message.",
        ),
        ("'x'", "The message is not JSON: expected value at line 1 column 1. Send one JSON-RPC message."),
        (
            "\u{FEFF}{}",
            "The message is not JSON: expected value at line 1 column 1. Send one JSON-RPC message.",
        ),
    ] {
        let malformed = parse_text(text).unwrap_err();
        assert_eq!(
            (malformed.error.code, &*malformed.error.message),
            (ErrorCode::PARSE_ERROR, expected),
            "{text:?}"
        );
        assert_eq!((malformed.id, malformed.answers), (None, None), "{text:?}");
    }
    let malformed = parse_text(&b"{\"jsonrpc\":\"\xC3\x28\"}"[..]).unwrap_err();
    assert_eq!(malformed.error.code, ErrorCode::PARSE_ERROR);
    assert_eq!(malformed.error.message, "The message is not UTF-8 at byte 12. Send JSON encoded as UTF-8.");
}

fn nested(levels: usize) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{{"a":{}{}}}}}"#,
        "[".repeat(levels - 2),
        "]".repeat(levels - 2)
    )
}

#[test]
fn depth_is_bounded_and_the_refusal_has_the_id() {
    assert!(parse_text(nested(128)).is_ok());
    let malformed = parse_text(nested(129)).unwrap_err();
    assert_eq!(malformed.error.code, ErrorCode::INVALID_REQUEST);
    assert_eq!(malformed.error.message, "The message is nested deeper than 128 levels. Send a flatter one.");
    assert_eq!(malformed.id, Some(RequestId::from(1)));

    // Far beyond, nothing recurses.
    assert_eq!(parse_text(nested(1_000_000)).unwrap_err().id, Some(RequestId::from(1)));
    assert_eq!(parse_text("[".repeat(1_000_000)).unwrap_err().error.code, ErrorCode::PARSE_ERROR);

    // The brackets of a batch are a level of their own.
    let Ok(Frame::Batch(entries)) = parse_text(format!("[{},{}]", nested(127), nested(128))) else {
        panic!("a batch")
    };
    assert!(entries[0].is_ok());
    assert_eq!(entries[1].as_ref().unwrap_err().error, malformed.error);

    // A member that is ignored counts as well, and brackets in strings do not.
    let ignored = format!(r#"{{"jsonrpc":"2.0","method":"m","x":{}{}}}"#, "[".repeat(128), "]".repeat(128));
    assert!(parse_text(ignored).is_err());
    let text = format!(r#"{{"jsonrpc":"2.0","method":"m","params":{{"x":"\"{}"}}}}"#, "[{".repeat(1000));
    assert!(parse_text(text).is_ok());

    let shallow = ParseLimits { depth: 1, ..ParseLimits::default() };
    assert!(parse(&Bytes::from_static(br#"{"jsonrpc":"2.0","method":"m"}"#), &shallow).is_ok());
    let malformed =
        parse(&Bytes::from_static(br#"{"jsonrpc":"2.0","method":"m","params":{}}"#), &shallow).unwrap_err();
    assert_eq!(malformed.error.message, "The message is nested deeper than 1 levels. Send a flatter one.");
}

#[test]
fn what_the_depth_limit_admits_can_be_read_into_a_tree() {
    let Message::Request(request) = single(nested(ParseLimits::default().depth)) else { panic!("a request") };
    request.params.unwrap().parse::<Value>().unwrap();
}

#[test]
fn batches_are_bounded_and_never_empty() {
    let batch =
        |entries: usize| format!("[{}]", vec![r#"{"jsonrpc":"2.0","method":"n"}"#; entries].join(","));
    let refused = |text: String| {
        let malformed = parse_text(text).unwrap_err();
        assert_eq!((malformed.id, malformed.error.code), (None, ErrorCode::INVALID_REQUEST));
        malformed.error.message.into_owned()
    };
    assert_eq!(refused(batch(0)), "The batch is empty. Send at least one message.");
    assert_eq!(refused(" [ ] ".into()), "The batch is empty. Send at least one message.");
    for entries in [1, 2, 100] {
        let Ok(Frame::Batch(read)) = parse_text(batch(entries)) else {
            panic!("{entries} entries are a batch")
        };
        assert_eq!(read.len(), entries);
        assert!(read.iter().all(Result::is_ok));
    }
    let too_many = "The batch has more than 100 entries. Send the messages in several bodies.";
    assert_eq!(refused(batch(101)), too_many);
    assert_eq!(refused(batch(5000)), too_many);
    // Entries past the limit are read no more than needed to know that all of it is JSON.
    assert_eq!(parse_text(batch(5000).replace("]", "")).unwrap_err().error.code, ErrorCode::PARSE_ERROR);
    // A batch in a batch is no message.
    let Ok(Frame::Batch(entries)) = parse_text("[[]]") else { panic!("a batch") };
    assert_eq!(entries[0].as_ref().unwrap_err().error.message, NO_OBJECT);
}

#[test]
fn the_parts_are_slices_of_the_body() {
    let body = Bytes::from(
        r#"[{"jsonrpc":"2.0","id":"abc","method":"tools/call","params":{"name":"add"}}]"#.to_owned(),
    );
    let Ok(Frame::Batch(entries)) = parse(&body, &ParseLimits::default()) else { panic!("a batch") };
    let Ok(Message::Request(Request { id: RequestId::String(id), method, params: Some(params) })) =
        &entries[0]
    else {
        panic!("a request")
    };
    let inside = body.as_ptr_range();
    for part in [id.as_ptr(), method.as_ptr(), params.as_bytes().as_ptr()] {
        assert!(inside.contains(&part));
    }
}

#[test]
fn a_refusal_can_be_answered() {
    let mut out = bytes::BytesMut::new();
    let malformed = parse_text(r#"{"id":"a\"b","method":"m"}"#).unwrap_err();
    write_error(&mut out, malformed.id.as_ref(), &malformed.error);
    assert_eq!(
        serde_json::from_slice::<Value>(&out).unwrap(),
        json!({"jsonrpc": "2.0", "id": "a\"b", "error": {"code": -32600, "message": NO_VERSION}})
    );
}

/// Pieces that come close to messages.
fn near_messages() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        " ",
        "null",
        "1",
        "-",
        "1.5",
        "\"2.0\"",
        "\"jsonrpc\":\"2.0\",",
        "\"id\":1,",
        "\"id\":",
        "\"method\":\"m\"",
        "\"params\":{}",
        "\"params\":",
        "\"result\":",
        "\"error\":",
        "{\"code\":1,\"message\":\"m\"}",
        "\\u00",
        "é",
        "{\"jsonrpc\":\"2.0\",\"method\":\"m\"}",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// What a tree says about one message: whether it must be refused, for envelopes without duplicates.
fn is_message(value: &Value) -> bool {
    let Some(object) = value.as_object() else { return false };
    let is_id = |id: &Value| id.is_string() || id.as_i64().is_some();
    let id = object.get("id");
    let outcome = (object.get("result"), object.get("error"));
    object.get("jsonrpc") == Some(&json!("2.0"))
        && match (object.get("method"), outcome) {
            (Some(method), (None, None)) => {
                method.is_string()
                    && object.get("params").is_none_or(Value::is_object)
                    && id.is_none_or(is_id)
            }
            (None, (Some(_), None)) => id.is_some_and(is_id),
            (None, (None, Some(error))) => {
                id.is_none_or(|id| id.is_null() || is_id(id))
                    && error["code"].as_i64().is_some_and(|code| i32::try_from(code).is_ok())
                    && error["message"].is_string()
            }
            _ => false,
        }
}

fn envelope() -> impl Strategy<Value = Value> {
    let value = prop::sample::select(vec![
        json!(null),
        json!(1),
        json!(-3),
        json!(1.5),
        json!("2.0"),
        json!("m"),
        json!({}),
        json!([]),
        json!({"code": 1, "message": "m"}),
        json!({"code": 1}),
        json!(u64::MAX),
        json!(true),
    ]);
    let member = |name: &'static str, usual: Value| {
        prop_oneof![4 => Just(Some(usual)), 3 => Just(None), 2 => value.clone().prop_map(Some)]
            .prop_map(move |value| (name, value))
    };
    let members = (
        prop_oneof![9 => Just(("jsonrpc", Some(json!("2.0")))), 1 => member("jsonrpc", json!("1.0"))],
        member("id", json!(7)),
        member("method", json!("m")),
        member("params", json!({})),
        member("result", json!({})),
        member("error", json!({"code": 1, "message": "m"})),
    );
    members.prop_map(|(a, b, c, d, e, f)| {
        [a, b, c, d, e, f].into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_text(body);
    }

    #[test]
    fn it_takes_json_and_only_json(text in near_messages()) {
        let is_json = serde_json::from_str::<&RawValue>(&text).is_ok();
        match parse_text(text) {
            Ok(_) => prop_assert!(is_json),
            Err(malformed) => prop_assert_eq!(malformed.error.code == ErrorCode::PARSE_ERROR, !is_json),
        }
    }

    #[test]
    fn it_agrees_with_a_tree(value in envelope(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let read = parse_text(text);
        prop_assert_eq!(read.is_ok(), is_message(&value), "{:?}", read);
        match read {
            Ok(Frame::Single(Message::Request(request))) => {
                prop_assert_eq!(serde_json::to_value(&request.id).unwrap(), value["id"].clone());
                prop_assert_eq!(json!(request.method), value["method"].clone());
                prop_assert_eq!(serde_json::to_value(request.params).unwrap(), value["params"].clone());
            }
            Ok(Frame::Single(Message::Notification(_))) => prop_assert!(value.get("id").is_none()),
            Ok(Frame::Single(Message::Response(response))) => {
                prop_assert_eq!(serde_json::to_value(&response.id).unwrap(), value["id"].clone());
                match response.outcome {
                    Ok(result) => prop_assert_eq!(serde_json::to_value(result).unwrap(), value["result"].clone()),
                    Err(error) => prop_assert_eq!(serde_json::to_value(error).unwrap(), value["error"].clone()),
                }
            }
            Ok(Frame::Batch(_)) => prop_assert!(false, "an object is no batch"),
            Err(malformed) => {
                // An id is only ever told when it was the message's own, and to one side.
                prop_assert!(malformed.id.is_none() || malformed.answers.is_none());
                for id in malformed.id.iter().chain(malformed.answers.as_deref()) {
                    prop_assert_eq!(serde_json::to_value(id).unwrap(), value["id"].clone());
                }
            }
        }
    }
}
