//! Prompts: texts that a server prepares for a conversation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{CacheHints, CacheScope, Content, Cursor, Icon, Meta, Role, wire};
use crate::jsonrpc::{Raw, Str};

/// A prompt that a client can get; see
/// [prompts](https://modelcontextprotocol.io/specification/2025-11-25/server/prompts).
///
/// ```
/// use throughline_proto::model::{Prompt, PromptArgument};
///
/// let prompt = Prompt::new("review").with_arguments([PromptArgument::new("code").with_required(true)]);
/// assert_eq!(
///     serde_json::to_string(&prompt)?,
///     r#"{"name":"review","arguments":[{"name":"code","required":true}]}"#
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Prompt {
    /// Its name, for programs.
    pub name: Str,
    /// Its name, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Str>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Str>,
    /// What it is filled with.
    #[serde(default, deserialize_with = "wire::nullable", skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<PromptArgument>,
    /// Pictures that a client may show.
    #[serde(default, deserialize_with = "wire::nullable", skip_serializing_if = "Vec::is_empty")]
    pub icons: Vec<Icon>,
    /// What the prompt carries beside.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl Prompt {
    /// A prompt of this name, without arguments.
    pub fn new(name: impl Into<Str>) -> Prompt {
        Prompt {
            name: name.into(),
            title: None,
            description: None,
            arguments: Vec::new(),
            icons: Vec::new(),
            meta: None,
        }
    }

    setters! {
        /// Its name, for people.
        with_title(title: impl Into<Str>) = Some(title.into());
        /// What it is for.
        with_description(description: impl Into<Str>) = Some(description.into());
        /// What it is filled with.
        with_arguments(arguments: impl Into<Vec<PromptArgument>>) = arguments.into();
        /// Pictures that a client may show.
        with_icons(icons: impl Into<Vec<Icon>>) = icons.into();
        /// What the prompt carries beside.
        with_meta(meta: Meta) = Some(meta);
    }
}

/// Something that a prompt is filled with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PromptArgument {
    /// Its name, for programs.
    pub name: Str,
    /// Its name, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Str>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Str>,
    /// Whether the prompt cannot do without it.
    #[serde(default, deserialize_with = "wire::nullable", skip_serializing_if = "wire::is_false")]
    pub required: bool,
}

impl PromptArgument {
    /// An optional argument of this name.
    pub fn new(name: impl Into<Str>) -> PromptArgument {
        PromptArgument { name: name.into(), title: None, description: None, required: false }
    }

    setters! {
        /// Its name, for people.
        with_title(title: impl Into<Str>) = Some(title.into());
        /// What it is for.
        with_description(description: impl Into<Str>) = Some(description.into());
        /// Whether the prompt cannot do without it.
        with_required(required: bool) = required;
    }
}

/// One message of a prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PromptMessage {
    /// Who speaks.
    pub role: Role,
    /// What they say.
    pub content: Content,
}

impl PromptMessage {
    /// This role says this.
    pub fn new(role: Role, content: impl Into<Content>) -> PromptMessage {
        PromptMessage { role, content: content.into() }
    }

    /// The user says this.
    pub fn user(content: impl Into<Content>) -> PromptMessage {
        PromptMessage::new(Role::User, content)
    }

    /// The assistant says this.
    pub fn assistant(content: impl Into<Content>) -> PromptMessage {
        PromptMessage::new(Role::Assistant, content)
    }
}

/// The parameters of `prompts/get`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct GetPromptParams {
    /// Which prompt.
    pub name: Str,
    /// What it is filled with.
    #[serde(default, deserialize_with = "wire::nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub arguments: BTreeMap<Str, Str>,
    /// What the client answers to the questions of an [`InputRequiredResult`](super::InputRequiredResult), by their names. Only in the modern era.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_responses: Option<BTreeMap<Str, Raw>>,
    /// The state of that [`InputRequiredResult`](super::InputRequiredResult), as it came. Only in the modern era.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_state: Option<Str>,
    /// What the request carries beside.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl GetPromptParams {
    /// Gets this prompt.
    pub fn new(name: impl Into<Str>) -> GetPromptParams {
        GetPromptParams {
            name: name.into(),
            arguments: BTreeMap::new(),
            input_responses: None,
            request_state: None,
            meta: None,
        }
    }

    /// Fills in one argument.
    #[must_use]
    pub fn with_argument(mut self, name: impl Into<Str>, value: impl Into<Str>) -> GetPromptParams {
        self.arguments.insert(name.into(), value.into());
        self
    }

    setters! {
        /// What the client answers to the questions of an [`InputRequiredResult`](super::InputRequiredResult).
        with_input_responses(input_responses: BTreeMap<Str, Raw>) = Some(input_responses);
        /// The state of that [`InputRequiredResult`](super::InputRequiredResult).
        with_request_state(request_state: impl Into<Str>) = Some(request_state.into());
        /// What the request carries beside.
        with_meta(meta: Meta) = Some(meta);
    }
}

/// The answer to `prompts/get`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GetPromptResult {
    /// What the prompt is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Str>,
    /// The conversation that the prompt begins.
    #[serde(default, deserialize_with = "wire::nullable")]
    pub messages: Vec<PromptMessage>,
    /// What the result carries beside.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl GetPromptResult {
    /// These messages.
    pub fn new(messages: impl Into<Vec<PromptMessage>>) -> GetPromptResult {
        GetPromptResult { description: None, messages: messages.into(), meta: None }
    }

    setters! {
        /// What the prompt is for.
        with_description(description: impl Into<Str>) = Some(description.into());
        /// What the result carries beside.
        with_meta(meta: Meta) = Some(meta);
    }
}

/// The answer to `prompts/list`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ListPromptsResult {
    /// The prompts of this page.
    #[serde(default, deserialize_with = "wire::nullable")]
    pub prompts: Vec<Prompt>,
    /// Where the next page begins; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<Cursor>,
    /// For how many milliseconds the result counts as fresh; absent is the server's default. Only the modern era says it.
    #[serde(default, deserialize_with = "wire::ttl", skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
    /// Who may keep the result; absent is the server's default. Only the modern era says it.
    #[serde(default, deserialize_with = "wire::scope", skip_serializing_if = "Option::is_none")]
    pub cache_scope: Option<CacheScope>,
    /// What the result carries beside.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl ListPromptsResult {
    /// A last page of these prompts.
    pub fn new(prompts: impl Into<Vec<Prompt>>) -> ListPromptsResult {
        ListPromptsResult {
            prompts: prompts.into(),
            next_cursor: None,
            ttl_ms: None,
            cache_scope: None,
            meta: None,
        }
    }

    /// Says how the result may be kept.
    #[must_use]
    pub fn with_cache(mut self, cache: CacheHints) -> ListPromptsResult {
        (self.ttl_ms, self.cache_scope) = (Some(cache.ttl_ms), Some(cache.scope));
        self
    }

    setters! {
        /// Where the next page begins.
        with_next_cursor(next_cursor: impl Into<Cursor>) = Some(next_cursor.into());
        /// What the result carries beside.
        with_meta(meta: Meta) = Some(meta);
    }
}
