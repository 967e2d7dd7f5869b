use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use memchr::{memchr, memchr2};

/// One block of an event stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The last event id as of this event, when the block had an `id` line. The empty text resets it.
    pub id: Option<String>,
    /// The `event` line, when there was one; without it the type is `message`.
    pub event: Option<String>,
    /// The `data` lines, joined with LF. Empty when there were none.
    pub data: String,
    /// How long to wait before a reconnect, when the block had a sound `retry` line.
    pub retry: Option<Duration>,
}

/// An event needs more memory than its reader gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge {
    /// The limit in bytes that was exceeded.
    pub limit: usize,
}

/// Reads an event stream from chunks cut anywhere.
///
/// [`push`](Decoder::push) a chunk, then take events until [`next_event`](Decoder::next_event) is `None`.
/// Memory is what was pushed and not yet taken, plus one event of at most the limit.
///
/// It departs from the specification's event dispatch in one way, which resumption needs: a block with an
/// `id` or a `retry` line is reported although it has no data. A block with neither of the three is not.
/// Unknown fields and comments are skipped, bytes that are not UTF-8 are replaced, and a block that the end
/// of the stream cuts short is never reported.
///
/// ```
/// use throughline_proto::sse::Decoder;
///
/// let mut decoder = Decoder::new(64);
/// decoder.push(b": a comment\r\nid: 1\r\ndata\r\n\r\nevent: endpoint\ndata: /messages\n\n");
/// let prime = decoder.next_event().unwrap()?;
/// assert_eq!((prime.id.as_deref(), prime.data.as_str()), (Some("1"), ""));
/// let endpoint = decoder.next_event().unwrap()?;
/// assert_eq!((endpoint.event.as_deref(), endpoint.data.as_str()), (Some("endpoint"), "/messages"));
/// assert!(decoder.next_event().is_none());
/// # Ok::<(), throughline_proto::sse::TooLarge>(())
/// ```
///
/// Specification:
/// <https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation>.
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    /// What was pushed and is not yet read.
    input: BytesMut,
    /// How much of the front of `input` is known to hold no end of a line.
    searched: usize,
    /// The first bytes may still be a byte order mark.
    at_start: bool,
    /// The last line ended with CR: an LF that follows belongs to it.
    after_cr: bool,
    block: Block,
    skip: Skip,
}

/// The block that is being read.
#[derive(Debug, Default)]
struct Block {
    id: Option<String>,
    event: Option<String>,
    /// The lines so far, joined with LF.
    data: Option<String>,
    retry: Option<Duration>,
}

/// Whether the rest of a block is being thrown away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Skip {
    No,
    /// Up to the blank line that ends the block.
    Block,
    /// The same, and the next end of a line ends a line that was not blank.
    LineAndBlock,
}

impl Decoder {
    /// A decoder for one stream whose events take at most `max_event_bytes`: its data, id and type, and any
    /// one line.
    pub fn new(max_event_bytes: usize) -> Decoder {
        Decoder {
            limit: max_event_bytes,
            input: BytesMut::new(),
            searched: 0,
            at_start: true,
            after_cr: false,
            block: Block::default(),
            skip: Skip::No,
        }
    }

    /// Takes the next bytes of the stream.
    pub fn push(&mut self, chunk: &[u8]) {
        self.input.extend_from_slice(chunk);
    }

    /// The next event that is whole, or `None` when more bytes are needed.
    ///
    /// # Errors
    ///
    /// [`TooLarge`], once for each event over the limit. The rest of that event is skipped and the one after
    /// it can be read.
    pub fn next_event(&mut self) -> Option<Result<Event, TooLarge>> {
        if self.at_start && !self.skip_byte_order_mark() {
            return None;
        }
        loop {
            if self.after_cr && !self.input.is_empty() {
                self.after_cr = false;
                if self.input[0] == b'\n' {
                    self.input.advance(1);
                }
            }
            let Some(end) = memchr2(b'\n', b'\r', &self.input[self.searched..]) else {
                self.searched = self.input.len();
                return self.bound_partial_line();
            };
            let end = self.searched + end;
            self.searched = 0;
            self.after_cr = self.input[end] == b'\r';
            let read = self.line(end);
            self.input.advance(end + 1);
            if read.is_some() {
                return read;
            }
        }
    }

