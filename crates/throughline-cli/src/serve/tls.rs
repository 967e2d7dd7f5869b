//! `--tls-cert`: the certificate, and when it is read again.

use std::time::Duration;

use throughline::ServerTls;

use crate::Stop;
use crate::flags::TlsFiles;

/// Reads the files.
pub(super) fn open(files: &TlsFiles) -> Result<ServerTls, Stop> {
    ServerTls::from_pem_files(&files.certificate, &files.key)
        .map_err(|error| Stop::usage(format!("error: --tls-cert, --tls-key: {error}.")))
}

/// Reads them again now and then, and when it is told to. It never ends.
pub(super) async fn renew(tls: ServerTls, mut hangup: Hangup) {
    // What was complained of is not said once more each minute.
    let mut complaint = String::new();
    loop {
        let told = tokio::select! {
            () = hangup.next() => true,
            () = tokio::time::sleep(EACH) => false,
        };
        let files = tls.clone();
        let Ok(read) = tokio::task::spawn_blocking(move || files.reload()).await else { return };
        match read {
            Ok(true) => tracing::info!("the certificate was renewed: new connections are shown it"),
            Ok(false) if told => tracing::info!("the certificate was read again and is the same"),
            Ok(false) => {}
            Err(error) => {
                let error = error.to_string();
                if told || error != complaint {
                    tracing::warn!("the certificate stays as it was: {error}");
                }
                complaint = error;
                continue;
            }
        }
        complaint.clear();
    }
}

/// SIGHUP, listened for from now on.
pub(super) struct Hangup {
    #[cfg(unix)]
    signal: tokio::signal::unix::Signal,
}

impl Hangup {
    pub(super) fn listen() -> Result<Self, Stop> {
        Ok(Self {
            #[cfg(unix)]
            signal: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())
                .map_err(|error| Stop::failure(format!("error: signals cannot be listened for: {error}.")))?,
        })
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        if self.signal.recv().await.is_some() {
            return;
        }
        std::future::pending::<()>().await;
    }
}

/// A renewed certificate overlaps the old one by days. Two small files cost nothing.
const EACH: Duration = Duration::from_secs(60);
