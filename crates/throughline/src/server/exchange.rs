//! One POST (or one line, over stdio) that carries requests: how it is answered, and the way back of its calls.
//!
//! ```text
//!                     all answered before anything was sent
//!     [undecided] ------------------------------------------> [body]       one JSON body
//!          |
//!          | the first message, the upgrade delay, or a mode that wants it
//!          v
//!     [streaming] --> events of the stream ... the last response ends it   SSE
//! ```
//!
//! A pipe needs no decision: it streams from the start, and only the answers of a batch are gathered for their one line.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{self, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use throughline_proto::jsonrpc::{self, ErrorObject, Raw, RequestId};
use throughline_proto::model::{Answer, LoggingLevel};
use throughline_proto::session::{
    AskNo, CallNo, MessageKind, NoRoute, ProgressRoute, Roads, Route, StreamNo,
};

use super::live::{Live, write_note};
use super::outlet::Outlet;
use super::stream::{Closing, Weight};
use crate::handler::channel::{Channel, Note, QuestionBody};
use crate::handler::{AskError, CallOver};
use crate::lock::Lock;

/// How a POST may be answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mode {
    /// One JSON body when nothing is sent before the answer, else SSE.
    Adaptive,
    /// SSE.
    Sse,
    /// One JSON body.
    Json(JsonBecause),
    /// On the pipe that carries everything else too: each message as it comes, except that a batch is answered by one
    /// array.
    Pipe,
}

/// Why a POST is answered with one JSON body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum JsonBecause {
    /// The server's flag.
    Flag,
    /// The client accepts nothing else.
    Accept,
}

/// A POST with at least one request.
pub(crate) struct Exchange {
    live: Arc<Live>,
    stream: StreamNo,
    mode: Mode,
    progress: ProgressRoute,
    /// The head of the POST, where a handler asks for it.
    http_parts: OnceLock<Arc<Parts>>,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    /// The POST that waits for the decision.
    waker: Option<Waker>,
    /// That POST was dropped before it got a response.
    gone: bool,
    /// Requests without an answer.
    open: usize,
    /// The answers, in the order of the requests, while it is not decided how they go out.
    answers: Vec<Bytes>,
    is_batch: bool,
    /// Progress that took the standalone stream: its last event there.
    standalone_seq: u64,
}

enum Phase {
    Undecided,
    Streaming(Outlet),
    /// Messages go out at once, and the answers together when the last is there.
    Gathering(Outlet),
    Body,
}

/// How a POST is answered.
pub(crate) enum Decision {
    /// One JSON body; empty when every request was taken back.
    Body(Bytes),
    /// SSE.
    Stream(Outlet),
}

impl Exchange {
    /// `requests` of them will be settled, in slots numbered from 0.
    pub(crate) fn new(
        live: Arc<Live>,
        stream: StreamNo,
        mode: Mode,
        progress: ProgressRoute,
        requests: usize,
        is_batch: bool,
    ) -> Arc<Self> {
        let exchange = Arc::new(Self {
            live,
            stream,
            mode,
            progress,
            http_parts: OnceLock::new(),
            state: Mutex::new(State {
                phase: Phase::Undecided,
                waker: None,
                gone: false,
                open: requests,
                answers: vec![Bytes::new(); requests],
                is_batch,
                standalone_seq: 0,
            }),
        });
        if matches!(mode, Mode::Sse | Mode::Pipe) {
            exchange.upgrade();
        }
        exchange
    }

    pub(crate) fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// Keeps the head of the POST for the handlers that run in it.
    pub(crate) fn keep_http_parts(&self, parts: &Parts) {
        self.http_parts.get_or_init(|| Arc::new(parts.clone()));
    }

    pub(crate) fn http_parts(&self) -> Option<&Arc<Parts>> {
        self.http_parts.get()
    }

    /// Waits for the decision, at most until `upgrade` has passed.
    pub(crate) fn decided(self: &Arc<Self>, upgrade: Duration) -> Decided {
        Decided { exchange: Arc::clone(self), upgrade, timer: None, done: false }
    }

    /// Goes over to streaming, if it is not decided yet and the mode allows it; where messages go then.
    pub(crate) fn upgrade(&self) -> Option<Outlet> {
        let mut state = self.state.locked();
        match &state.phase {
            Phase::Streaming(outlet) | Phase::Gathering(outlet) => return Some(outlet.clone()),
            Phase::Body => return None,
            Phase::Undecided if matches!(self.mode, Mode::Json(_)) => return None,
            Phase::Undecided => {}
        }
        let outlet = self.live.open_outlet(self.stream);
        if self.mode == Mode::Pipe && state.is_batch {
            state.phase = Phase::Gathering(outlet.clone());
            return Some(outlet);
        }
        if let (Outlet::Log(stream), false) = (&outlet, state.gone) {
            stream.await_reader();
        }
        // Answers of a batch that were there first: the stream is not over, or the phase would be `Body`.
        for answer in std::mem::take(&mut state.answers) {
            if !answer.is_empty() {
                outlet.send(Weight::response(false), &answer);
            }
        }
        state.phase = Phase::Streaming(outlet.clone());
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
        Some(outlet)
    }

