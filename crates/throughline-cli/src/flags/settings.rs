//! What the command line means, checked.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use http::uri::PathAndQuery;
use throughline::{AfterRestart, Era, KeyRing, ResponseMode};
use tracing_subscriber::EnvFilter;

use super::LogFormat;
use super::args::{self, Response, Secret, ServeArgs, Then};
use super::guard::Guard;
use super::secret;
use crate::Stop;

/// How to serve.
#[derive(Debug)]
pub(crate) struct Serve {
    /// Over standard input and output, and not over HTTP.
    pub(crate) stdio: bool,
    /// `host:port`; the host may be a name.
    pub(crate) listen: String,
    /// Where the endpoint is: begins with `/`, no query.
    pub(crate) path: String,
    /// Where HTTP+SSE is served, if it is.
    pub(crate) sse: Option<SsePaths>,
    pub(crate) era: Era,
    pub(crate) mode: ResponseMode,
    pub(crate) stateless: bool,
    /// Where sessions are kept.
    pub(crate) data: Option<PathBuf>,
    pub(crate) interrupted: AfterRestart,
    /// `None`: a random key.
    pub(crate) seal: Option<KeyRing>,
    pub(crate) guard: Guard,
    pub(crate) origins: Vec<String>,
    pub(crate) hosts: Hosts,
    pub(crate) max_sessions: usize,
    pub(crate) idle_timeout: Duration,
    pub(crate) keep_alive: Duration,
    pub(crate) page_size: usize,
    pub(crate) shutdown_grace: Duration,
    pub(crate) log: EnvFilter,
    pub(crate) log_format: LogFormat,
}

/// The paths of HTTP+SSE, like that of the endpoint.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct SsePaths {
    pub(crate) stream: String,
    pub(crate) message: String,
}

/// Which hosts are answered to beside those of this machine.
#[derive(Debug)]
pub(crate) enum Hosts {
    Any,
    Named(Vec<String>),
}

impl Serve {
    pub(super) fn check(args: ServeArgs) -> Result<Self, Stop> {
        // A variable that is set to nothing names nobody.
        let named = |list: Vec<String>| list.into_iter().filter(|name| !name.is_empty()).collect::<Vec<_>>();
        let hosts = named(args.allow_host);
        if args.idle_timeout.is_zero() {
            return Err(wrong(
                "--idle-timeout",
                "0",
                "would end every session at once; give a time such as 30m",
            ));
        }
        // A variable that is set to nothing names no directory.
        let data = args.data.filter(|data| !data.as_os_str().is_empty());
        if let Some(data) = &data {
            let without_sessions = [
                (args.stdio, "--stdio"),
                (args.stateless, "--stateless"),
                (matches!(args.era, args::Era::Modern), "--era modern"),
            ];
            if let Some((_, flag)) = without_sessions.into_iter().find(|(given, _)| *given) {
                let why =
                    format!("is for sessions to be kept in, and {flag} has none; leave one of the two out");
                return Err(wrong("--data", &data.to_string_lossy(), &why));
            }
        }
        let path = check_path("--path", "/mcp", args.path)?;
        let sse = match args.sse {
            true => {
                let without_streams = [
                    (args.stdio, "--stdio serves no HTTP"),
                    (args.stateless, "--stateless keeps no sessions"),
                    (matches!(args.era, args::Era::Modern), "--era modern has no sessions"),
                ];
                if let Some((_, why)) = without_streams.into_iter().find(|(given, _)| *given) {
                    return Err(Stop::usage(format!(
                        "error: --sse: HTTP+SSE is sessions over HTTP, and {why}; leave one of the two out."
                    )));
                }
                Some(check_sse(&path, args.sse_path, args.sse_message_path)?)
            }
            false => None,
        };
        let guard = Guard::check(args.guard)?;
        if args.stdio && guard.lock.is_some() {
            return Err(Stop::usage(
                "error: --auth: whoever starts a server over standard input and output is let in, and --stdio serves no HTTP; leave one of the two out.",
            ));
        }
        Ok(Self {
            stdio: args.stdio,
            listen: check_listen(args.listen)?,
            path,
            sse,
            era: match args.era {
                args::Era::Hybrid => Era::Hybrid,
                args::Era::Modern => Era::Modern,
                args::Era::Legacy => Era::Legacy,
            },
            mode: match args.response {
                Response::Adaptive => ResponseMode::Adaptive,
                Response::Sse => ResponseMode::Sse,
                Response::Json => ResponseMode::Json,
            },
            stateless: args.stateless,
            data,
            interrupted: match args.interrupted {
                Then::Again => AfterRestart::RunAgain,
                Then::Fail => AfterRestart::Fail,
            },
            seal: read_seal_keys(&args.seal_key)?,
            guard,
            origins: named(args.allow_origin),
            hosts: if hosts.iter().any(|host| host == "*") { Hosts::Any } else { Hosts::Named(hosts) },
            max_sessions: usize::try_from(args.max_sessions).unwrap_or(usize::MAX),
            idle_timeout: args.idle_timeout,
            keep_alive: args.keep_alive,
            page_size: usize::try_from(args.page_size).unwrap_or(usize::MAX),
            shutdown_grace: args.shutdown_grace.unwrap_or(if args.stdio { STDIO_GRACE } else { GRACE }),
            log: EnvFilter::try_new(&args.log).map_err(|_| {
                wrong(
                    "--log",
                    &args.log,
                    "is no filter; give a level such as info, or info,throughline=debug",
                )
            })?,
            log_format: args.log_format,
        })
    }
}

