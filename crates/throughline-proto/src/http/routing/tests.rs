use super::*;
use crate::http::RefusalKind;
use crate::jsonrpc::{Raw, meta_outline, outline};

const VERSION: &str = "2026-07-28";

fn headers(lines: &[(&str, &[u8])]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_bytes(value).unwrap());
    }
    headers
}

/// The refusal's sentence for a call of the tool `body`, with these values in the place of `Mcp-Name`.
fn named(values: &[&[u8]], body: &str) -> Option<String> {
    let mut lines: Vec<(&str, &[u8])> =
        vec![("MCP-Protocol-Version", VERSION.as_bytes()), ("Mcp-Method", b"tools/call")];
    lines.extend(values.iter().map(|value| ("Mcp-Name", *value)));
    check_request_headers(&headers(&lines), VERSION, "tools/call", Some(body)).err().map(said)
}

fn said(refusal: Refusal) -> String {
    assert_eq!(
        (refusal.kind(), refusal.status().as_u16(), refusal.code().0),
        (RefusalKind::HeaderMismatch, 400, -32020)
    );
    refusal.message().to_owned()
}

#[test]
fn the_version_and_the_method_must_be_those_of_the_body() {
    let check = |lines: &[(&str, &str)], version: &str, method: &str| {
        let lines: Vec<_> = lines.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        check_request_headers(&headers(&lines), version, method, None).err().map(said)
    };
    let version = ("mcp-protocol-version", VERSION);
    for good in [
        &[version, ("mcp-method", "tools/list")][..],
        &[("MCP-PROTOCOL-VERSION", VERSION), ("MCP-METHOD", "tools/list")],
        &[("MCP-Protocol-Version", "  2026-07-28\t"), ("Mcp-Method", " tools/list ")],
        // Others are not looked at.
        &[version, ("mcp-method", "tools/list"), ("mcp-name", "x"), ("mcp-name", "y"), ("mcp-param-a", "b")],
    ] {
        assert_eq!(check(good, VERSION, "tools/list"), None, "{good:?}");
    }
    let missing = |name: &str| format!("The {name} header is missing. Send in it what the body says.");
    let twice = |name: &str| format!("The {name} header was sent more than once. Send it once.");
    for (bad, expected) in [
        (&[][..], missing("MCP-Protocol-Version")),
        (&[("mcp-method", "tools/list")], missing("MCP-Protocol-Version")),
        (&[version], missing("Mcp-Method")),
        (&[version, version, ("mcp-method", "tools/list")], twice("MCP-Protocol-Version")),
        (&[version, ("mcp-method", "tools/list"), ("mcp-method", "tools/list")], twice("Mcp-Method")),
        (&[version, ("mcp-method", "tools/list"), ("mcp-method", "prompts/list")], twice("Mcp-Method")),
        (
            &[("mcp-protocol-version", "2025-11-25"), ("mcp-method", "tools/list")],
            "The MCP-Protocol-Version header says \"2025-11-25\", and the body \"2026-07-28\". Send the same in both."
                .to_owned(),
        ),
        (
            &[version, ("mcp-method", "TOOLS/LIST")],
            "The Mcp-Method header says \"TOOLS/LIST\", and the body \"tools/list\". Send the same in both.".to_owned(),
        ),
        (
            &[version, ("mcp-method", "tools/list, tools/list")],
            "The Mcp-Method header says \"tools/list, tools/list\", and the body \"tools/list\". Send the same in both."
                .to_owned(),
        ),
        (
            &[version, ("mcp-method", "")],
            "The Mcp-Method header says \"\", and the body \"tools/list\". Send the same in both.".to_owned(),
        ),
        // Only names and parameters may be encoded.
        (
            &[version, ("mcp-method", "=?base64?dG9vbHMvbGlzdA==?=")],
            "The Mcp-Method header says \"=?base64?dG9vbHMvbGlzdA==?=\", and the body \"tools/list\". Send the same in both."
                .to_owned(),
        ),
        (
            &[version, ("mcp-method", "tools/líst")],
            "The Mcp-Method header is not visible ASCII, or not the Base64 that it is marked as. Send in it what the body says."
                .to_owned(),
        ),
    ] {
        assert_eq!(check(bad, VERSION, "tools/list"), Some(expected), "{bad:?}");
    }
    // A method that is not ASCII has no header that could say so, and is refused before anybody finds that it is unknown.
    assert!(check(&[version, ("mcp-method", "é")], VERSION, "é").is_some());
}

