//! The results that either side gives.

use serde::{Serialize, Serializer};

use super::{
    CallToolResult, CompleteResult, CreateMessageResult, ElicitResult, GetPromptResult, InitializeResult,
    ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListRootsResult, ListToolsResult,
    ReadResourceResult,
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

fn empty_object<S: Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(std::iter::empty::<(&str, &str)>())
}
