//! Law 6: budgets, and the order in which they make a store drop events.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::probe::{ALL, COST, NOTHING, append, count, event, events, held, key, ok};
use crate::store::{Append, AppendError, Epoch, Event, EventStore, Limits, ReadError, StreamKey};

/// Law 6: each budget holds after every append, and what is dropped to keep it is dropped in order.
///
/// # Panics
///
/// When the store breaks the law.
pub async fn bounded<S: EventStore>(make: &impl AsyncFn(Limits) -> S) {
    budgets_hold(make).await;
    streams_drop_in_order(make).await;
    ended_streams_go_first(make).await;
    written_events_go_first(make).await;
    results_outlast_replayable_events(make).await;
    retention_ends(make).await;
}

async fn budgets_hold<S: EventStore>(make: &impl AsyncFn(Limits) -> S) {
    let limits = Limits {
        store_bytes: 40 * COST,
        session_bytes: 16 * COST,
        session_ended_streams: 3,
        stream_bytes: 8 * COST,
        stream_events: 6,
        ..Limits::default()
    };
    let store = make(limits.clone()).await;
    let sessions = ["law-6-a", "law-6-b", "law-6-c", "law-6-d"];
    let mut known: Vec<(StreamKey, u64)> = Vec::new();
    // Four sessions take turns; each of them moves to a new stream after some events and ends every second one.
    for turn in 0..160_u64 {
        let (session, round) = (sessions[(turn % 4) as usize], turn / 4);
        let (at, seq) = (key(session, round / 4), round % 4 * 2 + 1);
        let ends = round % 8 == 3;
        let batch = Append {
            events: &events(&at, seq..=seq + 1),
            written: seq * (turn % 2),
            ends,
            ..Append::default()
        };
        ok(store.append(&at, Epoch(1), batch).await, "6 (bounded)", "an append");
        match known.iter_mut().find(|(known, _)| *known == at) {
            Some((_, head)) => *head = seq + 1,
            None => known.push((at, seq + 1)),
        }

        let mut total = 0;
        for session in sessions {
            let (mut bytes, mut ended) = (0, 0);
            for (at, _) in known.iter().filter(|(at, _)| at.session.as_str() == session) {
                let (found, over) = held(&store, at).await;
                let cost: usize = found.iter().map(Event::cost).sum();
                assert!(found.len() <= limits.stream_events, "law 6 (bounded): `stream_events` was exceeded");
                assert!(cost <= limits.stream_bytes, "law 6 (bounded): `stream_bytes` was exceeded");
                ended += usize::from(over && !found.is_empty());
                bytes += cost;
            }
            assert!(bytes <= limits.session_bytes, "law 6 (bounded): `session_bytes` was exceeded");
            assert!(
                ended <= limits.session_ended_streams,
                "law 6 (bounded): `session_ended_streams` was exceeded"
            );
            total += bytes;
        }
        assert!(total <= limits.store_bytes, "law 6 (bounded): `store_bytes` was exceeded");
        assert!(
            store.usage().bytes <= limits.store_bytes,
            "law 6 (bounded): `usage` tells more than `store_bytes`"
        );
        assert!(total > 0, "law 6 (bounded): the store holds nothing at all");
    }
    let at = key("law-6-a", 1_000);
    let large = Event { frame: Bytes::from(vec![b'x'; limits.stream_bytes]), ..event(&at, 1) };
    let outcome = store.append(&at, Epoch(1), Append { events: &[large], ..NOTHING }).await;
    assert!(
        matches!(outcome, Err(AppendError::TooLarge)),
        "law 6 (bounded): an event larger than `stream_bytes` got {outcome:?}"
    );
}

async fn streams_drop_in_order<S: EventStore>(make: &impl AsyncFn(Limits) -> S) {
    let store = make(Limits { stream_events: 4, ..Limits::default() }).await;
    let at = key("law-6", 1);
    // 1 R, 2 n | 3 n, 4 R, 5 n, 6 n; written through 2.
    let all: Vec<_> = (1..=6).map(|seq| Event { keep: seq % 3 == 1, ..event(&at, seq) }).collect();
    for (seq, left) in [(5, vec![1, 3, 4, 5]), (6, vec![3, 4, 5, 6])] {
        let batch = Append { events: &all[..seq], written: 2, ends: false, ..Append::default() };
        ok(store.append(&at, Epoch(1), batch).await, "6 (bounded)", "an append");
        let seqs: Vec<_> = held(&store, &at).await.0.iter().map(|event| event.seq).collect();
        assert_eq!(
            seqs, left,
            "law 6 (bounded): a stream drops written events first, and of these notifications"
        );
    }
    let store = make(Limits { stream_events: 3, ..Limits::default() }).await;
    ok(store.append(&at, Epoch(1), Append { events: &all, ..NOTHING }).await, "6 (bounded)", "an append");
    let seqs: Vec<_> = held(&store, &at).await.0.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, [1, 4, 6], "law 6 (bounded): a notification was kept at the cost of a response");
}

