//! Content: what tools return and prompts are made of.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{Annotations, Icon, Meta, Resource, ResourceContents, SamplingContent};
use super::{ToolResultContent, ToolUseContent, wire};
use crate::jsonrpc::{Raw, Str};

/// One piece of content; see
/// [tool results](https://modelcontextprotocol.io/specification/2025-11-25/server/tools#tool-result).
///
/// ```
/// use throughline_proto::model::Content;
///
/// let content = Content::image(b"\x89PNG", "image/png");
/// assert_eq!(serde_json::to_string(&content)?, r#"{"type":"image","data":"iVBORw==","mimeType":"image/png"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", try_from = "AnyContent")]
#[non_exhaustive]
pub enum Content {
    /// Text.
    Text(TextContent),
    /// A picture.
    Image(ImageContent),
    /// Sound.
    Audio(AudioContent),
    /// A resource that can be read where it is.
    ResourceLink(Box<Resource>),
    /// A resource with what it holds.
    Resource(Box<EmbeddedResource>),
}

impl Content {
    /// Text.
    pub fn text(text: impl Into<Str>) -> Content {
        Content::Text(TextContent::new(text))
    }

    /// A picture of this media type, from its bytes.
    pub fn image(bytes: impl AsRef<[u8]>, mime_type: impl Into<Str>) -> Content {
        Content::Image(ImageContent::new(bytes, mime_type))
    }

    /// Sound of this media type, from its bytes.
    pub fn audio(bytes: impl AsRef<[u8]>, mime_type: impl Into<Str>) -> Content {
        Content::Audio(AudioContent::new(bytes, mime_type))
    }

    /// A resource that can be read where it is.
    #[must_use]
    pub fn resource_link(resource: Resource) -> Content {
        Content::ResourceLink(Box::new(resource))
    }

    /// A resource with what it holds.
    pub fn resource(contents: impl Into<ResourceContents>) -> Content {
        Content::Resource(Box::new(EmbeddedResource::new(contents)))
    }

    /// The text, when this is text.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Content::Text(text) => Some(&text.text),
            _ => None,
        }
    }

    /// Says for whom the content is meant and how much it matters.
    #[must_use]
    pub fn with_annotations(mut self, annotations: Annotations) -> Content {
        let place = match &mut self {
            Content::Text(content) => &mut content.annotations,
            Content::Image(content) => &mut content.annotations,
            Content::Audio(content) => &mut content.annotations,
            Content::ResourceLink(content) => &mut content.annotations,
            Content::Resource(content) => &mut content.annotations,
        };
        *place = Some(annotations);
        self
    }

    /// Sets what the content carries beside.
    #[must_use]
    pub fn with_meta(mut self, meta: Meta) -> Content {
        let place = match &mut self {
            Content::Text(content) => &mut content.meta,
            Content::Image(content) => &mut content.meta,
            Content::Audio(content) => &mut content.meta,
            Content::ResourceLink(content) => &mut content.meta,
            Content::Resource(content) => &mut content.meta,
        };
        *place = Some(meta);
        self
    }
}

impl From<&'static str> for Content {
    fn from(text: &'static str) -> Content {
        Content::text(text)
    }
}

impl From<String> for Content {
    fn from(text: String) -> Content {
        Content::text(text)
    }
}

impl From<Str> for Content {
    fn from(text: Str) -> Content {
        Content::text(text)
    }
}

/// Text.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TextContent {
    /// The text.
    pub text: Str,
    /// For whom it is meant and how much it matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Annotations>,
    /// What the content carries beside.
    #[serde(rename = "_meta", skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl TextContent {
    /// This text.
    pub fn new(text: impl Into<Str>) -> TextContent {
        TextContent { text: text.into(), annotations: None, meta: None }
    }
}

/// A picture.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ImageContent {
    /// The bytes in base64.
    pub data: Str,
    /// The media type, such as `image/png`.
    pub mime_type: Str,
    /// For whom it is meant and how much it matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Annotations>,
    /// What the content carries beside.
    #[serde(rename = "_meta", skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl ImageContent {
    /// A picture of this media type, from its bytes.
    pub fn new(bytes: impl AsRef<[u8]>, mime_type: impl Into<Str>) -> ImageContent {
        ImageContent::from_base64(STANDARD.encode(bytes), mime_type)
    }

    /// A picture whose bytes are in base64 already.
    pub fn from_base64(data: impl Into<Str>, mime_type: impl Into<Str>) -> ImageContent {
        ImageContent { data: data.into(), mime_type: mime_type.into(), annotations: None, meta: None }
    }

    /// The picture's bytes.
    ///
    /// # Errors
    ///
    /// When `data` is not base64.
    pub fn bytes(&self) -> Result<Vec<u8>, base64::DecodeError> {
        STANDARD.decode(self.data.as_bytes())
    }
}

