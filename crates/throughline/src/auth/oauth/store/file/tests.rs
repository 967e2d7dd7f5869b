//! The files as they are on the disk.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::super::{exclusive, laws};
use super::*;

/// A directory, and a store in it.
fn store() -> (TempDir, FileTokenStore) {
    let home = tempfile::tempdir().unwrap();
    let store = FileTokenStore::at(home.path().join("logins")).unwrap();
    (home, store)
}

fn key() -> RecordKey {
    RecordKey::login("https://mcp.example.com/mcp", "my-app")
}

fn record() -> Record {
    Record::of(&serde_json::json!({ "access_token": "s3cret" })).unwrap()
}

/// A store with a record in it, and the file of the record.
async fn saved() -> (TempDir, FileTokenStore, PathBuf) {
    let (home, store) = store();
    store.save(&key(), &record()).await.unwrap();
    let path = store.directory().join(file_name(&key()));
    (home, store, path)
}

/// What a load says of a file.
async fn refusal(store: &FileTokenStore) -> StoreError {
    let refused = store.load(&key()).await.unwrap_err();
    let text = refused.to_string();
    assert!(
        text.contains("delete it, and log in again") || text.contains("delete the file and log in again"),
        "{text}"
    );
    assert!(!format!("{refused:?}").contains("s3cret"));
    refused
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_laws() {
    let (_home, store) = store();
    // Clones share locks among tasks; stores of their own have only those among processes.
    laws::check_all(async || store.clone()).await;
    laws::check_all(async || FileTokenStore::at(store.directory()).unwrap()).await;
}

#[tokio::test]
async fn a_file_has_a_version_and_says_whose_it_is() {
    let (_home, store, path) = saved().await;
    let expected = concat!(
        r#"{"version":1,"kind":"login","subject":"https://mcp.example.com/mcp","client":"my-app","#,
        r#""record":{"access_token":"s3cret"}}"#
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), expected);
    assert_eq!(
        path.file_name().unwrap(),
        "login-b554ae856580a9c1c15ea105fed06b90.json",
        "names do not change"
    );
    let names: Vec<_> = fs::read_dir(store.directory()).unwrap().collect();
    assert_eq!(names.len(), 1, "nothing else is left: {names:?}");
}

