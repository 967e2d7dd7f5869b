//! A store that is filled goes on as the one that it was filled from.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::store::memory::now;
use crate::store::{EventStore, ReadBudget, ReadError, Soon};

fn key(session: u8, stream: u64) -> StreamKey {
    StreamKey { session: format!("session-{session}").into(), stream }
}

fn event(seq: u64, keep: bool) -> Event {
    Event { seq, keep, frame: Bytes::from(vec![seq as u8; (seq % 5) as usize * 20]) }
}

fn at_hand<T>(soon: Soon<T>) -> T {
    match soon {
        Soon::Now(answer) => answer,
        Soon::Later(_) => unreachable!("the memory store never waits"),
    }
}

/// What a stream holds and whether it has ended; `None` when it is unknown.
fn held(store: &MemoryStore, at: &StreamKey) -> Option<(Vec<Event>, bool)> {
    let (mut found, mut after) = (Vec::new(), 0);
    loop {
        match at_hand(store.read(at, after, ReadBudget::default())) {
            Ok(page) if page.events.is_empty() => return Some((found, page.ended)),
            Ok(page) => {
                after = page.events[page.events.len() - 1].seq;
                found.extend(page.events);
            }
            Err(ReadError::Dropped(dropped)) => after = dropped.oldest - 1,
            Err(_) => return None,
        }
    }
}

#[derive(Clone, Debug)]
struct Step {
    session: u8,
    stream: u64,
    keeps: Vec<bool>,
    written: u64,
    ends: bool,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0..3_u8, 0..6_u64, vec(any::<bool>(), 0..5), 0..12_u64, prop::bool::weighted(0.3));
    let step = step.prop_map(|(session, stream, keeps, written, ends)| {
        // One that ends with nothing in it is restored as given up, which is all that can be told of it.
        let ends = ends && !keeps.is_empty();
        Step { session, stream, keeps, written, ends }
    });
    vec(step, 0..40)
}

/// What a store elsewhere knows of each stream: its written mark and its end.
type Kept = BTreeMap<(u8, u64), (u64, Option<Instant>)>;

fn run(store: &MemoryStore, steps: &[Step], now: Instant, kept: &mut Kept) {
    for (step, number) in steps.iter().zip(1..) {
        let (at, now) = (key(step.session, step.stream), now + Duration::from_secs(number));
        let before = store.standing(&at).stream.map_or(0, |stream| stream.head);
        let events: Vec<_> = (before + 1..).zip(&step.keeps).map(|(seq, keep)| event(seq, *keep)).collect();
        let batch = Append { events: &events, written: step.written, ends: step.ends, note: None };
        if store.append_at(&at, Epoch(2), batch, now).is_ok() {
            let head = before + events.len() as u64;
            let (written, ended) = kept.entry((step.session, step.stream)).or_default();
            *written = step.written.min(head).max(*written);
            if step.ends {
                ended.get_or_insert(now);
            }
        }
    }
}

fn restore(store: &MemoryStore, kept: &Kept, limits: &Limits) -> MemoryStore {
    let sessions = (0..3_u8).map(|session| {
        let streams =
            kept.range((session, 0)..=(session, u64::MAX)).filter_map(|((_, stream), (written, ended))| {
                let at = key(session, *stream);
                let head = store.standing(&at).stream?.head;
                let (events, _) = held(store, &at)?;
                Some(RestoredStream { stream: *stream, events, head, written: *written, ended: *ended })
            });
        let epoch = store.standing(&key(session, 0)).epoch.unwrap_or_default();
        RestoredSession { id: key(session, 0).session, epoch, kept: false, streams: streams.collect() }
    });
    MemoryStore::restored(limits.clone(), sessions.collect::<Vec<_>>()).unwrap()
}

