//! What was said so far.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::lock::Lock;
use crate::runtime;

/// Every message between a kit and its server, in the order in which it was sent or came.
#[derive(Clone, Debug)]
pub(super) struct Transcript(Arc<Mutex<Lines>>);

#[derive(Debug)]
struct Lines {
    started: Instant,
    dropped: usize,
    kept: VecDeque<String>,
}

impl Transcript {
    pub(super) fn new() -> Self {
        let lines = Lines { started: runtime::now(), dropped: 0, kept: VecDeque::new() };
        Self(Arc::new(Mutex::new(lines)))
    }

    /// Something was sent to the server.
    pub(super) fn sent(&self, who: &str, what: &dyn fmt::Display) {
        self.line(who, '>', what);
    }

    /// Something came from it.
    pub(super) fn came(&self, who: &str, what: &dyn fmt::Display) {
        self.line(who, '<', what);
    }

    fn line(&self, who: &str, direction: char, what: &dyn fmt::Display) {
        let mut lines = self.0.locked();
        if lines.kept.len() == MOST_LINES {
            lines.kept.pop_front();
            lines.dropped += 1;
        }
        let seconds = runtime::now().saturating_duration_since(lines.started).as_secs_f64();
        lines.kept.push_back(format!("{seconds:>9.3}  {who} {direction} {what}"));
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.0.locked();
        if lines.dropped > 0 {
            writeln!(f, "({} earlier lines are left out)", lines.dropped)?;
        }
        lines.kept.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// More than anyone reads; a test that counts to a million still fits into memory.
const MOST_LINES: usize = 1_000;