    /// The connection of a POST without a session is gone: its calls are cancelled, and what they still send fails,
    /// because nobody will ever take it.
    pub(crate) fn abandon(&self) {
        self.live.cancel_calls();
        let mut state = self.state.locked();
        let outlet = match &state.phase {
            Phase::Streaming(outlet) => Some(outlet.clone()),
            Phase::Undecided => {
                state.phase = Phase::Body;
                None
            }
            // A pipe is a session's.
            Phase::Gathering(_) | Phase::Body => None,
        };
        drop(state);
        if let Some(outlet) = outlet {
            outlet.end();
        }
    }

    /// The request in this slot has its answer, or none when it was taken back.
    pub(crate) fn settle(&self, slot: usize, id: Option<&RequestId>, answer: Result<Answer, ErrorObject>) {
        let mut body = BytesMut::new();
        if let Some(id) = id {
            body.reserve(BODY_CAPACITY);
            self.write(&mut body, id, answer);
        }
        self.settle_with(slot, body);
    }

    /// An entry of a batch that is no request: an error, with the id where it could be read.
    pub(crate) fn settle_malformed(&self, slot: usize, id: Option<&RequestId>, error: &ErrorObject) {
        let mut body = BytesMut::new();
        jsonrpc::write_error(&mut body, id, error);
        self.settle_with(slot, body);
    }

    fn settle_with(&self, slot: usize, body: BytesMut) {
        let mut state = self.state.locked();
        match &state.phase {
            Phase::Streaming(outlet) => {
                // A request counts as open until its answer is sent, so that the end never overtakes an answer.
                let outlet = outlet.clone();
                let last = state.open == 1;
                if last {
                    state.open = 0;
                }
                drop(state);
                if !body.is_empty() {
                    outlet.send(Weight::response(last), &body);
                } else if last {
                    outlet.end();
                }
                if !last && self.close_slot() {
                    outlet.end();
                }
            }
            Phase::Undecided | Phase::Gathering(_) => {
                state.open -= 1;
                state.answers[slot] = body.freeze();
                if state.open == 0 {
                    let phase = std::mem::replace(&mut state.phase, Phase::Body);
                    if let Phase::Gathering(outlet) = phase {
                        let body = one_body(&std::mem::take(&mut state.answers), state.is_batch);
                        drop(state);
                        if !body.is_empty() {
                            outlet.send(Weight::response(true), &body);
                        }
                        return;
                    }
                    let waker = state.waker.take();
                    drop(state);
                    waker.into_iter().for_each(Waker::wake);
                }
            }
            Phase::Body => {}
        }
    }

    /// The answer of a request is sent; true when it was the last.
    fn close_slot(&self) -> bool {
        let mut state = self.state.locked();
        state.open -= 1;
        state.open == 0
    }

    /// Ready when progress that took the standalone stream was written there, so that a result never overtakes it.
    pub(crate) fn poll_progress_written(&self, cx: &task::Context<'_>) -> Poll<()> {
        let seq = self.state.locked().standalone_seq;
        if seq == 0 {
            return Poll::Ready(());
        }
        self.live.standalone().map_or(Poll::Ready(()), |stream| stream.poll_written(seq, cx))
    }

    fn write(&self, out: &mut BytesMut, id: &RequestId, answer: Result<Answer, ErrorObject>) {
        let error = match answer {
            Ok(mut answer) => match self.live.revision.write_answer(out, id, &mut answer) {
                Ok(()) => return,
                Err(error) => {
                    tracing::error!(%error, "a result cannot be written");
                    ErrorObject::new(
                        jsonrpc::ErrorCode::INTERNAL_ERROR,
                        "the result cannot be written in this revision",
                    )
                }
            },
            Err(error) => error,
        };
        out.clear();
        jsonrpc::write_error(out, Some(id), &error);
    }

    fn roads(&self) -> Roads {
        Roads {
            one_json_body: matches!(self.mode, Mode::Json(_)),
            // Filled in where the session is locked anyway.
            standalone_open: false,
            progress: self.progress,
        }
    }

    fn no_route(&self, why: NoRoute) -> AskError {
        match (why, self.mode) {
            (NoRoute::CallOver, _) => AskError::call_over(),
            (NoRoute::OneJsonBody, Mode::Json(JsonBecause::Accept)) => AskError::no_back_channel(
                "its request accepts only application/json, so nothing can be sent before the answer; accept text/event-stream too",
            ),
            (NoRoute::OneJsonBody, _) => AskError::no_back_channel(
                "this server answers with one JSON body (`json_response`), so nothing can be sent before the answer",
            ),
        }
    }
}

