//! With real processes. Where a test waits for a step of the ladder, that step waits for nothing; where a step must not be
//! reached, the one before waits (nearly) for ever.
#![cfg(unix)]

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, getpgid, kill_process, test_kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::sync::mpsc;

use super::{Child, Exit, Exited, Input, Output, Patience, ServerCommand};
use crate::lock::Lock;

/// Longer than any test takes.
const NEVER: Duration = Duration::from_secs(120);

/// Goes on after the end of its input, and needs nothing to do so.
const GO_ON: &str = "exec tail -f /dev/null";

/// Starts the same in the background, and tells its id as soon as it obeys TERM: until it runs a program of its own, it does
/// with signals what the shell does.
const GRANDCHILD: &str = "sh -c 'echo $$; exec tail -f /dev/null' &";

fn sh(script: &str) -> ServerCommand {
    ServerCommand::new("sh").args(["-c", script]).with_patience(patience(NEVER, NEVER))
}

fn patience(input: Duration, term: Duration) -> Patience {
    // What was killed is gone in a moment; the limit only keeps a broken test from hanging.
    Patience { input, term, kill: Duration::from_secs(30) }
}

fn at_once() -> Patience {
    patience(Duration::ZERO, Duration::ZERO)
}

fn spawn(command: &ServerCommand) -> (Input, Lines<BufReader<Output>>, Child) {
    let (input, output, child) = command.spawn().unwrap();
    (input, BufReader::new(output).lines(), child)
}

async fn next_line(lines: &mut Lines<BufReader<Output>>) -> String {
    lines.next_line().await.unwrap().expect("the output goes on")
}

async fn next_pid(lines: &mut Lines<BufReader<Output>>) -> u32 {
    next_line(lines).await.parse().unwrap()
}

async fn over(mut over: tokio::sync::watch::Receiver<bool>) {
    over.wait_for(|over| *over).await.unwrap();
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(id.try_into().unwrap()).unwrap()
}

/// Whether the process runs. One that ended and that its parent has not taken note of runs no more.
fn is_running(id: u32) -> bool {
    if cfg!(target_os = "linux") {
        return stat(id).is_some_and(|(runs, _)| runs);
    }
    rustix::process::test_kill_process(pid(id)).is_ok()
}

/// Whether a process runs, and its group: proc_pid_stat(5).
fn stat(id: u32) -> Option<(bool, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    Some((!matches!(fields[0], "Z" | "X"), fields[2].parse().unwrap()))
}

/// Waits for the end of a process that is not our child, of which nobody tells us.
async fn not_running(id: u32) {
    while is_running(id) {
        tokio::task::yield_now().await;
    }
}

/// Whether nobody runs in a group.
fn no_group(id: u32) -> bool {
    if test_kill_process_group(pid(id)).is_err() {
        return true;
    }
    // Somebody is, or is only not taken note of.
    cfg!(target_os = "linux")
        && !std::fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
            .any(|member| stat(member) == Some((true, id)))
}

/// The environment that `command`, which runs `env`, has.
async fn environment(command: ServerCommand) -> BTreeSet<String> {
    let (_input, mut output, _child) = command.spawn().unwrap();
    let mut text = String::new();
    output.read_to_string(&mut text).await.unwrap();
    text.lines().map(str::to_owned).collect()
}

fn names(environment: &BTreeSet<String>) -> BTreeSet<&str> {
    environment.iter().map(|line| line.split_once('=').unwrap().0).collect()
}

