//! Scopes of tools, prompts, resources, methods and endpoints: what lacks one never runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Method;
use serde_json::{Value, json};
use throughline::auth::{Challenge, ScopeHierarchy};
use throughline::revision::Revision;
use throughline::{
    Authorized, Builder, ChallengeTerms, Context, ResponseMode, Server, StreamableHttp, prompt, resource,
    template, tool,
};

use super::token;
use crate::support::older::{Older, refusal, send};
use crate::support::{Answer, Lines, Wire, call, initialize, listen, modern, request, text};

/// How many handlers ran.
#[derive(Clone, Default)]
struct Ran(Arc<AtomicUsize>);

impl Ran {
    fn one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// One thing of each kind for everybody, and one that needs scopes.
fn server(ran: &Ran) -> Server {
    let ran = |text: &'static str| {
        let ran = ran.clone();
        move || {
            ran.one();
            std::future::ready(text)
        }
    };
    let read = ran("read");
    Server::new("it", "1")
        .tool(tool("look", ran("looked")))
        .tool(tool("remove", ran("removed")).scopes(["files:write", "files:delete"]))
        .tool(tool("who", |cx: Context| async move {
            let authorized = cx.caller().authorized().expect("it is vouched for");
            format!("{} {}", authorized.principal().subject, authorized.scopes())
        }))
        .prompt(prompt("plan", ran("a plan")).scopes(["plans"]))
        .resource(resource("it://motd", "motd", ran("hello")))
        .resource(resource("it://diary", "diary", ran("dear diary")).scopes(["diary"]))
        .template(
            template("it://notes/{name}", "notes", move |name: Name| {
                let read = read();
                async move { format!("{} {}", read.await, name.name) }
            })
            .scopes(["notes"])
            .complete("name", |_| async { vec!["monday".to_owned()] }),
        )
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Name {
    name: String,
}

/// What a lock says of itself.
fn terms() -> Arc<ChallengeTerms> {
    let metadata = "https://mcp.example/.well-known/oauth-protected-resource/mcp";
    let hierarchy = ScopeHierarchy::new()
        .implies("admin", "files:write")
        .and_then(|hierarchy| hierarchy.implies("files:write", "files:delete"))
        .unwrap();
    Arc::new(
        ChallengeTerms::new(Challenge::bearer().with_resource_metadata(metadata)).with_hierarchy(hierarchy),
    )
}

fn ann(scopes: &str) -> Authorized {
    token("ann", scopes).with_terms(terms())
}

fn endpoint(ran: &Ran, build: impl FnOnce(Builder) -> Builder) -> StreamableHttp {
    build(StreamableHttp::builder(server(ran))).build()
}

/// The status, and the scopes of the challenge.
fn challenged(answer: &Answer) -> String {
    let header = answer.header("www-authenticate").to_owned();
    let scope = header.split_once(r#"scope=""#).and_then(|(_, rest)| rest.split_once('"'));
    format!("{} {}", answer.status(), scope.map_or("", |(scope, _)| scope))
}

/// A session of somebody with these scopes.
async fn session(endpoint: &StreamableHttp, revision: Revision, authorized: Authorized) -> Wire {
    Wire::new(endpoint).authorized(authorized).opened(revision, json!({})).await
}

/// Every request that needs a scope, and what it needs.
fn needy() -> Vec<(Value, &'static str)> {
    let reads = |uri: &str| json!({ "uri": uri });
    vec![
        (call(1, "remove", json!({})), "files:write files:delete"),
        (request(2, "prompts/get", json!({ "name": "plan" })), "plans"),
        (request(3, "resources/read", reads("it://diary")), "diary"),
        (request(4, "resources/read", reads("it://notes/monday")), "notes"),
        (
            request(
                5,
                "completion/complete",
                json!({
                    "ref": { "type": "ref/resource", "uri": "it://notes/{name}" },
                    "argument": { "name": "name", "value": "m" },
                }),
            ),
            "notes",
        ),
    ]
}

/// The same request in the modern era.
fn in_modern(request: &Value) -> Value {
    modern(request["id"].clone(), request["method"].as_str().unwrap(), request["params"].clone())
}

#[tokio::test(start_paused = true)]
async fn what_lacks_a_scope_gets_one_challenge_and_never_runs() {
    for mode in [ResponseMode::Adaptive, ResponseMode::Sse, ResponseMode::Json] {
        let ran = Ran::default();
        let endpoint = endpoint(&ran, |builder| builder.response_mode(mode));
        let wire = session(&endpoint, Revision::V2025_11_25, ann("files:delete")).await;
        let mut needy = needy();
        needy.push((request(6, "resources/subscribe", json!({ "uri": "it://diary" })), "diary"));
        for (request, needs) in needy {
            let refused = wire.post(request.clone()).send().await;
            assert_eq!(challenged(&refused), format!("403 {needs}"), "{mode:?} {request}");
            let body = refused.json().await;
            assert_eq!(body["id"], request["id"], "the refusal says which request it is");
            if request["method"] == "resources/subscribe" {
                continue;
            }
            let refused = Wire::new(&endpoint).authorized(ann("")).post_modern(in_modern(&request));
            assert_eq!(challenged(&refused.send().await), format!("403 {needs}"), "{mode:?} {request}");
        }
        assert_eq!((ran.count(), endpoint.in_flight()), (0, 0));
        let counters = endpoint.counters();
        assert_eq!((counters.requests_unauthorized, counters.requests_throttled), (11, 0));

        // With a token that suffices the same session goes on: the principal is the same.
        let wire = wire.authorized(ann("files:write files:delete plans diary notes"));
        for (request, _) in self::needy() {
            let answer = wire.post(request.clone()).header("accept", "application/json").send().await;
            let answer = answer.json().await;
            assert!(answer["result"].is_object(), "{answer}");
        }
        assert_eq!(ran.count(), 4);
    }
}

#[tokio::test(start_paused = true)]
async fn a_challenge_says_everything_that_a_client_needs() {
    let endpoint = endpoint(&Ran::default(), |builder| builder);
    let wire = session(&endpoint, Revision::V2025_11_25, ann("files:write")).await;
    // What is implied is not missing.
    assert_eq!(wire.post(call(1, "remove", json!({}))).send().await.status(), 200);
    let wire = wire.authorized(ann("files:delete"));
    let refused = wire.post(call(2, "remove", json!({}))).send().await;
    insta::assert_snapshot!(refused.header("www-authenticate"), @r#"Bearer error="insufficient_scope", error_description="The token lacks: files:write", scope="files:write files:delete", resource_metadata="https://mcp.example/.well-known/oauth-protected-resource/mcp""#);
    assert_eq!(refused.header("content-type"), "application/json");
    let error = refused.json().await["error"].clone();
    insta::assert_snapshot!(error, @r#"{"code":-32600,"data":{"missingScopes":["files:write"],"requiredScopes":["files:write","files:delete"]},"message":"The token lacks what this request needs: files:write. Get one with all of: files:write files:delete."}"#);
    let wire = wire.authorized(ann("admin"));
    assert_eq!(wire.post(call(3, "remove", json!({}))).send().await.status(), 200, "over two steps");
}

#[tokio::test(start_paused = true)]
async fn whom_nobody_vouches_for_is_asked_to_log_in() {
    let ran = Ran::default();
    let endpoint = endpoint(&ran, |builder| builder);
    // A server without a lock: nobody can ever have the scope.
    let wire = Wire::open(&endpoint, Revision::V2025_11_25).await;
    let refused = wire.post(call(1, "remove", json!({}))).send().await;
    assert_eq!(refused.header("www-authenticate"), r#"Bearer scope="files:write files:delete""#);
    insta::assert_snapshot!(refused.refusal().await, @"401 -32600: The request needs credentials. Send a token that this server takes in the Authorization header.");
    let refused =
        Wire::new(&endpoint).post_modern(modern(1, "tools/call", json!({ "name": "remove" }))).send().await;
    assert_eq!(challenged(&refused), "401 files:write files:delete");
    assert_eq!(wire.post(call(2, "look", json!({}))).send().await.status(), 200);
    assert_eq!(ran.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_lets_in_whoever_comes_says_where_to_log_in() {
    let endpoint = endpoint(&Ran::default(), |builder| builder);
    let message = modern(1, "tools/call", json!({ "name": "remove" })).to_string();
    let mut request = http::Request::post("http://localhost/mcp")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/call")
        .header("mcp-name", "remove")
        .body(http_body_util::Full::new(bytes::Bytes::from(message)))
        .unwrap();
    request.extensions_mut().insert(terms());
    let refused = endpoint.handle(request).await;
    assert_eq!(refused.status(), 401);
    assert_eq!(
        refused.headers()["www-authenticate"],
        r#"Bearer scope="files:write files:delete", resource_metadata="https://mcp.example/.well-known/oauth-protected-resource/mcp""#
    );
}

#[tokio::test(start_paused = true)]
async fn a_batch_runs_whole_or_not_at_all() {
    let ran = Ran::default();
    let endpoint = endpoint(&ran, |builder| builder);
    let wire = session(&endpoint, Revision::V2025_03_26, ann("plans")).await;
    let batch = json!([
        call(1, "look", json!({})),
        call(2, "remove", json!({})),
        request(3, "resources/read", json!({ "uri": "it://diary" })),
        request(4, "prompts/get", json!({ "name": "plan" })),
    ]);
    let refused = wire.post(batch.clone()).send().await;
    assert_eq!(challenged(&refused), "403 files:write files:delete diary plans");
    assert_eq!((ran.count(), endpoint.in_flight()), (0, 0));
    let wire = wire.authorized(ann("files:write diary plans"));
    let answers = wire.post(batch).header("accept", "application/json").send().await.json().await;
    assert_eq!((answers.as_array().unwrap().len(), ran.count()), (4, 4));
}

#[tokio::test(start_paused = true)]
async fn scopes_of_an_endpoint_and_of_methods_come_on_top() {
    let ran = Ran::default();
    let server = server(&ran)
        .method_scopes("tools/call", ["call"])
        .method_scopes("com.example/search", ["search"])
        .method("com.example/search", || async {});
    let endpoint = StreamableHttp::builder(server).scopes(["mcp"]).build();
    // Everything needs that of the endpoint, `initialize` and notifications too.
    let stranger = Wire::new(&endpoint).authorized(ann(""));
    let hello = initialize(Revision::V2025_11_25, &json!({}));
    assert_eq!(challenged(&stranger.post(hello.clone()).send().await), "403 mcp");
    assert_eq!(challenged(&Wire::new(&endpoint).post(hello).send().await), "401 mcp");
    assert_eq!(
        challenged(&stranger.post_modern(modern(1, "server/discover", json!({}))).send().await),
        "403 mcp"
    );
    assert_eq!(challenged(&stranger.post_modern(listen(1, json!({}))).send().await), "403 mcp");
    assert_eq!(endpoint.sessions(), 0);

    let wire = session(&endpoint, Revision::V2025_11_25, ann("mcp")).await;
    let poor = wire.clone().authorized(ann(""));
    let told = json!({ "jsonrpc": "2.0", "method": "notifications/roots/list_changed" });
    for sending in [poor.post(told), poor.get(), poor.delete()] {
        assert_eq!(challenged(&sending.send().await), "403 mcp");
    }
    assert_eq!(endpoint.sessions(), 1);
    for (request, needs) in [
        (call(1, "look", json!({})), "mcp call"),
        (call(2, "remove", json!({})), "mcp call files:write files:delete"),
        (request(3, "com.example/search", json!({})), "mcp search"),
    ] {
        assert_eq!(challenged(&wire.post(request.clone()).send().await), format!("403 {needs}"));
        let refused = Wire::new(&endpoint).authorized(ann("mcp")).post_modern(in_modern(&request));
        assert_eq!(challenged(&refused.send().await), format!("403 {needs}"));
    }
    assert_eq!(ran.count(), 0);
    let wire = wire.authorized(ann("mcp call search admin"));
    for request in [call(1, "remove", json!({})), request(3, "com.example/search", json!({}))] {
        assert_eq!(wire.post(request).send().await.status(), 200);
    }
    assert_eq!(wire.delete().send().await.status(), 204);
}

#[tokio::test(start_paused = true)]
async fn who_may_not_read_a_resource_does_not_hear_of_it() {
    let endpoint = endpoint(&Ran::default(), |builder| builder);
    let filter = json!({ "resourceSubscriptions": ["it://motd", "it://diary", "it://notes/monday"] });
    let wire = Wire::new(&endpoint).authorized(ann("notes"));
    let refused = wire.post_modern(listen(1, filter.clone())).send().await;
    assert_eq!(challenged(&refused), "403 diary notes");
    assert_eq!(endpoint.listeners(), 0);
    let mut stream = wire.authorized(ann("notes diary")).listen(2, filter).await;
    assert!(stream.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn a_call_has_the_scopes_of_its_own_request() {
    let endpoint = endpoint(&Ran::default(), |builder| builder);
    let wire = session(&endpoint, Revision::V2025_11_25, ann("old")).await;
    for scopes in ["old", "newer newest", ""] {
        let answer = wire.clone().authorized(ann(scopes)).post(call(1, "who", json!({}))).send().await;
        assert_eq!(text(&answer.json().await), format!("ann {scopes}"));
        let one = modern(1, "tools/call", json!({ "name": "who" }));
        let answer = Wire::new(&endpoint).authorized(ann(scopes)).post_modern(one).send().await;
        assert_eq!(text(&answer.json().await), format!("ann {scopes}"));
    }
    // And the one of a batch that of the batch.
    let wire = session(&endpoint, Revision::V2025_03_26, ann("old")).await.authorized(ann("new"));
    let answers = wire.post(json!([call(1, "who", json!({}))])).send().await.json().await;
    assert_eq!(text(&answers[0]), "ann new");
}

#[tokio::test(start_paused = true)]
async fn lists_show_everything_unless_only_what_is_permitted() {
    for (only, scopes, tools, resources) in [
        (false, "", vec!["look", "remove", "who"], vec!["it://motd", "it://diary"]),
        (true, "", vec!["look", "who"], vec!["it://motd"]),
        (true, "admin diary", vec!["look", "remove", "who"], vec!["it://motd", "it://diary"]),
    ] {
        let endpoint = StreamableHttp::new(server(&Ran::default()).list_permitted(only));
        let wire = Wire::new(&endpoint).authorized(ann(scopes));
        let listed = |method: &'static str, wire: Wire| async move {
            wire.post_modern(modern(1, method, json!({}))).send().await.json().await["result"].clone()
        };
        let found = listed("tools/list", wire.clone()).await;
        let names: Vec<_> =
            found["tools"].as_array().unwrap().iter().map(|tool| tool["name"].clone()).collect();
        assert_eq!(names, tools);
        let found = listed("resources/list", wire).await;
        let uris: Vec<_> =
            found["resources"].as_array().unwrap().iter().map(|resource| resource["uri"].clone()).collect();
        assert_eq!(uris, resources);
    }
    // To whom nobody vouches for it is said in private as well: the next one may see more.
    for (only, scope) in [(false, "public"), (true, "private")] {
        let endpoint = StreamableHttp::new(server(&Ran::default()).list_permitted(only));
        let listed = Wire::new(&endpoint).post_modern(modern(1, "tools/list", json!({}))).send().await;
        assert_eq!(listed.json().await["result"]["cacheScope"], scope);
    }
    let server = server(&Ran::default()).method_scopes("ping", ["ping"]);
    assert_eq!(server.scopes().to_string(), "files:write files:delete plans diary notes ping");
}

#[tokio::test(start_paused = true)]
async fn over_http_sse_a_request_without_its_scope_gets_a_status() {
    let ran = Ran::default();
    let endpoint = endpoint(&ran, |builder| builder);
    let sse = endpoint.http_sse();
    let mut older = Older::connect_as(&sse, Some(ann("files:delete")), &[]).await;
    older.initialize(Revision::V2025_03_26, &json!({})).await;
    for message in
        [call(1, "remove", json!({})), json!([call(2, "look", json!({})), call(3, "remove", json!({}))])]
    {
        let refused = older.post(message.to_string()).await;
        let challenge = refused.headers()["www-authenticate"].to_str().unwrap().to_owned();
        assert!(challenge.contains(r#"scope="files:write files:delete""#), "{challenge}");
        assert!(refusal(refused).await.starts_with("403 -32600"));
    }
    assert!(older.is_quiet().await);
    assert_eq!((ran.count(), endpoint.in_flight()), (0, 0));
    // The session goes on, and its client comes back with another token.
    older.authorized = Some(ann("admin"));
    let answer = older.ask(&call(4, "remove", json!({}))).await;
    assert_eq!(text(&answer), "removed");
    let sse = StreamableHttp::builder(server(&ran)).scopes(["mcp"]).build().http_sse();
    let refused = send(&sse, Method::GET, "/sse", &[("accept", "text/event-stream")], "").await;
    assert_eq!(refused.headers()["www-authenticate"], r#"Bearer scope="mcp""#);
    assert!(refusal(refused).await.starts_with("401 -32600"));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_when_it_is_asked_lets_nothing_in() {
    let ran = Ran::default();
    let runs = ran.clone();
    let server = Server::new("it", "1").tool(
        tool("shy", move || {
            runs.one();
            std::future::ready("ran")
        })
        .scopes(["a"])
        .visible_to(|caller| {
            assert!(caller.principal().is_none(), "it panics for whoever is known");
            true
        }),
    );
    let endpoint = StreamableHttp::new(server);
    let wire = session(&endpoint, Revision::V2025_11_25, ann("a")).await;
    for sending in [
        wire.post(call(1, "shy", json!({}))),
        Wire::new(&endpoint).authorized(ann("a")).post_modern(modern(
            1,
            "tools/call",
            json!({ "name": "shy" }),
        )),
    ] {
        let refused = sending.send().await.refusal().await;
        assert!(refused.starts_with("500 -32603"), "{refused}");
    }
    assert_eq!((ran.count(), endpoint.in_flight(), endpoint.counters().panics), (0, 0, 2));
}

#[tokio::test(start_paused = true)]
async fn over_stdio_scopes_are_no_question() {
    let ran = Ran::default();
    let server = server(&ran).list_permitted(true).method_scopes("tools/call", ["call"]);
    let mut lines = Lines::open(server, Revision::V2025_11_25, json!({})).await;
    let answer = lines.ask(&call(1, "remove", json!({}))).await;
    assert_eq!(text(&answer), "removed");
    let listed = lines.ask(&request(2, "tools/list", json!({}))).await;
    assert_eq!(listed["result"]["tools"].as_array().unwrap().len(), 3);
    let answer = lines.ask(&modern(3, "tools/call", json!({ "name": "remove" }))).await;
    assert_eq!(text(&answer), "removed");
}
