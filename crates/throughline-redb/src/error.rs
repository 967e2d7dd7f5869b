//! Why a store could not be opened, and why its disk failed.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{CommitError, DatabaseError, StorageError, TableError, TransactionError};
use throughline::store::AppendError;

/// Why a store could not be opened.
///
/// The file is as it was, except that one which was not closed may have been repaired.
#[derive(Debug)]
pub struct OpenError {
    path: PathBuf,
    cause: Failure,
}

/// What is wrong with a store that could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenErrorKind {
    /// Another process has it open, or this one has.
    InUse,
    /// The file is damaged, cut off, or not a store at all. One whose header claims a great size was seen to take 2 GiB of
    /// memory before it was refused.
    Damaged,
    /// The file was written in a format that this version does not know: a newer one wrote it.
    Newer,
    /// The file or its directory may not be read or written.
    Permission,
    /// The directory of the file does not exist.
    Missing,
    /// There is no room on the disk.
    Full,
    /// Anything else that the operating system refused.
    Io,
}

impl OpenError {
    pub(crate) fn new(path: &Path, cause: Failure) -> Self {
        Self { path: path.to_owned(), cause }
    }

    /// What is wrong.
    pub fn kind(&self) -> OpenErrorKind {
        self.cause.kind
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot open the event store {}: {}", self.path.display(), self.cause)
    }
}

impl Error for OpenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

/// Why the disk failed. Cheap to clone: everyone who waited for one flush is told the same.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    kind: OpenErrorKind,
    text: Arc<str>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl Failure {
    pub(crate) fn damaged(what: impl Into<Arc<str>>) -> Self {
        Self { kind: OpenErrorKind::Damaged, text: what.into(), source: None }
    }

    pub(crate) fn newer(found: u64, known: u64) -> Self {
        let text =
            format!("it has format {found}, and this version knows {known}; use the version that wrote it");
        Self { kind: OpenErrorKind::Newer, text: text.into(), source: None }
    }

    pub(crate) fn stopped() -> Self {
        Self { kind: OpenErrorKind::Io, text: "the store was closed".into(), source: None }
    }

    /// The engine panicked, as it does where damage made its structures senseless.
    pub(crate) fn panicked(payload: &(dyn Any + Send)) -> Self {
        let said = (payload.downcast_ref::<&str>().copied())
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let said = said.unwrap_or("it did not say why");
        let text = format!(
            "the database engine panicked ({said}); if it does so again, the file is damaged: restore it from a copy or \
             move it away"
        );
        Self { kind: OpenErrorKind::Damaged, text: text.into(), source: None }
    }

    /// Nothing is tried again in this life of the process.
    pub(crate) fn for_good(self) -> Self {
        let text = format!("{}. Nothing is written any more until the store is opened anew", self.text);
        Self { text: text.into(), ..self }
    }

    fn of(kind: OpenErrorKind, text: &str, source: impl Error + Send + Sync + 'static) -> Self {
        let text = match kind {
            OpenErrorKind::Io => format!("{text}: {source}").into(),
            _ => text.into(),
        };
        Self { kind, text, source: Some(Arc::new(source)) }
    }

    fn damaged_by(source: impl Error + Send + Sync + 'static) -> Self {
        Self::of(OpenErrorKind::Damaged, DAMAGED, source)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let (kind, text) = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                (OpenErrorKind::Full, "the disk is full; make room")
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                (OpenErrorKind::Permission, "permission to read and write it is missing")
            }
            io::ErrorKind::NotFound => (OpenErrorKind::Missing, "its directory does not exist"),
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => (OpenErrorKind::Damaged, DAMAGED),
            _ => (OpenErrorKind::Io, "the disk failed"),
        };
        Self::of(kind, text, error)
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Io(error) => error.into(),
            StorageError::Corrupted(_) => Self::damaged_by(error),
            error => Self::of(OpenErrorKind::Io, "the disk failed", error),
        }
    }
}

impl From<DatabaseError> for Failure {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::DatabaseAlreadyOpen => {
                Self::of(OpenErrorKind::InUse, "it is in use by another process", error)
            }
            DatabaseError::UpgradeRequired(_) => {
                Self::of(OpenErrorKind::Newer, "another version of the database engine wrote it", error)
            }
            DatabaseError::Storage(error) => error.into(),
            error => Self::damaged_by(error),
        }
    }
}

impl From<TableError> for Failure {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Storage(error) => error.into(),
            error => Self::of(OpenErrorKind::Damaged, "it is a database of another program", error),
        }
    }
}

impl From<TransactionError> for Failure {
    fn from(error: TransactionError) -> Self {
        match error {
            TransactionError::Storage(error) => error.into(),
            error => Self::of(OpenErrorKind::Io, "the disk failed", error),
        }
    }
}

impl From<CommitError> for Failure {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Storage(error) => error.into(),
            error => Self::of(OpenErrorKind::Io, "the disk failed", error),
        }
    }
}

const DAMAGED: &str = "it is damaged, or not an event store; restore it from a copy or move it away";

impl From<Failure> for AppendError {
    fn from(cause: Failure) -> Self {
        Self::Unavailable(Box::new(cause))
    }
}
