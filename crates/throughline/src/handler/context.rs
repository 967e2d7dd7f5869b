//! What a handler may do while it runs.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{self, Poll, Waker};
use std::time::{Duration, Instant};

use http::request::Parts;
use serde::Serialize;
use throughline_proto::jsonrpc::{ProgressToken, Raw};
use throughline_proto::model::{LoggingLevel, LoggingMessageParams};
use throughline_proto::session::CallNo;
use throughline_proto::stateless::TraceContext;

use super::channel::{Channel, Input, Note};
use super::notes::{Log, Notify, Progress};
use super::once::OwnInput;
use super::state::States;
use super::{Ask, CallOver, Caller, Elicit, ElicitUrl, Question, Roots, Sample, SessionHandle};
use crate::lock::Lock;
use crate::runtime;

/// A running call's way back to the client: progress, log lines, questions, cancellation.
///
/// Cheap to clone and to move into tasks of your own. Once the call is answered it is inert: every send then says
/// [`CallOver`], so nothing can follow a response.
///
/// ```
/// use throughline::{Context, Server, tool};
///
/// async fn count(cx: Context) -> throughline::Result<String> {
///     for step in 1..=3 {
///         cx.progress(f64::from(step)).total(3.0).message("counting").await?;
///     }
///     Ok("counted".into())
/// }
/// let server = Server::new("demo", "1.0.0").tool(tool("count", count).description("Counts to three."));
/// ```
#[derive(Clone)]
pub struct Context(pub(super) Arc<CallScope>);

/// What every clone of a [`Context`] shares.
pub(crate) struct CallScope {
    channel: Arc<dyn Channel>,
    call: CallNo,
    caller: Arc<Caller>,
    session: Option<SessionHandle>,
    progress: Option<ProgressToken>,
    /// The head of the HTTP request, where a handler asks for it.
    http_parts: Option<Arc<Parts>>,
    /// A call that is no part of a trace pays one word for it.
    trace: Option<Box<TraceContext>>,
    /// Set by the server for calls that may read it.
    bound: OnceLock<Bound>,
    /// What the call carries from round to round, where its channel does not: made when a handler needs it.
    own_input: OnceLock<Box<OwnInput>>,
    state: Mutex<State>,
}

/// What a server adds to a call that reads it.
pub(crate) struct Bound {
    pub(crate) states: Arc<States>,
    pub(crate) params: Raw,
}

#[derive(Default)]
struct State {
    over: bool,
    cancelled: bool,
    /// The handler looks for cancellation itself: it gets the chance to end on its own.
    watched: bool,
    driver: Option<Waker>,
    /// Who waits for cancellation, by a number of its own: it leaves again when it stops waiting.
    watchers: Vec<(u64, Waker)>,
    watches: u64,
    /// When the call last let others run after it sent something.
    stood_aside: Option<Instant>,
    /// It is not ready because it does.
    is_aside: bool,
}

/// What the driver of a call has to do when its handler is not ready.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// Go on.
    Run,
    /// Poll the handler again: it does not wait for anything, and only let others run.
    Again,
    /// Drop the handler: the client took the request back.
    Drop,
}

impl CallScope {
    pub(crate) fn new(
        channel: Arc<dyn Channel>,
        call: CallNo,
        caller: Arc<Caller>,
        session: Option<SessionHandle>,
        progress: Option<ProgressToken>,
        http_parts: Option<Arc<Parts>>,
        trace: Option<Box<TraceContext>>,
    ) -> Arc<Self> {
        let (bound, own_input, state) = (OnceLock::new(), OnceLock::new(), Mutex::default());
        Arc::new(Self {
            channel,
            call,
            caller,
            session,
            progress,
            http_parts,
            trace,
            bound,
            own_input,
            state,
        })
    }

    pub(crate) fn context(self: &Arc<Self>) -> Context {
        Context(Arc::clone(self))
    }

    pub(crate) fn call(&self) -> CallNo {
        self.call
    }

    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    pub(crate) fn trace(&self) -> Option<&TraceContext> {
        self.trace.as_deref()
    }

    /// The client took the request back.
    pub(crate) fn cancel(&self) {
        let mut state = self.state.locked();
        state.cancelled = true;
        let watchers = std::mem::take(&mut state.watchers);
        let driver = state.driver.take();
        drop(state);
        watchers.into_iter().map(|(_, waker)| waker).chain(driver).for_each(Waker::wake);
    }

