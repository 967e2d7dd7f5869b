//! What was typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand, ValueEnum};

use super::client::{CallArgs, CompletionsArgs, EXIT_CODES, ListArgs, PingArgs, PromptArgs, ReadArgs};
use super::duration;
use super::guard::GuardArgs;
use super::key::KeyArgs;
use super::login::{AtArgs, LoginArgs, WhoArgs};

/// Serves the Model Context Protocol (MCP) over Streamable HTTP, and speaks with servers of it.
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
    /// Bridge a client that only speaks stdio to a server elsewhere.
    ///
    /// It is a server over standard input and output, for clients that start their servers as programs: what they say
    /// travels to the server at URL, over whichever transport and revision that speaks, and back. A lost connection is
    /// resumed where the server can.
    Connect(ConnectArgs),
    /// Call a tool.
    ///
    /// Its result goes to standard output, everything else to standard error: progress (on a terminal), the server's log, and
    /// what the server asks. A form is asked field by field: Enter takes the value in brackets, or leaves out what is
    /// optional; on a field that must be filled in it declines the form. Ctrl-D closes the question without an answer, Ctrl-C
    /// cancels the call. A page is shown and never opened. Without a terminal the server is declined, but for what --answer
    /// answers.
    #[command(
        override_usage = "throughline call [OPTIONS] <URL> <TOOL> [KEY=VALUE]...\n       throughline call [OPTIONS] <TOOL> [KEY=VALUE]... -- <CMD>...",
        after_help = EXIT_CODES
    )]
    Call(CallArgs),
    /// List what a server has: tools with their arguments, resources, resource templates and prompts.
    #[command(
        override_usage = "throughline list [OPTIONS] <URL> [LIST]...\n       throughline list [OPTIONS] [LIST]... -- <CMD>...",
        after_help = EXIT_CODES
    )]
    List(ListArgs),
    /// Read a resource.
    #[command(
        override_usage = "throughline read [OPTIONS] <URL> <URI>\n       throughline read [OPTIONS] <URI> -- <CMD>...",
        after_help = EXIT_CODES
    )]
    Read(ReadArgs),
    /// Get a prompt.
    #[command(
        override_usage = "throughline prompt [OPTIONS] <URL> <NAME> [KEY=VALUE]...\n       throughline prompt [OPTIONS] <NAME> [KEY=VALUE]... -- <CMD>...",
        after_help = EXIT_CODES
    )]
    Prompt(PromptArgs),
    /// Find out what a server speaks: transport, revision, what it can and cannot do, and how long each step took.
    #[command(
        override_usage = "throughline ping [OPTIONS] <URL>\n       throughline ping [OPTIONS] -- <CMD>...",
        after_help = EXIT_CODES
    )]
    Ping(PingArgs),
    /// Log in at a server, with a browser.
    ///
    /// The other commands do so by themselves when a server asks for it, and connect too; this one does it beforehand, or anew. The
    /// login is kept in a file of yours that all of them share, and renewed while they use it.
    #[command(after_help = LOGIN_EXIT_CODES)]
    Login(LoginArgs),
    /// Forget the login at a server.
    ///
    /// Its tokens are given back to the authorization server, where that takes them.
    #[command(after_help = LOGIN_EXIT_CODES)]
    Logout(AtArgs),
    /// Tell what is known of the login at a server. The server is not asked.
    #[command(after_help = LOGIN_EXIT_CODES)]
    Whoami(AtArgs),
    /// Make keys that open a server of yours.
    Key(KeyArgs),
    /// Print the completions of a shell, to be read by it at its start.
    ///
    /// For bash: throughline completions bash > ~/.local/share/bash-completion/completions/throughline
    Completions(CompletionsArgs),
}

#[derive(Debug, ClapArgs)]
pub(super) struct ConnectArgs {
    /// Address of the server, such as https://mcp.example.com/mcp.
    #[arg(value_name = "URL")]
    pub(super) url: String,

    #[command(flatten)]
    pub(super) way: WayArgs,
}

/// How a server is reached.
#[derive(Debug, ClapArgs)]
pub(super) struct WayArgs {
    /// Send this header with every HTTP request, such as 'Authorization: Bearer ..'; may be repeated. @FILE takes one from
    /// each line of a file, which keeps secrets off the command line.
    #[arg(long, value_name = "NAME: VALUE", env = "THROUGHLINE_HEADER", hide_env_values = true)]
    pub(super) header: Vec<Secret>,

    #[command(flatten)]
    pub(super) who: WhoArgs,

    /// Which HTTP transport to use.
    #[arg(
        long,
        value_name = "TRANSPORT",
        env = "THROUGHLINE_TRANSPORT",
        hide_env_values = true,
        default_value = "auto"
    )]
    pub(super) transport: Transport,

    /// Speak this protocol revision, such as 2025-11-25, or fail [default: the newest that the server speaks].
    #[arg(long, value_name = "DATE")]
    pub(super) revision: Option<String>,

    /// Trust the certificates in this PEM file too; may be repeated.
    #[arg(long, value_name = "FILE")]
    pub(super) root_cert: Vec<PathBuf>,

    /// What is logged to standard error: a level, or a filter such as warn,throughline=debug.
    #[arg(
        long,
        value_name = "FILTER",
        env = "THROUGHLINE_LOG",
        hide_env_values = true,
        default_value = "warn"
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

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Transport {
    /// Whichever the server speaks.
    Auto,
    /// Streamable HTTP.
    Streamable,
    /// HTTP+SSE, of revision 2024-11-05.
    Sse,
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

    /// Serve the older HTTP+SSE transport too, for clients of revision 2024-11-05 and those that fall back to it.
    #[arg(long, env = "THROUGHLINE_SSE", hide_env_values = true, action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(super) sse: bool,

    /// Path where clients of HTTP+SSE open their stream.
    #[arg(
        long,
        value_name = "PATH",
        env = "THROUGHLINE_SSE_PATH",
        hide_env_values = true,
        default_value = "/sse"
    )]
    pub(super) sse_path: String,

    /// Path where they post their messages; it may be the same.
    #[arg(
        long,
        value_name = "PATH",
        env = "THROUGHLINE_SSE_MESSAGE_PATH",
        hide_env_values = true,
        default_value = "/messages"
    )]
    pub(super) sse_message_path: String,

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

    #[command(flatten)]
    pub(super) guard: GuardArgs,

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
pub(crate) struct Secret(pub(crate) String);

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

/// The exit codes of the commands about logins.
const LOGIN_EXIT_CODES: &str = "\
Exit codes:
  0    it worked
  1    something failed that has nothing to do with the login
  2    another command line is needed
  5    nobody is logged in
  130  interrupted";

/// How log lines look.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Human,
    /// One JSON object on each line.
    Json,
}
