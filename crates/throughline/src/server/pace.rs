//! How fast one principal may ask: some requests at once, and a steady number a second.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use throughline_proto::http::{Refusal, RefusalKind};

use crate::runtime;

/// So many requests a second, and so many at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Rate {
    pub(crate) per_second: NonZeroU32,
    pub(crate) burst: NonZeroU32,
}

impl Rate {
    /// `None`, no limit, with zero a second. At least one comes at once, or none ever would.
    pub(crate) fn new(per_second: u32, burst: u32) -> Option<Self> {
        let per_second = NonZeroU32::new(per_second)?;
        Some(Self { per_second, burst: NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN) })
    }
}

/// What was asked so far, as far as it still counts.
pub(crate) struct Pace {
    limiter: RateLimiter<NotKeyed, InMemoryState, SinceStart, NoOpMiddleware<Nanos>>,
    rate: Rate,
    start: Instant,
    /// When it was asked last, in nanoseconds since the start.
    last: AtomicU64,
}

/// The runtime's clock, from when the pace began, so that a paused clock works in tests.
#[derive(Clone)]
struct SinceStart(Instant);

impl Clock for SinceStart {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        runtime::now().saturating_duration_since(self.0).into()
    }
}

impl Pace {
    pub(crate) fn new(rate: Rate) -> Self {
        let quota = Quota::per_second(rate.per_second).allow_burst(rate.burst);
        let start = runtime::now();
        Self {
            limiter: RateLimiter::direct_with_clock(quota, SinceStart(start)),
            rate,
            start,
            last: AtomicU64::new(0),
        }
    }

    /// So many more requests come.
    ///
    /// # Errors
    ///
    /// They come too fast: when they may. Nothing is counted then.
    pub(crate) fn ask(&self, now: Instant, requests: usize) -> Result<(), Refusal> {
        let passed = now.saturating_duration_since(self.start);
        self.last.store(u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        let Some(requests) = u32::try_from(requests).ok().and_then(NonZeroU32::new) else { return Ok(()) };
        match self.limiter.check_n(requests) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(not_until)) => Err(too_fast(not_until.wait_time_from(passed.into()))),
            // More in one batch than may ever come at once.
            Err(_) => Err(too_fast(self.rest())),
        }
    }

    /// Whether nothing that was asked counts any more.
    pub(crate) fn is_rested(&self, now: Instant) -> bool {
        let last = self.start + Duration::from_nanos(self.last.load(Ordering::Relaxed));
        now.saturating_duration_since(last) >= self.rest()
    }

    /// How long it takes until the whole burst is there again.
    fn rest(&self) -> Duration {
        Duration::from_secs_f64(f64::from(self.rate.burst.get()) / f64::from(self.rate.per_second.get()))
    }
}

/// The header has whole seconds: rounded up, so that who waits is not sent away again.
#[cold]
fn too_fast(wait: Duration) -> Refusal {
    let wait = Duration::from_secs(wait.as_millis().div_ceil(1000).try_into().unwrap_or(1))
        .max(Duration::from_secs(1));
    Refusal::new(RefusalKind::TooManyRequests).with_retry_after(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(per_second: u32, burst: u32) -> Rate {
        Rate::new(per_second, burst).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_then_a_steady_pace() {
        let pace = Pace::new(rate(10, 5));
        let ask = |requests| pace.ask(runtime::now(), requests);
        for _ in 0..5 {
            ask(1).unwrap();
        }
        let refusal = ask(1).unwrap_err();
        assert_eq!((refusal.status().as_u16(), refusal.retry_after()), (429, Some(Duration::from_secs(1))));
        tokio::time::advance(Duration::from_millis(100)).await;
        ask(1).unwrap();
        ask(1).unwrap_err();
        tokio::time::advance(Duration::from_millis(500)).await;
        ask(5).unwrap();
        ask(1).unwrap_err();
        assert!(!pace.is_rested(runtime::now()));
        tokio::time::advance(Duration::from_millis(500)).await;
        assert!(pace.is_rested(runtime::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_too_fast_is_told_how_long_to_wait() {
        let pace = Pace::new(rate(1, 10));
        let ask = |requests| pace.ask(runtime::now(), requests);
        ask(10).unwrap();
        assert_eq!(ask(4).unwrap_err().retry_after(), Some(Duration::from_secs(4)));
        assert_eq!(ask(11).unwrap_err().retry_after(), Some(Duration::from_secs(10)), "never all at once");
        tokio::time::advance(Duration::from_secs(4)).await;
        ask(4).unwrap();
    }
}
