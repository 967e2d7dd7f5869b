//! The store: files, sealed with a key of the keyring.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use keyring_core::CredentialStore;
use throughline::auth::oauth::{FileTokenStore, Record, RecordKey, StoreError, StoreLock, TokenStore};
use throughline::store::Soon;

use crate::keyring::{Key, Keyring};
use crate::sealed;

/// Keeps logins in files that can be opened with a key of the system's keyring alone. A clone shares its locks.
///
/// It keeps the [laws](TokenStore#laws) of every token store. Where its files are and who may read them is as with
/// [`FileTokenStore`].
#[derive(Clone, Debug)]
pub struct KeyringTokenStore {
    files: FileTokenStore,
    keyring: Keyring,
}

impl KeyringTokenStore {
    /// A store beside that of [`FileTokenStore::new`], in `throughline/sealed-logins`. Nothing is read or created yet.
    ///
    /// # Errors
    ///
    /// When the environment names no home directory.
    pub fn new() -> Result<Self, StoreError> {
        Self::at(FileTokenStore::new()?.directory().with_file_name("sealed-logins"))
    }

    /// A store in a directory, which is created with the first record. Its logins are sealed with the same key as those of all
    /// others.
    ///
    /// # Errors
    ///
    /// As [`FileTokenStore::at`].
    pub fn at(directory: impl AsRef<Path>) -> Result<Self, StoreError> {
        Ok(Self { files: FileTokenStore::at(directory)?, keyring: Keyring::default() })
    }

    /// Takes the key from another keyring of `keyring-core`. Default: the one that the program made the default of all of its
    /// entries, and without one that of the system.
    #[must_use]
    pub fn keyring(mut self, keyring: Arc<CredentialStore>) -> Self {
        self.keyring = Keyring(Some(keyring));
        self
    }

    /// The key. It is made if there is none.
    async fn key(self) -> Result<Key, StoreError> {
        if let Some(key) = self.read_key().await? {
            return Ok(key);
        }
        // Of two that make one, the logins of the first would be lost.
        let _lock = self.files.lock(&name_of_the_key(), MAKING).await?;
        if let Some(key) = self.read_key().await? {
            return Ok(key);
        }
        let keyring = self.keyring.clone();
        blocking(move || keyring.make_key()).await
    }

    async fn read_key(&self) -> Result<Option<Key>, StoreError> {
        let keyring = self.keyring.clone();
        blocking(move || keyring.key()).await
    }
}

impl TokenStore for KeyringTokenStore {
    fn load(&self, key: &RecordKey) -> Soon<Result<Option<Record>, StoreError>> {
        let (store, name) = (self.clone(), key.clone());
        Soon::later(async move {
            // Without a login nobody is asked to unlock anything.
            let Some(record) = store.files.load(&name).await? else { return Ok(None) };
            let gone = "the keyring has no key for logins any more: log out, and log in again";
            let key = store.read_key().await?.ok_or_else(|| StoreError::corrupt(gone))?;
            sealed::open(&key, &name, &record).map(Some)
        })
    }

    fn save(&self, key: &RecordKey, record: &Record) -> Soon<Result<(), StoreError>> {
        let (store, name, record) = (self.clone(), key.clone(), record.clone());
        Soon::later(async move {
            let key = store.clone().key().await?;
            store.files.save(&name, &sealed::seal(&key, &name, &record)?).await
        })
    }

    fn delete(&self, key: &RecordKey) -> Soon<Result<(), StoreError>> {
        self.files.delete(key)
    }

    fn lock(&self, key: &RecordKey, patience: Duration) -> Soon<Result<StoreLock, StoreError>> {
        self.files.lock(key, patience)
    }
}

/// Whose lock is taken to make the key. No record has this name: issuers are addresses.
fn name_of_the_key() -> RecordKey {
    RecordKey::registration("the key in the keyring", "throughline-keyring")
}

/// Calls the keyring where it may block: it asks the person, perhaps.
async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let why = "the keyring of the system stopped in the middle; try again";
    tokio::task::spawn_blocking(call).await.unwrap_or_else(|_| Err(StoreError::unusable(why)))
}

/// How long another process may take to make the key: a person unlocks the keyring meanwhile.
const MAKING: Duration = Duration::from_secs(60);
