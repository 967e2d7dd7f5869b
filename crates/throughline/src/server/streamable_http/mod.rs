//! Streamable HTTP: one endpoint that takes POST, GET and DELETE.
//!
//! [Specification](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#streamable-http).

mod body;
mod config;
pub(super) mod cors;
mod ended;
mod endpoint;
mod get;
mod listen;
mod modern;
mod post;
pub(super) mod request_body;
pub(super) mod respond;
mod restore;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::request::Parts;
use http::{Method, Request, Response};
use http_body::Body;
use throughline_proto::http::{Refusal, RefusalKind};
use throughline_proto::jsonrpc::Str;

pub use body::ResponseBody;
pub(crate) use config::Config;
pub use config::{Builder, ResponseMode};
pub use restore::{RestoreError, Restored};

use super::{Counters, HttpSse};
use crate::handler::{Handler, PeerInfo};
use crate::store::{EventStore, Usage};
pub(super) use endpoint::{Endpoint, FAREWELL, SPREAD};
pub(super) use post::{of_session, version};

/// An MCP endpoint over Streamable HTTP, as a tower service over `http` types.
///
/// It answers at whatever path it is mounted. Cheap to clone; every clone is the same endpoint. Serve it with
/// [`serve`](crate::serve()), mount it in axum, or call it from bare hyper.
///
/// ```no_run
/// use throughline::{Server, StreamableHttp, serve};
///
/// # async fn run() -> std::io::Result<()> {
/// let endpoint = StreamableHttp::new(Server::new("demo", "1.0.0"));
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8808").await?;
/// serve(listener, endpoint).await
/// # }
/// ```
///
/// # Drop behavior
///
/// When the last clone is dropped, sessions stop expiring by themselves; those in use go on until their connections end.
#[derive(Clone)]
pub struct StreamableHttp(Arc<Endpoint>);

impl StreamableHttp {
    /// An endpoint with all defaults.
    pub fn new(handler: impl Handler) -> Self {
        Self::builder(handler).build()
    }

    /// An endpoint of your own settings.
    pub fn builder(handler: impl Handler) -> Builder {
        Builder::new(Arc::new(handler))
    }

    /// The older HTTP+SSE transport beside this endpoint, for clients of revision 2024-11-05 and those that fall back to it:
    /// a service of its own, at paths of its own, with the same handler, limits, hooks and counters.
    pub fn http_sse(&self) -> HttpSse {
        HttpSse::new(Arc::clone(&self.0))
    }

    pub(super) fn assemble(handler: Arc<dyn Handler>, config: Config, store: Arc<dyn EventStore>) -> Self {
        Self(Endpoint::new(handler, config, store))
    }

    /// Whether anything that is not part of it looks at the heads of requests: a hook, or a handler.
    pub(super) fn shows_heads(&self) -> bool {
        self.0.config.principal.is_some() || self.0.handler.wants_http_parts()
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.0.tally.snapshot()
    }

    /// What is counted and measured, in the [text format of Prometheus](https://prometheus.io/docs/instrumenting/exposition_formats/)
    /// (`text/plain; version=0.0.4`), to be served where only those who may see it can: it names the tools.
    ///
    /// Sessions, streams, calls in flight and the store with their limits; calls by method, tool and outcome with a histogram
    /// of how long they took; what was dropped; resumes by outcome. Calls and the store are in it when
    /// [`Builder::measure`] is on. Labels are bounded: a tool or method that the handler does not
    /// [know](Handler::knows) is counted as `other`.
    ///
    /// ```
    /// use throughline::{Server, StreamableHttp};
    ///
    /// let endpoint = StreamableHttp::builder(Server::new("demo", "1.0.0")).measure(true).build();
    /// assert!(endpoint.metrics().contains("\nthroughline_sessions 0\n"));
    /// ```
    #[cfg(feature = "metrics")]
    pub fn metrics(&self) -> String {
        self.0.metrics()
    }

    /// How many sessions there are.
    pub fn sessions(&self) -> usize {
        self.0.registry.len()
    }

    /// How many clients listen for changes without a session: the open `subscriptions/listen` requests.
    pub fn listeners(&self) -> usize {
        self.0.listeners.len()
    }

