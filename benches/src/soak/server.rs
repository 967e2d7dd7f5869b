//! The server under load: a process that is started, looked at and ended.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::Result;

pub(super) struct Server {
    child: Child,
    address: SocketAddr,
    log: Option<JoinHandle<String>>,
}

impl Server {
    /// Starts the binary and waits for its address. Sessions that are left end after a short while, so that their number
    /// levels off within a run.
    pub(super) fn start(binary: &Path, data: Option<&Path>) -> Result<Self> {
        let mut command = Command::new(binary);
        command.args(["serve", "--listen", "127.0.0.1:0", "--idle-timeout", LEFT, "--log", "warn"]);
        command.args(["--shutdown-grace", "2s"]);
        if let Some(folder) = data {
            command.arg("--data").arg(folder);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            command.spawn().map_err(|error| format!("could not start {}: {error}", binary.display()))?;
        let (Some(out), Some(mut errors)) = (child.stdout.take(), child.stderr.take()) else {
            return Err("the server's output is not piped".into());
        };
        let log = thread::spawn(move || {
            let mut text = Vec::new();
            let _ = errors.by_ref().take(MOST_LOG).read_to_end(&mut text);
            // Whatever else it says is read, so that it never waits for a full pipe.
            let _ = std::io::copy(&mut errors, &mut std::io::sink());
            String::from_utf8_lossy(&text).into_owned()
        });
        let (tell, said) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let address = line.split_once("http://").and_then(|(_, rest)| rest.split_once("/mcp"));
                // Nobody listens after the first.
                let _ =
                    address.and_then(|(address, _)| address.parse().ok()).map(|address| tell.send(address));
            }
        });
        let mut server = Self { child, address: SocketAddr::from(([0, 0, 0, 0], 0)), log: Some(log) };
        server.address = match said.recv_timeout(START) {
            Ok(address) => address,
            Err(_) => return Err(format!("the server did not start: {}", server.end()).into()),
        };
        Ok(server)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it; what it logged.
    pub(super) fn stop(mut self) -> Result<String> {
        if let Some(status) = self.child.try_wait()? {
            return Err(format!("the server ended by itself ({status}): {}", self.end()).into());
        }
        Ok(self.end())
    }

    fn end(&mut self) -> String {
        // It may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.log.take().and_then(|log| log.join().ok()).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// Short against a run, long against what a client does between two requests.
const LEFT: &str = "20s";

/// It listens within milliseconds; with much to restore it takes longer.
const START: Duration = Duration::from_secs(60);

/// Bytes of the log that are kept: it should be empty.
const MOST_LOG: u64 = 64 * 1024;
