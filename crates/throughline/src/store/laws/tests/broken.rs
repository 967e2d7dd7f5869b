//! Stores with one fault each, for the suite to find.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::store::laws::probe::{ALL, NOTHING};
use crate::store::{
    Append, AppendError, Bell, BoxError, Dropped, Epoch, Event, EventStore, Limits, MemoryStore, Page,
    ReadBudget, ReadError, SessionId, Soon, StreamKey, Usage, Watch,
};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fault {
    None,
    // Law 1
    AppendsLate,
    TakesPartOfARefusedBatch,
    Panics,
    MixesBatchesInFlight,
    LosesTheLastEventOnReopening,
    // Law 2
    AcceptsGaps,
    RefusesRepeats,
    IgnoresTheReadBudget,
    // Law 3
    IgnoresTheSession,
    JoinsKeys,
    // Law 4
    SkipsHoles,
    MiscountsLosses,
    HidesGaps,
    TellsGapsOneLate,
    // Law 5
    NeverWakes,
    WakesOnce,
    WakesBefore,
    NeverWakesOnEnd,
    LosesWakesInFlight,
    // Law 6
    HasNoLimits,
    LosesAnEventAtTheEdge,
    IgnoresWritten,
    DropsResultsFirst,
    NeverSweeps,
    SweepsTooEarly,
    TakesWhatIsTooLarge,
    CountsTwice,
    // Law 7
    HidesTheEnd,
    EndsEarly,
    EndsOnlyEmptyBatches,
    AcceptsAfterTheEnd,
    LosesEndsOnReopening,
    // Law 8
    IgnoresEpochs,
    FencesEachStream,
    IsFencedByWhatItRefused,
    LosesTheFenceOnReopening,
    // Law 9
    ForgetsNothing,
    StartsAnew,
    ForgetsOnRelease,
    ShowsAnotherOnceForgotten,
    NeverWakesOnForget,
    PutsBackWhatWasForgotten,
}

/// A batch that was not appended yet.
type Held = (StreamKey, Vec<Event>);

/// A memory store with one fault, which answers later instead of at once.
pub(super) struct Broken {
    inner: MemoryStore,
    limits: Limits,
    fault: Fault,
    reopened: bool,
    late: Arc<Mutex<Option<Held>>>,
    generation: AtomicU64,
    fences: Mutex<HashMap<StreamKey, Epoch>>,
    bells: Arc<Mutex<Vec<(StreamKey, Bell)>>>,
    in_flight: Arc<AtomicUsize>,
    last: Mutex<Option<StreamKey>>,
    forgotten: Arc<Mutex<Vec<SessionId>>>,
}

impl Broken {
    pub(super) fn new(fault: Fault, limits: Limits) -> Self {
        let inner = match fault {
            Fault::HasNoLimits => MemoryStore::default(),
            Fault::LosesAnEventAtTheEdge => {
                MemoryStore::new(Limits { stream_events: limits.stream_events.max(2) - 1, ..limits.clone() })
            }
            _ => MemoryStore::new(limits.clone()),
        };
        Self {
            inner,
            limits,
            fault,
            reopened: false,
            late: Arc::default(),
            generation: AtomicU64::new(0),
            fences: Mutex::default(),
            bells: Arc::default(),
            in_flight: Arc::default(),
            last: Mutex::default(),
            forgotten: Arc::default(),
        }
    }

