//! Our `peer-client` against servers of others: over each of their transports, in each mode that they can answer.

use crate::checks::{self, Outcome, Program};
use crate::clients::Mode;
use crate::logins;
use crate::node::Node;
use crate::pool::side_by_side;
use crate::python;
use crate::server::{self, Server};
use crate::sh::Result;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

/// The servers, and how many checks our client makes against each, by transport and mode. With fewer, some were left out,
/// and the run fails.
static PEERS: [Peer; 4] = [
    Peer {
        name: "everything",
        program: Program::Node("js/everything.mjs"),
        runs: &[
            (Transport::Http, &[(Mode::Legacy, 21), (Mode::Auto, 21)]),
            (Transport::Sse, &[(Mode::Legacy, 21), (Mode::Auto, 21)]),
            (Transport::Stdio, &[(Mode::Legacy, 20), (Mode::Auto, 20)]),
        ],
    },
    Peer {
        name: "typescript-1",
        program: Program::Node("js/v1.mjs"),
        runs: &[
            (Transport::Http, &[(Mode::Legacy, 32), (Mode::Auto, 32)]),
            (Transport::Sse, &[(Mode::Legacy, 32), (Mode::Auto, 32)]),
            (Transport::Stdio, &[(Mode::Legacy, 31), (Mode::Auto, 31)]),
        ],
    },
    Peer {
        name: "typescript-2",
        program: Program::Node("js/v2.mjs"),
        runs: &[
            (Transport::Http, &[(Mode::Legacy, 32), (Mode::Auto, 30), (Mode::Modern, 30)]),
            (Transport::Stateless, &[(Mode::Legacy, 26), (Mode::Auto, 30), (Mode::Modern, 30)]),
            (Transport::Stdio, &[(Mode::Legacy, 31), (Mode::Auto, 29), (Mode::Modern, 29)]),
        ],
    },
    Peer {
        name: "python",
        program: Program::Python("python/server.py"),
        runs: &[
            (Transport::Http, &[(Mode::Legacy, 32), (Mode::Auto, 30), (Mode::Modern, 30)]),
            (Transport::Stateless, &[(Mode::Legacy, 26), (Mode::Auto, 30), (Mode::Modern, 30)]),
            (Transport::Sse, &[(Mode::Legacy, 32), (Mode::Auto, 32)]),
            (Transport::Stdio, &[(Mode::Legacy, 31), (Mode::Auto, 29), (Mode::Modern, 29)]),
        ],
    },
];

/// What everybody wrote.
const OUT: &str = "target/xtask/peers";

/// Runs at the same moment: a server and our client each, for a machine with two processors.
const AT_ONCE: usize = 2;

/// The modes of our client that a server can answer, each with how many checks are made.
type Modes = &'static [(Mode, usize)];

/// A server of others.
#[derive(Debug)]
struct Peer {
    name: &'static str,
    program: Program,
    runs: &'static [(Transport, Modes)],
}

/// How our client reaches a server, and what the server's program is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Transport {
    /// Streamable HTTP, with sessions where the revision has them.
    Http,
    /// Streamable HTTP without sessions.
    Stateless,
    /// HTTP+SSE.
    Sse,
    /// The server is a child of our client.
    Stdio,
}

impl Transport {
    const ALL: [Transport; 4] = [Transport::Http, Transport::Stateless, Transport::Sse, Transport::Stdio];

    const fn name(self) -> &'static str {
        match self {
            Transport::Http => "http",
            Transport::Stateless => "stateless",
            Transport::Sse => "sse",
            Transport::Stdio => "stdio",
        }
    }
}

impl FromStr for Transport {
    type Err = String;

    fn from_str(name: &str) -> Result<Transport> {
        let found = Transport::ALL.into_iter().find(|transport| transport.name() == name);
        found.ok_or_else(|| {
            format!("there is no transport `{name}`; there are http, stateless, sse and stdio")
        })
    }
}

/// What the command line chose.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Options {
    /// The server of this name alone.
    pub(crate) only: Option<String>,
    /// This mode alone.
    pub(crate) mode: Option<Mode>,
    /// This transport alone.
    pub(crate) transport: Option<Transport>,
}

/// One run of our client.
#[derive(Clone, Copy, Debug)]
struct Cell {
    peer: &'static Peer,
    transport: Transport,
    mode: Mode,
    /// How many checks it makes.
    checks: usize,
}

/// Installs and builds what a run of all servers needs.
pub(crate) fn prepare(root: &Path) -> Result<()> {
    Node::ready(root)?.with_peers(root)?;
    python::ready(root)?;
    Node::ready(root)?.with_clients(root)?;
    server::build(root, "throughline-conformance", "peer-client")?;
    server::build(root, "throughline-conformance", "login-peer").map(drop)
}