    /// The call is answered: its contexts are inert from now on.
    pub(crate) fn finish(&self) {
        let mut state = self.state.locked();
        state.over = true;
        let watchers = std::mem::take(&mut state.watchers);
        // A waker holds its task's memory, and a handler may keep contexts for long.
        let driver = state.driver.take();
        drop(state);
        drop(driver);
        watchers.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// What the driver does next; it is woken when that changes.
    pub(crate) fn poll_cancelled(&self, cx: &task::Context<'_>) -> Verdict {
        let mut state = self.state.locked();
        if state.cancelled && !state.watched {
            return Verdict::Drop;
        }
        match &mut state.driver {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        if std::mem::take(&mut state.is_aside) { Verdict::Again } else { Verdict::Run }
    }

    pub(super) fn is_over(&self) -> bool {
        let state = self.state.locked();
        state.over || state.cancelled
    }

    pub(super) fn progress_token(&self) -> Option<&ProgressToken> {
        self.progress.as_ref()
    }

    pub(super) fn poll_notify(
        &self,
        note: Note<'_>,
        cx: &mut task::Context<'_>,
    ) -> Poll<Result<(), CallOver>> {
        self.channel.poll_notify(Some(self.call), note, cx)
    }

    /// Whether a call that has just sent something is to let others run, so that what it sent leaves.
    ///
    /// A handler that computes between two awaits may be ready at each of them, and its connection may be served by the
    /// very task or thread that runs it: what it sent would lie there until it is done. So it stands aside after what it
    /// sends first, and again after what it sends when it has not for a while. In between, as in a burst, what is sent
    /// leaves together.
    pub(super) fn stands_aside(&self) -> bool {
        if !self.channel.is_held_up_by_its_handler() {
            return false;
        }
        let now = runtime::now();
        let mut state = self.state.locked();
        let is_due = state.stood_aside.is_none_or(|at| now.saturating_duration_since(at) >= BURST);
        if is_due {
            state.stood_aside = Some(now);
            state.is_aside = true;
        }
        is_due
    }
}

impl Context {
    /// Says how far the call is: `done` so far, of a total that [`Progress::total`] can give.
    ///
    /// Sent only when the client asked for progress. `done` must grow with each notification
    /// ([progress](https://modelcontextprotocol.io/specification/2025-11-25/basic/utilities/progress)). The send waits
    /// while the reader of this call's stream is far behind, so await it in the loop that does the work.
    ///
    /// # Errors
    ///
    /// [`CallOver`] once the call is answered or cancelled.
    pub fn progress(&self, done: f64) -> Progress<'_> {
        Progress::new(self, done)
    }

    /// Whether the client asked for progress of this call.
    pub fn wants_progress(&self) -> bool {
        self.0.progress.is_some()
    }

    /// Sends a log message, at the level the client set (`logging/setLevel`); others cost nothing.
    ///
    /// Deprecated by the specification since 2026-07-28, and served in every revision all the same: log with `tracing`
    /// instead, to standard error or to OpenTelemetry
    /// ([deprecated features](https://modelcontextprotocol.io/specification/2026-07-28/deprecated)).
    ///
    /// # Errors
    ///
    /// [`CallOver`] once the call is answered or cancelled.
    pub fn log(&self, level: LoggingLevel, data: impl Serialize) -> Log<'_> {
        let params = self
            .0
            .channel
            .wants_log(level)
            .then(|| Raw::new(&data).ok().map(|data| LoggingMessageParams::new(level, data)))
            .flatten();
        Log::new(self, params)
    }

    /// Sends a notification of your own about this call. One of MCP's goes out where there is a session alone: in the revision
    /// without, a client gets only those that it asked for, and this is counted as undeliverable.
    ///
    /// # Errors
    ///
    /// [`CallOver`] once the call is answered or cancelled.
    pub fn notify<'a>(&'a self, method: &'a str, params: &impl Serialize) -> Notify<'a> {
        Notify::new(self, method, Raw::new(params).ok())
    }

