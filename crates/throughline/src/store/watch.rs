//! How a store wakes a reader that waits for the next event.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// A reader's watch over one stream: wakes it for every later append and end.
///
/// The order that loses nothing: [`register`](Self::register), read, and only then wait. What was appended before
/// the read is in its page, what is appended later wakes.
///
/// # Drop behavior
///
/// Dropping it takes the watch away from the store, which keeps nothing of it.
pub struct Watch {
    slot: Arc<Slot>,
    cleanup: Option<Box<dyn FnOnce() + Send + Sync>>,
}

/// The store's half of a [`Watch`].
#[derive(Clone)]
pub struct Bell(Arc<Slot>);

/// A waker is never dropped, cloned into use or run while the lock is held: each of them may run foreign code.
#[derive(Default)]
struct Slot(Mutex<State>);

#[derive(Default)]
struct State {
    waker: Option<Waker>,
    /// It rang before the first waker was registered.
    missed: bool,
    /// It rang since [`Watch::take_rung`] was asked.
    rung: bool,
    closed: bool,
}

impl Watch {
    /// A watch and the bell that wakes it. The store keeps the bell and rings it after every append and end.
    pub fn pair() -> (Self, Bell) {
        let slot = Arc::new(Slot::default());
        (Self { slot: slot.clone(), cleanup: None }, Bell(slot))
    }

    /// Runs `cleanup` when the watch is dropped: the place where a store removes the bell.
    pub fn on_drop(mut self, cleanup: impl FnOnce() + Send + Sync + 'static) -> Self {
        self.cleanup = Some(Box::new(cleanup));
        self
    }

    /// Sets the waker that every later append and end wakes, in place of the one before. It stays registered after
    /// it was woken. Wakes at once if the stream changed between the making of the watch and the first registration.
    pub fn register(&self, waker: &Waker) {
        let mut state = self.slot.lock();
        let old = match &state.waker {
            Some(known) if known.will_wake(waker) => None,
            _ => state.waker.replace(waker.clone()),
        };
        let missed = std::mem::take(&mut state.missed);
        drop(state);
        drop(old);
        if missed {
            waker.wake_by_ref();
        }
    }
}

impl Watch {
    /// Whether it rang since this was asked before. A reader whose read takes its time asks: what came while it was under
    /// way may not be in its page, and has woken already.
    pub(crate) fn take_rung(&self) -> bool {
        std::mem::take(&mut self.slot.lock().rung)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut state = self.slot.lock();
        state.closed = true;
        let waker = state.waker.take();
        drop(state);
        drop(waker);
        if let Some(cleanup) = self.cleanup.take() {
            cleanup();
        }
    }
}

impl Bell {
    /// Wakes the watch. Ring without holding a lock: a waker may run foreign code.
    pub fn ring(&self) {
        let mut state = self.0.lock();
        let waker = state.waker.clone();
        state.rung = true;
        state.missed |= waker.is_none() && !state.closed;
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether the watch was dropped; the bell may then be thrown away.
    pub fn is_closed(&self) -> bool {
        self.0.lock().closed
    }

    /// Whether both are the bell of one watch.
    pub fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No step under the lock can panic half way, so a poisoned state is a whole one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch(..)")
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bell(..)")
    }
}
