//! A log that is filled from where it was kept, and what whoever keeps it must know to follow it.

use std::time::Instant;

use super::{AppendError, Event, Log};

impl Log {
    /// A log as it was kept elsewhere, its holes included: the `events` that are left, in ascending order; the sequence of
    /// the last event that it was ever given, which counts when that one is gone; and when the stream ended.
    ///
    /// ```
    /// use throughline_proto::log::{Dropped, Event, Log, ReadBudget, ReadError};
    ///
    /// let left = [2, 5].map(|seq| Event { seq, keep: true, frame: "data: {}\n\n".into() });
    /// let log = Log::restored(left, 6, None)?;
    /// assert_eq!(log.head(), 6);
    /// assert_eq!(log.read(1, ReadBudget::default())?.events.len(), 1);
    /// let lost = Dropped { oldest: 5, count: 2 };
    /// assert_eq!(log.read(2, ReadBudget::default()), Err(ReadError::Dropped(lost)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`AppendError::Gap`] when the sequences do not ascend from 1 or later.
    pub fn restored(
        events: impl IntoIterator<Item = Event>,
        head: u64,
        ended: Option<Instant>,
    ) -> Result<Self, AppendError> {
        let mut log = Self { ended, ..Self::default() };
        for event in events {
            if event.seq <= log.head {
                return Err(AppendError::Gap);
            }
            if event.seq - 1 > log.head {
                log.lost = event.seq - 1;
            }
            log.head = event.seq;
            log.bytes += event.cost();
            let queue = if event.keep { &mut log.kept } else { &mut log.droppable };
            queue.push_back((event.seq, event.frame));
        }
        if head > log.head {
            (log.head, log.lost) = (head, head);
        }
        Ok(log)
    }

    /// The sequence of the oldest event of a kind that is held, responses and server requests (`keep`) or notifications;
    /// the head plus one when none is. As the events of a kind are dropped oldest first, all later ones are held too.
    pub fn oldest(&self, keep: bool) -> u64 {
        let queue = if keep { &self.kept } else { &self.droppable };
        queue.front().map_or(self.head + 1, |(seq, _)| *seq)
    }

    /// The highest sequence that was dropped, 0 when none was.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}
