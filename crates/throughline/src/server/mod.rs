//! The front doors: how clients reach a [`Handler`](crate::Handler).
//!
//! ```text
//!   bytes          serve: accepts, HTTP/1.1 and h2c, timeouts, graceful shutdown
//!   HTTP           streamable_http: a tower service; POST, GET, DELETE, CORS
//!   a POST         exchange: decides JSON or SSE, runs the calls, settles each exactly once
//!   a session      live (engine session, open asks) in the registry (caps, expiry)
//!   a stream       stream (the one writer, its reader's pace) and tail (replay and live, one path)
//!   events         store
//! ```

mod backlog;
mod counters;
mod driving;
mod exchange;
mod live;
mod patient_io;
mod queue;
mod registry;
mod serve;
mod stream;
mod streamable_http;
mod tail;
#[cfg(test)]
mod tests;

pub use counters::Counters;
pub use registry::Closed;
pub use serve::{Serve, serve};
pub use stream::StoreFailure;
pub use streamable_http::{Builder, ResponseBody, ResponseMode, StreamableHttp};
