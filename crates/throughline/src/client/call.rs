//! One call: what its caller may say of it, and how it is driven to its end.

use std::borrow::Cow;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use throughline_proto::client::{Patience, is_input_required, with_input};
use throughline_proto::jsonrpc::{Message, ProgressToken, Raw, Request, RequestId, Str, outlines};
use throughline_proto::model::{InputRequiredResult, LoggingMessageParams, Meta, Method, ProgressParams};

use tokio::task::unconstrained;

use super::ClientError;
use super::core::{Core, Transport};
use super::in_flight::{Hooks, Pending};
use crate::runtime;

/// A call that was not made yet: say more about it, then `.await` it.
///
/// Every call of a [`Client`](super::Client) is one of these, so what is said here holds for all of them.
///
/// ```
/// use std::time::Duration;
/// use serde_json::json;
/// use throughline::{Client, Server, StreamableHttp, tool};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), throughline::ClientError> {
/// let server = Server::new("demo", "1.0.0").tool(tool("hello", || async { "Hello!" }));
/// let client = Client::over(StreamableHttp::new(server)).await?;
/// let result = client
///     .call_tool("hello", &json!({}))
///     .timeout(Duration::from_secs(10))
///     .on_progress(|progress| println!("{}", progress.progress))
///     .await?;
/// assert_eq!(result.content[0].as_text(), Some("Hello!"));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// A [`ClientError`] that says what happened. Every call settles: with an answer, or with an error within its
/// [timeout](Self::timeout).
///
/// # Cancel safety
///
/// Dropping the future cancels the call, and the server is told so.
#[must_use = "a call is made when it is awaited"]
pub struct Calling<'a, R> {
    core: &'a Arc<Core>,
    spec: Result<Spec, ClientError>,
    waiting: Waiting,
    read: fn(&Spec, Raw) -> Result<R, ClientError>,
}

/// A request, and what its caller said of it.
pub(crate) struct Spec {
    pub(crate) method: Str,
    pub(crate) params: Raw,
    pub(crate) meta: Meta,
    /// Whether the server is asked for progress.
    pub(crate) wants_progress: bool,
    pub(crate) one_round: bool,
    /// Whether the result is checked against the output schema of its tool.
    pub(crate) checks_output: bool,
    pub(crate) resume: Option<ResumptionToken>,
    /// The id of its request, where it was chosen before.
    pub(crate) id: Option<i64>,
    /// Whether the server is asked whatever is kept.
    pub(crate) fresh: bool,
    /// It belongs to the opening of a session, so it opens no other one.
    pub(crate) stays: bool,
}

/// What its caller said of how it is waited for.
struct Waiting {
    patience: Patience,
    hooks: Hooks,
    cancel: Option<Pin<Box<dyn Future<Output = Option<String>> + Send>>>,
}

/// Where a call's stream was: with it the rest of the stream can be had, also by another process.
///
/// It does not give the id of its session away, but it knows its own: keep it with the [session](super::Client::saved) that it
/// belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResumptionToken {
    /// The id of the last event.
    pub(crate) cursor: String,
    /// The id of the request.
    pub(crate) request: i64,
    /// Which session it is of; `None` where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) session: Option<u32>,
}

/// What one round of a call gave.
#[derive(Clone, Debug, PartialEq)]
pub enum Round<R> {
    /// The answer.
    Complete(R),
    /// The server needs these answers first: call again with [`Calling::answers`].
    InputRequired(InputRequiredResult),
}

impl<'a, R: DeserializeOwned> Calling<'a, R> {
    pub(crate) fn new(
        core: &'a Arc<Core>,
        method: impl Into<Str>,
        params: &(impl Serialize + ?Sized),
    ) -> Self {
        let method = method.into();
        // A tool may take long, and its progress then keeps the call alive.
        let wants_progress = method == Method::CallTool.as_str();
        let spec = Raw::new(params).map_err(ClientError::unsendable).and_then(|params| {
            let params = if params.is_null() { Raw::empty_object() } else { params };
            if !params.is_object() {
                return Err(ClientError::unsendable("the params of a request must be a JSON object"));
            }
            Ok(Spec {
                method,
                params,
                meta: Meta::new(),
                wants_progress,
                one_round: false,
                checks_output: false,
                resume: None,
                id: None,
                fresh: false,
                stays: false,
            })
        });
        let waiting = Waiting { patience: core.config.patience, hooks: Hooks::default(), cancel: None };
        Self { core, spec, waiting, read: read_result }
    }

