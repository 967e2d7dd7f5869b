//! The memory store keeps the laws, and for each law a store that breaks it is found out.

mod broken;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use self::broken::{Broken, Fault};
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
    let make = async |limits| MemoryStore::new(limits);
    any_sequence_with_reopening(&make, &async |store| store, Plan::default()).await;
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
        (Fault::FencesEachStream, "law 8 (fenced)"),
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

/// The sequences find each fault too, whatever it is, and the shortest one that shows it fits on a page.
#[test]
fn any_sequence_finds_the_store_that_breaks_a_law() {
    let mut missed = Vec::new();
    for (fault, expected) in [
        (Fault::AppendsLate, "law 1 (durable)"),
        (Fault::TakesPartOfARefusedBatch, "law 1 (durable)"),
        (Fault::Panics, "law 1 (durable)"),
        (Fault::AcceptsGaps, "law 2 (ordered)"),
        (Fault::RefusesRepeats, "law 2 (ordered)"),
        (Fault::IgnoresTheReadBudget, "law 2 (ordered)"),
        (Fault::IgnoresTheSession, "law 3 (scoped)"),
        (Fault::SkipsHoles, "law 4 (honest)"),
        (Fault::MiscountsLosses, "law 4 (honest)"),
        (Fault::HidesGaps, "law 4 (honest)"),
        (Fault::TellsGapsOneLate, "law 4 (honest)"),
        (Fault::NeverWakes, "law 5 (waking)"),
        (Fault::WakesOnce, "law 5 (waking)"),
        (Fault::WakesBefore, "law 5 (waking)"),
        (Fault::NeverWakesOnEnd, "law 5 (waking)"),
        (Fault::HasNoLimits, "law 6 (bounded)"),
        (Fault::LosesAnEventAtTheEdge, "law 6 (bounded)"),
        (Fault::IgnoresWritten, "law 6 (bounded)"),
        (Fault::DropsResultsFirst, "law 6 (bounded)"),
        (Fault::NeverSweeps, "law 6 (bounded)"),
        (Fault::SweepsTooEarly, "law 6 (bounded)"),
        (Fault::TakesWhatIsTooLarge, "law 6 (bounded)"),
        (Fault::CountsTwice, "law 6 (bounded)"),
        (Fault::HidesTheEnd, "law 7 (ending)"),
        (Fault::EndsEarly, "law 7 (ending)"),
        (Fault::EndsOnlyEmptyBatches, "law 7 (ending)"),
        (Fault::AcceptsAfterTheEnd, "law 7 (ending)"),
        (Fault::IgnoresEpochs, "law 8 (fenced)"),
        (Fault::FencesEachStream, "law 8 (fenced)"),
        (Fault::IsFencedByWhatItRefused, "law 8 (fenced)"),
        (Fault::ForgetsNothing, "law 9 (forgetting)"),
        (Fault::StartsAnew, "law 9 (forgetting)"),
        (Fault::ForgetsOnRelease, "law 9 (forgetting)"),
        (Fault::ShowsAnotherOnceForgotten, "law 9 (forgetting)"),
        (Fault::NeverWakesOnForget, "law 9 (forgetting)"),
    ] {
        let make = async |limits| Broken::new(fault, limits);
        missed.extend(not_found(fault, expected, &complaint(any_sequence(&make, Plan::default()))));
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn any_sequence_finds_what_reopening_loses() {
    for (fault, expected) in [
        (Fault::LosesTheLastEventOnReopening, "law 1 (durable)"),
        (Fault::LosesEndsOnReopening, "law 7 (ending)"),
        (Fault::LosesTheFenceOnReopening, "law 8 (fenced)"),
    ] {
        let make = async |limits| Broken::new(fault, limits);
        let law = any_sequence_with_reopening(&make, &async |store: Broken| store.reopen(), Plan::default());
        let message = complaint(law);
        assert!(message.contains("reopen"), "{message}");
        assert_eq!(not_found(fault, expected, &message), None);
    }
}

/// Complains unless a fault was found by its law, and the sequence has become as short as a person would write it.
fn not_found(fault: Fault, expected: &str, message: &str) -> Option<String> {
    let steps = message.lines().filter(|line| line.starts_with("   ")).count();
    let is_found = message.starts_with(expected) && message.contains("THROUGHLINE_LAWS_SEED=");
    let complaint = || format!("{fault:?} was not found by {expected} in a few steps: {message}");
    (!is_found || !(1..=6).contains(&steps)).then(complaint)
}

#[test]
fn a_seed_decides_everything() {
    let make = async |limits| Broken::new(Fault::TellsGapsOneLate, limits);
    let [first, second] =
        [(); 2].map(|()| complaint(any_sequence(&make, Plan { seed: 5, ..Plan::default() })));
    assert_eq!(first, second);
    let seed = first.split("THROUGHLINE_LAWS_SEED=").nth(1).unwrap().split(' ').next().unwrap();
    let again = Plan { seed: seed.parse().unwrap(), sequences: 1, ..Plan::default() };
    assert_eq!(complaint(any_sequence(&make, again)), first, "the seed that is named repeats it");
}

/// What only shows while several tasks use a store.
#[test]
fn tasks_at_the_same_time_find_what_no_sequence_shows() {
    for (fault, expected) in [
        (Fault::MixesBatchesInFlight, "law 1 (durable)"),
        (Fault::LosesWakesInFlight, "law 5 (waking)"),
        (Fault::PutsBackWhatWasForgotten, "law 9 (forgetting)"),
    ] {
        let make = async |limits| Broken::new(fault, limits);
        complete(any_sequence(&make, Plan::default()));
        let message = complaint(at_the_same_time(&make));
        assert!(message.contains(expected), "{fault:?} was not found by {expected}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_memory_store_keeps_the_laws_on_several_threads() {
    for _ in 0..10 {
        at_the_same_time(&async |limits| MemoryStore::new(limits)).await;
    }
    at_the_same_time(&async |limits| Broken::new(Fault::None, limits)).await;
}

/// Runs a law that holds on a paused clock.
fn complete(law: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(law);
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
