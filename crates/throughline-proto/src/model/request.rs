//! The requests of either side.

use serde::{Deserialize, Serialize};

use super::{
    CallToolParams, Capability, ClientCapabilities, CompleteParams, CreateMessageParams, ElicitFormParams,
    ElicitParams, ElicitUrlParams, EmptyParams, GetPromptParams, InitializeParams, ListenParams, Method,
    PaginatedParams, ReadResourceParams, ResourceParams, ServerCapabilities, SetLevelParams,
};
use crate::jsonrpc::{ErrorCode, ErrorObject, Raw, reason};

macro_rules! requests {
    ($(#[$attr:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident($params:ty),)* }) => {
        $(#[$attr])*
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[serde(untagged)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$doc])* $variant($params),)*
        }

        impl $name {
            /// The request's method.
            #[must_use]
            pub const fn method(&self) -> Method {
                match self {
                    $($name::$variant(_) => Method::$variant,)*
                }
            }

            /// Reads the request of this method. `None` when this side has no such request.
            ///
            /// # Errors
            ///
            /// Invalid params, when they do not fit the method.
            pub fn parse(method: Method, params: Option<&Raw>) -> Result<Option<$name>, ErrorObject> {
                Ok(Some(match method {
                    $(Method::$variant => $name::$variant(parse_params(method, params)?),)*
                    _ => return Ok(None),
                }))
            }
        }
    };
}

requests! {
    /// A request of a client; it serializes as its parameters.
    ClientRequest {
        /// Begins a session.
        Initialize(InitializeParams),
        /// Asks whether the server is there.
        Ping(EmptyParams),
        /// Asks for the tools.
        ListTools(PaginatedParams),
        /// Calls a tool.
        CallTool(CallToolParams),
        /// Asks for the prompts.
        ListPrompts(PaginatedParams),
        /// Gets a prompt.
        GetPrompt(GetPromptParams),
        /// Asks for the resources.
        ListResources(PaginatedParams),
        /// Asks for the resource templates.
        ListResourceTemplates(PaginatedParams),
        /// Reads a resource.
        ReadResource(ReadResourceParams),
        /// Asks to be told when a resource changes.
        Subscribe(ResourceParams),
        /// Asks not to be told any more.
        Unsubscribe(ResourceParams),
        /// Completes an argument.
        Complete(CompleteParams),
        /// Sets the least severe level of log messages.
        SetLevel(SetLevelParams),
        /// Asks which revisions the server speaks and what it can do.
        Discover(EmptyParams),
        /// Asks to be told of changes for as long as the answer takes.
        Listen(ListenParams),
    }
}

requests! {
    /// A request of a server; it serializes as its parameters.
    ServerRequest {
        /// Asks whether the client is there.
        Ping(EmptyParams),
        /// Asks the client's model.
        CreateMessage(CreateMessageParams),
        /// Asks for the client's roots.
        ListRoots(EmptyParams),
        /// Asks the client's user.
        Elicit(ElicitParams),
    }
}

impl ServerRequest {
    /// The capability that the client would have to declare for this very request and has not; `None` when it may be sent. It
    /// looks closer than the method's rule does: at tools in sampling and at the mode of an elicitation.
    ///
    /// ```
    /// use throughline_proto::model::{Capability, ClientCapabilities, CreateMessageParams, ServerRequest};
    ///
    /// let ask = ServerRequest::from(CreateMessageParams::new([], 10));
    /// assert_eq!(ask.missing_capability(&ClientCapabilities::new()), Some(Capability::Sampling));
    /// ```
    #[must_use]
    pub fn missing_capability(&self, client: &ClientCapabilities) -> Option<Capability> {
        let needed: &[Capability] = match self {
            ServerRequest::Ping(_) => &[],
            ServerRequest::CreateMessage(params) if params.uses_tools() => {
                &[Capability::Sampling, Capability::SamplingTools]
            }
            ServerRequest::CreateMessage(_) => &[Capability::Sampling],
            ServerRequest::ListRoots(_) => &[Capability::Roots],
            ServerRequest::Elicit(ElicitParams::Form(_)) => {
                &[Capability::Elicitation, Capability::ElicitationForm]
            }
            ServerRequest::Elicit(ElicitParams::Url(_)) => {
                &[Capability::Elicitation, Capability::ElicitationUrl]
            }
        };
        let server = ServerCapabilities::new();
        needed.iter().copied().find(|capability| !capability.is_declared(client, &server))
    }
}

impl From<CreateMessageParams> for ServerRequest {
    fn from(params: CreateMessageParams) -> ServerRequest {
        ServerRequest::CreateMessage(params)
    }
}

impl From<ElicitParams> for ServerRequest {
    fn from(params: ElicitParams) -> ServerRequest {
        ServerRequest::Elicit(params)
    }
}

impl From<ElicitFormParams> for ServerRequest {
    fn from(params: ElicitFormParams) -> ServerRequest {
        ServerRequest::Elicit(params.into())
    }
}

impl From<ElicitUrlParams> for ServerRequest {
    fn from(params: ElicitUrlParams) -> ServerRequest {
        ServerRequest::Elicit(params.into())
    }
}

/// Reads the parameters of a message; absent ones are read as an empty object.
pub(super) fn parse_params<'a, T: Deserialize<'a>>(
    method: Method,
    params: Option<&'a Raw>,
) -> Result<T, ErrorObject> {
    match params {
        Some(params) => params.parse(),
        None => serde_json::from_str("{}"),
    }
    .map_err(|error| {
        ErrorObject::new(
            ErrorCode::INVALID_PARAMS,
            format!("The params of {method} do not fit it: {}", reason(&error)),
        )
    })
}
