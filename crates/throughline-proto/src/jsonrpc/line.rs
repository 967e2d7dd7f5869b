use std::fmt;

use bytes::{Buf, Bytes, BytesMut};

/// Reads messages that are separated by newlines from chunks cut anywhere.
///
/// [`push`](LineDecoder::push) a chunk, then take lines until [`next_line`](LineDecoder::next_line) is `None`. At the end
/// of the input [`finish`](LineDecoder::finish) gives what is left. A carriage return before the newline is no part of the
/// line, lines of nothing but white space are skipped, and so is a byte order mark at the start, which some platforms put
/// before the first thing a program writes.
///
/// Memory is one line of at most the limit plus what was pushed and not yet taken: a longer line is never held.
///
/// ```
/// use throughline_proto::jsonrpc::LineDecoder;
///
/// let mut lines = LineDecoder::new(8);
/// lines.push(b"{\"a\":1}\r\n\n[");
/// assert_eq!(lines.next_line().unwrap()?, "{\"a\":1}");
/// assert!(lines.next_line().is_none());
/// lines.push(b"0,1,2,3,4]\n{}");
/// assert_eq!(lines.next_line().unwrap().unwrap_err().limit, 8);
/// assert!(lines.next_line().is_none());
/// assert_eq!(lines.finish().unwrap()?, "{}");
/// # Ok::<(), throughline_proto::jsonrpc::LineTooLong>(())
/// ```
///
/// Specification: <https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#stdio>.
#[derive(Debug)]
pub struct LineDecoder {
    limit: usize,
    /// What was pushed and is not yet read.
    input: BytesMut,
    /// How much of the front of `input` is known to hold no newline.
    searched: usize,
    /// The first bytes may still be a byte order mark.
    at_start: bool,
    /// The line that is being read was too long: the rest of it is thrown away.
    skipping: bool,
}

/// A line needs more memory than its reader gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineTooLong {
    /// The limit in bytes that was exceeded.
    pub limit: usize,
}

impl LineDecoder {
    /// A decoder for one input whose lines have at most `max_line_bytes`, their end not counted.
    pub fn new(max_line_bytes: usize) -> LineDecoder {
        LineDecoder {
            limit: max_line_bytes,
            input: BytesMut::new(),
            searched: 0,
            at_start: true,
            skipping: false,
        }
    }

    /// Takes the next bytes of the input.
    pub fn push(&mut self, chunk: &[u8]) {
        self.input.extend_from_slice(chunk);
    }

    /// The next line that is whole, or `None` when more bytes are needed. It is a slice of what was pushed, not a copy.
    ///
    /// # Errors
    ///
    /// [`LineTooLong`], once for each line over the limit and as soon as it is. The rest of that line is skipped and the
    /// one after it can be read.
    pub fn next_line(&mut self) -> Option<Result<Bytes, LineTooLong>> {
        if self.at_start && !self.skip_byte_order_mark() {
            return None;
        }
        loop {
            let end = self.input[self.searched..].iter().position(|byte| *byte == b'\n');
            let Some(end) = end.map(|end| self.searched + end) else { return self.bound_partial_line() };
            let line = self.input.split_to(end);
            self.input.advance(1);
            self.searched = 0;
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            if let Some(line) = self.judge(line) {
                return Some(line);
            }
        }
    }

    /// The input has ended: what came after the last newline is a line too. Take all others before.
    ///
    /// # Errors
    ///
    /// As [`next_line`](LineDecoder::next_line).
    pub fn finish(&mut self) -> Option<Result<Bytes, LineTooLong>> {
        let line = self.input.split();
        self.searched = 0;
        if std::mem::take(&mut self.skipping) {
            return None;
        }
        self.judge(line)
    }

    /// A whole line, without its newline.
    fn judge(&self, mut line: BytesMut) -> Option<Result<Bytes, LineTooLong>> {
        if line.ends_with(b"\r") {
            line.truncate(line.len() - 1);
        }
        if line.len() > self.limit {
            return Some(Err(LineTooLong { limit: self.limit }));
        }
        (!line.trim_ascii().is_empty()).then(|| Ok(line.freeze()))
    }

    /// Keeps the line whose end has not come yet within the limit.
    fn bound_partial_line(&mut self) -> Option<Result<Bytes, LineTooLong>> {
        // One byte more may be the carriage return of a line that fits.
        if !self.skipping && self.input.len() <= self.limit + 1 {
            self.searched = self.input.len();
            return None;
        }
        // Its memory too: a line may have grown it to the limit, and the next ones are short.
        self.input = BytesMut::new();
        self.searched = 0;
        (!std::mem::replace(&mut self.skipping, true)).then_some(Err(LineTooLong { limit: self.limit }))
    }

