//! `throughline serve --stdio`: standard output is the client's, so nothing is printed.

use throughline::Stdio;

use super::signals;
use crate::flags::Serve;
use crate::{Stop, demo, terminal};

/// Serves the demo until the input ends, the client is gone or a signal comes.
pub(super) async fn run(settings: Serve) -> Result<(), Stop> {
    let signals = signals()?;
    terminal::start_log(settings.log, settings.log_format);
    let demo = demo::server();
    tokio::spawn(demo::announce_metrics(demo.clone()));
    tracing::info!("serving the demo over standard input and output");
    Stdio::new(demo)
        .grace(settings.shutdown_grace)
        .shutdown_on(signals.stop())
        .await
        .map_err(|error| Stop::failure(format!("error: serving failed: {error}.")))?;
    tracing::info!("stopped");
    Ok(())
}
