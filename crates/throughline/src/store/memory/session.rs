//! What the store holds of one session.

mod outliving;

use std::collections::VecDeque;
use std::time::Instant;

use throughline_proto::log::{Budget, Log, Tier};

use super::ended::{EndedQueue, Place};
use crate::store::{
    Append, AppendError, Bell, Dropped, Epoch, Limits, Page, ReadBudget, ReadError, SessionId, StreamKey,
};

/// The streams of one session and those who watch them.
pub(super) struct Session {
    pub(super) id: SessionId,
    epoch: Epoch,
    /// Ordered by number. A session has at most some hundred, most have one or two: a search in a row is faster than a
    /// map and an idle session owns little. Streams come at the back and go at the front, mostly.
    streams: VecDeque<Stream>,
    /// The ended ones of them, by their end.
    ends: VecDeque<u64>,
    /// Ended streams whose events are gone, as (number, head), the latest at the back: so that a cursor is told what it
    /// has lost instead of "unknown".
    gone: VecDeque<(u64, u64)>,
    watchers: Vec<(u64, Bell)>,
    bytes: usize,
    /// It is there without streams too: its record is kept elsewhere.
    kept: bool,
}

struct Stream {
    number: u64,
    log: Log,
    written: u64,
    /// `Some` once it ended.
    place: Option<Place>,
}

impl Session {
    pub(super) fn new(id: SessionId) -> Self {
        Self {
            id,
            epoch: Epoch::default(),
            streams: VecDeque::new(),
            ends: VecDeque::new(),
            gone: VecDeque::new(),
            watchers: Vec::new(),
            bytes: 0,
            kept: false,
        }
    }

    /// The bytes of all its streams.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The number of its streams and of their events.
    pub(super) fn count(&self) -> (usize, usize) {
        (self.streams.len(), self.streams.iter().map(|stream| stream.log.len()).sum())
    }

    /// Nothing was ever written to it and nobody watches it.
    pub(super) fn is_blank(&self) -> bool {
        self.is_unwritten() && self.watchers.is_empty()
    }

    /// Nothing was ever written to it.
    pub(super) fn is_unwritten(&self) -> bool {
        !self.kept && self.streams.is_empty() && self.gone.is_empty()
    }

    /// Appends and brings the stream and the session back into their budgets.
    pub(super) fn append(
        &mut self,
        number: u64,
        epoch: Epoch,
        batch: Append<'_>,
        limits: &Limits,
        queue: &EndedQueue,
        now: impl FnOnce() -> Instant,
    ) -> Result<(), AppendError> {
        if epoch < self.epoch {
            return Err(AppendError::Fenced);
        }
        let known = self.find(number);
        if let Ok(index) = known
            && batch.events.is_empty()
            && (!batch.ends || self.streams[index].place.is_some())
        {
            // Nothing grows, so every budget holds as it did.
            self.epoch = epoch;
            self.streams[index].mark_written(batch.written, queue);
            return Ok(());
        }
        let largest = limits.largest_event();
        if batch.events.iter().any(|event| event.cost() > largest) {
            return Err(AppendError::TooLarge);
        }
        let index = match known {
            Ok(index) => {
                self.bytes += self.streams[index].log.append(batch.events)?;
                index
            }
            Err(index) => {
                if let Some(head) = self.head_of_gone(number) {
                    let known = batch.events.iter().all(|event| (1..=head).contains(&event.seq));
                    if !known {
                        return Err(AppendError::Ended);
                    }
                    self.epoch = epoch;
                    return Ok(());
                }
                let mut log = Log::new();
                self.bytes += log.append(batch.events)?;
                self.streams.insert(index, Stream { number, log, written: 0, place: None });
                index
            }
        };
        // Only now: a batch that is refused takes nothing over.
        self.epoch = epoch;
        let stream = &mut self.streams[index];
        stream.mark_written(batch.written, queue);
        let budget = Budget { events: limits.stream_events, bytes: limits.stream_bytes };
        self.bytes -= stream.log.trim(budget, stream.written);
        if batch.ends && stream.place.is_none() {
            let now = now();
            stream.log.end(now);
            let at = StreamKey { session: self.id.clone(), stream: number };
            stream.place = Some(queue.insert(at, now, stream.is_written()));
            self.ends.push_back(number);
        }
        self.settle(limits, queue);
        Ok(())
    }

