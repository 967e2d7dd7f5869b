//! Handlers of all kinds, run round by round by a driver in memory.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use throughline_proto::model::{
    ClientCapabilities, CreateMessageParams, LoggingLevel, SamplingContent, SamplingMessage,
};
use throughline_proto::revision::Revision;
use throughline_proto::session::CallNo;

use super::*;
use crate::handler::channel::{Channel, Note};
use crate::handler::{
    Authorized, CallOver, CallScope, Context, Elicit, Handler, InputRequired, IntoTool, Principal, Reply,
    Server, Standing, prompt, resource, tool,
};

/// A channel that is nothing but questions.
struct Only(Asking);

impl Channel for Only {
    fn poll_notify(
        &self,
        _: Option<CallNo>,
        _: Note<'_>,
        _: &mut task::Context<'_>,
    ) -> Poll<Result<(), CallOver>> {
        Poll::Ready(Ok(()))
    }

    fn wants_log(&self, _: LoggingLevel) -> bool {
        false
    }

    fn open_ask(&self, _: Option<CallNo>, question: &QuestionBody) -> Result<AskNo, AskError> {
        self.0.open_ask(question)
    }

    fn poll_ask(&self, ask: AskNo, cx: &mut task::Context<'_>) -> Poll<Result<Raw, AskError>> {
        self.0.poll_ask(ask, cx)
    }

    fn ask_deadline(&self, _: AskNo) -> Option<Instant> {
        None
    }

    fn expire_asks(&self, _: Instant) {}

    fn close_ask(&self, ask: AskNo) {
        self.0.close_ask(ask);
    }

    fn reject_answer(&self, ask: AskNo) -> bool {
        self.0.reject_answer(ask);
        true
    }

    fn input(&self) -> Option<&dyn Input> {
        Some(&self.0)
    }

    fn close_connection(&self, _: CallNo, _: Duration) -> bool {
        false
    }
}

/// A client that calls one thing until it has its answer.
struct Asker {
    server: Server,
    method: &'static str,
    target: &'static str,
    arguments: Value,
    capabilities: ClientCapabilities,
    principal: Option<Principal>,
    keys: Arc<KeyRing>,
    now: u64,
    state: Option<Str>,
}

/// How a round ends.
#[derive(Debug)]
enum Turn {
    Answered(Value),
    Asked(BTreeMap<String, Value>),
    Failed(i32, String),
}

impl Asker {
    fn new(server: Server, target: &'static str) -> Self {
        Self {
            server,
            method: "tools/call",
            target,
            arguments: json!({}),
            capabilities: serde_json::from_value(json!({
                "elicitation": { "form": {}, "url": {} }, "sampling": {}, "roots": {}
            }))
            .unwrap(),
            principal: None,
            keys: Arc::new(KeyRing::new([7; 32])),
            now: runtime::unix_time(),
            state: None,
        }
    }

    /// A server with this one tool.
    fn of<M>(tool: impl IntoTool<M>) -> Self {
        let tool = tool.into_tool();
        let name = tool.name().to_owned().leak();
        Self::new(Server::new("t", "1").tool(tool), name)
    }

    async fn call(&mut self, responses: Value) -> Turn {
        let server = self.server.clone();
        self.call_of(&server, responses).await
    }

    async fn call_of(&mut self, handler: &dyn Handler, responses: Value) -> Turn {
        let mut params =
            json!({ "name": self.target, "arguments": self.arguments, "inputResponses": responses });
        if let Some(state) = &self.state {
            params["requestState"] = json!(&**state);
        }
        let params = Raw::new(&params).unwrap();
        let outline = throughline_proto::jsonrpc::outline(Some(&params)).unwrap();
        let call = Call {
            method: self.method.into(),
            target: Some(self.target.into()),
            arguments: outline.arguments.map(|part| params.slice(part)),
            cursor: None,
            params: params.clone(),
        };
        let client = throughline_proto::model::Client { info: None, capabilities: self.capabilities.clone() };
        let standing = self.principal.clone().map(Authorized::new).into();
        let caller = Arc::new(Caller::new(Revision::LATEST, Some(Arc::new(client)), standing));
        let asking = Asking::open(&call, &outline, &caller, &self.keys, self.now);
        let only = match asking {
            Ok(asking) => Arc::new(Only(asking)),
            Err(refusal) => {
                let error = refusal.error();
                return Turn::Failed(error.code.0, error.message.to_string());
            }
        };
        let scope =
            CallScope::new(Arc::clone(&only) as Arc<dyn Channel>, CallNo(1), caller, None, None, None, None);
        let outcome = match handler.call(call, scope.context()) {
            Reply::Ready(outcome) => only.0.finish(outcome),
            Reply::Later(mut running) => {
                poll_fn(|cx| match running.as_mut().poll(cx) {
                    Poll::Ready(outcome) => Poll::Ready(only.0.finish(outcome)),
                    Poll::Pending => only.0.poll_input_required(cx),
                })
                .await
            }
        };
        scope.finish();
        only.0.end();
        self.turn(outcome)
    }

