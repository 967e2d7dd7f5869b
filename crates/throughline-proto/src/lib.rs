//! The protocol engine of throughline: the rules of the Model Context Protocol, and nothing that moves a byte.
//!
//! **What it is.** Messages, codecs, revisions, the log of a stream and the machine of a session, as plain values. An input
//! is a method call (`handle_*`) that returns what is to be done; what is due later is told by `poll_*`. So a bug report
//! becomes a test on a fixed clock that runs in microseconds, and the same rules serve every transport.
//!
//! **What it is not.** A server or a client: it opens no socket, reads no clock, draws no random number, starts no thread
//! and knows no runtime. `now` and random bytes are arguments. The crate `throughline` is the shell around it, and what an
//! application depends on.
//!
//! ```text
//!        bytes in                                                  bytes out
//!           |                                                           ^
//!   http    |  may it come in? what is it?               sse  encoded   |  events
//!           v                                                           |
//!   jsonrpc    one bounded parse, `params` stay raw      log  kept, to be read again
//!           |                                                           ^
//!           v                                                           |
//!   session    requests in flight both ways,        revision  the form of one revision
//!           |  deadlines, routes, cursors                               ^
//!           v                                                           |
//!         a handler (in the shell)  ---------------->  model  the same for every revision
//! ```
//!
//! # The layers
//!
//! Arrows go down only: `session` -> `revision` -> `model` -> `jsonrpc`; `log`, `sse` and `http` stand beside them.
//!
//! - [`jsonrpc`]: messages, ids, error codes; parsing and writing.
//! - [`sse`]: server-sent events, written and read.
//! - [`model`]: the messages as handlers see them, whatever the revision.
//! - [`revision`]: which revisions there are and how each looks on the wire. The only place that names one.
//! - [`log`]: one stream's events, so that a connection can be lost and a stream not.
//! - [`session`]: the machine of the revisions that have sessions.
//! - [`stateless`]: the machine of the revisions that have none.
//! - [`http`]: the rules about HTTP that need no HTTP server.
//! - [`client`]: the rules of a client that need no connection.
//! - [`auth`]: the rules of authorization, of both sides.
//!
//! # A first program
//!
//! ```
//! use bytes::Bytes;
//! use throughline_proto::jsonrpc::{Frame, Message, ParseLimits, Raw, outline, parse};
//! use throughline_proto::model::{Implementation, ServerCapabilities};
//! use throughline_proto::session::{Begin, Offer, Session, SessionLimits};
//!
//! let offer = Offer::new(Implementation::new("projects", "1.0.0"), ServerCapabilities::new());
//! let params = Raw::from_json(
//!     r#"{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"c","version":"1"}}"#,
//! )?;
//! let (mut session, result) = Session::open(Some(&params), &offer, 0xbeef, SessionLimits::default())?;
//! assert_eq!(result.protocol_version, "2025-06-18");
//!
//! let body = Bytes::from_static(br#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"add"}}"#);
//! let Ok(Frame::Single(Message::Request(request))) = parse(&body, &ParseLimits::default()) else { panic!("a request") };
//! let stream = session.open_stream();
//! let Begin::Run(call) = session.handle_request(stream, &request, &outline(request.params.as_ref())?) else {
//!     panic!("nothing speaks against it")
//! };
//! // .. the handler runs, and then:
//! let finish = session.handle_done(call).expect("it was not settled before");
//! assert_eq!(finish.answer, Some(request.id));
//! assert!(finish.last, "its stream ends with the response");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "a test needs a first instant"))]

pub mod auth;
pub mod client;
mod decimal;
pub mod http;
pub mod jsonrpc;
pub mod log;
pub mod model;
pub mod revision;
pub mod session;
pub mod sse;
pub mod stateless;
#[cfg(test)]
pub(crate) mod testing;
