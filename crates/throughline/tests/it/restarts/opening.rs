//! Nothing of a stream leaves before the store knows the stream, and that costs as little as it can.

use std::time::Duration;

use serde_json::json;
use throughline::revision::Revision;
use throughline::{ResponseMode, StoreFailure, StreamableHttp};

use super::{builder, endpoint, progress, server};
use crate::support::{Disk, Gate, Wire, call, settle, text};

const NEWEST: Revision = Revision::V2025_11_25;

#[tokio::test(start_paused = true)]
async fn a_stream_is_kept_before_its_priming_event_leaves() {
    let (disk, gate) = (Disk::new(), Gate::new());
    let wire = Wire::open(&endpoint(&gate, &disk), NEWEST).await;
    let flushes = disk.flushes();
    disk.hold();
    let calling = wire.post(call(1, "gated", json!({ "before": 0, "after": 0 }))).start();
    gate.until_came(1).await;
    settle().await;
    assert!(!calling.is_finished());
    disk.release();
    let mut events = calling.await.unwrap().events();
    assert!(events.next().await.unwrap().message.is_null(), "the priming event");
    assert_eq!(disk.flushes() - flushes, 1);
    let kept = disk.open_streams(wire.session_id());
    assert_eq!((kept.len(), kept[0].head), (1, 0));
    assert_eq!(kept[0].note.as_deref(), Some(&br#"{"requests":[{"id":1}]}"#[..]));
    gate.open(1);
    assert_eq!(text(&events.message().await.message), "done");
    assert!(events.next().await.is_none());
    assert_eq!(disk.flushes() - flushes, 2, "the response, and no more");
    assert!(disk.open_streams(wire.session_id()).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_is_ready_costs_one_append() {
    let (disk, gate) = (Disk::new(), Gate::new());
    let wire = Wire::open(&endpoint(&gate, &disk), NEWEST).await;
    let flushes = disk.flushes();
    disk.hold();
    let calling = wire.post(call(1, "echo", json!({ "text": "hi" }))).start();
    settle().await;
    assert!(!calling.is_finished());
    disk.release();
    let mut events = calling.await.unwrap().events();
    assert_eq!(disk.flushes() - flushes, 1);
    assert!(events.next().await.unwrap().id.is_some(), "the priming event");
    assert_eq!(text(&events.message().await.message), "hi");
}

#[tokio::test(start_paused = true)]
async fn what_is_answered_by_one_json_body_costs_none() {
    let (disk, gate) = (Disk::new(), Gate::new());
    let endpoint = builder(server(&gate), &disk).response_mode(ResponseMode::Adaptive).build();
    let wire = Wire::open(&endpoint, NEWEST).await;
    let flushes = disk.flushes();
    disk.hold();
    let answer = wire.post(call(1, "echo", json!({ "text": "hi" }))).send().await.json().await;
    assert_eq!((text(&answer), disk.flushes()), ("hi", flushes));
    // The first message and what the stream is for go together.
    let calling = wire.post(call(2, "gated", json!({ "before": 1, "after": 0 }))).start();
    gate.until_came(1).await;
    settle().await;
    assert!(!calling.is_finished());
    disk.release();
    let mut events = calling.await.unwrap().events();
    progress(&mut events, 1).await;
    assert_eq!(disk.flushes() - flushes, 1);
    assert_eq!(disk.open_streams(wire.session_id())[0].head, 1);
    assert!(disk.open_streams(wire.session_id())[0].note.is_some());
    // So does the delay after which a response begins as a stream.
    let mut events = wire.post(call(3, "gated", json!({ "before": 0, "after": 0 }))).send().await.events();
    assert!(events.next().await.unwrap().message.is_null());
    assert_eq!(disk.flushes() - flushes, 2);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_while_the_stream_opens_leaves_nothing_waiting() {
    let (disk, gate) = (Disk::new(), Gate::new());
    let endpoint = endpoint(&gate, &disk);
    let wire = Wire::open(&endpoint, NEWEST).await;
    disk.hold();
    let calling = wire.post(call(1, "gated", json!({ "before": 2_000, "after": 0 }))).start();
    settle().await;
    calling.abort();
    assert!(calling.await.is_err());
    disk.release();
    // Nobody reads, so nobody is waited for.
    gate.until_came(1).await;
    gate.open(1);
    crate::support::until(|| endpoint.in_flight() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_cannot_be_kept_is_not_primed() {
    for then in [StoreFailure::FailCall, StoreFailure::GoUnresumable] {
        let (disk, gate) = (Disk::new(), Gate::new());
        let endpoint: StreamableHttp = builder(server(&gate), &disk).on_store_failure(then).build();
        let wire = Wire::open(&endpoint, NEWEST).await;
        disk.fail(true);
        let calling = wire.post(call(1, "gated", json!({ "before": 0, "after": 0 }))).start();
        gate.until_came(1).await;
        let events = calling.await.unwrap().events();
        gate.open(1);
        let all = events.all().await;
        assert_eq!(all.len(), 1, "{all:?}");
        assert_eq!(all[0].id, None, "it cannot be resumed");
        match then {
            StoreFailure::FailCall => assert_eq!(all[0].message["error"]["code"], -32603),
            StoreFailure::GoUnresumable => assert_eq!(text(&all[0].message), "done"),
        }
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(endpoint.in_flight(), 0);
    }
}
