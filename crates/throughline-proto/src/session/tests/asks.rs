//! Requests of ours: who may be asked, and how an ask ends.

use super::*;
use crate::model::{CreateMessageParams, ServerRequest};

fn response(ask: AskNo) -> Response {
    Response { id: Some(ask.request_id()), outcome: Ok(Raw::empty_object()) }
}

fn ask(pair: &mut Pair, from: Option<CallNo>, patience: Patience) -> AskNo {
    pair.ask(from, ServerRequest::Ping(Default::default()), patience).unwrap().no
}

/// The ids in the `notifications/cancelled` that arrived.
fn taken_back(pair: &Pair) -> Vec<RequestId> {
    let cancelled = |text: &str| -> Option<RequestId> {
        let frame = crate::jsonrpc::parse(&text.to_owned().into(), &Default::default()).ok()?;
        let crate::jsonrpc::Frame::Single(crate::jsonrpc::Message::Notification(notification)) = frame else {
            return None;
        };
        (notification.method == "notifications/cancelled")
            .then(|| notification.params.unwrap().parse::<CancelledParams>().unwrap().request_id)
    };
    pair.client.arrived.iter().filter_map(|event| cancelled(&event.text)).collect()
}

#[test]
fn an_ask_is_answered_once_by_its_id() {
    for revision in Revision::LEGACY {
        let mut pair = Pair::new(revision);
        let (_, call) = started(&mut pair);
        let first = ask(&mut pair, Some(call), Patience::new(MINUTE));
        let second = ask(&mut pair, Some(call), Patience::new(MINUTE));
        pair.settle();
        let asked: Vec<_> = pair.client.asked.iter().map(|request| request.id.clone()).collect();
        assert_eq!(asked, [first.request_id(), second.request_id()]);
        pair.reply(&second.request_id(), Ok(r#"{"a":1}"#));
        pair.reply(&first.request_id(), Err(ErrorObject::new(ErrorCode(-1), "no")));
        pair.settle();
        assert_eq!(
            pair.server.answers,
            [
                (second, Ok(Raw::from_json(r#"{"a":1}"#).unwrap())),
                (first, Err(ErrorObject::new(ErrorCode(-1), "no")))
            ]
        );
        assert_eq!(pair.server.session().ask_deadline(first), None);
    }
}

#[test]
fn what_answers_nothing_is_nobodys() {
    let mut pair = Pair::new(Revision::V2025_11_25);
    let open = ask(&mut pair, None, Patience::new(MINUTE));
    let number = open.0 as i64;
    let session = pair.server.session();
    for id in [
        None,
        Some(RequestId::from(number.to_string())),
        Some((number + 1).into()),
        Some((-number).into()),
        Some(0.into()),
        Some(i64::MIN.into()),
    ] {
        let stray = Response { id, outcome: Ok(Raw::empty_object()) };
        assert_eq!(session.handle_response(&stray), None, "{stray:?}");
    }
    assert_eq!(session.handle_response(&response(open)), Some(open));
    assert_eq!(session.handle_response(&response(open)), None, "twice");
}

#[test]
fn an_ask_that_runs_out_is_taken_back_where_it_was_sent() {
    let mut pair = Pair::new(Revision::V2025_11_25);
    pair.listen();
    let (_, call) = started(&mut pair);
    let of_call = ask(&mut pair, Some(call), Patience::new(10 * SECOND));
    let of_none = ask(&mut pair, None, Patience::new(20 * SECOND));
    pair.settle();
    assert_eq!(pair.server.session().poll_timeout(), Some(pair.now + 10 * SECOND));
    pair.advance(10 * SECOND - Duration::from_nanos(1));
    assert_eq!(pair.server.given_up, []);
    pair.advance(Duration::from_nanos(1));
    let Route::Post(stream) = pair.server.given_up[0].route else { panic!("it belongs to a call") };
    assert_eq!(
        pair.server.given_up[0],
        Expired { ask: of_call, call: Some(call), route: Route::Post(stream) }
    );
    pair.advance(MINUTE);
    assert_eq!(pair.server.given_up[1], Expired { ask: of_none, call: None, route: Route::Standalone });
    assert_eq!(taken_back(&pair), [of_call.request_id(), of_none.request_id()]);
    assert!(pair.client.asked.is_empty());
    assert_eq!(pair.server.session().poll_timeout(), None);

    pair.reply(&of_call.request_id(), Ok("{}"));
    pair.settle();
    assert_eq!((pair.server.answers.len(), pair.server.unexpected), (0, 1), "a late answer is nobody's");
}

#[test]
fn progress_renews_the_timeout_up_to_the_total() {
    let patience = Patience::new(10 * SECOND).max_total(25 * SECOND);
    let mut pair = Pair::new(Revision::V2025_11_25);
    let no = ask(&mut pair, None, patience);
    let id = no.request_id();
    for _ in 0..2 {
        pair.advance(9 * SECOND);
        pair.client_progress(&id);
        pair.settle();
    }
    assert_eq!(pair.server.effects, [Effect::Progress(no), Effect::Progress(no)]);
    assert_eq!(
        pair.server.session().ask_deadline(no),
        Some(pair.now + 7 * SECOND),
        "25 s in all, 18 s of them are over"
    );
    pair.client_progress(&id);
    pair.advance(7 * SECOND);
    assert_eq!(pair.server.given_up.len(), 1, "no progress renews the total");
    pair.client_progress(&id);
    pair.settle();
    assert_eq!(pair.server.effects.last(), Some(&Effect::Nothing), "progress of what is over");
}

#[test]
fn progress_renews_nothing_where_that_is_not_wanted() {
    let mut pair = Pair::new(Revision::V2025_11_25);
    let no = ask(&mut pair, None, Patience::new(10 * SECOND).reset_on_progress(false));
    pair.advance(9 * SECOND);
    pair.client_progress(&no.request_id());
    pair.advance(SECOND);
    assert_eq!(pair.server.effects, [Effect::Progress(no)], "it is heard all the same");
    assert_eq!(pair.server.given_up.len(), 1);
}

#[test]
fn the_total_holds_without_progress() {
    let mut pair = Pair::new(Revision::V2025_11_25);
    ask(&mut pair, None, Patience::new(MINUTE).max_total(3 * SECOND));
    pair.advance(3 * SECOND);
    assert_eq!(pair.server.given_up.len(), 1);
}

#[test]
fn an_answer_on_the_last_moment_counts() {
    // It arrives before the clock is looked at, so it is an answer.
    let mut pair = Pair::new(Revision::V2025_11_25);
    let no = ask(&mut pair, None, Patience::new(SECOND));
    pair.now += SECOND;
    let now = pair.now;
    let session = pair.server.session();
    assert_eq!(session.handle_response(&response(no)), Some(no));
    assert_eq!(session.handle_timeout(now), []);
}

#[test]
fn asks_are_given_up_with_their_call_and_before_its_answer() {
    let mut pair = Pair::new(Revision::V2025_11_25);
    let (_, call) = started(&mut pair);
    let (_, other) = started(&mut pair);
    let given_up = ask(&mut pair, Some(call), Patience::new(MINUTE));
    let kept = ask(&mut pair, Some(other), Patience::new(MINUTE));
    let outside = ask(&mut pair, None, Patience::new(MINUTE));
    let finish = pair.finish(call).unwrap();
    let expired = Expired { ask: given_up, call: Some(call), route: Route::Post(finish.stream) };
    assert_eq!(finish.given_up, [expired]);
    pair.settle();
    assert_eq!(taken_back(&pair), [given_up.request_id()]);
    let session = pair.server.session();
    assert!(session.ask_deadline(kept).is_some() && session.ask_deadline(outside).is_some());
    assert_eq!(session.handle_response(&response(given_up)), None);
}

#[test]
fn an_ask_that_nobody_waits_for_is_taken_back_once() {
    let mut pair = Pair::new(Revision::V2025_11_25);
    pair.listen();
    let no = ask(&mut pair, None, Patience::new(MINUTE));
    assert!(pair.abandon(no));
    assert!(!pair.abandon(no));
    pair.settle();
    assert_eq!(taken_back(&pair), [no.request_id()]);
    let answered = ask(&mut pair, None, Patience::new(MINUTE));
    pair.reply(&answered.request_id(), Ok("{}"));
    pair.settle();
    assert!(!pair.abandon(answered), "an answered one is not taken back");
}

#[test]
fn a_call_that_is_over_cannot_ask() {
    let mut pair = Pair::new(Revision::V2025_11_25);
    let (id, call) = started(&mut pair);
    pair.cancel(&id);
    pair.settle();
    assert_eq!(pair.ping(Some(call), MINUTE), Err(AskRefused::NoRoute(NoRoute::CallOver)));
    pair.finish(call);
    assert_eq!(pair.ping(Some(call), MINUTE), Err(AskRefused::NoRoute(NoRoute::CallOver)));
    assert!(pair.server.session().is_idle(), "a refused ask is not in flight");
}

#[test]
fn more_asks_than_allowed_are_refused_until_one_is_over() {
    let limits = SessionLimits { asks: 2, ..SessionLimits::default() };
    let mut pair = Pair::with(Revision::V2025_11_25, limits, "{}");
    let first = pair.ping(None, MINUTE).unwrap().no;
    pair.ping(None, 10 * SECOND).unwrap();
    assert_eq!(pair.ping(None, MINUTE), Err(AskRefused::TooManyAsks { limit: 2 }));
    pair.reply(&first.request_id(), Ok("{}"));
    pair.settle();
    pair.ping(None, MINUTE).unwrap();
    assert_eq!(pair.ping(None, MINUTE), Err(AskRefused::TooManyAsks { limit: 2 }));
    pair.advance(10 * SECOND);
    pair.ping(None, MINUTE).unwrap();
}

#[test]
fn the_client_is_asked_only_what_it_can_answer() {
    use Question::*;
    let questions = [
        (ElicitForm, "elicitation", r#"{"elicitation":{}}"#, Revision::V2025_06_18),
        (ElicitForm, "elicitation", r#"{"elicitation":{"form":{}}}"#, Revision::V2025_06_18),
        (ElicitUrl, "elicitation.url", r#"{"elicitation":{"url":{}}}"#, Revision::V2025_11_25),
        (Sample { with_tools: false }, "sampling", r#"{"sampling":{}}"#, Revision::V2024_11_05),
        (
            Sample { with_tools: true },
            "sampling.tools",
            r#"{"sampling":{"tools":{}}}"#,
            Revision::V2025_11_25,
        ),
        (Roots, "roots", r#"{"roots":{}}"#, Revision::V2024_11_05),
    ];
    for (question, capability, declared, since) in questions {
        let declared: ClientCapabilities = serde_json::from_str(declared).unwrap();
        for revision in Revision::LEGACY {
            let in_revision = revision.date() >= since.date();
            let expected = if in_revision { Ok(()) } else { Err(AskRefused::NotInRevision) };
            assert_eq!(question.check(revision, &declared), expected, "{question:?} {revision}");
            let refused =
                if in_revision { AskRefused::NotCapable { capability } } else { AskRefused::NotInRevision };
            assert_eq!(
                question.check(revision, &ClientCapabilities::new()),
                Err(refused),
                "{question:?} {revision}"
            );
        }
    }
    let only_url: ClientCapabilities = serde_json::from_str(r#"{"elicitation":{"url":{}}}"#).unwrap();
    assert_eq!(
        ElicitForm.check(Revision::V2025_11_25, &only_url),
        Err(AskRefused::NotCapable { capability: "elicitation" })
    );
    for revision in Revision::LEGACY {
        for question in [Ping, Custom] {
            assert_eq!(question.check(revision, &ClientCapabilities::new()), Ok(()));
        }
    }
}

#[test]
fn a_question_that_is_refused_is_not_sent() {
    let mut pair = Pair::with(Revision::V2025_11_25, SessionLimits::default(), "{}");
    let (_, call) = started(&mut pair);
    let sample = CreateMessageParams::new([], 10).into();
    let refused = pair.ask(Some(call), sample, Patience::new(MINUTE));
    assert_eq!(refused, Err(AskRefused::NotCapable { capability: "sampling" }));
    pair.settle();
    assert!(pair.client.asked.is_empty());
    assert_eq!(pair.server.session().poll_timeout(), None);
}
