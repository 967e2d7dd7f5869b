//! JSON-RPC batches, which one revision has.

use serde_json::{Value, json};
use throughline::revision::Revision;
use throughline::{Context, ResponseMode, StreamableHttp, tool};

use crate::support::{Gate, Wire, call, initialize, kit, request, settle, text};

const WITH_BATCHES: Revision = Revision::V2025_03_26;

async fn open(gate: &Gate, mode: ResponseMode) -> Wire {
    let server = kit::server(gate).tool(tool("roots", |cx: Context| async move {
        match cx.roots().await {
            Ok(roots) => format!("{} roots", roots.len()),
            Err(error) => error.to_string(),
        }
    }));
    let endpoint = StreamableHttp::builder(server).response_mode(mode).build();
    Wire::open_with(&endpoint, WITH_BATCHES, json!({ "roots": {} })).await
}

fn ids(answers: &[Value]) -> Vec<Value> {
    answers.iter().map(|answer| answer["id"].clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_json_batch_is_answered_in_the_order_of_its_requests() {
    let gate = Gate::new();
    let wire = open(&gate, ResponseMode::Json).await;
    let batch = json!([
        call(1, "gated", json!({ "before": 1, "after": 1 })),
        request("b", "ping", json!({})),
        { "jsonrpc": "2.0", "method": "notifications/initialized" },
        call(3, "echo", json!({ "text": "three" })),
    ]);
    let sending = wire.post(batch).start();
    gate.until_came(1).await;
    gate.open(1);
    let answers = sending.await.unwrap().json().await;
    let answers = answers.as_array().expect("an array");
    assert_eq!(ids(answers), [json!(1), json!("b"), json!(3)]);
    assert_eq!((text(&answers[0]), text(&answers[2])), ("done", "three"));
}

#[tokio::test(start_paused = true)]
async fn an_adaptive_batch_is_an_array_when_nothing_comes_before() {
    let wire = open(&Gate::new(), ResponseMode::Adaptive).await;
    let batch = json!([call(1, "echo", json!({ "text": "one" })), request(2, "ping", json!({}))]);
    let answers = wire.post(batch).send().await.json().await;
    assert_eq!(ids(answers.as_array().expect("an array")), [1, 2]);
    // An array of one, too.
    let answers = wire.post(json!([request(1, "ping", json!({}))])).send().await.json().await;
    assert_eq!(ids(answers.as_array().expect("an array")), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_streamed_batch_ends_with_its_last_answer() {
    for mode in [ResponseMode::Adaptive, ResponseMode::Sse] {
        let gate = Gate::new();
        let wire = open(&gate, mode).await;
        let batch = json!([
            call(1, "gated", json!({ "before": 1, "after": 1 })),
            call(2, "echo", json!({ "text": "two" })),
        ]);
        let mut events = wire.post(batch).send().await.events();
        let first = [events.message().await.message, events.message().await.message];
        assert!(first.iter().any(|message| message["params"]["progress"] == 1), "{first:?}");
        assert!(first.iter().any(|message| message["id"] == 2), "the quick answer does not wait: {first:?}");
        gate.open(1);
        assert_eq!(events.message().await.progress(), Some(2.0));
        assert_eq!(events.message().await.message["id"], 1);
        assert!(events.next().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_without_requests_is_accepted() {
    let wire = open(&Gate::new(), ResponseMode::Adaptive).await;
    let note = json!({ "jsonrpc": "2.0", "method": "notifications/roots/list_changed" });
    let late = json!({ "jsonrpc": "2.0", "id": 99, "result": {} });
    let answer = wire.post(json!([note, late])).send().await;
    assert_eq!(answer.status(), 202);
    assert_eq!(answer.text().await, "");
}

#[tokio::test(start_paused = true)]
async fn each_bad_entry_is_answered_by_itself() {
    let wire = open(&Gate::new(), ResponseMode::Json).await;
    let batch = json!([
        { "jsonrpc": "2.0", "id": 1, "method": 5 },
        request(2, "ping", json!({})),
        request(3, "no/such", json!({})),
        initialize(WITH_BATCHES, &json!({})),
        call(4, "nobody", json!({})),
    ]);
    let answers = wire.post(batch).send().await.json().await;
    let answers = answers.as_array().expect("an array");
    assert_eq!(ids(answers), [1, 2, 3, 0, 4]);
    let codes: Vec<&Value> = answers.iter().map(|answer| &answer["error"]["code"]).collect();
    assert_eq!(codes, [&json!(-32600), &Value::Null, &json!(-32601), &json!(-32600), &json!(-32602)]);
    insta::assert_snapshot!(answers[3]["error"]["message"].as_str().unwrap(), @"`initialize` opens a session, so it is sent alone and without a session id; send it so to open another");
}

#[tokio::test(start_paused = true)]
async fn an_id_twice_in_a_batch_is_refused_once() {
    let gate = Gate::new();
    let wire = open(&gate, ResponseMode::Json).await;
    let batch = json!([
        call(1, "gated", json!({ "before": 0, "after": 0 })),
        call(1, "gated", json!({ "before": 0, "after": 0 })),
    ]);
    let sending = wire.post(batch).start();
    gate.until_came(1).await;
    gate.open(2);
    let answers = sending.await.unwrap().json().await;
    assert_eq!(text(&answers[0]), "done");
    insta::assert_snapshot!(answers[1]["error"], @r#"{"code":-32600,"message":"A request with this id is still in flight. Give each request an id of its own."}"#);
    assert_eq!(gate.came(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_empty_too_long_or_not_of_the_revision_is_400() {
    let wire = open(&Gate::new(), ResponseMode::Adaptive).await;
    insta::assert_snapshot!(wire.post(json!([])).send().await.refusal().await, @"400 -32600: The batch is empty. Send at least one message.");
    let long: Vec<Value> = (0..101).map(|id| request(id, "ping", json!({}))).collect();
    insta::assert_snapshot!(wire.post(json!(long)).send().await.refusal().await, @"400 -32600: The batch has more than 100 entries. Send the messages in several bodies.");
    let endpoint = StreamableHttp::new(kit::server(&Gate::new()));
    for revision in [Revision::V2025_06_18, Revision::V2025_11_25] {
        let wire = Wire::open(&endpoint, revision).await;
        let answer = wire.post(json!([request(1, "ping", json!({}))])).send().await;
        let refusal = answer.refusal().await;
        insta::allow_duplicates! { insta::assert_snapshot!(refusal, @"400 -32600: this revision has no batches; send each message in a POST of its own"); }
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_asks_on_its_stream_and_is_answered_in_a_batch() {
    let wire = open(&Gate::new(), ResponseMode::Adaptive).await;
    let mut events =
        wire.post(json!([call(1, "roots", json!({})), call(2, "roots", json!({}))])).send().await.events();
    let asks = [events.message().await.message, events.message().await.message];
    assert!(asks.iter().all(|ask| ask["method"] == "roots/list"), "{asks:?}");
    let answers: Vec<Value> = asks
        .iter()
        .map(|ask| json!({ "jsonrpc": "2.0", "id": ask["id"], "result": { "roots": [{ "uri": "file:///a" }] } }))
        .collect();
    assert_eq!(wire.post(json!(answers)).send().await.status(), 202);
    let results = [events.message().await.message, events.message().await.message];
    assert!(results.iter().all(|result| text(result) == "1 roots"), "{results:?}");
    assert!(events.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_request_of_a_batch_that_was_taken_back_has_no_answer() {
    let gate = Gate::new();
    let wire = open(&gate, ResponseMode::Json).await;
    let gated = json!({ "before": 0, "after": 0 });
    let sending =
        wire.post(json!([call(1, "gated", gated.clone()), call(2, "gated", gated.clone())])).start();
    gate.until_came(2).await;
    let cancel =
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } });
    assert_eq!(wire.post(cancel).send().await.status(), 202);
    settle().await;
    gate.open(1);
    let answers = sending.await.unwrap().json().await;
    assert_eq!(ids(answers.as_array().expect("an array")), [2]);
}
