//! Bringing a message down to a revision's wire form: the walk through a message, and what a step does at each noun.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::jsonrpc::{Raw, Str};
use crate::model::{
    Annotations, Answer, CacheScope, CallToolResult, ClientAnswer, ClientCapabilities, ClientNotification,
    ClientRequest, CompleteParams, Content, CreateMessageParams, CreateMessageResult, ElicitParams,
    ElicitResult, Implementation, InputRequest, ListRootsResult, ProgressParams, Prompt, PromptArgument,
    Resource, ResourceContents, ResourceTemplate, Root, SamplingContent, ServerCapabilities,
    ServerNotification, ServerRequest, Tool, ToolResultContent,
};

/// One step down: what a revision lacks compared with the next one, noun by noun. A step changes only the noun it is given;
/// the nouns inside are walked for it, from the outside in.
///
/// The fallible ones refuse what has no lesser form. Their error goes on after "protocol revision .. ".
pub(super) trait Lower: Sync {
    fn implementation(&self, _: &mut Implementation) {}
    fn client_capabilities(&self, _: &mut ClientCapabilities) {}
    fn server_capabilities(&self, _: &mut ServerCapabilities) {}
    fn tool(&self, _: &mut Tool) {}
    fn call_tool_result(&self, _: &mut CallToolResult) {}
    fn tool_result(&self, _: &mut ToolResultContent) {}
    fn prompt(&self, _: &mut Prompt) {}
    fn prompt_argument(&self, _: &mut PromptArgument) {}
    fn resource(&self, _: &mut Resource) {}
    fn resource_template(&self, _: &mut ResourceTemplate) {}
    fn resource_contents(&self, _: &mut ResourceContents) {}
    fn annotations(&self, _: &mut Annotations) {}
    /// Called after what is inside the content.
    fn content(&self, _: &mut Content) {}
    /// Called after what is inside the content.
    fn sampling_content(&self, _: &mut SamplingContent) {}
    fn progress(&self, _: &mut ProgressParams) {}
    fn complete(&self, _: &mut CompleteParams) {}
    fn root(&self, _: &mut Root) {}
    fn list_roots_result(&self, _: &mut ListRootsResult) {}
    fn elicit_result(&self, _: &mut ElicitResult) {}
    /// How long a result may be kept, and by whom.
    fn cache(&self, _: &mut Option<u64>, _: &mut Option<CacheScope>) {}
    /// What a request brings along when it is sent again.
    fn round(&self, _: &mut Option<BTreeMap<Str, Raw>>, _: &mut Option<Str>) {}
    /// A result that only the modern era has.
    fn modern_result(&self) -> Result<(), &'static str> {
        Ok(())
    }
    fn create_message(&self, _: &mut CreateMessageParams) -> Result<(), &'static str> {
        Ok(())
    }
    fn create_message_result(&self, _: &mut CreateMessageResult) -> Result<(), &'static str> {
        Ok(())
    }
    fn elicit(&self, _: &mut ElicitParams) -> Result<(), &'static str> {
        Ok(())
    }
}

/// A message that can be brought down.
pub(super) trait Lowered {
    /// Takes the message one step down.
    ///
    /// # Errors
    ///
    /// When what it says has no lesser form.
    fn lower(&mut self, step: &dyn Lower) -> Result<(), &'static str>;
}

impl Lowered for Answer {
    fn lower(&mut self, step: &dyn Lower) -> Result<(), &'static str> {
        match self {
            Answer::Empty | Answer::Custom(_) => {}
            Answer::Complete(result) => result.completion.bound(),
            Answer::Initialize(result) => {
                step.implementation(&mut result.server_info);
                step.server_capabilities(&mut result.capabilities);
            }
            Answer::ListTools(result) => {
                step.cache(&mut result.ttl_ms, &mut result.cache_scope);
                result.tools.iter_mut().for_each(|tool| step.tool(tool));
            }
            Answer::CallTool(result) => {
                step.call_tool_result(result);
                contents(step, &mut result.content);
            }
            Answer::ListPrompts(result) => {
                step.cache(&mut result.ttl_ms, &mut result.cache_scope);
                for prompt in &mut result.prompts {
                    step.prompt(prompt);
                    prompt.arguments.iter_mut().for_each(|argument| step.prompt_argument(argument));
                }
            }
            Answer::GetPrompt(result) => {
                result.messages.iter_mut().for_each(|message| content(step, &mut message.content));
            }
            Answer::ListResources(result) => {
                step.cache(&mut result.ttl_ms, &mut result.cache_scope);
                for resource in &mut result.resources {
                    step.resource(resource);
                    annotations(step, &mut resource.annotations);
                }
            }
            Answer::ListResourceTemplates(result) => {
                step.cache(&mut result.ttl_ms, &mut result.cache_scope);
                for template in &mut result.resource_templates {
                    step.resource_template(template);
                    annotations(step, &mut template.annotations);
                }
            }
            Answer::ReadResource(result) => {
                step.cache(&mut result.ttl_ms, &mut result.cache_scope);
                result.contents.iter_mut().for_each(|contents| step.resource_contents(contents));
            }
            Answer::Discover(result) => {
                step.modern_result()?;
                step.server_capabilities(&mut result.capabilities);
            }
            Answer::InputRequired(result) => {
                step.modern_result()?;
                for (_, request) in &mut result.input_requests {
                    if let InputRequest::Request(request) = request {
                        request.lower(step)?;
                    }
                }
            }
            Answer::Listen(_) => step.modern_result()?,
        }
        Ok(())
    }
}

