//! Decides what becomes of the jobs of one group, each as if those before it were written.

use std::collections::HashMap;

use throughline::store::{AppendError, Epoch, Event, MemoryStore, SessionId, StreamKey};

use super::job::{Batch, What};
use crate::disk::{StreamRow, Tables, wall_clock};
use crate::error::Failure;

/// The memory store, and what the jobs before have changed. Dropping it forgets the changes.
pub(crate) struct Stage<'m> {
    memory: &'m MemoryStore,
    largest: usize,
    sessions: HashMap<SessionId, Session>,
}

struct Session {
    forgotten: bool,
    /// `None`: nothing was ever written to it.
    epoch: Option<Epoch>,
    streams: HashMap<u64, Option<Stream>>,
}

#[derive(Clone, Copy)]
struct Stream {
    head: u64,
    ended: bool,
}

/// What a job that was accepted changes in the file.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// The session is new, or its epoch is.
    epoch: bool,
    /// The stream is new.
    pub(crate) starts: bool,
    /// How many events of the batch are known.
    known: usize,
    fresh: bool,
    ends: bool,
    note: bool,
    record: bool,
    forgets: bool,
}

impl Changes {
    /// Whether there is anything to write.
    pub(crate) fn any(&self) -> bool {
        self.epoch || self.starts || self.fresh || self.ends || self.note || self.record || self.forgets
    }
}

impl<'m> Stage<'m> {
    pub(crate) fn new(memory: &'m MemoryStore, largest: usize) -> Self {
        Self { memory, largest, sessions: HashMap::new() }
    }

    /// Decides about a job, and counts it as done.
    pub(crate) fn accept(&mut self, what: &What) -> Result<Changes, AppendError> {
        match what {
            What::Append(batch) => self.append(batch),
            What::Save { session, epoch, .. } => {
                let known = self.session(session);
                let newer = known.take_over(*epoch)?;
                Ok(Changes { epoch: newer, record: true, ..Changes::default() })
            }
            What::Forget(id) => {
                let session = self.session(id);
                // Unknown or not, it must never start: that is to be remembered.
                let is_new = !session.forgotten;
                *session = Session { forgotten: true, epoch: None, streams: HashMap::new() };
                Ok(Changes { forgets: is_new, ..Changes::default() })
            }
        }
    }

    fn append(&mut self, batch: &Batch) -> Result<Changes, AppendError> {
        let (memory, largest) = (self.memory, self.largest);
        let session = self.session(&batch.at.session);
        session.may_write(batch.epoch)?;
        if batch.events.iter().any(|event| event.cost() > largest) {
            return Err(AppendError::TooLarge);
        }
        let stream = session.streams.entry(batch.at.stream).or_insert_with(|| {
            memory.standing(&batch.at).stream.map(|stream| Stream { head: stream.head, ended: stream.ended })
        });
        let before = stream.unwrap_or(Stream { head: 0, ended: false });
        let (known, head) = continues(&batch.events, before.head)?;
        let fresh = known < batch.events.len();
        if fresh && before.ended {
            return Err(AppendError::Ended);
        }
        let changes = Changes {
            epoch: false,
            starts: stream.is_none(),
            known,
            fresh,
            ends: batch.ends && !before.ended,
            note: batch.note.is_some() && !before.ended,
            record: false,
            forgets: false,
        };
        *stream = Some(Stream { head, ended: before.ended || batch.ends });
        Ok(Changes { epoch: session.take_over(batch.epoch)?, ..changes })
    }

    fn session(&mut self, id: &SessionId) -> &mut Session {
        let memory = self.memory;
        self.sessions.entry(id.clone()).or_insert_with(|| {
            let standing = memory.standing(&StreamKey { session: id.clone(), stream: 0 });
            Session { forgotten: standing.forgotten, epoch: standing.epoch, streams: HashMap::new() }
        })
    }
}

impl Session {
    fn may_write(&self, epoch: Epoch) -> Result<(), AppendError> {
        match self.epoch {
            _ if self.forgotten => Err(AppendError::Ended),
            Some(newest) if epoch < newest => Err(AppendError::Fenced),
            _ => Ok(()),
        }
    }

    /// Returns whether the epoch is new.
    fn take_over(&mut self, epoch: Epoch) -> Result<bool, AppendError> {
        self.may_write(epoch)?;
        Ok(self.epoch.replace(epoch) != Some(epoch))
    }
}

/// How many events of a batch are known to a stream with this head, and its head after the batch.
fn continues(events: &[Event], head: u64) -> Result<(usize, u64), AppendError> {
    let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok((0, head)) };
    let contiguous = events.windows(2).all(|pair| pair[0].seq.checked_add(1) == Some(pair[1].seq));
    if first.seq == 0 || first.seq - 1 > head || !contiguous {
        return Err(AppendError::Gap);
    }
    let known = (head - (first.seq - 1)).min(events.len() as u64) as usize;
    Ok((known, head.max(last.seq)))
}

/// Writes what a job changes.
pub(crate) fn write(tables: &mut Tables<'_>, what: &What, changes: &Changes) -> Result<(), Failure> {
    match what {
        What::Append(batch) => {
            if changes.epoch {
                tables.put_session(&batch.at.session, |row| row.epoch = batch.epoch)?;
            }
            let ended = changes.ends.then(wall_clock);
            if changes.starts {
                let note = batch.note.as_ref().filter(|_| !changes.ends).map(|note| note.to_vec());
                let row = StreamRow { written: batch.written, ended, note, ..StreamRow::default() };
                tables.add_stream(&batch.at, &row)?;
            } else if changes.ends || changes.note {
                tables.change_stream(&batch.at, |row| {
                    let notes = changes.note && row.note.is_none();
                    if notes {
                        row.note = batch.note.as_ref().map(|note| note.to_vec());
                    }
                    if changes.ends {
                        row.ended = ended;
                        row.written = row.written.max(batch.written);
                        row.note = None;
                    }
                    notes || changes.ends
                })?;
            }
            if changes.fresh {
                tables.add_events(&batch.at, &batch.events[changes.known..])?;
            }
            Ok(())
        }
        What::Save { session, epoch, record } => tables.put_session(session, |row| {
            row.epoch = *epoch;
            row.record = Some(record.to_vec());
        }),
        What::Forget(session) if changes.forgets => tables.forget(session),
        What::Forget(_) => Ok(()),
    }
}
