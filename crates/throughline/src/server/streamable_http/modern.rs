//! POSTs of the modern era
//! ([Streamable HTTP](https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http)).
//!
//! ```text
//!   headers say what the body says --> metadata --> method known --> place among the calls --> scopes --> admitted --> runs
//! ```
//!
//! What has a status of its own is decided on the way there, before the handler runs.

use std::sync::Arc;

use http::request::Parts;
use http::{Response, StatusCode};
use throughline_proto::http::{Accepts, Refusal, RefusalKind, check_request_headers, routing_name};
use throughline_proto::jsonrpc::{ErrorObject, Message, MetaOutline, Outline, Request};
use throughline_proto::stateless::Metadata;

use super::body::CancelOnDrop;
use super::endpoint::Endpoint;
use super::post::response;
use super::{ResponseBody, ResponseMode, listen, post, respond};
use crate::server::exchange::{Decided, Decision, Exchange, ModernExchange};
use crate::server::modern::{Begun, Step, run};
use crate::server::who::Who;

/// Judges a request by its head and its metadata.
pub(super) fn begin(
    endpoint: &Endpoint,
    parts: &Parts,
    who: &Who,
    request: &Request,
    outline: Result<Outline<'_>, ErrorObject>,
    meta: Result<MetaOutline<'_>, ErrorObject>,
) -> Result<Begun, Refusal> {
    if endpoint.is_draining() {
        return Err(Refusal::new(RefusalKind::Draining));
    }
    let (outline, meta) = (outline.map_err(invalid_params)?, meta.map_err(invalid_params)?);
    let version = Metadata::requested_version(&meta)?;
    let name = routing_name(&request.method, &outline);
    check_request_headers(&parts.headers, &version, &request.method, name.as_deref())?;
    let permit = || endpoint.permit(who);
    let begun =
        endpoint.modern.begin(request, &outline, &meta, who.standing(), Some(&parts.headers), permit)?;
    if endpoint.has_scopes() {
        endpoint.check_request(who, parts, begun.step.caller(), request, Some(&outline))?;
    }
    Ok(begun)
}

/// Answers a request.
pub(super) async fn answer(
    endpoint: &Endpoint,
    parts: &Parts,
    who: &Who,
    request: Request,
    Begun { revision, log_level, step }: Begun,
    accepts: Accepts,
) -> Result<Response<ResponseBody>, Refusal> {
    if let Step::Listen(caller) = step {
        return listen::answer(endpoint, who, &request, caller, accepts);
    }
    let preferred = match endpoint.config.mode {
        // The flag is for sessions: here a request says itself whether it wants anything before its answer.
        ResponseMode::Json => ResponseMode::Adaptive,
        preferred => preferred,
    };
    let mode = post::mode(preferred, accepts)?;
    let handler = &*endpoint.handler;
    endpoint.modern.meet(handler);
    let modern = Arc::clone(&endpoint.modern);
    let exchange = ModernExchange::new(modern, request, revision, log_level, mode, None);
    match step {
        Step::Discover(caller) => {
            let answer = endpoint.modern.discover(handler, caller.principal());
            exchange.settle(0, Some(exchange.id()), answer);
        }
        Step::Call(admitted) => {
            let http_parts = handler.wants_http_parts().then(|| Arc::new(parts.clone()));
            run(handler, &exchange, admitted, Some(&parts.headers), http_parts).await;
        }
        Step::Listen(_) => unreachable!("who listens was answered above"),
    }
    Ok(respond(endpoint, exchange).await)
}

/// A notification or a response: nothing of either has an effect here. A request is taken back by closing its connection
/// ([cancellation](https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/cancellation)).
pub(super) fn take(message: &Message) -> Result<Response<ResponseBody>, Refusal> {
    match message {
        Message::Response(_) => Err(Refusal::new(RefusalKind::InvalidRequest).with_message(NO_RESPONSES)),
        Message::Notification(_) | Message::Request(_) => Ok(respond::empty(StatusCode::ACCEPTED)),
    }
}

async fn respond(endpoint: &Endpoint, exchange: Arc<ModernExchange>) -> Response<ResponseBody> {
    if let Some(decision @ Decision::Body(..)) = exchange.answering().decision_now() {
        return response(endpoint, decision, false, &mut CancelOnDrop(None));
    }
    let mut guard = CancelOnDrop(Some(Arc::clone(&exchange) as Arc<dyn Exchange>));
    let decision = Decided::new(&*exchange, endpoint.config.upgrade_delay).await;
    response(endpoint, decision, false, &mut guard)
}

fn invalid_params(error: ErrorObject) -> Refusal {
    Refusal::new(RefusalKind::InvalidParams).with_message(error.message)
}

const NO_RESPONSES: &str = "This server asks by results, so there is no request that a response could answer. Send the answers with the request that is sent again.";
