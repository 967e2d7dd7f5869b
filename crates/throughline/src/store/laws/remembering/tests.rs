//! A store that keeps sessions keeps law 10, and for each part of the law one that breaks it is found out.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use super::*;
use crate::store::{
    BoxError, Dropped, MemoryStore, Page, ReadBudget, ReadError, Soon, StreamKey, Usage, Watch, laws,
};

#[tokio::test(start_paused = true)]
async fn a_store_that_remembers_keeps_the_law() {
    laws::check_all(async |limits| Remembers::new(Fault::None, limits)).await;
    remembers_after_reopening(Remembers::new(Fault::None, Limits::default()), async |store| store).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_of_a_store_without_sessions() {
    remembering(&async |limits| MemoryStore::new(limits)).await;
}

#[test]
fn each_fault_is_found() {
    for fault in [
        Fault::LoadsNothing,
        Fault::KeepsTheFirstRecord,
        Fault::TakesOldEpochs,
        Fault::DoesNotFence,
        Fault::TellsTheSavedEpoch,
        Fault::SavesOnAppend,
        Fault::KeepsEndedStreams,
        Fault::KeepsTheLastNote,
        Fault::LosesLateNotes,
        Fault::LosesSilentStreams,
        Fault::CountsHeldEvents,
        Fault::MixesStreams,
        Fault::KeepsForgotten,
        Fault::StartsAnew,
        Fault::DropsReleased,
    ] {
        let make = async |limits| Remembers::new(fault, limits);
        let message = complaint(remembering(&make));
        assert!(message.contains("law 10 (remembering)"), "{fault:?}: {message}");
    }
    let store = Remembers::new(Fault::None, Limits::default());
    let lost = remembers_after_reopening(store, async |_| Remembers::new(Fault::None, Limits::default()));
    assert!(complaint(lost).contains("not the same after reopening"));
}

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
    LoadsNothing,
    KeepsTheFirstRecord,
    TakesOldEpochs,
    DoesNotFence,
    TellsTheSavedEpoch,
    SavesOnAppend,
    KeepsEndedStreams,
    KeepsTheLastNote,
    LosesLateNotes,
    LosesSilentStreams,
    CountsHeldEvents,
    MixesStreams,
    KeepsForgotten,
    StartsAnew,
    DropsReleased,
}

/// Records and notes in maps, around a memory store. It outlives nothing.
struct Remembers {
    inner: MemoryStore,
    fault: Fault,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    records: HashMap<SessionId, (Epoch, Bytes)>,
    epochs: HashMap<SessionId, Epoch>,
    streams: BTreeMap<(SessionId, u64), Option<Bytes>>,
    ended: HashSet<(SessionId, u64)>,
    forgotten: HashSet<SessionId>,
}

impl Remembers {
    fn new(fault: Fault, limits: Limits) -> Self {
        Self { inner: MemoryStore::new(limits), fault, kept: Arc::default() }
    }

    fn kept_session(&self, kept: &Kept, id: &SessionId, epoch: Epoch, record: Bytes) -> KeptSession {
        let mut streams: Vec<_> = kept
            .streams
            .iter()
            .filter(|((session, stream), _)| {
                session == id
                    && (self.fault == Fault::KeepsEndedStreams
                        || !kept.ended.contains(&(id.clone(), *stream)))
            })
            .map(|((_, stream), note)| {
                let at = StreamKey { session: id.clone(), stream: *stream };
                let head = match self.inner.standing(&at).stream {
                    Some(stream) if self.fault == Fault::CountsHeldEvents => stream.head - stream.lost,
                    stream => stream.map_or(0, |stream| stream.head),
                };
                KeptStream { stream: *stream, head, note: note.clone() }
            })
            .filter(|stream| self.fault != Fault::LosesSilentStreams || stream.head > 0)
            .collect();
        if self.fault == Fault::MixesStreams {
            streams.reverse();
        }
        let written = kept.epochs.get(id).copied().unwrap_or_default();
        let epoch = if self.fault == Fault::TellsTheSavedEpoch { epoch } else { epoch.max(written) };
        KeptSession { id: id.clone(), epoch, record, streams }
    }
}

