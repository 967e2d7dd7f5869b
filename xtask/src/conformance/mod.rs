//! The official conformance suite: its server scenarios against our `conformance-server`, its client scenarios with our
//! `conformance-client`, one process per scenario.

mod run;
mod scenario;

use crate::node::Node;
use crate::pool::side_by_side;
use crate::server::{self, Server};
use crate::sh::{self, Result};
use run::{Run, Target};
use scenario::{Floors, Scenario};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The revisions whose required scenarios are run, one of each era, each with `conformance/floor-<side>-<revision>.json`.
/// The server serves both from one process.
const REVISIONS: [&str; 2] = ["2025-11-25", "2026-07-28"];

/// An older revision, which the suite requires nothing of. What it tries of it is what its clients did otherwise (its suite
/// `backcompat`): how they find an authorization server.
const OLDER_CLIENT: &str = "2025-03-26";

/// How our server answers: always as a stream, of which the suite checks most, and as it does by default. Each is a server
/// of its own, and they are tried at the same time.
const RESPONSE_MODES: [ResponseMode; 2] = [
    ResponseMode { name: "sse", floors: &[] },
    // Answers of lists are JSON here, and the check of concurrent streams is only made of streams.
    ResponseMode { name: "adaptive", floors: &[("server-sse-multiple-streams", 1)] },
];

/// A `--response-mode` of our server.
struct ResponseMode {
    name: &'static str,
    /// Where a full pass succeeds in fewer checks than the floor file says.
    floors: &'static [(&'static str, usize)],
}

/// What of ours a scenario tries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Side {
    Server,
    Client,
}

impl Side {
    /// What the suite calls it, in its arguments and its lists.
    const fn name(self) -> &'static str {
        match self {
            Side::Server => "server",
            Side::Client => "client",
        }
    }

    /// The revisions that it is tried at.
    fn revisions(self) -> Vec<&'static str> {
        match self {
            Side::Server => REVISIONS.to_vec(),
            Side::Client => std::iter::once(OLDER_CLIENT).chain(REVISIONS).collect(),
        }
    }
}

/// What the command line chose.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Options {
    /// This side alone.
    pub(crate) side: Option<Side>,
    /// The scenario of this name, else all whose name holds it.
    pub(crate) only: Option<String>,
    /// A server that already runs, instead of ours; without the client's scenarios.
    pub(crate) url: Option<String>,
}

/// Runs the scenarios of both sides and every revision, those of a server in every response mode of ours. What was started
/// ends with its part of the run, whatever happens.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    if options.url.is_some() && options.side == Some(Side::Client) {
        return Err("`--url` names a server, and `--client` tries none: leave out one of them".into());
    }
    let suite = Suite { root, node: Node::ready(root)?, out: root.join("target/xtask/conformance") };
    let sides = match (options.side, &options.url) {
        (Some(side), _) => vec![side],
        (None, Some(_)) => vec![Side::Server],
        (None, None) => vec![Side::Server, Side::Client],
    };
    let all =
        sides.iter().flat_map(|&side| side.revisions().into_iter().map(move |revision| (side, revision)));
    let parts = all.map(|(side, revision)| suite.part(side, revision)).collect::<Result<Vec<_>>>()?;
    let parts = choose(parts, options.only.as_deref())?;
    let (of_server, of_client): (Vec<_>, Vec<_>) =
        parts.into_iter().partition(|part| part.side == Side::Server);

    let mut total = Total::default();
    if !of_server.is_empty() {
        total = total.add(match &options.url {
            Some(url) => suite.run_parts(&of_server, "url", &Target::Server(url.clone()), &[])?,
            None => suite.run_server(&of_server)?,
        });
    }
    if !of_client.is_empty() {
        let program = server::build(root, "throughline-conformance", "conformance-client")?;
        let client = Target::client(&program)?;
        total = total.add(suite.run_parts(&of_client, "client", &client, &[])?);
    }

    let Total { passed, failed, known, informational } = total;
    if known > 0 {
        println!("{known} known failures are not counted");
    }
    if informational > 0 {
        println!(
            "{informational} runs that neither a revision nor a floor demands did not pass and are not counted"
        );
    }
    println!("what each scenario wrote is in {}", suite.out.display());
    println!("\nconformance: {passed} passed, {failed} failed\n");
    match (passed, failed) {
        (0, 0) => Err("no scenario was run to an end that counts".into()),
        (_, 0) => Ok(()),
        _ => Err(format!("{failed} of {} conformance scenarios failed", passed + failed)),
    }
}

