//! Children of the lab: started pinned, read with a deadline, always ended.

pub(crate) mod files;
pub(crate) mod proc;

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;
use crate::generator::{Endpoint, Measured};
use crate::scenario::Work;
use crate::target::Target;

/// Whether the two children are pinned to a core each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pinning(bool);

/// A target that serves. Dropping it ends it.
pub(crate) struct RunningTarget {
    child: Ended,
    pub(crate) address: Endpoint,
}

/// What one run of the generator does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) work: Work,
    pub(crate) connections: usize,
    pub(crate) amount: Amount,
    /// Requests per second; nothing: the closed loop.
    pub(crate) rate: Option<f64>,
    /// After this the run fails. Slow under an instrumenting tool, so each caller says.
    pub(crate) give_up: Duration,
}

/// How much one run of the generator does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Amount {
    /// As much as this many seconds allow, after a fifth of them to warm up.
    Seconds(f64),
    /// So many answers, after some to warm up.
    Answers { measured: usize, warm_up: usize },
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
    pub(crate) fn start(target: &Target, work: Work, pinning: Pinning, under: &[OsString]) -> Result<Self> {
        let mut words = pinning.wrap(TARGET_CORE);
        words.extend_from_slice(under);
        words.extend(target.command(work, work.is_memory())?);
        let mut child = Ended::spawn(words, Stdio::inherit())?;

        let out = child.0.stdout.take().ok_or("a target's output is not piped")?;
        let (send, said) = mpsc::channel();
        // Ends with the target: its output is closed then.
        thread::spawn(move || {
            let mut line = String::new();
            // The lab is gone when nobody receives.
            let _ = send.send(BufReader::new(out.take(OUTPUT)).read_line(&mut line).map(|_| line));
        });
        let line = match said.recv_timeout(START) {
            Ok(line) => line?,
            Err(_) => return Err(format!("the target {target} said no address within {START:?}").into()),
        };
        let address = match line.trim().strip_prefix("listening ") {
            Some(address) => address.parse()?,
            None => return Err(format!("the target {target} did not start: it said {line:?}").into()),
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

impl Load {
    fn arguments(self, target: &RunningTarget) -> Vec<String> {
        let mut arguments = vec![
            "generate".to_owned(),
            format!("--address={}", target.address),
            format!("--work={}", self.work),
            format!("--connections={}", self.connections),
            format!("--server-pid={}", target.pid()),
            format!("--give-up={}", self.give_up.as_secs()),
        ];
        match self.amount {
            Amount::Seconds(seconds) => arguments.push(format!("--seconds={seconds}")),
            Amount::Answers { measured, warm_up } => {
                arguments.push(format!("--requests={measured}"));
                arguments.push(format!("--warm-up={warm_up}"));
            }
        }
        arguments.extend(self.rate.map(|rate| format!("--rate={rate}")));
        arguments
    }
}

/// Runs the generator against a target and returns what it measured.
///
/// # Errors
///
/// When the generator fails, with what it said.
pub(crate) fn generate(target: &RunningTarget, load: Load, pinning: Pinning) -> Result<Measured> {
    let mut words = pinning.wrap(GENERATOR_CORE);
    words.push(std::env::current_exe()?.into_os_string());
    words.extend(load.arguments(target).into_iter().map(OsString::from));
    let mut child = Ended::spawn(words, Stdio::piped())?;
    // The generator gives up by itself; the grace only covers one that hangs.
    let status = child.wait(load.give_up + STOP).ok_or("the generator did not end in time")?;
    let (mut told, mut line) = (String::new(), String::new());
    let notes = child.0.stderr.take().ok_or("the generator's error output is not piped")?;
    notes.take(OUTPUT).read_to_string(&mut told)?;
    if !status.success() {
        let told = told.trim().trim_start_matches("error: ");
        return Err(if told.is_empty() {
            format!("the generator ended with {status}")
        } else {
            told.to_owned()
        }
        .into());
    }
    std::io::stderr().write_all(told.as_bytes())?;
    let out = child.0.stdout.take().ok_or("the generator's output is not piped")?;
    out.take(OUTPUT).read_to_string(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}

/// A client that is told when to go on, and says a line when it is done with each step. Dropping it ends it.
pub(crate) struct Conversation {
    child: Ended,
    said: mpsc::Receiver<std::io::Result<String>>,
}

impl Conversation {
    /// Starts a program beside a target.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub(crate) fn start(words: Vec<OsString>, pinning: Pinning) -> Result<Self> {
        let mut all = pinning.wrap(GENERATOR_CORE);
        all.extend(words);
        let mut child = Ended::spawn(all, Stdio::inherit())?;
        let out = child.0.stdout.take().ok_or("a client's output is not piped")?;
        let (send, said) = mpsc::channel();
        // Ends with the client: its output is closed then. It says two lines.
        thread::spawn(move || BufReader::new(out.take(OUTPUT)).lines().try_for_each(|line| send.send(line)));
        Ok(Self { child, said })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// The next line that it says.
    ///
    /// # Errors
    ///
    /// When it ends before, or takes too long.
    pub(crate) fn hear(&self) -> Result<String> {
        match self.said.recv_timeout(STEP) {
            Ok(line) => Ok(line?),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err("a client ended before it was done".into()),
            Err(mpsc::RecvTimeoutError::Timeout) => Err(format!("a client was not done in {STEP:?}").into()),
        }
    }

    /// Tells it to go on.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub(crate) fn go_on(&mut self) -> Result<()> {
        Ok(self.child.0.stdin.as_mut().ok_or("a client's input is not piped")?.write_all(b"\n")?)
    }

    /// Lets it end by itself, so that a tool it runs under can write its report.
    ///
    /// # Errors
    ///
    /// When it fails, or does not end.
    pub(crate) fn end(mut self) -> Result<()> {
        drop(self.child.0.stdin.take());
        let status = self.child.wait(STOP).ok_or("a client did not end when it was told to")?;
        if status.success() { Ok(()) } else { Err(format!("a client ended with {status}").into()) }
    }
}

/// A child process that is over once this is dropped.
struct Ended(Child);

impl Ended {
    /// Starts a program: the first word, with the others as its arguments.
    fn spawn(words: Vec<OsString>, error_output: Stdio) -> Result<Self> {
        let (program, arguments) = words.split_first().ok_or("there is nothing to start")?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(error_output)
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

/// Bytes of a generator's output, which it keeps below what a pipe holds unread.
const OUTPUT: u64 = 4_096;

const TARGET_CORE: &str = "0";
const GENERATOR_CORE: &str = "1";

/// A target binds within milliseconds; under callgrind on a busy machine it takes seconds.
const START: Duration = Duration::from_secs(60);

/// A client's million events take seconds, and some other's, or those under callgrind, minutes.
const STEP: Duration = Duration::from_secs(600);

/// Callgrind writes its report after the target has ended.
const STOP: Duration = Duration::from_secs(30);

/// Closing the pipe ends a healthy child at once.
const STOP_ON_DROP: Duration = Duration::from_secs(2);

/// Rare enough to leave the cores to the children, short against a run.
const GLANCE: Duration = Duration::from_millis(20);
