use ::http::HeaderValue;
use proptest::prelude::*;

use super::*;
use crate::jsonrpc::{Raw, meta_outline};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";

fn headers(lines: &[(&HeaderName, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn from_meta(meta: &serde_json::Value) -> Option<TraceContext> {
    let meta = Raw::new(meta).unwrap();
    TraceContext::from_meta(
        &meta_outline(Some(meta.parse::<&serde_json::value::RawValue>().unwrap().into())).unwrap(),
    )
}

#[test]
fn a_parent_is_read_strictly() {
    for (text, expected) in [
        (PARENT, Some(PARENT)),
        (
            " 00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-00\t",
            Some("00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-00"),
        ),
        (
            "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-ff",
            Some("00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-ff"),
        ),
        // A later version, with more after its parts or not.
        ("01-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-03", Some(PARENT)),
        (
            "cc-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-02-what-the-future-brings",
            Some("00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-00"),
        ),
        ("01-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01.x", None),
        ("00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01-", None),
        ("00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01-x", None),
        ("ff-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01", None),
        ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", None),
        ("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", None),
        ("00-0AF7651916CD43DD8448EB211C80319C-00f067aa0ba902b7-01", None),
        ("00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-0g", None),
        ("00-0af7651916cd43dd8448eb211c80319-00f067aa0ba902b7c-01", None),
        ("00_0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01", None),
        ("00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7", None),
        ("0-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-010", None),
        ("éé-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-0é", None),
        ("", None),
    ] {
        let found = from_meta(&serde_json::json!({"traceparent": text}));
        assert_eq!(found.as_ref().and_then(TraceContext::traceparent), expected, "{text}");
        assert_eq!(found.is_some(), expected.is_some());
        let found = TraceContext::from_headers(&headers(&[(&TRACEPARENT, text)]));
        assert_eq!(found.as_ref().and_then(TraceContext::traceparent), expected, "{text}");
    }
    let parts = from_meta(&serde_json::json!({"traceparent": PARENT})).unwrap();
    assert_eq!(parts.trace_id(), Some("0af7651916cd43dd8448eb211c80319c"));
    assert_eq!(parts.parent_id(), Some("00f067aa0ba902b7"));
    assert!(parts.is_sampled());
    let twice = headers(&[(&TRACEPARENT, PARENT), (&TRACEPARENT, PARENT)]);
    assert_eq!(TraceContext::from_headers(&twice), None);
}

#[test]
fn a_state_follows_its_format_or_is_left_out() {
    let most = (0..32).map(|at| format!("k{at}=v")).collect::<Vec<_>>().join(",");
    let too_many = format!("{most},more=v");
    let longest_value = format!("k={}", "v".repeat(256));
    let too_long_value = format!("k={}", "v".repeat(257));
    let longest_key = format!("{}=v", "k".repeat(256));
    let too_long_key = format!("{}=v", "k".repeat(257));
    let too_long = format!("a={},b={}", "v".repeat(253), "v".repeat(256));
    for (text, is_kept) in [
        ("congo=t61rcWkgMzE", true),
        ("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", true),
        ("a=1 ,\t b=2", true),
        ("a=1,,b=2,", true),
        ("fw529a3039@dt=FfA;~+ x", true),
        ("0a_-*/=!", true),
        (&most, true),
        (&longest_value, true),
        (&longest_key, true),
        (&too_many, false),
        (&too_long_value, false),
        (&too_long_key, false),
        (&too_long, false),
        ("", false),
        (",", false),
        ("a", false),
        ("a=", false),
        ("=1", false),
        ("A=1", false),
        ("-a=1", false),
        ("a b=1", false),
        ("a@b@c=1", false),
        ("a=1=2", false),
        ("a=1,a=2", false),
        ("a=é", false),
        ("a=x\ty", false),
        ("a=1,b", false),
    ] {
        let found = from_meta(&serde_json::json!({"traceparent": PARENT, "tracestate": text})).unwrap();
        assert_eq!(found.tracestate(), is_kept.then_some(text), "{text}");
        assert_eq!(found.traceparent(), Some(PARENT));
    }
    assert_eq!(from_meta(&serde_json::json!({"tracestate": "a=1"})), None);
    let found =
        from_meta(&serde_json::json!({"traceparent": "x", "tracestate": "a=1", "baggage": "b=2"})).unwrap();
    assert_eq!((found.traceparent(), found.tracestate(), found.baggage()), (None, None, Some("b=2")));
    assert!(!found.is_sampled() && found.trace_id().is_none() && found.parent_id().is_none());
}

#[test]
fn baggage_follows_its_format_or_is_left_out() {
    let most = (0..64).map(|at| format!("k{at}=v")).collect::<Vec<_>>().join(",");
    let too_many = format!("{most},more=v");
    let longest = format!("k={}", "v".repeat(8190));
    let too_long = format!("k={}", "v".repeat(8191));
    for (text, is_kept) in [
        ("key1=value1;property1;property2, key2 = value2, key3=value3; propertyKey=propertyValue", true),
        ("userId=Am%C3%A9lie", true),
        ("k=", true),
        ("k=a=b", true),
        ("k=v ; p = 1 ;q", true),
        ("k=1,k=2", true),
        ("!#$%&'*+-.^_`|~=:/?@[]()<>{}!", true),
        (&most, true),
        (&longest, true),
        (&too_many, false),
        (&too_long, false),
        ("", false),
        (" , ", false),
        ("k", false),
        ("=v", false),
        ("k;p=1", false),
        ("k=v;", false),
        ("k y=v", false),
        ("k=v w", false),
        ("k=\"v\"", false),
        ("k=a\\b", false),
        ("k=é", false),
        ("(k)=v", false),
        ("k=v;p p", false),
    ] {
        let found = from_meta(&serde_json::json!({"baggage": text}));
        assert_eq!(found.as_ref().and_then(TraceContext::baggage), is_kept.then_some(text), "{text}");
    }
}

#[test]
fn what_is_no_text_says_nothing() {
    for part in
        [serde_json::json!(null), serde_json::json!(7), serde_json::json!([PARENT]), serde_json::json!({})]
    {
        let all = serde_json::json!({"traceparent": part, "tracestate": part, "baggage": part});
        assert_eq!(from_meta(&all), None);
        let found =
            from_meta(&serde_json::json!({"traceparent": PARENT, "tracestate": part, "baggage": part}));
        assert_eq!(found.unwrap().tracestate(), None);
    }
    assert_eq!(from_meta(&serde_json::json!({})), None);
    assert_eq!(TraceContext::from_headers(&HeaderMap::new()), None);
    assert_eq!(TraceContext::from_headers(&headers(&[(&TRACEPARENT, "é"), (&BAGGAGE, "k=é")])), None);
}

#[test]
fn headers_that_are_lists_are_joined() {
    let found = TraceContext::from_headers(&headers(&[
        (&TRACEPARENT, PARENT),
        (&TRACESTATE, "a=1, b=2"),
        (&TRACESTATE, "c=3"),
        (&BAGGAGE, "k=1"),
        (&BAGGAGE, "l=2;p"),
    ]))
    .unwrap();
    assert_eq!((found.tracestate(), found.baggage()), (Some("a=1, b=2,c=3"), Some("k=1,l=2;p")));
    let spoilt = headers(&[(&TRACEPARENT, PARENT), (&TRACESTATE, "a=1"), (&TRACESTATE, "é=2")]);
    assert_eq!(TraceContext::from_headers(&spoilt).unwrap().tracestate(), None);
}

#[test]
fn the_request_itself_comes_before_its_headers() {
    let outer = headers(&[(&TRACEPARENT, PARENT), (&TRACESTATE, "a=1"), (&BAGGAGE, "k=outer")]);
    let of = |meta: serde_json::Value, headers: Option<&HeaderMap>| {
        let meta = Raw::new(&meta).unwrap();
        TraceContext::of(
            &meta_outline(Some(meta.parse::<&serde_json::value::RawValue>().unwrap().into())).unwrap(),
            headers,
        )
    };
    let inner = PARENT.replace("00f0", "11f0");
    let found = of(serde_json::json!({"traceparent": inner}), Some(&outer)).unwrap();
    assert_eq!(
        (found.traceparent(), found.tracestate(), found.baggage()),
        (Some(inner.as_str()), None, None)
    );
    for meta in [serde_json::json!({}), serde_json::json!({"traceparent": "nonsense"})] {
        let found = of(meta.clone(), Some(&outer)).unwrap();
        assert_eq!(
            (found.traceparent(), found.tracestate(), found.baggage()),
            (Some(PARENT), Some("a=1"), Some("k=outer"))
        );
        assert_eq!(of(meta, None), None);
    }
}

proptest! {
    #[test]
    fn nothing_makes_it_panic_or_grow(parent in "[0-9a-f-]{0,60}|.{0,80}", state in ".{0,40}", baggage in ".{0,40}") {
        let meta = serde_json::json!({"traceparent": parent, "tracestate": state, "baggage": baggage});
        if let Some(found) = from_meta(&meta) {
            prop_assert!(found.traceparent().is_none_or(|text| text.len() == 55));
            prop_assert!(found.trace_id().is_none_or(|id| id.len() == 32));
            prop_assert!(found.traceparent().is_some() || found.baggage().is_some());
        }
    }
}
