//! Revision 2024-11-05: the first, with HTTP+SSE as its HTTP transport.
//!
//! <https://modelcontextprotocol.io/specification/2024-11-05>

use super::lower::Lower;
use super::table::{MethodRule, Table, free, needing};
use crate::jsonrpc::{ErrorCode, Str};
use crate::model::{
    AudioContent, Capability, Content, Method, ProgressParams, SamplingContent, ServerCapabilities,
    TextContent, Tool,
};

pub(super) static TABLE: Table = Table {
    date: "2024-11-05",
    lower: Some(&Lacks),
    removed: None,
    client_requests: &CLIENT_REQUESTS,
    client_notifications: &CLIENT_NOTIFICATIONS,
    server_requests: &SERVER_REQUESTS,
    server_notifications: &SERVER_NOTIFICATIONS,
    modern: false,
    result_types: false,
    streamable_http: false,
    batches: false,
    version_header: false,
    primes: false,
    tool_annotations: false,
    audio: false,
    progress_message: false,
    structured_content: false,
    resource_links: false,
    completion_context: false,
    elicitation: false,
    url_elicitation: false,
    multi_select: false,
    sampling_tools: false,
    argument_errors_are_results: false,
    resource_not_found: ErrorCode::RESOURCE_NOT_FOUND,
    error_code: |code| code,
};

/// Completion needs no capability here: the capability came with the next revision.
static CLIENT_REQUESTS: [MethodRule; 13] = [
    free(Method::Initialize),
    free(Method::Ping),
    needing(Method::ListTools, Capability::Tools),
    needing(Method::CallTool, Capability::Tools),
    needing(Method::ListPrompts, Capability::Prompts),
    needing(Method::GetPrompt, Capability::Prompts),
    needing(Method::ListResources, Capability::Resources),
    needing(Method::ListResourceTemplates, Capability::Resources),
    needing(Method::ReadResource, Capability::Resources),
    needing(Method::Subscribe, Capability::ResourcesSubscribe),
    needing(Method::Unsubscribe, Capability::ResourcesSubscribe),
    free(Method::Complete),
    needing(Method::SetLevel, Capability::Logging),
];

pub(super) static CLIENT_NOTIFICATIONS: [MethodRule; 4] = [
    free(Method::Initialized),
    free(Method::Cancelled),
    free(Method::Progress),
    needing(Method::RootsListChanged, Capability::RootsListChanged),
];

pub(super) static SERVER_REQUESTS: [MethodRule; 3] = [
    free(Method::Ping),
    needing(Method::CreateMessage, Capability::Sampling),
    needing(Method::ListRoots, Capability::Roots),
];

pub(super) static SERVER_NOTIFICATIONS: [MethodRule; 7] = [
    free(Method::Cancelled),
    free(Method::Progress),
    needing(Method::LoggingMessage, Capability::Logging),
    needing(Method::ResourceUpdated, Capability::ResourcesSubscribe),
    needing(Method::ResourceListChanged, Capability::ResourcesListChanged),
    needing(Method::ToolListChanged, Capability::ToolsListChanged),
    needing(Method::PromptListChanged, Capability::PromptsListChanged),
];

/// Compared with 2025-03-26: no audio, tool annotations, progress message or completions capability.
struct Lacks;

impl Lower for Lacks {
    fn server_capabilities(&self, capabilities: &mut ServerCapabilities) {
        capabilities.completions = false;
    }

    fn tool(&self, tool: &mut Tool) {
        tool.annotations = None;
    }

    fn content(&self, content: &mut Content) {
        if let Content::Audio(audio) = content {
            *content = Content::Text(stand_in(audio));
        }
    }

    fn sampling_content(&self, content: &mut SamplingContent) {
        if let SamplingContent::Audio(audio) = content {
            *content = SamplingContent::Text(stand_in(audio));
        }
    }

    fn progress(&self, progress: &mut ProgressParams) {
        progress.message = None;
    }
}

/// Says that there was audio, since this revision cannot carry it and silence would mislead the model.
fn stand_in(audio: &mut AudioContent) -> TextContent {
    let text = format!("[audio ({}) left out: the client's protocol revision has none]", audio.mime_type);
    let mut stand_in = TextContent::new(Str::from(text));
    stand_in.annotations = audio.annotations.take();
    stand_in
}
