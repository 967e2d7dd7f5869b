//! How a run meets its server: who the client is, and what it was told.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use throughline::jsonrpc::Raw;
use throughline::model::{
    CallToolResult, Content, CreateMessageResult, ElicitAction, ElicitParams, ElicitResult, ListRootsResult,
    LoggingLevel, Root, SamplingContent,
};
use throughline::revision::Revision;
use throughline::{Client, Connect, ServerCommand, TransportChoice};

use crate::checks::{Checked, Failure, same};
use crate::options::{Mode, Options, Place, Transport};

/// A server, and what can be expected of it.
pub(crate) struct Meeting {
    pub(crate) options: Options,
    pub(crate) told: Arc<Told>,
}

/// What the client was told and how it answers.
#[derive(Default)]
pub(crate) struct Told {
    /// The lines of the logger `peer`.
    pub(crate) logs: Mutex<Vec<Value>>,
    pub(crate) updated: Mutex<Vec<String>>,
    pub(crate) tools_changed: Mutex<usize>,
    /// What the user does with the next form; `None`: fills in a name.
    pub(crate) next_answer: Mutex<Option<ElicitResult>>,
    pub(crate) asked: Mutex<usize>,
}

impl Meeting {
    pub(crate) fn new(options: Options) -> Self {
        Self { options, told: Arc::default() }
    }

    /// Whether the newest revision is what both find.
    pub(crate) fn is_modern(&self) -> bool {
        let able = ["typescript-2", "python"].contains(&&*self.options.peer)
            && self.options.transport != Transport::Sse;
        match self.options.mode {
            Mode::Legacy => false,
            Mode::Auto => able,
            Mode::Modern => true,
        }
    }

    /// Whether the server can ask and tell beside its answers: not where nothing joins its requests.
    pub(crate) fn has_sessions(&self) -> bool {
        !self.is_modern() && self.options.transport != Transport::Stateless
    }

    pub(crate) fn is_http(&self) -> bool {
        matches!(self.options.transport, Transport::Http | Transport::Stateless)
    }

    /// Whether a call that lost its connection is resumed.
    pub(crate) fn resumes(&self) -> bool {
        self.options.transport == Transport::Http && self.has_sessions() && self.options.peer != "everything"
    }

    /// Whether what came while a client was on its way back may be missing: `python` replays what it kept before it sends
    /// on what comes, and between the two it loses what comes then.
    fn may_lose(&self) -> bool {
        self.options.peer == "python" && self.resumes()
    }

    /// Every step from 1 to `last` came, once and in order.
    pub(crate) fn all_came(&self, steps: &[f64], last: u32) -> Checked {
        let wanted: Vec<f64> = (1..=last).map(f64::from).collect();
        let in_order = |steps: &[f64]| {
            let mut wanted = wanted.iter();
            steps.iter().all(|step| wanted.any(|wanted| wanted == step))
                && steps.last() == Some(&f64::from(last))
        };
        let enough = self.may_lose() && steps.len() + MOST_LOST >= wanted.len() && in_order(steps);
        if enough { Ok(()) } else { same("the steps", steps, &wanted) }
    }

    /// Connects, to `url` instead of the server's own address where one is given.
    pub(crate) async fn connect(&self, url: Option<&str>) -> Checked<Client> {
        let mut connect = match (self.options.place(), url) {
            (Place::Url(own), other) => Client::connect(other.unwrap_or(own)),
            (Place::Command(command), _) => {
                let (program, arguments) = command.split_first().ok_or("there is no command")?;
                // A virtual environment and a cache of compiled code are found by these.
                let named = ["PATH", "HOME", "NODE_COMPILE_CACHE", "VIRTUAL_ENV"];
                let command = ServerCommand::new(program).args(arguments);
                Client::stdio(named.into_iter().fold(command, ServerCommand::inherit_env))
            }
        };
        connect = match self.options.mode {
            Mode::Auto => connect,
            Mode::Legacy => connect.revision(Revision::LATEST_LEGACY),
            Mode::Modern => connect.revision(Revision::LATEST),
        };
        if self.options.transport == Transport::Sse && self.options.mode == Mode::Legacy {
            connect = connect.transport(TransportChoice::Sse);
        }
        Ok(self.able(connect).await?)
    }

    /// A client that can do everything.
    fn able(&self, connect: Connect) -> Connect {
        let roots = ListRootsResult::new([Root::new("file:///one"), Root::new("file:///two")]);
        let forms = Arc::clone(&self.told);
        let (logs, updated, tools) = (Arc::clone(&self.told), Arc::clone(&self.told), Arc::clone(&self.told));
        connect
            .on_elicit(move |question| std::future::ready(Ok(forms.answer(&question))))
            .on_sample(|_| {
                std::future::ready(Ok(CreateMessageResult::new(
                    "a-model",
                    [SamplingContent::text("a sampled text")],
                )))
            })
            .on_roots(move || std::future::ready(Ok(roots.clone())))
            .on_log(move |log| {
                if log.logger.as_deref() == Some("peer") {
                    lock(&logs.logs).extend(log.data.parse::<Value>());
                }
            })
            .on_resource_updated(move |changed| lock(&updated.updated).push(changed.uri.to_string()))
            .on_tools_changed(move || *lock(&tools.tools_changed) += 1)
            .log_level(LoggingLevel::Info)
    }
}

impl Told {
    fn answer(&self, _: &ElicitParams) -> ElicitResult {
        *lock(&self.asked) += 1;
        let next = lock(&self.next_answer).take();
        next.unwrap_or_else(|| accepted(&json!({ "name": "Ada" })))
    }
}

/// The user filled in a form so.
pub(crate) fn accepted(content: &Value) -> ElicitResult {
    let content = Raw::new(content);
    content.map_or_else(|_| ElicitResult::new(ElicitAction::Cancel), ElicitResult::accept)
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The one text of a result that is good.
pub(crate) fn text(result: &CallToolResult) -> Checked<&str> {
    if result.is_error {
        return Err(format!("the tool failed: {:?}", result.content).into());
    }
    let first = result.content.first().and_then(Content::as_text);
    first.ok_or_else(|| Failure::from("the result begins with no text"))
}

/// Steps that fit into the moment between replaying and going on.
const MOST_LOST: usize = 2;
