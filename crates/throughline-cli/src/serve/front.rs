//! What is served: the endpoint at its path, HTTP+SSE at its own, how the server is beside it, and nothing elsewhere.
//!
//! ```text
//!   request --+-- /healthz, /readyz -------------------------------> Inside
//!             +-- all else --> Protected (the lock, where there is one) --> Inside: endpoint, HTTP+SSE, /metrics
//! ```

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{Either, Full};
use throughline::auth::{Authorization, Protected, ProtectedBody};
use throughline::{HttpSse, ResponseBody, StreamableHttp};
use tower_service::Service;

/// Where the server says how it is.
pub(crate) const HEALTH_PATHS: [&str; 3] = [HEALTHY, READY, METRICS];

/// Says that the process runs.
const HEALTHY: &str = "/healthz";
/// Says whether new requests are welcome.
const READY: &str = "/readyz";
/// Says what happened so far, for Prometheus.
const METRICS: &str = "/metrics";

/// The service. Cheap to clone; every clone is the same.
#[derive(Clone)]
pub(super) struct Front {
    inside: Inside,
    locked: Option<Protected<Inside>>,
}

/// What is behind the lock.
#[derive(Clone)]
struct Inside {
    endpoint: StreamableHttp,
    path: Arc<str>,
    sse: Option<HttpSse>,
}

type Reply = Response<Either<ResponseBody, Full<Bytes>>>;
type LockedReply =
    Response<Either<ProtectedBody<Either<ResponseBody, Full<Bytes>>>, Either<ResponseBody, Full<Bytes>>>>;

impl Front {
    pub(super) fn new(
        endpoint: StreamableHttp,
        path: String,
        sse: Option<HttpSse>,
        lock: Option<&Authorization>,
    ) -> Self {
        let inside = Inside { endpoint, path: path.into(), sse };
        let locked = lock.map(|lock| lock.layer(inside.clone()));
        Self { inside, locked }
    }

    async fn answer<B: Body<Data: Send> + Send + 'static>(self, request: Request<B>) -> LockedReply {
        // Whoever looks whether the server runs has no key, and learns nothing else.
        let is_open = matches!(request.uri().path(), HEALTHY | READY);
        match self.locked {
            Some(mut locked) if !is_open => match locked.call(request).await {
                Ok(reply) => reply.map(Either::Left),
                Err(never) => match never {},
            },
            _ => self.inside.answer(request).await.map(Either::Right),
        }
    }
}

impl Inside {
    async fn answer<B: Body<Data: Send> + Send>(self, request: Request<B>) -> Reply {
        let path = request.uri().path();
        if path == &*self.path {
            return self.endpoint.handle(request).await.map(Either::Left);
        }
        if let Some(sse) = self.sse.as_ref().filter(|sse| sse.serves(path)) {
            return sse.handle(request).await.map(Either::Left);
        }
        if HEALTH_PATHS.contains(&path) && !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut reply =
                json(StatusCode::METHOD_NOT_ALLOWED, &serde_json::json!({ "error": "use GET here" }));
            reply.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return reply;
        }
        match path {
            HEALTHY => json(StatusCode::OK, &serde_json::json!({ "status": "ok" })),
            READY if self.endpoint.is_draining() => {
                json(StatusCode::SERVICE_UNAVAILABLE, &serde_json::json!({ "status": "draining" }))
            }
            METRICS => metrics(self.endpoint.metrics()),
            READY => json(StatusCode::OK, &serde_json::json!({ "status": "ready" })),
            _ => {
                let error = format!("nothing is here; the MCP endpoint is {}", self.path);
                json(StatusCode::NOT_FOUND, &serde_json::json!({ "error": error }))
            }
        }
    }
}

impl<B: Body<Data: Send> + Send + 'static> Service<Request<B>> for Inside {
    type Response = Reply;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Reply, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let inside = self.clone();
        Box::pin(async move { Ok(inside.answer(request).await) })
    }
}

impl<B: Body<Data: Send> + Send + 'static> Service<Request<B>> for Front {
    type Response = LockedReply;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<LockedReply, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let front = self.clone();
        Box::pin(async move {
            let method = request.method().clone();
            let reply = front.answer(request).await;
            tracing::debug!(%method, status = reply.status().as_u16(), "answered");
            Ok(reply)
        })
    }
}

fn json(status: StatusCode, value: &serde_json::Value) -> Reply {
    let mut reply = page("application/json", format!("{value}\n"));
    *reply.status_mut() = status;
    reply
}

fn metrics(text: String) -> Reply {
    page("text/plain; version=0.0.4; charset=utf-8", text)
}

fn page(content_type: &'static str, text: String) -> Reply {
    let mut reply = Response::new(Either::Right(Full::from(text)));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    // How the server is holds for this moment only.
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}
