//! Taking a stream up again: from every place, and what cannot be had.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::request::Parts;
use serde_json::json;
use throughline::revision::Revision;
use throughline::store::{Limits, MemoryStore};
use throughline::{Principal, ResponseMode, StreamableHttp};

use crate::support::{Event, Gate, REVISIONS, Wire, call, kit, settle, text, until};

fn endpoint(gate: &Gate) -> StreamableHttp {
    StreamableHttp::builder(kit::server(gate)).response_mode(ResponseMode::Sse).build()
}

fn ids(events: &[Event]) -> Vec<&str> {
    events.iter().filter_map(|event| event.id.as_deref()).collect()
}

#[tokio::test(start_paused = true)]
async fn every_place_gives_exactly_what_follows() {
    let endpoint = endpoint(&Gate::new());
    for revision in REVISIONS {
        let wire = Wire::open(&endpoint, revision).await;
        let all = wire.call(1, "steps", json!({ "count": 20 })).await.all().await;
        assert_eq!(ids(&all).iter().collect::<HashSet<_>>().len(), all.len(), "ids are unique");
        for (at, event) in all.iter().enumerate().take(all.len() - 1) {
            let rest = wire.resume(event.id.as_deref().unwrap()).send().await.events().all().await;
            assert_eq!(ids(&rest), ids(&all[at + 1..]), "{revision} after {at}");
            let messages =
                |events: &[Event]| events.iter().map(|event| event.message.clone()).collect::<Vec<_>>();
            assert_eq!(messages(&rest), messages(&all[at + 1..]));
        }
    }
    assert_eq!(endpoint.counters().resumes_gone, 0);
}

#[tokio::test(start_paused = true)]
async fn a_lost_stream_is_taken_up_while_its_call_runs() {
    let gate = Gate::new();
    let wire = Wire::open(&endpoint(&gate), Revision::V2025_11_25).await;
    let mut events = wire.call(1, "gated", json!({ "before": 3, "after": 3 })).await;
    let prime = events.next().await.unwrap();
    assert_eq!(events.message().await.progress(), Some(1.0));
    drop(events);
    let mut resumed = wire.resume(&prime.id.unwrap()).send().await.events();
    for step in 1..=3 {
        assert_eq!(resumed.message().await.progress(), Some(f64::from(step)));
    }
    assert!(resumed.is_quiet().await, "replay goes over into waiting for what is new");
    gate.open(1);
    for step in 4..=6 {
        assert_eq!(resumed.message().await.progress(), Some(f64::from(step)));
    }
    assert_eq!(text(&resumed.message().await.message), "done");
    assert!(resumed.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_response_made_while_nobody_was_there_waits() {
    let gate = Gate::new();
    let endpoint = endpoint(&gate);
    let wire = Wire::open(&endpoint, Revision::V2025_06_18).await;
    let mut events = wire.call(1, "gated", json!({ "before": 1, "after": 1 })).await;
    let first = events.message().await;
    drop(events);
    gate.open(1);
    until(|| endpoint.in_flight() == 0).await;
    tokio::time::sleep(Duration::from_secs(9 * 60)).await;
    let rest = wire.resume(&first.id.clone().unwrap()).send().await.events().all().await;
    assert_eq!(rest[0].progress(), Some(2.0));
    assert_eq!(text(&rest[1].message), "done");
    // After its retention it is gone, and that is said.
    tokio::time::sleep(Duration::from_secs(2 * 60)).await;
    let error = wire.resume(&first.id.unwrap()).send().await.json().await["error"].clone();
    assert_eq!(error["data"]["lost"], 2, "{error}");
    let nothing = wire.resume(error["data"]["oldest"].as_str().unwrap()).send().await.refusal().await;
    insta::assert_snapshot!(nothing, @"400 -32600: The stream has ended and nothing follows the Last-Event-ID. Do not resume it.");
}

#[tokio::test(start_paused = true)]
async fn dropped_events_are_counted_and_the_rest_can_be_had() {
    let gate = Gate::new();
    let store = MemoryStore::new(Limits { stream_events: 8, ..Limits::default() });
    let endpoint = StreamableHttp::builder(kit::server(&gate)).event_store(store).build();
    let wire = Wire::open(&endpoint, Revision::V2025_11_25).await;
    let mut events = wire.call(1, "gated", json!({ "before": 1, "after": 50 })).await;
    let prime = events.next().await.unwrap().id.unwrap();
    drop(events);
    gate.open(1);
    until(|| endpoint.in_flight() == 0).await;
    let gone = wire.resume(&prime).send().await;
    assert_eq!(gone.status(), 400);
    let error = gone.json().await["error"].clone();
    insta::assert_snapshot!(error["message"].as_str().unwrap(), @"Events after the Last-Event-ID are no longer held. Resume from the oldest cursor in the data for the rest.");
    assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-32600), &json!("gone")));
    let lost = error["data"]["lost"].as_u64().unwrap();
    assert_eq!(lost, 52 - 8);
    let rest = wire.resume(error["data"]["oldest"].as_str().unwrap()).send().await.events().all().await;
    assert_eq!(rest.len() as u64 + lost, 52, "51 progress notifications and a result were sent");
    assert_eq!(rest[0].progress(), Some(lost as f64 + 1.0));
    assert_eq!(text(&rest.last().unwrap().message), "done", "a dropped notification never costs a result");
    assert_eq!(endpoint.counters().resumes_gone, 1);
}

