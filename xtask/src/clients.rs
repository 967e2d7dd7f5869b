//! Public clients of others against the demo of our binary: what they find must be what they expect.

use crate::node::Node;
use crate::python;
use crate::server::{self, Server};
use crate::sh::{self, Group, Result};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::sync::mpsc::channel;
use std::thread::ScopedJoinHandle;
use std::time::Duration;

/// The clients, and how many checks each makes in a mode, over HTTP and over stdio. With fewer, some were left out, and
/// the run fails.
const CLIENTS: [Client; 4] = [
    Client { name: "typescript-1", program: Program::Node("js/v1.mjs"), modes: &[(Mode::Legacy, [35, 32])] },
    Client {
        name: "typescript-2",
        program: Program::Node("js/v2.mjs"),
        modes: &[(Mode::Legacy, [35, 32]), (Mode::Auto, [35, 32]), (Mode::Modern, [35, 32])],
    },
    Client {
        name: "python",
        program: Program::Python("python/client.py"),
        modes: &[(Mode::Legacy, [33, 30]), (Mode::Auto, [33, 30]), (Mode::Modern, [33, 30])],
    },
    Client {
        name: "inspector",
        program: Program::Node("js/inspector.mjs"),
        modes: &[(Mode::Legacy, [14, 13]), (Mode::Auto, [13, 12]), (Mode::Modern, [13, 12])],
    },
];

/// How the clients reach the demo when the command line does not say. Over HTTP they all do at the same moment.
const TRANSPORTS: &[Transport] = &[Transport::Http, Transport::Stdio];

/// The demo has two pages of tools then.
const DEMO: [&str; 3] = ["serve", "--page-size", "4"];

/// A run takes some 20 s, and several times that on a busy machine; a check ends by itself after 60 s. This is for a
/// client that hangs.
const RUN_LIMIT: Duration = Duration::from_secs(300);

/// A client of others.
#[derive(Debug)]
struct Client {
    name: &'static str,
    program: Program,
    modes: &'static [(Mode, [usize; 2])],
}

impl Client {
    /// How many checks it makes in one of its modes.
    fn checks(&self, mode: Mode, transport: Transport) -> usize {
        let of_mode = self.modes.iter().find(|(known, _)| *known == mode);
        of_mode.map_or(0, |(_, checks)| checks[transport as usize])
    }
}

/// A program below `conformance/clients/`.
#[derive(Debug)]
enum Program {
    Node(&'static str),
    Python(&'static str),
}

/// How a client negotiates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mode {
    /// With `initialize`, and nothing before it.
    Legacy,
    /// It looks for the newest revision, and would do with an older one.
    Auto,
    /// It insists on the newest revision.
    Modern,
}

impl Mode {
    const ALL: [Mode; 3] = [Mode::Legacy, Mode::Auto, Mode::Modern];

    const fn name(self) -> &'static str {
        match self {
            Mode::Legacy => "legacy",
            Mode::Auto => "auto",
            Mode::Modern => "modern",
        }
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(name: &str) -> Result<Mode> {
        let found = Mode::ALL.into_iter().find(|mode| mode.name() == name);
        found.ok_or_else(|| format!("there is no mode `{name}`; there are legacy, auto and modern"))
    }
}

/// How a client reaches the demo.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Transport {
    /// One server for all clients, over Streamable HTTP.
    Http,
    /// A server of its own for each connection.
    Stdio,
}

impl Transport {
    const fn name(self) -> &'static str {
        match self {
            Transport::Http => "http",
            Transport::Stdio => "stdio",
        }
    }
}

impl FromStr for Transport {
    type Err = String;

    fn from_str(name: &str) -> Result<Transport> {
        let found = TRANSPORTS.iter().copied().find(|transport| transport.name() == name);
        found.ok_or_else(|| format!("there is no transport `{name}`; there are http and stdio"))
    }
}

/// What the command line chose.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Options {
    /// The client of this name alone.
    pub(crate) only: Option<String>,
    /// This mode alone.
    pub(crate) mode: Option<Mode>,
    /// This transport alone.
    pub(crate) transport: Option<Transport>,
}

