use super::*;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn check(access: &Access, authority: Option<&str>, pairs: &[(&'static str, &str)]) -> Option<RefusalKind> {
    access.check(authority, &headers(pairs)).err().map(|refusal| refusal.kind())
}

const LOCAL: &[&str] = &[
    "localhost",
    "localhost:3000",
    "LocalHost:3000",
    "localhost.",
    "localhost.:80",
    "app.localhost",
    "a.b.LOCALHOST:1",
    "127.0.0.1",
    "127.0.0.1:65535",
    "127.255.1.2:80",
    "[::1]",
    "[::1]:8080",
    "[0:0:0:0:0:0:0:1]:8080",
];

const FOREIGN: &[&str] = &[
    "",
    ":80",
    "evil.example",
    "localhost.evil.example",
    "evillocalhost",
    "evil-localhost:80",
    "127.0.0.1.evil.example",
    "127.0.0.1.nip.io",
    "0.0.0.0",
    "128.0.0.1",
    "127.1",
    "0177.0.0.1",
    "2130706433",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::1",
    "[::1]80",
    "[::1]:",
    "[localhost]",
    "::1",
    "localhost:",
    "localhost:80:80",
    "localhost:+80",
    "localhost:65536",
    "localhost:http",
    "localhost/path",
    "user@localhost",
    "localhost evil",
    "localhost,evil.example",
    "xélocalhost",
    "é",
    ".",
];

#[test]
fn by_default_only_loopback_is_answered() {
    let access = Access::loopback();
    for host in LOCAL {
        assert_eq!(check(&access, None, &[("host", host)]), None, "{host}");
        assert_eq!(check(&access, Some(host), &[]), None, "{host}");
    }
    for host in FOREIGN {
        assert_eq!(check(&access, None, &[("host", host)]), Some(RefusalKind::BadHost), "{host}");
        assert_eq!(check(&access, Some(host), &[]), Some(RefusalKind::BadHost), "{host}");
    }
    assert_eq!(check(&access, None, &[]), Some(RefusalKind::BadHost));
}

#[test]
fn authority_and_host_must_both_pass() {
    let access = Access::loopback();
    assert_eq!(check(&access, Some("localhost"), &[("host", "localhost")]), None);
    assert_eq!(check(&access, Some("localhost"), &[("host", "evil.example")]), Some(RefusalKind::BadHost));
    assert_eq!(check(&access, Some("evil.example"), &[("host", "localhost")]), Some(RefusalKind::BadHost));
    assert_eq!(
        check(&access, None, &[("host", "localhost"), ("host", "evil.example")]),
        Some(RefusalKind::BadHost)
    );
}

#[test]
fn hosts_are_added_by_name() {
    let access = Access::loopback()
        .allow_host("MCP.example.com")
        .and_then(|access| access.allow_host("other.example:8443"))
        .and_then(|access| access.allow_host("[2001:db8::1]"))
        .unwrap();
    for good in
        ["mcp.example.com", "mcp.EXAMPLE.com.:80", "other.example:8443", "[2001:DB8::1]:1", "localhost"]
    {
        assert_eq!(check(&access, None, &[("host", good)]), None, "{good}");
    }
    for bad in ["example.com", "x.mcp.example.com", "other.example", "other.example:443", "[2001:db8::2]"] {
        assert_eq!(check(&access, None, &[("host", bad)]), Some(RefusalKind::BadHost), "{bad}");
    }
}

#[test]
fn any_host_still_checks_the_origin() {
    let access = Access::loopback().any_host();
    assert_eq!(check(&access, None, &[]), None);
    assert_eq!(check(&access, None, &[("host", "é")]), None);
    let same = [("host", "evil.example"), ("origin", "http://evil.example")];
    assert_eq!(check(&access, None, &same), Some(RefusalKind::BadOrigin), "a rebound name is its own origin");
}

#[test]
fn pages_on_loopback_may_ask_and_others_may_not() {
    let access = Access::loopback();
    for host in LOCAL {
        for scheme in ["http", "https"] {
            let origin = format!("{scheme}://{host}");
            assert_eq!(check(&access, Some("localhost"), &[("origin", &origin)]), None, "{origin}");
        }
    }
    for host in FOREIGN {
        let origin = format!("http://{host}");
        assert_eq!(
            check(&access, Some("localhost"), &[("origin", &origin)]),
            Some(RefusalKind::BadOrigin),
            "{origin}"
        );
    }
    for origin in [
        "",
        "null",
        "localhost",
        "http:localhost",
        "http://localhost/",
        "file://",
        "ftp://localhost",
        "://localhost",
        "1://localhost",
    ] {
        assert_eq!(
            check(&access, Some("localhost"), &[("origin", origin)]),
            Some(RefusalKind::BadOrigin),
            "{origin}"
        );
    }
    let two = [("origin", "http://localhost"), ("origin", "http://evil.example")];
    assert_eq!(check(&access, Some("localhost"), &two), Some(RefusalKind::BadOrigin));
}

#[test]
fn named_origins_may_ask_and_are_told_so() {
    let access = Access::loopback()
        .allow_origin("https://app.example.com")
        .and_then(|access| access.allow_origin("HTTP://Other.example:8080"))
        .and_then(|access| access.allow_origin("http://plain.example:80"))
        .and_then(|access| access.allow_origin("chrome-extension://abcdef"))
        .unwrap();
    for good in [
        "https://app.example.com",
        "https://app.example.com:443",
        "http://other.example:8080",
        "http://plain.example",
        "chrome-extension://abcdef",
    ] {
        let origin = [("origin", good)];
        assert_eq!(check(&access, Some("localhost"), &origin), None, "{good}");
        assert_eq!(access.cors_origin(&headers(&origin)).unwrap(), good);
    }
    for bad in [
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://x.app.example.com",
        "http://other.example",
        "https://plain.example:80",
        "null",
    ] {
        let origin = [("origin", bad)];
        assert_eq!(check(&access, Some("localhost"), &origin), Some(RefusalKind::BadOrigin), "{bad}");
        assert_eq!(access.cors_origin(&headers(&origin)), None, "{bad}");
    }
    assert_eq!(access.cors_origin(&headers(&[("origin", "http://localhost")])), None);
    assert_eq!(access.cors_origin(&headers(&[])), None);
    let twice = [("origin", "https://app.example.com"), ("origin", "https://app.example.com")];
    assert_eq!(access.cors_origin(&headers(&twice)), None);
}

#[test]
fn what_could_never_match_is_refused_at_once() {
    for bad in ["", "https://mcp.example.com", "mcp.example.com/mcp", "a b", "[::1", "host:99999"] {
        let error = Access::loopback().allow_host(bad).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("\"{bad}\" is not a host. Give a name or an address, with a port or without.")
        );
    }
    for bad in ["", "*", "null", "app.example.com", "https://app.example.com/", "https://", "https://a b"] {
        let error = Access::loopback().allow_origin(bad).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("\"{bad}\" is not an origin. Give a scheme and a host, like https://app.example.com.")
        );
    }
}
