//! HTTP+SSE, the transport before Streamable HTTP: a stream by GET, and messages by POST to where its first event says.
//!
//! Specification: [HTTP with SSE](https://modelcontextprotocol.io/specification/2024-11-05/basic/transports#http-with-sse);
//! [serving it beside the new one](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#backwards-compatibility).
//!
//! ```text
//!   GET  --> access --> a place in the registry --> event: endpoint ----+
//!                                                                       v
//!   POST --> access --> session, principal --> body --> dispatch --> Pipe (every message an event) --> the GET's body
//!     202 <------------------------------------------------+
//! ```
//!
//! The session stands on the same ground as one over stdio: a pipe, and nothing is kept. The rest it shares with the sessions
//! of Streamable HTTP: their registry and its cap, their limits, hooks, counters and shutdown.

mod get;
mod house;
mod link;
mod paths;
mod post;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::request::Parts;
use http::{Method, Request, Response};
use http_body::Body;
use throughline_proto::http::{Refusal, RefusalKind};

pub(crate) use link::{Link, LinkStream};
pub use paths::InvalidPath;
use paths::{Paths, Place};

use super::ResponseBody;
use super::streamable_http::{Endpoint, cors, respond};

/// The older HTTP+SSE transport of a [`StreamableHttp`](crate::StreamableHttp) endpoint, as a tower service: for clients of
/// revision 2024-11-05, and newer ones that fall back to it.
///
/// It is made by [`StreamableHttp::http_sse`](crate::StreamableHttp::http_sse) and shares everything with that endpoint: the
/// handler, the limits, who may ask, hooks, counters and [`drain`](crate::StreamableHttp::drain). Sessions of both count
/// together. Any revision with sessions may be negotiated.
///
/// A GET at [`sse_path`](Self::sse_path) opens a stream. Its first event, `endpoint`, gives the address that the client posts
/// its messages to, with an id in it that nobody can guess; every message of the server is an event of the stream. A POST
/// is answered with 202; a request of a session that cannot be met is answered on the stream too, and what is no message, or
/// belongs to no session, with a status and a JSON-RPC error.
///
/// The session lasts as long as its stream. There is no resuming: with a connection that is lost, or that takes nothing
/// for ten seconds while something waits, the session ends and its calls are cancelled. Sessions are not kept over a restart, and
/// an endpoint without sessions ([`stateless_http`](crate::Builder::stateless_http), [`Era::Modern`](crate::Era::Modern)) answers
/// 404. [`ResponseMode`](crate::ResponseMode) and [`progress_route`](crate::Builder::progress_route) have no effect: there is one
/// stream for everything.
///
/// Both transports on one port:
///
/// ```
/// use axum::Router;
/// use http::{Request, header::ACCEPT};
/// use http_body_util::{BodyExt, Empty};
/// use throughline::{Server, StreamableHttp};
/// use tower::ServiceExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let endpoint = StreamableHttp::new(Server::new("demo", "1.0.0"));
/// let sse = endpoint.http_sse();
/// let app: Router = Router::new()
///     .route_service("/mcp", endpoint)
///     .route_service("/sse", sse.clone())
///     .route_service("/messages", sse);
///
/// let request = Request::get("http://localhost/sse").header(ACCEPT, "text/event-stream");
/// let mut stream = app.oneshot(request.body(axum::body::Body::empty())?).await?.into_body();
/// let first = stream.frame().await.expect("an event")?.into_data().expect("no trailers");
/// assert!(first.starts_with(b"event: endpoint\ndata: /messages?sessionId="));
/// # Ok(())
/// # }
/// ```
///
/// Where requests carry an [`Authorized`](crate::Authorized) that expires, the session lasts until the latest of those that its
/// client sent: one with each message. A request that lacks a scope is refused with a status (403), not on the stream: it did
/// not run, and its client comes back with a token that suffices.
///
/// Cheap to clone; every clone is the same.
///
/// # Drop behavior
///
/// It is one more clone of the endpoint, which goes on as long as there is one. Dropping the body of a stream is losing its
/// connection: the session ends.
#[derive(Clone)]
pub struct HttpSse {
    endpoint: Arc<Endpoint>,
    paths: Arc<Paths>,
}

impl HttpSse {
    pub(super) fn new(endpoint: Arc<Endpoint>) -> Self {
        Self { endpoint, paths: Arc::default() }
    }

