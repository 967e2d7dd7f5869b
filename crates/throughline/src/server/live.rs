//! A session that is being served: the engine's machine, its open asks, its streams.

use std::sync::{Arc, Mutex, Weak};
use std::task::{self, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use throughline_proto::jsonrpc::{self, Notification, Raw, RequestId, Response};
use throughline_proto::log::SessionId;
use throughline_proto::model::{CancelledParams, ElicitParams, LoggingLevel, Meta, ServerRequest};
use throughline_proto::revision::Revision;
use throughline_proto::session::{
    AskNo, AskRefused, CallNo, Effect, Expired, MessageKind, NoRoute, Roads, Route, Session, StreamNo,
};

use super::backlog::Backlog;
use super::counters::Tally;
use super::exchange::Outlet;
use super::stream::{Closing, StoreFailure, Stream, Weight};
use crate::handler::channel::{AskRequest, Channel, Note, QuestionBody};
use crate::handler::{AskError, CallOver, CallScope, Caller, Principal, SessionHandle};
use crate::lock::Lock;
use crate::runtime;
use crate::store::{EventStore, StreamKey};

/// A session, or, without sessions, what stands for one while a single POST is served.
pub(crate) struct Live {
    pub(crate) id: SessionId,
    pub(crate) revision: Revision,
    pub(crate) caller: Arc<Caller>,
    /// Where events go; `None` without sessions: then nothing is kept.
    logs: Option<Logs>,
    tally: Arc<Tally>,
    core: Mutex<Core>,
    this: Weak<Live>,
}

/// The store, as the streams of a session need it.
#[derive(Clone)]
pub(crate) struct Logs {
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) backlog: Arc<Backlog>,
    /// The largest event the store takes.
    pub(crate) largest_event: usize,
    /// What becomes of a call whose events the store does not take.
    pub(crate) on_failure: StoreFailure,
}

struct Core {
    session: Session,
    asks: Vec<OpenAsk>,
    /// Calls that did not answer at once, for cancellation.
    running: Vec<Arc<CallScope>>,
    standalone: Option<Arc<Stream>>,
    streams: Vec<(StreamNo, Weak<Stream>)>,
    last_busy: Instant,
    ended: bool,
}

struct OpenAsk {
    no: AskNo,
    answer: Option<Result<Raw, AskError>>,
    waker: Option<Waker>,
}

impl Live {
    pub(crate) fn new(
        id: SessionId,
        session: Session,
        principal: Option<Principal>,
        logs: Option<Logs>,
        tally: Arc<Tally>,
    ) -> Arc<Self> {
        let client = logs.is_some().then(|| session.client().clone());
        let caller = Arc::new(Caller::new(session.revision(), client, principal));
        Arc::new_cyclic(|this| Self {
            id,
            revision: session.revision(),
            caller,
            logs,
            tally,
            core: Mutex::new(Core {
                session,
                asks: Vec::new(),
                running: Vec::new(),
                standalone: None,
                streams: Vec::new(),
                last_busy: runtime::now(),
                ended: false,
            }),
            this: Weak::clone(this),
        })
    }

    /// The engine's session. Held for one short call, never across an await.
    pub(crate) fn session<R>(&self, with: impl FnOnce(&mut Session) -> R) -> R {
        with(&mut self.core.locked().session)
    }

    /// The same for a request of the client: the session is in use.
    pub(crate) fn handle_request<R>(&self, with: impl FnOnce(&mut Session) -> R) -> R {
        let mut core = self.core.locked();
        core.last_busy = runtime::now();
        with(&mut core.session)
    }

    pub(crate) fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    /// Whether the session keeps events, so that its streams can be resumed.
    pub(crate) fn has_logs(&self) -> bool {
        self.logs.is_some()
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.core.locked().ended
    }

    /// A handle for handlers; `None` without sessions.
    pub(crate) fn handle(&self) -> Option<SessionHandle> {
        self.has_logs().then(|| SessionHandle::new(self.id.clone(), self.channel(), Arc::clone(&self.caller)))
    }

    fn channel(&self) -> Arc<dyn Channel> {
        self.this.upgrade().expect("a session that is used is alive")
    }

