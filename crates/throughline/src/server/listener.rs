//! Where connections come from.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

/// Where the connections come from that [`serve`](crate::serve) serves.
///
/// A [`TcpListener`] is one, with TCP_NODELAY on. Another kind of socket becomes one like this:
///
/// ```
/// # #[cfg(unix)] mod unix {
/// use std::io;
/// use throughline::Listener;
/// use tokio::net::{UnixListener, UnixStream};
///
/// struct Local(UnixListener);
///
/// impl Listener for Local {
///     type Connection = UnixStream;
///
///     async fn accept(&mut self) -> io::Result<UnixStream> {
///         self.0.accept().await.map(|(connection, _)| connection)
///     }
/// }
/// # }
/// ```
///
/// Laws:
/// 1. *One at a time*: nobody is accepted while `accept` is pending, so it does no handshake with a peer. What needs one
///    does it when the connection is first read or written.
/// 2. *Cancel safe*: dropped while pending, it takes no connection with it.
/// 3. *Errors pass*: after an error it is called again, after a pause.
pub trait Listener: Send + 'static {
    /// A connection.
    type Connection: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection.
    ///
    /// # Errors
    ///
    /// Those of the system, as when too many files are open or the peer is gone already.
    fn accept(&mut self) -> impl Future<Output = io::Result<Self::Connection>> + Send;

    /// From where a connection came, as the network says it: the [`PeerAddress`] of its requests. Default: not known.
    fn peer(connection: &Self::Connection) -> Option<SocketAddr> {
        let _ = connection;
        None
    }
}

/// From where the connection came that a request arrived on: an extension of each request that [`serve`](crate::serve) hands on,
/// where the listener [knows](Listener::peer). Behind a proxy it is the address of the proxy.
///
/// Other servers put it in by themselves, where a caller is known by its address:
///
/// ```
/// use throughline::PeerAddress;
///
/// # let connection: std::net::SocketAddr = "127.0.0.1:80".parse().unwrap();
/// let mut request = http::Request::new(());
/// request.extensions_mut().insert(PeerAddress(connection));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerAddress(pub SocketAddr);

impl Listener for TcpListener {
    type Connection = TcpStream;

    async fn accept(&mut self) -> io::Result<TcpStream> {
        let (connection, _) = TcpListener::accept(self).await?;
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        Ok(connection)
    }

    fn peer(connection: &TcpStream) -> Option<SocketAddr> {
        connection.peer_addr().ok()
    }
}
