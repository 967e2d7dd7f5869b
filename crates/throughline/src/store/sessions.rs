//! Where sessions are kept, so that they live on after a restart.

use bytes::Bytes;

use super::{AppendError, BoxError, Epoch, SessionId, Soon};

/// Keeps the records of sessions beside their events.
///
/// It belongs to an [`EventStore`](super::EventStore) that outlives the process, which says so with
/// [`EventStore::sessions`](super::EventStore::sessions). A record is bytes to it.
///
/// # Laws
///
/// They go on from those of [`EventStore`](super::EventStore):
///
/// 10. *Remembering.* What [`save`](Self::save) kept is what [`load`](Self::load) gives back, the latest record of each
///     session, with each of its streams that has not ended, until [`EventStore::forget`](super::EventStore::forget).
///     `save` is ready when the record would survive what the store promises to survive. Its epoch counts as one of law 8,
///     and a session that was forgotten is not started again by it.
pub trait SessionStore: Send + Sync + 'static {
    /// Keeps a session, new or changed. With a newer epoch it takes the session over from every older writer.
    ///
    /// # Errors
    ///
    /// [`AppendError::Fenced`] when a newer epoch has taken over, [`AppendError::Ended`] when the session was forgotten, and
    /// [`AppendError::Unavailable`] when the back end failed.
    fn save(&self, session: &SessionId, epoch: Epoch, record: Bytes) -> Soon<Result<(), AppendError>>;

    /// All sessions that are kept. Asked once, at the start.
    ///
    /// # Errors
    ///
    /// The back end's own.
    fn load(&self) -> Soon<Result<Vec<KeptSession>, BoxError>>;
}

/// A session that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptSession {
    /// Its id.
    pub id: SessionId,
    /// The newest epoch that it was saved or written with.
    pub epoch: Epoch,
    /// Its latest record.
    pub record: Bytes,
    /// Its streams that have not ended, in the order of their numbers.
    pub streams: Vec<KeptStream>,
}

/// A stream that had not ended when its writer was gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptStream {
    /// Its number.
    pub stream: u64,
    /// The sequence of its last event, 0 when it has none.
    pub head: u64,
    /// What it is for, if its writer said so.
    pub note: Option<Bytes>,
}
