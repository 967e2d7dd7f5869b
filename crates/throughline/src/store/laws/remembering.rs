//! Law 10: what a store remembers of sessions.

#[cfg(test)]
mod tests;

use bytes::Bytes;

use super::probe::{NOTHING, append_as, event, events, key, ok};
use crate::store::{
    Append, AppendError, Epoch, Event, EventStore, KeptSession, KeptStream, Limits, SessionId, SessionStore,
};

/// Law 10: what was saved is what is loaded, with the streams that have not ended, until the session is forgotten. Nothing is
/// asked of a store that keeps no sessions.
///
/// # Panics
///
/// When the store breaks the law.
pub async fn remembering<S: EventStore>(make: &impl AsyncFn(Limits) -> S) {
    if make(Limits::default()).await.sessions().is_none() {
        return;
    }
    records_are_kept(make).await;
    streams_are_kept(make).await;
    forgotten_sessions_are_not_kept(make).await;
}

/// Law 10 for a store that outlives its process: `reopen` closes it as a shutdown does and opens it again.
///
/// # Panics
///
/// When a session is not as it was.
pub async fn remembers_after_reopening<S: EventStore>(store: S, reopen: impl AsyncFn(S) -> S) {
    let [plain, busy, gone] = ["law-10-plain", "law-10-busy", "law-10-gone"].map(SessionId::from);
    for session in [&plain, &busy, &gone] {
        save(&store, session, Epoch(1), "a record").await;
    }
    save(&store, &busy, Epoch(2), "a newer record").await;
    let (running, silent, ended) = (key(busy.as_str(), 7), key(busy.as_str(), 8), key(busy.as_str(), 9));
    let note = Bytes::from_static(b"what it is for");
    let batch = Append { events: &events(&running, 1..=3), note: Some(&note), ..NOTHING };
    ok(store.append(&running, Epoch(2), batch).await, LAW, "an append with a note");
    ok(
        store.append(&silent, Epoch(2), Append { note: Some(&note), ..NOTHING }).await,
        LAW,
        "a note without events",
    );
    append_as(&store, &ended, Epoch(3), 1..=2).await;
    ok(store.end(&ended, Epoch(3)).await, LAW, "ending");
    store.forget(&gone).await.expect("law 10 (remembering): forgetting failed");
    for session in [&plain, &busy] {
        store.release(session).await.expect("law 10 (remembering): releasing failed");
    }
    let before = load(&store).await;

    let store = reopen(store).await;
    assert_eq!(load(&store).await, before, "law 10 (remembering): sessions are not the same after reopening");
    let kept = |stream, head| KeptStream { stream, head, note: Some(note.clone()) };
    let busy = KeptSession { streams: vec![kept(7, 3), kept(8, 0)], ..session(&busy, 3, "a newer record") };
    let plain = session(&plain, 1, "a record");
    assert_eq!(before, [busy.clone(), plain], "law 10 (remembering): what was loaded before reopening");
    let late = save_as(&store, &busy.id, Epoch(2), "too old").await;
    assert!(
        matches!(late, Err(AppendError::Fenced)),
        "law 10 (remembering): the fence is gone after reopening: {late:?}"
    );
    append_as(&store, &running, Epoch(4), 4..=4).await;
}

async fn records_are_kept<S: EventStore>(make: &impl AsyncFn(Limits) -> S) {
    let store = make(Limits::default()).await;
    assert_eq!(load(&store).await, [], "law 10 (remembering): an empty store remembers something");
    let [first, second, unsaved] = ["law-10-a", "law-10-b", "law-10-c"].map(SessionId::from);
    // Bytes to the store, text or not.
    let odd = Bytes::from_static(b"\0\xff\n");
    let outcome = sessions(&store).save(&second, Epoch(0), odd.clone()).await;
    ok(outcome, LAW, "saving");
    save(&store, &first, Epoch(1), "one").await;
    append_as(&store, &key(unsaved.as_str(), 1), Epoch(0), 1..=1).await;
    let second = KeptSession { record: odd, ..session(&second, 0, "") };
    assert_eq!(
        load(&store).await,
        [session(&first, 1, "one"), second.clone()],
        "law 10 (remembering): what was saved is not what is loaded"
    );

    save(&store, &first, Epoch(1), "").await;
    save(&store, &first, Epoch(3), "two").await;
    let newest = session(&first, 3, "two");
    for (epoch, what) in [(Epoch(2), "an older epoch"), (Epoch(0), "the first epoch")] {
        let outcome = save_as(&store, &first, epoch, "late").await;
        assert!(
            matches!(outcome, Err(AppendError::Fenced)),
            "law 10 (remembering): a save with {what} got {outcome:?}"
        );
        let at = key(first.as_str(), 1);
        let batch = Append { events: &events(&at, 1..=1), ..NOTHING };
        let outcome = store.append(&at, epoch, batch).await;
        assert!(
            matches!(outcome, Err(AppendError::Fenced)),
            "law 10 (remembering): an append with {what} than the saved one got {outcome:?}"
        );
    }
    assert_eq!(
        load(&store).await,
        [newest, second.clone()],
        "law 10 (remembering): not the latest record is loaded, or not its epoch"
    );
    append_as(&store, &key(first.as_str(), 1), Epoch(5), 1..=1).await;
    ok(store.end(&key(first.as_str(), 1), Epoch(5)).await, LAW, "ending");
    assert_eq!(
        load(&store).await,
        [session(&first, 5, "two"), second],
        "law 10 (remembering): an append with a newer epoch does not count"
    );
}

