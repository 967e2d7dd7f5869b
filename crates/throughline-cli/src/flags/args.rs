//! What was typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand, ValueEnum};

use super::duration;

/// Serves the Model Context Protocol (MCP) over Streamable HTTP.
#[derive(Debug, Parser)]
#[command(name = "throughline", version)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Serve the built-in demo: tools, prompts and live resources to try a client with.
    ///
    /// Each option can also be given as the environment variable named with it; the command line wins. Lists are
    /// separated by commas there.
    Serve(ServeArgs),
}

#[derive(Debug, ClapArgs)]
pub(super) struct ServeArgs {
    /// Serve the program that started this one, over standard input and output, instead of HTTP. What is below about
    /// addresses, hosts, sessions and responses has no effect then.
    #[arg(long, env = "THROUGHLINE_STDIO", hide_env_values = true, action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(super) stdio: bool,

    /// Address to listen on; port 0 takes any that is free.
    #[arg(
        long,
        value_name = "HOST:PORT",
        env = "THROUGHLINE_LISTEN",
        hide_env_values = true,
        default_value = "127.0.0.1:8808"
    )]
    pub(super) listen: String,

    /// Path of the MCP endpoint.
    #[arg(long, env = "THROUGHLINE_PATH", hide_env_values = true, default_value = "/mcp")]
    pub(super) path: String,

    /// Which clients are served.
    #[arg(
        long,
        value_name = "ERA",
        env = "THROUGHLINE_ERA",
        hide_env_values = true,
        default_value = "hybrid"
    )]
    pub(super) era: Era,

    /// How calls in a session are answered.
    #[arg(
        long,
        value_name = "MODE",
        env = "THROUGHLINE_RESPONSE",
        hide_env_values = true,
        default_value = "adaptive"
    )]
    pub(super) response: Response,

    /// Keep no sessions, also for clients that would open one: any instance can answer any request of theirs, but nothing can
    /// be asked, subscribed to or resumed.
    #[arg(long, env = "THROUGHLINE_STATELESS", hide_env_values = true, action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(super) stateless: bool,

    /// Keep sessions in this directory, which is made where it is not there: after a restart they go on, and what was sent
    /// can be resumed. Only one server at a time can use it [default: sessions end with the server].
    #[arg(long, value_name = "DIR", env = "THROUGHLINE_DATA", hide_env_values = true)]
    pub(super) data: Option<PathBuf>,

    /// What becomes of calls that ran when a server with --data was killed.
    #[arg(
        long,
        value_name = "THEN",
        env = "THROUGHLINE_INTERRUPTED",
        hide_env_values = true,
        default_value = "again"
    )]
    pub(super) interrupted: Then,

    /// Secret that seals what a call carries while it asks its client something, of at least 32 characters, or @FILE with
    /// one on each line; may be repeated, newest first: the others only open. Servers with the same one answer each
    /// other's rounds [default: a random one].
    #[arg(long, value_name = "SECRET", env = "THROUGHLINE_SEAL_KEY", hide_env_values = true)]
    pub(super) seal_key: Vec<Secret>,

    /// Let web pages of this origin call the server, such as https://app.example.com; may be repeated.
    #[arg(
        long,
        value_name = "ORIGIN",
        env = "THROUGHLINE_ALLOW_ORIGIN",
        hide_env_values = true,
        value_delimiter = ','
    )]
    pub(super) allow_origin: Vec<String>,

    /// Answer to this host name beside those of this machine, such as mcp.example.com; `*` answers to any; may be
    /// repeated.
    #[arg(
        long,
        value_name = "HOST",
        env = "THROUGHLINE_ALLOW_HOST",
        hide_env_values = true,
        value_delimiter = ','
    )]
    pub(super) allow_host: Vec<String>,

    /// Most sessions at a time; further clients get 503.
    #[arg(long, value_name = "N", env = "THROUGHLINE_MAX_SESSIONS", hide_env_values = true, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) max_sessions: u32,

    /// End a session that has done nothing for this time, such as 45s, 30m or 1h30m.
    #[arg(long, value_name = "DURATION", env = "THROUGHLINE_IDLE_TIMEOUT", hide_env_values = true, default_value = "30m", value_parser = duration::parse)]
    pub(super) idle_timeout: Duration,

    /// Write a comment to a stream that was quiet for this time; 0 writes none.
    #[arg(long, value_name = "DURATION", env = "THROUGHLINE_KEEP_ALIVE", hide_env_values = true, default_value = "15s", value_parser = duration::parse)]
    pub(super) keep_alive: Duration,

    /// Most entries on a page of a list; fewer than there are let a client show that it takes the next page.
    #[arg(long, value_name = "N", env = "THROUGHLINE_PAGE_SIZE", hide_env_values = true, default_value_t = 250, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) page_size: u32,

    /// How long running calls may take to finish when the server is told to stop, or its input ends [default: 10s; 1s with
    /// --stdio].
    #[arg(long, value_name = "DURATION", env = "THROUGHLINE_SHUTDOWN_GRACE", hide_env_values = true, value_parser = duration::parse)]
    pub(super) shutdown_grace: Option<Duration>,

    /// What is logged to standard error: a level, or a filter such as info,throughline=debug.
    #[arg(
        long,
        value_name = "FILTER",
        env = "THROUGHLINE_LOG",
        hide_env_values = true,
        default_value = "info"
    )]
    pub(super) log: String,

    /// How it is logged.
    #[arg(
        long,
        value_name = "FORMAT",
        env = "THROUGHLINE_LOG_FORMAT",
        hide_env_values = true,
        default_value = "human"
    )]
    pub(super) log_format: LogFormat,
}

/// What must not be shown.
#[derive(Clone)]
pub(super) struct Secret(pub(super) String);

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Era {
    /// Those that open a session with initialize, and those of the revisions without sessions.
    Hybrid,
    /// Only those of the revisions without sessions.
    Modern,
    /// Only those that open a session with initialize.
    Legacy,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Response {
    /// One JSON body when the answer comes first, a stream of events otherwise.
    Adaptive,
    /// Always a stream of events.
    Sse,
    /// Always one JSON body: no progress, no log messages, and tools can ask nothing.
    Json,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Then {
    /// Those of tools that are idempotent run again, as all of the demo's are; others are answered with an error.
    Again,
    /// They are answered with an error.
    Fail,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Human,
    /// One JSON object on each line.
    Json,
}
