//! Logins in files of the user's.
//!
//! ```text
//!   <directory>/login-<digest of the key>.json    {"version":1,"kind":..,"subject":..,"client":..,"record":{..}}
//!              /login-<digest of the key>.lock    empty; who holds its lock may log in and refresh
//!              /.login-<digest>.<random>.tmp      a record while it is written; locked by its writer
//! ```
//!
//! A record is written to a file of its own, flushed, and renamed over the old one, so a reader finds the old record or the
//! new one, and so does whoever comes after a crash. What a killed writer left behind is removed by the next one: it is no
//! longer locked.

#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(not(unix), path = "other.rs")]
mod directory;
mod envelope;
mod locking;
mod place;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use zeroize::Zeroizing;

use self::directory::Directory;
use super::keyed::KeyedLocks;
use super::{Record, RecordKey, StoreError, StoreLock, TokenStore};
use crate::runtime;
use crate::store::Soon;

/// Keeps logins in files that only the user can read, for all processes of the user. A clone shares its locks.
///
/// ```
/// use throughline::auth::oauth::{FileTokenStore, Record, RecordKey, TokenStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let home = tempfile::tempdir()?;
/// let store = FileTokenStore::at(home.path().join("logins"))?;
/// let key = RecordKey::login("https://mcp.example.com/mcp", "my-app");
/// store.save(&key, &Record::of(&["a login"])?).await?;
/// assert!(store.load(&key).await?.is_some());
/// # Ok(())
/// # }
/// ```
///
/// # Where
///
/// [`FileTokenStore::new`] takes `$XDG_DATA_HOME/throughline/logins` or `~/.local/share/throughline/logins`; on macOS
/// `~/Library/Application Support/throughline/logins`; on Windows `%LOCALAPPDATA%\throughline\logins`. It does not follow
/// the user to other machines. It must be a file system with file locks, which some network file systems are not.
///
/// # Who can read it
///
/// On Unix a directory that is created has the mode 0700, and each file 0600. A file that others could read is repaired, with
/// a warning in the log: take what it holds for seen, and log in again. One that others can write, that belongs to another
/// user, or that is a link is refused, since somebody may have put it there; so is a directory that others can write or
/// that belongs to another user. On Windows files have the permissions of the user's profile. Programs of the same user can read
/// the files: where that is too much, keep logins in the keyring of the system (`throughline-keyring`).
///
/// # Durability
///
/// A save that has returned is on the disk, together with its name.
#[derive(Clone, Debug)]
pub struct FileTokenStore {
    directory: PathBuf,
    locks: KeyedLocks,
}

impl FileTokenStore {
    /// A store in the directory where this platform keeps the data of programs. Nothing is read or created yet.
    ///
    /// # Errors
    ///
    /// When the environment names no home directory.
    pub fn new() -> Result<Self, StoreError> {
        Self::at(place::default_directory(|name| std::env::var_os(name))?)
    }

    /// A store in a directory, which is created with the first record.
    ///
    /// # Errors
    ///
    /// When the path is relative and there is no current directory, or it is empty.
    pub fn at(directory: impl AsRef<Path>) -> Result<Self, StoreError> {
        let directory = std::path::absolute(directory.as_ref()).map_err(|error| {
            StoreError::failed("the directory for logins cannot be found; name it by its full path", error)
        })?;
        Ok(Self { directory, locks: KeyedLocks::default() })
    }

    /// Where the files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Runs file work where it may block.
    fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> Result<T, StoreError> + Send + 'static,
    ) -> Soon<Result<T, StoreError>> {
        let directory = self.directory.clone();
        Soon::later(async move {
            let done = runtime::blocking(move || work(&directory)).await;
            done.unwrap_or_else(|_| {
                Err(StoreError::unusable("the store of logins stopped in the middle; try again"))
            })
        })
    }
}

impl TokenStore for FileTokenStore {
    fn load(&self, key: &RecordKey) -> Soon<Result<Option<Record>, StoreError>> {
        let key = key.clone();
        self.blocking(move |directory| load(directory, &key))
    }

    /// The record is kept whenever the work has begun, also when the answer is dropped.
    fn save(&self, key: &RecordKey, record: &Record) -> Soon<Result<(), StoreError>> {
        let (key, record) = (key.clone(), record.clone());
        self.blocking(move |directory| save(directory, &key, &record))
    }

    fn delete(&self, key: &RecordKey) -> Soon<Result<(), StoreError>> {
        let key = key.clone();
        self.blocking(move |directory| delete(directory, &key))
    }

