//! A call whose questions are answered by a later one: what stands in for the way back that it does not have.
//!
//! ```text
//!   handler asks --> no answer came along --> it waits --> the driver sees that, answers "input required", drops it
//!                --> an answer came along --> it goes on
//! ```
//!
//! The rules are the engine's ([`Rounds`]); here is who waits, who is woken, and what a client may be asked.
//!
//! Specification: <https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/mrtr>.

use std::sync::{Arc, Mutex};
use std::task::{self, Poll, Waker};

use bytes::BytesMut;
use throughline_proto::http::{Refusal, RefusalKind};
use throughline_proto::jsonrpc::{self, Outline, Part, Raw, Request, Str};
use throughline_proto::model::{Answer, InputRequest, InputRequiredResult, Method, ServerRequest};
use throughline_proto::session::{self, AskNo};
use throughline_proto::stateless::{self, AskRefused, Binding, KeyRing, Rounds};

use crate::error::McpError;
use crate::handler::channel::{AskRequest, Input, QuestionBody};
use crate::handler::input::{kind_of, read_question};
use crate::handler::once::Running;
use crate::handler::{Ability, AskError, Call, Caller, OnceError, Outcome};
use crate::lock::Lock;
use crate::runtime;
use crate::server::dispatch::to_call;

/// The questions of one call and the answers that came along with it.
pub(crate) struct Asking {
    caller: Arc<Caller>,
    keys: Arc<KeyRing>,
    /// What the state is sealed for.
    call: Bound,
    /// It brought answers or a state along.
    is_retry: bool,
    state: Mutex<State>,
}

/// The parts of a call that its state belongs to.
struct Bound {
    method: Str,
    target: Option<Str>,
    arguments: Option<Raw>,
}

struct State {
    rounds: Rounds,
    /// What is being done once: the handler is not dropped meanwhile.
    running: Running,
    driver: Option<Waker>,
    /// Who waits for an answer: the handler, and tasks of its own.
    waiting: Vec<(AskNo, Waker)>,
    over: bool,
}