    fn turn(&mut self, outcome: Outcome) -> Turn {
        match outcome {
            Ok(Answer::InputRequired(asked)) => {
                self.state = asked.request_state.clone();
                let requests = asked.input_requests.iter();
                Turn::Asked(
                    requests
                        .map(|(key, question)| (key.to_string(), serde_json::to_value(question).unwrap()))
                        .collect(),
                )
            }
            Ok(answer) => Turn::Answered(serde_json::to_value(answer).unwrap()),
            Err(error) => Turn::Failed(error.code(), error.message().to_owned()),
        }
    }

    /// A round that must ask; the names of the questions.
    async fn asks(&mut self, responses: Value) -> Vec<String> {
        match self.call(responses).await {
            Turn::Asked(asked) => asked.into_keys().collect(),
            other => panic!("it did not ask: {other:?}"),
        }
    }

    /// A round that must end the call; its text.
    async fn answers(&mut self, responses: Value) -> String {
        match self.call(responses).await {
            Turn::Answered(result) => result["content"][0]["text"].as_str().unwrap().to_owned(),
            other => panic!("it did not answer: {other:?}"),
        }
    }

    async fn fails(&mut self, responses: Value) -> (i32, String) {
        match self.call(responses).await {
            Turn::Failed(code, message) => (code, message),
            other => panic!("it did not fail: {other:?}"),
        }
    }
}

#[derive(Deserialize, JsonSchema)]
struct Approval {
    approved: bool,
}

#[derive(Deserialize, JsonSchema)]
struct Name {
    name: String,
}

fn accept(content: Value) -> Value {
    json!({ "action": "accept", "content": content })
}

fn yes() -> Value {
    accept(json!({ "approved": true }))
}

fn name(name: &str) -> Value {
    accept(json!({ "name": name }))
}

