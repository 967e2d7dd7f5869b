//! SIGINT and SIGTERM: the first stops the program in good order, the second at once.

use std::io;

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that stop the program, listened for from now on.
pub(crate) struct Signals {
    #[cfg(unix)]
    interrupt: Signal,
    #[cfg(unix)]
    terminate: Signal,
    #[cfg(windows)]
    interrupt: tokio::signal::windows::CtrlC,
}

impl Signals {
    #[cfg(unix)]
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    #[cfg(windows)]
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: tokio::signal::windows::ctrl_c()? })
    }

    /// Ends with the first signal. A second one ends the process.
    pub(crate) async fn stop(self) {
        self.first().await;
        tracing::info!("stopping: running calls may finish; a second signal stops at once");
    }

    /// Ends with the first signal: the exit code of a process that it ended. A second one ends the process.
    pub(crate) async fn first(mut self) -> i32 {
        let first = self.next().await;
        tokio::spawn(async move {
            let code = self.next().await;
            std::process::exit(code);
        });
        first
    }

    /// The next signal, as the exit code that a process has which it ends.
    #[cfg(unix)]
    async fn next(&mut self) -> i32 {
        let kind = tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
        };
        // The convention of shells.
        128 + kind.as_raw_value()
    }

    #[cfg(windows)]
    async fn next(&mut self) -> i32 {
        self.interrupt.recv().await;
        // STATUS_CONTROL_C_EXIT.
        0xC000_013A_u32.cast_signed()
    }
}