impl Lowered for ClientAnswer {
    fn lower(&mut self, step: &dyn Lower) -> Result<(), &'static str> {
        match self {
            ClientAnswer::Empty | ClientAnswer::Custom(_) => Ok(()),
            ClientAnswer::Elicit(result) => {
                step.elicit_result(result);
                Ok(())
            }
            ClientAnswer::CreateMessage(result) => {
                step.create_message_result(result)?;
                result.content.iter_mut().for_each(|content| sampling_content(step, content));
                Ok(())
            }
            ClientAnswer::ListRoots(result) => {
                step.list_roots_result(result);
                result.roots.iter_mut().for_each(|root| step.root(root));
                Ok(())
            }
        }
    }
}

impl Lowered for ServerRequest {
    fn lower(&mut self, step: &dyn Lower) -> Result<(), &'static str> {
        match self {
            ServerRequest::Ping(_) | ServerRequest::ListRoots(_) => Ok(()),
            ServerRequest::CreateMessage(params) => {
                step.create_message(params)?;
                params.tools.iter_mut().for_each(|tool| step.tool(tool));
                for message in &mut params.messages {
                    message.content.iter_mut().for_each(|content| sampling_content(step, content));
                }
                Ok(())
            }
            ServerRequest::Elicit(params) => step.elicit(params),
        }
    }
}

impl Lowered for ClientRequest {
    fn lower(&mut self, step: &dyn Lower) -> Result<(), &'static str> {
        match self {
            ClientRequest::Initialize(params) => {
                step.implementation(&mut params.client_info);
                step.client_capabilities(&mut params.capabilities);
            }
            ClientRequest::Complete(params) => step.complete(params),
            ClientRequest::CallTool(params) => {
                step.round(&mut params.input_responses, &mut params.request_state);
            }
            ClientRequest::GetPrompt(params) => {
                step.round(&mut params.input_responses, &mut params.request_state);
            }
            ClientRequest::ReadResource(params) => {
                step.round(&mut params.input_responses, &mut params.request_state);
            }
            ClientRequest::Ping(_)
            | ClientRequest::ListTools(_)
            | ClientRequest::ListPrompts(_)
            | ClientRequest::ListResources(_)
            | ClientRequest::ListResourceTemplates(_)
            | ClientRequest::Subscribe(_)
            | ClientRequest::Unsubscribe(_)
            | ClientRequest::SetLevel(_)
            | ClientRequest::Discover(_)
            | ClientRequest::Listen(_) => {}
        }
        Ok(())
    }
}

impl Lowered for ServerNotification {
    fn lower(&mut self, step: &dyn Lower) -> Result<(), &'static str> {
        if let ServerNotification::Progress(progress) = self {
            step.progress(progress);
        }
        Ok(())
    }
}

impl Lowered for ClientNotification {
    fn lower(&mut self, step: &dyn Lower) -> Result<(), &'static str> {
        if let ClientNotification::Progress(progress) = self {
            step.progress(progress);
        }
        Ok(())
    }
}

/// Takes structured content away; where there is no other content its text stays, so that the result is not lost.
pub(super) fn structured_as_text(structured: &mut Option<Raw>, content: &mut Vec<Content>) {
    if let Some(raw) = structured.take()
        && content.is_empty()
    {
        content.push(Content::text(raw.str_of(raw.as_str())));
    }
}

/// Whether a JSON Schema says `"type": "object"`, the only output schemas that older revisions know.
pub(super) fn is_object_schema(schema: &Raw) -> bool {
    #[derive(Deserialize)]
    struct Type<'a> {
        #[serde(borrow)]
        r#type: Option<&'a RawValue>,
    }

    schema.parse().is_ok_and(|Type { r#type }| r#type.is_some_and(|kind| kind.get() == "\"object\""))
}

fn contents(step: &dyn Lower, blocks: &mut [Content]) {
    blocks.iter_mut().for_each(|block| content(step, block));
}

fn content(step: &dyn Lower, block: &mut Content) {
    match block {
        Content::Text(text) => annotations(step, &mut text.annotations),
        Content::Image(image) => annotations(step, &mut image.annotations),
        Content::Audio(audio) => annotations(step, &mut audio.annotations),
        Content::ResourceLink(resource) => {
            step.resource(resource);
            annotations(step, &mut resource.annotations);
        }
        Content::Resource(embedded) => {
            step.resource_contents(&mut embedded.resource);
            annotations(step, &mut embedded.annotations);
        }
    }
    step.content(block);
}

fn sampling_content(step: &dyn Lower, block: &mut SamplingContent) {
    match block {
        SamplingContent::Text(text) => annotations(step, &mut text.annotations),
        SamplingContent::Image(image) => annotations(step, &mut image.annotations),
        SamplingContent::Audio(audio) => annotations(step, &mut audio.annotations),
        SamplingContent::ToolUse(_) => {}
        SamplingContent::ToolResult(result) => {
            step.tool_result(result);
            contents(step, &mut result.content);
        }
    }
    step.sampling_content(block);
}

fn annotations(step: &dyn Lower, annotations: &mut Option<Annotations>) {
    if let Some(annotations) = annotations {
        step.annotations(annotations);
    }
}