impl Channel for Exchange {
    fn poll_notify(
        &self,
        call: Option<CallNo>,
        note: Note<'_>,
        cx: &mut task::Context<'_>,
    ) -> Poll<Result<(), CallOver>> {
        let kind =
            if matches!(note, Note::Progress(_)) { MessageKind::Progress } else { MessageKind::Related };
        match self.live.route(call, kind, self.roads()) {
            Route::Post(_) => match self.upgrade() {
                Some(outlet) => outlet.poll_send(|out| write_note(out, note), cx),
                None => Poll::Ready(Err(CallOver)),
            },
            Route::Standalone => {
                let Some(stream) = self.live.standalone() else { return Poll::Ready(Err(CallOver)) };
                let sent = stream.poll_send(|out| write_note(out, note), cx);
                if sent.is_ready() {
                    self.state.locked().standalone_seq = stream.head();
                }
                sent
            }
            Route::Nowhere(NoRoute::CallOver) => Poll::Ready(Err(CallOver)),
            Route::Nowhere(NoRoute::OneJsonBody) => {
                self.live.tally().notifications_undeliverable.add_one();
                Poll::Ready(Ok(()))
            }
        }
    }

    fn wants_log(&self, level: LoggingLevel) -> bool {
        self.live.session(|session| session.wants_log(level))
    }

    fn open_ask(&self, call: Option<CallNo>, question: &QuestionBody) -> Result<AskNo, AskError> {
        if !self.live.is_session() {
            return Err(AskError::no_back_channel(
                "this server keeps no sessions (`stateless_http`), so no answer could find its way back",
            ));
        }
        self.live.open_ask(call, question, self.roads(), |why| self.no_route(why), || self.upgrade())
    }

    fn poll_ask(&self, ask: AskNo, cx: &mut task::Context<'_>) -> Poll<Result<Raw, AskError>> {
        self.live.poll_ask(ask, cx)
    }

    fn ask_deadline(&self, ask: AskNo) -> Option<Instant> {
        self.live.ask_deadline(ask)
    }

    fn expire_asks(&self, now: Instant) {
        self.live.expire_asks(now);
    }

    fn close_ask(&self, ask: AskNo) {
        self.live.close_ask(ask);
    }

    fn close_connection(&self, _: CallNo, retry: Duration) -> bool {
        // Before priming there may be no id on the wire to come back with
        // (https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#sending-messages-to-the-server).
        if !self.live.revision.primes() || !self.live.is_session() {
            return false;
        }
        match self.upgrade() {
            Some(Outlet::Log(stream)) => {
                stream.close_reader_soon(Closing::Retry(retry));
                true
            }
            _ => false,
        }
    }
}

/// Ends with how the POST is answered. See [`Exchange::decided`].
pub(crate) struct Decided {
    exchange: Arc<Exchange>,
    upgrade: Duration,
    timer: Option<Pin<Box<tokio::time::Sleep>>>,
    done: bool,
}

impl Future for Decided {
    type Output = Decision;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Decision> {
        let this = &mut *self;
        loop {
            let mut state = this.exchange.state.locked();
            match &state.phase {
                Phase::Streaming(outlet) => {
                    this.done = true;
                    return Poll::Ready(Decision::Stream(outlet.clone()));
                }
                Phase::Body => {
                    let answers = std::mem::take(&mut state.answers);
                    this.done = true;
                    return Poll::Ready(Decision::Body(one_body(&answers, state.is_batch)));
                }
                Phase::Undecided | Phase::Gathering(_) => state.waker = Some(cx.waker().clone()),
            }
            drop(state);
            if matches!(this.exchange.mode, Mode::Json(_)) {
                return Poll::Pending;
            }
            let timer = this.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(this.upgrade)));
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            this.exchange.upgrade();
        }
    }
}

impl Drop for Decided {
    /// Its POST is gone before it got a response: senders need not wait for it.
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let mut state = self.exchange.state.locked();
        state.gone = true;
        if let Phase::Streaming(Outlet::Log(stream)) = &state.phase {
            stream.await_no_reader();
        }
    }
}

/// The answers as one body: the only one, or an array in the order of the requests.
fn one_body(answers: &[Bytes], is_batch: bool) -> Bytes {
    match answers {
        [only] if !is_batch => only.clone(),
        answers => {
            let mut body = BytesMut::new();
            for answer in answers.iter().filter(|answer| !answer.is_empty()) {
                body.extend_from_slice(if body.is_empty() { b"[" } else { b"," });
                body.extend_from_slice(answer);
            }
            if !body.is_empty() {
                body.extend_from_slice(b"]");
            }
            body.freeze()
        }
    }
}

/// A short result fits without growing.
const BODY_CAPACITY: usize = 256;
