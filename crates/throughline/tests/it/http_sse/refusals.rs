//! What is refused, with which status, code and sentence.

use http::Method;
use serde_json::{Value, json};
use throughline::revision::Revision;
use throughline::{Era, HttpSse, Principal, StreamableHttp};

use crate::support::older::{refusal, send};
use crate::support::{Gate, Older, Wire, call, initialize, kit, request, text};

const NEWEST: Revision = Revision::V2025_11_25;
const JSON: (&str, &str) = ("content-type", "application/json");
const EVENTS: (&str, &str) = ("accept", "text/event-stream");

fn sse() -> HttpSse {
    StreamableHttp::new(kit::server(&Gate::new())).http_sse()
}

async fn get(service: &HttpSse, headers: &[(&'static str, &str)]) -> String {
    refusal(send(service, Method::GET, "/sse", headers, "").await).await
}

#[tokio::test(start_paused = true)]
async fn each_path_has_its_method() {
    let sse = sse();
    for (method, path, allow) in [
        (Method::POST, "/sse", "GET"),
        (Method::HEAD, "/sse", "GET"),
        (Method::OPTIONS, "/sse", "GET"),
        (Method::DELETE, "/sse", "GET"),
        (Method::GET, "/messages", "POST"),
        (Method::HEAD, "/messages", "POST"),
        (Method::OPTIONS, "/messages", "POST"),
        (Method::PUT, "/messages?sessionId=a", "POST"),
    ] {
        let response = send(&sse, method, path, &[EVENTS, JSON], "{}").await;
        assert_eq!(
            (response.status().as_u16(), &response.headers()["allow"]),
            (405, &allow.parse().unwrap())
        );
        assert!(refusal(response).await.ends_with(&format!("Use one of: {allow}.")));
    }
    let elsewhere = send(&sse, Method::GET, "/sse/", &[EVENTS], "").await;
    insta::assert_snapshot!(refusal(elsewhere).await, @"404 -32600: Nothing is here. Open a stream with GET at the server's SSE path, and post to the address that its first event gives.");
}

#[tokio::test(start_paused = true)]
async fn both_may_be_served_at_one_path() {
    let endpoint = StreamableHttp::new(kit::server(&Gate::new()));
    let sse = endpoint.http_sse().message_path("/sse").unwrap().public_prefix("/api/").unwrap();
    assert!(sse.serves("/sse") && !sse.serves("/messages"));
    let mut older = Older::connect(&sse).await;
    // A proxy takes the prefix away.
    older.address = older.address.strip_prefix("/api").unwrap().to_owned();
    assert!(older.address.starts_with("/sse?sessionId="));
    older.initialize(NEWEST, &json!({})).await;
    let response = send(&sse, Method::DELETE, "/sse", &[], "").await;
    assert_eq!(response.headers()["allow"], "GET, POST");
    for path in ["", "sse", "//evil.example", "/a?b", "/a#b", "/ä b", "https://a.example/"] {
        let error = endpoint.http_sse().message_path(path).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("\"{path}\" is not a path. Give one that begins with one slash, like /sse.")
        );
        assert!(
            endpoint.http_sse().sse_path(path).is_err() && endpoint.http_sse().public_prefix(path).is_err()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn who_may_ask_is_as_at_the_other_endpoint() {
    let sse = sse();
    insta::assert_snapshot!(get(&sse, &[EVENTS, ("host", "evil.example")]).await, @"403 -32600: This server does not answer to that Host. Use its own address, or have its operator allow the host.");
    insta::assert_snapshot!(get(&sse, &[EVENTS, ("origin", "https://evil.example")]).await, @"403 -32600: That Origin may not use this server. Have its operator allow the origin.");
    insta::assert_snapshot!(get(&sse, &[("accept", "application/json")]).await, @"406 -32600: a GET opens a stream of events; send: Accept: text/event-stream");
    insta::assert_snapshot!(get(&sse, &[EVENTS, ("mcp-protocol-version", "2026-07-28")]).await, @r#"400 -32600: The protocol version "2026-07-28" is not supported. Send one of: 2025-11-25, 2025-06-18, 2025-03-26, 2024-11-05."#);
    let older = Older::connect(&sse).await;
    for headers in [&[JSON, ("host", "evil.example")], &[JSON, ("origin", "https://evil.example")]] {
        assert_eq!(send(&sse, Method::POST, &older.address, headers, "{}").await.status(), 403);
    }
    let plain = send(&sse, Method::POST, &older.address, &[("content-type", "text/plain")], "{}").await;
    insta::assert_snapshot!(refusal(plain).await, @"415 -32600: The body must be JSON in UTF-8. Send: Content-Type: application/json");
    let version = [JSON, ("mcp-protocol-version", "2025-99-99")];
    assert_eq!(send(&sse, Method::POST, &older.address, &version, "{}").await.status(), 400);
}

#[tokio::test(start_paused = true)]
async fn pages_of_named_origins_are_answered() {
    let app = ("origin", "https://app.example");
    let endpoint = StreamableHttp::builder(kit::server(&Gate::new())).allow_origin(app.1).unwrap().build();
    let sse = endpoint.http_sse();
    for (path, methods) in [("/sse", "GET"), ("/messages", "POST")] {
        let preflight = send(&sse, Method::OPTIONS, path, &[app], "").await;
        assert_eq!(preflight.status(), 204);
        assert_eq!(preflight.headers()["access-control-allow-methods"], methods);
        assert_eq!(preflight.headers()["access-control-allow-origin"], app.1);
        assert_eq!(preflight.headers()["vary"], "Origin");
    }
    let older = Older::connect_with(&sse, &[app]).await;
    let ping = request(1, "ping", json!({})).to_string();
    let posted = send(&sse, Method::POST, &older.address, &[app, JSON], ping).await;
    assert_eq!(
        (posted.status().as_u16(), &posted.headers()["access-control-allow-origin"]),
        (202, &app.1.parse().unwrap())
    );
    let refused = send(&sse, Method::POST, "/messages", &[app, JSON], "").await;
    assert_eq!(refused.headers()["access-control-allow-origin"], app.1);
}

#[tokio::test(start_paused = true)]
async fn a_message_names_one_session_that_is_there() {
    let sse = sse();
    let mut older = Older::open(&sse, NEWEST, json!({})).await;
    let other = Older::open(&sse, NEWEST, json!({})).await;
    let ping = request(1, "ping", json!({}));
    older.note(&ping);
    let ping = ping.to_string();
    let post = async |address: &str, headers: &[(&'static str, &str)]| {
        let headers = [&[JSON], headers].concat();
        refusal(send(&sse, Method::POST, address, &headers, ping.clone()).await).await
    };
    insta::assert_snapshot!(post("/messages", &[]).await, @"400 -32600: The address names no session. Open the stream with GET, and post to the address that its first event gives.");
    insta::assert_snapshot!(post("/messages?sessionId=", &[]).await, @"400 -32600: The address must name one session. Post to the address that the first event of the stream gave, as it is.");
    insta::assert_snapshot!(post("/messages?sessionId=00000000000000000000000000000000", &[]).await, @"404 -32600: The session is unknown or has ended. Open a stream with GET for a new one.");
    let (mine, theirs) = (older.session_id().to_owned(), other.session_id().to_owned());
    let two = format!("/messages?sessionId={mine}&sessionId={theirs}");
    insta::assert_snapshot!(post(&two, &[]).await, @"400 -32600: The address must name one session. Post to the address that the first event of the stream gave, as it is.");
    insta::assert_snapshot!(post(&older.address, &[("mcp-session-id", &theirs)]).await, @"400 -32600: The Mcp-Session-Id header names another session than the address. Leave the header out.");
    assert!(
        post(&older.address, &[("mcp-session-id", &mine), ("mcp-session-id", &theirs)])
            .await
            .starts_with("400")
    );
    let twice = [JSON, ("mcp-session-id", mine.as_str())];
    assert_eq!(send(&sse, Method::POST, &older.address, &twice, ping.clone()).await.status(), 202);
    assert_eq!(older.next().await["id"], 1);
    assert!(older.is_quiet().await, "and nothing else came");
}

/// The sessions of the two transports are not each other's.
#[tokio::test(start_paused = true)]
async fn no_session_is_reached_over_the_other_transport() {
    let endpoint = StreamableHttp::new(kit::server(&Gate::new()));
    let sse = endpoint.http_sse();
    let mut older = Older::open(&sse, NEWEST, json!({})).await;
    let wire = Wire::open(&endpoint, NEWEST).await;
    let id = older.session_id().to_owned();
    let foreign = Wire::new(&endpoint).with("mcp-session-id", &id);
    for sending in [foreign.post(request(1, "ping", json!({}))), foreign.get(), foreign.delete()] {
        assert_eq!(sending.send().await.status(), 404);
    }
    let address = format!("/messages?sessionId={}", wire.session_id());
    let posted = send(&sse, Method::POST, &address, &[JSON], request(1, "ping", json!({})).to_string()).await;
    assert_eq!(posted.status(), 404);
    assert!(older.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn a_session_belongs_to_its_principal() {
    let who = |parts: &http::request::Parts| {
        let user = parts.headers.get("x-user")?.to_str().ok()?;
        Some(Principal::new("it", user))
    };
    let endpoint = StreamableHttp::builder(kit::server(&Gate::new())).principal(who).build();
    let sse = endpoint.http_sse();
    let mut ann = Older::connect_with(&sse, &[("x-user", "ann")]).await;
    let hello = initialize(NEWEST, &json!({}));
    ann.note(&hello);
    let hello = hello.to_string();
    for headers in [&[JSON][..], &[JSON, ("x-user", "bob")]] {
        let refused = send(&sse, Method::POST, &ann.address, headers, hello.clone()).await;
        assert!(refusal(refused).await.starts_with("404 -32600: The session is unknown"));
    }
    let mine = send(&sse, Method::POST, &ann.address, &[JSON, ("x-user", "ann")], hello).await;
    assert_eq!(mine.status(), 202);
    assert_eq!(ann.next().await["result"]["protocolVersion"], NEWEST.date());
}

#[tokio::test(start_paused = true)]
async fn what_is_no_message_gets_a_status_and_nothing_on_the_stream() {
    let endpoint = StreamableHttp::builder(kit::server(&Gate::new())).max_body(1000).build();
    let mut older = Older::open(&endpoint.http_sse(), NEWEST, json!({})).await;
    for (body, said) in [
        ("", "400 -32700"),
        ("nonsense", "400 -32700"),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,", "400 -32700"),
        ("7", "400 -32600"),
        ("[]", "400 -32600"),
        (r#"{"jsonrpc":"1.0","id":"a","method":"ping"}"#, "400 -32600 (id \"a\")"),
        (r#"{"jsonrpc":"2.0","id":3}"#, "400 -32600 (id 3)"),
        (r#"[{"jsonrpc":"2.0","id":4,"method":"ping"}]"#, "400 -32600: this revision has no batches"),
        (&" ".repeat(1001), "413 -32600: The body is longer than 1000 bytes."),
        (&"[".repeat(500), "400 -32"),
    ] {
        let refused = refusal(older.post(body.to_owned()).await).await;
        assert!(refused.starts_with(said), "{body}: {refused}");
    }
    assert!(older.is_quiet().await);
    let early = Older::connect(&endpoint.http_sse()).await;
    let batch = early.post(r#"[{"jsonrpc":"2.0","id":4,"method":"ping"}]"#).await;
    insta::assert_snapshot!(refusal(batch).await, @"400 -32600: The session is not initialized. Send initialize first.");
}

#[tokio::test(start_paused = true)]
async fn an_id_in_flight_is_not_used_twice() {
    let gate = Gate::new();
    let mut older = Older::of(kit::server(&gate), NEWEST, json!({})).await;
    older.send(&call(1, "gated", json!({ "before": 0, "after": 0 }))).await;
    // On the stream it would be taken for the answer to the first one.
    let again = older.post(call(1, "echo", json!({ "text": "x" })).to_string()).await;
    insta::assert_snapshot!(refusal(again).await, @"400 -32600 (id 1): A request with this id is still in flight. Give each request an id of its own.");
    let meta = json!({ "_meta": { "io.modelcontextprotocol/protocolVersion": "2026-07-28" } });
    for refused in [request(1, "initialize", json!({})), request(1, "server/discover", meta)] {
        assert_eq!(older.post(refused.to_string()).await.status(), 400);
    }
    gate.open(1);
    assert_eq!(text(&older.next().await), "done");
}

#[tokio::test(start_paused = true)]
async fn without_sessions_it_is_not_served() {
    let stateless = StreamableHttp::builder(kit::server(&Gate::new())).stateless_http(true).build();
    let modern = StreamableHttp::builder(kit::server(&Gate::new())).era(Era::Modern).build();
    for endpoint in [stateless, modern] {
        let sse = endpoint.http_sse();
        let said = get(&sse, &[EVENTS]).await;
        assert_eq!(
            said,
            "404 -32600: This server keeps no sessions, so HTTP+SSE is not served. Use Streamable HTTP."
        );
        assert_eq!(send(&sse, Method::POST, "/messages?sessionId=a", &[JSON], "{}").await.status(), 404);
    }
    let legacy =
        StreamableHttp::builder(kit::server(&Gate::new())).era(Era::Legacy).json_response(true).build();
    let mut older = Older::open(&legacy.http_sse(), NEWEST, json!({})).await;
    older.send(&call(1, "steps", json!({ "count": 1 }))).await;
    assert_eq!(older.next().await["params"]["progress"], Value::from(1), "one stream carries everything");
}
