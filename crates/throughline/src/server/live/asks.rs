//! What a server asks its client: sent, answered, given up, taken back.

use std::task::{self, Poll, Waker};
use std::time::Instant;

use bytes::BytesMut;
use throughline_proto::jsonrpc::{self, Raw, RequestId};
use throughline_proto::model::{CancelledParams, ElicitParams, Meta, ServerRequest};
use throughline_proto::revision::Revision;
use throughline_proto::session::{AskNo, AskRefused, CallNo, Expired, NoRoute, Roads, Route};

use super::{Core, Live};
use crate::handler::AskError;
use crate::handler::channel::{AskRequest, QuestionBody};
use crate::lock::Lock;
use crate::runtime;
use crate::server::outlet::Outlet;
use crate::server::stream::Weight;

/// A question without an answer that was taken.
pub(super) struct OpenAsk {
    pub(super) no: AskNo,
    pub(super) answer: Option<Result<Raw, AskError>>,
    pub(super) waker: Option<Waker>,
}

impl Live {
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
        if core.ended || core.silent {
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
        let largest = self.logs().map_or(usize::MAX, |logs| logs.largest_event);
        if message.len() + EVENT_OVERHEAD > largest {
            self.drop_ask(ask.no);
            return Err(AskError::unusable(format!(
                "it has {} bytes, and {largest} is the most",
                message.len()
            )));
        }
        let outlet = match ask.route {
            Route::Standalone => self.standalone_outlet(),
            Route::Post(_) => outlet(),
            Route::Nowhere(_) => None,
        };
        if !outlet.is_some_and(|outlet| outlet.send(Weight::KEPT, &message)) {
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
    pub(super) fn take_back(&self, ask: &Expired, reason: &str) {
        let params = CancelledParams::new(ask.ask.request_id()).with_reason(reason.to_owned());
        let mut message = BytesMut::new();
        if jsonrpc::write_notification(&mut message, "notifications/cancelled", Some(&params)).is_err() {
            return;
        }
        let outlet = match ask.route {
            Route::Standalone => self.standalone_outlet(),
            Route::Post(no) => self.running_outlet(no),
            Route::Nowhere(_) => None,
        };
        if let Some(outlet) = outlet {
            outlet.send(Weight::DROPPABLE, &message);
        }
    }
}

impl Core {
    /// The answer to an ask is there (or will never be): whom to wake.
    pub(super) fn settle_ask(&mut self, no: AskNo, answer: Result<Raw, AskError>) -> Option<Waker> {
        let ask = self.asks.iter_mut().find(|ask| ask.no == no)?;
        ask.answer = Some(answer);
        ask.waker.take()
    }

    pub(super) fn give_up(&mut self, expired: &[Expired], error: &AskError) -> Vec<Waker> {
        expired.iter().filter_map(|ask| self.settle_ask(ask.ask, Err(error.clone()))).collect()
    }
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
