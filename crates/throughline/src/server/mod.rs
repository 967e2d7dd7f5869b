//! The front doors: how clients reach a [`Handler`](crate::Handler).
//!
//! ```text
//!   bytes          serve: accepts, HTTP/1.1 and h2c,     stdio: lines of standard input and output,
//!                  timeouts, graceful shutdown           or of any reader and writer
//!   HTTP           streamable_http: a tower service;
//!                  POST, GET, DELETE, CORS; http_sse
//!                  beside it, for clients of before
//!   messages       dispatch: what becomes of each, the same for all
//!   a POST         exchange: decides JSON or SSE,        exchange: one for each line
//!                  settles each call exactly once
//!   a call         driving: runs its handler to the end; watch: its span, and how long it took
//!   a modern       modern: its metadata, whether it may    the same
//!   request        run; nothing outlives it
//!   who asks         who: its principal, its share         it is whoever has the pipe
//!   may it?        scopes: of endpoint, method, tool     not asked
//!   a session      live (engine session, open asks)      live, one for each process
//!                  in the registry (caps, expiry)
//!   a stream       stream (the one writer, its reader's  pipe: everything goes the same way;
//!                  pace) and tail (replay and live)      over HTTP+SSE too
//!   events         store                                 not kept: a lost process loses its session
//! ```

mod backlog;
mod calls;
mod counters;
mod dispatch;
mod driving;
mod era;
mod exchange;
mod http_sse;
mod keeping;
mod listen;
mod listener;
mod live;
#[cfg(feature = "metrics")]
mod metrics;
mod modern;
#[cfg(feature = "opentelemetry")]
mod opentelemetry;
mod outlet;
#[cfg(feature = "auth")]
mod pace;
mod patient_io;
mod pipe;
mod queue;
mod registry;
mod rounds;
mod scopes;
mod serve;
mod shares;
mod stdio;
mod stream;
mod streamable_http;
mod tail;
#[cfg(test)]
mod tests;
#[cfg(feature = "tls")]
mod tls;
mod watch;
mod who;

pub use counters::Counters;
pub use era::Era;
pub use http_sse::{HttpSse, InvalidPath};
pub use keeping::{AfterRestart, Interrupted};
pub use listener::{Listener, PeerAddress};
pub use registry::Closed;
pub use serve::{Serve, serve};
pub use stdio::Stdio;
pub use stream::StoreFailure;
pub use streamable_http::{Builder, ResponseBody, ResponseMode, RestoreError, Restored, StreamableHttp};
#[cfg(feature = "tls")]
pub use tls::{ServerTls, TlsConnection, TlsError, TlsListener};
