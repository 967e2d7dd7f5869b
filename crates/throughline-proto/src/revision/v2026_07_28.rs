//! Revision 2026-07-28: the modern era, without sessions. So far it is only known by name, so that messages can speak of it.
//!
//! <https://modelcontextprotocol.io/specification/2026-07-28/changelog>

use super::lower::Lower;
use super::table::Table;
use crate::jsonrpc::ErrorCode;

pub(super) static TABLE: Table = Table {
    date: "2026-07-28",
    lower: &Lacks,
    client_requests: &[],
    client_notifications: &[],
    server_requests: &[],
    server_notifications: &[],
    modern: true,
    streamable_http: true,
    batches: false,
    version_header: true,
    primes: false,
    tool_annotations: true,
    audio: true,
    progress_message: true,
    structured_content: true,
    resource_links: true,
    completion_context: true,
    elicitation: true,
    url_elicitation: true,
    multi_select: true,
    sampling_tools: true,
    argument_errors_are_results: true,
    resource_not_found: ErrorCode::INVALID_PARAMS,
};

/// The newest revision lacks nothing.
struct Lacks;

impl Lower for Lacks {}
