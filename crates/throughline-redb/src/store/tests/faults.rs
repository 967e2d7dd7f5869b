//! What fails is not seen, what was acknowledged stays, and it goes on when the disk works again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use super::*;

const PANICS: &str = "the database engine panicked (the disk is haunted); if it does so again, the file is damaged: restore it \
                      from a copy or move it away";

const FAULTS: [(Fault, &str); 6] = [
    (Fault::Writes(0), "the disk is full; make room"),
    (Fault::Writes(2), "the disk is full; make room"),
    (Fault::Grows, "the disk is full; make room"),
    (Fault::Syncs, "the disk failed: the disk does not answer"),
    (Fault::Panics { after: 0, times: u32::MAX }, PANICS),
    (Fault::Panics { after: 2, times: u32::MAX }, PANICS),
];

/// Events so large that the file must grow for them.
fn large(seqs: std::ops::RangeInclusive<u64>, text: &str) -> Vec<Event> {
    seqs.map(|seq| Event { seq, keep: true, frame: text.repeat(60_000).into() }).collect()
}

#[derive(Default)]
struct Rings(AtomicUsize);

impl Wake for Rings {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn an_append_that_fails_is_not_seen_now_or_later() {
    for (fault, told) in FAULTS {
        let disk = Disk::default();
        let store = open(&disk);
        let at = key("a", 1);
        append(&store, &at, &large(1..=1, "kept")).await.unwrap();
        let watch = store.watch(&at);
        let rings = Arc::new(Rings::default());
        watch.register(&Waker::from(rings.clone()));

        disk.fail(Some(fault));
        // So much that some of it has to be written where the file does not reach yet.
        let mut refused = 0;
        for stream in 1..40 {
            let at = key("a", stream);
            let seq = if stream == 1 { 2 } else { 1 };
            if let outcome @ Err(_) = append(&store, &at, &large(seq..=seq, "lost")).await {
                assert_eq!(cause(outcome), told);
                refused = stream;
                break;
            }
        }
        assert!(refused > 0, "{fault:?}: nothing failed");
        if refused == 1 {
            assert_eq!(rings.0.load(Ordering::SeqCst), 0, "{fault:?}: nothing happened, and it rang");
            assert_eq!(held(&store, &at).await, Some((large(1..=1, "kept"), false)), "{fault:?}");
        }
        let there = held(&store, &key("a", refused)).await;
        assert_eq!(there.is_some(), refused == 1, "{fault:?}");
        // It fails as long as the disk does, and reads go on.
        for _ in 0..3 {
            let _ = cause(append(&store, &key("b", 1), &large(1..=1, "lost")).await);
            assert!(held(&store, &at).await.is_some());
        }

        disk.fail(None);
        let seq = if refused == 1 { 2 } else { 1 };
        append(&store, &key("a", refused), &large(seq..=seq, "new")).await.unwrap();
        store.close().await;
        let store = open(&disk);
        let (events, _) = held(&store, &key("a", refused)).await.unwrap();
        assert_eq!(events.last(), large(seq..=seq, "new").last(), "{fault:?}: what failed came back");
        assert_eq!(held(&store, &at).await.unwrap().0[0], large(1..=1, "kept")[0], "{fault:?}");
        assert_eq!(held(&store, &key("b", 1)).await, None, "{fault:?}: what failed came back");
    }
}

#[tokio::test]
async fn sessions_are_as_before_when_changing_or_forgetting_them_fails() {
    for (fault, told) in FAULTS.into_iter().filter(|(fault, _)| *fault != Fault::Grows) {
        let disk = Disk::default();
        let store = open(&disk);
        let (running, ended) = (key("a", 1), key("a", 2));
        save(&store, "a", "first").await.unwrap();
        append(&store, &running, &[event(1, "x"), event(2, "x")]).await.unwrap();
        append(&store, &ended, &[event(1, "y")]).await.unwrap();
        store.end(&ended, Epoch(0)).await.unwrap();
        let kept = store.load().await.unwrap();

        disk.fail(Some(fault));
        assert_eq!(cause(save(&store, "a", "second").await), told);
        let refused = store.forget(&"a".into()).await.unwrap_err();
        assert!(
            ["the disk is full", "the disk failed", PANICS]
                .iter()
                .any(|told| refused.to_string().starts_with(told))
        );
        let _ = cause(store.append(&running, Epoch(7), Append { ends: true, ..Append::default() }).await);
        assert_eq!(held(&store, &running).await, Some((vec![event(1, "x"), event(2, "x")], false)));

        disk.fail(None);
        append(&store, &running, &[event(3, "x")]).await.expect("no newer epoch has taken over");
        let mut due = kept;
        due[0].streams[0].head = 3;
        store.close().await;
        for _ in 0..2 {
            let store = open(&disk);
            assert_eq!(store.load().await.unwrap(), due, "{fault:?}");
            let running = held(&store, &running).await;
            assert_eq!(
                running,
                Some((vec![event(1, "x"), event(2, "x"), event(3, "x")], false)),
                "{fault:?}"
            );
            assert_eq!(held(&store, &ended).await, Some((vec![event(1, "y")], true)), "{fault:?}");
            store.close().await;
        }
    }
}

#[tokio::test]
async fn those_who_wait_together_share_a_flush_and_a_failure() {
    let disk = Disk::default();
    let store = open(&disk);
    let batches: Vec<_> = (0..300).map(|number| (key("a", number), [event(1, "x")])).collect();
    let before = disk.syncs();
    // All are queued before the first is waited for.
    let waiting: Vec<_> = batches
        .iter()
        .map(|(at, events)| store.append(at, Epoch(0), Append { events, ..Append::default() }))
        .collect();
    for outcome in waiting {
        outcome.await.unwrap();
    }
    let flushes = disk.syncs() - before;
    assert!(flushes < 100, "300 appends at once took {flushes} flushes");

    disk.fail(Some(Fault::Syncs));
    let waiting: Vec<_> = batches
        .iter()
        .map(|(at, _)| store.append(at, Epoch(0), Append { ends: true, ..Append::default() }))
        .collect();
    for outcome in waiting {
        assert_eq!(cause(outcome.await), "the disk failed: the disk does not answer");
    }
    for (at, events) in &batches {
        assert_eq!(held(&store, at).await, Some((events.to_vec(), false)));
    }
}

#[tokio::test]
async fn marks_are_no_wait_and_are_kept_when_the_store_closes() {
    let disk = Disk::default();
    let store = open(&disk);
    let at = key("a", 1);
    let batch = Append { events: &[event(1, "x"), event(2, "x")], ..Append::default() };
    store.append(&at, Epoch(3), batch).await.unwrap();
    disk.fail(Some(Fault::Writes(0)));
    let mark = Append { written: 2, ..Append::default() };
    assert!(matches!(store.append(&at, Epoch(3), mark), Soon::Now(Ok(()))), "a mark waits for the disk");
    // What changes more than a mark is none.
    for (at, epoch, ends) in
        [(&at, 4, false), (&at, 3, true), (&key("a", 2), 3, false), (&key("b", 1), 0, false)]
    {
        let batch = Append { ends, ..mark };
        let _ = cause(store.append(at, Epoch(epoch), batch).await);
    }
    disk.fail(None);
    store.close().await;

    // A small budget drops what was written first: the mark is known.
    let limits = Limits { stream_events: 2, ..Limits::default() };
    let store = RedbStore::open_source(disk.source(), limits).unwrap();
    let kept = [Event { keep: false, ..event(3, "x") }];
    store.append(&at, Epoch(3), Append { events: &kept, ..Append::default() }).await.unwrap();
    let seqs: Vec<_> = held(&store, &at).await.unwrap().0.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, [2, 3]);
    let next = [Event { keep: false, ..event(4, "x") }];
    store.append(&at, Epoch(3), Append { events: &next, ..Append::default() }).await.unwrap();
    let seqs: Vec<_> = held(&store, &at).await.unwrap().0.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, [3, 4], "a response that was written outlasts a notification that was not");
}

