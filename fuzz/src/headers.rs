use std::net::{Ipv4Addr, Ipv6Addr};

use http::header::{HeaderMap, HeaderName, HeaderValue};
use throughline_proto::http::{
    Access, MCP_METHOD, MCP_NAME, MCP_PROTOCOL_VERSION, ParamHeaders, accepts, check_content_type,
    check_request_headers, decode_header_text, encode_header_text, is_modern_request, last_event_id,
    protocol_version, session_id,
};
use throughline_proto::jsonrpc::{MetaOutline, Raw};
use throughline_proto::session::Cursor;
use throughline_proto::stateless::TraceContext;

use crate::input::Input;

const NAMES: [&str; 16] = [
    "host",
    "origin",
    "accept",
    "content-type",
    "mcp-session-id",
    "mcp-protocol-version",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-param-a",
    "mcp-param-b",
    "traceparent",
    "tracestate",
    "baggage",
    "authorization",
    "x-other",
];

const SCHEMA: &str = r#"{"type":"object","properties":{"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"integer","x-mcp-header":"B"}}}"#;

/// Headers as they come: none of the rules panics, and what they let pass is what they promise.
///
/// Each line of the input is a header: a byte that picks its name, and its value. The line before them is a text that a body
/// might have where a header repeats it.
pub fn headers(data: &[u8]) {
    let mut input = Input::new(data);
    let body = String::from_utf8_lossy(input.line()).into_owned();
    let mut headers = HeaderMap::new();
    while !input.is_empty() {
        let name = NAMES[input.below(NAMES.len())];
        if let Ok(value) = HeaderValue::from_bytes(input.line()) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
    rules(&headers, &body);
    repeated(&headers, &body);
    values(&headers, &body);
}

fn rules(headers: &HeaderMap, body: &str) {
    let loopback = Access::loopback();
    if loopback.check(None, headers).is_ok() {
        assert!(headers.contains_key("host"), "{headers:?}");
        for host in headers.get_all("host") {
            let host = host.to_str().expect("it was read").trim().to_ascii_lowercase();
            assert!(is_of_this_machine(&host), "{host}");
        }
    }
    let _ = loopback.check(Some(body), headers);
    let _ = loopback.cors_origin(headers);
    if let Ok(access) = Access::loopback().allow_host(body) {
        let _ = access.check(None, headers);
    }
    if let Ok(access) = Access::loopback().allow_origin(body)
        && let Some(origin) = access.cors_origin(headers)
    {
        assert!(headers.get_all("origin").iter().any(|sent| *sent == origin), "{origin:?}");
    }
    let _ = accepts(headers);
    if check_content_type(headers).is_ok() {
        let kind = headers["content-type"].to_str().expect("it was read").to_ascii_lowercase();
        assert!(kind.contains("application/json"), "{kind}");
    }
    if let Ok(Some(id)) = session_id(headers) {
        assert!((1..=256).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()), "{id}");
    }
    let _ = protocol_version(headers);
    if let Ok(Some(text)) = last_event_id(headers)
        && let Some(cursor) = Cursor::parse(text)
    {
        assert_eq!(cursor.to_string(), text, "a place has one text");
    }
    if let Some(trace) = TraceContext::from_headers(headers) {
        // Baggage may come alone.
        let lengths = (trace.trace_id().map(str::len), trace.parent_id().map(str::len));
        assert_eq!(lengths, if trace.traceparent().is_some() { (Some(32), Some(16)) } else { (None, None) });
        trace.headers().for_each(|(_, value)| drop(HeaderValue::from_str(value).expect("it came in one")));
    }
}

/// A host, with a port or without, that can only be this machine.
fn is_of_this_machine(host: &str) -> bool {
    if let Some((address, _)) = host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        return address.parse().is_ok_and(|address: Ipv6Addr| address.is_loopback());
    }
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    let name = name.strip_suffix('.').unwrap_or(name);
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse().is_ok_and(|address: Ipv4Addr| address.is_loopback())
}

/// Headers that repeat the body: what passes says what the body says.
fn repeated(headers: &HeaderMap, body: &str) {
    let _ = is_modern_request(body, &MetaOutline::default(), headers);
    if check_request_headers(headers, body, body, Some(body)).is_ok() {
        for name in [MCP_PROTOCOL_VERSION, MCP_METHOD] {
            assert_eq!(headers[name].as_bytes().trim_ascii(), body.as_bytes());
        }
        assert_eq!(decode_header_text(&headers[MCP_NAME]).as_deref(), Some(body));
    }
    let schema = Raw::from_json(SCHEMA).expect("JSON");
    let params = ParamHeaders::compile(&schema).expect("it is sound").expect("it has some");
    let arguments = Raw::from_json(body.to_owned()).ok().filter(Raw::is_object);
    let _ = params.check(headers, arguments.as_ref());
    let mut own = HeaderMap::new();
    for (name, value) in params.encode(arguments.as_ref()) {
        own.append(name, value);
    }
    if let Some(arguments) = &arguments
        && let Err(refusal) = params.check(&own, Some(arguments))
    {
        // What no header can carry is refused for itself, and not for a header that is not as it was written.
        assert_eq!(refusal.code().0, -32602, "{} {arguments:?}", refusal.message());
    }
    if let Ok(schema) = Raw::from_json(body.to_owned()) {
        let _ = ParamHeaders::compile(&schema);
    }
}

fn values(headers: &HeaderMap, body: &str) {
    assert_eq!(
        decode_header_text(&encode_header_text(body)).as_deref(),
        Some(body),
        "what is written is read"
    );
    for value in headers.values() {
        let _ = decode_header_text(value);
    }
    if let Some(cursor) = Cursor::parse(body) {
        assert_eq!(cursor.to_string(), body);
    }
}
