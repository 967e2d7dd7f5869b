//! The lock as a tower layer and service.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::Authorization;
use super::answer::DPOP_NONCE;
use super::body::ProtectedBody;
use super::guard::{Begun, Guard};

impl Authorization {
    /// This lock in front of a service: only requests that it lets through come there, without their credentials and with an
    /// [`Authorized`](crate::Authorized) in their extensions.
    pub fn layer<S>(&self, service: S) -> Protected<S> {
        Protected { guard: Arc::clone(&self.guard), service }
    }
}

impl<S> Layer<S> for Authorization {
    type Service = Protected<S>;

    fn layer(&self, service: S) -> Protected<S> {
        Authorization::layer(self, service)
    }
}

/// A service behind a lock: see [`Authorization::layer`].
///
/// # Cancel safety
///
/// Dropping the future of a request gives the request up. A fetch of keys that it began goes on for others.
#[derive(Clone, Debug)]
pub struct Protected<S> {
    guard: Arc<Guard>,
    service: S,
}

impl<S, R, B> Service<Request<R>> for Protected<S>
where
    S: Service<Request<R>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    R: Send + 'static,
    B: Body<Data = Bytes>,
{
    type Response = Response<ProtectedBody<B>>;
    type Error = S::Error;
    type Future = ProtectedFuture<S::Future, B, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: Request<R>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let kind = match self.guard.begin(&mut parts) {
            Begun::Pass(nonce) => {
                Kind::Inner { response: self.service.call(Request::from_parts(parts, body)), nonce }
            }
            Begun::Answered(response) => Kind::Own { response: Some(response) },
            Begun::Pending(pending) => {
                // The one that is ready is called; the other takes its place and is made ready by the next caller.
                let fresh = self.service.clone();
                let mut service = std::mem::replace(&mut self.service, fresh);
                let guard = Arc::clone(&self.guard);
                let answering = async move {
                    match guard.finish(pending, &mut parts).await {
                        Ok(nonce) => {
                            let response = service.call(Request::from_parts(parts, body)).await?;
                            Ok(with_nonce(response.map(ProtectedBody::inner), nonce))
                        }
                        Err(response) => Ok(response.map(ProtectedBody::own)),
                    }
                };
                Kind::Waiting { response: Box::pin(answering) }
            }
        };
        ProtectedFuture { kind }
    }
}

pin_project! {
    /// The answer of a [`Protected`] service.
    pub struct ProtectedFuture<F, B, E> {
        #[pin]
        kind: Kind<F, B, E>,
    }
}

type Waiting<B, E> = Pin<Box<dyn Future<Output = Result<Response<ProtectedBody<B>>, E>> + Send>>;

pin_project! {
    #[project = Projected]
    enum Kind<F, B, E> {
        Inner { #[pin] response: F, nonce: Option<HeaderValue> },
        Own { response: Option<Response<Bytes>> },
        Waiting { response: Waiting<B, E> },
    }
}

impl<F, B, E> Future for ProtectedFuture<F, B, E>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<ProtectedBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().kind.project() {
            Projected::Inner { response, nonce } => {
                let response = ready!(response.poll(cx))?;
                Poll::Ready(Ok(with_nonce(response.map(ProtectedBody::inner), nonce.take())))
            }
            Projected::Own { response } => {
                let response = response.take().expect("a future is not polled after its end");
                Poll::Ready(Ok(response.map(ProtectedBody::own)))
            }
            Projected::Waiting { response } => response.as_mut().poll(cx),
        }
    }
}

impl<F, B, E> std::fmt::Debug for ProtectedFuture<F, B, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProtectedFuture").finish_non_exhaustive()
    }
}

/// The nonce for the next proof ([RFC 9449, 8.2](https://www.rfc-editor.org/rfc/rfc9449#section-8.2)).
fn with_nonce<B>(mut response: Response<B>, nonce: Option<HeaderValue>) -> Response<B> {
    if let Some(nonce) = nonce {
        response.headers_mut().insert(DPOP_NONCE, nonce);
    }
    response
}
