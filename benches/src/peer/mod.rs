//! Servers of others to compare with. They live in `benches/peers/`, outside of every ordinary build; one is built or
//! installed when it is asked for.
//!
//! What each lacks was seen, not guessed: it was asked for with the lab's own generator, and the answer is the reason given.

mod install;

use std::ffi::OsString;

use crate::Result;
use crate::scenario::Ability::{self, Ask, Json, Resume, Session, Touch};
use crate::scenario::{Task, Work};
use crate::target::Target;
pub(crate) use install::rust;

struct Peer {
    name: &'static str,
    about: &'static str,
    kind: Kind,
    /// What it cannot do: what needs all of these abilities is left out, for this reason.
    lacks: &'static [(&'static [Ability], &'static str)],
    /// Where it is no line of every work.
    only: Option<fn(Work) -> bool>,
}

enum Kind {
    /// A package of the workspace, and its first arguments.
    Rust(&'static str, &'static [&'static str]),
    Node,
    Python,
}

const RMCP_STREAMS: (&[Ability], &str) = (&[Session, Json], "in a session it answers by event streams only");
const RMCP_FORGETS: (&[Ability], &str) = (&[Resume], "it forgets a stream once its response is sent");

const ALL: [Peer; 6] = [
    Peer {
        name: "axum",
        about: "these tools by hand on axum 0.8.9 and serde_json, no SDK, TCP_NODELAY set",
        kind: Kind::Rust("peer-axum", &["--nodelay"]),
        lacks: &[
            (&[Resume], "it keeps no events"),
            (&[Ask], "it has no input rounds"),
            (&[Touch], "it has no subscriptions"),
        ],
        only: None,
    },
    Peer {
        name: "rmcp",
        about: "the official Rust SDK, rmcp 3.8.0 under axum::serve as its examples have it: without TCP_NODELAY",
        kind: Kind::Rust("peer-rmcp", &[]),
        lacks: &[RMCP_STREAMS, RMCP_FORGETS],
        only: None,
    },
    Peer {
        name: "rmcp-nodelay",
        about: "the same with TCP_NODELAY set",
        kind: Kind::Rust("peer-rmcp", &["--nodelay"]),
        lacks: &[RMCP_STREAMS, RMCP_FORGETS],
        only: None,
    },
    Peer {
        name: "rmcp-events",
        about: "the same with TCP_NODELAY and an event store in memory, which the SDK leaves to its user",
        kind: Kind::Rust("peer-rmcp", &["--nodelay", "--events"]),
        lacks: &[RMCP_STREAMS],
        only: Some(|work| matches!(work.task, Task::Progress | Task::Replay)),
    },
    Peer {
        name: "npm",
        about: "the official TypeScript SDK, @modelcontextprotocol/server 2.4.0 on node:http",
        kind: Kind::Node,
        lacks: &[],
        only: None,
    },
    Peer {
        name: "pypi",
        about: "the official Python SDK, mcp 2.3.0 under uvicorn 0.54.0",
        kind: Kind::Python,
        // Without a session it streams progress, but no result that stands alone: `modern-sse` fails in its first small run, and
        // the table says so. No ability says that of one and not of the other.
        lacks: &[(&[Resume], "it replays a call that ended, and leaves the stream open behind the response")],
        only: None,
    },
];

/// The names of the peers, in the order of their turns.
pub(crate) const NAMES: [&str; ALL.len()] = {
    let mut names = [""; ALL.len()];
    let mut at = 0;
    while at < ALL.len() {
        names[at] = ALL[at].name;
        at += 1;
    }
    names
};

/// The peer of this name, built or installed; what that takes is told on the error stream.
///
/// # Errors
///
/// When there is none of this name, a tool that it takes is missing, or it cannot be built.
pub(crate) fn prepare(name: &str) -> Result<Target> {
    let peer = ALL
        .iter()
        .find(|peer| peer.name == name)
        .ok_or_else(|| format!("there is no peer named {name}: there are {}", NAMES.join(", ")))?;
    let (command, runtime) = match peer.kind {
        Kind::Rust(package, arguments) => {
            let mut command = vec![install::rust(package)?];
            command.extend(arguments.iter().map(OsString::from));
            (command, None)
        }
        Kind::Node => install::node().map(|(command, version)| (command, Some(version)))?,
        Kind::Python => install::python().map(|(command, version)| (command, Some(version)))?,
    };
    let about = runtime.map_or_else(|| peer.about.to_owned(), |runtime| format!("{}, {runtime}", peer.about));
    let target = Target::program(name, &about, command);
    let target =
        peer.lacks.iter().fold(target, |target, (abilities, reason)| target.lacks(abilities, reason));
    Ok(match peer.only {
        Some(is_of) => target.only(is_of),
        None => target,
    })
}

/// A server of the user's own, `NAME=COMMAND`. A shell reads the command; what the lab asks for follows as further arguments.
///
/// # Errors
///
/// When it is not of that form, or the name is taken.
pub(crate) fn own(given: &str) -> Result<Target> {
    let (name, command) = given
        .split_once('=')
        .filter(|(_, command)| !command.trim().is_empty())
        .ok_or_else(|| format!("a target of your own is NAME=COMMAND, not {given:?}"))?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > 12 || !name.chars().all(is_plain) {
        return Err(format!("{name:?} is no name for a target: up to 12 letters, digits, -, _ and .").into());
    }
    if crate::target::BUILT_IN.contains(&name) || NAMES.contains(&name) {
        return Err(format!("the name {name} is taken; choose another one").into());
    }
    // Replaced by the program, so that the lab's child is the program itself.
    let shell = ["sh", "-c", &format!("exec {command} \"$@\""), name].map(OsString::from);
    Ok(Target::program(name, command, shell.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_versions_that_are_told_are_those_that_are_pinned() {
        let about = |name: &str| ALL.iter().find(|peer| peer.name == name).unwrap().about;
        let manifest = include_str!("../../peers/Cargo.toml");
        for (name, crate_) in [("axum", "axum"), ("rmcp", "rmcp")] {
            let line = manifest.lines().find(|line| line.starts_with(&format!("{crate_} = "))).unwrap();
            let version = line.split_once("\"=").unwrap().1.split('"').next().unwrap();
            assert!(about(name).contains(&format!("{crate_} {version}")), "{name} is {version}");
        }
        let package: serde_json::Value =
            serde_json::from_str(include_str!("../../peers/node/package.json")).unwrap();
        let version = package["dependencies"]["@modelcontextprotocol/server"].as_str().unwrap();
        assert!(about("npm").contains(&format!("@modelcontextprotocol/server {version}")));
        let requirements = include_str!("../../peers/python/requirements.txt");
        for name in ["mcp", "uvicorn"] {
            let line = requirements.lines().find(|line| line.starts_with(&format!("{name}=="))).unwrap();
            assert!(about("pypi").contains(&line.replace("==", " ")), "pypi has {line}");
        }
    }

    #[test]
    fn a_target_of_ones_own_is_a_name_and_a_command() {
        let target = own("mine=./server --port=0 'a b'").unwrap();
        assert_eq!(target.name(), "mine");
        let command = target.command("sse".parse().unwrap(), false).unwrap();
        let words = ["sh", "-c", "exec ./server --port=0 'a b' \"$@\"", "mine", "--answers", "sse"];
        assert_eq!(command, words);
        for wrong in ["mine", "=x", "mine= ", "a name=x", "floor=x", "rmcp=x", "a-name-that-is-too-long=x"] {
            assert!(own(wrong).is_err(), "{wrong} was taken");
        }
    }

    #[test]
    fn an_unknown_peer_is_refused_with_the_names_that_there_are() {
        let error = prepare("fastmcp").unwrap_err().to_string();
        assert_eq!(
            error,
            "there is no peer named fastmcp: there are axum, rmcp, rmcp-nodelay, rmcp-events, npm, pypi"
        );
    }
}
