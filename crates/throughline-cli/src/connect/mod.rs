//! `throughline connect`: a server over standard input and output that is another server, somewhere else.
//!
//! ```text
//!   host --stdin--> input --> Host (one message at a time) --> Calls, Notes --> Client --> the server
//!        <-stdout-- Out (one task writes) <-- answers, notifications, Questions <--+
//! ```
//!
//! Each message of the host says of which era it is. What travels is left as it is, apart from ids: params, results, errors
//! and notifications are never rebuilt. Only where a host that opens sessions meets a server that has none, the client in
//! between speaks for both.

mod between;
mod calls;
mod edit;
mod host;
mod notes;
mod open;
mod out;
mod questions;
mod work;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use throughline::jsonrpc::{LineDecoder, LineTooLong};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;

use crate::Stop;
use crate::flags::Target;
use crate::signals::Signals;
use host::Host;
use out::Out;

/// Bridges until the host closes standard input or reads no more, or a signal comes.
pub(crate) fn run(target: Target) -> Result<(), Stop> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| {
        Stop::failure(format!("error: the system gives no threads to work with: {error}."))
    })?;
    let ended = runtime.block_on(bridge(target));
    // A read of standard input cannot be taken back, nor a write that nobody reads, and the program must not wait for them.
    runtime.shutdown_timeout(Duration::from_millis(50));
    ended
}

async fn bridge(target: Target) -> Result<(), Stop> {
    crate::terminal::start_log(target.log.clone(), target.log_format);
    let signals = Signals::listen()
        .map_err(|error| Stop::failure(format!("error: signals cannot be listened for: {error}.")))?;
    let (out, mut writing) = Out::open(tokio::io::stdout());
    let host = Arc::new(Host::new(target, out.clone()));
    let (lines, waiting) = mpsc::channel(MOST_LINES);
    let mut reading = tokio::spawn(read(tokio::io::stdin(), lines));
    // The input may end while a line of it still waits for the server.
    let input_ended = async {
        let read = (&mut reading).await.unwrap_or(Ok(()));
        tokio::time::sleep(GRACE).await;
        read
    };
    let ended = tokio::select! {
        served = serve(&host, waiting) => served,
        read = input_ended => read,
        () = signals.stop() => Ok(()),
        // The host is gone, or reads no more.
        _ = &mut writing => Ok(()),
    };
    if tokio::time::timeout(CLOSING, host.close()).await.is_err() {
        tracing::debug!("the server did not let the session be ended in time");
    }
    out.end();
    if !writing.is_finished() {
        // What was sent is written, unless the host does not read.
        let _ = tokio::time::timeout(FAREWELL, writing).await;
    }
    ended
}

/// Takes every line in, then waits for the calls that run.
async fn serve(host: &Arc<Host>, mut lines: mpsc::Receiver<Result<Bytes, LineTooLong>>) -> Result<(), Stop> {
    while let Some(line) = lines.recv().await {
        host.take(line).await?;
    }
    host.done().await;
    Ok(())
}

async fn read(
    mut input: impl AsyncRead + Unpin,
    to: mpsc::Sender<Result<Bytes, LineTooLong>>,
) -> Result<(), Stop> {
    let mut lines = LineDecoder::new(MAX_LINE);
    let mut chunk = vec![0; 64 * 1024];
    loop {
        while let Some(line) = lines.next_line() {
            if to.send(line).await.is_err() {
                return Ok(());
            }
        }
        let count = input
            .read(&mut chunk)
            .await
            .map_err(|error| Stop::failure(format!("error: standard input cannot be read: {error}.")))?;
        if count == 0 {
            if let Some(last) = lines.finish() {
                let _nobody = to.send(last).await;
            }
            return Ok(());
        }
        lines.push(&chunk[..count]);
    }
}

/// As long as an event that the client reads.
const MAX_LINE: usize = 16 * 1024 * 1024;
/// Lines that wait to be taken in; who writes more waits.
const MOST_LINES: usize = 16;
/// How long calls may run on when the input has ended: as long as those of a server over standard input and output. With what
/// follows it is less than the two seconds after which some hosts kill the program.
const GRACE: Duration = Duration::from_secs(1);
/// How long the server may take to end the session.
const CLOSING: Duration = Duration::from_millis(500);
/// How long the last lines may take to be written.
const FAREWELL: Duration = Duration::from_millis(250);