/// Scenarios that count, by their end.
#[derive(Default)]
struct Total {
    passed: usize,
    failed: usize,
    known: usize,
    /// Not demanded by a revision or a floor, and not passed.
    informational: usize,
}

impl Total {
    fn add(self, other: Total) -> Total {
        Total {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            known: self.known + other.known,
            informational: self.informational + other.informational,
        }
    }
}

/// What all parts of a run share.
struct Suite<'a> {
    root: &'a Path,
    node: Node,
    /// What the scenarios wrote.
    out: PathBuf,
}

/// The scenarios of a side and a revision that are run, and what is known of them.
struct Part {
    side: Side,
    revision: &'static str,
    floors: Floors,
    known: Vec<String>,
    chosen: Vec<Scenario>,
}

impl Suite<'_> {
    /// What a side has of a revision.
    fn part(&self, side: Side, revision: &'static str) -> Result<Part> {
        let read = |name: &str| {
            let path = self.root.join("conformance").join(name);
            fs::read_to_string(&path).map_err(|e| format!("{} cannot be read: {e}", path.display()))
        };
        let floors = scenario::parse_floors(&read(&format!("floor-{}-{revision}.json", side.name()))?)?;
        let known = scenario::parse_known(&read("known-failures.txt")?, side.name(), revision)?;
        let list = |what: &[&str]| sh::capture(self.node.suite().arg("list").args(what));
        let listed = if revision == OLDER_CLIENT {
            scenario::parse_tagged(&list(&["--client", "--spec-version", revision])?)
        } else {
            scenario::parse_listing(&list(&["--requirements", revision])?, side.name())
        };
        for name in floors.keys().chain(&known) {
            if !listed.iter().any(|scenario| scenario.name == *name) {
                return Err(format!(
                    "the suite does not list the scenario `{name}` for {revision}: is it the pinned one?"
                ));
            }
        }
        Ok(Part { side, revision, floors, known, chosen: listed })
    }

    /// Runs the scenarios of a server against ours, in every response mode.
    fn run_server(&self, parts: &[Part]) -> Result<Total> {
        let program = server::build(self.root, "throughline-conformance", "conformance-server")?;
        let run = |mode| self.run_mode(&program, parts, mode);
        let totals = side_by_side(RESPONSE_MODES.len(), &RESPONSE_MODES, run)?;
        Ok(totals.into_iter().fold(Total::default(), Total::add))
    }

    /// Runs the scenarios of a server against one of its own.
    fn run_mode(&self, program: &Path, parts: &[Part], mode: &ResponseMode) -> Result<Total> {
        let log = self.out.join(mode.name).join("conformance-server.log");
        let mut server = start_server(program, mode.name, &log)?;
        let target = Target::Server(server.url.clone());
        let total = self.run_parts(parts, mode.name, &target, mode.floors)?;
        server.check_running()?;
        Ok(total)
    }

    /// Runs the scenarios of every part against one target, which `name` names. `lower`: floors that hold instead of the
    /// file's.
    fn run_parts(
        &self,
        parts: &[Part],
        name: &str,
        target: &Target,
        lower: &[(&str, usize)],
    ) -> Result<Total> {
        let mut total = Total::default();
        for part in parts {
            let mut floors = part.floors.clone();
            floors.extend(lower.iter().map(|&(name, floor)| (name.to_owned(), floor)));
            let place = format!("{name} {}", part.revision);
            let out = self.out.join(name).join(part.revision);
            total = total.add(Run { node: &self.node, target, part, floors, place, out }.run()?);
        }
        Ok(total)
    }
}

