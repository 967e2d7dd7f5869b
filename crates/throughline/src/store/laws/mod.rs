//! The law suite: what every [`EventStore`] must pass.
//!
//! Each function checks one law of the trait and panics with a message that names it. [`check_all`] runs them in order, then
//! [any sequence](any_sequence) of operations against a model and tasks [at the same time](at_the_same_time). Authors of a
//! store call it from a test, best on a runtime with several threads, and [`survives_reopening`],
//! [`remembers_after_reopening`] and [`any_sequence_with_reopening`] too when the store outlives its process:
//!
//! ```
//! use throughline::store::{MemoryStore, laws};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! laws::check_all(async |limits| MemoryStore::new(limits)).await;
//! # });
//! ```
//!
//! `make` returns an empty store with the given budgets, each time it is called. A runtime with a clock is needed: a
//! watcher is given 10 seconds to be woken, none of which pass on a store that keeps law 5. Nothing is slept.
//!
//! What is picked at random is decided by a seed, so a run repeats. A failure prints the shortest sequence found and its
//! seed; `THROUGHLINE_LAWS_SEED` and `THROUGHLINE_LAWS_SEQUENCES` try others and more (see [`Plan`]).
//!
//! The suite sees one process. That two processes cannot write one stream (law 2), that a watcher is woken by an append
//! of another process (law 5), and what survives a crash (law 1) are for the store's own tests.

mod bounded;
mod concurrent;
mod probe;
mod random;
mod remembering;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;

use bytes::Bytes;

pub use self::bounded::bounded;
pub use self::concurrent::at_the_same_time;
use self::probe::{
    ALL, COST, NOTHING, Witness, append, append_as, audit, count, event, events, held, key, ok, page,
};
pub use self::random::{Plan, any_sequence, any_sequence_with_reopening};
pub use self::remembering::{remembering, remembers_after_reopening};
use super::{
    Append, AppendError, Dropped, Epoch, Event, EventStore, Limits, ReadBudget, ReadError, StreamKey,
};

/// Checks all laws, the first to the ninth, and the tenth of a store that keeps sessions: one by one, then with
/// [`any_sequence`] of operations and with tasks [`at_the_same_time`].
///
/// # Panics
///
/// When the store breaks a law.
pub async fn check_all<S: EventStore>(make: impl AsyncFn(Limits) -> S) {
    durable_before_visible(&make).await;
    ordered(&make).await;
    scoped(&make).await;
    honest(&make).await;
    waking(&make).await;
    bounded(&make).await;
    ending(&make).await;
    fenced(&make).await;
    forgetting(&make).await;
    remembering(&make).await;
    any_sequence(&make, Plan::from_env()).await;
    at_the_same_time(&make).await;
}

/// Law 1, as far as it shows within a process: what was appended is read at once, and what was refused never.
///
/// # Panics
///
/// When the store breaks the law.
pub async fn durable_before_visible<S: EventStore>(make: &impl AsyncFn(Limits) -> S) {
    let limits = Limits { stream_bytes: 10 * COST, ..Limits::default() };
    let (store, at) = (make(limits).await, key("law-1", 1));

    let refused = store.append(&at, Epoch(1), Append { events: &events(&at, 2..=3), ..NOTHING }).await;
    assert!(matches!(refused, Err(AppendError::Gap)), "law 1 (durable): a gap got {refused:?}");
    let read = store.read(&at, 0, ALL).await;
    assert!(
        matches!(read, Err(ReadError::Unknown)),
        "law 1 (durable): a refused batch started a stream: {read:?}"
    );

    for through in 1..=5 {
        append(&store, &at, through..=through).await;
        let page = page(&store, &at, 0).await;
        assert_eq!(
            *page.events,
            events(&at, 1..=through),
            "law 1 (durable): an append that returned is not read"
        );
        assert_eq!(page.head, through, "law 1 (durable): the head does not follow the append");
    }

    let mut large = events(&at, 6..=7);
    large[1].frame = Bytes::from(vec![b'x'; 10 * COST + 1]);
    for (batch, why) in [(&large[..], "too large"), (&events(&at, 7..=8)[..], "a gap")] {
        let refused = store.append(&at, Epoch(1), Append { events: batch, ..NOTHING }).await;
        assert!(refused.is_err(), "law 1 (durable): a batch that is {why} was accepted");
        let page = page(&store, &at, 0).await;
        assert_eq!(page.head, 5, "law 1 (durable): a part of a refused batch ({why}) is visible");
        assert_eq!(page.events.len(), 5, "law 1 (durable): a part of a refused batch ({why}) is visible");
    }
}

