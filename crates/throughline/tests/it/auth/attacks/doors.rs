//! Ways around the lock: the query, preflights, paths, other methods, and the answers of an issuer.

use std::net::SocketAddr;

use http::{Method, Request};
use http_body_util::BodyExt;
use serde_json::json;
use throughline::auth::{Authorization, Introspection, TrustedProxy};
use throughline::{StreamableHttp, serve};
use tokio::net::TcpListener;

use super::super::lock::issuer::Issuer;
use super::{Target, send, server, touch};
use crate::support::{MODERN, Tcp, Wire, text};

/// Status and body of the answer to a request that says it is the call.
async fn raw(address: SocketAddr, request: http::request::Builder, body: String) -> (u16, String) {
    let request = request
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", MODERN.date())
        .header("mcp-method", "tools/call")
        .header("mcp-name", "touch");
    let response = send(address, request, body).await;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn a_token_elsewhere_than_in_its_header() {
    let target = Target::start().await;
    let token = target.rsa.token(&target.claims("ann"));
    let bearer = format!("Bearer {token}");
    for query in ["access_token", "a=b&access_token", "access%5Ftoken", "%61ccess_token"] {
        for header in [None, Some(&bearer)] {
            let mut request = Request::post(format!("/mcp?{query}={token}"));
            if let Some(header) = header {
                request = request.header("authorization", header);
            }
            let (status, body) = raw(target.address, request, touch().to_string()).await;
            assert_eq!(status, 400, "{query}: {body}");
        }
    }
    for (name, value) in [
        ("cookie", format!("access_token={token}")),
        ("x-access-token", token.clone()),
        ("proxy-authorization", bearer.clone()),
        ("authorization", token.clone()),
        ("authorization", format!("Token {token}")),
        ("authorization", format!("Basic {token}")),
    ] {
        let request = Request::post("/mcp").header(name, value);
        assert_eq!(raw(target.address, request, touch().to_string()).await.0, 401, "{name}");
    }
    let (status, _) = raw(target.address, Request::post("/mcp"), format!("access_token={token}")).await;
    assert_eq!(status, 401, "in the body");
    assert_eq!(target.ran(), 0);
    target.whom(&token).await;
}

#[tokio::test]
async fn a_preflight_reaches_nothing_that_acts() {
    let target = Target::start().await;
    for path in ["/mcp", "/sse", "/messages", "/nothing", "/.well-known/oauth-protected-resource"] {
        let request = Request::builder()
            .method(Method::OPTIONS)
            .uri(path)
            .header("origin", "http://localhost")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization, mcp-param-x")
            .header("x-http-method-override", "POST");
        let (_, body) = raw(target.address, request, touch().to_string()).await;
        assert!(!body.contains("result"), "{path}: {body}");
    }
    // What only looks like one needs a token as all do.
    for (method, more) in [
        (Method::OPTIONS, None),
        (Method::OPTIONS, Some(("origin", "http://localhost"))),
        (Method::OPTIONS, Some(("access-control-request-method", "POST"))),
        (Method::POST, Some(("access-control-request-method", "POST"))),
        (Method::POST, Some(("x-http-method-override", "OPTIONS"))),
        (Method::GET, None),
        (Method::HEAD, None),
        (Method::PUT, None),
        (Method::DELETE, None),
        (Method::TRACE, None),
        (Method::from_bytes(b"options").unwrap(), Some(("origin", "http://localhost"))),
    ] {
        let mut request = Request::builder().method(&method).uri("/mcp");
        if let Some((name, value)) = more {
            request = request.header(name, value);
        }
        assert_eq!(raw(target.address, request, touch().to_string()).await.0, 401, "{method} {more:?}");
    }
    assert_eq!(target.ran(), 0);
}

#[tokio::test]
async fn the_path_of_the_document_opens_nothing_else() {
    let target = Target::start().await;
    let document = "/.well-known/oauth-protected-resource";
    for path in [
        format!("{document}/../mcp"),
        format!("{document}/%2e%2e/mcp"),
        format!("{document}/..%2fmcp"),
        format!("{document}/mcp/../../../mcp"),
        format!("{document}%2f..%2fmcp"),
        format!("{document};/mcp"),
        format!("{document}/other"),
        format!("/{document}"),
        "/.well-known/".into(),
        "/.well-known/../mcp".into(),
        "/./mcp".into(),
        "//mcp".into(),
        "/mcp/".into(),
        "/MCP".into(),
        "/mcp%00".into(),
    ] {
        for method in [Method::GET, Method::POST] {
            let request = Request::builder().method(&method).uri(&path);
            let (status, body) = raw(target.address, request, touch().to_string()).await;
            assert_eq!(status, 401, "{method} {path}: {body}");
        }
    }
    // At its own paths it is a document, whatever the request is.
    for path in
        [document.to_owned(), format!("{document}/"), format!("{document}/mcp"), format!("{document}?x=/mcp")]
    {
        assert_eq!(raw(target.address, Request::post(&path), touch().to_string()).await.0, 405, "{path}");
        // It says what was configured, and nothing that a header says.
        let request = Request::get(&path)
            .header("x-forwarded-host", "evil.example")
            .header("forwarded", "host=evil.example");
        let (status, body) = raw(target.address, request, String::new()).await;
        assert_eq!(status, 200);
        assert!(body.contains(&target.resource) && !body.contains("evil"), "{body}");
    }
    assert_eq!(target.ran(), 0);
}

#[tokio::test]
async fn the_answer_about_one_token_is_not_that_about_another() {
    let issuer = Issuer::listening(&[]).await;
    let target = Target::start_with(|builder| {
        let address = format!("{}/introspect", issuer.name());
        builder.introspection(Introspection::new(issuer.name(), address))
    })
    .await;
    let active = |subject: &str| json!({ "active": true, "sub": subject, "aud": target.resource, "client_id": "editor" });
    for number in 0..40 {
        issuer.knows(&format!("opaque-{number}"), active(&format!("user-{number}")));
    }
    for (number, active_as) in
        [json!("true"), json!("false"), json!(1), json!([true]), json!({}), json!(null)].iter().enumerate()
    {
        let mut answer = active("eve");
        answer["active"] = active_as.clone();
        issuer.knows(&format!("odd-{number}"), answer);
    }
    // All at once, twice, so that answers come back in any order and some are known.
    for _ in 0..2 {
        let calls: Vec<_> = (0..40)
            .map(|number| {
                let sending = target.wire(&format!("opaque-{number}")).post_modern(touch()).start();
                (number, sending)
            })
            .collect();
        for (number, call) in calls {
            let answer = call.await.unwrap().json().await;
            assert_eq!(text(&answer), format!("user-{number} at {}", issuer.name()));
        }
    }
    assert_eq!(issuer.asked("/introspect"), 40);
    target.refuses((0..6).map(|number| ("active as another type", format!("odd-{number}")))).await;
    // Another spelling of a good token is another token.
    target
        .refuses(
            ["opaque-1=", "OPAQUE-1", "opaque-01", "opaque-1.", "opaque-1%00"]
                .map(|token| ("spelling", token.replace('%', "~"))),
        )
        .await;
}

#[tokio::test]
async fn headers_of_a_proxy_are_its_own_in_any_case_and_of_each_proxy() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let ran = std::sync::Arc::default();
    // Both name people in the same header; only the second is where this test is.
    let far = TrustedProxy::new("X-User").at("10.0.0.0/8").issuer("far").scopes_from("X-Far-Scopes");
    let near = TrustedProxy::new("x-user").at("127.0.0.1").issuer("near").scopes_from("X-Scopes");
    let lock = Authorization::builder(format!("http://{address}/mcp"))
        .trusted_proxy(far)
        .trusted_proxy(near)
        .build()
        .unwrap();
    drop(tokio::spawn(serve(listener, lock.layer(StreamableHttp::new(server(&ran)))).into_future()));
    let wire = Wire::over(Tcp(address));
    let ann = wire.post_modern(touch()).header("x-user", "ann").header("x-far-scopes", "files:write");
    assert_eq!(text(&ann.send().await.json().await), "ann at near");
    // The scopes of the other proxy's header are none here.
    let remove = crate::support::modern(1, "tools/call", json!({ "name": "remove", "arguments": {} }));
    let grasping =
        wire.post_modern(remove.clone()).header("x-user", "ann").header("x-far-scopes", "files:write");
    assert_eq!(grasping.send().await.status(), 403);
    let granted = wire.post_modern(remove).header("x-user", "ann").header("x-scopes", "files:write");
    assert_eq!(granted.send().await.status(), 200);
    for (name, value) in [("x_user", "ann"), ("x-user ", "ann"), ("x-forwarded-user", "ann"), ("user", "ann")]
    {
        let Ok(name) = http::HeaderName::try_from(name) else { continue };
        let request = Request::post("/mcp").header(name, value);
        assert_eq!(raw(address, request, touch().to_string()).await.0, 401);
    }
    let twice = wire.post_modern(touch()).header("x-user", "ann").append("x-user", "bob").send().await;
    assert_eq!(twice.status(), 400);
    assert_eq!(ran.load(std::sync::atomic::Ordering::SeqCst), 2);
}
