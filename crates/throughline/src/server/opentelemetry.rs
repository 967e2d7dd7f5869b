//! A call's span as a part of the trace that its request came with.

use opentelemetry::Context;
use opentelemetry::baggage::{Baggage, BaggageExt};
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use throughline_proto::stateless::TraceContext;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::handler::percent_decode;

/// Gives a span that was not entered yet its place in a trace. Without the layer of `tracing-opentelemetry` nothing
/// happens.
///
/// What instrumentation around the endpoint made for the HTTP request stays the parent where it belongs to the same trace,
/// as it is nearer; where it belongs to another one, it is linked
/// ([context propagation](https://opentelemetry.io/docs/specs/semconv/gen-ai/mcp/#context-propagation)).
pub(super) fn join(span: &Span, trace: &TraceContext) {
    let around = Span::current().context();
    let around_span = around.span().span_context().clone();
    let remote = remote_span(trace);
    let nearer = |remote: &SpanContext| around_span.is_valid() && around_span.trace_id() == remote.trace_id();
    let parent = match remote {
        Some(remote) if !nearer(&remote) => {
            span.add_link(around_span);
            Context::new().with_remote_span_context(remote)
        }
        _ => around,
    };
    let parent = match trace.baggage() {
        Some(text) => parent.with_baggage(baggage(text)),
        None => parent,
    };
    // It fails where no layer would take it, and only there.
    let _ = span.set_parent(parent);
}

/// The span of the client that the call belongs to.
fn remote_span(trace: &TraceContext) -> Option<SpanContext> {
    let flags = u8::from_str_radix(trace.traceparent()?.get(53..)?, 16).ok()?;
    let state = trace.tracestate().and_then(|text| text.parse::<TraceState>().ok()).unwrap_or_default();
    let trace_id = TraceId::from_hex(trace.trace_id()?).ok()?;
    let span_id = SpanId::from_hex(trace.parent_id()?).ok()?;
    Some(SpanContext::new(trace_id, span_id, TraceFlags::new(flags), true, state))
}

/// The entries of a list in the right format. Values that are no text are left out.
fn baggage(text: &str) -> Baggage {
    let mut baggage = Baggage::new();
    for entry in text.split(',') {
        let (pair, properties) = entry.split_once(';').unwrap_or((entry, ""));
        if let Some((key, value)) = pair.split_once('=')
            && let Some(value) = percent_decode(value.trim())
        {
            let _ = baggage.insert_with_metadata(key.trim().to_owned(), value, properties.trim());
        }
    }
    baggage
}
