//! What calls and the event store take, and everything that is counted, as Prometheus reads it.

mod histogram;
mod store;
mod text;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use throughline_proto::revision::Revision;

use super::counters::{Counters, Tally};
use super::watch::Ending;
use crate::handler::{Call, Handler};
use crate::runtime;
use crate::store::{EventStore, Limits, Usage};
use histogram::Histogram;
use store::Measured;
use text::Text;

/// A tally that measures, and the store with a clock around it.
pub(crate) fn measured(store: Arc<dyn EventStore>) -> (Tally, Arc<dyn EventStore>) {
    let metrics = Arc::new(Metrics::default());
    let store = Arc::new(Measured::new(store, Arc::clone(&metrics)));
    (Tally { metrics: Some(metrics), ..Tally::default() }, store)
}

/// What is measured.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    calls: RwLock<HashMap<Box<str>, Targets>>,
    appends: Histogram,
    reads: Histogram,
}

/// The tools that a method was called for; one without a name for methods that have none.
type Targets = HashMap<Box<str>, Arc<Series>>;

/// The calls of one method and tool.
#[derive(Debug, Default)]
struct Series {
    took: Histogram,
    endings: [AtomicU64; OUTCOMES.len()],
}

/// A call that runs.
pub(crate) struct Timing {
    series: Arc<Series>,
    began: Instant,
}

impl Metrics {
    /// A call begins. The names in it become labels only when the handler knows them.
    pub(crate) fn begin(&self, handler: &dyn Handler, call: &Call) -> Timing {
        let began = runtime::now();
        let target = if &*call.method == "tools/call" { call.target.as_deref().unwrap_or(OTHER) } else { "" };
        let series = match self.find(&call.method, target) {
            Some(series) => series,
            None => self.add(handler, &call.method, target),
        };
        Timing { series, began }
    }

    fn find(&self, method: &str, target: &str) -> Option<Arc<Series>> {
        let calls = self.calls.read().unwrap_or_else(PoisonError::into_inner);
        calls.get(method)?.get(target).map(Arc::clone)
    }

    fn add(&self, handler: &dyn Handler, method: &str, target: &str) -> Arc<Series> {
        let target = if target.is_empty() || handler.knows(method, Some(target)) { target } else { OTHER };
        let is_known = |revision: &Revision| revision.client_request(method).is_some();
        let method = match Revision::ALL.iter().any(is_known) || handler.knows(method, None) {
            true => method,
            false => OTHER,
        };
        let mut calls = self.calls.write().unwrap_or_else(PoisonError::into_inner);
        // Tools may come and go for ever, and their names stay.
        let full = calls.values().map(HashMap::len).sum::<usize>() >= MOST_SERIES;
        let (method, target) = if full { (OTHER, "") } else { (method, target) };
        Arc::clone(calls.entry(method.into()).or_default().entry(target.into()).or_default())
    }
}

impl Timing {
    pub(crate) fn end(self, ending: Ending) {
        let outcome = match ending {
            Ending::Ok => 0,
            Ending::ToolError => 1,
            Ending::Error(_) => 2,
            Ending::Cancelled => 3,
            Ending::InputRequired => 4,
        };
        self.series.endings[outcome].fetch_add(1, Ordering::Relaxed);
        self.series.took.observe(runtime::now().saturating_duration_since(self.began));
    }
}

/// What is to be written, at one moment.
pub(crate) struct Moment<'a> {
    pub(crate) counters: Counters,
    pub(crate) measured: Option<&'a Metrics>,
    pub(crate) sessions: usize,
    pub(crate) max_sessions: usize,
    pub(crate) streams: usize,
    pub(crate) listeners: usize,
    pub(crate) max_listens: usize,
    pub(crate) in_flight: usize,
    pub(crate) max_calls: usize,
    pub(crate) draining: bool,
    pub(crate) usage: Usage,
    pub(crate) limits: &'a Limits,
}

