//! Who listens for changes: the open `subscriptions/listen` requests of a front door.
//!
//! [Specification](https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/subscriptions).
//!
//! ```text
//!                  wants it? chosen? -> a mark and a wake-up, each
//!   broadcast --> Listeners ------------------------------------> Listener
//!                     ^                                              | writes what is marked when it is asked
//!          room, free again when dropped                             v
//!                     +---------------- Seat ----------------> body, or pipe
//! ```
//!
//! A change is put down once for each listener until it is written, and each writes for itself at its connection's pace. So a
//! broadcast waits for nobody, and a listener that does not read holds no more than its filter.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::{self, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use throughline_proto::http::{Refusal, RefusalKind};
use throughline_proto::jsonrpc::{Raw, Str};
use throughline_proto::sse;
use throughline_proto::stateless::{Change, Heard, Listening};

use super::shares::owner;
use super::stream::STALLED;
use crate::handler::{Caller, PeerInfo, Principal};
use crate::lock::Lock;
use crate::runtime;

/// The open `subscriptions/listen` requests of a front door: bounded in number, also for each principal.
pub(crate) struct Listeners {
    most: usize,
    most_of_each: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    /// In the order in which they came.
    all: BTreeMap<u64, Arc<Listener>>,
    of_each: HashMap<Principal, usize>,
    /// No more are taken.
    ended: bool,
}

/// One of them, between the broadcasts and its connection.
struct Listener {
    caller: Caller,
    state: Mutex<Place>,
}

struct Place {
    listening: Listening,
    writer: Option<Waker>,
    last_frame: Instant,
    /// Since when a tick has seen something that nobody took.
    behind_since: Option<Instant>,
    keep_alive_due: bool,
}

/// A listener, for who may take it back.
pub(crate) struct Canceller(Weak<Listener>);

/// A listener's place among the others, and its way to what there is to write.
///
/// # Drop behavior
///
/// The place is free again: the connection is lost, or everything is written.
pub(crate) struct Seat {
    listener: Arc<Listener>,
    no: u64,
    listeners: Arc<Listeners>,
}

impl Listeners {
    /// None yet. There may be `most`, and `most_of_each` of any one principal; callers without one share only `most`.
    pub(crate) fn new(most: usize, most_of_each: usize) -> Arc<Self> {
        Arc::new(Self { most, most_of_each, state: Mutex::default() })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.state.locked().all.len()
    }

    /// Takes one more in. Its acknowledgment is ready to be written.
    pub(crate) fn open(self: &Arc<Self>, listening: Listening, caller: Caller) -> Result<Seat, Refusal> {
        let mut state = self.state.locked();
        if state.ended {
            return Err(Refusal::new(RefusalKind::Draining));
        }
        if state.all.len() >= self.most {
            return Err(Refusal::new(RefusalKind::ListensFull));
        }
        if let Some(principal) = caller.principal() {
            let principal = owner(principal);
            let own = state.of_each.get(&principal).copied().unwrap_or(0);
            if own >= self.most_of_each {
                return Err(Refusal::new(RefusalKind::ListensFull).with_message(format!(
                    "You listen {own} times already, as often as you may. End one of those, or ask for more in one request."
                )));
            }
            state.of_each.insert(principal, own + 1);
        }
        let no = state.next;
        state.next += 1;
        let listener = Arc::new(Listener {
            caller,
            state: Mutex::new(Place {
                listening,
                writer: None,
                last_frame: runtime::now(),
                behind_since: None,
                keep_alive_due: false,
            }),
        });
        state.all.insert(no, Arc::clone(&listener));
        Ok(Seat { listener, no, listeners: Arc::clone(self) })
    }

    /// Something changed: everybody who asked to hear of it and whom `choose` takes will be told. How many those are.
    pub(crate) fn broadcast(&self, change: Change<'_>, choose: &dyn Fn(&PeerInfo<'_>) -> bool) -> usize {
        // `choose` is foreign code: no lock is held while it runs.
        let asked = self.those(|listener| listener.state.locked().listening.wants(change));
        asked
            .iter()
            .filter(|listener| choose(&PeerInfo { session: None, caller: &listener.caller }))
            .filter(|listener| listener.tell(change))
            .count()
    }

    /// The server ends: each is told what waits and then answered, and no more are taken. `server_info` is the JSON of the
    /// server's name.
    pub(crate) fn end_gracefully(&self, server_info: Option<&Raw>) {
        self.state.locked().ended = true;
        for listener in self.those(|_| true) {
            listener.end(|listening| listening.end_gracefully(server_info.cloned()));
        }
    }

    /// Takes back the subscriptions of those that `choose` takes, with the reason in one sentence; how many those are.
    pub(crate) fn end_forced(&self, choose: &dyn Fn(&PeerInfo<'_>) -> bool, reason: &Str) -> usize {
        self.those(|_| true)
            .iter()
            .filter(|listener| choose(&PeerInfo { session: None, caller: &listener.caller }))
            .filter(|listener| listener.end(|listening| listening.end_forced(reason.clone())))
            .count()
    }

    /// A second has passed: quiet connections write a keep-alive, and those that take nothing are given up. How many those
    /// are.
    pub(crate) fn handle_tick(&self, now: Instant, keep_alive: Duration) -> usize {
        self.those(|_| true).iter().filter(|listener| !listener.handle_tick(now, keep_alive)).count()
    }

    fn those(&self, which: impl Fn(&Listener) -> bool) -> Vec<Arc<Listener>> {
        self.state.locked().all.values().filter(|listener| which(listener)).cloned().collect()
    }
}

