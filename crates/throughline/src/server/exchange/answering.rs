//! How a POST is answered: undecided, one JSON body, or a stream. The same for every era.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard};
use std::task::{self, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;

use super::{BODY_CAPACITY, Exchange};
use crate::lock::Lock;
use crate::server::outlet::Outlet;
use crate::server::stream::Weight;

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

/// How many answers a POST gets, and in which form.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Answers {
    /// Of one request.
    One,
    /// Of the requests of a batch: an array.
    Batch(usize),
}

/// How a POST is answered.
pub(crate) enum Decision {
    /// One JSON body; empty when every request was taken back.
    Body(StatusCode, Bytes),
    /// SSE.
    Stream(Outlet),
}

/// The answers of one POST on their way out.
pub(crate) struct Answering {
    mode: Mode,
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
    /// The answers, while it is not decided how they go out.
    answers: Gathered,
    /// The status of a response that is one JSON body.
    status: StatusCode,
}

enum Phase {
    Undecided,
    Streaming(Outlet),
    /// Messages go out at once, and the answers together when the last is there.
    Gathering(Outlet),
    Body,
}

/// Answers, in the order of their requests; empty where there is none (yet).
enum Gathered {
    One(Bytes),
    Batch(Vec<Bytes>),
}

impl Answering {
    pub(crate) fn new(mode: Mode, answers: Answers) -> Self {
        let (open, answers) = match answers {
            Answers::One => (1, Gathered::One(Bytes::new())),
            Answers::Batch(requests) => (requests, Gathered::Batch(vec![Bytes::new(); requests])),
        };
        let state = State {
            phase: Phase::Undecided,
            waker: None,
            gone: false,
            open,
            answers,
            status: StatusCode::OK,
        };
        Self { mode, state: Mutex::new(state) }
    }

    /// Answers that go out on a stream that began in an earlier life: nobody waits for a response.
    pub(crate) fn again(outlet: Outlet, open: usize) -> Self {
        let state = State {
            phase: Phase::Streaming(outlet),
            waker: None,
            gone: true,
            open,
            answers: Gathered::Batch(Vec::new()),
            status: StatusCode::OK,
        };
        Self { mode: Mode::Sse, state: Mutex::new(state) }
    }

    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    /// Goes over to streaming, if it is not decided yet and the mode allows it; where messages go then. `open` gives the
    /// outlet of a stream that begins.
    pub(super) fn upgrade(&self, open: impl FnOnce() -> Outlet) -> Option<Outlet> {
        let mut state = self.state.locked();
        match &state.phase {
            Phase::Streaming(outlet) | Phase::Gathering(outlet) => return Some(outlet.clone()),
            Phase::Body => return None,
            Phase::Undecided if matches!(self.mode, Mode::Json(_)) => return None,
            Phase::Undecided => {}
        }
        let outlet = open();
        if self.mode == Mode::Pipe && matches!(state.answers, Gathered::Batch(_)) {
            state.phase = Phase::Gathering(outlet.clone());
            return Some(outlet);
        }
        if let (Outlet::Log(stream), false) = (&outlet, state.gone) {
            stream.await_reader();
        }
        // Answers of a batch that were there first: the stream is not over, or the phase would be `Body`.
        if let Gathered::Batch(answers) = &mut state.answers {
            for answer in std::mem::take(answers).iter().filter(|answer| !answer.is_empty()) {
                outlet.send(Weight::response(false), answer);
            }
        }
        state.phase = Phase::Streaming(outlet.clone());
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
        Some(outlet)
    }

    /// The connection is gone, and with it whoever could take an answer: what is still sent fails.
    pub(crate) fn abandon(&self) {
        let mut state = self.state.locked();
        let outlet = match &state.phase {
            Phase::Streaming(outlet) => Some(outlet.clone()),
            Phase::Undecided => {
                state.phase = Phase::Body;
                None
            }
            // A pipe outlives what it carries.
            Phase::Gathering(_) | Phase::Body => None,
        };
        drop(state);
        if let Some(outlet) = outlet {
            outlet.end();
        }
    }