    /// Takes in the line that ends before `end`.
    fn line(&mut self, end: usize) -> Option<Result<Event, TooLarge>> {
        let line = &self.input[..end];
        match self.skip {
            Skip::Block if line.is_empty() => self.skip = Skip::No,
            Skip::Block => {}
            Skip::LineAndBlock => self.skip = Skip::Block,
            Skip::No if line.is_empty() => return std::mem::take(&mut self.block).finish().map(Ok),
            Skip::No if self.block.len() + line.len() > self.limit => {
                return Some(self.give_up(Skip::Block));
            }
            Skip::No => {
                self.block.line(line);
                // What replaces a byte that is not UTF-8 is longer than the byte.
                if self.block.len() > self.limit {
                    return Some(self.give_up(Skip::Block));
                }
            }
        }
        None
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

    /// Keeps the line whose end has not come yet within the limit.
    fn bound_partial_line(&mut self) -> Option<Result<Event, TooLarge>> {
        match self.skip {
            Skip::No if self.block.len() + self.input.len() > self.limit => {
                self.forget_input();
                Some(self.give_up(Skip::LineAndBlock))
            }
            Skip::No => None,
            Skip::Block | Skip::LineAndBlock => {
                if !self.input.is_empty() {
                    self.forget_input();
                    self.skip = Skip::LineAndBlock;
                }
                None
            }
        }
    }

    fn forget_input(&mut self) {
        self.input.clear();
        self.searched = 0;
    }

    fn give_up(&mut self, skip: Skip) -> Result<Event, TooLarge> {
        self.block = Block::default();
        self.skip = skip;
        Err(TooLarge { limit: self.limit })
    }
}

impl Block {
    /// How many bytes it holds.
    fn len(&self) -> usize {
        // Each line of data counts with its end.
        let data = self.data.as_ref().map_or(0, |data| data.len() + 1);
        data + self.id.as_ref().map_or(0, String::len) + self.event.as_ref().map_or(0, String::len)
    }

    fn line(&mut self, line: &[u8]) {
        let (field, value) = match memchr(b':', line) {
            Some(colon) => {
                let value = &line[colon + 1..];
                (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line, &b""[..]),
        };
        match field {
            b"data" => {
                let text = text(value);
                match &mut self.data {
                    Some(data) => {
                        data.reserve(text.len() + 1);
                        data.push('\n');
                        data.push_str(&text);
                    }
                    // Of its exact size, so that an event of one line becomes bytes without another allocation.
                    None => self.data = Some(text.into_owned()),
                }
            }
            b"event" => self.event = Some(text(value).into_owned()),
            b"id" if !value.contains(&0) => self.id = Some(text(value).into_owned()),
            b"retry" => self.retry = milliseconds(value).or(self.retry),
            _ => {} // a comment (its field is empty), a field nobody defined, or an id with a NUL
        }
    }

    fn finish(self) -> Option<Event> {
        let Block { id, event, data, retry } = self;
        let is_reported = data.is_some() || id.is_some() || retry.is_some();
        is_reported.then(|| Event { id, event, data: data.unwrap_or_default(), retry })
    }
}

/// As text. Checked as a whole first: almost all is UTF-8, and what replaces the rest goes about it piece by piece.
fn text(value: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(value).map_or_else(|_| String::from_utf8_lossy(value), Cow::Borrowed)
}

/// Digits only, as the specification wants: no sign, and no number too large to count.
fn milliseconds(value: &[u8]) -> Option<Duration> {
    let digits =
        std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok().map(Duration::from_millis)
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "An event of the stream is larger than {} bytes. Raise the limit, or send smaller events.",
            self.limit
        )
    }
}

impl std::error::Error for TooLarge {}

#[cfg(test)]
mod tests;
