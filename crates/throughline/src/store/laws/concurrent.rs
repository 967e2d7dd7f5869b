//! Writers, readers and watchers at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{JoinSet, yield_now};

use super::bounded::now;
use super::probe::{ALL, COST, NOTHING, Witness, event, events, key, ok};
use super::random::Dice;
use crate::store::{Append, AppendError, Epoch, EventStore, Limits, ReadBudget, ReadError, StreamKey};

/// Laws 1 to 9 while several tasks use the store: a writer for each stream, readers that follow it from its start, readers
/// that lose their place and come back, and watches that come and go. Streams end, and a session is forgotten in the middle.
/// Each reader sees its stream contiguous, in order and once, and is woken for everything; with small budgets it is told of
/// each loss.
///
/// Tasks run on the runtime that this is called on: on one with several threads they run at the same time.
///
/// # Panics
///
/// When the store breaks a law.
pub async fn at_the_same_time<S: EventStore>(make: &impl AsyncFn(Limits) -> S) {
    nothing_is_lost(make).await;
    losses_are_told(make).await;
    forgetting_meets_writers(make).await;
}

/// Budgets with room for everything: every reader sees every event.
async fn nothing_is_lost<S: EventStore>(make: &impl AsyncFn(Limits) -> S) {
    let store = Arc::new(make(Limits::default()).await);
    let mut tasks = JoinSet::new();
    for number in 0..9 {
        let at = key(["at-once-a", "at-once-b", "at-once-c"][number as usize % 3], number);
        tasks.spawn(write(store.clone(), at.clone(), Dice::new(number)));
        for reader in 0..2 {
            let follow = Follow { at: at.clone(), comes_back: reader == 1, may_lose: false };
            tasks.spawn(follow.until_the_end(store.clone(), Dice::new(100 + number * 2 + reader)));
        }
    }
    bystander(&mut tasks, store.clone());
    all(tasks).await;
}

/// Budgets that are too small: what is lost is told, and the end is always reached.
async fn losses_are_told<S: EventStore>(make: &impl AsyncFn(Limits) -> S) {
    let limits = Limits {
        store_bytes: 40 * COST,
        session_bytes: 20 * COST,
        session_ended_streams: 2,
        stream_bytes: 10 * COST,
        stream_events: 8,
        ..Limits::default()
    };
    let store = Arc::new(make(limits.clone()).await);
    let mut tasks = JoinSet::new();
    for number in 0..6 {
        let at = key(["at-once-d", "at-once-e"][number as usize % 2], number);
        tasks.spawn(write(store.clone(), at.clone(), Dice::new(200 + number)));
        let follow = Follow { at, comes_back: number % 2 == 0, may_lose: true };
        tasks.spawn(follow.until_the_end(store.clone(), Dice::new(300 + number)));
    }
    bystander(&mut tasks, store.clone());
    all(tasks).await;
    // Another append, so that the budgets hold after what was in flight.
    let at = key("at-once-f", 1);
    ok(store.append(&at, Epoch(1), NOTHING).await, "6 (bounded)", "an append");
    let held = store.usage().bytes;
    assert!(
        held <= limits.store_bytes,
        "law 6 (bounded): after appends at the same time `usage` tells of {held} bytes; `store_bytes` is {}",
        limits.store_bytes
    );
}

