//! What a front door does with messages once it knows their session: the same for every transport.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use serde_json::value::RawValue;
use throughline_proto::jsonrpc::{
    self, ErrorObject, Malformed, Message, Notification, Outline, ProgressToken, Raw, Request, Str,
};
use throughline_proto::session::{Begin, Effect, Session, StreamNo};

use super::calls::CallPermit;
use super::driving::Driving;
use super::exchange::Exchange;
use super::live::Live;
use super::watch::Watch;
use crate::handler::channel::Channel;
use crate::handler::{Call, CallScope, Handler};
use crate::runtime;

/// What becomes of a request; for one that runs, its call and its progress token.
pub(crate) type Begun = (Begin, Option<Call>, Option<ProgressToken>);

/// Registers a request with its session, or has the engine answer it.
pub(crate) fn begin(
    session: &mut Session,
    stream: StreamNo,
    request: &Request,
    outline: Result<Outline<'_>, ErrorObject>,
) -> Begun {
    let outline = match outline {
        Ok(outline) => outline,
        Err(error) => return (Begin::Fail(error), None, None),
    };
    let begun = session.handle_request(stream, request, &outline);
    let Begin::Run(no) = begun else { return (begun, None, None) };
    let token = session.progress_token(no).cloned();
    (begun, Some(to_call(request, &outline)), token)
}

/// Starts the handler, or settles what needs none. A handler that is ready at once never becomes a task.
pub(crate) async fn run(
    handler: &dyn Handler,
    exchange: &Arc<Exchange>,
    slot: usize,
    request: Request,
    (begun, call, token): Begun,
    permit: Option<CallPermit>,
) {
    let (no, call, permit) = match (begun, call, permit) {
        (Begin::Run(no), Some(call), Some(permit)) => (no, call, permit),
        (Begin::Answer(answer), ..) => return exchange.settle(slot, Some(&request.id), Ok(answer)),
        (Begin::Fail(error), ..) => return exchange.settle(slot, Some(&request.id), Err(error)),
        _ => unreachable!("a refused request is not run, and one that runs has its call and permit"),
    };
    let live = exchange.live();
    let channel = Arc::clone(exchange) as Arc<dyn Channel>;
    let scope = CallScope::new(
        channel,
        no,
        Arc::clone(&live.caller),
        live.handle(),
        token,
        exchange.http_parts().cloned(),
    );
    let watch = Watch::begin(handler, &call, &request.id, scope.caller(), live.tally());
    let mut driving =
        Driving::start(handler, call, Arc::clone(&scope), Arc::clone(exchange), slot, permit, watch);
    let pending = poll_fn(|cx| Poll::Ready(Pin::new(&mut driving).poll(cx).is_pending())).await;
    if pending {
        live.call_runs(&scope);
        runtime::spawn(driving);
    }
}

/// How many answers a batch gets: one for each request, and for each entry that is no message.
pub(crate) fn answers_of(entries: &[Result<Message, Malformed>]) -> usize {
    entries.iter().filter(|entry| matches!(entry, Ok(Message::Request(_)) | Err(_))).count()
}

/// Runs a batch. `exchange` settles what [`answers_of`] counted, `None` where that is nothing; `permit` takes a request on
/// or refuses it.
pub(crate) async fn run_batch(
    handler: &dyn Handler,
    live: &Arc<Live>,
    stream: StreamNo,
    exchange: Option<&Arc<Exchange>>,
    entries: Vec<Result<Message, Malformed>>,
    permit: impl Fn(&Begin) -> Result<Option<CallPermit>, ErrorObject>,
) {
    let mut slot = 0;
    for entry in entries {
        match (entry, exchange) {
            (Ok(Message::Request(request)), Some(exchange)) => {
                let begun = live.handle_request(|session| {
                    begin(session, stream, &request, jsonrpc::outline(request.params.as_ref()))
                });
                match permit(&begun.0) {
                    Ok(permit) => run(handler, exchange, slot, request, begun, permit).await,
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

fn to_call(request: &Request, outline: &Outline<'_>) -> Call {
    let params = request.params.clone().unwrap_or_else(Raw::empty_object);
    Call {
        method: request.method.clone(),
        target: outline.name.or(outline.uri).and_then(|part| text_of(&params, part)),
        arguments: outline.arguments.map(|part| params.slice(part)),
        cursor: outline.cursor.and_then(|part| text_of(&params, part)),
        params,
    }
}

/// A JSON text of the parameters; `None` when it is no text.
fn text_of(params: &Raw, part: &RawValue) -> Option<Str> {
    let text = part.get();
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        return serde_json::from_str::<String>(text).ok().map(Str::from);
    }
    Some(params.str_of(inner))
}
