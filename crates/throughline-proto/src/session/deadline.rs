//! How long an outgoing request may take.

use std::time::{Duration, Instant};

/// How long a request may take: a timeout that progress can renew, and a total that nothing renews.
///
/// The specification asks senders for both: progress *may* reset the clock, and a maximum *should* be enforced
/// regardless of progress
/// ([lifecycle, timeouts](https://modelcontextprotocol.io/specification/2025-11-25/basic/lifecycle#timeouts)).
///
/// ```
/// use std::time::Duration;
/// use throughline_proto::session::Patience;
///
/// let patience = Patience::new(Duration::from_secs(60)).max_total(Duration::from_secs(600));
/// assert!(patience.reset_on_progress);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Patience {
    /// The longest wait for an answer, or between two progress notifications.
    pub timeout: Duration,
    /// Whether progress about the request starts `timeout` anew. Default: true.
    pub reset_on_progress: bool,
    /// The longest wait in total, whatever the progress. Default: one hour.
    pub max_total: Duration,
}

impl Patience {
    /// A timeout that progress renews, up to one hour in total.
    pub const fn new(timeout: Duration) -> Self {
        Self { timeout, reset_on_progress: true, max_total: MAX_TOTAL }
    }

    /// Whether progress starts the timeout anew.
    #[must_use]
    pub const fn reset_on_progress(mut self, yes: bool) -> Self {
        self.reset_on_progress = yes;
        self
    }

    /// The longest wait in total.
    #[must_use]
    pub const fn max_total(mut self, total: Duration) -> Self {
        self.max_total = total;
        self
    }
}

/// A running [`Patience`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    patience: Patience,
    at: Instant,
    total_at: Instant,
}

impl Deadline {
    pub(crate) fn start(now: Instant, patience: Patience) -> Self {
        let total_at = later(now, patience.max_total);
        Self { patience, at: later(now, patience.timeout).min(total_at), total_at }
    }

    /// Progress was heard of.
    pub(crate) fn handle_progress(&mut self, now: Instant) {
        if self.patience.reset_on_progress {
            self.at = later(now, self.patience.timeout).min(self.total_at);
        }
    }

    pub(crate) fn at(&self) -> Instant {
        self.at
    }

    pub(crate) fn is_over(&self, now: Instant) -> bool {
        now >= self.at
    }
}

/// `now + wait`, or some thirty years from now where the clock cannot hold the sum.
fn later(now: Instant, wait: Duration) -> Instant {
    now.checked_add(wait).unwrap_or_else(|| now + Duration::from_secs(30 * 365 * 24 * 3600))
}

/// One hour: longer than any person leaves a form open, short enough that a leaked request ends on its own (design §7).
const MAX_TOTAL: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn progress_renews_the_timeout_but_never_the_total() {
        let start = Instant::now();
        let mut deadline = Deadline::start(start, Patience::new(10 * SECOND).max_total(25 * SECOND));
        assert_eq!(deadline.at(), start + 10 * SECOND);
        deadline.handle_progress(start + 9 * SECOND);
        assert_eq!(deadline.at(), start + 19 * SECOND);
        deadline.handle_progress(start + 18 * SECOND);
        assert_eq!(deadline.at(), start + 25 * SECOND, "the total caps the renewed timeout");
        assert!(!deadline.is_over(start + 24 * SECOND));
        assert!(deadline.is_over(start + 25 * SECOND));
    }

    #[test]
    fn the_total_holds_without_progress() {
        let start = Instant::now();
        let deadline = Deadline::start(start, Patience::new(10 * SECOND).max_total(3 * SECOND));
        assert_eq!(deadline.at(), start + 3 * SECOND);
    }

    #[test]
    fn progress_is_ignored_when_told_so() {
        let start = Instant::now();
        let mut deadline = Deadline::start(start, Patience::new(10 * SECOND).reset_on_progress(false));
        deadline.handle_progress(start + 9 * SECOND);
        assert_eq!(deadline.at(), start + 10 * SECOND);
    }

    #[test]
    fn an_endless_patience_does_not_overflow_the_clock() {
        let start = Instant::now();
        let deadline = Deadline::start(start, Patience::new(Duration::MAX).max_total(Duration::MAX));
        assert!(!deadline.is_over(start + 1_000_000 * SECOND));
    }
}
