//! What a server is: its tools, prompts and resources, and what they may do while they run.
//!
//! A handler never knows a transport or an era: it gets a [`Call`] and a [`Context`] and gives a [`Reply`].

mod answer;
mod arguments;
mod ask;
mod ask_all;
mod authorized;
mod cache;
mod caller;
mod catalog;
pub(crate) mod channel;
mod completion;
mod context;
mod custom;
mod entry;
mod extension;
mod extract;
mod function;
pub(crate) mod generated;
mod headers;
pub(crate) mod input;
mod layered;
mod mount;
mod needs;
mod notes;
pub(crate) mod once;
mod peers;
mod prompt;
mod registrable;
mod resource;
mod router;
mod scopes;
mod server;
mod session;
mod state;
mod strings;
mod template;
mod tool;
mod visibility;

use std::future::Future;
use std::pin::Pin;

pub use answer::{IntoPromptResult, IntoResourceResult, IntoToolResult, Json};
pub use ask::{Ask, AskError, Elicit, ElicitUrl, Question, RawQuestion, Roots, Sample};
pub use ask_all::AskAll;
pub use authorized::{Authorized, ChallengeTerms};
pub(crate) use caller::Standing;
pub use caller::{Caller, Principal};
pub use channel::CallOver;
pub use completion::Completing;
pub use context::{Cancelled, Context};
pub use custom::IntoMethodResult;
pub use extract::{Extract, Meta, State};
pub use function::Function;
pub use input::{InputRequired, InputResponses};
pub use layered::{CallRequest, CallService, Handled, Layered};
pub use needs::{Ability, Needs};
pub use notes::{Log, Notify, Progress, Sending};
pub use once::OnceError;
pub use peers::{PeerInfo, PeerSet, Peers};
pub use prompt::{PromptDef, prompt};
pub use registrable::{Group, IntoPrompt, IntoResource, IntoTemplate, IntoTool};
pub use resource::{ResourceDef, resource};
pub(crate) use scopes::scope_set;
pub use server::{Misuse, Server};
pub use session::SessionHandle;
pub use template::{TemplateDef, template};
pub use throughline_proto::model::Answer;
pub use throughline_proto::session::Offer;
pub use tool::{ToolDef, tool};

pub(crate) use context::{CallScope, Verdict};
#[cfg(feature = "opentelemetry")]
pub(crate) use template::percent_decode;

use crate::error::McpError;
use http::HeaderMap;
use throughline_proto::auth::ScopeSet;
use throughline_proto::jsonrpc::{Notification, Raw, Str};
use throughline_proto::model::ToolAnnotations;

/// What answers the requests of clients.
///
/// [`Server`] is the handler that most programs want. Write your own to serve something that is no list of tools,
/// a gateway for instance.
///
/// 1. `call` may be entered from many tasks at once, and must not block.
/// 2. The future in [`Reply::Later`] may be dropped at any await: that is how a call is cancelled.
/// 3. A panic is answered with an internal error and logged.
/// 4. `ping`, `initialize`, `server/discover`, `logging/setLevel` and subscriptions are the engine's and never come here.
pub trait Handler: Send + Sync + 'static {
    /// What the server offers: its name, capabilities and instructions. Asked for each `initialize` and each
    /// `server/discover`; its name and version are kept from the first time on where every result repeats them.
    fn offer(&self) -> Offer;

    /// Answers a request.
    ///
    /// With [`Answer::InputRequired`] it asks a client of a revision without sessions, which calls again: the state in it
    /// is sealed on its way out, and is found in [`Context::request_state`] as JSON, the answers in
    /// [`Context::input_responses`].
    fn call(&self, call: Call, cx: Context) -> Reply;

    /// Whether a request of the modern era may run, decided before anything of its response has left: what is refused here
    /// gets the HTTP status that belongs to the error. `headers` are those of the HTTP request; `None` where it came another
    /// way. A handler around another one passes the question on.
    ///
    /// # Errors
    ///
    /// What the request is answered with instead, for instance that its client lacks a capability (-32021).
    fn admit(&self, call: &Call, caller: &Caller, headers: Option<&HeaderMap>) -> Result<(), McpError> {
        let _ = (call, caller, headers);
        Ok(())
    }

    /// Whether any request needs [scopes](Self::scopes): asked for each that comes over HTTP. A handler around another one
    /// passes the question on.
    fn wants_scopes(&self) -> bool {
        false
    }

    /// The scopes that a request needs of its caller, where [any does](Self::wants_scopes), in either era: one that lacks some is
    /// refused with 403 before a stream begins and before `call`; see [`ToolDef::scopes`]. Also asked for what never comes
    /// to `call`: `initialize`, subscriptions and the like. A handler around another one passes the question on.
    fn scopes(&self, call: &Call, caller: &Caller) -> ScopeSet {
        let _ = (call, caller);
        ScopeSet::new()
    }

    /// A notification of a client that the engine has no use for: `notifications/initialized`,
    /// `notifications/roots/list_changed` and those that MCP does not define. What is sent with the context belongs to no
    /// call and goes to the session's standalone stream. It must not block.
    fn notified(&self, notification: Notification, cx: Context) {
        let _ = (notification, cx);
    }

    /// Whether the handler has this method and, where calls of it have one, this target: a tool or prompt. Asked only when
    /// calls are measured or traced: other names are a client's invention, and become no label of a metric and no name of
    /// a span.
    fn knows(&self, method: &str, target: Option<&str>) -> bool {
        let _ = (method, target);
        false
    }

    /// What a tool is annotated with, for [`Builder::on_interrupted`](crate::Builder::on_interrupted). A handler around another
    /// one passes the question on.
    fn annotations(&self, tool: &str) -> Option<ToolAnnotations> {
        let _ = tool;
        None
    }

    /// Whether calls need the head of their HTTP request ([`Context::http_parts`]). It is kept only then. A handler
    /// around another one passes the question on.
    fn wants_http_parts(&self) -> bool {
        false
    }

    /// A front door serves this handler from now on; `peers` reaches the sessions behind it.
    fn attach(&self, peers: Peers) {
        let _ = peers;
    }
}

/// A request for a handler.
#[derive(Clone, Debug)]
pub struct Call {
    /// The method, for instance `tools/call`.
    pub method: Str,
    /// The `name` or `uri` in the parameters: which tool, prompt or resource is meant.
    pub target: Option<Str>,
    /// The `arguments` in the parameters.
    pub arguments: Option<Raw>,
    /// The `cursor` in the parameters of a list.
    pub cursor: Option<Str>,
    /// All parameters; `{}` where there were none.
    pub params: Raw,
}

/// What a handler gives for a [`Call`].
pub enum Reply {
    /// The answer is at hand.
    Ready(Outcome),
    /// The answer takes time. The future may become a task of its own.
    Later(Pin<Box<dyn Future<Output = Outcome> + Send>>),
}

impl Reply {
    /// A reply that takes time.
    pub fn later(future: impl Future<Output = Outcome> + Send + 'static) -> Self {
        Self::Later(Box::pin(future))
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reply::Ready(outcome) => f.debug_tuple("Ready").field(outcome).finish(),
            Reply::Later(_) => f.debug_tuple("Later").finish_non_exhaustive(),
        }
    }
}

/// The answer of a call, or the protocol error that it gets instead.
pub type Outcome = Result<Answer, McpError>;
