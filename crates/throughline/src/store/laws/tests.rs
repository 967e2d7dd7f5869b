//! The memory store keeps the laws, and for each law a store that breaks it is found out.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::*;
use crate::store::{BoxError, MemoryStore, Page, SessionId, Soon, Usage, Watch};

#[tokio::test(start_paused = true)]
async fn the_memory_store_keeps_the_laws() {
    check_all(async |limits| MemoryStore::new(limits)).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_used_as_dyn_keeps_the_laws() {
    check_all(async |limits| Shared(Box::new(MemoryStore::new(limits)))).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_waits_keeps_the_laws() {
    check_all(async |limits| Broken::new(Fault::None, limits)).await;
}

#[tokio::test(start_paused = true)]
async fn reopening_is_checked() {
    survives_reopening(MemoryStore::default(), async |store| store).await;
}

#[test]
fn a_store_that_loses_everything_does_not_survive_reopening() {
    let message = complaint(survives_reopening(MemoryStore::default(), async |_| MemoryStore::default()));
    assert!(message.contains("law 1 (durable): events are gone after reopening"), "{message}");
}

#[test]
fn each_law_finds_the_store_that_breaks_it() {
    for (fault, expected) in [
        (Fault::AppendsLate, "law 1 (durable)"),
        (Fault::TakesPartOfARefusedBatch, "law 1 (durable)"),
        (Fault::AcceptsGaps, "law 2 (ordered)"),
        (Fault::RefusesRepeats, "law 2 (ordered)"),
        (Fault::IgnoresTheSession, "law 3 (scoped)"),
        (Fault::JoinsKeys, "law 3 (scoped)"),
        (Fault::SkipsHoles, "law 4 (honest)"),
        (Fault::MiscountsLosses, "law 4 (honest)"),
        (Fault::HidesGaps, "law 4 (honest)"),
        (Fault::NeverWakes, "law 5 (waking)"),
        (Fault::WakesOnce, "law 5 (waking)"),
        (Fault::HasNoLimits, "law 6 (bounded)"),
        (Fault::IgnoresWritten, "law 6 (bounded)"),
        (Fault::NeverSweeps, "law 6 (bounded)"),
        (Fault::HidesTheEnd, "law 7 (ending)"),
        (Fault::EndsEarly, "law 7 (ending)"),
        (Fault::IgnoresEpochs, "law 8 (fenced)"),
        (Fault::ForgetsNothing, "law 9 (forgetting)"),
        (Fault::StartsAnew, "law 9 (forgetting)"),
        (Fault::ForgetsOnRelease, "law 9 (forgetting)"),
    ] {
        let make = async |limits| Broken::new(fault, limits);
        let message = complaint(async {
            match &expected[4..5] {
                "1" => durable_before_visible(&make).await,
                "2" => ordered(&make).await,
                "3" => scoped(&make).await,
                "4" => honest(&make).await,
                "5" => waking(&make).await,
                "6" => bounded(&make).await,
                "7" => ending(&make).await,
                "8" => fenced(&make).await,
                "9" => forgetting(&make).await,
                other => panic!("there is no law {other}"),
            }
        });
        assert!(message.contains(expected), "{fault:?} was not found by {expected}: {message}");
    }
}

/// Runs a law on a paused clock and returns what it panics with.
fn complaint(law: impl Future<Output = ()>) -> String {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let panic = catch_unwind(AssertUnwindSafe(|| runtime.block_on(law))).expect_err("the law found nothing");
    match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => (*panic.downcast::<&str>().unwrap()).to_owned(),
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    AppendsLate,
    TakesPartOfARefusedBatch,
    AcceptsGaps,
    RefusesRepeats,
    IgnoresTheSession,
    JoinsKeys,
    SkipsHoles,
    MiscountsLosses,
    HidesGaps,
    NeverWakes,
    WakesOnce,
    HasNoLimits,
    IgnoresWritten,
    NeverSweeps,
    HidesTheEnd,
    EndsEarly,
    IgnoresEpochs,
    ForgetsNothing,
    StartsAnew,
    ForgetsOnRelease,
}

/// A memory store with one fault, which answers later instead of at once.
struct Broken {
    inner: MemoryStore,
    limits: Limits,
    fault: Fault,
    late: Mutex<Option<(StreamKey, Vec<Event>)>>,
    generation: AtomicU64,
}

impl Broken {
    fn new(fault: Fault, limits: Limits) -> Self {
        let inner = match fault {
            Fault::HasNoLimits => MemoryStore::default(),
            _ => MemoryStore::new(limits.clone()),
        };
        Self { inner, limits, fault, late: Mutex::default(), generation: AtomicU64::new(0) }
    }

    fn session(&self, session: &SessionId) -> SessionId {
        match self.fault {
            Fault::IgnoresTheSession => "the only one".into(),
            Fault::StartsAnew => {
                format!("{} {}", session.as_str(), self.generation.load(Ordering::Relaxed)).into()
            }
            _ => session.clone(),
        }
    }

    fn key(&self, at: &StreamKey) -> StreamKey {
        match self.fault {
            Fault::JoinsKeys => {
                StreamKey { session: format!("{}{}", at.session.as_str(), at.stream).into(), stream: 0 }
            }
            _ => StreamKey { session: self.session(&at.session), stream: at.stream },
        }
    }
}

fn later<T: Send + 'static>(soon: Soon<T>) -> Soon<T> {
    Soon::later(async {
        tokio::task::yield_now().await;
        soon.await
    })
}

impl EventStore for Broken {
    fn append(&self, at: &StreamKey, epoch: Epoch, mut batch: Append<'_>) -> Soon<Result<(), AppendError>> {
        let at = &self.key(at);
        let epoch = if self.fault == Fault::IgnoresEpochs { Epoch(0) } else { epoch };
        match self.fault {
            Fault::AppendsLate => {
                let next = (at.clone(), batch.events.to_vec());
                if let Some((at, events)) = self.late.lock().unwrap().replace(next) {
                    return later(self.inner.append(&at, epoch, Append { events: &events, ..NOTHING }));
                }
                return later(Soon::now(Ok(())));
            }
            Fault::TakesPartOfARefusedBatch => {
                for event in batch.events {
                    let one = Append { events: std::slice::from_ref(event), ..batch };
                    if let Soon::Now(Err(error)) = self.inner.append(at, epoch, one) {
                        return later(Soon::now(Err(error)));
                    }
                }
            }
            Fault::IgnoresWritten => batch.written = 0,
            Fault::RefusesRepeats => {
                let head = match self.inner.read(at, 0, ALL) {
                    Soon::Now(Ok(page)) => page.head,
                    _ => 0,
                };
                if batch.events.first().is_some_and(|first| first.seq <= head) {
                    return later(Soon::now(Err(AppendError::Gap)));
                }
            }
            _ => {}
        }
        let accepts_gaps = self.fault == Fault::AcceptsGaps;
        later(self.inner.append(at, epoch, batch)).map(move |outcome| match outcome {
            Err(AppendError::Gap) if accepts_gaps => Ok(()),
            outcome => outcome,
        })
    }

    fn read(&self, at: &StreamKey, after: u64, max: ReadBudget) -> Soon<Result<Page, ReadError>> {
        let (at, fault, inner) = (self.key(at), self.fault, self.inner.clone());
        later(self.inner.read(&at, after, max).map(move |read| match (fault, read) {
            (Fault::SkipsHoles, Err(ReadError::Dropped(dropped))) => {
                match inner.read(&at, dropped.oldest - 1, max) {
                    Soon::Now(read) => read,
                    Soon::Later(_) => unreachable!("the memory store never waits"),
                }
            }
            (Fault::MiscountsLosses, Err(ReadError::Dropped(dropped))) => {
                Err(ReadError::Dropped(Dropped { count: dropped.count + 1, ..dropped }))
            }
            (Fault::HidesTheEnd, Ok(page)) => Ok(Page { ended: false, ..page }),
            (Fault::EndsEarly, Ok(page)) => {
                let ended =
                    matches!(inner.read(&at, page.head, ALL), Soon::Now(Ok(Page { ended: true, .. })));
                Ok(Page { ended, ..page })
            }
            (_, read) => read,
        }))
    }

    fn first_gap(&self, at: &StreamKey, after: u64) -> Soon<Result<Option<Dropped>, ReadError>> {
        match self.fault {
            Fault::HidesGaps => later(Soon::now(Ok(None))),
            _ => later(self.inner.first_gap(&self.key(at), after)),
        }
    }

    fn watch(&self, at: &StreamKey) -> Watch {
        match self.fault {
            Fault::NeverWakes => Watch::pair().0,
            // The bell rings once, when the first waker is registered, and then never again.
            Fault::WakesOnce => {
                let (watch, bell) = Watch::pair();
                bell.ring();
                watch
            }
            _ => self.inner.watch(&self.key(at)),
        }
    }

    fn forget(&self, session: &SessionId) -> Soon<Result<(), BoxError>> {
        if self.fault == Fault::ForgetsNothing {
            return later(Soon::now(Ok(())));
        }
        let session = self.session(session);
        self.generation.fetch_add(1, Ordering::Relaxed);
        later(self.inner.forget(&session))
    }

    fn release(&self, session: &SessionId) -> Soon<Result<(), BoxError>> {
        match self.fault {
            Fault::ForgetsOnRelease => later(self.inner.forget(session)),
            _ => later(self.inner.release(session)),
        }
    }

    fn sweep(&self, now: Instant) {
        if self.fault != Fault::NeverSweeps {
            self.inner.sweep(now);
        }
    }

    fn limits(&self) -> Limits {
        self.limits.clone()
    }

    fn usage(&self) -> Usage {
        Usage::default()
    }
}

/// Shows that the trait works as `dyn`.
struct Shared(Box<dyn EventStore>);

impl EventStore for Shared {
    fn append(&self, at: &StreamKey, epoch: Epoch, batch: Append<'_>) -> Soon<Result<(), AppendError>> {
        self.0.append(at, epoch, batch)
    }

    fn read(&self, at: &StreamKey, after: u64, max: ReadBudget) -> Soon<Result<Page, ReadError>> {
        self.0.read(at, after, max)
    }

    fn first_gap(&self, at: &StreamKey, after: u64) -> Soon<Result<Option<Dropped>, ReadError>> {
        self.0.first_gap(at, after)
    }

    fn watch(&self, at: &StreamKey) -> Watch {
        self.0.watch(at)
    }

    fn forget(&self, session: &SessionId) -> Soon<Result<(), BoxError>> {
        self.0.forget(session)
    }

    fn sweep(&self, now: Instant) {
        self.0.sweep(now);
    }

    fn limits(&self) -> Limits {
        self.0.limits()
    }

    fn usage(&self) -> Usage {
        self.0.usage()
    }
}
