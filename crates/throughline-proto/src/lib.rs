//! The protocol engine of throughline.
pub mod http;
pub mod jsonrpc;
pub mod log;
pub mod model;
pub mod revision;
pub mod session;
pub mod sse;
