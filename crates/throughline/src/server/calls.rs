//! The requests in flight over all sessions of a front door.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::shares::Held;

/// Counts the calls that run. Clones share the count.
#[derive(Clone, Default)]
pub(crate) struct Calls(Arc<Running>);

#[derive(Default)]
struct Running {
    count: AtomicUsize,
    none: Notify,
}

/// A place among the requests in flight.
///
/// # Drop behavior
///
/// The place is free again.
pub(crate) struct CallPermit {
    running: Arc<Running>,
    /// The place that it has in the share of its principal.
    _share: Option<Held>,
}

impl Calls {
    /// A place for one more call; `None` when `most` of them run.
    pub(crate) fn permit(&self, most: usize) -> Option<CallPermit> {
        let before = self.0.count.fetch_add(1, Ordering::AcqRel);
        let permit = CallPermit { running: Arc::clone(&self.0), _share: None };
        (before < most).then_some(permit)
    }

    /// How many run now.
    pub(crate) fn running(&self) -> usize {
        self.0.count.load(Ordering::Relaxed)
    }

    /// Ends when none runs.
    pub(crate) async fn finished(&self) {
        loop {
            let none = self.0.none.notified();
            if self.running() == 0 {
                return;
            }
            none.await;
        }
    }
}

impl CallPermit {
    /// One that also takes a place in the share of a principal.
    pub(crate) fn of_share(mut self, share: Option<Held>) -> Self {
        self._share = share;
        self
    }
}

impl Drop for CallPermit {
    fn drop(&mut self) {
        // `notify_waiters` takes a lock that all calls share, and only a drain waits, for the last one.
        if self.running.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.running.none.notify_waiters();
        }
    }
}
