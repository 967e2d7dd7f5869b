//! What a tool, prompt or resource needs beside its arguments.

use std::any::{TypeId, type_name};
use std::sync::Arc;

use throughline_proto::jsonrpc::ErrorCode;
use throughline_proto::model::ClientCapabilities;

use super::context::Bound;
use super::state::States;
use super::{Call, Context};
use crate::error::McpError;

/// Something that a client may be able to do, and that a tool may not work without.
///
/// ```
/// use throughline::{Ability, Context, tool};
///
/// async fn summary(cx: Context) -> String { String::new() }
/// let summary = tool("summary", summary).needs(Ability::Sampling);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Ability {
    /// It lets its model be asked ([`Context::sample`]).
    Sampling,
    /// It lets its model be asked, and the model use tools.
    SamplingTools,
    /// It shows forms to its user ([`Context::elicit`]).
    Elicitation,
    /// It sends its user to web pages ([`Context::elicit_url`]).
    ElicitationUrl,
    /// It tells its roots ([`Context::roots`]).
    Roots,
}

impl Ability {
    fn is_declared(self, capabilities: &ClientCapabilities) -> bool {
        match self {
            Self::Sampling => capabilities.sampling.is_some(),
            Self::SamplingTools => capabilities.sampling.is_some_and(|sampling| sampling.tools),
            Self::Elicitation => capabilities.elicitation.is_some_and(|elicitation| elicitation.has_form()),
            Self::ElicitationUrl => capabilities.elicitation.is_some_and(|elicitation| elicitation.url),
            Self::Roots => capabilities.roots.is_some(),
        }
    }

    /// The capability as the specification spells it, and as the JSON that a client declares it with.
    fn capability(self) -> (&'static str, serde_json::Value) {
        match self {
            Self::Sampling => ("sampling", serde_json::json!({ "sampling": {} })),
            Self::SamplingTools => ("sampling.tools", serde_json::json!({ "sampling": { "tools": {} } })),
            Self::Elicitation => ("elicitation.form", serde_json::json!({ "elicitation": { "form": {} } })),
            Self::ElicitationUrl => ("elicitation.url", serde_json::json!({ "elicitation": { "url": {} } })),
            Self::Roots => ("roots", serde_json::json!({ "roots": {} })),
        }
    }
}

/// What must be there when a call runs: gathered once, when a tool, prompt or resource is registered. What nobody needs
/// is not kept, and a call that needs nothing pays nothing.
///
/// An [`Extract`](super::Extract) says here what it reads from the call.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    abilities: Vec<Ability>,
    states: Vec<(TypeId, &'static str)>,
    http_parts: bool,
    bound: bool,
    /// Those of the server it comes from, where it is mounted in another.
    own_states: Option<Arc<States>>,
}

impl Needs {
    /// The client must have declared this; a call of one that did not is refused before the handler runs.
    pub fn ability(&mut self, ability: Ability) {
        if !self.abilities.contains(&ability) {
            self.abilities.push(ability);
        }
    }

    /// The server must have this state ([`Server::state`](super::Server::state)): one that is served without it is a
    /// mistake in the program, and panics when a front door is built.
    pub fn state<S: Clone + Send + Sync + 'static>(&mut self) {
        self.bound = true;
        let wanted = (TypeId::of::<S>(), type_name::<S>());
        if !self.states.contains(&wanted) {
            self.states.push(wanted);
        }
    }

    /// The head of the HTTP request ([`Context::http_parts`]).
    pub fn http_parts(&mut self) {
        self.http_parts = true;
    }

    /// The `_meta` of the request ([`Context::meta`]).
    pub fn meta(&mut self) {
        self.bound = true;
    }

    /// All that a [`Context`] can give, whether the server has it or not.
    pub fn everything(&mut self) {
        self.bound = true;
        self.http_parts = true;
    }

    /// A state that is needed and not there: its name.
    pub(crate) fn missing_state(&self, states: &States) -> Option<&'static str> {
        let states = self.own_states.as_deref().unwrap_or(states);
        self.states.iter().find(|(id, _)| !states.has(*id)).map(|(_, name)| *name)
    }

    /// Keeps to these states, whichever server it is mounted in. The first time decides.
    pub(super) fn take_states(&mut self, states: &Arc<States>) {
        self.own_states.get_or_insert_with(|| Arc::clone(states));
    }

    pub(crate) fn wants_http_parts(&self) -> bool {
        self.http_parts
    }

    /// Makes a context ready, or says what the client lacks.
    pub(crate) fn prepare(&self, cx: &Context, states: &Arc<States>, call: &Call) -> Result<(), McpError> {
        if self.bound {
            let states = self.own_states.as_ref().unwrap_or(states);
            cx.bind(Bound { states: Arc::clone(states), params: call.params.clone() });
        }
        if self.abilities.is_empty() { Ok(()) } else { self.check_abilities(cx) }
    }

    fn check_abilities(&self, cx: &Context) -> Result<(), McpError> {
        let client = cx.caller().client();
        let lacks =
            |ability: &&Ability| client.is_none_or(|client| !ability.is_declared(&client.capabilities));
        let Some(lacking) = self.abilities.iter().find(lacks) else { return Ok(()) };
        let (name, declared) = lacking.capability();
        let why = if client.is_some() {
            format!("this needs a client with the capability `{name}`, and this one did not declare it")
        } else {
            format!("this needs a client with the capability `{name}`; without a session nobody declares one")
        };
        let modern = cx.caller().revision().is_modern();
        let code = if modern { ErrorCode::MISSING_CLIENT_CAPABILITY } else { ErrorCode::INVALID_REQUEST };
        Err(McpError::new(code.0, why).with_data(&serde_json::json!({ "requiredCapabilities": declared })))
    }
}
