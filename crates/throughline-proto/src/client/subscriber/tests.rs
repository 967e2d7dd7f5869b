use ::http::StatusCode;
use serde_json::{Value, json};

use super::*;
use crate::jsonrpc::{Raw, Str};

const PATIENCE: Duration = Duration::from_secs(60);

fn tools() -> SubscriptionFilter {
    SubscriptionFilter { tools_list_changed: true, ..SubscriptionFilter::default() }
}

fn with(mut filter: SubscriptionFilter, uris: &[&str]) -> SubscriptionFilter {
    filter.resource_subscriptions = uris.iter().map(|uri| Str::from((*uri).to_owned())).collect();
    filter
}

fn note(method: &str, id: impl Into<Value>, mut params: Value) -> Notification {
    let id = id.into();
    if !id.is_null() {
        params["_meta"] = json!({ "io.modelcontextprotocol/subscriptionId": id });
    }
    Notification { method: Str::from(method.to_owned()), params: Some(Raw::new(&params).unwrap()) }
}

fn changed(id: impl Into<Value>) -> Notification {
    note("notifications/tools/list_changed", id, json!({}))
}

fn ack(id: i64, filter: &SubscriptionFilter) -> Notification {
    note("notifications/subscriptions/acknowledged", id, json!({ "notifications": filter }))
}

fn error(code: ErrorCode) -> ErrorObject {
    ErrorObject::new(code, "no")
}

/// A subscriber with its clock.
struct Heard {
    subscriber: Subscriber,
    now: Instant,
}

impl Heard {
    fn new(separate: bool, wanted: SubscriptionFilter) -> Self {
        let mut subscriber = Subscriber::new(separate, PATIENCE);
        subscriber.want(wanted);
        Self { subscriber, now: Instant::now() }
    }

    fn next(&mut self) -> Listen {
        self.subscriber.next(self.now)
    }

    /// It wants to open one of this filter, which is sent as request `id`.
    fn opens(&mut self, id: i64, filter: &SubscriptionFilter) {
        assert_eq!(self.next(), Listen::Open(filter.clone()));
        self.subscriber.handle_opened(self.now, id, filter.clone());
    }

    fn hears(&mut self, on: Option<i64>, notification: &Notification) -> Told {
        self.subscriber.handle_notification(self.now, on, notification)
    }

    fn acknowledged(&mut self, id: i64, filter: &SubscriptionFilter) -> Acknowledged {
        match self.hears(None, &ack(id, filter)) {
            Told::Acknowledged(acknowledged) => acknowledged,
            told => panic!("{told:?}"),
        }
    }