    pub(super) fn read(&self, number: u64, after: u64, max: ReadBudget) -> Result<Page, ReadError> {
        match self.find(number) {
            Ok(index) => Ok(self.streams[index].log.read(after, max)?),
            Err(_) => match self.gap_of_gone(number, after)? {
                Some(dropped) => Err(ReadError::Dropped(dropped)),
                None => Ok(Page { head: after, ended: true, ..Page::default() }),
            },
        }
    }

    pub(super) fn first_gap(&self, number: u64, after: u64) -> Result<Option<Dropped>, ReadError> {
        match self.find(number) {
            Ok(index) => Ok(self.streams[index].log.first_gap(after)?),
            Err(_) => self.gap_of_gone(number, after),
        }
    }

    /// Gives up an ended stream: its events go, its end is remembered.
    pub(super) fn give_up(&mut self, number: u64, queue: &EndedQueue) {
        let Ok(index) = self.find(number) else { return };
        let Some(place) = self.streams[index].place else { return };
        let stream = self.streams.remove(index).expect("it was just found");
        queue.remove(place);
        self.bytes -= stream.log.bytes();
        if let Some(at) = self.ends.iter().position(|ended| *ended == number) {
            self.ends.remove(at);
        }
        if self.gone.len() == GONE {
            self.gone.pop_front();
        }
        self.gone.push_back((number, stream.log.head()));
    }

    /// Frees `bytes` of the running streams, if one tier has so many. Returns the bytes freed.
    pub(super) fn free(&mut self, tier: Tier, bytes: usize) -> usize {
        let running = |stream: &&mut Stream| stream.place.is_none();
        let (count, held) = self
            .streams
            .iter_mut()
            .filter(running)
            .fold((0, 0), |(count, held), stream| (count + 1, held + stream.log.bytes()));
        let mut freed = 0;
        // Streams above the mean first: a stream whose reader is away must not cost another one its events.
        for spared in [held / usize::max(count, 1), 0] {
            for stream in self.streams.iter_mut().filter(running) {
                let needed = (bytes - freed).min(stream.log.bytes().saturating_sub(spared));
                freed += stream.log.free(tier, stream.written, needed);
                if freed >= bytes {
                    self.bytes -= freed;
                    return freed;
                }
            }
        }
        self.bytes -= freed;
        freed
    }

    /// Takes out everything at the end of the session; what is left are the watchers to ring.
    pub(super) fn close(&mut self, queue: &EndedQueue) -> Vec<(u64, Bell)> {
        for place in self.streams.iter().filter_map(|stream| stream.place) {
            queue.remove(place);
        }
        std::mem::take(&mut self.watchers)
    }

    pub(super) fn add_watcher(&mut self, number: u64, bell: Bell) {
        self.watchers.push((number, bell));
    }

    /// Takes out a watcher, for the caller to drop without a lock.
    pub(super) fn remove_watcher(&mut self, bell: &Bell) -> Option<Bell> {
        let index = self.watchers.iter().position(|(_, known)| known.same(bell))?;
        Some(self.watchers.swap_remove(index).1)
    }

    /// The bells of one stream. There is usually one at most, so the list usually owns nothing.
    pub(super) fn bells(&self, number: u64) -> Bells {
        let mut bells =
            self.watchers.iter().filter(|(watched, _)| *watched == number).map(|(_, bell)| bell.clone());
        Bells { first: bells.next(), rest: bells.collect() }
    }

