//! The law suite: what every [`TokenStore`] must pass.
//!
//! Each function checks one law of the trait and panics with a message that names it. [`check_all`] runs them all. Authors of a
//! store call it from a test:
//!
//! ```
//! use throughline::auth::oauth::{MemoryTokenStore, store_laws};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let store = MemoryTokenStore::new();
//! store_laws::check_all(async || store.clone()).await;
//! # });
//! ```
//!
//! `open` opens the same store each time, as another process would. The suite sees one process: that a killed writer
//! leaves no half of a record behind (law 1), that a killed process lets its locks go (law 4), and what survives a crash (law 2)
//! are for the store's own tests.

use std::time::Duration;

use tokio::task::JoinSet;

use super::{Record, RecordKey, StoreError, TokenStore, exclusive};

/// Checks all laws.
///
/// # Panics
///
/// When the store breaks one.
pub async fn check_all<S: TokenStore>(open: impl AsyncFn() -> S) {
    whole(&open).await;
    durable(&open).await;
    scoped(&open).await;
    exclusive_locks(&open).await;
    patient(&open).await;
    free_to_read(&open).await;
    silent(&open).await;
}

/// Law 1: a load gives what one save wrote, while others save.
///
/// # Panics
///
/// When the store breaks the law.
pub async fn whole<S: TokenStore>(open: &impl AsyncFn() -> S) {
    let key = RecordKey::login("https://law-1.example/mcp", "laws");
    let mut writers = JoinSet::new();
    for writer in 0..4_u8 {
        let (store, key) = (open().await, key.clone());
        writers.spawn(async move {
            for round in 0..8_u8 {
                let record = letters(b'a' + writer, 1_000 * (usize::from(round) + 1));
                store.save(&key, &record).await.expect("law 1 (whole): a record is saved");
            }
        });
    }
    let store = open().await;
    while !writers.is_empty() {
        if let Some(record) =
            store.load(&key).await.expect("law 1 (whole): a record is read while others save")
        {
            let text: String = record.read().expect("law 1 (whole): what is loaded is what was saved");
            let first = text.as_bytes().first().copied().unwrap_or_default();
            let one = text.len().is_multiple_of(1_000) && text.bytes().all(|byte| byte == first);
            assert!(one, "law 1 (whole): a load gave parts of two records");
        }
        if let Some(done) = writers.try_join_next() {
            done.expect("a writer does not panic");
        }
        tokio::task::yield_now().await;
    }
    store.delete(&key).await.expect("law 1 (whole): a record is deleted");
}

