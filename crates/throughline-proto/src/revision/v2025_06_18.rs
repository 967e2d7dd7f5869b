//! Revision 2025-06-18: no batches; elicitation, structured tool output, resource links, titles.
//!
//! <https://modelcontextprotocol.io/specification/2025-06-18/changelog>

use super::lower::Lower;
use super::table::{MethodRule, Table, free, needing};
use super::v2024_11_05::{CLIENT_NOTIFICATIONS, SERVER_NOTIFICATIONS};
use super::v2025_03_26::CLIENT_REQUESTS;
use crate::jsonrpc::{ErrorCode, Str};
use crate::model::{
    Capability, ClientCapabilities, CreateMessageParams, CreateMessageResult, ElicitParams,
    ElicitationCapability, Implementation, Method, PrimitiveSchema, Prompt, Resource, ResourceTemplate,
    SamplingCapability, SamplingContent, SamplingMessage, Tool,
};

pub(super) static TABLE: Table = Table {
    date: "2025-06-18",
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
    primes: false,
    tool_annotations: true,
    audio: true,
    progress_message: true,
    structured_content: true,
    resource_links: true,
    completion_context: true,
    elicitation: true,
    url_elicitation: false,
    multi_select: false,
    sampling_tools: false,
    argument_errors_are_results: false,
    resource_not_found: ErrorCode::RESOURCE_NOT_FOUND,
    error_code: |code| code,
};

pub(super) static SERVER_REQUESTS: [MethodRule; 4] = [
    free(Method::Ping),
    needing(Method::CreateMessage, Capability::Sampling),
    needing(Method::ListRoots, Capability::Roots),
    needing(Method::Elicit, Capability::Elicitation),
];

/// Compared with 2025-11-25: no icons, descriptions of implementations, tool execution, URL elicitation, tools in sampling,
/// several blocks in one sampling message, lists in forms, defaults of fields other than booleans, standard enum titles.
struct Lacks;

impl Lower for Lacks {
    fn implementation(&self, implementation: &mut Implementation) {
        implementation.description = None;
        implementation.website_url = None;
        implementation.icons.clear();
    }

    fn client_capabilities(&self, capabilities: &mut ClientCapabilities) {
        if let Some(sampling) = &mut capabilities.sampling {
            *sampling = SamplingCapability::default();
        }
        // An empty capability means forms here, so one that only opens addresses has nothing to offer.
        capabilities.elicitation = capabilities
            .elicitation
            .filter(|elicitation| elicitation.has_form())
            .map(|_| ElicitationCapability::default());
    }

    fn tool(&self, tool: &mut Tool) {
        tool.icons.clear();
        tool.execution = None;
    }

    fn prompt(&self, prompt: &mut Prompt) {
        prompt.icons.clear();
    }

    fn resource(&self, resource: &mut Resource) {
        resource.icons.clear();
    }

    fn resource_template(&self, template: &mut ResourceTemplate) {
        template.icons.clear();
    }

    fn create_message(&self, params: &mut CreateMessageParams) -> Result<(), &'static str> {
        if params.uses_tools() {
            return Err("has no tools in sampling: ask without them");
        }
        // One message holds one block here, and the same role may speak twice in a row.
        if params.messages.iter().any(|message| message.content.len() != 1) {
            params.messages = std::mem::take(&mut params.messages)
                .into_iter()
                .flat_map(|message| {
                    let role = message.role;
                    message.content.into_iter().map(move |block| SamplingMessage::new(role, [block]))
                })
                .collect();
        }
        for message in &mut params.messages {
            message.meta = None;
        }
        Ok(())
    }

    fn create_message_result(&self, result: &mut CreateMessageResult) -> Result<(), &'static str> {
        match &result.content[..] {
            [one] if !one.is_of_tools() => return Ok(()),
            blocks if blocks.iter().all(|block| block.as_text().is_some()) => {}
            _ => {
                return Err("holds one block of text, image or audio in a sampling result: answer with that");
            }
        }
        let text: String = result.content.iter().filter_map(SamplingContent::as_text).collect();
        result.content = vec![SamplingContent::text(Str::from(text))];
        Ok(())
    }

    fn elicit(&self, params: &mut ElicitParams) -> Result<(), &'static str> {
        let ElicitParams::Form(form) = params else {
            return Err("has no elicitation by URL: ask with a form, or answer with what the user can do");
        };
        form.mode = None;
        form.requested_schema.dialect = None;
        for (_, field) in &mut form.requested_schema.properties {
            match field {
                PrimitiveSchema::String(schema) => schema.default = None,
                PrimitiveSchema::Number(schema) => schema.default = None,
                PrimitiveSchema::Boolean(_) => {}
                PrimitiveSchema::SingleSelect(schema) => {
                    schema.default = None;
                    schema.enum_names = true;
                }
                PrimitiveSchema::MultiSelect(_) => {
                    return Err(
                        "has no field for several values in a form: ask with a field for each of them",
                    );
                }
            }
        }
        Ok(())
    }
}
