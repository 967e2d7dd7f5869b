//! Removes from the file what the memory store has dropped.

use throughline::store::MemoryStore;

use super::keys;
use super::rows::StreamRow;
use super::tables::{Tables, broken};
use crate::error::Failure;

/// A walk over all streams of the file, some of them in each transaction.
#[derive(Debug, Default)]
pub(crate) struct Pass {
    /// The key of the stream that was looked at last.
    after: Vec<u8>,
}

impl Pass {
    /// Goes on until so many bytes are removed or so many streams were looked at. Returns whether all were.
    ///
    /// The memory store must have everything that is in the file: what it does not have counts as dropped.
    pub(crate) fn advance(
        &mut self,
        tables: &mut Tables<'_>,
        memory: &MemoryStore,
        (mut bytes, mut streams): (i64, usize),
    ) -> Result<bool, Failure> {
        while bytes > 0 && streams > 0 {
            let count = streams.min(STEP);
            let found = tables.streams_after(&self.after, count)?;
            let is_last = found.len() < count;
            streams -= found.len();
            for (key, row) in found {
                bytes -= tidy(tables, memory, &key, row)?;
                self.after = key;
            }
            if is_last {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Removes what was dropped of one stream, and returns how many bytes that was.
fn tidy(tables: &mut Tables<'_>, memory: &MemoryStore, key: &[u8], row: StreamRow) -> Result<i64, Failure> {
    let at = keys::read_stream(key).ok_or_else(broken)?;
    let Some(stream) = memory.standing(&at).stream else {
        // Its end is so long ago that nobody remembers it.
        let bytes = tables.drop_events(keys::events_of(key))?;
        tables.drop_stream(key)?;
        return Ok(bytes);
    };
    if stream.lost == 0 || row.given_up {
        return Ok(0);
    }
    let bytes = tables.drop_events(keys::events_before(key, false, stream.oldest_droppable))?
        + tables.drop_events(keys::events_before(key, true, stream.oldest_kept))?;
    let oldest = stream.oldest_droppable.min(stream.oldest_kept);
    let given_up = stream.ended && oldest > stream.head;
    if bytes > 0 || given_up {
        tables.change_stream(&at, |row| {
            (row.head, row.given_up) = (stream.head, given_up);
            true
        })?;
    }
    Ok(bytes)
}

/// How many streams are read at once.
const STEP: usize = 64;
