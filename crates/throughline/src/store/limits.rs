//! What a store may hold, and what it holds.

use std::time::Duration;

/// The budgets of a store. Bytes are counted with [`Event::cost`](super::Event::cost).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of all sessions together. Default 256 MiB: 64 sessions that use theirs up, or some 26 KiB for each
    /// of 10,000 sessions, in a process that still fits a small container.
    pub store_bytes: usize,
    /// The most bytes of one session. Default 4 MiB: four full streams, so that one busy client cannot take the store.
    pub session_bytes: usize,
    /// The most ended streams of a session whose events are held. Default 64: as many as it may have requests in
    /// flight, so that a reconnecting client finds all of them.
    pub session_ended_streams: usize,
    /// The most bytes of one stream. Default 1 MiB: four times what a connected reader may be behind.
    pub stream_bytes: usize,
    /// The most events of one stream. Default 8,192: as many events of 64 bytes as fit its bytes, frames not
    /// counted, so that a flood of tiny events cannot make a log slow to search or copy.
    pub stream_events: usize,
    /// How long the events of a stream are held after its end. Default 10 minutes: longer than a client's reconnects
    /// take (30 s apart at most) and a laptop's short sleep.
    pub retention: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            store_bytes: 256 * 1024 * 1024,
            session_bytes: 4 * 1024 * 1024,
            session_ended_streams: 64,
            stream_bytes: 1024 * 1024,
            stream_events: 8_192,
            retention: Duration::from_secs(10 * 60),
        }
    }
}

impl Limits {
    /// The largest event that fits every budget, counted with [`Event::cost`](super::Event::cost). A larger one is
    /// refused with [`AppendError::TooLarge`](super::AppendError::TooLarge).
    pub fn largest_event(&self) -> usize {
        if self.stream_events == 0 {
            return 0;
        }
        self.stream_bytes.min(self.session_bytes).min(self.store_bytes)
    }
}

/// What a store holds at a moment, for metrics and tests. A store that cannot tell reports zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes, counted with [`Event::cost`](super::Event::cost).
    pub bytes: usize,
    /// Events.
    pub events: usize,
    /// Sessions that have a stream.
    pub sessions: usize,
    /// Streams whose events are held, running and ended.
    pub streams: usize,
}
