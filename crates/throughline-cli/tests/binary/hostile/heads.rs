//! What comes before a body: slow, huge, forged and ambiguous heads.

use super::raw::{Raw, head, post, post_with};
use super::{PING, Target};

/// Half a head each, and nothing more: they hold a socket and its buffer, and hold up nobody.
#[tokio::test]
async fn slow_heads_hold_up_nobody() {
    let target = Target::start(&[]).await;
    let mut slow = Vec::new();
    for number in 0..500 {
        let mut raw = target.raw().await;
        raw.send(&head("POST", &[("content-length", "10")])[..40 + number % 60]).await;
        slow.push(raw);
    }
    super::serves(target.address()).await;
    // Byte by byte is slow and no more: it is served when it is whole.
    let mut patient = target.raw().await;
    for byte in post(None, PING) {
        patient.send([byte]).await;
    }
    assert_eq!(patient.answer().await.says(), (400, -32600));
    target.stands(16).await;
}

#[tokio::test]
async fn floods_of_headers() {
    let target = Target::start(&[]).await;
    // So many names that no table could hold them.
    let names: Vec<_> = (0..100_000).map(|number| format!("x-{number}: y\r\n")).collect();
    let many = format!("POST /mcp HTTP/1.1\r\nhost: localhost\r\n{}\r\n", names.concat());
    assert_refused(target.raw().await, many.as_bytes(), 431).await;
    // One value that does not end.
    let endless = format!("POST /mcp HTTP/1.1\r\nhost: localhost\r\nx: {}", "y".repeat(32 << 20));
    assert_refused(target.raw().await, endless.as_bytes(), 431).await;
    let target_of =
        |length: usize| format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "a".repeat(length));
    assert_refused(target.raw().await, target_of(100_000).as_bytes(), 414).await;
    assert_refused(target.raw().await, target_of(32 << 20).as_bytes(), 431).await;
    // As large as it may be, and each value judged: nothing of it comes back.
    for name in
        ["mcp-session-id", "last-event-id", "mcp-protocol-version", "origin", "accept", "content-type"]
    {
        let value = "z".repeat(200_000);
        let mut raw = target.raw().await;
        raw.send(post_with(&[(name, &value)], PING.as_bytes())).await;
        let answer = raw.answer().await;
        let status = match name {
            "origin" => 403,
            "content-type" => 415,
            _ => 400,
        };
        assert_eq!(answer.says(), (status, -32600), "{name}");
        assert!(answer.body.len() < 1_000, "{name}");
    }
    target.stands(24).await;
}