/// What was taken before the session was forgotten, and what is refused after it, are the only outcomes.
async fn forgetting_meets_writers<S: EventStore>(make: &impl AsyncFn(Limits) -> S) {
    let store = Arc::new(make(Limits::default()).await);
    let (over, other) = (key("at-once-g", 0), key("at-once-h", 1));
    let mut tasks = JoinSet::new();
    let (is_forgotten, enough) = (Arc::new(AtomicBool::new(false)), Arc::new(Semaphore::new(0)));
    for stream in 0..4 {
        let at = StreamKey { stream, ..over.clone() };
        tasks.spawn(write_until_refused(store.clone(), at.clone(), is_forgotten.clone()));
        tasks.spawn(read_until_unknown(store.clone(), at, enough.clone()));
    }
    tasks.spawn(write(store.clone(), other.clone(), Dice::new(400)));
    let follow = Follow { at: other, comes_back: false, may_lose: false };
    tasks.spawn(follow.until_the_end(store.clone(), Dice::new(401)));
    let forgets = store.clone();
    let session = over.session.clone();
    tasks.spawn(async move {
        let all_read = enough.acquire_many(4).await;
        assert!(all_read.is_ok(), "nobody closes it");
        let outcome = forgets.forget(&session).await;
        assert!(outcome.is_ok(), "law 9 (forgetting): forgetting failed: {outcome:?}");
        is_forgotten.store(true, Ordering::SeqCst);
        for stream in 0..4 {
            let at = StreamKey { stream, session: session.clone() };
            let read = forgets.read(&at, 0, ALL).await;
            assert!(
                matches!(read, Err(ReadError::Unknown)),
                "law 9 (forgetting): {at:?} is still there after its session was forgotten: {read:?}"
            );
        }
    });
    all(tasks).await;
    for stream in 0..4 {
        let at = StreamKey { stream, ..over.clone() };
        let read = store.read(&at, 0, ALL).await;
        assert!(
            matches!(read, Err(ReadError::Unknown)),
            "law 9 (forgetting): a late append started {at:?} anew: {read:?}"
        );
    }
}

/// Writes a stream to its end, with batches of any size, some of them twice.
async fn write<S: EventStore>(store: Arc<S>, at: StreamKey, mut dice: Dice) {
    let mut head = 0;
    while head < LAST {
        let from = head + 1 - dice.below(3).min(head);
        head = LAST.min(head + 1 + dice.below(3));
        let batch = events(&at, from..=head);
        let append = Append { events: &batch, written: head - dice.below(4).min(head), ..Append::default() };
        ok(
            store.append(&at, Epoch(1), append).await,
            "2 (ordered)",
            "an append beside those of other streams",
        );
        match store.read(&at, head, ALL).await {
            Ok(page) => assert_eq!(
                page.head, head,
                "law 1 (durable): an append that returned is not read, or more than it is, beside other appends"
            ),
            other => panic!(
                "law 1 (durable): an append that returned is not read, beside other appends: {other:?}"
            ),
        }
        if dice.percent(30) {
            yield_now().await;
        }
    }
    ok(store.end(&at, Epoch(1)).await, "7 (ending)", "ending, beside other appends");
}

/// A reader of one stream.
struct Follow {
    at: StreamKey,
    /// It drops its watch now and then and comes back with its cursor.
    comes_back: bool,
    may_lose: bool,
}

impl Follow {
    async fn until_the_end<S: EventStore>(self, store: Arc<S>, mut dice: Dice) {
        let Self { at, comes_back, may_lose } = self;
        let (mut watch, mut seen) = (store.watch(&at), 0);
        loop {
            if comes_back && dice.percent(20) {
                watch = store.watch(&at);
            }
            let change = Witness::new_with(&watch);
            let max = ReadBudget { events: 1 + dice.below(5) as usize, bytes: usize::MAX };
            match store.read(&at, seen, max).await {
                Ok(page) => {
                    for found in &page.events {
                        seen += 1;
                        assert_eq!(
                            *found,
                            event(&at, seen),
                            "law 2 (ordered): a reader beside writers got another event than the next one"
                        );
                    }
                    if page.ended {
                        assert_eq!(
                            seen, LAST,
                            "law 7 (ending): {at:?} ended for a reader before its last event"
                        );
                        return;
                    }
                    if page.events.is_empty() {
                        change.expect("an append beside others, while its reader waits").await;
                    }
                }
                Err(ReadError::Dropped(dropped)) if may_lose => {
                    assert_eq!(
                        dropped.oldest.checked_sub(dropped.count),
                        Some(seen + 1),
                        "law 4 (honest): a loss is told wrong beside writers"
                    );
                    assert!(dropped.count > 0, "law 4 (honest): a loss of nothing: {dropped:?}");
                    seen = dropped.oldest - 1;
                }
                // It has ended and gone, with what nobody had read.
                Err(ReadError::Unknown) if may_lose && seen == LAST => return,
                Err(ReadError::Unknown) => {
                    change.expect("the first append, beside others, while its reader waits").await;
                }
                Err(error) => panic!("law 4 (honest): a reader beside writers failed after {seen}: {error}"),
            }
        }
    }
}