    /// Makes one round alone: when the server needs answers first, the caller gets the questions.
    pub fn one_round(self) -> Calling<'a, Round<R>> {
        let mut spec = self.spec;
        if let Ok(spec) = &mut spec {
            spec.one_round = true;
        }
        Calling { core: self.core, spec, waiting: self.waiting, read: read_round }
    }
}

impl<'a, R> Calling<'a, R> {
    /// How long to wait for the answer, and between two progress messages. Default: the client's, 60 s.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.waiting(|waiting| waiting.patience.timeout = timeout)
    }

    /// Whether progress begins the timeout anew. Default: it does.
    pub fn reset_on_progress(self, reset: bool) -> Self {
        self.waiting(|waiting| waiting.patience.reset_on_progress = reset)
    }

    /// How long the call may take in all, whatever its progress. Time that the client's own user takes to answer a question
    /// of this call does not count. Default: the client's, one hour.
    pub fn max_total(self, most: Duration) -> Self {
        self.waiting(|waiting| waiting.patience.max_total = most)
    }

    /// Is told of progress, in order, and before the result. It must not block.
    pub fn on_progress(self, tell: impl FnMut(ProgressParams) + Send + 'static) -> Self {
        self.ask_for_progress(true).waiting(|waiting| waiting.hooks.progress = Some(Box::new(tell)))
    }

    /// Is told of log messages that come on this call's stream, in order, and before the result.
    pub fn on_log(self, tell: impl FnMut(LoggingMessageParams) + Send + 'static) -> Self {
        self.waiting(|waiting| waiting.hooks.log = Some(Box::new(tell)))
    }

    /// Is told of every message that comes on this call's stream before its answer, as it came.
    pub fn on_message(self, tell: impl FnMut(&Message) + Send + 'static) -> Self {
        self.waiting(|waiting| waiting.hooks.message = Some(Box::new(tell)))
    }

    /// Is given where the stream is after each event: with that [`resume`](Self::resume) gets the rest, also after this
    /// program was started anew. Only sessions over Streamable HTTP have it.
    pub fn on_resumption_token(self, tell: impl FnMut(&ResumptionToken) + Send + 'static) -> Self {
        self.waiting(|waiting| waiting.hooks.token = Some(Box::new(tell)))
    }

    /// Is told how many events of this call are lost, when the server no longer has them.
    pub fn on_lost(self, tell: impl FnMut(u64) + Send + 'static) -> Self {
        self.waiting(|waiting| waiting.hooks.lost = Some(Box::new(tell)))
    }

    /// Does not make the call, but takes up one that was made before, after its last event.
    pub fn resume(self, token: ResumptionToken) -> Self {
        self.with(|spec| spec.resume = Some(token))
    }

    /// Asks the server, also when its last answer is still [fresh](super::Connect::cache).
    pub fn fresh(self) -> Self {
        self.with(|spec| spec.fresh = true)
    }

    /// Cancels the call when this future ends.
    pub fn cancel_on(self, cancel: impl Future<Output = ()> + Send + 'static) -> Self {
        self.cancel_with(async {
            cancel.await;
            None
        })
    }

    /// Cancels the call when this future ends, for the reason that it gives. The server may log it or show it.
    pub fn cancel_with(self, cancel: impl Future<Output = Option<String>> + Send + 'static) -> Self {
        self.waiting(|waiting| waiting.cancel = Some(Box::pin(cancel)))
    }

    /// Adds to the `_meta` of the request.
    pub fn meta(self, meta: Meta) -> Self {
        self.with(|spec| spec.meta = meta)
    }

    /// The answers to the questions of an earlier [round](Self::one_round), and its state.
    pub fn answers(mut self, answers: impl IntoIterator<Item = (Str, Raw)>, state: Option<Str>) -> Self {
        if let Ok(spec) = &mut self.spec {
            let answers: Vec<_> = answers.into_iter().collect();
            match with_input(&spec.params, &answers, state.as_ref()) {
                Ok(params) => spec.params = params,
                Err(error) => self.spec = Err(ClientError::unsendable(error)),
            }
        }
        self
    }

    /// Is shown each question that came in a result of this call, before it is answered.
    #[cfg(feature = "testing")]
    pub(crate) fn on_question(self, show: impl FnMut(&mut Request) + Send + 'static) -> Self {
        self.waiting(|waiting| waiting.hooks.question = Some(Box::new(show)))
    }

    /// Makes the request with this id, one of the client's that nothing else has.
    #[cfg(feature = "testing")]
    pub(crate) fn id(self, id: i64) -> Self {
        self.with(|spec| spec.id = Some(id))
    }

    /// Belongs to the opening of a session.
    pub(crate) fn stays(self) -> Self {
        self.with(|spec| spec.stays = true)
    }

    /// Whether the server is asked for progress. Default: for tools, whose progress keeps the call alive, and where
    /// [`on_progress`](Self::on_progress) listens.
    pub fn ask_for_progress(self, ask: bool) -> Self {
        self.with(|spec| spec.wants_progress = ask)
    }

    /// Answers no questions: a result that requires input is given as it is. For those who pass results on;
    /// [`one_round`](Self::one_round) reads it.
    pub fn questions_as_result(self) -> Self {
        self.with(|spec| spec.one_round = true)
    }

    /// Reads the result in another way, and checks it before.
    pub(crate) fn checked<T>(self, read: fn(&Spec, Raw) -> Result<T, ClientError>) -> Calling<'a, T> {
        let Calling { core, spec, waiting, .. } = self.with(|spec| spec.checks_output = true);
        Calling { core, spec, waiting, read }
    }

    fn waiting(mut self, set: impl FnOnce(&mut Waiting)) -> Self {
        set(&mut self.waiting);
        self
    }

    fn with(mut self, set: impl FnOnce(&mut Spec)) -> Self {
        if let Ok(spec) = &mut self.spec {
            set(spec);
        }
        self
    }
}

