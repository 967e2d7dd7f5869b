//! The stream that belongs to no request: what goes there, and how it is read.

use serde_json::{Value, json};
use throughline::revision::Revision;
use throughline::session::ProgressRoute;
use throughline::store::{EventStore, Limits, MemoryStore};
use throughline::{Context, Error, RawQuestion, Roots, Server, StreamableHttp, resource, tool};

use crate::support::{Gate, REVISIONS, Wire, call, kit, request, text, within};

fn method(message: &Value) -> &str {
    message["method"].as_str().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn it_gives_what_was_never_written_and_then_what_comes() {
    let server = kit::server(&Gate::new());
    let endpoint = StreamableHttp::new(server.clone());
    for revision in REVISIONS {
        let wire = Wire::open(&endpoint, revision).await;
        for number in 1..=3 {
            server
                .notify_where(
                    |peer| peer.session.is_some_and(|session| session.id().as_str() == wire.session_id()),
                    "it/n",
                    &json!({ "n": number }),
                )
                .unwrap();
        }
        let mut stream = wire.get().send().await.events();
        let prime = if revision.primes() { stream.next().await } else { None };
        assert!(
            prime.is_none_or(|prime| prime.message.is_null() && prime.id.is_some() && prime.retry.is_some())
        );
        for number in 1..=3 {
            assert_eq!(stream.message().await.message["params"]["n"], number);
        }
        server.notify_all("it/n", &json!({ "n": 4 })).unwrap();
        let fourth = stream.message().await;
        assert_eq!(fourth.message["params"]["n"], 4);
        drop(stream);
        // What was written is not written again ..
        server.notify_all("it/n", &json!({ "n": 5 })).unwrap();
        let mut again = wire.get().send().await.events();
        assert_eq!(again.message().await.message["params"]["n"], 5);
        // .. unless the client says that it did not get it.
        let mut resumed = wire.resume(&fourth.id.unwrap()).send().await.events();
        assert_eq!(resumed.message().await.message["params"]["n"], 5);
        assert!(again.next().await.is_none(), "the newest reader takes over");
        assert!(resumed.is_quiet().await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_has_an_id_is_told_what_it_lost() {
    let server = kit::server(&Gate::new());
    let store = MemoryStore::new(Limits { stream_events: 8, ..Limits::default() });
    let endpoint = StreamableHttp::builder(server.clone()).event_store(store).build();
    for revision in REVISIONS {
        let wire = Wire::open(&endpoint, revision).await;
        let mut stream = wire.get().send().await.events();
        server.notify_all("it/n", &json!({ "n": 1 })).unwrap();
        let first = stream.message().await;
        for number in 2..=21 {
            server.notify_all("it/n", &json!({ "n": number })).unwrap();
        }
        while let Some(event) = stream.next().await {
            assert!(event.message.is_null(), "nothing is skipped: {event:?}");
        }
        let gone = wire.resume(&first.id.unwrap()).send().await.json().await;
        assert_eq!(gone["error"]["data"]["lost"], 12, "{gone}");
        let oldest = gone["error"]["data"]["oldest"].as_str().unwrap();
        let mut resumed = wire.resume(oldest).send().await.events();
        assert_eq!(resumed.message().await.message["params"]["n"], 14);
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_get_takes_over() {
    let wire = Wire::open(&StreamableHttp::new(kit::server(&Gate::new())), Revision::V2025_11_25).await;
    let mut first = wire.get().send().await.events();
    assert!(first.next().await.is_some());
    let mut second = wire.get().send().await.events();
    assert!(second.next().await.is_some());
    assert!(first.next().await.is_none());
    assert!(second.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn changed_lists_are_announced_to_all() {
    let server = kit::server(&Gate::new());
    let endpoint = StreamableHttp::new(server.clone());
    let wire = Wire::open(&endpoint, Revision::V2025_11_25).await;
    let mut stream = wire.get().send().await.events();
    server.add_tool(tool("more", || async { "more" })).unwrap();
    assert_eq!(method(&stream.message().await.message), "notifications/tools/list_changed");
    assert_eq!(text(&wire.post(call(1, "more", json!({}))).send().await.json().await), "more");
    assert!(server.add_tool(tool("more", || async { "again" })).is_err());
    assert!(server.remove_tool("more") && !server.remove_tool("more"));
    assert_eq!(method(&stream.message().await.message), "notifications/tools/list_changed");
    let gone = wire.post(call(2, "more", json!({}))).send().await.json().await;
    assert_eq!(gone["error"]["code"], -32602);
    server.add_prompt(throughline::prompt("p", || async { "p" })).unwrap();
    assert_eq!(method(&stream.message().await.message), "notifications/prompts/list_changed");
    server.add_resource(resource("it://r", "r", || async { "r" })).unwrap();
    assert_eq!(method(&stream.message().await.message), "notifications/resources/list_changed");
    assert!(stream.is_quiet().await, "what changed nothing was not announced");
}

#[tokio::test(start_paused = true)]
async fn only_subscribers_hear_of_a_resource() {
    let server = Server::new("it", "1").resource(resource("it://a", "a", || async { "a" }));
    let endpoint = StreamableHttp::new(server.clone());
    let (one, other) = (
        Wire::open(&endpoint, Revision::V2025_11_25).await,
        Wire::open(&endpoint, Revision::V2025_06_18).await,
    );
    let subscribe = |method: &str| request(1, &format!("resources/{method}"), json!({ "uri": "it://a" }));
    assert_eq!(one.post(subscribe("subscribe")).send().await.json().await["result"], json!({}));
    let (mut ones, mut others) = (one.get().send().await.events(), other.get().send().await.events());
    assert_eq!(server.resource_updated("it://a"), 1);
    assert_eq!(server.resource_updated("it://b"), 0);
    let updated = ones.message().await.message;
    assert_eq!(
        (method(&updated), &updated["params"]["uri"]),
        ("notifications/resources/updated", &json!("it://a"))
    );
    assert!(others.is_quiet().await);
    assert_eq!(one.post(subscribe("unsubscribe")).send().await.json().await["result"], json!({}));
    assert_eq!(server.resource_updated("it://a"), 0);
    assert!(ones.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_reaches_the_chosen() {
    let server = kit::server(&Gate::new());
    let endpoint = StreamableHttp::new(server.clone());
    let old = Wire::open(&endpoint, Revision::V2025_03_26).await;
    let new = Wire::open(&endpoint, Revision::V2025_11_25).await;
    let (mut olds, mut news) = (old.get().send().await.events(), new.get().send().await.events());
    let reached =
        server.notify_where(|info| info.caller.revision().primes(), "it/hello", &json!({ "a": 1 })).unwrap();
    assert_eq!(reached, 1);
    assert_eq!(news.message().await.message["params"], json!({ "a": 1 }));
    assert_eq!(server.notify_all("it/all", &json!({})).unwrap(), 2);
    assert_eq!(method(&news.message().await.message), "it/all");
    assert_eq!(method(&olds.message().await.message), "it/all", "the first was not for it");
    drop((olds, news));
    assert_eq!(old.delete().send().await.status(), 204);
    assert_eq!(server.notify_all("it/all", &json!({})).unwrap(), 1);
}

fn routed() -> (StreamableHttp, Gate) {
    let gate = Gate::new();
    let endpoint =
        StreamableHttp::builder(kit::server(&gate)).progress_route(ProgressRoute::Standalone).build();
    (endpoint, gate)
}

#[tokio::test(start_paused = true)]
async fn progress_can_take_the_standalone_stream() {
    let (endpoint, _) = routed();
    let wire = Wire::open(&endpoint, Revision::V2025_11_25).await;
    let mut stream = wire.get().send().await.events();
    assert!(stream.next().await.is_some());
    let sending = wire.post(call(1, "steps", json!({ "count": 3 }))).start();
    for step in 1..=3 {
        assert_eq!(stream.message().await.progress(), Some(f64::from(step)));
    }
    assert_eq!(
        text(&sending.await.unwrap().json().await),
        "done",
        "nothing else came on the call's own stream"
    );
}

#[tokio::test(start_paused = true)]
async fn a_result_never_overtakes_its_progress() {
    let (endpoint, _) = routed();
    let wire = Wire::open(&endpoint, Revision::V2025_11_25).await;
    let mut stream = wire.get().send().await.events();
    assert!(stream.next().await.is_some());
    let mut events = wire.post(call(1, "steps", json!({ "count": 3 }))).send().await.events();
    assert!(events.next().await.unwrap().message.is_null(), "the prime");
    assert!(events.is_quiet().await, "the result waits until its progress was written");
    for step in 1..=3 {
        assert_eq!(stream.message().await.progress(), Some(f64::from(step)));
    }
    assert_eq!(text(&events.message().await.message), "done");
}

#[tokio::test(start_paused = true)]
async fn progress_falls_back_to_its_own_stream() {
    let (endpoint, gate) = routed();
    let wire = Wire::open(&endpoint, Revision::V2025_11_25).await;
    // Nobody opened the standalone stream.
    let events = wire.call(1, "steps", json!({ "count": 2 })).await.all().await;
    assert_eq!(events.iter().filter_map(|event| event.progress()).collect::<Vec<_>>(), [1.0, 2.0]);
    // It goes away in the middle of a call.
    let mut stream = wire.get().send().await.events();
    assert!(stream.next().await.is_some());
    let sending = wire.post(call(2, "gated", json!({ "before": 1, "after": 1 }))).start();
    assert_eq!(stream.message().await.progress(), Some(1.0));
    drop(stream);
    gate.open(1);
    let events = sending.await.unwrap().events().all().await;
    assert_eq!(events.iter().filter_map(|event| event.progress()).collect::<Vec<_>>(), [2.0]);
    assert_eq!(text(&events.last().unwrap().message), "done");
}

/// Progress that the store gave up while nobody read it is waited for by nobody.
#[tokio::test(start_paused = true)]
async fn a_result_does_not_wait_for_progress_that_is_gone() {
    let gate = Gate::new();
    let server = kit::server(&gate).tool(tool("fill", |cx: Context| async move {
        let question = RawQuestion::new("ping", &json!({ "pad": "x".repeat(850) }))?;
        cx.ask(question).await.map(|_| "filled").map_err(Error::from)
    }));
    let store = MemoryStore::new(Limits { session_bytes: 2_000, ..Limits::default() });
    let endpoint = StreamableHttp::builder(server)
        .event_store(store.clone())
        .progress_route(ProgressRoute::Standalone)
        .build();
    for revision in REVISIONS {
        let wire = Wire::open(&endpoint, revision).await;
        let unread = wire.get().send().await;
        let sending = wire.post(call(1, "gated", json!({ "before": 1, "after": 0 }))).start();
        gate.until_came(gate.went() + 1).await;
        drop(unread);
        let questions = [2, 3].map(|id| wire.post(call(id, "fill", json!({}))).send());
        for question in questions {
            assert_eq!(question.await.status(), 200);
        }
        assert_eq!(store.usage().events, 2, "the questions alone are held");
        let mut stream = wire.get().send().await.events();
        let prime = if revision.primes() { stream.next().await } else { None };
        assert!(prime.is_none_or(|prime| prime.message.is_null()) && stream.is_quiet().await);
        gate.open(1);
        let answer = sending.await.unwrap();
        let result = match answer.header("content-type") {
            "application/json" => answer.json().await,
            // A response without its result goes on with comments for ever.
            _ => within(async { answer.events().message().await }).await.message,
        };
        assert_eq!(text(&result), "done");
        assert_eq!(wire.delete().send().await.status(), 204);
    }
}

/// A server whose tool gives its session away, and asks it later, outside the call.
fn asking_outside(handles: tokio::sync::mpsc::UnboundedSender<throughline::SessionHandle>) -> Server {
    Server::new("it", "1").tool(tool("leave", move |cx: Context| {
        let session = cx.session().expect("a session").clone();
        handles.send(session).expect("the test listens");
        async { "left" }
    }))
}

#[tokio::test(start_paused = true)]
async fn a_session_can_be_asked_outside_a_call() {
    let (give, mut take) = tokio::sync::mpsc::unbounded_channel();
    let endpoint = StreamableHttp::new(asking_outside(give));
    let wire = Wire::open_with(&endpoint, Revision::V2025_11_25, json!({ "roots": {} })).await;
    assert_eq!(text(&wire.post(call(1, "leave", json!({}))).send().await.json().await), "left");
    let session = take.recv().await.unwrap();
    let asking = {
        let session = session.clone();
        tokio::spawn(async move { session.ask(Roots).await })
    };
    // It waits for the stream to be opened.
    crate::support::settle().await;
    let mut stream = wire.get().send().await.events();
    let ask = stream.message().await.message;
    assert_eq!(method(&ask), "roots/list");
    let answer =
        json!({ "jsonrpc": "2.0", "id": ask["id"], "result": { "roots": [{ "uri": "file:///x" }] } });
    assert_eq!(wire.post(answer).send().await.status(), 202);
    assert_eq!(&*within(asking).await.unwrap().unwrap()[0].uri, "file:///x");

    session.notify("it/custom", &json!({ "b": 2 })).await.unwrap();
    assert_eq!(
        stream.message().await.message,
        json!({ "jsonrpc": "2.0", "method": "it/custom", "params": { "b": 2 } })
    );
    session.elicitation_complete("e-1").await.unwrap();
    assert_eq!(method(&stream.message().await.message), "notifications/elicitation/complete");

    // Nobody answers: the question is taken back when its time is up.
    let asking = {
        let session = session.clone();
        let ping = RawQuestion::new("ping", &json!({})).unwrap();
        tokio::spawn(async move { session.ask(ping).timeout(std::time::Duration::from_secs(20)).await })
    };
    let ping = stream.message().await.message;
    assert!(within(asking).await.unwrap().unwrap_err().is_timeout());
    let back = stream.message().await.message;
    assert_eq!((method(&back), &back["params"]["requestId"]), ("notifications/cancelled", &ping["id"]));

    // The session ends: what waits is told, and nothing can be sent any more.
    let asking = {
        let session = session.clone();
        tokio::spawn(async move { session.ask(Roots).await })
    };
    assert_eq!(method(&stream.message().await.message), "roots/list");
    assert_eq!(wire.delete().send().await.status(), 204);
    assert!(within(asking).await.unwrap().unwrap_err().is_call_over());
    assert!(session.ask(Roots).await.unwrap_err().is_call_over());
    assert!(session.notify("it/custom", &json!({})).await.is_err());
    assert!(stream.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_call_never_uses_the_standalone_stream() {
    let server = Server::new("it", "1").tool(tool("chatty", |cx: Context| async move {
        cx.log(throughline::model::LoggingLevel::Error, "one").await?;
        cx.notify("it/custom", &json!({})).await?;
        cx.progress(1.0).await?;
        Ok::<_, Error>("done")
    }));
    let wire = Wire::open(&StreamableHttp::new(server), Revision::V2025_11_25).await;
    let mut stream = wire.get().send().await.events();
    assert!(stream.next().await.is_some());
    let events = wire.call(1, "chatty", json!({})).await.all().await;
    let methods: Vec<&str> =
        events.iter().map(|event| method(&event.message)).filter(|method| !method.is_empty()).collect();
    assert_eq!(methods, ["notifications/message", "it/custom", "notifications/progress"]);
    assert!(stream.is_quiet().await);
}
