//! POST: a client's messages. What answers them goes to the stream
//! ([HTTP with SSE](https://modelcontextprotocol.io/specification/2024-11-05/basic/transports#http-with-sse)).
//!
//! A POST that is none of a session, or whose body is no message, is refused with a status, as at the other endpoint. A request
//! of a session that cannot be met is answered on the stream, like any other: clients take a status for the end of all.

use std::future::poll_fn;
use std::sync::Arc;

use http::request::Parts;
use http::{Response, StatusCode};
use http_body::Body;
use throughline_proto::http::{Refusal, RefusalKind, check_content_type, session_id, session_in_query};
use throughline_proto::jsonrpc::{
    self, ErrorCode, ErrorObject, Frame, Malformed, Message, Raw, Request, RequestId,
};
use throughline_proto::revision::{Revision, is_modern, is_modern_call};
use throughline_proto::session::{Begin, ProgressRoute, Refused};
use throughline_proto::stateless::TraceContext;

use super::link::Link;
use crate::handler::Caller;
use crate::server::ResponseBody;
use crate::server::calls::CallPermit;
use crate::server::dispatch::{accept, answers_of, begin, run, run_batch, settle_malformed};
use crate::server::exchange::{Answers, Mode, SessionExchange};
use crate::server::live::Live;
use crate::server::stream::Weight;
use crate::server::streamable_http::{Endpoint, of_session, request_body, respond, version};
use crate::server::who::Who;

type Answered = Result<Response<ResponseBody>, Refusal>;

pub(super) async fn answer<B>(endpoint: &Endpoint, parts: &Parts, who: &Who, body: B) -> Answered
where
    B: Body<Data: Send> + Send,
{
    check_content_type(&parts.headers)?;
    of_session(version(parts))?;
    // Before the body: nothing is read for who has no session.
    let link = find(endpoint, parts, who)?;
    link.renew(who);
    let body = {
        let config = &endpoint.config;
        request_body::read(body, config.max_body, config.body_timeout, &endpoint.bodies).await?
    };
    match jsonrpc::parse(&body, &endpoint.config.parse) {
        Ok(Frame::Single(Message::Request(request))) => {
            let id = request.id.clone();
            self::request(endpoint, parts, who, &link, request).await.map_err(|refusal| refusal.with_id(id))
        }
        // What belongs to no session has no effect.
        Ok(Frame::Single(message)) => {
            endpoint.check_sender(who, parts)?;
            if let Some(live) = link.live().filter(|_| !is_modern(&message)) {
                accept(&*endpoint.handler, &live, message);
            }
            Ok(accepted())
        }
        Ok(Frame::Batch(entries)) => Box::pin(batch(endpoint, parts, who, &link, entries)).await,
        Err(malformed) => {
            if let Some(live) = link.live() {
                settle_malformed(&live, &malformed);
            }
            Err(Refusal::from(malformed))
        }
    }
}

/// The session that the address names. One of another principal is as unknown as one that never was.
fn find(endpoint: &Endpoint, parts: &Parts, who: &Who) -> Result<Arc<Link>, Refusal> {
    let id = session_in_query(parts.uri.query())?;
    // A header of the other transport may be there, but not for another session.
    if session_id(&parts.headers)?.is_some_and(|named| named != id) {
        return Err(Refusal::new(RefusalKind::InvalidRequest).with_message(TWO_SESSIONS));
    }
    endpoint.registry.find_link(&id, who.principal()).ok_or_else(unknown)
}

async fn request(
    endpoint: &Endpoint,
    parts: &Parts,
    who: &Who,
    link: &Arc<Link>,
    request: Request,
) -> Answered {
    if endpoint.is_draining() {
        return Err(Refusal::new(RefusalKind::Draining));
    }
    let (outline, meta) = jsonrpc::outlines(request.params.as_ref());
    let caller = link.live().and_then(|live| who.caller(&live.caller));
    if endpoint.has_scopes() {
        let nobody = Caller::new(Revision::LATEST_LEGACY, None, who.standing());
        let caller = caller.as_deref().unwrap_or(&nobody);
        endpoint.check_request(who, parts, caller, &request, outline.as_ref().ok())?;
    }
    wait_for_room(endpoint, who, link).await?;
    let meta = meta.unwrap_or_default();
    if is_modern_call(&request.method, &meta) {
        return fail(link, &request.id, &invalid(NOT_HERE));
    }
    if request.method == "initialize" {
        return match endpoint.initialize_link(link, &request) {
            Ok(()) => Ok(accepted()),
            Err(error) => fail(link, &request.id, &error),
        };
    }
    let Some(live) = link.live() else { return before_session(link, &request) };
    let (stream, mut begun) = live.handle_request(|session| {
        let stream = session.open_stream();
        (stream, begin(session, stream, &request, outline))
    });
    begun.comes_with(TraceContext::of(&meta, Some(&parts.headers)).map(Box::new), caller);
    let permit = match permit(endpoint, who, &live, &begun.begin) {
        Ok(permit) => permit,
        Err(refusal) => return fail(link, &request.id, &refusal.error()),
    };
    let progress = ProgressRoute::Request;
    let exchange = SessionExchange::new(live, stream, Mode::Pipe, progress, Answers::One, None);
    if endpoint.handler.wants_http_parts() {
        exchange.keep_http_parts(parts);
    }
    run(&*endpoint.handler, &exchange, 0, &request.id, begun, permit).await;
    Ok(accepted())
}

