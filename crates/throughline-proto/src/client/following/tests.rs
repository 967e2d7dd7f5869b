use std::time::{Duration, Instant};

use ::http::StatusCode;
use proptest::prelude::*;
use serde_json::json;

use super::{Ending, Following, LONGEST_CURSOR, LONGEST_WAIT, Next, RetryPolicy, Stop, StreamKind};
use crate::jsonrpc::{ErrorCode, ErrorObject, Raw};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn call() -> Following {
    Following::after(StreamKind::Call, RetryPolicy::CALL, "1")
}

fn standalone() -> Following {
    Following::new(StreamKind::Standalone, RetryPolicy::STANDALONE)
}

fn refused(status: u16) -> Ending<'static> {
    Ending::Refused { status: StatusCode::from_u16(status).unwrap(), error: None, retry_after: None }
}

fn gone(oldest: &str, lost: u64) -> ErrorObject {
    let mut error = ErrorObject::new(ErrorCode::INVALID_REQUEST, "gone");
    error.data = Some(Raw::new(&json!({ "oldest": oldest, "lost": lost })).unwrap());
    error
}

fn bad_request(error: &ErrorObject) -> Ending<'_> {
    Ending::Refused { status: StatusCode::BAD_REQUEST, error: Some(error), retry_after: None }
}

/// How long it waits before it opens the stream again.
fn wait(next: &Next, now: Instant) -> Duration {
    match next {
        Next::Reopen { at, .. } | Next::Reinitialize { at } => *at - now,
        other => panic!("it does not go on: {other:?}"),
    }
}

#[test]
fn without_a_cursor_a_call_is_over_and_the_standalone_stream_is_not() {
    let now = Instant::now();
    let mut call = Following::new(StreamKind::Call, RetryPolicy::CALL);
    assert_eq!(call.handle_end(now, Ending::Closed, 0), Next::Stop(Stop::NoCursor));
    assert_eq!(call.handle_end(now, refused(503), 0), Next::Stop(Stop::NoCursor));
    assert_eq!(wait(&standalone().handle_end(now, Ending::Lost, 0), now), ms(1_000));
    // An empty id takes the last one back.
    call.handle_event(Some("7"), None, true);
    call.handle_event(Some(""), None, true);
    assert_eq!(call.cursor(), None);
    assert_eq!(call.handle_end(now, Ending::Lost, 0), Next::Stop(Stop::NoCursor));
}

#[test]
fn an_id_that_no_header_carries_is_no_cursor() {
    let mut call = call();
    call.handle_event(Some(&"9".repeat(LONGEST_CURSOR)), None, true);
    assert_eq!(call.cursor().map(str::len), Some(LONGEST_CURSOR));
    call.handle_event(Some(&"9".repeat(LONGEST_CURSOR + 1)), None, true);
    assert_eq!(call.cursor(), None);
    assert_eq!(call.handle_end(Instant::now(), Ending::Lost, 0), Next::Stop(Stop::NoCursor));
}

#[test]
fn five_connections_without_a_message_are_enough_for_a_call() {
    let now = Instant::now();
    let mut call = call();
    let waits: Vec<_> = (0..5).map(|_| wait(&call.handle_end(now, Ending::Lost, 0), now)).collect();
    assert_eq!(waits, [ms(1_000), ms(1_500), ms(2_250), ms(3_375), Duration::from_micros(5_062_500)]);
    assert_eq!(call.handle_end(now, Ending::Lost, 0), Next::Stop(Stop::GivenUp));
    // An event without a message is no progress, one with a message is.
    call.handle_event(Some("2"), None, false);
    assert_eq!(call.handle_end(now, Ending::Lost, 0), Next::Stop(Stop::GivenUp));
    call.handle_event(Some("3"), None, true);
    assert_eq!(wait(&call.handle_end(now, Ending::Lost, 0), now), ms(1_000));
}

#[test]
fn the_standalone_stream_never_gives_up_and_waits_thirty_seconds_at_most() {
    let now = Instant::now();
    let mut stream = standalone();
    for _ in 0..1_000 {
        let next = stream.handle_end(now, Ending::Lost, u32::MAX);
        assert!(wait(&next, now) <= ms(30_000), "{next:?}");
    }
    assert_eq!(wait(&stream.handle_end(now, Ending::Lost, 0), now), ms(30_000));
    // A connection that stood for a while was a good one, however quiet.
    stream.handle_open(now);
    let later = now + ms(29_999);
    assert_eq!(wait(&stream.handle_end(later, Ending::Closed, 0), later), ms(30_000));
    stream.handle_open(now);
    let later = now + ms(30_000);
    assert_eq!(wait(&stream.handle_end(later, Ending::Closed, 0), later), ms(1_000));
}

