//! An event stream, read event by event.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{Response, StatusCode};
use memchr::memchr;

use super::wire::is_stream;
use crate::Result;
use crate::echo::MAX_BODY;

/// The body of a response, as events.
pub(super) struct Events {
    body: Incoming,
    decoder: Decoder,
}

/// Finds events in bytes that come in pieces.
#[derive(Default)]
pub(super) struct Decoder {
    buffer: BytesMut,
    /// Where the line begins that is not searched yet.
    line: usize,
    /// Up to where that line is searched.
    searched: usize,
}

/// One event, as it came.
pub(super) struct Event(Bytes);

impl Events {
    /// # Errors
    ///
    /// When the response is no successful event stream.
    pub(super) fn of(response: Response<Incoming>) -> Result<Self> {
        if !Self::is_stream(&response) {
            return Err(format!(
                "an event stream was expected, and {} came with {:?}",
                response.status(),
                response.headers()
            )
            .into());
        }
        Ok(Self { body: response.into_body(), decoder: Decoder::default() })
    }

    /// Whether a response is a successful event stream.
    pub(super) fn is_stream(response: &Response<Incoming>) -> bool {
        response.status() == StatusCode::OK && is_stream(response) == Some(true)
    }

    /// The next event, comments skipped; nothing at the end of the stream.
    pub(super) async fn next(&mut self) -> Result<Option<Event>> {
        loop {
            if let Some(event) = self.decoder.next() {
                return Ok(Some(event));
            }
            if self.decoder.buffer.len() > MAX_BODY {
                return Err("an event does not end".into());
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            if let Ok(data) = frame?.into_data() {
                self.decoder.buffer.extend_from_slice(&data);
            }
        }
    }

    /// The next event that carries a message.
    pub(super) async fn message(&mut self) -> Result<Event> {
        loop {
            let event = self.next().await?.ok_or("a stream ended before its last message")?;
            if !event.data().is_empty() {
                return Ok(event);
            }
        }
    }
}

impl Decoder {
    fn next(&mut self) -> Option<Event> {
        loop {
            let end = self.searched + memchr(b'\n', &self.buffer[self.searched..])?;
            let is_blank = matches!(&self.buffer[self.line..end], b"" | b"\r");
            (self.line, self.searched) = (end + 1, end + 1);
            if is_blank {
                let event = self.buffer.split_to(end + 1).freeze();
                (self.line, self.searched) = (0, 0);
                let event = Event(event);
                if event.fields().next().is_some() {
                    return Some(event);
                }
            }
        }
    }
}

impl Event {
    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.split(|&byte| byte == b'\n').filter_map(|line| {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let (name, value) = match memchr(b':', line) {
                Some(colon) => (&line[..colon], &line[colon + 1..]),
                None => (line, &[][..]),
            };
            (!name.is_empty()).then(|| (name, value.strip_prefix(b" ").unwrap_or(value)))
        })
    }

    /// Its id, where it has one.
    pub(super) fn id(&self) -> Option<&[u8]> {
        self.fields().find(|(name, _)| *name == b"id").map(|(_, id)| id)
    }

    /// Its data; several lines are joined.
    pub(super) fn data(&self) -> Cow<'_, [u8]> {
        let mut lines = self.fields().filter(|(name, _)| *name == b"data").map(|(_, data)| data);
        let mut data = Cow::Borrowed(lines.next().unwrap_or_default());
        for line in lines {
            let joined = data.to_mut();
            joined.push(b'\n');
            joined.extend_from_slice(line);
        }
        data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ids and data of what is decoded when the bytes come in pieces of `size`.
    fn decoded(stream: &str, size: usize) -> Vec<(Option<String>, String)> {
        let mut decoder = Decoder::default();
        let mut events = Vec::new();
        for piece in stream.as_bytes().chunks(size) {
            decoder.buffer.extend_from_slice(piece);
            while let Some(event) = decoder.next() {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                events.push((event.id().map(text), text(&event.data())));
            }
        }
        events
    }

    #[test]
    fn events_are_found_however_the_bytes_are_cut() {
        let stream =
            ": hello\n\nid: 0\nretry: 1000\ndata:\n\n: alive\nid: 1\ndata: {\r\ndata:}\r\n\r\ndata: half\n";
        let expected = vec![(Some("0".to_owned()), String::new()), (Some("1".to_owned()), "{\n}".to_owned())];
        for size in 1..=stream.len() {
            assert_eq!(decoded(stream, size), expected, "in pieces of {size}");
        }
    }
}