async fn streams_are_kept<S: EventStore>(make: &impl AsyncFn(Limits) -> S) {
    let store = make(Limits { stream_events: 4, ..Limits::default() }).await;
    let id = SessionId::from("law-10");
    let at = |stream| key(id.as_str(), stream);
    let [empty_note, first_note, second_note, late_note] =
        ["empty", "first", "second", "late"].map(|text| Some(Bytes::from_static(text.as_bytes())));
    save(&store, &id, Epoch(1), "a record").await;

    // In an order that is not that of their numbers.
    let (noted, plain, short, empty) = (at(300), at(2), at(4), at(1));
    let first = Append { events: &events(&noted, 1..=2), note: first_note.as_ref(), ..NOTHING };
    ok(store.append(&noted, Epoch(1), first).await, LAW, "an append with a note");
    let second = Append { events: &events(&noted, 3..=3), note: second_note.as_ref(), ..NOTHING };
    ok(store.append(&noted, Epoch(1), second).await, LAW, "an append with another note");
    append_as(&store, &plain, Epoch(1), 1..=1).await;
    let all: Vec<_> = (1..=6).map(|seq| Event { keep: seq < 4, ..event(&short, seq) }).collect();
    ok(
        store.append(&short, Epoch(1), Append { events: &all, ..NOTHING }).await,
        LAW,
        "an append larger than a stream",
    );
    ok(
        store.append(&empty, Epoch(1), Append { note: empty_note.as_ref(), ..NOTHING }).await,
        LAW,
        "a note without events",
    );
    let kept = |stream, head, note: Option<Bytes>| KeptStream { stream, head, note };
    let mut due = KeptSession {
        streams: vec![
            kept(1, 0, empty_note.clone()),
            kept(2, 1, None),
            kept(4, 6, None),
            kept(300, 3, first_note.clone()),
        ],
        ..session(&id, 1, "a record")
    };
    assert_eq!(
        load(&store).await,
        [due.clone()],
        "law 10 (remembering): the streams are not those that have not ended"
    );

    // A later batch may say what the stream is for as well as the first.
    let late = Append { events: &events(&plain, 2..=2), note: late_note.as_ref(), ..NOTHING };
    ok(store.append(&plain, Epoch(1), late).await, LAW, "an append with the first note of a stream");
    due.streams[1] = kept(2, 2, late_note.clone());
    ok(store.end(&noted, Epoch(1)).await, LAW, "ending");
    let last = Append { events: &events(&empty, 1..=1), ends: true, ..NOTHING };
    ok(store.append(&empty, Epoch(1), last).await, LAW, "an append that ends its stream");
    due.streams = vec![due.streams[1].clone(), due.streams[2].clone()];
    assert_eq!(load(&store).await, [due], "law 10 (remembering): a stream that ended is still kept");
}

async fn forgotten_sessions_are_not_kept<S: EventStore>(make: &impl AsyncFn(Limits) -> S) {
    let store = make(Limits::default()).await;
    let [gone, stays] = ["law-10-a", "law-10-b"].map(SessionId::from);
    for id in [&gone, &stays] {
        save(&store, id, Epoch(1), "a record").await;
        append_as(&store, &key(id.as_str(), 1), Epoch(1), 1..=1).await;
        store.release(id).await.expect("law 10 (remembering): releasing failed");
    }
    store.forget(&gone).await.expect("law 10 (remembering): forgetting failed");
    let outcome = save_as(&store, &gone, Epoch(9), "late").await;
    assert!(
        matches!(outcome, Err(AppendError::Ended)),
        "law 10 (remembering): saving a forgotten session got {outcome:?}"
    );
    let streams = vec![KeptStream { stream: 1, head: 1, note: None }];
    assert_eq!(
        load(&store).await,
        [KeptSession { streams, ..session(&stays, 1, "a record") }],
        "law 10 (remembering): a forgotten session is kept, or one that was released is not"
    );
}

fn sessions<S: EventStore>(store: &S) -> &dyn SessionStore {
    store.sessions().expect("law 10 (remembering): a store that keeps sessions said that it keeps none")
}

async fn save_as<S: EventStore>(
    store: &S,
    id: &SessionId,
    epoch: Epoch,
    record: &'static str,
) -> Result<(), AppendError> {
    sessions(store).save(id, epoch, Bytes::from_static(record.as_bytes())).await
}

async fn save<S: EventStore>(store: &S, id: &SessionId, epoch: Epoch, record: &'static str) {
    ok(save_as(store, id, epoch, record).await, LAW, "saving");
}

/// The sessions in the order of their ids: the law asks for none.
async fn load<S: EventStore>(store: &S) -> Vec<KeptSession> {
    let mut kept = sessions(store).load().await.expect("law 10 (remembering): loading failed");
    kept.sort_by(|a, b| a.id.cmp(&b.id));
    kept
}

fn session(id: &SessionId, epoch: u64, record: &'static str) -> KeptSession {
    KeptSession {
        id: id.clone(),
        epoch: Epoch(epoch),
        record: Bytes::from_static(record.as_bytes()),
        streams: Vec::new(),
    }
}

const LAW: &str = "10 (remembering)";
