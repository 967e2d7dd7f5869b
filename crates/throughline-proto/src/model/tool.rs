//! Tools: what a server can do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{CacheHints, CacheScope, Content, Cursor, Icon, Meta, wire};
use crate::jsonrpc::{Raw, Str};

/// A tool that a client can call; see
/// [tools](https://modelcontextprotocol.io/specification/2025-11-25/server/tools).
///
/// ```
/// use throughline_proto::{jsonrpc::Raw, model::{Tool, ToolAnnotations}};
///
/// let schema = Raw::from_json(r#"{"type":"object"}"#)?;
/// let tool = Tool::new("now", schema)
///     .with_description("The current time.")
///     .with_annotations(ToolAnnotations::new().with_read_only_hint(true));
/// assert_eq!(
///     serde_json::to_string(&tool)?,
///     r#"{"name":"now","description":"The current time.","inputSchema":{"type":"object"},"annotations":{"readOnlyHint":true}}"#
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Tool {
    /// Its name, for programs: 1 to 128 of the characters `A-Z a-z 0-9 _ - .`.
    pub name: Str,
    /// Its name, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Str>,
    /// What it does, for a model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Str>,
    /// The JSON Schema of its arguments: an object schema whose properties are schemas in object form (not `true`).
    pub input_schema: Raw,
    /// The JSON Schema of its structured content. A revision that only knows object schemas is not told of another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Raw>,
    /// Hints about what it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<ToolAnnotations>,
    /// How it may be run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<ToolExecution>,
    /// Pictures that a client may show.
    #[serde(default, deserialize_with = "wire::nullable", skip_serializing_if = "Vec::is_empty")]
    pub icons: Vec<Icon>,
    /// What the tool carries beside.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl Tool {
    /// A tool of this name, whose arguments this JSON Schema describes.
    pub fn new(name: impl Into<Str>, input_schema: Raw) -> Tool {
        Tool {
            name: name.into(),
            title: None,
            description: None,
            input_schema,
            output_schema: None,
            annotations: None,
            execution: None,
            icons: Vec::new(),
            meta: None,
        }
    }

    setters! {
        /// Its name, for people.
        with_title(title: impl Into<Str>) = Some(title.into());
        /// What it does, for a model.
        with_description(description: impl Into<Str>) = Some(description.into());
        /// The JSON Schema of its structured content.
        with_output_schema(output_schema: Raw) = Some(output_schema);
        /// Hints about what it does.
        with_annotations(annotations: ToolAnnotations) = Some(annotations);
        /// How it may be run.
        with_execution(execution: ToolExecution) = Some(execution);
        /// Pictures that a client may show.
        with_icons(icons: impl Into<Vec<Icon>>) = icons.into();
        /// What the tool carries beside.
        with_meta(meta: Meta) = Some(meta);
    }
}

/// Hints about what a tool does. A client must not trust them unless it trusts the server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ToolAnnotations {
    /// Its name for people, where the tool's own title is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Str>,
    /// It changes nothing. Absent means `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only_hint: Option<bool>,
    /// It may destroy something, if it changes anything. Absent means `true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destructive_hint: Option<bool>,
    /// A second call with the same arguments changes nothing more. Absent means `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotent_hint: Option<bool>,
    /// It reaches beyond a closed world, as a web search does. Absent means `true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_world_hint: Option<bool>,
}

impl ToolAnnotations {
    /// Annotations that say nothing yet.
    #[must_use]
    pub fn new() -> ToolAnnotations {
        ToolAnnotations::default()
    }

    setters! {
        /// Its name, for people.
        with_title(title: impl Into<Str>) = Some(title.into());
        /// Whether it changes nothing.
        with_read_only_hint(read_only_hint: bool) = Some(read_only_hint);
        /// Whether it may destroy something.
        with_destructive_hint(destructive_hint: bool) = Some(destructive_hint);
        /// Whether a second call changes nothing more.
        with_idempotent_hint(idempotent_hint: bool) = Some(idempotent_hint);
        /// Whether it reaches beyond a closed world.
        with_open_world_hint(open_world_hint: bool) = Some(open_world_hint);
    }
}

/// How a tool may be run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ToolExecution {
    /// Whether it may be run as a task. Absent means [`TaskSupport::Forbidden`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_support: Option<TaskSupport>,
}

