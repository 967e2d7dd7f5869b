//! Revision 2026-07-28: the modern era. No sessions; discovery, listening, questions as results, cache hints.
//!
//! <https://modelcontextprotocol.io/specification/2026-07-28/changelog>

use super::lower::Lower;
use super::table::{MethodRule, Table, free, needing};
use crate::jsonrpc::ErrorCode;
use crate::model::{
    Capability, ClientCapabilities, CreateMessageParams, ElicitParams, ElicitResult, ListRootsResult, Method,
    Tool,
};

pub(super) static TABLE: Table = Table {
    date: "2026-07-28",
    lower: None,
    removed: Some(&Removed),
    client_requests: &CLIENT_REQUESTS,
    client_notifications: &CLIENT_NOTIFICATIONS,
    server_requests: &INPUT_REQUESTS,
    server_notifications: &SERVER_NOTIFICATIONS,
    modern: true,
    result_types: true,
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
    error_code,
};

static CLIENT_REQUESTS: [MethodRule; 10] = [
    free(Method::Discover),
    needing(Method::ListTools, Capability::Tools),
    needing(Method::CallTool, Capability::Tools),
    needing(Method::ListPrompts, Capability::Prompts),
    needing(Method::GetPrompt, Capability::Prompts),
    needing(Method::ListResources, Capability::Resources),
    needing(Method::ListResourceTemplates, Capability::Resources),
    needing(Method::ReadResource, Capability::Resources),
    needing(Method::Complete, Capability::Completions),
    free(Method::Listen),
];

static CLIENT_NOTIFICATIONS: [MethodRule; 1] = [free(Method::Cancelled)];

/// What a server may ask. None of these travels as a request: they are questions within a result.
static INPUT_REQUESTS: [MethodRule; 3] = [
    needing(Method::CreateMessage, Capability::Sampling),
    needing(Method::ListRoots, Capability::Roots),
    needing(Method::Elicit, Capability::Elicitation),
];

static SERVER_NOTIFICATIONS: [MethodRule; 8] = [
    free(Method::Cancelled),
    free(Method::Progress),
    needing(Method::LoggingMessage, Capability::Logging),
    needing(Method::ResourceUpdated, Capability::ResourcesSubscribe),
    needing(Method::ResourceListChanged, Capability::ResourcesListChanged),
    needing(Method::ToolListChanged, Capability::ToolsListChanged),
    needing(Method::PromptListChanged, Capability::PromptsListChanged),
    free(Method::SubscriptionsAcknowledged),
];

/// The codes of older revisions must not be sent, nor any of the protocol's own range but its three; see
/// [error codes](https://modelcontextprotocol.io/specification/2026-07-28/basic/index#error-codes).
fn error_code(code: ErrorCode) -> ErrorCode {
    match code {
        ErrorCode::RESOURCE_NOT_FOUND => ErrorCode::INVALID_PARAMS,
        // It may be sent again once the user has been there.
        ErrorCode::URL_ELICITATION_REQUIRED => ErrorCode::INVALID_REQUEST,
        ErrorCode::HEADER_MISMATCH
        | ErrorCode::MISSING_CLIENT_CAPABILITY
        | ErrorCode::UNSUPPORTED_PROTOCOL_VERSION => code,
        ErrorCode(-32099..=-32020) => ErrorCode::INTERNAL_ERROR,
        _ => code,
    }
}

/// Compared with 2025-11-25: no execution of tools, ids of elicitations, word of changed roots, and no `_meta` of questions and
/// their answers but those of a model.
struct Removed;

impl Lower for Removed {
    fn client_capabilities(&self, capabilities: &mut ClientCapabilities) {
        if let Some(roots) = &mut capabilities.roots {
            roots.list_changed = false;
        }
    }

    fn tool(&self, tool: &mut Tool) {
        tool.execution = None;
    }

    fn create_message(&self, params: &mut CreateMessageParams) -> Result<(), &'static str> {
        params.meta = None;
        Ok(())
    }

    fn elicit(&self, params: &mut ElicitParams) -> Result<(), &'static str> {
        match params {
            ElicitParams::Form(form) => form.meta = None,
            ElicitParams::Url(url) => (url.meta, url.elicitation_id) = (None, None),
        }
        Ok(())
    }

    fn elicit_result(&self, result: &mut ElicitResult) {
        result.meta = None;
    }

    fn list_roots_result(&self, result: &mut ListRootsResult) {
        result.meta = None;
    }
}
