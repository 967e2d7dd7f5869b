use bytes::{Bytes, BytesMut};
use serde_json::Value;
use throughline_proto::jsonrpc::{
    Frame, LineDecoder, Message, ParseLimits, Raw, excerpt, meta_outline, outline, outlines, parse,
    write_error, write_raw_result, write_request,
};
use throughline_proto::model::{
    CancelledParams, CompleteParams, ElicitResult, InitializeParams, LoggingMessageParams, ProgressParams,
};
use throughline_proto::revision::{Revision, is_modern};
use throughline_proto::stateless::Metadata;

/// A JSON-RPC body: what is taken for a message is one by serde's verdict too and says the same, and what is refused is
/// refused for a reason.
pub fn json(data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    let limits = ParseLimits { depth: 16, batch: 4 };
    let verdict = serde_json::from_slice::<Value>(data);
    match parse(&body, &limits) {
        Ok(Frame::Single(message)) => single(&message, verdict.ok().as_ref(), data),
        Ok(Frame::Batch(entries)) => {
            assert!((1..=limits.batch).contains(&entries.len()));
            let entries_of = verdict.as_ref().ok().and_then(Value::as_array);
            assert!(entries_of.is_none_or(|all| all.len() == entries.len()));
            for (at, entry) in entries.iter().enumerate() {
                if let Ok(message) = entry {
                    single(message, entries_of.map(|all| &all[at]), data);
                }
            }
        }
        Err(malformed) => {
            // serde's own limit of depth is the only thing that it refuses and that is JSON all the same.
            if malformed.error.code.0 == -32700 {
                assert!(verdict.is_err(), "{malformed:?} for {:?}", String::from_utf8_lossy(data));
            }
            let mut out = BytesMut::new();
            write_error(&mut out, malformed.id.as_ref(), &malformed.error);
            serde_json::from_slice::<Value>(&out).expect("an error is JSON");
            assert!(out.len() < 2_000 + 6 * data.len());
        }
    }
    lines(data);
    if let Ok(text) = std::str::from_utf8(data) {
        assert!(excerpt(text).chars().count() <= 130);
    }
}

/// Looks at a message, and at what the same text is as a value. There is none where serde refuses what the parser lets pass:
/// parts that stay raw are JSON, and need not be text (half a pair of surrogates) nor numbers that fit.
fn single(message: &Message, value: Option<&Value>, data: &[u8]) {
    if let Some(value) = value {
        let object = value.as_object().expect("a message is an object");
        assert_eq!(object["jsonrpc"], "2.0");
    }
    let _ = is_modern(message);
    match message {
        Message::Request(request) => {
            assert!(value.is_none_or(|value| value["method"] == *request.method));
            assert!(
                value.is_none_or(|value| value["id"] == serde_json::to_value(&request.id).expect("an id"))
            );
            params(request.params.as_ref(), value);
            let mut out = BytesMut::new();
            let raw = request.params.clone().unwrap_or_else(Raw::empty_object);
            write_request(&mut out, &request.id, &request.method, &raw).expect("it can be written");
            let Ok(Frame::Single(Message::Request(again))) = parse(&out.freeze(), &ParseLimits::default())
            else {
                panic!("what was read can be written and read: {:?}", String::from_utf8_lossy(data));
            };
            assert_eq!((&again.id, &again.method), (&request.id, &request.method));
            for revision in Revision::ALL {
                let _ = revision.client_request(&request.method);
            }
        }
        Message::Notification(notification) => {
            assert!(
                value
                    .is_none_or(|value| value["method"] == *notification.method && value.get("id").is_none())
            );
            params(notification.params.as_ref(), value);
        }
        Message::Response(response) => {
            if let (Some(id), Ok(result)) = (&response.id, &response.outcome) {
                let mut out = BytesMut::new();
                write_raw_result(&mut out, id, result);
                let again = parse(&out.freeze(), &ParseLimits::default());
                assert!(matches!(again, Ok(Frame::Single(Message::Response(_)))));
                let _ = result.parse::<ElicitResult>();
            }
        }
    }
}

/// Everything that is read of parameters.
fn params(raw: Option<&Raw>, value: Option<&Value>) {
    let (outlined, meta) = outlines(raw);
    if let (Some(raw), Some(value)) = (raw, value) {
        let same: Value = serde_json::from_str(raw.as_str()).expect("a part of what could be read");
        assert_eq!(same, value["params"]);
    }
    if let Ok(meta) = &meta {
        let _ = Metadata::requested_version(meta);
        let _ = Metadata::read(meta, &Revision::ALL);
    }
    if let (Ok(outlined), Some(value)) = (&outlined, value) {
        let params = value.get("params").unwrap_or(&Value::Null);
        for (part, name) in [
            (outlined.name, "name"),
            (outlined.uri, "uri"),
            (outlined.arguments, "arguments"),
            (outlined.cursor, "cursor"),
        ] {
            let found = part.map(|part| serde_json::from_str::<Value>(part.get()).expect("JSON"));
            assert_eq!(found.as_ref(), params.get(name), "{name}");
        }
        let _ = meta_outline(outlined.meta);
    }
    assert_eq!(outline(raw).is_ok(), outlined.is_ok());
    let Some(raw) = raw else { return };
    let _ = raw.parse::<InitializeParams>();
    let _ = raw.parse::<ProgressParams>();
    let _ = raw.parse::<CancelledParams>();
    let _ = raw.parse::<CompleteParams>();
    let _ = raw.parse::<LoggingMessageParams>();
}

/// The same bytes as lines, in one piece and cut.
fn lines(data: &[u8]) {
    const LIMIT: usize = 64;
    let read = |size: usize| {
        let mut decoder = LineDecoder::new(LIMIT);
        let mut all = Vec::new();
        for chunk in data.chunks(size) {
            decoder.push(chunk);
            all.extend(std::iter::from_fn(|| decoder.next_line()));
        }
        all.extend(decoder.finish());
        all
    };
    let whole = read(data.len().max(1));
    assert!(whole.iter().flatten().all(|line| line.len() <= LIMIT && !line.contains(&b'\n')));
    assert_eq!(read(1), whole);
    assert_eq!(read(3), whole);
}