/// Law 1 for a store that outlives its process: `reopen` closes it as a shutdown does and opens it again.
///
/// # Panics
///
/// When events, ends or the fence are lost.
pub async fn survives_reopening<S: EventStore>(store: S, reopen: impl AsyncFn(S) -> S) {
    let (running, ended) = (key("law-1", 1), key("law-1", 2));
    append_as(&store, &running, Epoch(2), 1..=3).await;
    append_as(&store, &ended, Epoch(2), 1..=2).await;
    ok(store.end(&ended, Epoch(2)).await, "1 (durable)", "ending a stream");
    store.release(&running.session).await.expect("law 1 (durable): release failed");

    let store = reopen(store).await;
    for (at, head) in [(&running, 3), (&ended, 2)] {
        let (found, _) = held(&store, at).await;
        assert_eq!(found, events(at, 1..=head), "law 1 (durable): events are gone after reopening");
    }
    assert!(
        page(&store, &ended, 2).await.ended,
        "law 1 (durable): the end of a stream is gone after reopening"
    );
    let old = store.append(&running, Epoch(1), Append { events: &events(&running, 4..=4), ..NOTHING }).await;
    assert!(
        matches!(old, Err(AppendError::Fenced)),
        "law 1 (durable): the fence is gone after reopening: {old:?}"
    );
    append_as(&store, &running, Epoch(3), 4..=4).await;
}

/// Law 2: sequences are contiguous, and the same ones again are accepted once.
///
/// # Panics
///
/// When the store breaks the law.
pub async fn ordered<S: EventStore>(make: &impl AsyncFn(Limits) -> S) {
    let (store, at) = (make(Limits::default()).await, key("law-2", 7));
    let try_append =
        async |batch: Vec<Event>| store.append(&at, Epoch(1), Append { events: &batch, ..NOTHING }).await;

    append(&store, &at, 1..=3).await;
    for (batch, what) in [
        (events(&at, 5..=6), "a batch after a hole"),
        (events(&at, 0..=0), "a sequence 0"),
        (vec![event(&at, 4), event(&at, 6)], "a batch with a hole"),
        (vec![event(&at, 5), event(&at, 4)], "a batch in the wrong order"),
        (vec![event(&at, 4), event(&at, 4)], "a batch with a sequence twice"),
    ] {
        let outcome = try_append(batch).await;
        assert!(matches!(outcome, Err(AppendError::Gap)), "law 2 (ordered): {what} got {outcome:?}");
    }
    for (batch, what) in [
        (events(&at, 1..=3), "the same batch again"),
        (events(&at, 2..=2), "a part of it again"),
        (events(&at, 2..=5), "a batch that overlaps"),
        (Vec::new(), "an empty batch"),
    ] {
        ok(try_append(batch).await, "2 (ordered)", what);
    }
    // Read in pages of every size: the order must not depend on it.
    for size in 1..=6 {
        let mut read = Vec::new();
        while read.len() < 5 {
            let max = ReadBudget { events: size, bytes: 0 };
            let page = store.read(&at, read.len() as u64, max).await.expect("law 2 (ordered): a read failed");
            assert!(!page.events.is_empty(), "law 2 (ordered): a read returned no event though there is one");
            read.extend(page.events);
        }
        assert_eq!(read, events(&at, 1..=5), "law 2 (ordered): the events are not each there once, in order");
    }
    ok(store.end(&at, Epoch(1)).await, "2 (ordered)", "ending");
    ok(try_append(events(&at, 4..=5)).await, "2 (ordered)", "the same sequences again after the end");
    assert_eq!(
        page(&store, &at, 5).await.head,
        5,
        "law 2 (ordered): a repeated batch was appended after the end"
    );
}