    /// Where streams are opened. Default: `/sse`. It may be the message path too.
    ///
    /// # Errors
    ///
    /// When it is no path: it begins with one slash, and has no query.
    pub fn sse_path(mut self, path: impl Into<String>) -> Result<Self, InvalidPath> {
        Arc::make_mut(&mut self.paths).sse = InvalidPath::unless_path(path.into())?;
        Ok(self)
    }

    /// Where messages are posted. Default: `/messages`.
    ///
    /// # Errors
    ///
    /// As [`sse_path`](Self::sse_path).
    pub fn message_path(mut self, path: impl Into<String>) -> Result<Self, InvalidPath> {
        Arc::make_mut(&mut self.paths).message = InvalidPath::unless_path(path.into())?;
        Ok(self)
    }

    /// What stands before the message path where clients see it, and is taken away before a request comes here: by a
    /// proxy, or by a router that nests this service. Default: nothing.
    ///
    /// ```
    /// use throughline::{Server, StreamableHttp};
    ///
    /// let sse = StreamableHttp::new(Server::new("demo", "1.0.0")).http_sse();
    /// // Clients open https://example.com/tools/sse, and post to https://example.com/tools/messages.
    /// let sse = sse.public_prefix("/tools")?;
    /// assert!(sse.serves("/sse") && !sse.serves("/tools/sse"));
    /// # Ok::<(), throughline::InvalidPath>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`sse_path`](Self::sse_path).
    pub fn public_prefix(mut self, prefix: impl Into<String>) -> Result<Self, InvalidPath> {
        let prefix = InvalidPath::unless_path(prefix.into())?;
        prefix.trim_end_matches('/').clone_into(&mut Arc::make_mut(&mut self.paths).prefix);
        Ok(self)
    }

    /// Whether this is one of its paths: for a program that decides itself which service gets a request.
    pub fn serves(&self, path: &str) -> bool {
        self.paths.place(path).is_some()
    }

    /// Answers one request.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<ResponseBody>
    where
        B: Body<Data: Send> + Send,
    {
        let (parts, body) = request.into_parts();
        self.answer(&parts, body).await
    }

    async fn answer<B>(&self, parts: &Parts, body: B) -> Response<ResponseBody>
    where
        B: Body<Data: Send> + Send,
    {
        let endpoint = &self.endpoint;
        if !endpoint.is_ready() {
            Box::pin(endpoint.get_ready()).await;
        }
        let cors = endpoint.config_access().cors_origin(&parts.headers);
        let who = endpoint.check_access(parts).and_then(|()| endpoint.who(parts));
        let answered = match (who, self.paths.place(parts.uri.path())) {
            (Err(refusal), _) => Err(refusal),
            (Ok(who), Some(place)) if endpoint.has_sessions() => match parts.method {
                Method::GET if place != Place::Message => get::answer(endpoint, &self.paths, parts, &who),
                Method::POST if place != Place::Sse => post::answer(endpoint, parts, &who, body).await,
                Method::OPTIONS if cors.is_some() => Ok(cors::preflight(place.methods(), &parts.headers)),
                _ => Err(Refusal::method_not_allowed(place.methods())),
            },
            (Ok(_), Some(_)) => Err(nothing_here(NO_SESSIONS)),
            (Ok(_), None) => Err(nothing_here(NOTHING)),
        };
        let mut response = answered.unwrap_or_else(|refusal| respond::refuse(&refusal));
        if let Some(origin) = cors {
            cors::expose(response.headers_mut(), origin);
        }
        response
    }
}

impl<B> tower_service::Service<Request<B>> for HttpSse
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
        let service = self.clone();
        let (parts, body) = request.into_parts();
        Box::pin(async move { Ok(service.answer(&parts, body).await) })
    }
}

impl std::fmt::Debug for HttpSse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpSse").field("paths", &self.paths).finish_non_exhaustive()
    }
}

/// 404, which has clients of several transports try another.
fn nothing_here(why: &'static str) -> Refusal {
    Refusal::new(RefusalKind::UnknownSession).with_message(why)
}

const NOTHING: &str = "Nothing is here. Open a stream with GET at the server's SSE path, and post to the address that its first event gives.";
const NO_SESSIONS: &str = "This server keeps no sessions, so HTTP+SSE is not served. Use Streamable HTTP.";