    /// Brings the session into its budgets, in the order of law 6.
    fn settle(&mut self, limits: &Limits, queue: &EndedQueue) {
        while self.ends.len() > limits.session_ended_streams {
            let Some(number) = self.first_ended(false) else { break };
            self.give_up(number, queue);
        }
        for (only_written, tiers) in [(true, Tier::WRITTEN), (false, Tier::UNWRITTEN)] {
            while self.bytes > limits.session_bytes {
                let Some(number) = self.first_ended(only_written) else { break };
                self.give_up(number, queue);
            }
            for tier in tiers {
                if self.bytes > limits.session_bytes {
                    self.free(tier, self.bytes - limits.session_bytes);
                }
            }
        }
    }

    /// The ended stream to give up first.
    fn first_ended(&self, only_written: bool) -> Option<u64> {
        let is_written = |number: &u64| {
            self.find(*number).is_ok_and(|index| self.streams[index].place.is_some_and(|place| place.written))
        };
        let written = self.ends.iter().copied().find(is_written);
        written.or_else(|| self.ends.front().copied().filter(|_| !only_written))
    }

    fn find(&self, number: u64) -> Result<usize, usize> {
        // The newest is written and the oldest is given up: nearly every search is for one of the two, and a search of
        // the row would touch memory that nothing else has touched for long.
        let is = |stream: Option<&Stream>| stream.is_some_and(|stream| stream.number == number);
        match self.streams.back() {
            None => Err(0),
            Some(newest) if newest.number < number => Err(self.streams.len()),
            newest if is(newest) => Ok(self.streams.len() - 1),
            _ if is(self.streams.front()) => Ok(0),
            _ => self.streams.binary_search_by_key(&number, |stream| stream.number),
        }
    }

    fn head_of_gone(&self, number: u64) -> Option<u64> {
        self.gone.iter().find(|(gone, _)| *gone == number).map(|(_, head)| *head)
    }

    /// What a cursor of a stream that was given up has lost.
    fn gap_of_gone(&self, number: u64, after: u64) -> Result<Option<Dropped>, ReadError> {
        let head = self.head_of_gone(number).ok_or(ReadError::Unknown)?;
        match after {
            _ if after > head => Err(ReadError::Ahead { head }),
            _ if after == head => Ok(None),
            _ => Ok(Some(Dropped { oldest: head + 1, count: head - after })),
        }
    }
}

impl Stream {
    /// Notes up to where events were handed to a connection.
    fn mark_written(&mut self, written: u64, queue: &EndedQueue) {
        self.written = self.written.max(written.min(self.log.head()));
        let is_written = self.is_written();
        if let Some(place) = &mut self.place
            && is_written
            && !place.written
        {
            queue.promote(place);
        }
    }

    /// Whether it was handed to a connection as a whole.
    fn is_written(&self) -> bool {
        self.written == self.log.head()
    }
}

/// The bells to ring once the lock is released.
#[derive(Default)]
pub(super) struct Bells {
    first: Option<Bell>,
    rest: Vec<Bell>,
}

impl Bells {
    pub(super) fn ring(self) {
        self.first.iter().chain(&self.rest).for_each(Bell::ring);
    }
}

/// How many given up streams a session remembers: as many as it may hold ended ones by default, in 1 KiB.
pub(super) const GONE: usize = 64;

#[cfg(test)]
impl Session {
    pub(super) fn ended(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn watchers(&self) -> usize {
        self.watchers.len()
    }

    pub(super) fn check_counters(&self) {
        assert_eq!(self.bytes, self.streams.iter().map(|stream| stream.log.bytes()).sum::<usize>());
        assert_eq!(
            self.ends.len(),
            self.streams.iter().filter(|stream| stream.log.ended().is_some()).count()
        );
        assert!(self.streams.iter().all(|stream| stream.log.ended().is_some() == stream.place.is_some()));
        assert!(self.streams.iter().is_sorted_by_key(|stream| stream.number));
    }
}
