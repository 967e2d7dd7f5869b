//! The lock in front of a server, with issuers and keys that are made here.

mod answers;
mod doors;
mod dpop;
mod introspection;
pub(super) mod issuer;
mod jwt;
pub(super) mod keys;
mod quiet;
mod serving;

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use throughline::Authorized;
use throughline::auth::{Authorization, AuthorizationBuilder, Challenge, Protected, UnixTime};
use tower_service::Service;

use issuer::Issuer;

/// The public address of the server.
const RESOURCE: &str = "https://mcp.example.com/mcp";

/// A moment.
const NOW: u64 = 1_800_000_000;

/// Both clocks, as tests set them: that of the runtime is paused.
#[derive(Clone)]
struct Time(Arc<AtomicU64>);

impl Time {
    fn new() -> Self {
        Self(Arc::new(AtomicU64::new(NOW)))
    }

    /// Time passes, by both clocks.
    async fn pass(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A lock whose issuers are reached in memory.
fn builder(issuer: &Issuer, time: &Time) -> AuthorizationBuilder {
    let time = time.clone();
    Authorization::builder(RESOURCE).http_service(issuer.clone()).clock(move || UnixTime(time.now()))
}

/// The claims of a token that is good.
fn claims(issuer: &Issuer, subject: &str) -> Value {
    json!({
        "iss": issuer.name(), "sub": subject, "aud": RESOURCE, "client_id": "editor",
        "iat": NOW, "exp": NOW + 3600, "scope": "files:read",
    })
}

/// What is behind the lock: it says what came through.
#[derive(Clone)]
struct Behind;

impl<B> Service<Request<B>> for Behind {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let who = request.extensions().get::<Authorized>().map(|authorized| {
            let principal = authorized.principal();
            json!({
                "issuer": &*principal.issuer, "subject": &*principal.subject,
                "client": authorized.client(), "scopes": authorized.scopes().as_str(),
                "until": authorized.expires_at().map(|at| at.0),
            })
        });
        let headers: Vec<_> = request.headers().keys().map(http::HeaderName::as_str).collect();
        let said = json!({ "who": who, "headers": headers, "path": request.uri().path() });
        ready(Ok(Response::new(Full::new(said.to_string().into()))))
    }
}

/// An answer, taken apart.
struct Said {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.body))
    }

    fn challenges(&self) -> Vec<Challenge> {
        Challenge::parse_all(&self.headers)
    }

    /// Who came through.
    fn subject(&self) -> String {
        assert_eq!(self.status, 200, "{:?}", self.body);
        self.json()["who"]["subject"].as_str().expect("somebody").to_owned()
    }

    /// Status and error code of a refusal.
    fn refusal(&self) -> (u16, String) {
        let code = self.challenges().first().and_then(|challenge| challenge.error.clone());
        (self.status, code.map_or_else(String::new, |code| code.as_str().to_owned()))
    }
}

/// A service behind a lock, asked in memory.
#[derive(Clone)]
struct Door(Protected<Behind>);

impl Door {
    fn new(builder: AuthorizationBuilder) -> Self {
        Self(builder.build().unwrap().layer(Behind))
    }

    async fn send(&self, request: http::request::Builder) -> Said {
        let request = request.body(Full::<Bytes>::default()).unwrap();
        let response = self.0.clone().call(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Said { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// A POST with this token.
    async fn with(&self, token: &str) -> Said {
        self.send(post().header("authorization", format!("Bearer {token}"))).await
    }
}

fn post() -> http::request::Builder {
    Request::builder().method(Method::POST).uri("/mcp")
}