#[tokio::test]
async fn the_environment_is_what_a_program_needs_and_what_is_named() {
    // cargo sets these for a test.
    let (secret, named) = ("CARGO_MANIFEST_DIR", "CARGO_PKG_NAME");
    assert!(std::env::var_os(secret).is_some() && std::env::var_os(named).is_some());

    let clean = environment(ServerCommand::new("env")).await;
    let default = ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "LANG", "TMPDIR"];
    for name in names(&clean) {
        assert!(default.contains(&name) || name.starts_with("LC_"), "{name} is passed on");
    }
    assert!(names(&clean).contains("PATH"));

    let command = ServerCommand::new("env").inherit_env(named).inherit_env("NOT_SET").env("KEY", "a value");
    let more = environment(command).await;
    let new: Vec<_> = more.difference(&clean).map(String::as_str).collect();
    assert_eq!(new, ["CARGO_PKG_NAME=throughline", "KEY=a value"]);

    let all = environment(ServerCommand::new("env").env("KEY", "a value").inherit_all_env()).await;
    assert!(names(&all).contains(secret) && all.contains("KEY=a value"));
}

#[test]
fn functions_of_a_shell_are_not_passed_on() {
    let all = [("LC_ALL", "C"), ("SHELL", "() { :; }"), ("TOKEN", "secret")];
    let kept: Vec<_> =
        super::command::default_environment(all.into_iter().map(|(name, value)| (name.into(), value.into())))
            .collect();
    assert_eq!(kept, [("LC_ALL".into(), "C".into())]);
}

#[test]
fn debug_output_has_no_values() {
    let command = ServerCommand::from(["npx", "--token", "secret"])
        .env("KEY", "secret")
        .inherit_env("TOKEN")
        .current_dir("/srv");
    assert_eq!(
        format!("{command:?}"),
        r#"ServerCommand { program: "npx", args: 2, env: ["KEY", "TOKEN"], inherit_all_env: false, current_dir: Some("/srv"), .. }"#
    );
}

