//! Events, the pages a read returns, and what a read may say instead.

use std::fmt;
use std::ops::Deref;

use bytes::Bytes;

/// One event of a stream: an encoded SSE frame and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The place in the stream. The first event of a stream has sequence 1, each later one the next number.
    pub seq: u64,
    /// Whether it is a response or a server request. These are dropped only when no notification is left
    /// to drop, see [`Log::trim`](super::Log::trim).
    pub keep: bool,
    /// The event as it goes to the connection, encoded once and shared by every reader.
    pub frame: Bytes,
}

impl Event {
    /// What an event costs on top of its frame, in bytes: its place in the log (40 bytes) and the header of
    /// the shared frame buffer (24 to 32 bytes). Counting it keeps a budget honest when frames are tiny.
    pub const OVERHEAD: usize = 64;

    /// The bytes this event takes from a budget: its frame and [`OVERHEAD`](Self::OVERHEAD).
    pub fn cost(&self) -> usize {
        cost_of(&self.frame)
    }
}

pub(super) fn cost_of(frame: &Bytes) -> usize {
    frame.len() + Event::OVERHEAD
}

/// How much one read may return. At least one event is returned whenever there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadBudget {
    /// The most events in a page.
    pub events: usize,
    /// The most bytes of frames in a page, unless a single event is larger.
    pub bytes: usize,
}

impl Default for ReadBudget {
    /// 256 events and 64 KiB: a few socket buffers, so that one reader never holds a large copy of a log
    /// and a page is written before the next is read.
    fn default() -> Self {
        Self { events: 256, bytes: 64 * 1024 }
    }
}

/// How much a log may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The most events.
    pub events: usize,
    /// The most bytes, counted with [`Event::cost`].
    pub bytes: usize,
}

/// What a read returns: the next events without a hole between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The events right after the cursor, contiguous. Empty only when the cursor is at the head.
    pub events: Events,
    /// The sequence of the last event the stream was given, held or not; 0 when there was none.
    pub head: u64,
    /// The stream has ended and this page reaches its end: nothing comes after it.
    pub ended: bool,
}

/// The events of a page. Reads as a slice; a page of one event, the usual one, allocates nothing.
#[derive(Clone, Default)]
pub struct Events(Few);

#[derive(Clone, Default)]
enum Few {
    #[default]
    None,
    One([Event; 1]),
    Many(Vec<Event>),
}

impl Events {
    /// Adds an event at the end; `expected` says how many events will follow at most.
    pub(super) fn push(&mut self, event: Event, expected: usize) {
        self.0 = match std::mem::take(&mut self.0) {
            Few::None => Few::One([event]),
            Few::One([first]) => {
                // 64 places at once: most pages are small, and a larger one doubles from there.
                let mut many = Vec::with_capacity(2 + expected.min(62));
                many.extend([first, event]);
                Few::Many(many)
            }
            Few::Many(mut many) => {
                many.push(event);
                Few::Many(many)
            }
        };
    }
}

impl Deref for Events {
    type Target = [Event];

    fn deref(&self) -> &[Event] {
        match &self.0 {
            Few::None => &[],
            Few::One(one) => one,
            Few::Many(many) => many,
        }
    }
}

impl PartialEq for Events {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Events {}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl FromIterator<Event> for Events {
    fn from_iter<I: IntoIterator<Item = Event>>(events: I) -> Self {
        let mut all = Self::default();
        for event in events {
            all.push(event, 0);
        }
        all
    }
}

impl<'a> IntoIterator for &'a Events {
    type Item = &'a Event;
    type IntoIter = std::slice::Iter<'a, Event>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for Events {
    type Item = Event;
    type IntoIter = IntoEvents;

    fn into_iter(self) -> IntoEvents {
        IntoEvents(match self.0 {
            Few::None => (None, Vec::new().into_iter()),
            Few::One([one]) => (Some(one), Vec::new().into_iter()),
            Few::Many(many) => (None, many.into_iter()),
        })
    }
}

/// The owned events of a page, in order.
#[derive(Debug)]
pub struct IntoEvents((Option<Event>, std::vec::IntoIter<Event>));

impl Iterator for IntoEvents {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        let (one, many) = &mut self.0;
        one.take().or_else(|| many.next())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::from(self.0.0.is_some()) + self.0.1.len();
        (left, Some(left))
    }
}

impl ExactSizeIterator for IntoEvents {}

/// A hole: events that a stream was given and no longer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The sequence of the first event still held after the hole; the head plus one when none is.
    /// A reader that accepts the loss goes on after `oldest - 1`.
    pub oldest: u64,
    /// How many events the hole has lost, at least one.
    pub count: u64,
}

impl Dropped {
    /// The sequence of the first event that was lost.
    pub fn first(self) -> u64 {
        self.oldest - self.count
    }
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} events from sequence {} on were dropped; read on after {}",
            self.count,
            self.first(),
            self.oldest - 1
        )
    }
}

/// Why a log could not be read at a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// The event right after the cursor was dropped.
    Dropped(Dropped),
    /// The cursor is a sequence that the stream has not reached.
    Ahead {
        /// The sequence of the last event the stream was given.
        head: u64,
    },
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dropped(dropped) => dropped.fmt(f),
            Self::Ahead { head } => {
                write!(f, "the stream has only reached sequence {head}; read from there at most")
            }
        }
    }
}

impl std::error::Error for ReadError {}

/// Why a log refused a batch. Nothing of a refused batch was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// The batch does not continue the stream, or has a hole or a sequence 0 in it.
    Gap,
    /// The stream has ended.
    Ended,
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gap => {
                "the batch leaves a hole in the stream; append each event right after the one before it"
            }
            Self::Ended => "the stream has ended; send new events on another stream",
        })
    }
}

impl std::error::Error for AppendError {}