#[test]
fn the_server_says_when() {
    let now = Instant::now();
    let mut call = call();
    call.handle_event(None, Some(ms(400)), false);
    assert_eq!(wait(&call.handle_end(now, Ending::Closed, 0), now), ms(400));
    assert_eq!(wait(&call.handle_end(now, Ending::Closed, 0), now), ms(1_500), "it is away for longer");
    call.handle_event(None, Some(ms(60_000)), true);
    assert_eq!(wait(&call.handle_end(now, Ending::Closed, 0), now), ms(60_000));
    assert_eq!(wait(&call.handle_end(now, Ending::Closed, u32::MAX), now), ms(66_000));
    let busy = Ending::Refused {
        status: StatusCode::SERVICE_UNAVAILABLE,
        error: None,
        retry_after: Some(ms(90_000)),
    };
    assert_eq!(wait(&call.handle_end(now, busy, 0), now), ms(90_000));
    let never = Ending::Refused {
        status: StatusCode::SERVICE_UNAVAILABLE,
        error: None,
        retry_after: Some(Duration::MAX),
    };
    assert_eq!(wait(&call.handle_end(now, never, 0), now), LONGEST_WAIT);
}

#[test]
fn what_is_left_is_taken_and_the_loss_told() {
    let now = Instant::now();
    for mut stream in [call(), standalone()] {
        stream.handle_event(Some("1"), None, true);
        let error = gone("5", 4);
        assert_eq!(stream.handle_end(now, bad_request(&error), 0), Next::Reopen { at: now, lost: 4 });
        assert_eq!(stream.cursor(), Some("5"));
        // Again without an event in between: no hurry.
        let error = gone("9", 3);
        let next = stream.handle_end(now, bad_request(&error), 0);
        assert_eq!(next, Next::Reopen { at: now + ms(1_000), lost: 3 });
        stream.handle_event(Some("10"), None, true);
        let error = gone("12", 1);
        assert_eq!(stream.handle_end(now, bad_request(&error), 0), Next::Reopen { at: now, lost: 1 });
    }
}

#[test]
fn a_server_that_says_gone_for_ever_is_given_up() {
    let now = Instant::now();
    let mut call = call();
    let ends = (2..100).map(|at| {
        let error = gone(&at.to_string(), 1);
        call.handle_end(now, bad_request(&error), 0)
    });
    let told: Vec<_> = ends.take_while(|next| !matches!(next, Next::Stop(_))).collect();
    assert_eq!(told.len(), 6, "at once, and five times later");
}

#[test]
fn a_cursor_that_is_refused_ends_a_call_and_is_dropped_by_the_standalone_stream() {
    let now = Instant::now();
    assert_eq!(call().handle_end(now, refused(400), 0), Next::Stop(Stop::Refused));
    // Nothing is left after the very cursor.
    let error = gone("1", 0);
    assert_eq!(call().handle_end(now, bad_request(&error), 0), Next::Stop(Stop::Refused));
    let mut stream = standalone();
    stream.handle_event(Some("1"), None, true);
    assert_eq!(wait(&stream.handle_end(now, refused(400), 0), now), ms(1_000));
    assert_eq!(stream.cursor(), None);
    assert_eq!(stream.handle_end(now, refused(400), 0), Next::Stop(Stop::Refused));
}

#[test]
fn each_status_has_its_meaning() {
    let now = Instant::now();
    for (status, of_call, of_standalone) in [
        (401, Some(Next::Authorize), Some(Next::Authorize)),
        (403, Some(Next::Authorize), Some(Next::Authorize)),
        (404, Some(Next::Reinitialize { at: now }), Some(Next::Reinitialize { at: now })),
        (405, Some(Next::Stop(Stop::Refused)), Some(Next::Stop(Stop::Refused))),
        (418, Some(Next::Stop(Stop::Refused)), Some(Next::Stop(Stop::Refused))),
        (501, Some(Next::Stop(Stop::Refused)), Some(Next::Stop(Stop::Refused))),
        (307, Some(Next::Stop(Stop::Refused)), Some(Next::Stop(Stop::Refused))),
        // These wait.
        (409, None, None),
        (429, None, None),
        (500, None, None),
        (502, None, None),
        (503, None, None),
        (504, None, None),
    ] {
        let waits = Next::Reopen { at: now + ms(1_000), lost: 0 };
        let next = call().handle_end(now, refused(status), 0);
        assert_eq!(next, of_call.unwrap_or(waits.clone()), "{status} for a call");
        let next = standalone().handle_end(now, refused(status), 0);
        assert_eq!(next, of_standalone.unwrap_or(waits), "{status} for the standalone stream");
    }
}

#[test]
fn sessions_that_are_unknown_at_once_are_not_opened_in_a_circle() {
    let now = Instant::now();
    let mut stream = standalone();
    assert_eq!(stream.handle_end(now, refused(404), 0), Next::Reinitialize { at: now });
    let mut waits = Vec::new();
    for _ in 0..12 {
        stream.restart();
        waits.push(wait(&stream.handle_end(now, refused(404), 0), now));
    }
    assert_eq!(waits[..2], [ms(1_000), ms(1_500)]);
    assert_eq!(waits[11], ms(30_000));
    stream.handle_event(None, None, true);
    assert_eq!(stream.handle_end(now, refused(404), 0), Next::Reinitialize { at: now }, "that one was good");
}

