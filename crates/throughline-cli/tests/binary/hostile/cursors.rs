//! Places in streams that were forged, borrowed or made up.

use serde_json::json;

use super::Target;
use super::raw::{head, post};
use super::{PING, call};

/// What a GET with this cursor is answered with.
async fn resumed(target: &Target, session: &str, cursor: &str) -> (u16, i64) {
    let mut raw = target.raw().await;
    raw.send(head("GET", &[("mcp-session-id", session), ("last-event-id", cursor)])).await;
    let answer = raw.head().await;
    if answer.status == 200 {
        return (200, 0);
    }
    let length = answer.header("content-length").and_then(|length| length.parse().ok()).expect("a length");
    let body: serde_json::Value = serde_json::from_slice(&raw.take(length).await).expect("JSON");
    (answer.status, body["error"]["code"].as_i64().expect("a code"))
}

/// The ids of the events of a call that has ended.
async fn ids_of_a_call(target: &Target, session: &str) -> Vec<String> {
    let mut raw = target.raw().await;
    raw.send(post(Some(session), &call(&json!(1), "slow", &json!({"ms": 0, "events": 3})))).await;
    let text = String::from_utf8(raw.answer().await.body).expect("it is text");
    text.lines().filter_map(|line| line.strip_prefix("id: ")).map(str::to_owned).collect()
}

#[tokio::test]
async fn cursors_that_are_none_of_this_session() {
    let target = Target::start(&[]).await;
    let (mine, other) = (target.session().await, target.session().await);
    let (ids, theirs) = (ids_of_a_call(&target, &mine).await, ids_of_a_call(&target, &other).await);
    assert_eq!(ids.len(), 5, "a prime, three notifications and the answer: {ids:?}");
    let (tag, their_tag) = (&ids[0][..8], &theirs[0][..8]);
    let stream: u64 = ids[0].split('-').nth(1).and_then(|number| number.parse().ok()).expect("a number");

    assert_eq!(resumed(&target, &mine, &ids[1]).await, (200, 0), "an honest one");
    assert_eq!(resumed(&target, &mine, &ids[4]).await, (400, -32600), "nothing follows the end");
    for cursor in &theirs {
        assert_eq!(resumed(&target, &mine, cursor).await, (400, -32600), "of another session: {cursor}");
        // With the right tag their numbers name streams of mine; what is read is mine.
        let moved = cursor.replacen(their_tag, tag, 1);
        let (status, _) = resumed(&target, &mine, &moved).await;
        assert!(matches!(status, 200 | 400), "{moved}");
    }
    for (what, cursor) in [
        ("the future of a stream", format!("{tag}-{stream}-1000")),
        ("the end of numbers", format!("{tag}-{stream}-{}", u64::MAX)),
        ("a stream that never was", format!("{tag}-1000-1")),
        ("the last stream of all", format!("{tag}-{}-{}", u64::MAX, u64::MAX)),
        ("beyond numbers", format!("{tag}-{stream}-18446744073709551616")),
        ("a number that wraps", format!("{tag}-18446744073709551619-1")),
        ("a sign", format!("{tag}-{stream}-+1")),
        ("less than nothing", format!("{tag}-{stream}--1")),
        ("leading zeros", format!("{tag}-{stream}-01")),
        ("white space inside", format!("{tag}-{stream} -1")),
        ("another tag", format!("00000000-{stream}-1")),
        ("capital letters", format!("ABCDEF01-{stream}-1")),
        ("a part too many", format!("{tag}-{stream}-1-1")),
        ("a part too few", format!("{tag}-{stream}")),
        ("only dashes", "--".to_owned()),
        ("words", "' OR 1=1 --".to_owned()),
        ("a path", "../../etc/passwd".to_owned()),
        ("letters of no alphabet of ours", "\u{5f8}\u{1f600}".to_owned()),
    ] {
        assert_eq!(resumed(&target, &mine, &cursor).await, (400, -32600), "{what}");
    }
    // The standalone stream has a future too.
    assert_eq!(resumed(&target, &mine, &format!("{tag}-0-1")).await, (400, -32600));
    assert_eq!(resumed(&target, "nobody", &ids[1]).await, (404, -32600), "a session that never was");
    target.stands(16).await;
}

#[tokio::test]
async fn cursors_by_the_thousand() {
    let target = Target::start(&[]).await;
    let mine = target.session().await;
    let ids = ids_of_a_call(&target, &mine).await;
    let tag = &ids[0][..8];
    // Guessing costs the guesser a request each, and the server nothing that stays.
    let mut raw = target.raw().await;
    for number in 0..500_u64 {
        let cursor = format!("{tag}-{}-{}", number % 7, (number + 1) * 2_654_435_761);
        raw.send(head("GET", &[("mcp-session-id", &mine), ("last-event-id", &cursor)])).await;
        assert_eq!(raw.answer().await.says(), (400, -32600), "{cursor}");
    }
    // As long as a head may be, and longer.
    let long = "9".repeat(300_000);
    raw.send(head("GET", &[("mcp-session-id", &mine), ("last-event-id", &long)])).await;
    assert_eq!(raw.answer().await.says(), (400, -32600));
    let mut raw = target.raw().await;
    raw.offer(head("GET", &[("mcp-session-id", &mine), ("last-event-id", &"9".repeat(1 << 20))])).await;
    let said = raw.closed().await;
    assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 431 "), "{}", String::from_utf8_lossy(&said));
    // A cursor that is no text, one that is empty, and two of them.
    for (headers, status) in [
        (format!("last-event-id: {}\r\nlast-event-id: {}\r\n", ids[0], ids[1]), 400),
        ("last-event-id: \u{80}\r\n".to_owned(), 400),
    ] {
        let mut raw = target.raw().await;
        let get = format!(
            "GET /mcp HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\nmcp-session-id: {mine}\r\n{headers}\r\n"
        );
        raw.send(get).await;
        assert_eq!(raw.answer().await.says(), (status, -32600), "{headers}");
    }
    let mut raw = target.raw().await;
    raw.send(post(Some(&mine), PING)).await;
    assert_eq!(raw.answer().await.status, 200);
    target.stands(16).await;
}
