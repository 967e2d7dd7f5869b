//! Logins that end with the process.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::keyed::KeyedLocks;
use super::{Record, RecordKey, StoreError, StoreLock, TokenStore};
use crate::lock::Lock;
use crate::runtime;
use crate::store::Soon;

/// Keeps logins in memory: they end with the process. A clone shares them.
///
/// ```
/// use throughline::auth::oauth::{MemoryTokenStore, Record, RecordKey, TokenStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), throughline::auth::oauth::StoreError> {
/// let store = MemoryTokenStore::new();
/// let key = RecordKey::login("https://mcp.example.com/mcp", "my-app");
/// store.save(&key, &Record::of(&["a login"])?).await?;
/// assert!(store.clone().load(&key).await?.is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct MemoryTokenStore {
    records: Arc<Mutex<HashMap<RecordKey, Record>>>,
    locks: KeyedLocks,
}

impl MemoryTokenStore {
    /// The most records: far more than the servers of one person, and 2.5 GiB when all of them are as large as they may be. A
    /// service that logs in for many people keeps their logins elsewhere.
    pub const MAX_RECORDS: usize = 10_000;

    /// A store without records.
    pub fn new() -> Self {
        Self::default()
    }
}

impl TokenStore for MemoryTokenStore {
    fn load(&self, key: &RecordKey) -> Soon<Result<Option<Record>, StoreError>> {
        Soon::now(Ok(self.records.locked().get(key).cloned()))
    }

    fn save(&self, key: &RecordKey, record: &Record) -> Soon<Result<(), StoreError>> {
        let mut records = self.records.locked();
        if records.len() >= Self::MAX_RECORDS && !records.contains_key(key) {
            let why =
                "there are too many logins to keep them in memory; give the client a token store of its own";
            return Soon::now(Err(StoreError::unusable(why)));
        }
        records.insert(key.clone(), record.clone());
        Soon::now(Ok(()))
    }

    fn delete(&self, key: &RecordKey) -> Soon<Result<(), StoreError>> {
        self.records.locked().remove(key);
        Soon::now(Ok(()))
    }

    fn lock(&self, key: &RecordKey, patience: Duration) -> Soon<Result<StoreLock, StoreError>> {
        let (locks, name) = (self.locks.clone(), key.name());
        Soon::later(async move {
            let deadline = runtime::now() + patience;
            locks.lock(&name, deadline).await.map(StoreLock::new).ok_or_else(StoreError::held)
        })
    }
}

impl fmt::Debug for MemoryTokenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTokenStore").field("records", &self.records.locked().len()).finish()
    }
}
