//! Sampling: a server asks the client's model.

use serde::{Deserialize, Serialize};

use super::content::AnyContent;
use super::{AudioContent, Content, ImageContent, Meta, Role, TextContent, Tool, wire};
use crate::jsonrpc::{Raw, Str};

/// The parameters of `sampling/createMessage`; see
/// [sampling](https://modelcontextprotocol.io/specification/2025-11-25/client/sampling).
///
/// Deprecated by the specification since 2026-07-28, and served in every revision all the same: servers call the
/// interface of a model's provider instead
/// ([deprecated features](https://modelcontextprotocol.io/specification/2026-07-28/deprecated)).
///
/// ```
/// use throughline_proto::model::{CreateMessageParams, SamplingMessage};
///
/// let params = CreateMessageParams::new([SamplingMessage::user("What is the capital of France?")], 100);
/// assert_eq!(
///     serde_json::to_string(&params)?,
///     r#"{"messages":[{"role":"user","content":{"type":"text","text":"What is the capital of France?"}}],"maxTokens":100}"#
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CreateMessageParams {
    /// The conversation so far.
    pub messages: Vec<SamplingMessage>,
    /// Which model the server would like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_preferences: Option<ModelPreferences>,
    /// The system prompt the server would like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<Str>,
    /// Whose context to include. Absent means none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_context: Option<IncludeContext>,
    /// The sampling temperature.
    #[serde(default, with = "wire::maybe_number", skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// The most tokens that the model may produce.
    pub max_tokens: u64,
    /// Texts at which the model stops.
    #[serde(default, deserialize_with = "wire::nullable", skip_serializing_if = "Vec::is_empty")]
    pub stop_sequences: Vec<Str>,
    /// What the model's provider is told: a JSON object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Raw>,
    /// Tools that the model may use.
    #[serde(default, deserialize_with = "wire::nullable", skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Tool>,
    /// How the model chooses among the tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<ToolChoice>,
    /// What the request carries beside.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl CreateMessageParams {
    /// Asks the model to go on from these messages with at most so many tokens.
    pub fn new(messages: impl Into<Vec<SamplingMessage>>, max_tokens: u64) -> CreateMessageParams {
        CreateMessageParams {
            messages: messages.into(),
            model_preferences: None,
            system_prompt: None,
            include_context: None,
            temperature: None,
            max_tokens,
            stop_sequences: Vec::new(),
            metadata: None,
            tools: Vec::new(),
            tool_choice: None,
            meta: None,
        }
    }

    /// Whether tools are offered or used, which a client must have said it supports.
    #[must_use]
    pub fn uses_tools(&self) -> bool {
        !self.tools.is_empty()
            || self.tool_choice.is_some()
            || self.messages.iter().flat_map(|message| &message.content).any(SamplingContent::is_of_tools)
    }

    setters! {
        /// Which model the server would like.
        with_model_preferences(model_preferences: ModelPreferences) = Some(model_preferences);
        /// The system prompt the server would like.
        with_system_prompt(system_prompt: impl Into<Str>) = Some(system_prompt.into());
        /// Whose context to include.
        with_include_context(include_context: IncludeContext) = Some(include_context);
        /// The sampling temperature.
        with_temperature(temperature: f64) = Some(temperature);
        /// Texts at which the model stops.
        with_stop_sequences(stop_sequences: impl Into<Vec<Str>>) = stop_sequences.into();
        /// What the model's provider is told: a JSON object.
        with_metadata(metadata: Raw) = Some(metadata);
        /// Tools that the model may use.
        with_tools(tools: impl Into<Vec<Tool>>) = tools.into();
        /// How the model chooses among the tools.
        with_tool_choice(tool_choice: ToolChoice) = Some(tool_choice);
        /// What the request carries beside.
        with_meta(meta: Meta) = Some(meta);
    }
}

