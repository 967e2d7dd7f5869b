//! An endpoint behind a lock that a test can change.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use tower::Service;

/// Lets requests through that carry the token of the hour, and scopes that suffice.
#[derive(Clone)]
pub(crate) struct Locked<S> {
    service: S,
    pub(crate) lock: Lock,
}

/// What a test changes, and sees.
#[derive(Clone, Default)]
pub(crate) struct Lock(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    token: String,
    /// The token of a request whose text has this in it must end with `+scope`.
    step: Option<(&'static str, &'static str)>,
    /// Refuses all the same, with this status.
    shut: Option<StatusCode>,
    seen: Vec<String>,
}

impl Lock {
    pub(crate) fn new(token: &str) -> Self {
        let lock = Self::default();
        lock.turn(token);
        lock
    }

    /// From now on another token is good.
    pub(crate) fn turn(&self, token: &str) {
        token.clone_into(&mut self.0.lock().unwrap().token);
    }

    /// What has `part` in it, in its method or its body, needs this scope.
    pub(crate) fn needs(&self, part: &'static str, scope: &'static str) {
        self.0.lock().unwrap().step = Some((part, scope));
    }

    pub(crate) fn shut(&self, status: Option<StatusCode>) {
        self.0.lock().unwrap().shut = status;
    }

    /// `POST token 401` for each request since the last time; a dash where there was no token.
    pub(crate) fn seen(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().seen)
    }

    fn judge(&self, method: &str, token: Option<&str>, body: &[u8]) -> Result<(), (StatusCode, String)> {
        let mut state = self.0.lock().unwrap();
        let good = state.token.clone();
        let challenge = r#"Bearer resource_metadata="https://example.com/.well-known/oauth-protected-resource", scope="read""#;
        let judged = match (state.shut, token) {
            (Some(status), _) => Err((status, String::new())),
            (None, Some(token)) if token.split('+').next() == Some(&good) => match state.step {
                Some((part, scope))
                    if format!("{method} {}", String::from_utf8_lossy(body)).contains(part)
                        && !token.split('+').any(|had| had == scope) =>
                {
                    let why = format!(r#"Bearer error="insufficient_scope", scope="{scope}""#);
                    Err((StatusCode::FORBIDDEN, why))
                }
                _ => Ok(()),
            },
            (None, _) => Err((StatusCode::UNAUTHORIZED, challenge.to_owned())),
        };
        let status = judged.as_ref().err().map_or(200, |(status, _)| status.as_u16());
        state.seen.push(format!("{method} {} {status}", token.unwrap_or("-")));
        judged
    }
}

impl<S> Locked<S> {
    pub(crate) fn new(service: S, lock: &Lock) -> Self {
        Self { service, lock: lock.clone() }
    }
}

pub(crate) type LockedBody = UnsyncBoxBody<Bytes, Infallible>;

impl<S, B, R> Service<Request<B>> for Locked<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes, Error = Infallible> + Send + 'static,
    R: http_body::Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    type Response = Response<LockedBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut service, lock) = (self.service.clone(), self.lock.clone());
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let token = parts.headers.get(AUTHORIZATION).map(|value| {
                let value = value.to_str().unwrap();
                value.strip_prefix("Bearer ").expect("a bearer token").to_owned()
            });
            if let Err((status, challenge)) = lock.judge(parts.method.as_str(), token.as_deref(), &body) {
                let mut response = Response::new(Full::new(Bytes::from_static(b"no")).boxed_unsync());
                *response.status_mut() = status;
                response.headers_mut().insert(CONTENT_TYPE, "text/plain".parse().unwrap());
                if !challenge.is_empty() {
                    response.headers_mut().insert(WWW_AUTHENTICATE, challenge.parse().unwrap());
                }
                return Ok(response);
            }
            let response = service.call(Request::from_parts(parts, Full::new(body))).await?;
            Ok(response.map(|body| body.boxed_unsync()))
        })
    }
}