/// Law 3: a read returns the events of its own session and stream only.
///
/// # Panics
///
/// When the store breaks the law.
pub async fn scoped<S: EventStore>(make: &impl AsyncFn(Limits) -> S) {
    let store = make(Limits::default()).await;
    // Names that run together when a store joins them carelessly.
    let keys = [
        ("law-3", 11),
        ("law-3", 1),
        ("law-31", 1),
        ("law-3:1", 1),
        ("law-3:", 11),
        ("LAW-3", 1),
        ("law-3", 0),
    ];
    let keys = keys.map(|(session, stream)| key(session, stream));
    for at in &keys {
        let read = store.read(at, 0, ALL).await;
        assert!(
            matches!(read, Err(ReadError::Unknown)),
            "law 3 (scoped): {at:?} is known before its first event"
        );
        append(&store, at, 1..=2).await;
    }
    for (index, at) in keys.iter().enumerate() {
        append(&store, at, 3..=3 + index as u64).await;
    }
    ok(store.end(&keys[1], Epoch(1)).await, "3 (scoped)", "ending");
    for (index, at) in keys.iter().enumerate() {
        let page = page(&store, at, 0).await;
        assert_eq!(
            *page.events,
            events(at, 1..=3 + index as u64),
            "law 3 (scoped): {at:?} has another's events"
        );
        assert_eq!(page.ended, index == 1, "law 3 (scoped): the end of another stream ended {at:?}");
    }
}

/// Law 4: a read after a dropped event says what was lost.
///
/// # Panics
///
/// When the store breaks the law.
pub async fn honest<S: EventStore>(make: &impl AsyncFn(Limits) -> S) {
    let limits = Limits { stream_events: 4, session_ended_streams: 1, ..Limits::default() };
    let store = make(limits).await;

    let plain = key("law-4", 1);
    for seq in 1..=10 {
        append(&store, &plain, seq..=seq).await;
    }
    assert!(audit(&store, &plain).await <= 4, "law 4 (honest): more is read than the stream may hold");

    // Responses among notifications leave holes in the middle.
    let holed = key("law-4", 2);
    for seq in 1..=10 {
        let event = Event { keep: seq % 4 == 2, ..event(&holed, seq) };
        ok(
            store
                .append(
                    &holed,
                    Epoch(1),
                    Append { events: &[event], written: seq - 1, ends: false, ..Append::default() },
                )
                .await,
            "4 (honest)",
            "an append",
        );
        audit(&store, &holed).await;
    }
    let ahead = store.read(&holed, 11, ALL).await;
    assert!(
        matches!(ahead, Err(ReadError::Ahead { head: 10 })),
        "law 4 (honest): a cursor beyond the head got {ahead:?}"
    );

    // A stream that is given up as a whole.
    ok(store.end(&plain, Epoch(1)).await, "4 (honest)", "ending");
    ok(store.end(&holed, Epoch(1)).await, "4 (honest)", "ending");
    for after in 0..10 {
        let lost = Dropped { oldest: 11, count: 10 - after };
        let read = store.read(&plain, after, ALL).await;
        let honest = match &read {
            Err(ReadError::Dropped(dropped)) => *dropped == lost,
            other => matches!(other, Err(ReadError::Unknown)),
        };
        assert!(honest, "law 4 (honest): a read of a stream that was given up got {read:?}");
        let gap = store.first_gap(&plain, after).await;
        let honest = match &gap {
            Ok(gap) => *gap == Some(lost),
            other => matches!(other, Err(ReadError::Unknown)),
        };
        assert!(honest, "law 4 (honest): `first_gap` of a stream that was given up got {gap:?}");
    }
}