    /// The request in this slot has its answer, empty when it was taken back. `status` is that of the response, if the
    /// answer turns out to be its one body.
    pub(crate) fn settle(&self, slot: usize, status: StatusCode, answer: BytesMut) {
        let mut state = self.state.locked();
        match &state.phase {
            Phase::Streaming(outlet) => {
                let outlet = outlet.clone();
                let is_answered = !answer.is_empty();
                self.stream(
                    state,
                    &outlet,
                    is_answered.then_some(|out: &mut BytesMut| {
                        out.extend_from_slice(&answer);
                    }),
                );
            }
            Phase::Undecided | Phase::Gathering(_) => {
                state.open -= 1;
                state.status = status;
                state.answers.put(slot, answer.freeze());
                if state.open == 0 {
                    let phase = std::mem::replace(&mut state.phase, Phase::Body);
                    if let Phase::Gathering(outlet) = phase {
                        let body = state.answers.take();
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

    /// The same for the answer that `write` writes: where it streams, straight into its event.
    pub(crate) fn settle_with(&self, slot: usize, write: impl FnOnce(&mut BytesMut)) {
        let state = self.state.locked();
        if let Phase::Streaming(outlet) = &state.phase {
            let outlet = outlet.clone();
            return self.stream(state, &outlet, Some(write));
        }
        drop(state);
        let mut body = BytesMut::with_capacity(BODY_CAPACITY);
        write(&mut body);
        self.settle(slot, StatusCode::OK, body);
    }

    /// Sends the answer of a request, or the end where the last one gets none.
    fn stream(
        &self,
        mut state: MutexGuard<'_, State>,
        outlet: &Outlet,
        answer: Option<impl FnOnce(&mut BytesMut)>,
    ) {
        // A request counts as open until its answer is sent, so that the end never overtakes an answer.
        let last = state.open == 1;
        if last {
            state.open = 0;
        }
        drop(state);
        match answer {
            Some(write) => drop(outlet.send_with(Weight::response(last), write)),
            None if last => outlet.end(),
            None => {}
        }
        if !last && self.close_slot() {
            outlet.end();
        }
    }

    /// The answer of a request is sent; true when it was the last.
    fn close_slot(&self) -> bool {
        let mut state = self.state.locked();
        state.open -= 1;
        state.open == 0
    }

    /// The decision, where there is one already.
    pub(crate) fn decision_now(&self) -> Option<Decision> {
        self.state.locked().decision()
    }

    /// The decision, once there is one. `None` wakes `cx` when there is.
    fn decision(&self, cx: &task::Context<'_>) -> Option<Decision> {
        let mut state = self.state.locked();
        let decision = state.decision();
        if decision.is_none() {
            state.waker = Some(cx.waker().clone());
        }
        decision
    }

    /// The POST is gone before it got a response: senders need not wait for it.
    fn lose_post(&self) {
        let mut state = self.state.locked();
        state.gone = true;
        if let Phase::Streaming(Outlet::Log(stream)) = &state.phase {
            stream.await_no_reader();
        }
    }
}

impl State {
    fn decision(&mut self) -> Option<Decision> {
        match &self.phase {
            Phase::Streaming(outlet) => Some(Decision::Stream(outlet.clone())),
            Phase::Body => Some(Decision::Body(self.status, self.answers.take())),
            Phase::Undecided | Phase::Gathering(_) => None,
        }
    }
}

impl Gathered {
    fn put(&mut self, slot: usize, answer: Bytes) {
        match self {
            Gathered::One(one) => *one = answer,
            Gathered::Batch(all) => all[slot] = answer,
        }
    }

    /// The answers as one body: the only one, or an array in the order of the requests.
    fn take(&mut self) -> Bytes {
        let answers = match self {
            Gathered::One(one) => return std::mem::take(one),
            Gathered::Batch(all) => std::mem::take(all),
        };
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

/// Waits for how a POST is answered, at most until the upgrade delay has passed: then it streams, where its mode allows.
pub(crate) struct Decided<'a> {
    exchange: &'a dyn Exchange,
    upgrade: Duration,
    timer: Option<Pin<Box<tokio::time::Sleep>>>,
    done: bool,
}

impl<'a> Decided<'a> {
    pub(crate) fn new(exchange: &'a dyn Exchange, upgrade: Duration) -> Self {
        Self { exchange, upgrade, timer: None, done: false }
    }
}

impl Future for Decided<'_> {
    type Output = Decision;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Decision> {
        let this = &mut *self;
        let answering = this.exchange.answering();
        loop {
            if let Some(decision) = answering.decision(cx) {
                this.done = true;
                return Poll::Ready(decision);
            }
            match answering.mode {
                Mode::Json(_) => return Poll::Pending,
                // A status that is prescribed had its chance.
                Mode::Sse => {
                    this.exchange.upgrade();
                    continue;
                }
                Mode::Adaptive | Mode::Pipe => {}
            }
            let timer = this.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(this.upgrade)));
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            this.exchange.upgrade();
        }
    }
}

impl Drop for Decided<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.exchange.answering().lose_post();
        }
    }
}
