//! The log: one stream's events, between the one who writes them and those who read them.
//!
//! A connection is a reader of a log, so live delivery, replay after a reconnect and reading from elsewhere
//! are one code path. The log is pure: it holds no lock, no clock and no waker. A store puts these around
//! it; the budgets are the store's too, which calls [`Log::trim`] after an append.
//!
//! ```text
//!  seq    1     2     3     4     5     6     7
//!       [ n ] [ R ] [ n ] [ n ] [ n ] [ R ] [ n ]       n = droppable (a notification)
//!                     ^written          head ^          R = kept (a response or a server request)
//!
//!  trim drops 1, 3 | then 2 | then 4, 5, 7 | then 6     and never more than its budget asks for
//! ```

mod event;
mod restore;
mod session_id;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use self::event::cost_of;
pub use self::event::{AppendError, Budget, Dropped, Event, Events, IntoEvents, Page, ReadBudget, ReadError};
pub use self::session_id::SessionId;

/// One stream's events: append, read from a cursor, trim, end.
///
/// Sequences are contiguous when appended. Because notifications are dropped before responses, holes may
/// appear later; [`read`](Self::read) stops before a hole and, at one, says so.
///
/// ```
/// use throughline_proto::log::{Budget, Dropped, Event, Log, ReadBudget, ReadError};
///
/// let mut log = Log::new();
/// let event = |seq, keep| Event { seq, keep, frame: "data: {}\n\n".into() };
/// log.append(&[event(1, true), event(2, false), event(3, true)])?;
/// assert_eq!(log.read(1, ReadBudget::default())?.events.len(), 2);
///
/// // The notification goes first; who has read up to event 1 is told.
/// log.trim(Budget { events: 2, bytes: usize::MAX }, 3);
/// let lost = Dropped { oldest: 3, count: 1 };
/// assert_eq!(log.read(1, ReadBudget::default()), Err(ReadError::Dropped(lost)));
/// assert_eq!(log.first_gap(0), Ok(Some(lost)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Appending is O(1) amortized, reading O(log n) plus the page, dropping O(1) per dropped event. An empty log
/// owns no heap memory.
#[derive(Clone, Debug, Default)]
pub struct Log {
    // Two queues instead of one with marks: events of a kind are always dropped oldest first, so each drop
    // takes from a front, and holes need no memory of their own.
    droppable: Queue,
    kept: Queue,
    head: u64,
    /// The highest sequence that was dropped: nothing after it is missing.
    lost: u64,
    bytes: usize,
    ended: Option<Instant>,
}

/// What goes first when a log is trimmed, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// Notifications that were handed to a connection.
    WrittenDroppable,
    /// Responses and server requests that were handed to a connection.
    WrittenKept,
    /// Notifications, written or not.
    Droppable,
    /// Responses and server requests, written or not.
    Kept,
}

impl Tier {
    /// Every tier, first to last to be dropped.
    pub const ALL: [Self; 4] = [Self::WrittenDroppable, Self::WrittenKept, Self::Droppable, Self::Kept];

    /// What was handed to a connection: it is held only to be replayed. A store that holds several logs drops these of all
    /// of them before anything that nobody was given yet.
    pub const WRITTEN: [Self; 2] = [Self::WrittenDroppable, Self::WrittenKept];

    /// What is left when nothing written is.
    pub const UNWRITTEN: [Self; 2] = [Self::Droppable, Self::Kept];
}

impl Log {
    /// An empty log, whose first event will have sequence 1.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a batch and returns the bytes it added, counted with [`Event::cost`].
    ///
    /// Events that the log was already given (`seq <= head`) are accepted and not taken again, so a writer may
    /// repeat a batch whose outcome it does not know, after the end too.
    ///
    /// # Errors
    ///
    /// [`AppendError::Gap`] when the batch does not continue the log or is not contiguous itself,
    /// [`AppendError::Ended`] when it has new events and the log has ended. Nothing was appended then.
    pub fn append(&mut self, batch: &[Event]) -> Result<usize, AppendError> {
        let Some(first) = batch.first() else { return Ok(0) };
        let contiguous = batch.windows(2).all(|pair| pair[0].seq.checked_add(1) == Some(pair[1].seq));
        if first.seq == 0 || first.seq - 1 > self.head || !contiguous {
            return Err(AppendError::Gap);
        }
        let known = (self.head - (first.seq - 1)).min(batch.len() as u64) as usize;
        let fresh = &batch[known..];
        if !fresh.is_empty() && self.ended.is_some() {
            return Err(AppendError::Ended);
        }
        let mut added = 0;
        for event in fresh {
            added += event.cost();
            self.head = event.seq;
            let queue = if event.keep { &mut self.kept } else { &mut self.droppable };
            queue.push_back((event.seq, event.frame.clone()));
        }
        self.bytes += added;
        Ok(added)
    }

    /// Ends the stream: nothing more can be appended. Ending it again changes nothing.
    pub fn end(&mut self, now: Instant) {
        self.ended.get_or_insert(now);
    }

    /// When the stream ended; `None` while it runs.
    pub fn ended(&self) -> Option<Instant> {
        self.ended
    }

    /// The sequence of the last event appended, held or not; 0 before the first.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// The bytes held, counted with [`Event::cost`].
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many events are held.
    pub fn len(&self) -> usize {
        self.droppable.len() + self.kept.len()
    }

