//! The page, and the laws of a store that is measured.

use std::time::Duration;

use throughline_proto::jsonrpc::Raw;

use super::*;
use crate::handler::{Server, tool};
use crate::store::{MemoryStore, laws};

fn call(method: &'static str, target: Option<&'static str>) -> Call {
    Call {
        method: method.into(),
        target: target.map(Into::into),
        arguments: None,
        cursor: None,
        params: Raw::empty_object(),
    }
}

fn page(measured: &Metrics) -> String {
    text(&Moment {
        counters: Counters { resumes: 3, resumes_gone: 2, ..Counters::default() },
        measured: Some(measured),
        sessions: 1,
        max_sessions: 10,
        streams: 2,
        listeners: 4,
        max_listens: 40,
        in_flight: 3,
        max_calls: 30,
        draining: false,
        usage: Usage { bytes: 4, events: 5, sessions: 1, streams: 2 },
        limits: &Limits::default(),
    })
}

#[tokio::test(start_paused = true)]
async fn calls_are_counted_by_what_the_server_knows() {
    let server = Server::new("it", "1").tool(tool("known", || async { "x" })).method("it/own", || async {});
    let metrics = Metrics::default();
    for (call, ending, millis) in [
        (call("tools/call", Some("known")), Ending::Ok, 1),
        (call("tools/call", Some("known")), Ending::ToolError, 1_500),
        (call("tools/call", Some("made up 1")), Ending::Error(-32602), 0),
        (call("tools/call", Some("made up 2")), Ending::Error(-32602), 0),
        (call("tools/call", None), Ending::Error(-32602), 0),
        (call("prompts/get", Some("made up")), Ending::Cancelled, 0),
        (call("it/own", None), Ending::Ok, 0),
        (call("made/up", Some("made up")), Ending::Error(-32601), 0),
    ] {
        let timing = metrics.begin(&server, &call);
        tokio::time::advance(Duration::from_millis(millis)).await;
        timing.end(ending);
    }
    let page = page(&metrics);
    let calls: Vec<&str> = page.lines().filter(|line| line.starts_with("throughline_calls_total")).collect();
    insta::assert_snapshot!(calls.join("\n"), @r#"
    throughline_calls_total{method="it/own",tool="",outcome="ok"} 1
    throughline_calls_total{method="other",tool="",outcome="error"} 1
    throughline_calls_total{method="prompts/get",tool="",outcome="cancelled"} 1
    throughline_calls_total{method="tools/call",tool="known",outcome="ok"} 1
    throughline_calls_total{method="tools/call",tool="known",outcome="tool_error"} 1
    throughline_calls_total{method="tools/call",tool="other",outcome="error"} 3
    "#);
    let took = page.lines().filter(|line| line.contains("duration") && line.contains(r#"tool="known""#));
    insta::assert_snapshot!(took.collect::<Vec<_>>().join("\n"), @r#"
    throughline_call_duration_seconds_bucket{method="tools/call",tool="known",le="0.00001"} 0
    throughline_call_duration_seconds_bucket{method="tools/call",tool="known",le="0.0001"} 0
    throughline_call_duration_seconds_bucket{method="tools/call",tool="known",le="0.001"} 1
    throughline_call_duration_seconds_bucket{method="tools/call",tool="known",le="0.005"} 1
    throughline_call_duration_seconds_bucket{method="tools/call",tool="known",le="0.01"} 1
    throughline_call_duration_seconds_bucket{method="tools/call",tool="known",le="0.05"} 1
    throughline_call_duration_seconds_bucket{method="tools/call",tool="known",le="0.2"} 1
    throughline_call_duration_seconds_bucket{method="tools/call",tool="known",le="1"} 1
    throughline_call_duration_seconds_bucket{method="tools/call",tool="known",le="2"} 2
    throughline_call_duration_seconds_bucket{method="tools/call",tool="known",le="5"} 2
    throughline_call_duration_seconds_bucket{method="tools/call",tool="known",le="10"} 2
    throughline_call_duration_seconds_bucket{method="tools/call",tool="known",le="30"} 2
    throughline_call_duration_seconds_bucket{method="tools/call",tool="known",le="60"} 2
    throughline_call_duration_seconds_bucket{method="tools/call",tool="known",le="120"} 2
    throughline_call_duration_seconds_bucket{method="tools/call",tool="known",le="300"} 2
    throughline_call_duration_seconds_bucket{method="tools/call",tool="known",le="+Inf"} 2
    throughline_call_duration_seconds_sum{method="tools/call",tool="known"} 1.501
    throughline_call_duration_seconds_count{method="tools/call",tool="known"} 2
    "#);
}

#[test]
fn labels_are_bounded_however_many_tools_come_and_go() {
    let server = Server::new("it", "1");
    let metrics = Metrics::default();
    for number in 0..MOST_SERIES + 50 {
        let name = format!("tool-{number}");
        server.add_tool(tool(name.clone(), || async { "x" })).unwrap();
        let mut call = call("tools/call", None);
        call.target = Some(name.clone().into());
        metrics.begin(&server, &call).end(Ending::Ok);
        assert!(server.remove_tool(&name));
    }
    let page = page(&metrics);
    assert_eq!(
        page.lines().filter(|line| line.starts_with("throughline_calls_total{")).count(),
        MOST_SERIES + 1
    );
    assert!(page.contains(r#"throughline_calls_total{method="other",tool="",outcome="ok"} 50"#));
}

#[test]
fn every_sample_follows_its_family() {
    let metrics = Metrics::default();
    let page = page(&metrics);
    assert!(page.ends_with('\n'));
    let mut family = "";
    for line in page.lines() {
        if let Some(named) = line.strip_prefix("# TYPE ") {
            family = named.split(' ').next().unwrap();
            continue;
        }
        if line.starts_with("# HELP ") {
            continue;
        }
        let (sample, value) = line.rsplit_once(' ').unwrap();
        assert!(sample.starts_with(family), "{line} under {family}");
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
    for line in [
        "throughline_sessions 1",
        "throughline_sessions_limit 10",
        "throughline_streams 2",
        "throughline_listeners 4",
        "throughline_listeners_limit 40",
        "throughline_calls_in_flight 3",
        r#"throughline_resumes_total{outcome="served"} 3"#,
        r#"throughline_resumes_total{outcome="gone"} 2"#,
        "throughline_store_bytes 4",
        r#"throughline_store_limit_bytes{scope="store"} 268435456"#,
        r#"throughline_store_duration_seconds_count{operation="append"} 0"#,
    ] {
        assert!(page.lines().any(|found| found == line), "{line} in\n{page}");
    }
}

#[test]
fn labels_are_escaped() {
    let mut text = Text::default();
    text.sample("x", &[("label", "a\"b\\c\nd")], 1);
    assert_eq!(text.into_string(), "x{label=\"a\\\"b\\\\c\\nd\"} 1\n");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_measured_keeps_the_laws() {
    laws::check_all(async |limits| Measured::new(Arc::new(MemoryStore::new(limits)), Arc::default())).await;
}