impl<'a, R: Send + 'a> IntoFuture for Calling<'a, R> {
    type Output = Result<R, ClientError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let spec = self.spec?;
            let result = run_or_keep(self.core, &spec, self.waiting).await?;
            (self.read)(&spec, result)
        })
    }
}

impl<R> fmt::Debug for Calling<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = self.spec.as_ref().map(|spec| spec.method.as_str()).unwrap_or_default();
        f.debug_struct("Calling").field("method", &method).finish_non_exhaustive()
    }
}

fn read_result<R: DeserializeOwned>(spec: &Spec, result: Raw) -> Result<R, ClientError> {
    result.parse().map_err(|error| {
        ClientError::peer(format!(
            "the result of `{}` is none: {}",
            spec.method,
            throughline_proto::jsonrpc::reason(&error)
        ))
    })
}

fn read_round<R: DeserializeOwned>(spec: &Spec, result: Raw) -> Result<Round<R>, ClientError> {
    if is_input_required(&result) {
        return read_result(spec, result).map(Round::InputRequired);
    }
    let read = if spec.checks_output { super::output::read } else { read_result };
    read(spec, result).map(Round::Complete)
}

/// Answers from what is kept, else makes the call and keeps its result where the server says so.
async fn run_or_keep(core: &Arc<Core>, spec: &Spec, waiting: Waiting) -> Result<Raw, ClientError> {
    let cache = core.config.cache.as_ref().filter(|_| {
        Method::parse(&spec.method).is_some_and(Method::is_cacheable) && core.is_modern() && !core.is_closed()
    });
    let Some(cache) = cache else { return run(core, spec, waiting).await.map(|result| result.raw) };
    let keeping = match cache.look_up(&spec.method, &spec.params, spec.fresh || spec.resume.is_some()) {
        Ok(result) => return Ok(result),
        Err(keeping) => keeping,
    };
    let outcome = run(core, spec, waiting).await;
    // What a round with answers gave depends on them, and what was asked for is no result yet.
    let is_complete = outcome.as_ref().is_ok_and(|result| result.is_first && !is_input_required(&result.raw));
    let outcome = outcome.map(|result| result.raw);
    if let Some(keeping) = keeping.filter(|_| core.is_modern()) {
        keeping.handle_answer(&outcome, is_complete);
    }
    outcome
}