/// Which model a server would like. The client decides.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ModelPreferences {
    /// Names or parts of names, the best first.
    #[serde(default, deserialize_with = "wire::nullable", skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<ModelHint>,
    /// How much a low cost matters, from 0 to 1.
    #[serde(default, with = "wire::maybe_number", skip_serializing_if = "Option::is_none")]
    pub cost_priority: Option<f64>,
    /// How much speed matters, from 0 to 1.
    #[serde(default, with = "wire::maybe_number", skip_serializing_if = "Option::is_none")]
    pub speed_priority: Option<f64>,
    /// How much the model's abilities matter, from 0 to 1.
    #[serde(default, with = "wire::maybe_number", skip_serializing_if = "Option::is_none")]
    pub intelligence_priority: Option<f64>,
}

impl ModelPreferences {
    /// Preferences that say nothing yet.
    #[must_use]
    pub fn new() -> ModelPreferences {
        ModelPreferences::default()
    }

    setters! {
        /// Names or parts of names, the best first.
        with_hints(hints: impl Into<Vec<ModelHint>>) = hints.into();
        /// How much a low cost matters.
        with_cost_priority(cost_priority: f64) = Some(cost_priority);
        /// How much speed matters.
        with_speed_priority(speed_priority: f64) = Some(speed_priority);
        /// How much the model's abilities matter.
        with_intelligence_priority(intelligence_priority: f64) = Some(intelligence_priority);
    }
}

/// A name that a model might have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ModelHint {
    /// The name, or a part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Str>,
}

impl ModelHint {
    /// A model of this name.
    pub fn new(name: impl Into<Str>) -> ModelHint {
        ModelHint { name: Some(name.into()) }
    }
}

/// Whose context a client includes in a sampling request. All but [`IncludeContext::None`] need the client's
/// `sampling.context` capability, and are deprecated since 2025-11-25: leave the field out, or say `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum IncludeContext {
    /// Nobody's.
    None,
    /// That of the server that asks.
    ThisServer,
    /// That of all servers.
    AllServers,
}

/// How a model chooses among tools.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolChoice {
    /// The mode. Absent means [`ToolChoiceMode::Auto`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<ToolChoiceMode>,
}

impl ToolChoice {
    /// A choice of this mode.
    #[must_use]
    pub fn new(mode: ToolChoiceMode) -> ToolChoice {
        ToolChoice { mode: Some(mode) }
    }
}

/// Whether a model may, must or must not use tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ToolChoiceMode {
    /// It decides.
    Auto,
    /// It must use at least one.
    Required,
    /// It must use none.
    None,
}

/// One message of the conversation that a model goes on from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SamplingMessage {
    /// Who speaks.
    pub role: Role,
    /// What they say. Revisions that know one block per message get one message for each block.
    #[serde(with = "wire::one_or_many")]
    pub content: Vec<SamplingContent>,
    /// What the message carries beside.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl SamplingMessage {
    /// This role says this.
    pub fn new(role: Role, content: impl Into<Vec<SamplingContent>>) -> SamplingMessage {
        SamplingMessage { role, content: content.into(), meta: None }
    }

    /// The user says this.
    pub fn user(content: impl Into<SamplingContent>) -> SamplingMessage {
        SamplingMessage::new(Role::User, [content.into()])
    }

    /// The assistant says this.
    pub fn assistant(content: impl Into<SamplingContent>) -> SamplingMessage {
        SamplingMessage::new(Role::Assistant, [content.into()])
    }

    setters! {
        /// What the message carries beside.
        with_meta(meta: Meta) = Some(meta);
    }
}

/// One piece of what is said to or by a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", try_from = "AnyContent")]
#[non_exhaustive]
pub enum SamplingContent {
    /// Text.
    Text(TextContent),
    /// A picture.
    Image(ImageContent),
    /// Sound.
    Audio(AudioContent),
    /// The model wants to use a tool.
    ToolUse(ToolUseContent),
    /// What a tool gave.
    ToolResult(ToolResultContent),
}

impl SamplingContent {
    /// Text.
    pub fn text(text: impl Into<Str>) -> SamplingContent {
        SamplingContent::Text(TextContent::new(text))
    }

    /// A picture of this media type, from its bytes.
    pub fn image(bytes: impl AsRef<[u8]>, mime_type: impl Into<Str>) -> SamplingContent {
        SamplingContent::Image(ImageContent::new(bytes, mime_type))
    }

    /// Sound of this media type, from its bytes.
    pub fn audio(bytes: impl AsRef<[u8]>, mime_type: impl Into<Str>) -> SamplingContent {
        SamplingContent::Audio(AudioContent::new(bytes, mime_type))
    }