    // Streams

    /// The log of a new stream; `None` without sessions.
    pub(crate) fn open_log(&self, no: StreamNo) -> Option<Arc<Stream>> {
        let stream = self.make_stream(no)?;
        self.keep_stream(no, &stream);
        Some(stream)
    }

    /// Remembers a stream that is in use, so that it hears of the session's end, also when that has come.
    fn keep_stream(&self, no: StreamNo, stream: &Arc<Stream>) {
        let mut core = self.core.locked();
        core.streams.retain(|(_, stream)| stream.strong_count() > 0);
        core.streams.push((no, Arc::downgrade(stream)));
        let ended = core.ended;
        drop(core);
        if ended {
            stream.cut();
        }
    }

    /// A stream that a call writes to or a connection reads.
    pub(crate) fn running_stream(&self, no: StreamNo) -> Option<Arc<Stream>> {
        let core = self.core.locked();
        core.streams.iter().find(|(number, _)| *number == no).and_then(|(_, stream)| stream.upgrade())
    }

    /// A stream that is over, of which only the log is left.
    pub(crate) fn reopen_stream(&self, no: StreamNo, head: u64) -> Option<Arc<Stream>> {
        let logs = self.logs.clone()?;
        let tag = self.session(|session| session.cursor(no, 0).tag);
        let stream = Stream::reopen(self.stream_key(no), tag, head, logs, Arc::clone(&self.tally));
        self.keep_stream(no, &stream);
        Some(stream)
    }

    /// The standalone stream. `None` without sessions.
    pub(crate) fn standalone(&self) -> Option<Arc<Stream>> {
        if let Some(stream) = &self.core.locked().standalone {
            return Some(Arc::clone(stream));
        }
        let stream = self.make_stream(StreamNo::STANDALONE)?;
        let mut core = self.core.locked();
        let stream = Arc::clone(core.standalone.get_or_insert(stream));
        let ended = core.ended;
        drop(core);
        if ended {
            stream.cut();
        }
        Some(stream)
    }

    pub(crate) fn stream_key(&self, no: StreamNo) -> StreamKey {
        StreamKey { session: self.id.clone(), stream: no.0 }
    }

    pub(crate) fn store(&self) -> Option<&Arc<dyn EventStore>> {
        self.logs.as_ref().map(|logs| &logs.store)
    }

    fn make_stream(&self, no: StreamNo) -> Option<Arc<Stream>> {
        let logs = self.logs.clone()?;
        let tag = self.session(|session| session.cursor(no, 0).tag);
        Some(Stream::new(self.stream_key(no), tag, logs, Arc::clone(&self.tally)))
    }

    fn standalone_is_open(&self) -> bool {
        let standalone = self.core.locked().standalone.clone();
        standalone.is_some_and(|stream| stream.is_read())
    }

    fn open_streams(&self) -> Vec<Arc<Stream>> {
        let core = self.core.locked();
        core.standalone
            .iter()
            .cloned()
            .chain(core.streams.iter().filter_map(|(_, stream)| stream.upgrade()))
            .collect()
    }

    // Calls

    /// A call did not answer at once: from now on it can be cancelled.
    pub(crate) fn call_runs(&self, scope: &Arc<CallScope>) {
        let mut core = self.core.locked();
        let over = core.ended || core.session.is_cancelled(scope.call());
        core.running.push(Arc::clone(scope));
        drop(core);
        if over {
            scope.cancel();
        }
    }

    /// A call is finished: what becomes of it. `None` when it was settled before.
    pub(crate) fn call_done(&self, call: CallNo) -> Option<throughline_proto::session::Finish> {
        let mut core = self.core.locked();
        core.running.retain(|scope| scope.call() != call);
        let finish = core.session.handle_done(call)?;
        core.last_busy = runtime::now();
        let wakers = core.give_up(&finish.given_up, &AskError::call_over());
        drop(core);
        finish.given_up.iter().for_each(|ask| self.take_back(ask, "the request it was asked for is over"));
        wakers.into_iter().for_each(Waker::wake);
        Some(finish)
    }

