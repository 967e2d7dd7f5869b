//! The way of a client to the network, as a tower service.
//!
//! ```text
//!   Connector   one request: redirects within the origin, then the response with its body
//!      |
//!    pool       which connection: an idle one (HTTP/1.1), a shared one (HTTP/2), or a new one
//!      |
//!    dial       a new one: name -> address -> TCP -> proxy -> TLS, each step named when it fails
//!    |    |
//!  proxy tls    which proxy, if any; which roots, and what is wrong with a certificate
//! ```
//!
//! # What is sent twice
//!
//! A request is put on another connection by itself only while no byte of it was written: when the connection that it was
//! handed to had ended by then, hyper gives the request back (`TrySendError::message`), and it is tried on the next one.
//! Everything else is an error, and one of which it is certain that the server did not run the request is a [`NeverSent`](super::line::NeverSent).

mod body;
mod dial;
mod error;
mod options;
mod pool;
mod proxy;
mod tls;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{HOST, HeaderValue, PROXY_AUTHORIZATION, USER_AGENT};
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode, Uri};
use throughline_proto::client::redirect;
use tower_service::Service;

use super::RequestBody;
use super::line::BoxError;
use dial::Route;
use pool::{Connection, Lease, Origin, Pool};

pub(crate) use body::NetworkBody;
#[cfg(all(test, feature = "auth"))]
pub(crate) use dial::Names;
pub(crate) use error::HttpError;
pub(crate) use options::BadOption;
pub use options::{HttpOptions, Proxy};
pub(crate) use proxy::is_loopback;

/// Sends requests over the network: HTTP/2 where the server agrees to it during the TLS handshake, else HTTP/1.1.
///
/// Cheap to clone; clones share their connections. A request needs an address with scheme and host, as
/// [`address`](throughline_proto::client::address) gives it.
///
/// # Cancel safety
///
/// Dropping the future of a request before the response came ends its exchange: the connection is closed (HTTP/1.1) or
/// the stream reset (HTTP/2). So does dropping the body of a response before its end.
///
/// # Drop behavior
///
/// With the last clone the idle connections are closed. Bodies that are being read go on.
#[derive(Clone, Debug)]
pub(crate) struct Connector(Arc<Pool>);

impl Connector {
    /// A connector with these options. Opens nothing yet.
    ///
    /// # Errors
    ///
    /// [`BadOption`]: a certificate or the address of a proxy cannot be read.
    pub(crate) fn new(options: &HttpOptions) -> Result<Self, BadOption> {
        Ok(Self(Arc::new(Pool::new(options.settings()?))))
    }
}

impl Service<Request<RequestBody>> for Connector {
    type Response = Response<NetworkBody>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<NetworkBody>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let pool = Arc::clone(&self.0);
        Box::pin(async move { send(&pool, request).await.map_err(HttpError::into_service) })
    }
}

/// On a request: it goes to its address alone, and a redirect is the answer. It holds secrets.
#[cfg(feature = "auth")]
#[derive(Clone, Copy)]
pub(crate) struct Stays;

/// Sends a request, and again to where it is redirected.
async fn send(pool: &Pool, mut request: Request<RequestBody>) -> Result<Response<NetworkBody>, HttpError> {
    request.headers_mut().entry(USER_AGENT).or_insert(AGENT);
    let mut followed = 0;
    loop {
        let response = exchange(pool, &request).await?;
        #[cfg(feature = "auth")]
        if request.extensions().get::<Stays>().is_some() {
            return Ok(response);
        }
        let next = redirect(response.status(), response.headers(), request.method(), request.uri(), followed)
            .map_err(HttpError::redirected)?;
        let Some(next) = next else { return Ok(response) };
        tracing::debug!(status = response.status().as_u16(), "following a redirect within the origin");
        *request.uri_mut() = next;
        followed += 1;
    }
}

/// Sends a request once.
async fn exchange(pool: &Pool, request: &Request<RequestBody>) -> Result<Response<NetworkBody>, HttpError> {
    let origin = pool.origin(request.uri())?;
    // Each turn but the last takes a connection that had ended out of the pool.
    loop {
        let connection = pool.connection(&origin).await?;
        let reused = connection.reused;
        match once(&origin, connection, request).await {
            Ok(response) => return checked(&origin, response),
            Err(Failed { untouched: true, .. }) if reused => {}
            Err(Failed { untouched: true, error }) => {
                return Err(HttpError::ended_before(origin.name(), error));
            }
            Err(Failed { untouched: false, error }) => {
                return Err(HttpError::after_sending(origin.name(), error));
            }
        }
    }
}

struct Failed {
    /// Nothing of the request was written.
    untouched: bool,
    error: hyper::Error,
}

async fn once(
    origin: &Arc<Origin>,
    connection: Connection,
    request: &Request<RequestBody>,
) -> Result<Response<NetworkBody>, Failed> {
    let mut request = request.clone();
    let (result, lease) = match connection.kind {
        pool::Kind::H1(mut sender) => {
            to_http1(origin, &mut request);
            let result = sender.try_send_request(request).await;
            (result, Lease::h1(origin, sender))
        }
        pool::Kind::H2(mut sender, stream) => {
            to_http2(&mut request);
            (sender.try_send_request(request).await, Lease::h2(stream))
        }
    };
    match result {
        Ok(response) => {
            let lease = lease.answered(response.headers());
            Ok(response.map(|body| NetworkBody::new(body, lease, origin.name().clone())))
        }
        Err(error) => Err(Failed { untouched: error.message().is_some(), error: error.into_error() }),
    }
}

/// HTTP/1.1 names the host in a header, and the whole address only to a proxy
/// ([RFC 9112, 3.2](https://www.rfc-editor.org/rfc/rfc9112#section-3.2)).
fn to_http1(origin: &Origin, request: &mut Request<RequestBody>) {
    if !request.headers().contains_key(HOST) {
        request.headers_mut().insert(HOST, origin.host_header().clone());
    }
    if let Route::Forward(proxy) = origin.route() {
        if let Some(credentials) = proxy.credentials() {
            request.headers_mut().insert(PROXY_AUTHORIZATION, credentials.clone());
        }
        return;
    }
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
}

/// HTTP/2 names the host in the address alone ([RFC 9113, 8.3.1](https://www.rfc-editor.org/rfc/rfc9113#section-8.3.1)):
/// a `Host` that the caller chose takes its place there.
fn to_http2(request: &mut Request<RequestBody>) {
    let Some(host) = request.headers_mut().remove(HOST) else { return };
    let mut parts = request.uri().clone().into_parts();
    if let Ok(authority) = host.as_bytes().try_into() {
        parts.authority = Some(authority);
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
}

/// What a proxy answers in the server's place.
fn checked(origin: &Origin, response: Response<NetworkBody>) -> Result<Response<NetworkBody>, HttpError> {
    match origin.route() {
        Route::Forward(proxy) if response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            Err(HttpError::proxy_refused(proxy.name(), origin.name(), response.status()))
        }
        _ => Ok(response),
    }
}

/// Some gateways refuse requests that do not say what sent them.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("throughline/", env!("CARGO_PKG_VERSION")));

#[cfg(test)]
mod tests;
