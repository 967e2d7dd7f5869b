//! Sessions as a thing to run out of.

use super::raw::post;
use super::{INITIALIZE, PING, Target};

/// With this variable set, the floods have their full size.
const FULL: &str = "THROUGHLINE_TEST_FULL";

/// So many in an ordinary run, or so many in a full one.
fn count(ordinary: usize, full: usize) -> usize {
    if std::env::var_os(FULL).is_some() { full } else { ordinary }
}

/// `initialize` again and again: sessions that were never used make room for each other, and the one in use stays.
#[tokio::test]
async fn sessions_that_nobody_uses() {
    let (floods, cap) = (count(6_000, 100_000), count(1_000, 10_000));
    let target = Target::start(&["--max-sessions", &cap.to_string()]).await;
    let used = target.session().await;
    let each = floods / 4;
    let flooding = (0..4).map(|_| async {
        let mut raw = target.raw().await;
        for _ in 0..each / 50 {
            raw.send(post(None, INITIALIZE).repeat(50)).await;
            for _ in 0..50 {
                let answer = raw.answer().await;
                assert_eq!(answer.says(), (200, 0));
                assert!(answer.header("mcp-session-id").is_some());
            }
        }
    });
    let flooding: Vec<_> = flooding.collect();
    let [a, b, c, d] = flooding.try_into().unwrap_or_else(|_| unreachable!("there are four"));
    tokio::join!(a, b, c, d);
    let sessions = target.metric("throughline_sessions").await;
    assert_eq!(sessions, cap as u64, "the cap holds");
    let mut raw = target.raw().await;
    raw.send(post(Some(&used), PING)).await;
    assert_eq!(raw.answer().await.status, 200, "a session in use is not evicted");
    // 4 KiB for each session there is, and what 200 answers on their way take.
    target.stands(8 + cap as u64 * 4 / 1024).await;
}

/// Sessions that are used are not taken from anybody: the next one is told to wait.
#[tokio::test]
async fn sessions_that_are_used() {
    let target = Target::start(&["--max-sessions", "100"]).await;
    for _ in 0..100 {
        target.session().await;
    }
    let mut raw = target.raw().await;
    for _ in 0..1_000 {
        raw.send(post(None, INITIALIZE)).await;
        let answer = raw.answer().await;
        assert_eq!(answer.says(), (503, -32603));
        assert_eq!(answer.header("retry-after"), Some("10"));
    }
    assert_eq!(target.metric("throughline_sessions").await, 100);
    // One that goes makes room for a client that means well.
    let mut raw = target.raw().await;
    raw.send(post(None, super::INITIALIZE)).await;
    assert_eq!(raw.answer().await.status, 503);
    target.memory.assert_grew_at_most(16);
}

/// Ids that are guessed: none is near another, and what is no id is no session.
#[tokio::test]
async fn session_ids_that_are_guessed() {
    let target = Target::start(&[]).await;
    let mine = target.session().await;
    let mut raw = target.raw().await;
    for at in 0..mine.len() {
        for digit in b"0123456789abcdef" {
            let mut guess = mine.clone().into_bytes();
            if std::mem::replace(&mut guess[at], *digit) == *digit {
                continue;
            }
            let guess = String::from_utf8(guess).expect("hex");
            raw.send(post(Some(&guess), PING)).await;
            assert_eq!(raw.answer().await.says(), (404, -32600), "{guess}");
        }
    }
    for (guess, status) in [
        (mine.to_uppercase(), 404),
        (format!("{mine}0"), 404),
        (mine[1..].to_owned(), 404),
        ("x".repeat(256), 404),
        ("x".repeat(257), 400),
        (format!("{mine} {mine}"), 400),
        (format!("{mine},{mine}"), 404),
        ("\u{e9}".to_owned(), 400),
        (String::new(), 400),
    ] {
        raw.send(post(Some(&guess), PING)).await;
        let wanted = if guess == mine { 200 } else { status };
        assert_eq!(raw.answer().await.status, wanted, "{guess}");
    }
    target.stands(8).await;
}
