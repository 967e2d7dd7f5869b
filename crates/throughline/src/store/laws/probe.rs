//! What the laws ask a store with.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;

use crate::store::{
    Append, AppendError, Dropped, Epoch, Event, EventStore, Page, ReadBudget, ReadError, SessionId,
    StreamKey, Watch,
};

/// Walks a stream from every cursor and checks that the answers agree. Returns how many events are held.
pub(super) async fn audit<S: EventStore>(store: &S, at: &StreamKey) -> usize {
    let (found, _) = held(store, at).await;
    let head = match store.read(at, 0, ALL).await {
        Ok(page) => page.head,
        Err(ReadError::Dropped(dropped)) => page(store, at, dropped.oldest - 1).await.head,
        Err(error) => panic!("law 4 (honest): a read failed: {error}"),
    };
    let is_held = |seq: u64| found.iter().any(|event| event.seq == seq);
    let hole_at = |first: u64| {
        let oldest = (first..=head).find(|seq| is_held(*seq)).unwrap_or(head + 1);
        Dropped { oldest, count: oldest - first }
    };
    for after in 0..=head {
        match store.read(at, after, ALL).await {
            Err(ReadError::Dropped(dropped)) => {
                assert_eq!(
                    dropped,
                    hole_at(after + 1),
                    "law 4 (honest): the loss after {after} is told wrong"
                );
            }
            Ok(page) => {
                let due: Vec<_> = (after + 1..=head).take_while(|seq| is_held(*seq)).collect();
                let seqs: Vec<_> = page.events.iter().map(|event| event.seq).collect();
                assert!(after == head || !due.is_empty(), "law 4 (honest): an empty page instead of a loss");
                assert_eq!(seqs, due, "law 4 (honest): the page after {after} does not stop at the hole");
                assert_eq!(
                    *page.events,
                    due.iter().map(|seq| kept_as_found(&found, *seq)).collect::<Vec<_>>()
                );
            }
            Err(error) => panic!("law 4 (honest): a read after {after} failed: {error}"),
        }
        let gap = store.first_gap(at, after).await.expect("law 4 (honest): first_gap failed");
        let due = (after + 1..=head).find(|seq| !is_held(*seq)).map(hole_at);
        assert_eq!(gap, due, "law 4 (honest): `first_gap` after {after} does not agree with the reads");
    }
    found.len()
}

fn kept_as_found(found: &[Event], seq: u64) -> Event {
    found.iter().find(|event| event.seq == seq).cloned().expect("the sequence was taken from `found`")
}

/// The events a stream still holds, whatever was dropped in between, and whether it has ended.
pub(super) async fn held<S: EventStore>(store: &S, at: &StreamKey) -> (Vec<Event>, bool) {
    let (mut found, mut after): (Vec<Event>, u64) = (Vec::new(), 0);
    loop {
        match store.read(at, after, ReadBudget::default()).await {
            Ok(page) => {
                for event in &page.events {
                    assert_eq!(event.seq, after + 1, "law 4 (honest): a page has a hole in it");
                    after = event.seq;
                }
                if page.events.is_empty() || after >= page.head {
                    assert_eq!(after, page.head, "law 4 (honest): an empty page before the head");
                    found.extend(page.events);
                    return (found, page.ended);
                }
                found.extend(page.events);
            }
            Err(ReadError::Dropped(dropped)) => {
                assert!(
                    dropped.oldest > after + 1,
                    "law 4 (honest): a loss that does not go forward: {dropped:?}"
                );
                assert_eq!(dropped.first(), after + 1, "law 4 (honest): the count of lost events is wrong");
                after = dropped.oldest - 1;
            }
            Err(ReadError::Unknown) => return (found, true),
            Err(error) => panic!("law 4 (honest): a read after {after} failed: {error}"),
        }
    }
}

/// How many events each of some streams holds.
pub(super) async fn count<S: EventStore, const N: usize>(store: &S, streams: [&StreamKey; N]) -> [usize; N] {
    let mut counts = [0; N];
    for (count, at) in counts.iter_mut().zip(streams) {
        *count = held(store, at).await.0.len();
    }
    counts
}

