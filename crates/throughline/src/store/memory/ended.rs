//! The ended streams of all sessions, in the order in which they are given up.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;

use crate::store::StreamKey;

/// Ended streams, those that were written as a whole before the others, each by their end.
///
/// One queue for all shards, so that giving up the oldest needs no scan. Its lock is taken when a stream ends, was written or
/// is removed, never for an append in between; it may be taken while a shard is locked, never the other way round.
#[derive(Default)]
pub(super) struct EndedQueue(Mutex<Queue>);

/// Nearly every stream ends, is written and later removed one by one, without ever being the first of all. So the entries
/// stand in a map, where each of that is a step, and the tiers only order their ranks.
#[derive(Default)]
struct Queue {
    entries: HashMap<u64, Entry, RandomState>,
    written: Tier,
    waiting: Tier,
    next: u64,
}

struct Entry {
    at: StreamKey,
    ended: Instant,
    written: bool,
}

/// The ranks of some entries, the lowest first, among them those of entries that are gone or in the other tier by now.
#[derive(Default)]
struct Tier {
    ranks: BinaryHeap<Reverse<u64>>,
    /// How many of them are of entries of this tier.
    live: usize,
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
        let mut queue = self.lock();
        let rank = queue.next;
        queue.next += 1;
        queue.entries.insert(rank, Entry { at, ended, written });
        queue.tier(written).insert(rank);
        Place { rank, written }
    }

    /// Notes that a stream has been written as a whole since it ended.
    pub(super) fn promote(&self, place: &mut Place) {
        let mut queue = self.lock();
        if let Some(entry) = queue.entries.get_mut(&place.rank)
            && !std::mem::replace(&mut entry.written, true)
        {
            queue.leave(false);
            queue.written.insert(place.rank);
        }
        place.written = true;
    }

    /// Takes out a stream. One that was popped is not there any more, which is fine.
    pub(super) fn remove(&self, place: Place) {
        let mut queue = self.lock();
        if let Some(entry) = queue.entries.remove(&place.rank) {
            queue.leave(entry.written);
        }
    }

    /// Takes out the stream to give up first of those that were written as a whole.
    pub(super) fn pop_written(&self) -> Option<StreamKey> {
        self.lock().pop(true, |_| true)
    }

    /// Takes out the stream to give up first of all.
    pub(super) fn pop(&self) -> Option<StreamKey> {
        let mut queue = self.lock();
        queue.pop(true, |_| true).or_else(|| queue.pop(false, |_| true))
    }

    /// Takes out a stream whose retention is over.
    pub(super) fn pop_expired(&self, now: Instant, retention: Duration) -> Option<StreamKey> {
        let mut queue = self.lock();
        let is_over = |ended: Instant| now.saturating_duration_since(ended) >= retention;
        queue.pop(true, is_over).or_else(|| queue.pop(false, is_over))
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // No step under the lock panics half way, so a poisoned queue is a whole one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn tier(&mut self, written: bool) -> &mut Tier {
        if written { &mut self.written } else { &mut self.waiting }
    }

    /// Takes out the first entry of a tier, if its end is one that `wanted` takes.
    fn pop(&mut self, written: bool, wanted: impl Fn(Instant) -> bool) -> Option<StreamKey> {
        while let Some(Reverse(rank)) = self.tier(written).ranks.peek().copied() {
            let entry = self.entries.get(&rank).filter(|entry| entry.written == written);
            if entry.is_some_and(|entry| !wanted(entry.ended)) {
                return None;
            }
            let is_live = entry.is_some();
            self.tier(written).ranks.pop();
            if is_live {
                let popped = self.entries.remove(&rank);
                self.leave(written);
                return popped.map(|entry| entry.at);
            }
        }
        None
    }

    /// An entry left a tier, and its rank stays behind. When those are the most, all of them go: each is looked at once or
    /// twice, so leaving is O(1) amortized and a tier at most twice as long as what it holds.
    fn leave(&mut self, written: bool) {
        let Self { entries, .. } = self;
        let tier = if written { &mut self.written } else { &mut self.waiting };
        tier.live -= 1;
        if tier.ranks.len() > 2 * tier.live + FEW {
            tier.ranks
                .retain(|Reverse(rank)| entries.get(rank).is_some_and(|entry| entry.written == written));
            tier.ranks.shrink_to(2 * tier.live + FEW);
        }
    }
}

impl Tier {
    fn insert(&mut self, rank: u64) {
        self.ranks.push(Reverse(rank));
        self.live += 1;
    }
}

/// Ranks that are left behind without being looked for.
const FEW: usize = 64;

#[cfg(test)]
impl EndedQueue {
    pub(super) fn len(&self) -> usize {
        let queue = self.lock();
        assert_eq!(queue.entries.len(), queue.written.live + queue.waiting.live);
        for tier in [&queue.written, &queue.waiting] {
            assert!((tier.live..=2 * tier.live + FEW).contains(&tier.ranks.len()));
        }
        queue.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The queue against two maps in order.
        #[test]
        fn it_gives_up_what_two_maps_in_order_would(steps in prop::collection::vec((0u8..6, 0usize..200), 1..400)) {
            let (queue, start) = (EndedQueue::default(), crate::runtime::now());
            let mut places: Vec<Place> = Vec::new();
            let mut model: [BTreeMap<u64, u64>; 2] = Default::default();
            for (at, (step, which)) in (0u64..).zip(steps) {
                let key = |stream| StreamKey { session: "it".into(), stream };
                let place = places.len().checked_sub(1).map(|last| which.min(last));
                match (step, place) {
                    (0 | 1, _) => {
                        let written = step == 1;
                        let place = queue.insert(key(at), start + Duration::from_secs(at), written);
                        model[usize::from(!written)].insert(place.rank, at);
                        places.push(place);
                    }
                    (2, Some(place)) => {
                        queue.promote(&mut places[place]);
                        let rank = places[place].rank;
                        if let Some(stream) = model[1].remove(&rank) {
                            model[0].insert(rank, stream);
                        }
                    }
                    (3, Some(place)) => {
                        queue.remove(places[place]);
                        for tier in &mut model {
                            tier.remove(&places[place].rank);
                        }
                    }
                    (4, _) => {
                        let first = model[0].pop_first().or_else(|| model[1].pop_first());
                        prop_assert_eq!(queue.pop(), first.map(|(_, stream)| key(stream)));
                    }
                    _ => {
                        let now = start + Duration::from_secs(at);
                        let first = model.iter_mut().find_map(|tier| {
                            tier.first_entry().filter(|first| at - first.get() >= 50).map(|first| first.remove())
                        });
                        prop_assert_eq!(queue.pop_expired(now, Duration::from_secs(50)), first.map(key));
                    }
                }
                prop_assert_eq!(queue.len(), model[0].len() + model[1].len());
            }
        }
    }
}
