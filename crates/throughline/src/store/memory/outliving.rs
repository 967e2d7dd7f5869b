//! What a store that outlives the process needs of the memory store that it reads from.

#[cfg(test)]
mod tests;

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::session::Session;
use super::{MemoryStore, lock};
use crate::store::{Append, AppendError, Epoch, Event, Limits, SessionId, StreamKey};

/// A session that is put into a memory store with [`MemoryStore::restored`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoredSession {
    /// Its id.
    pub id: SessionId,
    /// The newest epoch that it was written with.
    pub epoch: Epoch,
    /// Whether it is there without any stream too, see [`MemoryStore::keep`].
    pub kept: bool,
    /// Its streams, in any order.
    pub streams: Vec<RestoredStream>,
}

/// A stream of a [`RestoredSession`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoredStream {
    /// Its number.
    pub stream: u64,
    /// The events that are left of it, in ascending order.
    pub events: Vec<Event>,
    /// The sequence of the last event it was given, which counts when that one is not left.
    pub head: u64,
    /// The last sequence that was handed to a connection.
    pub written: u64,
    /// When it ended. One that ended and has no events left is restored as given up: its head is told, and it takes no
    /// part in the budgets.
    pub ended: Option<Instant>,
}

/// Where a session and one of its streams stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The session was forgotten.
    pub forgotten: bool,
    /// The newest epoch that the session was written with; `None` when nothing was ever written to it.
    pub epoch: Option<Epoch>,
    /// The stream, if it is known.
    pub stream: Option<StreamStanding>,
}

/// Where a stream stands, and what of it is held: as the events of a kind are dropped oldest first, two numbers say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamStanding {
    /// The sequence of the last event it was given.
    pub head: u64,
    /// It has ended.
    pub ended: bool,
    /// The highest sequence that was dropped, 0 when none was.
    pub lost: u64,
    /// The sequence of the oldest notification that is held; the head plus one when none is.
    pub oldest_droppable: u64,
    /// The sequence of the oldest response or server request that is held; the head plus one when none is.
    pub oldest_kept: u64,
}

/// For stores that keep events elsewhere and read them from memory: each batch is appended here when it is kept there.
impl MemoryStore {
    /// A store that holds these sessions, as far as its budgets allow. What is dropped to keep them is dropped in the order of
    /// law 6.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// use throughline::store::*;
    ///
    /// let left = Event { seq: 3, keep: true, frame: "data: {}\n\n".into() };
    /// let stream = RestoredStream { stream: 1, events: vec![left], head: 4, written: 0, ended: None };
    /// let session = RestoredSession { id: "1868a90c".into(), epoch: Epoch(2), kept: true, streams: vec![stream] };
    /// let store = MemoryStore::restored(Limits::default(), [session])?;
    ///
    /// let at = StreamKey { session: "1868a90c".into(), stream: 1 };
    /// assert_eq!(store.first_gap(&at, 0).await?.map(|lost| lost.count), Some(2));
    /// let next = Event { seq: 5, keep: true, frame: "data: {}\n\n".into() };
    /// store.append(&at, Epoch(2), Append { events: &[next], ..Append::default() }).await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`AppendError::Gap`] when the events of a stream do not ascend, or a session or stream is there twice.
    pub fn restored(
        limits: Limits,
        sessions: impl IntoIterator<Item = RestoredSession>,
    ) -> Result<Self, AppendError> {
        let store = Self::new(limits);
        let inner = &store.0;
        let mut ends = Vec::new();
        for from in sessions {
            let id = from.id.clone();
            let (session, of_session) = Session::restored(from, &inner.limits)?;
            ends.extend(of_session.into_iter().map(|(ended, stream)| (ended, id.clone(), stream)));
            inner.bytes.fetch_add(session.bytes(), Ordering::Relaxed);
            if !inner.shard(&id).insert(session) {
                return Err(AppendError::Gap);
            }
        }
        ends.sort_by_key(|(ended, ..)| *ended);
        for (ended, id, stream) in ends {
            if let Some(session) = inner.shard(&id).find_mut(&id) {
                session.queue(stream, ended, &inner.ended);
            }
        }
        for shard in &inner.shards {
            for session in lock(shard).sessions_mut() {
                inner.change(session, |session| session.settle_restored(&inner.limits, &inner.ended));
            }
        }
        inner.settle();
        Ok(store)
    }

    /// Appends as [`EventStore::append`](crate::store::EventStore::append) does, at a time that the caller read: an end counts from then.
    ///
    /// # Errors
    ///
    /// See [`AppendError`].
    pub fn append_at(
        &self,
        at: &StreamKey,
        epoch: Epoch,
        batch: Append<'_>,
        now: Instant,
    ) -> Result<(), AppendError> {
        self.0.append(at, epoch, batch, || now)
    }

    /// Takes a session over with an epoch, unless it has a newer one, and has it stay without any stream too, until it is
    /// [forgotten](crate::store::EventStore::forget).
    ///
    /// # Errors
    ///
    /// [`AppendError::Ended`] when it was forgotten, [`AppendError::Fenced`] when a newer epoch has taken over.
    pub fn keep(&self, session: &SessionId, epoch: Epoch) -> Result<(), AppendError> {
        let mut shard = self.0.shard(session);
        let session = shard.open(session).map_err(|_| AppendError::Ended)?;
        if epoch < session.epoch() {
            return Err(AppendError::Fenced);
        }
        session.keep(epoch);
        Ok(())
    }

    /// The bytes of all sessions, counted with [`Event::cost`]. Cheaper than the whole [usage](crate::store::EventStore::usage).
    pub fn bytes(&self) -> usize {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// Where a session and one of its streams stand.
    pub fn standing(&self, at: &StreamKey) -> Standing {
        let shard = self.0.shard(&at.session);
        match shard.find(&at.session) {
            Some(session) if !session.is_unwritten() => {
                Standing { forgotten: false, epoch: Some(session.epoch()), stream: session.stream(at.stream) }
            }
            _ => Standing { forgotten: shard.is_forgotten(&at.session), ..Standing::default() },
        }
    }

    /// Tells that a stream was handed to a connection up to a sequence, when it is known and this epoch is the session's.
    /// Returns whether it was.
    pub fn mark_written(&self, at: &StreamKey, epoch: Epoch, written: u64) -> bool {
        let mut shard = self.0.shard(&at.session);
        let Some(session) = shard.find_mut(&at.session) else { return false };
        if session.epoch() != epoch || session.stream(at.stream).is_none() {
            return false;
        }
        session.mark_written(at.stream, written, &self.0.ended);
        true
    }
}
