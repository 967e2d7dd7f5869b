//! Public clients of others against the demo of our binary: what they find must be what they expect.

use crate::node::Node;
use crate::python;
use crate::server::{self, Server};
use crate::sh::{self, Group, Result};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::sync::mpsc::channel;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The clients, with how many checks each makes over HTTP and over stdio.
const CLIENTS: [Client; 4] = [
    Client { name: "typescript-1", program: Program::Node("js/v1.mjs"), checks: [33, 29] },
    Client { name: "typescript-2", program: Program::Node("js/v2.mjs"), checks: [33, 29] },
    Client { name: "python", program: Program::Python("python/client.py"), checks: [32, 28] },
    Client { name: "inspector", program: Program::Node("js/inspector.mjs"), checks: [13, 12] },
];

/// How the clients reach the demo when the command line does not say.
const TRANSPORTS: &[Transport] = &[Transport::Http, Transport::Stdio];

/// Runs at a time: as many as the smallest machine of continuous integration has processors.
const JOBS: usize = 2;

/// A run takes some 15 s, and several times that on a busy machine; a check ends by itself after 60 s. This is for a
/// client that hangs.
const RUN_LIMIT: Duration = Duration::from_secs(300);

/// A client of others.
#[derive(Debug)]
struct Client {
    name: &'static str,
    program: Program,
    /// Over HTTP and over stdio. With fewer, some were left out, and the run fails.
    checks: [usize; 2],
}

/// A program below `conformance/clients/`.
#[derive(Debug)]
enum Program {
    Node(&'static str),
    Python(&'static str),
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
        let known = [Transport::Http, Transport::Stdio];
        let found = known.into_iter().find(|transport| transport.name() == name);
        found.ok_or_else(|| format!("there is no transport `{name}`; there are http and stdio"))
    }
}

/// What the command line chose.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Options {
    /// The client of this name alone.
    pub(crate) only: Option<String>,
    /// This transport alone.
    pub(crate) transport: Option<Transport>,
}

/// Runs the clients. The server, and whatever a client started, ends with its part of the run.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    let transports = options.transport.as_ref().map_or(TRANSPORTS, std::slice::from_ref);
    let clients = choose(options.only.as_deref())?;
    let of_python = |client: &&Client| matches!(client.program, Program::Python(_));
    let place = Place {
        node: Node::ready(root)?.with_clients(root)?,
        python: clients.iter().any(of_python).then(|| python::ready(root)).transpose()?,
        demo: server::build(root, "throughline-cli", "throughline")?,
        folder: root.join("conformance/clients"),
        out: root.join("target/xtask/clients"),
    };
    let mut server = Server::start(
        Command::new(&place.demo).args(["serve", "--listen", "127.0.0.1:0"]),
        &place.out.join("throughline.log"),
        "throughline VERSION serves its demo at http://127.0.0.1:PORT/mcp",
        parse_address,
    )?;

    let runs =
        transports.iter().flat_map(|&transport| clients.iter().map(move |&client| (client, transport)));
    let queue = Mutex::new(runs.collect::<VecDeque<_>>());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let total = Mutex::new((0, Vec::new()));
    std::thread::scope(|scope| {
        let work = || -> Result<()> {
            while let Some((client, transport)) = next() {
                let outcome = place.run(client, transport, &server.url)?;
                let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                total.0 += outcome.passed;
                total.1.extend(outcome.failures);
            }
            Ok(())
        };
        let workers: Vec<_> = (0..JOBS).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a client's thread panicked")?)
    })?;
    server.check_running()?;
    let (passed, failures) = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("what each client wrote is in {}", place.out.display());
    println!("\nclients: {passed} checks passed, {} failed\n", failures.len());
    match failures.as_slice() {
        [] => Ok(()),
        failures => Err(format!("clients of others failed:\n  {}", failures.join("\n  "))),
    }
}

/// The client that `--only` names; without it all.
fn choose(only: Option<&str>) -> Result<Vec<&'static Client>> {
    let chosen: Vec<_> =
        CLIENTS.iter().filter(|client| only.is_none_or(|name| name == client.name)).collect();
    if chosen.is_empty() {
        let names = CLIENTS.map(|client| client.name).join(", ");
        return Err(format!("there is no client `{}`; there are: {names}", only.unwrap_or_default()));
    }
    Ok(chosen)
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

/// How a run ended.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    passed: usize,
    /// A sentence for each check that failed, and for a run that ended otherwise than its checks.
    failures: Vec<String>,
}

impl Place {
    /// Runs one client over one transport and prints its checks as they end.
    fn run(&self, client: &Client, transport: Transport, url: &str) -> Result<Outcome> {
        let started = sh::now();
        let name = format!("{} {}", client.name, transport.name());
        let log = self.out.join(transport.name()).join(format!("{}.log", client.name));
        let mut command = self.command(client);
        command.arg(transport.name());
        match transport {
            Transport::Http => command.arg(url),
            Transport::Stdio => command.arg(&self.demo).args(["serve", "--stdio"]),
        };
        command.stdout(Stdio::piped()).stderr(sh::create(&log)?);
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
            println!("  {name}: {line}");
            outcome.take(&name, &line);
        }
        let left = RUN_LIMIT.saturating_sub(sh::now().duration_since(started));
        let exit = group.wait(left)?.map(|status| status.code());
        drop(group);
        outcome.end(&name, client.checks[transport as usize], exit);
        if !outcome.failures.is_empty() {
            println!("{name} wrote, in {}:\n{}", log.display(), sh::tail(&log, 60));
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
    /// Takes a line of a client: `ok NAME` or `FAIL NAME: why`. Others are only shown.
    fn take(&mut self, name: &str, line: &str) {
        if line.starts_with("ok ") {
            self.passed += 1;
        } else if let Some(failure) = line.strip_prefix("FAIL ") {
            self.failures.push(format!("{name}: {failure}"));
        }
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
        lines.iter().for_each(|line| outcome.take("x", line));
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
        assert_eq!(choose(None).unwrap().len(), CLIENTS.len());
        assert_eq!(choose(Some("python")).unwrap().len(), 1);
        assert!(choose(Some("pyth")).unwrap_err().contains("inspector"));
    }
}
