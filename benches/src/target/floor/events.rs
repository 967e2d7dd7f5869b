//! The events of a call that reports progress: made one by one as they are written, or all at once to be replayed.

use std::io::Write as _;

use bytes::Bytes;

use super::TO_MEMORY;

/// What the events of one call have in common.
#[derive(Clone)]
pub(super) struct Events {
    /// The JSON text of the request's id.
    pub(super) id: String,
    /// The JSON text of its progress token.
    pub(super) token: String,
    pub(super) count: u32,
    /// The stream's number where its events have ids.
    pub(super) stream: Option<u64>,
    pub(super) is_modern: bool,
}

/// Events that are still to be written.
pub(super) struct Writing {
    events: Events,
    next: u32,
    coalesces: bool,
}

impl Events {
    /// The event whose number is `number`: progress, or the response behind the last. The event 0 primes.
    fn write(&self, number: u32, out: &mut Vec<u8>) {
        let Self { id, token, count, stream, .. } = self;
        if let Some(stream) = stream {
            let written = match number {
                0 => write!(out, "id: {stream}-0\nretry: 1000\ndata:\n\n"),
                _ => writeln!(out, "id: {stream}-{number}"),
            };
            written.expect(TO_MEMORY);
        }
        let written = match number {
            0 => Ok(()),
            _ if number <= *count => write!(
                out,
                "data: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{{\"progressToken\":{token},\"progress\":{number}}}}}\n\n"
            ),
            _ => {
                let kind = if self.is_modern { "\"resultType\":\"complete\"," } else { "" };
                write!(
                    out,
                    "data: {{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{{kind}\"content\":[{{\"type\":\"text\",\"text\":\"done\"}}]}}}}\n\n"
                )
            }
        };
        written.expect(TO_MEMORY);
    }

    /// Everything behind the priming event.
    pub(super) fn replay(&self) -> Bytes {
        let mut all = Vec::new();
        for number in 1..=self.count + 1 {
            self.write(number, &mut all);
        }
        all.into()
    }
}

impl Writing {
    pub(super) fn new(events: Events, coalesces: bool) -> Self {
        Self { events, next: 0, coalesces }
    }

    /// The next frame: one event, or as many as fill 8 KiB. Nothing behind the response.
    pub(super) fn frame(&mut self) -> Option<Bytes> {
        let mut frame = Vec::with_capacity(if self.coalesces { FRAME } else { 256 });
        while self.next <= self.events.count + 1 {
            self.events.write(self.next, &mut frame);
            self.next += 1;
            let is_full = if self.coalesces { frame.len() + 256 > FRAME } else { !frame.is_empty() };
            if is_full {
                break;
            }
        }
        (!frame.is_empty()).then(|| frame.into())
    }
}

/// As large as hyper's first write buffer.
const FRAME: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn events(stream: Option<u64>) -> Events {
        Events { id: "7".into(), token: "7".into(), count: 200, stream, is_modern: stream.is_none() }
    }

    #[test]
    fn coalesced_and_single_frames_are_the_same_events() {
        for stream in [None, Some(3)] {
            let all = |coalesces| {
                let mut writing = Writing::new(events(stream), coalesces);
                let frames: Vec<Bytes> = std::iter::from_fn(|| writing.frame()).collect();
                (frames.len(), frames.concat())
            };
            let ((single, by_one), (coalesced, by_many)) = (all(false), all(true));
            assert_eq!(by_one, by_many);
            assert_eq!(single, 201 + usize::from(stream.is_some()));
            assert!(coalesced < 10);
            assert!(by_many.ends_with(&events(stream).replay()));
        }
    }
}
