//! What the client sets: its log level and its subscriptions.

use super::*;

fn subscribe(pair: &mut Pair, method: &str, uri: &str) -> Result<(), ErrorCode> {
    let id = pair.call(&format!("resources/{method}"), &format!(r#"{{"uri":"{uri}"}}"#));
    pair.settle();
    match pair.outcome(&id).unwrap() {
        Outcome::Result(_) => Ok(()),
        outcome => Err(error_of(Some(outcome)).code),
    }
}

#[test]
fn a_level_hides_what_is_below_it() {
    let mut pair = Pair::new(Revision::V2025_11_25);
    for level in LoggingLevel::ALL {
        let session = pair.server.session();
        assert_eq!(session.wants_log(level), level >= LoggingLevel::Warning, "{level}");
        session.set_default_level(LoggingLevel::Alert);
        assert_eq!(session.wants_log(level), level >= LoggingLevel::Alert, "{level}");
        session.set_default_level(LoggingLevel::Warning);
    }
    for set in LoggingLevel::ALL {
        let id = pair.call("logging/setLevel", &format!(r#"{{"level":"{set}"}}"#));
        pair.settle();
        assert_eq!(pair.outcome(&id), Some(&Outcome::Result(Raw::empty_object())));
        pair.server.session().set_default_level(LoggingLevel::Warning);
        for level in LoggingLevel::ALL {
            assert_eq!(pair.server.session().wants_log(level), level >= set, "{level} with {set}");
        }
    }
    let (_, call) = started(&mut pair);
    assert_eq!(pair.log(call, LoggingLevel::Alert, &Raw::null()), None);
    assert!(pair.log(call, LoggingLevel::Emergency, &Raw::null()).is_some());
}

#[test]
fn a_level_that_is_none_changes_nothing() {
    let mut pair = Pair::new(Revision::V2025_11_25);
    for params in ["{}", r#"{"level":"loud"}"#, r#"{"level":3}"#, r#"{"level":"DEBUG"}"#] {
        let id = pair.call("logging/setLevel", params);
        pair.settle();
        assert_eq!(error_of(pair.outcome(&id)).code, ErrorCode::INVALID_PARAMS, "{params}");
        assert!(!pair.server.session().wants_log(LoggingLevel::Notice), "{params}");
    }
}

#[test]
fn a_subscription_holds_until_it_is_taken_back() {
    let mut pair = Pair::new(Revision::V2025_11_25);
    subscribe(&mut pair, "subscribe", "a:b").unwrap();
    subscribe(&mut pair, "subscribe", "a:b").unwrap();
    assert!(pair.server.session().is_subscribed("a:b") && !pair.server.session().is_subscribed("a:c"));
    assert_eq!(pair.server.session().record().subscriptions, ["a:b"]);
    subscribe(&mut pair, "unsubscribe", "a:b").unwrap();
    assert!(!pair.server.session().is_subscribed("a:b"));
    assert_eq!(
        subscribe(&mut pair, "unsubscribe", "a:b"),
        Ok(()),
        "taking back what is not there is done already"
    );
    for method in ["resources/subscribe", "resources/unsubscribe"] {
        let id = pair.call(method, "{}");
        pair.settle();
        assert_eq!(error_of(pair.outcome(&id)).code, ErrorCode::INVALID_PARAMS);
    }
}

#[test]
fn subscriptions_are_bounded_in_number_and_length() {
    let limits = SessionLimits { subscriptions: 2, uri_bytes: 5, ..SessionLimits::default() };
    let mut pair = Pair::with(Revision::V2025_11_25, limits, "{}");
    assert_eq!(subscribe(&mut pair, "subscribe", "a:6789"), Err(ErrorCode::INVALID_PARAMS));
    subscribe(&mut pair, "subscribe", "a:789").unwrap();
    subscribe(&mut pair, "subscribe", "b").unwrap();
    assert_eq!(subscribe(&mut pair, "subscribe", "c"), Err(ErrorCode::INVALID_REQUEST));
    assert_eq!(subscribe(&mut pair, "subscribe", "b"), Ok(()), "what is subscribed already takes no room");
    subscribe(&mut pair, "unsubscribe", "b").unwrap();
    subscribe(&mut pair, "subscribe", "c").unwrap();
}
