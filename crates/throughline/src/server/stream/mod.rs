//! One stream of a session: its only writer, and the pace of its reader.
//!
//! ```text
//!   calls --send--> [Stream] --append--> store (the log) --read--> [Tail] --> connection
//!                      ^                                             |
//!                      +----- how far the reader is, one at most ----+
//! ```

mod direct;
mod guard;
mod reader;
mod substitute;

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{self, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use throughline_proto::session::{Cursor, StreamNo};
use throughline_proto::sse;

use super::backlog::Backlog;
use super::counters::Tally;
use super::keeping::Noted;
use super::live::Logs;
use crate::handler::CallOver;
use crate::lock::Lock;
use crate::runtime;
use crate::store::{Append, AppendError, Epoch, Event, EventStore, Soon, StreamKey};
use direct::Direct;
pub use direct::StoreFailure;
use reader::Reader;
pub(crate) use reader::{Closing, Turn};
pub(crate) use substitute::data_of;

/// A stream of a session. Lives while a call writes to it or a connection reads it; its events live in the store.
pub(crate) struct Stream {
    key: StreamKey,
    tag: u32,
    epoch: Epoch,
    /// The store keeps sessions: nothing of the stream leaves before the store knows it.
    keeps: bool,
    /// It has one request and no more.
    is_of_one: bool,
    store: Arc<dyn EventStore>,
    backlog: Arc<Backlog>,
    tally: Arc<Tally>,
    largest_event: usize,
    on_failure: StoreFailure,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The sequence of the last event, sent or on its way into the store.
    head: u64,
    /// No event may follow.
    ended: bool,
    /// It ended before its time: for the log it has no end, as whoever rebuilds the session may go on with it.
    cut: bool,
    /// The store has taken something: until then it does not know the stream.
    known: bool,
    /// Up to here events were handed to a connection, this or an earlier one.
    written: u64,
    reader: Option<Reader>,
    /// The POST that opened the stream has not got its response yet, and will be the first reader.
    awaited: Option<Awaited>,
    /// The next reader is to be closed once it has what is there.
    close_next: Option<Closing>,
    /// Responses too large for the log, as (sequence, frame): for the connection that reads the stream, or the first one
    /// where none has come yet, as a call may be answered before its POST is. Nobody else can get them.
    oversize: Vec<(u64, Bytes)>,
    /// How many readers there have been: the newest one has this number.
    readers: u64,
    /// Wakers of those who wait for the reader or the store: senders, mostly.
    senders: Vec<Waker>,
    /// On the way into a store that takes its time, or that failed and is tried again: what follows waits here, in order.
    queue: Vec<Event>,
    storing: bool,
    /// The store failed: the next tick tries again.
    retries: bool,
    /// The store failed, and what follows goes around it.
    direct: Option<Direct>,
    /// What the stream is for, until its first append.
    noted: Option<Arc<Noted>>,
}

impl State {
    /// As much waits for the store as may.
    fn is_store_behind(&self) -> bool {
        self.queue.len() >= MOST_EVENTS_BEHIND
            || self.queue.iter().map(Event::cost).sum::<usize>() >= MOST_BYTES_BEHIND
    }

    /// Wakes the task when the reader advanced or the store took something.
    fn wake_later(&mut self, cx: &task::Context<'_>) {
        if !self.senders.iter().any(|waker| waker.will_wake(cx.waker())) {
            self.senders.push(cx.waker().clone());
        }
    }

    /// Its last event was sent.
    fn is_whole(&self) -> bool {
        self.ended && !self.cut
    }
}

/// What was sent ahead of the first reader.
struct Awaited {
    bytes: usize,
    since: Instant,
}

/// An event to append: whether it is kept, and whether the stream ends with it.
#[derive(Clone, Copy)]
pub(crate) struct Weight {
    pub(crate) keep: bool,
    pub(crate) ends: bool,
}

impl Weight {
    /// A notification: may be dropped under pressure.
    pub(crate) const DROPPABLE: Weight = Weight { keep: false, ends: false };
    /// A request of ours: kept.
    pub(crate) const KEPT: Weight = Weight { keep: true, ends: false };

    /// A response; `last` ends the stream.
    pub(crate) fn response(last: bool) -> Self {
        Self { keep: true, ends: last }
    }
}

impl Stream {
    pub(crate) fn new(
        key: StreamKey,
        tag: u32,
        logs: Logs,
        tally: Arc<Tally>,
        noted: Option<Arc<Noted>>,
    ) -> Arc<Self> {
        let is_of_one = noted.as_ref().is_some_and(|noted| noted.requests.len() == 1);
        Self::with_state(key, tag, logs, tally, is_of_one, State { noted, ..State::default() })
    }

    /// A stream of an earlier life that goes on after `head`; up to `written` nobody need get it once more.
    pub(crate) fn resume(
        key: StreamKey,
        tag: u32,
        (head, written): (u64, u64),
        is_of_one: bool,
        logs: Logs,
        tally: Arc<Tally>,
    ) -> Arc<Self> {
        let state = State { head, written, known: true, ..State::default() };
        Self::with_state(key, tag, logs, tally, is_of_one, state)
    }

    /// A stream that nobody writes to any more: only its log is left. Whoever reads it gets what is there and then its end,
    /// also when the store failed before it took the end.
    pub(crate) fn reopen(key: StreamKey, tag: u32, head: u64, logs: Logs, tally: Arc<Tally>) -> Arc<Self> {
        let close_next = Some(Closing::End);
        let state = State { head, ended: true, known: true, close_next, ..State::default() };
        Self::with_state(key, tag, logs, tally, false, state)
    }

    fn with_state(
        key: StreamKey,
        tag: u32,
        logs: Logs,
        tally: Arc<Tally>,
        is_of_one: bool,
        state: State,
    ) -> Arc<Self> {
        let Logs { store, backlog, largest_event, on_failure, keeping } = logs;
        let (keeps, epoch) = keeping.map_or((false, Epoch(0)), |keeping| (true, keeping.epoch));
        let state = Mutex::new(state);
        Arc::new(Self {
            key,
            tag,
            epoch,
            keeps,
            is_of_one,
            store,
            backlog,
            tally,
            largest_event,
            on_failure,
            state,
        })
    }

    pub(crate) fn key(&self) -> &StreamKey {
        &self.key
    }

    pub(crate) fn store(&self) -> &Arc<dyn EventStore> {
        &self.store
    }

    pub(crate) fn cursor(&self, seq: u64) -> Cursor {
        Cursor { tag: self.tag, stream: StreamNo(self.key.stream), seq }
    }

    /// Sends a notification once the reader is near enough. Pending wakes `cx` when that may be so.
    pub(crate) fn poll_send(
        self: &Arc<Self>,
        write: impl FnOnce(&mut BytesMut),
        cx: &task::Context<'_>,
    ) -> Poll<Result<(), CallOver>> {
        let mut state = self.state.locked();
        if state.ended {
            return Poll::Ready(Err(CallOver));
        }
        if self.must_wait(&state) {
            state.wake_later(cx);
            return Poll::Pending;
        }
        Poll::Ready(if self.append(state, Weight::DROPPABLE, write) { Ok(()) } else { Err(CallOver) })
    }

    /// Sends at once, whatever the reader's pace: for what is few and must not be lost. False once the stream ended.
    pub(crate) fn send(self: &Arc<Self>, weight: Weight, write: impl FnOnce(&mut BytesMut)) -> bool {
        let state = self.state.locked();
        if state.ended {
            return false;
        }
        self.append(state, weight, write)
    }

    /// Ends the stream without another event.
    pub(crate) fn end(self: &Arc<Self>) {
        let mut state = self.state.locked();
        if !std::mem::replace(&mut state.ended, true) {
            self.store_on(state);
        }
    }

    /// The request that it is for was taken back: ends it, where no other is left to be answered.
    pub(crate) fn end_of_one(self: &Arc<Self>) {
        if self.is_of_one {
            self.end();
        }
    }

    /// Whether something of it may reach a connection only once the store knows it.
    pub(crate) fn is_gated(&self) -> bool {
        self.keeps
    }

    /// Ready when something of it may reach a connection, and whether it can be resumed then: the store knows it, or has
    /// failed.
    ///
    /// # Cancel safety
    ///
    /// May be dropped: the store learns of the stream all the same.
    pub(crate) async fn opened(self: &Arc<Self>) -> bool {
        {
            let state = self.state.locked();
            if !state.known && !state.storing {
                self.store_events(state, &[]);
            }
        }
        poll_fn(|cx| {
            let mut state = self.state.locked();
            if state.known {
                return Poll::Ready(state.direct.is_none());
            }
            state.wake_later(cx);
            Poll::Pending
        })
        .await
    }

    /// Ready when nothing is on its way into the store: it is there, or the store failed.
    pub(crate) async fn stored(&self) {
        poll_fn(|cx| {
            let mut state = self.state.locked();
            if !state.storing {
                return Poll::Ready(());
            }
            state.wake_later(cx);
            Poll::Pending
        })
        .await;
    }

    /// Whether no event may follow.
    pub(crate) fn is_ended(&self) -> bool {
        self.state.locked().ended
    }

    /// Whether a connection reads the stream now.
    pub(crate) fn is_read(&self) -> bool {
        self.state.locked().reader.is_some()
    }

    /// Whether the store does not know the stream yet: nothing was sent, or it is still on its way.
    pub(crate) fn is_before_first(&self) -> bool {
        !self.state.locked().known
    }

    /// Up to where events were handed to a connection.
    pub(crate) fn written(&self) -> u64 {
        self.state.locked().written
    }

    /// The sequence of the last event.
    pub(crate) fn head(&self) -> u64 {
        self.state.locked().head
    }

    /// Ready when event `seq` was handed to a connection, or no connection reads the stream.
    pub(crate) fn poll_written(&self, seq: u64, cx: &task::Context<'_>) -> Poll<()> {
        let mut state = self.state.locked();
        if state.written >= seq || state.reader.is_none() || state.ended {
            return Poll::Ready(());
        }
        state.wake_later(cx);
        Poll::Pending
    }

    /// The POST of this stream is about to read it: senders keep to its pace from the start.
    pub(crate) fn await_reader(&self) {
        self.state.locked().awaited = Some(Awaited { bytes: 0, since: runtime::now() });
    }

    /// That POST is gone before it got its response.
    pub(crate) fn await_no_reader(&self) {
        let mut state = self.state.locked();
        if state.awaited.take().is_some() {
            let senders = std::mem::take(&mut state.senders);
            drop(state);
            wake(None, senders);
        }
    }

    /// A new reader that has everything up to `after`. It takes over from the one before it.
    pub(crate) fn attach(&self, after: u64) -> u64 {
        let now = runtime::now();
        let mut state = self.state.locked();
        let old = self.take_reader(&mut state);
        state.readers += 1;
        let number = state.readers;
        // Nobody will write what it has or can never get, so nobody need wait for it.
        state.written = state.written.max(after);
        let behind_since = (after < state.head).then_some(now);
        let closing = match state.close_next {
            // Whoever comes finds the end.
            Some(Closing::End) => Some(Closing::End),
            _ => state.close_next.take(),
        };
        let closing = closing.map(|closing| (closing, state.head));
        let (joined_at, unread_bytes) = match state.awaited.take() {
            Some(awaited) => (after, awaited.bytes),
            None => (state.head, 0),
        };
        self.backlog.add(unread_bytes);
        state.reader = Some(Reader {
            number,
            seq: after,
            joined_at,
            unread_bytes,
            behind_since,
            last_frame: now,
            keep_alive_due: false,
            closing,
            waker: None,
        });
        let senders = std::mem::take(&mut state.senders);
        drop(state);
        wake(old.and_then(|reader| reader.waker), senders);
        number
    }

    /// The connection is gone.
    pub(crate) fn detach(&self, number: u64) {
        let mut state = self.state.locked();
        if state.reader.as_ref().is_some_and(|reader| reader.number == number) {
            self.take_reader(&mut state);
            let senders = std::mem::take(&mut state.senders);
            drop(state);
            wake(None, senders);
        }
    }

    /// What the connection has to do next; it is woken when that changes.
    pub(crate) fn turn(&self, number: u64, cx: &task::Context<'_>) -> Turn {
        let mut state = self.state.locked();
        let Some(reader) = state.reader.as_mut().filter(|reader| reader.number == number) else {
            return Turn::Replaced;
        };
        match &mut reader.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        if let Some((closing, upto)) = reader.closing {
            return Turn::Close(closing, upto);
        }
        if std::mem::take(&mut reader.keep_alive_due) {
            reader.last_frame = runtime::now();
            return Turn::KeepAlive;
        }
        Turn::Read
    }

    /// The connection took these events.
    pub(crate) fn advance(&self, number: u64, events: &[Event]) {
        let Some(last) = events.last() else { return };
        let now = runtime::now();
        let mut state = self.state.locked();
        state.written = state.written.max(last.seq);
        let (head, ended) = (state.head, state.is_whole());
        let Some(reader) = state.reader.as_mut().filter(|reader| reader.number == number) else { return };
        let counted =
            events.iter().filter(|event| event.seq > reader.joined_at).map(Event::cost).sum::<usize>();
        // Caught up: what was counted and then dropped by the store ahead of this reader is unread no more.
        let counted = if last.seq >= head { reader.unread_bytes } else { counted.min(reader.unread_bytes) };
        reader.unread_bytes -= counted;
        reader.seq = last.seq;
        reader.last_frame = now;
        reader.behind_since = (last.seq < head).then_some(now);
        self.backlog.take(counted);
        let senders = std::mem::take(&mut state.senders);
        drop(state);
        wake(None, senders);
        if ended && last.seq == head {
            self.mark_written(head);
        }
    }

    /// The connection goes on after `seq`: the events before were dropped by the store.
    pub(crate) fn skip(&self, number: u64, seq: u64) {
        let now = runtime::now();
        let mut state = self.state.locked();
        let head = state.head;
        let Some(reader) = state.reader.as_mut().filter(|reader| reader.number == number) else { return };
        let seq = seq.min(head);
        reader.seq = seq;
        reader.behind_since = (seq < head).then_some(now);
        if seq >= head {
            self.backlog.take(std::mem::take(&mut reader.unread_bytes));
        }
        // Nobody can write them any more, so nobody need wait for it.
        state.written = state.written.max(seq);
        let senders = std::mem::take(&mut state.senders);
        drop(state);
        wake(None, senders);
    }

    /// The whole frame of an event of which the log only has a substitute.
    pub(crate) fn take_oversize(&self, number: u64, seq: u64) -> Option<Bytes> {
        let mut state = self.state.locked();
        state.reader.as_ref().filter(|reader| reader.number == number)?;
        let at = state.oversize.iter().position(|(at, _)| *at == seq)?;
        Some(state.oversize.swap_remove(at).1)
    }

    /// Closes the connection that reads the stream, once it has written what is there. False when there is none.
    pub(crate) fn close_reader(&self, closing: Closing) -> bool {
        let mut state = self.state.locked();
        let head = state.head;
        let Some(reader) = &mut state.reader else { return false };
        reader.closing = Some((closing, head));
        let waker = reader.waker.clone();
        drop(state);
        wake(waker, Vec::new());
        true
    }

    /// The same for this reader alone, which asks for it itself and so need not be woken.
    pub(crate) fn close_own_reader(&self, number: u64, closing: Closing) {
        let mut state = self.state.locked();
        let head = state.head;
        if let Some(reader) = state.reader.as_mut().filter(|reader| reader.number == number) {
            reader.closing = Some((closing, head));
        }
    }

    /// Whether it is that of the session, and no call's.
    pub(crate) fn is_standalone(&self) -> bool {
        StreamNo(self.key().stream) == StreamNo::STANDALONE
    }

    /// Closes the connection that reads the stream, or the next one when none does yet: a call may decide before its
    /// response has even begun.
    pub(crate) fn close_reader_soon(&self, closing: Closing) {
        let mut state = self.state.locked();
        let head = state.head;
        let waker = match &mut state.reader {
            Some(reader) => {
                reader.closing = Some((closing, head));
                reader.waker.clone()
            }
            None => {
                state.close_next = Some(closing);
                None
            }
        };
        drop(state);
        wake(waker, Vec::new());
    }

    /// The stream is over before its time, because its session ended or the store failed: nothing can be sent any more,
    /// and whoever reads it, now or later, gets what is there and then its end.
    pub(crate) fn cut(&self) {
        let mut state = self.state.locked();
        state.cut |= !state.ended;
        state.ended = true;
        state.known = true;
        state.close_next = Some(Closing::End);
        let head = state.head;
        let waker = state.reader.as_mut().and_then(|reader| {
            reader.closing = Some((Closing::End, head));
            reader.waker.clone()
        });
        let senders = std::mem::take(&mut state.senders);
        drop(state);
        wake(waker, senders);
    }

    /// A second has passed: detaches a reader that does not advance, and has a quiet one write a keep-alive.
    pub(crate) fn handle_tick(self: &Arc<Self>, now: Instant, keep_alive: Duration) {
        let mut state = self.state.locked();
        if std::mem::take(&mut state.retries) {
            self.store_on(state);
            state = self.state.locked();
        }
        if state
            .awaited
            .as_ref()
            .is_some_and(|awaited| now.saturating_duration_since(awaited.since) >= STALLED)
        {
            drop(state);
            return self.await_no_reader();
        }
        let waits_for_store = state.storing || state.retries;
        let Some(reader) = &mut state.reader else { return };
        if waits_for_store && reader.behind_since.is_some() {
            // What it has not taken is not there yet: its time begins when the store has it.
            reader.behind_since = Some(now);
        }
        if reader.behind_since.is_some_and(|since| now.saturating_duration_since(since) >= STALLED) {
            let old = self.take_reader(&mut state);
            let senders = std::mem::take(&mut state.senders);
            drop(state);
            self.tally.readers_detached.add_one();
            wake(old.and_then(|reader| reader.waker), senders);
        } else if !keep_alive.is_zero() && now.saturating_duration_since(reader.last_frame) >= keep_alive {
            reader.keep_alive_due = true;
            let waker = reader.waker.clone();
            drop(state);
            wake(waker, Vec::new());
        }
    }

    fn must_wait(&self, state: &State) -> bool {
        // A store that takes its time holds senders back as a slow reader does.
        if state.is_store_behind() {
            return true;
        }
        if let Some(awaited) = &state.awaited {
            return state.head >= MOST_EVENTS_BEHIND as u64 || awaited.bytes >= MOST_BYTES_BEHIND;
        }
        state.reader.as_ref().is_some_and(|reader| {
            if state.direct.as_ref().is_some_and(Direct::is_full) {
                return true;
            }
            let behind = state.head - reader.seq;
            behind >= MOST_EVENTS_BEHIND as u64
                || reader.unread_bytes >= MOST_BYTES_BEHIND
                || (reader.unread_bytes > 0 && self.backlog.is_full())
        })
    }

    /// Numbers the event, encodes it once, and appends it to the log before anybody may write it to a connection.
    /// False when the store failed and nothing more can be sent.
    fn append(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State>,
        weight: Weight,
        write: impl FnOnce(&mut BytesMut),
    ) -> bool {
        if state.direct.is_some() {
            let mut message = BytesMut::new();
            write(&mut message);
            return self.send_direct(state, weight, &message.freeze());
        }
        if !weight.keep && state.is_store_behind() {
            // Those who can wait do; a broadcast cannot, and a store that hangs must not fill the memory.
            self.tally.notifications_undeliverable.add_one();
            return true;
        }
        let seq = state.head + 1;
        let mut frame = self.encode(seq, write);
        let largest = self.largest_event;
        let mut event = Event { seq, keep: weight.keep, frame: Bytes::new() };
        if frame.len() + event.cost() > largest {
            if !weight.keep {
                self.tally.notifications_undeliverable.add_one();
                tracing::warn!(
                    bytes = frame.len(),
                    largest,
                    "a notification is larger than a stream may be and was dropped"
                );
                return true;
            }
            let substitute = self.encode(seq, |out| substitute::too_large(out, &frame, largest));
            if state.reader.is_some() || state.readers == 0 {
                state.oversize.push((seq, frame));
            }
            frame = substitute;
        }
        event.frame = frame;
        state.head = seq;
        state.ended |= weight.ends;
        if let Some(reader) = &mut state.reader {
            reader.unread_bytes += event.cost();
            if reader.behind_since.is_none() {
                reader.behind_since = Some(runtime::now());
            }
            self.backlog.add(event.cost());
        } else if let Some(awaited) = &mut state.awaited {
            awaited.bytes += event.cost();
        }
        if state.storing || state.retries {
            state.queue.push(event);
            return true;
        }
        self.store_events(state, &[event]);
        true
    }

    fn encode(&self, seq: u64, write: impl FnOnce(&mut BytesMut)) -> Bytes {
        let mut frame = BytesMut::with_capacity(FRAME_CAPACITY);
        sse::write_event_with(&mut frame, self.cursor(seq).text(), write);
        frame.freeze()
    }

    /// Appends what is queued, and the end where it has come.
    fn store_on(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        if !state.storing {
            let events = std::mem::take(&mut state.queue);
            self.store_events(state, &events);
        }
    }

    fn store_events(self: &Arc<Self>, mut state: MutexGuard<'_, State>, events: &[Event]) {
        let ends = state.is_whole();
        // What ends at once need not say what it is for.
        let note = match state.noted.take() {
            Some(noted) if !ends => Some(noted.to_bytes(self.largest_event)),
            _ => None,
        };
        let batch = Append { events, written: state.written, ends, note: note.as_ref() };
        match guard::append(&*self.store, &self.key, self.epoch, batch) {
            Soon::Now(Ok(())) => state.known = true,
            Soon::Now(Err(error)) => self.store_failed(state, events.to_vec(), &error),
            Soon::Later(storing) => self.store_later(state, events.to_vec(), storing),
        }
    }

    /// The store takes its time: a task waits for it, and then appends what came meanwhile. Nothing else of this
    /// stream goes to the store before, so the order holds.
    fn store_later(self: &Arc<Self>, mut state: MutexGuard<'_, State>, events: Vec<Event>, storing: Storing) {
        state.storing = true;
        let ended_with_it = state.is_whole();
        drop(state);
        let stream = Arc::clone(self);
        runtime::spawn(async move {
            let result = guard::settled(storing).await;
            let mut state = stream.state.locked();
            state.storing = false;
            let senders = std::mem::take(&mut state.senders);
            match result {
                Err(error) => stream.store_failed(state, events, &error),
                Ok(()) => {
                    state.known = true;
                    if !state.queue.is_empty() || (state.is_whole() && !ended_with_it) {
                        stream.store_on(state);
                    } else {
                        drop(state);
                    }
                }
            }
            wake(None, senders);
        });
    }

    /// Everything was handed to a connection: the store may drop this stream before others.
    fn mark_written(&self, head: u64) {
        let mark = Append { written: head, ..Append::default() };
        match guard::append(&*self.store, &self.key, self.epoch, mark) {
            Soon::Now(_) => {}
            // Only a hint: nothing waits for it.
            Soon::Later(marking) => drop(runtime::spawn(async move { drop(marking.await) })),
        }
    }

    fn take_reader(&self, state: &mut State) -> Option<Reader> {
        let reader = state.reader.take()?;
        state.oversize.clear();
        self.backlog.take(reader.unread_bytes);
        Some(reader)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(reader) = self.state.locked().reader.take() {
            self.backlog.take(reader.unread_bytes);
        }
    }
}

fn wake(reader: Option<Waker>, senders: Vec<Waker>) {
    reader.into_iter().chain(senders).for_each(Waker::wake);
}

/// How far a reader may be behind before senders wait: enough to ride out a slow moment, and a fraction of what a
/// stream may hold (design §4).
const MOST_EVENTS_BEHIND: usize = 256;
const MOST_BYTES_BEHIND: usize = 256 * 1024;

type Storing = std::pin::Pin<Box<dyn Future<Output = Result<(), AppendError>> + Send>>;

/// A reader that takes nothing for this long is detached; it can resume (design §4).
pub(crate) const STALLED: Duration = Duration::from_secs(10);

/// An event of progress or a short result fits without growing: measured at 110 to 220 bytes.
const FRAME_CAPACITY: usize = 256;
