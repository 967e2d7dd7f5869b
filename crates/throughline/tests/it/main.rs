//! The server and the small client as seen on the wire.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests fail and speak as tests do")]

mod support;

mod asks;
mod bad_input;
mod batches;
mod cancel;
mod cors;
mod cuts;
mod handlers;
mod loopback;
mod modes;
mod pace;
mod refusals;
mod resume;
mod sessions;
mod standalone;
mod unread;