    /// Where a message goes.
    pub(crate) fn route(&self, call: Option<CallNo>, kind: MessageKind, mut roads: Roads) -> Route {
        if roads.progress == throughline_proto::session::ProgressRoute::Standalone {
            roads.standalone_open = self.standalone_is_open();
        }
        self.core.locked().session.route(call, kind, roads)
    }

    // What the client sends

    pub(crate) fn handle_notification(&self, notification: &Notification) -> Effect {
        let now = runtime::now();
        let mut core = self.core.locked();
        core.last_busy = now;
        let effect = core.session.handle_notification(now, notification);
        if let Effect::Cancel(call) = effect {
            let scope = core.running.iter().find(|scope| scope.call() == call).cloned();
            drop(core);
            if let Some(scope) = scope {
                scope.cancel();
            }
        }
        effect
    }

    pub(crate) fn handle_response(&self, response: Response) {
        let mut core = self.core.locked();
        core.last_busy = runtime::now();
        let waiting = core.session.handle_response(&response);
        let answer = response.outcome.map_err(AskError::refused);
        let waker = waiting.and_then(|no| core.settle_ask(no, answer));
        drop(core);
        if waiting.is_none() {
            self.tally.responses_unexpected.add_one();
        }
        waker.into_iter().for_each(Waker::wake);
    }

    // Asking

    /// Asks the client: `outlet` gives the stream of the call's POST when it is needed.
    pub(crate) fn open_ask(
        &self,
        call: Option<CallNo>,
        question: &QuestionBody,
        roads: Roads,
        no_route: impl FnOnce(NoRoute) -> AskError,
        outlet: impl FnOnce() -> Option<Outlet>,
    ) -> Result<AskNo, AskError> {
        let mut core = self.core.locked();
        if core.ended {
            return Err(AskError::call_over());
        }
        let asked = core.session.handle_ask(runtime::now(), call, question.kind, roads, question.patience);
        let ask = asked.map_err(|refused| refusal(refused, self.revision, no_route))?;
        core.asks.push(OpenAsk { no: ask.no, answer: None, waker: None });
        drop(core);

        let mut message = BytesMut::new();
        if let Err(why) = write_question(&mut message, self.revision, ask.no, &question.request) {
            self.drop_ask(ask.no);
            return Err(AskError::not_capable(why));
        }
        let largest = self.logs.as_ref().map_or(usize::MAX, |logs| logs.largest_event);
        if message.len() + EVENT_OVERHEAD > largest {
            self.close_ask(ask.no);
            return Err(AskError::unusable(format!(
                "it has {} bytes, and {largest} is the most",
                message.len()
            )));
        }
        let sent = match ask.route {
            Route::Standalone => self
                .standalone()
                .is_some_and(|stream| stream.send(Weight::KEPT, |out| out.extend_from_slice(&message))),
            Route::Post(_) => outlet().is_some_and(|outlet| outlet.send(Weight::KEPT, &message)),
            Route::Nowhere(_) => false,
        };
        if !sent {
            self.drop_ask(ask.no);
            return Err(AskError::call_over());
        }
        Ok(ask.no)
    }

