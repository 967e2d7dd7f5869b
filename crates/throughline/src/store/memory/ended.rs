//! The ended streams of all sessions, in the order in which they are given up.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::store::StreamKey;

/// Ended streams, those that were written as a whole before the others, each by their end.
///
/// One queue for all shards, so that giving up the oldest needs no scan. Its lock is taken when a stream ends or is
/// removed, never for an append in between; it may be taken while a shard is locked, never the other way round.
#[derive(Default)]
pub(super) struct EndedQueue(Mutex<Tiers>);

#[derive(Default)]
struct Tiers {
    written: BTreeMap<u64, Entry>,
    waiting: BTreeMap<u64, Entry>,
    next: u64,
}

struct Entry {
    at: StreamKey,
    ended: Instant,
}

/// The place of an ended stream in the queue. An earlier end has a lower rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) rank: u64,
    /// The stream was written as a whole.
    pub(super) written: bool,
}

impl EndedQueue {
    /// Takes in a stream that ended now.
    pub(super) fn insert(&self, at: StreamKey, ended: Instant, written: bool) -> Place {
        let mut tiers = self.lock();
        let rank = tiers.next;
        tiers.next += 1;
        let tier = if written { &mut tiers.written } else { &mut tiers.waiting };
        tier.insert(rank, Entry { at, ended });
        Place { rank, written }
    }

    /// Notes that a stream has been written as a whole since it ended.
    pub(super) fn promote(&self, place: &mut Place) {
        let mut tiers = self.lock();
        if let Some(entry) = tiers.waiting.remove(&place.rank) {
            tiers.written.insert(place.rank, entry);
        }
        place.written = true;
    }

    /// Takes out a stream. One that was popped is not there any more, which is fine.
    pub(super) fn remove(&self, place: Place) {
        let mut tiers = self.lock();
        let tier = if place.written { &mut tiers.written } else { &mut tiers.waiting };
        tier.remove(&place.rank);
    }

    /// Takes out the stream to give up first of those that were written as a whole.
    pub(super) fn pop_written(&self) -> Option<StreamKey> {
        self.lock().written.pop_first().map(|(_, entry)| entry.at)
    }

    /// Takes out the stream to give up first of all.
    pub(super) fn pop(&self) -> Option<StreamKey> {
        let mut tiers = self.lock();
        let entry = tiers.written.pop_first().or_else(|| tiers.waiting.pop_first());
        entry.map(|(_, entry)| entry.at)
    }

    /// Takes out a stream whose retention is over.
    pub(super) fn pop_expired(&self, now: Instant, retention: Duration) -> Option<StreamKey> {
        let mut tiers = self.lock();
        let Tiers { written, waiting, .. } = &mut *tiers;
        [written, waiting].into_iter().find_map(|tier| {
            let first = tier.first_entry()?;
            let over = now.saturating_duration_since(first.get().ended) >= retention;
            over.then(|| first.remove().at)
        })
    }

    fn lock(&self) -> MutexGuard<'_, Tiers> {
        // No step under the lock panics half way, so a poisoned queue is a whole one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl EndedQueue {
    pub(super) fn len(&self) -> usize {
        let tiers = self.lock();
        tiers.written.len() + tiers.waiting.len()
    }
}
