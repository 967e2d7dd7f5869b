//! The tables of one transaction, and how it is undone.

use redb::{ReadableTable, Table, TableDefinition, WriteTransaction};
use throughline::store::{Event, EventStore, MemoryStore, ReadBudget, ReadError, SessionId, Soon, StreamKey};

use super::keys;
use super::rows::{SessionRow, StreamRow};
use crate::error::Failure;

type Bytes = &'static [u8];

pub(super) const META: TableDefinition<'static, &str, u64> = TableDefinition::new("throughline");
pub(super) const SESSIONS: TableDefinition<'static, Bytes, Bytes> = TableDefinition::new("sessions");
pub(super) const STREAMS: TableDefinition<'static, Bytes, Bytes> = TableDefinition::new("streams");
pub(super) const EVENTS: TableDefinition<'static, Bytes, Bytes> = TableDefinition::new("events");

/// The ids of sessions that were forgotten, in the order in which they were.
pub(super) const FORGOTTEN: TableDefinition<'static, u64, Bytes> = TableDefinition::new("forgotten");

/// How many of them are kept: as many as the memory store remembers.
const REMEMBERED: u64 = 16_384;

/// The format of these tables.
pub(super) const FORMAT: u64 = 1;

/// The tables, open in a transaction. What changes is noted in a list that can undo it.
pub(crate) struct Tables<'t> {
    sessions: Table<'t, Bytes, Bytes>,
    streams: Table<'t, Bytes, Bytes>,
    events: Table<'t, Bytes, Bytes>,
    forgotten: Table<'t, u64, Bytes>,
    undo: &'t mut Vec<Undo>,
    bytes: i64,
    changed: bool,
}

/// How a change is undone, also when it never happened.
pub(super) enum Undo {
    Session {
        key: Vec<u8>,
        before: Option<Vec<u8>>,
    },
    Stream {
        key: Vec<u8>,
        before: Option<Vec<u8>>,
    },
    Events {
        stream: Vec<u8>,
        added: Vec<(bool, u64)>,
    },
    /// The events of a session were removed, and the memory store still has them.
    Forget(SessionId),
    /// A session was noted as forgotten.
    Forgotten(u64),
}

