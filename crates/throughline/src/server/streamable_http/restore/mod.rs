//! The sessions of the process before this one: found in the store, and gone on with.
//!
//! ```text
//!   load --> each session: its record --> a Live of the next epoch, in the registry
//!                 |
//!                 +--> each stream that has not ended: what its POST asked for
//!                           answered in the log     nothing more to do
//!                           to be failed            an error each, and after the last one the end
//!                           to run again            a call like any other, on the same stream
//! ```
//!
//! Nothing of a session is served before all of its streams are settled, so that a stream without a writer is always one
//! that has ended. Nothing is written for a session without interrupted calls: its first write carries the new epoch.

mod calls;

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use throughline_proto::session::{Session, StreamNo};
use tokio::sync::oneshot;

use super::endpoint::Endpoint;
use crate::handler::Authorized;
use crate::runtime;
use crate::server::keeping::{Keeping, Record};
use crate::server::live::Live;
use crate::server::shares::Part;
use crate::store::{AppendError, BoxError, KeptSession};

/// What went on after a restart. See [`StreamableHttp::restore`](crate::StreamableHttp::restore).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Restored {
    /// Sessions that go on.
    pub sessions: usize,
    /// Interrupted calls that were answered with an error.
    pub calls_failed: usize,
    /// Interrupted calls that run again.
    pub calls_run_again: usize,
    /// Sessions that were forgotten, as there are more than there may be.
    pub sessions_without_room: usize,
    /// Sessions that cannot be read, as of a later version. They are left in the store.
    pub sessions_unreadable: usize,
}

impl Restored {
    fn add(&mut self, other: Restored) {
        self.sessions += other.sessions;
        self.calls_failed += other.calls_failed;
        self.calls_run_again += other.calls_run_again;
        self.sessions_without_room += other.sessions_without_room;
        self.sessions_unreadable += other.sessions_unreadable;
    }
}

/// The event store could not give back its sessions, or not take how their interrupted calls ended.
#[derive(Debug)]
pub struct RestoreError(BoxError);

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the sessions of the event store could not be restored; check the store and try again")
    }
}

impl Error for RestoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

/// How far it is.
#[derive(Default)]
pub(super) struct Restoration {
    /// Sessions that are still to be looked at; `None` until they were loaded.
    waiting: Option<VecDeque<KeptSession>>,
    report: Restored,
    /// Tries that failed, and why the last one did.
    failed: u64,
    why: String,
}

/// Why a session is not restored.
enum Stuck {
    /// Not now: the store is down.
    For(BoxError),
    /// It is another's, or was forgotten, or cannot be written any more.
    Lost(AppendError),
}

impl From<AppendError> for Stuck {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Unavailable(error) => Stuck::For(error),
            error => Stuck::Lost(error),
        }
    }
}

impl Endpoint {
    pub(in crate::server) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// What comes before the first request.
    pub(in crate::server) async fn get_ready(&self) {
        self.keep_house();
        // It is logged where it happens, and requests that need a session are refused.
        let _ = self.restore().await;
    }

    /// In a task of its own: a request that is given up must not leave it half done.
    pub(super) async fn restore(&self) -> Result<Restored, RestoreError> {
        if !self.keeps() {
            self.ready.store(true, Ordering::Release);
            return Ok(Restored::default());
        }
        let endpoint = self.this.upgrade().expect("an endpoint that is used is alive");
        let failed = self.restores_failed.load(Ordering::Acquire);
        let (done, report) = oneshot::channel();
        runtime::spawn(async move {
            let result = endpoint.restore_once(failed).await;
            // Nobody may wait for it any more.
            let _ = done.send(result);
        });
        report.await.unwrap_or_else(|_| Err(RestoreError("the event store panicked".into())))
    }

    /// One try for all who wait for it: `failed` is how many had failed when it was asked for.
    async fn restore_once(self: &Arc<Self>, failed: u64) -> Result<Restored, RestoreError> {
        let mut restoration = self.restoration.lock().await;
        if self.is_ready() {
            return Ok(restoration.report);
        }
        if restoration.failed > failed {
            return Err(RestoreError(restoration.why.as_str().into()));
        }
        let result = self.restore_all(&mut restoration).await;
        if let Err(RestoreError(error)) = &result {
            tracing::error!(%error, "the event store cannot give back its sessions; they are not served yet");
            restoration.failed += 1;
            restoration.why = error.to_string();
            self.restores_failed.store(restoration.failed, Ordering::Release);
        }
        result
    }

    async fn restore_all(self: &Arc<Self>, restoration: &mut Restoration) -> Result<Restored, RestoreError> {
        if restoration.waiting.is_none() {
            restoration.waiting = Some(self.load().await.map_err(RestoreError)?);
        }
        let Restoration { waiting: Some(waiting), report, .. } = restoration else {
            unreachable!("it was just loaded")
        };
        // Each is looked at once; what the store does not take now is left for the next try.
        let (mut open, mut stuck) = (waiting.len(), None);
        while open > 0 {
            // Some at a time, so that one flush of the store serves many.
            let some: Vec<KeptSession> = waiting.drain(..open.min(AT_ONCE)).collect();
            open -= some.len();
            let running: Vec<_> = some.into_iter().map(|kept| self.start_restoring(kept)).collect();
            for one in running {
                match one.await {
                    Ok((_, Ok(one))) => report.add(one),
                    Ok((kept, Err(error))) => {
                        waiting.push_back(kept);
                        stuck = Some(error);
                    }
                    Err(_) => {
                        tracing::error!("the event store or a hook panicked, and a session is not restored");
                        report.sessions_unreadable += 1;
                    }
                }
            }
        }
        if let Some(error) = stuck {
            return Err(RestoreError(error));
        }
        if *report != Restored::default() {
            tracing::info!(
                sessions = report.sessions,
                calls_failed = report.calls_failed,
                calls_run_again = report.calls_run_again,
                without_room = report.sessions_without_room,
                unreadable = report.sessions_unreadable,
                "sessions of an earlier process go on"
            );
        }
        self.ready.store(true, Ordering::Release);
        Ok(*report)
    }