#[tokio::test]
async fn a_program_that_cannot_be_started_gives_one_sentence() {
    let directory = std::env::temp_dir().join(format!("throughline-{}-start", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let script = directory.join("script");
    let told = |command: ServerCommand| {
        command.spawn().unwrap_err().to_string().replace(directory.to_str().unwrap(), "/dir")
    };

    assert_eq!(
        told("no-such-program-of-ours".into()),
        "the server `no-such-program-of-ours` cannot be started: no such program is in PATH; install it, or give its full path"
    );
    assert_eq!(
        told(ServerCommand::new("sh").env("PATH", "/nowhere")),
        "the server `sh` cannot be started: no such program is in PATH; install it, or give its full path"
    );
    assert_eq!(
        told(script.clone().into()),
        "the server `/dir/script` cannot be started: there is no such file"
    );
    std::fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    assert_eq!(
        told(script.clone().into()),
        "the server `/dir/script` cannot be started: this user may not run it"
    );
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(
        told(script.clone().into()),
        "the server `/dir/script` cannot be started: the program in its first line (`#!`) was not found"
    );
    assert_eq!(
        told(ServerCommand::new("sh").current_dir(directory.join("none"))),
        "the server `sh` cannot be started in `/dir/none`: there is no such directory"
    );
    assert_eq!(told(Vec::<String>::new().into()), "the command of the server is empty: name a program");
    assert_eq!(
        told(ServerCommand::new("sh").arg("\0")),
        "the server `sh` cannot be started: its arguments and environment may not contain zero bytes"
    );
    std::fs::remove_dir_all(&directory).unwrap();
}

#[tokio::test]
async fn it_runs_where_it_is_told_and_is_found_by_path() {
    let (_input, mut lines, child) = spawn(&ServerCommand::from("pwd").current_dir("/"));
    assert_eq!(next_line(&mut lines).await, "/");
    assert_eq!(child.exited().wait().await.code(), Some(0));
}

#[tokio::test]
async fn it_is_in_a_group_of_its_own() {
    let (_input, _lines, child) = spawn(&sh("exec cat"));
    let group = getpgid(Some(pid(child.id()))).unwrap();
    assert_eq!(group, pid(child.id()));
    assert_ne!(group, getpgid(None).unwrap());
}

#[tokio::test]
async fn a_server_that_reads_the_end_of_its_input_ends_by_itself() {
    let (mut input, mut lines, child) = spawn(&sh("cat; echo bye; exit 5"));
    input.write_all(b"{}\n").await.unwrap();
    assert_eq!(next_line(&mut lines).await, "{}");
    assert!(child.exited().now().is_none());

    let exit = child.close().await;
    assert_eq!((exit.code(), exit.signal(), exit.was_closed()), (Some(5), None, true));
    assert_eq!(exit.to_string(), "the server `sh` was closed");
    assert!(no_group(child.id()));
    assert_eq!(next_line(&mut lines).await, "bye", "what it wrote last can be read");
    assert_eq!(lines.next_line().await.unwrap(), None);
    assert_eq!(input.write_all(b"{}\n").await.unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn dropping_the_input_ends_it_too() {
    let (input, _lines, child) = spawn(&sh("exec cat"));
    drop(input);
    let exit = child.exited().wait().await;
    assert_eq!((exit.code(), exit.was_closed()), (Some(0), false));

    let (mut input, _lines, child) = spawn(&sh("exec cat"));
    input.shutdown().await.unwrap();
    assert_eq!(child.exited().wait().await.code(), Some(0));
}

#[tokio::test]
async fn a_server_that_ignores_the_end_of_its_input_gets_term() {
    let (_input, mut lines, child) = spawn(
        &sh(&format!("trap 'exit 7' TERM; {GRANDCHILD} wait")).with_patience(patience(Duration::ZERO, NEVER)),
    );
    let grandchild = next_pid(&mut lines).await;
    let exit = child.close().await;
    assert_eq!(exit.code(), Some(7));
    assert!(no_group(child.id()) && !is_running(grandchild));
}

#[tokio::test]
async fn a_server_that_ignores_term_is_killed_with_all_it_started() {
    let (_input, mut lines, child) = spawn(
        &sh("trap '' TERM; tail -f /dev/null & echo $!; exec tail -f /dev/null").with_patience(at_once()),
    );
    let grandchild = next_pid(&mut lines).await;
    let exit = child.close().await;
    assert_eq!(exit.signal(), Some(Signal::KILL.as_raw()));
    assert!(no_group(child.id()) && !is_running(grandchild));
}

#[tokio::test]
async fn what_a_server_leaves_behind_is_ended() {
    // One that obeys TERM, and one that does not; both hold the pipes open.
    let script = "tail -f /dev/null & echo $!; (trap '' TERM; echo up >&2; exec tail -f /dev/null) & echo $!; read go; exit 3";
    let (told, mut heard) = mpsc::unbounded_channel();
    let command = sh(script)
        .with_patience(patience(NEVER, Duration::ZERO))
        .on_stderr(move |line| told.send(line.to_owned()).unwrap());
    let (mut input, mut lines, child) = spawn(&command);
    let left = [next_pid(&mut lines).await, next_pid(&mut lines).await];
    assert_eq!(heard.recv().await.unwrap(), "up");
    input.write_all(b"go\n").await.unwrap();

    let exit = child.exited().wait().await;
    assert_eq!(exit.to_string(), "the server `sh` ended with exit code 3; it last wrote: up");
    assert_eq!(lines.next_line().await.unwrap(), None, "the output ends with the process");
    over(child.over.clone()).await;
    assert!(no_group(child.id()) && !left.into_iter().any(is_running));
}

#[tokio::test]
async fn a_crash_is_told_before_what_is_left_has_ended() {
    // What is left ignores TERM, and KILL would come after the test.
    let script = "(trap '' TERM; echo up; exec tail -f /dev/null) & read go; echo last words >&2; echo an answer; exit 1";
    let (mut input, mut lines, child) = spawn(&sh(script));
    assert_eq!(next_line(&mut lines).await, "up");
    input.write_all(b"go\n").await.unwrap();
    let exit = child.exited().wait().await;
    assert_eq!(exit.to_string(), "the server `sh` ended with exit code 1; it last wrote: last words");
    assert_eq!(next_line(&mut lines).await, "an answer");
    assert_eq!(lines.next_line().await.unwrap(), None);
    assert!(!no_group(child.id()));
    kill_process_group(child.id(), Signal::KILL);
    over(child.over.clone()).await;
}

fn kill_process_group(id: u32, signal: Signal) {
    rustix::process::kill_process_group(pid(id), signal).unwrap();
}

#[tokio::test]
async fn what_is_left_in_the_pipe_is_read_into_any_buffer() {
    let (mut input, mut output, child) =
        sh("tail -f /dev/null & read go; printf 12345; exit 1").spawn().unwrap();
    input.write_all(b"go\n").await.unwrap();
    child.exited().wait().await;
    // One that is not initialized, and one with less room than there are bytes.
    let mut uninitialized = bytes::BytesMut::with_capacity(2);
    output.read_buf(&mut uninitialized).await.unwrap();
    let mut rest = Vec::new();
    output.read_to_end(&mut rest).await.unwrap();
    assert_eq!([&uninitialized[..], &rest].concat(), b"12345");
}

#[tokio::test]
async fn all_who_wait_hear_the_same_reason() {
    let (mut input, _lines, child) = spawn(&sh("read go; kill -SEGV $$"));
    let waiting: Vec<_> = (0..10)
        .map(|_| {
            let exited: Exited = child.exited();
            tokio::spawn(async move { exited.wait().await })
        })
        .collect();
    input.write_all(b"go\n").await.unwrap();
    for waiting in waiting {
        let exit: Exit = waiting.await.unwrap();
        assert_eq!(exit.signal(), Some(Signal::SEGV.as_raw()));
        assert_eq!(exit.to_string(), "the server `sh` was ended by signal 11 (SIGSEGV)");
    }
    assert!(child.exited().now().is_some());
    assert!(!child.close().await.was_closed(), "it had ended before");
}

#[tokio::test]
async fn a_server_that_ends_at_once_is_told_with_its_last_lines() {
    let script =
        "i=1; while [ $i -le 30 ]; do echo line $i >&2; i=$((i+1)); done; printf 'no end' >&2; exit 127";
    let (_input, _lines, child) = spawn(&sh(script));
    let exit = child.exited().wait().await;
    let mut expected = String::from("the server `sh` ended with exit code 127; it last wrote:");
    (12..=30).for_each(|line| expected += &format!("\n  line {line}"));
    assert_eq!(exit.to_string(), expected + "\n  no end");
    assert_eq!(exit.last_lines().len(), 20);
}

#[tokio::test]
async fn a_server_that_closes_its_output_and_goes_on_is_ended() {
    let (_input, mut lines, child) = spawn(
        &sh("echo why >&2; exec >/dev/null; exec tail -f /dev/null")
            .with_patience(patience(Duration::ZERO, NEVER)),
    );
    assert_eq!(lines.next_line().await.unwrap(), None);
    let exit = child.exited().wait().await;
    assert_eq!(exit.to_string(), "the server `sh` closed its output, and was ended; it last wrote: why");
    assert!(!exit.was_closed());
    over(child.over.clone()).await;
    assert!(no_group(child.id()));
}

#[tokio::test]
async fn a_server_that_closes_its_output_as_it_ends_has_ended_by_itself() {
    let (_input, mut lines, child) = spawn(&sh("exec >/dev/null; cat; exit 4"));
    assert_eq!(lines.next_line().await.unwrap(), None);
    assert_eq!(child.exited().wait().await.to_string(), "the server `sh` ended with exit code 4");
}

#[tokio::test]
async fn writing_to_stderr_without_end_holds_nobody_up() {
    let (told, mut heard) = mpsc::channel(1);
    let command = sh("yes noise >&2 & exec cat").on_stderr(move |line| {
        assert_eq!(line, "noise");
        let _full = told.try_send(());
    });
    let (mut input, mut lines, child) = spawn(&command);
    for _ in 0..20 {
        heard.recv().await.unwrap();
        input.write_all(b"{}\n").await.unwrap();
        assert_eq!(next_line(&mut lines).await, "{}");
    }
    let exit = child.close().await;
    assert_eq!(exit.code(), Some(0));
    assert_eq!(exit.last_lines(), vec!["noise"; 20]);
    assert!(no_group(child.id()));
}

#[tokio::test]
async fn a_crash_is_told_although_stderr_goes_on_without_end() {
    let script = "(trap '' TERM; echo up; exec yes noise >&2) & read go; exit 1";
    let (mut input, mut lines, child) = spawn(&sh(script).on_stderr(|_| {}));
    assert_eq!(next_line(&mut lines).await, "up");
    input.write_all(b"go\n").await.unwrap();
    assert_eq!(child.exited().wait().await.code(), Some(1));
    // Nobody reads it any more, which ends it.
    over(child.over.clone()).await;
    assert!(no_group(child.id()));
}

/// Writes down the events of standard error: level, target and fields.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<String>>>);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Recorder {
    fn on_event(&self, event: &tracing::Event<'_>, _context: tracing_subscriber::layer::Context<'_, S>) {
        struct Fields(String);
        impl tracing::field::Visit for Fields {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0 += &format!(" {field}={value:?}");
            }
        }
        let metadata = event.metadata();
        if metadata.target() == "throughline::server_stderr" {
            let mut fields = Fields(metadata.level().to_string());
            event.record(&mut fields);
            self.0.locked().push(fields.0);
        }
    }
}

#[tokio::test]
async fn lines_of_stderr_go_to_the_log() {
    use tracing_subscriber::layer::SubscriberExt;
    let recorder = Recorder::default();
    let _guard =
        tracing::subscriber::set_default(tracing_subscriber::Registry::default().with(recorder.clone()));
    let (_input, _lines, child) =
        spawn(&sh("printf '\\033[31mred\\033[0m\\n' >&2; echo \"$KEY\" >&2").env("KEY", "own words"));
    child.exited().wait().await;
    assert_eq!(*recorder.0.locked(), ["INFO message=red program=sh", "INFO message=own words program=sh"]);
}

#[tokio::test]
async fn a_callback_that_panics_is_called_no_more() {
    let calls = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&calls);
    let command = sh("echo one >&2; echo two >&2; exit 1").on_stderr(move |_| {
        *counted.locked() += 1;
        panic!("a bug of the callback");
    });
    let (_input, _lines, child) = spawn(&command);
    assert_eq!(child.exited().wait().await.last_lines(), ["one", "two"]);
    assert_eq!(*calls.locked(), 1);
}

#[tokio::test]
async fn who_waits_to_write_is_told_of_the_end() {
    let (mut input, mut lines, child) =
        spawn(&sh(&format!("echo up; {GO_ON}")).with_patience(patience(Duration::ZERO, NEVER)));
    assert_eq!(next_line(&mut lines).await, "up");
    let (full, filled) = tokio::sync::oneshot::channel();
    let writing = tokio::spawn(async move {
        let chunk = [b' '; 4096];
        let mut full = Some(full);
        // As `write_all`, and tells when it has to wait.
        loop {
            let wrote = {
                let mut write = std::pin::pin!(input.write(&chunk));
                std::future::poll_fn(|cx| {
                    let polled = write.as_mut().poll(cx);
                    if polled.is_pending()
                        && let Some(full) = full.take()
                    {
                        full.send(()).unwrap();
                    }
                    polled
                })
                .await
            };
            if let Err(error) = wrote {
                return error;
            }
        }
    });
    filled.await.unwrap();
    child.close().await;
    assert_eq!(writing.await.unwrap().kind(), std::io::ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn dropping_the_handle_walks_the_ladder_in_the_background() {
    let (_input, mut lines, child) = spawn(
        &sh("trap '' TERM; tail -f /dev/null & echo $!; exec tail -f /dev/null").with_patience(at_once()),
    );
    let (id, exited, ladder) = (child.id(), child.exited(), child.over.clone());
    let grandchild = next_pid(&mut lines).await;
    drop(child);
    assert_eq!(exited.wait().await.signal(), Some(Signal::KILL.as_raw()));
    over(ladder).await;
    assert!(no_group(id) && !is_running(grandchild));
}

#[tokio::test]
async fn dropping_a_close_midway_does_not_stop_it() {
    let (_input, mut lines, child) = spawn(
        &sh(&format!("trap 'echo term; exit 0' TERM; {GRANDCHILD} wait"))
            .with_patience(patience(Duration::ZERO, NEVER)),
    );
    let grandchild = next_pid(&mut lines).await;
    let (id, ladder) = (child.id(), child.over.clone());
    {
        let mut close = Box::pin(child.close());
        let polled =
            std::future::poll_fn(|cx| std::task::Poll::Ready(close.as_mut().poll(cx).is_ready())).await;
        assert!(!polled);
    }
    drop(child);
    over(ladder).await;
    assert!(no_group(id) && !is_running(grandchild));
    assert_eq!(next_line(&mut lines).await, "term");
}

#[tokio::test]
async fn a_panic_of_the_holder_ends_it() {
    let (ids, mut told) = mpsc::channel(1);
    let holder = tokio::spawn(async move {
        let (_input, mut lines, child) = spawn(
            &sh("trap '' TERM; tail -f /dev/null & echo $!; exec tail -f /dev/null").with_patience(at_once()),
        );
        let grandchild = next_pid(&mut lines).await;
        ids.send((child.id(), grandchild, child.over.clone())).await.unwrap();
        panic!("a bug of the holder");
    });
    let (id, grandchild, ladder) = told.recv().await.unwrap();
    assert!(holder.await.unwrap_err().is_panic());
    over(ladder).await;
    assert!(no_group(id) && !is_running(grandchild));
}

#[test]
fn a_runtime_that_ends_kills_it_at_once() {
    for threads in [0, 2] {
        let mut builder = match threads {
            0 => tokio::runtime::Builder::new_current_thread(),
            _ => tokio::runtime::Builder::new_multi_thread(),
        };
        let runtime = builder.enable_all().build().unwrap();
        let (child, grandchild) = runtime.block_on(async {
            let (_input, mut lines, child) =
                spawn(&sh("trap '' TERM; tail -f /dev/null & echo $!; exec tail -f /dev/null"));
            let grandchild = next_pid(&mut lines).await;
            (child, grandchild)
        });
        let (id, exited) = (child.id(), child.exited());
        drop(runtime);
        drop(child);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(not_running(id));
        runtime.block_on(not_running(grandchild));
        assert!(runtime.block_on(exited.wait()).was_closed(), "whoever waits is told something");
    }
}

#[tokio::test]
async fn a_command_can_be_started_again() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&lines);
    let command = sh("echo $$ >&2").on_stderr(move |line| told.locked().push(line.to_owned()));
    let mut ids = Vec::new();
    for _ in 0..2 {
        let (_input, _lines, child) = spawn(&command);
        child.exited().wait().await;
        ids.push(child.id().to_string());
    }
    assert_eq!(*lines.locked(), ids);
}

/// What is done in another process: see `our_own_end`.
#[tokio::test]
#[ignore = "run by `our_own_end`"]
async fn holder() {
    let script = "tail -f /dev/null & echo $$ $!; cat; echo 'end of input' >&2; exec tail -f /dev/null";
    let (told, mut heard) = mpsc::unbounded_channel();
    let command = sh(script)
        .with_patience(patience(NEVER, NEVER))
        .on_stderr(move |line| told.send(line.to_owned()).unwrap());
    let (_input, mut lines, child) = spawn(&command);
    let mut interrupt = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt()).unwrap();
    println!("\nholds {}", next_line(&mut lines).await);
    interrupt.recv().await;
    let ladder = child.over.clone();
    drop(child);
    // It is on the ladder although nobody waits for it.
    assert_eq!(heard.recv().await.unwrap(), "end of input");
    println!("\nended {}", *ladder.borrow());
}

