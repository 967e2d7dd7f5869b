//! The span of a call, as a subscriber sees it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use throughline::revision::Revision;
use throughline::{Error, McpError, Server, StreamableHttp, prompt, resource, tool};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

use crate::support::{Gate, Lines, Wire, call, kit, modern, request, settle, text};

/// Keeps what it sees of the spans of calls.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<Seen>>>);

#[derive(Default)]
struct Seen {
    id: u64,
    fields: BTreeMap<&'static str, String>,
    /// Events inside it.
    events: usize,
    closed: bool,
}

impl Visit for Seen {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }
}

impl Recorder {
    fn with(&self, id: &Id, change: impl FnOnce(&mut Seen)) {
        let mut all = self.0.lock().unwrap();
        if let Some(seen) = all.iter_mut().find(|seen| seen.id == id.into_u64() && !seen.closed) {
            change(seen);
        }
    }

    /// The fields of the last span, which is closed.
    fn last(&self) -> Value {
        let all = self.0.lock().unwrap();
        let last = all.last().expect("a span");
        assert!(last.closed, "the call is over");
        json!(last.fields)
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Recorder {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        if attributes.metadata().target() == "throughline::call" {
            let mut seen = Seen { id: id.into_u64(), ..Seen::default() };
            attributes.record(&mut seen);
            self.0.lock().unwrap().push(seen);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        self.with(id, |seen| values.record(seen));
    }

    fn on_event(&self, event: &Event<'_>, cx: Context<'_, S>) {
        if let Some(span) = cx.event_span(event) {
            self.with(&span.id(), |seen| seen.events += 1);
        }
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        self.with(&id, |seen| seen.closed = true);
    }
}

fn server(gate: &Gate) -> Server {
    kit::server(gate)
        .tool(tool("fails", || async { Err::<(), _>(Error::msg("it broke")) }))
        .tool(tool("refuses", || async { Err::<(), _>(McpError::new(-32000, "not today")) }))
        .tool(tool("speaks", || async {
            tracing::info!("before");
            tokio::task::yield_now().await;
            tracing::info!("after");
        }))
        .prompt(prompt("greet", || async { "hello" }))
        .resource(resource("it://x", "x", || async { "x" }))
}

#[tokio::test(start_paused = true)]
async fn a_call_has_a_span_with_the_names_of_opentelemetry() {
    let recorder = Recorder::default();
    let _guard = tracing::subscriber::set_default(Registry::default().with(recorder.clone()));
    let wire = Wire::open(&StreamableHttp::new(server(&Gate::new())), Revision::V2025_11_25).await;
    let fields = async |message: Value| {
        wire.post(message).send().await.text().await;
        settle().await;
        recorder.last()
    };
    insta::assert_snapshot!(
        fields(call(1, "echo", json!({ "text": "a secret" }))).await,
        @r#"{"gen_ai.operation.name":"execute_tool","gen_ai.tool.name":"echo","jsonrpc.request.id":"1","mcp.method.name":"tools/call","mcp.protocol.version":"2025-11-25","otel.kind":"server","otel.name":"tools/call echo"}"#
    );
    insta::assert_snapshot!(
        fields(call("two", "fails", json!({}))).await,
        @r#"{"error.type":"tool_error","gen_ai.operation.name":"execute_tool","gen_ai.tool.name":"fails","jsonrpc.request.id":"two","mcp.method.name":"tools/call","mcp.protocol.version":"2025-11-25","otel.kind":"server","otel.name":"tools/call fails","otel.status_code":"ERROR"}"#
    );
    insta::assert_snapshot!(
        fields(call(3, "refuses", json!({}))).await,
        @r#"{"error.type":"-32000","gen_ai.operation.name":"execute_tool","gen_ai.tool.name":"refuses","jsonrpc.request.id":"3","mcp.method.name":"tools/call","mcp.protocol.version":"2025-11-25","otel.kind":"server","otel.name":"tools/call refuses","otel.status_code":"ERROR","rpc.response.status_code":"-32000"}"#
    );
    // What the server does not have is in the attributes, and not in the name that spans are grouped by.
    insta::assert_snapshot!(
        fields(call(4, "made up", json!({}))).await,
        @r#"{"error.type":"-32602","gen_ai.operation.name":"execute_tool","gen_ai.tool.name":"made up","jsonrpc.request.id":"4","mcp.method.name":"tools/call","mcp.protocol.version":"2025-11-25","otel.kind":"server","otel.name":"tools/call","otel.status_code":"ERROR","rpc.response.status_code":"-32602"}"#
    );
    insta::assert_snapshot!(
        fields(request(5, "prompts/get", json!({ "name": "greet" }))).await,
        @r#"{"gen_ai.prompt.name":"greet","jsonrpc.request.id":"5","mcp.method.name":"prompts/get","mcp.protocol.version":"2025-11-25","otel.kind":"server","otel.name":"prompts/get greet"}"#
    );
    insta::assert_snapshot!(
        fields(request(6, "resources/read", json!({ "uri": "it://x" }))).await,
        @r#"{"jsonrpc.request.id":"6","mcp.method.name":"resources/read","mcp.protocol.version":"2025-11-25","mcp.resource.uri":"it://x","otel.kind":"server","otel.name":"resources/read"}"#
    );
    insta::assert_snapshot!(
        fields(request(7, "tools/list", json!({}))).await,
        @r#"{"jsonrpc.request.id":"7","mcp.method.name":"tools/list","mcp.protocol.version":"2025-11-25","otel.kind":"server","otel.name":"tools/list"}"#
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_handler_says_is_inside_its_span() {
    let recorder = Recorder::default();
    let _guard = tracing::subscriber::set_default(Registry::default().with(recorder.clone()));
    let wire = Wire::open(&StreamableHttp::new(server(&Gate::new())), Revision::V2025_11_25).await;
    wire.post(call(1, "speaks", json!({}))).send().await.json().await;
    assert_eq!(recorder.0.lock().unwrap().last().unwrap().events, 2);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_ends_its_span_and_long_names_are_cut() {
    let recorder = Recorder::default();
    let _guard = tracing::subscriber::set_default(Registry::default().with(recorder.clone()));
    let gate = Gate::new();
    let wire = Wire::open(&StreamableHttp::new(server(&gate)), Revision::V2025_11_25).await;
    let running = wire.post(call(1, "gated", json!({ "before": 0, "after": 0 }))).start();
    gate.until_came(1).await;
    assert!(!recorder.0.lock().unwrap().last().unwrap().closed);
    let cancel =
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } });
    wire.post(cancel).send().await;
    settle().await;
    assert_eq!(recorder.last()["error.type"], "cancelled");
    drop(running);

    wire.post(call(2, &"é".repeat(1_000), json!({}))).send().await.text().await;
    settle().await;
    assert_eq!(recorder.last()["gen_ai.tool.name"], "é".repeat(64), "128 bytes");
}

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";
const OTHER: &str = "00-11111111111111111111111111111111-2222222222222222-00";

/// A tool that says what it would pass on.
fn passing() -> Server {
    Server::new("it", "1").tool(tool("passes", |cx: throughline::Context| async move {
        let headers = cx.trace().into_iter().flat_map(|trace| trace.headers());
        headers.map(|(name, value)| format!("{name}={value} ")).collect::<String>()
    }))
}

/// A call in the era of the wire, with this `_meta`.
async fn passed(wire: &Wire, is_modern: bool, meta: Value, headers: &[(&'static str, &str)]) -> String {
    let params = json!({ "name": "passes", "arguments": {}, "_meta": meta });
    let sending = if is_modern {
        wire.post_modern(modern(1, "tools/call", params))
    } else {
        wire.post(request(1, "tools/call", params))
    };
    let sending = headers.iter().fold(sending, |sending, (name, value)| sending.header(name, value));
    text(&sending.send().await.json().await).trim_end().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_call_belongs_to_the_trace_of_its_request() {
    let recorder = Recorder::default();
    let _guard = tracing::subscriber::set_default(Registry::default().with(recorder.clone()));
    let endpoint = StreamableHttp::new(passing());
    for is_modern in [false, true] {
        let wire = match is_modern {
            true => Wire::new(&endpoint),
            false => Wire::open(&endpoint, Revision::V2025_11_25).await,
        };
        let ids = || {
            let fields = recorder.last();
            (fields["trace_id"].clone(), fields["parent_id"].clone())
        };
        let theirs = (json!("0af7651916cd43dd8448eb211c80319c"), json!("00f067aa0ba902b7"));
        let none = (Value::Null, Value::Null);

        let meta = json!({ "traceparent": PARENT, "tracestate": "a=1,b=2", "baggage": "user=ann" });
        let all = format!("traceparent={PARENT} tracestate=a=1,b=2 baggage=user=ann");
        assert_eq!(passed(&wire, is_modern, meta.clone(), &[]).await, all);
        assert_eq!(ids(), theirs);
        // The headers may be those of a proxy.
        assert_eq!(passed(&wire, is_modern, meta, &[("traceparent", OTHER), ("baggage", "a=b")]).await, all);
        assert_eq!(ids(), theirs);

        let headers = [("traceparent", PARENT), ("tracestate", "a=1")];
        let all = format!("traceparent={PARENT} tracestate=a=1");
        assert_eq!(passed(&wire, is_modern, json!({}), &headers).await, all);
        assert_eq!(ids(), theirs);

        assert_eq!(passed(&wire, is_modern, json!({}), &[]).await, "");
        assert_eq!(ids(), none);
        // A trace never fails a call.
        let broken = json!({ "traceparent": "00-nonsense", "tracestate": "a=1", "baggage": 7 });
        assert_eq!(passed(&wire, is_modern, broken, &[]).await, "");
        assert_eq!(ids(), none);
        assert_eq!(passed(&wire, is_modern, json!({ "baggage": "user=ann" }), &[]).await, "baggage=user=ann");
        assert_eq!(ids(), none);
    }
}

#[tokio::test(start_paused = true)]
async fn each_call_of_a_batch_belongs_to_its_own_trace() {
    let wire = Wire::open(&StreamableHttp::new(passing()), Revision::V2025_03_26).await;
    let call = |id: u32, meta: Value| {
        request(id, "tools/call", json!({ "name": "passes", "arguments": {}, "_meta": meta }))
    };
    let batch = json!([call(1, json!({ "traceparent": PARENT })), call(2, json!({}))]);
    let answers = wire.post(batch).header("traceparent", OTHER).send().await.json().await;
    assert_eq!(text(&answers[0]).trim_end(), format!("traceparent={PARENT}"));
    assert_eq!(text(&answers[1]).trim_end(), format!("traceparent={OTHER}"));
}

#[tokio::test(start_paused = true)]
async fn a_line_belongs_to_a_trace_as_well() {
    let params = || json!({ "name": "passes", "arguments": {}, "_meta": { "traceparent": PARENT } });
    let mut lines = Lines::start(passing().stdio());
    let answer = lines.ask(&modern(1, "tools/call", params())).await;
    assert_eq!(text(&answer).trim_end(), format!("traceparent={PARENT}"));
    let mut lines = Lines::open(passing(), Revision::V2025_11_25, json!({})).await;
    let answer = lines.ask(&request(1, "tools/call", params())).await;
    assert_eq!(text(&answer).trim_end(), format!("traceparent={PARENT}"));
}
