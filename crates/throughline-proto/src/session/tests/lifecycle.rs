//! From `initialize` to rest and back.

use super::*;
use crate::model::{Implementation, ResourcesCapability, ServerCapabilities};
use crate::testing::ALL_CAPABILITIES;

fn initialize(version: &str) -> (Pair, RequestId) {
    let mut pair = Pair::unopened(SessionLimits::default());
    let params = format!(
        r#"{{"protocolVersion":"{version}","capabilities":{{"roots":{{}}}},"clientInfo":{{"name":"c","version":"1"}}}}"#
    );
    let id = pair.call("initialize", &params);
    pair.settle();
    (pair, id)
}

fn negotiated(pair: &Pair, id: &RequestId) -> String {
    let Some(Outcome::Result(result)) = pair.outcome(id) else { panic!("{:?}", pair.outcome(id)) };
    let result: InitializeResult = result.parse().unwrap();
    result.protocol_version.to_string()
}

#[test]
fn each_legacy_revision_is_spoken_as_asked() {
    for revision in Revision::LEGACY {
        let (mut pair, id) = initialize(revision.date());
        assert_eq!(negotiated(&pair, &id), revision.date());
        assert_eq!(pair.server.session().revision(), revision);
        assert_eq!(pair.server.session().client().info.as_ref().unwrap().name, "c");
        assert!(pair.server.session().client().capabilities.roots.is_some());
        assert!(pair.server.is_ended(StreamNo(1)), "the stream of `initialize` ends with its answer");
        assert_sound(&pair);
    }
}

#[test]
fn what_no_session_speaks_is_answered_with_the_latest_that_one_does() {
    for version in ["1999-12-31", "2026-07-28", "2999-01-01", ""] {
        let (pair, id) = initialize(version);
        assert_eq!(negotiated(&pair, &id), Revision::LATEST_LEGACY.date(), "{version:?}");
    }
}

