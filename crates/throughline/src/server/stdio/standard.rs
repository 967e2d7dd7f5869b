//! Standard input and output.
//!
//! Each has a thread of its own. A read of standard input cannot be taken back: on the runtime's pool it would hold up the
//! end of the program until the client closes its end, and so would a write that the client does not take.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::thread;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc::{self, Receiver, Sender, UnboundedReceiver, UnboundedSender};

use super::{CHUNK, Reader, Writer};

/// Opens both.
///
/// # Errors
///
/// When the system gives no threads.
pub(super) fn open() -> io::Result<(Reader, Writer)> {
    // One piece on its way while the next is read.
    let (to_reader, chunks) = mpsc::channel(1);
    thread::Builder::new().name("stdin".into()).spawn(move || read(&to_reader))?;
    // Unbounded in type only: the next piece is written when the one before was.
    let (to_thread, pieces) = mpsc::unbounded_channel();
    let (to_writer, written) = mpsc::unbounded_channel();
    thread::Builder::new().name("stdout".into()).spawn(move || write(pieces, &to_writer))?;
    let output = Output { pieces: to_thread, written, is_writing: false };
    Ok((Box::pin(Input { chunks, left: Bytes::new() }), Box::pin(output)))
}

fn read(to_reader: &Sender<io::Result<Bytes>>) {
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = match io::stdin().read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read.map(|count| Bytes::copy_from_slice(&chunk[..count])),
        };
        let is_last = !read.as_ref().is_ok_and(|chunk| !chunk.is_empty());
        if to_reader.blocking_send(read).is_err() || is_last {
            return;
        }
    }
}

fn write(mut pieces: UnboundedReceiver<Bytes>, to_writer: &UnboundedSender<io::Result<()>>) {
    while let Some(piece) = pieces.blocking_recv() {
        // The lock is not kept: a stray `println!` must not hang.
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(&piece).and_then(|()| stdout.flush());
        drop(stdout);
        if to_writer.send(written).is_err() {
            return;
        }
    }
}

/// Standard input. After an error or its end it stays at the end.
struct Input {
    chunks: Receiver<io::Result<Bytes>>,
    /// What was read and not yet taken.
    left: Bytes,
}

impl AsyncRead for Input {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left.is_empty() {
            let Some(chunk) = ready!(self.chunks.poll_recv(cx)) else { return Poll::Ready(Ok(())) };
            self.left = chunk?;
        }
        let count = self.left.len().min(buffer.remaining());
        buffer.put_slice(&self.left[..count]);
        self.left.advance(count);
        Poll::Ready(Ok(()))
    }
}

/// Standard output. A write is done when the one after it begins, or with a flush.
struct Output {
    pieces: UnboundedSender<Bytes>,
    written: UnboundedReceiver<io::Result<()>>,
    is_writing: bool,
}

impl AsyncWrite for Output {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.as_mut().poll_flush(cx))?;
        let piece = Bytes::copy_from_slice(bytes);
        self.pieces.send(piece).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        self.is_writing = true;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_writing {
            let written = ready!(self.written.poll_recv(cx));
            self.is_writing = false;
            written.unwrap_or_else(|| Err(io::ErrorKind::BrokenPipe.into()))?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}
