//! A request of the modern era: it has one call, and nothing outlives it.

use std::sync::{Arc, Mutex, OnceLock};
use std::task::{self, Poll};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use http::StatusCode;
use throughline_proto::http::status_of;
use throughline_proto::jsonrpc::{ErrorCode, ErrorObject, Raw, Request, RequestId};
use throughline_proto::model::{Answer, LoggingLevel, Method};
use throughline_proto::revision::Revision;
use throughline_proto::session::{AskNo, CallNo};

use super::{Answering, Answers, Done, Exchange, Mode, write_answer};
use crate::handler::channel::{Channel, Input, Note, QuestionBody};
use crate::handler::{AskError, CallOver, CallScope, Caller, Outcome};
use crate::lock::Lock;
use crate::server::counters::Tally;
use crate::server::live::write_note;
use crate::server::modern::Modern;
use crate::server::outlet::Outlet;
use crate::server::pipe::Pipe;
use crate::server::queue::Queue;
use crate::server::rounds::Asking;

/// A modern request on its way.
pub(crate) struct ModernExchange {
    modern: Arc<Modern>,
    request: Request,
    revision: Revision,
    /// The least severe level of log messages that the request wants; `None`: none.
    log_level: Option<LoggingLevel>,
    /// The one way to the client, where it has no connection for each request.
    pipe: Option<Arc<Pipe>>,
    answering: Answering,
    /// Who calls, once the call is admitted.
    caller: OnceLock<Arc<Caller>>,
    /// The questions of the call: made when it brought answers along, or has to do with questions itself.
    asking: OnceLock<Box<Asking>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The call, once it did not answer at once.
    running: Option<Arc<CallScope>>,
    /// The client took the request back: by closing its connection, or by saying so.
    cancelled: bool,
    done: bool,
}

impl ModernExchange {
    /// A request that is answered over a connection of its own.
    pub(crate) fn new(
        modern: Arc<Modern>,
        request: Request,
        revision: Revision,
        log_level: Option<LoggingLevel>,
        mode: Mode,
        pipe: Option<Arc<Pipe>>,
    ) -> Arc<Self> {
        let exchange = Arc::new(Self {
            modern,
            request,
            revision,
            log_level,
            pipe,
            answering: Answering::new(mode, Answers::One),
            caller: OnceLock::new(),
            asking: OnceLock::new(),
            state: Mutex::default(),
        });
        if mode == Mode::Pipe {
            exchange.upgrade();
        }
        exchange
    }

    pub(crate) fn id(&self) -> &RequestId {
        &self.request.id
    }

    /// The call is admitted: from now on it may ask. `asking` has what it brought along.
    pub(crate) fn admit(&self, caller: &Arc<Caller>, asking: Option<Box<Asking>>) {
        // Each is set once: an exchange has one call.
        let _ = self.caller.set(Arc::clone(caller));
        if let Some(asking) = asking {
            let _ = self.asking.set(asking);
        }
    }

    /// The questions of the call. `None` before it is admitted, and when it is over without a question.
    fn asking(&self) -> Option<&Asking> {
        if self.asking.get().is_none() {
            // Held until they are there: a call that is done meanwhile must find them, to end them.
            let state = self.state.locked();
            if !state.done {
                let caller = self.caller.get()?;
                self.asking
                    .get_or_init(|| Box::new(Asking::unasked(&self.request, caller, self.modern.keys())));
            }
        }
        self.asking.get().map(|asking| &**asking)
    }

    /// Whether it was answered, or taken back and dropped.
    pub(crate) fn is_done(&self) -> bool {
        self.state.locked().done
    }

    /// The server ends: a call that still runs is dropped, and answered so.
    pub(crate) fn drop_call(&self) {
        let running = self.state.locked().running.clone();
        if let Some(scope) = running {
            scope.cancel();
        }
    }

    /// The client took the request back: its call is dropped, and nobody gets its answer. False when it has its answer, or
    /// was taken back before.
    pub(crate) fn cancel(&self) -> bool {
        let mut state = self.state.locked();
        let is_new = !std::mem::replace(&mut state.cancelled, true) && !state.done;
        let running = state.running.clone();
        drop(state);
        if let Some(scope) = running {
            scope.cancel();
        }
        is_new
    }
}

impl Exchange for ModernExchange {
    fn answering(&self) -> &Answering {
        &self.answering
    }

    fn open_outlet(&self) -> Outlet {
        match &self.pipe {
            Some(pipe) => Outlet::Pipe(Arc::clone(pipe)),
            None => Outlet::Queue(Queue::new()),
        }
    }

    fn tally(&self) -> &Tally {
        &self.modern.tally
    }

    fn call_runs(&self, scope: &Arc<CallScope>) {
        let mut state = self.state.locked();
        state.running = Some(Arc::clone(scope));
        let cancelled = state.cancelled;
        drop(state);
        if cancelled {
            scope.cancel();
        }
    }

