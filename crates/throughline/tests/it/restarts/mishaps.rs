//! What goes wrong at an awkward moment, and leaves nobody waiting and nothing behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use throughline::model::LoggingLevel;
use throughline::revision::Revision;
use throughline::{Context, Error, Interrupted, tool};

use super::{builder, endpoint, interrupted, progress, server};
use crate::support::{Disk, Gate, Wire, request, settle, text, until, within};

const NEWEST: Revision = Revision::V2025_11_25;

#[tokio::test(start_paused = true)]
async fn a_stream_whose_end_was_not_stored_ends_for_whoever_comes_back() {
    let (disk, gate) = (Disk::new(), Gate::new());
    let endpoint = endpoint(&gate, &disk);
    let wire = Wire::open(&endpoint, NEWEST).await;
    let mut events = wire.call(1, "gated", json!({ "before": 2, "after": 0 })).await;
    let seen = progress(&mut events, 2).await;
    drop(events);
    gate.until_came(1).await;
    disk.fail(true);
    gate.open(1);
    until(|| endpoint.in_flight() == 0).await;
    settle().await;
    disk.fail(false);
    let mut resumed = wire.resume(seen[0].id.as_ref().unwrap()).send().await.events();
    assert_eq!(progress(&mut resumed, 1).await[0].progress(), Some(2.0));
    assert!(within(resumed.next()).await.is_none(), "nobody will write to it any more");
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_panics_holds_up_no_call_that_runs_again() {
    let (disk, gate) = (Disk::new(), Gate::new());
    let first = builder(server(&gate), &disk).on_interrupted(Interrupted::run_again_if_idempotent).build();
    let wire = Wire::open(&first, NEWEST).await;
    let mut events = wire.call(1, "look", json!({ "before": 1, "after": 0 })).await;
    let seen = progress(&mut events, 1).await;
    let gate = Gate::new();
    let second = builder(server(&gate), &disk.reboot())
        .on_interrupted(Interrupted::run_again_if_idempotent)
        .on_session_restored(|_| panic!("the hook"))
        .build();
    let report = second.restore().await.unwrap();
    assert_eq!((report.sessions, report.calls_run_again, report.sessions_unreadable), (1, 1, 0));
    assert_eq!(second.counters().panics, 1);
    gate.open(1);
    let rest = wire.moved_to(&second).resume(seen[0].id.as_ref().unwrap()).send().await.events().all().await;
    assert_eq!(text(&rest.last().unwrap().message), "seen");
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_client_did_not_wait_for_its_end_stays_ended() {
    let (disk, gate) = (Disk::new(), Gate::new());
    let endpoint = endpoint(&gate, &disk);
    let wire = Wire::open(&endpoint, NEWEST).await;
    disk.hold();
    let deleting = wire.delete().start();
    settle().await;
    deleting.abort();
    assert!(deleting.await.is_err());
    assert_eq!(endpoint.sessions(), 0);
    disk.fail(true);
    disk.release();
    settle().await;
    disk.fail(false);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(disk.sessions_kept(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_until_the_store_has_the_answers() {
    let (disk, gate) = (Disk::new(), Gate::new());
    let first = endpoint(&gate, &disk);
    let wire = Wire::open(&first, NEWEST).await;
    let mut events = wire.call(1, "gated", json!({ "before": 1, "after": 0 })).await;
    let seen = progress(&mut events, 1).await;
    drop(events);
    disk.hold();
    gate.open(1);
    until(|| first.in_flight() == 0).await;
    let draining = tokio::spawn({
        let first = first.clone();
        async move { first.drain(Duration::from_secs(60)).await }
    });
    settle().await;
    assert!(!draining.is_finished(), "the answer is not stored yet");
    disk.release();
    within(draining).await.unwrap();
    let second = endpoint(&gate, &disk.reboot());
    assert_eq!(second.restore().await.unwrap().calls_failed, 0);
    let rest = wire.moved_to(&second).resume(seen[0].id.as_ref().unwrap()).send().await.events().all().await;
    assert_eq!(text(&rest.last().unwrap().message), "done");
}

#[test]
fn a_runtime_that_ends_interrupts_calls_and_answers_none() {
    let (disk, gate) = (Disk::new(), Gate::new());
    // Its writes need nobody who waits for them.
    disk.be_prompt();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let (wire, seen) = first.block_on(async {
        let wire = Wire::open(&endpoint(&gate, &disk), NEWEST).await;
        let mut events = wire.call(1, "gated", json!({ "before": 1, "after": 0 })).await;
        let seen = progress(&mut events, 1).await;
        gate.until_came(1).await;
        (wire, seen)
    });
    drop(first);
    runtime().block_on(async {
        assert_eq!(disk.open_streams(wire.session_id()).len(), 1);
        let second = endpoint(&gate, &disk.reboot());
        assert_eq!(second.restore().await.unwrap().calls_failed, 1);
        let wire = wire.moved_to(&second);
        let rest = wire.resume(seen[0].id.as_ref().unwrap()).send().await.events().all().await;
        assert_eq!((rest.len(), &rest[0].message), (1, &interrupted(1)));
    });
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_hangs_holds_back_whoever_writes_much_and_is_not_read() {
    let (disk, gate) = (Disk::new(), Gate::new());
    let said = Arc::new(AtomicUsize::new(0));
    let (counting, passing) = (Arc::clone(&said), gate.clone());
    let verbose = tool("verbose", move |cx: Context| {
        let (said, gate) = (Arc::clone(&counting), passing.clone());
        async move {
            cx.progress(1.0).await?;
            gate.pass().await;
            for _ in 0..200 {
                cx.log(LoggingLevel::Emergency, "x".repeat(64 * 1024)).await?;
                said.fetch_add(1, Ordering::SeqCst);
            }
            Ok::<_, Error>("told")
        }
    });
    let endpoint = builder(server(&gate).tool(verbose), &disk).build();
    let wire = Wire::open(&endpoint, NEWEST).await;
    let mut events = wire.call(1, "verbose", json!({})).await;
    progress(&mut events, 1).await;
    drop(events);
    gate.until_came(1).await;
    disk.hold();
    gate.open(1);
    settle().await;
    let held = said.load(Ordering::SeqCst);
    assert!((1..=6).contains(&held), "256 KiB, and what is being written: {held}");
    disk.release();
    until(|| endpoint.in_flight() == 0).await;
    assert_eq!(said.load(Ordering::SeqCst), 200);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_for_a_restore_that_fails_do_not_each_try_again() {
    let (disk, gate) = (Disk::new(), Gate::new());
    let wire = Wire::open(&endpoint(&gate, &disk), NEWEST).await;
    let disk = disk.reboot();
    disk.fail(true);
    disk.load_for(Duration::from_secs(5));
    let second = endpoint(&gate, &disk);
    let wire = wire.moved_to(&second);
    let before = disk.loads();
    let waiting: Vec<_> = (0..20).map(|id| wire.post(request(id, "ping", json!({}))).start()).collect();
    for one in waiting {
        assert_eq!(one.await.unwrap().status(), 503);
    }
    assert_eq!(disk.loads() - before, 1);
    disk.fail(false);
    assert_eq!(wire.post(request(99, "ping", json!({}))).send().await.status(), 200);
}
