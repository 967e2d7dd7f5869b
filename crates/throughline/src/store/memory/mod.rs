//! The store that keeps events in this process.

mod ended;
mod outliving;
mod session;
mod shard;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use throughline_proto::log::Tier;

use self::ended::EndedQueue;
pub use self::outliving::{RestoredSession, RestoredStream, Standing, StreamStanding};
use self::session::{Bells, Session};
use self::shard::{Forgotten, Shard};
use super::{
    Append, AppendError, BoxError, Dropped, Epoch, EventStore, Limits, Page, ReadBudget, ReadError,
    SessionId, Soon, StreamKey, Usage, Watch,
};

/// Keeps events in memory: they survive a lost connection, not the process.
///
/// An append of one event takes one short lock and copies no bytes. Clones share the same events.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use throughline::store::{Append, Epoch, Event, EventStore, Limits, MemoryStore, ReadBudget, StreamKey};
///
/// let store = MemoryStore::new(Limits::default());
/// let at = StreamKey { session: "1868a90c".into(), stream: 1 };
/// let event = Event { seq: 1, keep: true, frame: "data: {}\n\n".into() };
/// store.append(&at, Epoch(1), Append { events: &[event.clone()], ends: true, ..Append::default() }).await?;
///
/// let page = store.read(&at, 0, ReadBudget::default()).await?;
/// assert_eq!(*page.events, [event]);
/// assert!(page.ended);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
///
/// # How the budgets are kept
///
/// A stream and its session are brought into their budgets while their shard is locked. The bytes of all sessions are
/// one atomic number; only when it exceeds the budget of the store is more done, without any other lock held:
///
/// 1. Ended streams that were written as a whole are given up, in the order of one queue that all shards share.
/// 2. When none is left, running streams give up what was written, in turns: each session gives up at most 64 KiB and the
///    next one follows, across all shards. As such a walk visits all sessions, it frees 1/64 of the store at once.
/// 3. When that is not enough, the other ended streams are given up, again up to 1/64 of the store at once: they hold
///    results that nobody has seen yet.
/// 4. At last running streams give up what was not written, in turns as before. Sessions that hold no more than an even
///    share of the store are spared as long as others hold more.
#[derive(Clone)]
pub struct MemoryStore(Arc<Inner>);

struct Inner {
    limits: Limits,
    shards: [Mutex<Shard>; SHARDS],
    /// The bytes of all sessions.
    bytes: AtomicUsize,
    ended: EndedQueue,
    /// The shard whose turn it is to give something up.
    turn: AtomicUsize,
}

