//! Without a session: each question ends a request, and the next one brings the answer.

use serde_json::{Value, json};
use throughline::jsonrpc::Raw;
use throughline::{KeyRing, Principal, StreamableHttp};
use throughline_proto::stateless::{Binding, Rounds};

use super::{Deeds, server};
use crate::support::{Answer, MODERN, Wire, modern_of, text};

/// A client that sends one request again and again.
pub(super) struct Caller {
    wire: Wire,
    method: &'static str,
    params: Value,
    capabilities: Value,
    id: u64,
    /// The state of the last round.
    pub(super) state: Value,
}

/// A client of every capability, about to call a tool.
pub(super) fn calling(wire: Wire, tool: &str) -> Caller {
    Caller::new(wire, "tools/call", json!({ "name": tool, "arguments": {} }))
}

impl Caller {
    fn new(wire: Wire, method: &'static str, params: Value) -> Self {
        let capabilities = json!({ "elicitation": {}, "sampling": {}, "roots": {} });
        Self { wire, method, params, capabilities, id: 0, state: Value::Null }
    }

    /// The next round, with these answers.
    async fn send(&mut self, responses: Value) -> Answer {
        let mut params = self.params.clone();
        for (member, value) in [("requestState", &self.state), ("inputResponses", &responses)] {
            if !value.is_null() {
                params[member] = value.clone();
            }
        }
        self.id += 1;
        let request = modern_of(self.capabilities.clone(), self.id, self.method, params);
        self.wire.post_modern(request).send().await
    }

    /// A round that must ask: the questions by name, and the state is kept.
    pub(super) async fn asks(&mut self, responses: Value) -> Value {
        let answer = self.send(responses).await;
        assert_eq!(answer.status(), 200);
        self.take(answer.json().await)
    }

    fn take(&mut self, message: Value) -> Value {
        assert_eq!(message["id"], self.id);
        let result = &message["result"];
        assert_eq!(result["resultType"], "input_required", "{message}");
        self.state = result["requestState"].clone();
        assert!(self.state.is_string());
        result["inputRequests"].clone()
    }

    /// A round that must end the call.
    pub(super) async fn ends(&mut self, responses: Value) -> Value {
        let answer = self.send(responses).await;
        assert_eq!(answer.status(), 200);
        let message = answer.json().await;
        assert_eq!(message["result"]["resultType"], "complete", "{message}");
        message
    }

    async fn refused(&mut self, responses: Value) -> String {
        self.send(responses).await.refusal().await
    }
}

pub(super) fn named(name: &str) -> Value {
    json!({ "action": "accept", "content": { "name": name } })
}

pub(super) fn yes() -> Value {
    json!({ "action": "accept", "content": { "approved": true } })
}

fn names(questions: &Value) -> Vec<&String> {
    questions.as_object().expect("questions").keys().collect()
}

