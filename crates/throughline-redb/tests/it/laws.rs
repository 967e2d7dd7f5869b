//! The laws that every store obeys.

use throughline::store::{EventStore, laws};
use throughline_redb::RedbStore;

// The clock is not paused: a paused one runs ahead while the writer's thread works.

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_keeps_the_laws() {
    let directory = tempfile::tempdir().unwrap();
    let number = std::cell::Cell::new(0);
    laws::check_all(async |limits| {
        number.set(number.get() + 1);
        RedbStore::open(directory.path().join(format!("{}.redb", number.get())), limits).unwrap()
    })
    .await;
}

#[tokio::test]
async fn it_survives_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("throughline.redb");
    let open = || RedbStore::open(&path, throughline::store::Limits::default()).unwrap();
    laws::survives_reopening(open(), async |store| {
        store.close().await;
        open()
    })
    .await;
}

#[tokio::test]
async fn it_remembers_sessions_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("throughline.redb");
    let open = || RedbStore::open(&path, throughline::store::Limits::default()).unwrap();
    laws::remembers_after_reopening(open(), async |store| {
        store.close().await;
        open()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_keeps_the_laws_when_it_is_reopened_at_any_time() {
    let directory = tempfile::tempdir().unwrap();
    let number = std::cell::Cell::new(0);
    let path = || directory.path().join(format!("{}.redb", number.get()));
    let make = async |limits| {
        number.set(number.get() + 1);
        RedbStore::open(path(), limits).unwrap()
    };
    let reopen = async |store: RedbStore| {
        let limits = store.limits();
        store.close().await;
        RedbStore::open(path(), limits).unwrap()
    };
    laws::any_sequence_with_reopening(&make, &reopen, laws::Plan::from_env()).await;
}
