//! The machine of the revisions without sessions: every request carries all that is needed to answer it.
//!
//! <https://modelcontextprotocol.io/specification/2026-07-28/basic/index#statelessness>

mod metadata;
mod trace;

pub use metadata::Metadata;
pub use trace::TraceContext;