    fn call_done(&self, _: CallNo) -> Done {
        let mut state = self.state.locked();
        let running = state.running.take();
        let (was_done, cancelled) = (std::mem::replace(&mut state.done, true), state.cancelled);
        drop(state);
        drop(running);
        // None can come any more.
        if let Some(asking) = self.asking.get() {
            asking.end();
        }
        match (was_done, cancelled) {
            (true, _) => Done::Settled,
            (false, true) => Done::TakenBack,
            (false, false) => Done::Answer(self.request.id.clone()),
        }
    }

    fn settle(&self, slot: usize, id: Option<&RequestId>, answer: Result<Answer, ErrorObject>) {
        // Before the answer leaves: then its id is free again.
        self.state.locked().done = true;
        // Nothing is written for a request that was taken back.
        let mut body = BytesMut::with_capacity(if id.is_some() { BODY_CAPACITY } else { 0 });
        let mut status = StatusCode::OK;
        if let Some(id) = id {
            let (revision, extras) = (self.revision, self.modern.extras());
            let answer =
                answer.map_err(|error| ErrorObject { code: revision.error_code(error.code), ..error });
            let error = write_answer(&mut body, id, answer, |out, answer| {
                revision.write_answer_with(out, id, answer, extras)
            });
            if let Some(code) = error {
                status = status_of(revision, code);
            }
            // A status that is prescribed beats the form that is preferred, while the head has not left.
            if self.answering.mode() == Mode::Sse && status == StatusCode::OK {
                self.upgrade();
            }
        }
        self.answering.settle(slot, status, body);
    }

    fn dropped(&self) -> ErrorObject {
        ErrorObject::new(ErrorCode::INTERNAL_ERROR, "the server shut down before the call was answered")
    }

    fn abandon(&self) {
        self.cancel();
        self.answering.abandon();
    }

    fn finish(&self, outcome: Outcome) -> Outcome {
        let asks = matches!(outcome, Ok(Answer::InputRequired(_)));
        match if asks { self.asking() } else { self.asking.get().map(|asking| &**asking) } {
            Some(asking) => asking.finish(outcome),
            None => outcome,
        }
    }

    fn poll_instead(&self, cx: &task::Context<'_>) -> Poll<Outcome> {
        self.asking().map_or(Poll::Pending, |asking| asking.poll_input_required(cx))
    }
}

impl Channel for ModernExchange {
    fn poll_notify(
        &self,
        _: Option<CallNo>,
        note: Note<'_>,
        cx: &mut task::Context<'_>,
    ) -> Poll<Result<(), CallOver>> {
        // What a client did not ask for it must not get, and it asks for MCP's own notifications in its request, or by listening
        // (https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/subscriptions#opening-a-stream).
        if let Note::Custom { method, .. } = note
            && Method::parse(method).is_some()
        {
            self.tally().notifications_undeliverable.add_one();
            return Poll::Ready(Ok(()));
        }
        match self.upgrade() {
            Some(outlet) => outlet.poll_send(|out| write_note(out, note), cx),
            // The client accepts nothing but the answer.
            None if matches!(self.answering.mode(), Mode::Json(_)) => {
                self.tally().notifications_undeliverable.add_one();
                Poll::Ready(Ok(()))
            }
            None => Poll::Ready(Err(CallOver)),
        }
    }

    fn is_held_up_by_its_handler(&self) -> bool {
        // A pipe has a thread of its own, and what is ready leaves together.
        self.answering.mode() != Mode::Pipe
    }

    fn wants_log(&self, level: LoggingLevel) -> bool {
        self.log_level.is_some_and(|least| level >= least)
    }

    fn open_ask(&self, _: Option<CallNo>, question: &QuestionBody) -> Result<AskNo, AskError> {
        self.asking().map_or(Err(AskError::call_over()), |asking| asking.open_ask(question))
    }

    fn poll_ask(&self, ask: AskNo, cx: &mut task::Context<'_>) -> Poll<Result<Raw, AskError>> {
        self.asking().map_or(Poll::Ready(Err(AskError::call_over())), |asking| asking.poll_ask(ask, cx))
    }

    fn ask_deadline(&self, _: AskNo) -> Option<Instant> {
        // A round ends at once, and whether there is another is the client's to say.
        None
    }

    fn expire_asks(&self, _: Instant) {}

    fn close_ask(&self, ask: AskNo) {
        if let Some(asking) = self.asking.get() {
            asking.close_ask(ask);
        }
    }

    fn reject_answer(&self, ask: AskNo) -> bool {
        if let Some(asking) = self.asking.get() {
            asking.reject_answer(ask);
        }
        true
    }

    fn input(&self) -> Option<&dyn Input> {
        self.asking().map(|asking| asking as &dyn Input)
    }

    fn close_connection(&self, _: CallNo, _: Duration) -> bool {
        // There is nothing that the client could come back to.
        false
    }
}

/// A short result fits without growing, with its server's name.
const BODY_CAPACITY: usize = 512;
