//! SIGINT and SIGTERM: the first stops the server in good order, the second at once.

use std::io;

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that stop a server, listened for from now on.
pub(super) struct Signals {
    #[cfg(unix)]
    interrupt: Signal,
    #[cfg(unix)]
    terminate: Signal,
    #[cfg(windows)]
    interrupt: tokio::signal::windows::CtrlC,
}

impl Signals {
    #[cfg(unix)]
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    #[cfg(windows)]
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: tokio::signal::windows::ctrl_c()? })
    }

    /// Ends with the first signal. A second one ends the process.
    pub(super) async fn stop(mut self) {
        self.next().await;
        tracing::info!("stopping: running calls may finish; a second signal stops at once");
        tokio::spawn(async move {
            let code = self.next().await;
            std::process::exit(code);
        });
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
