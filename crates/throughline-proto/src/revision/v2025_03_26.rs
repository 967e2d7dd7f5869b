//! Revision 2025-03-26: Streamable HTTP, batches, audio, tool annotations.
//!
//! <https://modelcontextprotocol.io/specification/2025-03-26/changelog>

use super::lower::{Lower, structured_as_text};
use super::table::{MethodRule, Table, free, needing};
use super::v2024_11_05::{CLIENT_NOTIFICATIONS, SERVER_NOTIFICATIONS, SERVER_REQUESTS};
use crate::jsonrpc::{ErrorCode, Str};
use crate::model::{
    Annotations, CallToolResult, Capability, ClientCapabilities, CompleteParams, Content, Implementation,
    Method, Prompt, PromptArgument, Reference, Resource, ResourceContents, ResourceTemplate, Root,
    SamplingContent, TextContent, Tool,
};

pub(super) static TABLE: Table = Table {
    date: "2025-03-26",
    lower: Some(&Lacks),
    removed: None,
    client_requests: &CLIENT_REQUESTS,
    client_notifications: &CLIENT_NOTIFICATIONS,
    server_requests: &SERVER_REQUESTS,
    server_notifications: &SERVER_NOTIFICATIONS,
    modern: false,
    result_types: false,
    streamable_http: true,
    batches: true,
    version_header: false,
    primes: false,
    tool_annotations: true,
    audio: true,
    progress_message: true,
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

pub(super) static CLIENT_REQUESTS: [MethodRule; 13] = [
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
    needing(Method::Complete, Capability::Completions),
    needing(Method::SetLevel, Capability::Logging),
];

/// Compared with 2025-06-18: no elicitation, structured output, resource links, titles, context of completions, time of
/// change, and `_meta` only on whole messages.
struct Lacks;

impl Lower for Lacks {
    fn implementation(&self, implementation: &mut Implementation) {
        implementation.title = None;
    }

    fn client_capabilities(&self, capabilities: &mut ClientCapabilities) {
        capabilities.elicitation = None;
    }

    fn tool(&self, tool: &mut Tool) {
        // The tool's annotations had room for a title before the tool itself did.
        if let Some(title) = tool.title.take() {
            tool.annotations.get_or_insert_default().title.get_or_insert(title);
        }
        tool.output_schema = None;
        tool.meta = None;
    }

    fn call_tool_result(&self, result: &mut CallToolResult) {
        structured_as_text(&mut result.structured_content, &mut result.content);
    }

    fn prompt(&self, prompt: &mut Prompt) {
        prompt.title = None;
        prompt.meta = None;
    }

    fn prompt_argument(&self, argument: &mut PromptArgument) {
        argument.title = None;
    }

    fn resource(&self, resource: &mut Resource) {
        resource.title = None;
        resource.meta = None;
    }

    fn resource_template(&self, template: &mut ResourceTemplate) {
        template.title = None;
        template.meta = None;
    }

    fn resource_contents(&self, contents: &mut ResourceContents) {
        *contents.meta_mut() = None;
    }

    fn annotations(&self, annotations: &mut Annotations) {
        annotations.last_modified = None;
    }

    fn content(&self, content: &mut Content) {
        match content {
            Content::Text(text) => text.meta = None,
            Content::Image(image) => image.meta = None,
            Content::Audio(audio) => audio.meta = None,
            Content::Resource(resource) => resource.meta = None,
            Content::ResourceLink(link) => *content = Content::Text(in_words(link)),
        }
    }

    fn sampling_content(&self, content: &mut SamplingContent) {
        match content {
            SamplingContent::Text(text) => text.meta = None,
            SamplingContent::Image(image) => image.meta = None,
            SamplingContent::Audio(audio) => audio.meta = None,
            // The next revision has refused these already.
            SamplingContent::ToolUse(_) | SamplingContent::ToolResult(_) => {}
        }
    }

    fn complete(&self, params: &mut CompleteParams) {
        params.context = None;
        if let Reference::Prompt(prompt) = &mut params.reference {
            prompt.title = None;
        }
    }

    fn root(&self, root: &mut Root) {
        root.meta = None;
    }
}

/// A link as text that a model can still follow: name, address and what is there.
fn in_words(link: &mut Resource) -> TextContent {
    let mut words = format!("{}: {}", link.name, link.uri);
    if let Some(mime_type) = &link.mime_type {
        words.push_str(" (");
        words.push_str(mime_type);
        words.push(')');
    }
    if let Some(description) = &link.description {
        words.push('\n');
        words.push_str(description);
    }
    let mut text = TextContent::new(Str::from(words));
    text.annotations = link.annotations.take();
    text
}
