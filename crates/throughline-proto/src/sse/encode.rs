use std::fmt::Write as _;
use std::time::Duration;

use bytes::BytesMut;

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
        write_id(out, id);
    }
    // Compact JSON is one line. Two searches for one byte each are faster than one for either.
    if !data.contains(&b'\n') && !data.contains(&b'\r') {
        write_line(out, data);
    } else {
        let mut rest = data;
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            write_line(out, &rest[..end]);
            let width = if rest[end..].starts_with(b"\r\n") { 2 } else { 1 };
            rest = &rest[end + width..];
        }
        write_line(out, rest);
    }
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
pub fn write_event_with(out: &mut BytesMut, id: &str, write: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    if !id.is_empty() {
        write_id(out, id);
    }
    out.extend_from_slice(b"data: ");
    let data = out.len();
    write(out);
    if out[data..].contains(&b'\n') || out[data..].contains(&b'\r') {
        let text = out.split_off(data);
        out.truncate(start);
        return write_event(out, (!id.is_empty()).then_some(id), &text);
    }
    out.extend_from_slice(b"\n\n");
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
pub fn write_prime(out: &mut BytesMut, id: &str, retry: Option<Duration>) {
    write_id(out, id);
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

fn write_id(out: &mut BytesMut, id: &str) {
    assert!(!id.bytes().any(|byte| matches!(byte, b'\r' | b'\n' | 0)), "an event id is one line of text");
    out.extend_from_slice(b"id: ");
    out.extend_from_slice(id.as_bytes());
    out.extend_from_slice(b"\n");
}

fn write_line(out: &mut BytesMut, line: &[u8]) {
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(line);
    out.extend_from_slice(b"\n");
}

fn write_retry_line(out: &mut BytesMut, retry: Duration) {
    out.reserve("retry: \n".len() + 20); // the digits of the largest u64
    writeln!(out, "retry: {}", retry.as_millis()).expect("memory takes every write");
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