    /// Whether no event is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The events right after the sequence `after` (0 reads from the start), as many as `max` allows and at
    /// least one if there is one. A page stops before a hole; the next read then says what was lost.
    ///
    /// # Errors
    ///
    /// [`ReadError::Dropped`] when the event `after + 1` is no longer held, [`ReadError::Ahead`] when `after`
    /// lies beyond the head.
    pub fn read(&self, after: u64, max: ReadBudget) -> Result<Page, ReadError> {
        if after > self.head {
            return Err(ReadError::Ahead { head: self.head });
        }
        let mut droppable = self.droppable.range(first_after(&self.droppable, after)..).peekable();
        let mut kept = self.kept.range(first_after(&self.kept, after)..).peekable();
        let mut page = Page { head: self.head, ..Page::default() };
        let (mut last, mut bytes) = (after, 0);
        while last < self.head && page.events.len() < max.events.max(1) {
            let next = last + 1;
            let here = |place: &&(u64, Bytes)| place.0 == next;
            let (keep, frame) = match (droppable.peek().filter(|p| here(p)), kept.peek().filter(|p| here(p)))
            {
                (Some((_, frame)), _) => (false, frame),
                (None, Some((_, frame))) => (true, frame),
                (None, None) => break,
            };
            bytes += frame.len();
            if bytes > max.bytes && !page.events.is_empty() {
                break;
            }
            let left = (self.head - next).min(max.events as u64) as usize;
            page.events.push(Event { seq: next, keep, frame: frame.clone() }, left);
            last = next;
            if keep {
                kept.next()
            } else {
                droppable.next()
            };
        }
        if page.events.is_empty() && after < self.head {
            return Err(ReadError::Dropped(self.hole_at(after + 1)));
        }
        page.ended = self.ended.is_some() && last == self.head;
        Ok(page)
    }

    /// The earliest hole after the sequence `after`, if anything between it and the head is missing. A front
    /// door asks before it starts a replay, while it can still answer with an error.
    ///
    /// # Errors
    ///
    /// [`ReadError::Ahead`] when `after` lies beyond the head.
    pub fn first_gap(&self, after: u64) -> Result<Option<Dropped>, ReadError> {
        if after > self.head {
            return Err(ReadError::Ahead { head: self.head });
        }
        if after >= self.lost {
            return Ok(None);
        }
        // "Everything in (after, seq] is held" turns false once and stays false; find where. The event at
        // `lost` is missing, so the search ends on a hole.
        let before = self.held_through(after);
        let (mut whole, mut holed) = (after, self.lost);
        while holed - whole > 1 {
            let middle = whole + (holed - whole) / 2;
            if self.held_through(middle) - before == middle - after { whole = middle } else { holed = middle }
        }
        Ok(Some(self.hole_at(holed)))
    }

    /// Drops events until the log is within `budget`, tier by tier (see [`Tier`]) and oldest first, and never
    /// more than needed. `written` is the last sequence that was handed to a connection, 0 for none. Returns
    /// the bytes freed.
    pub fn trim(&mut self, budget: Budget, written: u64) -> usize {
        let before = self.bytes;
        for tier in Tier::ALL {
            while self.len() > budget.events || self.bytes > budget.bytes {
                if self.drop_one(tier, written) == 0 {
                    break;
                }
            }
        }
        before - self.bytes
    }

    /// Drops the oldest events of one tier until at least `bytes` are freed or the tier has no more. Returns
    /// the bytes freed. For a store that spreads a shortage over several logs.
    pub fn free(&mut self, tier: Tier, written: u64, bytes: usize) -> usize {
        let before = self.bytes;
        while before - self.bytes < bytes && self.drop_one(tier, written) > 0 {}
        before - self.bytes
    }

    /// Drops the oldest event of a tier and returns its cost; 0 when the tier has none.
    fn drop_one(&mut self, tier: Tier, written: u64) -> usize {
        let (queue, through) = match tier {
            Tier::WrittenDroppable => (&mut self.droppable, written),
            Tier::WrittenKept => (&mut self.kept, written),
            Tier::Droppable => (&mut self.droppable, u64::MAX),
            Tier::Kept => (&mut self.kept, u64::MAX),
        };
        if queue.front().is_none_or(|(seq, _)| *seq > through) {
            return 0;
        }
        let Some((seq, frame)) = queue.pop_front() else { return 0 };
        // Give memory back once three quarters are unused; halving keeps dropping O(1) amortized.
        if queue.capacity() > SMALL && queue.len() < queue.capacity() / 4 {
            queue.shrink_to(queue.capacity() / 2);
        }
        self.lost = self.lost.max(seq);
        self.bytes -= cost_of(&frame);
        cost_of(&frame)
    }

    /// The hole whose first lost event is `first`.
    fn hole_at(&self, first: u64) -> Dropped {
        let oldest = [&self.droppable, &self.kept]
            .into_iter()
            .filter_map(|queue| queue.get(first_after(queue, first)))
            .map(|(seq, _)| *seq)
            .min()
            .unwrap_or(self.head + 1);
        Dropped { oldest, count: oldest - first }
    }

    /// How many events with a sequence up to `seq` are held.
    fn held_through(&self, seq: u64) -> u64 {
        (first_after(&self.droppable, seq) + first_after(&self.kept, seq)) as u64
    }
}

/// Frames of one kind in order of their sequences.
type Queue = VecDeque<(u64, Bytes)>;

/// The index of the first event after a sequence.
fn first_after(queue: &Queue, seq: u64) -> usize {
    // A reader that keeps up asks for the newest events; spare it the search.
    match queue.back() {
        Some((last, _)) if *last > seq => queue.partition_point(|(at, _)| *at <= seq),
        _ => queue.len(),
    }
}

/// Queues of up to this many places are not worth shrinking: 32 x 40 bytes.
const SMALL: usize = 32;
