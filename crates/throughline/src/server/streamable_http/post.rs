//! POST: a client's messages
//! ([sending messages](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#sending-messages-to-the-server)).

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use http_body::Body;
use throughline_proto::http::{
    Accepts, MCP_SESSION_ID, Refusal, RefusalKind, accepts, check_content_type, is_modern_request,
    protocol_version, session_id,
};
use throughline_proto::jsonrpc::{self, ErrorObject, Frame, Malformed, Message, MetaOutline, Raw, Request};
use throughline_proto::model::Answer;
use throughline_proto::revision::{Revision, is_modern, is_modern_call};
use throughline_proto::session::{Begin, Refused, Session};
use throughline_proto::stateless::TraceContext;

use super::body::CancelOnDrop;
use super::endpoint::Endpoint;
use super::{ResponseBody, ResponseMode, modern, request_body, respond};
use crate::handler::{Caller, Standing};
use crate::server::Era;
use crate::server::calls::CallPermit;
use crate::server::dispatch::{accept, answers_of, begin, keep, run, run_batch, settle_malformed};
use crate::server::exchange::{Answers, Decided, Decision, Exchange, JsonBecause, Mode, SessionExchange};
use crate::server::keeping::Noted;
use crate::server::live::Live;
use crate::server::modern::refuse_initialize;
use crate::server::outlet::Outlet;
use crate::server::tail::Tail;
use crate::server::who::Who;

pub(super) async fn answer<B>(
    endpoint: &Arc<Endpoint>,
    parts: &Parts,
    who: &Who,
    body: B,
) -> Result<Response<ResponseBody>, Refusal>
where
    B: Body<Data: Send> + Send,
{
    let accepts = accepts(&parts.headers);
    if !(accepts.json || accepts.sse) {
        return Err(Refusal::new(RefusalKind::NotAcceptable));
    }
    check_content_type(&parts.headers)?;
    let body = {
        let config = &endpoint.config;
        request_body::read(body, config.max_body, config.body_timeout, &endpoint.bodies).await?
    };
    let frame = match jsonrpc::parse(&body, &endpoint.config.parse) {
        Ok(frame) => frame,
        Err(malformed) => return Err(refuse_malformed(endpoint, parts, who, malformed)),
    };
    // After the body, so that a refusal carries the id of the request, and a modern one is known by its body.
    match frame {
        Frame::Single(Message::Request(request)) => {
            self::request(endpoint, parts, who, request, accepts).await
        }
        Frame::Single(message) => {
            endpoint.check_sender(who, parts)?;
            let version = version(parts);
            if is_modern_of(endpoint, parts, &version, || is_modern(&message))? {
                return modern::take(&message);
            }
            let live = session(endpoint, parts, who, of_session(version)?)?;
            accept(&*endpoint.handler, &live, message);
            // A failure is logged: what the client said holds, and is kept with its next change.
            let _ = keep(&live).await;
            Ok(respond::empty(StatusCode::ACCEPTED))
        }
        Frame::Batch(entries) => {
            let version = version(parts);
            let has_modern = || entries.iter().flatten().any(is_modern);
            if is_modern_of(endpoint, parts, &version, has_modern)? {
                return Err(Refusal::new(RefusalKind::InvalidRequest).with_message(NO_BATCHES));
            }
            let live = session(endpoint, parts, who, of_session(version)?)?;
            let mode = mode(endpoint.config.mode, accepts)?;
            Box::pin(batch(endpoint, parts, who, live, entries, mode)).await
        }
    }
}

