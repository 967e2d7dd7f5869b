//! How a Streamable HTTP endpoint behaves.

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use throughline_proto::auth::ScopeSet;
use throughline_proto::http::{Access, InvalidAccess};
use throughline_proto::jsonrpc::ParseLimits;
use throughline_proto::model::LoggingLevel;
use throughline_proto::session::{ProgressRoute, SessionLimits};
use throughline_proto::stateless::KeyRing;

use super::StreamableHttp;
use crate::handler::{Handler, Principal, SessionHandle, scope_set};
use crate::runtime;
#[cfg(feature = "auth")]
use crate::server::pace::Rate;
use crate::server::shares::Caps;
use crate::server::{AfterRestart, Closed, Era, Interrupted, StoreFailure};
use crate::store::{EventStore, Limits, MemoryStore};

/// How a POST with requests is answered when the client accepts both forms.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ResponseMode {
    /// One JSON body when the answer is the first thing to send, SSE otherwise: the default.
    #[default]
    Adaptive,
    /// Always SSE; only an error with a status of its own, as the modern era has some, is a JSON body.
    Sse,
    /// In sessions, always one JSON body. It takes away what would come before the answer: progress and log messages are not
    /// sent, and questions to the client fail at once. Also known as `json_response`. The modern era is answered adaptively:
    /// there a request says itself whether it wants anything before its answer, and a client that takes only JSON says so in
    /// `Accept`.
    Json,
}

pub(super) type PrincipalHook = Arc<dyn Fn(&Parts) -> Option<Principal> + Send + Sync>;
pub(super) type IdGenerator = Arc<dyn Fn() -> String + Send + Sync>;
pub(in crate::server) type Opened = Arc<dyn Fn(&SessionHandle) + Send + Sync>;
pub(super) type InterruptedHook = Arc<dyn Fn(&Interrupted) -> AfterRestart + Send + Sync>;
pub(super) type ClosedHook = Arc<dyn Fn(&SessionHandle, Closed) + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Config {
    pub(in crate::server) era: Era,
    pub(super) mode: ResponseMode,
    pub(super) stateless: bool,
    pub(super) progress: ProgressRoute,
    pub(super) access: Access,
    pub(in crate::server) max_body: usize,
    pub(in crate::server) max_bodies: usize,
    pub(in crate::server) body_timeout: Duration,
    pub(in crate::server) parse: ParseLimits,
    pub(in crate::server) session: SessionLimits,
    pub(in crate::server) max_sessions: usize,
    pub(super) max_calls: usize,
    pub(super) max_listens: usize,
    pub(super) max_listens_of_principal: usize,
    /// What any one principal may take.
    pub(super) caps: Caps,
    /// What every request needs.
    pub(in crate::server) scopes: ScopeSet,
    #[cfg(feature = "metrics")]
    pub(super) metrics: bool,
    pub(in crate::server) idle_timeout: Duration,
    pub(in crate::server) unused_timeout: Duration,
    pub(in crate::server) keep_alive: Duration,
    pub(super) upgrade_delay: Duration,
    pub(in crate::server) retry: Duration,
    pub(in crate::server) log_level: LoggingLevel,
    pub(super) seal: Arc<KeyRing>,
    pub(super) store_failure: StoreFailure,
    pub(in crate::server) principal: Option<PrincipalHook>,
    pub(super) session_id: Option<IdGenerator>,
    pub(super) interrupted: Option<InterruptedHook>,
    pub(in crate::server) opened: Option<Opened>,
    pub(super) restored: Option<Opened>,
    pub(super) closed: Option<ClosedHook>,
}

/// Makes a [`StreamableHttp`] endpoint. Every default holds for a server on this machine that anybody on it may use.
///
/// ```
/// use std::time::Duration;
/// use throughline::{ResponseMode, Server, StreamableHttp};
///
/// let endpoint = StreamableHttp::builder(Server::new("demo", "1.0.0"))
///     .response_mode(ResponseMode::Sse)
///     .max_sessions(100)
///     .idle_timeout(Duration::from_secs(600))
///     .build();
/// ```
#[must_use = "call `build` for the endpoint"]
pub struct Builder {
    handler: Arc<dyn Handler>,
    config: Config,
    store: Option<Arc<dyn EventStore>>,
}

