//! Where connections come from.

use std::future::Future;
use std::io;

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
}

impl Listener for TcpListener {
    type Connection = TcpStream;

    async fn accept(&mut self) -> io::Result<TcpStream> {
        let (connection, _) = TcpListener::accept(self).await?;
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        Ok(connection)
    }
}
