//! The connection that reads a stream, as its writer sees it.

use std::task::Waker;
use std::time::{Duration, Instant};

/// The connection that reads the stream.
pub(super) struct Reader {
    pub(super) number: u64,
    /// Up to here events were handed to it.
    pub(super) seq: u64,
    /// Events up to here were there before it came; they do not count as backlog.
    pub(super) joined_at: u64,
    pub(super) unread_bytes: usize,
    /// Since when there is something it has not taken.
    pub(super) behind_since: Option<Instant>,
    pub(super) last_frame: Instant,
    pub(super) keep_alive_due: bool,
    /// To be closed once it has what was there when that was decided.
    pub(super) closing: Option<(Closing, u64)>,
    pub(super) waker: Option<Waker>,
}

/// Why a connection is to be closed although its stream goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Closing {
    /// The client should come back after this time.
    Retry(Duration),
    /// The session is over.
    End,
}

impl Closing {
    /// When the client should come back.
    pub(crate) fn retry(self) -> Option<Duration> {
        match self {
            Closing::Retry(retry) => Some(retry),
            Closing::End => None,
        }
    }
}

/// What a connection has to do next.
pub(crate) enum Turn {
    /// Read on.
    Read,
    /// Write a keep-alive first.
    KeepAlive,
    /// Close once everything up to this event is written.
    Close(Closing, u64),
    /// A newer reader has taken over, or this one was detached.
    Replaced,
}
