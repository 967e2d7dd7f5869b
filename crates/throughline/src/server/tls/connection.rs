//! A connection that does its handshake when it is first read or written.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustls::{Error, InvalidMessage};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;
use tokio_rustls::Accept;
use tokio_rustls::server::TlsStream;

/// A connection of a [`TlsListener`](crate::TlsListener).
pub struct TlsConnection<C> {
    state: State<C>,
    peer: Option<SocketAddr>,
}

enum State<C> {
    Shaking(Box<Handshake<C>>),
    Open(Box<TlsStream<C>>),
    /// The handshake failed, and that was said.
    Failed,
}

struct Handshake<C> {
    accept: Accept<C>,
    timeout: Duration,
    /// Begins when the handshake does.
    until: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
}

impl<C: AsyncRead + AsyncWrite + Unpin> TlsConnection<C> {
    pub(super) fn new(
        accept: Accept<C>,
        peer: Option<SocketAddr>,
        timeout: Duration,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let handshake = Handshake { accept, timeout, until: None, _place: place };
        Self { state: State::Shaking(Box::new(handshake)), peer }
    }

    /// From where it came.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// The connection once its handshake is done.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Pin<&mut TlsStream<C>>>> {
        if let State::Shaking(handshake) = &mut self.state {
            self.state = match ready!(handshake.poll(cx)) {
                Ok(stream) => State::Open(Box::new(stream)),
                Err(error) => {
                    tracing::debug!("a TLS handshake failed: {}", reason(&error));
                    self.state = State::Failed;
                    return Poll::Ready(Err(error));
                }
            };
        }
        Poll::Ready(match &mut self.state {
            State::Open(stream) => Ok(Pin::new(&mut **stream)),
            _ => Err(io::Error::new(io::ErrorKind::NotConnected, "the TLS handshake failed")),
        })
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> Handshake<C> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<TlsStream<C>>> {
        if let Poll::Ready(done) = Pin::new(&mut self.accept).poll(cx) {
            return Poll::Ready(done);
        }
        let timeout = self.timeout;
        let until = self.until.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        until
            .as_mut()
            .poll(cx)
            .map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake took too long")))
    }
}

/// What went wrong, for the log.
fn reason(error: &io::Error) -> String {
    match error.get_ref().and_then(|error| error.downcast_ref::<Error>()) {
        Some(Error::InvalidMessage(
            InvalidMessage::InvalidContentType
            | InvalidMessage::MessageTooLarge
            | InvalidMessage::UnknownProtocolVersion,
        )) => "the client does not speak TLS; the address that it uses should begin with https://".to_owned(),
        Some(Error::AlertReceived(alert)) => format!(
            "the client does not accept the certificate, or the rest that it was offered ({alert:?}); does it trust its authority?"
        ),
        _ => error.to_string(),
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsConnection<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_open(cx))?.poll_read(cx, buf)
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsConnection<C> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(cx))?.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(cx))?.poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        // As rustls takes many slices at once.
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_open(cx))?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.state {
            // Nothing was said that would need an end, and the peer may never go on.
            State::Shaking(_) | State::Failed => {
                self.state = State::Failed;
                Poll::Ready(Ok(()))
            }
            State::Open(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
        }
    }
}

impl<C> std::fmt::Debug for TlsConnection<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsConnection")
            .field("open", &matches!(self.state, State::Open(_)))
            .finish_non_exhaustive()
    }
}
