use serde_json::json;

use super::*;
use crate::jsonrpc::Raw;

fn raw(value: &serde_json::Value) -> Raw {
    Raw::new(value).unwrap()
}

fn discovered(versions: &[&str]) -> Answered {
    Answered::Result(raw(&json!({
        "resultType": "complete", "supportedVersions": versions, "capabilities": {},
        "ttlMs": 0, "cacheScope": "private",
    })))
}

fn initialized(version: &str) -> Answered {
    Answered::Result(raw(&json!({
        "protocolVersion": version, "capabilities": {}, "serverInfo": { "name": "s", "version": "1" },
    })))
}

fn error(status: u16, code: i32) -> Answered {
    Answered::Error(StatusCode::from_u16(status).unwrap(), ErrorObject::new(ErrorCode(code), "no"))
}

fn unsupported(supported: &[&str]) -> Answered {
    let error = ErrorObject::new(ErrorCode::UNSUPPORTED_PROTOCOL_VERSION, "no")
        .with_data(&json!({ "supported": supported, "requested": "?" }));
    Answered::Error(StatusCode::BAD_REQUEST, error)
}

fn refused(status: u16) -> Answered {
    Answered::Refused(StatusCode::from_u16(status).unwrap())
}

/// A step in a word.
fn word(step: &Step) -> String {
    match step {
        Step::Discover(revision) => format!("discover {revision}"),
        Step::Initialize(revision) => format!("initialize {revision}"),
        Step::OpenSse => "sse".into(),
        Step::Authorize => "authorize".into(),
        Step::Modern(revision, _) => format!("modern {revision}"),
        Step::Legacy(revision, _) => format!("legacy {revision}"),
        Step::Fail(Unreachable::Answered(error)) => format!("fail answered {}", error.code.0),
        Step::Fail(Unreachable::Refused(status, error)) => {
            format!("fail refused {} {:?}", status.as_u16(), error.as_ref().map(|error| error.code.0))
        }
        Step::Fail(Unreachable::NoRevision(theirs)) => format!("fail none of {theirs:?}"),
        Step::Fail(Unreachable::TimedOut) => "fail timeout".into(),
        Step::Fail(Unreachable::NotMcp(_)) => "fail not mcp".into(),
    }
}

/// The steps that these answers lead to.
fn walk(mut negotiation: Negotiation, answers: impl IntoIterator<Item = Answered>) -> Vec<String> {
    let mut step = negotiation.first();
    let mut words = vec![word(&step)];
    for answered in answers {
        step = match step {
            Step::Discover(_) => negotiation.handle_discover(answered),
            Step::Initialize(_) => negotiation.handle_initialize(answered),
            Step::OpenSse => match answered {
                Answered::Result(_) => negotiation.handle_endpoint(Ok(())),
                _ => negotiation.handle_endpoint(Err(Unreachable::NotMcp("no endpoint".into()))),
            },
            _ => panic!("{words:?} is over"),
        };
        words.push(word(&step));
    }
    words
}

fn http() -> Negotiation {
    Negotiation::new(TransportKind::Http, TransportChoice::Auto, None)
}

fn pipe() -> Negotiation {
    Negotiation::new(TransportKind::Pipe, TransportChoice::Auto, None)
}

fn pinned(kind: TransportKind, revision: Revision) -> Negotiation {
    Negotiation::new(kind, TransportChoice::Auto, Some(revision))
}

/// How the newest and the newest legacy revision are named.
fn dates() -> (&'static str, &'static str) {
    (Revision::LATEST.date(), Revision::LATEST_LEGACY.date())
}

fn discover() -> String {
    format!("discover {}", Revision::LATEST)
}

fn initialize() -> String {
    format!("initialize {}", Revision::LATEST_LEGACY)
}

