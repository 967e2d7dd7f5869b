//! Where the events of sessions are kept, so that a stream outlives its connection.
//!
//! Every event of a stream is appended to the store before it is written to a connection, and the connection is a
//! reader of the store. [`MemoryStore`] keeps events in this process. To keep them elsewhere implement [`EventStore`]
//! and run [`laws::check_all`] against it: a store that passes is accepted.
//!
//! ```text
//!   handler ── Event ──> append(key, epoch, batch) ──> EventStore ──> read(key, after) ──> connection
//!                                                          └── rings every Watch of the stream
//! ```
//!
//! Resumption of a stream is specified at
//! <https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#resumability-and-redelivery>.

mod error;
pub mod laws;
mod limits;
mod memory;
mod sessions;
mod soon;
mod watch;

use std::time::Instant;

use bytes::Bytes;

pub use throughline_proto::log::{Dropped, Event, Events, Page, ReadBudget, SessionId};

pub use self::error::{AppendError, BoxError, ReadError};
pub use self::limits::{Limits, Usage};
pub use self::memory::{MemoryStore, RestoredSession, RestoredStream, Standing, StreamStanding};
pub use self::sessions::{KeptSession, KeptStream, SessionStore};
pub use self::soon::Soon;
pub use self::watch::{Bell, Watch};

/// Names one stream of one session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StreamKey {
    /// The session.
    pub session: SessionId,
    /// The number of the stream within the session. A number is never used for a second stream.
    pub stream: u64,
}

/// The right to write a session, counted up each time another writer takes it over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// A batch to append.
#[derive(Clone, Copy, Debug, Default)]
pub struct Append<'a> {
    /// The events, contiguous. Empty is allowed: it makes the stream known, tells `written` or takes over the session
    /// with a newer epoch.
    pub events: &'a [Event],
    /// The last sequence that was handed to a connection, 0 for none. Events up to here are dropped first. A lower
    /// number than before changes nothing.
    pub written: u64,
    /// Whether the stream ends with this batch.
    pub ends: bool,
    /// What the stream is for, in the words of its writer. A store that keeps [sessions](EventStore::sessions) keeps the
    /// first one of a stream until the stream ends, and gives it back in [`KeptStream::note`]; another ignores it.
    pub note: Option<&'a Bytes>,
}

/// Keeps the events of sessions and wakes their readers.
///
/// Dyn-safe and cheap for a store that need not wait, see [`Soon`].
///
/// # Laws
///
/// The suite in [`laws`] checks them.
///
/// 1. *Durable before visible.* [`append`](Self::append) returns after the batch would survive what the store promises to
///    survive, and from then on every read sees it. A refused batch is never seen.
/// 2. *Ordered.* The sequences of a stream are contiguous, from 1. The same sequences again are accepted once, at any
///    time, after the end too. A stream has one writer.
/// 3. *Scoped.* A read names session and stream, and never returns another's events.
/// 4. *Honest.* A read after a dropped event says so, with the oldest sequence still held and how many were lost; never a
///    shorter list. A page has no hole in it.
/// 5. *Waking.* Every later append or end wakes a watcher at least once, wherever it happened. A stream may be
///    watched before it exists.
/// 6. *Bounded.* Each budget of [`Limits`] holds after every append. Dropped first are ended streams that were written
///    as a whole, those that ended first before others, then written events of running streams, then other ended
///    streams, then unwritten events of running ones; within a stream notifications before what is kept. So progress
///    that is only kept to be replayed never costs a result that nobody has seen. Batches in flight at the same time
///    may come on top while they are being appended.
/// 7. *Ending.* An ended stream says so to its readers and refuses new events with [`AppendError::Ended`].
/// 8. *Fenced.* Once a session was written with an epoch, a writer with an older one is refused with
///    [`AppendError::Fenced`]. A batch that is refused for another reason takes nothing over.
/// 9. *Forgetting.* [`forget`](Self::forget) removes all events of a session and its record, wakes its watchers, and what a
///    late writer still appends is refused with [`AppendError::Ended`] and starts nothing. [`release`](Self::release) keeps
///    them.
///
/// How many streams run at a time, and how many sessions there are, is bounded by the callers: the front door
/// admits 64 requests in flight per session and 10,000 sessions.
pub trait EventStore: Send + Sync + 'static {
    /// Appends a batch to a stream, which need not exist yet.
    ///
    /// # Errors
    ///
    /// See [`AppendError`]. A batch is taken as a whole or not at all.
    ///
    /// # Cancel safety
    ///
    /// When the answer is dropped before it is there, the batch may or may not have been appended; append it again.
    fn append(&self, at: &StreamKey, epoch: Epoch, batch: Append<'_>) -> Soon<Result<(), AppendError>>;

    /// Ends a stream, which need not exist yet. Ending it again changes nothing.
    ///
    /// # Errors
    ///
    /// See [`AppendError`].
    fn end(&self, at: &StreamKey, epoch: Epoch) -> Soon<Result<(), AppendError>> {
        self.append(at, epoch, Append { ends: true, ..Append::default() })
    }

    /// Reads the events right after the sequence `after` (0 reads from the start), at least one if there is one.
    ///
    /// # Errors
    ///
    /// See [`ReadError`].
    fn read(&self, at: &StreamKey, after: u64, max: ReadBudget) -> Soon<Result<Page, ReadError>>;

    /// The earliest hole after the sequence `after`, if anything up to the head is missing. A front door asks before
    /// it starts a replay, while it can still answer with an error.
    ///
    /// # Errors
    ///
    /// See [`ReadError`]; never [`ReadError::Dropped`].
    fn first_gap(&self, at: &StreamKey, after: u64) -> Soon<Result<Option<Dropped>, ReadError>>;

    /// Watches a stream, which need not exist yet.
    fn watch(&self, at: &StreamKey) -> Watch;

    /// Removes everything of a session and wakes its watchers.
    ///
    /// # Errors
    ///
    /// The back end's own; call it again then.
    fn forget(&self, session: &SessionId) -> Soon<Result<(), BoxError>>;

    /// Lets go of a session without ending it, as a shutdown does: a store that outlives the process keeps its events.
    ///
    /// # Errors
    ///
    /// The back end's own.
    fn release(&self, session: &SessionId) -> Soon<Result<(), BoxError>> {
        let _ = session;
        Soon::Now(Ok(()))
    }

    /// Drops the events of streams that ended longer ago than the retention. Called every few seconds.
    fn sweep(&self, now: Instant) {
        let _ = now;
    }

    /// Where sessions are kept beside their events, so that they live on after a restart. A shutdown releases the
    /// sessions of such a store, and ends those of any other. `None` unless the store says otherwise.
    fn sessions(&self) -> Option<&dyn SessionStore> {
        None
    }

    /// The budgets this store keeps.
    fn limits(&self) -> Limits;

    /// What the store holds.
    fn usage(&self) -> Usage;
}