impl Asking {
    /// What a call can ask that came with these parameters.
    ///
    /// # Errors
    ///
    /// The answers cannot be read, or the state was not sealed for this call: refused before the handler runs. `now` is in
    /// seconds since 1970.
    pub(crate) fn open(
        call: &Call,
        outline: &Outline<'_>,
        caller: &Arc<Caller>,
        keys: &Arc<KeyRing>,
        now: u64,
    ) -> Result<Self, Refusal> {
        let bound = Bound::of(call);
        // Other methods have neither, and ignore what they do not know.
        let given = |part: Option<Part<'_>>| {
            part.filter(|part| bound.may_ask() && part.get() != "null").map(|part| call.params.slice(part))
        };
        let (responses, state) = (given(outline.input_responses), given(outline.request_state));
        let is_retry = responses.is_some() || state.is_some();
        let rounds = match state {
            Some(state) => {
                let state: Str = state.parse().map_err(|_| no_text())?;
                Rounds::open(responses.as_ref(), &state, &bound.binding(caller), keys, now)?
            }
            None => Rounds::new(responses.as_ref())?,
        };
        Ok(Self::with(bound, rounds, is_retry, caller, keys))
    }

    /// What a call can ask that brought nothing along.
    pub(crate) fn unasked(request: &Request, caller: &Arc<Caller>, keys: &Arc<KeyRing>) -> Self {
        let outline = jsonrpc::outline(request.params.as_ref()).unwrap_or_default();
        let rounds = Rounds::new(None).expect("there are no answers that could be malformed");
        Self::with(Bound::of(&to_call(request, &outline)), rounds, false, caller, keys)
    }

    fn with(call: Bound, rounds: Rounds, is_retry: bool, caller: &Arc<Caller>, keys: &Arc<KeyRing>) -> Self {
        Self {
            caller: Arc::clone(caller),
            keys: Arc::clone(keys),
            call,
            is_retry,
            state: Mutex::new(State {
                rounds,
                running: Running::default(),
                driver: None,
                waiting: Vec::new(),
                over: false,
            }),
        }
    }

    /// Asks: the answer that came along is there at once, and where none came the call ends with the question.
    pub(crate) fn open_ask(&self, question: &QuestionBody) -> Result<AskNo, AskError> {
        let AskRequest::Mcp(request) = &question.request else {
            return Err(AskError::not_capable(format!(
                "revision {} does not have this request",
                self.caller.revision().date()
            )));
        };
        let written = self.write(question.kind, request)?;
        let mut state = self.state.locked();
        if state.over {
            return Err(AskError::call_over());
        }
        let asked = state.rounds.ask(question.key.as_deref(), &written);
        let ask = asked.map_err(|refused| AskError::unusable(refused.to_string()))?;
        let unanswered = state.rounds.answer(ask).is_none();
        // It may be asked by a task of the handler's own: then nobody polls the handler.
        let driver = if unanswered { state.driver.take() } else { None };
        drop(state);
        driver.into_iter().for_each(Waker::wake);
        Ok(AskNo(ask.0))
    }

    /// The question as the client gets it, if it may be asked at all.
    fn write(&self, kind: session::Question, request: &ServerRequest) -> Result<BytesMut, AskError> {
        if !self.call.may_ask() {
            return Err(AskError::no_back_channel(format!(
                "a call of `{}` cannot ask anything; `tools/call`, `prompts/get` and `resources/read` can",
                self.call.method
            )));
        }
        let revision = self.caller.revision();
        let capabilities = self.caller.capabilities().cloned().unwrap_or_default();
        match (kind.check(revision, &capabilities), Ability::of(kind)) {
            (Ok(()), _) => {}
            (Err(session::AskRefused::NotCapable { .. }), Some(ability)) => {
                return Err(AskError::undeclared(ability.missing()));
            }
            (Err(_), _) => {
                return Err(AskError::not_capable(format!(
                    "revision {} does not have this request",
                    revision.date()
                )));
            }
        }
        let mut written = BytesMut::new();
        revision
            .write_input_request(&mut written, &mut request.clone())
            .map_err(|error| AskError::not_capable(error.to_string()))?;
        Ok(written)
    }

    pub(crate) fn poll_ask(&self, no: AskNo, cx: &task::Context<'_>) -> Poll<Result<Raw, AskError>> {
        let mut state = self.state.locked();
        if let Some(answer) = state.rounds.answer(stateless::AskNo(no.0)) {
            return Poll::Ready(Ok(answer.clone()));
        }
        if state.over {
            return Poll::Ready(Err(AskError::call_over()));
        }
        match state.waiting.iter_mut().find(|(waiting, _)| *waiting == no) {
            Some((_, waker)) => waker.clone_from(cx.waker()),
            None => state.waiting.push((no, cx.waker().clone())),
        }
        Poll::Pending
    }

    pub(crate) fn reject_answer(&self, no: AskNo) {
        let mut state = self.state.locked();
        state.rounds.reject(stateless::AskNo(no.0));
        let driver = state.driver.take();
        drop(state);
        driver.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn close_ask(&self, no: AskNo) {
        let mut state = self.state.locked();
        let at = state.waiting.iter().position(|(waiting, _)| *waiting == no);
        let gone = at.map(|at| state.waiting.swap_remove(at));
        state.rounds.close(stateless::AskNo(no.0));
        drop(state);
        // A waker holds foreign code.
        drop(gone);
    }

    /// What the call is answered with when its handler waits for the client; asked whenever the handler is not ready, and
    /// `cx` is woken when that changes.
    pub(crate) fn poll_input_required(&self, cx: &task::Context<'_>) -> Poll<Outcome> {
        let mut state = self.state.locked();
        if state.over || !state.rounds.is_waiting() || !state.running.is_empty() {
            match &mut state.driver {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            return Poll::Pending;
        }
        // What a task of the handler's own did now would be missing in the sealed state, and be done again.
        state.over = true;
        Poll::Ready(self.seal(&state.rounds, Vec::new()))
    }

    /// What a handler ended with, as it is sent: its own "input required" gets its state sealed with the rest.
    pub(crate) fn finish(&self, mut outcome: Outcome) -> Outcome {
        if self.is_retry
            && let Ok(answer) = &mut outcome
        {
            answer.keep_from_caches();
        }
        let Ok(Answer::InputRequired(asks)) = outcome else { return outcome };
        if !self.call.may_ask() {
            return Err(McpError::internal(format!(
                "a call of `{}` cannot ask anything; `tools/call`, `prompts/get` and `resources/read` can",
                self.call.method
            )));
        }
        let InputRequiredResult { input_requests, request_state, .. } = *asks;
        let mut questions = Vec::new();
        for (name, question) in input_requests {
            questions.push((name, self.check(question)?));
        }
        let mut state = self.state.locked();
        let expected = state.rounds.expect_responses(questions.iter().map(|(name, _)| &**name));
        expected.map_err(unsent)?;
        let own = Raw::new(&request_state).map_err(|error| McpError::internal(error.to_string()))?;
        state.rounds.set_handler_state(own);
        state.over = true;
        self.seal(&state.rounds, questions)
    }

    /// A question that a handler made itself.
    fn check(&self, question: InputRequest) -> Result<InputRequest, McpError> {
        let request = read_question(question)?;
        let written =
            self.write(kind_of(&request), &request).map_err(|error| match error.as_protocol_error() {
                Some(error) => McpError::from(error.clone()),
                None => McpError::internal(error.to_string()),
            })?;
        Raw::from_json(written).map(InputRequest::from).map_err(|error| McpError::internal(error.to_string()))
    }

    fn seal(&self, rounds: &Rounds, mut questions: Vec<(Str, InputRequest)>) -> Outcome {
        let binding = self.call.binding(&self.caller);
        let sealed = rounds.input_required(&binding, &self.keys, runtime::random(), runtime::unix_time());
        let sealed = sealed.map_err(unsent)?;
        for asked in sealed.requests {
            // A task of the handler's own asks under the name of a question that the handler itself makes.
            if questions.iter().any(|(name, _)| *name == asked.key) {
                return Err(unsent(AskRefused::SameKey));
            }
            let written =
                Raw::from_json(asked.question).map_err(|error| McpError::internal(error.to_string()))?;
            questions.push((asked.key, written.into()));
        }
        let mut result = InputRequiredResult::new().with_request_state(sealed.state);
        result.input_requests = questions;
        Ok(result.into())
    }

    /// The call is answered: nothing can be asked any more.
    pub(crate) fn end(&self) {
        let mut state = self.state.locked();
        state.over = true;
        let waiting = std::mem::take(&mut state.waiting);
        let driver = state.driver.take();
        drop(state);
        drop(driver);
        waiting.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

impl Input for Asking {
    fn begin_once(&self, key: &str) -> Result<Option<Raw>, OnceError> {
        let State { rounds, running, over, .. } = &mut *self.state.locked();
        if *over { Err(OnceError::call_over()) } else { running.begin(rounds, key) }
    }

    fn end_once(&self, key: &str, made: Option<Raw>) -> Result<(), OnceError> {
        let mut state = self.state.locked();
        let State { rounds, running, driver, .. } = &mut *state;
        let ended = running.end(rounds, key, made);
        let driver = driver.take();
        drop(state);
        driver.into_iter().for_each(Waker::wake);
        ended
    }

    fn response(&self, key: &str) -> Option<Raw> {
        self.state.locked().rounds.input_responses().get(key).cloned()
    }

    fn request_state(&self) -> Option<Str> {
        self.state.locked().rounds.handler_state()?.parse().ok()?
    }
}

impl Bound {
    fn of(call: &Call) -> Self {
        Self { method: call.method.clone(), target: call.target.clone(), arguments: call.arguments.clone() }
    }

    fn may_ask(&self) -> bool {
        Method::parse(&self.method).is_some_and(Method::may_ask)
    }

    fn binding(&self, caller: &Caller) -> Binding {
        let principal = caller.principal().map(|principal| principal.to_bytes());
        Binding::new(&self.method, self.target.as_deref(), self.arguments.as_ref(), principal.as_deref())
    }
}

fn no_text() -> Refusal {
    Refusal::new(RefusalKind::InvalidParams)
        .with_message("The member \"requestState\" must be the text that the server gave.")
}

/// A round that cannot be sent is an error of the handler's making.
fn unsent(why: AskRefused) -> McpError {
    McpError::internal(format!("this cannot be asked: {why}"))
}

#[cfg(test)]
mod tests;