/// A result, and whether it is that of the first round.
struct Found {
    raw: Raw,
    is_first: bool,
}

/// Makes the call, within its time.
async fn run(core: &Arc<Core>, spec: &Spec, waiting: Waiting) -> Result<Found, ClientError> {
    let Waiting { patience, hooks, mut cancel } = waiting;
    let hooks = Hooks { own_token: spec.own_token(), ..hooks };
    let chosen = spec.resume.as_ref().map(|token| token.request).or(spec.id);
    let id = chosen.unwrap_or_else(|| core.next_id());
    let pending = core.in_flight.begin(id, patience, hooks)?;
    // Declared before the work, so dropped after it: what is cancelled is no longer read.
    let mut entry = Entry {
        core,
        pending: &pending,
        reason: "the caller gave the call up".into(),
        armed: may_cancel(spec),
    };
    // Asked once it is registered, so that whoever closes the client finds it.
    if core.is_closed() {
        return Err(ClientError::closed());
    }
    let mut work = pin!(rounds_and_check(core, &pending, spec));
    loop {
        let deadline = pending.deadline();
        // A server whose body is always ready must not keep the call from seeing that its time is up, so these do not share
        // the work's budget.
        let cancelled = unconstrained(async {
            match &mut cancel {
                Some(cancel) => cancel.await,
                None => std::future::pending().await,
            }
        });
        tokio::select! {
            biased;
            outcome = &mut work => {
                entry.armed = false;
                if outcome.is_err() {
                    pending.give_up_questions();
                }
                if outcome.is_ok() && !core.is_modern() {
                    core.settings.note(&spec.method, &spec.params);
                }
                return outcome;
            }
            reason = cancelled => {
                entry.reason = reason.map_or("the caller cancelled the call".into(), Cow::Owned);
                return Err(ClientError::cancelled());
            }
            () = unconstrained(until(deadline)) => {
                if let Some((overdue, patience)) = pending.overdue() {
                    entry.reason = "the answer did not come in time".into();
                    return Err(ClientError::timeout(overdue, patience));
                }
            }
            () = unconstrained(pending.released()), if deadline.is_none() => {}
        }
    }
}

/// Whether the server may be told that the call is taken back; see
/// [cancellation](https://modelcontextprotocol.io/specification/2025-11-25/basic/utilities/cancellation#behavior-requirements).
fn may_cancel(spec: &Spec) -> bool {
    spec.method != Method::Initialize.as_str()
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => runtime::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// A call that is registered. When it is dropped before the call has an outcome, the server is told.
struct Entry<'a> {
    core: &'a Arc<Core>,
    pending: &'a Arc<Pending>,
    reason: Cow<'static, str>,
    armed: bool,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.core.in_flight.end(self.pending);
        if self.armed {
            self.pending.give_up_questions();
        }
        if self.armed && self.pending.is_sent() && !self.pending.is_settled() {
            // Another session knows nothing of it, and the one that it was sent in is gone.
            let is_gone = matches!(self.core.transport, Transport::Http(_))
                && self.core.agreed().generation != self.pending.generation();
            if !is_gone {
                self.core.cancel(self.pending.id(), &self.reason);
            }
        }
    }
}

/// Makes the call, and checks its result where that was asked for.
async fn rounds_and_check(
    core: &Arc<Core>,
    pending: &Arc<Pending>,
    spec: &Spec,
) -> Result<Found, ClientError> {
    #[cfg(feature = "client")]
    if spec.checks_output {
        super::output::prepare(core, spec).await?;
    }
    let result = rounds(core, pending, spec).await;
    if let Some(error) = result.as_ref().err().and_then(ClientError::error) {
        core.handlers.elicitations.note(error);
    }
    let result = result?;
    #[cfg(feature = "client")]
    if spec.checks_output && !is_input_required(&result.raw) {
        super::output::check(core, spec, &result.raw).await?;
    }
    Ok(result)
}

