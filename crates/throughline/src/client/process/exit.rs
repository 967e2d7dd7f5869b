//! How a process ended.

use std::fmt;
use std::io;
use std::process::ExitStatus;
use std::sync::Arc;

/// How the process of a server ended, and what it wrote last: the reason for every call that waited for it. Its text is for
/// the user. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Exit(Arc<Ended>);

#[derive(Debug)]
struct Ended {
    program: Arc<str>,
    how: How,
    cause: Cause,
    last_lines: Vec<String>,
}

/// What the system says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Code(i32),
    Signal(i32),
    /// Nobody could tell: it hangs in the kernel, or something else of this process waited for it.
    Unknown,
}

/// Why it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// By itself, or by somebody else's signal.
    Itself,
    /// It closed its output and went on, so it was ended.
    ClosedOutput,
    /// This side closed it.
    Closed,
}

impl Exit {
    pub(super) fn new(program: &Arc<str>, how: How, cause: Cause, last_lines: Vec<String>) -> Self {
        Self(Arc::new(Ended { program: Arc::clone(program), how, cause, last_lines }))
    }

    /// The runtime ended before the process did.
    pub(super) fn untold(program: &Arc<str>) -> Self {
        Self::new(program, How::Unknown, Cause::Closed, Vec::new())
    }
}

/// What its text says, in parts.
#[cfg(test)]
impl Exit {
    /// The exit code, if it ended with one.
    pub(super) fn code(&self) -> Option<i32> {
        if let How::Code(code) = self.0.how { Some(code) } else { None }
    }

    /// The number of the signal that ended it, if one did.
    pub(super) fn signal(&self) -> Option<i32> {
        if let How::Signal(signal) = self.0.how { Some(signal) } else { None }
    }

    /// Whether it ended because this side closed it.
    pub(super) fn was_closed(&self) -> bool {
        self.0.cause == Cause::Closed
    }

    /// The last lines that it wrote to standard error, at most 20 and 8 KiB, without control characters.
    pub(super) fn last_lines(&self) -> &[String] {
        &self.0.last_lines
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ended { program, how, cause, last_lines } = &*self.0;
        write!(f, "the server `{program}` ")?;
        match (cause, how) {
            // What it wrote has nothing to do with its end.
            (Cause::Closed, _) => return f.write_str("was closed"),
            (Cause::ClosedOutput, _) => f.write_str("closed its output, and was ended")?,
            (Cause::Itself, How::Code(code)) => write!(f, "ended with exit code {code}")?,
            (Cause::Itself, How::Signal(signal)) => {
                write!(f, "was ended by signal {signal}")?;
                if let Some(name) = signal_name(*signal) {
                    write!(f, " ({name})")?;
                }
            }
            (Cause::Itself, How::Unknown) => f.write_str("ended")?,
        }
        match &last_lines[..] {
            [] => Ok(()),
            [line] => write!(f, "; it last wrote: {line}"),
            lines => {
                f.write_str("; it last wrote:")?;
                lines.iter().try_for_each(|line| write!(f, "\n  {line}"))
            }
        }
    }
}

impl std::error::Error for Exit {}

impl How {
    /// Waits for the end of `process`. Dropping the future loses nothing.
    pub(super) async fn of(process: &mut tokio::process::Child) -> Self {
        Self::from_status(process.wait().await)
    }

    fn from_status(status: io::Result<ExitStatus>) -> Self {
        let Ok(status) = status else { return Self::Unknown };
        #[cfg(unix)]
        if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
            return Self::Signal(signal);
        }
        status.code().map_or(Self::Unknown, Self::Code)
    }
}

#[cfg(unix)]
fn signal_name(signal: i32) -> Option<&'static str> {
    use rustix::process::Signal;
    // Those that end programs in practice.
    let named = [
        (Signal::HUP, "SIGHUP"),
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::ILL, "SIGILL"),
        (Signal::TRAP, "SIGTRAP"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::KILL, "SIGKILL"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::ALARM, "SIGALRM"),
        (Signal::TERM, "SIGTERM"),
        (Signal::XCPU, "SIGXCPU"),
        (Signal::SYS, "SIGSYS"),
    ];
    named.iter().find(|(known, _)| known.as_raw() == signal).map(|(_, name)| *name)
}

#[cfg(not(unix))]
fn signal_name(_signal: i32) -> Option<&'static str> {
    None
}
