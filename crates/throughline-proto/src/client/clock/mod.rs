//! How long a call may take.

use std::time::{Duration, Instant};

/// How long the caller of a request is willing to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// The longest time without an answer, or since the last progress where that counts.
    pub timeout: Duration,
    /// Whether progress begins the timeout anew; see
    /// [timeouts](https://modelcontextprotocol.io/specification/2025-11-25/basic/lifecycle#timeouts).
    pub reset_on_progress: bool,
    /// The longest time in all, whatever progress there is.
    pub max_total: Duration,
}

impl Default for Patience {
    /// 60 s as the other SDKs wait, begun anew by progress, and an hour in all.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(60),
            reset_on_progress: true,
            max_total: Duration::from_secs(3_600),
        }
    }
}

/// Which bound was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overdue {
    /// [`Patience::timeout`]
    Silent,
    /// [`Patience::max_total`]
    InAll,
}

/// The clock of one call. It stands still while a question of the server's is being answered on this side, since that is no
/// fault of the server.
///
/// ```
/// use std::time::{Duration, Instant};
/// use throughline_proto::client::{CallClock, Overdue, Patience};
///
/// let start = Instant::now();
/// let mut clock = CallClock::new(start, Patience::default());
/// clock.hold(start + Duration::from_secs(10));
/// assert_eq!(clock.deadline(), None, "the user is being asked");
/// clock.release(start + Duration::from_secs(310));
/// assert_eq!(clock.deadline(), Some(start + Duration::from_secs(360)));
/// assert_eq!(clock.overdue(start + Duration::from_secs(360)), Some(Overdue::Silent));
/// ```
#[derive(Clone, Debug)]
pub struct CallClock {
    patience: Patience,
    /// When it began, moved on by the time that it stood still.
    begun: Instant,
    /// When the timeout began, moved on likewise.
    since: Instant,
    held: u32,
    held_since: Instant,
}

impl CallClock {
    /// A clock that begins now.
    #[must_use]
    pub fn new(now: Instant, patience: Patience) -> Self {
        Self { patience, begun: now, since: now, held: 0, held_since: now }
    }

    /// The server told of progress.
    pub fn handle_progress(&mut self, now: Instant) {
        if self.patience.reset_on_progress {
            // While it stands still, that is still the moment at which it stopped.
            self.since = if self.held == 0 { now } else { self.held_since };
        }
    }

    /// Stands still until it was [released](Self::release) as often.
    pub fn hold(&mut self, now: Instant) {
        if self.held == 0 {
            self.held_since = now;
        }
        self.held += 1;
    }

    /// Goes on, if it was released as often as it was held.
    pub fn release(&mut self, now: Instant) {
        if self.held == 0 {
            return;
        }
        self.held -= 1;
        if self.held == 0 {
            let stood = now.saturating_duration_since(self.held_since);
            self.begun += stood;
            self.since += stood;
        }
    }

    /// When the call is overdue if nothing happens; `None` while the clock stands still.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        (self.held == 0).then(|| {
            let silent = self.since.checked_add(self.patience.timeout);
            let in_all = self.begun.checked_add(self.patience.max_total);
            match (silent, in_all) {
                (Some(silent), Some(in_all)) => silent.min(in_all),
                (silent, in_all) => silent.or(in_all).unwrap_or(self.begun + NEVER),
            }
        })
    }

    /// Whether the call is overdue, and by which bound.
    #[must_use]
    pub fn overdue(&self, now: Instant) -> Option<Overdue> {
        if self.held > 0 {
            None
        } else if now.saturating_duration_since(self.begun) >= self.patience.max_total {
            Some(Overdue::InAll)
        } else if now.saturating_duration_since(self.since) >= self.patience.timeout {
            Some(Overdue::Silent)
        } else {
            None
        }
    }

    /// What the caller is willing to wait.
    #[must_use]
    pub fn patience(&self) -> Patience {
        self.patience
    }
}

/// Both bounds are further away than an [`Instant`] can be: ten years are as good.
const NEVER: Duration = Duration::from_secs(10 * 365 * 24 * 3_600);

#[cfg(test)]
mod tests;