impl<'t> Tables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction, undo: &'t mut Vec<Undo>) -> Result<Self, Failure> {
        Ok(Self {
            sessions: transaction.open_table(SESSIONS)?,
            streams: transaction.open_table(STREAMS)?,
            events: transaction.open_table(EVENTS)?,
            forgotten: transaction.open_table(FORGOTTEN)?,
            undo,
            bytes: 0,
            changed: false,
        })
    }

    /// By how many bytes of events the file has grown.
    pub(super) fn bytes(&self) -> i64 {
        self.bytes
    }

    /// Whether there is something to commit.
    pub(super) fn changed(&self) -> bool {
        self.changed
    }

    /// Makes or changes the row of a session.
    pub(crate) fn put_session(
        &mut self,
        id: &SessionId,
        change: impl FnOnce(&mut SessionRow),
    ) -> Result<(), Failure> {
        let key = keys::session(id);
        let before = self.sessions.get(&key[..])?.map(|row| row.value().to_vec());
        let mut row = match &before {
            Some(row) => SessionRow::decode(row).ok_or_else(broken)?,
            None => SessionRow::default(),
        };
        change(&mut row);
        self.sessions.insert(&key[..], &row.encode()[..])?;
        self.changed = true;
        self.undo.push(Undo::Session { key, before });
        Ok(())
    }

    /// Makes the row of a stream.
    pub(crate) fn add_stream(&mut self, at: &StreamKey, row: &StreamRow) -> Result<(), Failure> {
        let key = keys::stream(at);
        let before = self.streams.insert(&key[..], &row.encode()[..])?.map(|row| row.value().to_vec());
        self.changed = true;
        self.undo.push(Undo::Stream { key, before });
        Ok(())
    }

    /// Changes the row of a stream, if it is there and `change` says so.
    pub(crate) fn change_stream(
        &mut self,
        at: &StreamKey,
        change: impl FnOnce(&mut StreamRow) -> bool,
    ) -> Result<(), Failure> {
        let key = keys::stream(at);
        let Some(before) = self.streams.get(&key[..])?.map(|row| row.value().to_vec()) else { return Ok(()) };
        let mut row = StreamRow::decode(&before).ok_or_else(broken)?;
        if change(&mut row) {
            self.streams.insert(&key[..], &row.encode()[..])?;
            self.changed = true;
            self.undo.push(Undo::Stream { key, before: Some(before) });
        }
        Ok(())
    }

    /// Adds events of a stream.
    pub(crate) fn add_events(&mut self, at: &StreamKey, events: &[Event]) -> Result<(), Failure> {
        let stream = keys::stream(at);
        let mut key = stream.clone();
        for event in events {
            keys::set_event(&mut key, stream.len(), event.keep, event.seq);
            let before = self.events.insert(&key[..], &event.frame[..])?;
            let before = before.map_or(0, |frame| cost(frame.value()));
            self.bytes += event.cost() as i64 - before;
        }
        self.changed = true;
        self.undo.push(Undo::Events {
            stream,
            added: events.iter().map(|event| (event.keep, event.seq)).collect(),
        });
        Ok(())
    }

    /// Removes everything of a session, and keeps in mind that it is over.
    pub(crate) fn forget(&mut self, id: &SessionId) -> Result<(), Failure> {
        let key = keys::session(id);
        self.undo.push(Undo::Forget(id.clone()));
        let before = self.sessions.remove(&key[..])?.map(|row| row.value().to_vec());
        self.changed |= before.is_some();
        self.undo.push(Undo::Session { key, before });
        let of_session = keys::of_session(id);
        let range = &of_session.start()[..]..=&of_session.end()[..];
        for entry in self.streams.extract_from_if(range.clone(), |_, _| true)? {
            let (key, before) = entry?;
            self.changed = true;
            self.undo.push(Undo::Stream { key: key.value().to_vec(), before: Some(before.value().to_vec()) });
        }
        let bytes = remove(&mut self.events, range)?;
        self.bytes -= bytes;
        let number = self.forgotten.last()?.map_or(0, |(number, _)| number.value() + 1);
        self.forgotten.insert(number, id.as_str().as_bytes())?;
        // One that falls out is not put back: it is the one that would be missed least.
        if let Some(oldest) = number.checked_sub(REMEMBERED) {
            self.forgotten.remove(oldest)?;
        }
        self.undo.push(Undo::Forgotten(number));
        self.changed = true;
        Ok(())
    }

    /// Removes the events of a stream in a range of keys and returns their bytes. This is not undone: the memory store
    /// has dropped them, so nobody misses them.
    pub(super) fn drop_events(&mut self, range: impl std::ops::RangeBounds<Vec<u8>>) -> Result<i64, Failure> {
        let range = (range.start_bound().map(|key| &key[..]), range.end_bound().map(|key| &key[..]));
        let bytes = remove(&mut self.events, range)?;
        self.bytes -= bytes;
        self.changed |= bytes > 0;
        Ok(bytes)
    }

    /// Removes the row of a stream, for good.
    pub(super) fn drop_stream(&mut self, key: &[u8]) -> Result<(), Failure> {
        self.changed |= self.streams.remove(key)?.is_some();
        Ok(())
    }

    /// The next streams after a key, at most so many.
    pub(super) fn streams_after(
        &self,
        after: &[u8],
        count: usize,
    ) -> Result<Vec<(Vec<u8>, StreamRow)>, Failure> {
        let bounds = (std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded);
        let mut streams = Vec::new();
        for entry in self.streams.range::<&[u8]>(bounds)?.take(count) {
            let (key, row) = entry?;
            streams.push((key.value().to_vec(), StreamRow::decode(row.value()).ok_or_else(broken)?));
        }
        Ok(streams)
    }

    /// Puts everything back, the latest change first.
    pub(super) fn undo(&mut self, changes: &[Undo], memory: &MemoryStore) -> Result<(), Failure> {
        for change in changes.iter().rev() {
            match change {
                Undo::Session { key, before } => put_back(&mut self.sessions, key, before.as_deref())?,
                Undo::Stream { key, before } => put_back(&mut self.streams, key, before.as_deref())?,
                Undo::Events { stream, added } => {
                    let mut key = stream.clone();
                    for (keep, seq) in added {
                        keys::set_event(&mut key, stream.len(), *keep, *seq);
                        self.events.remove(&key[..])?;
                    }
                }
                Undo::Forget(id) => self.refill(id, memory)?,
                Undo::Forgotten(number) => drop(self.forgotten.remove(number)?),
            }
        }
        self.changed = true;
        Ok(())
    }

    /// Writes the events of a session again. Its streams are there already, as they were removed after it was noted that
    /// they would be.
    fn refill(&mut self, id: &SessionId, memory: &MemoryStore) -> Result<(), Failure> {
        let of_session = keys::of_session(id);
        let range = &of_session.start()[..]..=&of_session.end()[..];
        let mut streams = Vec::new();
        for entry in self.streams.range::<&[u8]>(range)? {
            streams.push(keys::read_stream(entry?.0.value()).ok_or_else(broken)?);
        }
        for at in streams {
            let mut after = 0;
            loop {
                match memory.read(&at, after, ReadBudget::default()) {
                    Soon::Now(Ok(page)) if !page.events.is_empty() => {
                        after = page.events[page.events.len() - 1].seq;
                        self.add_events(&at, &page.events)?;
                    }
                    Soon::Now(Err(ReadError::Dropped(dropped))) => after = dropped.oldest - 1,
                    _ => break,
                }
            }
        }
        Ok(())
    }
}

fn put_back(table: &mut Table<'_, Bytes, Bytes>, key: &[u8], row: Option<&[u8]>) -> Result<(), Failure> {
    match row {
        Some(row) => table.insert(key, row)?,
        None => table.remove(key)?,
    };
    Ok(())
}

/// Removes a range of events and returns their bytes.
fn remove<'r>(
    events: &mut Table<'_, Bytes, Bytes>,
    range: impl std::ops::RangeBounds<&'r [u8]> + 'r,
) -> Result<i64, Failure> {
    let mut bytes = 0;
    events.retain_in(range, |_, frame| {
        bytes += cost(frame);
        false
    })?;
    Ok(bytes)
}

/// What `Event::cost` counts.
pub(super) fn cost(frame: &[u8]) -> i64 {
    (frame.len() + Event::OVERHEAD) as i64
}

pub(super) fn broken() -> Failure {
    Failure::damaged("a row in it cannot be read; restore it from a copy or move it away")
}
