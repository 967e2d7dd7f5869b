//! Locks by name within this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;

use tokio::sync::{Mutex as Waiting, OwnedMutexGuard};

use crate::lock::Lock;

/// A lock for each name that anybody holds or waits for.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyedLocks(Arc<Mutex<HashMap<String, Weak<Waiting<()>>>>>);

impl KeyedLocks {
    /// The lock of a name. `None`: another held it until `deadline`. Who waits longest gets it first.
    pub(super) async fn lock(&self, name: &str, deadline: Instant) -> Option<OwnedMutexGuard<()>> {
        let lock = self.of(name);
        tokio::time::timeout_at(deadline.into(), lock.lock_owned()).await.ok()
    }

    fn of(&self, name: &str) -> Arc<Waiting<()>> {
        let mut locks = self.0.locked();
        if let Some(lock) = locks.get(name).and_then(Weak::upgrade) {
            return lock;
        }
        // What nobody holds or waits for goes, so that only locks in use are kept.
        locks.retain(|_, lock| lock.strong_count() > 0);
        let lock = Arc::new(Waiting::new(()));
        locks.insert(name.to_owned(), Arc::downgrade(&lock));
        lock
    }
}