/// Law 5: every later append or end wakes a watcher.
///
/// # Panics
///
/// When the store breaks the law.
pub async fn waking<S: EventStore>(make: &impl AsyncFn(Limits) -> S) {
    let (store, at) = (make(Limits::default()).await, key("law-5", 1));
    let early = Witness::new(store.watch(&at));
    append(&store, &at, 1..=1).await;
    early.expect("the first append to a stream that was watched before it existed").await;
    let second = Witness::new(store.watch(&at));
    let dropped = Witness::new(store.watch(&at));
    drop(dropped);
    for seq in 2..=3 {
        append(&store, &at, seq..=seq).await;
        early.expect("an append, with the waker registered once").await;
        second.expect("an append, with another watcher").await;
    }
    ok(store.end(&at, Epoch(1)).await, "5 (waking)", "ending");
    early.expect("an end").await;
    second.expect("an end, with another watcher").await;

    let last = key("law-5", 2);
    let witness = Witness::new(store.watch(&last));
    ok(
        store
            .append(
                &last,
                Epoch(1),
                Append { events: &events(&last, 1..=1), written: 0, ends: true, ..Append::default() },
            )
            .await,
        "5 (waking)",
        "an append that ends the stream",
    );
    witness.expect("an append that ends the stream").await;

    // A reader that only waits when there is nothing to read sees everything.
    let busy = key("law-5", 3);
    let reader = async {
        let (watch, mut seen) = (store.watch(&busy), 0);
        loop {
            let change = Witness::new_with(&watch);
            match store.read(&busy, seen, ReadBudget { events: 2, bytes: 0 }).await {
                Ok(page) if page.ended => return seen + page.events.len() as u64,
                Ok(page) if !page.events.is_empty() => seen += page.events.len() as u64,
                Ok(_) | Err(ReadError::Unknown) => change.expect("an append while a reader waits").await,
                Err(error) => panic!("law 5 (waking): the reader failed: {error}"),
            }
        }
    };
    let writer = async {
        for seq in 1..=100 {
            append(&store, &busy, seq..=seq).await;
            if seq % 3 == 0 {
                tokio::task::yield_now().await;
            }
        }
        ok(store.end(&busy, Epoch(1)).await, "5 (waking)", "ending");
    };
    let (seen, ()) = tokio::join!(reader, writer);
    assert_eq!(seen, 100, "law 5 (waking): the reader did not see every event");
}

/// Law 7: an ended stream says so and refuses new events.
///
/// # Panics
///
/// When the store breaks the law.
pub async fn ending<S: EventStore>(make: &impl AsyncFn(Limits) -> S) {
    let (store, at) = (make(Limits::default()).await, key("law-7", 1));
    append(&store, &at, 1..=3).await;
    assert!(!page(&store, &at, 3).await.ended, "law 7 (ending): a running stream says it has ended");
    ok(store.end(&at, Epoch(1)).await, "7 (ending)", "ending");
    ok(store.end(&at, Epoch(1)).await, "7 (ending)", "ending again");

    // In one batch with the last events, and without any event.
    let (batch, empty) = (key("law-7", 2), key("law-7", 3));
    let last = Append { events: &events(&batch, 1..=3), written: 0, ends: true, ..Append::default() };
    ok(store.append(&batch, Epoch(1), last).await, "7 (ending)", "a batch that ends the stream");
    ok(store.append(&batch, Epoch(1), last).await, "7 (ending)", "the same batch again");
    ok(store.end(&empty, Epoch(1)).await, "7 (ending)", "ending a stream without events");

    for (at, head) in [(&at, 3), (&batch, 3), (&empty, 0)] {
        let end = page(&store, at, head).await;
        assert!(end.events.is_empty() && end.ended, "law 7 (ending): a reader at the end got {end:?}");
        let next = events(at, head + 1..=head + 1);
        let outcome = store.append(at, Epoch(1), Append { events: &next, ..NOTHING }).await;
        assert!(matches!(outcome, Err(AppendError::Ended)), "law 7 (ending): a new event got {outcome:?}");
        assert_eq!(page(&store, at, head).await.head, head, "law 7 (ending): an ended stream has grown");
    }
    let part = store.read(&at, 0, ReadBudget { events: 2, bytes: usize::MAX }).await;
    let part = part.expect("law 7 (ending): a read failed");
    assert!(!part.ended, "law 7 (ending): a page says the stream ends though events follow it");
    assert!(
        page(&store, &at, 2).await.ended,
        "law 7 (ending): the last page does not say that the stream ended"
    );
}

