//! JSON-RPC 2.0 as MCP uses it: messages, ids, error codes, one bounded parse and the writers.
//!
//! [`parse`] turns the bytes of a body or a line into a [`Frame`]. It reads the envelope only: `params`,
//! `result` and an error's `data` stay [`Raw`] slices of the same bytes until somebody wants them.
//! [`outline`] finds the few members of `params` that a front door needs. The `write_*` functions append one
//! compact message to a buffer.
//!
//! ```
//! use bytes::{Bytes, BytesMut};
//! use throughline_proto::jsonrpc::{self, Frame, Message, ParseLimits};
//!
//! let body = Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
//! let Ok(Frame::Single(Message::Request(request))) = jsonrpc::parse(&body, &ParseLimits::default()) else {
//!     panic!("a ping is one request")
//! };
//! let mut out = BytesMut::new();
//! jsonrpc::write_result(&mut out, &request.id, &jsonrpc::Raw::empty_object())?;
//! assert_eq!(out, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! Specification: <https://modelcontextprotocol.io/specification/2025-11-25/basic#messages>.

mod depth;
mod error;
mod id;
mod line;
mod members;
mod message;
mod outline;
mod parse;
mod part;
mod raw;
mod result_outline;
mod scan;
mod str;
mod write;

pub use error::{ErrorCode, ErrorObject, excerpt, reason};
pub(crate) use id::text;
pub use id::{ProgressToken, RequestId};
pub use line::{LineDecoder, LineTooLong};
pub(crate) use members::Key;
pub use message::{Frame, Malformed, Message, Notification, Request, Response};
pub use outline::{MetaOutline, Outline, meta_outline, outline, outlines};
pub use parse::{ParseLimits, parse};
pub use part::Part;
pub use raw::Raw;
pub(crate) use result_outline::ResultOutline;
pub use str::Str;
pub use write::{end_line, write_error, write_notification, write_raw_result, write_request, write_result};
pub(crate) use write::{write_result_with, write_value};