impl ToolExecution {
    /// A tool that is run with this support for tasks.
    #[must_use]
    pub fn new(task_support: TaskSupport) -> ToolExecution {
        ToolExecution { task_support: Some(task_support) }
    }
}

/// Whether a tool may be run as a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskSupport {
    /// Never.
    Forbidden,
    /// If the client asks for it.
    Optional,
    /// Always.
    Required,
}

/// The parameters of `tools/call`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CallToolParams {
    /// Which tool.
    pub name: Str,
    /// Its arguments: a JSON object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Raw>,
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

impl CallToolParams {
    /// Calls this tool without arguments.
    pub fn new(name: impl Into<Str>) -> CallToolParams {
        CallToolParams {
            name: name.into(),
            arguments: None,
            input_responses: None,
            request_state: None,
            meta: None,
        }
    }

    setters! {
        /// The arguments: a JSON object.
        with_arguments(arguments: Raw) = Some(arguments);
        /// What the client answers to the questions of an [`InputRequiredResult`](super::InputRequiredResult).
        with_input_responses(input_responses: BTreeMap<Str, Raw>) = Some(input_responses);
        /// The state of that [`InputRequiredResult`](super::InputRequiredResult).
        with_request_state(request_state: impl Into<Str>) = Some(request_state.into());
        /// What the request carries beside.
        with_meta(meta: Meta) = Some(meta);
    }
}

/// The answer to `tools/call`.
///
/// ```
/// use throughline_proto::model::{CallToolResult, Content};
///
/// let kept = CallToolResult::new([Content::text("kept")]);
/// assert_eq!(serde_json::to_string(&kept)?, r#"{"content":[{"type":"text","text":"kept"}]}"#);
/// assert!(CallToolResult::error("no such project").is_error);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CallToolResult {
    /// What the tool has to say.
    #[serde(default, deserialize_with = "wire::nullable")]
    pub content: Vec<Content>,
    /// The same as JSON, for programs. Where a revision has no room for it (or only for objects) and there is no other
    /// content, it is sent as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub structured_content: Option<Raw>,
    /// The tool failed; the content tells the model why.
    #[serde(default, deserialize_with = "wire::nullable", skip_serializing_if = "wire::is_false")]
    pub is_error: bool,
    /// What the result carries beside.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl CallToolResult {
    /// The tool says this.
    pub fn new(content: impl Into<Vec<Content>>) -> CallToolResult {
        CallToolResult { content: content.into(), ..CallToolResult::default() }
    }

    /// The tool says this text.
    pub fn text(text: impl Into<Str>) -> CallToolResult {
        CallToolResult::new([Content::text(text)])
    }

    /// The tool failed, for this reason.
    pub fn error(text: impl Into<Str>) -> CallToolResult {
        CallToolResult { is_error: true, ..CallToolResult::text(text) }
    }

    /// The tool says this JSON, and the same as text for clients that cannot read structured content, as the
    /// [specification](https://modelcontextprotocol.io/specification/2025-11-25/server/tools#structured-content) asks.
    #[must_use]
    pub fn structured(content: Raw) -> CallToolResult {
        CallToolResult {
            structured_content: Some(content.clone()),
            ..CallToolResult::text(content.str_of(content.as_str()))
        }
    }

    setters! {
        /// The same as JSON.
        with_structured_content(structured_content: Raw) = Some(structured_content);
        /// Whether the tool failed.
        with_is_error(is_error: bool) = is_error;
        /// What the result carries beside.
        with_meta(meta: Meta) = Some(meta);
    }
}

/// The answer to `tools/list`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ListToolsResult {
    /// The tools of this page.
    #[serde(default, deserialize_with = "wire::nullable")]
    pub tools: Vec<Tool>,
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

impl ListToolsResult {
    /// A last page of these tools.
    pub fn new(tools: impl Into<Vec<Tool>>) -> ListToolsResult {
        ListToolsResult {
            tools: tools.into(),
            next_cursor: None,
            ttl_ms: None,
            cache_scope: None,
            meta: None,
        }
    }

    /// Says how the result may be kept.
    #[must_use]
    pub fn with_cache(mut self, cache: CacheHints) -> ListToolsResult {
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
