//! Calls that run again.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use throughline::revision::Revision;
use throughline::{AfterRestart, Interrupted, Server, StreamableHttp};

use super::{builder, interrupted, progress, server};
use crate::support::{Disk, Gate, Wire, call, request, settle, text, until};

const NEWEST: Revision = Revision::V2025_11_25;

fn endpoint(server: Server, disk: &Disk) -> StreamableHttp {
    builder(server, disk).on_interrupted(Interrupted::run_again_if_idempotent).build()
}

fn messages(events: Vec<crate::support::Event>) -> Vec<Value> {
    events.into_iter().map(|event| event.message).collect()
}

#[tokio::test(start_paused = true)]
async fn what_changes_nothing_runs_again_on_its_stream() {
    let (disk, gate) = (Disk::new(), Gate::new());
    let wire = Wire::open(&endpoint(server(&gate), &disk), NEWEST).await;
    let mut events = wire.call("x", "look", json!({ "before": 3, "after": 2 })).await;
    let seen = progress(&mut events, 3).await;

    // Twice: what runs again can be interrupted again.
    let mut disk = disk;
    for _ in 0..2 {
        let gate = Gate::new();
        disk = disk.reboot();
        let endpoint = endpoint(server(&gate), &disk);
        let report = endpoint.restore().await.unwrap();
        assert_eq!((report.calls_failed, report.calls_run_again), (0, 1));
        gate.until_came(1).await;
        let wire = wire.moved_to(&endpoint);
        let mut resumed = wire.resume(seen[1].id.as_ref().unwrap()).send().await.events();
        assert_eq!(progress(&mut resumed, 1).await[0].progress(), Some(3.0));
        assert!(resumed.is_quiet().await, "progress that its client has heard of is not told again");
        assert_eq!(endpoint.in_flight(), 1);
        // It is in flight like any other.
        let twice = wire.post(call("x", "echo", json!({ "text": "" }))).send().await.refusal().await;
        assert!(twice.contains("still in flight"), "{twice}");
    }
    let gate = Gate::new();
    let endpoint = endpoint(server(&gate), &disk.reboot());
    let wire = wire.moved_to(&endpoint);
    let mut resumed = wire.resume(seen[2].id.as_ref().unwrap()).send().await.events();
    gate.until_came(1).await;
    gate.open(1);
    let rest = progress(&mut resumed, 2).await;
    assert_eq!((rest[0].progress(), rest[1].progress()), (Some(4.0), Some(5.0)));
    assert_eq!(text(&resumed.message().await.message), "seen");
    assert!(resumed.next().await.is_none());
    assert_eq!(endpoint.counters().calls_run_again, 1);
}

#[tokio::test(start_paused = true)]
async fn what_may_change_something_does_not() {
    let (disk, gate) = (Disk::new(), Gate::new());
    let wire = Wire::open(&endpoint(server(&gate), &disk), NEWEST).await;
    let mut events = wire.call(1, "gated", json!({ "before": 1, "after": 0 })).await;
    let seen = progress(&mut events, 1).await;
    gate.until_came(1).await;
    let second = endpoint(server(&gate), &disk.reboot());
    let rest = wire.moved_to(&second).resume(seen[0].id.as_ref().unwrap()).send().await.events().all().await;
    assert_eq!(messages(rest), [interrupted(1)]);
    assert_eq!(gate.came(), 1, "it did not run again");
}

