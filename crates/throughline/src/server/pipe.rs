//! The one way to a client that has no streams of its own for its calls: every message in the order in which they were
//! sent, as a line over stdio, as an event over HTTP+SSE.

use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{self, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use throughline_proto::jsonrpc;
use throughline_proto::sse;

use super::backlog::Backlog;
use super::counters::Tally;
use super::stream::{STALLED, Weight};
use crate::handler::CallOver;
use crate::lock::Lock;
use crate::runtime;

/// What waits to be written to a client, between everything that sends and the one writer.
///
/// A slow reader holds up only those who can wait: senders of notifications, while 256 messages or 256 KiB wait, and who
/// reads further requests, while 4 MiB do. Responses and questions are kept whatever the pace: the requests in flight
/// bound them. A broadcast can neither wait nor be kept, and is dropped and counted while 1 MiB waits.
///
/// The pipes of a server share its backlog as well: while that is full, each of them is taken for full as soon as
/// anything waits in it.
pub(crate) struct Pipe {
    tally: Arc<Tally>,
    form: Form,
    state: Mutex<State>,
}

/// How messages are told apart.
enum Form {
    /// Each is a line.
    Lines,
    /// Each is an event. Whoever reads them shares the runtime, and this backlog, with others like it.
    Events(Arc<Backlog>),
}

struct State {
    /// Whole messages that the writer has not taken; the first may have been taken in part.
    out: BytesMut,
    /// How many those are.
    messages: usize,
    /// How many bytes the writer has taken and not written.
    writing: usize,
    /// Nothing can be sent any more; what is there is still written.
    ended: bool,
    writer: Option<Waker>,
    /// Those who wait for the reader.
    waiting: Vec<Waker>,
    last_taken: Instant,
    /// Since when a tick has seen something that nobody took.
    behind_since: Option<Instant>,
    keep_alive_due: bool,
}

impl Pipe {
    /// A pipe of lines.
    pub(crate) fn new(tally: Arc<Tally>) -> Arc<Self> {
        Self::of(tally, Form::Lines)
    }

    /// A pipe of events, beside others.
    pub(crate) fn of_events(tally: Arc<Tally>, backlog: Arc<Backlog>) -> Arc<Self> {
        Self::of(tally, Form::Events(backlog))
    }

    fn of(tally: Arc<Tally>, form: Form) -> Arc<Self> {
        let state = State {
            out: BytesMut::new(),
            messages: 0,
            writing: 0,
            ended: false,
            writer: None,
            waiting: Vec::new(),
            last_taken: runtime::now(),
            behind_since: None,
            keep_alive_due: false,
        };
        Arc::new(Self { tally, form, state: Mutex::new(state) })
    }

    /// Whether its writer is a task beside the handlers, which one that computes would hold up.
    pub(crate) fn shares_runtime(&self) -> bool {
        matches!(self.form, Form::Events(_))
    }

    /// Sends a notification once there is room. Pending wakes `cx` when that may be so.
    pub(crate) fn poll_send(
        &self,
        write: impl FnOnce(&mut BytesMut),
        cx: &task::Context<'_>,
    ) -> Poll<Result<(), CallOver>> {
        let mut state = self.state.locked();
        if state.ended {
            return Poll::Ready(Err(CallOver));
        }
        if state.messages >= MOST_MESSAGES_BEHIND
            || state.unwritten() >= MOST_BYTES_BEHIND
            || self.is_crowded(&state)
        {
            state.wait(cx);
            return Poll::Pending;
        }
        self.push(state, write);
        Poll::Ready(Ok(()))
    }

    /// Sends at once, whatever the reader's pace. False when nothing can be sent any more.
    pub(crate) fn send(&self, weight: Weight, write: impl FnOnce(&mut BytesMut)) -> bool {
        let state = self.state.locked();
        if state.ended {
            return false;
        }
        if !weight.keep && (state.unwritten() >= MOST_BYTES_DROPPABLE || self.is_crowded(&state)) {
            self.tally.notifications_undeliverable.add_one();
            return true;
        }
        self.push(state, write);
        true
    }

    /// Sends an event of another type than the messages have.
    pub(crate) fn send_event(&self, name: &str, data: &[u8]) {
        let mut state = self.state.locked();
        let start = state.out.len();
        sse::write_event_type(&mut state.out, name);
        sse::write_event(&mut state.out, None, data);
        self.pushed(state, start);
    }

    /// Whether so little waits that a further request may be taken on.
    pub(crate) fn has_room(&self) -> bool {
        let state = self.state.locked();
        state.ended || (state.unwritten() < MOST_BYTES_UNREAD && !self.is_crowded(&state))
    }

    /// Ready when so little waits that further requests may be read, or nothing can be sent any more.
    pub(crate) fn poll_room(&self, cx: &task::Context<'_>) -> Poll<()> {
        let mut state = self.state.locked();
        if state.ended || (state.unwritten() < MOST_BYTES_UNREAD && !self.is_crowded(&state)) {
            return Poll::Ready(());
        }
        state.wait(cx);
        Poll::Pending
    }

    /// Everything that is ready, for the one writer, in exchange for what it has written. False at the end.
    pub(crate) fn poll_take(&self, lines: &mut BytesMut, cx: &task::Context<'_>) -> Poll<bool> {
        lines.clear();
        if lines.capacity() > MOST_BYTES_DROPPABLE {
            // One large response is no reason to hold its memory for ever.
            *lines = BytesMut::new();
        }
        let mut state = self.state.locked();
        std::mem::swap(&mut state.out, lines);
        state.writing = lines.len();
        state.messages = 0;
        let taken = match (lines.is_empty(), state.ended) {
            (false, _) => Poll::Ready(true),
            (true, true) => Poll::Ready(false),
            (true, false) => {
                state.writer = Some(cx.waker().clone());
                Poll::Pending
            }
        };
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
        taken
    }

    /// The next piece for the body of a response, in exchange for the one before it, which is written. `None` at the end. In
    /// pieces, so that a reader that is slow with a large response is known from one that takes nothing.
    pub(crate) fn poll_piece(&self, cx: &task::Context<'_>) -> Poll<Option<Bytes>> {
        let mut state = self.state.locked();
        self.written(&mut state);
        let piece = if !state.out.is_empty() {
            let length = state.out.len().min(PIECE);
            // The last piece takes the memory with it: a stream that is quiet for long holds none.
            let piece = match length == state.out.len() {
                true => std::mem::take(&mut state.out),
                false => state.out.split_to(length),
            };
            if state.out.is_empty() {
                state.messages = 0;
            }
            state.writing = length;
            state.keep_alive_due = false;
            Poll::Ready(Some(piece.freeze()))
        } else if state.ended {
            Poll::Ready(None)
        } else if std::mem::take(&mut state.keep_alive_due) {
            Poll::Ready(Some(Bytes::from_static(sse::KEEP_ALIVE)))
        } else {
            state.writer = Some(cx.waker().clone());
            Poll::Pending
        };
        if piece.is_ready() {
            state.last_taken = runtime::now();
            state.behind_since = None;
        }
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
        piece
    }

    /// A second has passed: a quiet stream writes a keep-alive. False when its reader takes nothing any more.
    pub(crate) fn handle_tick(&self, now: Instant, keep_alive: Duration) -> bool {
        let mut state = self.state.locked();
        if !state.out.is_empty() {
            let since = *state.behind_since.get_or_insert(now);
            return now.saturating_duration_since(since) < STALLED;
        }
        let quiet = now.saturating_duration_since(state.last_taken);
        if !state.ended && !keep_alive.is_zero() && quiet >= keep_alive {
            state.keep_alive_due = true;
            let writer = state.writer.take();
            drop(state);
            writer.into_iter().for_each(Waker::wake);
        }
        true
    }

    /// Nothing can be sent any more. What is there is still written.
    pub(crate) fn end(&self) {
        let mut state = self.state.locked();
        state.ended = true;
        let wakers: Vec<Waker> =
            std::mem::take(&mut state.waiting).into_iter().chain(state.writer.take()).collect();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The same with when to come back.
    pub(crate) fn end_with_retry(&self, retry: Duration) {
        let mut state = self.state.locked();
        if state.ended {
            // Its reader left meanwhile.
            return;
        }
        let start = state.out.len();
        sse::write_retry(&mut state.out, retry);
        self.pushed(state, start);
        self.end();
    }

    /// The reader is gone, and what is there with it.
    pub(crate) fn break_off(&self) {
        let mut state = self.state.locked();
        self.written(&mut state);
        if let Form::Events(backlog) = &self.form {
            backlog.take(state.out.len());
        }
        state.out = BytesMut::new();
        drop(state);
        self.end();
    }

    /// Whether the end has come and everything was taken.
    pub(crate) fn is_over(&self) -> bool {
        let state = self.state.locked();
        state.ended && state.out.is_empty()
    }

    /// Whether all pipes together hold too much, and this one has a part in it.
    fn is_crowded(&self, state: &State) -> bool {
        match &self.form {
            Form::Lines => false,
            // Who has a part in it is woken when its own reader takes something.
            Form::Events(backlog) => state.unwritten() > 0 && backlog.is_full(),
        }
    }

    /// What the writer took is written.
    fn written(&self, state: &mut State) {
        let written = std::mem::take(&mut state.writing);
        if let Form::Events(backlog) = &self.form {
            backlog.take(written);
        }
    }

    /// Adds a message and wakes the writer.
    fn push(&self, mut state: MutexGuard<'_, State>, write: impl FnOnce(&mut BytesMut)) {
        let start = state.out.len();
        match self.form {
            Form::Lines => {
                write(&mut state.out);
                if state.out.len() > start {
                    jsonrpc::end_line(&mut state.out, start);
                }
            }
            Form::Events(_) => {
                let mut has_any = false;
                sse::write_event_type(&mut state.out, "message");
                sse::write_event_with(&mut state.out, "", |out| {
                    let before = out.len();
                    write(out);
                    has_any = out.len() > before;
                });
                if !has_any {
                    state.out.truncate(start);
                }
            }
        }
        self.pushed(state, start);
    }

    /// Counts what was added from `start` on, and wakes the writer.
    fn pushed(&self, mut state: MutexGuard<'_, State>, start: usize) {
        let more = state.out.len() - start;
        state.messages += usize::from(more > 0);
        if let Form::Events(backlog) = &self.form {
            backlog.add(more);
        }
        let writer = state.writer.take();
        drop(state);
        writer.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        // Its share of the backlog.
        self.break_off();
    }
}

impl State {
    fn unwritten(&self) -> usize {
        self.out.len() + self.writing
    }

    fn wait(&mut self, cx: &task::Context<'_>) {
        if !self.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            self.waiting.push(cx.waker().clone());
        }
    }
}

/// As far as the reader of a stream may be behind.
const MOST_MESSAGES_BEHIND: usize = 256;
const MOST_BYTES_BEHIND: usize = 256 * 1024;
/// As much as a stream retains, where the oldest notifications would go.
const MOST_BYTES_DROPPABLE: usize = 1024 * 1024;
/// As long as one request may be.
const MOST_BYTES_UNREAD: usize = 4 * 1024 * 1024;
/// As much as leaves in one frame elsewhere: who takes one in ten seconds reads 6.5 KB/s, less than any line that is one.
const PIECE: usize = 64 * 1024;

#[cfg(test)]
mod tests;
