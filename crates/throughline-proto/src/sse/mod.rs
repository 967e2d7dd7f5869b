//! Server-sent events: appended by the `write_*` functions, read by the incremental, bounded [`Decoder`].
//!
//! ```
//! use bytes::BytesMut;
//! use throughline_proto::sse::{self, Decoder};
//!
//! let mut out = BytesMut::new();
//! sse::write_event(&mut out, Some("7"), br#"{"jsonrpc":"2.0"}"#);
//! assert_eq!(out, "id: 7\ndata: {\"jsonrpc\":\"2.0\"}\n\n");
//!
//! let mut decoder = Decoder::new(1024);
//! decoder.push(&out[..20]);
//! assert!(decoder.next_event().is_none());
//! decoder.push(&out[20..]);
//! let event = decoder.next_event().expect("the event is whole now")?;
//! assert_eq!(event.id.as_deref(), Some("7"));
//! assert_eq!(event.data, r#"{"jsonrpc":"2.0"}"#);
//! # Ok::<(), sse::TooLarge>(())
//! ```
//!
//! Specification: <https://html.spec.whatwg.org/multipage/server-sent-events.html>; how MCP uses it:
//! <https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#streamable-http>.

mod decode;
mod encode;

pub use decode::{Decoder, Event, TooLarge};
pub use encode::{KEEP_ALIVE, write_event, write_event_type, write_event_with, write_prime, write_retry};
