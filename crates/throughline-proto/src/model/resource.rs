//! Resources: what a server can be read from.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{Annotations, CacheHints, CacheScope, Cursor, Icon, Meta, wire};
use crate::jsonrpc::{Raw, Str};

/// A resource that the server can be asked to read, and the shape of a link to one; see
/// [resources](https://modelcontextprotocol.io/specification/2025-11-25/server/resources).
///
/// ```
/// use throughline_proto::model::Resource;
///
/// let resource = Resource::new("file:///notes.md", "notes.md").with_mime_type("text/markdown");
/// assert_eq!(
///     serde_json::to_string(&resource)?,
///     r#"{"uri":"file:///notes.md","name":"notes.md","mimeType":"text/markdown"}"#
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Resource {
    /// Where it is.
    pub uri: Str,
    /// Its name, for programs.
    pub name: Str,
    /// Its name, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Str>,
    /// What it is, for a model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Str>,
    /// Its media type, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<Str>,
    /// How many bytes it holds, before any encoding, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Pictures that a client may show.
    #[serde(default, deserialize_with = "wire::nullable", skip_serializing_if = "Vec::is_empty")]
    pub icons: Vec<Icon>,
    /// For whom it is meant and how much it matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Annotations>,
    /// What the resource carries beside.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl Resource {
    /// A resource of this URI and name.
    pub fn new(uri: impl Into<Str>, name: impl Into<Str>) -> Resource {
        Resource {
            uri: uri.into(),
            name: name.into(),
            title: None,
            description: None,
            mime_type: None,
            size: None,
            icons: Vec::new(),
            annotations: None,
            meta: None,
        }
    }

    setters! {
        /// Its name, for people.
        with_title(title: impl Into<Str>) = Some(title.into());
        /// What it is, for a model.
        with_description(description: impl Into<Str>) = Some(description.into());
        /// Its media type.
        with_mime_type(mime_type: impl Into<Str>) = Some(mime_type.into());
        /// How many bytes it holds.
        with_size(size: u64) = Some(size);
        /// Pictures that a client may show.
        with_icons(icons: impl Into<Vec<Icon>>) = icons.into();
        /// For whom it is meant and how much it matters.
        with_annotations(annotations: Annotations) = Some(annotations);
        /// What the resource carries beside.
        with_meta(meta: Meta) = Some(meta);
    }
}

/// A family of resources, by a template for their URIs (RFC 6570); see
/// [resource templates](https://modelcontextprotocol.io/specification/2025-11-25/server/resources#resource-templates).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ResourceTemplate {
    /// The template, such as `file:///{path}`.
    pub uri_template: Str,
    /// Its name, for programs.
    pub name: Str,
    /// Its name, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Str>,
    /// What it is for, for a model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Str>,
    /// The media type, if all resources of the family have the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<Str>,
    /// Pictures that a client may show.
    #[serde(default, deserialize_with = "wire::nullable", skip_serializing_if = "Vec::is_empty")]
    pub icons: Vec<Icon>,
    /// For whom it is meant and how much it matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Annotations>,
    /// What the template carries beside.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl ResourceTemplate {
    /// A family of this template and name.
    pub fn new(uri_template: impl Into<Str>, name: impl Into<Str>) -> ResourceTemplate {
        ResourceTemplate {
            uri_template: uri_template.into(),
            name: name.into(),
            title: None,
            description: None,
            mime_type: None,
            icons: Vec::new(),
            annotations: None,
            meta: None,
        }
    }

    setters! {
        /// Its name, for people.
        with_title(title: impl Into<Str>) = Some(title.into());
        /// What it is for, for a model.
        with_description(description: impl Into<Str>) = Some(description.into());
        /// The media type that all resources of the family have.
        with_mime_type(mime_type: impl Into<Str>) = Some(mime_type.into());
        /// Pictures that a client may show.
        with_icons(icons: impl Into<Vec<Icon>>) = icons.into();
        /// For whom it is meant and how much it matters.
        with_annotations(annotations: Annotations) = Some(annotations);
        /// What the template carries beside.
        with_meta(meta: Meta) = Some(meta);
    }
}