#[tokio::test]
async fn an_engine_that_panics_again_and_again_is_left_alone_until_it_is_opened_anew() {
    let disk = Disk::default();
    let store = open(&disk);
    let at = key("a", 1);
    append(&store, &at, &[event(1, "kept")]).await.unwrap();
    // A panic now and then is put up with for ever.
    for seq in 2..=20 {
        disk.fail(Some(Fault::Panics { after: 0, times: 1 }));
        assert_eq!(cause(append(&store, &at, &[event(seq, "lost")]).await), PANICS);
        append(&store, &at, &[event(seq, "kept")]).await.unwrap();
    }

    disk.fail(Some(Fault::Panics { after: 0, times: u32::MAX }));
    for _ in 1..8 {
        assert_eq!(cause(append(&store, &at, &[event(21, "lost")]).await), PANICS);
    }
    let told = format!("{PANICS}. Nothing is written any more until the store is opened anew");
    disk.fail(Some(Fault::Panics { after: 0, times: 1 }));
    for _ in 0..3 {
        assert_eq!(cause(append(&store, &at, &[event(21, "lost")]).await), told);
    }
    let kept: Vec<_> = (1..=20).map(|seq| event(seq, "kept")).collect();
    assert_eq!(held(&store, &at).await, Some((kept.clone(), false)), "reading goes on");
    assert_eq!(store.load().await.unwrap_err().to_string(), told);
    store.close().await;

    let store = open(&disk);
    assert_eq!(held(&store, &at).await, Some((kept, false)));
    append(&store, &at, &[event(21, "new")]).await.unwrap();
}

#[tokio::test]
async fn an_engine_that_panics_at_opening_is_an_error() {
    let disk = Disk::default();
    disk.fail(Some(Fault::Panics { after: 0, times: 1 }));
    let cause = RedbStore::open_source(disk.source(), Limits::default()).expect_err("it was opened");
    assert_eq!(cause.to_string(), PANICS);
}
