//! The server and the small client as seen on the wire.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests fail and speak as tests do")]

mod support;

mod asks;
mod bad_input;
mod batches;
mod cancel;
mod cors;
mod custom_methods;
mod cuts;
mod handlers;
mod layers;
mod loopback;
#[cfg(feature = "macros")]
mod macros;
#[cfg(feature = "metrics")]
mod metrics;
mod modes;
mod mounts;
mod pace;
mod refusals;
mod resume;
mod sessions;
mod spans;
mod standalone;
mod stdio;
#[cfg(feature = "testing")]
mod testing;
mod unread;
mod visibility;