/// What a resource holds: text or bytes.
///
/// ```
/// use throughline_proto::model::ResourceContents;
///
/// let contents = ResourceContents::text("file:///notes.md", "# Notes").with_mime_type("text/markdown");
/// assert_eq!(
///     serde_json::to_string(&contents)?,
///     r##"{"uri":"file:///notes.md","mimeType":"text/markdown","text":"# Notes"}"##
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, try_from = "AnyContents")]
pub enum ResourceContents {
    /// Text.
    Text(TextResourceContents),
    /// Bytes.
    Blob(BlobResourceContents),
}

impl ResourceContents {
    /// The resource at this URI holds this text.
    pub fn text(uri: impl Into<Str>, text: impl Into<Str>) -> ResourceContents {
        ResourceContents::Text(TextResourceContents {
            uri: uri.into(),
            mime_type: None,
            text: text.into(),
            meta: None,
        })
    }

    /// The resource at this URI holds these bytes.
    pub fn blob(uri: impl Into<Str>, bytes: impl AsRef<[u8]>) -> ResourceContents {
        ResourceContents::Blob(BlobResourceContents {
            uri: uri.into(),
            mime_type: None,
            blob: STANDARD.encode(bytes).into(),
            meta: None,
        })
    }

    /// Where the resource is.
    #[must_use]
    pub fn uri(&self) -> &Str {
        match self {
            ResourceContents::Text(contents) => &contents.uri,
            ResourceContents::Blob(contents) => &contents.uri,
        }
    }

    /// Its media type, if it is known.
    #[must_use]
    pub fn mime_type(&self) -> Option<&Str> {
        match self {
            ResourceContents::Text(contents) => contents.mime_type.as_ref(),
            ResourceContents::Blob(contents) => contents.mime_type.as_ref(),
        }
    }

    /// Sets the media type.
    #[must_use]
    pub fn with_mime_type(mut self, mime_type: impl Into<Str>) -> ResourceContents {
        let place = match &mut self {
            ResourceContents::Text(contents) => &mut contents.mime_type,
            ResourceContents::Blob(contents) => &mut contents.mime_type,
        };
        *place = Some(mime_type.into());
        self
    }

    /// Sets what the contents carry beside.
    #[must_use]
    pub fn with_meta(mut self, meta: Meta) -> ResourceContents {
        *self.meta_mut() = Some(meta);
        self
    }

    /// What the contents carry beside.
    pub fn meta_mut(&mut self) -> &mut Option<Meta> {
        match self {
            ResourceContents::Text(contents) => &mut contents.meta,
            ResourceContents::Blob(contents) => &mut contents.meta,
        }
    }
}

/// A resource that holds text.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TextResourceContents {
    /// Where it is.
    pub uri: Str,
    /// Its media type, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<Str>,
    /// The text.
    pub text: Str,
    /// What the contents carry beside.
    #[serde(rename = "_meta", skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

/// A resource that holds bytes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct BlobResourceContents {
    /// Where it is.
    pub uri: Str,
    /// Its media type, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<Str>,
    /// The bytes in base64.
    pub blob: Str,
    /// What the contents carry beside.
    #[serde(rename = "_meta", skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl BlobResourceContents {
    /// The bytes.
    ///
    /// # Errors
    ///
    /// When `blob` is not base64.
    pub fn bytes(&self) -> Result<Vec<u8>, base64::DecodeError> {
        STANDARD.decode(self.blob.as_bytes())
    }
}

/// Both kinds of contents in one, because serde's untagged enums buffer what they read and raw JSON does not survive that.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnyContents {
    uri: Str,
    mime_type: Option<Str>,
    text: Option<Str>,
    blob: Option<Str>,
    #[serde(rename = "_meta")]
    meta: Option<Meta>,
}

impl TryFrom<AnyContents> for ResourceContents {
    type Error = &'static str;

