//! The store: reads from memory, writes through the writer.

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use throughline::store::{
    Append, AppendError, BoxError, Dropped, Epoch, EventStore, KeptSession, Limits, MemoryStore, Page,
    ReadBudget, ReadError, SessionId, SessionStore, Soon, StreamKey, Usage, Watch,
};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::disk::{Disk, FileSource, Loaded, Source};
use crate::error::{Failure, OpenError};
use crate::writer::{Answer, Batch, Job, Marks, Message, Orphans, What, Writer};

/// Keeps events and sessions in one file: they survive the process, however it ends.
///
/// An append is ready when its batch is flushed to the disk; all that wait share one flush. Reads and watches are as fast as
/// those of the [`MemoryStore`] that they come from: the file holds what it holds, and is read when it is opened. Clones share
/// the store.
///
/// What is dropped for its budgets and its retention goes from the file too, a little later and in small steps. A session
/// that has no record ([`SessionStore::save`]) when the store is opened, and that nobody writes to for a day, is forgotten:
/// nobody else would ever end it.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use throughline::store::{Append, Epoch, Event, EventStore, Limits, ReadBudget, StreamKey};
/// use throughline_redb::RedbStore;
///
/// # let directory = tempfile::tempdir()?;
/// let path = directory.path().join("throughline.redb");
/// let store = RedbStore::open(&path, Limits::default())?;
/// let at = StreamKey { session: "1868a90c".into(), stream: 1 };
/// let event = Event { seq: 1, keep: true, frame: "data: {}\n\n".into() };
/// store.append(&at, Epoch(0), Append { events: &[event.clone()], ..Append::default() }).await?;
/// store.close().await;
///
/// let store = RedbStore::open(&path, Limits::default())?;
/// assert_eq!(*store.read(&at, 0, ReadBudget::default()).await?.events, [event]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
///
/// # Drop behavior
///
/// When the last clone is dropped, its thread writes what waits, closes the file and ends. [`close`](Self::close) waits for
/// that.
#[derive(Clone)]
pub struct RedbStore {
    memory: MemoryStore,
    marks: Arc<Marks>,
    messages: mpsc::UnboundedSender<Message>,
    /// The bytes that may still be queued: what bounds the queue.
    room: Arc<Semaphore>,
}

impl RedbStore {
    /// Opens the store in this file, or makes it, for its owner only. Its directory must be there. Everything in the file is
    /// read and checked, which takes a second or two for each GiB; afterwards it is held in memory within the `limits`, as by
    /// a [`MemoryStore`]. A second file beside it, `<path>.lock`, keeps other processes out; it stays empty.
    ///
    /// # Errors
    ///
    /// See [`OpenErrorKind`](crate::OpenErrorKind).
    pub fn open(path: impl AsRef<Path>, limits: Limits) -> Result<Self, OpenError> {
        let path = path.as_ref();
        FileSource::lock(path)
            .and_then(|source| Self::open_source(Box::new(source), limits))
            .map_err(|cause| OpenError::new(path, cause))
    }

    pub(crate) fn open_source(source: Box<dyn Source>, limits: Limits) -> Result<Self, Failure> {
        let opened = now();
        let (disk, Loaded { sessions, forgotten, .. }) = Disk::open(source, opened)?;
        let orphans =
            sessions.iter().filter(|session| !session.kept).map(|session| session.id.clone()).collect();
        let memory = MemoryStore::restored(limits, sessions)
            .map_err(|_| Failure::damaged("the events of a stream in it are out of order"))?;
        for id in &forgotten {
            // The memory store never waits nor fails.
            drop(memory.forget(id));
        }
        let marks = Arc::new(Marks::default());
        let (messages, receiver) = mpsc::unbounded_channel();
        let writer = Writer {
            disk,
            memory: memory.clone(),
            marks: marks.clone(),
            messages: receiver,
            pass: None,
            streams: 0,
            orphans: Orphans::new(orphans, opened),
        };
        writer.start()?;
        Ok(Self { memory, marks, messages, room: Arc::new(Semaphore::new(QUEUE)) })
    }

    /// Writes everything that was asked for, closes the file and waits until that is done. Other clones of the store refuse
    /// appends from then on.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future waits no longer; the store closes nevertheless.
    pub async fn close(self) {
        let (sender, closed) = oneshot::channel();
        // An error means that it is closed already.
        let _ = self.messages.send(Message::Close(sender));
        let _ = closed.await;
    }

