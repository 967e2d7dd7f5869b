//! HTTP/1.1 over whatever can be dialled.

use std::future::Future;
use std::io;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::AbortHandle;

/// A network that leads to the server.
pub(crate) trait Dial: Clone + Send + Sync + 'static {
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    fn dial(&self) -> impl Future<Output = io::Result<Self::Io>> + Send;
}

/// Why there is no response, or not all of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Lost {
    /// There was no connection: the server never saw the request.
    Unsent,
    /// The connection broke, or nothing came for too long.
    Cut,
}

/// Sends requests, over a connection that is at rest where there is one.
pub(crate) struct Http<D> {
    dial: D,
    /// How long a connection may be silent before it counts as broken, on the runtime's clock.
    patience: Duration,
    resting: Mutex<Vec<Connection>>,
}

struct Connection {
    sender: SendRequest<Full<Bytes>>,
    _driver: AbortOnDrop,
}

/// Ends the task that drives a connection, and with it the connection.
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<D: Dial> Http<D> {
    pub(crate) fn new(dial: D, patience: Duration) -> Self {
        Self { dial, patience, resting: Mutex::default() }
    }

    /// Sends a request, and gives its response once the head is there. Dropped, it breaks its connection.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Result<Reply, Lost> {
        let mut connection = self.connection().await?;
        let answered = tokio::time::timeout(self.patience, connection.sender.send_request(request)).await;
        let Ok(Ok(response)) = answered else { return Err(Lost::Cut) };
        let (head, body) = response.into_parts();
        Ok(Reply { status: head.status, headers: head.headers, body, patience: self.patience, connection })
    }

    async fn connection(&self) -> Result<Connection, Lost> {
        loop {
            let Some(mut resting) = self.resting.lock().unwrap().pop() else { break };
            let ready = tokio::time::timeout(self.patience, resting.sender.ready()).await;
            if matches!(ready, Ok(Ok(()))) {
                return Ok(resting);
            }
        }
        let dialled = tokio::time::timeout(self.patience, self.dial.dial()).await;
        let io = dialled.map_err(|_| Lost::Unsent)?.map_err(|_| Lost::Unsent)?;
        let (sender, driver) = http1::handshake(TokioIo::new(io)).await.map_err(|_| Lost::Unsent)?;
        let driver = tokio::spawn(async move {
            // Its error is seen by whoever reads the response.
            let _ = driver.await;
        });
        Ok(Connection { sender, _driver: AbortOnDrop(driver.abort_handle()) })
    }

    /// The response was read to its end: its connection serves again.
    pub(crate) fn rest(&self, reply: Reply) {
        self.resting.lock().unwrap().push(reply.connection);
    }
}

/// A response, of which the body is still on its way.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Incoming,
    patience: Duration,
    connection: Connection,
}

impl Reply {
    /// A header; empty when it is missing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// The next bytes; `None` at the end of a body that is whole.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Lost> {
        loop {
            match tokio::time::timeout(self.patience, self.body.frame()).await {
                Err(_) | Ok(Some(Err(_))) => return Err(Lost::Cut),
                Ok(None) => return Ok(None),
                Ok(Some(Ok(frame))) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }

    /// The whole body.
    pub(crate) async fn whole(&mut self) -> Result<Vec<u8>, Lost> {
        let mut all = Vec::new();
        while let Some(bytes) = self.chunk().await? {
            all.extend_from_slice(&bytes);
        }
        Ok(all)
    }
}
