//! A session that is being served: the engine's machine, its open asks, its streams.

mod asks;
mod keeping;

use std::sync::{Arc, Mutex, Weak};
use std::task::{self, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use throughline_proto::jsonrpc::{self, Notification, Raw, Response};
use throughline_proto::log::SessionId;
use throughline_proto::model::LoggingLevel;
use throughline_proto::revision::Revision;
use throughline_proto::session::{AskNo, CallNo, Effect, MessageKind, Roads, Route, Session, StreamNo};

use asks::OpenAsk;

use super::backlog::Backlog;
use super::counters::Tally;
use super::keeping::{Keeping, Noted};
use super::outlet::Outlet;
use super::pipe::Pipe;
use super::queue::Queue;
use super::shares::Held;
use super::stream::{Closing, StoreFailure, Stream, Weight};
use crate::handler::channel::{Channel, Note, QuestionBody};
use crate::handler::{AskError, CallOver, CallScope, Caller, Context, PeerInfo, SessionHandle, Standing};
use crate::lock::Lock;
use crate::runtime;
use crate::store::{EventStore, StreamKey};

/// A session, or, without sessions, what stands for one while a single POST is served.
pub(crate) struct Live {
    pub(crate) id: SessionId,
    pub(crate) revision: Revision,
    pub(crate) caller: Arc<Caller>,
    ground: Ground,
    tally: Arc<Tally>,
    core: Mutex<Core>,
    this: Weak<Live>,
}

/// What carries the messages of a session.
pub(crate) enum Ground {
    /// Streams with a log each: kept, resumable.
    Logs(Logs),
    /// One pipe for everything.
    Pipe(Arc<Pipe>),
    /// The answer of the request that is being served, and nothing else: there is no session.
    Passing,
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
    /// Where the store keeps sessions.
    pub(crate) keeping: Option<Arc<Keeping>>,
}

struct Core {
    session: Session,
    asks: Vec<OpenAsk>,
    /// Calls that did not answer at once, for cancellation.
    running: Vec<Arc<CallScope>>,
    standalone: Option<Arc<Stream>>,
    streams: Vec<(StreamNo, Weak<Stream>)>,
    last_busy: Instant,
    /// Its place in the share of its principal, as long as it goes on.
    held: Option<Held>,
    /// The client sends nothing any more, so it answers nothing.
    silent: bool,
    ended: bool,
}

impl Live {
    pub(crate) fn new(
        id: SessionId,
        session: Session,
        standing: Standing,
        ground: Ground,
        tally: Arc<Tally>,
    ) -> Arc<Self> {
        let client = (!matches!(ground, Ground::Passing)).then(|| Arc::clone(session.client()));
        let caller = Arc::new(Caller::new(session.revision(), client, standing));
        Arc::new_cyclic(|this| Self {
            id,
            revision: session.revision(),
            caller,
            ground,
            tally,
            core: Mutex::new(Core {
                session,
                asks: Vec::new(),
                running: Vec::new(),
                standalone: None,
                streams: Vec::new(),
                last_busy: runtime::now(),
                held: None,
                silent: false,
                ended: false,
            }),
            this: Weak::clone(this),
        })
    }

    /// It takes this place in the share of its principal, until it ends.
    pub(crate) fn hold(&self, held: Option<Held>) {
        if held.is_some() {
            self.core.locked().held = held;
        }
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

    /// Whether it is a session, and not what stands for one.
    pub(crate) fn is_session(&self) -> bool {
        !matches!(self.ground, Ground::Passing)
    }

    /// Whether its pipe is written by a task beside its handlers.
    pub(crate) fn shares_runtime(&self) -> bool {
        matches!(&self.ground, Ground::Pipe(pipe) if pipe.shares_runtime())
    }

    fn logs(&self) -> Option<&Logs> {
        match &self.ground {
            Ground::Logs(logs) => Some(logs),
            Ground::Pipe(_) | Ground::Passing => None,
        }
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.core.locked().ended
    }

    /// A handle for handlers; `None` without sessions.
    pub(crate) fn handle(&self) -> Option<SessionHandle> {
        self.is_session()
            .then(|| SessionHandle::new(self.id.clone(), self.channel(), Arc::clone(&self.caller)))
    }

    /// A context for what belongs to no call.
    pub(crate) fn context(&self) -> Context {
        // The session's own channel needs no number: it knows no calls.
        let no = CallNo(0);
        CallScope::new(self.channel(), no, Arc::clone(&self.caller), self.handle(), None, None, None)
            .context()
    }

    fn channel(&self) -> Arc<dyn Channel> {
        self.this.upgrade().expect("a session that is used is alive")
    }

    // Streams

    /// What carries the messages of a new stream: a log of its own, the pipe, or a queue. `noted` is what the stream is for,
    /// where that is kept.
    pub(crate) fn open_outlet(&self, no: StreamNo, noted: Option<Arc<Noted>>) -> Outlet {
        match &self.ground {
            Ground::Pipe(pipe) => Outlet::Pipe(Arc::clone(pipe)),
            Ground::Passing => Outlet::Queue(Queue::new()),
            Ground::Logs(logs) => {
                let stream = self.make_stream(no, logs.clone(), noted);
                Outlet::Log(self.keep_stream(no, stream))
            }
        }
    }

    /// Remembers a stream that is in use, so that it hears of the session's end, also when that has come. Whoever comes
    /// for the same one at the same time shares it, so that the newer reader takes over.
    fn keep_stream(&self, no: StreamNo, stream: Arc<Stream>) -> Arc<Stream> {
        let mut core = self.core.locked();
        core.streams.retain(|(_, stream)| stream.strong_count() > 0);
        let known = core.streams.iter().find(|(number, _)| *number == no);
        if let Some(known) = known.and_then(|(_, known)| known.upgrade()) {
            return known;
        }
        core.streams.push((no, Arc::downgrade(&stream)));
        let ended = core.ended;
        drop(core);
        if ended {
            stream.cut();
        }
        stream
    }

    /// A stream that a call writes to or a connection reads.
    pub(crate) fn running_stream(&self, no: StreamNo) -> Option<Arc<Stream>> {
        let core = self.core.locked();
        core.streams.iter().find(|(number, _)| *number == no).and_then(|(_, stream)| stream.upgrade())
    }

    /// A stream that is over, of which only the log is left.
    pub(crate) fn reopen_stream(&self, no: StreamNo, head: u64) -> Option<Arc<Stream>> {
        let logs = self.logs()?.clone();
        let stream = Stream::reopen(self.stream_key(no), self.tag(), head, logs, Arc::clone(&self.tally));
        Some(self.keep_stream(no, stream))
    }

    /// The standalone stream. `None` where there are no streams.
    pub(crate) fn standalone(&self) -> Option<Arc<Stream>> {
        if let Some(stream) = &self.core.locked().standalone {
            return Some(Arc::clone(stream));
        }
        let stream = self.make_stream(StreamNo::STANDALONE, self.logs()?.clone(), None);
        let mut core = self.core.locked();
        let stream = Arc::clone(core.standalone.get_or_insert(stream));
        let ended = core.ended;
        drop(core);
        if ended {
            stream.cut();
        }
        Some(stream)
    }

    /// What carries messages that belong to no call. `None` without sessions.
    fn standalone_outlet(&self) -> Option<Outlet> {
        match &self.ground {
            Ground::Logs(_) => self.standalone().map(Outlet::Log),
            Ground::Pipe(pipe) => Some(Outlet::Pipe(Arc::clone(pipe))),
            Ground::Passing => None,
        }
    }

    /// What carries the messages of a call that runs or just ended.
    fn running_outlet(&self, no: StreamNo) -> Option<Outlet> {
        match &self.ground {
            Ground::Pipe(pipe) => Some(Outlet::Pipe(Arc::clone(pipe))),
            Ground::Logs(_) | Ground::Passing => self.running_stream(no).map(Outlet::Log),
        }
    }

    pub(crate) fn stream_key(&self, no: StreamNo) -> StreamKey {
        StreamKey { session: self.id.clone(), stream: no.0 }
    }

    pub(crate) fn store(&self) -> Option<&Arc<dyn EventStore>> {
        self.logs().map(|logs| &logs.store)
    }

    fn make_stream(&self, no: StreamNo, logs: Logs, noted: Option<Arc<Noted>>) -> Arc<Stream> {
        Stream::new(self.stream_key(no), self.tag(), logs, Arc::clone(&self.tally), noted)
    }

    /// The mark in the cursors of this session.
    fn tag(&self) -> u32 {
        self.session(|session| session.cursor(StreamNo::STANDALONE, 0).tag)
    }

    fn standalone_is_open(&self) -> bool {
        let standalone = self.core.locked().standalone.clone();
        standalone.is_some_and(|stream| stream.is_read())
    }

    /// How many of its streams a connection reads.
    #[cfg(feature = "metrics")]
    pub(crate) fn streams_read(&self) -> usize {
        self.open_streams().iter().filter(|stream| stream.is_read()).count()
    }

    /// Waits until the store has what was sent.
    pub(crate) async fn stored(&self) {
        for stream in self.open_streams() {
            stream.stored().await;
        }
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
            let stream = self.keeping().and_then(|_| core.stream_of(call));
            drop(core);
            // Nothing of it is sent any more. Its stream says so at once, or a restart would take it for interrupted.
            if let Some(stream) = stream {
                stream.end_of_one();
            }
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

    // Life and end

    /// Sends a notification that belongs to no call, at once. False where there is no standalone stream.
    fn notify(&self, method: &str, params: Option<&Raw>) -> bool {
        let sent = !self.is_ended()
            && self.standalone_outlet().is_some_and(|outlet| {
                outlet.send_with(Weight::DROPPABLE, |out| write_note(out, Note::Custom { method, params }))
            });
        if !sent {
            self.tally.notifications_undeliverable.add_one();
        }
        sent
    }

    /// Sends a notification to this session if it is one of those that are meant: with `resource`, subscribed to it, and
    /// taken by `choose`. Whether it was sent.
    pub(crate) fn broadcast(
        &self,
        resource: Option<&str>,
        choose: &dyn Fn(&PeerInfo<'_>) -> bool,
        method: &str,
        params: Option<&Raw>,
    ) -> bool {
        if resource.is_some_and(|uri| !self.is_subscribed(uri)) {
            return false;
        }
        let Some(handle) = self.handle() else { return false };
        choose(&PeerInfo { session: Some(&handle), caller: &self.caller }) && self.notify(method, params)
    }

    fn is_subscribed(&self, uri: &str) -> bool {
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

    /// Nothing more comes from the client: what is asked gets no answer, and calls may finish.
    pub(crate) fn fall_silent(&self) {
        let mut core = self.core.locked();
        core.silent = true;
        let open: Vec<AskNo> = core.asks.iter().map(|ask| ask.no).collect();
        let wakers: Vec<Waker> =
            open.into_iter().filter_map(|ask| core.settle_ask(ask, Err(AskError::call_over()))).collect();
        drop(core);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The session is over: its calls are dropped, its asks fail, its connections close. False when it was over before.
    pub(crate) fn end(&self) -> bool {
        let mut core = self.core.locked();
        if std::mem::replace(&mut core.ended, true) {
            return false;
        }
        let running = std::mem::take(&mut core.running);
        let asks = std::mem::take(&mut core.asks);
        let held = core.held.take();
        drop(core);
        drop(held);
        // First, so that no call that is dropped for it still writes into the log of a session that lives on.
        self.open_streams().iter().for_each(|stream| stream.cut());
        running.iter().for_each(|scope| scope.cancel());
        asks.into_iter().filter_map(|ask| ask.waker).for_each(Waker::wake);
        true
    }

    /// Cancels every call: the connection that wanted them is gone.
    pub(crate) fn cancel_calls(&self) {
        let running = self.core.locked().running.clone();
        running.iter().for_each(|scope| scope.cancel());
    }
}

/// What a handler sends outside any call goes to the standalone stream, or down the pipe.
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
        match self.standalone_outlet() {
            Some(outlet) => outlet.poll_send(|out| write_note(out, note), cx),
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
