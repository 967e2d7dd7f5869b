//! What belongs to one principal does not exist for another, on every path; and streams end with the token that opened them.

use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use http::Request;
use serde_json::{Value, json};
use throughline::revision::Revision;
use throughline::{
    Authorized, Client, Connect, Context, Error, KeyRing, Principal, Server, StreamableHttp, resource, tool,
};
use tower_service::Service;

use super::{expiring, token};
use crate::support::older::{Older, refusal, send};
use crate::support::{Disk, Gate, Wire, call, initialize, kit, modern, request, text, until, within};

const NEWEST: Revision = Revision::V2025_11_25;

fn endpoint(gate: &Gate) -> StreamableHttp {
    quiet(kit::server(gate))
}

/// An endpoint whose streams say nothing while nothing happens.
fn quiet(server: Server) -> StreamableHttp {
    StreamableHttp::builder(server).keep_alive(Duration::ZERO).build()
}

async fn session(endpoint: &StreamableHttp, authorized: Authorized) -> Wire {
    Wire::new(endpoint).authorized(authorized).opened(NEWEST, json!({})).await
}

/// Whoever else may come with the id of somebody's session.
fn others() -> Vec<Option<Authorized>> {
    vec![
        None,
        Some(token("bob", "")),
        Some(Authorized::new(Principal::new("https://other.example", "ann"))),
        Some(Authorized::new(Principal::new("https://login.example", "ann").with_client("app"))),
    ]
}

fn as_other(endpoint: &StreamableHttp, wire: &Wire, other: Option<Authorized>) -> Wire {
    let stranger = Wire::new(endpoint).with("mcp-session-id", wire.session_id());
    match other {
        Some(authorized) => stranger.authorized(authorized),
        None => stranger,
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_is_unknown_to_everybody_else_on_every_path() {
    let gate = Gate::new();
    let endpoint = endpoint(&gate);
    let wire = session(&endpoint, token("ann", "a b")).await;
    let mut running = wire.call(1, "gated", json!({ "before": 1, "after": 1 })).await;
    let last = running.message().await.id.expect("an id");
    for other in others() {
        let stranger = as_other(&endpoint, &wire, other);
        let cancel =
            json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } });
        let answer = json!({ "jsonrpc": "2.0", "id": 0, "result": {} });
        for sending in [
            stranger.post(request(9, "ping", json!({}))),
            stranger.post(call(9, "echo", json!({ "text": "x" }))),
            stranger.post(cancel),
            stranger.post(answer),
            stranger.get(),
            stranger.resume(&last),
            stranger.delete(),
        ] {
            let refused = sending.send().await.refusal().await;
            assert!(refused.starts_with("404 -32600: The session is unknown"), "{refused}");
        }
    }
    // A refreshed token with other scopes and another expiry is the same principal.
    let refreshed = wire.authorized(expiring("ann", 60));
    drop(running);
    gate.open(1);
    let mut resumed = refreshed.resume(&last).send().await.events();
    assert_eq!(resumed.message().await.progress(), Some(2.0));
    assert_eq!(text(&resumed.message().await.message), "done");
    assert_eq!(refreshed.get().send().await.status(), 200);
    assert_eq!(refreshed.delete().send().await.status(), 204);
}

