//! Where the database comes from.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redb::{Builder, Database, DatabaseError};

use super::PATIENCE;
use crate::error::Failure;

/// Opens the database, again and again when it fails.
pub(crate) trait Source: Send {
    /// Opens it, and says whether it had not been closed and was repaired.
    fn open(&self) -> Result<(Database, bool), Failure>;

    /// How long after a failure it is worth trying again.
    fn patience(&self) -> Duration {
        PATIENCE
    }
}

/// A file, and a lock that is held as long as this: the engine's own is free while the database is closed after a failure, and
/// what is put back then must not go over what another process wrote.
pub(crate) struct FileSource {
    path: PathBuf,
    #[expect(dead_code, reason = "it is locked as long as it is open")]
    lock: File,
}

impl FileSource {
    /// Takes the lock: a file beside the database, which stays there.
    pub(crate) fn lock(path: &Path) -> Result<Self, Failure> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let lock = private().open(name)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), lock }),
            Err(TryLockError::WouldBlock) => Err(DatabaseError::DatabaseAlreadyOpen.into()),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }
}

impl Source for FileSource {
    fn open(&self) -> Result<(Database, bool), Failure> {
        let is_new = !self.path.try_exists()?;
        let file = private().open(&self.path)?;
        let opened = build(|builder| builder.create_file(file))?;
        if is_new {
            sync_directory(&self.path)?;
        }
        Ok(opened)
    }
}

/// What is in it is for its owner only: ids of sessions are secrets, and so may be what was said in them.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Opens a database with our settings, and says whether it was repaired.
pub(crate) fn build(
    open: impl FnOnce(&mut Builder) -> Result<Database, DatabaseError>,
) -> Result<(Database, bool), Failure> {
    let repaired = Arc::new(AtomicBool::new(false));
    let seen = repaired.clone();
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE).set_repair_callback(move |_| seen.store(true, Ordering::Relaxed));
    let database = open(&mut builder)?;
    Ok((database, repaired.load(Ordering::Relaxed)))
}

/// A new file is there after a power cut only when its directory was flushed too.
#[cfg(unix)]
fn sync_directory(path: &Path) -> Result<(), Failure> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(File::open(directory)?.sync_all()?)
}

#[cfg(not(unix))]
fn sync_directory(_: &Path) -> Result<(), Failure> {
    Ok(())
}

/// Pages that are kept in memory. Nothing is read from the file after it was opened, except the paths to where something is
/// written or removed.
const CACHE: usize = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_else_gets_the_file_while_its_database_is_closed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.redb");
        let source = FileSource::lock(&path).unwrap();
        drop(source.open().unwrap());
        let refused = FileSource::lock(&path).err().expect("it is taken");
        assert!(refused.to_string().contains("in use by another process"), "{refused}");
        drop(source);
        FileSource::lock(&path).unwrap().open().unwrap();
    }
}
