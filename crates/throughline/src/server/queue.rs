//! The stream of a request without a session: a bounded queue, no ids, no log. What its connection loses is lost.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::task::{self, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use throughline_proto::sse;

use super::stream::STALLED;
use crate::handler::CallOver;
use crate::lock::Lock;
use crate::runtime;

/// A queue between the calls of one POST and its connection.
pub(crate) struct Queue {
    state: Mutex<State>,
}

struct State {
    frames: VecDeque<Bytes>,
    bytes: usize,
    ended: bool,
    reader: Option<Waker>,
    senders: Vec<Waker>,
    last_frame: Instant,
    /// Since when a tick has seen something that nobody took.
    behind_since: Option<Instant>,
    keep_alive_due: bool,
}

impl Queue {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                frames: VecDeque::new(),
                bytes: 0,
                ended: false,
                reader: None,
                senders: Vec::new(),
                last_frame: runtime::now(),
                behind_since: None,
                keep_alive_due: false,
            }),
        })
    }

    /// Sends a notification once there is room.
    pub(crate) fn poll_send(
        &self,
        write: impl FnOnce(&mut BytesMut),
        cx: &task::Context<'_>,
    ) -> Poll<Result<(), CallOver>> {
        let mut state = self.state.locked();
        if state.ended {
            return Poll::Ready(Err(CallOver));
        }
        if state.frames.len() >= MOST_FRAMES || state.bytes >= MOST_BYTES {
            if !state.senders.iter().any(|waker| waker.will_wake(cx.waker())) {
                state.senders.push(cx.waker().clone());
            }
            return Poll::Pending;
        }
        state.push(write);
        let reader = state.reader.take();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(()))
    }

    /// Sends a response; `ends` says that it is the last.
    pub(crate) fn send(&self, ends: bool, write: impl FnOnce(&mut BytesMut)) {
        let mut state = self.state.locked();
        if state.ended {
            return;
        }
        state.push(write);
        state.ended = ends;
        let reader = state.reader.take();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
    }

    /// Ends the queue: by its last request without a response, or because its connection is gone.
    pub(crate) fn end(&self) {
        let mut state = self.state.locked();
        state.ended = true;
        let mut wakers = std::mem::take(&mut state.senders);
        wakers.extend(state.reader.take());
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The next piece of the body: everything that is there.
    pub(crate) fn poll_frame(&self, cx: &task::Context<'_>) -> Poll<Option<Bytes>> {
        let mut state = self.state.locked();
        if state.frames.is_empty() {
            if state.ended {
                return Poll::Ready(None);
            }
            if std::mem::take(&mut state.keep_alive_due) {
                state.last_frame = runtime::now();
                return Poll::Ready(Some(Bytes::from_static(sse::KEEP_ALIVE)));
            }
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        state.bytes = 0;
        state.behind_since = None;
        state.last_frame = runtime::now();
        let frames = std::mem::take(&mut state.frames);
        let senders = std::mem::take(&mut state.senders);
        drop(state);
        senders.into_iter().for_each(Waker::wake);
        if frames.len() == 1 {
            return Poll::Ready(frames.into_iter().next());
        }
        let mut all = BytesMut::with_capacity(frames.iter().map(Bytes::len).sum());
        frames.iter().for_each(|frame| all.extend_from_slice(frame));
        Poll::Ready(Some(all.freeze()))
    }

    /// Whether everything was sent and taken.
    pub(crate) fn is_over(&self) -> bool {
        let state = self.state.locked();
        state.ended && state.frames.is_empty()
    }

    /// A second has passed: a quiet connection writes a keep-alive. False when the reader takes nothing any more: then
    /// the queue has ended, because its calls would wait for ever.
    pub(crate) fn handle_tick(&self, now: Instant, keep_alive: Duration) -> bool {
        let mut state = self.state.locked();
        if state.ended {
            return true;
        }
        if !state.frames.is_empty() {
            let since = *state.behind_since.get_or_insert(now);
            if now.saturating_duration_since(since) >= STALLED {
                drop(state);
                self.end();
                return false;
            }
        } else if !keep_alive.is_zero() && now.saturating_duration_since(state.last_frame) >= keep_alive {
            state.keep_alive_due = true;
            let reader = state.reader.take();
            drop(state);
            reader.into_iter().for_each(Waker::wake);
        }
        true
    }
}

impl State {
    fn push(&mut self, write: impl FnOnce(&mut BytesMut)) {
        let mut frame = BytesMut::new();
        sse::write_event_with(&mut frame, "", write);
        self.bytes += frame.len();
        self.frames.push_back(frame.freeze());
    }
}

/// As far as the reader of a session's stream may be behind.
const MOST_FRAMES: usize = 256;
const MOST_BYTES: usize = 256 * 1024;
