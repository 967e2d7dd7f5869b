//! Bodies that do not come, do not end, or are not there.

use super::raw::{head, post, post_with};
use super::{PING, Target};

/// What the server may be sent at most.
const LIMIT: usize = 4 << 20;

/// A head that announces much, and a byte of it: nothing is set aside for what is announced.
#[tokio::test]
async fn slow_bodies_hold_up_nobody() {
    let target = Target::start(&[]).await;
    let mut slow = Vec::new();
    for _ in 0..500 {
        let mut raw = target.raw().await;
        raw.send(head("POST", &[("content-length", &LIMIT.to_string())])).await;
        raw.send(b"{").await;
        slow.push(raw);
    }
    super::serves(target.address()).await;
    target.stands(24).await;
}

#[tokio::test]
async fn endless_bodies_are_413() {
    let target = Target::start(&[]).await;
    let mut raw = target.raw().await;
    raw.send(head("POST", &[("transfer-encoding", "chunked")])).await;
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(1 << 16));
    let mut sent = 0;
    // It answers and closes in the middle of it.
    while sent < 1 << 30 && raw.offer(&chunk).await {
        sent += 1 << 16;
    }
    assert!((LIMIT..1 << 30).contains(&sent), "it took {sent} bytes");
    let said = raw.closed().await;
    assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 413 "), "{}", String::from_utf8_lossy(&said));

    // One that says so is not read at all.
    for length in [LIMIT + 1, 1 << 40, usize::MAX >> 1] {
        let mut raw = target.raw().await;
        raw.send(head("POST", &[("content-length", &length.to_string())])).await;
        assert_eq!(raw.answer().await.says(), (413, -32600), "{length}");
        assert_eq!(raw.closed().await, b"", "what would follow is read by nobody");
    }
    // Nor is one that asks first.
    let mut raw = target.raw().await;
    let asking = [("content-length", &*(LIMIT + 1).to_string()), ("expect", "100-continue")];
    raw.send(head("POST", &asking)).await;
    assert_eq!(raw.answer().await.says(), (413, -32600));
    target.stands(32).await;
}

/// The largest that is taken, and one byte more.
#[tokio::test]
async fn bodies_at_the_limit() {
    let target = Target::start(&[]).await;
    let session = target.session().await;
    for (length, says) in [(LIMIT, (200, 0)), (LIMIT + 1, (413, -32600))] {
        let mut raw = target.raw().await;
        // A head that waits for its body is let go on, and then the body comes.
        let asking = [
            ("content-length", &*length.to_string()),
            ("expect", "100-continue"),
            ("mcp-session-id", &session),
        ];
        raw.send(head("POST", &asking)).await;
        if says.0 == 200 {
            assert_eq!(raw.head().await.status, 100);
            raw.send(format!("{PING}{}", " ".repeat(length - PING.len()))).await;
        }
        assert_eq!(raw.answer().await.says(), says);
    }
    target.stands(32).await;
}

/// Bodies that break off, contradict their length or their chunks.
#[tokio::test]
async fn bodies_that_are_not_what_they_say() {
    let target = Target::start(&[]).await;
    let session = target.session().await;
    let chunked = head("POST", &[("transfer-encoding", "chunked"), ("mcp-session-id", &session)]);
    for (what, request) in [
        ("a size that is none", format!("{chunked}zz\r\n{PING}\r\n0\r\n\r\n")),
        ("a size beyond numbers", format!("{chunked}fffffffffffffffff\r\n")),
        ("a size with a sign", format!("{chunked}-1\r\n\r\n")),
        ("a chunk longer than its size", format!("{chunked}1\r\n{PING}\r\n0\r\n\r\n")),
        ("an extension without an end", format!("{chunked}1;{}", "x".repeat(1 << 20))),
        ("trailers without an end", format!("{chunked}0\r\n{}", "x: y\r\n".repeat(100_000))),
    ] {
        let mut raw = target.raw().await;
        raw.offer(request).await;
        let said = raw.closed().await;
        assert!(
            said.is_empty() || said.starts_with(b"HTTP/1.1 400 "),
            "{what}: {}",
            String::from_utf8_lossy(&said)
        );
    }
    // Broken off before its end: nobody is there to be answered, or somebody half is.
    let mut raw = target.raw().await;
    let whole = post(Some(&session), PING);
    raw.send(&whole[..whole.len() - 1]).await;
    raw.finish().await;
    let said = raw.closed().await;
    assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&said));
    for _ in 0..200 {
        let mut raw = target.raw().await;
        raw.send(&whole[..whole.len() - 1]).await;
        raw.reset();
    }
    // Longer than it says: what is left is a request of its own, and none.
    let mut raw = target.raw().await;
    let mut longer = whole.clone();
    longer.extend(b"}}}}}");
    raw.send(longer).await;
    raw.finish().await;
    assert_eq!(raw.answer().await.status, 200);
    let said = raw.closed().await;
    assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&said));
    // A GET or a DELETE with a body is judged by its head, and the body is no request.
    for (method, status) in [("GET", 404), ("DELETE", 404)] {
        let headers =
            [("content-length", "40"), ("mcp-session-id", "nobody"), ("accept", "text/event-stream")];
        let mut raw = target.raw().await;
        raw.send(head(method, &headers) + "GET /healthz HTTP/1.1\r\nhost: localhost\r\n").await;
        assert_eq!(raw.answer().await.says(), (status, -32600), "{method}");
    }
    // Compressed bodies are not opened, so none can swell.
    let mut raw = target.raw().await;
    raw.send(post_with(
        &[("content-encoding", "gzip"), ("mcp-session-id", &session)],
        b"\x1f\x8b\x08\0\0\0\0\0",
    ))
    .await;
    assert_eq!(raw.answer().await.says(), (400, -32700));
    target.stands(16).await;
}