async fn ended_streams_go_first<S: EventStore>(make: &impl AsyncFn(Limits) -> S) {
    // By number within a session, by bytes within a session, and by bytes within the store.
    let room = 6 * COST + COST / 2;
    for limits in [
        Limits { session_ended_streams: 2, ..Limits::default() },
        Limits { session_bytes: room, ..Limits::default() },
        Limits { store_bytes: room, ..Limits::default() },
    ] {
        let by_number = limits.session_ended_streams == 2;
        let one_session = limits.session_bytes == room || by_number;
        let store = make(limits).await;
        let session = |name: &'static str| if one_session { "law-6" } else { name };
        let running = key(session("law-6-r"), 0);
        let [first, second, third] =
            [("law-6-x", 1), ("law-6-y", 2), ("law-6-z", 3)].map(|(name, stream)| key(session(name), stream));
        append(&store, &running, 1..=2).await;
        for at in [&first, &second] {
            append(&store, at, 1..=2).await;
            ok(store.end(at, Epoch(1)).await, "6 (bounded)", "ending");
        }
        let written = Append { written: 2, ..NOTHING };
        ok(
            store.append(&second, Epoch(1), written).await,
            "6 (bounded)",
            "telling that a stream was written",
        );
        assert_eq!(
            count(&store, [&running, &first, &second]).await,
            [2, 2, 2],
            "law 6 (bounded): dropped too early"
        );

        append(&store, &third, 1..=2).await;
        ok(store.end(&third, Epoch(1)).await, "6 (bounded)", "ending");
        assert_eq!(
            count(&store, [&running, &first, &second, &third]).await,
            [2, 2, 0, 2],
            "law 6 (bounded): an ended stream that was written goes first, and no other"
        );
        let fourth = key(session("law-6-w"), 4);
        append(&store, &fourth, 1..=2).await;
        ok(store.end(&fourth, Epoch(1)).await, "6 (bounded)", "ending");
        assert_eq!(
            count(&store, [&running, &first, &third, &fourth]).await,
            [2, 0, 2, 2],
            "law 6 (bounded): the stream that ended first goes before the others"
        );
        if !by_number {
            append(&store, &running, 3..=6).await;
            assert_eq!(
                count(&store, [&running, &third, &fourth]).await,
                [6, 0, 0],
                "law 6 (bounded): ended streams go before the unwritten events of running ones"
            );
        }
    }
}

async fn written_events_go_first<S: EventStore>(make: &impl AsyncFn(Limits) -> S) {
    let room = 4 * COST + COST / 2;
    for (limits, sessions) in [
        (Limits { session_bytes: room, ..Limits::default() }, ["law-6", "law-6"]),
        (Limits { store_bytes: room, ..Limits::default() }, ["law-6-a", "law-6-b"]),
    ] {
        for order in [[0, 1], [1, 0]] {
            let store = make(limits.clone()).await;
            let written = key(sessions[order[0]], order[0] as u64);
            let unwritten = key(sessions[order[1]], order[1] as u64);
            let batch =
                Append { events: &events(&written, 1..=2), written: 2, ends: false, ..Append::default() };
            ok(store.append(&written, Epoch(1), batch).await, "6 (bounded)", "an append");
            append(&store, &unwritten, 1..=2).await;
            append(&store, &unwritten, 3..=3).await;
            let [old, new] = count(&store, [&written, &unwritten]).await;
            assert_eq!(new, 3, "law 6 (bounded): an unwritten event was dropped before a written one");
            assert!(old < 2, "law 6 (bounded): the budget was exceeded");
        }
    }
}

/// An ended stream that was not written holds a result that nobody has seen. What was written and runs on goes before it,
/// what was not written goes after it.
async fn results_outlast_replayable_events<S: EventStore>(make: &impl AsyncFn(Limits) -> S) {
    let room = 6 * COST + COST / 2;
    for (limits, sessions) in [
        (Limits { session_bytes: room, ..Limits::default() }, ["law-6"; 3]),
        (Limits { store_bytes: room, ..Limits::default() }, ["law-6-a", "law-6-b", "law-6-c"]),
    ] {
        let store = make(limits).await;
        let [replayable, result, running] = [0, 1, 2].map(|at| key(sessions[at], at as u64));
        append(&store, &result, 1..=2).await;
        ok(store.end(&result, Epoch(1)).await, "6 (bounded)", "ending");
        // Responses too: whether an event is kept counts within a stream, and among running ones.
        let all: Vec<_> = (1..=3).map(|seq| Event { keep: seq == 2, ..event(&replayable, seq) }).collect();
        let batch = Append { events: &all, written: 3, ends: false, ..Append::default() };
        ok(store.append(&replayable, Epoch(1), batch).await, "6 (bounded)", "an append");
        append(&store, &running, 1..=1).await;
        for (seq, left) in [(2, 2), (3, 1), (4, 0)] {
            append(&store, &running, seq..=seq).await;
            assert_eq!(
                count(&store, [&replayable, &result, &running]).await,
                [left, 2, seq as usize],
                "law 6 (bounded): a result that nobody has seen was dropped before a written event"
            );
        }
        append(&store, &running, 5..=5).await;
        assert_eq!(
            count(&store, [&replayable, &result, &running]).await,
            [0, 0, 5],
            "law 6 (bounded): an unwritten event of a running stream was dropped before an ended stream"
        );
    }
}

async fn retention_ends<S: EventStore>(make: &impl AsyncFn(Limits) -> S) {
    let limits = Limits::default();
    let store = make(limits.clone()).await;
    let (running, ended) = (key("law-6", 1), key("law-6", 2));
    append(&store, &running, 1..=2).await;
    append(&store, &ended, 1..=2).await;
    ok(store.end(&ended, Epoch(1)).await, "6 (bounded)", "ending");
    store.sweep(now());
    assert_eq!(
        count(&store, [&running, &ended]).await,
        [2, 2],
        "law 6 (bounded): events went before their retention"
    );
    // A second more, so that a store may keep time in whole seconds.
    store.sweep(now() + limits.retention + Duration::from_secs(1));
    assert_eq!(
        count(&store, [&running, &ended]).await,
        [2, 0],
        "law 6 (bounded): the retention of an ended stream"
    );
    let read = store.read(&ended, 0, ALL).await;
    assert!(
        matches!(read, Err(ReadError::Dropped(_) | ReadError::Unknown)),
        "law 4 (honest): a stream past its retention got {read:?}"
    );
}

/// The runtime's clock, so that a paused one is obeyed.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