/// Runs the clients. The server, and whatever a client started, ends with its part of the run.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    let transports = options.transport.as_ref().map_or(TRANSPORTS, std::slice::from_ref);
    let clients = choose(options)?;
    let of_python = |(client, _): &(&Client, Mode)| matches!(client.program, Program::Python(_));
    let place = Place {
        node: Node::ready(root)?.with_clients(root)?,
        python: clients.iter().any(of_python).then(|| python::ready(root)).transpose()?,
        demo: server::build(root, "throughline-cli", "throughline")?,
        folder: root.join("conformance/clients"),
        out: root.join("target/xtask/clients"),
    };
    let mut server = Server::start(
        Command::new(&place.demo).args(DEMO).args(["--listen", "127.0.0.1:0"]),
        &place.out.join("throughline.log"),
        "throughline VERSION serves its demo at http://127.0.0.1:PORT/mcp",
        parse_address,
    )?;

    let mut total = Outcome::default();
    for &transport in transports {
        let outcomes = std::thread::scope(|scope| {
            let run = |&(client, mode): &(&'static Client, Mode)| {
                let (place, url) = (&place, &server.url);
                scope.spawn(move || place.run(client, mode, transport, url))
            };
            // All of them run before the first is waited for.
            let runs: Vec<_> = clients.iter().map(run).collect();
            let wait = |run: ScopedJoinHandle<'_, _>| run.join().map_err(|_| "a client's thread panicked")?;
            runs.into_iter().map(wait).collect::<Result<Vec<Outcome>>>()
        })?;
        for outcome in outcomes {
            total.passed += outcome.passed;
            total.failures.extend(outcome.failures);
        }
    }
    server.check_running()?;
    let Outcome { passed, failures } = total;
    println!("what each client wrote is in {}", place.out.display());
    println!("\nclients: {passed} checks passed, {} failed\n", failures.len());
    match failures.as_slice() {
        [] => Ok(()),
        failures => Err(format!("clients of others failed:\n  {}", failures.join("\n  "))),
    }
}

/// The clients and modes that the command line names; without it all.
fn choose(options: &Options) -> Result<Vec<(&'static Client, Mode)>> {
    let named = |client: &&Client| options.only.as_ref().is_none_or(|name| name == client.name);
    if !CLIENTS.iter().any(|client| named(&client)) {
        let names = CLIENTS.map(|client| client.name).join(", ");
        let name = options.only.as_deref().unwrap_or_default();
        return Err(format!("there is no client `{name}`; there are: {names}"));
    }
    let modes = |client: &'static Client| client.modes.iter().map(move |&(mode, _)| (client, mode));
    let all = CLIENTS.iter().filter(named).flat_map(modes);
    let chosen: Vec<_> = all.filter(|(_, mode)| options.mode.is_none_or(|only| only == *mode)).collect();
    if chosen.is_empty() { Err("this client has no such mode".into()) } else { Ok(chosen) }
}

/// The address in the demo's first line.
fn parse_address(line: &str) -> Option<&str> {
    let (_, url) = line.split_once(" serves its demo at ")?;
    url.starts_with("http://").then_some(url)
}

/// What all runs share.
struct Place {
    node: Node,
    /// `None`: nothing that runs needs it.
    python: Option<PathBuf>,
    demo: PathBuf,
    /// `conformance/clients/`
    folder: PathBuf,
    /// What the clients wrote.
    out: PathBuf,
}

/// A line of a client.
#[derive(Debug, PartialEq)]
enum Line {
    Passed,
    Failed,
    Other,
}

/// How a run ended.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    passed: usize,
    /// A sentence for each check that failed, and for a run that ended otherwise than its checks.
    failures: Vec<String>,
}

impl Place {
    /// Runs one client over one transport. Its checks go to its log; those that failed are printed as they end.
    fn run(&self, client: &Client, mode: Mode, transport: Transport, url: &str) -> Result<Outcome> {
        let started = sh::now();
        let name = format!("{} {} {}", client.name, mode.name(), transport.name());
        let path = self.out.join(transport.name()).join(format!("{}-{}.log", client.name, mode.name()));
        let mut log = sh::create(&path)?;
        let copy = log.try_clone().map_err(|e| format!("{} cannot be written: {e}", path.display()))?;
        let mut command = self.command(client);
        command.args([mode.name(), transport.name()]);
        match transport {
            Transport::Http => command.arg(url),
            Transport::Stdio => command.arg(&self.demo).args(DEMO).arg("--stdio"),
        };
        command.stdout(Stdio::piped()).stderr(copy);
        let (tell, lines) = channel();
        let mut group = Group::start(&mut command, |child| {
            let stdout = child.stdout.take().expect("the client's standard output is piped");
            std::thread::spawn(move || {
                let lines = BufReader::new(stdout).lines().map_while(std::io::Result::ok);
                // Ends when nobody listens any more.
                let _ = lines.map(|line| tell.send(line)).find(std::result::Result::is_err);
            });
        })?;
        let mut outcome = Outcome::default();
        while let Some(left) = RUN_LIMIT.checked_sub(sh::now().duration_since(started)) {
            let Ok(line) = lines.recv_timeout(left) else { break };
            writeln!(log, "{line}").map_err(|e| format!("{} cannot be written: {e}", path.display()))?;
            if outcome.take(&name, &line) != Line::Passed {
                println!("  {name}: {line}");
            }
        }
        let left = RUN_LIMIT.saturating_sub(sh::now().duration_since(started));
        let exit = group.wait(left)?.map(|status| status.code());
        drop(group);
        outcome.end(&name, client.checks(mode, transport), exit);
        if !outcome.failures.is_empty() {
            println!("{name} wrote, in {}:\n{}", path.display(), sh::tail(&path, 60));
        }
        println!("  {name}: {} checks passed in {:.1} s", outcome.passed, sh::seconds_since(started));
        Ok(outcome)
    }

