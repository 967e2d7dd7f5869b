//! Children of the lab: started pinned, read with a deadline, always ended.

pub(crate) mod cpu;

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;
use crate::generator::Measured;
use crate::scenario::{Target, Work};

/// Whether the two children are pinned to a core each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pinning(bool);

/// A target that serves. Dropping it ends it.
pub(crate) struct RunningTarget {
    child: Ended,
    pub(crate) address: SocketAddr,
}

/// What one run of the generator does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) work: Work,
    pub(crate) connections: usize,
    pub(crate) requests: usize,
    pub(crate) warm_up: usize,
    /// After this the run fails. Slow under an instrumenting tool, so each caller says.
    pub(crate) give_up: Duration,
}

impl Pinning {
    /// No pinning: for runs that count and do not time.
    pub(crate) const NONE: Self = Self(false);

    /// Pins where `taskset` is installed and both cores may be used.
    pub(crate) fn detect() -> Self {
        let usable = [TARGET_CORE, GENERATOR_CORE].iter().all(|core| {
            let mut probe = Command::new("taskset");
            probe.args(["-c", core, "true"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            probe.status().is_ok_and(|status| status.success())
        });
        Self(usable)
    }

    pub(crate) fn is_pinned(self) -> bool {
        self.0
    }

    fn wrap(self, core: &str) -> Vec<OsString> {
        if self.0 { ["taskset", "-c", core].map(OsString::from).to_vec() } else { Vec::new() }
    }
}

impl RunningTarget {
    /// Starts a target and waits for its address.
    ///
    /// `under` is a tool and its options to run the target under. Every tool in use here replaces itself
    /// with the target or shares its fate, so ending the child ends both.
    ///
    /// # Errors
    ///
    /// When it cannot be started or says no address.
    pub(crate) fn start(target: Target, work: Work, pinning: Pinning, under: &[OsString]) -> Result<Self> {
        let mut words = pinning.wrap(TARGET_CORE);
        words.extend_from_slice(under);
        let own = ["target", target.name(), "--work", work.name(), "--listen", "127.0.0.1:0"];
        let mut child = Ended::spawn(words, &own)?;

        let out = child.0.stdout.take().ok_or("a target's output is not piped")?;
        let (send, address) = mpsc::channel();
        // Ends with the target: its output is closed then.
        thread::spawn(move || {
            let mut line = String::new();
            // The lab is gone when nobody receives.
            let _ = send.send(BufReader::new(out.take(128)).read_line(&mut line).map(|_| line));
        });
        let address = match address.recv_timeout(START) {
            Ok(line) => line?.trim().parse().map_err(|_| format!("the target {target} did not start"))?,
            Err(_) => return Err(format!("the target {target} said no address within {START:?}").into()),
        };
        Ok(Self { child, address })
    }

    /// The process id, the target's own unless it runs under strace.
    pub(crate) fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// Lets the target end by itself, so that a tool it runs under can write its report.
    ///
    /// # Errors
    ///
    /// When it has already failed, or does not end.
    pub(crate) fn stop(mut self) -> Result<()> {
        drop(self.child.0.stdin.take());
        let status = self.child.wait(STOP).ok_or("a target did not end when it was told to")?;
        if status.success() { Ok(()) } else { Err(format!("a target ended with {status}").into()) }
    }
}

/// Runs the generator against a target and returns what it measured.
///
/// # Errors
///
/// When the generator fails: its error output has said why.
pub(crate) fn generate(target: &RunningTarget, load: Load, pinning: Pinning) -> Result<Measured> {
    let own = [
        "generate".to_owned(),
        format!("--address={}", target.address),
        format!("--work={}", load.work.name()),
        format!("--connections={}", load.connections),
        format!("--requests={}", load.requests),
        format!("--warm-up={}", load.warm_up),
        format!("--server-pid={}", target.pid()),
        format!("--give-up={}", load.give_up.as_secs()),
    ];
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    let mut child = Ended::spawn(pinning.wrap(GENERATOR_CORE), &own)?;
    // The generator gives up by itself; the grace only covers one that hangs.
    let status = child.wait(load.give_up + STOP).ok_or("the generator did not end in time")?;
    if !status.success() {
        return Err(format!("the generator ended with {status}").into());
    }
    let mut line = String::new();
    let out = child.0.stdout.take().ok_or("the generator's output is not piped")?;
    out.take(4_096).read_to_string(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}

/// A child process that is over once this is dropped.
struct Ended(Child);

impl Ended {
    /// Starts this same binary with `own` arguments, behind the words of `under`.
    fn spawn(under: Vec<OsString>, own: &[&str]) -> Result<Self> {
        let mut words = under.into_iter().chain([std::env::current_exe()?.into_os_string()]);
        let program = words.next().ok_or("there is nothing to start")?;
        let child = Command::new(&program)
            .args(words)
            .args(own)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("could not start {}: {error}", program.display()))?;
        Ok(Self(child))
    }

    /// The exit status, or nothing when the child is still running after `patience`.
    fn wait(&mut self, patience: Duration) -> Option<std::process::ExitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            match self.0.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < deadline => thread::sleep(GLANCE),
                Ok(None) | Err(_) => return None,
            }
        }
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        // Told first: a tool between us and the target would be killed alone, and the target live on
        // until it sees the closed pipe.
        drop(self.0.stdin.take());
        if self.wait(STOP_ON_DROP).is_none() {
            // It may have ended in between; then there is nothing left to kill.
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

const TARGET_CORE: &str = "0";
const GENERATOR_CORE: &str = "1";

/// A target binds within milliseconds; under callgrind on a busy machine it takes seconds.
const START: Duration = Duration::from_secs(60);

/// Callgrind writes its report after the target has ended.
const STOP: Duration = Duration::from_secs(30);

/// Closing the pipe ends a healthy child at once.
const STOP_ON_DROP: Duration = Duration::from_secs(2);

/// Rare enough to leave the cores to the children, short against a run.
const GLANCE: Duration = Duration::from_millis(20);