    fn lock(&self, key: &RecordKey, patience: Duration) -> Soon<Result<StoreLock, StoreError>> {
        let (directory, locks, name) = (self.directory.clone(), self.locks.clone(), key.name());
        Soon::later(async move {
            let lock = locking::lock(&directory, &locks, &name, patience).await?;
            Ok(StoreLock::new(lock))
        })
    }
}

fn load(path: &Path, key: &RecordKey) -> Result<Option<Record>, StoreError> {
    let Some(directory) = Directory::open(path)? else { return Ok(None) };
    let name = file_name(key);
    let Some(mut file) = directory.record(&name)? else { return Ok(None) };
    let path = path.join(&name);
    let text = read(&mut file).map_err(|error| failed("read", &path, error))?;
    let text = text.ok_or_else(|| damaged(&path))?;
    envelope::open(&text, key, &path).map(Some)
}

/// The whole file. `None`: it is larger than any record, or no text.
fn read(file: &mut File) -> io::Result<Option<Zeroizing<String>>> {
    // At once with the room that it needs, so that no part stays behind in memory as it grows.
    let mut bytes = Zeroizing::new(Vec::with_capacity(envelope::MAX_BYTES + 1));
    file.take(envelope::MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > envelope::MAX_BYTES {
        return Ok(None);
    }
    Ok(std::str::from_utf8(&bytes).ok().map(|text| Zeroizing::new(text.to_owned())))
}

fn save(path: &Path, key: &RecordKey, record: &Record) -> Result<(), StoreError> {
    let text = envelope::seal(key, record)?;
    let directory = Directory::create(path)?;
    sweep(&directory);
    let name = file_name(key);
    for _ in 0..MOST_TRIES {
        let temporary = format!(".{}.{}.tmp", key.name(), runtime::random_id());
        match replace(&directory, &temporary, &name, text.as_bytes()) {
            Ok(()) => return Ok(()),
            // Another process swept it away before it was locked.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                // What is left of it goes with the next sweep at the latest.
                let _ = directory.remove(&temporary);
                return Err(failed("written", &path.join(&name), error));
            }
        }
    }
    let path = path.display();
    Err(StoreError::unusable(format!(
        "files in {path} vanish while they are written; name another directory for logins"
    )))
}

fn replace(directory: &Directory, temporary: &str, name: &str, text: &[u8]) -> io::Result<()> {
    let mut file = directory.create_file(temporary)?;
    // It tells whoever sweeps that this one is being written. Without it the worst is another try.
    let _ = file.try_lock();
    file.write_all(text)?;
    file.sync_all()?;
    if cfg!(windows) {
        // There a locked file cannot be read.
        let _ = file.unlock();
    }
    directory.rename(temporary, name)?;
    directory.sync()
}

/// Removes what killed writers left behind: secrets that nobody would ever remove.
fn sweep(directory: &Directory) {
    let Ok(names) = directory.names(MOST_NAMES) else { return };
    let left = names.into_iter().filter(|name| {
        let rest = name.strip_prefix('.').and_then(|name| name.strip_suffix(".tmp"));
        rest.is_some_and(|rest| rest.starts_with("login-") || rest.starts_with("registration-"))
    });
    for name in left.take(MOST_SWEPT) {
        if let Ok(Some(file)) = directory.record(&name)
            && file.try_lock().is_ok()
        {
            // Another one may have removed it.
            let _ = directory.remove(&name);
        }
    }
}

fn delete(path: &Path, key: &RecordKey) -> Result<(), StoreError> {
    let Some(directory) = Directory::open(path)? else { return Ok(()) };
    let name = file_name(key);
    match directory.remove(&name).and_then(|()| directory.sync()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed("deleted", &path.join(&name), error))
        }
        _ => Ok(()),
    }
}

fn file_name(key: &RecordKey) -> String {
    format!("{}.json", key.name())
}

fn failed(what: &str, path: &Path, error: io::Error) -> StoreError {
    let (path, why) = (path.display(), plain_reason(&error));
    StoreError::failed(
        format!("{path} cannot be {what}{why}: look at the disk and at who may use the directory"),
        error,
    )
}

/// Why, for people.
fn plain_reason(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => ", as this user may not",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ", as the disk is full",
        io::ErrorKind::ReadOnlyFilesystem => ", as the file system is read-only",
        _ => "",
    }
}

fn damaged(path: &Path) -> StoreError {
    StoreError::corrupt(format!("{} is damaged: delete it, and log in again", path.display()))
}

/// How often a file is written that others remove. One sweeper does so once at most.
const MOST_TRIES: u32 = 16;
/// As many names of a directory are looked at by a sweep: more than anybody's logins, with their locks.
const MOST_NAMES: usize = 10_000;
/// As many files are removed by one sweep. It happens with every save.
const MOST_SWEPT: usize = 64;