#[derive(Clone, Debug)]
enum Happens {
    Opened,
    Event { id: Option<String>, retry: Option<u64>, message: bool },
    Ended { status: Option<u16>, retry_after: Option<u64> },
    Gone { oldest: String, lost: u64 },
    Restarted,
    Passes(u64),
}

fn happens() -> impl Strategy<Value = Happens> {
    let id = proptest::option::of("[0-9]{0,2}");
    let retry = || proptest::option::of(prop_oneof![0_u64..100_000, Just(u64::MAX)]);
    let status = proptest::option::of(prop_oneof![
        Just(400_u16),
        Just(401),
        Just(404),
        Just(405),
        Just(409),
        Just(429),
        Just(500),
        Just(503)
    ]);
    prop_oneof![
        Just(Happens::Opened),
        (id, retry(), any::<bool>()).prop_map(|(id, retry, message)| Happens::Event { id, retry, message }),
        (status, retry()).prop_map(|(status, retry_after)| Happens::Ended { status, retry_after }),
        ("[0-9]{1,2}", any::<u64>()).prop_map(|(oldest, lost)| Happens::Gone { oldest, lost }),
        Just(Happens::Restarted),
        (0_u64..100_000).prop_map(Happens::Passes),
    ]
}

proptest! {
    /// Whatever happens: no time overflows, `retry` is never undercut and at most a tenth exceeded where it counts, a call
    /// without a cursor is over, and only a message lets it try more than five times.
    #[test]
    fn it_keeps_its_word(
        is_call: bool,
        dice: u32,
        story in proptest::collection::vec(happens(), 0..60),
    ) {
        let mut now = Instant::now();
        let mut stream = if is_call { call() } else { standalone() };
        let (mut cursor, mut retry) = (is_call.then(|| "1".to_owned()), None::<Duration>);
        let (mut reopened, mut opened, mut gone_again) = (0_u32, None::<Instant>, false);
        for happens in story {
            if matches!(happens, Happens::Ended { .. } | Happens::Gone { .. })
                && opened.take().is_some_and(|at| now - at >= ms(30_000))
            {
                (reopened, gone_again) = (0, false);
            }
            let (next, retry_after) = match happens {
                Happens::Opened => {
                    stream.handle_open(now);
                    opened = Some(now);
                    continue;
                }
                Happens::Event { id, retry: told, message } => {
                    stream.handle_event(id.as_deref(), told.map(ms), message);
                    cursor = match id {
                        Some(id) if id.is_empty() => None,
                        Some(id) => Some(id),
                        None => cursor,
                    };
                    prop_assert_eq!(stream.cursor(), cursor.as_deref());
                    retry = told.map(ms).or(retry);
                    if message {
                        (reopened, gone_again) = (0, false);
                    }
                    continue;
                }
                Happens::Restarted => {
                    stream.restart();
                    (cursor, retry, opened) = (None, None, None);
                    continue;
                }
                Happens::Passes(millis) => {
                    now += ms(millis);
                    continue;
                }
                Happens::Ended { status: None, .. } => (stream.handle_end(now, Ending::Lost, dice), None),
                Happens::Ended { status: Some(status), retry_after } => {
                    let retry_after = retry_after.map(ms);
                    let status = StatusCode::from_u16(status).unwrap();
                    let ending = Ending::Refused { status, error: None, retry_after };
                    (stream.handle_end(now, ending, dice), retry_after)
                }
                Happens::Gone { oldest, lost } => {
                    let error = gone(&oldest, lost);
                    let next = stream.handle_end(now, bad_request(&error), dice);
                    if cursor.as_ref() != Some(&oldest) {
                        if let Next::Reopen { lost: told, .. } = &next {
                            prop_assert_eq!(*told, lost);
                        }
                        cursor = Some(oldest);
                        if !std::mem::replace(&mut gone_again, true) {
                            // At once, and no try.
                            prop_assert_eq!(next, Next::Reopen { at: now, lost });
                            continue;
                        }
                    }
                    (next, None)
                }
            };
            match next {
                Next::Reopen { at, .. } => {
                    prop_assert!(!is_call || cursor.is_some());
                    reopened += 1;
                    prop_assert!(!is_call || reopened <= 5);
                    let asked = retry.max(retry_after).map(|asked| asked.min(LONGEST_WAIT));
                    let waited = at - now;
                    prop_assert!(waited >= asked.unwrap_or_default());
                    let most = asked.map_or(ms(30_000), |asked| asked.mul_f64(1.1).max(ms(30_000)) + ms(1));
                    prop_assert!(waited <= most, "{:?} > {:?}", waited, most);
                    if let (Some(asked), 1) = (asked, reopened) {
                        prop_assert!(waited <= asked.mul_f64(1.1) + ms(1));
                    }
                }
                Next::Stop(Stop::NoCursor) => prop_assert!(is_call && cursor.is_none()),
                Next::Stop(Stop::GivenUp) => prop_assert!(is_call && reopened >= 5),
                Next::Reinitialize { at } => {
                    prop_assert!(at >= now);
                    if at > now {
                        reopened += 1;
                    }
                }
                Next::Authorize | Next::Stop(Stop::Refused) => {}
            }
            cursor = stream.cursor().map(str::to_owned);
        }
    }
}