/// Sound.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct AudioContent {
    /// The bytes in base64.
    pub data: Str,
    /// The media type, such as `audio/wav`.
    pub mime_type: Str,
    /// For whom it is meant and how much it matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Annotations>,
    /// What the content carries beside.
    #[serde(rename = "_meta", skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl AudioContent {
    /// Sound of this media type, from its bytes.
    pub fn new(bytes: impl AsRef<[u8]>, mime_type: impl Into<Str>) -> AudioContent {
        AudioContent::from_base64(STANDARD.encode(bytes), mime_type)
    }

    /// Sound whose bytes are in base64 already.
    pub fn from_base64(data: impl Into<Str>, mime_type: impl Into<Str>) -> AudioContent {
        AudioContent { data: data.into(), mime_type: mime_type.into(), annotations: None, meta: None }
    }

    /// The sound's bytes.
    ///
    /// # Errors
    ///
    /// When `data` is not base64.
    pub fn bytes(&self) -> Result<Vec<u8>, base64::DecodeError> {
        STANDARD.decode(self.data.as_bytes())
    }
}

/// A resource with what it holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EmbeddedResource {
    /// The resource.
    pub resource: ResourceContents,
    /// For whom it is meant and how much it matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Annotations>,
    /// What the content carries beside.
    #[serde(rename = "_meta", skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl EmbeddedResource {
    /// This resource.
    pub fn new(resource: impl Into<ResourceContents>) -> EmbeddedResource {
        EmbeddedResource { resource: resource.into(), annotations: None, meta: None }
    }
}

/// Every field of every kind of content. Reading goes through it, because serde's own tagged enums buffer what they read
/// and raw JSON does not survive that.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AnyContent {
    #[serde(rename = "type")]
    kind: Str,
    text: Option<Str>,
    data: Option<Str>,
    mime_type: Option<Str>,
    resource: Option<ResourceContents>,
    uri: Option<Str>,
    name: Option<Str>,
    title: Option<Str>,
    description: Option<Str>,
    size: Option<u64>,
    #[serde(default, deserialize_with = "wire::nullable")]
    icons: Vec<Icon>,
    id: Option<Str>,
    input: Option<Raw>,
    tool_use_id: Option<Str>,
    #[serde(default, deserialize_with = "wire::nullable")]
    content: Vec<Content>,
    structured_content: Option<Raw>,
    is_error: Option<bool>,
    annotations: Option<Annotations>,
    #[serde(rename = "_meta")]
    meta: Option<Meta>,
}

impl AnyContent {
    fn text(self) -> Result<TextContent, String> {
        Ok(TextContent {
            text: needed(self.text, "text", "text")?,
            annotations: self.annotations,
            meta: self.meta,
        })
    }

    fn image(self) -> Result<ImageContent, String> {
        Ok(ImageContent {
            data: needed(self.data, "image", "data")?,
            mime_type: needed(self.mime_type, "image", "mimeType")?,
            annotations: self.annotations,
            meta: self.meta,
        })
    }

    fn audio(self) -> Result<AudioContent, String> {
        Ok(AudioContent {
            data: needed(self.data, "audio", "data")?,
            mime_type: needed(self.mime_type, "audio", "mimeType")?,
            annotations: self.annotations,
            meta: self.meta,
        })
    }
}

impl TryFrom<AnyContent> for Content {
    type Error = String;

    fn try_from(any: AnyContent) -> Result<Content, String> {
        Ok(match &*any.kind {
            "text" => Content::Text(any.text()?),
            "image" => Content::Image(any.image()?),
            "audio" => Content::Audio(any.audio()?),
            "resource_link" => Content::ResourceLink(Box::new(Resource {
                uri: needed(any.uri, "resource_link", "uri")?,
                name: needed(any.name, "resource_link", "name")?,
                title: any.title,
                description: any.description,
                mime_type: any.mime_type,
                size: any.size,
                icons: any.icons,
                annotations: any.annotations,
                meta: any.meta,
            })),
            "resource" => Content::Resource(Box::new(EmbeddedResource {
                resource: needed(any.resource, "resource", "resource")?,
                annotations: any.annotations,
                meta: any.meta,
            })),
            other => return Err(unknown(other, "text, image, audio, resource_link or resource")),
        })
    }
}

impl TryFrom<AnyContent> for SamplingContent {
    type Error = String;

    fn try_from(any: AnyContent) -> Result<SamplingContent, String> {
        Ok(match &*any.kind {
            "text" => SamplingContent::Text(any.text()?),
            "image" => SamplingContent::Image(any.image()?),
            "audio" => SamplingContent::Audio(any.audio()?),
            "tool_use" => SamplingContent::ToolUse(ToolUseContent {
                id: needed(any.id, "tool_use", "id")?,
                name: needed(any.name, "tool_use", "name")?,
                input: needed(any.input, "tool_use", "input")?,
                meta: any.meta,
            }),
            "tool_result" => SamplingContent::ToolResult(ToolResultContent {
                tool_use_id: needed(any.tool_use_id, "tool_result", "toolUseId")?,
                content: any.content,
                structured_content: any.structured_content,
                is_error: any.is_error.unwrap_or_default(),
                meta: any.meta,
            }),
            other => return Err(unknown(other, "text, image, audio, tool_use or tool_result")),
        })
    }
}

fn needed<T>(field: Option<T>, kind: &str, name: &str) -> Result<T, String> {
    field.ok_or_else(|| format!("content of type `{kind}` needs the field `{name}`"))
}

fn unknown(kind: &str, known: &str) -> String {
    format!("content of type `{kind}` is not known here: use {known}")
}