/// One request: of which era it is, and whether it opens a session.
async fn request(
    endpoint: &Arc<Endpoint>,
    parts: &Parts,
    who: &Who,
    request: Request,
    accepts: Accepts,
) -> Result<Response<ResponseBody>, Refusal> {
    let refuse = |refusal: Refusal| refusal.with_id(request.id.clone());
    let (outline, meta) = jsonrpc::outlines(request.params.as_ref());
    let is_modern = meta.as_ref().is_ok_and(|meta| is_modern_call(&request.method, meta));
    if request.method == "initialize" && !is_modern {
        // The header is for what follows: here the body negotiates
        // (https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#protocol-version-header).
        if !endpoint.config.era.has_sessions() {
            return Err(refuse(refuse_initialize(request.params.as_ref())));
        }
        if session_id(&parts.headers).map_err(refuse)?.is_none() {
            let mode = mode(endpoint.config.mode, accepts).map_err(refuse)?;
            // Rare, and a future is as large as its largest part.
            return Box::pin(initialize(endpoint, parts, who, request, mode)).await;
        }
    }
    // The body speaks first, and where it does the header is looked at only to be the same.
    let version = if is_modern { Ok(None) } else { version(parts) };
    if is_modern_of(endpoint, parts, &version, || is_modern).map_err(refuse)? {
        let begun = modern::begin(endpoint, parts, who, &request, outline, meta).map_err(refuse)?;
        return modern::answer(endpoint, parts, who, request, begun, accepts).await;
    }
    let trace = TraceContext::of(&meta.unwrap_or_default(), Some(&parts.headers)).map(Box::new);
    let mode = mode(endpoint.config.mode, accepts).map_err(refuse)?;
    let live =
        of_session(version).and_then(|version| session(endpoint, parts, who, version)).map_err(refuse)?;
    if endpoint.is_draining() {
        return Err(refuse(Refusal::new(RefusalKind::Draining)));
    }
    let caller = who.caller(&live.caller);
    if endpoint.has_scopes() {
        let caller = caller.as_ref().unwrap_or(&live.caller);
        endpoint.check_request(who, parts, caller, &request, outline.as_ref().ok()).map_err(refuse)?;
    }
    let (stream, mut begun) = live.handle_request(|session| {
        let stream = session.open_stream();
        (stream, begin(session, stream, &request, outline))
    });
    begun.comes_with(trace, caller);
    let permit = match permit(endpoint, who, &live, &begun.begin) {
        Ok(permit) => permit,
        Err(refusal) => return Err(refusal.with_id(request.id)),
    };
    let noted = endpoint.keeps().then(|| Arc::new(Noted::one(&request, endpoint.runs_again())));
    let exchange = SessionExchange::new(live, stream, mode, endpoint.config.progress, Answers::One, noted);
    let mut guard = CancelOnDrop::of(&exchange);
    if endpoint.handler.wants_http_parts() {
        exchange.keep_http_parts(parts);
    }
    run(&*endpoint.handler, &exchange, 0, &request.id, begun, permit).await;
    let mut response = respond_guarded(endpoint, exchange, &mut guard).await;
    bind(who, &mut response);
    Ok(response)
}

/// A stream of a session, which its client can come back to, ends with the authorization that it was opened with.
fn bind(who: &Who, response: &mut Response<ResponseBody>) {
    if who.authorized().is_some()
        && response.body().is_stream()
        && let Some(expiry) = who.expiry()
    {
        let stream = std::mem::replace(response.body_mut(), ResponseBody::empty());
        *response.body_mut() = stream.bound(Some(expiry), None);
    }
}

/// Whether what came is to be taken as of the modern era. `body` says whether it is by its body; where it does not say, the
/// header does, so that a client that forgot its metadata is told so.
fn is_modern_of(
    endpoint: &Endpoint,
    parts: &Parts,
    version: &Result<Option<Revision>, Refusal>,
    body: impl Fn() -> bool,
) -> Result<bool, Refusal> {
    match endpoint.config.era {
        Era::Modern => Ok(true),
        Era::Legacy if body() => Err(Refusal::new(RefusalKind::ModernEra)),
        Era::Legacy => Ok(false),
        // A header that names a revision with sessions, or none, needs no second look.
        Era::Hybrid => Ok(body()
            || (names_no_session(version) && is_modern_request("", &MetaOutline::default(), &parts.headers))),
    }
}

/// Whether the header is not simply that of a session, or missing.
fn names_no_session(version: &Result<Option<Revision>, Refusal>) -> bool {
    version.as_ref().map_or(true, |version| version.is_some_and(Revision::is_modern))
}

