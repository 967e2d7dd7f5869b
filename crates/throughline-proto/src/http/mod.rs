//! The rules of HTTP as MCP uses it, pure, over the types of the `http` crate: who may ask, what the headers
//! say, and the one table from a reason for refusal to its status.
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
mod headers;
mod media;
mod refusal;

pub use access::{Access, InvalidAccess};
pub use headers::{
    LAST_EVENT_ID, MCP_PROTOCOL_VERSION, MCP_SESSION_ID, last_event_id, protocol_version, session_id,
};
pub use media::{Accepts, accepts, check_content_type};
pub use refusal::{Refusal, RefusalKind};