/// Runs our client against the servers, some runs at the same moment. Every run has a server of its own, which ends with it.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    let with_logins = options.only.as_deref().is_none_or(|only| only == logins::NAME)
        && options.transport.is_none_or(|only| only == Transport::Http);
    let chosen = if options.only.as_deref() == Some(logins::NAME) { Vec::new() } else { choose(options)? };
    let with_python = chosen.iter().any(|cell| cell.peer.program.is_python());
    let place = Place {
        node: Node::ready(root)?.with_peers(root)?,
        python: with_python.then(|| python::ready(root)).transpose()?,
        driver: server::build(root, "throughline-conformance", "peer-client")?,
        folder: root.join("conformance/peers"),
        out: root.join(OUT),
    };
    let mut outcomes = side_by_side(AT_ONCE, chosen, |cell| place.run(cell))?;
    if with_logins {
        let place = logins::Place {
            server: place.node,
            clients: Node::ready(root)?.with_clients(root)?,
            python: python::ready(root)?,
            ours: server::build(root, "throughline-conformance", "login-peer")?,
            root: root.to_owned(),
            out: place.out.clone(),
        };
        outcomes.extend(logins::run(&place, options.mode)?);
    }
    let mut total = Outcome::default();
    outcomes.into_iter().for_each(|outcome| total.add(outcome));
    let Outcome { passed, failures } = total;
    println!("what our client and each server wrote is in {}", root.join(OUT).display());
    println!("\npeers: {passed} checks passed, {} failed\n", failures.len());
    match failures.as_slice() {
        [] => Ok(()),
        failures => Err(format!("our client failed against servers of others:\n  {}", failures.join("\n  "))),
    }
}

/// The runs that the command line names; without it all.
fn choose(options: &Options) -> Result<Vec<Cell>> {
    let named = |peer: &&'static Peer| options.only.as_ref().is_none_or(|name| name == peer.name);
    if !PEERS.iter().any(|peer| named(&peer)) {
        let names = PEERS.each_ref().map(|peer| peer.name).join(", ");
        let name = options.only.as_deref().unwrap_or_default();
        return Err(format!("there is no server `{name}`; there are: {names}, {}", logins::NAME));
    }
    let cells = |peer: &'static Peer| {
        let all = peer.runs.iter().flat_map(move |&(transport, modes)| {
            modes.iter().map(move |&(mode, checks)| Cell { peer, transport, mode, checks })
        });
        let wanted = |cell: &Cell| {
            options.mode.is_none_or(|only| only == cell.mode)
                && options.transport.is_none_or(|only| only == cell.transport)
        };
        all.filter(wanted).collect::<Vec<_>>()
    };
    let chosen: Vec<_> = PEERS.iter().filter(named).flat_map(cells).collect();
    if chosen.is_empty() { Err("this server has no such transport and mode".into()) } else { Ok(chosen) }
}

/// The address in a server's first line.
fn parse_address(line: &str) -> Option<&str> {
    line.strip_prefix("listening on ").filter(|url| url.starts_with("http://"))
}

/// What all runs share.
struct Place {
    node: Node,
    /// `None`: nothing that runs needs it.
    python: Option<PathBuf>,
    /// Our client.
    driver: PathBuf,
    /// `conformance/peers/`
    folder: PathBuf,
    /// What our client and the servers wrote.
    out: PathBuf,
}

impl Place {
    /// Runs our client against a server of its own.
    fn run(&self, cell: Cell) -> Result<Outcome> {
        let Cell { peer, transport, mode, checks } = cell;
        let name = format!("{} {} {}", peer.name, transport.name(), mode.name());
        let file = |what: &str| self.out.join(format!("{what}-{}.log", name.replace(' ', "-")));
        let mut serving = peer.program.command(&self.node, self.python.as_deref());
        serving.current_dir(&self.folder).arg(transport.name());

        let mut driver = Command::new(&self.driver);
        driver.current_dir(&self.folder);
        driver.args(["--mode", mode.name(), "--peer", peer.name, "--transport", transport.name()]);
        let mut server = None;
        if transport == Transport::Stdio {
            driver.arg("--").arg(serving.get_program()).args(serving.get_args());
        } else {
            let wanted = "listening on http://127.0.0.1:PORT/mcp";
            let started = Server::start(&mut serving, &file("server"), wanted, parse_address)?;
            driver.arg(&started.url);
            server = Some(started);
        }
        let mut outcome = checks::run(&name, &mut driver, &file("client"), Some(checks))?;
        if let Err(ended) = server.as_mut().map_or(Ok(()), Server::check_running) {
            outcome.failures.push(format!("{name}: {ended}"));
        }
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_names_servers_transports_and_modes() {
        let count = |only: Option<&str>, transport, mode| {
            choose(&Options { only: only.map(str::to_owned), mode, transport }).map(|chosen| chosen.len())
        };
        assert_eq!(count(None, None, None), Ok(32));
        assert_eq!(count(Some("python"), None, None), Ok(11));
        assert_eq!(count(None, Some(Transport::Sse), None), Ok(6));
        assert_eq!(count(None, None, Some(Mode::Modern)), Ok(6));
        assert_eq!(count(Some("typescript-2"), Some(Transport::Stateless), Some(Mode::Auto)), Ok(1));
        assert!(count(Some("typescript"), None, None).unwrap_err().contains("typescript-1"));
        assert!(count(Some("everything"), None, Some(Mode::Modern)).is_err());
    }

    #[test]
    fn the_address_is_what_follows_listening_on() {
        assert_eq!(parse_address("listening on http://127.0.0.1:80/sse"), Some("http://127.0.0.1:80/sse"));
        assert_eq!(parse_address("Listening on port 80"), None);
    }

    #[test]
    fn a_count_is_never_nothing() {
        let counts = PEERS.iter().flat_map(|peer| peer.runs).flat_map(|(_, modes)| modes.iter());
        assert!(counts.into_iter().all(|(_, checks)| *checks != 0));
    }
}
