//! Where logins are kept, so that nobody logs in twice.
//!
//! ```text
//!   login, refresh ── exclusive(key) ──> TokenStore::lock ─> load ─┬─ good already: another process made it
//!                                                                  └─ make a new one ─> save ─> the lock is let go
//! ```
//!
//! A store knows nothing of tokens: it keeps records, JSON texts by key. Clients must keep tokens securely
//! ([token theft](https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization/security-considerations#token-theft)).

mod error;
mod file;
mod keyed;
pub mod laws;
mod memory;
mod record;

use std::any::Any;
use std::fmt;
use std::time::Duration;

pub use self::error::StoreError;
pub use self::file::FileTokenStore;
pub use self::memory::MemoryTokenStore;
pub use self::record::{Record, RecordKey, RecordKind};
use crate::store::Soon;

/// Keeps the records of logins, for this process or for all processes of a user.
///
/// Dyn-safe. A store that need not wait answers with [`Soon::now`].
///
/// # Laws
///
/// 1. *Whole.* A load gives what one save wrote, byte for byte, whatever is being saved at the same time and whenever a writer
///    was killed; never a part of it.
/// 2. *Durable before done.* When a save or a delete has returned, it survives what the store promises to survive.
/// 3. *Scoped.* A key never gives the record of another one.
/// 4. *Exclusive.* Of everything that shares the store, in this process and in others, at most one holds the lock of a key at
///    any time. The end of a process lets its locks go, whichever way it ends.
/// 5. *Patient.* Waiting for a lock blocks no thread of the runtime, ends after the patience that it was given with
///    [`StoreError::is_busy`], and dropping the future leaves no lock behind.
/// 6. *Free to read.* Load, save and delete work without the lock, and while anybody holds it.
/// 7. *Silent.* Nothing of a record is in an error or a log.
pub trait TokenStore: Send + Sync + 'static {
    /// The record of a key. `None`: there is none.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    fn load(&self, key: &RecordKey) -> Soon<Result<Option<Record>, StoreError>>;

    /// Keeps a record in place of what there was.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]. What there was is still there then.
    ///
    /// # Cancel safety
    ///
    /// When the answer is dropped before it is there, the record may or may not have been kept.
    fn save(&self, key: &RecordKey, record: &Record) -> Soon<Result<(), StoreError>>;

    /// Forgets a record. There need be none.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    fn delete(&self, key: &RecordKey) -> Soon<Result<(), StoreError>>;

    /// Takes the lock of a key, waiting for it as long as `patience` at most. It is let go when it is dropped. It is not
    /// reentrant: who holds it waits for itself.
    ///
    /// Read the record anew once the lock is there, as whoever held it may have written it: [`exclusive`] does both.
    ///
    /// # Errors
    ///
    /// [`StoreError::is_busy`] when another held it all the while.
    fn lock(&self, key: &RecordKey, patience: Duration) -> Soon<Result<StoreLock, StoreError>>;
}

/// The lock of a key.
///
/// # Drop behavior
///
/// It is let go.
#[must_use = "it is let go at once"]
pub struct StoreLock(#[allow(dead_code, reason = "it is held, never looked at")] Box<dyn Any + Send + Sync>);

impl StoreLock {
    /// A lock that is let go when `guard` is dropped.
    pub fn new(guard: impl Send + Sync + 'static) -> Self {
        Self(Box::new(guard))
    }
}

impl fmt::Debug for StoreLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreLock(..)")
    }
}

/// A record, and the lock of its key.
///
/// # Drop behavior
///
/// The lock is let go.
#[derive(Debug)]
#[must_use = "the lock is let go at once"]
pub struct Exclusive {
    /// What there was once the lock was there.
    pub record: Option<Record>,
    _lock: StoreLock,
}

/// Takes the lock of a key and then reads its record: whoever held the lock may have written it. Look whether the record
/// will do before you make a new one, and save the new one before you drop what this returns.
///
/// # Errors
///
/// See [`StoreError`]; [`StoreError::is_busy`] when another held the lock all the while.
///
/// # Cancel safety
///
/// Dropping the future leaves no lock behind.
pub async fn exclusive(
    store: &dyn TokenStore,
    key: &RecordKey,
    patience: Duration,
) -> Result<Exclusive, StoreError> {
    let lock = store.lock(key, patience).await?;
    let record = store.load(key).await?;
    Ok(Exclusive { record, _lock: lock })
}