#[test]
fn the_name_must_be_that_of_the_body() {
    for (value, body) in [
        ("add", "add"),
        ("  add  ", "add"),
        ("=?base64?YWRk?=", "add"),
        (" =?base64?YWRk?= ", "add"),
        ("=?base64?SGVsbG8sIOS4lueVjA==?=", "Hello, 世界"),
        ("=?base64?IHBhZGRlZCA=?=", " padded "),
        ("=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=", "=?base64?literal?="),
        ("a, b", "a, b"),
        ("file:///projects/myapp/config.json", "file:///projects/myapp/config.json"),
        ("", ""),
        ("=?base64??=", ""),
    ] {
        assert_eq!(named(&[value.as_bytes()], body), None, "{value:?} for {body:?}");
    }
    let says = |header: &str, body: &str| {
        format!("The Mcp-Name header says \"{header}\", and the body \"{body}\". Send the same in both.")
    };
    for (value, body, expected) in [
        ("wrong_tool_name", "add", says("wrong_tool_name", "add")),
        ("Add", "add", says("Add", "add")),
        ("add, add", "add", says("add, add", "add")),
        ("add,sub", "add", says("add,sub", "add")),
        ("\"add\"", "add", says("\"add\"", "add")),
        ("", "add", says("", "add")),
        (" padded ", " padded ", says("padded", " padded ")),
        ("=?base64?c3Vi?=", "add", says("sub", "add")),
        // The body's own text, which should have been encoded.
        ("=?base64?YWRk?=", "=?base64?YWRk?=", says("add", "=?base64?YWRk?=")),
        ("%C3%A9", "é", says("%C3%A9", "é")),
    ] {
        assert_eq!(named(&[value.as_bytes()], body), Some(expected), "{value:?} for {body:?}");
    }
    let unreadable = "The Mcp-Name header is not visible ASCII, or not the Base64 that it is marked as. Send in it what the body says.";
    for value in ["=?base64?YWR?=", "=?base64?Y!Rk?=", "=?base64?=", "é"] {
        assert_eq!(named(&[value.as_bytes()], value).as_deref(), Some(unreadable), "{value}");
    }
    assert_eq!(
        named(&[], "add").as_deref(),
        Some("The Mcp-Name header is missing. Send in it what the body says.")
    );
    for twice in [&[&b"add"[..], b"add"], &[&b"add"[..], b"sub"], &[&b"add"[..], b""]] {
        assert_eq!(
            named(twice, "add").as_deref(),
            Some("The Mcp-Name header was sent more than once. Send it once.")
        );
    }
    let long = "x".repeat(100_000);
    assert!(named(&[long.as_bytes()], "add").unwrap().len() < 200, "not all of it is repeated");
}

#[test]
fn three_methods_have_a_name() {
    let name = |method: &str, params: &str| {
        let params = Raw::from_json(params.to_owned()).unwrap();
        routing_name(method, &outline(Some(&params)).unwrap()).map(Cow::into_owned)
    };
    let both = r#"{"name":"n","uri":"u"}"#;
    for (method, expected) in [
        ("tools/call", Some("n")),
        ("prompts/get", Some("n")),
        ("resources/read", Some("u")),
        ("tools/list", None),
        ("resources/subscribe", None),
        ("completion/complete", None),
        ("initialize", None),
        ("com.example/anything", None),
    ] {
        assert_eq!(name(method, both).as_deref(), expected, "{method}");
        assert_eq!(name(method, "{}"), None, "{method}");
    }
    for (params, expected) in [
        (r#"{"name":""}"#, Some("")),
        (r#"{"name":"a\u0064d\n"}"#, Some("add\n")),
        (r#"{"name":null}"#, None),
        (r#"{"name":7}"#, None),
        (r#"{"name":["add"]}"#, None),
        (r#"{"name":"\ud800"}"#, None),
    ] {
        assert_eq!(name("tools/call", params).as_deref(), expected, "{params}");
    }
    let params = Raw::from_json(r#"{"name":"add"}"#).unwrap();
    let found = routing_name("tools/call", &outline(Some(&params)).unwrap());
    assert!(matches!(found, Some(Cow::Borrowed("add"))), "plain text is not copied");
}

#[test]
fn the_body_decides_the_era_and_a_header_where_it_says_nothing() {
    let is_modern = |method: &str, meta: &str, lines: &[(&str, &str)]| {
        let params = Raw::from_json(format!("{{\"_meta\":{meta}}}")).unwrap();
        let meta = meta_outline(outline(Some(&params)).unwrap().meta).unwrap();
        let lines: Vec<_> = lines.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        is_modern_request(method, &meta, &headers(&lines))
    };
    let named = r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#;
    let modern = ("mcp-protocol-version", "2026-07-28");
    let legacy = ("mcp-protocol-version", "2025-11-25");
    let session = ("mcp-session-id", "1");
    for (method, meta, lines, expected) in [
        ("tools/list", "{}", &[][..], false),
        ("tools/list", "{}", &[legacy], false),
        ("tools/list", "{}", &[("mcp-protocol-version", "nonsense")], false),
        ("tools/list", "{}", &[("mcp-protocol-version", "v999.0.0")], false),
        ("tools/list", "{}", &[modern], true),
        ("tools/list", "{}", &[("mcp-protocol-version", " 2026-07-28 ")], true),
        ("tools/list", r#"{"io.modelcontextprotocol/clientCapabilities":{}}"#, &[modern], true),
        // Two of them: modern, so that the check of the headers refuses it.
        ("tools/list", "{}", &[legacy, modern], true),
        ("tools/list", "{}", &[modern, session], false),
        ("initialize", "{}", &[modern], false),
        ("tools/list", named, &[], true),
        ("tools/list", named, &[legacy, session], true),
        ("initialize", named, &[], true),
        ("server/discover", "{}", &[], true),
        ("subscriptions/listen", "{}", &[legacy, session], true),
    ] {
        assert_eq!(is_modern(method, meta, lines), expected, "{method} {meta} {lines:?}");
    }
}