    /// Takes back the `subscriptions/listen` requests of those whom `choose` takes, as when somebody is logged out: their
    /// streams end with `notifications/cancelled` and this reason, one sentence. How many those are.
    pub fn end_listens(&self, choose: impl Fn(&PeerInfo<'_>) -> bool, reason: impl Into<Str>) -> usize {
        self.0.listeners.end_forced(&choose, &reason.into())
    }

    /// How many requests are in flight.
    pub fn in_flight(&self) -> usize {
        self.0.in_flight()
    }

    /// What the event store holds.
    pub fn store_usage(&self) -> Usage {
        self.0.store.usage()
    }

    /// Whether the endpoint is shutting down.
    pub fn is_draining(&self) -> bool {
        self.0.is_draining()
    }

    /// What the settings take away from clients and handlers, one sentence each: for the log at the start.
    pub fn limitations(&self) -> Vec<&'static str> {
        self.0.limitations()
    }

    /// Goes on with the sessions of the process before this one, where the store keeps
    /// [sessions](EventStore::sessions): with their level, subscriptions and logs, for the principal that they belong to.
    ///
    /// Each call that ran when that process ended is answered in its log: with an error (-32603) that says that its outcome is
    /// unknown, or by its handler, run once more, where [`Builder::on_interrupted`] says so. A client that comes back with the
    /// last event id that it saw gets the rest.
    ///
    /// Where more are kept than [`Builder::max_sessions`] allows, those in the midst of a call stay, then those whose
    /// client was ready; the others are forgotten, and their clients open new ones. What cannot be read stays in the store.
    ///
    /// It happens by itself before the first request is answered. Call it before that to have its report, or to have calls
    /// run on before a client comes. Called again it does nothing, and the report is the same.
    ///
    /// # Errors
    ///
    /// When the store cannot be read or written. Requests of sessions are refused then (503), and each tries it again.
    ///
    /// # Cancel safety
    ///
    /// When it is dropped the work goes on; call it again for the report.
    pub async fn restore(&self) -> Result<Restored, RestoreError> {
        self.0.keep_house();
        self.0.restore().await
    }

    /// Shuts the endpoint down: no new requests (503); running calls may finish for `grace`; who listens for
    /// changes gets the answer; open streams are told to come back, spread over a second so that they do not all come at once; sessions end, or are released where the store
    /// outlives this process.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again.
    pub async fn drain(&self, grace: Duration) {
        self.0.drain(grace).await;
    }

    /// Answers one request.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<ResponseBody>
    where
        B: Body<Data: Send> + Send,
    {
        let (parts, body) = request.into_parts();
        answer(&self.0, &parts, body).await
    }
}

/// Answers one request. The head is borrowed: it is large, and a future copies what it takes.
async fn answer<B>(endpoint: &Arc<Endpoint>, parts: &Parts, body: B) -> Response<ResponseBody>
where
    B: Body<Data: Send> + Send,
{
    if !endpoint.is_ready() {
        Box::pin(endpoint.get_ready()).await;
    }
    let cors = endpoint.config_access().cors_origin(&parts.headers);
    let answered = match endpoint.check_access(parts).and_then(|()| endpoint.who(parts)) {
        Err(refusal) => Err(refusal),
        Ok(who) => match parts.method {
            Method::POST => post::answer(endpoint, parts, &who, body).await,
            Method::GET if endpoint.serves_streams(parts) => get::answer(endpoint, parts, &who).await,
            Method::DELETE if endpoint.serves_streams(parts) => endpoint.delete(parts, &who).await,
            Method::OPTIONS if cors.is_some() => {
                Ok(cors::preflight(methods(endpoint.has_sessions()), &parts.headers))
            }
            Method::GET | Method::DELETE => Err(Refusal::method_not_allowed(methods(false))),
            _ => Err(Refusal::method_not_allowed(methods(endpoint.has_sessions()))),
        },
    };
    let mut response = answered.unwrap_or_else(|refusal| respond::refuse(&refusal));
    if let Some(origin) = cors {
        cors::expose(response.headers_mut(), origin);
    }
    response
}

impl<B> tower_service::Service<Request<B>> for StreamableHttp
where
    B: Body<Data: Send> + Send + 'static,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let endpoint = Arc::clone(&self.0);
        let (parts, body) = request.into_parts();
        Box::pin(async move { Ok(answer(&endpoint, &parts, body).await) })
    }
}

impl std::fmt::Debug for StreamableHttp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamableHttp").field("sessions", &self.sessions()).finish_non_exhaustive()
    }
}

/// The HTTP methods of the endpoint.
fn methods(has_sessions: bool) -> &'static str {
    if has_sessions { "GET, POST, DELETE" } else { "POST" }
}

/// A refusal for a session that is none.
pub(crate) fn unknown_session() -> Refusal {
    Refusal::new(RefusalKind::UnknownSession)
}
