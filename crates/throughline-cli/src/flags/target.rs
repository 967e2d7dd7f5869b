//! Which server to speak with, and how.

use std::fs;
use std::path::Path;

use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use throughline::auth::OAuth;
use throughline::revision::Revision;
use throughline::{Client, Connect, ServerCommand, TransportChoice};
use tracing_subscriber::EnvFilter;

use super::LogFormat;
use super::args::{ConnectArgs, Secret, Transport, WayArgs};
use super::login::{Who, check_log, read_roots};
use crate::{Stop, login};

/// A server, and how it is reached.
pub(crate) struct Target {
    place: Place,
    headers: Vec<(HeaderName, HeaderValue)>,
    transport: TransportChoice,
    revision: Option<Revision>,
    roots: Vec<Vec<u8>>,
    who: Who,
    /// The same for all clients of the program.
    oauth: Option<OAuth>,
    pub(crate) log: EnvFilter,
    pub(crate) log_format: LogFormat,
}

/// Where the server is.
enum Place {
    Address(String),
    Program(String, ServerCommand),
}

impl Target {
    /// An address that cannot be used is told to the host, as the answer to its first request: hosts show that more surely than
    /// what is on standard error.
    pub(super) fn of_address(args: ConnectArgs) -> Result<Self, Stop> {
        // Standard input is the host's.
        Self::check(Place::Address(args.url), args.way, false)
    }

    /// The server at the first of the words, or the program. What is left of the words is for the command.
    pub(super) fn of_client(
        words: Vec<String>,
        program: Vec<String>,
        env: Vec<Secret>,
        way: WayArgs,
    ) -> Result<(Self, Vec<String>), Stop> {
        let mut words = words.into_iter();
        let place = if program.is_empty() {
            let Some(url) = words.next() else {
                return Err(Stop::usage(
                    "error: say which server: its address first, or -- and the program to start",
                ));
            };
            check_address(&url, ", or end with -- and the program to start")?;
            Place::Address(url)
        } else {
            // Before the runtime reads the environment, so that a name that is not there is said.
            let name = Path::new(&program[0])
                .file_name()
                .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            let mut command = ServerCommand::from(program);
            for given in env {
                command = match given.0.split_once('=') {
                    Some((name, value)) => command.env(name, value),
                    None if std::env::var_os(&given.0).is_none() => {
                        let name = given.0;
                        return Err(Stop::usage(format!(
                            "error: --env: there is no variable `{name}` here; give its value, as in {name}=VALUE"
                        )));
                    }
                    None => command.inherit_env(given.0),
                };
            }
            Place::Program(name, command.on_stderr(crate::terminal::complain_foreign))
        };
        Ok((Self::check(place, way, true)?, words.collect()))
    }

    fn check(place: Place, way: WayArgs, pastes: bool) -> Result<Self, Stop> {
        let revision = way.revision.as_deref().map(parse_revision).transpose()?;
        let mut headers = Vec::new();
        for given in &way.header {
            match given.0.strip_prefix('@') {
                Some(file) => {
                    let lines = fs::read_to_string(file).map_err(|error| {
                        Stop::usage(format!("error: --header: {file} cannot be read: {error}"))
                    })?;
                    for line in lines.lines().filter(|line| !line.trim().is_empty()) {
                        headers.push(parse_header(line)?);
                    }
                }
                None => headers.push(parse_header(&given.0)?),
            }
        }
        let roots = read_roots(&way.root_cert)?;
        // Who says already who they are does not log in.
        let says = headers.iter().any(|(name, _)| *name == AUTHORIZATION);
        let who = if says { Who::Nobody } else { Who::check(way.who)? };
        let oauth = match (&place, &who) {
            (Place::Address(_), Who::Login(login)) => Some(login::provider(login, &roots, pastes)?),
            _ => None,
        };
        Ok(Self {
            place,
            headers,
            transport: match way.transport {
                Transport::Auto => TransportChoice::Auto,
                Transport::Streamable => TransportChoice::Streamable,
                Transport::Sse => TransportChoice::Sse,
            },
            revision,
            roots,
            who,
            oauth,
            log: check_log(&way.log)?,
            log_format: way.log_format,
        })
    }

    /// The server as it is named to people: the origin of its address, or its program.
    pub(crate) fn name(&self) -> String {
        match &self.place {
            Place::Address(url) => {
                // What follows may hold a secret.
                let end = url.find("://").map_or(0, |at| at + 3);
                let host = url[end..].split(['/', '?', '#']).next().unwrap_or_default();
                host.rsplit('@').next().unwrap_or_default().to_owned()
            }
            Place::Program(name, _) => format!("the program `{name}`"),
        }
    }

    /// The one revision that will do.
    pub(crate) fn revision(&self) -> Option<Revision> {
        self.revision
    }

    /// A client that can be told more before it connects.
    pub(crate) fn connect(&self) -> Connect {
        let mut connect = match &self.place {
            Place::Address(url) => Client::connect(url),
            Place::Program(_, command) => Client::stdio(command.clone()),
        };
        connect = connect.transport(self.transport);
        for (name, value) in &self.headers {
            connect = connect.header(name.clone(), value.clone());
        }
        for pem in &self.roots {
            connect = connect.root_certificates(pem);
        }
        if let (Place::Address(_), Who::Bearer(token)) = (&self.place, &self.who) {
            connect = connect.bearer(&token.0);
        }
        if let Some(oauth) = &self.oauth {
            connect = connect.authorize(oauth.clone());
        }
        match self.revision {
            Some(revision) => connect.revision(revision),
            None => connect,
        }
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the headers: there are secrets among them.
        f.debug_struct("Target").field("transport", &self.transport).finish_non_exhaustive()
    }
}

/// Whether this is the address of a server; `or_else`: what may stand there instead.
pub(super) fn check_address(url: &str, or_else: &str) -> Result<(), Stop> {
    if !(url.starts_with("http://") || url.starts_with("https://")) {
        return Err(Stop::usage(format!(
            "error: `{url}` is no address; begin with that of the server, such as http://127.0.0.1:8808/mcp{or_else}"
        )));
    }
    let authority = url.split("://").nth(1).and_then(|rest| rest.split(['/', '?', '#']).next());
    if authority.is_some_and(|authority| authority.contains('@')) {
        return Err(Stop::usage(
            "error: the address holds a user name or a password, which end up in logs; take them out, and send them with --header 'Authorization: Basic ..'",
        ));
    }
    Ok(())
}

fn parse_revision(date: &str) -> Result<Revision, Stop> {
    Revision::parse(date).ok_or_else(|| {
        let known = Revision::supported_dates();
        Stop::usage(format!("error: --revision: `{date}` is not known here; use one of {known}"))
    })
}

/// Reads `Name: value`.
fn parse_header(text: &str) -> Result<(HeaderName, HeaderValue), Stop> {
    let wrong = || {
        // What follows the colon may be a secret.
        let name = text.split(':').next().unwrap_or_default();
        Stop::usage(format!(
            "error: --header: `{name}` must be followed by a colon and a value, as in 'X-Name: value'"
        ))
    };
    let Some((name, value)) = text.split_once(':') else {
        return Err(Stop::usage(
            "error: --header: what was given has no colon; give a name and a value, as in 'X-Name: value'",
        ));
    };
    let name = HeaderName::try_from(name.trim()).map_err(|_| wrong())?;
    let mut value = HeaderValue::from_str(value.trim()).map_err(|_| wrong())?;
    value.set_sensitive(true);
    Ok((name, value))
}