#[test]
fn a_modern_server_says_so() {
    let (new, old) = dates();
    for negotiation in [http(), pipe()] {
        let modern = [discover(), format!("modern {new}")];
        assert_eq!(walk(negotiation.clone(), [discovered(&[new])]), modern);
        assert_eq!(walk(negotiation.clone(), [discovered(&[old, new, "2099-01-01"])]), modern);
        // It speaks only what has sessions, and still knows how to say so.
        assert_eq!(walk(negotiation.clone(), [discovered(&[old])]), [discover(), initialize()]);
        let none = walk(negotiation, [discovered(&["2099-01-01"])]);
        assert_eq!(none, [discover(), r#"fail none of ["2099-01-01"]"#.to_owned()]);
    }
}

#[test]
fn a_modern_error_is_no_reason_to_fall_back() {
    let (new, old) = dates();
    for negotiation in [http(), pipe()] {
        // It refuses the revision and names the same: once more, and no more.
        let again = walk(negotiation.clone(), [unsupported(&[new]), unsupported(&[new])]);
        assert_eq!(again, [discover(), discover(), format!("fail none of [{new:?}]")]);
        let recovered = walk(negotiation.clone(), [unsupported(&[new]), discovered(&[new])]);
        assert_eq!(recovered, [discover(), discover(), format!("modern {new}")]);
        // It names one with sessions.
        assert_eq!(walk(negotiation.clone(), [unsupported(&[old])]), [discover(), initialize()]);
        assert_eq!(walk(negotiation.clone(), [unsupported(&[])]), [discover(), "fail none of []".into()]);
        // Without data there is nothing to choose from.
        assert_eq!(walk(negotiation.clone(), [error(400, -32022)]), [discover(), "fail none of []".into()]);
        for code in [-32020, -32021] {
            let failed = walk(negotiation.clone(), [error(400, code)]);
            assert_eq!(failed, [discover(), format!("fail answered {code}")]);
        }
    }
}

#[test]
fn anything_else_is_a_legacy_server() {
    let (_, old) = dates();
    let garbage = [
        json!({}),
        json!({ "supportedVersions": [] }),
        json!({ "supportedVersions": "all" }),
        json!({ "supportedVersions": [7] }),
        json!({ "protocolVersion": old }),
        json!([]),
        json!("ok"),
        json!(null),
    ];
    let answers =
        [error(200, -32601), error(200, -32602), error(400, -32600), error(400, -32000), error(500, -32603)]
            .into_iter()
            .chain([400, 404, 405, 406, 415, 500, 502, 503].map(refused))
            .chain(garbage.iter().map(|result| Answered::Result(raw(result))))
            .chain([Answered::NotMcp("a page of HTML".into())]);
    for answered in answers {
        for negotiation in [http(), pipe()] {
            let words = walk(negotiation, [answered.clone(), initialized(old)]);
            assert_eq!(words, [discover(), initialize(), format!("legacy {old}")], "{answered:?}");
        }
    }
}

#[test]
fn who_asks_for_authorization_is_asked_again() {
    for answered in [refused(401), error(401, -32000)] {
        assert_eq!(walk(http(), [answered.clone()]), [discover(), "authorize".into()]);
        assert_eq!(walk(http(), [refused(404), answered]), [discover(), initialize(), "authorize".into()]);
    }
}

#[test]
fn silence_means_legacy_on_a_pipe_and_an_error_over_http() {
    assert_eq!(walk(http(), [Answered::TimedOut]), [discover(), "fail timeout".into()]);
    assert_eq!(walk(pipe(), [Answered::TimedOut]), [discover(), initialize()]);
    let both = walk(pipe(), [Answered::TimedOut, Answered::TimedOut]);
    assert_eq!(both, [discover(), initialize(), "fail timeout".into()]);
}

#[test]
fn a_late_answer_counts_when_initialize_fails() {
    let (new, old) = dates();
    let late = |answered: Answered, initialized: Answered| {
        let mut negotiation = pipe();
        let _ = negotiation.first();
        assert_eq!(word(&negotiation.handle_discover(Answered::TimedOut)), initialize());
        negotiation.handle_late_discover(answered);
        word(&negotiation.handle_initialize(initialized))
    };
    assert_eq!(late(discovered(&[new]), error(200, -32601)), format!("modern {new}"));
    assert_eq!(late(discovered(&[new]), Answered::TimedOut), format!("modern {new}"));
    assert_eq!(late(unsupported(&[new]), error(200, -32602)), discover());
    // A server that opens a session is taken at its word.
    assert_eq!(late(discovered(&[new]), initialized(old)), format!("legacy {old}"));
    // What is no answer of the modern era says nothing.
    assert_eq!(late(error(200, -32601), error(200, -32603)), "fail refused 200 Some(-32603)");
    assert_eq!(late(Answered::Result(raw(&json!({}))), error(200, -32603)), "fail refused 200 Some(-32603)");
}

#[test]
fn initialize_may_fail() {
    let (new, old) = dates();
    let after = |answered: Answered| walk(pipe(), [error(200, -32601), answered]).pop().unwrap();
    assert_eq!(after(error(200, -32603)), "fail refused 200 Some(-32603)");
    assert_eq!(after(initialized("1999-01-01")), r#"fail none of ["1999-01-01"]"#);
    assert_eq!(
        after(initialized(new)),
        format!("fail none of [{new:?}]"),
        "there is no session in this revision"
    );
    assert_eq!(after(Answered::Result(raw(&json!({ "protocolVersion": old })))), "fail not mcp");
    assert_eq!(after(Answered::NotMcp("HTML".into())), "fail not mcp");
    for revision in Revision::LEGACY {
        assert_eq!(after(initialized(revision.date())), format!("legacy {revision}"));
    }
}

#[test]
fn the_oldest_transport_comes_last() {
    for status in [400, 404, 405] {
        let words = walk(
            http(),
            [refused(status), refused(status), initialized("2024-11-05"), initialized("2024-11-05")],
        );
        assert_eq!(words[2..], ["sse".to_owned(), initialize(), "legacy 2024-11-05".into()]);
        // Without an endpoint, what the newer transport said is what counts.
        let words = walk(http(), [refused(status), refused(status), Answered::TimedOut]);
        assert_eq!(words[3], format!("fail refused {status} None"));
    }
    for answered in [refused(500), refused(403), error(400, -32020)] {
        assert!(walk(http(), [refused(404), answered])[2].starts_with("fail refused"));
    }
    let streamable = Negotiation::new(TransportKind::Http, TransportChoice::Streamable, None);
    assert_eq!(walk(streamable, [refused(404), refused(404)])[2], "fail refused 404 None");
    let mut sse = Negotiation::new(TransportKind::Http, TransportChoice::Sse, None);
    assert_eq!((word(&sse.first()).as_str(), sse.is_sse()), ("sse", true));
}

#[test]
fn a_pinned_revision_is_the_only_one() {
    let (new, old) = dates();
    for kind in [TransportKind::Http, TransportKind::Pipe] {
        for revision in Revision::LEGACY {
            let wanted = format!("initialize {revision}");
            let words = walk(pinned(kind, revision), [initialized(revision.date())]);
            assert_eq!(words, [wanted.clone(), format!("legacy {revision}")]);
            let other = if revision.date() == old { "2024-11-05" } else { old };
            let words = walk(pinned(kind, revision), [initialized(other)]);
            assert_eq!(words, [wanted, format!("fail none of [{other:?}]")]);
        }
        let modern = pinned(kind, Revision::LATEST);
        assert_eq!(walk(modern.clone(), [discovered(&[new])])[1], format!("modern {new}"));
        assert_eq!(walk(modern.clone(), [discovered(&[old])])[1], format!("fail none of [{old:?}]"));
        assert_eq!(walk(modern.clone(), [unsupported(&[old])])[1], format!("fail none of [{old:?}]"));
        assert_eq!(walk(modern.clone(), [refused(404)])[1], "fail refused 404 None");
        assert_eq!(walk(modern.clone(), [Answered::TimedOut])[1], "fail timeout");
        assert_eq!(walk(modern, [Answered::NotMcp("HTML".into())])[1], "fail not mcp");
    }
}

#[test]
fn a_verdict_is_tried_first_and_given_up_when_it_is_wrong() {
    let (new, old) = dates();
    for negotiation in [http(), pipe()] {
        let legacy = negotiation.clone().with_verdict(Revision::LATEST_LEGACY);
        assert_eq!(walk(legacy.clone(), [initialized(old)]), [initialize(), format!("legacy {old}")]);
        for wrong in [error(400, -32020), error(400, -32022), error(404, -32601), refused(404), refused(405)]
        {
            let words = walk(legacy.clone(), [wrong, discovered(&[new])]);
            assert_eq!(words, [initialize(), discover(), format!("modern {new}")]);
        }
        // Once: what fails then has failed.
        let words = walk(legacy.clone(), [error(500, -32603), refused(500), error(500, -32603)]);
        assert_eq!(words, [initialize(), discover(), initialize(), "fail refused 500 Some(-32603)".into()]);
        // Silence is no answer, and nobody waits for it twice.
        assert_eq!(walk(legacy, [Answered::TimedOut])[1], "fail timeout");
        let modern = negotiation.with_verdict(Revision::LATEST);
        assert_eq!(walk(modern.clone(), [discovered(&[new])]), [discover(), format!("modern {new}")]);
        assert_eq!(walk(modern, [refused(404)]), [discover(), initialize()]);
    }
    // The oldest transport is still found, after everything else was tried.
    let words =
        walk(http().with_verdict(Revision::LATEST_LEGACY), [refused(404), refused(404), refused(404)]);
    assert_eq!(words[1..], [discover(), initialize(), "sse".into()]);
    // What is pinned counts more.
    let pinned = pinned(TransportKind::Http, Revision::LATEST).with_verdict(Revision::LATEST_LEGACY);
    assert_eq!(walk(pinned, []), [discover()]);
}

#[test]
fn a_process_that_ended_over_the_question_is_not_asked_again() {
    let (_, old) = dates();
    let straight = pipe().without_discovery();
    assert_eq!(walk(straight.clone(), [initialized(old)]), [initialize(), format!("legacy {old}")]);
    assert_eq!(walk(straight, [error(200, -32603)])[1], "fail refused 200 Some(-32603)");
    let verdict = pipe().with_verdict(Revision::LATEST).without_discovery();
    assert_eq!(walk(verdict, []), [initialize()]);
}

#[test]
fn few_errors_raise_doubt() {
    let object = |code: i32| ErrorObject::new(ErrorCode(code), "no");
    let doubt = |revision, status: u16, code: Option<i32>| {
        is_era_in_doubt(revision, StatusCode::from_u16(status).unwrap(), code.map(object).as_ref())
    };
    let (new, old) = (Revision::LATEST, Revision::LATEST_LEGACY);
    for (status, code, modern, legacy) in [
        (400, Some(-32022), true, true),
        (400, Some(-32020), false, true),
        (400, Some(-32021), false, true),
        (400, Some(-32000), true, false),
        (400, Some(-32600), true, false),
        (400, None, true, false),
        (404, None, true, false),
        (405, None, true, false),
        (404, Some(-32601), false, false),
        (400, Some(-32602), false, false),
        (400, Some(-32700), false, false),
        (500, Some(-32603), false, false),
        (401, None, false, false),
        (403, Some(-32600), false, false),
        (413, None, false, false),
        (429, None, false, false),
        (500, None, false, false),
        (503, None, false, false),
    ] {
        assert_eq!(doubt(new, status, code), modern, "{status} {code:?} in the modern era");
        assert_eq!(doubt(old, status, code), legacy, "{status} {code:?} in the legacy era");
    }
}

#[test]
fn a_session_is_asked_for_in_the_revision_that_is_wanted() {
    let wanted = Revision::LEGACY[0];
    let new =
        |choice, pinned| Negotiation::new(TransportKind::Http, choice, pinned).with_session_revision(wanted);
    let mut found = new(TransportChoice::Auto, None);
    assert_eq!(found.first(), Step::Discover(Revision::LATEST));
    assert_eq!(found.handle_discover(Answered::Refused(StatusCode::NOT_FOUND)), Step::Initialize(wanted));
    let mut sse = new(TransportChoice::Sse, None);
    assert_eq!(sse.first(), Step::OpenSse);
    assert_eq!(sse.handle_endpoint(Ok(())), Step::Initialize(wanted));
    // What is pinned counts more.
    let pinned = Revision::LATEST_LEGACY;
    assert_eq!(new(TransportChoice::Auto, Some(pinned)).first(), Step::Initialize(pinned));
}
