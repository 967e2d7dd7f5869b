//! POST: a client's messages
//! ([sending messages](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#sending-messages-to-the-server)).

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use http_body::Body;
use throughline_proto::http::{
    Accepts, MCP_SESSION_ID, Refusal, RefusalKind, accepts, check_content_type, protocol_version, session_id,
};
use throughline_proto::jsonrpc::{self, ErrorObject, Frame, Malformed, Message, Raw, Request};
use throughline_proto::model::Answer;
use throughline_proto::revision::{Revision, is_modern, is_modern_call};
use throughline_proto::session::{Begin, Refused, Session};

use super::body::CancelOnDrop;
use super::endpoint::Endpoint;
use super::{ResponseBody, ResponseMode, request_body, respond};
use crate::server::calls::CallPermit;
use crate::server::dispatch::{accept, answers_of, begin, run, run_batch, settle_malformed};
use crate::server::exchange::{Decision, Exchange, JsonBecause, Mode};
use crate::server::live::Live;
use crate::server::outlet::Outlet;
use crate::server::tail::Tail;

pub(super) async fn answer<B>(
    endpoint: &Arc<Endpoint>,
    parts: Parts,
    body: B,
) -> Result<Response<ResponseBody>, Refusal>
where
    B: Body<Data: Send> + Send,
{
    let mode = mode(endpoint.config.mode, accepts(&parts.headers))?;
    check_content_type(&parts.headers)?;
    let body = request_body::read(body, endpoint.config.max_body, endpoint.config.body_timeout).await?;
    let frame = match jsonrpc::parse(&body, &endpoint.config.parse) {
        Ok(frame) => frame,
        Err(malformed) => return Err(refuse_malformed(endpoint, &parts, malformed)),
    };
    // After the body, so that a refusal carries the id of the request, and a modern one is known by its body.
    let version = version(&parts);
    match frame {
        Frame::Single(Message::Request(request)) => {
            self::request(endpoint, &parts, version, request, mode).await
        }
        Frame::Single(message) if is_modern(&message) => Err(Refusal::new(RefusalKind::ModernEra)),
        Frame::Single(message) => {
            let live = session(endpoint, &parts, version?)?;
            accept(&*endpoint.handler, &live, message);
            Ok(respond::empty(StatusCode::ACCEPTED))
        }
        Frame::Batch(entries) => {
            let live = session(endpoint, &parts, version?)?;
            batch(endpoint, &parts, live, entries, mode).await
        }
    }
}

/// One request: of which era it is, and whether it opens a session.
async fn request(
    endpoint: &Arc<Endpoint>,
    parts: &Parts,
    version: Result<Option<Revision>, Refusal>,
    request: Request,
    mode: Mode,
) -> Result<Response<ResponseBody>, Refusal> {
    let refuse = |refusal: Refusal| refusal.with_id(request.id.clone());
    if request.method == "initialize" && session_id(&parts.headers).map_err(refuse)?.is_none() {
        // The header is for what follows: here the body negotiates
        // (https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#protocol-version-header).
        return initialize(endpoint, parts, request, mode).await;
    }
    let (live, stream, begun) = {
        let outline = jsonrpc::outline(request.params.as_ref());
        let meta = outline
            .as_ref()
            .ok()
            .and_then(|outline| jsonrpc::meta_outline(outline.meta).ok())
            .unwrap_or_default();
        if is_modern_call(&request.method, &meta) {
            return Err(refuse(Refusal::new(RefusalKind::ModernEra)));
        }
        let live = version.and_then(|version| session(endpoint, parts, version)).map_err(refuse)?;
        if endpoint.is_draining() {
            return Err(refuse(Refusal::new(RefusalKind::Draining)));
        }
        let (stream, begun) = live.handle_request(|session| {
            let stream = session.open_stream();
            (stream, begin(session, stream, &request, outline))
        });
        (live, stream, begun)
    };
    let permit = match permit(endpoint, &live, &begun.0) {
        Ok(permit) => permit,
        Err(refusal) => return Err(refusal.with_id(request.id)),
    };
    let exchange = Exchange::new(live, stream, mode, endpoint.config.progress, 1, false);
    let mut guard = CancelOnDrop::of(&exchange);
    if endpoint.handler.wants_http_parts() {
        exchange.keep_http_parts(parts);
    }
    run(&*endpoint.handler, &exchange, 0, request, begun, permit).await;
    Ok(respond_guarded(endpoint, exchange, &mut guard).await)
}

