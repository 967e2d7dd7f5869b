//! The store over the keyring that `keyring-core` has for tests: no person and no daemon.

#![allow(clippy::unwrap_used, reason = "tests fail so")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use keyring_core::api::CredentialStoreApi;
use keyring_core::{Error, mock};
use tempfile::TempDir;
use throughline::auth::oauth::{FileTokenStore, Record, RecordKey, TokenStore, store_laws};
use throughline_keyring::KeyringTokenStore;

fn store() -> (TempDir, KeyringTokenStore, Arc<mock::Store>) {
    let home = tempfile::tempdir().unwrap();
    let keyring = mock::Store::new().unwrap();
    let store = KeyringTokenStore::at(home.path().join("logins")).unwrap().keyring(keyring.clone());
    (home, store, keyring)
}

fn key() -> RecordKey {
    RecordKey::login("https://mcp.example.com/mcp", "it")
}

fn record() -> Record {
    Record::of(&serde_json::json!({ "access_token": "s3cret" })).unwrap()
}

/// The file of a login.
fn file(home: &TempDir, key: &RecordKey) -> std::path::PathBuf {
    home.path().join("logins").join(key.name()).with_extension("json")
}

fn fail(keyring: &mock::Store, error: Error) {
    let entry = keyring.build("throughline", "logins", None).unwrap();
    entry.as_any().downcast_ref::<mock::Cred>().unwrap().set_error(error);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_laws() {
    let (home, store, keyring) = store();
    store_laws::check_all(async || store.clone()).await;
    let open = async || KeyringTokenStore::at(home.path().join("logins")).unwrap().keyring(keyring.clone());
    store_laws::check_all(open).await;
}

#[tokio::test]
async fn nothing_of_a_login_is_in_its_file() {
    let (home, store, keyring) = store();
    for _ in 0..2 {
        store.save(&key(), &record()).await.unwrap();
        let text = fs::read_to_string(file(&home, &key())).unwrap();
        assert!(text.contains(r#""record":{"sealed":""#), "{text}");
        assert!(!text.contains("s3cret") && !text.contains("access_token"), "{text}");
    }
    let secret = keyring.build("throughline", "logins", None).unwrap().get_secret().unwrap();
    assert_eq!(secret.len(), 32);
    assert_eq!(store.load(&key()).await.unwrap(), Some(record()));
}

#[tokio::test]
async fn the_same_login_is_never_sealed_alike() {
    let (home, store, _keyring) = store();
    let mut texts = Vec::new();
    for _ in 0..2 {
        store.save(&key(), &record()).await.unwrap();
        texts.push(fs::read_to_string(file(&home, &key())).unwrap());
    }
    assert_ne!(texts[0], texts[1]);
}

#[tokio::test]
async fn a_login_does_not_open_under_another_name_or_key() {
    let (home, store, _keyring) = store();
    let other = RecordKey::login("https://evil.example/mcp", "it");
    store.save(&key(), &record()).await.unwrap();
    // As one who can write the file, but has no key: the login of one server in the file of another one.
    let text = fs::read_to_string(file(&home, &key())).unwrap();
    write_private(&file(&home, &other), &text.replace("mcp.example.com", "evil.example"));
    let refused = store.load(&other).await.unwrap_err();
    assert!(refused.is_corrupt() && refused.to_string().contains("log in again"), "{refused}");

    let changed = store.clone().keyring(mock::Store::new().unwrap());
    let refused = changed.load(&key()).await.unwrap_err();
    assert!(refused.is_corrupt() && refused.to_string().contains("no key"), "{refused}");
    changed.save(&other, &record()).await.unwrap();
    assert!(changed.load(&key()).await.unwrap_err().is_corrupt());
}

#[tokio::test]
async fn what_was_changed_or_is_plain_does_not_open() {
    let (home, store, _keyring) = store();
    store.save(&key(), &record()).await.unwrap();
    let whole = fs::read_to_string(file(&home, &key())).unwrap();
    let (head, sealed) = whole.split_once(r#""sealed":""#).unwrap();
    let sealed = sealed.strip_suffix(r#""}}"#).unwrap();
    let mut flipped = sealed.as_bytes().to_vec();
    flipped[40] = if flipped[40] == b'A' { b'B' } else { b'A' };
    for bad in [String::from_utf8(flipped).unwrap(), sealed[..20].to_owned(), String::new(), "?".into()] {
        write_private(&file(&home, &key()), &format!(r#"{head}"sealed":"{bad}"}}}}"#));
        assert!(store.load(&key()).await.unwrap_err().is_corrupt(), "{bad}");
    }
    // A login that anybody could have written there is not taken.
    let plain = FileTokenStore::at(home.path().join("logins")).unwrap();
    plain.save(&key(), &record()).await.unwrap();
    assert!(store.load(&key()).await.unwrap_err().is_corrupt());
}

#[tokio::test]
async fn a_keyring_that_fails_costs_nothing_and_shows_nothing() {
    let (home, store, keyring) = store();
    assert!(store.load(&key()).await.unwrap().is_none());
    store.save(&key(), &record()).await.unwrap();
    let before = fs::read(file(&home, &key())).unwrap();
    let other = Record::of(&"other").unwrap();
    for (error, expected) in [
        (Error::NoStorageAccess("locked".into()), "unlock it"),
        (Error::PlatformFailure("broken".into()), "keep logins in files"),
        (Error::BadEncoding(b"s3cret".to_vec()), "keep logins in files"),
        (Error::NoDefaultStore, "start one"),
    ] {
        fail(&keyring, error);
        let refused = store.save(&key(), &other).await.unwrap_err();
        assert!(refused.to_string().contains(expected), "{refused}");
        assert!(!format!("{refused:?}").contains("115"), "no bytes: {refused:?}");
        assert_eq!(fs::read(file(&home, &key())).unwrap(), before);
    }
    assert_eq!(store.load(&key()).await.unwrap(), Some(record()));
    store.delete(&key()).await.unwrap();
    fail(&keyring, Error::NoStorageAccess("locked".into()));
    assert!(store.load(&key()).await.unwrap().is_none(), "the keyring is not asked for nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_save_first_make_one_key() {
    let (home, _store, keyring) = store();
    let mut saving = tokio::task::JoinSet::new();
    let name = |n: u32| RecordKey::login(&format!("https://{n}.example/mcp"), "it");
    for n in 0..8 {
        let store = KeyringTokenStore::at(home.path().join("logins")).unwrap().keyring(keyring.clone());
        saving.spawn(async move { store.save(&name(n), &record()).await });
    }
    saving.join_all().await.into_iter().for_each(|saved| saved.unwrap());
    let store = KeyringTokenStore::at(home.path().join("logins")).unwrap().keyring(keyring);
    for n in 0..8 {
        assert_eq!(store.load(&name(n)).await.unwrap(), Some(record()));
    }
    drop(store.lock(&key(), Duration::ZERO).await.unwrap());
}

fn write_private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}
