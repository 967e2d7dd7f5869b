//! A store that keeps sessions as one on a disk does, so that tests can kill the process in front of it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use throughline::store::{
    Append, AppendError, BoxError, Dropped, Epoch, Event, EventStore, KeptSession, KeptStream, Limits,
    MemoryStore, Page, ReadBudget, ReadError, SessionId, SessionStore, Soon, StreamKey, Usage, Watch,
};
use tokio::sync::watch;

/// One process's view of the disk. After [`reboot`](Self::reboot) it is dead: nothing it is asked ever happens.
#[derive(Clone)]
pub(crate) struct Disk {
    shared: Arc<Shared>,
    life: u64,
}

struct Shared {
    events: MemoryStore,
    kept: Mutex<HashMap<SessionId, Kept>>,
    writes: watch::Sender<Writes>,
    flushes: AtomicUsize,
    loads: AtomicUsize,
}

#[derive(Default)]
struct Kept {
    epoch: Epoch,
    record: Option<Bytes>,
    forgotten: bool,
    streams: BTreeMap<u64, KeptStream>,
    ended: HashSet<u64>,
}

/// What becomes of writes.
#[derive(Clone, Copy, Default)]
struct Writes {
    life: u64,
    /// They wait.
    held: bool,
    /// They fail.
    failing: bool,
    /// They are done before they are asked for, as by a writer of its own that needs no runtime.
    prompt: bool,
    /// How long it takes to load the sessions.
    loading: Duration,
}

/// A batch that takes its time.
struct Batch {
    at: StreamKey,
    epoch: Epoch,
    events: Vec<Event>,
    written: u64,
    ends: bool,
    note: Option<Bytes>,
}

impl Disk {
    pub(crate) fn new() -> Self {
        let shared = Shared {
            events: MemoryStore::default(),
            kept: Mutex::default(),
            writes: watch::Sender::default(),
            flushes: AtomicUsize::new(0),
            loads: AtomicUsize::new(0),
        };
        Self { shared: Arc::new(shared), life: 0 }
    }

    /// Kills the process (`kill -9`): what it wrote is there, and what it was about to write never will be. For the next one.
    pub(crate) fn reboot(&self) -> Self {
        let life = self.life + 1;
        self.shared.writes.send_replace(Writes { life, ..Writes::default() });
        Self { shared: Arc::clone(&self.shared), life }
    }

    /// Writes wait from now on.
    pub(crate) fn hold(&self) {
        self.shared.writes.send_modify(|writes| writes.held = true);
    }

    /// What waits is written.
    pub(crate) fn release(&self) {
        self.shared.writes.send_modify(|writes| writes.held = false);
    }

    /// Whether writes fail from now on, those that wait too.
    pub(crate) fn fail(&self, yes: bool) {
        self.shared.writes.send_modify(|writes| writes.failing = yes);
    }

    /// Writes are done at once, while they are not held, even when nobody waits for them.
    pub(crate) fn be_prompt(&self) {
        self.shared.writes.send_modify(|writes| writes.prompt = true);
    }

    /// How long it takes to load the sessions from now on.
    pub(crate) fn load_for(&self, time: Duration) {
        self.shared.writes.send_modify(|writes| writes.loading = time);
    }

    /// How often the sessions were asked for.
    pub(crate) fn loads(&self) -> usize {
        self.shared.loads.load(Ordering::SeqCst)
    }

    /// How often something was written that had to be waited for.
    pub(crate) fn flushes(&self) -> usize {
        self.shared.flushes.load(Ordering::SeqCst)
    }

    /// How many sessions would be there after a restart.
    pub(crate) fn sessions_kept(&self) -> usize {
        self.kept().values().filter(|kept| kept.record.is_some()).count()
    }

