//! When the event store fails: what becomes of the calls that need it.

use std::collections::VecDeque;
use std::sync::{Arc, MutexGuard};

use bytes::{Bytes, BytesMut};
use throughline_proto::session::StreamNo;
use throughline_proto::sse;

use super::{MOST_BYTES_BEHIND, MOST_EVENTS_BEHIND, State, Stream, Weight, substitute, wake};
use crate::lock::Lock;
use crate::runtime;
use crate::store::{AppendError, Event};

/// What becomes of a call whose events the store does not take. Either way it is logged and counted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum StoreFailure {
    /// The call fails with -32603: the default, as a client that relies on resuming must not be left without it.
    #[default]
    FailCall,
    /// The call goes on, and its events go to the connection that is there, without ids: they cannot be resumed.
    GoUnresumable,
}

/// Frames that go around the store, to the connection that reads the stream.
#[derive(Default)]
pub(super) struct Direct {
    frames: VecDeque<Bytes>,
    bytes: usize,
}

impl Direct {
    /// As many wait as may: senders wait too.
    pub(super) fn is_full(&self) -> bool {
        self.frames.len() >= MOST_EVENTS_BEHIND || self.bytes >= MOST_BYTES_BEHIND
    }

    fn push(&mut self, message: &[u8]) {
        let mut frame = BytesMut::new();
        sse::write_event(&mut frame, None, message);
        self.bytes += frame.len();
        self.frames.push_back(frame.freeze());
    }
}

impl Stream {
    /// What went around the store, for the reader with this number; empty when there is nothing.
    pub(crate) fn take_direct(&self, number: u64) -> Bytes {
        let mut state = self.state.locked();
        let is_reader = state.reader.as_ref().is_some_and(|reader| reader.number == number);
        let Some(direct) = state.direct.as_mut().filter(|_| is_reader) else { return Bytes::new() };
        if direct.frames.is_empty() {
            return Bytes::new();
        }
        let mut all = BytesMut::with_capacity(direct.bytes);
        direct.frames.drain(..).for_each(|frame| all.extend_from_slice(&frame));
        direct.bytes = 0;
        let head = state.head;
        if let Some(reader) = &mut state.reader {
            reader.last_frame = runtime::now();
            reader.behind_since = (reader.seq < head).then_some(reader.last_frame);
        }
        let senders = std::mem::take(&mut state.senders);
        drop(state);
        wake(None, senders);
        all.freeze()
    }

    /// Whether the store failed, so that what follows does not come from it.
    pub(crate) fn goes_around_store(&self) -> bool {
        self.state.locked().direct.is_some()
    }

    /// Whether the store failed and the stream is over: nothing is left to wait for.
    pub(crate) fn is_over_directly(&self) -> bool {
        let state = self.state.locked();
        state.ended && state.direct.as_ref().is_some_and(|direct| direct.frames.is_empty())
    }

    /// Sends a message around the store that failed. False when it cannot go that way.
    pub(super) fn send_direct(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State>,
        weight: Weight,
        message: &Bytes,
    ) -> bool {
        state.ended |= weight.ends;
        let sent = self.go_direct(&mut state, weight.keep, message);
        let reader = state.reader.as_ref().and_then(|reader| reader.waker.clone());
        drop(state);
        wake(reader, Vec::new());
        sent
    }

    /// The store did not take these events.
    pub(super) fn store_failed(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State>,
        mut events: Vec<Event>,
        error: &AppendError,
    ) {
        events.append(&mut state.queue);
        if matches!(error, AppendError::Ended) {
            // The session ended while a call still ran: that is no failure.
            drop(state);
            return self.cut();
        }
        self.tally.store_failures.add_one();
        let error = error as &dyn std::error::Error;
        if self.key.stream == StreamNo::STANDALONE.0 {
            tracing::error!(
                error,
                "the event store did not take what is for a GET stream; it is tried again"
            );
            state.queue = events;
            state.retries = true;
            return;
        }
        tracing::error!(error, "the event store did not take the events of a call; {:?}", self.on_failure);
        state.known = true;
        state.direct.get_or_insert_default();
        // These events will never be in the log: a reader that has the ones before is not behind.
        state.head = events.first().map_or(state.head, |event| event.seq - 1);
        let head = state.head;
        if let Some(reader) = state.reader.as_mut().filter(|reader| reader.seq >= head) {
            self.backlog.take(std::mem::take(&mut reader.unread_bytes));
            reader.behind_since = None;
        }
        for event in &events {
            self.go_direct(&mut state, event.keep, &substitute::data_of(&event.frame));
        }
        let reader = state.reader.as_ref().and_then(|reader| reader.waker.clone());
        let senders = std::mem::take(&mut state.senders);
        drop(state);
        wake(reader, senders);
    }

    fn go_direct(&self, state: &mut State, keep: bool, message: &Bytes) -> bool {
        let has_reader = state.reader.is_some() || state.readers == 0;
        if let Some(reader) = &mut state.reader {
            reader.behind_since.get_or_insert_with(runtime::now);
        }
        let Some(direct) = &mut state.direct else { return false };
        match self.on_failure {
            StoreFailure::GoUnresumable if keep || (has_reader && !direct.is_full()) => direct.push(message),
            StoreFailure::GoUnresumable => self.tally.notifications_undeliverable.add_one(),
            StoreFailure::FailCall => match substitute::not_stored(message) {
                Some(error) => direct.push(&error),
                None => return false,
            },
        }
        true
    }
}
