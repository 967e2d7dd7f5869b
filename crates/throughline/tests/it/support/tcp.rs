//! Real sockets on loopback.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{self, Poll};

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use throughline::{StreamableHttp, serve};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tower_service::Service;

use super::reader::Dial;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// An endpoint served on loopback until it is stopped.
pub(crate) struct Loopback {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Loopback {
    pub(crate) async fn serve(endpoint: &StreamableHttp) -> Self {
        Self::serve_draining(endpoint, std::time::Duration::from_secs(5)).await
    }

    pub(crate) async fn serve_draining(endpoint: &StreamableHttp, grace: std::time::Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (stop, stopped) = oneshot::channel();
        let serving = serve(listener, endpoint.clone())
            .shutdown_on(async {
                let _ = stopped.await;
            })
            .draining(endpoint.clone(), grace);
        Self { address, stop, served: tokio::spawn(serving.into_future()) }
    }

    /// Stops gracefully.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        self.served.await.expect("no panic").expect("no error");
    }
}

impl Dial for Tcp {
    type Io = TcpStream;

    async fn dial(&self) -> std::io::Result<TcpStream> {
        let stream = TcpStream::connect(self.0).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Sends each request over an HTTP/1.1 connection of its own.
#[derive(Clone)]
pub(crate) struct Tcp(pub(crate) SocketAddr);

impl Service<Request<Full<Bytes>>> for Tcp {
    type Response = Response<Incoming>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Incoming>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Full<Bytes>>) -> Self::Future {
        let address = self.0;
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            tokio::spawn(async move {
                // Its error is seen by whoever reads the response.
                let _ = connection.await;
            });
            let host = HeaderValue::from_str(&address.to_string())?;
            request.headers_mut().insert("host", host);
            *request.uri_mut() =
                request.uri().path_and_query().map_or("/mcp", |path| path.as_str()).parse()?;
            Ok(sender.send_request(request).await?)
        })
    }
}