impl EventStore for Remembers {
    fn append(&self, at: &StreamKey, epoch: Epoch, batch: Append<'_>) -> Soon<Result<(), AppendError>> {
        let Soon::Now(outcome) = self.inner.append(at, epoch, batch) else { unreachable!("it never waits") };
        if outcome.is_ok() {
            let mut kept = self.kept.lock().unwrap();
            kept.epochs.insert(at.session.clone(), epoch);
            if self.fault == Fault::SavesOnAppend {
                kept.records.entry(at.session.clone()).or_insert((epoch, Bytes::new()));
            }
            let place = (at.session.clone(), at.stream);
            let is_new = !kept.streams.contains_key(&place);
            let note = kept.streams.entry(place.clone()).or_default();
            let takes = match self.fault {
                Fault::KeepsTheLastNote => true,
                Fault::LosesLateNotes => is_new,
                _ => note.is_none(),
            };
            if takes && batch.note.is_some() {
                *note = batch.note.cloned();
            }
            if batch.ends {
                kept.ended.insert(place);
            }
        }
        Soon::Now(outcome)
    }

    fn read(&self, at: &StreamKey, after: u64, max: ReadBudget) -> Soon<Result<Page, ReadError>> {
        self.inner.read(at, after, max)
    }

    fn first_gap(&self, at: &StreamKey, after: u64) -> Soon<Result<Option<Dropped>, ReadError>> {
        self.inner.first_gap(at, after)
    }

    fn watch(&self, at: &StreamKey) -> Watch {
        self.inner.watch(at)
    }

    fn forget(&self, session: &SessionId) -> Soon<Result<(), BoxError>> {
        let mut kept = self.kept.lock().unwrap();
        if self.fault != Fault::KeepsForgotten {
            kept.records.remove(session);
        }
        kept.forgotten.insert(session.clone());
        kept.streams.retain(|(known, _), _| known != session);
        self.inner.forget(session)
    }

    fn release(&self, session: &SessionId) -> Soon<Result<(), BoxError>> {
        if self.fault == Fault::DropsReleased {
            self.kept.lock().unwrap().records.remove(session);
        }
        Soon::Now(Ok(()))
    }

    fn sweep(&self, now: std::time::Instant) {
        self.inner.sweep(now);
    }

    fn sessions(&self) -> Option<&dyn SessionStore> {
        Some(self)
    }

    fn limits(&self) -> Limits {
        self.inner.limits()
    }

    fn usage(&self) -> Usage {
        self.inner.usage()
    }
}

impl SessionStore for Remembers {
    fn save(&self, session: &SessionId, epoch: Epoch, record: Bytes) -> Soon<Result<(), AppendError>> {
        let mut kept = self.kept.lock().unwrap();
        if kept.forgotten.contains(session) && self.fault != Fault::StartsAnew {
            return Soon::Now(Err(AppendError::Ended));
        }
        if self.fault != Fault::DoesNotFence && self.fault != Fault::StartsAnew {
            match self.inner.keep(session, epoch) {
                Err(AppendError::Fenced) if self.fault == Fault::TakesOldEpochs => {}
                Err(error) => return Soon::Now(Err(error)),
                Ok(()) => {}
            }
        }
        match kept.records.get_mut(session) {
            Some((known, _)) if self.fault == Fault::KeepsTheFirstRecord => *known = epoch,
            _ => drop(kept.records.insert(session.clone(), (epoch, record))),
        }
        Soon::Now(Ok(()))
    }

    fn load(&self) -> Soon<Result<Vec<KeptSession>, BoxError>> {
        let kept = self.kept.lock().unwrap();
        let sessions = kept.records.iter().map(|(id, (epoch, record))| {
            let id = if self.fault == Fault::LoadsNothing { return None } else { id };
            Some(self.kept_session(&kept, id, *epoch, record.clone()))
        });
        Soon::Now(Ok(sessions.flatten().collect()))
    }
}
