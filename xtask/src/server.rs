//! A server of ours under test: built, started on a free port, and ended with the value that stands for it.

use crate::sh::{self, Group, Result};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

/// A debug build listens in milliseconds, also on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(30);

/// Our server under test, which ends with this value.
pub(crate) struct Server {
    group: Group,
    /// Where it listens.
    pub(crate) url: String,
    name: String,
    log: PathBuf,
}

impl Server {
    /// Starts the server; its command line names a free port. `address` finds the URL in its first line, of which
    /// `wanted` is an example. Its standard error goes to `log`.
    pub(crate) fn start(
        command: &mut Command,
        log: &Path,
        wanted: &str,
        address: fn(&str) -> Option<&str>,
    ) -> Result<Server> {
        let name = Path::new(command.get_program()).file_stem().unwrap_or_default();
        let name = name.to_string_lossy().into_owned();
        command.stdout(Stdio::piped()).stderr(sh::create(log)?);
        let mut stdout = None;
        let mut group = Group::start(command, |child| stdout = child.stdout.take())?;
        let stdout = stdout.expect("the server's standard output is piped");
        let (tell, line) = channel();
        std::thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            let mut first = String::new();
            let _ = stdout.read_line(&mut first);
            let _ = tell.send(first);
            // Whatever else it prints is read, so that it never waits for a full pipe.
            let _ = std::io::copy(&mut stdout, &mut std::io::sink());
        });
        let first = line.recv_timeout(START_LIMIT).unwrap_or_default();
        let Some(url) = address(first.trim_end()) else {
            let ended =
                group.wait(Duration::ZERO)?.map_or("it still runs".to_owned(), |s| format!("it ended: {s}"));
            return Err(format!(
                "{name}'s first line must be `{wanted}` but is {first:?} ({ended})\n{}",
                sh::tail(log, 20)
            ));
        };
        Ok(Server { group, url: url.to_owned(), name, log: log.to_owned() })
    }

    /// A server that ended during the run is a failure, whatever its clients say.
    pub(crate) fn check_running(&mut self) -> Result<()> {
        match self.group.wait(Duration::ZERO)? {
            None => Ok(()),
            Some(status) => Err(format!("{} ended: {status}\n{}", self.name, sh::tail(&self.log, 20))),
        }
    }
}

/// Builds a program of the workspace and asks cargo where it put it.
pub(crate) fn build(root: &Path, package: &str, name: &str) -> Result<PathBuf> {
    let mut build = sh::cargo(root);
    build.args(["build", "--locked", "-p", package, "--bin", name]);
    sh::run(&mut build)?;
    let messages = sh::capture(build.arg("--message-format=json"))?;
    let executable = messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let ours = message["target"]["name"] == name;
        ours.then(|| message["executable"].as_str().map(PathBuf::from))?
    });
    executable.ok_or_else(|| format!("cargo did not say where it put {name}"))
}
