//! A listener whose connections are TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use super::{ServerTls, TlsConnection};
use crate::server::listener::Listener;

/// A listener that speaks TLS: what [`Serve::tls`](crate::Serve::tls) makes of another.
///
/// A connection does its handshake when it is first read or written, so one slow peer keeps no other from being accepted. Where as
/// many handshakes go on as there may be ([`ServerTls::max_handshakes`]), nobody is accepted until one is done or has taken too long.
pub struct TlsListener<L> {
    listener: L,
    acceptor: TlsAcceptor,
    places: Arc<Semaphore>,
    timeout: Duration,
}

impl<L> TlsListener<L> {
    /// TLS with this certificate on the connections of `listener`.
    pub fn new(listener: L, tls: ServerTls) -> Self {
        Self {
            listener,
            acceptor: TlsAcceptor::from(tls.config),
            places: Arc::new(Semaphore::new(tls.max_handshakes.min(Semaphore::MAX_PERMITS))),
            timeout: tls.handshake_timeout,
        }
    }
}

impl<L: Listener> Listener for TlsListener<L> {
    type Connection = TlsConnection<L::Connection>;

    async fn accept(&mut self) -> io::Result<Self::Connection> {
        let place = Arc::clone(&self.places).acquire_owned().await.expect("the semaphore is never closed");
        let connection = self.listener.accept().await?;
        let peer = L::peer(&connection);
        Ok(TlsConnection::new(self.acceptor.accept(connection), peer, self.timeout, place))
    }

    fn peer(connection: &Self::Connection) -> Option<SocketAddr> {
        connection.peer()
    }
}

impl<L: std::fmt::Debug> std::fmt::Debug for TlsListener<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsListener").field("listener", &self.listener).finish_non_exhaustive()
    }
}
