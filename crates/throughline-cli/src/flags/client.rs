//! What was typed of the commands that speak with a server.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, ValueEnum};
use clap_complete::Shell;

use super::args::{Secret, WayArgs};
use super::duration;

/// Which server, and how to speak with it.
#[derive(Debug, ClapArgs)]
pub(super) struct ClientArgs {
    /// Start this program, and speak with it over its standard input and output. It gets a clean environment plus what
    /// --env names.
    #[arg(last = true, value_name = "CMD")]
    pub(super) program: Vec<String>,

    /// What is printed to standard output.
    #[arg(
        long,
        short,
        value_name = "FORMAT",
        env = "THROUGHLINE_OUTPUT",
        hide_env_values = true,
        default_value = "text"
    )]
    pub(super) output: Output,

    /// How long to wait for an answer; progress begins it anew.
    #[arg(long, value_name = "DURATION", env = "THROUGHLINE_TIMEOUT", hide_env_values = true, default_value = "60s", value_parser = duration::parse)]
    pub(super) timeout: Duration,

    /// How long a call may take in all, whatever its progress. Time in which you are asked something does not count.
    #[arg(long, value_name = "DURATION", env = "THROUGHLINE_MAX_TIME", hide_env_values = true, default_value = "1h", value_parser = duration::parse)]
    pub(super) max_time: Duration,

    /// Give CMD this variable, with this value or the one that it has here; may be repeated.
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub(super) env: Vec<Secret>,

    /// Offer this directory to the server as a root; may be repeated.
    #[arg(long, value_name = "DIR")]
    pub(super) root: Vec<PathBuf>,

    /// Answer the field KEY of the server's forms with this; may be repeated. What has an answer is not asked, and without
    /// a terminal a form is accepted when at least one of its fields has one and nothing that it requires is missing.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) answer: Vec<String>,

    /// The least severe log messages of the server to show.
    #[arg(
        long,
        value_name = "LEVEL",
        env = "THROUGHLINE_SERVER_LOG",
        hide_env_values = true,
        default_value = "info"
    )]
    pub(super) server_log: ServerLog,

    #[command(flatten)]
    pub(super) way: WayArgs,
}

#[derive(Debug, ClapArgs)]
pub(super) struct CallArgs {
    /// Address of the server (not with -- CMD), the tool, and its arguments. A value is read as the type that the tool's input
    /// schema has for KEY: a number, true or false, text; lists are JSON or have commas; objects are JSON. KEY:=JSON is given to the
    /// tool as it is, whatever the schema says.
    #[arg(value_name = "URL TOOL KEY=VALUE", required = true)]
    pub(super) words: Vec<String>,

    /// The arguments, a JSON object: itself, @FILE, or - to read it from standard input. Nothing of it is checked here.
    #[arg(long, value_name = "JSON")]
    pub(super) json: Option<String>,

    #[command(flatten)]
    pub(super) client: ClientArgs,
}

#[derive(Debug, ClapArgs)]
pub(super) struct ListArgs {
    /// Address of the server (not with -- CMD), and which lists: tools, resources, templates, prompts [default: all that the
    /// server has].
    #[arg(value_name = "URL LIST")]
    pub(super) words: Vec<String>,

    #[command(flatten)]
    pub(super) client: ClientArgs,
}

#[derive(Debug, ClapArgs)]
pub(super) struct ReadArgs {
    /// Address of the server (not with -- CMD), and the URI of the resource.
    #[arg(value_name = "URL URI", required = true)]
    pub(super) words: Vec<String>,

    #[command(flatten)]
    pub(super) client: ClientArgs,
}

#[derive(Debug, ClapArgs)]
pub(super) struct PromptArgs {
    /// Address of the server (not with -- CMD), the prompt, and its arguments.
    #[arg(value_name = "URL NAME KEY=VALUE", required = true)]
    pub(super) words: Vec<String>,

    #[command(flatten)]
    pub(super) client: ClientArgs,
}

#[derive(Debug, ClapArgs)]
pub(super) struct PingArgs {
    /// Address of the server (not with -- CMD).
    #[arg(value_name = "URL")]
    pub(super) words: Vec<String>,

    #[command(flatten)]
    pub(super) client: ClientArgs,
}

#[derive(Debug, ClapArgs)]
pub(super) struct CompletionsArgs {
    /// Which shell.
    pub(super) shell: Shell,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Text,
    /// For programs: what the server answered, as one line.
    Json,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(super) enum ServerLog {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
    /// None of them.
    Off,
}

/// The exit codes, below the help of each command.
pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0    it worked
  1    it failed: the server cannot be reached, answered with an error, or broke the protocol
  2    another command line is needed
  3    the tool ran and says that its work failed
  4    no answer in time, or the connection was lost for good: it may or may not have run
  5    the server does not let you in (401, 403), or the login failed
  130  interrupted: the server was told; a second Ctrl-C ends at once";
