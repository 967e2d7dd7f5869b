//! Logins at an authorization server of others (`conformance/peers/js/authorization.mjs`): our client and clients of others log
//! in to servers of ours that are locked.

use crate::checks::{self, Outcome, Program};
use crate::clients::Mode;
use crate::node::Node;
use crate::pool::side_by_side;
use crate::server::Server;
use crate::sh::Result;
use std::path::PathBuf;
use std::process::Command;

/// What `--only` of the servers of others names all of these by.
pub(crate) const NAME: &str = "authorization";

/// The clients, and how many checks each makes in a mode. With fewer, some were left out, and the run fails.
const CLIENTS: [Client; 3] = [
    Client {
        name: "typescript-1",
        program: Program::Node("js/login.mjs"),
        line: Some("1"),
        modes: &[(Mode::Legacy, 8)],
    },
    Client {
        name: "typescript-2",
        program: Program::Node("js/login.mjs"),
        line: Some("2"),
        modes: &[(Mode::Legacy, 9), (Mode::Auto, 9), (Mode::Modern, 9)],
    },
    Client {
        name: "python",
        program: Program::Python("python/login.py"),
        line: None,
        modes: &[(Mode::Legacy, 6), (Mode::Auto, 6), (Mode::Modern, 6)],
    },
];

/// The checks that our client makes.
const OURS: usize = 19;

/// Runs at the same moment. Most of each is waiting for a token that expires.
const AT_ONCE: usize = 4;

/// A client of others.
#[derive(Debug)]
struct Client {
    name: &'static str,
    program: Program,
    /// Its first argument, where the program is several.
    line: Option<&'static str>,
    modes: &'static [(Mode, usize)],
}

/// What the runs need.
pub(crate) struct Place {
    /// With the packages of the authorization server.
    pub(crate) server: Node,
    /// With those of the clients.
    pub(crate) clients: Node,
    pub(crate) python: PathBuf,
    /// `login-peer`
    pub(crate) ours: PathBuf,
    pub(crate) root: PathBuf,
    /// What everybody wrote.
    pub(crate) out: PathBuf,
}

/// Runs the clients, in one of their modes or in all, which ours goes through by itself. Each has a server of ours and an
/// authorization server of its own.
pub(crate) fn run(place: &Place, only: Option<Mode>) -> Result<Vec<Outcome>> {
    let modes =
        |client: &'static Client| client.modes.iter().map(move |&(mode, checks)| (client, mode, checks));
    let of_others =
        CLIENTS.iter().flat_map(modes).filter(|&(_, mode, _)| only.is_none_or(|only| only == mode));
    let chosen = only.is_none().then_some(Run::Ours).into_iter();
    let chosen = chosen.chain(of_others.map(|(client, mode, checks)| Run::Of(client, mode, checks)));
    side_by_side(AT_ONCE, chosen, |run| place.run(run))
}

/// One client with an authorization server of its own.
#[derive(Clone, Copy)]
enum Run {
    Ours,
    Of(&'static Client, Mode, usize),
}

impl Place {
    fn run(&self, run: Run) -> Result<Outcome> {
        let name = match run {
            Run::Ours => format!("{NAME} throughline"),
            Run::Of(client, mode, _) => format!("{NAME} {} {}", client.name, mode.name()),
        };
        let log = |what: &str| self.out.join(format!("{what}-{}.log", name.replace(' ', "-")));
        let wanted = "listening on http://127.0.0.1:PORT";
        let mut issuer = self.server.command();
        let mut issuer = Server::start(issuer.arg("js/authorization.mjs"), &log("issuer"), wanted, address)?;
        let mut ours = Command::new(&self.ours);
        let mut outcome = match run {
            Run::Ours => {
                ours.args(["check", "--issuer", &issuer.url]);
                checks::run(&name, &mut ours, &log("client"), Some(OURS))?
            }
            Run::Of(client, mode, checks) => {
                ours.args(["serve", "--issuer", &issuer.url]);
                let mut server = Server::start(&mut ours, &log("server"), wanted, address)?;
                let mut command = client.program.command(&self.clients, Some(&self.python));
                command.current_dir(self.root.join("conformance/clients"));
                command.args(client.line).args([mode.name(), &server.url, &issuer.url]);
                let mut outcome = checks::run(&name, &mut command, &log("client"), Some(checks))?;
                if let Err(ended) = server.check_running() {
                    outcome.failures.push(format!("{name}: {ended}"));
                }
                outcome
            }
        };
        if let Err(ended) = issuer.check_running() {
            outcome.failures.push(format!("{name}: {ended}"));
        }
        Ok(outcome)
    }
}

/// The address in a server's first line.
fn address(line: &str) -> Option<&str> {
    line.strip_prefix("listening on ").filter(|url| url.starts_with("http://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_runs_and_each_run_checks() {
        for client in &CLIENTS {
            assert!(
                !client.modes.is_empty() && client.modes.iter().all(|(_, checks)| *checks > 0),
                "{client:?}"
            );
        }
    }

    #[test]
    fn the_address_is_what_follows_listening_on() {
        assert_eq!(address("listening on http://127.0.0.1:80"), Some("http://127.0.0.1:80"));
        assert_eq!(address("oidc-provider WARNING"), None);
    }
}