/// Keeps the scenarios that `--only` names, and the revisions that have some; without it all.
fn choose(mut parts: Vec<Part>, only: Option<&str>) -> Result<Vec<Part>> {
    let Some(only) = only else { return Ok(parts) };
    let mut names: Vec<_> =
        parts.iter().flat_map(|part| &part.chosen).map(|scenario| scenario.name.clone()).collect();
    let one = names.iter().any(|name| name == only);
    for part in &mut parts {
        part.chosen.retain(|scenario| if one { scenario.name == only } else { scenario.name.contains(only) });
    }
    parts.retain(|part| !part.chosen.is_empty());
    if parts.is_empty() {
        names.sort();
        names.dedup();
        return Err(format!("no scenario is named `{only}`; there are: {}", names.join(", ")));
    }
    Ok(parts)
}

/// Starts our server on a free port.
fn start_server(program: &Path, response_mode: &str, log: &Path) -> Result<Server> {
    let mut command = Command::new(program);
    command.args(["--listen", "127.0.0.1:0", "--response-mode", response_mode]);
    Server::start(&mut command, log, "listening on http://127.0.0.1:PORT/mcp", parse_address)
}

/// The address in the server's first line.
fn parse_address(line: &str) -> Option<&str> {
    line.strip_prefix("listening on ").filter(|url| url.starts_with("http://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_what_follows_listening_on() {
        assert_eq!(parse_address("listening on http://127.0.0.1:80/mcp"), Some("http://127.0.0.1:80/mcp"));
        assert_eq!(parse_address("http://127.0.0.1:80/mcp"), None);
        assert_eq!(parse_address(""), None);
    }

    #[test]
    fn only_names_one_scenario_or_all_that_hold_it() {
        let part = |revision, names: &[&str]| {
            let scenario = |name: &&str| Scenario { name: (*name).into(), scored: true };
            let chosen = names.iter().map(scenario).collect();
            Part { side: Side::Server, revision, floors: Floors::new(), known: Vec::new(), chosen }
        };
        let names = |only| {
            let parts = vec![part("r1", &["ping", "ping-pong", "tools"]), part("r2", &["tools", "listen"])];
            let of =
                |part: Part| part.chosen.into_iter().map(move |s| format!("{} {}", part.revision, s.name));
            choose(parts, only).map(|parts| parts.into_iter().flat_map(of).collect::<Vec<_>>())
        };
        assert_eq!(names(None).unwrap().len(), 5);
        assert_eq!(names(Some("ping")).unwrap(), ["r1 ping"]);
        assert_eq!(names(Some("in")).unwrap(), ["r1 ping", "r1 ping-pong"]);
        assert_eq!(names(Some("tools")).unwrap(), ["r1 tools", "r2 tools"]);
        assert!(names(Some("pang")).unwrap_err().contains("listen, ping, ping-pong, tools"));
    }

    #[test]
    fn every_revision_has_its_floors() {
        let all =
            [Side::Server, Side::Client].map(|side| side.revisions().into_iter().map(move |of| (side, of)));
        for (side, revision) in all.into_iter().flatten() {
            let file = sh::root().join(format!("conformance/floor-{}-{revision}.json", side.name()));
            let floors = scenario::parse_floors(&fs::read_to_string(file).unwrap()).unwrap();
            assert!(!floors.is_empty() && floors.values().all(|&floor| floor > 0));
        }
    }

    #[test]
    fn a_url_is_no_client() {
        let options = Options { side: Some(Side::Client), only: None, url: Some("http://x".into()) };
        assert!(run(Path::new("/nowhere"), &options).unwrap_err().contains("`--client`"));
    }
}