async fn write_until_refused<S: EventStore>(store: Arc<S>, at: StreamKey, is_forgotten: Arc<AtomicBool>) {
    for seq in 1.. {
        let was_forgotten = is_forgotten.load(Ordering::SeqCst);
        let batch = events(&at, seq..=seq);
        match store.append(&at, Epoch(1), Append { events: &batch, ..NOTHING }).await {
            Ok(()) => assert!(
                !was_forgotten,
                "law 9 (forgetting): {at:?} took event {seq} after its session was forgotten"
            ),
            Err(AppendError::Ended) => break,
            Err(error) => {
                panic!("law 9 (forgetting): an append beside the forgetting of its session got {error:?}")
            }
        }
        yield_now().await;
    }
    let again = store.append(&at, Epoch(1), Append { events: &events(&at, 1..=1), ..NOTHING }).await;
    assert!(
        matches!(again, Err(AppendError::Ended)),
        "law 9 (forgetting): {at:?} was refused as ended, and then got {again:?}"
    );
}

/// Follows a stream whose session is forgotten once every reader has seen `enough` of it.
async fn read_until_unknown<S: EventStore>(store: Arc<S>, at: StreamKey, enough: Arc<Semaphore>) {
    let (watch, mut seen, mut has_told) = (store.watch(&at), 0, false);
    loop {
        let change = Witness::new_with(&watch);
        match store.read(&at, seen, ALL).await {
            Ok(page) => {
                for found in &page.events {
                    seen += 1;
                    assert_eq!(
                        *found,
                        event(&at, seen),
                        "law 2 (ordered): a reader beside writers got another event than the next one"
                    );
                }
            }
            Err(ReadError::Unknown) if has_told => return,
            Err(ReadError::Unknown) => {}
            Err(error) => panic!("law 4 (honest): a reader of a session that is forgotten got {error}"),
        }
        if seen >= 5 && !has_told {
            has_told = true;
            enough.add_permits(1);
        }
        change.expect_of("9 (forgetting)", "an append or the end of the session, beside other appends").await;
    }
}

/// Watches that come and go, sweeps and questions while others work.
fn bystander<S: EventStore>(tasks: &mut JoinSet<()>, store: Arc<S>) {
    tasks.spawn(async move {
        for round in 0..60 {
            let at = key(["at-once-a", "at-once-d"][round as usize % 2], round % 9);
            let watch = store.watch(&at);
            let witness = Witness::new_with(&watch);
            yield_now().await;
            drop(watch);
            drop(witness);
            store.sweep(now());
            store.usage();
            let released = store.release(&key("at-once-i", 0).session).await;
            assert!(released.is_ok(), "law 9 (forgetting): releasing an unknown session failed");
        }
    });
}

async fn all(mut tasks: JoinSet<()>) {
    // The waits inside say what is missing, and are shorter; this one ends what never answers.
    let done = async {
        while let Some(outcome) = tasks.join_next().await {
            if let Err(error) = outcome {
                std::panic::resume_unwind(error.into_panic());
            }
        }
    };
    let outcome = tokio::time::timeout(Duration::from_secs(60), done).await;
    assert!(outcome.is_ok(), "law 1 (durable): an answer of the store never came, beside other work");
}

/// The last event of each stream.
const LAST: u64 = 40;
