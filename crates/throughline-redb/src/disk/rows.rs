//! The rows of the tables. Numbers are little-endian.
//!
//! ```text
//!   sessions   flags (1: it has a record) | epoch (8) | record
//!   streams    flags (1: it has a note, 2: ended, 4: given up) | head (8) | written (8) | ended (8) | note
//!   events     the frame
//!   forgotten  the id of a session that was forgotten, by a number that counts up
//! ```

use throughline::store::Epoch;

/// A session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SessionRow {
    pub(crate) epoch: Epoch,
    pub(crate) record: Option<Vec<u8>>,
}

/// A stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StreamRow {
    /// The last sequence it had when events of it were removed. The head is this or its last event, whichever is later.
    pub(crate) head: u64,
    pub(crate) written: u64,
    /// When it ended, in milliseconds since 1970.
    pub(crate) ended: Option<u64>,
    /// All its events were removed and nothing will follow.
    pub(crate) given_up: bool,
    pub(crate) note: Option<Vec<u8>>,
}

impl SessionRow {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let record = self.record.as_deref();
        let mut row = Vec::with_capacity(9 + record.map_or(0, <[u8]>::len));
        row.push(u8::from(record.is_some()));
        row.extend(self.epoch.0.to_le_bytes());
        row.extend(record.unwrap_or_default());
        row
    }

    pub(crate) fn decode(row: &[u8]) -> Option<Self> {
        let (flags, row) = row.split_first()?;
        let (epoch, record) = number(row)?;
        Some(Self { epoch: Epoch(epoch), record: (flags & 1 != 0).then(|| record.to_vec()) })
    }
}

impl StreamRow {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let note = self.note.as_deref();
        let mut row = Vec::with_capacity(25 + note.map_or(0, <[u8]>::len));
        let flags = [(note.is_some(), 1), (self.ended.is_some(), 2), (self.given_up, 4)];
        row.push(flags.iter().filter(|(set, _)| *set).map(|(_, flag)| flag).sum());
        for number in [self.head, self.written, self.ended.unwrap_or(0)] {
            row.extend(number.to_le_bytes());
        }
        row.extend(note.unwrap_or_default());
        row
    }

    pub(crate) fn decode(row: &[u8]) -> Option<Self> {
        let (flags, row) = row.split_first()?;
        let (head, row) = number(row)?;
        let (written, row) = number(row)?;
        let (ended, note) = number(row)?;
        Some(Self {
            head,
            written,
            ended: (flags & 2 != 0).then_some(ended),
            given_up: flags & 4 != 0,
            note: (flags & 1 != 0).then(|| note.to_vec()),
        })
    }
}

fn number(row: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = row.split_first_chunk()?;
    Some((u64::from_le_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_read_back(
            (head, written, epoch) in any::<(u64, u64, u64)>(),
            ended in any::<Option<u64>>(),
            given_up in any::<bool>(),
            text in any::<Option<Vec<u8>>>(),
        ) {
            let row = StreamRow { head, written, ended, given_up, note: text.clone() };
            prop_assert_eq!(StreamRow::decode(&row.encode()), Some(row));
            let row = SessionRow { epoch: Epoch(epoch), record: text };
            prop_assert_eq!(SessionRow::decode(&row.encode()), Some(row));
        }

        #[test]
        fn any_bytes_are_a_row_or_refused(bytes in any::<Vec<u8>>()) {
            prop_assert_eq!(StreamRow::decode(&bytes).is_some(), bytes.len() >= 25);
            prop_assert_eq!(SessionRow::decode(&bytes).is_some(), bytes.len() >= 9);
        }
    }
}
