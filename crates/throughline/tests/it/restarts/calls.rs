//! Calls that ran when the process ended: each is answered, once.

use serde_json::{Value, json};
use throughline::revision::Revision;

use super::{builder, endpoint, interrupted, progress, server};
use crate::support::{Disk, Gate, REVISIONS, Wire, call, request, settle, text, until};

#[tokio::test(start_paused = true)]
async fn a_call_is_answered_with_an_error_after_what_it_said() {
    for revision in REVISIONS {
        let (disk, gate) = (Disk::new(), Gate::new());
        let wire = Wire::open(&endpoint(&gate, &disk), revision).await;
        let mut events = wire.call("seven", "gated", json!({ "before": 3, "after": 3 })).await;
        let seen = progress(&mut events, 3).await;
        gate.until_came(1).await;

        let disk = disk.reboot();
        let second = endpoint(&gate, &disk);
        let wire = wire.moved_to(&second);
        let rest = wire.resume(seen[0].id.as_ref().unwrap()).send().await.events().all().await;
        assert_eq!(rest.iter().filter_map(|event| event.progress()).collect::<Vec<_>>(), [2.0, 3.0]);
        assert_eq!((rest.len(), &rest[2].message), (3, &interrupted("seven")));
        assert!(disk.open_streams(wire.session_id()).is_empty(), "its stream has ended");
        let again = wire.resume(rest[2].id.as_ref().unwrap()).send().await.refusal().await;
        assert!(again.contains("The stream has ended"), "{again}");
        // Its id is free, and its call is over for good, as a third life shows.
        let answer = wire.post(call("seven", "echo", json!({ "text": "hi" }))).send().await;
        assert_eq!(text(&answer.events().message().await.message), "hi");
        let third = endpoint(&gate, &disk.reboot());
        assert_eq!(third.restore().await.unwrap().calls_failed, 0);
        let rest =
            wire.moved_to(&third).resume(seen[2].id.as_ref().unwrap()).send().await.events().all().await;
        assert_eq!((rest.len(), &rest[0].message), (1, &interrupted("seven")));
        gate.open(1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_priming_event_is_place_enough() {
    let (disk, gate) = (Disk::new(), Gate::new());
    let wire = Wire::open(&endpoint(&gate, &disk), Revision::V2025_11_25).await;
    let mut events = wire.call(1, "gated", json!({ "before": 0, "after": 0 })).await;
    let prime = events.next().await.unwrap();
    let wire = wire.moved_to(&endpoint(&gate, &disk.reboot()));
    let rest = wire.resume(&prime.id.unwrap()).send().await.events().all().await;
    assert_eq!((rest.len(), &rest[0].message), (1, &interrupted(1)));
}

#[tokio::test(start_paused = true)]
async fn of_a_batch_only_what_has_no_answer_gets_the_error() {
    let (disk, gate) = (Disk::new(), Gate::new());
    let wire = Wire::open(&endpoint(&gate, &disk), Revision::V2025_03_26).await;
    let batch = json!([
        call(1, "echo", json!({ "text": "at once" })),
        call(2, "gated", json!({ "before": 2, "after": 0 })),
        request(3, "logging/setLevel", json!({ "level": "debug" })),
        call(4, "gated", json!({ "before": 0, "after": 0 })),
        { "jsonrpc": "2.0", "id": 5, "method": 7 },
        { "jsonrpc": "2.0", "method": "notifications/initialized" },
    ]);
    let mut events = wire.post(batch).send().await.events();
    let first = events.message().await;
    let mut before = vec![first.message.clone()];
    while before.len() < 5 {
        before.push(events.message().await.message);
    }
    gate.until_came(2).await;

    let second = endpoint(&gate, &disk.reboot());
    assert_eq!(second.restore().await.unwrap().calls_failed, 2);
    let wire = wire.moved_to(&second);
    let rest = wire.resume(first.id.as_ref().unwrap()).send().await.events().all().await;
    let messages: Vec<Value> = rest.into_iter().map(|event| event.message).collect();
    assert_eq!(messages[..4], before[1..], "what was there is there");
    assert_eq!(messages[4..], [interrupted(2), interrupted(4)]);
    let mut events = wire.call(9, "chatty", json!({})).await;
    assert_eq!(events.message().await.message["params"]["data"], "psst", "the level was kept too");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_taken_back_gets_no_answer() {
    let (disk, gate) = (Disk::new(), Gate::new());
    let first = endpoint(&gate, &disk);
    let wire = Wire::open(&first, Revision::V2025_11_25).await;
    let mut events = wire.call(1, "stubborn", json!({})).await;
    let seen = progress(&mut events, 1).await;
    let cancel =
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } });
    wire.post(cancel).send().await;
    gate.until_came(1).await;
    settle().await;
    assert_eq!(first.in_flight(), 1, "its handler goes on");
    assert!(events.next().await.is_none(), "nothing more will come");

    let second = endpoint(&gate, &disk.reboot());
    assert_eq!(second.restore().await.unwrap().calls_failed, 0);
    let refusal = wire.moved_to(&second).resume(seen[0].id.as_ref().unwrap()).send().await.refusal().await;
    assert!(refusal.contains("The stream has ended"), "{refusal}");
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_stream_leaves_nothing() {
    let (disk, gate) = (Disk::new(), Gate::new());
    let first = builder(server(&gate), &disk).json_response(true).build();
    let wire = Wire::open(&first, Revision::V2025_11_25).await;
    let calling = wire.post(call(1, "gated", json!({ "before": 2, "after": 0 }))).start();
    gate.until_came(1).await;
    let second = endpoint(&gate, &disk.reboot());
    let report = second.restore().await.unwrap();
    assert_eq!(
        (report.sessions, report.calls_failed),
        (1, 0),
        "its client knows that the connection is lost"
    );
    calling.abort();
}

#[tokio::test(start_paused = true)]
async fn a_process_that_was_thought_dead_can_write_no_more() {
    let (disk, gate) = (Disk::new(), Gate::new());
    let first = endpoint(&gate, &disk);
    let wire = Wire::open(&first, Revision::V2025_11_25).await;
    let mut events = wire.call(1, "gated", json!({ "before": 1, "after": 1 })).await;
    let seen = progress(&mut events, 1).await;
    gate.until_came(1).await;

    // The same disk, still in the hands of the first.
    let second = endpoint(&gate, &disk);
    assert_eq!(second.restore().await.unwrap().calls_failed, 1);
    gate.open(1);
    until(|| first.in_flight() == 0).await;
    settle().await;
    let rest = wire.moved_to(&second).resume(seen[0].id.as_ref().unwrap()).send().await.events().all().await;
    assert_eq!((rest.len(), &rest[0].message), (1, &interrupted(1)));
}
