//! Serves an HTTP service on a listener.

use std::any::Any;
use std::error::Error;
use std::future::{Future, IntoFuture, pending};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use pin_project_lite::pin_project;
use tokio::net::{TcpListener, ToSocketAddrs};
use tokio::sync::{Semaphore, watch};
use tower_service::Service;

use super::StreamableHttp;
use super::listener::{Listener, PeerAddress};
use super::patient_io::PatientIo;
use crate::handler::Server;
use crate::runtime;

/// Serves `service` on `listener` over HTTP/1.1 and HTTP/2, until it is told to stop. Without TLS (h2c), unless it is told which
/// certificate to show: `Serve::tls`, with the feature `tls`.
///
/// `service` is a [`StreamableHttp`], or any tower service that calls one for a path of its own. `listener` is a
/// [`TcpListener`], or any other [`Listener`]. `.await` the result.
///
/// TCP_NODELAY is on; a connection's first words and a request's head may take 30 s each, and a connection to which nothing could be written for 30 s is
/// reset.
///
/// ```no_run
/// use std::time::Duration;
/// use throughline::{Server, StreamableHttp, serve};
///
/// # async fn run(stop: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
/// let endpoint = StreamableHttp::new(Server::new("demo", "1.0.0"));
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8808").await?;
/// serve(listener, endpoint.clone()).shutdown_on(stop).draining(endpoint, Duration::from_secs(10)).await
/// # }
/// ```
///
/// # Errors
///
/// None so far: a connection that fails ends alone, and a failing accept is tried again.
pub fn serve<L: Listener, S>(listener: L, service: S) -> Serve<L, S> {
    Serve {
        listener,
        service,
        stop: Box::pin(pending()),
        draining: None,
        max_connections: MAX_CONNECTIONS,
        header_timeout: HEADER_TIMEOUT,
        write_timeout: WRITE_TIMEOUT,
    }
}

impl Server {
    /// Serves over Streamable HTTP at this address with all defaults, until the future is dropped. It answers at any path.
    ///
    /// For settings make a [`StreamableHttp`]; for a graceful shutdown give it to [`serve`].
    ///
    /// ```no_run
    /// # async fn run() -> std::io::Result<()> {
    /// throughline::Server::new("demo", "1.0.0").serve("127.0.0.1:8808").await
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When the address is no address, or cannot be listened on.
    pub async fn serve(self, address: impl ToSocketAddrs) -> io::Result<()> {
        serve(TcpListener::bind(address).await?, StreamableHttp::new(self)).await
    }
}

/// A server about to run: `.await` it. See [`serve`].
#[must_use = "nothing is served unless awaited"]
pub struct Serve<L, S> {
    listener: L,
    service: S,
    stop: Pin<Box<dyn Future<Output = ()> + Send>>,
    draining: Option<(StreamableHttp, Duration)>,
    max_connections: usize,
    header_timeout: Duration,
    write_timeout: Duration,
}

impl<L, S> Serve<L, S> {
    /// Stops when `stop` ends: accepts no more connections, and lets those there are finish what they do.
    pub fn shutdown_on(mut self, stop: impl Future<Output = ()> + Send + 'static) -> Self {
        self.stop = Box::pin(stop);
        self
    }

    /// Drains this endpoint when stopping, with so much time for running calls: see [`StreamableHttp::drain`]. Without
    /// it, open streams are cut after the farewell of three seconds.
    pub fn draining(mut self, endpoint: StreamableHttp, grace: Duration) -> Self {
        self.draining = Some((endpoint, grace));
        self
    }

    /// Speaks HTTPS, showing this certificate.
    #[cfg(feature = "tls")]
    pub fn tls(self, tls: super::ServerTls) -> Serve<super::TlsListener<L>, S> {
        Serve {
            listener: super::TlsListener::new(self.listener, tls),
            service: self.service,
            stop: self.stop,
            draining: self.draining,
            max_connections: self.max_connections,
            header_timeout: self.header_timeout,
            write_timeout: self.write_timeout,
        }
    }

    /// How many connections there may be; further ones wait to be accepted. Default: 16,384.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// How long the head of a request may take, and how long a connection may wait for its next one. Default: 30 s.
    pub fn header_timeout(mut self, timeout: Duration) -> Self {
        self.header_timeout = timeout;
        self
    }

    /// After how long without a byte written a connection that has some to write is reset. Default: 30 s.
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.write_timeout = timeout;
        self
    }
}

