//! A server whose process this side starts: lines over its standard input and output.
//!
//! Specification: [stdio](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#stdio).

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::timeout;

use super::core::{Core, Transport};
use super::pipe::{Lines, Pipe, Sink, open_lines, read_lines};
use super::process::{Child, Exited, Output};
use super::reach::Way;
use super::{ClientError, ServerCommand};
use crate::runtime;

/// Starts the process.
pub(super) fn start(command: &ServerCommand) -> Result<Way, ClientError> {
    let (input, output, child) = command.spawn().map_err(ClientError::not_started)?;
    let exited = child.exited();
    let pipe = Pipe::new(Process { lines: open_lines(input), child });
    let output = ToItsEnd(Some(output));
    Ok(Way::through(pipe, |core| Box::pin(follow(core, output, exited))))
}

/// The process, and the lines to it.
struct Process {
    lines: Lines,
    child: Child,
}

impl Sink for Process {
    fn send(&self, message: Bytes) -> Pin<Box<dyn Future<Output = Result<(), ClientError>> + Send + '_>> {
        Box::pin(async move {
            let Err(error) = self.lines.send(message).await else { return Ok(()) };
            // Nobody reads the input any more; how it ended says more than that.
            match timeout(MOMENT, self.child.exited().wait()).await {
                Ok(exit) => Err(ClientError::ended(exit.to_string(), false)),
                Err(_) => Err(error),
            }
        })
    }

    fn close(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            // What still waits to be written: a server that does not read it now is not waited for.
            let _ = timeout(MOMENT, self.lines.close()).await;
            self.child.close().await;
        })
    }

    fn abandon(&self) {
        self.child.let_go();
    }
}

/// Reads the output to its end, and tells the client's calls how the process ended.
async fn follow(core: Arc<Core>, output: ToItsEnd, exited: Exited) {
    let read = read_lines(Arc::clone(&core), Box::pin(output)).await;
    // The end of the output comes a moment before that of the process.
    let why = match (timeout(MOMENT, exited.wait()).await, read) {
        (Ok(exit), _) => exit.to_string(),
        (Err(_), Ok(())) => "the server closed its output, so it is being ended".to_owned(),
        (Err(_), Err(error)) => format!("the output of the server cannot be read: {error}"),
    };
    if let Transport::Pipe(pipe) = &core.transport {
        pipe.set_ended(&core, why);
    }
}

/// The output of a process. Dropped before its end, the rest is read and thrown away: a server that says goodbye must not be
/// hit by a broken pipe.
struct ToItsEnd(Option<Output>);

impl AsyncRead for ToItsEnd {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(output) = &mut self.0 else { return Poll::Ready(Ok(())) };
        let before = buf.filled().len();
        let read = ready!(Pin::new(output).poll_read(cx, buf));
        if read.is_err() || buf.filled().len() == before {
            self.0 = None;
        }
        Poll::Ready(read)
    }
}

impl Drop for ToItsEnd {
    fn drop(&mut self) {
        // Without a runtime there is no process any more either.
        if let (Some(mut output), Ok(_)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            // Ends with the process, which is ended in bounded time.
            runtime::spawn(async move {
                let _ = tokio::io::copy(&mut output, &mut tokio::io::sink()).await;
            });
        }
    }
}

/// How long the end of a process is waited for that closed its input or output: they end in the same moment, unless it went on
/// without them. It then has the steps of the shutdown before it, which nobody's call should wait for.
const MOMENT: Duration = Duration::from_secs(2);
