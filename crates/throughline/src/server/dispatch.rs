//! What a front door does with messages once it knows their session: the same for every transport.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::HeaderMap;
use throughline_proto::jsonrpc::{
    self, ErrorCode, ErrorObject, Malformed, Message, Notification, Outline, ProgressToken, Raw, Request,
    RequestId,
};
use throughline_proto::model::{Answer, Method};
use throughline_proto::session::{Begin, Effect, Session, StreamNo};
use throughline_proto::stateless::TraceContext;

use super::calls::CallPermit;
use super::driving::{Driving, Started};
use super::exchange::{Exchange, SessionExchange};
use super::keeping::NotKept;
use super::live::Live;
use super::watch::Watch;
use crate::handler::channel::Channel;
use crate::handler::{Call, CallScope, Caller, Handler};

/// What becomes of a request, and what one that runs came with.
pub(crate) struct Begun {
    pub(crate) begin: Begin,
    call: Option<Call>,
    progress: Option<ProgressToken>,
    /// Who calls, where that is more than the session's client.
    caller: Option<Arc<Caller>>,
    /// A call that is no part of a trace moves one word for it.
    trace: Option<Box<TraceContext>>,
}

impl Begun {
    /// Nothing runs.
    fn at_once(begin: Begin) -> Self {
        Self { begin, call: None, progress: None, caller: None, trace: None }
    }

    /// The call belongs to this trace, and came with credentials of its own. In place: it is large, and each request does this.
    pub(crate) fn comes_with(&mut self, trace: Option<Box<TraceContext>>, caller: Option<Arc<Caller>>) {
        self.trace = trace;
        self.caller = caller;
    }

    /// The call belongs to this trace.
    pub(crate) fn traced(mut self, trace: Option<Box<TraceContext>>) -> Self {
        self.trace = trace;
        self
    }
}

/// Registers a request with its session, or has the engine answer it.
pub(crate) fn begin(
    session: &mut Session,
    stream: StreamNo,
    request: &Request,
    outline: Result<Outline<'_>, ErrorObject>,
) -> Begun {
    let outline = match outline {
        Ok(outline) => outline,
        Err(error) => return Begun::at_once(Begin::Fail(error)),
    };
    let begin = session.handle_request(stream, request, &outline);
    let Begin::Run(no) = begin else { return Begun::at_once(begin) };
    let progress = session.progress_token(no).cloned();
    Begun { begin, call: Some(to_call(request, &outline)), progress, caller: None, trace: None }
}

/// Starts the handler, or settles what needs none. To be awaited at once; no async function, because its future would hold
/// everything twice.
pub(crate) fn run<'a>(
    handler: &dyn Handler,
    exchange: &'a Arc<SessionExchange>,
    slot: usize,
    id: &'a RequestId,
    begun: Begun,
    permit: Option<CallPermit>,
) -> Run<'a> {
    let (no, call, permit) = match (begun.begin, begun.call, permit) {
        (Begin::Run(no), Some(call), Some(permit)) => (no, call, permit),
        (Begin::Answer(answer), ..) if exchange.live().keeping().is_some() => {
            return Run::Keeping(Box::pin(keep_and_settle(exchange, slot, id, answer)));
        }
        (Begin::Answer(answer), ..) => {
            exchange.settle(slot, Some(id), Ok(answer));
            return Run::Settled;
        }
        (Begin::Fail(error), ..) => {
            exchange.settle(slot, Some(id), Err(error));
            return Run::Settled;
        }
        _ => unreachable!("a refused request is not run, and one that runs has its call and permit"),
    };
    let live = exchange.live();
    let channel = Arc::clone(exchange) as Arc<dyn Channel>;
    let scope = CallScope::new(
        channel,
        no,
        begun.caller.unwrap_or_else(|| Arc::clone(&live.caller)),
        live.handle(),
        begun.progress,
        exchange.http_parts().cloned(),
        begun.trace,
    );
    Run::Started(start(handler, exchange, slot, id, call, scope, permit))
}

/// A request that runs, or was answered.
#[allow(
    clippy::large_enum_variant,
    reason = "most requests run, and it lives for one poll (how large it is depends on features)"
)]
pub(crate) enum Run<'a> {
    Settled,
    Started(Started<SessionExchange>),
    Keeping(Pin<Box<dyn Future<Output = ()> + Send + 'a>>),
}

impl Future for Run<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut *self {
            Run::Settled => Poll::Ready(()),
            Run::Started(started) => Pin::new(started).poll(cx),
            Run::Keeping(keeping) => keeping.as_mut().poll(cx),
        }
    }
}

async fn keep_and_settle(exchange: &Arc<SessionExchange>, slot: usize, id: &RequestId, answer: Answer) {
    let answer = match keep(exchange.live()).await {
        Ok(()) => Ok(answer),
        Err(NotKept) => Err(ErrorObject::new(ErrorCode::INTERNAL_ERROR, NOT_KEPT)),
    };
    exchange.settle(slot, Some(id), answer);
}

