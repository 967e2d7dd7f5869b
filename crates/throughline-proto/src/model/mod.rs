//! What handlers see: the protocol's messages, the same for every revision.
//!
//! Each type holds the union of what the revisions know. How a message looks on the wire of one revision is the business of
//! [`revision`](crate::revision), which leaves out or rewrites what that revision lacks. Input is read tolerantly: unknown
//! fields are ignored, and a field that an older revision does not have is simply absent.
//!
//! Types that the specification keeps extending are `#[non_exhaustive]`: build them with `new` and the `with_*` methods.
//! Text is a [`Str`](crate::jsonrpc::Str) and free JSON is a [`Raw`](crate::jsonrpc::Raw), so a clone costs a reference
//! count and JSON is never taken apart before somebody asks for it.

#[macro_use]
mod setters;
mod wire;

mod annotations;
mod answer;
mod cache;
mod cancelled;
mod capability;
mod client;
mod completion;
mod content;
mod discover;
mod elicitation;
mod extension;
mod icon;
mod initialize;
mod input_required;
mod logging;
mod meta;
mod method;
mod notification;
mod page;
mod progress;
mod prompt;
mod request;
mod resource;
mod root;
mod sampling;
mod subscription;
mod tool;

pub use annotations::{Annotations, Role};
pub use answer::{Answer, ClientAnswer};
pub use cache::{CacheHints, CacheScope};
pub use cancelled::CancelledParams;
pub use capability::{
    Capability, ClientCapabilities, ElicitationCapability, PromptsCapability, ResourcesCapability,
    RootsCapability, SamplingCapability, ServerCapabilities, ToolsCapability,
};
pub use client::Client;
pub use completion::{
    CompleteParams, CompleteResult, Completion, CompletionArgument, CompletionContext, PromptReference,
    Reference, ResourceTemplateReference,
};
pub use content::{AudioContent, Content, EmbeddedResource, ImageContent, TextContent};
pub use discover::DiscoverResult;
pub use elicitation::{
    BooleanSchema, ElicitAction, ElicitFormParams, ElicitParams, ElicitResult, ElicitSchema, ElicitUrlParams,
    ElicitationCompleteParams, EnumOption, FormError, FormMode, MultiSelectSchema, NumberSchema,
    PrimitiveSchema, SingleSelectSchema, StringFormat, StringSchema, UrlElicitationRequired, UrlMode,
};
pub use extension::is_extension_identifier;
pub use icon::{Icon, IconTheme};
pub use initialize::{Implementation, InitializeParams, InitializeResult};
pub(crate) use input_required::Question;
pub use input_required::{InputRequest, InputRequiredResult};
pub use logging::{LoggingLevel, LoggingMessageParams, SetLevelParams};
pub use meta::Meta;
pub use method::Method;
pub use notification::{ClientNotification, ServerNotification};
pub use page::{Cursor, EmptyParams, PaginatedParams};
pub use progress::ProgressParams;
pub use prompt::{
    GetPromptParams, GetPromptResult, ListPromptsResult, Prompt, PromptArgument, PromptMessage,
};
pub use request::{ClientRequest, ServerRequest};
pub use resource::{
    BlobResourceContents, ListResourceTemplatesResult, ListResourcesResult, ReadResourceParams,
    ReadResourceResult, Resource, ResourceContents, ResourceParams, ResourceTemplate, ResourceUpdatedParams,
    TextResourceContents,
};
pub use root::{ListRootsResult, Root};
pub use sampling::{
    CreateMessageParams, CreateMessageResult, IncludeContext, ModelHint, ModelPreferences, SamplingContent,
    SamplingMessage, ToolChoice, ToolChoiceMode, ToolResultContent, ToolUseContent,
};
pub use subscription::{ListenParams, ListenResult, SubscriptionFilter, SubscriptionsAcknowledgedParams};
pub use tool::{
    CallToolParams, CallToolResult, ListToolsResult, TaskSupport, Tool, ToolAnnotations, ToolExecution,
};

#[cfg(test)]
pub(crate) mod tests;