/// Law 8: a writer with an older epoch is refused.
///
/// # Panics
///
/// When the store breaks the law.
pub async fn fenced<S: EventStore>(make: &impl AsyncFn(Limits) -> S) {
    let (store, at, other) = (make(Limits::default()).await, key("law-8", 1), key("law-8", 2));
    append_as(&store, &at, Epoch(1), 1..=2).await;
    append_as(&store, &other, Epoch(1), 1..=1).await;
    append_as(&store, &at, Epoch(3), 3..=3).await;
    let refused = async |at: &StreamKey, epoch, seqs: RangeInclusive<u64>| {
        let outcome = store.append(at, epoch, Append { events: &events(at, seqs), ..NOTHING }).await;
        assert!(
            matches!(outcome, Err(AppendError::Fenced)),
            "law 8 (fenced): epoch {epoch:?} got {outcome:?}"
        );
        let outcome = store.end(at, epoch).await;
        assert!(matches!(outcome, Err(AppendError::Fenced)), "law 8 (fenced): ending got {outcome:?}");
    };
    for epoch in [Epoch(1), Epoch(2)] {
        refused(&at, epoch, 4..=4).await;
        refused(&at, epoch, 3..=3).await;
        refused(&other, epoch, 2..=2).await;
        refused(&key("law-8", 3), epoch, 1..=1).await;
    }
    // An empty batch takes over as well.
    ok(store.append(&other, Epoch(4), NOTHING).await, "8 (fenced)", "taking over with an empty batch");
    refused(&at, Epoch(3), 4..=4).await;
    for (at, head) in [(&at, 3), (&other, 1)] {
        let page = page(&store, at, 0).await;
        assert_eq!((page.head, page.ended), (head, false), "law 8 (fenced): a refused writer changed {at:?}");
    }
    append_as(&store, &at, Epoch(4), 4..=4).await;
    // A batch that is refused takes nothing over.
    let gap = store.append(&at, Epoch(5), Append { events: &events(&at, 6..=6), ..NOTHING }).await;
    assert!(matches!(gap, Err(AppendError::Gap)), "law 2 (ordered): a batch after a hole got {gap:?}");
    append_as(&store, &at, Epoch(4), 5..=5).await;
    append_as(&store, &key("law-8-b", 1), Epoch(1), 1..=1).await;
}

/// Law 9: forgetting a session removes it for good, releasing it does not.
///
/// # Panics
///
/// When the store breaks the law.
pub async fn forgetting<S: EventStore>(make: &impl AsyncFn(Limits) -> S) {
    let store = make(Limits::default()).await;
    let (running, ended, other) = (key("law-9", 1), key("law-9", 2), key("law-9-b", 1));
    let released = store.release(&key("law-9-c", 1).session).await;
    assert!(released.is_ok(), "law 9 (forgetting): releasing an unknown session failed");
    for at in [&running, &ended, &other] {
        append(&store, at, 1..=3).await;
    }
    ok(store.end(&ended, Epoch(1)).await, "9 (forgetting)", "ending");
    store.release(&running.session).await.expect("law 9 (forgetting): releasing failed");
    assert_eq!(count(&store, [&running, &ended]).await, [3, 3], "law 9 (forgetting): a release lost events");

    let bytes = store.usage().bytes;
    let witness = Witness::new(store.watch(&running));
    for _ in 0..2 {
        store.forget(&running.session).await.expect("law 9 (forgetting): forgetting failed");
        for at in [&running, &ended] {
            let read = store.read(at, 0, ALL).await;
            assert!(
                matches!(read, Err(ReadError::Unknown)),
                "law 9 (forgetting): {at:?} is still there: {read:?}"
            );
        }
    }
    witness.expect_of("9 (forgetting)", "the end of the session").await;
    let freed: usize =
        [&running, &ended].iter().flat_map(|at| events(at, 1..=3)).map(|event| event.cost()).sum();
    let left = store.usage().bytes;
    assert!(
        bytes == 0 || bytes - left == freed,
        "law 9 (forgetting): `usage` went from {bytes} to {left} bytes"
    );

    for (at, seqs) in [(&running, 4..=4), (&running, 1..=1), (&ended, 1..=3), (&key("law-9", 3), 1..=1)] {
        let outcome = store.append(at, Epoch(9), Append { events: &events(at, seqs), ..NOTHING }).await;
        assert!(
            matches!(outcome, Err(AppendError::Ended)),
            "law 9 (forgetting): a late append got {outcome:?}"
        );
        let outcome = store.end(at, Epoch(9)).await;
        assert!(matches!(outcome, Err(AppendError::Ended)), "law 9 (forgetting): a late end got {outcome:?}");
        let read = store.read(at, 0, ALL).await;
        assert!(
            matches!(read, Err(ReadError::Unknown)),
            "law 9 (forgetting): a late append started {at:?} anew"
        );
    }
    assert_eq!(count(&store, [&other]).await, [3], "law 9 (forgetting): another session lost events");
}
