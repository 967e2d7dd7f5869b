//! Requests of the client: answered once, taken back, counted.

use super::*;

fn cancelled(id: &RequestId) -> Notification {
    let params = Raw::new(&CancelledParams::new(id.clone())).unwrap();
    Notification { method: "notifications/cancelled".into(), params: Some(params) }
}

#[test]
fn a_call_is_answered_under_its_id_and_ends_its_stream() {
    for revision in Revision::LEGACY {
        let mut pair = Pair::new(revision);
        for id in [RequestId::from(7), "seven".into(), "7".into()] {
            let source = pair.post(crate::testing::request(&id, "tools/call", r#"{"name":"t"}"#)).unwrap();
            pair.settle();
            let call = pair.running(&id);
            assert_eq!(pair.outcome(&id), None);
            let finish = pair.finish(call).unwrap();
            assert!(finish.last && finish.given_up.is_empty());
            pair.settle();
            assert_eq!(pair.outcome(&id), Some(&Outcome::Result(Raw::empty_object())));
            assert!(pair.server.is_ended(finish.stream));
            assert_eq!(pair.client.place(source).unwrap(), pair.server.session().cursor(finish.stream, 1));
        }
        assert_sound(&pair);
    }
}

#[test]
fn a_call_settles_exactly_once() {
    let mut pair = Pair::new(Revision::V2025_11_25);
    let (_, call) = started(&mut pair);
    assert!(pair.finish(call).is_some());
    assert_eq!(pair.finish(call), None);
    assert_eq!(pair.finish(CallNo(99)), None, "a call that never was");
}

#[test]
fn a_cancelled_call_is_stopped_and_its_answer_swallowed() {
    let mut pair = Pair::new(Revision::V2025_11_25);
    let (id, call) = started(&mut pair);
    pair.cancel(&id);
    pair.settle();
    assert_eq!(pair.server.effects, [Effect::Cancel(call)]);
    assert!(pair.server.session().is_cancelled(call));
    assert_eq!(pair.progress(call, 1.0), Some(Route::Nowhere(NoRoute::CallOver)), "nothing is sent about it");
    let finish = pair.finish(call).unwrap();
    assert_eq!(finish.answer, None);
    assert!(finish.last);
    pair.settle();
    assert_eq!(pair.client.late, 0);
    assert!(pair.server.is_ended(finish.stream), "its stream ends without a response");
    assert_eq!(pair.client.messages_on(finish.stream), [""; 0]);
    assert!(!pair.server.session().is_cancelled(call), "it is over");
}

#[test]
fn a_cancellation_that_crosses_the_answer_changes_nothing() {
    let mut pair = Pair::new(Revision::V2025_11_25);
    let (id, call) = started(&mut pair);
    pair.link.delay = SECOND;
    pair.finish(call);
    pair.cancel(&id);
    pair.settle();
    assert_eq!(pair.server.effects, [Effect::Nothing]);
    assert_eq!(pair.outcome(&id), Some(&Outcome::Cancelled));
    assert_eq!(pair.client.late, 1, "the answer came, and the client ignored it");
}

#[test]
fn cancelling_twice_stops_once() {
    let mut pair = Pair::new(Revision::V2025_11_25);
    let (id, call) = started(&mut pair);
    pair.cancel(&id);
    pair.cancel(&id);
    pair.settle();
    assert_eq!(pair.server.effects, [Effect::Cancel(call), Effect::Nothing]);
}

#[test]
fn cancelling_what_is_unknown_is_no_error() {
    let mut pair = Pair::new(Revision::V2025_11_25);
    let (id, call) = started(&mut pair);
    for other in [RequestId::from(99), id.to_string().into()] {
        assert_eq!(pair.server.session().handle_notification(pair.now, &cancelled(&other)), Effect::Nothing);
    }
    assert!(!pair.server.session().is_cancelled(call), "`1` and `\"1\"` are two ids");
}

#[test]
fn an_id_stays_taken_while_the_cancelled_call_still_runs() {
    let mut pair = Pair::new(Revision::V2025_11_25);
    let (id, first) = started(&mut pair);
    let now = pair.now;
    let session = pair.server.session();
    assert_eq!(session.handle_notification(now, &cancelled(&id)), Effect::Cancel(first));
    let stream = session.open_stream();
    let again = Request { id: id.clone(), method: "tools/call".into(), params: None };
    let begun = session.handle_request(stream, &again, &Outline::default());
    assert!(matches!(begun, Begin::Refuse(Refused::DuplicateId)), "{begun:?}");

    assert_eq!(session.handle_done(first).unwrap().answer, None);
    let Begin::Run(second) = session.handle_request(stream, &again, &Outline::default()) else {
        panic!("it is free")
    };
    assert_ne!(first, second);
    assert_eq!(session.handle_done(first), None, "the old call's end is not the new one's");
    assert_eq!(
        session.handle_done(second).unwrap().answer,
        Some(id),
        "the cancellation was not the new one's"
    );
}

#[test]
fn an_id_in_flight_is_refused_whatever_it_asks_for() {
    let mut pair = Pair::new(Revision::V2025_11_25);
    let (id, call) = started(&mut pair);
    for (method, params) in [
        ("tools/call", r#"{"name":"t"}"#),
        ("ping", "{}"),
        ("logging/setLevel", r#"{"level":"debug"}"#),
        ("resources/subscribe", r#"{"uri":"a:b"}"#),
    ] {
        pair.post(crate::testing::request(&id, method, params));
        pair.settle();
        assert_eq!(
            pair.client.refused.pop().unwrap().kind(),
            crate::http::RefusalKind::DuplicateRequestId,
            "{method}"
        );
    }
    let session = pair.server.session();
    assert!(
        !session.wants_log(LoggingLevel::Debug) && !session.is_subscribed("a:b"),
        "a refused request does nothing"
    );
    assert_eq!(session.handle_done(call).unwrap().answer, Some(id));
}

#[test]
fn more_calls_than_allowed_are_refused_until_one_is_done() {
    let limits = SessionLimits { calls: 2, ..SessionLimits::default() };
    let mut pair = Pair::with(Revision::V2025_11_25, limits, "{}");
    let (_, first) = started(&mut pair);
    let (cancelled, _) = started(&mut pair);
    pair.cancel(&cancelled);
    let third = pair.call_tool();
    pair.settle();
    assert_eq!(
        error_of(pair.outcome(&third)).code,
        ErrorCode::INTERNAL_ERROR,
        "a cancelled call that runs still counts"
    );
    assert_eq!(pair.server.session().calls_in_flight(), 2);
    let ping = pair.call("ping", "{}");
    pair.settle();
    assert_eq!(
        pair.outcome(&ping),
        Some(&Outcome::Result(Raw::empty_object())),
        "what needs no handler is answered"
    );
    pair.finish(first);
    started(&mut pair);
    assert_eq!(pair.server.session().calls_in_flight(), 2);
}

#[test]
fn progress_goes_to_the_call_whose_token_it_carries() {
    let mut pair = Pair::new(Revision::V2025_11_25);
    let (id, call) = started(&mut pair);
    assert_eq!(pair.server.session().progress_token(call), Some(&ProgressToken::Number(2)));
    let Some(Route::Post(stream)) = pair.progress(call, 0.5) else { panic!("on its own stream") };
    pair.finish(call);
    pair.settle();
    assert_eq!(
        pair.client.messages_on(stream),
        [
            r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":2,"progress":0.5,"message":"on the way"}}"#,
            r#"{"jsonrpc":"2.0","id":2,"result":{}}"#,
        ]
    );
    assert!(pair.outcome(&id).is_some());

    let silent = pair.call("tools/call", r#"{"name":"t"}"#);
    pair.settle();
    let call = pair.running(&silent);
    assert_eq!(pair.progress(call, 0.5), None, "it was not asked for");
}

#[test]
fn a_progress_token_must_be_text_or_a_whole_number() {
    for token in ["null", "1.5", "{}", "[1]", "true", "9223372036854775808"] {
        let mut pair = Pair::new(Revision::V2025_11_25);
        let id = pair.call("tools/call", &format!(r#"{{"name":"t","_meta":{{"progressToken":{token}}}}}"#));
        pair.settle();
        assert_eq!(error_of(pair.outcome(&id)).code, ErrorCode::INVALID_PARAMS, "{token}");
        assert_eq!(pair.server.session().calls_in_flight(), 0, "{token}");
    }
}

#[test]
fn a_batch_shares_a_stream_that_its_last_answer_ends() {
    let mut pair = Pair::new(Revision::V2025_03_26);
    let body = r#"[
        {"jsonrpc":"2.0","id":10,"method":"tools/call","params":{"name":"t"}},
        {"jsonrpc":"2.0","id":11,"method":"ping"},
        {"jsonrpc":"2.0","method":"notifications/roots/list_changed"},
        {"jsonrpc":"2.0","id":12,"method":"tools/call","params":{"name":"t"}},
        {"jsonrpc":"2.0","id":10,"method":"tools/call","params":{"name":"t"}},
        {"id":13,"method":"tools/call"},
        {"jsonrpc":"2.0","id":14,"method":"tools/call","params":{"name":"t"}}
    ]"#;
    pair.post(body);
    pair.settle();
    assert_eq!(pair.server.effects, [Effect::RootsChanged]);
    let calls: Vec<_> = pair.server.running.iter().map(|running| running.call).collect();
    assert_eq!(calls.len(), 3);
    // The one in the middle is taken back: it is the last to end, without an answer.
    pair.cancel(&14.into());
    pair.settle();
    let lasts: Vec<_> =
        [1, 0, 2].map(|at| pair.finish(calls[at]).unwrap()).iter().map(|finish| finish.last).collect();
    assert_eq!(lasts, [false, false, true]);
    pair.settle();
    let stream = pair.client.arrived.last().unwrap().stream;
    assert!(pair.server.is_ended(stream));
    let ids: Vec<_> =
        pair.client.messages_on(stream).iter().map(|text| text[..text.len().min(40)].to_owned()).collect();
    assert_eq!(
        ids,
        [
            r#"{"jsonrpc":"2.0","id":11,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":10,"error":{"code""#,
            r#"{"jsonrpc":"2.0","id":13,"error":{"code""#,
            r#"{"jsonrpc":"2.0","id":12,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":10,"result":{}}"#,
        ]
    );
}

#[test]
fn only_a_revision_with_batches_takes_one() {
    for revision in Revision::LEGACY {
        let mut pair = Pair::new(revision);
        pair.post(r#"[{"jsonrpc":"2.0","id":5,"method":"ping"}]"#);
        pair.settle();
        let answered = matches!(pair.outcome(&5.into()), Some(Outcome::Result(_)));
        assert_eq!(answered, revision.has_batches(), "{revision}");
    }
}

#[test]
fn a_lost_connection_does_not_lose_the_answer() {
    for revision in Revision::LEGACY {
        let mut pair = Pair::new(revision);
        let id = pair.call_tool();
        let source = pair.client.sources.len() - 1;
        pair.settle();
        let call = pair.running(&id);
        pair.progress(call, 1.0);
        pair.settle();
        pair.progress(call, 2.0);
        pair.cut(source, 10);
        pair.finish(call);
        pair.settle();
        assert_eq!(pair.outcome(&id), Some(&Outcome::Result(Raw::empty_object())), "{revision}");
        let stream = pair.client.place(source).unwrap().stream;
        assert_eq!(pair.client.messages_on(stream), pair.server.sent[&stream]);
        assert_sound(&pair);
    }
}

#[test]
fn a_cut_before_the_first_id_leaves_the_outcome_unknown() {
    let mut pair = Pair::new(Revision::V2025_06_18);
    let (id, call) = started(&mut pair);
    let source = pair.client.sources.len() - 1;
    pair.cut(source, 0);
    assert_eq!(pair.outcome(&id), Some(&Outcome::Unknown));
    assert!(pair.finish(call).is_some(), "the call ran, once");
    pair.settle();
    // With priming the client has an id before anything was said.
    let mut pair = Pair::new(Revision::V2025_11_25);
    let (id, call) = started(&mut pair);
    let source = pair.client.sources.len() - 1;
    pair.cut(source, 0);
    pair.finish(call);
    pair.settle();
    assert_eq!(pair.outcome(&id), Some(&Outcome::Result(Raw::empty_object())));
}

#[test]
fn a_request_that_arrives_twice_runs_once_while_it_is_in_flight() {
    let mut pair = Pair::new(Revision::V2025_11_25);
    pair.link.duplicate_next = 1;
    let (id, call) = started(&mut pair);
    assert_eq!(pair.server.running.len(), 1);
    pair.finish(call);
    pair.settle();
    assert_eq!(pair.outcome(&id), Some(&Outcome::Result(Raw::empty_object())));
    assert_sound(&pair);
}

#[test]
fn a_request_that_is_lost_never_runs() {
    let mut pair = Pair::new(Revision::V2025_11_25);
    pair.link.drop_next = 1;
    let id = pair.call_tool();
    pair.settle();
    assert_eq!(pair.outcome(&id), Some(&Outcome::Unknown));
    assert!(pair.server.running.is_empty());
}
