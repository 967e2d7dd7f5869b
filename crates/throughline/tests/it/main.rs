//! The server and the small client as seen on the wire.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests fail and speak as tests do")]

mod support;

mod asks;
mod auth;
mod bad_input;
mod batches;
mod caching;
mod cancel;
mod chaos;
mod client;
#[cfg(feature = "client")]
mod connections;
mod cors;
mod custom_methods;
mod cuts;
mod handlers;
#[cfg(feature = "macros")]
mod headers;
mod http_sse;
mod layers;
mod listen;
#[cfg(feature = "auth")]
mod logins;
mod loopback;
#[cfg(feature = "macros")]
mod macros;
#[cfg(feature = "metrics")]
mod metrics;
mod modern;
mod modes;
mod mounts;
mod negotiation;
#[cfg(feature = "opentelemetry")]
mod opentelemetry;
mod pace;
mod refusals;
mod restarts;
mod resume;
mod rounds;
mod sessions;
mod simulation;
mod spans;
mod standalone;
mod stdio;
mod stdio_modern;
#[cfg(feature = "testing")]
mod testing;
mod unread;
mod visibility;
