//! What of a session a restart leaves as it was.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::request::Parts;
use serde_json::{Value, json};
use throughline::revision::Revision;
use throughline::store::{Epoch, SessionStore};
use throughline::{Closed, Principal, Restored, StoreFailure, StreamableHttp};

use super::{builder, endpoint, progress, server};
use crate::support::{Disk, Gate, REVISIONS, Wire, call, initialize, kit, request, settle, text, until};

async fn ask(wire: &Wire, id: i64, method: &str, params: Value) -> Value {
    wire.post(request(id, method, params)).send().await.events().message().await.message
}

#[tokio::test(start_paused = true)]
async fn a_session_is_as_it_was() {
    let gate = Gate::new();
    for revision in REVISIONS {
        let disk = Disk::new();
        let first = endpoint(&gate, &disk);
        let wire = Wire::open(&first, revision).await;
        ask(&wire, 1, "logging/setLevel", json!({ "level": "debug" })).await;
        ask(&wire, 2, "resources/subscribe", json!({ "uri": "it://news" })).await;
        ask(&wire, 3, "resources/subscribe", json!({ "uri": "it://else" })).await;
        ask(&wire, 4, "resources/unsubscribe", json!({ "uri": "it://else" })).await;

        let disk = disk.reboot();
        let demo = server(&gate);
        let second = builder(demo.clone(), &disk).build();
        let wire = wire.moved_to(&second);
        // No `restore`: the first request has it done.
        let mut events = wire.call(5, "chatty", json!({})).await;
        assert_eq!(events.message().await.message["params"]["data"], "psst", "the level holds");
        assert_eq!(text(&events.message().await.message), "said");
        let mut standalone = wire.get().send().await.events();
        assert_eq!((demo.resource_updated("it://news"), demo.resource_updated("it://else")), (1, 0));
        assert_eq!(standalone.message().await.message["params"]["uri"], "it://news");
        let counters = second.counters();
        assert_eq!((counters.sessions_opened, counters.sessions_restored, second.sessions()), (0, 1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn what_happened_is_told_once_and_the_same_each_time() {
    let disk = Disk::new();
    let gate = Gate::new();
    let first = endpoint(&gate, &disk);
    let wires = [Wire::open(&first, REVISIONS[2]).await, Wire::open(&first, REVISIONS[2]).await];
    let mut running = wires[0].call(1, "gated", json!({ "before": 1, "after": 0 })).await;
    progress(&mut running, 1).await;

    let restored = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&restored);
    let second = builder(server(&gate), &disk.reboot())
        .on_session_opened(|_| panic!("none is opened"))
        .on_session_restored(move |session| {
            assert!(session.caller().client().is_some());
            counting.fetch_add(1, Ordering::SeqCst);
        })
        .build();
    for _ in 0..2 {
        let report = second.restore().await.unwrap();
        assert_eq!((report.sessions, report.calls_failed, report.calls_run_again), (2, 1, 0));
        assert_eq!((report.sessions_without_room, report.sessions_unreadable), (0, 0));
        assert_eq!(restored.load(Ordering::SeqCst), 2);
    }
    assert_eq!(second.counters().calls_interrupted, 1);

    let forgetful = StreamableHttp::new(server(&gate));
    assert_eq!(forgetful.restore().await.unwrap(), Restored::default());
    let stateless = builder(server(&gate), &disk.reboot().reboot()).stateless_http(true).build();
    assert_eq!(stateless.restore().await.unwrap(), Restored::default(), "it has no sessions to go on with");
}

#[tokio::test(start_paused = true)]
async fn a_session_stays_with_its_principal() {
    let who = |parts: &Parts| {
        let name = parts.headers.get("x-user")?.to_str().ok()?.to_owned();
        Some(Principal { client: Some("app".into()), ..Principal::new("test", name) })
    };
    let (disk, gate) = (Disk::new(), Gate::new());
    let first = builder(server(&gate), &disk).principal(who).build();
    let opening = Wire::new(&first).with("x-user", "ada");
    let answer = opening.post(initialize(Revision::V2025_11_25, &json!({}))).send().await;
    let mut ada = opening;
    ada.adopt(&answer, Revision::V2025_11_25);

    let second = builder(server(&gate), &disk.reboot()).principal(who).build();
    let ada = ada.moved_to(&second);
    assert_eq!(ada.post(request(1, "ping", json!({}))).send().await.status(), 200);
    for stranger in [ada.clone().with("x-user", "eve").post(request(2, "ping", json!({})))] {
        assert_eq!(stranger.send().await.status(), 404);
    }
    let without = ada.post(request(3, "ping", json!({}))).without("x-user").send().await;
    assert_eq!(without.status(), 404, "nobody is somebody else too");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ended_stays_ended() {
    let (disk, gate) = (Disk::new(), Gate::new());
    let first =
        builder(kit::server(&gate), &disk).max_sessions(2).idle_timeout(Duration::from_secs(60)).build();
    let idle = Wire::open(&first, REVISIONS[2]).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    until(|| first.sessions() == 0).await;
    let deleted = Wire::open(&first, REVISIONS[2]).await;
    // The answer says that it is gone for good, so it waits for the disk.
    disk.hold();
    let deleting = deleted.delete().start();
    settle().await;
    assert!(!deleting.is_finished());
    disk.release();
    assert_eq!(deleting.await.unwrap().status(), 204);
    let mut unused = Wire::new(&first);
    let answer = unused.post(initialize(Revision::V2025_11_25, &json!({}))).send().await;
    unused.adopt(&answer, Revision::V2025_11_25);
    let others = [Wire::open(&first, REVISIONS[2]).await, Wire::open(&first, REVISIONS[2]).await];

    let second = endpoint(&gate, &disk.reboot());
    assert_eq!(second.restore().await.unwrap().sessions, 2);
    for gone in [idle, deleted, unused] {
        assert_eq!(gone.moved_to(&second).post(request(1, "ping", json!({}))).send().await.status(), 404);
    }
    for other in others {
        assert_eq!(other.moved_to(&second).post(request(1, "ping", json!({}))).send().await.status(), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_could_not_be_forgotten_is_tried_again() {
    let (disk, gate) = (Disk::new(), Gate::new());
    let first = endpoint(&gate, &disk);
    let gone = [Wire::open(&first, REVISIONS[2]).await, Wire::open(&first, REVISIONS[2]).await];
    disk.fail(true);
    for wire in &gone {
        assert_eq!(wire.delete().send().await.status(), 204);
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (full, failures) = (disk.sessions_kept(), disk.flushes());
    disk.fail(false);
    until(|| disk.sessions_kept() == 0).await;
    assert_eq!((full, first.sessions()), (2, 0));
    assert!(failures < 2 + 2 + 2 + 8, "one is tried in a second, and not all: {failures}");
    assert_eq!(endpoint(&gate, &disk.reboot()).restore().await.unwrap().sessions, 0);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_leaves_sessions_and_what_it_cut_short() {
    let (disk, gate) = (Disk::new(), Gate::new());
    let first =
        builder(server(&gate), &disk).on_session_closed(|_, why| assert_eq!(why, Closed::Shutdown)).build();
    let wire = Wire::open(&first, REVISIONS[2]).await;
    let mut events = wire.call(1, "gated", json!({ "before": 1, "after": 0 })).await;
    let seen = progress(&mut events, 1).await;
    first.drain(Duration::from_secs(1)).await;
    let rest = events.all().await;
    assert!(rest.iter().all(|event| event.message.is_null()), "no answer: {rest:?}");
    assert_eq!(disk.open_streams(wire.session_id()).len(), 1, "its stream has not ended");
    let late = wire.post(request(2, "ping", json!({}))).send().await.refusal().await;
    insta::assert_snapshot!(late, @"503 -32603: The server is shutting down. Try again later.");

    let second = endpoint(&gate, &disk.reboot());
    let wire = wire.moved_to(&second);
    let rest = wire.resume(seen[0].id.as_ref().unwrap()).send().await.events().all().await;
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0].message, super::interrupted(1));
}

#[tokio::test(start_paused = true)]
async fn with_less_room_those_stay_that_matter_most() {
    let (disk, gate) = (Disk::new(), Gate::new());
    let first = endpoint(&gate, &disk);
    let mut wires = Vec::new();
    for _ in 0..4 {
        let mut unused = Wire::new(&first);
        let answer = unused.post(initialize(Revision::V2025_11_25, &json!({}))).send().await;
        unused.adopt(&answer, Revision::V2025_11_25);
        wires.push(unused);
    }
    let ready = Wire::open(&first, REVISIONS[2]).await;
    let busy = Wire::open(&first, REVISIONS[2]).await;
    let mut running = busy.call(1, "gated", json!({ "before": 1, "after": 0 })).await;
    progress(&mut running, 1).await;

    let disk = disk.reboot();
    let second = builder(server(&gate), &disk).max_sessions(2).build();
    let report = second.restore().await.unwrap();
    assert_eq!((report.sessions, report.sessions_without_room, report.calls_failed), (2, 4, 1));
    for (wire, status) in wires.iter().map(|wire| (wire, 404)).chain([(&ready, 200), (&busy, 200)]) {
        let answer = wire.moved_to(&second).post(request(9, "ping", json!({}))).send().await;
        assert_eq!(answer.status(), status);
    }
    let third = endpoint(&gate, &disk.reboot());
    assert_eq!(third.restore().await.unwrap().sessions, 2, "the others were forgotten");
}

#[tokio::test(start_paused = true)]
async fn an_unused_session_makes_room_after_a_restart_too() {
    let (disk, gate) = (Disk::new(), Gate::new());
    let first = endpoint(&gate, &disk);
    let mut unused = Wire::new(&first);
    let answer = unused.post(initialize(Revision::V2025_11_25, &json!({}))).send().await;
    unused.adopt(&answer, Revision::V2025_11_25);
    let second = builder(server(&gate), &disk.reboot()).max_sessions(1).build();
    let wire = Wire::open(&second, REVISIONS[2]).await;
    assert_eq!(wire.post(request(1, "ping", json!({}))).send().await.status(), 200);
    assert_eq!(unused.moved_to(&second).post(request(1, "ping", json!({}))).send().await.status(), 404);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_read_is_left_alone() {
    let (disk, gate) = (Disk::new(), Gate::new());
    let wire = Wire::open(&endpoint(&gate, &disk), REVISIONS[2]).await;
    let later =
        r#"{"session":{"protocolVersion":"2099-01-01","capabilities":{},"initialized":true,"tag":1}}"#;
    for (id, record) in [("a", "nonsense"), ("b", later)] {
        disk.save(&id.into(), Epoch(3), record.into()).await.unwrap();
    }
    let disk = disk.reboot();
    let second = endpoint(&gate, &disk);
    let report = second.restore().await.unwrap();
    assert_eq!((report.sessions, report.sessions_unreadable), (1, 2));
    assert_eq!(wire.moved_to(&second).post(request(1, "ping", json!({}))).send().await.status(), 200);
    let third = endpoint(&gate, &disk.reboot());
    assert_eq!(third.restore().await.unwrap().sessions_unreadable, 2, "a later version may read them");
}

#[tokio::test(start_paused = true)]
async fn no_session_is_denied_while_the_store_cannot_be_read() {
    let (disk, gate) = (Disk::new(), Gate::new());
    let wire = Wire::open(&endpoint(&gate, &disk), REVISIONS[2]).await;
    let disk = disk.reboot();
    disk.fail(true);
    let second = endpoint(&gate, &disk);
    let error = second.restore().await.unwrap_err();
    assert_eq!(
        (error.to_string(), std::error::Error::source(&error).unwrap().to_string()),
        (
            "the sessions of the event store could not be restored; check the store and try again".into(),
            "the disk is full".into()
        )
    );
    let wire = wire.moved_to(&second);
    let refusal = wire.post(request(1, "ping", json!({}))).send().await.refusal().await;
    insta::assert_snapshot!(refusal, @"503 -32603: The server cannot read or keep its sessions at the moment. Try again later.");
    let opening = Wire::new(&second).post(initialize(Revision::V2025_11_25, &json!({}))).send().await;
    assert_eq!(opening.status(), 503);
    assert_eq!(opening.header("retry-after"), "2");
    disk.fail(false);
    assert_eq!(wire.post(request(1, "ping", json!({}))).send().await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_calls_cannot_be_settled_waits_for_the_store() {
    let (disk, gate) = (Disk::new(), Gate::new());
    let first = endpoint(&gate, &disk);
    let (busy, free) = (Wire::open(&first, REVISIONS[2]).await, Wire::open(&first, REVISIONS[2]).await);
    let mut events = busy.call(1, "gated", json!({ "before": 1, "after": 0 })).await;
    let seen = progress(&mut events, 1).await;
    let disk = disk.reboot();
    let second = endpoint(&gate, &disk);
    // The records can be read, and then the disk is full.
    disk.hold();
    let restoring = second.clone();
    let restoring = tokio::spawn(async move { restoring.restore().await });
    settle().await;
    disk.fail(true);
    disk.release();
    assert!(restoring.await.unwrap().is_err());
    let busy = busy.moved_to(&second);
    assert_eq!(busy.post(request(2, "ping", json!({}))).send().await.status(), 503);
    assert_eq!(free.moved_to(&second).post(request(2, "ping", json!({}))).send().await.status(), 200);
    disk.fail(false);
    let rest = busy.resume(seen[0].id.as_ref().unwrap()).send().await.events().all().await;
    assert_eq!(rest[0].message, super::interrupted(1));
    assert_eq!(second.restore().await.unwrap().sessions, 2);
}

#[tokio::test(start_paused = true)]
async fn the_standalone_stream_goes_on_after_its_head() {
    let (disk, gate) = (Disk::new(), Gate::new());
    let demo = server(&gate);
    let first = builder(demo.clone(), &disk).build();
    let (heard, unheard) = (Wire::open(&first, REVISIONS[2]).await, Wire::open(&first, REVISIONS[2]).await);
    let tell = |server: &throughline::Server, n: u32| {
        server.notify_all("notifications/n", &json!({ "n": n })).unwrap()
    };
    let numbers = |events: &[Value]| {
        events.iter().map(|event| event["params"]["n"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let mut standalone = heard.get().send().await.events();
    standalone.next().await.unwrap();
    assert_eq!(tell(&demo, 1), 2);
    let one = standalone.message().await;
    drop(standalone);
    assert_eq!(tell(&demo, 2), 2);
    settle().await;

    let demo = server(&gate);
    let second = builder(demo.clone(), &disk.reboot()).build();
    second.restore().await.unwrap();
    assert_eq!(tell(&demo, 3), 2);
    settle().await;
    let (heard, unheard) = (heard.moved_to(&second), unheard.moved_to(&second));
    let mut resumed = heard.resume(one.id.as_ref().unwrap()).send().await.events();
    assert_eq!(numbers(&resumed.now().await.0), [2, 3], "with its place a client misses nothing");
    let mut anew = heard.get().send().await.events();
    anew.next().await.unwrap();
    assert_eq!(tell(&demo, 4), 2);
    settle().await;
    assert_eq!(numbers(&anew.now().await.0), [4]);
    let mut late = unheard.get().send().await.events();
    late.next().await.unwrap();
    assert_eq!(numbers(&late.now().await.0), [1, 2, 3, 4], "who never heard anything hears it all");
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_a_question_of_an_earlier_life_is_nobodys() {
    let (disk, gate) = (Disk::new(), Gate::new());
    let first = endpoint(&gate, &disk);
    let wire = Wire::open_with(&first, REVISIONS[2], json!({ "roots": {} })).await;
    let mut events = wire.call(1, "curious", json!({})).await;
    let question = events.message().await;
    assert_eq!(question.message["method"], "roots/list");

    let second = endpoint(&gate, &disk.reboot());
    let wire = wire.moved_to(&second);
    let answer = json!({ "jsonrpc": "2.0", "id": question.message["id"], "result": { "roots": [] } });
    assert_eq!(wire.post(answer).send().await.status(), 202);
    assert_eq!(second.counters().responses_unexpected, 1);
    let rest = wire.resume(question.id.as_ref().unwrap()).send().await.events().all().await;
    assert_eq!(rest[0].message, super::interrupted(1));
    // A new question has a number that no life before it used.
    let mut events = wire.call(2, "curious", json!({})).await;
    let question = events.message().await.message;
    assert_eq!(question["id"], (1_u64 << 32) + 1);
    wire.post(json!({ "jsonrpc": "2.0", "id": question["id"], "result": { "roots": [] } })).send().await;
    assert_eq!(text(&events.message().await.message), "0 roots");
}

#[tokio::test(start_paused = true)]
async fn no_answer_overtakes_what_it_says() {
    let (disk, gate) = (Disk::new(), Gate::new());
    let first = endpoint(&gate, &disk);
    disk.hold();
    let opening = Wire::new(&first).post(initialize(Revision::V2025_11_25, &json!({}))).start();
    settle().await;
    assert!(!opening.is_finished(), "a session is kept before its client hears of it");
    disk.release();
    let mut wire = Wire::new(&first);
    wire.adopt(&opening.await.unwrap(), Revision::V2025_11_25);
    for (method, params) in [
        ("logging/setLevel", json!({ "level": "debug" })),
        ("resources/subscribe", json!({ "uri": "it://news" })),
        ("resources/unsubscribe", json!({ "uri": "it://news" })),
    ] {
        disk.hold();
        let asking = wire.post(request(1, method, params.clone())).start();
        settle().await;
        assert!(!asking.is_finished(), "{method}");
        disk.release();
        let flushes = disk.flushes();
        assert_eq!(asking.await.unwrap().status(), 200);
        // The record, and the answer.
        assert_eq!(disk.flushes() - flushes, 2, "{method}");
        let answer = ask(&wire, 2, method, params).await;
        assert_eq!(answer["result"], json!({}));
        assert_eq!(disk.flushes() - flushes, 3, "{method}: what changes nothing is not saved again");
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_kept_is_refused_or_goes_on_unkept() {
    let gate = Gate::new();
    let disk = Disk::new();
    let strict = builder(server(&gate), &disk).json_response(true).build();
    let wire = Wire::open(&strict, REVISIONS[2]).await;
    disk.fail(true);
    let opening = Wire::new(&strict).post(initialize(Revision::V2025_11_25, &json!({}))).send().await;
    insta::assert_snapshot!(opening.refusal().await, @"503 -32603: The server cannot read or keep its sessions at the moment. Try again later.");
    assert_eq!(strict.sessions(), 1);
    let set = |level: &str| wire.post(request(1, "logging/setLevel", json!({ "level": level }))).send();
    let answer = set("debug").await.json().await;
    insta::assert_snapshot!(answer["error"]["message"].as_str().unwrap(), @"the server could not keep this change, so a restart would forget it; try again");
    assert_eq!(answer["error"]["code"], -32603);
    assert_eq!(strict.counters().store_failures, 2);
    disk.fail(false);
    assert_eq!(set("debug").await.json().await["result"], json!({}), "the same once more is kept");

    let disk = Disk::new();
    disk.fail(true);
    let lenient = builder(server(&gate), &disk)
        .json_response(true)
        .on_store_failure(StoreFailure::GoUnresumable)
        .build();
    disk.fail(false);
    lenient.restore().await.unwrap();
    disk.fail(true);
    let wire = Wire::open(&lenient, REVISIONS[2]).await;
    let answer = wire.post(call(1, "echo", json!({ "text": "hi" }))).send().await.json().await;
    assert_eq!(text(&answer), "hi");
}
