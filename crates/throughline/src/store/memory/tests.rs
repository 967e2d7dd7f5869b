use std::collections::{HashMap, HashSet};
use std::task::{Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::store::Event;

fn key(session: usize, stream: u64) -> StreamKey {
    StreamKey { session: format!("session-{session}").into(), stream }
}

fn event(seq: u64, keep: bool, size: usize) -> Event {
    // The frame tells the sequence, so that a read that mixes events up is seen.
    Event { seq, keep, frame: Bytes::from(vec![seq as u8; size]) }
}

fn events(seqs: std::ops::RangeInclusive<u64>) -> Vec<Event> {
    seqs.map(|seq| event(seq, false, 36)).collect()
}

/// The memory store never waits.
fn at_hand<T>(soon: Soon<T>) -> T {
    match soon {
        Soon::Now(answer) => answer,
        Soon::Later(_) => unreachable!("the memory store never waits"),
    }
}

fn append(store: &MemoryStore, at: &StreamKey, events: &[Event], written: u64, ends: bool) {
    at_hand(store.append(at, Epoch(1), Append { events, written, ends, note: None })).unwrap();
}

/// What a stream still holds.
fn held(store: &MemoryStore, at: &StreamKey) -> Vec<Event> {
    let (mut found, mut after) = (Vec::new(), 0);
    loop {
        match at_hand(store.read(at, after, ReadBudget::default())) {
            Ok(page) if page.events.is_empty() => return found,
            Ok(page) => {
                after = page.events.last().unwrap().seq;
                found.extend(page.events);
            }
            Err(ReadError::Dropped(dropped)) => after = dropped.oldest - 1,
            Err(ReadError::Unknown) => return found,
            Err(error) => panic!("{error}"),
        }
    }
}

fn bytes(store: &MemoryStore, at: &StreamKey) -> usize {
    held(store, at).iter().map(Event::cost).sum()
}

/// What the store's counters must add up to, counted from its parts.
fn check_counters(store: &MemoryStore) {
    let (mut total, mut ended) = (0, 0);
    for shard in &store.0.shards {
        for session in lock(shard).sessions() {
            session.check_counters();
            total += session.bytes();
            ended += session.ended();
        }
    }
    assert_eq!(store.usage().bytes, total, "the bytes of the store");
    assert_eq!(store.0.ended.len(), ended, "the queue of ended streams");
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_dropped_watch_leaves_nothing() {
    let store = MemoryStore::default();
    let at = key(1, 1);
    let watches: Vec<_> = (0..3).map(|stream| store.watch(&key(1, stream))).collect();
    let session_of = |store: &MemoryStore| store.0.shard(&at.session).find(&at.session).is_some();
    assert!(session_of(&store));
    drop(watches);
    assert!(!session_of(&store), "a session that was only watched is still there");

    append(&store, &at, &events(1..=1), 0, false);
    for _ in 0..3 {
        drop(store.watch(&at));
    }
    assert_eq!(store.0.shard(&at.session).find(&at.session).unwrap().watchers(), 0);
    let watch = store.watch(&at);
    drop(store);
    drop(watch);
}

#[test]
fn a_watch_wakes_for_what_happened_before_its_first_waker() {
    let (store, at) = (MemoryStore::default(), key(1, 1));
    let watch = store.watch(&at);
    append(&store, &at, &events(1..=1), 0, false);
    let count = Arc::new(Count::default());
    let waker = Waker::from(count.clone());
    watch.register(&waker);
    assert_eq!(count.0.load(Ordering::SeqCst), 1);
    watch.register(&waker);
    assert_eq!(count.0.load(Ordering::SeqCst), 1, "nothing has happened since");

    let other = store.watch(&key(1, 2));
    let silent = Arc::new(Count::default());
    other.register(&Waker::from(silent.clone()));
    append(&store, &at, &events(2..=2), 0, false);
    assert_eq!((count.0.load(Ordering::SeqCst), silent.0.load(Ordering::SeqCst)), (2, 0));

    at_hand(store.forget(&at.session)).unwrap();
    assert_eq!(
        (count.0.load(Ordering::SeqCst), silent.0.load(Ordering::SeqCst)),
        (3, 1),
        "both look once more"
    );
    let late = store.watch(&at);
    late.register(&waker);
    assert_eq!(count.0.load(Ordering::SeqCst), 4, "a watch of a forgotten session is told to look");
}

/// A waker may run anything, here the store itself.
struct Reads(MemoryStore, StreamKey);

impl Wake for Reads {
    fn wake(self: Arc<Self>) {
        append(&self.0, &key(9, 9), &[], 0, false);
        assert!(at_hand(self.0.read(&self.1, 0, ReadBudget::default())).is_ok());
        drop(self.0.watch(&self.1));
    }
}

#[test]
fn a_waker_may_use_the_store() {
    let (store, at) = (MemoryStore::default(), key(1, 1));
    let watch = store.watch(&at);
    watch.register(&Waker::from(Arc::new(Reads(store.clone(), at.clone()))));
    append(&store, &at, &events(1..=1), 0, false);
    append(&store, &at, &[], 0, true);
}

#[test]
fn a_refused_append_starts_no_session() {
    let store = MemoryStore::default();
    let refused =
        at_hand(store.append(&key(1, 1), Epoch(1), Append { events: &events(2..=2), ..Append::default() }));
    assert!(matches!(refused, Err(AppendError::Gap)));
    assert!(store.0.shards.iter().all(|shard| lock(shard).sessions().is_empty()));
}

#[test]
fn what_is_remembered_is_bounded() {
    let limits = Limits { session_ended_streams: 1, ..Limits::default() };
    let store = MemoryStore::new(limits);
    for stream in 0..200 {
        append(&store, &key(1, stream), &events(1..=1), 0, true);
    }
    let dropped = |stream| at_hand(store.read(&key(1, stream), 0, ReadBudget::default())).unwrap_err();
    assert!(matches!(dropped(198), ReadError::Dropped(Dropped { oldest: 2, count: 1 })));
    assert!(matches!(dropped(199 - session::GONE as u64), ReadError::Dropped(_)));
    assert!(matches!(dropped(198 - session::GONE as u64), ReadError::Unknown));

    let mut shard = Shard::default();
    for session in 0..shard::FORGOTTEN * 2 {
        shard.forget(&key(session, 0).session);
        shard.forget(&key(session, 0).session);
    }
    assert_eq!(shard.forgotten(), shard::FORGOTTEN);
    assert!(shard.open(&key(shard::FORGOTTEN * 2 - 1, 0).session).is_err());
    assert!(shard.open(&key(shard::FORGOTTEN - 1, 0).session).is_ok());
}

#[test]
fn an_even_share_is_spared() {
    // One session hoards unwritten events, 50 others have few: when the store is full, the hoarder pays.
    let cost = events(1..=1)[0].cost();
    let store = MemoryStore::new(Limits { store_bytes: 200 * cost, ..Limits::default() });
    for session in 1..=50 {
        append(&store, &key(session, 1), &events(1..=2), 0, false);
    }
    for seq in 1..=300 {
        append(&store, &key(0, 1), &events(seq..=seq), 0, false);
        check_counters(&store);
        assert!(store.usage().bytes <= 200 * cost);
    }
    for session in 1..=50 {
        assert_eq!(held(&store, &key(session, 1)).len(), 2, "session {session} had to pay");
    }
    assert!(held(&store, &key(0, 1)).len() > 90, "more was dropped than needed");
}

#[test]
fn a_stream_that_hoards_costs_no_other_stream_its_events() {
    let cost = events(1..=1)[0].cost();
    let store = MemoryStore::new(Limits { session_bytes: 40 * cost, ..Limits::default() });
    for stream in [0, 1, 3] {
        append(&store, &key(1, stream), &events(1..=4), 0, false);
    }
    for seq in 1..=100 {
        append(&store, &key(1, 2), &events(seq..=seq), 0, false);
    }
    let counts = [0, 1, 2, 3].map(|stream| held(&store, &key(1, stream)).len());
    assert_eq!(counts, [4, 4, 28, 4]);
}

#[test]
fn sessions_give_up_written_events_in_turns() {
    let limits = Limits { store_bytes: 4 << 20, ..Limits::default() };
    let store = MemoryStore::new(limits.clone());
    let frame = vec![event(1, false, 1024 - Event::OVERHEAD)];
    let at = |session: usize| key(session, 1);
    for session in 0..8 {
        for seq in 1..=512 {
            append(&store, &at(session), &[Event { seq, ..frame[0].clone() }], seq, false);
        }
    }
    assert_eq!(store.usage().bytes, 4 << 20, "the store is full to the byte");
    append(&store, &key(9, 1), &frame, 0, false);
    // One session's turn frees 64 KiB, the size of the slack here; one more KiB takes a second session's turn.
    let paid: Vec<_> =
        (0..8).map(|session| (512 << 10) - bytes(&store, &at(session))).filter(|paid| *paid > 0).collect();
    assert_eq!(paid.iter().sum::<usize>(), (64 << 10) + 1024);
    assert_eq!(paid.len(), 2, "more than one session pays: {paid:?}");
    check_counters(&store);
}

#[test]
fn results_are_given_up_after_what_can_be_replayed_and_no_more_than_a_walk_is_worth() {
    let store = MemoryStore::new(Limits { store_bytes: 1 << 20, ..Limits::default() });
    let kilobyte = |seq| event(seq, true, 1024 - Event::OVERHEAD);
    // Three quarters are results that nobody has seen, one quarter was written and can be replayed.
    for session in 0..768 {
        append(&store, &key(session, 1), &[kilobyte(1)], 0, true);
    }
    let (replayable, running) = (key(1_000, 1), key(1_001, 1));
    for seq in 1..=256 {
        append(&store, &replayable, &[kilobyte(seq)], seq, false);
    }
    assert_eq!(store.usage().bytes, 1 << 20, "the store is full to the byte");
    let results = || (0..768).filter(|session| !held(&store, &key(*session, 1)).is_empty()).count();
    for seq in 1..=256 {
        append(&store, &running, &[kilobyte(seq)], 0, false);
    }
    assert_eq!(results(), 768, "a result was given up while there was something to replay");
    assert!(held(&store, &replayable).is_empty());

    append(&store, &running, &[kilobyte(257)], 0, false);
    assert_eq!(results(), 768 - 1 - 16, "one for the new event, and 1/64 of the store");
    assert!(
        held(&store, &key(16, 1)).is_empty() && !held(&store, &key(17, 1)).is_empty(),
        "the oldest go first"
    );
    check_counters(&store);
}

#[tokio::test(start_paused = true)]
async fn retention_follows_the_paused_clock() {
    let (store, at) = (MemoryStore::default(), key(1, 1));
    append(&store, &at, &events(1..=1), 0, true);
    tokio::time::advance(Duration::from_secs(599)).await;
    store.sweep(now());
    assert_eq!(held(&store, &at).len(), 1);
    tokio::time::advance(Duration::from_secs(1)).await;
    store.sweep(now());
    assert_eq!(held(&store, &at).len(), 0);
    check_counters(&store);
}

#[test]
fn threads_share_the_store_within_its_budget() {
    let cost = events(1..=1)[0].cost();
    let limits = Limits { store_bytes: 400 * cost, session_bytes: 150 * cost, ..Limits::default() };
    let store = MemoryStore::new(limits.clone());
    std::thread::scope(|threads| {
        for thread in 0..4_usize {
            let store = &store;
            threads.spawn(move || {
                for round in 0..500_u64 {
                    let at = key(thread + (round % 3) as usize * 10, round / 3);
                    for seq in 1..=8 {
                        append(store, &at, &events(seq..=seq), seq / 2, false);
                    }
                    match round % 5 {
                        0 => at_hand(store.end(&at, Epoch(1))).unwrap(),
                        1 => append(store, &at, &[], 8, true),
                        _ => {}
                    }
                    held(store, &at);
                    if round % 100 == 99 {
                        store.sweep(now());
                    }
                }
            });
        }
    });
    check_counters(&store);
    assert!(store.usage().bytes <= limits.store_bytes, "{:?}", store.usage());
    for session in (0..4).flat_map(|thread| [thread, thread + 10, thread + 20]) {
        at_hand(store.forget(&key(session, 0).session)).unwrap();
    }
    assert_eq!(store.usage(), Usage::default(), "something is left after every session was forgotten");
    check_counters(&store);
}

#[derive(Clone, Debug)]
enum Step {
    Append { session: usize, stream: u64, sizes: Vec<(bool, usize)>, again: u64, written: u64, ends: bool },
    Forget { session: usize },
    Sweep { seconds: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let sizes = vec((any::<bool>(), 0..120_usize), 0..6);
    prop_oneof![
        20 => (0..5_usize, 0..5_u64, sizes, 0..3_u64, 0..12_u64, prop::bool::weighted(0.15)).prop_map(
            |(session, stream, sizes, again, written, ends)| {
                Step::Append { session, stream, sizes, again, written, ends }
            }
        ),
        1 => (0..5_usize).prop_map(|session| Step::Forget { session }),
        1 => (0..900_u64).prop_map(|seconds| Step::Sweep { seconds }),
    ]
}

fn limits() -> impl Strategy<Value = Limits> {
    (200..4_000_usize, 200..2_000_usize, 0..4_usize, 200..1_000_usize, 1..8_usize).prop_map(
        |(store_bytes, session_bytes, session_ended_streams, stream_bytes, stream_events)| Limits {
            store_bytes,
            session_bytes,
            session_ended_streams,
            stream_bytes,
            stream_events,
            ..Limits::default()
        },
    )
}

proptest! {
    /// After any sequence of operations each budget holds, the counters add up, and every read is either what was
    /// appended or says what is lost.
    #[test]
    fn budgets_hold_and_reads_are_honest(limits in limits(), steps in vec(step(), 1..60)) {
        let store = MemoryStore::new(limits.clone());
        let mut given: HashMap<(usize, u64), (Vec<Event>, bool)> = HashMap::new();
        let mut forgotten = HashSet::new();
        for step in steps {
            match step {
                Step::Append { session, stream, sizes, again, written, ends } => {
                    let known = given.get(&(session, stream)).map_or(&[][..], |(events, _)| events);
                    let was_ended = given.get(&(session, stream)).is_some_and(|(_, ended)| *ended);
                    let again = &known[known.len().saturating_sub(again as usize)..];
                    let fresh = (known.len() as u64 + 1..).zip(&sizes).map(|(seq, (keep, size))| event(seq, *keep, *size));
                    let batch: Vec<_> = again.iter().cloned().chain(fresh).collect();
                    let outcome =
                        at_hand(store.append(&key(session, stream), Epoch(0), Append { events: &batch, written, ends, note: None }));
                    if forgotten.contains(&session) || (was_ended && !sizes.is_empty()) {
                        prop_assert!(matches!(outcome, Err(AppendError::Ended)), "{:?}", outcome);
                    } else {
                        prop_assert!(outcome.is_ok(), "{:?}", outcome);
                        let (events, ended) = given.entry((session, stream)).or_default();
                        events.extend(batch.into_iter().skip_while(|event| event.seq <= events.len() as u64).collect::<Vec<_>>());
                        *ended |= ends;
                    }
                }
                Step::Forget { session } => {
                    at_hand(store.forget(&key(session, 0).session)).unwrap();
                    forgotten.insert(session);
                    given.retain(|(known, _), _| *known != session);
                }
                Step::Sweep { seconds } => store.sweep(now() + Duration::from_secs(seconds)),
            }
            check_counters(&store);
            prop_assert!(store.usage().bytes <= limits.store_bytes);
            for session in 0..5 {
                let (mut of_session, mut ended_held) = (0, 0);
                for ((_, stream), (events, ended)) in given.iter().filter(|((known, _), _)| *known == session) {
                    let at = key(session, *stream);
                    let held = held(&store, &at);
                    prop_assert!(held.iter().all(|event| *event == events[event.seq as usize - 1]));
                    let cost: usize = held.iter().map(Event::cost).sum();
                    prop_assert!(held.len() <= limits.stream_events && cost <= limits.stream_bytes);
                    of_session += cost;
                    ended_held += usize::from(*ended && !held.is_empty());
                    let end = at_hand(store.read(&at, events.len() as u64, ReadBudget::default())).unwrap();
                    prop_assert_eq!((end.head, end.ended), (events.len() as u64, *ended));
                    for after in 0..events.len() as u64 {
                        let is_held = |seq| held.iter().any(|event| event.seq == seq);
                        match at_hand(store.read(&at, after, ReadBudget::default())) {
                            Ok(page) => prop_assert_eq!(page.events[0].seq, after + 1),
                            Err(ReadError::Dropped(dropped)) => {
                                prop_assert_eq!(dropped.first(), after + 1);
                                prop_assert!(!(dropped.first()..dropped.oldest).any(is_held));
                                prop_assert!(is_held(dropped.oldest) || dropped.oldest == events.len() as u64 + 1);
                            }
                            Err(error) => prop_assert!(false, "{}", error),
                        }
                    }
                }
                prop_assert!(of_session <= limits.session_bytes);
                prop_assert!(ended_held <= limits.session_ended_streams);
            }
        }
    }
}