    /// All that are kept. Where there is no room for all, those that matter most come first.
    async fn load(&self) -> Result<VecDeque<KeptSession>, BoxError> {
        let store = self.store.sessions().ok_or("the store keeps no sessions")?;
        let mut kept = store.load().await?;
        if kept.len() > self.config.max_sessions {
            kept.sort_by_cached_key(|kept| {
                let runs = kept.streams.iter().any(|stream| stream.stream != StreamNo::STANDALONE.0);
                let is_ready = || Record::parse(&kept.record).is_ok_and(|record| record.session.initialized);
                std::cmp::Reverse((runs, is_ready()))
            });
        }
        Ok(kept.into())
    }

    fn start_restoring(
        self: &Arc<Self>,
        kept: KeptSession,
    ) -> oneshot::Receiver<(KeptSession, Result<Restored, BoxError>)> {
        let endpoint = Arc::clone(self);
        let (done, result) = oneshot::channel();
        runtime::spawn(async move {
            let report = match endpoint.restore_one(&kept).await {
                Ok(report) => Ok(report),
                Err(Stuck::For(error)) => Err(error),
                Err(Stuck::Lost(error)) => {
                    tracing::error!(%error, "a session of an earlier process cannot go on");
                    Ok(Restored { sessions_unreadable: 1, ..Restored::default() })
                }
            };
            // Who waits for it waits to the end.
            let _ = done.send((kept, report));
        });
        result
    }

    async fn restore_one(self: &Arc<Self>, kept: &KeptSession) -> Result<Restored, Stuck> {
        let Some(live) = self.rebuild(kept) else {
            return Ok(Restored { sessions_unreadable: 1, ..Restored::default() });
        };
        if !self.registry.readmit() {
            self.store.forget(&kept.id).await.map_err(Stuck::For)?;
            return Ok(Restored { sessions_without_room: 1, ..Restored::default() });
        }
        let mut report = Restored { sessions: 1, ..Restored::default() };
        let mut again = Vec::new();
        for stream in &kept.streams {
            if stream.stream == StreamNo::STANDALONE.0 {
                live.resume_standalone(stream.head);
                continue;
            }
            match self.settle_stream(&live, stream).await {
                Ok(settled) => {
                    report.calls_failed += settled.failed;
                    again.extend(settled.again);
                }
                Err(stuck) => {
                    self.registry.withdraw();
                    return Err(stuck);
                }
            }
        }
        if !self.registry.insert(&live) {
            // Its id was given to another meanwhile, which only a generator of one's own can do.
            self.registry.withdraw();
            return Err(Stuck::Lost(AppendError::Ended));
        }
        self.announce(&live);
        for _ in 0..report.calls_failed {
            self.tally.calls_interrupted.add_one();
        }
        for stream in again {
            report.calls_run_again += self.run_again(&live, stream).await;
        }
        Ok(report)
    }

    /// The session of a record. `None`, and logged, when it cannot be read.
    fn rebuild(&self, kept: &KeptSession) -> Option<Arc<Live>> {
        let record = match Record::parse(&kept.record) {
            Ok(record) => record,
            Err(error) => {
                tracing::error!(%error, "the record of a session cannot be read; it is left in the store");
                return None;
            }
        };
        let (principal, listened) = (record.principal(), record.listened);
        let keeping = Arc::new(Keeping::again(kept.epoch, listened));
        let (epoch, offer) = (keeping.epoch.0, self.handler.offer());
        let Some(mut session) = Session::restore(record.session, epoch, &offer, self.config.session) else {
            tracing::error!("a session is of a revision that is not known here; it is left in the store");
            return None;
        };
        session.set_default_level(self.config.log_level);
        let standing = principal.clone().map(Authorized::new).into();
        let live = self.live(kept.id.clone(), session, standing, Some(keeping));
        // It was within its principal's share when it was opened, so no cap ends it.
        if let Some(share) = principal.and_then(|principal| self.shares.of(&principal).ok()) {
            live.hold(Some(share.retake(Part::Session)));
        }
        Some(live)
    }

    fn announce(&self, live: &Arc<Live>) {
        self.tally.sessions_restored.add_one();
        if let Some(keeping) = live.keeping() {
            keeping.announce();
        }
        if let (Some(hook), Some(handle)) = (&self.config.restored, live.handle())
            && catch_unwind(AssertUnwindSafe(|| hook(&handle))).is_err()
        {
            // Its calls are still to run again.
            self.tally.panics.add_one();
            tracing::error!("the hook for restored sessions panicked");
        }
    }
}

/// How many sessions are settled at a time: as many as one flush serves well, and a bound on the logs that are read
/// together.
const AT_ONCE: usize = 256;
