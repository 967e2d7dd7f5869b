//! The session machine on a [`Pair`]: each test reads like a script of the wire.

mod asks;
mod calls;
mod cursors;
mod lifecycle;
mod model;
mod routes;
mod settings;
mod transcripts;

use std::time::Duration;

use super::*;
use crate::testing::{Outcome, Pair};

const SECOND: Duration = Duration::from_secs(1);

/// Long enough that no test meets it unless it turns the clock on purpose.
const MINUTE: Duration = Duration::from_secs(60);

/// A call that runs.
fn started(pair: &mut Pair) -> (RequestId, CallNo) {
    let id = pair.call_tool();
    pair.settle();
    let call = pair.running(&id);
    (id, call)
}

/// The client read no event twice, missed none, and understood all.
#[track_caller]
fn assert_sound(pair: &Pair) {
    assert_eq!(pair.client.violations, [""; 0]);
}

fn error_of(outcome: Option<&Outcome>) -> &ErrorObject {
    match outcome {
        Some(Outcome::Error(error)) => error,
        other => panic!("an error was expected: {other:?}"),
    }
}