impl Builder {
    pub(super) fn new(handler: Arc<dyn Handler>) -> Self {
        let config = Config {
            era: Era::default(),
            mode: ResponseMode::default(),
            stateless: false,
            progress: ProgressRoute::default(),
            access: Access::loopback(),
            max_body: MAX_BODY,
            max_bodies: MAX_BODIES,
            body_timeout: BODY_TIMEOUT,
            parse: ParseLimits::default(),
            session: SessionLimits::default(),
            max_sessions: MAX_SESSIONS,
            max_calls: MAX_CALLS,
            max_listens: MAX_LISTENS,
            max_listens_of_principal: MAX_LISTENS_OF_PRINCIPAL,
            caps: Caps {
                sessions: MAX_SESSIONS_OF_PRINCIPAL,
                streams: MAX_STREAMS_OF_PRINCIPAL,
                calls: MAX_CALLS_OF_PRINCIPAL,
                #[cfg(feature = "auth")]
                rate: Rate::new(RATE_OF_PRINCIPAL, BURST_OF_PRINCIPAL),
            },
            scopes: ScopeSet::new(),
            #[cfg(feature = "metrics")]
            metrics: false,
            idle_timeout: IDLE_TIMEOUT,
            unused_timeout: UNUSED_TIMEOUT,
            keep_alive: KEEP_ALIVE,
            upgrade_delay: UPGRADE_DELAY,
            retry: RETRY,
            log_level: LoggingLevel::Warning,
            seal: Arc::new(KeyRing::new(runtime::random())),
            store_failure: StoreFailure::default(),
            principal: None,
            session_id: None,
            interrupted: None,
            opened: None,
            restored: None,
            closed: None,
        };
        Self { handler, config, store: None }
    }

    /// Which clients are served. Default: [`Era::Hybrid`], those that open a session and those of the revisions without.
    pub fn era(mut self, era: Era) -> Self {
        self.config.era = era;
        self
    }

    /// How a POST with requests is answered. Default: [`ResponseMode::Adaptive`].
    pub fn response_mode(mut self, mode: ResponseMode) -> Self {
        self.config.mode = mode;
        self
    }

    /// With `true`, the same as [`ResponseMode::Json`]; `false` changes nothing.
    pub fn json_response(self, yes: bool) -> Self {
        if yes { self.response_mode(ResponseMode::Json) } else { self }
    }

    /// Serves each POST of a client that knows sessions by itself: no session ids, no GET stream, no DELETE, nothing kept
    /// between requests. Any instance
    /// behind a load balancer can then answer any request. It takes away questions to the client, subscriptions,
    /// messages outside a call, resuming, and log levels; a lost connection cancels its calls. The revisions without
    /// sessions need no such flag, and lose nothing by it. Default: false.
    pub fn stateless_http(mut self, yes: bool) -> Self {
        self.config.stateless = yes;
        self
    }

    /// Which stream carries progress. Default: the request's own.
    pub fn progress_route(mut self, route: ProgressRoute) -> Self {
        self.config.progress = route;
        self
    }

    /// Answers to this host too, as a client writes it: a name, or `name:port`. Default: names of this machine only
    /// (`localhost`, `127.0.0.1`, `[::1]`), against DNS rebinding
    /// ([security warning](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#security-warning)).
    ///
    /// # Errors
    ///
    /// When it is no host.
    pub fn allow_host(mut self, host: &str) -> Result<Self, InvalidAccess> {
        self.config.access = self.config.access.allow_host(host)?;
        Ok(self)
    }

    /// Answers to any host: for a server behind a proxy that checks it.
    pub fn any_host(mut self) -> Self {
        self.config.access = self.config.access.any_host();
        self
    }

    /// Lets pages of this origin (`https://app.example`) call the server from a browser, by CORS. Default: none; pages
    /// on this machine may send requests, but browsers do not show them the answers.
    ///
    /// # Errors
    ///
    /// When it is no origin.
    pub fn allow_origin(mut self, origin: &str) -> Result<Self, InvalidAccess> {
        self.config.access = self.config.access.allow_origin(origin)?;
        Ok(self)
    }