#[tokio::test]
async fn nothing_runs_unapproved_however_careless_the_handler() {
    static DELETED: AtomicUsize = AtomicUsize::new(0);
    let mut caller = Asker::of(tool("delete", |cx: Context| async move {
        // Whatever goes wrong counts as yes. While nobody has answered, this line is never passed.
        let approved = cx.elicit::<Approval>("Delete?").key("approval").await.map_or(true, |it| it.approved);
        if approved {
            DELETED.fetch_add(1, Ordering::Relaxed);
        }
        if approved { "deleted" } else { "kept" }
    }));
    assert_eq!(caller.asks(Value::Null).await, ["approval"]);
    let asked = caller.state.clone();
    assert_eq!(DELETED.load(Ordering::Relaxed), 0);
    assert_eq!(caller.answers(json!({ "approval": accept(json!({ "approved": false })) })).await, "kept");
    caller.state = asked;
    assert_eq!(caller.answers(json!({ "approval": yes() })).await, "deleted");
    assert_eq!(DELETED.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn one_after_another_numbered_and_named() {
    let mut caller = Asker::of(tool("three", |cx: Context| async move {
        let first = cx.elicit::<Name>("First?").await?.name;
        let second = cx.elicit::<Name>(format!("And after {first}?")).key("second").await?.name;
        let third = cx.elicit::<Name>("Third?").await?.name;
        Ok::<_, crate::Error>(format!("{first} {second} {third}"))
    }));
    assert_eq!(caller.asks(Value::Null).await, ["1"]);
    assert_eq!(caller.asks(json!({ "1": name("a") })).await, ["second"]);
    assert_eq!(caller.asks(json!({ "second": name("b") })).await, ["2"]);
    assert_eq!(caller.answers(json!({ "2": name("c") })).await, "a b c");
}

#[tokio::test]
async fn several_at_once_are_one_round() {
    let mut caller = Asker::of(tool("join", |cx: Context| async move {
        let (form, roots) = tokio::join!(cx.elicit::<Name>("Who?").key("who"), cx.roots().key("roots"));
        format!("{} {}", form.unwrap().name, roots.unwrap().len())
    }));
    assert_eq!(caller.asks(Value::Null).await, ["roots", "who"]);
    // Half the answers: the other half is asked again, and the first is not.
    assert_eq!(caller.asks(json!({ "who": name("ada") })).await, ["roots"]);
    assert_eq!(caller.answers(json!({ "roots": { "roots": [] } })).await, "ada 0");

    let sample = || CreateMessageParams::new([SamplingMessage::user(SamplingContent::text("hi"))], 5);
    let mut caller = Asker::of(tool("all", move |cx: Context| async move {
        let (name, said) = cx.ask_all((cx.elicit::<Name>("Who?"), cx.sample(sample()).key("said"))).await?;
        let more = cx.ask_all(vec![cx.elicit::<Name>("x?"), cx.elicit::<Name>("y?")]).await?;
        let [last] = cx.ask_all([cx.elicit::<Name>("z?")]).await?;
        let said = said.content[0].as_text().unwrap_or_default().to_owned();
        Ok::<_, crate::Error>(format!("{} {said} {}{}{}", name.name, more[0].name, more[1].name, last.name))
    }));
    assert_eq!(caller.asks(Value::Null).await, ["1", "said"]);
    let said = json!({ "role": "assistant", "content": { "type": "text", "text": "hello" }, "model": "m" });
    assert_eq!(caller.asks(json!({ "1": name("ada"), "said": said })).await, ["2", "3"]);
    assert_eq!(caller.asks(json!({ "2": name("x"), "3": name("y") })).await, ["4"]);
    assert_eq!(caller.answers(json!({ "4": name("z") })).await, "ada hello xyz");
}

#[tokio::test]
async fn a_name_used_twice_is_two_questions() {
    let mut caller = Asker::of(tool("twice", |cx: Context| async move {
        let (a, b) = cx
            .ask_all((cx.elicit::<Name>("One?").key("who"), cx.elicit::<Name>("Other?").key("who")))
            .await?;
        Ok::<_, crate::Error>(format!("{} {}", a.name, b.name))
    }));
    assert_eq!(caller.asks(Value::Null).await, ["who", "who#2"]);
    assert_eq!(caller.answers(json!({ "who": name("a"), "who#2": name("b") })).await, "a b");
}

#[tokio::test]
async fn a_refusal_reaches_the_handler() {
    let mut caller = Asker::of(tool("ask", |cx: Context| async move {
        match cx.elicit::<Approval>("May I?").key("a").await {
            Ok(_) => "yes",
            Err(error) if error.is_declined() => "declined",
            Err(error) if error.is_cancelled() => "cancelled",
            Err(_) => "other",
        }
    }));
    for (action, said) in [("decline", "declined"), ("cancel", "cancelled")] {
        caller.state = None;
        caller.asks(Value::Null).await;
        assert_eq!(caller.answers(json!({ "a": { "action": action } })).await, said);
    }
}

#[tokio::test]
async fn answers_that_are_none_are_asked_for_again() {
    let mut caller = Asker::of(tool("ask", |cx: Context| async move {
        cx.elicit::<Name>("Who?").key("who").await.map(|it| it.name)
    }));
    caller.asks(Value::Null).await;
    for wrong in [
        json!({}),
        json!({ "other": name("x") }),
        json!({ "who": {} }),
        json!({ "who": "x" }),
        json!({ "who": null }),
        json!({ "who": { "action": "maybe" } }),
        json!({ "who": { "action": "accept" } }),
        json!({ "who": accept(json!({})) }),
        json!({ "who": accept(json!({ "name": 5 })) }),
    ] {
        assert_eq!(caller.asks(wrong).await, ["who"]);
    }
    // More than was asked for is ignored.
    assert_eq!(caller.answers(json!({ "who": name("ada"), "more": 1 })).await, "ada");
}

#[tokio::test]
async fn answers_without_the_state_answer_nothing() {
    let mut caller = Asker::of(tool("ask", |cx: Context| async move {
        cx.elicit::<Name>("Who?").key("who").await.map(|it| it.name)
    }));
    assert_eq!(caller.asks(json!({ "who": name("made up") })).await, ["who"]);
}

#[tokio::test]
async fn another_question_under_the_same_name_is_asked() {
    let price = Arc::new(AtomicUsize::new(10));
    let now = Arc::clone(&price);
    let mut caller = Asker::of(tool("buy", move |cx: Context| {
        let price = now.load(Ordering::Relaxed);
        async move {
            let ok = cx.elicit::<Approval>(format!("Pay {price}?")).key("ok").await?.approved;
            Ok::<_, crate::Error>(format!("{ok} {price}"))
        }
    }));
    caller.asks(Value::Null).await;
    price.store(99, Ordering::Relaxed);
    assert_eq!(caller.asks(json!({ "ok": yes() })).await, ["ok"], "the user agreed to another price");
    assert_eq!(caller.answers(json!({ "ok": yes() })).await, "true 99");
}

#[tokio::test]
async fn a_state_fits_one_request_alone() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    let mut caller = Asker::of(tool("ask", |cx: Context| async move {
        RUNS.fetch_add(1, Ordering::Relaxed);
        cx.elicit::<Name>("Who?").key("who").await.map(|it| it.name)
    }));
    caller.principal = Some(Principal::new("i", "ada"));
    caller.asks(Value::Null).await;
    let state = caller.state.clone();
    assert_eq!(RUNS.load(Ordering::Relaxed), 1);

    let answer = || json!({ "who": name("x") });
    for state in ["", "AAAA", &format!("{}A", state.as_deref().unwrap())] {
        caller.state = Some(state.to_owned().into());
        assert_eq!(caller.fails(answer()).await.0, -32602);
    }
    caller.state = state;
    caller.arguments = json!({ "x": 1 });
    assert_eq!(caller.fails(answer()).await.0, -32602);
    caller.arguments = json!({});
    caller.principal = Some(Principal::new("i", "bob"));
    assert_eq!(caller.fails(answer()).await.0, -32602);
    caller.principal = Some(Principal::new("ia", "da"));
    assert_eq!(caller.fails(answer()).await.0, -32602);
    caller.principal = None;
    assert_eq!(caller.fails(answer()).await.0, -32602);
    caller.principal = Some(Principal::new("i", "ada"));
    let keys = std::mem::replace(&mut caller.keys, Arc::new(KeyRing::new([8; 32])));
    assert_eq!(caller.fails(answer()).await.0, -32602);
    assert_eq!(RUNS.load(Ordering::Relaxed), 1, "the handler ran for none of these");

    caller.keys = Arc::new(KeyRing::new([8; 32]).with_older([7; 32]));
    assert_eq!(caller.answers(answer()).await, "x");
    drop(keys);
}

#[tokio::test]
async fn an_expired_state_asks_again() {
    let mut caller = Asker::of(tool("ask", |cx: Context| async move {
        cx.elicit::<Name>("Who?").key("who").await.map(|it| it.name)
    }));
    caller.asks(Value::Null).await;
    caller.now += 10 * 60;
    assert_eq!(caller.asks(json!({ "who": name("late") })).await, ["who"]);
}

#[tokio::test]
async fn a_round_has_no_time() {
    let mut caller = Asker::of(tool("ask", |cx: Context| async move {
        cx.elicit::<Name>("Who?").key("who").timeout(Duration::ZERO).await.map(|it| it.name)
    }));
    caller.asks(Value::Null).await;
    caller.now += 9 * 60;
    assert_eq!(caller.answers(json!({ "who": name("ada") })).await, "ada");
}

#[tokio::test]
async fn a_question_that_a_handler_wrote_is_checked_like_any_other() {
    let written = |question: &'static str| {
        let question = Raw::from_json(question).unwrap();
        move || {
            let asks = InputRequiredResult::new().with_request("q", question.clone());
            std::future::ready(Ok::<_, McpError>(Answer::from(asks)))
        }
    };
    struct Gateway<F>(F);
    impl<F, Fut> Handler for Gateway<F>
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Outcome> + Send + 'static,
    {
        fn offer(&self) -> crate::handler::Offer {
            Server::new("t", "1").offer()
        }

        fn call(&self, _: Call, _: Context) -> Reply {
            Reply::later((self.0)())
        }
    }
    async fn outcome(handler: impl Handler) -> Turn {
        let mut caller = Asker::new(Server::new("t", "1"), "x");
        caller.capabilities = serde_json::from_value(json!({ "roots": {} })).unwrap();
        caller.call_of(&handler, Value::Null).await
    }
    let asked = outcome(Gateway(written(r#"{"method":"roots/list"}"#))).await;
    assert!(
        matches!(&asked, Turn::Asked(questions) if questions["q"]["method"] == "roots/list"),
        "{asked:?}"
    );
    for (question, code) in [
        (
            r#"{"method":"elicitation/create","params":{"message":"?","requestedSchema":{"type":"object","properties":{}}}}"#,
            -32021,
        ),
        (r#"{"method":"tools/call","params":{"name":"x"}}"#, -32603),
        (r#"{"method":"ping"}"#, -32603),
        ("7", -32603),
    ] {
        let failed = outcome(Gateway(written(question))).await;
        assert!(matches!(failed, Turn::Failed(found, _) if found == code), "{question}: {failed:?}");
    }
}

#[tokio::test]
async fn a_client_is_asked_what_it_declared() {
    let ask = |cx: Context| async move { cx.elicit::<Name>("Who?").await.map(|it| it.name) };
    let mut caller = Asker::of(tool("ask", ask));
    caller.capabilities = serde_json::from_value(json!({ "elicitation": { "url": {} } })).unwrap();
    let failed = caller.fails(Value::Null).await;
    insta::assert_snapshot!(format!("{} {}", failed.0, failed.1), @"-32021 this call needs a client with the capability `elicitation.form`, and this one did not declare it");

    // The handler may do without.
    let mut caller = Asker::of(tool("try", |cx: Context| async move {
        match cx.roots().await {
            Err(error) if error.is_not_supported() => "no roots",
            _ => "roots",
        }
    }));
    caller.capabilities = ClientCapabilities::default();
    assert_eq!(caller.answers(Value::Null).await, "no roots");
}

#[tokio::test]
async fn other_methods_cannot_ask() {
    let server = Server::new("t", "1").method("com.example/ask", |cx: Context| async move {
        let name = cx.elicit::<Name>("Who?").await?.name;
        Ok::<_, crate::Error>(crate::Json(json!({ "name": name })))
    });
    let mut caller = Asker::new(server, "x");
    caller.method = "com.example/ask";
    let (code, message) = caller.fails(Value::Null).await;
    assert_eq!(code, -32603);
    insta::assert_snapshot!(message, @"the client cannot be asked: a call of `com.example/ask` cannot ask anything; `tools/call`, `prompts/get` and `resources/read` can");

    let server = Server::new("t", "1").method("com.example/ask", || async {
        Err::<(), crate::Error>(InputRequired::new().ask("who", Elicit::<Name>::new("Who?")).into())
    });
    let mut caller = Asker::new(server, "x");
    caller.method = "com.example/ask";
    assert_eq!(caller.fails(Value::Null).await.0, -32603);
}

#[tokio::test]
async fn prompts_and_resources_ask_too() {
    let server = Server::new("t", "1")
        .prompt(prompt("greet", |cx: Context| async move {
            cx.elicit::<Name>("Who?").key("who").await.map(|it| format!("Greet {}.", it.name))
        }))
        .resource(resource("t://r", "r", |cx: Context| async move {
            cx.elicit::<Name>("Who?").key("who").await.map(|it| format!("for {}", it.name))
        }));
    let mut caller = Asker::new(server.clone(), "greet");
    caller.method = "prompts/get";
    caller.asks(Value::Null).await;
    let Turn::Answered(result) = caller.call(json!({ "who": name("ada") })).await else {
        panic!("no answer")
    };
    assert_eq!(result["messages"][0]["content"]["text"], "Greet ada.");

    let mut caller = Asker::new(server, "t://r");
    caller.method = "resources/read";
    caller.asks(Value::Null).await;
    let Turn::Answered(result) = caller.call(json!({ "who": name("ada") })).await else {
        panic!("no answer")
    };
    assert_eq!(result["contents"][0]["text"], "for ada");
}

#[tokio::test]
async fn a_page_is_asked_for_without_an_id() {
    let mut caller = Asker::of(tool("page", |cx: Context| async move {
        cx.elicit_url("Sign in", "https://example.org/in", "e-1").key("in").await.map(|()| "went there")
    }));
    let Turn::Asked(asked) = caller.call(Value::Null).await else { panic!("it did not ask") };
    assert_eq!(
        asked["in"],
        json!({ "method": "elicitation/create", "params": { "mode": "url", "message": "Sign in", "url": "https://example.org/in" } })
    );
    assert_eq!(caller.answers(json!({ "in": { "action": "accept" } })).await, "went there");
}

#[tokio::test]
async fn a_task_of_the_handlers_own_asks() {
    let mut caller = Asker::of(tool("spawn", |cx: Context| async move {
        let asking = tokio::spawn(async move {
            tokio::task::yield_now().await;
            cx.elicit::<Name>("Who?").key("who").await.map(|it| it.name)
        });
        asking.await.unwrap()
    }));
    assert_eq!(caller.asks(Value::Null).await, ["who"]);
    assert_eq!(caller.answers(json!({ "who": name("ada") })).await, "ada");
}

#[tokio::test]
async fn a_task_that_outlives_its_round_is_told() {
    let (tell, told) = tokio::sync::oneshot::channel();
    let tell = Mutex::new(Some(tell));
    let mut caller = Asker::of(tool("leave", move |cx: Context| {
        let tell = tell.lock().unwrap().take().unwrap();
        async move {
            tokio::spawn(async move {
                let over = cx.elicit::<Name>("Who?").await.map(|_| ()).unwrap_err().is_call_over();
                let after = cx.elicit::<Name>("Who?").await.map(|_| ()).unwrap_err().is_call_over();
                let once = cx.once("x", || async { Ok(1) }).await.is_err();
                tell.send((over, after, once)).unwrap();
            });
            std::future::pending::<&'static str>().await
        }
    }));
    caller.asks(Value::Null).await;
    assert_eq!(told.await.unwrap(), (true, true, true));
}

#[tokio::test]
async fn once_is_once_over_rounds_and_processes() {
    static BOOKED: AtomicUsize = AtomicUsize::new(0);
    let trip = |cx: Context| async move {
        let from = cx.elicit::<Name>("From?").key("from").await?.name;
        let number = cx.once("number", || async { Ok(BOOKED.fetch_add(1, Ordering::Relaxed) + 1) }).await?;
        let to = cx.elicit::<Name>("To?").key("to").await?.name;
        let same = cx.once("number", || async { Ok(0) }).await?;
        let ok = cx.elicit::<Approval>("Sure?").key("sure").await?.approved;
        Ok::<_, crate::Error>(format!("{number}/{same}: {from} to {to}, {ok}"))
    };
    // Two processes share nothing but their key.
    let mut one = Asker::of(tool("trip", trip));
    let mut other = Asker::of(tool("trip", trip));
    assert_eq!(one.asks(Value::Null).await, ["from"]);
    other.state = one.state.take();
    assert_eq!(other.asks(json!({ "from": name("Ulm") })).await, ["to"]);
    one.state = other.state.take();
    assert_eq!(one.asks(json!({ "to": name("Bonn") })).await, ["sure"]);
    other.state = one.state.take();
    assert_eq!(other.answers(json!({ "sure": yes() })).await, "1/1: Ulm to Bonn, true");
    assert_eq!(BOOKED.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_is_done_once_is_not_dropped_half_way() {
    static DONE: AtomicUsize = AtomicUsize::new(0);
    let mut caller = Asker::of(tool("join", |cx: Context| async move {
        let slow = cx.once("slow", || async {
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            Ok(DONE.fetch_add(1, Ordering::Relaxed))
        });
        let (slow, name) = tokio::join!(slow, cx.elicit::<Name>("Who?").key("who"));
        Ok::<_, crate::Error>(format!("{} {}", slow?, name?.name))
    }));
    caller.asks(Value::Null).await;
    assert_eq!(DONE.load(Ordering::Relaxed), 1);
    assert_eq!(caller.answers(json!({ "who": name("ada") })).await, "0 ada");
    assert_eq!(DONE.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_while_something_is_done_once() {
    static BEGUN: AtomicUsize = AtomicUsize::new(0);
    let mut caller = Asker::of(tool("nested", |cx: Context| async move {
        let ask = || async {
            BEGUN.fetch_add(1, Ordering::Relaxed);
            Ok(cx.elicit::<Name>("Who?").await?.name)
        };
        let error = cx.once("name", ask).await.unwrap_err();
        // What follows it is asked like anything else.
        let name = cx.elicit::<Name>("Who?").await?.name;
        Ok::<_, crate::Error>(format!("{name}: {error}"))
    }));
    let asks = tokio::time::timeout(Duration::from_secs(60), caller.asks(Value::Null)).await;
    assert_eq!(asks.expect("it does not wait for ever"), ["1"]);
    insta::assert_snapshot!(
        caller.answers(json!({ "1": name("ada") })).await,
        @"ada: this question cannot be asked: nothing can be asked inside `once`; ask before it, and give it the answer"
    );
    assert_eq!(BEGUN.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn nothing_begins_once_the_state_is_sealed() {
    let handler = Server::new("t", "1")
        .tool(tool("ask", |cx: Context| async move { cx.elicit::<Name>("Who?").await.map(|it| it.name) }));
    let params = Raw::new(&json!({ "name": "ask", "arguments": {} })).unwrap();
    let outline = throughline_proto::jsonrpc::outline(Some(&params)).unwrap();
    let capabilities = serde_json::from_value(json!({ "elicitation": {} })).unwrap();
    let client = throughline_proto::model::Client { info: None, capabilities };
    let caller = Arc::new(Caller::new(Revision::LATEST, Some(Arc::new(client)), Standing::default()));
    let call = Call {
        method: "tools/call".into(),
        target: Some("ask".into()),
        arguments: None,
        cursor: None,
        params: params.clone(),
    };
    let keys = Arc::new(KeyRing::new([7; 32]));
    let only = Arc::new(Only(Asking::open(&call, &outline, &caller, &keys, 0).map_err(|_| ()).unwrap()));
    let channel = Arc::clone(&only) as Arc<dyn Channel>;
    let scope = CallScope::new(channel, CallNo(1), caller, None, None, None, None);
    let Reply::Later(mut running) = handler.call(call, scope.context()) else { panic!("it asks") };
    let asked = poll_fn(|cx| {
        assert!(running.as_mut().poll(cx).is_pending());
        only.0.poll_input_required(cx)
    });
    assert!(matches!(asked.await, Ok(Answer::InputRequired(_))));
    // A task of the handler's own is a little late: what it did now would be done again in the next round.
    let late = scope.context().once("late", || async { Ok(1) }).await;
    assert_eq!(late.unwrap_err().to_string(), "the call is over; nothing is kept for it any more");
}

#[tokio::test]
async fn what_could_not_be_kept_is_not_done() {
    static DONE: AtomicUsize = AtomicUsize::new(0);
    let mut caller = Asker::of(tool("many", |cx: Context| async move {
        let long = "x".repeat(257);
        let mut errors = Vec::new();
        for key in ["", &long].into_iter().map(str::to_owned).chain((0..66).map(|number| number.to_string()))
        {
            let done = cx.once(key, || async { Ok(DONE.fetch_add(1, Ordering::Relaxed)) }).await;
            errors.extend(done.err());
        }
        errors.len().to_string()
    }));
    assert_eq!(caller.answers(Value::Null).await, "4");
    assert_eq!(DONE.load(Ordering::Relaxed), 64);
}

#[tokio::test]
async fn what_cannot_be_kept_is_an_error() {
    async fn text<T>(made: crate::Result<T>) -> String {
        made.map_or_else(|error| error.to_string(), |_| "kept".into())
    }
    let mut caller = Asker::of(tool("keep", |cx: Context| async move {
        let large = cx.once("large", || async { Ok("x".repeat(70_000)) }).await.unwrap_err();
        assert!(large.into_inner().downcast_ref::<OnceError>().is_some_and(OnceError::is_too_large));
        let failed = text(cx.once("f", || async { Err::<u8, _>(crate::Error::msg("no luck")) }).await).await;
        let again = text(cx.once("f", || async { Ok(2) }).await).await;
        let other = text(cx.once("f", || async { Ok("not a number".to_owned()) }).await).await;
        let unnamed = text(cx.once("", || async { Ok(1) }).await).await;
        let (a, b) = tokio::join!(
            cx.once("both", || async {
                tokio::task::yield_now().await;
                Ok(1)
            }),
            cx.once("both", || async { Ok(2) }),
        );
        let both = (text(a).await, text(b).await);
        [failed, again, other, unnamed, both.0, both.1].join("\n")
    }));
    insta::assert_snapshot!(caller.answers(Value::Null).await, @r"
    no luck
    kept
    another result is kept under `f`; give each its own key: invalid type: integer `2`, expected a string
    the result of `` cannot be kept: the key of a question or a remembered value has 1 to 256 bytes: use a short name
    kept
    `both` is being done already; give each its own key, or wait for the first
    ");
}

#[tokio::test]
async fn a_handler_makes_its_own_rounds() {
    let mut caller = Asker::of(tool("own", |cx: Context| async move {
        let seen: Option<Vec<String>> = cx.request_state()?;
        let mut seen = seen.unwrap_or_default();
        match cx.input_responses().get::<Elicit<Name>>("name") {
            Some(answer) => seen.push(answer?.name),
            None if cx.input_responses().raw("name").is_some() => unreachable!("it was just not there"),
            None => {}
        }
        if seen.len() < 2 {
            let ask = Elicit::<Name>::new(format!("Name {}?", seen.len() + 1));
            return Err::<String, crate::Error>(InputRequired::new().ask("name", ask).state(&seen).into());
        }
        let sure = cx.elicit::<Approval>("Sure?").key("sure").await?.approved;
        Ok(format!("{} {sure}", seen.join(" and ")))
    }));
    assert_eq!(caller.asks(Value::Null).await, ["name"]);
    assert_eq!(caller.asks(json!({})).await, ["name"], "a missing answer is the handler's to ask for again");
    assert_eq!(caller.asks(json!({ "name": name("ada") })).await, ["name"]);
    assert_eq!(caller.asks(json!({ "name": name("bob") })).await, ["sure"]);
    assert_eq!(caller.answers(json!({ "sure": yes() })).await, "ada and bob true");
}

#[tokio::test]
async fn a_handlers_own_rounds_obey_the_same_rules() {
    let mut caller =
        Asker::of(tool("own", || async { InputRequired::new().ask("n", Elicit::<Name>::new("?")) }));
    caller.capabilities = ClientCapabilities::default();
    assert_eq!(caller.fails(Value::Null).await.0, -32021);

    for (asks, why) in [
        (InputRequired::new(), "an answer that asks needs a question or a state"),
        (
            InputRequired::new().ask("n", Elicit::<Name>::new("?")).ask("n", Elicit::<Name>::new("!")),
            "this cannot be asked: two of its questions have the name `n`",
        ),
        (
            InputRequired::new().ask("", Elicit::<Name>::new("?")),
            "this cannot be asked: the key of a question or a remembered value has 1 to 256 bytes: use a short name",
        ),
        (
            InputRequired::new().state(&"x".repeat(70_000)),
            "this cannot be asked: the answers and remembered values of one call are longer than 64 KiB: keep large ones elsewhere and remember where",
        ),
    ] {
        let mut caller = Asker::of(tool("own", move || std::future::ready(asks.clone())));
        assert_eq!(caller.fails(Value::Null).await, (-32603, why.to_owned()));
    }
    // A state alone: the client calls again at once.
    let mut caller = Asker::of(tool("own", |cx: Context| async move {
        match cx.request_state::<u8>()? {
            Some(seven) => Ok(seven.to_string()),
            None => Err::<_, crate::Error>(InputRequired::new().state(&7).into()),
        }
    }));
    assert!(caller.asks(Value::Null).await.is_empty());
    assert_eq!(caller.answers(Value::Null).await, "7");
}

#[tokio::test]
async fn a_question_that_is_dropped_is_not_asked() {
    let mut caller = Asker::of(tool("drop", |cx: Context| async move {
        let mut first = cx.elicit::<Name>("Dropped?").key("dropped").into_future();
        assert!(futures_poll(&mut first).await.is_none());
        drop(first);
        cx.elicit::<Name>("Kept?").key("kept").await.map(|it| it.name)
    }));
    assert_eq!(caller.asks(Value::Null).await, ["kept"]);
    assert_eq!(caller.answers(json!({ "kept": name("ada") })).await, "ada");
}

/// Polls once.
async fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    poll_fn(|cx| match std::pin::Pin::new(&mut *future).poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