#[tokio::test(start_paused = true)]
async fn three_rounds_and_one_deed() {
    let deeds = Deeds::default();
    let endpoint = StreamableHttp::new(server(&deeds));
    let mut caller = calling(Wire::new(&endpoint), "trip");
    let asked = caller.asks(Value::Null).await;
    insta::assert_snapshot!(asked, @r#"{"from":{"method":"elicitation/create","params":{"message":"From?","mode":"form","requestedSchema":{"properties":{"name":{"type":"string"}},"required":["name"],"type":"object"}}}}"#);
    assert_eq!(deeds.count(), 0);
    assert_eq!(names(&caller.asks(json!({ "from": named("Ulm") })).await), ["to"]);
    let asked = caller.asks(json!({ "to": named("Bonn") })).await;
    assert_eq!(asked["1"]["params"]["message"], "Ticket 1?");
    // The last answers alone: what was answered before is in the state.
    assert_eq!(text(&caller.ends(json!({ "1": yes() })).await), "Ulm Bonn true 1 1");
    assert_eq!((deeds.count(), endpoint.in_flight(), endpoint.sessions()), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn two_questions_are_one_round_and_half_the_answers_another() {
    let endpoint = StreamableHttp::new(server(&Deeds::default()));
    let mut caller = calling(Wire::new(&endpoint), "both");
    let asked = caller.asks(Value::Null).await;
    assert_eq!(names(&asked), ["roots", "who"]);
    assert_eq!(asked["roots"], json!({ "method": "roots/list", "params": {} }));
    assert_eq!(names(&caller.asks(json!({ "roots": { "roots": [] } })).await), ["who"]);
    assert_eq!(names(&caller.asks(json!({ "who": { "action": "accept" } })).await), ["who"]);
    assert_eq!(text(&caller.ends(json!({ "who": named("ada"), "more": 1 })).await), "ada 0");
}

/// To let what was said leave is not to wait for the client.
#[tokio::test(start_paused = true)]
async fn a_question_that_is_announced_belongs_to_the_round_of_the_others() {
    let endpoint = StreamableHttp::new(server(&Deeds::default()));
    let mut caller = calling(Wire::new(&endpoint), "heralded");
    let mut events = caller.send(Value::Null).await.events();
    assert_eq!(events.message().await.message["method"], "it/herald");
    let asked = caller.take(events.message().await.message);
    assert_eq!(names(&asked), ["roots", "who"]);
}

#[tokio::test(start_paused = true)]
async fn rounds_of_the_handlers_own() {
    let endpoint = StreamableHttp::new(server(&Deeds::default()));
    let mut caller = calling(Wire::new(&endpoint), "own");
    assert_eq!(caller.asks(Value::Null).await["name"]["params"]["message"], "Name 1?");
    assert_eq!(caller.asks(json!({ "name": named("ada") })).await["name"]["params"]["message"], "Name 2?");
    assert_eq!(text(&caller.ends(json!({ "name": named("bob") })).await), "ada and bob");

    let greet = json!({ "name": "greet", "arguments": { "greeting": "Hi" } });
    for (method, params, says) in [
        ("prompts/get", greet, "Hi ada!"),
        ("resources/read", json!({ "uri": "it://name" }), "ada"),
        ("resources/read", json!({ "uri": "it://Hello/name" }), "Hello ada!"),
    ] {
        let mut caller = Caller::new(Wire::new(&endpoint), method, params);
        caller.asks(Value::Null).await;
        let result = caller.ends(json!({ "name": named("ada") })).await["result"].clone();
        let said = result.pointer("/messages/0/content/text").or(result.pointer("/contents/0/text"));
        assert_eq!(said.unwrap(), says);
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_after_progress_comes_on_the_stream() {
    let endpoint = StreamableHttp::new(server(&Deeds::default()));
    let mut caller = calling(Wire::new(&endpoint), "late");
    caller.params["_meta"] = json!({ "progressToken": "p" });
    let mut events = caller.send(Value::Null).await.events();
    assert_eq!(events.message().await.progress(), Some(1.0));
    caller.take(events.message().await.message);
    assert!(events.next().await.is_none());
    let mut events = caller.send(json!({ "who": named("ada") })).await.events();
    assert_eq!(events.message().await.progress(), Some(1.0), "the handler ran from its start");
    assert_eq!(text(&events.message().await.message), "ada");

    // The head has left: the error comes in the stream.
    caller.state = Value::Null;
    caller.capabilities = json!({});
    let mut events = caller.send(Value::Null).await.events();
    events.message().await;
    assert_eq!(events.message().await.message["error"]["code"], -32021);
}

#[tokio::test(start_paused = true)]
async fn a_question_of_a_task_beside_the_handler_is_asked() {
    let endpoint = StreamableHttp::new(server(&Deeds::default()));
    let mut caller = calling(Wire::new(&endpoint), "aside");
    // The upgrade delay passes before it asks.
    let mut events = caller.send(Value::Null).await.events();
    let asked = caller.take(events.message().await.message);
    assert_eq!(names(&asked), ["who"]);
    assert!(events.next().await.is_none());
    assert_eq!(endpoint.in_flight(), 0);
    let mut events = caller.send(json!({ "who": named("ada") })).await.events();
    assert_eq!(text(&events.message().await.message), "ada");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_cannot_be_asked_is_refused() {
    let endpoint = StreamableHttp::new(server(&Deeds::default()));
    let mut caller = calling(Wire::new(&endpoint), "ask");
    caller.capabilities = json!({ "elicitation": { "url": {} }, "sampling": {} });
    let answer = caller.send(Value::Null).await;
    assert_eq!(answer.status(), 400);
    let error = answer.json().await["error"].clone();
    insta::assert_snapshot!(error, @r#"{"code":-32021,"data":{"requiredCapabilities":{"elicitation":{"form":{}}}},"message":"this call needs a client with the capability `elicitation.form`, and this one did not declare it"}"#);
}

#[tokio::test(start_paused = true)]
async fn a_state_that_was_not_given_for_this_is_refused_before_the_handler_runs() {
    let deeds = Deeds::default();
    let who = |parts: &http::request::Parts| {
        Some(Principal::new("it", parts.headers.get("x-user")?.to_str().ok()?))
    };
    let endpoint = StreamableHttp::builder(server(&deeds)).principal(who).build();
    let ada = Wire::new(&endpoint).with("x-user", "ada");
    let mut caller = calling(ada.clone(), "count");
    caller.asks(Value::Null).await;
    let good = caller.state.clone();
    let answer = || json!({ "who": named("ada") });
    assert_eq!(deeds.count(), 1);

    let text_of_good = good.as_str().unwrap();
    for forged in ["", "x", "AAAAAAAA", &text_of_good[1..], &format!("{text_of_good}AA")] {
        caller.state = json!(forged);
        assert_eq!(
            caller.refused(answer()).await,
            "400 -32602: The requestState was not given for this request. Send the request again without requestState and inputResponses."
        );
    }
    caller.state = good.clone();
    caller.params["arguments"] = json!({ "other": 1 });
    assert!(caller.refused(answer()).await.starts_with("400 -32602"));
    caller.params["arguments"] = json!({});
    caller.params["name"] = json!("ask");
    assert!(caller.refused(answer()).await.starts_with("400 -32602"));
    caller.params["name"] = json!("count");
    caller.wire = Wire::new(&endpoint).with("x-user", "bob");
    assert!(caller.refused(answer()).await.starts_with("400 -32602"));
    caller.wire = Wire::new(&endpoint);
    assert!(caller.refused(answer()).await.starts_with("400 -32602"));
    let other = StreamableHttp::builder(server(&deeds)).principal(who).build();
    caller.wire = Wire::new(&other).with("x-user", "ada");
    assert!(caller.refused(answer()).await.starts_with("400 -32602"));
    assert_eq!((deeds.count(), endpoint.in_flight()), (1, 0));

    caller.wire = ada;
    assert_eq!(text(&caller.ends(answer()).await), "ada");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_refused() {
    let endpoint = StreamableHttp::new(server(&Deeds::default()));
    let mut caller = calling(Wire::new(&endpoint), "ask");
    insta::assert_snapshot!(caller.refused(json!([])).await, @r#"400 -32602: The member "inputResponses" cannot be read: invalid type: sequence, expected an object. Send an object with one response for each key of inputRequests."#);
    insta::assert_snapshot!(caller.refused(json!("who")).await, @r#"400 -32602: The member "inputResponses" cannot be read: invalid type: string "who", expected an object. Send an object with one response for each key of inputRequests."#);
    let many: serde_json::Map<_, _> = (0..129).map(|number| (number.to_string(), named("x"))).collect();
    insta::assert_snapshot!(caller.refused(Value::Object(many)).await, @r#"400 -32602: The member "inputResponses" cannot be read: it has more than 128 members. Send an object with one response for each key of inputRequests."#);
    caller.state = json!(7);
    insta::assert_snapshot!(caller.refused(json!({})).await, @r#"400 -32602: The member "requestState" must be the text that the server gave."#);
    assert_eq!(endpoint.in_flight(), 0);
    // What says nothing is not there.
    caller.params["requestState"] = Value::Null;
    caller.params["inputResponses"] = Value::Null;
    caller.state = Value::Null;
    caller.asks(Value::Null).await;
}

#[tokio::test(start_paused = true)]
async fn an_expired_state_asks_again() {
    let keys = KeyRing::new([1; 32]);
    let endpoint = StreamableHttp::builder(server(&Deeds::default())).seal_key(keys.clone()).build();
    let mut caller = calling(Wire::new(&endpoint), "ask");
    // Sealed for this very request, in 1970.
    let arguments = Raw::empty_object();
    let binding = Binding::new("tools/call", Some("ask"), Some(&arguments), None);
    let mut long_ago = Rounds::new(None).unwrap();
    long_ago.ask(Some("who"), b"{}").unwrap();
    let state = long_ago.input_required(&binding, &keys, [3; 24], 1000).unwrap().state;
    caller.state = json!(state);
    assert_eq!(names(&caller.asks(json!({ "who": named("late") })).await), ["who"]);
    assert_eq!(text(&caller.ends(json!({ "who": named("ada") })).await), "ada");
}

#[tokio::test(start_paused = true)]
async fn other_methods_neither_ask_nor_are_answered() {
    let endpoint = StreamableHttp::new(server(&Deeds::default()));
    let mut caller = Caller::new(Wire::new(&endpoint), "it/ask", json!({}));
    let answer = caller.send(Value::Null).await;
    assert_eq!(answer.status(), 200);
    insta::assert_snapshot!(answer.json().await["error"], @r#"{"code":-32603,"message":"the client cannot be asked: a call of `it/ask` cannot ask anything; `tools/call`, `prompts/get` and `resources/read` can"}"#);

    let mut caller = Caller::new(Wire::new(&endpoint), "tools/list", json!({}));
    caller.state = json!("what is this?");
    let message = caller.ends(json!({ "who": named("ada") })).await;
    assert!(message["result"]["tools"].is_array());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_accepts_json_alone_can_be_asked() {
    let endpoint = StreamableHttp::new(server(&Deeds::default()));
    let request = |params| modern_of(json!({ "elicitation": {} }), 1, "tools/call", params);
    let wire = Wire::new(&endpoint);
    let params = json!({ "name": "late", "arguments": {}, "_meta": { "progressToken": 1 } });
    let send = |params| wire.post_modern(request(params)).header("accept", "application/json").send();
    let message = send(params.clone()).await.json().await;
    assert_eq!(message["result"]["resultType"], "input_required");
    let mut again = params;
    again["requestState"] = message["result"]["requestState"].clone();
    again["inputResponses"] = json!({ "who": named("ada") });
    assert_eq!(text(&send(again).await.json().await), "ada");
    assert_eq!(MODERN.date(), "2026-07-28");
}