fn same(one: &MemoryStore, other: &MemoryStore) -> Result<(), TestCaseError> {
    prop_assert_eq!(one.bytes(), other.bytes());
    for session in 0..3 {
        for stream in 0..6 {
            let at = key(session, stream);
            prop_assert_eq!(one.standing(&at).stream, other.standing(&at).stream);
            prop_assert_eq!(held(one, &at), held(other, &at));
            for after in 0..12 {
                let [one, other] = [one, other].map(|store| at_hand(store.first_gap(&at, after)).ok());
                prop_assert_eq!(one, other);
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_restored_store_goes_on_as_the_one_before(
        (session_bytes, session_ended_streams) in (300..3_000_usize, 1..4_usize),
        (stream_bytes, stream_events) in (200..1_000_usize, 1..8_usize),
        (before, after) in (steps(), steps()),
        swept in 0..900_u64,
    ) {
        let limits = Limits { session_bytes, session_ended_streams, stream_bytes, stream_events, ..Limits::default() };
        let (store, mut kept) = (MemoryStore::new(limits.clone()), Kept::new());
        let now = now();
        run(&store, &before, now, &mut kept);
        let restored = restore(&store, &kept, &limits);
        same(&store, &restored)?;

        let later = now + Duration::from_secs(100);
        run(&store, &after, later, &mut kept.clone());
        run(&restored, &after, later, &mut kept);
        same(&store, &restored)?;
        for store in [&store, &restored] {
            store.sweep(now + Duration::from_secs(swept));
        }
        same(&store, &restored)?;
    }

    #[test]
    fn a_store_is_restored_within_smaller_budgets(steps in steps(), store_bytes in 0..3_000_usize) {
        let (store, mut kept) = (MemoryStore::default(), Kept::new());
        run(&store, &steps, now(), &mut kept);
        let limits = Limits { store_bytes, session_ended_streams: 2, ..Limits::default() };
        let restored = restore(&store, &kept, &limits);
        prop_assert!(restored.bytes() <= store_bytes);
        prop_assert_eq!(restored.bytes(), restored.usage().bytes);
    }
}

#[test]
fn what_is_there_twice_or_out_of_order_is_refused() {
    let stream = |seqs: &[u64]| RestoredStream {
        stream: 1,
        events: seqs.iter().map(|seq| event(*seq, false)).collect(),
        head: 0,
        written: 0,
        ended: None,
    };
    let session = |streams| RestoredSession { id: "a".into(), epoch: Epoch(0), kept: false, streams };
    for sessions in [
        vec![session(vec![stream(&[2, 1])])],
        vec![session(vec![stream(&[1]), stream(&[1])])],
        vec![session(Vec::new()), session(Vec::new())],
    ] {
        let refused = MemoryStore::restored(Limits::default(), sessions);
        assert!(matches!(refused, Err(AppendError::Gap)));
    }
}

#[test]
fn a_kept_session_stays_without_streams_until_it_is_forgotten() {
    let (store, at) = (MemoryStore::default(), key(1, 1));
    assert_eq!(store.standing(&at), Standing::default());
    store.keep(&at.session, Epoch(3)).unwrap();
    drop(store.watch(&at));
    assert_eq!(store.standing(&at).epoch, Some(Epoch(3)));
    assert!(matches!(store.keep(&at.session, Epoch(2)), Err(AppendError::Fenced)));
    let late = at_hand(store.append(&at, Epoch(2), Append::default()));
    assert!(matches!(late, Err(AppendError::Fenced)));

    at_hand(store.forget(&at.session)).unwrap();
    assert_eq!(store.standing(&at), Standing { forgotten: true, ..Standing::default() });
    assert!(matches!(store.keep(&at.session, Epoch(9)), Err(AppendError::Ended)));

    // A watch alone is no session.
    let other = key(2, 1);
    let watch = store.watch(&other);
    assert_eq!(store.standing(&other).epoch, None);
    drop(watch);
}

#[test]
fn a_mark_is_taken_only_where_it_changes_nothing_else() {
    let (store, at) = (MemoryStore::new(Limits { stream_events: 2, ..Limits::default() }), key(1, 1));
    assert!(!store.mark_written(&at, Epoch(0), 1), "the stream is unknown");
    let events = [event(1, true), event(2, false)];
    at_hand(store.append(&at, Epoch(1), Append { events: &events, ..Append::default() })).unwrap();
    assert!(!store.mark_written(&at, Epoch(0), 1), "the epoch is old");
    assert!(!store.mark_written(&at, Epoch(2), 1), "the epoch is new");
    assert!(!store.mark_written(&key(1, 2), Epoch(1), 1), "the stream is unknown");
    assert!(store.mark_written(&at, Epoch(1), 1));
    at_hand(store.append(&at, Epoch(1), Append { events: &[event(3, false)], ..Append::default() })).unwrap();
    let seqs: Vec<_> = held(&store, &at).unwrap().0.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, [2, 3], "what was written goes first");
}