/// The secrets as a ring, the first one sealing. An empty one, as of a variable that is set to nothing, is none.
fn read_seal_keys(secrets: &[Secret]) -> Result<Option<KeyRing>, Stop> {
    let mut ring: Option<KeyRing> = None;
    for Secret(given) in secrets {
        let text = match given.strip_prefix('@') {
            Some(path) => Cow::Owned(secret::file("--seal-key", path)?),
            None => Cow::Borrowed(given.as_str()),
        };
        for secret in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let added = match ring {
                None => KeyRing::from_secret(secret),
                Some(ring) => ring.with_older_secret(secret),
            };
            ring = Some(added.map_err(|weak| Stop::usage(format!("error: --seal-key: {weak}.")))?);
        }
        if given.starts_with('@') && ring.is_none() {
            return Err(wrong("--seal-key", &given[1..], "is empty; give a file with a secret"));
        }
    }
    Ok(ring)
}

/// `host:port`. Whether the host is one is the resolver's to say.
fn check_listen(listen: String) -> Result<String, Stop> {
    let fits = listen.rsplit_once(':').is_some_and(|(host, port)| {
        let bracketed = host.starts_with('[') && host.ends_with(']');
        !host.is_empty() && (bracketed || !host.contains(':')) && port.parse::<u16>().is_ok()
    });
    if fits {
        Ok(listen)
    } else {
        Err(wrong(
            "--listen",
            &listen,
            "is no address; give a host and a port, such as 127.0.0.1:8808 or [::1]:8808",
        ))
    }
}

/// A path that a request's can be equal to.
fn check_path(flag: &str, example: &str, path: String) -> Result<String, Stop> {
    let fits =
        path.starts_with('/') && path.parse::<PathAndQuery>().is_ok_and(|parsed| parsed.path() == path);
    if !fits {
        let why = format!("is no path; give one that begins with a slash, such as {example}");
        return Err(wrong(flag, &path, &why));
    }
    if crate::serve::HEALTH_PATHS.contains(&path.as_str()) {
        let why = format!("is where the server says how it is; give another, such as {example}");
        return Err(wrong(flag, &path, &why));
    }
    Ok(path)
}

/// The two paths of HTTP+SSE beside that of the endpoint.
fn check_sse(endpoint: &str, stream: String, message: String) -> Result<SsePaths, Stop> {
    let stream = check_path("--sse-path", "/sse", stream)?;
    let message = check_path("--sse-message-path", "/messages", message)?;
    for (flag, path) in [("--sse-path", &stream), ("--sse-message-path", &message)] {
        if path == endpoint {
            return Err(wrong(flag, path, "is the path of the MCP endpoint (--path); give another"));
        }
    }
    Ok(SsePaths { stream, message })
}

fn wrong(flag: &str, value: &str, why: &str) -> Stop {
    Stop::usage(format!("error: {flag}: \"{value}\" {why}."))
}

const GRACE: Duration = Duration::from_secs(10);
/// Clients kill a server that has not ended two seconds after its input did.
const STDIO_GRACE: Duration = Duration::from_secs(1);