/// The moment in the text format of Prometheus.
pub(crate) fn text(moment: &Moment<'_>) -> String {
    let mut text = Text::default();
    let Moment { counters, usage, limits, .. } = moment;

    text.gauge("throughline_sessions", "Sessions that are open.", moment.sessions);
    text.gauge("throughline_sessions_limit", "Sessions that may be open.", moment.max_sessions);
    text.counter("throughline_sessions_opened_total", "Sessions opened.", counters.sessions_opened);
    text.counter(
        "throughline_sessions_restored_total",
        "Sessions of an earlier process that went on.",
        counters.sessions_restored,
    );
    text.family(
        "throughline_calls_interrupted_total",
        "counter",
        "Calls that a restart interrupted, by what became of them.",
    );
    for (outcome, count) in [("failed", counters.calls_interrupted), ("run_again", counters.calls_run_again)]
    {
        text.sample("throughline_calls_interrupted_total", &[("outcome", outcome)], count);
    }
    text.counter(
        "throughline_sessions_closed_total",
        "Sessions ended, for whatever reason.",
        counters.sessions_closed,
    );
    text.gauge("throughline_streams", "Streams that a connection reads.", moment.streams);
    text.gauge(
        "throughline_listeners",
        "Clients that listen for changes without a session.",
        moment.listeners,
    );
    text.gauge("throughline_listeners_limit", "Clients that may listen so at a time.", moment.max_listens);
    text.gauge("throughline_calls_in_flight", "Requests that are being handled.", moment.in_flight);
    text.gauge(
        "throughline_calls_in_flight_limit",
        "Requests that may be handled at a time.",
        moment.max_calls,
    );
    text.gauge("throughline_draining", "1 while the endpoint shuts down.", u8::from(moment.draining));
    text.counter(
        "throughline_notifications_dropped_total",
        "Notifications that no stream could carry.",
        counters.notifications_undeliverable,
    );
    text.counter(
        "throughline_responses_unexpected_total",
        "Responses of clients that nobody waits for.",
        counters.responses_unexpected,
    );
    text.counter(
        "throughline_readers_detached_total",
        "Readers that took nothing for ten seconds.",
        counters.readers_detached,
    );
    text.family("throughline_resumes_total", "counter", "Resumes by Last-Event-ID, by what became of them.");
    for (outcome, count) in
        [("served", counters.resumes), ("gone", counters.resumes_gone), ("refused", counters.resumes_refused)]
    {
        text.sample("throughline_resumes_total", &[("outcome", outcome)], count);
    }
    text.family(
        "throughline_requests_refused_total",
        "counter",
        "Requests refused for who sent them, by why: credentials or scopes that do not suffice, or too much at a time.",
    );
    for (reason, count) in
        [("unauthorized", counters.requests_unauthorized), ("throttled", counters.requests_throttled)]
    {
        text.sample("throughline_requests_refused_total", &[("reason", reason)], count);
    }
    text.counter("throughline_panics_total", "Handlers that panicked.", counters.panics);
    text.counter(
        "throughline_store_failures_total",
        "Appends that the event store did not take.",
        counters.store_failures,
    );
    text.gauge("throughline_store_bytes", "Bytes that the event store holds.", usage.bytes);
    text.gauge("throughline_store_events", "Events that the event store holds.", usage.events);
    text.gauge(
        "throughline_store_sessions",
        "Sessions that the event store holds streams of.",
        usage.sessions,
    );
    text.gauge("throughline_store_streams", "Streams that the event store holds.", usage.streams);
    text.family(
        "throughline_store_limit_bytes",
        "gauge",
        "Bytes that the event store may hold, in all, for a session, for a stream.",
    );
    for (scope, bytes) in
        [("store", limits.store_bytes), ("session", limits.session_bytes), ("stream", limits.stream_bytes)]
    {
        text.sample("throughline_store_limit_bytes", &[("scope", scope)], bytes);
    }
    if let Some(measured) = moment.measured {
        write_measured(&mut text, measured);
    }
    text.into_string()
}

fn write_measured(text: &mut Text, measured: &Metrics) {
    text.family("throughline_store_duration_seconds", "histogram", "How long the event store took.");
    for (operation, took) in [("append", &measured.appends), ("read", &measured.reads)] {
        text.histogram("throughline_store_duration_seconds", &[("operation", operation)], took);
    }
    let calls = measured.calls.read().unwrap_or_else(PoisonError::into_inner);
    let mut series: Vec<(&str, &str, Arc<Series>)> = calls
        .iter()
        .flat_map(|(method, targets)| {
            targets.iter().map(move |(target, series)| (&**method, &**target, Arc::clone(series)))
        })
        .collect();
    series.sort_unstable_by_key(|(method, target, _)| (*method, *target));
    text.family("throughline_calls_total", "counter", "Requests that were handled, by how they ended.");
    for (method, tool, series) in &series {
        for (outcome, count) in OUTCOMES.iter().zip(&series.endings) {
            let count = count.load(Ordering::Relaxed);
            if count > 0 {
                let labels = [("method", *method), ("tool", *tool), ("outcome", *outcome)];
                text.sample("throughline_calls_total", &labels, count);
            }
        }
    }
    text.family(
        "throughline_call_duration_seconds",
        "histogram",
        "How long requests took, whatever their outcome.",
    );
    for (method, tool, series) in &series {
        text.histogram(
            "throughline_call_duration_seconds",
            &[("method", method), ("tool", tool)],
            &series.took,
        );
    }
}

/// How calls end, by the number that counts them.
const OUTCOMES: [&str; 5] = ["ok", "tool_error", "error", "cancelled", "input_required"];

/// In place of a name that the handler does not know.
const OTHER: &str = "other";

/// Combinations of method and tool: ten times the tools of a large server, and at most some 2 MB of text.
const MOST_SERIES: usize = 1_000;

#[cfg(test)]
mod tests;
