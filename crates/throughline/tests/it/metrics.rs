//! The page that Prometheus reads, after some life.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use throughline::revision::Revision;
use throughline::{Ability, Context, McpError, StreamableHttp, tool};

use crate::support::{Gate, Wire, call, kit, modern_of, request, settle};

#[derive(Deserialize, JsonSchema)]
struct Name {
    name: String,
}

fn value(page: &str, sample: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{sample} in\n{page}")).parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_page_says_what_happened() {
    let gate = Gate::new();
    let server =
        kit::server(&gate).tool(tool("refuses", || async { Err::<(), _>(McpError::new(-32000, "no")) }));
    let endpoint = StreamableHttp::builder(server).measure(true).build();
    let wire = Wire::open(&endpoint, Revision::V2025_11_25).await;
    wire.post(call(1, "echo", json!({ "text": "x" }))).send().await.json().await;
    wire.post(call(2, "refuses", json!({}))).send().await.json().await;
    wire.post(call(3, "made up", json!({}))).send().await.json().await;
    wire.post(request(4, "it/made-up", json!({}))).send().await.json().await;
    let events = wire.call(5, "steps", json!({ "count": 3 })).await.all().await;
    assert_eq!(wire.resume(events[0].id.as_deref().unwrap()).send().await.status(), 200);
    assert_eq!(wire.resume("nonsense").send().await.status(), 400);
    let standalone = wire.get().send().await.events();
    let running = wire.post(call(6, "gated", json!({ "before": 0, "after": 0 }))).start();
    gate.until_came(1).await;

    let page = endpoint.metrics();
    for (sample, expected) in [
        ("throughline_sessions", 1.0),
        ("throughline_sessions_opened_total", 1.0),
        ("throughline_calls_in_flight", 1.0),
        ("throughline_streams", 1.0),
        (r#"throughline_calls_total{method="tools/call",tool="echo",outcome="ok"}"#, 1.0),
        (r#"throughline_calls_total{method="tools/call",tool="refuses",outcome="error"}"#, 1.0),
        (r#"throughline_calls_total{method="tools/call",tool="other",outcome="error"}"#, 1.0),
        (r#"throughline_calls_total{method="other",tool="",outcome="error"}"#, 1.0),
        (r#"throughline_call_duration_seconds_count{method="tools/call",tool="steps"}"#, 1.0),
        (r#"throughline_resumes_total{outcome="served"}"#, 1.0),
        (r#"throughline_resumes_total{outcome="refused"}"#, 1.0),
        (r#"throughline_resumes_total{outcome="gone"}"#, 0.0),
    ] {
        assert_eq!(value(&page, sample), expected, "{sample}");
    }
    assert!(value(&page, r#"throughline_store_duration_seconds_count{operation="append"}"#) >= 4.0);
    assert!(value(&page, r#"throughline_store_duration_seconds_count{operation="read"}"#) >= 1.0);
    let held = value(&page, "throughline_store_bytes");
    assert!(held > 0.0 && held <= value(&page, r#"throughline_store_limit_bytes{scope="store"}"#));

    gate.open(1);
    running.await.unwrap().text().await;
    drop(standalone);
    settle().await;
    let page = endpoint.metrics();
    assert_eq!(value(&page, "throughline_streams"), 0.0);
    assert_eq!(value(&page, "throughline_calls_in_flight"), 0.0);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_measured_unless_that_is_wanted() {
    let endpoint = StreamableHttp::new(kit::server(&Gate::new()));
    let wire = Wire::open(&endpoint, Revision::V2025_11_25).await;
    wire.post(call(1, "echo", json!({ "text": "x" }))).send().await.json().await;
    let page = endpoint.metrics();
    assert_eq!(value(&page, "throughline_sessions"), 1.0);
    assert!(!page.contains("throughline_calls_total") && !page.contains("throughline_store_duration"));
}

#[tokio::test(start_paused = true)]
async fn calls_without_a_session_are_on_the_page_too() {
    let gate = Gate::new();
    let server = kit::server(&gate)
        .tool(tool("ask", |cx: Context| async move { cx.elicit::<Name>("Who?").await.map(|name| name.name) }))
        .tool(tool("sample", || async {}).needs(Ability::Sampling));
    let endpoint = StreamableHttp::builder(server).measure(true).build();
    let wire = Wire::new(&endpoint);
    let tool_call = |id, tool: &str, arguments| {
        let params = json!({ "name": tool, "arguments": arguments });
        modern_of(json!({ "elicitation": {} }), id, "tools/call", params)
    };
    for (id, tool) in [(1, "echo"), (2, "ask"), (3, "sample"), (4, "made up")] {
        wire.post_modern(tool_call(id, tool, json!({ "text": "x" }))).send().await.json().await;
    }
    wire.post_modern(modern_of(json!({}), 5, "it/made-up", json!({}))).send().await.json().await;
    let running = wire.post_modern(tool_call(6, "gated", json!({ "before": 0, "after": 0 }))).start();
    let listening = wire.listen(7, json!({ "toolsListChanged": true })).await;
    gate.until_came(1).await;

    let page = endpoint.metrics();
    for (sample, expected) in [
        ("throughline_sessions_opened_total", 0.0),
        ("throughline_calls_in_flight", 1.0),
        ("throughline_listeners", 1.0),
        (r#"throughline_calls_total{method="tools/call",tool="echo",outcome="ok"}"#, 1.0),
        (r#"throughline_calls_total{method="tools/call",tool="ask",outcome="input_required"}"#, 1.0),
        (r#"throughline_calls_total{method="tools/call",tool="sample",outcome="error"}"#, 1.0),
        (r#"throughline_calls_total{method="tools/call",tool="other",outcome="error"}"#, 1.0),
        (r#"throughline_calls_total{method="other",tool="",outcome="error"}"#, 1.0),
    ] {
        assert_eq!(value(&page, sample), expected, "{sample}");
    }
    gate.open(1);
    running.await.unwrap().text().await;
    drop(listening);
    settle().await;
    let page = endpoint.metrics();
    assert_eq!(value(&page, "throughline_calls_in_flight"), 0.0);
    assert_eq!(value(&page, "throughline_listeners"), 0.0);
}
