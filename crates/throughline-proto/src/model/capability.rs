//! Capabilities: what each side says it can do.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::wire;
use crate::jsonrpc::{Raw, Str};

/// What a client can do; see
/// [capability negotiation](https://modelcontextprotocol.io/specification/2025-11-25/basic/lifecycle#capability-negotiation).
///
/// ```
/// use throughline_proto::model::ClientCapabilities;
///
/// let client: ClientCapabilities = serde_json::from_str(r#"{"roots":{},"elicitation":{}}"#)?;
/// assert!(client.elicitation.is_some_and(|elicitation| elicitation.has_form() && !elicitation.url));
/// assert!(client.sampling.is_none());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ClientCapabilities {
    /// It tells its roots. Deprecated since 2026-07-28, as sampling is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roots: Option<RootsCapability>,
    /// It lets its model be asked. Deprecated since 2026-07-28; see
    /// [deprecated features](https://modelcontextprotocol.io/specification/2026-07-28/deprecated).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampling: Option<SamplingCapability>,
    /// It lets its user be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elicitation: Option<ElicitationCapability>,
    /// Trials that the specification knows nothing of: name to a JSON object.
    #[serde(default, deserialize_with = "wire::nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub experimental: BTreeMap<Str, Raw>,
    /// Extensions of the protocol: name to a JSON object.
    #[serde(default, deserialize_with = "wire::nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub extensions: BTreeMap<Str, Raw>,
}

impl ClientCapabilities {
    /// A client that can do nothing beside calling.
    #[must_use]
    pub fn new() -> ClientCapabilities {
        ClientCapabilities::default()
    }

    setters! {
        /// It tells its roots.
        with_roots(roots: RootsCapability) = Some(roots);
        /// It lets its model be asked.
        with_sampling(sampling: SamplingCapability) = Some(sampling);
        /// It lets its user be asked.
        with_elicitation(elicitation: ElicitationCapability) = Some(elicitation);
        /// Trials that the specification knows nothing of.
        with_experimental(experimental: BTreeMap<Str, Raw>) = experimental;
        /// Extensions of the protocol.
        with_extensions(extensions: BTreeMap<Str, Raw>) = extensions;
    }
}

/// A client tells its roots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RootsCapability {
    /// It says when they change.
    #[serde(default, deserialize_with = "wire::nullable", skip_serializing_if = "wire::is_false")]
    pub list_changed: bool,
}

/// A client lets its model be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SamplingCapability {
    /// It can include the context of servers.
    #[serde(default, with = "wire::presence", skip_serializing_if = "wire::is_false")]
    pub context: bool,
    /// It lets the model use tools.
    #[serde(default, with = "wire::presence", skip_serializing_if = "wire::is_false")]
    pub tools: bool,
}

/// A client lets its user be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ElicitationCapability {
    /// It shows forms; see [`has_form`](ElicitationCapability::has_form) for what an empty capability means.
    #[serde(default, with = "wire::presence", skip_serializing_if = "wire::is_false")]
    pub form: bool,
    /// It opens addresses.
    #[serde(default, with = "wire::presence", skip_serializing_if = "wire::is_false")]
    pub url: bool,
}

impl ElicitationCapability {
    /// Whether it shows forms: an empty capability means just that, as older revisions had no other mode; see
    /// [capabilities](https://modelcontextprotocol.io/specification/2025-11-25/client/elicitation#capabilities).
    #[must_use]
    pub fn has_form(self) -> bool {
        self.form || !self.url
    }
}

/// What a server can do; see
/// [capability negotiation](https://modelcontextprotocol.io/specification/2025-11-25/basic/lifecycle#capability-negotiation).
///
/// ```
/// use throughline_proto::model::{ServerCapabilities, ToolsCapability};
///
/// let server = ServerCapabilities::new().with_tools(ToolsCapability { list_changed: true }).with_logging(true);
/// assert_eq!(serde_json::to_string(&server)?, r#"{"tools":{"listChanged":true},"logging":{}}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ServerCapabilities {
    /// It has tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<ToolsCapability>,
    /// It has prompts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompts: Option<PromptsCapability>,
    /// It has resources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourcesCapability>,
    /// It completes arguments.
    #[serde(default, with = "wire::presence", skip_serializing_if = "wire::is_false")]
    pub completions: bool,
    /// It sends log messages. Deprecated since 2026-07-28; see
    /// [deprecated features](https://modelcontextprotocol.io/specification/2026-07-28/deprecated).
    #[serde(default, with = "wire::presence", skip_serializing_if = "wire::is_false")]
    pub logging: bool,
    /// Trials that the specification knows nothing of: name to a JSON object.
    #[serde(default, deserialize_with = "wire::nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub experimental: BTreeMap<Str, Raw>,
    /// Extensions of the protocol: name to a JSON object.
    #[serde(default, deserialize_with = "wire::nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub extensions: BTreeMap<Str, Raw>,
}

impl ServerCapabilities {
    /// A server that can do nothing yet.
    #[must_use]
    pub fn new() -> ServerCapabilities {
        ServerCapabilities::default()
    }

