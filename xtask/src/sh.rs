//! Commands: how a task starts them, waits for them, and never leaves one behind.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// An error is a sentence for the person who ran the task.
pub(crate) type Result<T> = std::result::Result<T, String>;

/// The root of the checkout that this task was built from.
pub(crate) fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let here = here.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    here.parent().expect("the xtask folder lies in the checkout").to_owned()
}

/// The cargo that runs this task, in the checkout's root.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// Runs a command whose output the user sees; anything but success is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    match Group::start(command, |_| {})?.wait(Duration::MAX)? {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(format!("`{}` failed ({status})", line(command))),
        None => Err(format!("`{}` did not end", line(command))),
    }
}

/// Runs a command to its end and returns its standard output; anything but success is an error that shows
/// what the command wrote on its standard error.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().map_err(|e| not_started(command, &e))?;
    if output.status.success() {
        return String::from_utf8(output.stdout).map_err(|_| format!("`{}` wrote no UTF-8", line(command)));
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!("`{}` failed ({}): {}", line(command), output.status, errors.trim()))
}

/// The moment, for telling how long something took.
#[expect(clippy::disallowed_methods, reason = "a task measures real time and has no runtime with a clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// How long ago that was.
pub(crate) fn seconds_since(moment: Instant) -> f64 {
    now().duration_since(moment).as_secs_f64()
}

/// An empty file and the folders above it.
pub(crate) fn create(path: &Path) -> Result<File> {
    let made = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| File::create(path));
    made.map_err(|e| format!("{} cannot be written: {e}", path.display()))
}

/// The last lines of a file that a command wrote, to show beside an error.
pub(crate) fn tail(file: &Path, lines: usize) -> String {
    let text = std::fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// A command in a process group of its own: it and all that it started end with this value.
pub(crate) struct Group {
    leader: u32,
    ended: Receiver<ExitStatus>,
    status: Option<ExitStatus>,
}

impl Group {
    /// Starts the command and hands out the child first, for its pipes.
    pub(crate) fn start(command: &mut Command, pipes: impl FnOnce(&mut Child)) -> Result<Group> {
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        // Held while starting, so that a signal finds the group or prevents it.
        let mut groups = groups();
        let mut child = command.stdin(Stdio::null()).spawn().map_err(|e| not_started(command, &e))?;
        let leader = child.id();
        groups.insert(leader);
        drop(groups);
        pipes(&mut child);
        let (tell, ended) = channel();
        std::thread::spawn(move || child.wait().map(|status| tell.send(status)));
        Ok(Group { leader, ended, status: None })
    }

    /// Waits for the command's own end, at most `limit`. `None`: it still runs.
    pub(crate) fn wait(&mut self, limit: Duration) -> Result<Option<ExitStatus>> {
        if self.status.is_none() {
            match self.ended.recv_timeout(limit) {
                Ok(status) => self.status = Some(status),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err("a command was lost: its end is not known".into());
                }
            }
        }
        Ok(self.status)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        kill(self.leader);
        // A killed process ends at once; the limit is for one that the system holds on to.
        let _ = self.wait(Duration::from_secs(5));
        groups().remove(&self.leader);
    }
}

/// From now on an interrupt or a termination signal ends all groups before it ends this task.
pub(crate) fn end_groups_on_signals() -> Result<()> {
    #[cfg(unix)]
    {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
        let signals = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM]);
        let mut signals = signals.map_err(|e| format!("signals cannot be watched: {e}"))?;
        std::thread::spawn(move || {
            if let Some(signal) = signals.forever().next() {
                let groups = groups();
                groups.iter().copied().for_each(kill);
                eprintln!("xtask: stopped by signal {signal}");
                std::process::exit(128 + signal);
            }
        });
    }
    Ok(())
}

/// The leaders of all groups that run.
fn groups() -> MutexGuard<'static, BTreeSet<u32>> {
    static GROUPS: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Kills a process group; that it is gone already is fine.
#[cfg(unix)]
fn kill(leader: u32) {
    use rustix::process::{Pid, Signal, kill_process_group};
    if let Some(pid) = i32::try_from(leader).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

/// Kills a process and its children; that it is gone already is fine.
#[cfg(not(unix))]
fn kill(leader: u32) {
    let _ = Command::new("taskkill").args(["/T", "/F", "/PID", &leader.to_string()]).output();
}

fn not_started(command: &Command, error: &std::io::Error) -> String {
    format!("`{}` could not be started: {error}", command.get_program().to_string_lossy())
}

/// A command as one would type it.
pub(crate) fn line(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Read};

    #[test]
    fn a_group_ends_with_what_it_started() {
        // The shell's own child holds the pipe open: it reads as ended only when that child is dead too.
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 & echo started; wait"]).stdout(Stdio::piped());
        let mut pipe = None;
        let mut group = Group::start(&mut command, |child| pipe = child.stdout.take()).unwrap();
        let mut pipe = BufReader::new(pipe.unwrap());
        let mut first = String::new();
        pipe.read_line(&mut first).unwrap();
        assert_eq!(first, "started\n");
        assert_eq!(group.wait(Duration::ZERO), Ok(None));
        drop(group);
        assert_eq!(pipe.read_to_string(&mut first).unwrap(), 0);
    }

    #[test]
    fn an_exit_code_is_told() {
        let mut group = Group::start(Command::new("sh").args(["-c", "exit 7"]), |_| {}).unwrap();
        let status = group.wait(Duration::from_secs(60)).unwrap().unwrap();
        assert_eq!(status.code(), Some(7));
    }

    #[test]
    fn a_failure_shows_the_command_and_its_errors() {
        let error = capture(Command::new("/bin/sh").args(["-c", "echo no luck >&2; exit 3"])).unwrap_err();
        assert!(error.starts_with("`sh -c ") && error.contains("no luck"), "{error}");
        assert!(run(&mut Command::new("/nowhere/tool")).unwrap_err().contains("could not be started"));
    }
}