    fn tidy(&self, now: Instant) {
        if self.marks.sweep(now) {
            let _ = self.messages.send(Message::Tidy);
        }
    }

    /// Has something written, now if there is room in the queue, otherwise when there is.
    fn write<E: From<Failure> + Send + 'static>(
        &self,
        what: What,
        answer: Answer,
        outcome: oneshot::Receiver<Result<(), E>>,
    ) -> Soon<Result<(), E>> {
        let share = u32::try_from(what.cost().min(QUEUE)).unwrap_or(u32::MAX);
        let stopped = |_| Err(E::from(Failure::stopped()));
        match self.room.clone().try_acquire_many_owned(share) {
            Ok(share) => {
                // When nobody receives it, the answer says so.
                let _ = self.messages.send(Message::Job(Job { what, answer, _share: Some(share) }));
                Soon::later(async move { outcome.await.unwrap_or_else(stopped) })
            }
            Err(_) => {
                let (room, messages) = (self.room.clone(), self.messages.clone());
                Soon::later(async move {
                    let share = room.acquire_many_owned(share).await.expect("the semaphore is never closed");
                    let _ = messages.send(Message::Job(Job { what, answer, _share: Some(share) }));
                    outcome.await.unwrap_or_else(stopped)
                })
            }
        }
    }
}

impl EventStore for RedbStore {
    fn append(&self, at: &StreamKey, epoch: Epoch, batch: Append<'_>) -> Soon<Result<(), AppendError>> {
        let is_hint = batch.events.is_empty() && !batch.ends && batch.note.is_none();
        if is_hint && self.memory.mark_written(at, epoch, batch.written) {
            if self.marks.note(at, batch.written) {
                self.tidy(now());
            }
            return Soon::Now(Ok(()));
        }
        let batch = Batch {
            at: at.clone(),
            epoch,
            events: batch.events.to_vec(),
            written: batch.written,
            ends: batch.ends,
            note: batch.note.cloned(),
            now: now(),
        };
        let (answer, outcome) = oneshot::channel();
        self.write(What::Append(batch), Answer::Append(answer), outcome)
    }

    fn read(&self, at: &StreamKey, after: u64, max: ReadBudget) -> Soon<Result<Page, ReadError>> {
        self.memory.read(at, after, max)
    }

    fn first_gap(&self, at: &StreamKey, after: u64) -> Soon<Result<Option<Dropped>, ReadError>> {
        self.memory.first_gap(at, after)
    }

    fn watch(&self, at: &StreamKey) -> Watch {
        self.memory.watch(at)
    }

    fn forget(&self, session: &SessionId) -> Soon<Result<(), BoxError>> {
        let (answer, outcome) = oneshot::channel();
        self.write(What::Forget(session.clone()), Answer::Forget(answer), outcome)
    }

    /// Besides, what was dropped since goes from the file, and what was told to be written goes into it.
    fn sweep(&self, now: Instant) {
        self.memory.sweep(now);
        self.tidy(now);
    }

    fn sessions(&self) -> Option<&dyn SessionStore> {
        Some(self)
    }

    fn limits(&self) -> Limits {
        self.memory.limits()
    }

    fn usage(&self) -> Usage {
        self.memory.usage()
    }
}

impl SessionStore for RedbStore {
    fn save(&self, session: &SessionId, epoch: Epoch, record: Bytes) -> Soon<Result<(), AppendError>> {
        let (answer, outcome) = oneshot::channel();
        let what = What::Save { session: session.clone(), epoch, record };
        self.write(what, Answer::Append(answer), outcome)
    }

    fn load(&self) -> Soon<Result<Vec<KeptSession>, BoxError>> {
        let (sender, loaded) = oneshot::channel();
        let _ = self.messages.send(Message::Load(sender));
        Soon::later(async move {
            let sessions = loaded.await.unwrap_or_else(|_| Err(Failure::stopped()))?;
            Ok(sessions)
        })
    }
}

/// The runtime's clock, so that a paused one is obeyed.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbStore").field("memory", &self.memory).finish_non_exhaustive()
    }
}

/// How many bytes may wait to be written. A larger batch waits until it is alone. Enough for the next group to be full when
/// one is flushed.
const QUEUE: usize = 16 * 1024 * 1024;