/// Sends what the server need not take to its end: it answers with this status and no message, and closes.
async fn assert_refused(mut raw: Raw, request: &[u8], status: u16) {
    raw.offer(request).await;
    let said = raw.closed().await;
    let said = String::from_utf8_lossy(&said);
    // Its answer is lost when it closes a socket with bytes that it has not read: RFC 9112, section 9.6.
    assert!(said.is_empty() || said.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {said}");
    assert!(!said.contains("jsonrpc"), "{said}");
}

/// Two readers of one byte stream could see different requests in these: they are refused, and nothing after them is read.
#[tokio::test]
async fn requests_that_could_be_read_in_two_ways() {
    let target = Target::start(&[]).await;
    let session = target.session().await;
    let smuggled = String::from_utf8(post(Some(&session), PING)).expect("it is text");
    let with = |headers: &str, body: &str| {
        format!(
            "POST /mcp HTTP/1.1\r\nhost: localhost\r\nmcp-session-id: {session}\r\ncontent-type: application/json\r\naccept: */*\r\n{headers}\r\n{body}"
        )
    };
    let length = PING.len();
    for (what, request) in [
        ("two lengths", with(&format!("content-length: {length}\r\ncontent-length: 0\r\n"), PING)),
        ("a list of lengths", with(&format!("content-length: {length}, 0\r\n"), PING)),
        ("a length with a sign", with(&format!("content-length: +{length}\r\n"), PING)),
        ("no number as length", with("content-length: 0x2a\r\n", PING)),
        ("a length beyond numbers", with("content-length: 99999999999999999999999\r\n", PING)),
        ("a coding that is not the last", with("transfer-encoding: chunked, identity\r\n", "0\r\n\r\n")),
        ("an unknown coding", with("transfer-encoding: xchunked\r\n", "0\r\n\r\n")),
        ("white space before the colon", with("content-length : 5\r\n", PING)),
        ("a folded line", with("x: a\r\n content-length: 5\r\n", PING)),
        ("a bare CR", with("x: a\rcontent-length: 5\r\n", PING)),
        ("a NUL", with("x: a\0b\r\n", PING)),
        ("no name", with(": x\r\n", PING)),
        ("white space in front", format!(" {}", with("content-length: 0\r\n", ""))),
        ("an unknown version", "POST /mcp HTTP/3.7\r\nhost: localhost\r\n\r\n".to_owned()),
        ("HTTP/0.9", "GET /mcp\r\n".to_owned()),
        ("TLS", "\x16\x03\x01\x02\0\x01\0\x01\u{7f}\x03\x03".repeat(20)),
        ("binary", "\0\x01\x02\x03".repeat(64)),
    ] {
        let mut raw = target.raw().await;
        raw.offer(format!("{request}{smuggled}")).await;
        let said = raw.closed().await;
        let said = String::from_utf8_lossy(&said);
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 400 "), "{what}: {said}");
        assert!(!said.contains("jsonrpc"), "{what}: the smuggled request was answered: {said}");
    }
    target.stands(8).await;
}

/// These have one reading, which every recipient must share: the framing is the coding's, and a line may end in LF.
#[tokio::test]
async fn requests_that_look_odd_and_are_sound() {
    let target = Target::start(&[]).await;
    let session = target.session().await;
    // RFC 9112, section 6.3: the coding overrides the length, and the connection ends, so that what follows is read by nobody.
    let both = [("mcp-session-id", &*session), ("content-length", "3"), ("transfer-encoding", "chunked")];
    let chunked = format!("{}{:x}\r\n{PING}\r\n0\r\n\r\n", head("POST", &both), PING.len());
    let mut raw = target.raw().await;
    raw.send(chunked + "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let answer = raw.answer().await;
    assert_eq!((answer.status, &answer.json()["id"]), (200, &serde_json::json!(1)));
    assert_eq!(raw.closed().await, b"", "the connection ends after an ambiguous request");

    let mut raw = target.raw().await;
    raw.send(String::from_utf8(post(Some(&session), PING)).expect("it is text").replace("\r\n", "\n")).await;
    assert_eq!(
        raw.answer().await.status,
        200,
        "section 2.2 lets a recipient take a lone LF as the end of a line"
    );

    // An extension of a chunk and trailers are nobody's business.
    let chunks = head("POST", &[("mcp-session-id", &*session), ("transfer-encoding", "chunked")]);
    let mut raw = target.raw().await;
    raw.send(format!("{chunks}{:x};a=b\r\n{PING}\r\n0\r\nmcp-session-id: other\r\n\r\n", PING.len())).await;
    assert_eq!(raw.answer().await.status, 200);

    let mut old = target.raw().await;
    let request = String::from_utf8(post(Some(&session), PING)).expect("it is text");
    old.send(request.replace("HTTP/1.1", "HTTP/1.0")).await;
    let said = String::from_utf8(old.closed().await).expect("it is text");
    assert!(said.starts_with("HTTP/1.0 200 ") && said.contains(r#""id":1"#), "{said}");
    target.stands(8).await;
}

#[tokio::test]
async fn methods_and_targets_of_a_proxy() {
    let target = Target::start(&[]).await;
    for (request, status) in [
        ("CONNECT evil.example:443 HTTP/1.1\r\nhost: evil.example\r\n\r\n", 404),
        ("OPTIONS * HTTP/1.1\r\nhost: localhost\r\n\r\n", 404),
        ("TRACE /mcp HTTP/1.1\r\nhost: localhost\r\n\r\n", 405),
        ("PRI /mcp HTTP/1.1\r\nhost: localhost\r\n\r\n", 405),
        ("GET http://evil.example/mcp HTTP/1.1\r\nhost: localhost\r\n\r\n", 403),
        ("GET http://localhost/mcp HTTP/1.1\r\nhost: evil.example\r\n\r\n", 403),
        ("GET /../mcp HTTP/1.1\r\nhost: localhost\r\n\r\n", 404),
        ("GET /%6dcp HTTP/1.1\r\nhost: localhost\r\n\r\n", 404),
        ("GET //mcp HTTP/1.1\r\nhost: localhost\r\n\r\n", 404),
    ] {
        let mut raw = target.raw().await;
        raw.send(request).await;
        assert_eq!(raw.answer().await.status, status, "{request}");
    }
    // Asked to become something else, it stays what it is.
    let mut raw = target.raw().await;
    let upgrade = [
        ("connection", "upgrade, http2-settings"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAMAAABkAAQAAP__"),
    ];
    raw.send(head("GET", &upgrade)).await;
    assert_eq!(raw.answer().await.says(), (400, -32600));
    target.stands(8).await;
}

/// A page that was loaded from a name which now means this machine.
#[tokio::test]
async fn hosts_and_origins_that_were_rebound() {
    let target = Target::start(&[]).await;
    let session = target.session().await;
    let port = target.address().port();
    for host in [
        "evil.example".to_owned(),
        format!("evil.example:{port}"),
        "localhost.evil.example".to_owned(),
        "127.0.0.1.evil.example".to_owned(),
        "localhost@evil.example".to_owned(),
        "evil.example#localhost".to_owned(),
        "127.0.0.1, evil.example".to_owned(),
        "2130706433".to_owned(),
        "0.0.0.0".to_owned(),
        "[::ffff:127.0.0.1]".to_owned(),
        "localhost:80:80".to_owned(),
        "loc\u{e4}lhost".to_owned(),
        String::new(),
    ] {
        let request = String::from_utf8(post(Some(&session), PING)).expect("it is text");
        let mut raw = target.raw().await;
        raw.send(request.replace("host: localhost\r\n", &format!("host: {host}\r\n"))).await;
        assert_eq!(raw.answer().await.says(), (403, -32600), "{host}");
        let mut raw = target.raw().await;
        raw.send(request.replace("host: localhost\r\n", &format!("host: localhost\r\nhost: {host}\r\n")))
            .await;
        assert_eq!(raw.answer().await.says(), (403, -32600), "localhost and {host}");
    }
    for origin in [
        "null",
        "http://evil.example",
        "https://localhost.evil.example",
        "http://localhost@evil.example",
        "http://evil.example/localhost",
        "file://",
        "localhost",
        "http://",
        "",
    ] {
        for method in ["POST", "GET", "DELETE", "OPTIONS", "PUT"] {
            let headers = [("mcp-session-id", &*session), ("origin", origin), ("content-length", "0")];
            let mut raw = target.raw().await;
            raw.send(head(method, &headers)).await;
            let answer = raw.answer().await;
            assert_eq!(answer.says(), (403, -32600), "{method} from {origin}");
            assert_eq!(answer.header("access-control-allow-origin"), None, "{method} from {origin}");
        }
        let twice = [("origin", "http://localhost"), ("origin", origin), ("mcp-session-id", &*session)];
        let mut raw = target.raw().await;
        raw.send(post_with(&twice, PING.as_bytes())).await;
        assert_eq!(raw.answer().await.says(), (403, -32600), "two origins, {origin}");
    }
    // The session is still there: none of those ended it.
    let mut raw = target.raw().await;
    raw.send(post(Some(&session), PING)).await;
    assert_eq!(raw.answer().await.status, 200);
    target.stands(8).await;
}