    /// The largest body of a request in bytes; a larger one gets 413. Default: 4 MiB.
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.config.max_body = bytes;
        self
    }

    /// The most bytes of all bodies together that are larger than 64 KiB, while they arrive and as long as a running call
    /// needs them; beyond that a large one gets 503. Default: 256 MiB.
    pub fn max_bodies(mut self, bytes: usize) -> Self {
        self.config.max_bodies = bytes;
        self
    }

    /// How long a body may take to arrive; then 408. Default: 30 s.
    pub fn body_timeout(mut self, patience: Duration) -> Self {
        self.config.body_timeout = patience;
        self
    }

    /// Bounds of one session. Default: 64 requests in flight either way, 1,024 subscriptions.
    pub fn session_limits(mut self, limits: SessionLimits) -> Self {
        self.config.session = limits;
        self
    }

    /// How many sessions there may be. At the cap, one that was never used makes room; if all are used, 503. Default:
    /// 10,000.
    pub fn max_sessions(mut self, sessions: usize) -> Self {
        self.config.max_sessions = sessions;
        self
    }

    /// How many requests may be in flight over all sessions; then 503. Default: 4,096.
    pub fn max_in_flight(mut self, requests: usize) -> Self {
        self.config.max_calls = requests;
        self
    }

    /// How many `subscriptions/listen` requests may be open; then 503. Default: 1,000.
    pub fn max_listens(mut self, listens: usize) -> Self {
        self.config.max_listens = listens;
        self
    }

    /// How many of those may be of one [principal](Self::principal); then 503. Default: 100.
    pub fn max_listens_per_principal(mut self, listens: usize) -> Self {
        self.config.max_listens_of_principal = listens;
        self
    }

    /// How many sessions any one [principal](crate::Authorized) may have, all its client programs together, as with all that
    /// follows here; then 429. Default: 1,000. Those of callers that nobody
    /// vouches for are counted [together](Self::max_sessions) alone, as is all that follows here: behind a proxy they have one
    /// address, and to tell them apart is the proxy's.
    pub fn max_sessions_per_principal(mut self, sessions: usize) -> Self {
        self.config.caps.sessions = sessions;
        self
    }

    /// How many streams that last any one principal may have open: those of sessions that it reads by GET, `subscriptions/listen`,
    /// and those of HTTP+SSE; then 429. Default: 2,000.
    pub fn max_streams_per_principal(mut self, streams: usize) -> Self {
        self.config.caps.streams = streams;
        self
    }

    /// How many requests any one principal may have in flight, with or without sessions; then 429. Default: 512.
    pub fn max_in_flight_per_principal(mut self, requests: usize) -> Self {
        self.config.caps.calls = requests;
        self
    }

    /// How fast any one principal may ask: so many requests a second, and `burst` at once after a rest; then 429, with when to
    /// come back. Each HTTP request counts, and in a batch each message. With zero a second it may ask as fast as it can.
    /// Default: 1,000 a second, 2,000 at once.
    ///
    /// ```
    /// use throughline::{Server, StreamableHttp};
    ///
    /// let endpoint = StreamableHttp::builder(Server::new("demo", "1.0.0")).rate_per_principal(10, 50).build();
    /// ```
    #[cfg(feature = "auth")]
    pub fn rate_per_principal(mut self, per_second: u32, burst: u32) -> Self {
        self.config.caps.rate = Rate::new(per_second, burst);
        self
    }

    /// What every request needs, beside the scopes of its method and of its tool, prompt or resource: these
    /// [scopes](crate::ToolDef::scopes). A request without them is refused with 403, one that nobody vouches for with 401.
    ///
    /// ```
    /// use throughline::{Server, StreamableHttp};
    ///
    /// let endpoint = StreamableHttp::builder(Server::new("demo", "1.0.0")).scopes(["mcp"]).build();
    /// ```
    ///
    /// # Panics
    ///
    /// When one of them is no scope.
    pub fn scopes<S: AsRef<str>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.config.scopes = scope_set(scopes);
        self
    }

    /// Ends a session with no request in flight and no open stream after this time. Default: 30 min.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.config.idle_timeout = timeout;
        self
    }

    /// Ends a session that was not used at all after `initialize` after this time. Default: 60 s.
    pub fn unused_timeout(mut self, timeout: Duration) -> Self {
        self.config.unused_timeout = timeout;
        self
    }

    /// Writes a comment to a stream that was quiet for this time, so that proxies do not take it for dead; zero never
    /// does. Default: 15 s.
    pub fn keep_alive(mut self, interval: Duration) -> Self {
        self.config.keep_alive = interval;
        self
    }

    /// In adaptive mode, how long the first message may take before the response begins as SSE. Default: 250 ms.
    pub fn upgrade_delay(mut self, delay: Duration) -> Self {
        self.config.upgrade_delay = delay;
        self
    }

    /// When a client that lost its connection is told to come back. Default: 1 s.
    pub fn retry(mut self, retry: Duration) -> Self {
        self.config.retry = retry;
        self
    }

    /// The level below which log messages are not sent until a client sets one. Default: `warning`.
    pub fn log_level(mut self, level: LoggingLevel) -> Self {
        self.config.log_level = level;
        self
    }

    /// The keys that seal what a call carries from round to round while it asks its client (see
    /// [`Context::elicit`](crate::Context::elicit)). Processes with the same keys answer each other's rounds; none need
    /// stay the same from one round to the next. Default: a random key, which no other process has and a restart forgets;
    /// what it sealed is good for ten minutes.
    ///
    /// ```
    /// use throughline::{KeyRing, Server, StreamableHttp};
    ///
    /// # let secret = "8XrFv0bQGm1xk3cP7WdJrT2sUe9nLyAa";
    /// let endpoint = StreamableHttp::builder(Server::new("demo", "1.0.0"))
    ///     .seal_key(KeyRing::from_secret(secret)?)
    ///     .build();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn seal_key(mut self, keys: KeyRing) -> Self {
        self.config.seal = Arc::new(keys);
        self
    }

    /// Where events are kept for resuming. Default: in memory, within [`Limits::default`].
    ///
    /// With a store that keeps [sessions](EventStore::sessions) too, they live on after a restart: see
    /// [`StreamableHttp::restore`].
    pub fn event_store(mut self, store: impl EventStore) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// Measures each call and each use of the event store, for [`StreamableHttp::metrics`]: two readings of the clock and a
    /// look-up each. Default: false, and then `metrics` has only what is counted anyway.
    #[cfg(feature = "metrics")]
    pub fn measure(mut self, yes: bool) -> Self {
        self.config.metrics = yes;
        self
    }

    /// What becomes of a call whose events the store does not take. Default: it fails.
    pub fn on_store_failure(mut self, then: StoreFailure) -> Self {
        self.config.store_failure = then;
        self
    }

    /// Says who sends a request. A session belongs to the principal that opened it: for any other, even one that knows
    /// its id, it does not exist.
    ///
    /// Without a hook it is the principal of the [`Authorized`](crate::Authorized) that a layer in front of the endpoint put into
    /// the request. With both, the hook names the principal, and scopes and expiry are those of the layer; where the hook
    /// gives `None`, the principal is that of the layer too.
    pub fn principal(mut self, hook: impl Fn(&Parts) -> Option<Principal> + Send + Sync + 'static) -> Self {
        self.config.principal = Some(Arc::new(hook));
        self
    }

    /// Makes the ids of sessions: visible ASCII, unique, and impossible to guess. Default: 128 random bits in hex.
    pub fn session_id(mut self, generate: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.config.session_id = Some(Arc::new(generate));
        self
    }

    /// Says what becomes of a call that ran when the process before this one ended, where the store keeps sessions. Default:
    /// [`AfterRestart::Fail`] for each. A call that runs again does so on the same stream, from its start, without the head of
    /// its HTTP request; its client is told of progress only where that goes further than before.
    ///
    /// With a hook, what is asked for in a POST that streams is kept until its stream ends, beside the events.
    ///
    /// ```
    /// use throughline::{AfterRestart, Interrupted, Server, StreamableHttp};
    ///
    /// # let server = Server::new("demo", "1.0.0");
    /// // What is annotated as idempotent or read-only runs again:
    /// let builder = StreamableHttp::builder(server).on_interrupted(Interrupted::run_again_if_idempotent);
    /// # let server = Server::new("demo", "1.0.0");
    /// // A rule of your own:
    /// let builder = StreamableHttp::builder(server).on_interrupted(|call| match call.tool() {
    ///     Some("report") => AfterRestart::RunAgain,
    ///     _ => AfterRestart::Fail,
    /// });
    /// ```
    pub fn on_interrupted(
        mut self,
        hook: impl Fn(&Interrupted) -> AfterRestart + Send + Sync + 'static,
    ) -> Self {
        self.config.interrupted = Some(Arc::new(hook));
        self
    }

    /// Called when a session of the process before this one goes on here, where the store keeps sessions.
    pub fn on_session_restored(mut self, hook: impl Fn(&SessionHandle) + Send + Sync + 'static) -> Self {
        self.config.restored = Some(Arc::new(hook));
        self
    }

    /// Called when a session was opened. An `initialize` that is refused opens none.
    pub fn on_session_opened(mut self, hook: impl Fn(&SessionHandle) + Send + Sync + 'static) -> Self {
        self.config.opened = Some(Arc::new(hook));
        self
    }

    /// Called once for each session that was opened or restored when it is closed, with the reason.
    pub fn on_session_closed(
        mut self,
        hook: impl Fn(&SessionHandle, Closed) + Send + Sync + 'static,
    ) -> Self {
        self.config.closed = Some(Arc::new(hook));
        self
    }

    /// The endpoint.
    pub fn build(self) -> StreamableHttp {
        let store = self.store.unwrap_or_else(|| Arc::new(MemoryStore::new(Limits::default())));
        StreamableHttp::assemble(self.handler, self.config, store)
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("mode", &self.config.mode)
            .field("stateless", &self.config.stateless)
            .finish_non_exhaustive()
    }
}

