//! The notifications of either side.

use serde::Serialize;

use super::request::parse_params;
use super::{
    CancelledParams, ElicitationCompleteParams, EmptyParams, LoggingMessageParams, Method, ProgressParams,
    ResourceUpdatedParams, SubscriptionsAcknowledgedParams,
};
use crate::jsonrpc::{ErrorObject, Raw};

macro_rules! notifications {
    ($(#[$attr:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident($params:ty),)* }) => {
        $(#[$attr])*
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[serde(untagged)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$doc])* $variant($params),)*
        }

        impl $name {
            /// The notification's method.
            #[must_use]
            pub const fn method(&self) -> Method {
                match self {
                    $($name::$variant(_) => Method::$variant,)*
                }
            }

            /// Reads the notification of this method. `None` when this side has no such notification.
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

notifications! {
    /// A notification of a client; it serializes as its parameters.
    ClientNotification {
        /// The client has read the answer to `initialize`.
        Initialized(EmptyParams),
        /// A request of the client is no longer wanted.
        Cancelled(CancelledParams),
        /// A request of the server moves on.
        Progress(ProgressParams),
        /// The client's roots changed.
        RootsListChanged(EmptyParams),
    }
}

notifications! {
    /// A notification of a server; it serializes as its parameters.
    ServerNotification {
        /// A request of the server is no longer wanted.
        Cancelled(CancelledParams),
        /// A request of the client moves on.
        Progress(ProgressParams),
        /// A log message.
        LoggingMessage(LoggingMessageParams),
        /// A resource changed.
        ResourceUpdated(ResourceUpdatedParams),
        /// The list of resources changed.
        ResourceListChanged(EmptyParams),
        /// The list of tools changed.
        ToolListChanged(EmptyParams),
        /// The list of prompts changed.
        PromptListChanged(EmptyParams),
        /// A `subscriptions/listen` was taken on.
        SubscriptionsAcknowledged(SubscriptionsAcknowledgedParams),
        /// The user has been where an elicitation sent them.
        ElicitationComplete(ElicitationCompleteParams),
    }
}
