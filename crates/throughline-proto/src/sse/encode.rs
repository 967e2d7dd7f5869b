use std::time::Duration;

use bytes::BytesMut;
use memchr::memchr2;

use crate::decimal::Decimal;

/// A comment that keeps a connection from looking idle.
///
/// One line, and no blank line after it: a blank line dispatches what came before, and some parsers then
/// report an event for an id alone.
pub const KEEP_ALIVE: &[u8] = b":\n";

/// Appends one event: an `id` line when there is an id, one `data` line for each line of `data` (LF, CR and
/// CRLF all end a line, so a reader sees LF for each), and the blank line that dispatches it. There is no
/// `event` line: every reader takes it for a `message`.
///
/// # Panics
///
/// When the id has a CR, LF or NUL in it, which would let it speak for the stream. Ids are this side's own.
pub fn write_event(out: &mut BytesMut, id: Option<&str>, data: &[u8]) {
    // The fixed text of an event with one line, so that an ordinary one grows the buffer at most once.
    out.reserve("id: \ndata: \n\n".len() + id.map_or(0, str::len) + data.len());
    if let Some(id) = id {
        write_id(out, id.as_bytes());
    }
    let mut rest = data;
    while let Some(end) = memchr2(b'\n', b'\r', rest) {
        write_line(out, &rest[..end]);
        let width = if rest[end..].starts_with(b"\r\n") { 2 } else { 1 };
        rest = &rest[end + width..];
    }
    write_line(out, rest);
    out.extend_from_slice(b"\n");
}

/// Appends one event whose data `write` appends itself, so that a message is encoded straight into its frame. `write`
/// may write line breaks; compact JSON has none. An empty `id` writes no id line.
///
/// # Panics
///
/// As [`write_event`].
///
/// ```
/// use bytes::BytesMut;
///
/// let mut frame = BytesMut::new();
/// throughline_proto::sse::write_event_with(&mut frame, "7", |out| out.extend_from_slice(b"{}"));
/// assert_eq!(&frame[..], b"id: 7\ndata: {}\n\n");
/// ```
pub fn write_event_with(out: &mut BytesMut, id: impl AsRef<[u8]>, write: impl FnOnce(&mut BytesMut)) {
    let id = id.as_ref();
    if !id.is_empty() {
        write_id(out, id);
    }
    out.extend_from_slice(b"data: ");
    let data = out.len();
    write(out);
    if memchr2(b'\n', b'\r', &out[data..]).is_some() {
        // Its lines take the place of the one that it was to be. The `data: ` before it is theirs.
        let text = out.split_off(data);
        out.truncate(data - "data: ".len());
        return write_event(out, None, &text);
    }
    out.extend_from_slice(b"\n\n");
}

/// Appends the `event` line of the event that is written next, for streams whose events have types, as those of HTTP+SSE
/// have ([HTTP with SSE](https://modelcontextprotocol.io/specification/2024-11-05/basic/transports#http-with-sse)).
///
/// # Panics
///
/// When the name has a CR, LF or NUL in it. Names are this side's own.
///
/// ```
/// use bytes::BytesMut;
/// use throughline_proto::sse;
///
/// let mut frame = BytesMut::new();
/// sse::write_event_type(&mut frame, "endpoint");
/// sse::write_event(&mut frame, None, b"/messages?sessionId=1868a90c");
/// assert_eq!(&frame[..], b"event: endpoint\ndata: /messages?sessionId=1868a90c\n\n");
/// ```
pub fn write_event_type(out: &mut BytesMut, name: &str) {
    assert!(!name.contains(['\r', '\n', '\0']), "the type of an event is one line of text");
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\n");
}

/// Appends a priming event: an id to resume from and empty data, with the time to wait before a reconnect
/// when one is given.
///
/// Specification:
/// <https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#sending-messages-to-the-server>.
///
/// # Panics
///
/// As [`write_event`].
pub fn write_prime(out: &mut BytesMut, id: impl AsRef<[u8]>, retry: Option<Duration>) {
    write_id(out, id.as_ref());
    if let Some(retry) = retry {
        write_retry_line(out, retry);
    }
    out.extend_from_slice(b"data: \n\n");
}

/// Appends the time to wait before a reconnect, in whole milliseconds, as a block of its own. It dispatches
/// no event.
pub fn write_retry(out: &mut BytesMut, retry: Duration) {
    write_retry_line(out, retry);
    out.extend_from_slice(b"\n");
}

fn write_id(out: &mut BytesMut, id: &[u8]) {
    // All bytes together: a search that may end early costs an id of a few bytes three times as much.
    let has_end = id.iter().fold(false, |found, byte| found | matches!(byte, b'\r' | b'\n' | 0));
    assert!(!has_end, "an event id is one line of text");
    out.extend_from_slice(b"id: ");
    out.extend_from_slice(id);
    out.extend_from_slice(b"\n");
}

fn write_line(out: &mut BytesMut, line: &[u8]) {
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(line);
    out.extend_from_slice(b"\n");
}

fn write_retry_line(out: &mut BytesMut, retry: Duration) {
    let millis = Decimal::new(u64::try_from(retry.as_millis()).unwrap_or(u64::MAX));
    out.extend_from_slice(b"retry: ");
    out.extend_from_slice(millis.as_bytes());
    out.extend_from_slice(b"\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut BytesMut)) -> String {
        let mut out = BytesMut::from("before|");
        write(&mut out);
        String::from_utf8(out.to_vec()).unwrap().strip_prefix("before|").unwrap().to_owned()
    }

    #[test]
    fn an_event_is_an_id_and_its_lines() {
        for (id, data, expected) in [
            (None, "x", "data: x\n\n"),
            (Some("1-a"), "x", "id: 1-a\ndata: x\n\n"),
            (Some(""), "", "id: \ndata: \n\n"),
            (None, " x", "data:  x\n\n"),
            (None, "a\nb\rc\r\nd", "data: a\ndata: b\ndata: c\ndata: d\n\n"),
            (None, "a\n", "data: a\ndata: \n\n"),
            (None, "\r\r\n\n", "data: \ndata: \ndata: \ndata: \n\n"),
        ] {
            assert_eq!(written(|out| write_event(out, id, data.as_bytes())), expected, "{id:?} {data:?}");
        }
    }

    #[test]
    fn priming_and_retry() {
        let second = Duration::from_secs(1);
        assert_eq!(written(|out| write_prime(out, "p", None)), "id: p\ndata: \n\n");
        assert_eq!(written(|out| write_prime(out, "p", Some(second))), "id: p\nretry: 1000\ndata: \n\n");
        assert_eq!(written(|out| write_retry(out, second)), "retry: 1000\n\n");
        assert_eq!(written(|out| write_retry(out, Duration::from_micros(1999))), "retry: 1\n\n");
    }

    #[test]
    #[should_panic(expected = "an event id is one line of text")]
    fn an_id_cannot_write_lines_of_its_own() {
        written(|out| write_event(out, Some("1\ndata: forged"), b"x"));
    }
}