/// A result that is still held is delivered, though notifications after it are gone.
#[tokio::test(start_paused = true)]
async fn what_is_held_before_a_hole_is_delivered_first() {
    let gate = Gate::new();
    let store = MemoryStore::new(Limits { stream_events: 4, ..Limits::default() });
    let endpoint = StreamableHttp::builder(kit::server(&gate)).event_store(store).build();
    let wire = Wire::open(&endpoint, Revision::V2025_03_26).await;
    let batch = json!([
        call(1, "gated", json!({ "before": 0, "after": 0 })),
        call(2, "gated", json!({ "before": 1, "after": 50 })),
    ]);
    let mut events = wire.post(batch).send().await.events();
    let first = events.next().await.unwrap().id.unwrap();
    drop(events);
    gate.open(1);
    until(|| endpoint.in_flight() == 1).await;
    gate.open(1);
    until(|| endpoint.in_flight() == 0).await;

    let held = wire.resume(&first).send().await.events().all().await;
    assert_eq!(text(&held[0].message), "done");
    let place = held[0].id.as_deref().unwrap();
    let gone = wire.resume(place).send().await.json().await["error"]["data"].clone();
    assert_eq!((&gone["reason"], &gone["lost"]), (&json!("gone"), &json!(48)), "{gone}");
    let rest = wire.resume(gone["oldest"].as_str().unwrap()).send().await.events().all().await;
    assert_eq!(rest.len(), 3);
    assert_eq!(text(&rest[2].message), "done");
}