#[tokio::test]
async fn our_own_end() {
    // A signal that we handle as the documentation of `ServerCommand` says; then the runtime ends, and kills.
    // A kill that we cannot handle: the server reads the end of its input, and its group outlives us when it ignores that.
    for signal in [Signal::INT, Signal::KILL] {
        let mut holder = tokio::process::Command::new(std::env::current_exe().unwrap())
            .args(["client::process::tests::holder", "--exact", "--ignored", "--nocapture"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
        let holds = loop {
            let line = lines.next_line().await.unwrap().expect("the holder says what it holds");
            if let Some(ids) = line.strip_prefix("holds ") {
                break ids.split(' ').map(|id| id.parse::<u32>().unwrap()).collect::<Vec<_>>();
            }
        };
        kill_process(pid(holder.id().unwrap()), signal).unwrap();
        let status = holder.wait().await.unwrap();
        if signal == Signal::INT {
            assert!(status.success());
        } else {
            kill_process_group(holds[0], Signal::TERM);
        }
        for id in holds {
            not_running(id).await;
        }
    }
}

mod lines {
    use super::super::stderr::{LONGEST_LINE, Lines, MOST_BYTES, Tail, plain};

    fn cut(chunks: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut told) = (Lines::default(), Vec::new());
        let mut each = |line: &str| told.push(line.to_owned());
        for chunk in chunks {
            lines.feed(chunk, &mut each);
        }
        lines.end(&mut each);
        told
    }

    #[test]
    fn lines_are_found_wherever_they_are_cut() {
        let text = "one\r\n\ntwo \u{e9}\nthree";
        for size in 1..=text.len() {
            let chunks: Vec<_> = text.as_bytes().chunks(size).collect();
            assert_eq!(cut(&chunks), ["one", "", "two \u{e9}", "three"], "in chunks of {size}");
        }
        assert_eq!(cut(&[b"a \xff b\n"]), ["a \u{fffd} b"]);
        assert_eq!(cut(&[b""]), Vec::<String>::new());
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let long = vec![b'x'; LONGEST_LINE];
        assert_eq!(cut(&[&long, b"\nnext\n"]), [String::from_utf8(long.clone()).unwrap(), "next".into()]);
        let told = cut(&[&long, b"y", b"zzz\nnext\n"]);
        assert_eq!(told, ["x".repeat(LONGEST_LINE) + " .. (cut)", "next".into()]);
        // A character of two bytes at the limit goes whole.
        let told = cut(&[&long[1..], "\u{e9}\n".as_bytes()]);
        assert_eq!(told, ["x".repeat(LONGEST_LINE - 1) + " .. (cut)"]);
    }

    #[test]
    fn a_terminal_obeys_nothing_of_a_line() {
        assert_eq!(plain("\u{1b}[1;31merror\u{1b}[0m: no\ttoken"), "error: no token");
        assert_eq!(plain("\u{1b}]0;title\u{7}\u{9b}2J\u{1b}["), " ]0;title  2J");
        assert_eq!(plain("as it is \u{e9}"), "as it is \u{e9}");
    }

    #[test]
    fn the_last_lines_are_bounded() {
        let tail = Tail::default();
        for line in 0..100 {
            tail.push(&format!("{line} {}", "x".repeat(1_000)));
        }
        assert_eq!(tail.lines().len(), 8);
        assert!(tail.lines()[7].starts_with("99 "));
        tail.push(&"\u{e9}".repeat(MOST_BYTES));
        let [line] = &tail.lines()[..] else { panic!("only the last fits") };
        assert!(line.ends_with("\u{e9} .. (cut)") && line.len() <= MOST_BYTES);
    }
}