    fn ends(&mut self, id: i64, ending: Ending<'_>) {
        self.subscriber.handle_end(self.now, id, ending, 0);
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    /// It waits this long.
    fn waits(&mut self, seconds: u64) {
        let at = self.now + Duration::from_secs(seconds);
        assert_eq!(self.next(), Listen::Wait(at));
    }
}

#[test]
fn nothing_is_opened_when_nobody_listens() {
    let mut heard = Heard::new(true, SubscriptionFilter::default());
    assert_eq!(heard.next(), Listen::Rest);
    assert_eq!(heard.subscriber.hearing(), Hearing::Not);
}

#[test]
fn a_change_is_told_when_it_names_an_acknowledged_subscription() {
    let mut heard = Heard::new(false, tools());
    heard.opens(1, &tools());
    heard.waits(60);
    assert_eq!(heard.hears(None, &changed(1)), Told::Foreign, "nothing may come before the acknowledgment");
    let acknowledged = heard.acknowledged(1, &tools());
    assert_eq!(acknowledged, Acknowledged { missing: SubscriptionFilter::default(), missed: None });
    assert_eq!((heard.next(), heard.subscriber.hearing()), (Listen::Rest, Hearing::Well));
    assert_eq!(heard.hears(None, &changed(1)), Told::Change);
    assert_eq!(heard.hears(Some(1), &changed(1)), Told::Change);
    for foreign in [changed(2), changed("1"), changed(json!(null)), changed(json!({})), ack(1, &tools())] {
        assert_eq!(heard.hears(None, &foreign), Told::Foreign, "{foreign:?}");
    }
    assert_eq!(heard.hears(Some(7), &changed(1)), Told::Foreign, "on the response to another request");
    // What was not agreed on is not told.
    let prompts = note("notifications/prompts/list_changed", 1, json!({}));
    assert_eq!(heard.hears(None, &prompts), Told::Foreign);
    // What others mean by a subscription id of ours is theirs to say.
    assert_eq!(heard.hears(None, &note("notifications/x", 1, json!({}))), Told::Change);
    assert_eq!(heard.hears(None, &note("notifications/x", 2, json!({}))), Told::Foreign);
    assert_eq!(heard.hears(None, &note("notifications/x", json!(null), json!({}))), Told::Other);
}

#[test]
fn what_the_server_leaves_out_is_said() {
    let asked = with(SubscriptionFilter { prompts_list_changed: true, ..tools() }, &["a:", "b:"]);
    let mut heard = Heard::new(true, asked.clone());
    heard.opens(1, &asked);
    assert_eq!(heard.subscriber.wish("a:"), Wish::Open);
    let acknowledged = heard.acknowledged(1, &with(tools(), &["b:"]));
    let missing = SubscriptionFilter { prompts_list_changed: true, ..SubscriptionFilter::default() };
    assert_eq!(acknowledged.missing, with(missing, &["a:"]));
    assert_eq!(heard.subscriber.wish("a:"), Wish::Denied);
    assert_eq!(heard.subscriber.wish("b:"), Wish::Granted);
    assert_eq!(heard.subscriber.wish("c:"), Wish::Open);
    // It is not asked for again, also not when what was left out is no longer wanted.
    assert_eq!(heard.next(), Listen::Rest);
    heard.subscriber.want(with(SubscriptionFilter { prompts_list_changed: true, ..tools() }, &["b:"]));
    assert_eq!(heard.next(), Listen::Rest);
    // What is told and no longer wanted is.
    heard.subscriber.want(tools());
    heard.opens(2, &tools());
}

#[test]
fn what_the_server_adds_counts_for_nothing() {
    let mut heard = Heard::new(true, tools());
    heard.opens(1, &tools());
    let more = with(SubscriptionFilter { prompts_list_changed: true, ..tools() }, &["a:"]);
    assert_eq!(heard.acknowledged(1, &more).missing, SubscriptionFilter::default());
    assert_eq!(heard.next(), Listen::Rest);
    for unasked in ["notifications/prompts/list_changed", "notifications/resources/updated"] {
        assert_eq!(heard.hears(None, &note(unasked, 1, json!({ "uri": "a:" }))), Told::Foreign);
    }
    // An acknowledgment that says nothing grants nothing.
    let mut heard = Heard::new(true, tools());
    heard.opens(1, &tools());
    let empty = note("notifications/subscriptions/acknowledged", 1, json!({}));
    assert_eq!(
        heard.hears(None, &empty),
        Told::Acknowledged(Acknowledged { missing: tools(), missed: None })
    );
    assert_eq!(heard.next(), Listen::Rest);
}

#[test]
fn other_wishes_replace_the_subscription_without_a_gap() {
    let more = with(tools(), &["a:"]);
    for separate in [true, false] {
        let mut heard = Heard::new(separate, tools());
        heard.opens(1, &tools());
        heard.acknowledged(1, &tools());
        heard.subscriber.want(more.clone());
        heard.opens(2, &more);
        heard.waits(60);
        assert_eq!(heard.hears(None, &changed(1)), Told::Change, "the older one goes on");
        assert_eq!(heard.acknowledged(2, &more).missed, None);
        if separate {
            // What was sent before may still arrive, on the other connection.
            heard.waits(1);
            assert_eq!(heard.hears(Some(1), &changed(1)), Told::Change);
            heard.pass(1);
        }
        assert_eq!(heard.next(), Listen::Close(1));
        assert_eq!(heard.next(), Listen::Rest);
        assert_eq!(heard.hears(None, &changed(1)), Told::Foreign);
        assert_eq!(heard.hears(None, &changed(2)), Told::Change);
        // Nobody listens any more.
        heard.subscriber.want(SubscriptionFilter::default());
        assert_eq!(heard.next(), Listen::Close(2));
        assert_eq!((heard.next(), heard.subscriber.hearing()), (Listen::Rest, Hearing::Not));
    }
}

#[test]
fn wishes_that_change_meanwhile_are_all_followed() {
    let mut heard = Heard::new(true, tools());
    heard.opens(1, &tools());
    // Before it was acknowledged: the newest wish counts.
    let (one, two) = (with(tools(), &["a:"]), with(tools(), &["a:", "b:"]));
    heard.subscriber.want(one.clone());
    heard.opens(2, &one);
    assert_eq!(heard.next(), Listen::Close(1));
    heard.acknowledged(2, &one);
    heard.subscriber.want(two.clone());
    heard.opens(3, &two);
    // And back: what is open serves.
    heard.subscriber.want(with(tools(), &["a:"]));
    assert_eq!(heard.next(), Listen::Close(3));
    assert_eq!(heard.next(), Listen::Rest);
    // Three at a time at most: the oldest goes before its time.
    for id in [4, 5] {
        let wanted = with(tools(), &["a:", ["c:", "d:"][usize::try_from(id).unwrap() - 4]]);
        heard.subscriber.want(wanted.clone());
        heard.opens(id, &wanted);
        heard.acknowledged(id, &wanted);
    }
    assert_eq!(heard.next(), Listen::Close(2));
    heard.pass(1);
    assert_eq!(heard.next(), Listen::Close(4));
    // The order of resources and doubles mean nothing.
    heard.subscriber.want(with(tools(), &["d:", "a:", "d:"]));
    assert_eq!(heard.next(), Listen::Rest);
}

#[test]
fn a_lost_subscription_is_opened_again_and_what_was_missed_is_said() {
    let wanted = with(tools(), &["a:"]);
    for ending in [Ending::Lost, Ending::Closed] {
        let mut heard = Heard::new(true, wanted.clone());
        heard.opens(1, &wanted);
        heard.acknowledged(1, &wanted);
        heard.ends(1, ending);
        assert_eq!(heard.subscriber.hearing(), Hearing::Again);
        heard.waits(1);
        heard.pass(1);
        heard.opens(2, &wanted);
        heard.ends(2, Ending::Lost);
        assert_eq!(heard.next(), Listen::Wait(heard.now + Duration::from_millis(1500)), "later and later");
        heard.pass(2);
        heard.opens(3, &wanted);
        let acknowledged = heard.acknowledged(3, &wanted);
        assert_eq!(acknowledged.missed, Some(wanted.clone()));
        assert_eq!(heard.subscriber.hearing(), Hearing::Well);
        // Once.
        heard.ends(3, Ending::Lost);
        heard.waits(1);
    }
}

#[test]
fn the_server_may_take_a_subscription_back() {
    let mut heard = Heard::new(false, tools());
    heard.opens(1, &tools());
    heard.acknowledged(1, &tools());
    let cancelled = |id: Value| {
        let params = Raw::new(&json!({ "requestId": id })).unwrap();
        Notification { method: Str::from_static("notifications/cancelled"), params: Some(params) }
    };
    assert_eq!(heard.hears(None, &cancelled(json!(5))), Told::Other);
    assert_eq!(heard.hears(None, &cancelled(json!("1"))), Told::Other);
    assert_eq!(heard.hears(None, &cancelled(json!(1))), Told::Ended);
    heard.waits(1);
}

#[test]
fn a_subscription_that_is_not_acknowledged_is_lost() {
    let mut heard = Heard::new(true, tools());
    heard.opens(1, &tools());
    heard.pass(60);
    assert_eq!(heard.next(), Listen::Close(1));
    heard.waits(1);
    assert_eq!(heard.hears(None, &ack(1, &tools())), Told::Foreign);
    assert_eq!(heard.subscriber.hearing(), Hearing::Again);
}

#[test]
fn a_refusal_for_good_is_not_repeated() {
    let refused = |status: u16, code: Option<ErrorCode>| {
        let object = code.map(error);
        let mut heard = Heard::new(true, with(tools(), &["a:"]));
        heard.opens(1, &with(tools(), &["a:"]));
        let status = StatusCode::from_u16(status).unwrap();
        heard.ends(1, Ending::Refused { status, error: object.as_ref(), retry_after: None });
        (heard, Denial { status: Some(status), error: object })
    };
    for (status, code) in [
        (404, Some(ErrorCode::METHOD_NOT_FOUND)),
        (200, Some(ErrorCode::METHOD_NOT_FOUND)),
        (200, Some(ErrorCode::INVALID_PARAMS)),
        (400, Some(ErrorCode::INVALID_PARAMS)),
        (400, None),
        (401, None),
        (403, None),
        (404, None),
        (405, None),
    ] {
        let (mut heard, denial) = refused(status, code);
        assert_eq!((heard.next(), heard.subscriber.hearing()), (Listen::Rest, Hearing::Never));
        assert_eq!(heard.subscriber.wish("a:"), Wish::Refused(denial));
        // Another wish is another question.
        heard.subscriber.want(tools());
        assert_eq!(heard.subscriber.wish("a:"), Wish::Open);
        heard.opens(2, &tools());
    }
    for (status, code) in
        [(503, None), (429, None), (500, Some(ErrorCode::INTERNAL_ERROR)), (200, Some(ErrorCode(-32000)))]
    {
        let (mut heard, _) = refused(status, code);
        assert_eq!(heard.subscriber.hearing(), Hearing::Again);
        heard.waits(1);
    }
}

#[test]
fn what_was_refused_for_want_of_credentials_is_asked_for_with_others() {
    for (status, is_asked_again) in [(401, true), (403, true), (405, false)] {
        let mut heard = Heard::new(true, tools());
        heard.opens(1, &tools());
        let status = StatusCode::from_u16(status).unwrap();
        heard.ends(1, Ending::Refused { status, error: None, retry_after: None });
        assert_eq!(heard.next(), Listen::Rest);
        heard.subscriber.handle_credentials();
        if is_asked_again {
            heard.opens(2, &tools());
        } else {
            assert_eq!(heard.next(), Listen::Rest);
        }
    }
}

#[test]
fn a_refused_wish_leaves_what_is_open() {
    let mut heard = Heard::new(true, tools());
    heard.opens(1, &tools());
    heard.acknowledged(1, &tools());
    let more = with(tools(), &["x:"]);
    heard.subscriber.want(more.clone());
    heard.opens(2, &more);
    let object = error(ErrorCode::INVALID_PARAMS);
    heard.ends(2, Ending::Refused { status: StatusCode::OK, error: Some(&object), retry_after: None });
    assert!(matches!(heard.subscriber.wish("x:"), Wish::Refused(_)));
    assert_eq!((heard.next(), heard.subscriber.hearing()), (Listen::Rest, Hearing::Well));
    assert_eq!(heard.hears(None, &changed(1)), Told::Change);
    heard.subscriber.want(tools());
    assert_eq!(heard.next(), Listen::Rest);
}

#[test]
fn without_a_server_there_is_nothing_to_open() {
    let mut heard = Heard::new(false, tools());
    heard.opens(1, &tools());
    heard.subscriber.handle_closed();
    assert_eq!((heard.next(), heard.subscriber.hearing()), (Listen::Rest, Hearing::Never));
    heard.ends(1, Ending::Lost);
    assert_eq!(heard.next(), Listen::Rest);
}
