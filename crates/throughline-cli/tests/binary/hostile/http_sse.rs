//! The older transport: streams that are opened and left, not read and guessed at, and floods of messages.

use serde_json::{Value, json};

use super::super::older::Older;
use super::raw::{Raw, head_at, post_at};
use super::{INITIALIZE, PING, Target, call};

/// A stream, and where its messages are posted.
async fn stream(target: &Target) -> (Raw, String) {
    let mut raw = target.raw().await;
    raw.send(head_at("GET", "/sse", &[])).await;
    assert_eq!(raw.head().await.status, 200);
    let first = raw.stream_until("\n\n").await;
    let path = first.strip_prefix("event: endpoint\ndata: ").expect(&first).trim_end().to_owned();
    (raw, path)
}

/// The same with a session.
async fn session(target: &Target) -> (Raw, String) {
    let (mut raw, path) = stream(target).await;
    let mut posts = target.raw().await;
    for message in [INITIALIZE, r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#] {
        posts.send(post_at(&path, message)).await;
        assert_eq!(posts.answer().await.status, 202);
    }
    raw.stream_until("protocolVersion").await;
    (raw, path)
}

/// Streams that nobody uses make room for each other, whether they are held or left, and the one in use stays.
#[tokio::test]
async fn streams_that_are_opened_and_not_used() {
    let target = Target::start(&["--sse", "--max-sessions", "100"]).await;
    let mut used = Older::open(target.address()).await;
    let mut held = Vec::new();
    for _ in 0..1_000 {
        held.push(stream(&target).await);
    }
    assert_eq!(target.metric("throughline_sessions").await, 100, "the cap holds");
    // The oldest were ended in good order.
    let (mut oldest, path) = held.swap_remove(0);
    assert_eq!(oldest.chunk().await, None);
    oldest.send(post_at(&path, PING)).await;
    assert_eq!(oldest.answer().await.says(), (404, -32600));
    held.drain(..).for_each(|(raw, _)| raw.reset());
    for _ in 0..1_000 {
        stream(&target).await.0.reset();
    }
    target.until_metric("throughline_sessions", 1).await;
    used.call("echo", json!({"text": "still here"})).await;
    assert_eq!(used.expect().await["result"]["content"][0]["text"], "still here");
    // A thousand connections are held, of some 20 KiB each.
    target.stands(32).await;
}

/// Sessions that are used are not taken from anybody: the next one is told to wait.
#[tokio::test]
async fn streams_beyond_the_cap() {
    let target = Target::start(&["--sse", "--max-sessions", "20"]).await;
    let mut held = Vec::new();
    for _ in 0..20 {
        held.push(session(&target).await);
    }
    for _ in 0..300 {
        let mut raw = target.raw().await;
        raw.send(head_at("GET", "/sse", &[])).await;
        let answer = raw.answer().await;
        assert_eq!((answer.says(), answer.header("retry-after")), ((503, -32603), Some("10")));
    }
    drop(held);
    target.until_metric("throughline_sessions", 0).await;
    target.stands(8).await;
}

/// Ids that are guessed, given twice, or of another session: nothing of a session is heard or moved from outside.
#[tokio::test]
async fn sessions_that_are_guessed() {
    let target = Target::start(&["--sse"]).await;
    let (mut mine, my_path) = session(&target).await;
    let (_theirs, their_path) = session(&target).await;
    let (prefix, id) = my_path.split_once("sessionId=").expect("a session");
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "128 bits: {id}");
    let mut raw = target.raw().await;
    for at in 0..id.len() {
        for digit in b"0123456789abcdef" {
            let mut guess = id.to_owned().into_bytes();
            if std::mem::replace(&mut guess[at], *digit) == *digit {
                continue;
            }
            let guess = String::from_utf8(guess).expect("hex");
            raw.send(post_at(&format!("{prefix}sessionId={guess}"), PING)).await;
            assert_eq!(raw.answer().await.says(), (404, -32600), "{guess}");
        }
    }
    let their_id = their_path.split_once('=').expect("a session").1;
    for (query, status) in [
        (format!("sessionId={}", id.to_uppercase()), 404),
        (format!("sessionId={id}0"), 404),
        (format!("sessionId={id}&sessionId={their_id}"), 400),
        (format!("sessionId={id},{their_id}"), 404),
        (format!("sessionid={id}"), 400),
        (format!("sessionId={}", "x".repeat(300)), 400),
        (format!("sessionId={}", "%61".repeat(5_000)), 400),
        ("sessionId=%ff".to_owned(), 400),
        (String::new(), 400),
    ] {
        raw.send(post_at(&format!("{prefix}{query}"), PING)).await;
        assert_eq!(raw.answer().await.status, status, "{query}");
    }
    // Nor at the other endpoint.
    raw.send(super::raw::post(Some(id), PING)).await;
    assert_eq!(raw.answer().await.says(), (404, -32600));
    // What another client does to the ids of its own calls moves nothing here.
    raw.send(post_at(&my_path, &call(&json!("same"), "slow", &json!({"ms": 600_000, "events": 1})))).await;
    assert_eq!(raw.answer().await.status, 202);
    let cancel =
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "same"}});
    raw.send(post_at(&their_path, &cancel.to_string())).await;
    assert_eq!(raw.answer().await.status, 202);
    raw.send(post_at(&my_path, PING)).await;
    assert_eq!(raw.answer().await.status, 202);
    let heard = mine.stream_until(r#""result":{}"#).await;
    assert_eq!(heard, "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n");
    assert_eq!(target.metric("throughline_calls_in_flight").await, 1);
    target.stands(8).await;
}