/// Law 2, as far as it shows within a process: what was saved or deleted is so for whoever opens the store anew.
///
/// # Panics
///
/// When the store breaks the law.
pub async fn durable<S: TokenStore>(open: &impl AsyncFn() -> S) {
    let key = RecordKey::login("https://law-2.example/mcp", "laws");
    let nothing = open().await.load(&key).await.expect("law 2 (durable): a record that is not there is read");
    assert!(nothing.is_none(), "law 2 (durable): there is a record that nobody saved");
    for letter in [b'a', b'b'] {
        open().await.save(&key, &letters(letter, 10)).await.expect("law 2 (durable): a record is saved");
        let loaded = open().await.load(&key).await.expect("law 2 (durable): a record is read");
        assert_eq!(loaded, Some(letters(letter, 10)), "law 2 (durable): the last save is not what is loaded");
    }
    // Byte for byte: nothing of it is read and written anew.
    let exact = Record::from_json(r#"{"b":1.0,"a":"\u00e9","b":[ ]}"#.into()).expect("it is JSON");
    open().await.save(&key, &exact).await.expect("law 2 (durable): a record is saved");
    let loaded = open().await.load(&key).await.expect("law 2 (durable): a record is read");
    assert_eq!(loaded, Some(exact), "law 1 (whole): a load gave other bytes than were saved");
    for _ in 0..2 {
        open()
            .await
            .delete(&key)
            .await
            .expect("law 2 (durable): a record is deleted, also when there is none");
        let loaded = open().await.load(&key).await.expect("law 2 (durable): a record is read");
        assert!(loaded.is_none(), "law 2 (durable): a deleted record came back");
    }
}

/// Law 3: each key has its own record.
///
/// # Panics
///
/// When the store breaks the law.
pub async fn scoped<S: TokenStore>(open: &impl AsyncFn() -> S) {
    let store = open().await;
    // Alike in case, in their ends, in what they make when written one after the other, and in what file names drop.
    let keys = [
        RecordKey::login("https://law-3.example/mcp", "laws"),
        RecordKey::login("https://law-3.example/MCP", "laws"),
        RecordKey::login("https://law-3.example/mcp/", "laws"),
        RecordKey::login("https://law-3.example/mc", "plaws"),
        RecordKey::login("https://law-3.example/mcp", ""),
        RecordKey::login("https://law-3.example/mcp", "../laws"),
        RecordKey::registration("https://law-3.example/mcp", "laws"),
    ];
    for (letter, key) in (b'a'..).zip(&keys) {
        store.save(key, &letters(letter, 10)).await.expect("law 3 (scoped): a record is saved");
    }
    store.delete(&keys[0]).await.expect("law 3 (scoped): a record is deleted");
    for (letter, key) in (b'a'..).zip(&keys) {
        let loaded = store.load(key).await.expect("law 3 (scoped): a record is read");
        let expected = (*key != keys[0]).then(|| letters(letter, 10));
        assert_eq!(loaded, expected, "law 3 (scoped): {key:?} has the record of another key");
        store.delete(key).await.expect("law 3 (scoped): a record is deleted");
    }
}

/// Law 4: at most one holds the lock of a key, and [`exclusive`] sees what the one before saved.
///
/// # Panics
///
/// When the store breaks the law.
pub async fn exclusive_locks<S: TokenStore>(open: &impl AsyncFn() -> S) {
    let key = RecordKey::login("https://law-4.example/mcp", "laws");
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let (store, key) = (open().await, key.clone());
        tasks.spawn(async move {
            let held = exclusive(&store, &key, ENOUGH).await.expect("law 4 (exclusive): the lock is had");
            let count: u32 = held.record.as_ref().map_or(0, |record| record.read().expect("it is a number"));
            // Whoever came in between would save the same number.
            tokio::task::yield_now().await;
            let next = Record::of(&(count + 1)).expect("a number is JSON");
            store.save(&key, &next).await.expect("law 4 (exclusive): a record is saved");
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("law 4 (exclusive): every task has its turn");
    }
    let store = open().await;
    let count = store.load(&key).await.expect("law 4 (exclusive): a record is read");
    assert_eq!(count, Record::of(&8).ok(), "law 4 (exclusive): two held the lock at the same time");
    store.delete(&key).await.expect("law 4 (exclusive): a record is deleted");
}

/// Law 5: waiting ends, and leaves nothing behind.
///
/// # Panics
///
/// When the store breaks the law.
pub async fn patient<S: TokenStore>(open: &impl AsyncFn() -> S) {
    let key = RecordKey::login("https://law-5.example/mcp", "laws");
    let other = RecordKey::login("https://law-5.example/other", "laws");
    let (holder, waiter) = (open().await, open().await);
    let held = holder.lock(&key, ENOUGH).await.expect("law 5 (patient): a free lock is had");
    for store in [&holder, &waiter] {
        let refused = store.lock(&key, Duration::ZERO).await;
        let busy = refused.as_ref().is_err_and(StoreError::is_busy);
        assert!(busy, "law 5 (patient): the lock is held, and another one got {refused:?}");
    }
    drop(
        waiter
            .lock(&other, Duration::ZERO)
            .await
            .expect("law 4 (exclusive): the lock of another key is free"),
    );
    // One that waits, and is dropped while it does.
    let mut given_up = waiter.lock(&key, ENOUGH);
    let begun = std::future::poll_fn(|cx| {
        std::task::Poll::Ready(std::future::Future::poll(std::pin::Pin::new(&mut given_up), cx))
    });
    assert!(begun.await.is_pending(), "law 4 (exclusive): a lock that is held was had");
    drop(given_up);
    drop(held);
    let free = waiter.lock(&key, ENOUGH).await;
    assert!(free.is_ok(), "law 5 (patient): a dropped wait left something behind: {free:?}");
}

/// Law 6: nothing else needs the lock.
///
/// # Panics
///
/// When the store breaks the law.
pub async fn free_to_read<S: TokenStore>(open: &impl AsyncFn() -> S) {
    let key = RecordKey::registration("https://law-6.example", "laws");
    let (holder, other) = (open().await, open().await);
    let _held = holder.lock(&key, ENOUGH).await.expect("law 6 (free to read): a free lock is had");
    other.save(&key, &letters(b'a', 10)).await.expect("law 6 (free to read): a record is saved");
    let loaded = other.load(&key).await.expect("law 6 (free to read): a record is read");
    assert_eq!(loaded, Some(letters(b'a', 10)), "law 6 (free to read): a load while the lock is held");
    other.delete(&key).await.expect("law 6 (free to read): a record is deleted");
}

/// Law 7, as far as it shows from outside: `Debug` of what a store gives holds nothing of a record.
///
/// # Panics
///
/// When the store breaks the law.
pub async fn silent<S: TokenStore>(open: &impl AsyncFn() -> S) {
    let key = RecordKey::login("https://law-7.example/mcp", "laws");
    let store = open().await;
    store.save(&key, &letters(b'z', 10)).await.expect("law 7 (silent): a record is saved");
    let held = exclusive(&store, &key, ENOUGH).await.expect("law 7 (silent): a free lock is had");
    let shown = format!("{held:?}");
    assert!(!shown.contains("zzzz"), "law 7 (silent): a record is shown: {shown}");
    store.delete(&key).await.expect("law 7 (silent): a record is deleted");
}

/// A record of so many letters.
fn letters(letter: u8, count: usize) -> Record {
    Record::of(&char::from(letter).to_string().repeat(count)).expect("letters are JSON")
}

/// No store needs so long; it is there so that one that hangs fails.
const ENOUGH: Duration = Duration::from_secs(30);