/// How this POST may be answered: what the server prefers, within what the client accepts.
pub(super) fn mode(preferred: ResponseMode, accepts: Accepts) -> Result<Mode, Refusal> {
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
pub(in crate::server) fn version(parts: &Parts) -> Result<Option<Revision>, Refusal> {
    let Some(date) = protocol_version(&parts.headers)? else { return Ok(None) };
    match Revision::parse(date) {
        Some(revision) => Ok(Some(revision)),
        None => Err(Refusal::unsupported_version(date, Revision::legacy_dates())),
    }
}

/// The same where only one with sessions will do.
pub(in crate::server) fn of_session(
    version: Result<Option<Revision>, Refusal>,
) -> Result<Option<Revision>, Refusal> {
    match version? {
        Some(revision) if revision.is_modern() => {
            Err(Refusal::unsupported_version(revision.date(), Revision::legacy_dates()))
        }
        version => Ok(version),
    }
}

/// The session of a request, or what stands for one without sessions.
fn session(
    endpoint: &Endpoint,
    parts: &Parts,
    who: &Who,
    version: Option<Revision>,
) -> Result<Arc<Live>, Refusal> {
    if endpoint.is_stateless() {
        return Ok(endpoint.stateless_session(version.unwrap_or(Revision::WITHOUT_HEADER), who.standing()));
    }
    // A header that names another revision than the one negotiated is tolerated, as the specification only says SHOULD:
    // the session knows its own.
    endpoint.find_session(parts, who.principal())
}

/// A body that is no message. One that was meant to answer a request of ours settles it: nobody need wait on.
fn refuse_malformed(endpoint: &Endpoint, parts: &Parts, who: &Who, malformed: Malformed) -> Refusal {
    if malformed.answers.is_some()
        && let Ok(live) = session(endpoint, parts, who, None)
    {
        settle_malformed(&live, &malformed);
    }
    Refusal::from(malformed)
}

async fn initialize(
    endpoint: &Arc<Endpoint>,
    parts: &Parts,
    who: &Who,
    request: Request,
    mode: Mode,
) -> Result<Response<ResponseBody>, Refusal> {
    if endpoint.is_draining() {
        return Err(Refusal::new(RefusalKind::Draining).with_id(request.id));
    }
    if endpoint.has_scopes() {
        let caller = Caller::new(Revision::LATEST_LEGACY, None, who.standing());
        let checked = endpoint.check_request(who, parts, &caller, &request, None);
        checked.map_err(|refusal| refusal.with_id(request.id.clone()))?;
    }
    let opened = if endpoint.is_stateless() {
        initialize_stateless(endpoint, request.params.as_ref(), who.standing())
    } else {
        match endpoint.open_session(request.params.as_ref(), who).await {
            Ok(opened) => opened,
            Err(refusal) => return Err(refusal.with_id(request.id)),
        }
    };
    let (live, answer) = match opened {
        Ok((live, answer)) => (live, Ok(answer)),
        Err(error) => (endpoint.stateless_session(Revision::LATEST_LEGACY, Standing::default()), Err(error)),
    };
    let opened_id =
        live.is_session().then(|| HeaderValue::from_str(live.id.as_str()).expect("ids are visible ASCII"));
    let stream = live.session(|session| session.open_first_stream());
    let exchange = SessionExchange::new(live, stream, mode, endpoint.config.progress, Answers::One, None);
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
    standing: Standing,
) -> Result<(Arc<Live>, Answer), ErrorObject> {
    let offer = endpoint.handler.offer().without_sessions();
    let (session, result) = Session::open(params, &offer, 0, endpoint.config.session)?;
    let live = endpoint.stateless_session(session.revision(), standing);
    Ok((live, Answer::Initialize(Box::new(result))))
}

/// A batch (2025-03-26 only): its requests share a stream, its answers come in their order
/// ([batching](https://modelcontextprotocol.io/specification/2025-03-26/basic#batching)).
async fn batch(
    endpoint: &Arc<Endpoint>,
    parts: &Parts,
    who: &Who,
    live: Arc<Live>,
    entries: Vec<Result<Message, Malformed>>,
    mode: Mode,
) -> Result<Response<ResponseBody>, Refusal> {
    if !live.revision.has_batches() {
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
    let answers = answers_of(&entries);
    let stream = live.session(|session| session.open_stream());
    let exchange = (answers > 0).then(|| {
        let answers = Answers::Batch(answers);
        let noted = endpoint.keeps().then(|| Arc::new(Noted::batch(&entries, endpoint.runs_again())));
        SessionExchange::new(Arc::clone(&live), stream, mode, endpoint.config.progress, answers, noted)
    });
    let mut guard = exchange.as_ref().map_or(CancelOnDrop(None), CancelOnDrop::of);
    if let Some(exchange) = exchange.as_ref().filter(|_| endpoint.handler.wants_http_parts()) {
        exchange.keep_http_parts(parts);
    }
    let permit = |begun: &Begin| permit(endpoint, who, &live, begun).map_err(|refusal| refusal.error());
    let (handler, headers) = (&*endpoint.handler, Some(&parts.headers));
    run_batch(handler, &live, caller, stream, exchange.as_ref(), entries, headers, permit).await;
    // What was only told, as above.
    let _ = keep(&live).await;
    match exchange {
        Some(exchange) => {
            let mut response = respond_guarded(endpoint, exchange, &mut guard).await;
            bind(who, &mut response);
            Ok(response)
        }
        None => Ok(respond::empty(StatusCode::ACCEPTED)),
    }
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

async fn respond(endpoint: &Endpoint, exchange: Arc<SessionExchange>) -> Response<ResponseBody> {
    respond_guarded(endpoint, exchange, &mut CancelOnDrop(None)).await
}

/// Waits for how the POST is answered. `guard` is armed until there is a body, and then goes with a body that streams.
async fn respond_guarded(
    endpoint: &Endpoint,
    exchange: Arc<SessionExchange>,
    guard: &mut CancelOnDrop,
) -> Response<ResponseBody> {
    let primes = exchange.live().revision.primes();
    match Decided::new(&*exchange, endpoint.config.upgrade_delay).await {
        Decision::Stream(Outlet::Log(stream)) if stream.is_gated() => {
            // Attached first: whoever sends keeps to its pace, also while the store takes its time.
            let tail = Tail::new(Arc::clone(&stream), 0, endpoint.config.retry).skipping_gaps();
            let resumable = stream.opened().await;
            respond::events(ResponseBody::tail(if primes && resumable { tail.primed() } else { tail }))
        }
        decision => response(endpoint, decision, primes, guard),
    }
}

/// The response that was decided on; `primes` says how a stream that is kept begins.
pub(super) fn response(
    endpoint: &Endpoint,
    decision: Decision,
    primes: bool,
    guard: &mut CancelOnDrop,
) -> Response<ResponseBody> {
    match decision {
        Decision::Body(status, body) => {
            guard.disarm();
            // Empty when every request was taken back: they must not be answered.
            if body.is_empty() {
                return respond::empty(StatusCode::ACCEPTED);
            }
            let mut response = respond::json(body);
            *response.status_mut() = status;
            response
        }
        Decision::Stream(Outlet::Log(stream)) => {
            // As long as it has no id the client could not come back for the result behind a hole.
            let tail = Tail::new(stream, 0, endpoint.config.retry).skipping_gaps();
            let tail = if primes { tail.primed() } else { tail };
            respond::events(ResponseBody::tail(tail))
        }
        Decision::Stream(Outlet::Pipe(_)) => unreachable!("what is served over HTTP has no pipe"),
        Decision::Stream(Outlet::Queue(queue)) => {
            endpoint.keep_alive(&queue);
            respond::events(ResponseBody::queue(queue, CancelOnDrop(guard.0.take())))
        }
    }
}

const NO_BATCHES: &str = "this revision has no batches; send each message in a POST of its own";
