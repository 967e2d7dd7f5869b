//! The pipes to and from a process.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::oneshot;

use super::Ask;
use super::exit::Cause;
use crate::lock::Lock;

/// The standard input of a server.
///
/// Once the [`Child`](super::Child) is closed or has ended, writing fails with `BrokenPipe`.
///
/// # Drop behavior
///
/// The server reads the end of its input. So it does after `shutdown`.
#[derive(Debug)]
pub(crate) struct Input(Arc<InputPipe>);

/// The end of the input that the supervisor can close while another task writes to it.
#[derive(Debug)]
pub(super) struct InputPipe(Mutex<Open>);

#[derive(Debug)]
struct Open {
    /// `None` once it was closed.
    pipe: Option<ChildStdin>,
    /// Who waits to write: the pipe forgets it when it is closed.
    waiting: Option<Waker>,
}

impl InputPipe {
    pub(super) fn new(pipe: ChildStdin) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Open { pipe: Some(pipe), waiting: None })))
    }

    pub(super) fn close(&self) {
        let (pipe, waiting) = {
            let mut open = self.0.locked();
            (open.pipe.take(), open.waiting.take())
        };
        drop(pipe);
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }

    fn poll(
        &self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut ChildStdin>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let mut open = self.0.locked();
        let Some(pipe) = &mut open.pipe else {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::BrokenPipe,
                "the input of the server is closed",
            )));
        };
        let polled = write(Pin::new(pipe), cx);
        if polled.is_pending() && !open.waiting.as_ref().is_some_and(|waiting| waiting.will_wake(cx.waker()))
        {
            open.waiting = Some(cx.waker().clone());
        }
        polled
    }
}

impl Input {
    pub(super) fn new(pipe: Arc<InputPipe>) -> Self {
        Self(pipe)
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl AsyncWrite for Input {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll(cx, |pipe, cx| pipe.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.poll(cx, |pipe, cx| pipe.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.0.0.locked().pipe.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What was written is in the pipe.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.close();
        Poll::Ready(Ok(()))
    }
}

/// The standard output of a server. It ends when the server closes it, or when the process has ended and all that was in
/// the pipe is read: what it started and left behind may hold it open for long. A server that closes it and goes on is
/// ended, as nothing more can come from it
/// ([shutdown](https://modelcontextprotocol.io/specification/2025-11-25/basic/lifecycle#stdio)); so after the end wait for
/// [`Exited`](super::Exited), which tells why.
#[derive(Debug)]
pub(crate) struct Output {
    pipe: Draining<ChildStdout>,
    ask: Ask,
}

impl Output {
    pub(super) fn new(pipe: ChildStdout, ended: oneshot::Receiver<()>, ask: Ask) -> Self {
        Self { pipe: Draining::new(pipe, ended), ask }
    }
}

impl AsyncRead for Output {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.pipe).poll_read(cx, buf));
        if read.is_err() || (buf.filled().len() == before && buf.remaining() > 0) {
            self.ask.to_end(Cause::ClosedOutput);
        }
        Poll::Ready(read)
    }
}

/// A pipe that is read to its end, or, once the process that it came with has ended, until nothing is left in it.
#[derive(Debug)]
pub(super) struct Draining<P> {
    pipe: P,
    /// Told, or closed, when the process has ended.
    ended: oneshot::Receiver<()>,
    /// How many bytes are left of those that were there when it had ended: what comes later is from another process, and may
    /// have no end.
    left: Option<usize>,
}

impl<P> Draining<P> {
    pub(super) fn new(pipe: P, ended: oneshot::Receiver<()>) -> Self {
        Self { pipe, ended, left: None }
    }
}

impl<P: ReadNow> AsyncRead for Draining<P> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let left = match this.left {
            Some(left) => left,
            // The end first: a pipe that another process floods is never found empty.
            None if Pin::new(&mut this.ended).poll(cx).is_ready() => this.pipe.there(),
            None => return Pin::new(&mut this.pipe).poll_read(cx, buf),
        };
        this.left = Some(left);
        let room = left.min(buf.remaining());
        if room > 0 {
            let read = this.pipe.read_now(buf.initialize_unfilled_to(room))?;
            buf.advance(read);
            this.left = Some(left - read);
        }
        Poll::Ready(Ok(()))
    }
}

/// Reads what is there. The runtime's own reading does not serve: it may not have heard yet of bytes that are there.
pub(super) trait ReadNow: AsyncRead + Unpin {
    /// How many bytes are there, or more.
    fn there(&self) -> usize;

    /// Reads without waiting; nothing is read at the end and when nothing is there.
    fn read_now(&mut self, buf: &mut [u8]) -> io::Result<usize>;
}

#[cfg(unix)]
impl<P: AsyncRead + Unpin + std::os::fd::AsFd> ReadNow for P {
    fn there(&self) -> usize {
        // Without an answer: what a pipe holds unless somebody made it larger.
        rustix::io::ioctl_fionread(self)
            .map_or(64 * 1024, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX))
    }

    fn read_now(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        use rustix::io::Errno;
        loop {
            match rustix::io::read(&*self, &mut *buf) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(0),
                read => return Ok(read?),
            }
        }
    }
}

// Not tested: what a process wrote in the moment of its end may be lost here.
#[cfg(not(unix))]
impl<P: AsyncRead + Unpin> ReadNow for P {
    fn there(&self) -> usize {
        usize::MAX
    }

    fn read_now(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut buf = ReadBuf::new(buf);
        match Pin::new(self).poll_read(&mut Context::from_waker(Waker::noop()), &mut buf) {
            Poll::Ready(read) => read.map(|()| buf.filled().len()),
            Poll::Pending => Ok(0),
        }
    }
}