    /// The streams of a session that have not ended.
    pub(crate) fn open_streams(&self, session: &str) -> Vec<KeptStream> {
        let kept = self.kept();
        kept.get(session).map_or(Vec::new(), |kept| kept.streams.values().cloned().collect())
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<SessionId, Kept>> {
        self.shared.kept.lock().unwrap()
    }

    fn is_dead(&self) -> bool {
        self.shared.writes.borrow().life != self.life
    }

    /// Does it once writes are let through, or fails it then.
    fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Disk) -> Result<T, AppendError> + Send + 'static,
    ) -> Soon<Result<T, AppendError>> {
        let disk = self.clone();
        let mut writes = self.shared.writes.subscribe();
        let Writes { held, failing, prompt, .. } = *writes.borrow();
        if prompt && !held && !failing && !self.is_dead() {
            return Soon::now(change(self));
        }
        Soon::later(async move {
            let now = writes.wait_for(|writes| writes.life != disk.life || !writes.held).await;
            let now = *now.expect("the disk is there");
            if now.life != disk.life {
                return pending().await;
            }
            disk.shared.flushes.fetch_add(1, Ordering::SeqCst);
            if now.failing {
                return Err(AppendError::Unavailable("the disk is full".into()));
            }
            change(&disk)
        })
    }

    fn take(&self, batch: &Batch) -> Result<(), AppendError> {
        let Batch { at, epoch, events, written, ends, note } = batch;
        let mut all = self.kept();
        let kept = all.entry(at.session.clone()).or_default();
        if kept.forgotten {
            return Err(AppendError::Ended);
        }
        if *epoch < kept.epoch {
            return Err(AppendError::Fenced);
        }
        kept.epoch = *epoch;
        let append = Append { events, written: *written, ends: *ends, note: None };
        let Soon::Now(taken) = self.shared.events.append(at, *epoch, append) else {
            unreachable!("it keeps all in memory")
        };
        taken?;
        if *ends {
            kept.streams.remove(&at.stream);
            kept.ended.insert(at.stream);
        }
        if kept.ended.contains(&at.stream) {
            return Ok(());
        }
        let empty = KeptStream { stream: at.stream, head: 0, note: None };
        let stream = kept.streams.entry(at.stream).or_insert(empty);
        stream.head = events.last().map_or(stream.head, |event| event.seq.max(stream.head));
        if stream.note.is_none() {
            stream.note.clone_from(note);
        }
        Ok(())
    }
}

impl EventStore for Disk {
    fn append(&self, at: &StreamKey, epoch: Epoch, batch: Append<'_>) -> Soon<Result<(), AppendError>> {
        let Append { events, written, ends, note } = batch;
        let batch =
            Batch { at: at.clone(), epoch, events: events.to_vec(), written, ends, note: note.cloned() };
        // What is only a hint is not waited for.
        if batch.events.is_empty() && !batch.ends && batch.note.is_none() && !self.is_dead() {
            return Soon::now(self.take(&batch));
        }
        self.write(move |disk| disk.take(&batch))
    }

    fn read(&self, at: &StreamKey, after: u64, max: ReadBudget) -> Soon<Result<Page, ReadError>> {
        if self.is_dead() { Soon::later(pending()) } else { self.shared.events.read(at, after, max) }
    }

    fn first_gap(&self, at: &StreamKey, after: u64) -> Soon<Result<Option<Dropped>, ReadError>> {
        self.shared.events.first_gap(at, after)
    }

    fn watch(&self, at: &StreamKey) -> Watch {
        self.shared.events.watch(at)
    }

    fn forget(&self, session: &SessionId) -> Soon<Result<(), BoxError>> {
        let session = session.clone();
        let gone = self.write(move |disk| {
            disk.kept().insert(session.clone(), Kept { forgotten: true, ..Kept::default() });
            drop(disk.shared.events.forget(&session));
            Ok(())
        });
        gone.map(|gone| gone.map_err(Into::into))
    }

    fn sweep(&self, now: Instant) {
        self.shared.events.sweep(now);
    }

    fn sessions(&self) -> Option<&dyn SessionStore> {
        Some(self)
    }

    fn limits(&self) -> Limits {
        self.shared.events.limits()
    }

    fn usage(&self) -> Usage {
        self.shared.events.usage()
    }
}

impl SessionStore for Disk {
    fn save(&self, session: &SessionId, epoch: Epoch, record: Bytes) -> Soon<Result<(), AppendError>> {
        let session = session.clone();
        self.write(move |disk| {
            let mut all = disk.kept();
            let kept = all.entry(session).or_default();
            if kept.forgotten {
                return Err(AppendError::Ended);
            }
            if epoch < kept.epoch {
                return Err(AppendError::Fenced);
            }
            (kept.epoch, kept.record) = (epoch, Some(record));
            Ok(())
        })
    }

    fn load(&self) -> Soon<Result<Vec<KeptSession>, BoxError>> {
        self.shared.loads.fetch_add(1, Ordering::SeqCst);
        let Writes { failing, loading, .. } = *self.shared.writes.borrow();
        if !loading.is_zero() {
            let disk = self.clone();
            return Soon::later(async move {
                tokio::time::sleep(loading).await;
                disk.load_now(failing)
            });
        }
        Soon::now(self.load_now(failing))
    }
}

impl Disk {
    fn load_now(&self, failing: bool) -> Result<Vec<KeptSession>, BoxError> {
        if failing {
            return Err("the disk is full".into());
        }
        let all = self
            .kept()
            .iter()
            .filter_map(|(id, kept)| {
                let record = kept.record.clone()?;
                let streams = kept.streams.values().cloned().collect();
                Some(KeptSession { id: id.clone(), epoch: kept.epoch, record, streams })
            })
            .collect();
        Ok(all)
    }
}
