//! How the process of a server is started.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use throughline_proto::jsonrpc::excerpt;

use super::group::Group;
use super::stderr::{Listener, plain};
use super::{GRACE, Patience};

/// The command that starts a server which speaks over standard input and output
/// ([stdio](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#stdio)).
///
/// ```
/// use std::time::Duration;
/// use throughline::ServerCommand;
///
/// let command = ServerCommand::new("npx")
///     .args(["-y", "@modelcontextprotocol/server-everything"])
///     .env("LOG_LEVEL", "debug")   // a value for the server
///     .inherit_env("GITHUB_TOKEN") // a value that this program has
///     .grace(Duration::from_secs(5));
/// // The values of the environment are nobody's business.
/// assert!(!format!("{command:?}").contains("debug"));
///
/// // A program without arguments, and a program with some.
/// let _command: ServerCommand = "my-server".into();
/// let _command: ServerCommand = ["uvx", "mcp-server-fetch"].into();
/// ```
///
/// A name without a slash is looked for in the `PATH` that the server gets, as a shell does. Nothing is passed through a
/// shell. On Windows name the file: `npx.cmd`.
///
/// # Environment
///
/// The server gets what a program needs to start, and what is named; a token that is in the environment of this program is
/// not the business of every server. What it needs is `PATH`, `HOME`, `USER`, `LOGNAME`, `SHELL` and `TERM`, which the
/// official SDKs pass on too (they took the list from `sudo`), so that servers run alike; `LANG` and `LC_*`, without which
/// text that is not ASCII breaks; and `TMPDIR`, as on macOS and many clusters `/tmp` is not where files may go. On Windows:
/// `APPDATA`, `COMSPEC`, `HOMEDRIVE`, `HOMEPATH`, `LOCALAPPDATA`, `PATH`, `PATHEXT`, `PROCESSOR_ARCHITECTURE`,
/// `PROGRAMFILES`, `SYSTEMDRIVE`, `SYSTEMROOT`, `TEMP`, `TMP`, `USERNAME` and `USERPROFILE`.
///
/// # Standard error
///
/// Each line goes to the log, at `info` with the target `throughline::server_stderr`, or to [`on_stderr`](Self::on_stderr).
/// A line of over 16 KiB is cut. The last 20 lines (8 KiB) are part of the error of calls that fail as the server ended.
///
/// # The end
///
/// Closing the client ends the input of the server, which should end it
/// ([shutdown](https://modelcontextprotocol.io/specification/2025-11-25/basic/lifecycle#stdio)). After a
/// [grace](Self::grace) it gets `SIGTERM`, after another `SIGKILL`, and so do the processes that it started; on Windows
/// it is terminated after the first. Processes that it leaves behind when it ends by itself are ended in the same way,
/// except for those that left its process group (`setsid`).
///
/// The server is in a process group of its own, so Ctrl-C at the terminal reaches your program alone, which then ends the
/// server in order. Do so before the runtime ends:
///
/// ```no_run
/// # use throughline::{Client, ClientError};
/// # async fn work(_client: &Client) -> Result<(), ClientError> { Ok(()) }
/// #[tokio::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let client = Client::stdio("my-server").await?;
///     let worked = tokio::select! {
///         worked = work(&client) => worked,
///         _ = tokio::signal::ctrl_c() => Ok(()), // on Unix also `SignalKind::terminate()`
///     };
///     let closed = client.close().await; // end of input, then SIGTERM, then SIGKILL
///     worked?;
///     closed?;
///     Ok(())
/// }
/// ```
///
/// A client that is dropped is closed in the background as long as the runtime runs; a runtime that ends kills the
/// server at once. Only a program that ends without unwinding (`std::process::exit`, `SIGKILL`) cannot do even that: then
/// the server reads the end of its input and nothing more. A server in a group of its own cannot read from the terminal.
#[derive(Clone)]
pub struct ServerCommand {
    program: OsString,
    args: Vec<OsString>,
    /// `None`: as this process has it.
    env: BTreeMap<OsString, Option<OsString>>,
    inherit_all: bool,
    directory: Option<PathBuf>,
    listener: Option<Listener>,
    patience: Patience,
}