    /// Whether what may be a byte order mark is dealt with.
    fn skip_byte_order_mark(&mut self) -> bool {
        const MARK: &[u8] = b"\xEF\xBB\xBF";
        if self.input.starts_with(MARK) {
            self.input.advance(MARK.len());
        } else if MARK.starts_with(&self.input) {
            return false; // it is empty or the beginning of a mark
        }
        self.at_start = false;
        true
    }
}

impl fmt::Display for LineTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "The line is longer than {} bytes. Send a smaller message.", self.limit)
    }
}

impl std::error::Error for LineTooLong {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a decoder makes of these chunks: its lines, and `!` for one that is too long.
    fn lines<'a>(limit: usize, chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
        let mut decoder = LineDecoder::new(limit);
        let mut lines = Vec::new();
        let mut keep = |line: Result<Bytes, LineTooLong>| match line {
            Ok(line) => lines.push(String::from_utf8_lossy(&line).into_owned()),
            Err(error) => {
                assert_eq!(error.limit, limit);
                lines.push("!".into());
            }
        };
        for chunk in chunks {
            decoder.push(chunk);
            while let Some(line) = decoder.next_line() {
                keep(line);
            }
            assert!(decoder.input.len() <= limit + 1, "{} bytes are held", decoder.input.len());
        }
        decoder.finish().into_iter().for_each(&mut keep);
        assert!(decoder.finish().is_none(), "the end is reported once");
        lines
    }

    #[test]
    fn lines_are_the_same_wherever_the_chunks_are_cut() {
        let input =
            b"\xEF\xBB\xBF{\"a\":1}\n\n \t\r\n\r\n{\"b\":\"\\n\"}\r\n123456789012\n{}\r{}\n\"\xC3\xA4\"\n12345678901234567890\nlast";
        let expected = ["{\"a\":1}", "{\"b\":\"\\n\"}", "123456789012", "{}\r{}", "\"ä\"", "!", "last"];
        for size in 1..=input.len() {
            assert_eq!(lines(12, input.chunks(size)), expected, "in chunks of {size}");
        }
    }

    #[test]
    fn the_limit_holds_for_the_line_without_its_end() {
        for (input, expected) in [
            (&b"1234\n"[..], &["1234"][..]),
            (b"1234\r\n", &["1234"]),
            (b"1234\r", &["1234"]),
            (b"1234", &["1234"]),
            (b"12345\n", &["!"]),
            (b"12345", &["!"]),
            (b"1234\r\r\n", &["!"]),
            (b"12345\n1\n", &["!", "1"]),
            (b"    \n     \n1", &["!", "1"]),
        ] {
            for size in 1..=input.len() {
                assert_eq!(lines(4, input.chunks(size)), expected, "{input:?} in chunks of {size}");
            }
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_told_at_once_and_never_held() {
        let mut decoder = LineDecoder::new(8);
        decoder.push(&[b'x'; 10]);
        assert_eq!(decoder.next_line(), Some(Err(LineTooLong { limit: 8 })));
        for _ in 0..1000 {
            decoder.push(&[b'x'; 4096]);
            assert_eq!(decoder.next_line(), None);
            assert_eq!(decoder.input.capacity(), 0);
        }
        decoder.push(b"x\n{}\n");
        assert_eq!(decoder.next_line(), Some(Ok(Bytes::from_static(b"{}"))));
        assert_eq!(decoder.finish(), None);
    }

    #[test]
    fn a_mark_counts_at_the_start_only() {
        assert_eq!(lines(8, [&b"\xEF\xBB"[..], b"\xBF1\n\xEF\xBB\xBF2\n"]), ["1", "\u{FEFF}2"]);
        assert_eq!(lines(8, [&b"\xEF\xBB"[..]]), ["\u{FFFD}"]);
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_chunks_are_split_as_a_simple_model_splits_them(
            chunks in prop::collection::vec(prop::collection::vec(prop::sample::select(&b"\n\n\r x{}"[..]), 0..20), 0..20),
        ) {
            let input = chunks.concat();
            let expected: Vec<String> = input
                .split(|byte| *byte == b'\n')
                .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
                .filter(|line| line.len() > 6 || !line.trim_ascii().is_empty())
                .map(|line| if line.len() > 6 { "!".into() } else { String::from_utf8_lossy(line).into_owned() })
                .collect();
            prop_assert_eq!(lines(6, chunks.iter().map(Vec::as_slice)), expected);
        }
    }
}