    /// The client's program, without arguments.
    fn command(&self, client: &Client) -> Command {
        let mut command = match client.program {
            Program::Node(file) => {
                let mut command = self.node.command();
                command.arg(file);
                command
            }
            Program::Python(file) => {
                let mut command =
                    Command::new(self.python.as_ref().expect("it is made when a client needs it"));
                command.arg("-B").arg(file);
                command
            }
        };
        // What a client keeps of its own, such as the Inspector's list of servers, stays out of the user's home.
        command.current_dir(&self.folder).env("HOME", self.out.join("home"));
        command
    }
}

impl Outcome {
    /// Takes a line of a client: `ok NAME` or `FAIL NAME: why`.
    fn take(&mut self, name: &str, line: &str) -> Line {
        if line.starts_with("ok ") {
            self.passed += 1;
            return Line::Passed;
        }
        let Some(failure) = line.strip_prefix("FAIL ") else { return Line::Other };
        self.failures.push(format!("{name}: {failure}"));
        Line::Failed
    }

    /// Judges the end of a run that was to make `checks`. `exit`: `None` when it had to be ended, else its exit code,
    /// which a signal leaves without.
    fn end(&mut self, name: &str, checks: usize, exit: Option<Option<i32>>) {
        let made = self.passed + self.failures.len();
        let told = !self.failures.is_empty();
        if made != checks {
            self.failures.push(format!("{name}: it made {made} checks, not {checks}"));
        }
        match exit {
            Some(Some(0)) if !told => {}
            Some(Some(1)) if told => {}
            Some(code) => {
                let code = code.map_or("a signal".to_owned(), |code| format!("the exit code {code}"));
                self.failures.push(format!("{name}: it ended with {code}"));
            }
            None => {
                self.failures.push(format!("{name}: it had not ended after {} s", RUN_LIMIT.as_secs()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(lines: &[&str], checks: usize, exit: Option<Option<i32>>) -> Outcome {
        let mut outcome = Outcome::default();
        for line in lines {
            outcome.take("x", line);
        }
        outcome.end("x", checks, exit);
        outcome
    }

    #[test]
    fn a_run_passes_with_all_its_checks_and_a_good_end() {
        assert_eq!(
            outcome(&["ok a", "note", "ok b"], 2, Some(Some(0))),
            Outcome { passed: 2, failures: vec![] }
        );
        assert_eq!(outcome(&["ok a"], 2, Some(Some(0))).failures, ["x: it made 1 checks, not 2"]);
        assert_eq!(outcome(&["ok a"], 1, Some(Some(7))).failures, ["x: it ended with the exit code 7"]);
        assert_eq!(outcome(&["ok a"], 1, Some(None)).failures, ["x: it ended with a signal"]);
        assert_eq!(outcome(&["ok a"], 1, None).failures, ["x: it had not ended after 300 s"]);
    }

    #[test]
    fn a_failed_check_fails_the_run() {
        assert_eq!(outcome(&["ok a", "FAIL b: why"], 2, Some(Some(1))).failures, ["x: b: why"]);
        // A client that says 0 after a failed check cannot be trusted about the others either.
        assert_eq!(outcome(&["FAIL b: why"], 1, Some(Some(0))).failures.len(), 2);
    }

    #[test]
    fn the_address_is_what_the_demo_says_first() {
        let line = "throughline 0.1.0 serves its demo at http://127.0.0.1:80/mcp";
        assert_eq!(parse_address(line), Some("http://127.0.0.1:80/mcp"));
        assert_eq!(parse_address("listening on http://127.0.0.1:80/mcp"), None);
    }

    #[test]
    fn only_names_one_client() {
        let count = |only: Option<&str>, mode| {
            choose(&Options { only: only.map(str::to_owned), mode, transport: None })
                .map(|chosen| chosen.len())
        };
        assert_eq!(count(None, None), Ok(10));
        assert_eq!(count(Some("python"), None), Ok(3));
        assert_eq!(count(None, Some(Mode::Modern)), Ok(3));
        assert_eq!(count(Some("python"), Some(Mode::Auto)), Ok(1));
        assert!(count(Some("pyth"), None).unwrap_err().contains("inspector"));
        assert!(count(Some("typescript-1"), Some(Mode::Auto)).is_err());
    }
}