/// A client that has no id yet cannot come back for what is held: it gets that, without what is gone.
#[tokio::test(start_paused = true)]
async fn what_is_gone_before_the_first_id_never_costs_the_result() {
    let gate = Gate::new();
    for mode in [ResponseMode::Adaptive, ResponseMode::Sse] {
        let store = MemoryStore::new(Limits { stream_events: 8, ..Limits::default() });
        let endpoint =
            StreamableHttp::builder(kit::server(&gate)).response_mode(mode).event_store(store).build();
        for revision in REVISIONS {
            let wire = Wire::open(&endpoint, revision).await;
            let unread = wire.call(1, "steps", json!({ "count": 50 })).await;
            until(|| endpoint.in_flight() == 0).await;
            let events = unread.all().await;
            let (id, last) = events.iter().fold((None, None), |(id, last), event| {
                (event.id.clone().or(id), (!event.message.is_null()).then_some(event).or(last))
            });
            if revision.primes() {
                let gone = wire.resume(&id.unwrap()).send().await.json().await;
                assert_eq!(gone["error"]["data"]["lost"], 43, "{gone}");
            } else {
                assert_eq!(text(&last.expect("the result").message), "done", "{revision}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn cursors_of_nobody() {
    let endpoint = endpoint(&Gate::new());
    let wire = Wire::open(&endpoint, Revision::V2025_11_25).await;
    let all = wire.call(1, "steps", json!({ "count": 2 })).await.all().await;
    let last = all.last().unwrap().id.clone().unwrap();
    insta::assert_snapshot!(wire.resume(&last).send().await.refusal().await, @"400 -32600: The stream has ended and nothing follows the Last-Event-ID. Do not resume it.");
    let (stem, sequence) = last.rsplit_once('-').unwrap();
    let beyond = format!("{stem}-{}", sequence.parse::<u64>().unwrap() + 1);
    insta::assert_snapshot!(wire.resume(&beyond).send().await.refusal().await, @"400 -32600: The Last-Event-ID is not an event id of this session. Open the stream without it.");
    let tag = stem.split('-').next().unwrap();
    let never = format!("{tag}-999-1");
    let upper = last.to_uppercase() + "A";
    let long = "x".repeat(257);
    for nonsense in
        ["nonsense", "1", "-", "00000000-0-0", &never, &upper, &long, "18446744073709551616", "%00"]
    {
        let answer = wire.resume(nonsense).send().await;
        assert_eq!(answer.status(), 400, "{nonsense}");
        assert_eq!(answer.json().await["error"]["code"], -32600);
    }
    let twice = wire.resume(&last).append("last-event-id", &last).send().await;
    assert_eq!(twice.status(), 400);
    let other = Wire::open(&endpoint, Revision::V2025_11_25).await;
    insta::assert_snapshot!(other.resume(all[0].id.as_deref().unwrap()).send().await.refusal().await, @"400 -32600: The Last-Event-ID is not an event id of this session. Open the stream without it.");
}

#[tokio::test(start_paused = true)]
async fn a_session_of_another_principal_does_not_exist() {
    let who = |parts: &Parts| {
        parts.headers.get("authorization").map(|who| Principal::new("test", who.to_str().unwrap()))
    };
    let endpoint = StreamableHttp::builder(kit::server(&Gate::new()))
        .response_mode(ResponseMode::Sse)
        .principal(who)
        .build();
    let wire = Wire::new(&endpoint).with("authorization", "ann");
    let hello = wire.post(crate::support::initialize(Revision::V2025_11_25, &json!({}))).send().await;
    let mut wire = wire;
    wire.adopt(&hello, Revision::V2025_11_25);
    let all = wire.call(1, "steps", json!({ "count": 2 })).await.all().await;
    let first = all[0].id.as_deref().unwrap();
    for other in ["bob", ""] {
        let wire = wire.clone().with("authorization", other);
        for sending in [wire.resume(first), wire.get(), wire.delete()] {
            assert_eq!(sending.send().await.status(), 404);
        }
        let ping = crate::support::request(9, "ping", json!({}));
        assert_eq!(wire.post(ping.clone()).send().await.status(), 404);
        assert_eq!(wire.post(ping).without("authorization").send().await.status(), 404);
    }
    assert_eq!(wire.resume(first).send().await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn the_newest_reader_takes_over() {
    let gate = Gate::new();
    let wire = Wire::open(&endpoint(&gate), Revision::V2025_11_25).await;
    let mut first = wire.call(1, "gated", json!({ "before": 2, "after": 1 })).await;
    let prime = first.next().await.unwrap().id.unwrap();
    let mut second = wire.resume(&prime).send().await.events();
    assert_eq!(second.message().await.progress(), Some(1.0));
    assert!(first.all().await.len() <= 2, "the older connection ends");
    gate.open(1);
    let rest = second.all().await;
    assert_eq!(text(&rest.last().unwrap().message), "done");
    assert_eq!(rest.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_handler_makes_its_client_come_back() {
    use throughline::{Context, tool};
    let gate = Gate::new();
    let waiting = gate.clone();
    let server = kit::server(&gate).tool(tool("poll", move |cx: Context| {
        let gate = waiting.clone();
        async move {
            let closed = cx.close_connection(Duration::from_millis(300));
            gate.pass().await;
            format!("closed: {closed}")
        }
    }));
    let endpoint = StreamableHttp::new(server);
    let wire = Wire::open(&endpoint, Revision::V2025_11_25).await;
    let events = wire.call(1, "poll", json!({})).await.all().await;
    assert!(events.iter().all(|event| event.message.is_null()), "{events:?}");
    assert_eq!(events.last().unwrap().retry, Some(Duration::from_millis(300)));
    let id = events.iter().rev().find_map(|event| event.id.clone()).expect("something to come back with");
    let mut resumed = wire.resume(&id).send().await.events();
    assert!(resumed.is_quiet().await);
    gate.open(2);
    assert_eq!(text(&resumed.message().await.message), "closed: true");
    assert!(resumed.next().await.is_none());
    // Earlier revisions give no id before the first message: there the connection stays.
    let wire = Wire::open(&endpoint, Revision::V2025_06_18).await;
    let answer = wire.post(crate::support::call(1, "poll", json!({}))).send().await;
    settle().await;
    assert_eq!(text(&answer.json().await), "closed: false");
}

#[tokio::test(start_paused = true)]
async fn the_client_comes_back_by_itself() {
    use throughline::{Context, Error, tool};
    let server = kit::server(&Gate::new()).tool(tool("poll", |cx: Context| async move {
        for step in 1..=3 {
            cx.progress(f64::from(step)).await?;
            assert!(cx.close_connection(Duration::from_secs(2)));
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        Ok::<_, Error>("polled")
    }));
    let endpoint = StreamableHttp::new(server);
    let client = crate::support::client(&endpoint).await.unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&heard);
    let result = client
        .call_tool("poll", &())
        .on_progress(move |progress| hears.lock().unwrap().push(progress.progress))
        .await
        .unwrap();
    assert_eq!(result.content[0].as_text(), Some("polled"));
    assert_eq!(*heard.lock().unwrap(), [1.0, 2.0, 3.0]);
    assert!(endpoint.counters().resumes >= 3, "{:?}", endpoint.counters());
}
