//! The span of a call in the trace of its request, as an exporter of OpenTelemetry gets it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{SpanKind, TraceContextExt, TracerProvider};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use serde_json::{Value, json};
use throughline::revision::Revision;
use throughline::{Server, StreamableHttp, tool};
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;

use crate::support::{Wire, modern, request};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";
const OTHER: &str = "00-11111111111111111111111111111111-2222222222222222-01";

type Carrier = HashMap<String, String>;

/// A program with OpenTelemetry, and a tool that calls something else.
struct Program {
    exporter: InMemorySpanExporter,
    provider: SdkTracerProvider,
    endpoint: StreamableHttp,
    /// What the tool would send along.
    sent: Arc<Mutex<Carrier>>,
    _guard: tracing::subscriber::DefaultGuard,
}

impl Program {
    fn new() -> Self {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("it"));
        let guard = tracing::subscriber::set_default(Registry::default().with(layer));
        let sent = Arc::new(Mutex::default());
        let keep = Arc::clone(&sent);
        let calls = tool("calls", move || {
            let keep = Arc::clone(&keep);
            async move {
                // It is another poll of the same call.
                tokio::task::yield_now().await;
                let (mut carrier, context) = (Carrier::new(), Span::current().context());
                TraceContextPropagator::new().inject_context(&context, &mut carrier);
                BaggagePropagator::new().inject_context(&context, &mut carrier);
                *keep.lock().unwrap() = carrier;
            }
        });
        let endpoint = StreamableHttp::new(Server::new("it", "1").tool(calls));
        Self { exporter, provider, endpoint, sent, _guard: guard }
    }

    /// A call of the modern era with this `_meta` and these headers.
    async fn call(&self, meta: Value, headers: &[(&'static str, &str)]) {
        let params = json!({ "name": "calls", "arguments": {}, "_meta": meta });
        let sending = Wire::new(&self.endpoint).post_modern(modern(1, "tools/call", params));
        let sending = headers.iter().fold(sending, |sending, (name, value)| sending.header(name, value));
        assert_eq!(sending.send().await.json().await["result"]["isError"], Value::Null);
        crate::support::settle().await;
    }

    /// The spans of calls that ended, oldest first.
    fn spans(&self) -> Vec<SpanData> {
        self.provider.force_flush().expect("an exporter in memory");
        let spans = self.exporter.get_finished_spans().expect("the spans");
        spans.into_iter().filter(|span| span.name == "tools/call calls").collect()
    }

    fn span(&self) -> SpanData {
        self.spans().pop().expect("a span")
    }

    fn sent(&self, name: &str) -> String {
        self.sent.lock().unwrap().get(name).cloned().unwrap_or_default()
    }
}

fn ids(span: &SpanData) -> (String, String) {
    (span.span_context.trace_id().to_string(), span.parent_span_id.to_string())
}

fn ids_of(parent: &str) -> (String, String) {
    (parent[3..35].to_owned(), parent[36..52].to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_call_is_a_child_of_the_span_of_its_client() {
    let program = Program::new();
    let meta =
        json!({ "traceparent": PARENT, "tracestate": "vendor=1", "baggage": "user=ann%20b;admin,team=x" });
    program.call(meta, &[("traceparent", OTHER)]).await;
    let span = program.span();
    assert_eq!(ids(&span), ids_of(PARENT));
    assert!(span.parent_span_is_remote);
    assert_eq!(span.span_kind, SpanKind::Server);
    assert_eq!(span.span_context.trace_state().header(), "vendor=1");

    // What the handler calls, belongs to the span of the call.
    let sent = program.sent("traceparent");
    assert_eq!(sent, format!("00-{}-{}-01", &PARENT[3..35], span.span_context.span_id()));
    assert_eq!(program.sent("tracestate"), "vendor=1");
    let mut baggage: Vec<_> = program.sent("baggage").split(',').map(str::to_owned).collect();
    baggage.sort();
    assert_eq!(baggage, ["team=x", "user=ann%20b;admin"]);
}

#[tokio::test(start_paused = true)]
async fn headers_count_where_the_meta_is_silent() {
    let program = Program::new();
    program.call(json!({}), &[("traceparent", PARENT), ("baggage", "user=ann")]).await;
    assert_eq!(ids(&program.span()), ids_of(PARENT));
    assert_eq!(program.sent("baggage"), "user=ann");
}

#[tokio::test(start_paused = true)]
async fn sessions_have_traces_too() {
    let program = Program::new();
    let wire = Wire::open(&program.endpoint, Revision::V2025_06_18).await;
    let params = json!({ "name": "calls", "arguments": {}, "_meta": { "traceparent": PARENT } });
    wire.post(request(1, "tools/call", params)).send().await.text().await;
    assert_eq!(ids(&program.span()), ids_of(PARENT));
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_trace_begins_one() {
    let program = Program::new();
    program.call(json!({}), &[]).await;
    program.call(json!({ "traceparent": "00-0-0-01" }), &[]).await;
    program.call(json!({ "baggage": "user=ann" }), &[]).await;
    assert_eq!(program.sent("baggage"), "user=ann");
    let spans = program.spans();
    assert_eq!(spans.len(), 3);
    for span in &spans {
        assert!(span.span_context.is_valid());
        assert_eq!(span.parent_span_id, opentelemetry::SpanId::INVALID);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_records_nothing_is_followed() {
    let program = Program::new();
    program.call(json!({ "traceparent": PARENT.replace("-01", "-00") }), &[]).await;
    assert!(program.spans().is_empty());
    assert!(program.sent("traceparent").starts_with(&PARENT[..36]), "it goes on all the same");
    assert!(program.sent("traceparent").ends_with("-00"));
}

/// Instrumentation around the endpoint has a span for the HTTP request.
#[tokio::test(start_paused = true)]
async fn a_span_around_the_endpoint_is_nearer_in_its_own_trace_and_linked_in_another() {
    let program = Program::new();
    for (around, is_parent) in [(PARENT, true), (OTHER, false)] {
        let span = tracing::info_span!("http");
        let carrier = Carrier::from([("traceparent".to_owned(), around.to_owned())]);
        span.set_parent(TraceContextPropagator::new().extract(&carrier)).expect("a layer takes it");
        let http = span.context().span().span_context().clone();
        program.call(json!({ "traceparent": PARENT }), &[]).instrument(span).await;
        let call = program.span();
        if is_parent {
            assert_eq!(call.parent_span_id, http.span_id());
            assert!(call.links.iter().next().is_none());
        } else {
            assert_eq!(ids(&call), ids_of(PARENT));
            let linked: Vec<_> = call.links.iter().map(|link| link.span_context.span_id()).collect();
            assert_eq!(linked, [http.span_id()]);
        }
    }
}
