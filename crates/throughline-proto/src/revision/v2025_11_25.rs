//! Revision 2025-11-25: priming events, URL elicitation, tools in sampling, icons; the latest that begins with `initialize`.
//!
//! <https://modelcontextprotocol.io/specification/2025-11-25/changelog>

use std::collections::BTreeMap;

use super::lower::{Lower, is_object_schema, structured_as_text};
use super::table::{MethodRule, Table, free, needing};
use super::v2024_11_05::CLIENT_NOTIFICATIONS;
use super::v2025_03_26::CLIENT_REQUESTS;
use super::v2025_06_18::SERVER_REQUESTS;
use crate::jsonrpc::{ErrorCode, Raw, Str};
use crate::model::{CacheScope, CallToolResult, Capability, ElicitParams, Method, Tool, ToolResultContent};

pub(super) static TABLE: Table = Table {
    date: "2025-11-25",
    lower: Some(&Lacks),
    removed: None,
    client_requests: &CLIENT_REQUESTS,
    client_notifications: &CLIENT_NOTIFICATIONS,
    server_requests: &SERVER_REQUESTS,
    server_notifications: &SERVER_NOTIFICATIONS,
    modern: false,
    result_types: false,
    streamable_http: true,
    batches: false,
    version_header: true,
    primes: true,
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
    resource_not_found: ErrorCode::RESOURCE_NOT_FOUND,
    error_code: |code| code,
};

static SERVER_NOTIFICATIONS: [MethodRule; 8] = [
    free(Method::Cancelled),
    free(Method::Progress),
    needing(Method::LoggingMessage, Capability::Logging),
    needing(Method::ResourceUpdated, Capability::ResourcesSubscribe),
    needing(Method::ResourceListChanged, Capability::ResourcesListChanged),
    needing(Method::ToolListChanged, Capability::ToolsListChanged),
    needing(Method::PromptListChanged, Capability::PromptsListChanged),
    needing(Method::ElicitationComplete, Capability::ElicitationUrl),
];

/// Compared with 2026-07-28: structured content and its schema are objects only; no cache hints, discovery, listening, or
/// questions as results; an elicitation by URL has an id.
struct Lacks;

impl Lower for Lacks {
    fn tool(&self, tool: &mut Tool) {
        if tool.output_schema.as_ref().is_some_and(|schema| !is_object_schema(schema)) {
            tool.output_schema = None;
        }
    }

    fn call_tool_result(&self, result: &mut CallToolResult) {
        if result.structured_content.as_ref().is_some_and(|content| !content.is_object()) {
            structured_as_text(&mut result.structured_content, &mut result.content);
        }
    }

    fn cache(&self, ttl_ms: &mut Option<u64>, scope: &mut Option<CacheScope>) {
        (*ttl_ms, *scope) = (None, None);
    }

    fn round(&self, input_responses: &mut Option<BTreeMap<Str, Raw>>, request_state: &mut Option<Str>) {
        (*input_responses, *request_state) = (None, None);
    }

    fn modern_result(&self) -> Result<(), &'static str> {
        Err("has no such result: it is of the modern era alone")
    }

    fn elicit(&self, params: &mut ElicitParams) -> Result<(), &'static str> {
        match params {
            ElicitParams::Url(url) if url.elicitation_id.is_none() => {
                Err("needs an `elicitation_id` in an elicitation by URL: name it")
            }
            _ => Ok(()),
        }
    }

    fn tool_result(&self, result: &mut ToolResultContent) {
        if result.structured_content.as_ref().is_some_and(|content| !content.is_object()) {
            structured_as_text(&mut result.structured_content, &mut result.content);
        }
    }
}
