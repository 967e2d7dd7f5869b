//! What happened so far, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of a front door since it was made. Monotonic; read with [`StreamableHttp::counters`](crate::StreamableHttp::counters).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Counters {
    /// Sessions opened.
    pub sessions_opened: u64,
    /// Sessions of an earlier process that went on in this one.
    pub sessions_restored: u64,
    /// Calls that a restart interrupted and that were answered with an error.
    pub calls_interrupted: u64,
    /// Calls that a restart interrupted and that ran again.
    pub calls_run_again: u64,
    /// Sessions ended, for whatever reason.
    pub sessions_closed: u64,
    /// Notifications that no stream could carry: the mode of the server or of the request takes them away.
    pub notifications_undeliverable: u64,
    /// Responses of clients to questions that nobody waits for (late, twice, or never asked).
    pub responses_unexpected: u64,
    /// Readers that did not take what was sent for ten seconds, and were detached.
    pub readers_detached: u64,
    /// Resumes by `Last-Event-ID` that were served.
    pub resumes: u64,
    /// Resumes refused because events had been dropped.
    pub resumes_gone: u64,
    /// Resumes refused for any other reason: a cursor of another session or of nothing, a stream that is read to its end.
    pub resumes_refused: u64,
    /// Appends that the event store did not take.
    pub store_failures: u64,
    /// Requests refused because nobody vouched for their sender or it lacked a scope (401, 403).
    pub requests_unauthorized: u64,
    /// Requests refused because their principal takes more than its share (429).
    pub requests_throttled: u64,
    /// Handlers that panicked.
    pub panics: u64,
}

macro_rules! tally {
    ($($name:ident),*) => {
        /// The counters while they count.
        #[derive(Debug, Default)]
        pub(crate) struct Tally {
            $(pub(crate) $name: Count,)*
            /// What calls and the store take, where that is measured.
            #[cfg(feature = "metrics")]
            pub(crate) metrics: Option<std::sync::Arc<super::metrics::Metrics>>,
        }

        impl Tally {
            pub(crate) fn snapshot(&self) -> Counters {
                Counters { $($name: self.$name.0.load(Ordering::Relaxed),)* }
            }
        }
    };
}

tally!(
    sessions_opened,
    sessions_restored,
    calls_interrupted,
    calls_run_again,
    sessions_closed,
    notifications_undeliverable,
    responses_unexpected,
    readers_detached,
    resumes,
    resumes_gone,
    resumes_refused,
    store_failures,
    requests_unauthorized,
    requests_throttled,
    panics
);

#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