    pub(crate) fn poll_ask(&self, no: AskNo, cx: &task::Context<'_>) -> Poll<Result<Raw, AskError>> {
        let mut core = self.core.locked();
        let Some(at) = core.asks.iter().position(|ask| ask.no == no) else {
            return Poll::Ready(Err(AskError::call_over()));
        };
        match core.asks[at].answer.is_some() {
            true => Poll::Ready(core.asks.swap_remove(at).answer.expect("it was just seen")),
            false => {
                core.asks[at].waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    pub(crate) fn ask_deadline(&self, no: AskNo) -> Option<Instant> {
        self.core.locked().session.ask_deadline(no)
    }

    /// Gives up the asks whose time is up, whichever calls they belong to.
    pub(crate) fn expire_asks(&self, now: Instant) {
        let mut core = self.core.locked();
        let expired = core.session.handle_timeout(now);
        let wakers = core.give_up(&expired, &AskError::timed_out());
        drop(core);
        expired.iter().for_each(|ask| self.take_back(ask, "no answer came in time"));
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Nobody waits for this answer any more.
    pub(crate) fn close_ask(&self, no: AskNo) {
        if let Some(ask) = self.drop_ask(no) {
            self.take_back(&ask, "the question is withdrawn");
        }
    }

    fn drop_ask(&self, no: AskNo) -> Option<Expired> {
        let mut core = self.core.locked();
        core.asks.retain(|ask| ask.no != no);
        core.session.handle_abandon(no)
    }

    /// Tells the client that a request of ours needs no answer any more
    /// ([cancellation](https://modelcontextprotocol.io/specification/2025-11-25/basic/utilities/cancellation)).
    fn take_back(&self, ask: &Expired, reason: &str) {
        let params = CancelledParams::new(ask.ask.request_id()).with_reason(reason.to_owned());
        let mut message = BytesMut::new();
        if jsonrpc::write_notification(&mut message, "notifications/cancelled", Some(&params)).is_err() {
            return;
        }
        let stream = match ask.route {
            Route::Standalone => self.standalone(),
            Route::Post(no) => self.running_stream(no),
            Route::Nowhere(_) => None,
        };
        if let Some(stream) = stream {
            stream.send(Weight::DROPPABLE, |out| out.extend_from_slice(&message));
        }
    }

    // Life and end

    /// Sends a notification that belongs to no call, at once. False where there is no standalone stream.
    pub(crate) fn notify(&self, method: &str, params: Option<&Raw>) -> bool {
        let sent = !self.is_ended()
            && self.standalone().is_some_and(|stream| {
                stream.send(Weight::DROPPABLE, |out| {
                    // Raw JSON is JSON already: writing it cannot fail.
                    let _ = jsonrpc::write_notification(out, method, params);
                })
            });
        if !sent {
            self.tally.notifications_undeliverable.add_one();
        }
        sent
    }

    pub(crate) fn is_subscribed(&self, uri: &str) -> bool {
        self.core.locked().session.is_subscribed(uri)
    }

    /// A second has passed. True when the session was idle for too long.
    pub(crate) fn handle_tick(
        &self,
        now: Instant,
        keep_alive: Duration,
        idle: Duration,
        unused: Duration,
    ) -> bool {
        let streams = self.open_streams();
        streams.iter().for_each(|stream| stream.handle_tick(now, keep_alive));
        let is_read = streams.iter().any(|stream| stream.is_read());
        let mut core = self.core.locked();
        if is_read || !core.session.is_idle() {
            core.last_busy = now;
            return false;
        }
        let patience = if core.session.is_used() { idle } else { unused };
        now.saturating_duration_since(core.last_busy) >= patience
    }

    /// Whether the client sent nothing since `initialize`.
    pub(crate) fn is_unused(&self) -> bool {
        let core = self.core.locked();
        // A broadcast makes the standalone stream too: only one that is read is a use of it.
        !core.session.is_used() && !core.standalone.as_ref().is_some_and(|stream| stream.is_read())
    }

    /// Whether a connection reads one of its streams.
    pub(crate) fn is_read(&self) -> bool {
        self.open_streams().iter().any(|stream| stream.is_read())
    }

    /// Has every connection close and come back after a while.
    pub(crate) fn close_connections(&self, closing: Closing) {
        for stream in self.open_streams() {
            stream.close_reader(closing);
        }
    }

    /// The session is over: its calls are dropped, its asks fail, its connections close. False when it was over before.
    pub(crate) fn end(&self) -> bool {
        let mut core = self.core.locked();
        if std::mem::replace(&mut core.ended, true) {
            return false;
        }
        let running = std::mem::take(&mut core.running);
        let asks = std::mem::take(&mut core.asks);
        drop(core);
        running.iter().for_each(|scope| scope.cancel());
        asks.into_iter().filter_map(|ask| ask.waker).for_each(Waker::wake);
        self.open_streams().iter().for_each(|stream| stream.cut());
        true
    }

    /// Cancels every call: the connection that wanted them is gone.
    pub(crate) fn cancel_calls(&self) {
        let running = self.core.locked().running.clone();
        running.iter().for_each(|scope| scope.cancel());
    }
}

impl Core {
    /// The answer to an ask is there (or will never be): whom to wake.
    fn settle_ask(&mut self, no: AskNo, answer: Result<Raw, AskError>) -> Option<Waker> {
        let ask = self.asks.iter_mut().find(|ask| ask.no == no)?;
        ask.answer = Some(answer);
        ask.waker.take()
    }

    fn give_up(&mut self, expired: &[Expired], error: &AskError) -> Vec<Waker> {
        expired.iter().filter_map(|ask| self.settle_ask(ask.ask, Err(error.clone()))).collect()
    }
}

/// What a handler sends outside any call goes to the standalone stream.
impl Channel for Live {
    fn poll_notify(
        &self,
        _: Option<CallNo>,
        note: Note<'_>,
        cx: &mut task::Context<'_>,
    ) -> Poll<Result<(), CallOver>> {
        if self.is_ended() {
            return Poll::Ready(Err(CallOver));
        }
        match self.standalone() {
            Some(stream) => stream.poll_send(|out| write_note(out, note), cx),
            None => Poll::Ready(Err(CallOver)),
        }
    }

    fn wants_log(&self, level: LoggingLevel) -> bool {
        self.core.locked().session.wants_log(level)
    }

    fn open_ask(&self, _: Option<CallNo>, question: &QuestionBody) -> Result<AskNo, AskError> {
        Live::open_ask(self, None, question, Roads::default(), |_| AskError::call_over(), || None)
    }

    fn poll_ask(&self, ask: AskNo, cx: &mut task::Context<'_>) -> Poll<Result<Raw, AskError>> {
        Live::poll_ask(self, ask, cx)
    }

    fn ask_deadline(&self, ask: AskNo) -> Option<Instant> {
        Live::ask_deadline(self, ask)
    }

    fn expire_asks(&self, now: Instant) {
        Live::expire_asks(self, now);
    }

    fn close_ask(&self, ask: AskNo) {
        Live::close_ask(self, ask);
    }

    fn close_connection(&self, _: CallNo, _: Duration) -> bool {
        false
    }
}

/// Writes a notification.
pub(crate) fn write_note(out: &mut BytesMut, note: Note<'_>) {
    // Their parameters are JSON already, or numbers and text that always are.
    let _ = match note {
        Note::Progress(params) => jsonrpc::write_notification(out, "notifications/progress", Some(params)),
        Note::Log(params) => jsonrpc::write_notification(out, "notifications/message", Some(params)),
        Note::Custom { method, params } => jsonrpc::write_notification(out, method, params),
    };
}

/// Writes a question. It carries its id as progress token, so that the client can say how far it is, and the wait goes
/// on meanwhile.
fn write_question(
    out: &mut BytesMut,
    revision: Revision,
    no: AskNo,
    request: &AskRequest,
) -> Result<(), String> {
    let id: RequestId = no.request_id();
    match request {
        AskRequest::Mcp(request) => {
            let mut request = request.clone();
            if let Ok(meta) = Meta::new().with("progressToken", &id) {
                match &mut *request {
                    ServerRequest::CreateMessage(params) => params.meta = Some(meta),
                    ServerRequest::Elicit(ElicitParams::Form(params)) => params.meta = Some(meta),
                    ServerRequest::Elicit(ElicitParams::Url(params)) => params.meta = Some(meta),
                    _ => {}
                }
            }
            revision.write_server_request(out, &id, &mut request).map_err(|error| error.to_string())
        }
        AskRequest::Custom { method, params } => {
            jsonrpc::write_request(out, &id, method, params).map_err(|error| error.to_string())
        }
    }
}

fn refusal(refused: AskRefused, revision: Revision, no_route: impl FnOnce(NoRoute) -> AskError) -> AskError {
    match refused {
        AskRefused::NotInRevision => {
            AskError::not_capable(format!("revision {} does not have this request", revision.date()))
        }
        AskRefused::NotCapable { capability } => {
            AskError::not_capable(format!("it did not declare the capability `{capability}`"))
        }
        AskRefused::NoRoute(why) => no_route(why),
        AskRefused::TooManyAsks { limit } => AskError::too_many(limit),
    }
}

/// What the id line of an event and its place in the log add to a message, at most.
const EVENT_OVERHEAD: usize = 256;
