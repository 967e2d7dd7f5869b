//! The results that either side gives.

use serde::{Serialize, Serializer};

use super::{
    CacheScope, CallToolResult, CompleteResult, CreateMessageResult, DiscoverResult, ElicitResult,
    GetPromptResult, InitializeResult, InputRequiredResult, ListPromptsResult, ListResourceTemplatesResult,
    ListResourcesResult, ListRootsResult, ListToolsResult, ListenResult, Meta, ReadResourceResult,
};
use crate::jsonrpc::Raw;

macro_rules! answers {
    ($(#[$attr:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident($result:ty),)* }) => {
        $(#[$attr])*
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[serde(untagged)]
        #[non_exhaustive]
        pub enum $name {
            /// Nothing to say but that it is done.
            #[serde(serialize_with = "empty_object")]
            Empty,
            $($(#[$doc])* $variant($result),)*
            /// A JSON object of the handler's own making, which is sent as it is in every revision.
            Custom(Raw),
        }

        $(
            impl From<$result> for $name {
                fn from(result: $result) -> $name {
                    $name::$variant(result)
                }
            }
        )*
    };
}

answers! {
    /// The result that a server gives; see [`Revision::write_answer`](crate::revision::Revision::write_answer).
    Answer {
        /// To `initialize`.
        Initialize(Box<InitializeResult>),
        /// To `tools/list`.
        ListTools(ListToolsResult),
        /// To `tools/call`.
        CallTool(CallToolResult),
        /// To `prompts/list`.
        ListPrompts(ListPromptsResult),
        /// To `prompts/get`.
        GetPrompt(GetPromptResult),
        /// To `resources/list`.
        ListResources(ListResourcesResult),
        /// To `resources/templates/list`.
        ListResourceTemplates(ListResourceTemplatesResult),
        /// To `resources/read`.
        ReadResource(ReadResourceResult),
        /// To `completion/complete`.
        Complete(CompleteResult),
        /// To `server/discover`, in the modern era.
        Discover(Box<DiscoverResult>),
        /// To a request that its client has to send again with more, in the modern era.
        InputRequired(Box<InputRequiredResult>),
        /// To `subscriptions/listen`, when nothing more will come; in the modern era.
        Listen(ListenResult),
    }
}

answers! {
    /// The result that a client gives; see
    /// [`Revision::write_client_answer`](crate::revision::Revision::write_client_answer).
    ClientAnswer {
        /// To `sampling/createMessage`.
        CreateMessage(CreateMessageResult),
        /// To `roots/list`.
        ListRoots(ListRootsResult),
        /// To `elicitation/create`.
        Elicit(ElicitResult),
    }
}

impl From<InitializeResult> for Answer {
    fn from(result: InitializeResult) -> Answer {
        Answer::Initialize(Box::new(result))
    }
}

impl From<DiscoverResult> for Answer {
    fn from(result: DiscoverResult) -> Answer {
        Answer::Discover(Box::new(result))
    }
}

impl From<InputRequiredResult> for Answer {
    fn from(result: InputRequiredResult) -> Answer {
        Answer::InputRequired(Box::new(result))
    }
}

impl Answer {
    /// The place of what the result carries beside; `None` where it has no place of its own.
    pub fn meta_mut(&mut self) -> Option<&mut Option<Meta>> {
        Some(match self {
            Answer::Empty | Answer::Custom(_) => return None,
            Answer::Initialize(result) => &mut result.meta,
            Answer::ListTools(result) => &mut result.meta,
            Answer::CallTool(result) => &mut result.meta,
            Answer::ListPrompts(result) => &mut result.meta,
            Answer::GetPrompt(result) => &mut result.meta,
            Answer::ListResources(result) => &mut result.meta,
            Answer::ListResourceTemplates(result) => &mut result.meta,
            Answer::ReadResource(result) => &mut result.meta,
            Answer::Complete(result) => &mut result.meta,
            Answer::Discover(result) => &mut result.meta,
            Answer::InputRequired(result) => &mut result.meta,
            Answer::Listen(result) => &mut result.meta,
        })
    }

    /// The places of the cache hints; `None` for a result that cannot be kept. See
    /// [cacheable results](https://modelcontextprotocol.io/specification/2026-07-28/server/utilities/caching#cacheable-results).
    pub fn cache_mut(&mut self) -> Option<(&mut Option<u64>, &mut Option<CacheScope>)> {
        Some(match self {
            Answer::ListTools(result) => (&mut result.ttl_ms, &mut result.cache_scope),
            Answer::ListPrompts(result) => (&mut result.ttl_ms, &mut result.cache_scope),
            Answer::ListResources(result) => (&mut result.ttl_ms, &mut result.cache_scope),
            Answer::ListResourceTemplates(result) => (&mut result.ttl_ms, &mut result.cache_scope),
            Answer::ReadResource(result) => (&mut result.ttl_ms, &mut result.cache_scope),
            Answer::Discover(result) => (&mut result.ttl_ms, &mut result.cache_scope),
            _ => return None,
        })
    }

    /// Has nobody keep the result, whatever it says: what came of answers is none to the same request without them; see
    /// [the cache key](https://modelcontextprotocol.io/specification/2026-07-28/server/utilities/caching#cache-key).
    pub fn keep_from_caches(&mut self) {
        if let Some((ttl_ms, scope)) = self.cache_mut() {
            (*ttl_ms, *scope) = (Some(0), Some(CacheScope::Private));
        }
    }
}

fn empty_object<S: Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(std::iter::empty::<(&str, &str)>())
}
