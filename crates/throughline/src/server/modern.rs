//! Requests of the modern era, whatever they come by: each carries all that is needed to answer it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use http::HeaderMap;
use http::request::Parts;
use throughline_proto::http::{Refusal, RefusalKind};
use throughline_proto::jsonrpc::{ErrorCode, ErrorObject, MetaOutline, Outline, ProgressToken, Raw, Request};
use throughline_proto::model::{Answer, CacheHints, DiscoverResult, LoggingLevel, Method};
use throughline_proto::revision::{ResultExtras, Revision};
use throughline_proto::session::{CallNo, Offer};
use throughline_proto::stateless::{KeyRing, ListenLimits, Listening, Metadata, TraceContext};

use super::calls::CallPermit;
use super::counters::Tally;
use super::dispatch::{start, to_call};
use super::driving::Started;
use super::era::Era;
use super::exchange::{Exchange, ModernExchange};
use super::rounds::Asking;
use super::watch::Watch;
use crate::error::McpError;
use crate::handler::channel::Channel;
use crate::handler::{Call, CallScope, Caller, Handler, Principal, Standing};
use crate::runtime;

/// What the modern requests of one front door share.
pub(crate) struct Modern {
    /// The revisions that may be spoken, from the newest: what a client is told that speaks none of them.
    supported: Vec<Revision>,
    /// What every result says beside, once the handler was asked for it.
    extras: OnceLock<ResultExtras>,
    /// What a call carries from round to round is sealed with them.
    keys: Arc<KeyRing>,
    pub(super) tally: Arc<Tally>,
}

/// A call that may run.
pub(crate) struct Admitted {
    call: Call,
    caller: Arc<Caller>,
    progress_token: Option<ProgressToken>,
    trace: Option<Box<TraceContext>>,
    /// What it brought along from an earlier round.
    asking: Option<Box<Asking>>,
    permit: CallPermit,
}

/// A request whose metadata is in order.
pub(crate) struct Begun {
    pub(crate) revision: Revision,
    pub(crate) log_level: Option<LoggingLevel>,
    pub(crate) step: Step,
}

/// What is to be done about it.
pub(crate) enum Step {
    Discover(Caller),
    Listen(Caller),
    Call(Admitted),
}

impl Step {
    /// Who asks for it.
    pub(crate) fn caller(&self) -> &Caller {
        match self {
            Step::Discover(caller) | Step::Listen(caller) => caller,
            Step::Call(admitted) => &admitted.caller,
        }
    }
}

impl Modern {
    pub(crate) fn new(era: Era, keys: Arc<KeyRing>, tally: Arc<Tally>) -> Arc<Self> {
        Arc::new(Self { supported: era.revisions(), extras: OnceLock::new(), keys, tally })
    }

    /// Judges a request by its metadata and by what it brings along from an earlier round. `headers` are those of
    /// the request, where it came with some; `permit` takes a call on.
    ///
    /// # Errors
    ///
    /// What is wrong with it. [`RefusalKind::MethodNotFound`] for a method that only other revisions have; one that MCP does
    /// not know may be the handler's own.
    pub(crate) fn begin(
        &self,
        request: &Request,
        outline: &Outline<'_>,
        meta: &MetaOutline<'_>,
        standing: Standing,
        headers: Option<&HeaderMap>,
        permit: impl FnOnce() -> Result<CallPermit, Refusal>,
    ) -> Result<Begun, Refusal> {
        let metadata = self.read(&request.method, meta)?;
        let Metadata { revision, capabilities, client_info, log_level, progress_token, .. } = metadata;
        let info = client_info.zip(request.params.as_ref()).map(|(info, params)| params.slice(info));
        let caller = Caller::unread(revision, capabilities, info, standing);
        let step = match &*request.method {
            "server/discover" => Step::Discover(caller),
            "subscriptions/listen" => Step::Listen(caller),
            _ => {
                let (caller, permit) = (Arc::new(caller), permit()?);
                let call = to_call(request, outline);
                let asking = if outline.input_responses.is_some() || outline.request_state.is_some() {
                    let now = runtime::unix_time();
                    Some(Box::new(Asking::open(&call, outline, &caller, &self.keys, now)?))
                } else {
                    None
                };
                let trace = TraceContext::of(meta, headers).map(Box::new);
                Step::Call(Admitted { call, caller, progress_token, trace, asking, permit })
            }
        };
        Ok(Begun { revision, log_level, step })
    }

