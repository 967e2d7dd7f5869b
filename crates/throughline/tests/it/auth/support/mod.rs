//! An authorization server, a server that trusts it, and a person with a browser, all on loopback.

mod authority;
mod form;
mod person;
mod protected;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

pub(crate) use authority::{Authority, Rules};
pub(crate) use person::{Person, browse};
pub(crate) use protected::Protected;

/// A body of any kind.
pub(crate) type AnyBody = http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>;

/// Answers on a port of loopback until it is dropped.
pub(crate) struct Listening {
    pub(crate) address: SocketAddr,
    accepting: tokio::task::JoinHandle<()>,
}

impl Listening {
    /// `answer`: is given whole requests.
    pub(crate) async fn start<F, Fut>(answer: impl FnOnce(SocketAddr) -> F) -> Self
    where
        F: Fn(Request<Bytes>) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Response<AnyBody>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = answer(address);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let answer = answer.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    let answer = answer.clone();
                    async move {
                        let (parts, body) = request.into_parts();
                        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                        Ok::<_, Infallible>(answer(Request::from_parts(parts, body)).await)
                    }
                });
                tokio::spawn(async move {
                    let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    // A client may leave at any time.
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, accepting }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A JSON answer.
pub(crate) fn json(status: u16, value: &serde_json::Value) -> Response<AnyBody> {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .header("cache-control", "no-store")
        .body(Full::new(Bytes::from(value.to_string())).boxed_unsync())
        .unwrap()
}

/// An answer without a body.
pub(crate) fn empty(status: u16) -> Response<AnyBody> {
    Response::builder().status(status).body(Full::default().boxed_unsync()).unwrap()
}
