//! The terminal: the only place that writes to standard output and standard error.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use throughline::ClientError;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::flags::LogFormat;

/// Writes to standard output. One that is closed is no reason to stop: whoever started a server may look away.
pub(crate) fn print(text: &str) {
    let _above = Above::the_status();
    let _ = write(io::stdout().lock(), text);
}

/// Writes what a server sent to standard output. On a terminal nothing of it can be a command to the terminal.
pub(crate) fn print_foreign(text: &str) {
    if io::stdout().is_terminal() { print(&plain(text)) } else { print(text) }
}

/// Writes to standard error.
pub(crate) fn complain(text: &str) {
    let _above = Above::the_status();
    let _ = write(io::stderr().lock(), text);
}

/// Writes what a server, or its program, says to standard error.
pub(crate) fn complain_foreign(text: &str) {
    complain(&plain(text));
}

/// While it lives somebody is asked something, and no status is shown.
pub(crate) struct Asking(());

impl Asking {
    pub(crate) fn begin() -> Self {
        set_status(None);
        ASKING.store(true, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        ASKING.store(false, Ordering::Relaxed);
    }
}

/// Writes a question to standard error; the cursor stays behind it.
pub(crate) fn prompt(_: &Asking, text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(plain(text).as_bytes()).and_then(|()| stderr.flush());
}

/// What is shown in the last line of the terminal until it is replaced; everything else is written above it. Nothing is
/// shown where standard error is no terminal.
pub(crate) fn set_status(line: Option<String>) {
    if !io::stderr().is_terminal() || ASKING.load(Ordering::Relaxed) {
        return;
    }
    let mut status = STATUS.lock().unwrap_or_else(PoisonError::into_inner);
    if *status == line {
        return;
    }
    let clear = if status.is_some() { CLEAR } else { "" };
    let shown = line.as_deref().unwrap_or_default();
    let mut stderr = io::stderr().lock();
    let _ = write!(stderr, "{clear}{shown}").and_then(|()| stderr.flush());
    *status = line;
}

/// Whether somebody sits there who can be asked: standard input and standard error are a terminal.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Whether somebody may see standard error at once: it is a terminal.
pub(crate) fn is_seen() -> bool {
    io::stderr().is_terminal()
}

/// How many columns standard error has.
pub(crate) fn width() -> usize {
    #[cfg(unix)]
    if let Ok(size) = rustix::termios::tcgetwinsize(io::stderr())
        && size.ws_col > 0
    {
        return size.ws_col.into();
    }
    80
}

/// Text of others without what a terminal would take for a command: control characters, and those that change the direction
/// of writing. Line ends and tabs stay.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    let is_odd = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t'))
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(is_odd) {
        return Cow::Borrowed(text);
    }
    // Line ends of two characters are line ends.
    Cow::Owned(text.replace("\r\n", "\n").replace(is_odd, "\u{fffd}"))
}

/// An error and what caused it, as one sentence.
pub(crate) fn sentence(error: &ClientError) -> String {
    let mut sentence = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let text = inner.to_string();
        // Some errors repeat what caused them.
        if is_for_people(inner) && !sentence.contains(&text) {
            // A question ends where it ends.
            let question = sentence.ends_with('?');
            sentence.push_str(if question { " (" } else { ": " });
            sentence.push_str(&text);
            sentence.push_str(if question { ")" } else { "" });
        }
        cause = inner.source();
    }
    sentence
}

/// Whether a cause says more than the sentences of the client before it. The words of HTTP and TLS libraries do not, nor what the
/// system calls that which those sentences name.
fn is_for_people(cause: &(dyn std::error::Error + 'static)) -> bool {
    match cause.downcast_ref::<io::Error>() {
        Some(error) => !matches!(
            error.kind(),
            io::ErrorKind::ConnectionRefused
                | io::ErrorKind::NotFound
                | io::ErrorKind::PermissionDenied
                | io::ErrorKind::InvalidData
                | io::ErrorKind::InvalidInput
                | io::ErrorKind::UnexpectedEof
        ),
        None => cause.is::<ClientError>(),
    }
}

/// Sends the log to standard error from now on.
pub(crate) fn start_log(filter: EnvFilter, format: LogFormat) {
    let log = fmt().with_env_filter(filter).with_writer(|| Lines(Above::the_status()));
    match format {
        LogFormat::Human => log.with_target(false).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}

/// The status is taken away while this lives, and then shown again.
struct Above(MutexGuard<'static, Option<String>>);

impl Above {
    fn the_status() -> Self {
        let status = STATUS.lock().unwrap_or_else(PoisonError::into_inner);
        if status.is_some() {
            let _ = io::stderr().write_all(CLEAR.as_bytes());
        }
        Self(status)
    }
}

impl Drop for Above {
    fn drop(&mut self) {
        if let Some(status) = &*self.0 {
            let mut stderr = io::stderr().lock();
            let _ = stderr.write_all(status.as_bytes()).and_then(|()| stderr.flush());
        }
    }
}

/// Standard error, for the log.
struct Lines(#[allow(dead_code, reason = "it is there to be dropped")] Above);

impl Write for Lines {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        io::stderr().write(text)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn write(mut to: impl Write, text: &str) -> io::Result<()> {
    to.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        to.write_all(b"\n")?;
    }
    to.flush()
}

static ASKING: AtomicBool = AtomicBool::new(false);
static STATUS: Mutex<Option<String>> = Mutex::new(None);
/// To the start of the line, and away with what is there.
const CLEAR: &str = "\r\x1b[K";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_commands_nothing() {
        assert!(matches!(plain("a\tb\nc \u{e9}"), Cow::Borrowed(_)));
        assert_eq!(
            plain("a\r\nb\x1b[2Jc\u{7}\u{202e}d\u{9b}e\rf"),
            "a\nb\u{fffd}[2Jc\u{fffd}\u{fffd}d\u{fffd}e\u{fffd}f"
        );
    }
}