impl ServerCommand {
    /// The command that runs `program`, a name or a path.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: BTreeMap::new(),
            inherit_all: false,
            directory: None,
            listener: None,
            patience: Patience::of(GRACE),
        }
    }

    /// Adds an argument. Others can read it in the process table: a secret belongs in the environment.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of the server's environment. The value is never logged.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.insert(name.into(), Some(value.into()));
        self
    }

    /// Passes a variable of this program's environment on, if it is set when the server starts.
    #[must_use]
    pub fn inherit_env(mut self, name: impl Into<OsString>) -> Self {
        self.env.insert(name.into(), None);
        self
    }

    /// Passes the whole environment of this program on, with its secrets. Default: only what a program needs to start.
    #[must_use]
    pub fn inherit_all_env(mut self) -> Self {
        self.inherit_all = true;
        self
    }

    /// The directory in which the server runs. Default: that of this program. Name the program by its full path then, or
    /// without a slash: where a relative path leads depends on the system.
    #[must_use]
    pub fn current_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Calls `listener` with each line that the server writes to standard error, as it came (without its end, what is not
    /// UTF-8 replaced). Default: lines go to the log.
    ///
    /// It must not block: the server waits meanwhile. When it panics, lines go to the log from then on. A server that is
    /// started again, or a clone of the command, calls the same.
    #[must_use]
    pub fn on_stderr(mut self, listener: impl FnMut(&str) + Send + 'static) -> Self {
        self.listener = Some(Arc::new(Mutex::new(listener)));
        self
    }

    /// How long the server may take to end by itself: after the end of its input, and again after `SIGTERM`. Default: two
    /// seconds, as with the official SDKs.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.patience = Patience::of(grace);
        self
    }

    /// The program as it is told to people.
    pub(super) fn name(&self) -> String {
        excerpt(&plain(&self.program.to_string_lossy())).into_owned()
    }

    pub(super) fn listener(&self) -> Option<Listener> {
        self.listener.clone()
    }

    pub(super) fn patience(&self) -> Patience {
        self.patience
    }

    #[cfg(test)]
    pub(super) fn with_patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// Starts the process as the leader of a group.
    pub(super) fn start(&self) -> Result<(tokio::process::Child, Group), SpawnError> {
        if self.program.is_empty() {
            return Err(SpawnError {
                message: "the command of the server is empty: name a program".into(),
                source: None,
            });
        }
        let mut command = tokio::process::Command::new(&self.program);
        command.args(&self.args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // For where there are no groups; elsewhere the group does it.
        command.kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        if !self.inherit_all {
            command.env_clear().envs(default_environment(std::env::vars_os()));
        }
        for (name, value) in &self.env {
            if let Some(value) = value.clone().or_else(|| std::env::var_os(name)) {
                command.env(name, value);
            }
        }
        let process = command.spawn().map_err(|error| self.explain(error))?;
        let group = Group::of(process.id().expect("nobody waited for the process yet"));
        Ok((process, group))
    }

    fn explain(&self, error: io::Error) -> SpawnError {
        let name = self.name();
        let has_path = Path::new(&self.program).components().count() > 1;
        let message = match (error.kind(), &self.directory) {
            // The system's words for this are those for a program that is not there.
            (_, Some(directory)) if !directory.is_dir() => format!(
                "the server `{name}` cannot be started in `{}`: there is no such directory",
                excerpt(&plain(&directory.to_string_lossy()))
            ),
            (io::ErrorKind::NotFound, None) if has_path && Path::new(&self.program).exists() => format!(
                "the server `{name}` cannot be started: the program in its first line (`#!`) was not found"
            ),
            (io::ErrorKind::NotFound, _) if has_path => {
                format!("the server `{name}` cannot be started: there is no such file")
            }
            (io::ErrorKind::NotFound, _) => format!(
                "the server `{name}` cannot be started: no such program is in PATH; install it, or give its full path"
            ),
            (io::ErrorKind::PermissionDenied, _) => {
                format!("the server `{name}` cannot be started: this user may not run it")
            }
            (io::ErrorKind::InvalidInput, _) => format!(
                "the server `{name}` cannot be started: its arguments and environment may not contain zero bytes"
            ),
            _ => format!("the server `{name}` cannot be started: {error}"),
        };
        SpawnError { message, source: Some(error) }
    }
}

/// What a program needs to start, of `all` variables.
pub(super) fn default_environment(
    all: impl Iterator<Item = (OsString, OsString)>,
) -> impl Iterator<Item = (OsString, OsString)> {
    all.filter(|(name, value)| {
        // A function that a shell exported is code.
        is_default(name) && !value.as_encoded_bytes().starts_with(b"()")
    })
}

#[cfg(not(windows))]
fn is_default(name: &OsStr) -> bool {
    const NAMES: [&str; 8] = ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "LANG", "TMPDIR"];
    NAMES.iter().any(|default| name == *default) || name.as_encoded_bytes().starts_with(b"LC_")
}

// Not tested.
#[cfg(windows)]
fn is_default(name: &OsStr) -> bool {
    const NAMES: [&str; 15] = [
        "APPDATA",
        "COMSPEC",
        "HOMEDRIVE",
        "HOMEPATH",
        "LOCALAPPDATA",
        "PATH",
        "PATHEXT",
        "PROCESSOR_ARCHITECTURE",
        "PROGRAMFILES",
        "SYSTEMDRIVE",
        "SYSTEMROOT",
        "TEMP",
        "TMP",
        "USERNAME",
        "USERPROFILE",
    ];
    NAMES.iter().any(|default| name.eq_ignore_ascii_case(default))
}

impl From<&str> for ServerCommand {
    /// A program without arguments; spaces are part of its name.
    fn from(program: &str) -> Self {
        Self::new(program)
    }
}

impl From<String> for ServerCommand {
    /// A program without arguments; spaces are part of its name.
    fn from(program: String) -> Self {
        Self::new(program)
    }
}

impl From<PathBuf> for ServerCommand {
    /// A program without arguments.
    fn from(program: PathBuf) -> Self {
        Self::new(program)
    }
}

impl<S: Into<OsString>, const N: usize> From<[S; N]> for ServerCommand {
    /// The program first, then its arguments. Without a program the server cannot be started.
    fn from(words: [S; N]) -> Self {
        of_words(words)
    }
}

impl<S: Into<OsString>> From<Vec<S>> for ServerCommand {
    /// The program first, then its arguments. Without a program the server cannot be started.
    fn from(words: Vec<S>) -> Self {
        of_words(words)
    }
}

fn of_words(words: impl IntoIterator<Item: Into<OsString>>) -> ServerCommand {
    let mut words = words.into_iter().map(Into::into);
    ServerCommand::new(words.next().unwrap_or_default()).args(words)
}

impl fmt::Debug for ServerCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Arguments may hold secrets, although they should not.
        f.debug_struct("ServerCommand")
            .field("program", &self.program)
            .field("args", &self.args.len())
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .field("inherit_all_env", &self.inherit_all)
            .field("current_dir", &self.directory)
            .finish_non_exhaustive()
    }
}

/// Why a process could not be started, in one sentence.
#[derive(Debug)]
pub(crate) struct SpawnError {
    message: String,
    source: Option<io::Error>,
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for SpawnError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|error| error as _)
    }
}
