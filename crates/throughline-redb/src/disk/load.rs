//! Reads the file: all of it at the start, the sessions when asked.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use redb::{Database, ReadableDatabase, ReadableTable};
use throughline::store::{
    Event, KeptSession, KeptStream, MemoryStore, RestoredSession, RestoredStream, SessionId, StreamKey,
};

use super::keys;
use super::rows::{SessionRow, StreamRow};
use super::tables::{EVENTS, FORGOTTEN, SESSIONS, STREAMS, broken, cost};
use crate::error::Failure;

pub(crate) struct Loaded {
    pub(crate) sessions: Vec<RestoredSession>,
    /// The ids of those that were forgotten, the last one last.
    pub(crate) forgotten: Vec<SessionId>,
    /// The bytes of all events, counted with [`Event::cost`].
    pub(super) bytes: u64,
}

/// Reads everything.
pub(super) fn load(database: &Database, now: Instant) -> Result<Loaded, Failure> {
    let reading = database.begin_read()?;
    let mut sessions = BTreeMap::new();
    for entry in reading.open_table(SESSIONS)?.iter()? {
        let (key, row) = entry?;
        let (id, row) = session(key.value(), row.value())?;
        let kept = row.record.is_some();
        sessions.insert(id.clone(), RestoredSession { id, epoch: row.epoch, kept, streams: Vec::new() });
    }
    let (wall, mut bytes) = (wall_clock(), 0);
    let (streams, events) = (reading.open_table(STREAMS)?, reading.open_table(EVENTS)?);
    // Both tables are in the same order, so each stream takes its events off the front.
    let mut events = events.iter()?;
    let mut next = events.next().transpose()?;
    for entry in streams.iter()? {
        let (key, row) = entry?;
        let (at, row) = stream(key.value(), row.value())?;
        let mut own = Vec::new();
        while let Some((place, frame)) = &next {
            let (of, keep, seq) = keys::read_event(place.value()).ok_or_else(broken)?;
            if of != key.value() {
                break;
            }
            own.push(Event { seq, keep, frame: Bytes::copy_from_slice(frame.value()) });
            next = events.next().transpose()?;
        }
        // Those of a kind follow each other, so these are two sorted runs.
        own.sort_by_key(|event| event.seq);
        bytes += own.iter().map(|event| event.cost() as u64).sum::<u64>();
        // Where time cannot be told from before the machine started, the retention starts again.
        let ended = row
            .ended
            .map(|ended| now.checked_sub(Duration::from_millis(wall.saturating_sub(ended))).unwrap_or(now));
        let session = sessions.get_mut(&at.session).ok_or_else(broken)?;
        session.streams.push(RestoredStream {
            stream: at.stream,
            events: own,
            head: row.head,
            written: row.written,
            ended,
        });
    }
    if next.is_some() {
        return Err(broken());
    }
    let mut forgotten = Vec::new();
    for entry in reading.open_table(FORGOTTEN)?.iter()? {
        let id = entry?.1;
        forgotten.push(SessionId::from(std::str::from_utf8(id.value()).map_err(|_| broken())?));
    }
    Ok(Loaded { sessions: sessions.into_values().collect(), forgotten, bytes })
}

/// The bytes of all events, counted with [`Event::cost`].
pub(super) fn bytes(database: &Database) -> Result<u64, Failure> {
    let mut bytes = 0;
    for entry in database.begin_read()?.open_table(EVENTS)?.iter()? {
        bytes += cost(entry?.1.value()) as u64;
    }
    Ok(bytes)
}

/// The sessions that have a record, with those of their streams that have not ended.
pub(super) fn kept(database: &Database, memory: &MemoryStore) -> Result<Vec<KeptSession>, Failure> {
    let reading = database.begin_read()?;
    let streams = reading.open_table(STREAMS)?;
    let mut sessions = Vec::new();
    for entry in reading.open_table(SESSIONS)?.iter()? {
        let (key, row) = entry?;
        let (id, row) = session(key.value(), row.value())?;
        let Some(record) = row.record else { continue };
        let mut kept = KeptSession { id, epoch: row.epoch, record: record.into(), streams: Vec::new() };
        let range = keys::of_session(&kept.id);
        for entry in streams.range::<&[u8]>(&range.start()[..]..=&range.end()[..])? {
            let (key, row) = entry?;
            let (at, row) = stream(key.value(), row.value())?;
            if row.ended.is_none() {
                let head = memory.standing(&at).stream.map_or(row.head, |stream| stream.head);
                kept.streams.push(KeptStream { stream: at.stream, head, note: row.note.map(Bytes::from) });
            }
        }
        sessions.push(kept);
    }
    Ok(sessions)
}

fn session(key: &[u8], row: &[u8]) -> Result<(SessionId, SessionRow), Failure> {
    let (id, rest) = keys::split_session(key).ok_or_else(broken)?;
    let row = SessionRow::decode(row).ok_or_else(broken)?;
    if rest.is_empty() { Ok((id, row)) } else { Err(broken()) }
}

fn stream(key: &[u8], row: &[u8]) -> Result<(StreamKey, StreamRow), Failure> {
    let at = keys::read_stream(key).ok_or_else(broken)?;
    Ok((at, StreamRow::decode(row).ok_or_else(broken)?))
}

/// Milliseconds since 1970.
pub(crate) fn wall_clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