#[tokio::test(start_paused = true)]
async fn a_cursor_of_another_session_opens_nothing() {
    let gate = Gate::new();
    let endpoint = endpoint(&gate);
    let (ann, bob) = (session(&endpoint, token("ann", "")).await, session(&endpoint, token("bob", "")).await);
    let last = ann.call(1, "steps", json!({ "count": 2 })).await.message().await.id.expect("an id");
    let refused = bob.resume(&last).send().await.refusal().await;
    assert!(
        refused.starts_with("400 -32600: The Last-Event-ID is not an event id of this session"),
        "{refused}"
    );
    assert_eq!(ann.resume(&last).send().await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_session_belongs_to_its_principal_after_a_restart_too() {
    let (gate, disk) = (Gate::new(), Disk::new());
    let build = |disk: &Disk| StreamableHttp::builder(kit::server(&gate)).event_store(disk.clone()).build();
    let first = build(&disk);
    let wire = session(&first, token("ann", "a")).await;
    assert_eq!(wire.post(request(1, "ping", json!({}))).send().await.status(), 200);
    drop(first);
    let second = build(&disk.reboot());
    for other in others() {
        let stranger = as_other(&second, &wire, other);
        assert_eq!(stranger.post(request(2, "ping", json!({}))).send().await.status(), 404);
    }
    let wire = wire.moved_to(&second).authorized(token("ann", "b"));
    assert_eq!(wire.post(request(3, "ping", json!({}))).send().await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_sealed_state_is_good_for_its_principal_alone() {
    let server = Server::new("it", "1").tool(tool("ask", |cx: Context| async move {
        Ok::<_, Error>(format!("{} roots", cx.roots().await?.len()))
    }));
    let keys = KeyRing::new([1; 32]);
    let endpoint = StreamableHttp::builder(server).seal_key(keys).build();
    let ask = |state: Option<&Value>| {
        let mut params = json!({ "name": "ask" });
        if let Some(asked) = state {
            let key = asked["inputRequests"].as_object().unwrap().keys().next().unwrap().clone();
            params["requestState"] = asked["requestState"].clone();
            params["inputResponses"] = json!({ key: { "roots": [] } });
        }
        crate::support::modern_of(json!({ "roots": {} }), 1, "tools/call", params)
    };
    let ann = Wire::new(&endpoint).authorized(token("ann", "a"));
    let asked = ann.post_modern(ask(None)).send().await.json().await["result"].clone();
    assert_eq!(asked["resultType"], "input_required", "{asked}");
    for other in others() {
        let stranger = match other {
            Some(authorized) => Wire::new(&endpoint).authorized(authorized),
            None => Wire::new(&endpoint),
        };
        let refused = stranger.post_modern(ask(Some(&asked))).send().await.refusal().await;
        assert!(
            refused.starts_with("400 -32602: The requestState was not given for this request"),
            "{refused}"
        );
    }
    let ann = ann.authorized(token("ann", "other scopes"));
    assert_eq!(text(&ann.post_modern(ask(Some(&asked))).send().await.json().await), "0 roots");
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_http_sse_takes_messages_of_its_principal_alone() {
    let endpoint = endpoint(&Gate::new());
    let sse = endpoint.http_sse();
    let mut ann = Older::connect_as(&sse, Some(token("ann", "a")), &[]).await;
    let hello = initialize(NEWEST, &json!({})).to_string();
    let json = [("content-type", "application/json")];
    let refused = send(&sse, http::Method::POST, &ann.address, &json, hello.clone()).await;
    assert!(refusal(refused).await.starts_with("404 -32600"));
    for other in others() {
        ann.authorized = other;
        let refused = ann.post(hello.clone()).await;
        assert!(refusal(refused).await.starts_with("404 -32600: The session is unknown"));
    }
    ann.authorized = Some(token("ann", "b"));
    ann.initialize(NEWEST, &json!({})).await;
    assert_eq!(text(&ann.ask(&call(1, "echo", json!({ "text": "hi" }))).await), "hi");
}

// Who is who

#[tokio::test(start_paused = true)]
async fn a_hook_names_the_principal_and_scopes_stay_those_of_the_token() {
    let server = Server::new("it", "1").tool(
        tool("who", |cx: Context| async move {
            let authorized = cx.caller().authorized().expect("it is vouched for").clone();
            format!("{} {}", authorized.principal().subject, authorized.has_scope("a"))
        })
        .scopes(["a"]),
    );
    let who = |parts: &http::request::Parts| {
        Some(Principal::new("hook", parts.headers.get("x-who")?.to_str().ok()?))
    };
    let endpoint = StreamableHttp::builder(server).principal(who).build();
    let one = || modern(1, "tools/call", json!({ "name": "who" }));
    let wire = Wire::new(&endpoint).authorized(token("ann", "a"));
    assert_eq!(text(&wire.post_modern(one()).send().await.json().await), "ann true");
    let wire = wire.with("x-who", "eve");
    assert_eq!(text(&wire.post_modern(one()).send().await.json().await), "eve true");
    // A hook alone vouches for nobody's scopes.
    let wire = Wire::new(&endpoint).with("x-who", "eve");
    assert_eq!(wire.post_modern(one()).send().await.status(), 403);
}

// The end of a token

#[tokio::test(start_paused = true)]
async fn a_stream_of_a_session_ends_with_its_token_and_goes_on_with_the_next() {
    let server = kit::server(&Gate::new());
    let endpoint = quiet(server.clone());
    let wire = session(&endpoint, expiring("ann", 60)).await;
    let mut events = wire.get().send().await.events();
    let primed = events.next().await.expect("the priming event");
    tokio::time::advance(Duration::from_secs(50)).await;
    server.add_tool(tool("first", || async { "" })).unwrap();
    let first = events.message().await;
    assert!(events.is_quiet().await, "it is not over yet");
    tokio::time::advance(Duration::from_secs(20)).await;
    let last = events.next().await.expect("when to come back");
    assert_eq!((last.retry, last.message), (Some(Duration::from_secs(1)), Value::Null));
    assert!(events.next().await.is_none(), "a clean end");

    // What happens meanwhile is there for the next token.
    server.add_tool(tool("second", || async { "" })).unwrap();
    let wire = wire.authorized(expiring("ann", 3600));
    let mut resumed = wire.resume(first.id.as_deref().unwrap()).send().await.events();
    let second = resumed.message().await;
    assert_eq!(second.message["method"], "notifications/tools/list_changed");
    assert_ne!((second.id.clone(), primed.id), (first.id, second.id), "another event");
    assert!(resumed.is_quiet().await);
    tokio::time::advance(Duration::from_secs(3000)).await;
    assert!(resumed.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn a_call_outlives_the_token_and_its_stream_is_resumed_with_the_next() {
    let gate = Gate::new();
    let endpoint = endpoint(&gate);
    for (revision, before) in [(NEWEST, 0), (NEWEST, 1), (Revision::V2025_06_18, 1)] {
        let wire = Wire::new(&endpoint).authorized(expiring("ann", 60)).opened(revision, json!({})).await;
        let mut events = wire.call(1, "gated", json!({ "before": before, "after": 1 })).await;
        gate.until_came(1).await;
        let mut last = None;
        tokio::time::advance(Duration::from_secs(70)).await;
        while let Some(event) = events.next().await {
            last = event.id.or(last);
        }
        assert_eq!(endpoint.in_flight(), 1, "the call runs on");
        gate.open(1);
        let wire = wire.authorized(expiring("ann", 60));
        let mut resumed = wire.resume(&last.expect("an id to come back with")).send().await.events();
        assert_eq!(resumed.message().await.progress(), Some(f64::from(before + 1)));
        assert_eq!(text(&resumed.message().await.message), "done");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_an_id_yet_waits_for_one() {
    let gate = Gate::new();
    let endpoint = endpoint(&gate);
    // Before priming a client that lost its connection now could never come back.
    let wire =
        Wire::new(&endpoint).authorized(expiring("ann", 60)).opened(Revision::V2025_06_18, json!({})).await;
    let mut events = wire.call(1, "gated", json!({ "before": 0, "after": 2 })).await;
    gate.until_came(1).await;
    tokio::time::advance(Duration::from_secs(70)).await;
    assert!(events.is_quiet().await);
    gate.open(1);
    let first = events.message().await;
    assert_eq!(first.progress(), Some(1.0));
    drop(events);
    let wire = wire.authorized(expiring("ann", 60));
    let mut resumed = wire.resume(first.id.as_deref().unwrap()).send().await.events();
    assert_eq!(resumed.message().await.progress(), Some(2.0));
}

#[tokio::test(start_paused = true)]
async fn who_listens_without_a_session_is_answered_when_the_token_ends() {
    let server = kit::server(&Gate::new());
    let endpoint = quiet(server.clone());
    let ann = Wire::new(&endpoint).authorized(expiring("ann", 60));
    let mut hers = ann.listen(1, json!({ "toolsListChanged": true })).await;
    let mut other = Wire::new(&endpoint)
        .authorized(token("bob", ""))
        .listen(2, json!({ "toolsListChanged": true }))
        .await;
    tokio::time::advance(Duration::from_secs(70)).await;
    assert_eq!(hers.what().await.as_deref(), Some("result"));
    assert_eq!(hers.what().await, None);
    drop(hers);
    assert_eq!(endpoint.listeners(), 1);
    server.add_tool(tool("late", || async { "" })).unwrap();
    assert_eq!(other.what().await.as_deref(), Some("tools/list_changed"), "who said nothing of an end stays");
}

#[tokio::test(start_paused = true)]
async fn a_modern_call_is_answered_although_its_token_ended() {
    let gate = Gate::new();
    let endpoint = endpoint(&gate);
    let params = json!({
        "name": "gated", "arguments": { "before": 1, "after": 1 }, "_meta": { "progressToken": "t" },
    });
    let wire = Wire::new(&endpoint).authorized(expiring("ann", 60));
    let mut events = wire.post_modern(modern(1, "tools/call", params)).send().await.events();
    assert_eq!(events.message().await.progress(), Some(1.0));
    tokio::time::advance(Duration::from_secs(3600)).await;
    gate.open(1);
    assert_eq!(events.message().await.progress(), Some(2.0));
    assert_eq!(text(&events.message().await.message), "done");
}

#[tokio::test(start_paused = true)]
async fn a_session_of_http_sse_lasts_as_long_as_its_client_sends_newer_tokens() {
    let endpoint = endpoint(&Gate::new());
    let sse = endpoint.http_sse();
    let mut older = Older::connect_as(&sse, Some(expiring("ann", 60)), &[]).await;
    older.initialize(NEWEST, &json!({})).await;
    tokio::time::advance(Duration::from_secs(50)).await;
    // An older token shortens nothing, and a newer one is newer.
    for seconds in [60, 10] {
        older.authorized = Some(expiring("ann", seconds));
        assert_eq!(text(&older.ask(&call(seconds, "echo", json!({ "text": "hi" }))).await), "hi");
    }
    tokio::time::advance(Duration::from_secs(40)).await;
    assert!(older.is_quiet().await);
    assert_eq!(endpoint.sessions(), 1);
    tokio::time::advance(Duration::from_secs(40)).await;
    assert!(older.next_or_end().await.is_none(), "a clean end");
    until(|| endpoint.sessions() == 0).await;
}

// The client

/// A server that is reached with whatever token there is at the moment.
#[derive(Clone)]
struct Vouched {
    endpoint: StreamableHttp,
    token: Arc<Mutex<Authorized>>,
    /// The methods that came.
    seen: Arc<Mutex<Vec<String>>>,
}

impl<B> Service<Request<B>> for Vouched
where
    B: http_body::Body<Data: Send> + Send + 'static,
{
    type Response = <StreamableHttp as Service<Request<B>>>::Response;
    type Error = <StreamableHttp as Service<Request<B>>>::Error;
    type Future = <StreamableHttp as Service<Request<B>>>::Future;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        self.seen.lock().unwrap().push(request.method().to_string());
        request.extensions_mut().insert(self.token.lock().unwrap().clone());
        self.endpoint.call(request)
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_hears_on_when_its_token_was_refreshed() {
    for connect in [|connect: Connect| connect, |connect: Connect| connect.revision(NEWEST)] {
        let server = kit::server(&Gate::new()).resource(resource("it://a", "a", || async { "a" }));
        let service = Vouched {
            endpoint: StreamableHttp::new(server.clone()),
            token: Arc::new(Mutex::new(expiring("ann", 60))),
            seen: Arc::default(),
        };
        let heard = Arc::new(Mutex::new(0));
        let hears = Arc::clone(&heard);
        let client = connect(Client::over(service.clone()))
            .on_resource_updated(move |_| *hears.lock().unwrap() += 1)
            .await
            .unwrap();
        within(async { client.subscribe("it://a").await }).await.unwrap();
        until(|| server.resource_updated("it://a") == 1).await;
        until(|| *heard.lock().unwrap() >= 1).await;
        let before = service.seen.lock().unwrap().len();
        *service.token.lock().unwrap() = expiring("ann", 3600);
        tokio::time::sleep(Duration::from_secs(90)).await;
        assert!(service.seen.lock().unwrap().len() > before, "it came back by itself");
        let heard_before = *heard.lock().unwrap();
        assert_eq!(server.resource_updated("it://a"), 1);
        until(|| *heard.lock().unwrap() > heard_before).await;
        assert_eq!(text_of(&client).await, "still here");
    }
}

async fn text_of(client: &Client) -> String {
    let call = async { client.call_tool("echo", &json!({ "text": "still here" })).await };
    serde_json::to_value(within(call).await.unwrap()).unwrap()["content"][0]["text"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test(start_paused = true)]
async fn what_is_let_in_a_moment_before_its_end_has_a_second() {
    let endpoint = endpoint(&Gate::new());
    let over = token("ann", "").with_expiry(throughline::auth::UnixTime(1));
    let mut stream =
        Wire::new(&endpoint).authorized(over).listen(1, json!({ "toolsListChanged": true })).await;
    assert!(stream.is_quiet().await);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(stream.what().await.as_deref(), Some("result"));
}