    /// The text, when this is text.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            SamplingContent::Text(text) => Some(&text.text),
            _ => None,
        }
    }

    /// Whether this is the use of a tool or what a tool gave.
    #[must_use]
    pub fn is_of_tools(&self) -> bool {
        matches!(self, SamplingContent::ToolUse(_) | SamplingContent::ToolResult(_))
    }
}

impl From<&'static str> for SamplingContent {
    fn from(text: &'static str) -> SamplingContent {
        SamplingContent::text(text)
    }
}

impl From<String> for SamplingContent {
    fn from(text: String) -> SamplingContent {
        SamplingContent::text(text)
    }
}

impl From<Str> for SamplingContent {
    fn from(text: Str) -> SamplingContent {
        SamplingContent::text(text)
    }
}

impl From<ToolUseContent> for SamplingContent {
    fn from(content: ToolUseContent) -> SamplingContent {
        SamplingContent::ToolUse(content)
    }
}

impl From<ToolResultContent> for SamplingContent {
    fn from(content: ToolResultContent) -> SamplingContent {
        SamplingContent::ToolResult(content)
    }
}

/// A model wants to use a tool.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ToolUseContent {
    /// Names this use, for the result to refer to.
    pub id: Str,
    /// Which tool.
    pub name: Str,
    /// Its arguments: a JSON object.
    pub input: Raw,
    /// What the content carries beside.
    #[serde(rename = "_meta", skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl ToolUseContent {
    /// A use of this tool with these arguments.
    pub fn new(id: impl Into<Str>, name: impl Into<Str>, input: Raw) -> ToolUseContent {
        ToolUseContent { id: id.into(), name: name.into(), input, meta: None }
    }
}

/// What a tool gave.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ToolResultContent {
    /// The use that this is the result of.
    pub tool_use_id: Str,
    /// What the tool has to say.
    pub content: Vec<Content>,
    /// The same as JSON, for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub structured_content: Option<Raw>,
    /// The tool failed; the content tells the model why.
    #[serde(skip_serializing_if = "wire::is_false")]
    pub is_error: bool,
    /// What the content carries beside.
    #[serde(rename = "_meta", skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl ToolResultContent {
    /// The tool says this.
    pub fn new(tool_use_id: impl Into<Str>, content: impl Into<Vec<Content>>) -> ToolResultContent {
        ToolResultContent {
            tool_use_id: tool_use_id.into(),
            content: content.into(),
            structured_content: None,
            is_error: false,
            meta: None,
        }
    }

    setters! {
        /// The same as JSON.
        with_structured_content(structured_content: Raw) = Some(structured_content);
        /// Whether the tool failed.
        with_is_error(is_error: bool) = is_error;
    }
}

/// The answer to `sampling/createMessage`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CreateMessageResult {
    /// Who speaks: the assistant.
    pub role: Role,
    /// What the model says.
    #[serde(with = "wire::one_or_many")]
    pub content: Vec<SamplingContent>,
    /// The model that spoke.
    pub model: Str,
    /// Why it stopped: one of the `STOP_*` constants or a provider's own word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<Str>,
    /// What the result carries beside.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl CreateMessageResult {
    /// The model had said all.
    pub const STOP_END_TURN: &str = "endTurn";
    /// The model met a stop sequence.
    pub const STOP_SEQUENCE: &str = "stopSequence";
    /// The model had produced as many tokens as it may.
    pub const STOP_MAX_TOKENS: &str = "maxTokens";
    /// The model wants to use tools.
    pub const STOP_TOOL_USE: &str = "toolUse";

    /// This model says this.
    pub fn new(model: impl Into<Str>, content: impl Into<Vec<SamplingContent>>) -> CreateMessageResult {
        CreateMessageResult {
            role: Role::Assistant,
            content: content.into(),
            model: model.into(),
            stop_reason: None,
            meta: None,
        }
    }

    setters! {
        /// Why it stopped.
        with_stop_reason(stop_reason: impl Into<Str>) = Some(stop_reason.into());
        /// What the result carries beside.
        with_meta(meta: Meta) = Some(meta);
    }
}