    /// What a request says about itself, and whether its method is one of its revision.
    fn read<'a>(&self, method: &str, meta: &MetaOutline<'a>) -> Result<Metadata<'a>, Refusal> {
        let metadata = Metadata::read(meta, &self.supported)?;
        if metadata.revision.client_request(method).is_none() && Method::parse(method).is_some() {
            let refusal = Refusal::new(RefusalKind::MethodNotFound);
            // Its sender may have nothing but this error to show.
            return Err(if method == Method::Initialize.as_str() {
                refusal.with_message(format!(
                    "There is no initialize in {0}. Send requests of {0} without it, or one without the \"_meta\" of {0}.",
                    Revision::modern_dates()
                ))
            } else {
                refusal
            });
        }
        Ok(metadata)
    }

    /// What a call carries from round to round is sealed with these.
    pub(super) fn keys(&self) -> &Arc<KeyRing> {
        &self.keys
    }

    /// What every result says beside: who the server is.
    pub(crate) fn extras(&self) -> &ResultExtras {
        self.extras.get().unwrap_or(&ResultExtras::NONE)
    }

    /// Asks the handler, once, what every result says beside. One that panics is asked again.
    pub(crate) fn meet(&self, handler: &dyn Handler) {
        if self.extras.get().is_none()
            && let Some(offer) = self.offer(handler)
            && let Ok(extras) = ResultExtras::new(&offer.info, CacheHints::default())
        {
            self.extras.get_or_init(|| extras);
        }
    }

    /// The answer to `server/discover`, which is a caller's own as soon as there is proof of who that is
    /// ([discovery](https://modelcontextprotocol.io/specification/2026-07-28/server/discover)).
    pub(crate) fn discover(
        &self,
        handler: &dyn Handler,
        principal: Option<&Principal>,
    ) -> Result<Answer, ErrorObject> {
        let Some(offer) = self.offer(handler) else {
            return Err(ErrorObject::new(ErrorCode::INTERNAL_ERROR, PANICKED));
        };
        let dates: Vec<_> = self.supported.iter().map(|revision| revision.date().into()).collect();
        let cache = if principal.is_some() { offer.cache.kept_private() } else { offer.cache };
        let mut result = DiscoverResult::new(dates, offer.capabilities).with_cache(cache);
        result.instructions = offer.instructions;
        Ok(Answer::Discover(Box::new(result)))
    }

    /// The subscription that a `subscriptions/listen` asks for
    /// ([subscriptions](https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/subscriptions)).
    pub(crate) fn listening(&self, handler: &dyn Handler, request: &Request) -> Result<Listening, Refusal> {
        self.meet(handler);
        let offer = self.offer(handler).ok_or_else(|| Refusal::new(RefusalKind::Internal))?;
        let limits = ListenLimits::default();
        Listening::open(&request.id, request.params.as_ref(), &offer.capabilities, &limits).map_err(|error| {
            let kind = match error.code {
                ErrorCode::INVALID_PARAMS => RefusalKind::InvalidParams,
                _ => RefusalKind::InvalidRequest,
            };
            Refusal::new(kind).with_message(error.message)
        })
    }

    fn offer(&self, handler: &dyn Handler) -> Option<Offer> {
        let offer = catch_unwind(AssertUnwindSafe(|| handler.offer())).ok();
        if offer.is_none() {
            self.tally.panics.add_one();
            tracing::error!("a handler panicked when it was asked what it offers");
        }
        offer
    }
}

/// Starts a call, to be awaited at once, or answers it with why it may not run. `headers` are those of the request, where it came with some.
pub(crate) fn run(
    handler: &dyn Handler,
    exchange: &Arc<ModernExchange>,
    Admitted { call, caller, progress_token, trace, asking, permit }: Admitted,
    headers: Option<&HeaderMap>,
    http_parts: Option<Arc<Parts>>,
) -> Started<ModernExchange> {
    if let Err(error) = admit(handler, exchange, &call, &caller, headers) {
        let outcome = Err(error);
        Watch::begin(handler, &call, exchange.id(), &caller, trace.as_deref(), exchange.tally())
            .end(Some(&outcome));
        exchange.settle(0, Some(exchange.id()), outcome.map_err(McpError::into_object));
        return Started::nothing();
    }
    exchange.admit(&caller, asking);
    let channel = Arc::clone(exchange) as Arc<dyn Channel>;
    let scope = CallScope::new(channel, CALL, caller, None, progress_token, http_parts, trace);
    start(handler, exchange, 0, exchange.id(), call, scope, permit)
}

/// An `initialize` where no session can be opened: its sender may have nothing but this error to show.
#[cold]
pub(crate) fn refuse_initialize(params: Option<&Raw>) -> Refusal {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Params {
        protocol_version: String,
    }
    let requested = params
        .and_then(|params| params.parse().ok())
        .map_or(String::new(), |params: Params| params.protocol_version);
    Refusal::unsupported_protocol_version(&requested, &Revision::MODERN).with_message(format!(
        "This server has no sessions and no initialize. Use a client that speaks one of: {}.",
        Revision::modern_dates()
    ))
}

fn admit(
    handler: &dyn Handler,
    exchange: &ModernExchange,
    call: &Call,
    caller: &Caller,
    headers: Option<&HeaderMap>,
) -> Result<(), McpError> {
    catch_unwind(AssertUnwindSafe(|| handler.admit(call, caller, headers))).unwrap_or_else(|_| {
        exchange.tally().panics.add_one();
        tracing::error!(method = %call.method, "a handler panicked when it was asked whether a call may run");
        Err(McpError::internal(PANICKED))
    })
}

/// The only call of its exchange.
const CALL: CallNo = CallNo(1);

const PANICKED: &str = "the handler failed unexpectedly; the server's log says more";
