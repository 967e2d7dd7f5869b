//! What a tool, prompt or resource needs beside its arguments.

use std::any::{TypeId, type_name};
use std::sync::Arc;

use throughline_proto::jsonrpc::{ErrorCode, ErrorObject};
use throughline_proto::model::ClientCapabilities;
use throughline_proto::session;

use super::context::Bound;
use super::state::States;
use super::{Call, Caller, Context};
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
    /// It lets its model be asked ([`Context::sample`], which the specification has deprecated).
    Sampling,
    /// It lets its model be asked, and the model use tools.
    SamplingTools,
    /// It shows forms to its user ([`Context::elicit`]).
    Elicitation,
    /// It sends its user to web pages ([`Context::elicit_url`]).
    ElicitationUrl,
    /// It tells its roots ([`Context::roots`], which the specification has deprecated).
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

    /// What a client must be able to do to be asked this.
    pub(crate) fn of(question: session::Question) -> Option<Self> {
        Some(match question {
            session::Question::ElicitForm => Self::Elicitation,
            session::Question::ElicitUrl => Self::ElicitationUrl,
            session::Question::Sample { with_tools: false } => Self::Sampling,
            session::Question::Sample { with_tools: true } => Self::SamplingTools,
            session::Question::Roots => Self::Roots,
            session::Question::Ping | session::Question::Custom => return None,
        })
    }

    /// What a modern request gets that needs this of a client which did not declare it
    /// ([error codes](https://modelcontextprotocol.io/specification/2026-07-28/basic/index#error-codes)).
    pub(crate) fn missing(self) -> ErrorObject {
        let name = self.name();
        let why =
            format!("this call needs a client with the capability `{name}`, and this one did not declare it");
        ErrorObject::new(ErrorCode::MISSING_CLIENT_CAPABILITY, why).with_data(&required(&[self]))
    }

    /// The capability as the specification spells it.
    fn name(self) -> &'static str {
        match self {
            Self::Sampling => "sampling",
            Self::SamplingTools => "sampling.tools",
            Self::Elicitation => "elicitation.form",
            Self::ElicitationUrl => "elicitation.url",
            Self::Roots => "roots",
        }
    }

    /// Declares it, beside what is declared already.
    fn declare(self, capabilities: &mut ClientCapabilities) {
        match self {
            Self::Sampling => {
                capabilities.sampling.get_or_insert_default();
            }
            Self::SamplingTools => capabilities.sampling.get_or_insert_default().tools = true,
            Self::Elicitation => capabilities.elicitation.get_or_insert_default().form = true,
            Self::ElicitationUrl => capabilities.elicitation.get_or_insert_default().url = true,
            Self::Roots => {
                capabilities.roots.get_or_insert_default();
            }
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
        self.check_abilities(cx.caller())
    }

    /// Whether a client must be able to do anything.
    pub(crate) fn has_abilities(&self) -> bool {
        !self.abilities.is_empty()
    }

    /// Whether the client declared the abilities; else what it lacks.
    pub(crate) fn check_abilities(&self, caller: &Caller) -> Result<(), McpError> {
        if self.abilities.is_empty() { Ok(()) } else { self.compare(caller) }
    }

    fn compare(&self, caller: &Caller) -> Result<(), McpError> {
        let declared = caller.capabilities();
        let lacks = |ability: &Ability| declared.is_none_or(|declared| !ability.is_declared(declared));
        let lacking: Vec<Ability> = self.abilities.iter().copied().filter(lacks).collect();
        if lacking.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = lacking.iter().map(|ability| format!("`{}`", ability.name())).collect();
        let names = names.join(" and ");
        let why = if declared.is_some() {
            format!("this needs a client with the capability {names}, and this one did not declare it")
        } else {
            format!("this needs a client with the capability {names}; without a session nobody declares one")
        };
        let modern = caller.revision().is_modern();
        let code = if modern { ErrorCode::MISSING_CLIENT_CAPABILITY } else { ErrorCode::INVALID_REQUEST };
        Err(McpError::new(code.0, why).with_data(&required(&lacking)))
    }
}

/// What goes with the error: these abilities, as a client declares them.
fn required(abilities: &[Ability]) -> serde_json::Value {
    let mut capabilities = ClientCapabilities::new();
    abilities.iter().for_each(|ability| ability.declare(&mut capabilities));
    serde_json::json!({ "requiredCapabilities": capabilities })
}
