//! The store as a whole.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

mod crash;
#[cfg(unix)]
mod full;
mod laws;