    /// Asks the client's user to fill in a form: one field for each field of `T`.
    ///
    /// `T` is a struct of text, numbers, booleans and enums, nothing nested
    /// ([elicitation](https://modelcontextprotocol.io/specification/2025-11-25/client/elicitation)). The wait is at most
    /// ten minutes unless [`Ask::timeout`] says otherwise.
    ///
    /// # Errors
    ///
    /// An [`AskError`](super::AskError): the user declined or cancelled, the client cannot be asked, the time is up.
    pub fn elicit<T: schemars::JsonSchema + serde::de::DeserializeOwned + Send + 'static>(
        &self,
        message: impl Into<String>,
    ) -> Ask<Elicit<T>> {
        self.ask(Elicit::new(message))
    }

    /// Asks the client to send its user to a web page; `id` names this request in
    /// [`elicitation_complete`](SessionHandle::elicitation_complete).
    ///
    /// # Errors
    ///
    /// As [`elicit`](Context::elicit).
    pub fn elicit_url(
        &self,
        message: impl Into<String>,
        url: impl Into<String>,
        id: impl Into<String>,
    ) -> Ask<ElicitUrl> {
        self.ask(ElicitUrl::new(message, url, id))
    }

    /// Asks the client's model to continue a conversation
    /// ([sampling](https://modelcontextprotocol.io/specification/2025-11-25/client/sampling)). The wait is at most five
    /// minutes unless [`Ask::timeout`] says otherwise.
    ///
    /// Deprecated by the specification since 2026-07-28, and served in every revision all the same: call the interface of a
    /// model's provider instead
    /// ([deprecated features](https://modelcontextprotocol.io/specification/2026-07-28/deprecated)).
    ///
    /// # Errors
    ///
    /// An [`AskError`](super::AskError).
    pub fn sample(&self, sample: impl Into<Sample>) -> Ask<Sample> {
        self.ask(sample.into())
    }

    /// Asks the client for its roots ([roots](https://modelcontextprotocol.io/specification/2025-11-25/client/roots)).
    ///
    /// Deprecated by the specification since 2026-07-28, and served in every revision all the same: take directories and files
    /// as arguments, as resource URIs, or from the server's configuration instead
    /// ([deprecated features](https://modelcontextprotocol.io/specification/2026-07-28/deprecated)).
    ///
    /// # Errors
    ///
    /// An [`AskError`](super::AskError).
    pub fn roots(&self) -> Ask<Roots> {
        self.ask(Roots)
    }

    /// Asks the client any question.
    ///
    /// # Errors
    ///
    /// An [`AskError`](super::AskError).
    pub fn ask<Q: Question>(&self, question: Q) -> Ask<Q> {
        Ask::new(Arc::clone(&self.0.channel), Some(self.0.call), question)
    }

    /// Waits until the client takes the request back, or the call is over for another reason: so a task that watches
    /// never outlives the call.
    ///
    /// A handler that never calls this is dropped at its next await when the client cancels. One that does goes on, so
    /// that it can clean up; what it returns is not sent.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again at any time.
    pub fn cancelled(&self) -> Cancelled<'_> {
        self.0.state.locked().watched = true;
        Cancelled { cx: self, watch: None }
    }

    /// Whether the client took the request back. Like [`cancelled`](Context::cancelled), asking keeps the handler
    /// running after that.
    pub fn is_cancelled(&self) -> bool {
        let mut state = self.0.state.locked();
        state.watched = true;
        state.cancelled
    }

    /// Whether the call is answered or cancelled.
    pub fn is_over(&self) -> bool {
        self.0.is_over()
    }

    /// The session that the call came in; `None` where there are no sessions.
    pub fn session(&self) -> Option<&SessionHandle> {
        self.0.session.as_ref()
    }

    /// Who calls.
    pub fn caller(&self) -> &Caller {
        self.0.caller()
    }

    /// What the server shares under this type ([`Server::state`](super::Server::state)); `None` where it has none.
    ///
    /// ```
    /// use throughline::{Context, Server, tool};
    ///
    /// #[derive(Clone)]
    /// struct Motto(&'static str);
    ///
    /// async fn motto(cx: Context) -> String {
    ///     cx.state::<Motto>().map_or_else(String::new, |motto| motto.0.to_owned())
    /// }
    /// let server = Server::new("demo", "1.0.0").state(Motto("Onwards.")).tool(tool("motto", motto));
    /// ```
    pub fn state<S: Clone + Send + Sync + 'static>(&self) -> Option<S> {
        self.0.bound.get()?.states.get()
    }

    /// The `_meta` of the request, read into `T`; `{}` is read where it has none.
    ///
    /// # Errors
    ///
    /// When it does not fit `T`.
    pub fn meta<T: serde::de::DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        #[derive(serde::Deserialize)]
        struct Params<T> {
            #[serde(rename = "_meta")]
            meta: Option<T>,
        }
        let params = self.0.bound.get().map(|bound| bound.params.parse::<Params<T>>()).transpose()?;
        params.and_then(|params| params.meta).map_or_else(|| serde_json::from_str("{}"), Ok)
    }

    /// The head of the HTTP request that the call came in. `None` when it came another way, and when nothing that is
    /// registered with the server asks for it: a parameter of type [`Parts`](crate::Parts), or an
    /// [`Extract`](super::Extract) whose needs include it.
    pub fn http_parts(&self) -> Option<&Parts> {
        self.0.http_parts.as_deref()
    }

    /// What the call carries from round to round.
    pub(super) fn input(&self) -> &dyn Input {
        self.0.channel.input().unwrap_or_else(|| self.own_input())
    }

    /// Whether the client answers by calling again.
    pub(super) fn has_rounds(&self) -> bool {
        self.0.channel.input().is_some()
    }

    pub(super) fn own_input(&self) -> &OwnInput {
        self.0.own_input.get_or_init(Box::default)
    }

    /// The trace that the client's request is part of, from its `_meta` or else from the headers of its HTTP request, in
    /// every revision; `None` where it is part of none. Pass it on with
    /// [`TraceContext::headers`], so that what the handler calls belongs to the trace as well
    /// ([trace context](https://modelcontextprotocol.io/specification/2026-07-28/basic/index#_meta)).
    ///
    /// With the feature `opentelemetry` the span of the call is part of that trace, and a client with instrumentation of its
    /// own passes that on by itself.
    ///
    /// ```
    /// use throughline::{Context, Server, tool};
    ///
    /// async fn fetch(cx: Context) -> String {
    ///     let mut request = http::Request::get("http://inner.example/");
    ///     for (name, value) in cx.trace().into_iter().flat_map(|trace| trace.headers()) {
    ///         request = request.header(name, value);
    ///     }
    ///     format!("{} headers", request.headers_ref().map_or(0, http::HeaderMap::len))
    /// }
    /// let server = Server::new("demo", "1.0.0").tool(tool("fetch", fetch));
    /// ```
    pub fn trace(&self) -> Option<&TraceContext> {
        self.0.trace()
    }

    pub(crate) fn bind(&self, bound: Bound) {
        // Set once for each call; a second time it would be the same.
        let _ = self.0.bound.set(bound);
    }

    /// Closes the connection that carries this call's stream, and tells the client to come back after `retry`. The call
    /// runs on; what it sends waits for the client. For long work behind proxies that dislike long responses.
    ///
    /// Returns false, and does nothing, where the client could not come back: before revision 2025-11-25, without a
    /// session, or when the call is answered with one JSON body.
    pub fn close_connection(&self, retry: Duration) -> bool {
        !self.is_over() && self.0.channel.close_connection(self.0.call, retry)
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("call", &self.0.call).finish_non_exhaustive()
    }
}

/// Ends when the client takes the request back, or the call is over. See [`Context::cancelled`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Cancelled<'a> {
    cx: &'a Context,
    watch: Option<u64>,
}

impl Future for Cancelled<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut state = this.cx.0.state.locked();
        if state.cancelled || state.over {
            return Poll::Ready(());
        }
        let known =
            this.watch.and_then(|watch| state.watchers.iter_mut().find(|(number, _)| *number == watch));
        match known {
            Some((_, waker)) => waker.clone_from(cx.waker()),
            None => {
                state.watches += 1;
                let watch = state.watches;
                state.watchers.push((watch, cx.waker().clone()));
                this.watch = Some(watch);
            }
        }
        Poll::Pending
    }
}

impl Drop for Cancelled<'_> {
    fn drop(&mut self) {
        let Some(watch) = self.watch else { return };
        let mut state = self.cx.0.state.locked();
        let at = state.watchers.iter().position(|(number, _)| *number == watch);
        let gone = at.map(|at| state.watchers.swap_remove(at));
        drop(state);
        drop(gone);
    }
}

/// For how long what a call sends may gather before it stands aside: less than anybody sees, and enough for a burst to leave
/// in few frames.
const BURST: Duration = Duration::from_millis(5);