/// Calls that send much to streams that read nothing: each waits, and nobody else does.
#[tokio::test]
async fn streams_that_are_never_read() {
    let target = Target::start(&["--sse"]).await;
    let mut unread = Vec::new();
    for _ in 0..20 {
        let (raw, path) = session(&target).await;
        let mut posts = target.raw().await;
        for number in 0..10 {
            let flood = call(&json!(number), "slow", &json!({"ms": 0, "events": 50_000}));
            posts.send(post_at(&path, &flood)).await;
            assert_eq!(posts.answer().await.status, 202);
        }
        unread.push(raw);
    }
    assert_eq!(target.metric("throughline_calls_in_flight").await, 200);
    super::serves(target.address()).await;
    unread.into_iter().for_each(Raw::reset);
    target.until_metric("throughline_calls_in_flight", 0).await;
    target.until_metric("throughline_sessions", 0).await;
    target.stands(48).await;
}

/// Answers that nobody reads: while 4 MiB of them wait, further requests do too, and what they are worth is bounded.
#[tokio::test]
async fn answers_that_are_never_read() {
    let target = Target::start(&["--sse"]).await;
    let (unread, path) = session(&target).await;
    let mut waiting = Vec::new();
    let large = "x".repeat(1 << 20);
    for number in 0..40 {
        let mut raw = target.raw().await;
        raw.send(post_at(&path, &call(&json!(number), "echo", &json!({"text": large})))).await;
        waiting.push(raw);
        super::serves(target.address()).await;
    }
    unread.reset();
    let mut statuses = Vec::new();
    for mut raw in waiting {
        statuses.push(raw.answer().await.status);
    }
    let taken = statuses.iter().filter(|status| **status == 202).count();
    let ended = statuses.iter().filter(|status| **status == 404).count();
    assert!(taken >= 4 && ended > 10 && taken + ended == 40, "{statuses:?}");
    // The bodies of 40 requests, and what is between here and the reader.
    target.stands(128).await;
}

/// Messages as fast as they come: calls beyond the limit are refused on the stream, and nothing of it stays.
#[tokio::test]
async fn floods_of_messages() {
    let target = Target::start(&["--sse"]).await;
    let (mut stream, path) = session(&target).await;
    let mut raw = target.raw().await;
    for number in 0..64 {
        raw.send(post_at(&path, &call(&json!(number), "slow", &json!({"ms": 600_000, "events": 1})))).await;
        assert_eq!(raw.answer().await.status, 202);
    }
    let refused = post_at(&path, &call(&json!("one too many"), "echo", &json!({"text": "x"})));
    let noise = post_at(&path, r#"{"jsonrpc":"2.0","method":"notifications/made_up"}"#);
    let answer = post_at(&path, r#"{"jsonrpc":"2.0","id":7,"result":{}}"#);
    for _ in 0..40 {
        for (flood, status) in [(&refused, 202), (&noise, 202), (&answer, 202)] {
            raw.send(flood.repeat(50)).await;
            for _ in 0..50 {
                assert_eq!(raw.answer().await.status, status);
            }
        }
        let heard = stream.stream_until("as many as it may have").await;
        assert!(heard.contains("one too many"), "{heard}");
    }
    for garbage in ["", "{", "[]", "nonsense", r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#] {
        raw.send(post_at(&path, garbage)).await;
        assert_eq!(raw.answer().await.status, 400, "{garbage}");
    }
    let huge: Value = json!("x".repeat(5 << 20));
    let mut other = target.raw().await;
    other.offer(post_at(&path, &huge.to_string())).await;
    let said = String::from_utf8(other.closed().await).expect("it is text");
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 413 "), "{said}");
    stream.reset();
    target.until_metric("throughline_calls_in_flight", 0).await;
    target.stands(24).await;
}
