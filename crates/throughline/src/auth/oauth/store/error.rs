//! What can go wrong with a store.

use std::fmt;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a [`TokenStore`](super::TokenStore) failed. Its text is one sentence for people, which says what to do; nothing of a
/// record is in it.
#[derive(Debug)]
pub struct StoreError {
    kind: Kind,
    message: Box<str>,
    source: Option<BoxError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Busy,
    Corrupt,
    Insecure,
    Unusable,
    Failed,
}

impl StoreError {
    /// Another process, or another task, held the lock all the while: it logs in, perhaps.
    pub fn is_busy(&self) -> bool {
        self.kind == Kind::Busy
    }

    /// What is kept cannot be read. Logging in again writes it anew.
    pub fn is_corrupt(&self) -> bool {
        self.kind == Kind::Corrupt
    }

    /// What is kept could have been written by others, so it is not used.
    pub fn is_insecure(&self) -> bool {
        self.kind == Kind::Insecure
    }

    /// Another held the lock all the while.
    pub fn busy(message: impl Into<Box<str>>) -> Self {
        Self::new(Kind::Busy, message, None)
    }

    pub(super) fn held() -> Self {
        Self::busy("another process logs in at this server; finish that login, or try again later")
    }

    /// What is kept cannot be read.
    pub fn corrupt(message: impl Into<Box<str>>) -> Self {
        Self::new(Kind::Corrupt, message, None)
    }

    /// What is kept could have been written by others.
    pub fn insecure(message: impl Into<Box<str>>) -> Self {
        Self::new(Kind::Insecure, message, None)
    }

    /// What was to be kept cannot be.
    pub fn unusable(message: impl Into<Box<str>>) -> Self {
        Self::new(Kind::Unusable, message, None)
    }

    /// What the store stands on failed.
    pub fn failed(message: impl Into<Box<str>>, source: impl Into<BoxError>) -> Self {
        Self::new(Kind::Failed, message, Some(source.into()))
    }

    fn new(kind: Kind, message: impl Into<Box<str>>, source: Option<BoxError>) -> Self {
        Self { kind, message: message.into(), source }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}