    /// What it is after it was closed and opened again. Only its fault may be lost.
    pub(super) fn reopen(self) -> Self {
        self.bells.lock().unwrap().clear();
        Self { reopened: true, ..self }
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

    /// The faults that ring bells of their own.
    fn rings_itself(&self) -> bool {
        matches!(
            self.fault,
            Fault::WakesBefore
                | Fault::NeverWakesOnEnd
                | Fault::NeverWakesOnForget
                | Fault::LosesWakesInFlight
        )
    }

    /// Appends when the answer is polled the second time, and then tells `after` whether it was taken.
    fn append_lazily(
        &self,
        at: &StreamKey,
        epoch: Epoch,
        batch: Append<'_>,
        after: impl FnOnce(bool) + Send + 'static,
    ) -> Soon<Result<(), AppendError>> {
        let (inner, at, events) = (self.inner.clone(), at.clone(), batch.events.to_vec());
        let (written, ends) = (batch.written, batch.ends);
        Soon::later(async move {
            tokio::task::yield_now().await;
            let batch = Append { events: &events, written, ends, note: None };
            let outcome = inner.append(&at, epoch, batch).await;
            after(outcome.is_ok());
            outcome
        })
    }

    fn append_with_bells(
        &self,
        at: &StreamKey,
        epoch: Epoch,
        batch: Append<'_>,
    ) -> Soon<Result<(), AppendError>> {
        let (fault, ends, bells) = (self.fault, batch.ends, self.bells.clone());
        if fault == Fault::WakesBefore {
            ring(&bells, |key| key == at);
        }
        let in_flight = self.in_flight.clone();
        in_flight.fetch_add(1, Ordering::SeqCst);
        let watched = at.clone();
        self.append_lazily(at, epoch, batch, move |taken| {
            let others = in_flight.fetch_sub(1, Ordering::SeqCst) - 1;
            let rings = match fault {
                Fault::WakesBefore => false,
                Fault::NeverWakesOnEnd => !ends,
                // "Whoever is last rings", but only for itself.
                Fault::LosesWakesInFlight => others == 0,
                _ => true,
            };
            if rings && taken {
                ring(&bells, |key| *key == watched);
            }
        })
    }

    fn append_all_but_some(
        &self,
        at: &StreamKey,
        epoch: Epoch,
        batch: Append<'_>,
    ) -> Soon<Result<(), AppendError>> {
        match self.fault {
            Fault::AppendsLate if !batch.events.is_empty() && !batch.ends => {
                let next = (at.clone(), batch.events.to_vec());
                if let Some((at, events)) = self.late.lock().unwrap().replace(next) {
                    return self.inner.append(&at, epoch, Append { events: &events, ..NOTHING });
                }
                Soon::now(Ok(()))
            }
            Fault::MixesBatchesInFlight => {
                *self.late.lock().unwrap() = Some((at.clone(), batch.events.to_vec()));
                let (slot, inner) = (self.late.clone(), self.inner.clone());
                let (own, written, ends) = (at.clone(), batch.written, batch.ends);
                Soon::later(async move {
                    tokio::task::yield_now().await;
                    let taken = slot.lock().unwrap().take();
                    let (at, events) = taken.unwrap_or((own, Vec::new()));
                    inner.append(&at, epoch, Append { events: &events, written, ends, note: None }).await
                })
            }
            Fault::PutsBackWhatWasForgotten => {
                // It reads the stream, adds to it, and writes it back a moment later.
                if self.forgotten.lock().unwrap().contains(&at.session) {
                    return Soon::now(Err(AppendError::Ended));
                }
                let known = at_hand(self.inner.read(at, 0, ALL)).map(|page| page.events).unwrap_or_default();
                let all: Vec<_> = known.into_iter().chain(batch.events.iter().cloned()).collect();
                let fresh = batch.events.to_vec();
                let (inner, forgotten, at) = (self.inner.clone(), self.forgotten.clone(), at.clone());
                let (written, ends) = (batch.written, batch.ends);
                Soon::later(async move {
                    tokio::task::yield_now().await;
                    let is_forgotten = forgotten.lock().unwrap().contains(&at.session);
                    let (at, events) = if is_forgotten { (again(&at), all) } else { (at, fresh) };
                    inner.append(&at, epoch, Append { events: &events, written, ends, note: None }).await
                })
            }
            Fault::TakesPartOfARefusedBatch => {
                for event in batch.events {
                    let one = Append { events: std::slice::from_ref(event), ends: false, ..batch };
                    if let Soon::Now(Err(error)) = self.inner.append(at, epoch, one) {
                        return Soon::now(Err(error));
                    }
                }
                self.inner.append(at, epoch, batch)
            }
            Fault::DropsResultsFirst => {
                let events: Vec<_> =
                    batch.events.iter().map(|event| Event { keep: !event.keep, ..event.clone() }).collect();
                self.inner.append(at, epoch, Append { events: &events, ..batch })
            }
            Fault::IsFencedByWhatItRefused => {
                let outcome = at_hand(self.inner.append(at, epoch, batch));
                if outcome.is_err() && at_hand(self.inner.read(at, 0, ALL)).is_ok() {
                    drop(self.inner.append(at, epoch, NOTHING));
                }
                Soon::now(outcome)
            }
            _ => self.inner.append(at, epoch, batch),
        }
    }
}

impl EventStore for Broken {
    fn append(&self, at: &StreamKey, epoch: Epoch, mut batch: Append<'_>) -> Soon<Result<(), AppendError>> {
        let given = at;
        let at = &self.key(at);
        let mut epoch = epoch;
        match self.fault {
            Fault::IgnoresEpochs => epoch = Epoch(0),
            Fault::LosesTheFenceOnReopening if self.reopened => epoch = Epoch(u64::MAX),
            Fault::FencesEachStream => {
                let mut fences = self.fences.lock().unwrap();
                let fence = fences.entry(at.clone()).or_insert(epoch);
                if epoch < *fence {
                    return later(Soon::now(Err(AppendError::Fenced)));
                }
                (*fence, epoch) = (epoch, Epoch(0));
            }
            Fault::IgnoresWritten => batch.written = 0,
            Fault::EndsOnlyEmptyBatches => batch.ends &= batch.events.is_empty(),
            Fault::Panics => {
                assert!(batch.events.len() < 4, "no room for four");
            }
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
        *self.last.lock().unwrap() = Some(given.clone());
        if self.rings_itself() {
            return self.append_with_bells(at, epoch, batch);
        }
        let fault = self.fault;
        later(self.append_all_but_some(at, epoch, batch)).map(move |outcome| match (fault, outcome) {
            (Fault::AcceptsGaps, Err(AppendError::Gap))
            | (Fault::AcceptsAfterTheEnd, Err(AppendError::Ended))
            | (Fault::TakesWhatIsTooLarge, Err(AppendError::TooLarge)) => Ok(()),
            (_, outcome) => outcome,
        })
    }

    fn read(&self, at: &StreamKey, after: u64, max: ReadBudget) -> Soon<Result<Page, ReadError>> {
        let (mut key, fault, inner, reopened) = (self.key(at), self.fault, self.inner.clone(), self.reopened);
        if fault == Fault::ShowsAnotherOnceForgotten && self.forgotten.lock().unwrap().contains(&at.session) {
            key = self.last.lock().unwrap().clone().unwrap_or(key);
        }
        if fault == Fault::PutsBackWhatWasForgotten && self.forgotten.lock().unwrap().contains(&at.session) {
            key = again(&key);
        }
        let max = if fault == Fault::IgnoresTheReadBudget { ALL } else { max };
        later(self.inner.read(&key, after, max).map(move |read| match (fault, read) {
            (Fault::SkipsHoles, Err(ReadError::Dropped(dropped))) => {
                at_hand(inner.read(&key, dropped.oldest - 1, max))
            }
            (Fault::MiscountsLosses, Err(ReadError::Dropped(dropped))) => {
                Err(ReadError::Dropped(Dropped { count: dropped.count + 1, ..dropped }))
            }
            (Fault::HidesTheEnd, Ok(page)) => Ok(Page { ended: false, ..page }),
            (Fault::LosesEndsOnReopening, Ok(page)) if reopened => Ok(Page { ended: false, ..page }),
            (Fault::LosesTheLastEventOnReopening, Ok(page)) if reopened && !page.events.is_empty() => {
                let head = page.head - 1;
                let events = page.events.into_iter().filter(|event| event.seq <= head).collect();
                Ok(Page { events, head, ..page })
            }
            (Fault::EndsEarly, Ok(page)) => {
                let ended = matches!(at_hand(inner.read(&key, page.head, ALL)), Ok(Page { ended: true, .. }));
                Ok(Page { ended, ..page })
            }
            (Fault::DropsResultsFirst, Ok(page)) => {
                let events =
                    page.events.into_iter().map(|event| Event { keep: !event.keep, ..event }).collect();
                Ok(Page { events, ..page })
            }
            (_, read) => read,
        }))
    }

    fn first_gap(&self, at: &StreamKey, after: u64) -> Soon<Result<Option<Dropped>, ReadError>> {
        match self.fault {
            Fault::HidesGaps => later(Soon::now(Ok(None))),
            Fault::TellsGapsOneLate => later(self.inner.first_gap(&self.key(at), after)).map(|gap| {
                gap.map(|gap| gap.map(|gap| Dropped { oldest: gap.oldest + 1, count: gap.count + 1 }))
            }),
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
            _ if self.rings_itself() => {
                let (watch, bell) = Watch::pair();
                self.bells.lock().unwrap().push((at.clone(), bell));
                watch
            }
            _ => self.inner.watch(&self.key(at)),
        }
    }

    fn forget(&self, session: &SessionId) -> Soon<Result<(), BoxError>> {
        if self.fault == Fault::ForgetsNothing {
            return later(Soon::now(Ok(())));
        }
        self.forgotten.lock().unwrap().push(session.clone());
        let forgotten = self.session(session);
        self.generation.fetch_add(1, Ordering::Relaxed);
        let outcome = later(self.inner.forget(&forgotten));
        if self.fault != Fault::NeverWakesOnForget {
            ring(&self.bells, |key| key.session == *session);
        }
        outcome
    }

    fn release(&self, session: &SessionId) -> Soon<Result<(), BoxError>> {
        match self.fault {
            Fault::ForgetsOnRelease => later(self.inner.forget(session)),
            _ => later(self.inner.release(session)),
        }
    }

    fn sweep(&self, now: Instant) {
        match self.fault {
            Fault::NeverSweeps => {}
            Fault::SweepsTooEarly => {
                self.inner.sweep(now + self.limits.retention / 2 + Duration::from_secs(1));
            }
            _ => self.inner.sweep(now),
        }
    }

    fn limits(&self) -> Limits {
        self.limits.clone()
    }

    fn usage(&self) -> Usage {
        match self.fault {
            Fault::CountsTwice => {
                let usage = self.inner.usage();
                Usage { events: usage.events * 2, ..usage }
            }
            _ => Usage::default(),
        }
    }
}

/// The place of a stream that was forgotten and written once more.
fn again(at: &StreamKey) -> StreamKey {
    StreamKey { session: format!("{} again", at.session.as_str()).into(), stream: at.stream }
}

fn ring(bells: &Mutex<Vec<(StreamKey, Bell)>>, of: impl Fn(&StreamKey) -> bool) {
    let bells: Vec<_> = bells.lock().unwrap().iter().filter(|(key, _)| of(key)).cloned().collect();
    bells.iter().for_each(|(_, bell)| bell.ring());
}

fn later<T: Send + 'static>(soon: Soon<T>) -> Soon<T> {
    Soon::later(async {
        tokio::task::yield_now().await;
        soon.await
    })
}

fn at_hand<T>(soon: Soon<T>) -> T {
    match soon {
        Soon::Now(answer) => answer,
        Soon::Later(_) => unreachable!("the memory store never waits"),
    }
}
