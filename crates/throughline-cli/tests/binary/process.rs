//! The binary, started.

use std::net::SocketAddr;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use super::within;

/// The binary with these arguments, and nothing in the environment that it listens to.
pub(super) fn binary(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_throughline"));
    command.args(arguments);
    from_outside(command)
}

/// The same, with files of no more than so many blocks of 512 bytes: what is beyond is an error, as on a full disk.
#[cfg(unix)]
pub(super) fn binary_without_room(blocks: u32, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    let script = format!(r#"trap "" XFSZ; ulimit -f {blocks}; exec "$0" "$@""#);
    command.args(["-c", &script, env!("CARGO_BIN_EXE_throughline")]).args(arguments);
    from_outside(command)
}

fn from_outside(mut command: Command) -> Command {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("THROUGHLINE_") {
            command.env_remove(name);
        }
    }
    // No test opens a browser, nor reads or writes the logins of whoever runs it.
    for name in ["BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME", "WSL_INTEROP"] {
        command.env_remove(name);
    }
    let nowhere = std::env::temp_dir().join("throughline-tests-keep-no-logins");
    command.env("XDG_DATA_HOME", &nowhere).env("HOME", &nowhere).env("LOCALAPPDATA", &nowhere);
    command
}

/// What the binary wrote and how it ended: exit code, standard output, standard error.
pub(super) async fn run(mut command: Command) -> (i32, String, String) {
    let output = within("the end of the program", command.output()).await.expect("it starts");
    let text = |bytes| String::from_utf8(bytes).expect("it writes UTF-8");
    (output.status.code().expect("an exit code"), text(output.stdout), text(output.stderr))
}

/// A server that runs. It is killed when dropped.
pub(super) struct Served {
    child: Child,
    pub(super) address: SocketAddr,
    /// What it printed at the start.
    pub(super) greeting: String,
    log: Lines<BufReader<ChildStderr>>,
    /// The lines of the log that were read.
    logged: String,
}

/// Starts `throughline serve` on a port of its own.
pub(super) async fn serve(arguments: &[&str]) -> Served {
    let line: Vec<&str> = ["serve", "--listen", "127.0.0.1:0"].iter().chain(arguments).copied().collect();
    start(binary(&line)).await
}

/// Waits until a server is ready.
pub(super) async fn start(mut command: Command) -> Served {
    let mut child = command.spawn().expect("it starts");
    let mut stdout = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let log = BufReader::new(child.stderr.take().expect("it is piped")).lines();
    let mut greeting = String::new();
    while !greeting.contains("Stop with Ctrl-C.\n") {
        let line = within("the greeting", stdout.next_line()).await.expect("it writes UTF-8");
        greeting += &line.expect("it greets before it stops");
        greeting.push('\n');
    }
    let (_, health) = greeting.split_once("Health: ").expect("the greeting has an address");
    let (_, rest) = health.split_once("://").expect("it is a URL");
    let (address, _) = rest.split_once('/').expect("the address has a path");
    let address = address.parse().expect("it is an address");
    Served { child, address, greeting, log, logged: String::new() }
}

impl Served {
    /// Waits for a line of the log.
    pub(super) async fn logs(&mut self, part: &str) -> String {
        loop {
            let line = within(part, self.log.next_line()).await.expect("it writes UTF-8");
            let line = line.unwrap_or_else(|| panic!("the log ended without `{part}`"));
            self.logged += &line;
            self.logged.push('\n');
            if line.contains(part) {
                return line;
            }
        }
    }

    /// The number of the process.
    #[cfg(target_os = "linux")]
    pub(super) fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Ends it at once: what it logged.
    pub(super) async fn killed(mut self) -> String {
        within("the end of the server", self.child.kill()).await.expect("it is ours");
        let mut rest = String::new();
        within("the end of the log", self.log.into_inner().read_to_string(&mut rest))
            .await
            .expect("it writes UTF-8");
        self.logged + &rest
    }

    /// Sends it the signal to end.
    #[cfg(unix)]
    pub(super) fn terminate(&self) {
        self.signal(rustix::process::Signal::TERM);
    }

    /// Sends it a signal.
    #[cfg(unix)]
    pub(super) fn signal(&self, signal: rustix::process::Signal) {
        let id = self.child.id().expect("it runs").cast_signed();
        let id = rustix::process::Pid::from_raw(id).expect("no process has the id 0");
        rustix::process::kill_process(id, signal).expect("it is ours");
    }

    /// Kills it as `kill -9` does, and waits until it is gone.
    pub(super) async fn kill(mut self) {
        within("the end of the server", self.child.kill()).await.expect("it is ours");
    }

    /// Waits for its end: the exit code and the whole log.
    pub(super) async fn ended(mut self) -> (i32, String) {
        let status = within("the end of the server", self.child.wait()).await.expect("it is ours");
        let mut rest = String::new();
        within("the end of the log", self.log.into_inner().read_to_string(&mut rest))
            .await
            .expect("it writes UTF-8");
        (status.code().expect("it was not killed"), self.logged + &rest)
    }
}
