//! The one place that knows the runtime: the clock, tasks and random bytes.

use std::future::Future;
use std::time::Instant;

/// The time by the runtime's clock, so that a paused clock works in tests.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Runs a future as a task of its own.
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> tokio::task::AbortHandle {
    tokio::spawn(future).abort_handle()
}

/// Waits until `at`.
pub(crate) fn sleep_until(at: Instant) -> tokio::time::Sleep {
    tokio::time::sleep_until(at.into())
}

/// Random bytes from the operating system.
///
/// # Panics
///
/// When the operating system has none to give: then no session id would be safe, and serving on is worse than stopping.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}
