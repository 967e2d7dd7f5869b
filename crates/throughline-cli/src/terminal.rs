//! The terminal: the only place that writes to standard output and standard error.

use std::io::{self, Write};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::flags::LogFormat;

/// Writes to standard output. One that is closed is no reason to stop: whoever started a server may look away.
pub(crate) fn print(text: &str) {
    let _ = write(io::stdout().lock(), text);
}

/// Writes to standard error.
pub(crate) fn complain(text: &str) {
    let _ = write(io::stderr().lock(), text);
}

/// Sends the log to standard error from now on.
pub(crate) fn start_log(filter: EnvFilter, format: LogFormat) {
    let log = fmt().with_env_filter(filter).with_writer(io::stderr);
    match format {
        LogFormat::Human => log.with_target(false).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}

fn write(mut to: impl Write, text: &str) -> io::Result<()> {
    to.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        to.write_all(b"\n")?;
    }
    to.flush()
}
