//! The binary, from outside: each test starts it, speaks to it over HTTP or stdio, and waits for what should happen.

#[cfg(unix)]
mod auth;
mod client;
mod connect;
#[cfg(unix)]
mod crash;
mod demo;
mod hostile;
mod http;
mod http_sse;
mod key;
mod older;
mod process;
#[cfg(unix)]
mod pty;
mod reach;
mod restart;
mod rounds;
mod serve;
mod session;
mod stdio;
mod tls;
mod usage;

use std::future::Future;
use std::time::Duration;

/// Waits for something that happens at once, and fails when it does not.
async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not happen within {PATIENCE:?}"),
    }
}

/// So long that only what never happens is given up on, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(60);
