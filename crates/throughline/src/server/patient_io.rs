//! A connection that gives up on a peer that takes nothing, or does not say what it speaks.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// Ends the connection when no byte could be written for a while although there are some: a peer that stopped reading
/// holds buffers, and only a reset frees them. And ends it when it is not known after a while whether its peer speaks HTTP/1
/// or HTTP/2: the clocks for heads begin to run when that is known, and a peer that says nothing would hold a place for ever.
pub(crate) struct PatientIo<T> {
    io: T,
    patience: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    greeting: Greeting,
}

/// The first bytes of a connection.
enum Greeting {
    /// So many came, and all are as the preface of HTTP/2 has them.
    Awaited { matching: usize, patience: Duration, until: Option<Pin<Box<Sleep>>> },
    /// It is known what is spoken.
    Over,
}

/// What a client that speaks HTTP/2 begins with, and no request of HTTP/1 does
/// (<https://www.rfc-editor.org/rfc/rfc9113#section-3.4>).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

impl Greeting {
    /// Takes in what was read, or the end.
    fn read(&mut self, bytes: &[u8]) {
        let Greeting::Awaited { matching, .. } = self else { return };
        let wanted = &PREFACE[*matching..];
        let is_preface = !bytes.is_empty() && bytes.len() < wanted.len() && wanted.starts_with(bytes);
        if is_preface {
            *matching += bytes.len();
        } else {
            *self = Greeting::Over;
        }
    }

    /// Ready when it was waited for long enough.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Greeting::Awaited { patience, until, .. } = self else { return Poll::Pending };
        let patience = *patience;
        until.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience))).as_mut().poll(cx)
    }
}

impl<T> PatientIo<T> {
    /// A connection whose first words may take `greeting`, and each write `patience`.
    pub(crate) fn new(io: T, greeting: Duration, patience: Duration) -> Self {
        let greeting = Greeting::Awaited { matching: 0, patience: greeting, until: None };
        Self { io, patience, waiting: None, greeting }
    }

    fn judge<R>(&mut self, written: Poll<io::Result<R>>, cx: &mut Context<'_>) -> Poll<io::Result<R>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let patience = self.patience;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        waiting
            .as_mut()
            .poll(cx)
            .map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, "the peer takes nothing")))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for PatientIo<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let read = Pin::new(&mut this.io).poll_read(cx, buf);
        match &read {
            Poll::Ready(_) => this.greeting.read(&buf.filled()[before..]),
            Poll::Pending if this.greeting.poll_late(cx).is_ready() => {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer says nothing")));
            }
            Poll::Pending => {}
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for PatientIo<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.judge(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bytes);
        self.judge(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.judge(flushed, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.io).poll_shutdown(cx);
        self.judge(shut, cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const PATIENCE: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_given_up() {
        let (ours, _theirs) = tokio::io::duplex(4);
        let mut io = PatientIo::new(ours, PATIENCE, PATIENCE);
        let started = tokio::time::Instant::now();
        let error = io.write_all(b"more than fits").await.expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(started.elapsed().as_secs(), PATIENCE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_a_little_now_and_then_is_not() {
        let (ours, mut theirs) = tokio::io::duplex(4);
        let mut io = PatientIo::new(ours, PATIENCE, PATIENCE);
        let reading = tokio::spawn(async move {
            let mut read = Vec::new();
            while read.len() < 14 {
                tokio::time::sleep(PATIENCE - Duration::from_secs(1)).await;
                let mut some = [0; 4];
                let count = theirs.read(&mut some).await.expect("it is open");
                read.extend_from_slice(&some[..count]);
            }
            read
        });
        io.write_all(b"more than fits").await.expect("it is read, slowly");
        assert_eq!(reading.await.expect("it ends"), b"more than fits");
    }

    /// What a peer says, piece by piece, each after nearly all of the patience; how long it is listened to.
    async fn listened_to(pieces: &[&[u8]]) -> Option<u64> {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let mut io = PatientIo::new(ours, PATIENCE, PATIENCE);
        let started = tokio::time::Instant::now();
        for piece in pieces {
            theirs.write_all(piece).await.expect("it fits");
            io.read_exact(&mut vec![0; piece.len()]).await.expect("it is there");
        }
        let patient = async { io.read_u8().await.map_err(|error| error.kind()) };
        let ended = tokio::time::timeout(PATIENCE * 10, patient).await.ok()?;
        assert_eq!(ended, Err(io::ErrorKind::TimedOut));
        Some(started.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_does_not_say_what_it_speaks_is_given_up() {
        let seconds = Some(PATIENCE.as_secs());
        assert_eq!(listened_to(&[]).await, seconds);
        assert_eq!(listened_to(&[b"P"]).await, seconds);
        assert_eq!(listened_to(&[b"PRI * HTTP/2.0", b"\r\n\r\nSM\r\n\r"]).await, seconds);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_said_it_is_others_business() {
        assert_eq!(listened_to(&[PREFACE]).await, None);
        assert_eq!(listened_to(&[&PREFACE[..23], b"\n"]).await, None);
        assert_eq!(listened_to(&[b"P", b"O"]).await, None);
        assert_eq!(listened_to(&[b"G"]).await, None);
        assert_eq!(listened_to(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n and more"]).await, None);
    }
}