impl Listener {
    /// Whether it will be told. It is woken when it was not going to write this already.
    fn tell(&self, change: Change<'_>) -> bool {
        let mut place = self.state.locked();
        let heard = place.listening.handle_change(change);
        if heard == Heard::New {
            wake(place);
        }
        heard != Heard::Not
    }

    /// Whether it was not over or ending before.
    fn end(&self, end: impl FnOnce(&mut Listening)) -> bool {
        let mut place = self.state.locked();
        let was_open = !place.listening.is_ending();
        end(&mut place.listening);
        wake(place);
        was_open
    }

    /// False when it is given up: nobody takes what there is for it.
    fn handle_tick(&self, now: Instant, keep_alive: Duration) -> bool {
        let mut place = self.state.locked();
        if place.listening.has_next() {
            let since = *place.behind_since.get_or_insert(now);
            let is_stalled = now.saturating_duration_since(since) >= STALLED;
            if is_stalled && !place.listening.is_ending() {
                place.listening.end_forced(Str::from_static(NOT_READ));
                wake(place);
                return false;
            }
        } else if !keep_alive.is_zero() && now.saturating_duration_since(place.last_frame) >= keep_alive {
            place.keep_alive_due = true;
            wake(place);
        }
        true
    }
}

fn wake(mut place: MutexGuard<'_, Place>) {
    let writer = place.writer.take();
    drop(place);
    writer.into_iter().for_each(Waker::wake);
}

impl Canceller {
    /// The client took its request back: nothing is written for it any more.
    /// False when that was so already.
    pub(crate) fn cancel(&self) -> bool {
        let Some(listener) = self.0.upgrade() else { return false };
        let was_over = listener.state.locked().listening.is_over();
        listener.end(Listening::cancel);
        !was_over
    }

    /// Whether nothing is written for it any more.
    pub(crate) fn is_over(&self) -> bool {
        self.0.upgrade().is_none_or(|listener| listener.state.locked().listening.is_over())
    }
}

impl Seat {
    /// Ends it on the server's own accord: what waits is told, then it is answered. `server_info` is the JSON of the server's
    /// name.
    pub(crate) fn end_gracefully(&self, server_info: Option<&Raw>) {
        self.listener.end(|listening| listening.end_gracefully(server_info.cloned()));
    }

    pub(crate) fn canceller(&self) -> Canceller {
        Canceller(Arc::downgrade(&self.listener))
    }

    /// The next piece of a body of events: everything that waits, up to some 64 KiB. `None` at the end.
    pub(crate) fn poll_frame(&self, cx: &task::Context<'_>) -> Poll<Option<Bytes>> {
        let mut place = self.listener.state.locked();
        let mut frame = BytesMut::with_capacity(if place.listening.has_next() { FIRST_FRAME } else { 0 });
        while frame.len() < FRAME && place.listening.has_next() {
            sse::write_event_with(&mut frame, "", |out| {
                place.listening.write_next(out);
            });
        }
        if frame.is_empty() && std::mem::take(&mut place.keep_alive_due) {
            frame.extend_from_slice(sse::KEEP_ALIVE);
        }
        if !frame.is_empty() {
            place.taken();
            return Poll::Ready(Some(frame.freeze()));
        }
        place.poll_wait(cx).map(|()| None)
    }

    /// Whether there is a message to write, as soon as that is so or it is over.
    pub(crate) fn poll_next(&self, cx: &task::Context<'_>) -> Poll<bool> {
        let mut place = self.listener.state.locked();
        if place.listening.has_next() { Poll::Ready(true) } else { place.poll_wait(cx).map(|()| false) }
    }

    /// Ready when nothing is written any more; else the caller is woken when that or anything else changes.
    pub(crate) fn poll_over(&self, cx: &task::Context<'_>) -> Poll<()> {
        self.listener.state.locked().poll_wait(cx)
    }

    /// Writes the next message, if there is one.
    pub(crate) fn write_next(&self, out: &mut BytesMut) {
        let mut place = self.listener.state.locked();
        if place.listening.write_next(out) {
            place.taken();
        }
    }

    /// Whether the last message was written.
    pub(crate) fn is_over(&self) -> bool {
        self.listener.state.locked().listening.is_over()
    }
}

impl Place {
    fn taken(&mut self) {
        self.last_frame = runtime::now();
        self.behind_since = None;
        self.keep_alive_due = false;
    }

    /// Ready when it is over.
    fn poll_wait(&mut self, cx: &task::Context<'_>) -> Poll<()> {
        if self.listening.is_over() {
            return Poll::Ready(());
        }
        self.writer = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.listeners.state.locked();
        state.all.remove(&self.no);
        let Some(principal) = self.listener.caller.principal().map(owner) else { return };
        let last = match state.of_each.get_mut(&principal) {
            Some(own) => {
                *own -= 1;
                *own == 0
            }
            None => false,
        };
        if last {
            state.of_each.remove(&principal);
        }
    }
}

/// As much as leaves a stream in one frame.
const FRAME: usize = 64 * 1024;

/// One change fits without growing: measured at some 150 bytes.
const FIRST_FRAME: usize = 256;

const NOT_READ: &str = "What was sent was not read. Listen again, and read it.";

#[cfg(test)]
mod tests;