impl MemoryStore {
    /// An empty store with these budgets.
    pub fn new(limits: Limits) -> Self {
        Self(Arc::new(Inner {
            limits,
            shards: Default::default(),
            bytes: AtomicUsize::new(0),
            ended: EndedQueue::default(),
            turn: AtomicUsize::new(0),
        }))
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl EventStore for MemoryStore {
    fn append(&self, at: &StreamKey, epoch: Epoch, batch: Append<'_>) -> Soon<Result<(), AppendError>> {
        Soon::Now(self.0.append(at, epoch, batch, now))
    }

    fn read(&self, at: &StreamKey, after: u64, max: ReadBudget) -> Soon<Result<Page, ReadError>> {
        let shard = self.0.shard(&at.session);
        let session = shard.find(&at.session).ok_or(ReadError::Unknown);
        Soon::Now(session.and_then(|session| session.read(at.stream, after, max)))
    }

    fn first_gap(&self, at: &StreamKey, after: u64) -> Soon<Result<Option<Dropped>, ReadError>> {
        let shard = self.0.shard(&at.session);
        let session = shard.find(&at.session).ok_or(ReadError::Unknown);
        Soon::Now(session.and_then(|session| session.first_gap(at.stream, after)))
    }

    fn watch(&self, at: &StreamKey) -> Watch {
        let (watch, bell) = Watch::pair();
        let mut shard = self.0.shard(&at.session);
        match shard.open(&at.session) {
            Ok(session) => session.add_watcher(at.stream, bell.clone()),
            Err(Forgotten) => {
                // Nothing will ever happen here: let the reader look at once, it will see that.
                bell.ring();
                return watch;
            }
        }
        drop(shard);
        let (store, session) = (Arc::downgrade(&self.0), at.session.clone());
        watch.on_drop(move || {
            if let Some(store) = store.upgrade() {
                store.unwatch(&session, &bell);
            }
        })
    }

    fn forget(&self, session: &SessionId) -> Soon<Result<(), BoxError>> {
        self.0.forget(session);
        Soon::Now(Ok(()))
    }

    fn sweep(&self, now: Instant) {
        while let Some(at) = self.0.ended.pop_expired(now, self.0.limits.retention) {
            self.0.give_up(&at);
        }
    }

    fn limits(&self) -> Limits {
        self.0.limits.clone()
    }

    fn usage(&self) -> Usage {
        let mut usage = Usage { bytes: self.0.bytes.load(Ordering::Relaxed), ..Usage::default() };
        for shard in &self.0.shards {
            for session in lock(shard).sessions() {
                let (streams, events) = session.count();
                usage.streams += streams;
                usage.events += events;
                usage.sessions += usize::from(streams > 0);
            }
        }
        usage
    }
}

impl Inner {
    fn append(
        &self,
        at: &StreamKey,
        epoch: Epoch,
        batch: Append<'_>,
        now: impl FnOnce() -> Instant,
    ) -> Result<(), AppendError> {
        let mut shard = self.shard(&at.session);
        let session = shard.open(&at.session).map_err(|Forgotten| AppendError::Ended)?;
        let outcome = self.change(session, |session| {
            session.append(at.stream, epoch, batch, &self.limits, &self.ended, now)
        });
        let bells = match &outcome {
            Ok(()) => session.bells(at.stream),
            Err(_) => Bells::default(),
        };
        if session.is_blank() {
            shard.remove(&at.session);
        }
        drop(shard);
        if self.excess() > 0 {
            self.settle();
        }
        bells.ring();
        outcome
    }

    fn forget(&self, id: &SessionId) {
        let mut shard = self.shard(id);
        let session = shard.forget(id);
        let Some(mut session) = session else { return };
        let watchers = session.close(&self.ended);
        self.bytes.fetch_sub(session.bytes(), Ordering::Relaxed);
        drop(shard);
        for (_, bell) in watchers {
            bell.ring();
        }
    }

    fn unwatch(&self, id: &SessionId, bell: &super::Bell) {
        let mut shard = self.shard(id);
        let Some(session) = shard.find_mut(id) else { return };
        let bell = session.remove_watcher(bell);
        let blank = if session.is_blank() { shard.remove(id) } else { None };
        drop(shard);
        drop((bell, blank));
    }

    /// Brings the store into its budget, in the order of law 6.
    fn settle(&self) {
        while self.excess() > 0 {
            let Some(at) = self.ended.pop_written() else { break };
            self.give_up(&at);
        }
        self.trim_running(Tier::WRITTEN);
        if self.excess() > 0 {
            // There is no more to be had of running streams, which took a walk to learn. As much as a walk should free is
            // given up, so that a store full of undelivered results is not walked once more for the next event.
            let target = self.limits.store_bytes - self.slack();
            while self.bytes.load(Ordering::Relaxed) > target {
                let Some(at) = self.ended.pop() else { break };
                self.give_up(&at);
            }
        }
        self.trim_running(Tier::UNWRITTEN);
    }

    /// Drops events of running streams, tier by tier, as long as the store holds too many bytes.
    fn trim_running(&self, tiers: [Tier; 2]) {
        for tier in tiers {
            let excess = self.excess();
            if excess == 0 {
                return;
            }
            let freed = self.free(tier, excess + self.slack(), self.even_share(tier));
            if freed < excess {
                self.free(tier, excess - freed, 0);
            }
        }
    }

    /// What a walk over all sessions frees beyond what is needed.
    fn slack(&self) -> usize {
        self.limits.store_bytes / SLACK
    }

    /// How many bytes the store holds too many.
    fn excess(&self) -> usize {
        self.bytes.load(Ordering::Relaxed).saturating_sub(self.limits.store_bytes)
    }

    /// What a session may hold without having to give up events of this tier, as long as others hold more.
    fn even_share(&self, tier: Tier) -> usize {
        match tier {
            Tier::WrittenDroppable | Tier::WrittenKept => 0,
            Tier::Droppable | Tier::Kept => {
                let sessions: usize = self.shards.iter().map(|shard| lock(shard).sessions().len()).sum();
                self.limits.store_bytes / sessions.max(1)
            }
        }
    }

    /// Frees `bytes` of running streams in turns, from sessions that hold more than `spared`. Returns the bytes freed.
    fn free(&self, tier: Tier, bytes: usize, spared: usize) -> usize {
        let mut freed = 0;
        loop {
            let before = freed;
            for _ in 0..SHARDS {
                let turn = self.turn.fetch_add(1, Ordering::Relaxed) % SHARDS;
                let mut shard = lock(&self.shards[turn]);
                for _ in 0..shard.sessions().len() {
                    let Some(session) = shard.turn() else { break };
                    if session.bytes() > spared {
                        freed +=
                            self.change(session, |session| session.free(tier, (bytes - freed).min(TURN)));
                    }
                    if freed >= bytes {
                        return freed;
                    }
                }
            }
            if freed == before {
                return freed;
            }
        }
    }

    fn give_up(&self, at: &StreamKey) {
        let mut shard = self.shard(&at.session);
        if let Some(session) = shard.find_mut(&at.session) {
            self.change(session, |session| session.give_up(at.stream, &self.ended));
        }
    }

    /// Changes a session and keeps the number of bytes.
    fn change<T>(&self, session: &mut Session, change: impl FnOnce(&mut Session) -> T) -> T {
        let before = session.bytes();
        let outcome = change(session);
        let after = session.bytes();
        // Relaxed: the number orders nothing, and the shard's lock orders the changes of a session.
        if after >= before {
            self.bytes.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.bytes.fetch_sub(before - after, Ordering::Relaxed);
        }
        outcome
    }

    fn shard(&self, session: &SessionId) -> MutexGuard<'_, Shard> {
        // Spread by the end of the id, which is random: the high bits of the product depend on all its bits. The map
        // inside a shard hashes the whole id with a key.
        let id = session.as_str().as_bytes();
        let end = match id.last_chunk() {
            Some(end) => u64::from_le_bytes(*end),
            None => id.iter().fold(0, |end, byte| (end << 8) | u64::from(*byte)),
        };
        let hash = end.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        lock(&self.shards[(hash >> (u64::BITS - SHARDS.ilog2())) as usize])
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    // No step under the lock runs foreign code or panics half way, so a poisoned shard is a whole one.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The runtime's clock, so that a paused one is obeyed.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

/// Enough that a few dozen cores rarely meet at a lock, and a power of two; 32 empty shards take some 5 KiB.
const SHARDS: usize = 32;

/// What one session gives up before the next one's turn: what a reader takes with one read.
const TURN: usize = 64 * 1024;

/// A walk over all sessions frees this part of the store beyond what is needed, 4 MiB by default, so that a full store
/// walks its sessions once per some thousand events and not for each.
const SLACK: usize = 64;