    setters! {
        /// It has tools.
        with_tools(tools: ToolsCapability) = Some(tools);
        /// It has prompts.
        with_prompts(prompts: PromptsCapability) = Some(prompts);
        /// It has resources.
        with_resources(resources: ResourcesCapability) = Some(resources);
        /// Whether it completes arguments.
        with_completions(completions: bool) = completions;
        /// Whether it sends log messages.
        with_logging(logging: bool) = logging;
        /// Trials that the specification knows nothing of.
        with_experimental(experimental: BTreeMap<Str, Raw>) = experimental;
        /// Extensions of the protocol.
        with_extensions(extensions: BTreeMap<Str, Raw>) = extensions;
    }
}

/// A server has tools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolsCapability {
    /// It says when they change.
    #[serde(default, deserialize_with = "wire::nullable", skip_serializing_if = "wire::is_false")]
    pub list_changed: bool,
}

/// A server has prompts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PromptsCapability {
    /// It says when they change.
    #[serde(default, deserialize_with = "wire::nullable", skip_serializing_if = "wire::is_false")]
    pub list_changed: bool,
}

/// A server has resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourcesCapability {
    /// It can be asked to say when one changes.
    #[serde(default, deserialize_with = "wire::nullable", skip_serializing_if = "wire::is_false")]
    pub subscribe: bool,
    /// It says when the list of them changes.
    #[serde(default, deserialize_with = "wire::nullable", skip_serializing_if = "wire::is_false")]
    pub list_changed: bool,
}

/// One capability, as a method needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Capability {
    /// The server's `tools`.
    Tools,
    /// The server's `tools.listChanged`.
    ToolsListChanged,
    /// The server's `prompts`.
    Prompts,
    /// The server's `prompts.listChanged`.
    PromptsListChanged,
    /// The server's `resources`.
    Resources,
    /// The server's `resources.subscribe`.
    ResourcesSubscribe,
    /// The server's `resources.listChanged`.
    ResourcesListChanged,
    /// The server's `completions`.
    Completions,
    /// The server's `logging`.
    Logging,
    /// The client's `roots`.
    Roots,
    /// The client's `roots.listChanged`.
    RootsListChanged,
    /// The client's `sampling`.
    Sampling,
    /// The client's `sampling.tools`.
    SamplingTools,
    /// The client's `elicitation`.
    Elicitation,
    /// The client's `elicitation.form`, which an empty `elicitation` means too.
    ElicitationForm,
    /// The client's `elicitation.url`.
    ElicitationUrl,
}

impl Capability {
    /// The capability's path in the side's capabilities, such as `resources.subscribe`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Capability::Tools => "tools",
            Capability::ToolsListChanged => "tools.listChanged",
            Capability::Prompts => "prompts",
            Capability::PromptsListChanged => "prompts.listChanged",
            Capability::Resources => "resources",
            Capability::ResourcesSubscribe => "resources.subscribe",
            Capability::ResourcesListChanged => "resources.listChanged",
            Capability::Completions => "completions",
            Capability::Logging => "logging",
            Capability::Roots => "roots",
            Capability::RootsListChanged => "roots.listChanged",
            Capability::Sampling => "sampling",
            Capability::SamplingTools => "sampling.tools",
            Capability::Elicitation => "elicitation",
            Capability::ElicitationForm => "elicitation.form",
            Capability::ElicitationUrl => "elicitation.url",
        }
    }

    /// Whether it is the client that declares it.
    #[must_use]
    pub const fn is_of_client(self) -> bool {
        matches!(
            self,
            Capability::Roots
                | Capability::RootsListChanged
                | Capability::Sampling
                | Capability::SamplingTools
                | Capability::Elicitation
                | Capability::ElicitationForm
                | Capability::ElicitationUrl
        )
    }

    /// Whether the side that declares it has declared it.
    #[must_use]
    pub fn is_declared(self, client: &ClientCapabilities, server: &ServerCapabilities) -> bool {
        match self {
            Capability::Tools => server.tools.is_some(),
            Capability::ToolsListChanged => server.tools.is_some_and(|tools| tools.list_changed),
            Capability::Prompts => server.prompts.is_some(),
            Capability::PromptsListChanged => server.prompts.is_some_and(|prompts| prompts.list_changed),
            Capability::Resources => server.resources.is_some(),
            Capability::ResourcesSubscribe => server.resources.is_some_and(|resources| resources.subscribe),
            Capability::ResourcesListChanged => {
                server.resources.is_some_and(|resources| resources.list_changed)
            }
            Capability::Completions => server.completions,
            Capability::Logging => server.logging,
            Capability::Roots => client.roots.is_some(),
            Capability::RootsListChanged => client.roots.is_some_and(|roots| roots.list_changed),
            Capability::Sampling => client.sampling.is_some(),
            Capability::SamplingTools => client.sampling.is_some_and(|sampling| sampling.tools),
            Capability::Elicitation => client.elicitation.is_some(),
            Capability::ElicitationForm => client.elicitation.is_some_and(ElicitationCapability::has_form),
            Capability::ElicitationUrl => client.elicitation.is_some_and(|elicitation| elicitation.url),
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