#[tokio::test]
async fn what_is_damaged_says_what_to_do() {
    let (_home, store, path) = saved().await;
    let whole = fs::read(&path).unwrap();
    for damaged in
        [&b""[..], b"{", b"[]", b"null", b"\xff\xfe", &whole[..whole.len() - 1], br#"{"version":1}"#]
    {
        fs::write(&path, damaged).unwrap();
        assert!(refusal(&store).await.is_corrupt());
    }
    // Nesting beyond what is read.
    fs::write(&path, "[".repeat(200_000)).unwrap();
    assert!(refusal(&store).await.is_corrupt());
    store.save(&key(), &record()).await.unwrap();
    assert_eq!(store.load(&key()).await.unwrap(), Some(record()), "a save repairs it");
}

#[tokio::test]
async fn another_version_is_left_alone() {
    let (_home, store, path) = saved().await;
    fs::write(&path, r#"{"version":2,"entirely":"different"}"#).unwrap();
    let refused = refusal(&store).await;
    assert!(refused.to_string().contains("another version"), "{refused}");
    assert!(!refused.is_corrupt(), "a login does not write over it");
    assert!(fs::read_to_string(&path).unwrap().contains("different"));
}

#[tokio::test]
async fn the_token_of_one_server_is_not_taken_for_another_one() {
    let (_home, store, path) = saved().await;
    let other = RecordKey::login("https://evil.example/mcp", "my-app");
    fs::copy(&path, store.directory().join(file_name(&other))).unwrap();
    let refused = store.load(&other).await.unwrap_err();
    assert!(refused.is_corrupt() && refused.to_string().contains("another server"), "{refused}");
}

#[tokio::test]
async fn a_huge_file_is_not_read() {
    let (_home, store, path) = saved().await;
    // It has no blocks on the disk, and would have to be read as zeros.
    fs::File::options().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
    assert!(refusal(&store).await.is_corrupt());
}

#[tokio::test]
async fn a_record_that_is_too_large_is_refused() {
    let (_home, store) = store();
    assert!(Record::of(&"x".repeat(Record::MAX_BYTES)).is_err());
    let largest = Record::of(&"x".repeat(Record::MAX_BYTES - 2)).unwrap();
    store.save(&key(), &largest).await.unwrap();
    assert_eq!(store.load(&key()).await.unwrap(), Some(largest));
    let far = RecordKey::login(&"x".repeat(512 * 1024), "my-app");
    assert!(store.save(&far, &record()).await.unwrap_err().to_string().contains("too long"));
}

#[tokio::test]
async fn what_a_killed_writer_left_is_removed_and_what_is_being_written_is_not() {
    let (_home, store, _path) = saved().await;
    let left = store.directory().join(".login-00.11.tmp");
    let writing = store.directory().join(".login-22.33.tmp");
    let foreign = store.directory().join(".somebody's.tmp");
    for path in [&left, &writing, &foreign] {
        fs::write(path, "s3cret").unwrap();
    }
    let writer = fs::File::open(&writing).unwrap();
    writer.lock().unwrap();
    store.save(&key(), &record()).await.unwrap();
    assert_eq!([left.exists(), writing.exists(), foreign.exists()], [false, true, true]);
    drop(writer);
    store.save(&key(), &record()).await.unwrap();
    assert_eq!([writing.exists(), foreign.exists()], [false, true]);
}

#[tokio::test]
async fn a_record_lives_on_when_a_save_fails() {
    let (_home, store, path) = saved().await;
    fs::remove_file(&path).unwrap();
    // Nothing can be renamed over it.
    fs::create_dir(&path).unwrap();
    fs::write(path.join("kept"), "").unwrap();
    let failed = store.save(&key(), &record()).await.unwrap_err();
    assert!(failed.to_string().contains("cannot be written"), "{failed}");
    assert!(path.join("kept").exists());
    let names = fs::read_dir(store.directory()).unwrap().count();
    assert_eq!(names, 1, "the temporary file is gone");
}

/// Nobody waits in the real world: the clock is the runtime's.
#[tokio::test(start_paused = true)]
async fn waiting_for_another_process_is_bounded() {
    let (_home, store) = store();
    let other = FileTokenStore::at(store.directory()).unwrap();
    let held = other.lock(&key(), Duration::ZERO).await.unwrap();
    let before = runtime::now();
    let busy = exclusive(&store, &key(), Duration::from_secs(90)).await.unwrap_err();
    assert!(busy.is_busy() && busy.to_string().contains("finish that login"), "{busy}");
    assert!(runtime::now() - before >= Duration::from_secs(90));
    drop(held);
    assert!(exclusive(&store, &key(), Duration::ZERO).await.is_ok());
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }

    #[tokio::test]
    async fn only_the_user_can_read_it() {
        let (home, store, path) = saved().await;
        let _lock = store.lock(&key(), Duration::ZERO).await.unwrap();
        assert_eq!(mode(store.directory()), 0o700);
        for entry in fs::read_dir(store.directory()).unwrap() {
            assert_eq!(mode(&entry.unwrap().path()), 0o600);
        }
        // Those above are made so too.
        let deep = FileTokenStore::at(home.path().join("a/b/c")).unwrap();
        deep.save(&key(), &record()).await.unwrap();
        assert_eq!(mode(&home.path().join("a")), 0o700);
        let inode = fs::metadata(&path).unwrap().ino();
        store.save(&key(), &record()).await.unwrap();
        assert_ne!(fs::metadata(&path).unwrap().ino(), inode, "it is replaced, never overwritten");
    }

    #[tokio::test]
    async fn what_others_could_read_is_repaired() {
        let (_home, store, path) = saved().await;
        for wide in [0o640, 0o604, 0o644, 0o755] {
            set_mode(&path, wide);
            assert_eq!(store.load(&key()).await.unwrap(), Some(record()));
            assert_eq!(mode(&path), 0o600);
        }
    }

    #[tokio::test]
    async fn what_others_could_write_is_refused() {
        let (_home, store, path) = saved().await;
        for wide in [0o620, 0o602, 0o666] {
            set_mode(&path, wide);
            assert!(refusal(&store).await.is_insecure());
            assert_eq!(mode(&path), wide);
        }
        store.save(&key(), &record()).await.unwrap();
        assert_eq!(mode(&path), 0o600, "a new record is a new file");

        set_mode(store.directory(), 0o770);
        let others = [
            store.load(&key()).await.unwrap_err(),
            store.save(&key(), &record()).await.unwrap_err(),
            store.delete(&key()).await.unwrap_err(),
            store.lock(&key(), Duration::ZERO).await.unwrap_err(),
        ];
        for refused in others {
            assert!(refused.is_insecure() && refused.to_string().contains("chmod 700"), "{refused}");
        }
    }

    #[tokio::test]
    async fn a_link_in_its_place_is_not_followed() {
        let (home, store, path) = saved().await;
        let elsewhere = home.path().join("elsewhere.json");
        fs::rename(&path, &elsewhere).unwrap();
        symlink(&elsewhere, &path).unwrap();
        assert!(refusal(&store).await.is_insecure());
        // A save puts a file in the place of the link, and leaves alone what it points to.
        let before = fs::read(&elsewhere).unwrap();
        let other = Record::of(&"another").unwrap();
        store.save(&key(), &other).await.unwrap();
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
        assert_eq!(fs::read(&elsewhere).unwrap(), before);
        assert_eq!(store.load(&key()).await.unwrap(), Some(other));
    }

    #[tokio::test]
    async fn a_link_in_place_of_the_lock_is_not_followed() {
        let (home, store, _path) = saved().await;
        let target = home.path().join("target");
        symlink(&target, store.directory().join(format!("{}.lock", key().name()))).unwrap();
        let refused = store.lock(&key(), Duration::ZERO).await.unwrap_err();
        assert!(refused.is_insecure(), "{refused}");
        assert!(!target.exists(), "nothing is made at the end of the link");
    }

    #[tokio::test]
    async fn a_pipe_or_a_directory_in_its_place_holds_nobody_up() {
        let (_home, store, path) = saved().await;
        fs::remove_file(&path).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        assert!(refusal(&store).await.is_insecure());
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(refusal(&store).await.is_insecure());
    }

    #[tokio::test]
    async fn files_and_directories_of_others_are_refused() {
        let (_home, store, path) = saved().await;
        // Only root can give a file away; other users cannot be tested with one of another user.
        if chown(&path, Some(12_345), None).is_err() {
            return;
        }
        let refused = store.load(&key()).await.unwrap_err();
        assert!(
            refused.is_insecure() && refused.to_string().contains("belongs to another user"),
            "{refused}"
        );
        chown(store.directory(), Some(12_345), None).unwrap();
        let refused = store.save(&key(), &record()).await.unwrap_err();
        assert!(refused.is_insecure() && refused.to_string().contains("name another directory"), "{refused}");
    }
}