#[tokio::test(start_paused = true)]
async fn the_hook_is_told_what_was_called() {
    let (disk, gate) = (Disk::new(), Gate::new());
    let first = endpoint(server(&gate), &disk);
    let wire = Wire::open(&first, NEWEST).await;
    let mut events = wire.call(1, "look", json!({ "before": 1, "after": 7 })).await;
    let seen = progress(&mut events, 1).await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let listening = Arc::clone(&told);
    let id = wire.session_id().to_owned();
    let second = builder(server(&gate), &disk.reboot())
        .on_interrupted(move |call| {
            assert_eq!(call.session().id().as_str(), id);
            assert!(call.principal().is_none() && call.is_read_only() && call.is_idempotent());
            let arguments = call.call().arguments.as_ref().unwrap().as_str().to_owned();
            let what = (call.method().to_owned(), call.tool().unwrap().to_owned(), arguments);
            listening.lock().unwrap().push(what);
            AfterRestart::Fail
        })
        .build();
    let rest = wire.moved_to(&second).resume(seen[0].id.as_ref().unwrap()).send().await.events().all().await;
    assert_eq!(messages(rest), [interrupted(1)]);
    let what = ("tools/call".to_owned(), "look".to_owned(), r#"{"after":7,"before":1}"#.to_owned());
    assert_eq!(*told.lock().unwrap(), [what]);
}

#[tokio::test(start_paused = true)]
async fn of_a_batch_each_call_has_its_own_fate() {
    let (disk, gate) = (Disk::new(), Gate::new());
    let wire = Wire::open(&endpoint(server(&gate), &disk), Revision::V2025_03_26).await;
    let batch = json!([
        call(1, "echo", json!({ "text": "hi" })),
        call(2, "look", json!({ "before": 1, "after": 0 })),
        call(3, "gated", json!({ "before": 0, "after": 0 })),
        call(4, "look", json!({ "before": 0, "after": 1 })),
    ]);
    let mut events = wire.post(batch).send().await.events();
    let (first, second) = (events.message().await, events.message().await);
    assert_eq!((text(&first.message), second.progress()), ("hi", Some(1.0)));
    gate.until_came(3).await;

    let gate = Gate::new();
    let endpoint = endpoint(server(&gate), &disk.reboot());
    let report = endpoint.restore().await.unwrap();
    assert_eq!((report.calls_failed, report.calls_run_again), (1, 2));
    let wire = wire.moved_to(&endpoint);
    let mut resumed = wire.resume(second.id.as_ref().unwrap()).send().await.events();
    assert_eq!(resumed.message().await.message, interrupted(3));
    gate.until_came(2).await;
    gate.open(2);
    let rest = resumed.all().await;
    let mut answered: Vec<&Value> =
        rest.iter().map(|event| &event.message["id"]).filter(|id| !id.is_null()).collect();
    answered.sort_by_key(|id| id.as_i64());
    assert_eq!(answered, [&json!(2), &json!(4)]);
    assert_eq!(rest.iter().filter_map(|event| event.progress()).count(), 1, "that of the last call");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_runs_again_can_be_taken_back() {
    let (disk, gate) = (Disk::new(), Gate::new());
    let wire = Wire::open(&endpoint(server(&gate), &disk), NEWEST).await;
    let mut events = wire.call(1, "look", json!({ "before": 1, "after": 0 })).await;
    let seen = progress(&mut events, 1).await;
    let disk = disk.reboot();
    let second = endpoint(server(&gate), &disk);
    let wire = wire.moved_to(&second);
    let resumed = wire.resume(seen[0].id.as_ref().unwrap()).send().await.events();
    let cancel =
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } });
    wire.post(cancel).send().await;
    assert!(resumed.all().await.is_empty(), "no answer");
    until(|| second.in_flight() == 0).await;
    settle().await;
    assert!(disk.open_streams(wire.session_id()).is_empty());
}

#[tokio::test(start_paused = true)]
async fn where_there_is_no_room_or_no_way_the_call_fails() {
    let gate = Gate::new();
    let full = |disk: &Disk| {
        builder(server(&gate), disk)
            .max_in_flight(0)
            .on_interrupted(Interrupted::run_again_if_idempotent)
            .build()
    };
    let panics =
        |disk: &Disk| builder(server(&gate), disk).on_interrupted(|_| panic!("a bug of the hook")).build();
    let gone = |disk: &Disk| {
        let server = server(&gate);
        assert!(server.remove_tool("look"));
        endpoint(server, disk)
    };
    let cases: [&dyn Fn(&Disk) -> StreamableHttp; 3] = [&full, &panics, &gone];
    for make in cases {
        let disk = Disk::new();
        let wire = Wire::open(&endpoint(server(&gate), &disk), NEWEST).await;
        let mut events = wire.call(1, "look", json!({ "before": 1, "after": 0 })).await;
        let seen = progress(&mut events, 1).await;
        let second = make(&disk.reboot());
        let wire = wire.moved_to(&second);
        let rest = wire.resume(seen[0].id.as_ref().unwrap()).send().await.events().all().await;
        assert_eq!(messages(rest), [interrupted(1)]);
        assert_eq!(wire.post(request(2, "ping", json!({}))).send().await.status(), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_not_noted_cannot_run_again() {
    let (disk, gate) = (Disk::new(), Gate::new());
    // Without the hook only ids are noted.
    let wire = Wire::open(&builder(server(&gate), &disk).build(), NEWEST).await;
    let mut events = wire.call(1, "look", json!({ "before": 1, "after": 0 })).await;
    let seen = progress(&mut events, 1).await;
    let second = endpoint(server(&gate), &disk.reboot());
    let rest = wire.moved_to(&second).resume(seen[0].id.as_ref().unwrap()).send().await.events().all().await;
    assert_eq!(messages(rest), [interrupted(1)]);
}
