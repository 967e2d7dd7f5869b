//! What becomes of a file that cannot be opened.

use std::fs;

use redb::{Database, TableDefinition};

use super::*;
use crate::OpenErrorKind;

fn refused(path: &std::path::Path) -> (OpenErrorKind, String) {
    let error = RedbStore::open(path, Limits::default()).expect_err("it was opened");
    let text = error.to_string();
    assert!(text.starts_with(&format!("cannot open the event store {}: ", path.display())), "{text}");
    (error.kind(), text.rsplit(": ").next().unwrap().to_owned())
}

#[tokio::test]
async fn a_file_is_opened_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("throughline.redb");
    let store = RedbStore::open(&path, Limits::default()).unwrap();
    let clone = store.clone();
    assert_eq!(refused(&path), (OpenErrorKind::InUse, "it is in use by another process".into()));

    let waiting = append(&clone, &key("a", 1), &[event(1, "x")]).await;
    waiting.unwrap();
    store.close().await;
    assert_eq!(cause(append(&clone, &key("a", 1), &[event(2, "x")]).await), "the store was closed");
    assert_eq!(clone.load().await.unwrap_err().to_string(), "the store was closed");
    assert_eq!(clone.forget(&"a".into()).await.unwrap_err().to_string(), "the store was closed");
    assert!(held(&clone, &key("a", 1)).await.is_some(), "what is in memory can be read still");
    let again = RedbStore::open(&path, Limits::default()).unwrap();
    clone.close().await;
    again.close().await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_is_for_its_owner() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("throughline.redb");
    RedbStore::open(&path, Limits::default()).unwrap().close().await;
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn what_is_wrong_with_a_path_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("nowhere").join("throughline.redb");
    assert_eq!(refused(&missing), (OpenErrorKind::Missing, "its directory does not exist".into()));
    assert_eq!(refused(directory.path()).0, OpenErrorKind::Io);

    let text = directory.path().join("text");
    fs::write(&text, "no database\n".repeat(1_000)).unwrap();
    assert_eq!(refused(&text).0, OpenErrorKind::Damaged);

    let foreign = directory.path().join("foreign");
    let database = Database::create(&foreign).unwrap();
    let writing = database.begin_write().unwrap();
    writing.open_table(TableDefinition::<u64, u64>::new("other")).unwrap().insert(1, 1).unwrap();
    writing.commit().unwrap();
    drop(database);
    let told = (OpenErrorKind::Damaged, "it is a database of another program".into());
    assert_eq!(refused(&foreign), told);
}

#[tokio::test]
async fn a_newer_format_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("throughline.redb");
    RedbStore::open(&path, Limits::default()).unwrap().close().await;
    let database = Database::create(&path).unwrap();
    let writing = database.begin_write().unwrap();
    let meta = TableDefinition::<&str, u64>::new("throughline");
    writing.open_table(meta).unwrap().insert("format", 2).unwrap();
    writing.commit().unwrap();
    drop(database);
    let told = "it has format 2, and this version knows 1; use the version that wrote it".into();
    assert_eq!(refused(&path), (OpenErrorKind::Newer, told));
}

async fn filled() -> Disk {
    let disk = Disk::default();
    let store = open(&disk);
    for stream in 0..40 {
        let at = key("a", stream);
        append(&store, &at, &(1..=20).map(|seq| event(seq, "some text")).collect::<Vec<_>>()).await.unwrap();
        save(&store, &format!("session-{stream}"), "a record").await.unwrap();
    }
    store.close().await;
    disk
}

#[tokio::test]
async fn a_file_that_was_cut_off_is_an_error_and_no_panic() {
    let whole = filled().await;
    for part in 1..64 {
        let disk = whole.copy();
        disk.truncate(whole.len() * part / 64);
        match RedbStore::open_source(disk.source(), Limits::default()) {
            Ok(store) => {
                // What was cut off was free: nothing is missing.
                assert_eq!(store.usage().events, 800);
                assert_eq!(store.load().await.unwrap().len(), 40);
            }
            Err(cause) => assert!(cause.to_string().starts_with("it is damaged"), "{cause}"),
        }
    }
}

#[tokio::test]
async fn a_damaged_byte_is_an_error_and_no_panic() {
    let whole = filled().await;
    let (mut found, places) = (0, (0..100).map(|place| place * 149).chain((0..whole.len()).step_by(15_013)));
    for place in places {
        let disk = whole.copy();
        disk.flip(place);
        match RedbStore::open_source(disk.source(), Limits::default()) {
            Ok(store) => {
                for stream in 0..40 {
                    if let Some((events, _)) = held(&store, &key("a", stream)).await {
                        let due: Vec<_> = (1..=20).map(|seq| event(seq, "some text")).collect();
                        assert_eq!(events, due, "a damaged event is read, byte {place}");
                    }
                }
            }
            Err(_) => found += 1,
        }
    }
    assert!(found > 0, "no damage was found");
}