/// Makes the request, and again with answers for as long as the server needs some.
///
/// Specification:
/// [multi round-trip requests](https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/mrtr#client-requirements-basic-workflow).
async fn rounds(core: &Arc<Core>, pending: &Arc<Pending>, spec: &Spec) -> Result<Found, ClientError> {
    let mut params = spec.params.clone();
    for round in 0.. {
        let result = match &core.config.authorizing {
            None => exchange(core, pending, spec, &params).await?,
            // Boxed, so that calls of clients without one do not carry it.
            Some(authorizing) => {
                Box::pin(authorizing.holding(pending, exchange(core, pending, spec, &params))).await?
            }
        };
        pending.set_answered();
        let is_modern = core.agreed().peer.revision.has_result_types();
        if !is_modern || !is_input_required(&result) {
            return Ok(Found { raw: result, is_first: round == 0 });
        }
        if Method::parse(&spec.method).is_some_and(|method| !method.may_ask()) {
            return Err(ClientError::peer(format!("it asks for input before it answers `{}`", spec.method)));
        }
        if spec.one_round {
            return Ok(Found { raw: result, is_first: round == 0 });
        }
        if round == core.config.max_rounds {
            return Err(ClientError::asks(format!(
                "the server asked again after {round} rounds of answers; raise `max_rounds` if it may"
            )));
        }
        let required: InputRequiredResult = result.parse().map_err(|error| {
            ClientError::peer(format!(
                "what it asks for cannot be read: {}",
                throughline_proto::jsonrpc::reason(&error)
            ))
        })?;
        if required.input_requests.is_empty() && required.request_state.is_none() {
            return Err(ClientError::peer("it asks for input, and says neither what for nor in which state"));
        }
        let state = required.request_state.clone();
        let held = pending.hold();
        let show = |question: &mut Request| pending.show(question);
        let answers = tokio::select! {
            biased;
            answers = core.handlers.answer_all(required, show) => answers,
            // Whoever is asked may take for ever, and the clock stands still.
            error = pending.failed() => return Err(error),
        };
        let answers = answers.map_err(|error| {
            ClientError::asks(format!(
                "the server needs an answer that this client does not give: {}",
                error.message()
            ))
        })?;
        drop(held);
        params = with_input(&spec.params, &answers, state.as_ref()).map_err(ClientError::unsendable)?;
        core.in_flight.renew(pending, core.next_id());
    }
    unreachable!("the rounds end by a return")
}

/// Sends one request and waits for its result.
async fn exchange(
    core: &Arc<Core>,
    pending: &Arc<Pending>,
    spec: &Spec,
    params: &Raw,
) -> Result<Raw, ClientError> {
    match &core.transport {
        Transport::Http(http) => {
            tokio::select! {
                biased;
                outcome = http.exchange(core, pending, spec, params) => outcome,
                // A server that answers on another stream has answered, and a client that is closed waits no more.
                outcome = unconstrained(pending.settled()) => outcome,
            }
        }
        Transport::Pipe(pipe) => pipe.exchange(core, pending, spec, params).await,
    }
}

impl Spec {
    /// The token of its progress, where the caller named one.
    fn own_token(&self) -> Option<ProgressToken> {
        let in_params = || {
            let (_, meta) = outlines(Some(&self.params));
            ProgressToken::from_part(&self.params, meta.ok()?.progress_token?).ok()
        };
        self.meta.progress_token().or_else(in_params)
    }

    /// What goes into `_meta` beside what the connection puts there.
    pub(crate) fn own_meta(&self, id: i64) -> Meta {
        let mut meta = self.meta.clone();
        if self.wants_progress && meta.progress_token().is_none() {
            let token = Raw::new(&ProgressToken::Number(id)).expect("a number has a JSON form");
            meta.insert(Str::from_static("progressToken"), token);
        }
        meta
    }
}

pub(crate) fn request_id(id: i64) -> RequestId {
    RequestId::Number(id)
}
