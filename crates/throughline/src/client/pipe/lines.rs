//! Messages as lines over a reader and a writer.
//!
//! Specification: [stdio](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#stdio).

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use throughline_proto::jsonrpc::{self, LineDecoder};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;
use tokio::task::coop::consume_budget;

use super::{Sink, take};
use crate::client::ClientError;
use crate::client::core::{Core, Transport};
use crate::client::http::{MAX_EVENT, messages};
use crate::runtime;

/// The lines to a server: one task writes, so that a call that is given up leaves no half line.
pub(crate) struct Lines {
    queue: mpsc::Sender<Bytes>,
    writing: AbortHandle,
    /// The writer was told to end.
    close: Arc<Notify>,
}

/// Opens the way for messages to a writer. Read with [`read_lines`] once there is a client.
pub(crate) fn open_lines(writer: impl AsyncWrite + Send + 'static) -> Lines {
    let (queue, waiting) = mpsc::channel(MOST_WAITING);
    let close = Arc::new(Notify::new());
    let closing = Arc::clone(&close);
    let writing = runtime::spawn(async move {
        if let Err(error) = write_lines(Box::pin(writer), waiting, &closing).await {
            tracing::debug!(%error, "the server's input is closed");
        }
    });
    Lines { queue, writing, close }
}

impl Sink for Lines {
    fn ready<'a>(
        &'a self,
        _: &'a Arc<Core>,
    ) -> Pin<Box<dyn Future<Output = Result<(), ClientError>> + Send + 'a>> {
        Box::pin(async {
            // The room is given back at once: whoever takes it then was there at the same time. That nobody reads any more is
            // said by who sends.
            let _ = self.queue.reserve().await;
            Ok(())
        })
    }

    fn send(&self, message: Bytes) -> Pin<Box<dyn Future<Output = Result<(), ClientError>> + Send + '_>> {
        Box::pin(async move {
            self.queue
                .send(message)
                .await
                .map_err(|_| ClientError::ended("the server's input is closed", false))
        })
    }

    fn close(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            self.close.notify_one();
            // Ends when the writer has written what was there, and dropped the queue.
            let _ = tokio::time::timeout(crate::client::core::FAREWELL, self.queue.closed()).await;
        })
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.writing.abort();
    }
}

async fn write_lines(
    mut writer: Pin<Box<dyn AsyncWrite + Send>>,
    mut waiting: mpsc::Receiver<Bytes>,
    close: &Notify,
) -> io::Result<()> {
    let mut lines = BytesMut::new();
    loop {
        let message = tokio::select! {
            message = waiting.recv() => message,
            () = close.notified() => {
                waiting.close();
                waiting.recv().await
            }
        };
        let Some(message) = message else { break };
        lines.clear();
        let mut next = Some(message);
        while let Some(message) = next {
            let start = lines.len();
            lines.extend_from_slice(&message);
            jsonrpc::end_line(&mut lines, start);
            next = if lines.len() < MOST_AT_ONCE { waiting.try_recv().ok() } else { None };
        }
        writer.write_all(&lines).await?;
        writer.flush().await?;
    }
    writer.shutdown().await
}

/// Reads lines until their end, which ends the client's calls. `why`: what to say then.
pub(crate) async fn read_lines(
    core: Arc<Core>,
    mut reader: Pin<Box<dyn AsyncRead + Send>>,
) -> io::Result<()> {
    let mut lines = LineDecoder::new(MAX_EVENT);
    let mut chunk = vec![0; CHUNK];
    loop {
        while let Some(line) = lines.next_line() {
            match line {
                Ok(line) if line.is_empty() => {}
                Ok(line) => messages(&line).for_each(|message| take(&core, message)),
                Err(error) => {
                    tracing::warn!(%error, "the server wrote a line that is too long; it is skipped");
                }
            }
        }
        // A reader that is always ready must let others run.
        consume_budget().await;
        let count = reader.read(&mut chunk).await?;
        if count == 0 {
            return Ok(());
        }
        lines.push(&chunk[..count]);
    }
}

/// Reads lines, and tells the client's calls of their end.
pub(crate) async fn follow(core: Arc<Core>, reader: Pin<Box<dyn AsyncRead + Send>>) {
    let why = match read_lines(Arc::clone(&core), reader).await {
        Ok(()) => "the server closed the connection".to_owned(),
        Err(error) => format!("the connection to the server broke: {error}"),
    };
    if let Transport::Pipe(pipe) = &core.transport {
        pipe.set_ended(&core, why);
    }
}

/// Messages that wait for the writer; who sends more waits.
const MOST_WAITING: usize = 64;
/// As much as is written at once.
const MOST_AT_ONCE: usize = 64 * 1024;
/// What a pipe holds on Linux.
const CHUNK: usize = 64 * 1024;
