//! What is seen of a call: its span, and how long it took.
//!
//! Names and values follow the
//! [semantic conventions of OpenTelemetry for MCP](https://opentelemetry.io/docs/specs/semconv/gen-ai/mcp/).

use throughline_proto::jsonrpc::RequestId;
use throughline_proto::model::Answer;
use throughline_proto::stateless::TraceContext;
use tracing::Span;
use tracing::field::{Empty, display};

use super::counters::Tally;
#[cfg(feature = "metrics")]
use super::metrics::Timing;
use crate::handler::{Call, Caller, Handler, Outcome};

/// How a call ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ending {
    /// With a result.
    Ok,
    /// With a tool's error result.
    ToolError,
    /// With questions: the client calls again with the answers.
    InputRequired,
    /// With a protocol error of this code.
    Error(i32),
    /// Without an answer: the client took it back, or its session ended.
    Cancelled,
}

impl Ending {
    fn of(outcome: Option<&Outcome>) -> Self {
        match outcome {
            None => Ending::Cancelled,
            Some(Err(error)) => Ending::Error(error.code()),
            Some(Ok(Answer::CallTool(result))) if result.is_error => Ending::ToolError,
            Some(Ok(Answer::InputRequired(_))) => Ending::InputRequired,
            Some(Ok(_)) => Ending::Ok,
        }
    }
}

/// Watches one call from its begin to its end. Costs two branches when nobody looks.
pub(crate) struct Watch {
    span: Span,
    #[cfg(feature = "metrics")]
    timing: Option<Timing>,
}

impl Watch {
    /// A call begins.
    pub(crate) fn begin(
        handler: &dyn Handler,
        call: &Call,
        id: &RequestId,
        caller: &Caller,
        trace: Option<&TraceContext>,
        tally: &Tally,
    ) -> Self {
        #[cfg(not(feature = "metrics"))]
        let _ = tally;
        Self {
            span: span(handler, call, id, caller, trace),
            #[cfg(feature = "metrics")]
            timing: tally.metrics.as_ref().map(|metrics| metrics.begin(handler, call)),
        }
    }

    /// What the handler does, belongs to this span.
    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// The call ends, once.
    pub(crate) fn end(&mut self, outcome: Option<&Outcome>) {
        #[cfg(feature = "metrics")]
        if let Some(timing) = self.timing.take() {
            timing.end(Ending::of(outcome));
        }
        if !self.span.is_none() {
            record(&self.span, Ending::of(outcome));
            self.span = Span::none();
        }
    }
}

/// The span of a call. The session's id is left out: it is a secret. So are arguments and results.
fn span(
    handler: &dyn Handler,
    call: &Call,
    id: &RequestId,
    caller: &Caller,
    trace: Option<&TraceContext>,
) -> Span {
    let span = tracing::info_span!(
        target: "throughline::call",
        "mcp.call",
        otel.name = Empty,
        otel.kind = "server",
        otel.status_code = Empty,
        mcp.method.name = Empty,
        mcp.protocol.version = caller.revision().date(),
        mcp.resource.uri = Empty,
        jsonrpc.request.id = Empty,
        gen_ai.operation.name = Empty,
        gen_ai.tool.name = Empty,
        gen_ai.prompt.name = Empty,
        rpc.response.status_code = Empty,
        error.type = Empty,
        trace_id = Empty,
        parent_id = Empty,
    );
    if !span.is_disabled() {
        describe(&span, handler, call, id);
        if let Some(trace) = trace {
            join(&span, trace);
        }
    }
    span
}

#[cold]
fn describe(span: &Span, handler: &dyn Handler, call: &Call, id: &RequestId) {
    let method = start(&call.method, LONGEST_NAME);
    span.record("mcp.method.name", method);
    match id {
        RequestId::Number(number) => span.record("jsonrpc.request.id", display(number)),
        RequestId::String(text) => span.record("jsonrpc.request.id", start(text, LONGEST_NAME)),
    };
    let field = match &*call.method {
        "tools/call" => "gen_ai.tool.name",
        "prompts/get" => "gen_ai.prompt.name",
        "resources/read" => "mcp.resource.uri",
        _ => "",
    };
    let target = call.target.as_deref().filter(|_| !field.is_empty());
    if let Some(target) = target {
        let longest = if field == "mcp.resource.uri" { LONGEST_URI } else { LONGEST_NAME };
        span.record(field, start(target, longest));
    }
    if field == "gen_ai.tool.name" {
        span.record("gen_ai.operation.name", "execute_tool");
    }
    // The name is what spans are grouped by: only what is registered may become part of it.
    match target.filter(|_| handler.knows(&call.method, call.target.as_deref())) {
        Some(target) => span.record("otel.name", display(format_args!("{method} {target}"))),
        None => span.record("otel.name", method),
    };
}

/// Makes the span part of the trace that the request came with.
#[cold]
fn join(span: &Span, trace: &TraceContext) {
    if let (Some(trace_id), Some(parent_id)) = (trace.trace_id(), trace.parent_id()) {
        span.record("trace_id", trace_id);
        span.record("parent_id", parent_id);
    }
    #[cfg(feature = "opentelemetry")]
    super::opentelemetry::join(span, trace);
}

#[cold]
fn record(span: &Span, ending: Ending) {
    match ending {
        Ending::Ok | Ending::InputRequired => return,
        Ending::ToolError => span.record("error.type", "tool_error"),
        Ending::Error(code) => {
            span.record("rpc.response.status_code", display(code));
            span.record("error.type", display(code))
        }
        Ending::Cancelled => span.record("error.type", "cancelled"),
    };
    span.record("otel.status_code", "ERROR");
}

/// The start of what a client sent, no longer than this.
fn start(text: &str, longest: usize) -> &str {
    let mut end = longest.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// As long as the name of a tool may be.
const LONGEST_NAME: usize = 128;
/// As long as the URI of a subscription may be.
const LONGEST_URI: usize = 2048;