    fn try_from(any: AnyContents) -> Result<ResourceContents, &'static str> {
        let AnyContents { uri, mime_type, text, blob, meta } = any;
        match (text, blob) {
            (Some(text), _) => {
                Ok(ResourceContents::Text(TextResourceContents { uri, mime_type, text, meta }))
            }
            (None, Some(blob)) => {
                Ok(ResourceContents::Blob(BlobResourceContents { uri, mime_type, blob, meta }))
            }
            (None, None) => Err("resource contents need one of the fields `text` and `blob`"),
        }
    }
}

/// The parameters of `resources/read`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ReadResourceParams {
    /// Which resource.
    pub uri: Str,
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

impl ReadResourceParams {
    /// The resource at this URI.
    pub fn new(uri: impl Into<Str>) -> ReadResourceParams {
        ReadResourceParams { uri: uri.into(), input_responses: None, request_state: None, meta: None }
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

/// The parameters of `resources/subscribe` and `resources/unsubscribe`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResourceParams {
    /// Which resource.
    pub uri: Str,
    /// What the request carries beside.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl ResourceParams {
    /// The resource at this URI.
    pub fn new(uri: impl Into<Str>) -> ResourceParams {
        ResourceParams { uri: uri.into(), meta: None }
    }

    setters! {
        /// What the request carries beside.
        with_meta(meta: Meta) = Some(meta);
    }
}

/// The parameters of `notifications/resources/updated`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResourceUpdatedParams {
    /// The resource that changed. It may lie below the one that was subscribed to.
    pub uri: Str,
    /// What the notification carries beside.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl ResourceUpdatedParams {
    /// The resource at this URI changed.
    pub fn new(uri: impl Into<Str>) -> ResourceUpdatedParams {
        ResourceUpdatedParams { uri: uri.into(), meta: None }
    }

    setters! {
        /// What the notification carries beside.
        with_meta(meta: Meta) = Some(meta);
    }
}

/// The answer to `resources/list`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ListResourcesResult {
    /// The resources of this page.
    #[serde(default, deserialize_with = "wire::nullable")]
    pub resources: Vec<Resource>,
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

impl ListResourcesResult {
    /// A last page of these resources.
    pub fn new(resources: impl Into<Vec<Resource>>) -> ListResourcesResult {
        ListResourcesResult {
            resources: resources.into(),
            next_cursor: None,
            ttl_ms: None,
            cache_scope: None,
            meta: None,
        }
    }

    /// Says how the result may be kept.
    #[must_use]
    pub fn with_cache(mut self, cache: CacheHints) -> ListResourcesResult {
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

/// The answer to `resources/templates/list`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ListResourceTemplatesResult {
    /// The templates of this page.
    #[serde(default, deserialize_with = "wire::nullable")]
    pub resource_templates: Vec<ResourceTemplate>,
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

impl ListResourceTemplatesResult {
    /// A last page of these templates.
    pub fn new(resource_templates: impl Into<Vec<ResourceTemplate>>) -> ListResourceTemplatesResult {
        ListResourceTemplatesResult {
            resource_templates: resource_templates.into(),
            next_cursor: None,
            ttl_ms: None,
            cache_scope: None,
            meta: None,
        }
    }

    /// Says how the result may be kept.
    #[must_use]
    pub fn with_cache(mut self, cache: CacheHints) -> ListResourceTemplatesResult {
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

/// The answer to `resources/read`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ReadResourceResult {
    /// What the resource holds; several when it stands for many, as a directory does.
    #[serde(default, deserialize_with = "wire::nullable")]
    pub contents: Vec<ResourceContents>,
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

impl ReadResourceResult {
    /// These contents.
    pub fn new(contents: impl Into<Vec<ResourceContents>>) -> ReadResourceResult {
        ReadResourceResult { contents: contents.into(), ttl_ms: None, cache_scope: None, meta: None }
    }

    /// Says how the result may be kept.
    #[must_use]
    pub fn with_cache(mut self, cache: CacheHints) -> ReadResourceResult {
        (self.ttl_ms, self.cache_scope) = (Some(cache.ttl_ms), Some(cache.scope));
        self
    }

    setters! {
        /// What the result carries beside.
        with_meta(meta: Meta) = Some(meta);
    }
}
