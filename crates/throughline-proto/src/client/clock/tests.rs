use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{CallClock, Overdue, Patience};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn patience(timeout: u64, reset_on_progress: bool, max_total: u64) -> Patience {
    Patience { timeout: s(timeout), reset_on_progress, max_total: s(max_total) }
}

#[test]
fn progress_begins_the_timeout_anew_but_not_the_total() {
    let start = Instant::now();
    let mut clock = CallClock::new(start, patience(60, true, 100));
    clock.handle_progress(start + s(50));
    assert_eq!(clock.overdue(start + s(99)), None);
    assert_eq!(clock.deadline(), Some(start + s(100)));
    assert_eq!(clock.overdue(start + s(100)), Some(Overdue::InAll));
}

#[test]
fn progress_may_not_count() {
    let start = Instant::now();
    let mut clock = CallClock::new(start, patience(60, false, 100));
    clock.handle_progress(start + s(50));
    assert_eq!(clock.deadline(), Some(start + s(60)));
    assert_eq!(clock.overdue(start + s(60)), Some(Overdue::Silent));
}

#[test]
fn progress_while_it_stands_still_counts() {
    let start = Instant::now();
    let mut clock = CallClock::new(start, patience(60, true, 3_600));
    clock.hold(start + s(50));
    clock.handle_progress(start + s(55));
    clock.release(start + s(80));
    assert_eq!(clock.deadline(), Some(start + s(140)));
}

#[test]
fn two_questions_hold_it_until_both_are_answered() {
    let start = Instant::now();
    let mut clock = CallClock::new(start, patience(60, true, 3_600));
    clock.hold(start + s(10));
    clock.hold(start + s(20));
    clock.release(start + s(30));
    assert_eq!((clock.deadline(), clock.overdue(start + s(9_999))), (None, None));
    clock.release(start + s(40));
    assert_eq!(clock.deadline(), Some(start + s(90)));
    clock.release(start + s(70));
    assert_eq!(clock.deadline(), Some(start + s(90)), "it was not held");
}

#[test]
fn times_that_do_not_exist_are_far_away() {
    let start = Instant::now();
    let clock = CallClock::new(
        start,
        Patience { timeout: Duration::MAX, reset_on_progress: true, max_total: Duration::MAX },
    );
    assert!(clock.deadline() > Some(start + s(365 * 24 * 3_600)));
    assert_eq!(clock.overdue(start + s(365 * 24 * 3_600)), None);
}

#[derive(Clone, Copy, Debug)]
enum Happens {
    Progress,
    Hold,
    Release,
}

/// What the clock should say, second by second.
#[derive(Default)]
struct Model {
    running: u64,
    since_progress: u64,
    held: u32,
}

proptest! {
    #[test]
    fn it_counts_the_seconds_in_which_it_runs(
        timeout in 1_u64..40, most in 1_u64..80, reset: bool,
        story in proptest::collection::vec(
            (0_u64..20, prop_oneof![Just(Happens::Progress), Just(Happens::Hold), Just(Happens::Release)]), 0..30),
    ) {
        let start = Instant::now();
        let (mut now, mut model) = (start, Model::default());
        let mut clock = CallClock::new(start, patience(timeout, reset, most));
        for (wait, happens) in story {
            for _ in 0..wait {
                now += s(1);
                if model.held == 0 {
                    model.running += 1;
                    model.since_progress += 1;
                }
            }
            match happens {
                Happens::Progress => {
                    clock.handle_progress(now);
                    if reset {
                        model.since_progress = 0;
                    }
                }
                Happens::Hold => {
                    clock.hold(now);
                    model.held += 1;
                }
                Happens::Release => {
                    clock.release(now);
                    model.held = model.held.saturating_sub(1);
                }
            }
            let expected = if model.held > 0 {
                None
            } else if model.running >= most {
                Some(Overdue::InAll)
            } else if model.since_progress >= timeout {
                Some(Overdue::Silent)
            } else {
                None
            };
            prop_assert_eq!(clock.overdue(now), expected);
            // The deadline is the first moment at which it is overdue.
            match clock.deadline() {
                None => prop_assert!(model.held > 0),
                Some(at) => {
                    prop_assert!(clock.overdue(at).is_some());
                    prop_assert_eq!(at > now, expected.is_none());
                    if at > now {
                        prop_assert!(clock.overdue(at - Duration::from_nanos(1)).is_none());
                    }
                }
            }
        }
    }
}