// The defaults of design §8.

/// An image of 3 MB as base64 fits; a hundred senders at once still fit a small machine.
const MAX_BODY: usize = 4 * 1024 * 1024;
/// Sixty-four bodies of the largest size, and as much as the event store may hold. Smaller ones need no more: as many requests of
/// 64 KiB as may be in flight.
const MAX_BODIES: usize = 256 * 1024 * 1024;
/// A slow phone uploads 4 MiB in this time; a sender of one byte a second does not hold a connection for long.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Some 20 MB of idle sessions.
const MAX_SESSIONS: usize = 10_000;
/// As many as 64 busy clients may have.
const MAX_CALLS: usize = 4_096;
/// Each holds a connection and at most 64 KiB of addresses: 64 MB at the worst.
const MAX_LISTENS: usize = 1_000;
/// A tenth of them all: more programs than one person runs at once, and nobody alone can take the room of everybody.
const MAX_LISTENS_OF_PRINCIPAL: usize = 100;
/// A tenth of them all, as with listeners: nobody alone can take the room of everybody.
const MAX_SESSIONS_OF_PRINCIPAL: usize = 1_000;
/// The stream of each session, and as many that are resumed.
const MAX_STREAMS_OF_PRINCIPAL: usize = 2_000;
/// As many as eight busy sessions may have, and an eighth of them all.
const MAX_CALLS_OF_PRINCIPAL: usize = 512;
/// More than a person's programs ask, and few enough that a loop gone wild leaves most of a core to the others. At once as
/// much as two seconds bring, as when many windows are restored.
#[cfg(feature = "auth")]
const RATE_OF_PRINCIPAL: u32 = 1_000;
#[cfg(feature = "auth")]
const BURST_OF_PRINCIPAL: u32 = 2_000;
/// Longer than a pause for lunch would be generous; people who come back after one open a new session without noticing.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// A client that means to go on does so at once.
const UNUSED_TIMEOUT: Duration = Duration::from_secs(60);
/// Proxies cut quiet connections after 30 to 60 s.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// People notice a wait of this length; most answers are there before it.
const UPGRADE_DELAY: Duration = Duration::from_millis(250);
/// A network that changed is back in about this time.
const RETRY: Duration = Duration::from_secs(1);
