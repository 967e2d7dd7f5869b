//! `throughline serve --stdio`: standard output is the client's, so nothing is printed.

use throughline::Stdio;

use super::signals;
use crate::flags::Serve;
use crate::{Stop, demo, terminal};

/// Serves the demo until the input ends, the client is gone or a signal comes.
pub(super) async fn run(settings: Serve) -> Result<(), Stop> {
    let signals = signals()?;
    terminal::start_log(settings.log, settings.log_format);
    let demo = demo::server().page_size(settings.page_size);
    tokio::spawn(demo::announce_metrics(demo.clone()));
    tracing::info!("serving the demo over standard input and output");
    let mut stdio = Stdio::new(demo).era(settings.era).grace(settings.shutdown_grace);
    if let Some(keys) = settings.seal {
        stdio = stdio.seal_key(keys);
    }
    stdio
        .shutdown_on(signals.stop())
        .await
        .map_err(|error| Stop::failure(format!("error: serving failed: {error}.")))?;
    tracing::info!("stopped");
    Ok(())
}