/// Has a session that changed kept before its client hears of it, where the store keeps sessions.
pub(crate) async fn keep(live: &Live) -> Result<(), NotKept> {
    match live.keeping() {
        // Few requests need it, and none should carry it along.
        Some(_) => Box::pin(live.save()).await,
        None => Ok(()),
    }
}

/// Starts a call's handler.
pub(crate) fn start<E: Exchange>(
    handler: &dyn Handler,
    exchange: &Arc<E>,
    slot: usize,
    id: &RequestId,
    call: Call,
    scope: Arc<CallScope>,
    permit: CallPermit,
) -> Started<E> {
    let watch = Watch::begin(handler, &call, id, scope.caller(), scope.trace(), exchange.tally());
    Driving::start(handler, call, scope, Arc::clone(exchange), slot, permit, watch).polled_once()
}

/// How many answers a batch gets: one for each request, and for each entry that is no message.
pub(crate) fn answers_of(entries: &[Result<Message, Malformed>]) -> usize {
    entries.iter().filter(|entry| matches!(entry, Ok(Message::Request(_)) | Err(_))).count()
}

/// Runs a batch, of `caller` where that is more than the session's client. `exchange` settles what [`answers_of`] counted, `None` where that is nothing; `permit` takes a request on
/// or refuses it.
#[allow(clippy::too_many_arguments, reason = "two front doors give it all that they know")]
pub(crate) async fn run_batch(
    handler: &dyn Handler,
    live: &Arc<Live>,
    caller: Option<Arc<Caller>>,
    stream: StreamNo,
    exchange: Option<&Arc<SessionExchange>>,
    entries: Vec<Result<Message, Malformed>>,
    headers: Option<&HeaderMap>,
    permit: impl Fn(&Begin) -> Result<Option<CallPermit>, ErrorObject>,
) {
    let mut slot = 0;
    for entry in entries {
        match (entry, exchange) {
            (Ok(Message::Request(request)), Some(exchange)) => {
                let outline = jsonrpc::outline(request.params.as_ref());
                let meta = outline.as_ref().ok().and_then(|outline| jsonrpc::meta_outline(outline.meta).ok());
                let trace = TraceContext::of(&meta.unwrap_or_default(), headers).map(Box::new);
                let mut begun = live.handle_request(|session| begin(session, stream, &request, outline));
                begun.comes_with(trace, caller.clone());
                match permit(&begun.begin) {
                    Ok(permit) => run(handler, exchange, slot, &request.id, begun, permit).await,
                    Err(error) => exchange.settle(slot, Some(&request.id), Err(error)),
                }
                slot += 1;
            }
            (Err(malformed), Some(exchange)) => {
                settle_malformed(live, &malformed);
                exchange.settle_malformed(slot, malformed.id.as_ref(), &malformed.error);
                slot += 1;
            }
            (Ok(message), _) => accept(handler, live, message),
            (Err(_), None) => unreachable!("an entry that is answered was counted"),
        }
    }
}

/// A notification or a response: taken in, not answered.
pub(crate) fn accept(handler: &dyn Handler, live: &Arc<Live>, message: Message) {
    match message {
        Message::Notification(notification) => notify(handler, live, notification),
        Message::Response(response) => live.handle_response(response),
        Message::Request(_) => {}
    }
}

fn notify(handler: &dyn Handler, live: &Arc<Live>, notification: Notification) {
    match live.handle_notification(&notification) {
        Effect::Initialized | Effect::RootsChanged | Effect::Custom => {
            let method = notification.method.clone();
            let told = || handler.notified(notification, live.context());
            // Nobody waits for an answer, and what else came with it must not suffer.
            if catch_unwind(AssertUnwindSafe(told)).is_err() {
                live.tally().panics.add_one();
                tracing::error!(%method, "a handler panicked when it was told of a notification");
            }
        }
        Effect::Nothing | Effect::Cancel(_) | Effect::Progress(_) => {}
    }
}

/// A malformed response that was meant to answer a request of ours settles it: nobody need wait on.
pub(crate) fn settle_malformed(live: &Live, malformed: &Malformed) {
    if let Some(id) = &malformed.answers {
        live.handle_response(jsonrpc::Response {
            id: Some((**id).clone()),
            outcome: Err(malformed.error.clone()),
        });
    }
}

/// A request as a handler gets it.
pub(crate) fn to_call(request: &Request, outline: &Outline<'_>) -> Call {
    let params = request.params.clone().unwrap_or_else(Raw::empty_object);
    Call {
        method: request.method.clone(),
        target: target_of(&request.method, outline).and_then(|part| params.text_of(part)),
        arguments: outline.arguments.map(|part| params.slice(part)),
        cursor: outline.cursor.and_then(|part| params.text_of(part)),
        params,
    }
}

/// What says which tool, prompt or resource is meant. A method that is not MCP's may say it in either member.
fn target_of<'a>(method: &str, outline: &Outline<'a>) -> Option<jsonrpc::Part<'a>> {
    Method::parse(method).map_or_else(|| outline.name.or(outline.uri), |method| method.target(outline))
}

const NOT_KEPT: &str = "the server could not keep this change, so a restart would forget it; try again";
