//! What was done, and what became of it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

use crate::Result;

/// Counts, by kind of work.
#[derive(Default)]
pub(super) struct Tally(Mutex<State>);

#[derive(Default)]
struct State {
    kinds: BTreeMap<&'static str, Kind>,
    /// The first of what went wrong, in words.
    wrong: Vec<String>,
}

/// One kind of work.
#[derive(Clone, Copy, Default, Serialize)]
pub(super) struct Kind {
    pub(super) done: u64,
    pub(super) wrong: u64,
    pub(super) hung: u64,
    pub(super) longest_ms: u64,
}

impl Tally {
    /// What became of a piece of work; `None`: nothing, within the time it has.
    pub(super) fn count(&self, name: &'static str, took: Duration, outcome: Option<Result<()>>) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = state.kinds.entry(name).or_default();
        kind.longest_ms = kind.longest_ms.max(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        let wrong = match outcome {
            Some(Ok(())) => {
                kind.done += 1;
                return true;
            }
            Some(Err(error)) => {
                kind.wrong += 1;
                format!("{name}: {error}")
            }
            None => {
                kind.hung += 1;
                format!("{name}: nothing came within {took:?}")
            }
        };
        if state.wrong.len() < MOST_WORDS {
            state.wrong.push(wrong);
        }
        false
    }

    pub(super) fn kinds(&self) -> BTreeMap<&'static str, Kind> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).kinds.clone()
    }

    /// Everything that was done, that was wrong and that hung.
    pub(super) fn sums(&self) -> [u64; 3] {
        let kinds = self.kinds();
        [|kind: &Kind| kind.done, |kind: &Kind| kind.wrong, |kind: &Kind| kind.hung]
            .map(|part| kinds.values().map(part).sum())
    }

    pub(super) fn wrong(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).wrong.clone()
    }

    pub(super) fn print(&self) {
        let mut out = std::io::stdout().lock();
        // Nothing is left to do when the output is closed.
        let _ =
            writeln!(out, "\n{:<24}{:>10}{:>8}{:>8}{:>12}", "work", "done", "wrong", "hung", "longest ms");
        for (name, kind) in self.kinds() {
            let Kind { done, wrong, hung, longest_ms } = kind;
            let _ = writeln!(out, "{name:<24}{done:>10}{wrong:>8}{hung:>8}{longest_ms:>12}");
        }
        for words in self.wrong() {
            let _ = writeln!(out, "wrong: {words}");
        }
    }
}

/// What else is wrong is likely to be the same.
const MOST_WORDS: usize = 20;