/// How this POST may be answered: what the server prefers, within what the client accepts.
fn mode(preferred: ResponseMode, accepts: Accepts) -> Result<Mode, Refusal> {
    match (preferred, accepts) {
        (ResponseMode::Json, Accepts { json: true, .. }) => Ok(Mode::Json(JsonBecause::Flag)),
        (ResponseMode::Json, _) | (_, Accepts { json: false, sse: false }) => {
            Err(Refusal::new(RefusalKind::NotAcceptable))
        }
        (_, Accepts { json: true, sse: false }) => Ok(Mode::Json(JsonBecause::Accept)),
        (ResponseMode::Sse, _) | (_, Accepts { json: false, sse: true }) => Ok(Mode::Sse),
        (ResponseMode::Adaptive, _) => Ok(Mode::Adaptive),
    }
}

/// The revision that the header names, if it does.
fn version(parts: &Parts) -> Result<Option<Revision>, Refusal> {
    let Some(date) = protocol_version(&parts.headers)? else { return Ok(None) };
    match Revision::parse(date).filter(|revision| !revision.is_modern()) {
        Some(revision) => Ok(Some(revision)),
        None => Err(Refusal::unsupported_version(date, Revision::legacy_dates())),
    }
}

/// The session of a request, or what stands for one without sessions.
fn session(endpoint: &Endpoint, parts: &Parts, version: Option<Revision>) -> Result<Arc<Live>, Refusal> {
    let principal = endpoint.principal(parts);
    if endpoint.is_stateless() {
        return Ok(endpoint.stateless_session(version.unwrap_or(Revision::WITHOUT_HEADER), principal));
    }
    // A header that names another revision than the one negotiated is tolerated, as the specification only says SHOULD:
    // the session knows its own.
    endpoint.find_session(parts, principal.as_ref())
}

/// A body that is no message. One that was meant to answer a request of ours settles it: nobody need wait on.
fn refuse_malformed(endpoint: &Endpoint, parts: &Parts, malformed: Malformed) -> Refusal {
    if malformed.answers.is_some()
        && let Ok(live) = session(endpoint, parts, None)
    {
        settle_malformed(&live, &malformed);
    }
    Refusal::from(malformed)
}

async fn initialize(
    endpoint: &Arc<Endpoint>,
    parts: &Parts,
    request: Request,
    mode: Mode,
) -> Result<Response<ResponseBody>, Refusal> {
    if endpoint.is_draining() {
        return Err(Refusal::new(RefusalKind::Draining).with_id(request.id));
    }
    let principal = endpoint.principal(parts);
    let opened = if endpoint.is_stateless() {
        initialize_stateless(endpoint, request.params.as_ref(), principal)
    } else {
        match endpoint.open_session(request.params.as_ref(), principal) {
            Ok(opened) => opened,
            Err(refusal) => return Err(refusal.with_id(request.id)),
        }
    };
    let (live, answer) = match opened {
        Ok((live, answer)) => (live, Ok(answer)),
        Err(error) => (endpoint.stateless_session(Revision::LATEST_LEGACY, None), Err(error)),
    };
    let opened_id =
        live.is_session().then(|| HeaderValue::from_str(live.id.as_str()).expect("ids are visible ASCII"));
    let stream = live.session(|session| session.open_first_stream());
    let exchange = Exchange::new(live, stream, mode, endpoint.config.progress, 1, false);
    exchange.settle(0, Some(&request.id), answer);
    let mut response = respond(endpoint, exchange).await;
    if let Some(id) = opened_id {
        response.headers_mut().insert(MCP_SESSION_ID, id);
    }
    Ok(response)
}