#[test]
fn parameters_that_are_none_open_no_session() {
    for params in ["{}", r#"{"protocolVersion":1}"#, r#"{"protocolVersion":"2025-11-25","capabilities":{}}"#]
    {
        let mut pair = Pair::unopened(SessionLimits::default());
        let id = pair.call("initialize", params);
        pair.settle();
        assert_eq!(error_of(pair.outcome(&id)).code, ErrorCode::INVALID_PARAMS);
        assert!(pair.server.session.is_none());
    }
    let mut offer = Offer::new(Implementation::new("s", "1"), Default::default());
    offer.instructions = Some("how".into());
    let error = Session::open(None, &offer, 0, SessionLimits::default()).unwrap_err();
    assert_eq!(error.code, ErrorCode::INVALID_PARAMS);
    assert_eq!(offer.initialize_result(Revision::LATEST_LEGACY).instructions.as_deref(), Some("how"));
}

#[test]
fn a_session_is_opened_used_and_ready_one_after_the_other() {
    let (mut pair, _) = initialize("2025-11-25");
    let session = pair.server.session();
    assert!(!session.is_used() && !session.is_initialized() && session.is_idle());
    // Requests are served before `notifications/initialized` too: clients have been seen to race them.
    let id = pair.call("ping", "{}");
    pair.settle();
    assert_eq!(pair.outcome(&id), Some(&Outcome::Result(Raw::empty_object())));
    let session = pair.server.session();
    assert!(session.is_used() && !session.is_initialized());
    pair.notify("notifications/initialized", "{}");
    pair.settle();
    assert!(pair.server.session().is_initialized());
    assert_eq!(pair.server.effects, [Effect::Initialized]);
}

#[test]
fn initialize_within_a_session_is_refused_and_changes_nothing() {
    let mut pair = Pair::new(Revision::V2025_03_26);
    let params =
        r#"{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"other","version":"1"}}"#;
    let id = pair.call("initialize", params);
    pair.settle();
    assert_eq!(error_of(pair.outcome(&id)).code, ErrorCode::INVALID_REQUEST);
    assert_eq!(pair.server.session().revision(), Revision::V2025_03_26);
    assert_eq!(pair.server.session().client().info.as_ref().unwrap().name, "client");
}

#[test]
fn notifications_tell_the_shell_what_to_do() {
    let mut pair = Pair::new(Revision::V2025_11_25);
    for method in [
        "notifications/roots/list_changed",
        "notifications/own",
        "notifications/cancelled",
        "notifications/progress",
    ] {
        pair.notify(method, "{}");
    }
    pair.settle();
    assert_eq!(pair.server.effects, [Effect::RootsChanged, Effect::Custom, Effect::Nothing, Effect::Nothing]);
}

#[test]
fn a_session_is_idle_when_nothing_is_in_flight_in_either_direction() {
    let mut pair = Pair::new(Revision::V2025_11_25);
    let (_, call) = started(&mut pair);
    assert!(!pair.server.session().is_idle());
    pair.finish(call);
    assert!(pair.server.session().is_idle());
    let ask = pair.ping(None, MINUTE).unwrap();
    assert!(!pair.server.session().is_idle());
    pair.reply(&ask.no.request_id(), Ok("{}"));
    pair.settle();
    assert!(pair.server.session().is_idle());
}

#[test]
fn a_record_rebuilds_the_session_and_no_number_is_used_again() {
    let mut pair = Pair::new(Revision::V2025_06_18);
    pair.call("logging/setLevel", r#"{"level":"debug"}"#);
    pair.call("resources/subscribe", r#"{"uri":"a:b"}"#);
    let (_, call) = started(&mut pair);
    let ask = pair.ping(Some(call), MINUTE).unwrap();
    let session = pair.server.session();
    let last = session.open_stream();

    let text = serde_json::to_string(&session.record()).unwrap();
    let record: SessionRecord = serde_json::from_str(&text).unwrap();
    let mut rebuilt = Session::restore(record, 1, &everything(), SessionLimits::default())
        .expect("a revision with sessions");
    assert_eq!(rebuilt.revision(), Revision::V2025_06_18);
    assert_eq!(rebuilt.client().info.as_ref().unwrap().name, "client");
    assert!(rebuilt.client().capabilities.elicitation.is_some_and(|elicitation| elicitation.url));
    assert!(rebuilt.is_initialized() && rebuilt.is_used());
    assert!(rebuilt.wants_log(LoggingLevel::Debug) && rebuilt.is_subscribed("a:b"));
    assert!(rebuilt.is_idle(), "requests in flight are not part of a record");
    assert_eq!(rebuilt.cursor(StreamNo(1), 1), session.cursor(StreamNo(1), 1), "its cursors still hold");
    assert_eq!(rebuilt.resume(&session.cursor(last, 3).to_string()), Some(session.cursor(last, 3)));

    assert!(rebuilt.open_stream() > last);
    let next =
        rebuilt.handle_ask(pair.now, None, Question::Ping, Roads::default(), Patience::new(MINUTE)).unwrap();
    assert!(next.no > ask.no);
    let late = Response { id: Some(ask.no.request_id()), outcome: Ok(Raw::empty_object()) };
    assert_eq!(rebuilt.handle_response(&late), None, "an answer to the old session's request is nobody's");
}

#[test]
fn a_record_of_no_session_is_not_rebuilt() {
    let mut pair = Pair::with(Revision::V2025_11_25, SessionLimits::default(), ALL_CAPABILITIES);
    for date in ["2026-07-28", "1999-12-31"] {
        let record = SessionRecord { protocol_version: date.into(), ..pair.server.session().record() };
        assert!(Session::restore(record, 1, &everything(), SessionLimits::default()).is_none());
    }
}

#[test]
fn each_life_has_numbers_of_its_own_that_json_carries_exactly() {
    let mut pair = Pair::with(Revision::V2025_11_25, SessionLimits::default(), ALL_CAPABILITIES);
    let now = pair.now;
    let mut session = |epoch| {
        let record = pair.server.session().record();
        Session::restore(record, epoch, &everything(), SessionLimits::default())
    };
    let (mut last_stream, mut last_ask) = (StreamNo(0), AskNo(0));
    for epoch in [1, 2, 3, 1000, (1 << 21) - 1] {
        let mut life = session(epoch).expect("an epoch");
        for _ in 0..3 {
            let stream = life.open_stream();
            let ask =
                life.handle_ask(now, None, Question::Ping, Roads::default(), Patience::new(MINUTE)).unwrap();
            assert!(stream > last_stream && ask.no > last_ask, "{epoch}: {stream:?} {ask:?}");
            assert_eq!(life.resume(&life.cursor(stream, 1).to_string()), Some(life.cursor(stream, 1)));
            let RequestId::Number(id) = ask.no.request_id() else { panic!("a number") };
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_precision_loss,
                reason = "it is what is tested"
            )]
            let through_a_double = id as f64 as i64;
            assert_eq!(through_a_double, id, "{epoch}");
            (last_stream, last_ask) = (stream, ask.no);
        }
        let future = life.cursor(StreamNo(last_stream.0 + 1), 1).to_string();
        assert_eq!(life.resume(&future), None, "a stream that has not been opened");
    }
    assert!(session(1 << 21).is_none(), "its ids would not be exact");
}

#[test]
fn a_session_whose_client_was_not_ready_is_restored_unused() {
    let params = Raw::from_json(
        r#"{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}"#,
    )
    .unwrap();
    let limits = SessionLimits::default();
    let (session, _) = Session::open(Some(&params), &everything(), 7, limits).unwrap();
    let rebuilt = Session::restore(session.record(), 1, &everything(), limits).unwrap();
    assert!(!rebuilt.is_initialized() && !rebuilt.is_used());
}

#[test]
fn the_record_changes_only_where_the_changes_are_counted() {
    let mut pair = Pair::new(Revision::V2025_11_25);
    let mut count = pair.server.session().changes();
    assert_eq!(count, 1, "the client said that it is ready");
    for (method, params, changed) in [
        ("logging/setLevel", r#"{"level":"debug"}"#, true),
        ("logging/setLevel", r#"{"level":"debug"}"#, false),
        ("logging/setLevel", r#"{"level":"loud"}"#, false),
        ("logging/setLevel", r#"{"level":"error"}"#, true),
        ("resources/subscribe", r#"{"uri":"a:b"}"#, true),
        ("resources/subscribe", r#"{"uri":"a:b"}"#, false),
        ("resources/subscribe", "{}", false),
        ("resources/unsubscribe", r#"{"uri":"a:c"}"#, false),
        ("resources/unsubscribe", r#"{"uri":"a:b"}"#, true),
        ("ping", "{}", false),
        ("tools/call", r#"{"name":"any"}"#, false),
    ] {
        let before = serde_json::to_string(&pair.server.session().record()).unwrap();
        pair.call(method, params);
        pair.settle();
        let after = serde_json::to_string(&pair.server.session().record()).unwrap();
        assert_eq!(before != after, changed, "{method} {params}");
        count += u64::from(changed);
        assert_eq!(pair.server.session().changes(), count, "{method} {params}");
    }
    pair.ping(None, MINUTE).unwrap();
    pair.server.session().open_stream();
    assert_eq!(pair.server.session().changes(), count, "numbers are not part of it");
}

#[test]
fn without_sessions_there_is_a_session_for_one_post() {
    let mut session = Session::stateless(Revision::V2025_06_18, SessionLimits::default());
    let stream = session.open_stream();
    let request = Request { id: 1.into(), method: "tools/list".into(), params: None };
    let Begin::Run(call) = session.handle_request(stream, &request, &Outline::default()) else {
        panic!("it runs")
    };
    assert_eq!(session.client().capabilities, ClientCapabilities::new());
    let finish = session.handle_done(call).unwrap();
    assert_eq!((finish.answer, finish.last), (Some(1.into()), true));
}

/// What a server offers that has all that a session remembers.
fn everything() -> Offer {
    let resources = ResourcesCapability { subscribe: true, list_changed: true };
    let capabilities = ServerCapabilities::new().with_logging(true).with_resources(resources);
    Offer::new(Implementation::new("s", "1"), capabilities)
}

#[test]
fn what_was_not_offered_is_no_method() {
    let offer = Offer::new(Implementation::new("s", "1"), ServerCapabilities::new());
    let params = Raw::from_json(
        r#"{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}"#,
    )
    .unwrap();
    let (mut session, _) = Session::open(Some(&params), &offer, 0, SessionLimits::default()).unwrap();
    for (id, method, params) in [
        (1, "logging/setLevel", r#"{"level":"debug"}"#),
        (2, "resources/subscribe", r#"{"uri":"a:b"}"#),
        (3, "resources/unsubscribe", r#"{"uri":"a:b"}"#),
    ] {
        let params = Some(Raw::from_json(params).unwrap());
        let request = Request { id: id.into(), method: method.into(), params };
        let stream = session.open_stream();
        let Begin::Fail(error) = session.handle_request(stream, &request, &Outline::default()) else {
            panic!("{method} was not offered")
        };
        assert_eq!(error.code, ErrorCode::METHOD_NOT_FOUND, "{method}");
    }
}

#[test]
fn an_initialize_that_would_fill_the_memory_opens_nothing() {
    let name = "n".repeat(70_000);
    let params = format!(
        r#"{{"protocolVersion":"2025-11-25","capabilities":{{}},"clientInfo":{{"name":"{name}","version":"1"}}}}"#
    );
    let params = Raw::from_json(params).unwrap();
    let error = Session::open(Some(&params), &everything(), 0, SessionLimits::default()).unwrap_err();
    assert_eq!(error.code, ErrorCode::INVALID_PARAMS);
    assert!(error.message.contains("65536 bytes"), "{}", error.message);
}
