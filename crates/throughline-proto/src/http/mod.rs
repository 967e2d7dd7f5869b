//! The rules of HTTP as MCP uses it, pure, over the types of the `http` crate: who may ask, which era a request
//! is of, what the headers say and whether the body agrees, and the one table from a reason for refusal to its
//! status.
//!
//! ```
//! use ::http::HeaderMap;
//! use throughline_proto::http::{self, Access};
//!
//! let mut headers = HeaderMap::new();
//! headers.insert("host", "evil.example".parse()?);
//! let refusal = Access::loopback().check(None, &headers).unwrap_err();
//! assert_eq!(refusal.status(), 403);
//!
//! headers.insert("host", "localhost:3000".parse()?);
//! headers.insert("content-type", "application/json".parse()?);
//! Access::loopback().check(None, &headers)?;
//! http::check_content_type(&headers)?;
//! assert!(http::accepts(&headers).json);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Specification:
//! <https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#streamable-http>.

mod access;
mod header_text;
mod headers;
mod media;
mod message_address;
mod param_headers;
mod refusal;
mod routing;

pub use access::{Access, InvalidAccess};
pub(crate) use header_text::is_token;
pub use header_text::{decode_header_text, encode_header_text};
pub use headers::{
    LAST_EVENT_ID, MCP_PROTOCOL_VERSION, MCP_SESSION_ID, last_event_id, protocol_version, session_id,
};
pub use media::{Accepts, accepts, check_content_type};
pub use message_address::{message_address, session_in_query};
pub use param_headers::ParamHeaders;
pub use refusal::{Refusal, RefusalKind, status_of};
pub use routing::{MCP_METHOD, MCP_NAME, check_request_headers, is_modern_request, routing_name};
