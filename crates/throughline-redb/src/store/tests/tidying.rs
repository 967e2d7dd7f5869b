//! What the memory store drops goes from the file.

use std::time::Duration;

use super::*;

/// Bytes of events in the file, as a store without budgets finds them.
async fn in_file(disk: &Disk) -> usize {
    let limits = Limits {
        store_bytes: usize::MAX / 2,
        session_bytes: usize::MAX / 2,
        session_ended_streams: usize::MAX,
        stream_bytes: usize::MAX / 2,
        stream_events: usize::MAX,
        ..Limits::default()
    };
    let store = RedbStore::open_source(disk.source(), limits).unwrap();
    let bytes = store.usage().bytes;
    store.close().await;
    bytes
}

/// Waits until the writer has done what it was asked to before.
async fn settle(store: &RedbStore) {
    store.load().await.unwrap();
}

#[tokio::test]
async fn the_file_levels_off_while_the_store_is_written() {
    let disk = Disk::default();
    let limits = Limits { store_bytes: 1024 * 1024, session_bytes: 512 * 1024, ..Limits::default() };
    let store = RedbStore::open_source(disk.source(), limits.clone()).unwrap();
    let mut sizes = Vec::new();
    // 20 MiB go through a store of 1 MiB, as running streams and as ended ones.
    for round in 0..10_u64 {
        for number in 0..64_u64 {
            let session = format!("session-{}", number % 8);
            let at = key(&session, round * 64 + number);
            let events: Vec<_> =
                (1..=8).map(|seq| Event { seq, keep: seq == 8, frame: vec![b'x'; 4096].into() }).collect();
            let ends = number % 3 > 0;
            let batch = Append { events: &events, written: 4, ends, note: None };
            store.append(&at, Epoch(0), batch).await.unwrap();
        }
        sizes.push(disk.len());
    }
    let (early, late) = (sizes[3], sizes[9]);
    assert!(late <= early + early / 2, "the file grew from {early} to {late} bytes: {sizes:?}");
    assert!(late < 32 * 1024 * 1024, "the file takes {late} bytes for a store of 1 MiB");
    store.close().await;
    let left = in_file(&disk).await;
    assert!(left < 4 * limits.store_bytes, "{left} bytes of events are left in the file");
}

#[tokio::test]
async fn a_sweep_removes_what_was_dropped() {
    let disk = Disk::default();
    let store = open(&disk);
    for stream in 0..200 {
        let at = key("a", stream);
        append(&store, &at, &(1..=5).map(|seq| event(seq, "x")).collect::<Vec<_>>()).await.unwrap();
        store.end(&at, Epoch(0)).await.unwrap();
    }
    append(&store, &key("a", 500), &[event(1, "y")]).await.unwrap();
    save(&store, "b", "a record").await.unwrap();
    store.sweep(now());
    settle(&store).await;
    store.sweep(now() + Limits::default().retention + Duration::from_secs(1));
    // Each message gives the walk a transaction.
    for _ in 0..8 {
        settle(&store).await;
    }
    store.close().await;
    assert_eq!(in_file(&disk).await, event(1, "y").cost());

    // What is left of the ended ones are the ends of the last 64, and those are told.
    let store = open(&disk);
    assert_eq!(held(&store, &key("a", 500)).await, Some((vec![event(1, "y")], false)));
    let known = async |stream| {
        let read = store.read(&key("a", stream), 2, ReadBudget::default()).await;
        match read {
            Err(ReadError::Dropped(dropped)) => {
                assert_eq!((dropped.oldest, dropped.count), (6, 3));
                true
            }
            Err(ReadError::Unknown) => false,
            other => panic!("{other:?}"),
        }
    };
    assert!(known(199).await && known(140).await);
    assert!(!known(0).await && !known(100).await);
    let again = append(&store, &key("a", 199), &[event(6, "z")]).await;
    assert!(matches!(again, Err(AppendError::Ended)), "{again:?}");
    assert_eq!(store.load().await.unwrap().len(), 1);
}

#[tokio::test]
async fn holes_are_the_same_after_reopening() {
    let disk = Disk::default();
    let limits = Limits { stream_events: 4, ..Limits::default() };
    let store = RedbStore::open_source(disk.source(), limits.clone()).unwrap();
    let at = key("a", 1);
    for seq in 1..=20 {
        append(&store, &at, &[Event { keep: seq % 5 == 0, ..event(seq, "x") }]).await.unwrap();
    }
    let before = held(&store, &at).await;
    let gaps = async |store: &RedbStore| {
        let mut gaps = Vec::new();
        for after in 0..=20 {
            gaps.push(store.first_gap(&at, after).await.unwrap());
        }
        gaps
    };
    let gaps_before = gaps(&store).await;
    assert_eq!(before.as_ref().unwrap().0.len(), 4);
    store.sweep(now());
    for _ in 0..4 {
        settle(&store).await;
    }
    store.close().await;
    let left: usize = before.as_ref().unwrap().0.iter().map(Event::cost).sum();
    assert_eq!(in_file(&disk).await, left);
    let store = RedbStore::open_source(disk.source(), limits).unwrap();
    assert_eq!((held(&store, &at).await, gaps(&store).await), (before, gaps_before));
}

#[tokio::test]
async fn an_end_counts_from_when_it_was_and_not_from_the_opening() {
    let disk = Disk::default();
    let store = open(&disk);
    let at = key("a", 1);
    append(&store, &at, &[event(1, "x")]).await.unwrap();
    store.end(&at, Epoch(0)).await.unwrap();
    let ended = now();
    store.close().await;
    let store = open(&disk);
    let retention = Limits::default().retention;
    store.sweep(ended + retention - Duration::from_secs(60));
    assert!(held(&store, &at).await.is_some_and(|(events, _)| events.len() == 1));
    // The file has milliseconds.
    store.sweep(ended + retention + Duration::from_millis(2));
    assert_eq!(held(&store, &at).await, Some((Vec::new(), true)));
}

#[tokio::test]
async fn sessions_that_nobody_knows_are_forgotten_in_time() {
    let disk = Disk::default();
    let store = open(&disk);
    for session in ["kept", "written", "orphan"] {
        append(&store, &key(session, 1), &[event(1, "x")]).await.unwrap();
    }
    save(&store, "kept", "a record").await.unwrap();
    let day = Duration::from_secs(24 * 60 * 60 + 1);
    store.sweep(now() + day);
    settle(&store).await;
    assert!(held(&store, &key("orphan", 1)).await.is_some(), "its writer lives");
    store.close().await;

    let store = open(&disk);
    store.sweep(now());
    settle(&store).await;
    append(&store, &key("written", 1), &[event(2, "x")]).await.unwrap();
    let [orphan, kept, written] = ["orphan", "kept", "written"].map(|session| key(session, 1));
    assert!(held(&store, &orphan).await.is_some(), "the day is not over");
    // A disk that fails is asked again.
    disk.fail(Some(Fault::Syncs));
    store.sweep(now() + day);
    let _ = store.load().await;
    disk.fail(None);
    assert!(held(&store, &orphan).await.is_some());
    store.sweep(now() + day);
    settle(&store).await;
    assert_eq!(held(&store, &orphan).await, None);
    store.close().await;
    let store = open(&disk);
    assert_eq!(held(&store, &orphan).await, None);
    assert_eq!(held(&store, &kept).await, Some((vec![event(1, "x")], false)));
    assert_eq!(held(&store, &written).await, Some((vec![event(1, "x"), event(2, "x")], false)));
}
