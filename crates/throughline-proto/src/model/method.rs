//! The methods of the protocol.

use std::fmt;

use crate::jsonrpc::{Outline, Part};

macro_rules! methods {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A method that some revision knows. Which revision knows which one, and from whom, is asked of
        /// [`Revision`](crate::revision::Revision).
        ///
        /// ```
        /// use throughline_proto::model::Method;
        ///
        /// assert_eq!(Method::parse("tools/call"), Some(Method::CallTool));
        /// assert_eq!(Method::CallTool.as_str(), "tools/call");
        /// assert_eq!(Method::parse("tools/CALL"), None);
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Method {
            $($(#[$doc])* $variant,)*
        }

        impl Method {
            /// All methods.
            pub const ALL: &[Method] = &[$(Method::$variant,)*];

            /// The method of this name.
            #[must_use]
            pub fn parse(name: &str) -> Option<Method> {
                match name {
                    $($name => Some(Method::$variant),)*
                    _ => None,
                }
            }

            /// The method's name on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Method::$variant => $name,)*
                }
            }
        }
    };
}

methods! {
    /// `initialize`: the client begins a session.
    Initialize = "initialize",
    /// `ping`: either side asks whether the other is there.
    Ping = "ping",
    /// `tools/list`
    ListTools = "tools/list",
    /// `tools/call`
    CallTool = "tools/call",
    /// `prompts/list`
    ListPrompts = "prompts/list",
    /// `prompts/get`
    GetPrompt = "prompts/get",
    /// `resources/list`
    ListResources = "resources/list",
    /// `resources/templates/list`
    ListResourceTemplates = "resources/templates/list",
    /// `resources/read`
    ReadResource = "resources/read",
    /// `resources/subscribe`
    Subscribe = "resources/subscribe",
    /// `resources/unsubscribe`
    Unsubscribe = "resources/unsubscribe",
    /// `completion/complete`
    Complete = "completion/complete",
    /// `logging/setLevel`
    SetLevel = "logging/setLevel",
    /// `server/discover`: which revisions a server speaks, and what it can do.
    Discover = "server/discover",
    /// `subscriptions/listen`: be told of changes for as long as the answer takes.
    Listen = "subscriptions/listen",
    /// `sampling/createMessage`: the server asks the client's model.
    CreateMessage = "sampling/createMessage",
    /// `roots/list`: the server asks for the client's roots.
    ListRoots = "roots/list",
    /// `elicitation/create`: the server asks the client's user.
    Elicit = "elicitation/create",
    /// `notifications/initialized`: the client has read the answer to `initialize`.
    Initialized = "notifications/initialized",
    /// `notifications/cancelled`: a request is no longer wanted.
    Cancelled = "notifications/cancelled",
    /// `notifications/progress`: a request moves on.
    Progress = "notifications/progress",
    /// `notifications/roots/list_changed`
    RootsListChanged = "notifications/roots/list_changed",
    /// `notifications/message`: a log message of the server.
    LoggingMessage = "notifications/message",
    /// `notifications/resources/updated`
    ResourceUpdated = "notifications/resources/updated",
    /// `notifications/resources/list_changed`
    ResourceListChanged = "notifications/resources/list_changed",
    /// `notifications/tools/list_changed`
    ToolListChanged = "notifications/tools/list_changed",
    /// `notifications/prompts/list_changed`
    PromptListChanged = "notifications/prompts/list_changed",
    /// `notifications/subscriptions/acknowledged`: a `subscriptions/listen` was taken on.
    SubscriptionsAcknowledged = "notifications/subscriptions/acknowledged",
    /// `notifications/elicitation/complete`: the user has been where an elicitation sent them.
    ElicitationComplete = "notifications/elicitation/complete",
}

impl Method {
    /// Whether its handler may ask the client something: `tools/call`, `prompts/get` and `resources/read`, the ones that
    /// every era can answer with a question; see
    /// [supported requests](https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/mrtr#supported-requests).
    #[must_use]
    pub const fn may_ask(self) -> bool {
        matches!(self, Method::CallTool | Method::GetPrompt | Method::ReadResource)
    }

    /// Whether it only reads, so that it may be run twice: lists, contents, prompts and completions. What `tools/call` does is
    /// up to its tool, which may say so in its
    /// [annotations](https://modelcontextprotocol.io/specification/2025-11-25/schema#toolannotations).
    #[must_use]
    pub const fn only_reads(self) -> bool {
        matches!(
            self,
            Method::ListTools
                | Method::ListPrompts
                | Method::GetPrompt
                | Method::ListResources
                | Method::ListResourceTemplates
                | Method::ReadResource
                | Method::Complete
        )
    }

    /// Whether its results say for how long they may be kept; see
    /// [cacheable results](https://modelcontextprotocol.io/specification/2026-07-28/server/utilities/caching#cacheable-results).
    #[must_use]
    pub const fn is_cacheable(self) -> bool {
        matches!(
            self,
            Method::Discover
                | Method::ListTools
                | Method::ListPrompts
                | Method::ListResources
                | Method::ListResourceTemplates
                | Method::ReadResource
        )
    }

    /// The member of the params that says which tool, prompt or resource is meant: `name` of `tools/call` and `prompts/get`,
    /// `uri` of `resources/read`. `None` for other methods, and when it is not there. Whoever runs a request and whoever
    /// compares it with its headers ask here, so that they never mean two things.
    #[must_use]
    pub fn target<'a>(self, params: &Outline<'a>) -> Option<Part<'a>> {
        match self {
            Method::CallTool | Method::GetPrompt => params.name,
            Method::ReadResource => params.uri,
            _ => None,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
