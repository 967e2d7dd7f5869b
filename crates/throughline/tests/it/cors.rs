//! Pages of named origins may call the server from a browser.

use bytes::Bytes;
use http::Method;
use serde_json::json;
use throughline::StreamableHttp;
use throughline::revision::Revision;

use crate::support::{Gate, Wire, initialize, kit, request};

const APP: &str = "https://app.example";

#[tokio::test(start_paused = true)]
async fn a_named_origin_is_answered_and_may_read_the_session_id() {
    let endpoint = StreamableHttp::builder(kit::server(&Gate::new())).allow_origin(APP).unwrap().build();
    let wire = Wire::new(&endpoint).with("origin", APP);
    let preflight =
        wire.request(Method::OPTIONS, Bytes::new()).header("access-control-request-method", "POST");
    let preflight = preflight.send().await;
    assert_eq!(preflight.status(), 204);
    assert_eq!(preflight.header("access-control-allow-origin"), APP);
    insta::assert_snapshot!(preflight.header("access-control-allow-methods"), @"GET, POST, DELETE");
    insta::assert_snapshot!(preflight.header("access-control-allow-headers"), @"Authorization, Content-Type, Accept, Mcp-Session-Id, MCP-Protocol-Version, Mcp-Method, Mcp-Name, Last-Event-ID");
    assert_eq!(preflight.header("vary"), "Origin");

    let hello = wire.post(initialize(Revision::V2025_11_25, &json!({}))).send().await;
    assert_eq!((hello.status(), hello.header("access-control-allow-origin")), (200, APP));
    insta::assert_snapshot!(hello.header("access-control-expose-headers"), @"Mcp-Session-Id, Retry-After, WWW-Authenticate");
    // A refusal can be read too, and a stream.
    let refused = wire.post(request(1, "ping", json!({}))).send().await;
    assert_eq!((refused.status(), refused.header("access-control-allow-origin")), (400, APP));
    let mut wire = wire;
    wire.adopt(&hello, Revision::V2025_11_25);
    assert_eq!(wire.get().send().await.header("access-control-allow-origin"), APP);
}

#[tokio::test(start_paused = true)]
async fn a_page_may_send_the_headers_of_a_tool() {
    let endpoint = StreamableHttp::builder(kit::server(&Gate::new())).allow_origin(APP).unwrap().build();
    let wire = Wire::new(&endpoint).with("origin", APP);
    let preflight = wire
        .request(Method::OPTIONS, Bytes::new())
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "mcp-method,mcp-param-region, Mcp-Param-Tier,x-own");
    let preflight = preflight.send().await;
    assert!(
        preflight
            .header("access-control-allow-headers")
            .ends_with("Last-Event-ID, mcp-param-region, mcp-param-tier")
    );
}

#[tokio::test(start_paused = true)]
async fn other_origins_get_nothing() {
    let endpoint = StreamableHttp::builder(kit::server(&Gate::new())).allow_origin(APP).unwrap().build();
    for origin in ["https://evil.example", "http://app.example", "https://app.example:8443", "null"] {
        let wire = Wire::new(&endpoint).with("origin", origin);
        let preflight = wire.request(Method::OPTIONS, Bytes::new()).send().await;
        assert_eq!(
            (preflight.status(), preflight.header("access-control-allow-origin")),
            (403, ""),
            "{origin}"
        );
    }
    // A page on this machine may ask, and is not told more than that.
    let wire = Wire::new(&endpoint).with("origin", "http://localhost:5173");
    let hello = wire.post(initialize(Revision::V2025_11_25, &json!({}))).send().await;
    assert_eq!((hello.status(), hello.header("access-control-allow-origin")), (200, ""));
    assert!(StreamableHttp::builder(kit::server(&Gate::new())).allow_origin("not an origin").is_err());
}

#[tokio::test(start_paused = true)]
async fn without_named_origins_there_is_no_cors() {
    let endpoint = StreamableHttp::new(kit::server(&Gate::new()));
    let wire = Wire::new(&endpoint).with("origin", "http://localhost:5173");
    let preflight = wire.request(Method::OPTIONS, Bytes::new()).send().await;
    assert_eq!((preflight.status(), preflight.header("access-control-allow-origin")), (405, ""));
}

#[tokio::test(start_paused = true)]
async fn a_stateless_server_allows_what_it_serves() {
    let endpoint = StreamableHttp::builder(kit::server(&Gate::new()))
        .stateless_http(true)
        .allow_origin(APP)
        .unwrap()
        .build();
    let preflight =
        Wire::new(&endpoint).with("origin", APP).request(Method::OPTIONS, Bytes::new()).send().await;
    assert_eq!((preflight.status(), preflight.header("access-control-allow-methods")), (204, "POST"));
}
