//! The lock of a key, among the tasks of this process and among processes.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;

use super::directory::Directory;
use super::{KeyedLocks, failed};
use crate::auth::oauth::store::StoreError;
use crate::runtime;

/// A lock that is held. The file's goes first, so that the next task of this process finds it free.
#[derive(Debug)]
pub(super) struct Held {
    _among_processes: File,
    _among_tasks: OwnedMutexGuard<()>,
}

/// Takes the lock of a name. The file stays when it is let go: were it removed, one process could hold the lock of the
/// removed file while another holds that of a new one.
///
/// A blocking wait for a file lock cannot be taken back, so it is tried again and again.
pub(super) async fn lock(
    path: &Path,
    locks: &KeyedLocks,
    name: &str,
    patience: Duration,
) -> Result<Held, StoreError> {
    let deadline = runtime::now() + patience;
    let among_tasks = locks.lock(name, deadline).await.ok_or_else(StoreError::held)?;
    let mut pause = FIRST_PAUSE;
    loop {
        let (path, name) = (path.to_owned(), format!("{name}.lock"));
        // When this is dropped meanwhile, the file is closed with the answer that nobody takes.
        let tried = runtime::blocking(move || try_lock(&path, &name)).await;
        let stopped = |_| Err(StoreError::unusable("the store of logins stopped in the middle; try again"));
        if let Some(file) = tried.unwrap_or_else(stopped)? {
            return Ok(Held { _among_processes: file, _among_tasks: among_tasks });
        }
        let now = runtime::now();
        if now >= deadline {
            return Err(StoreError::held());
        }
        runtime::sleep_until(deadline.min(now + pause)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// `None`: another process holds it.
fn try_lock(path: &Path, name: &str) -> Result<Option<File>, StoreError> {
    let file = Directory::create(path)?.lock_file(name)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(failed("locked", &path.join(name), error)),
    }
}

/// How soon a held lock is tried again: most are held for the time of one request to the authorization server.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// How seldom: while a person logs in, this costs next to nothing, and nobody notices the delay.
const LONGEST_PAUSE: Duration = Duration::from_millis(200);
