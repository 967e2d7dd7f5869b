//! Standard input, read by a thread that ends when nobody wants it any more.
//!
//! A read of standard input cannot be taken back: a thread in the middle of one would take the next line, whoever it is for.
//! So on Unix it is read when there is something to be read. Elsewhere the thread takes one line more.

use std::io::{self, BufRead, PipeReader, PipeWriter};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

type Chunk = io::Result<Zeroizing<Vec<u8>>>;

/// Standard input, in pieces of a line at most.
///
/// # Drop behavior
///
/// Its thread ends.
pub(super) struct Stdin {
    chunks: mpsc::Receiver<Chunk>,
    chunk: Zeroizing<Vec<u8>>,
    /// Closed when this is dropped, which wakes the thread.
    _wanted: PipeWriter,
}

impl Stdin {
    pub(super) fn open() -> io::Result<Self> {
        let (over, wanted) = io::pipe()?;
        let (sender, chunks) = mpsc::channel(1);
        std::thread::Builder::new()
            .name("throughline-paste".into())
            .spawn(move || forward(&over, &sender))?;
        Ok(Self { chunks, chunk: Zeroizing::default(), _wanted: wanted })
    }
}

fn forward(over: &PipeReader, chunks: &mpsc::Sender<Chunk>) {
    loop {
        match wait(over) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return drop(chunks.blocking_send(Err(error))),
        }
        // What is behind a line stays with the standard library, where the wait would not see it.
        let mut more = true;
        while more {
            let chunk = {
                let mut stdin = io::stdin().lock();
                match stdin.fill_buf() {
                    Ok([]) => return,
                    Ok(bytes) => {
                        let end =
                            bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| end + 1);
                        more = end < bytes.len();
                        let chunk = Zeroizing::new(bytes[..end].to_vec());
                        stdin.consume(end);
                        Ok(chunk)
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => Err(error),
                }
            };
            let over = chunk.is_err();
            if chunks.blocking_send(chunk).is_err() || over {
                return;
            }
        }
    }
}

/// Waits until there is something to be read (true), or nobody wants it any more.
#[cfg(unix)]
fn wait(over: &PipeReader) -> io::Result<bool> {
    use rustix::event::{PollFd, PollFlags, poll};
    let stdin = io::stdin();
    let mut both = [PollFd::new(&stdin, PollFlags::IN), PollFd::new(over, PollFlags::IN)];
    loop {
        match poll(&mut both, None) {
            Ok(_) if !both[1].revents().is_empty() => return Ok(false),
            // Its end and its errors are for the read to tell.
            Ok(_) if !both[0].revents().is_empty() => return Ok(true),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps, reason = "it is the same as on Unix")]
fn wait(_over: &PipeReader) -> io::Result<bool> {
    Ok(true)
}

impl AsyncRead for Stdin {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.chunk.is_empty() {
            match ready!(self.chunks.poll_recv(cx)) {
                Some(chunk) => self.chunk = chunk?,
                None => return Poll::Ready(Ok(())),
            }
        }
        let count = self.chunk.len().min(into.remaining());
        into.put_slice(&self.chunk[..count]);
        self.chunk.drain(..count);
        Poll::Ready(Ok(()))
    }
}
