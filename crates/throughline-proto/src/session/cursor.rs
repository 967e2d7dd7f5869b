//! Event ids: the cursors that a client sends back as `Last-Event-ID`.

use std::fmt;

use crate::decimal::Decimal;

/// Names a stream of a session: 0 is the standalone stream (GET), every POST that may stream has one of its own.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct StreamNo(pub u64);

impl StreamNo {
    /// The stream of the session that GET opens.
    pub const STANDALONE: StreamNo = StreamNo(0);
}

/// A place in a stream of a session: after event `seq` (0: before the first).
///
/// Its text is the SSE event id. It carries a tag of the session, so that a cursor that strays into another session
/// is refused instead of reading from a stream of the same number; the tag says nothing about the session id.
/// Ids are unique within the session and name their stream
/// ([resumability](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#resumability-and-redelivery)).
///
/// ```
/// use throughline_proto::session::{Cursor, StreamNo};
///
/// let cursor = Cursor { tag: 0xbeef, stream: StreamNo(3), seq: 41 };
/// assert_eq!(cursor.to_string(), "0000beef-3-41");
/// assert_eq!(Cursor::parse("0000beef-3-41"), Some(cursor));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Cursor {
    /// The session's tag: random, drawn with the session.
    pub tag: u32,
    /// The stream.
    pub stream: StreamNo,
    /// The sequence number of the last event before this place.
    pub seq: u64,
}

impl Cursor {
    /// Reads the text of a cursor; `None` for anything that [`Display`](fmt::Display) does not write.
    pub fn parse(text: &str) -> Option<Cursor> {
        let mut parts = text.split('-');
        let (tag, stream, seq) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some()
            || tag.len() != 8
            || !tag.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        {
            return None;
        }
        Some(Cursor {
            tag: u32::from_str_radix(tag, 16).ok()?,
            stream: StreamNo(canonical_number(stream)?),
            seq: canonical_number(seq)?,
        })
    }

    /// The cursor's text, without an allocation.
    pub fn text(&self) -> CursorText {
        let mut text = CursorText { bytes: [b'-'; CursorText::MAX], len: CursorText::TAG };
        for at in 0..CursorText::TAG {
            text.bytes[at] =
                b"0123456789abcdef"[(self.tag >> (4 * (CursorText::TAG - 1 - at))) as usize & 0xf];
        }
        text.push_number(self.stream.0);
        text.push_number(self.seq);
        text
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

/// The text of a [`Cursor`], on the stack: one is written for every event.
#[derive(Clone, Copy)]
pub struct CursorText {
    bytes: [u8; CursorText::MAX],
    len: usize,
}

impl CursorText {
    /// Digits of the tag.
    const TAG: usize = 8;
    /// The tag, two dashes and two numbers.
    const MAX: usize = Self::TAG + 2 * (1 + Decimal::MOST);

    /// Adds a number after a dash, of which the text was made.
    fn push_number(&mut self, number: u64) {
        let number = Decimal::new(number);
        let digits = number.as_bytes();
        let start = self.len + 1;
        self.len = start + digits.len();
        self.bytes[start..self.len].copy_from_slice(digits);
    }
}

impl AsRef<[u8]> for CursorText {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl std::ops::Deref for CursorText {
    type Target = str;

    fn deref(&self) -> &str {
        std::str::from_utf8(self.as_ref()).expect("only ASCII was pushed")
    }
}

/// A decimal number as we write it: no sign, no leading zero. So every place has exactly one text.
fn canonical_number(text: &str) -> Option<u64> {
    let digits_only = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits_only || (text.len() > 1 && text.starts_with('0')) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nonsense_is_no_cursor() {
        for text in [
            "",
            "-",
            "--",
            "1-2-3",
            "0000beef-3",
            "0000beef-3-41-5",
            "0000BEEF-3-41",
            "0000beef-03-41",
            "0000beef-+3-41",
            "0000beef-3--1",
            "0000beef-3-18446744073709551616",
            "0000beef-3-41 ",
            "+000beef-3-41",
            "00000beef-3-41",
        ] {
            assert_eq!(Cursor::parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_cursor_reads_back(tag: u32, stream: u64, seq: u64) {
            let cursor = Cursor { tag, stream: StreamNo(stream), seq };
            prop_assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text: String) {
            if let Some(cursor) = Cursor::parse(&text) {
                prop_assert_eq!(cursor.to_string(), text);
            }
        }
    }
}