/// Before `initialize` only a ping is answered
/// ([lifecycle](https://modelcontextprotocol.io/specification/2025-11-25/basic/lifecycle#initialization)).
fn before_session(link: &Link, request: &Request) -> Answered {
    if request.method != "ping" {
        return fail(link, &request.id, &invalid(NOT_INITIALIZED));
    }
    link.pipe().send(Weight::KEPT, |out| jsonrpc::write_raw_result(out, &request.id, &Raw::empty_object()));
    Ok(accepted())
}

/// A batch (2025-03-26 only): its answers are one event
/// ([batching](https://modelcontextprotocol.io/specification/2025-03-26/basic#batching)).
async fn batch(
    endpoint: &Endpoint,
    parts: &Parts,
    who: &Who,
    link: &Arc<Link>,
    entries: Vec<Result<Message, Malformed>>,
) -> Answered {
    let Some(live) = link.live() else { return Err(Refusal::new(RefusalKind::NotInitialized)) };
    if !live.revision.has_batches() || entries.iter().flatten().any(is_modern) {
        return Err(Refusal::new(RefusalKind::InvalidRequest).with_message(NO_BATCHES));
    }
    if endpoint.is_draining() {
        return Err(Refusal::new(RefusalKind::Draining));
    }
    let caller = who.caller(&live.caller);
    if endpoint.has_scopes() {
        endpoint.check_batch(who, parts, caller.as_ref().unwrap_or(&live.caller), &entries)?;
    }
    endpoint.pace(who, entries.len().saturating_sub(1))?;
    wait_for_room(endpoint, who, link).await?;
    let answers = answers_of(&entries);
    let stream = live.session(|session| session.open_stream());
    let exchange = (answers > 0).then(|| {
        let (answers, progress) = (Answers::Batch(answers), ProgressRoute::Request);
        SessionExchange::new(Arc::clone(&live), stream, Mode::Pipe, progress, answers, None)
    });
    if let Some(exchange) = exchange.as_ref().filter(|_| endpoint.handler.wants_http_parts()) {
        exchange.keep_http_parts(parts);
    }
    let permit = |begun: &Begin| permit(endpoint, who, &live, begun).map_err(|refusal| refusal.error());
    let (handler, headers) = (&*endpoint.handler, Some(&parts.headers));
    run_batch(handler, &live, caller, stream, exchange.as_ref(), entries, headers, permit).await;
    Ok(accepted())
}

/// Waits for a client that has much to read before it may ask for more: as many requests as it may have in flight, and no
/// longer than a body may take.
async fn wait_for_room(endpoint: &Endpoint, who: &Who, link: &Link) -> Result<(), Refusal> {
    if !link.pipe().has_room() {
        let full = || Refusal::new(RefusalKind::RequestsFull).with_message(UNREAD);
        // A place among all requests too: each of those that wait holds its body.
        let _places =
            (link.waiting.permit(endpoint.config.session.calls).ok_or_else(full)?, endpoint.permit(who)?);
        let room = poll_fn(|cx| link.pipe().poll_room(cx));
        tokio::time::timeout(endpoint.config.body_timeout, room).await.map_err(|_| full())?;
    }
    if link.is_over() { Err(unknown()) } else { Ok(()) }
}

/// A place among the requests in flight for a call that is to run; the refusal of one that is not taken on.
fn permit(endpoint: &Endpoint, who: &Who, live: &Live, begun: &Begin) -> Result<Option<CallPermit>, Refusal> {
    match begun {
        Begin::Run(call) => endpoint.permit(who).map(Some).inspect_err(|_| drop(live.call_done(*call))),
        Begin::Refuse(Refused::DuplicateId) => Err(Refusal::new(RefusalKind::DuplicateRequestId)),
        Begin::Refuse(refused @ Refused::TooManyCalls { .. }) => {
            Err(Refusal::new(RefusalKind::RequestsFull).with_message(refused.error().message))
        }
        Begin::Answer(_) | Begin::Fail(_) => Ok(None),
    }
}

/// Answers a request with an error. One whose id is that of a request in flight is refused with a status: on the stream it would
/// be taken for the answer to that one.
fn fail(link: &Link, id: &RequestId, error: &ErrorObject) -> Answered {
    if link.live().is_some_and(|live| live.session(|session| session.is_in_flight(id))) {
        return Err(Refusal::new(RefusalKind::DuplicateRequestId));
    }
    link.pipe().send(Weight::KEPT, |out| jsonrpc::write_error(out, Some(id), error));
    Ok(accepted())
}

fn accepted() -> Response<ResponseBody> {
    respond::empty(StatusCode::ACCEPTED)
}

fn unknown() -> Refusal {
    Refusal::new(RefusalKind::UnknownSession).with_message(UNKNOWN)
}

fn invalid(message: &'static str) -> ErrorObject {
    ErrorObject::new(ErrorCode::INVALID_REQUEST, message)
}

const UNKNOWN: &str = "The session is unknown or has ended. Open a stream with GET for a new one.";
const TWO_SESSIONS: &str =
    "The Mcp-Session-Id header names another session than the address. Leave the header out.";
const NOT_INITIALIZED: &str = "This server needs a session. Send initialize first.";
// A code that is none of the modern era's has a client of both eras fall back.
const NOT_HERE: &str =
    "HTTP+SSE is for sessions. Send initialize first, or this request to the Streamable HTTP endpoint.";
const NO_BATCHES: &str = "this revision has no batches; send each message in a POST of its own";
const UNREAD: &str = "Too much waits to be read on this stream. Read it, then send the request again.";
