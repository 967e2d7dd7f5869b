//! An event store with a clock around it.

use std::sync::Arc;
use std::time::Instant;

use super::{Histogram, Metrics};
use crate::runtime;
use crate::store::{
    Append, AppendError, BoxError, Dropped, Epoch, EventStore, Limits, Page, ReadBudget, ReadError,
    SessionId, SessionStore, Soon, StreamKey, Usage, Watch,
};

/// Measures appends and reads; everything else goes through.
pub(super) struct Measured {
    store: Arc<dyn EventStore>,
    metrics: Arc<Metrics>,
}

impl Measured {
    pub(super) fn new(store: Arc<dyn EventStore>, metrics: Arc<Metrics>) -> Self {
        Self { store, metrics }
    }

    /// The answer, and once it is there, how long it took.
    fn timed<T: Send + 'static>(
        &self,
        which: impl Fn(&Metrics) -> &Histogram + Send + 'static,
        ask: impl FnOnce() -> Soon<T>,
    ) -> Soon<T> {
        let began = runtime::now();
        let took = move |metrics: &Metrics| {
            which(metrics).observe(runtime::now().saturating_duration_since(began));
        };
        match ask() {
            Soon::Now(answer) => {
                took(&self.metrics);
                Soon::Now(answer)
            }
            later => {
                let metrics = Arc::clone(&self.metrics);
                later.map(move |answer| {
                    took(&metrics);
                    answer
                })
            }
        }
    }
}

impl EventStore for Measured {
    fn append(&self, at: &StreamKey, epoch: Epoch, batch: Append<'_>) -> Soon<Result<(), AppendError>> {
        self.timed(|metrics| &metrics.appends, || self.store.append(at, epoch, batch))
    }

    fn end(&self, at: &StreamKey, epoch: Epoch) -> Soon<Result<(), AppendError>> {
        self.timed(|metrics| &metrics.appends, || self.store.end(at, epoch))
    }

    fn read(&self, at: &StreamKey, after: u64, max: ReadBudget) -> Soon<Result<Page, ReadError>> {
        self.timed(|metrics| &metrics.reads, || self.store.read(at, after, max))
    }

    fn first_gap(&self, at: &StreamKey, after: u64) -> Soon<Result<Option<Dropped>, ReadError>> {
        self.store.first_gap(at, after)
    }

    fn watch(&self, at: &StreamKey) -> Watch {
        self.store.watch(at)
    }

    fn forget(&self, session: &SessionId) -> Soon<Result<(), BoxError>> {
        self.store.forget(session)
    }

    fn release(&self, session: &SessionId) -> Soon<Result<(), BoxError>> {
        self.store.release(session)
    }

    fn sweep(&self, now: Instant) {
        self.store.sweep(now);
    }

    fn sessions(&self) -> Option<&dyn SessionStore> {
        self.store.sessions()
    }

    fn limits(&self) -> Limits {
        self.store.limits()
    }

    fn usage(&self) -> Usage {
        self.store.usage()
    }
}