/// Without sessions `initialize` is answered, and nothing is kept of it.
fn initialize_stateless(
    endpoint: &Endpoint,
    params: Option<&Raw>,
    principal: Option<crate::handler::Principal>,
) -> Result<(Arc<Live>, Answer), ErrorObject> {
    let offer = endpoint.handler.offer().without_sessions();
    let (session, result) = Session::open(params, &offer, 0, endpoint.config.session)?;
    let live = endpoint.stateless_session(session.revision(), principal);
    Ok((live, Answer::Initialize(Box::new(result))))
}

/// A batch (2025-03-26 only): its requests share a stream, its answers come in their order
/// ([batching](https://modelcontextprotocol.io/specification/2025-03-26/basic#batching)).
async fn batch(
    endpoint: &Arc<Endpoint>,
    parts: &Parts,
    live: Arc<Live>,
    entries: Vec<Result<Message, Malformed>>,
    mode: Mode,
) -> Result<Response<ResponseBody>, Refusal> {
    if !live.revision.has_batches() {
        let why = "this revision has no batches; send each message in a POST of its own";
        return Err(Refusal::new(RefusalKind::InvalidRequest).with_message(why));
    }
    if endpoint.is_draining() {
        return Err(Refusal::new(RefusalKind::Draining));
    }
    let answers = answers_of(&entries);
    let stream = live.session(|session| session.open_stream());
    let exchange = (answers > 0)
        .then(|| Exchange::new(Arc::clone(&live), stream, mode, endpoint.config.progress, answers, true));
    let mut guard = exchange.as_ref().map_or(CancelOnDrop(None), CancelOnDrop::of);
    if let Some(exchange) = exchange.as_ref().filter(|_| endpoint.handler.wants_http_parts()) {
        exchange.keep_http_parts(parts);
    }
    let permit = |begun: &Begin| permit(endpoint, &live, begun).map_err(|refusal| refusal.error());
    run_batch(&*endpoint.handler, &live, stream, exchange.as_ref(), entries, permit).await;
    match exchange {
        Some(exchange) => Ok(respond_guarded(endpoint, exchange, &mut guard).await),
        None => Ok(respond::empty(StatusCode::ACCEPTED)),
    }
}

/// A place among the requests in flight for a call that is to run; the refusal of one that is not taken on.
fn permit(endpoint: &Endpoint, live: &Live, begun: &Begin) -> Result<Option<CallPermit>, Refusal> {
    match begun {
        Begin::Run(call) => endpoint.permit().map(Some).inspect_err(|_| drop(live.call_done(*call))),
        Begin::Refuse(Refused::DuplicateId) => Err(Refusal::new(RefusalKind::DuplicateRequestId)),
        Begin::Refuse(refused @ Refused::TooManyCalls { .. }) => {
            Err(Refusal::new(RefusalKind::RequestsFull).with_message(refused.error().message))
        }
        Begin::Answer(_) | Begin::Fail(_) => Ok(None),
    }
}

async fn respond(endpoint: &Arc<Endpoint>, exchange: Arc<Exchange>) -> Response<ResponseBody> {
    respond_guarded(endpoint, exchange, &mut CancelOnDrop(None)).await
}

/// Waits for how the POST is answered. `guard` is armed until there is a body, and then goes with a body that streams.
async fn respond_guarded(
    endpoint: &Arc<Endpoint>,
    exchange: Arc<Exchange>,
    guard: &mut CancelOnDrop,
) -> Response<ResponseBody> {
    match exchange.decided(endpoint.config.upgrade_delay).await {
        Decision::Body(body) => {
            guard.disarm();
            // Empty when every request was taken back: they must not be answered.
            if body.is_empty() { respond::empty(StatusCode::ACCEPTED) } else { respond::json(body) }
        }
        Decision::Stream(Outlet::Log(stream)) => {
            let tail = Tail::new(stream, 0, endpoint.config.retry);
            let tail = if exchange.live().revision.primes() { tail.primed() } else { tail };
            respond::events(ResponseBody::tail(tail))
        }
        Decision::Stream(Outlet::Pipe(_)) => unreachable!("what is served over HTTP has no pipe"),
        Decision::Stream(Outlet::Queue(queue)) => {
            endpoint.keep_alive(&queue);
            respond::events(ResponseBody::queue(queue, CancelOnDrop(guard.0.take())))
        }
    }
}
