//! Sessions without a record that were there when the store was opened.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use throughline::store::SessionId;

/// Nobody gets these sessions from `load`, so nobody will forget them, unless whoever writes them knows them otherwise.
#[derive(Debug)]
pub(crate) struct Orphans {
    sessions: HashSet<SessionId>,
    since: Instant,
}

impl Orphans {
    pub(crate) fn new(sessions: HashSet<SessionId>, since: Instant) -> Self {
        Self { sessions, since }
    }

    /// Somebody wrote to a session.
    pub(super) fn adopt(&mut self, session: &SessionId) {
        // Most of the time there are none.
        if !self.sessions.is_empty() {
            self.sessions.remove(session);
        }
    }

    /// Takes out some of those to whom nobody wrote for so long.
    pub(super) fn take_expired(&mut self, now: Instant) -> Vec<SessionId> {
        if self.sessions.is_empty() || now.saturating_duration_since(self.since) < PATIENCE {
            return Vec::new();
        }
        let expired: Vec<_> = self.sessions.iter().take(AT_ONCE).cloned().collect();
        for session in &expired {
            self.sessions.remove(session);
        }
        expired
    }

    /// Puts one back that could not be forgotten.
    pub(super) fn put_back(&mut self, session: SessionId) {
        self.sessions.insert(session);
    }
}

/// A writer that knows them otherwise may be slow to come back; a day is longer than any client waits.
const PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);

/// How many are forgotten with one sweep: each may hold some MiB in the file.
const AT_ONCE: usize = 64;
