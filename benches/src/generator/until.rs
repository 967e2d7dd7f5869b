//! How long a load goes on.

use std::time::{Duration, Instant};

use crate::scenario::MAX_REQUESTS;

/// When a load is over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Until {
    /// After so many answers.
    Answers(usize),
    /// After so many seconds.
    Seconds(f64),
}

/// A load that goes on.
pub(super) struct Going {
    left: usize,
    deadline: Option<Instant>,
}

impl Until {
    /// The share of each of `callers`: their part of the answers, at least one of a number that is not zero, or all of the time.
    pub(super) fn per(self, callers: usize) -> Self {
        match self {
            Self::Answers(0) | Self::Seconds(_) => self,
            Self::Answers(answers) => Self::Answers((answers / callers).max(1)),
        }
    }

    pub(super) fn begin(self) -> Going {
        match self {
            Self::Answers(answers) => Going { left: answers, deadline: None },
            Self::Seconds(seconds) => Going {
                left: MAX_REQUESTS,
                deadline: Some(Instant::now() + Duration::from_secs_f64(seconds)),
            },
        }
    }
}

impl Going {
    /// Whether there is one more to send at this moment; it then counts as sent.
    pub(super) fn is_on(&mut self, now: Instant) -> bool {
        let is_on = self.left > 0 && self.deadline.is_none_or(|deadline| now < deadline);
        self.left -= usize::from(is_on);
        is_on
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_shared_and_time_is_not() {
        assert_eq!(Until::Answers(10).per(3), Until::Answers(3));
        assert_eq!(Until::Answers(10).per(100), Until::Answers(1));
        assert_eq!(Until::Answers(0).per(3), Until::Answers(0));
        assert_eq!(Until::Seconds(1.5).per(3), Until::Seconds(1.5));
    }

    #[test]
    fn it_ends_after_so_many_or_so_long() {
        let now = Instant::now();
        let mut twice = Until::Answers(2).begin();
        assert_eq!([0; 3].map(|_| twice.is_on(now)), [true, true, false]);
        let mut an_hour = Until::Seconds(3_600.0).begin();
        assert!(an_hour.is_on(now));
        assert!(!an_hour.is_on(now + Duration::from_secs(3_700)));
    }
}