pub(super) async fn page<S: EventStore>(store: &S, at: &StreamKey, after: u64) -> Page {
    match store.read(at, after, ALL).await {
        Ok(page) => page,
        Err(error) => panic!("law 1 (durable): {at:?} cannot be read after {after}: {error}"),
    }
}

pub(super) async fn append<S: EventStore>(store: &S, at: &StreamKey, seqs: RangeInclusive<u64>) {
    append_as(store, at, Epoch(1), seqs).await;
}

pub(super) async fn append_as<S: EventStore>(
    store: &S,
    at: &StreamKey,
    epoch: Epoch,
    seqs: RangeInclusive<u64>,
) {
    let batch = events(at, seqs);
    let outcome = store.append(at, epoch, Append { events: &batch, ..NOTHING }).await;
    ok(outcome, "2 (ordered)", "an append that continues its stream");
}

pub(super) fn ok(outcome: Result<(), AppendError>, law: &str, what: &str) {
    if let Err(error) = outcome {
        panic!("law {law}: {what} was refused: {error}");
    }
}

pub(super) fn key(session: &str, stream: u64) -> StreamKey {
    StreamKey { session: SessionId::from(session), stream }
}

pub(super) fn events(at: &StreamKey, seqs: RangeInclusive<u64>) -> Vec<Event> {
    seqs.map(|seq| event(at, seq)).collect()
}

/// A notification whose frame names its place and has always the same length.
pub(super) fn event(at: &StreamKey, seq: u64) -> Event {
    let place = format!("{} {} {seq}", at.session.as_str(), at.stream);
    Event { seq, keep: false, frame: Bytes::from(format!("data: {place:<32}\n\n")) }
}

/// Waits for the wakes of a watch.
pub(super) struct Witness {
    _watch: Option<Watch>,
    wakes: Arc<Wakes>,
    seen: AtomicUsize,
}

#[derive(Default)]
struct Wakes {
    count: AtomicUsize,
    changed: Notify,
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_one();
    }
}

impl Witness {
    /// Keeps the watch.
    pub(super) fn new(watch: Watch) -> Self {
        let witness = Self::new_with(&watch);
        Self { _watch: Some(watch), ..witness }
    }

    /// For a watch that the caller keeps.
    pub(super) fn new_with(watch: &Watch) -> Self {
        let wakes = Arc::new(Wakes::default());
        watch.register(&Waker::from(wakes.clone()));
        Self { _watch: None, wakes, seen: AtomicUsize::new(0) }
    }

    /// Waits for a wake later than the last one this witness has seen.
    pub(super) async fn expect(&self, of: &str) {
        self.expect_of("5 (waking)", of).await;
    }

    pub(super) async fn expect_of(&self, law: &str, of: &str) {
        // Ten seconds are a bound for a store that is broken, not a time that is waited.
        let outcome = tokio::time::timeout(Duration::from_secs(10), self.woken()).await;
        assert!(outcome.is_ok(), "law {law}: a watcher was not woken by {of}");
    }

    /// Waits, as long as it takes, for a wake later than the last one this witness has seen.
    pub(super) async fn woken(&self) {
        while self.wakes.count.load(Ordering::SeqCst) <= self.seen.load(Ordering::SeqCst) {
            self.wakes.changed.notified().await;
        }
        self.look_away();
    }

    /// Wakes up to now do not count any more.
    pub(super) fn look_away(&self) {
        self.seen.store(self.wakes.count.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

pub(super) const ALL: ReadBudget = ReadBudget { events: usize::MAX, bytes: usize::MAX };

pub(super) const NOTHING: Append<'static> = Append { events: &[], written: 0, ends: false, note: None };

/// What an event of [`event`] costs: `data: `, 32 characters, two line ends.
pub(super) const COST: usize = 6 + 32 + 2 + Event::OVERHEAD;
