//! The one place that knows the runtime: the clock, tasks and random bytes.

use std::any::Any;
use std::future::Future;
use std::time::{Instant, SystemTime};

/// The time by the runtime's clock, so that a paused clock works in tests.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Seconds since 1970 by the system's clock: what every process agrees on.
pub(crate) fn unix_time() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Runs a future as a task of its own.
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> tokio::task::AbortHandle {
    tokio::spawn(future).abort_handle()
}

/// Runs a function on the pool of threads that may block, and gives its panic back. Dropping the future takes a function
/// back that has not begun.
pub(crate) async fn blocking<R: Send + 'static>(
    function: impl FnOnce() -> R + Send + 'static,
) -> Result<R, Box<dyn Any + Send>> {
    struct AbortOnDrop(tokio::task::AbortHandle);
    impl Drop for AbortOnDrop {
        fn drop(&mut self) {
            self.0.abort();
        }
    }
    let running = tokio::task::spawn_blocking(function);
    let _guard = AbortOnDrop(running.abort_handle());
    // Besides a panic there is only the end of the runtime, which ends the call just as well.
    running.await.map_err(|error| error.try_into_panic().unwrap_or_else(|error| Box::new(error.to_string())))
}

/// Runs a function on a thread of its own with a stack of so many bytes. Dropping the future leaves it to its end.
#[cfg(feature = "client")]
pub(crate) async fn thread<R: Send + 'static>(
    name: &str,
    stack: usize,
    function: impl FnOnce() -> R + Send + 'static,
) -> Result<R, String> {
    let (done, outcome) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().name(name.into()).stack_size(stack);
    // Nobody may wait any more.
    let run = move || drop(done.send(function()));
    thread.spawn(run).map_err(|error| format!("no thread can be started: {error}"))?;
    outcome.await.map_err(|_| "the thread panicked".to_owned())
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

/// 128 random bits in hex: an id that nobody can guess.
///
/// # Panics
///
/// As [`random`].
pub(crate) fn random_id() -> String {
    let bits: [u8; 16] = random();
    let mut text = String::with_capacity(32);
    for byte in bits {
        text.push(char::from(HEX[usize::from(byte >> 4)]));
        text.push(char::from(HEX[usize::from(byte & 15)]));
    }
    text
}

const HEX: &[u8; 16] = b"0123456789abcdef";
