//! Public clients of others against the demo of our binary: what they find must be what they expect.

use crate::checks::{self, Outcome, Program};
use crate::node::Node;
use crate::python;
use crate::server::{self, Server};
use crate::sh::Result;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::thread::ScopedJoinHandle;

/// The clients, and how many checks each makes in a mode, over HTTP, stdio, HTTP+SSE and the bridge; 0 where it does not go
/// that way.
/// With fewer, some were left out, and the run fails.
const CLIENTS: [Client; 4] = [
    Client {
        name: "typescript-1",
        program: Program::Node("js/v1.mjs"),
        modes: &[(Mode::Legacy, [35, 32, 34, 31])],
    },
    Client {
        name: "typescript-2",
        program: Program::Node("js/v2.mjs"),
        modes: &[
            (Mode::Legacy, [35, 32, 34, 31]),
            (Mode::Auto, [35, 32, 0, 31]),
            (Mode::Modern, [35, 32, 0, 31]),
        ],
    },
    Client {
        name: "python",
        program: Program::Python("python/client.py"),
        modes: &[
            (Mode::Legacy, [33, 30, 33, 29]),
            (Mode::Auto, [33, 30, 0, 29]),
            (Mode::Modern, [33, 30, 0, 29]),
        ],
    },
    Client {
        name: "inspector",
        program: Program::Node("js/inspector.mjs"),
        modes: &[
            (Mode::Legacy, [14, 13, 0, 13]),
            (Mode::Auto, [13, 12, 0, 12]),
            (Mode::Modern, [13, 12, 0, 12]),
        ],
    },
];

/// How the clients reach the demo when the command line does not say. Over one of them they all do at the same moment.
const TRANSPORTS: &[Transport] = &[Transport::Http, Transport::Stdio, Transport::Sse, Transport::Connect];

/// The demo has two pages of tools then.
const DEMO: [&str; 3] = ["serve", "--page-size", "4"];

/// A client of others.
#[derive(Debug)]
struct Client {
    name: &'static str,
    program: Program,
    modes: &'static [(Mode, [usize; 4])],
}

impl Client {
    /// How many checks it makes in one of its modes.
    fn checks(&self, mode: Mode, transport: Transport) -> usize {
        let of_mode = self.modes.iter().find(|(known, _)| *known == mode);
        of_mode.map_or(0, |(_, checks)| checks[transport as usize])
    }
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

    pub(crate) const fn name(self) -> &'static str {
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
    /// That one server, over the older HTTP+SSE.
    Sse,
    /// That one server, behind a `throughline connect` of its own for each connection, which it speaks stdio with.
    Connect,
}

impl Transport {
    const fn name(self) -> &'static str {
        match self {
            Transport::Http => "http",
            Transport::Stdio => "stdio",
            Transport::Sse => "sse",
            Transport::Connect => "connect",
        }
    }
}

impl FromStr for Transport {
    type Err = String;

    fn from_str(name: &str) -> Result<Transport> {
        let found = TRANSPORTS.iter().copied().find(|transport| transport.name() == name);
        found.ok_or_else(|| format!("there is no transport `{name}`; there are http, stdio, sse and connect"))
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

/// Installs and builds what a run of all clients needs.
pub(crate) fn prepare(root: &Path) -> Result<()> {
    Node::ready(root)?.with_clients(root)?;
    python::ready(root)?;
    server::build(root, "throughline-cli", "throughline").map(drop)
}

/// Runs the clients. The server, and whatever a client started, ends with its part of the run.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    let transports = options.transport.as_ref().map_or(TRANSPORTS, std::slice::from_ref);
    let clients = choose(options)?;
    let of_python = |(client, _): &(&Client, Mode)| client.program.is_python();
    let place = Place {
        node: Node::ready(root)?.with_clients(root)?,
        python: clients.iter().any(of_python).then(|| python::ready(root)).transpose()?,
        demo: server::build(root, "throughline-cli", "throughline")?,
        folder: root.join("conformance/clients"),
        out: root.join("target/xtask/clients"),
    };
    let mut server = Server::start(
        Command::new(&place.demo).args(DEMO).args(["--sse", "--listen", "127.0.0.1:0"]),
        &place.out.join("throughline.log"),
        "throughline VERSION serves its demo at http://127.0.0.1:PORT/mcp",
        parse_address,
    )?;

    let mut total = Outcome::default();
    for &transport in transports {
        let clients = clients.iter().filter(|(client, mode)| client.checks(*mode, transport) > 0);
        let outcomes = std::thread::scope(|scope| {
            let run = |&(client, mode): &(&'static Client, Mode)| {
                let (place, url) = (&place, &server.url);
                scope.spawn(move || place.run(client, mode, transport, url))
            };
            // All of them run before the first is waited for.
            let runs: Vec<_> = clients.map(run).collect();
            let wait = |run: ScopedJoinHandle<'_, _>| run.join().map_err(|_| "a client's thread panicked")?;
            runs.into_iter().map(wait).collect::<Result<Vec<Outcome>>>()
        })?;
        outcomes.into_iter().for_each(|outcome| total.add(outcome));
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
    let goes = |(client, mode): &(&Client, Mode)| {
        options.transport.is_none_or(|transport| client.checks(*mode, transport) > 0)
    };
    match chosen.as_slice() {
        [] => Err("this client has no such mode".into()),
        chosen if !chosen.iter().any(goes) => Err("it does not go over this transport in this mode".into()),
        _ => Ok(chosen),
    }
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

impl Place {
    /// Runs one client over one transport.
    fn run(&self, client: &Client, mode: Mode, transport: Transport, url: &str) -> Result<Outcome> {
        let name = format!("{} {} {}", client.name, mode.name(), transport.name());
        let log = self.out.join(transport.name()).join(format!("{}-{}.log", client.name, mode.name()));
        let mut command = client.program.command(&self.node, self.python.as_deref());
        // What a client keeps of its own, such as the Inspector's list of servers, stays out of the user's home.
        command.current_dir(&self.folder).env("HOME", self.out.join("home"));
        match transport {
            Transport::Http => command.args([mode.name(), "http", url]),
            Transport::Sse => command.args([mode.name(), "sse", &url.replace("/mcp", "/sse")]),
            Transport::Stdio => {
                command.args([mode.name(), "stdio"]).arg(&self.demo).args(DEMO).arg("--stdio")
            }
            Transport::Connect => {
                command.args([mode.name(), "connect"]).arg(&self.demo).args(["connect", url])
            }
        };
        checks::run(&name, &mut command, &log, Some(client.checks(mode, transport)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_what_the_demo_says_first() {
        let line = "throughline 0.1.0 serves its demo at http://127.0.0.1:80/mcp";
        assert_eq!(parse_address(line), Some("http://127.0.0.1:80/mcp"));
        assert_eq!(parse_address("listening on http://127.0.0.1:80/mcp"), None);
    }

    #[test]
    fn not_every_client_goes_over_every_transport() {
        let count = |only: &str, transport| {
            let options = Options { only: Some(only.into()), mode: None, transport: Some(transport) };
            choose(&options).map(|chosen| chosen.len())
        };
        assert_eq!(count("typescript-1", Transport::Sse), Ok(1));
        assert!(count("inspector", Transport::Sse).unwrap_err().contains("does not go over this transport"));
        assert_eq!(count("inspector", Transport::Stdio), Ok(3));
        assert_eq!(count("typescript-2", Transport::Connect), Ok(3));
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
