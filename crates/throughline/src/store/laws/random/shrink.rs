//! A short sequence that still shows what a long one has shown.

use std::time::Duration;

use crate::store::{EventStore, Limits};

use super::play::{Failure, Play};

/// Takes out operations and makes them simpler as long as the same law is broken.
pub(super) async fn shortest<S: EventStore>(
    play: Play,
    failure: Failure,
    make: &impl AsyncFn(Limits) -> S,
    reopen: &impl AsyncFn(S) -> S,
) -> (Play, Failure) {
    let mut best = (play, failure);
    // What comes after the operation that failed was never played.
    best.0.ops.truncate(best.1.trail.len());
    let mut tries = MOST_TRIES;
    loop {
        let mut changed = false;
        let mut size = best.0.ops.len().div_ceil(2);
        while size > 0 {
            let mut from = 0;
            while from < best.0.ops.len() {
                let mut fewer = best.0.clone();
                fewer.ops.drain(from..(from + size).min(best.0.ops.len()));
                match attempt(fewer, &best, &mut tries, make, reopen).await {
                    Some(better) => (best, changed) = (better, true),
                    None => from += size,
                }
            }
            size /= 2;
        }
        for budgets in best.0.budgets.simpler() {
            let simpler = Play { budgets, ..best.0.clone() };
            if let Some(better) = attempt(simpler, &best, &mut tries, make, reopen).await {
                (best, changed) = (better, true);
            }
        }
        let mut index = 0;
        while index < best.0.ops.len() {
            let mut candidates = best.0.ops[index].simpler().into_iter();
            while let Some(op) = candidates.next() {
                let mut simpler = best.0.clone();
                simpler.ops[index] = op;
                if let Some(better) = attempt(simpler, &best, &mut tries, make, reopen).await {
                    (best, changed) = (better, true);
                    if index >= best.0.ops.len() {
                        break;
                    }
                    candidates = best.0.ops[index].simpler().into_iter();
                }
            }
            index += 1;
        }
        if !changed || tries == 0 {
            return best;
        }
    }
}

async fn attempt<S: EventStore>(
    mut play: Play,
    best: &(Play, Failure),
    tries: &mut usize,
    make: &impl AsyncFn(Limits) -> S,
    reopen: &impl AsyncFn(S) -> S,
) -> Option<(Play, Failure)> {
    *tries = tries.checked_sub(1)?;
    let failure = play.run(make, reopen, SHORT_PATIENCE).await.err()?;
    if failure.complaint.law != best.1.complaint.law {
        return None;
    }
    play.ops.truncate(failure.trail.len());
    Some((play, failure))
}

/// Far more than most sequences need; a store on a disk is through in seconds.
const MOST_TRIES: usize = 400;

/// It only decides how short the sequence gets: that the store is broken is known by then.
const SHORT_PATIENCE: Duration = Duration::from_millis(200);