impl<L, S, B> Serve<L, S>
where
    L: Listener,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    async fn run(self) -> io::Result<()> {
        let Self {
            mut listener,
            service,
            mut stop,
            draining,
            max_connections,
            header_timeout,
            write_timeout,
        } = self;
        let places = Arc::new(Semaphore::new(max_connections));
        let (stopping, stopped) = watch::channel(());
        let builder = Arc::new(connection_builder(header_timeout));
        let endpoint = (&service as &dyn Any).downcast_ref::<StreamableHttp>().cloned();
        loop {
            let accepted = tokio::select! {
                () = &mut stop => break,
                accepted = accept(&mut listener, &places) => accepted,
            };
            let (connection, place) = accepted;
            let peer = L::peer(&connection).map(PeerAddress);
            let service = OfPeer { endpoint: endpoint.clone(), service: service.clone(), peer };
            let io = TokioIo::new(PatientIo::new(connection, header_timeout, write_timeout));
            let (builder, mut stopped) = (Arc::clone(&builder), stopped.clone());
            runtime::spawn(async move {
                let connection = builder.serve_connection(io, service);
                tokio::pin!(connection);
                let ended = tokio::select! {
                    ended = &mut connection => ended,
                    _ = stopped.changed() => {
                        connection.as_mut().graceful_shutdown();
                        tokio::time::timeout(FAREWELL, connection).await.unwrap_or(Ok(()))
                    }
                };
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended with an error");
                }
                drop((place, stopped));
            });
        }
        drop(listener);
        if let Some((endpoint, grace)) = draining {
            endpoint.drain(grace).await;
        }
        drop(stopped);
        // Told to finish, each connection lets go of its receiver when it has.
        let _ = stopping.send(());
        stopping.closed().await;
        Ok(())
    }
}

impl<L, S, B> IntoFuture for Serve<L, S>
where
    L: Listener,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Output = io::Result<()>;
    type IntoFuture = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl<L: std::fmt::Debug, S> std::fmt::Debug for Serve<L, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Serve").field("listener", &self.listener).finish_non_exhaustive()
    }
}

/// The service, with the address of its peer on each request that anybody may look at.
#[derive(Clone)]
struct OfPeer<S> {
    service: S,
    /// The service, where it is an endpoint with nothing in front: then it is known whether anybody looks, and the first extension
    /// of a request costs three allocations.
    endpoint: Option<StreamableHttp>,
    peer: Option<PeerAddress>,
}

/// As hyper wants it. A service that is ready at once, as nearly all are, is called without a step in between.
impl<S, B> hyper::service::Service<Request<Incoming>> for OfPeer<S>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone,
    S::Error: Into<BoxError>,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = Answering<S>;

    fn call(&self, mut request: Request<Incoming>) -> Answering<S> {
        if let Some(peer) = self.peer
            && self.endpoint.as_ref().is_none_or(StreamableHttp::shows_heads)
        {
            request.extensions_mut().insert(peer);
        }
        let mut service = self.service.clone();
        // Who has to wait asks again, and says there whom to wake.
        match service.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => Answering::Running { answer: service.call(request) },
            Poll::Ready(Err(error)) => Answering::Failed { error: Some(error.into()) },
            Poll::Pending => Answering::Waiting { waiting: Box::new((service, Some(request))) },
        }
    }
}

pin_project! {
    /// The answer of a service, which is awaited until it is ready.
    #[project = Step]
    enum Answering<S: Service<Request<Incoming>>> {
        Running { #[pin] answer: S::Future },
        Waiting { waiting: Box<(S, Option<Request<Incoming>>)> },
        Failed { error: Option<BoxError> },
    }
}

impl<S, B> Future for Answering<S>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Error: Into<BoxError>,
{
    type Output = Result<Response<B>, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let answer = match self.as_mut().project() {
                Step::Running { answer } => return answer.poll(cx).map_err(Into::into),
                Step::Waiting { waiting } => {
                    let (service, request) = &mut **waiting;
                    ready!(service.poll_ready(cx)).map_err(Into::into)?;
                    service.call(request.take().expect("it is called once"))
                }
                Step::Failed { error } => {
                    return Poll::Ready(Err(error.take().expect("it is not polled after its end")));
                }
            };
            self.set(Self::Running { answer });
        }
    }
}

type BoxError = Box<dyn Error + Send + Sync>;

fn connection_builder(header_timeout: Duration) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(header_timeout).max_buf_size(WRITE_BUFFER);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_H2_STREAMS)
        .max_send_buf_size(WRITE_BUFFER)
        .keep_alive_interval(Some(H2_PING))
        .keep_alive_timeout(H2_PING);
    builder
}

/// The next connection, with its place. Errors of accepting (too many open files, a peer that is gone already) pass.
async fn accept<L: Listener>(
    listener: &mut L,
    places: &Arc<Semaphore>,
) -> (L::Connection, tokio::sync::OwnedSemaphorePermit) {
    let place = Arc::clone(places).acquire_owned().await.expect("the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok(connection) => return (connection, place),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Below the usual limit of open files where it was raised, and some 200 MB of idle connections at most.
const MAX_CONNECTIONS: usize = 16_384;
/// As long as a body may take.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// Three times what detaches a stalled reader: by then its stream goes on without it (design §8).
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection may take to finish when the server stops.
const FAREWELL: Duration = Duration::from_secs(3);
/// What hyper may hold for a connection beyond the socket's own buffer: a few frames of coalesced events.
const WRITE_BUFFER: usize = 256 * 1024;
/// More than a client has calls in flight, and a bound on what one connection may open.
const MAX_H2_STREAMS: u32 = 256;
/// A dead HTTP/2 peer is noticed within a minute.
const H2_PING: Duration = Duration::from_secs(30);
/// Out of file descriptors, trying again at once would only burn a core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
