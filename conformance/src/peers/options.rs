//! The command line.

use clap::{Parser, ValueEnum};

/// Tries our client against a server of others.
#[derive(Debug, Parser)]
#[command(name = "peer-client")]
pub(crate) struct Options {
    /// How the client negotiates.
    #[arg(long, value_enum)]
    pub(crate) mode: Mode,
    /// Which server this is: what it offers and cannot do is known by this name.
    #[arg(long, value_name = "NAME")]
    pub(crate) peer: String,
    /// What the server serves.
    #[arg(long, value_enum)]
    pub(crate) transport: Transport,
    /// Where the server listens.
    #[arg(value_name = "URL", required_unless_present = "command")]
    url: Option<String>,
    /// A server to start, which speaks over its standard input and output.
    #[arg(last = true, value_name = "COMMAND", conflicts_with = "url")]
    command: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum Mode {
    /// It looks for the newest revision, and does with an older one.
    Auto,
    /// It starts with `initialize`.
    Legacy,
    /// It insists on the newest revision.
    Modern,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum Transport {
    /// Streamable HTTP, with sessions where the revision has them.
    Http,
    /// Streamable HTTP without sessions.
    Stateless,
    /// HTTP+SSE.
    Sse,
    /// A child process.
    Stdio,
}

/// Where the server is.
#[derive(Debug, PartialEq)]
pub(crate) enum Place<'a> {
    Url(&'a str),
    /// A program and its arguments.
    Command(&'a [String]),
}

impl Options {
    /// The URL or the command, of which there is exactly one.
    pub(crate) fn place(&self) -> Place<'_> {
        match &self.url {
            Some(url) => Place::Url(url),
            None => Place::Command(&self.command),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options, clap::Error> {
        Options::try_parse_from(format!("peer-client {line}").split_whitespace())
    }

    #[test]
    fn a_server_is_a_url_or_a_command() {
        let options = parsed("--mode auto --peer python --transport http http://127.0.0.1:1/mcp").unwrap();
        assert_eq!((options.mode, options.transport), (Mode::Auto, Transport::Http));
        assert_eq!(options.peer, "python");
        assert_eq!(options.place(), Place::Url("http://127.0.0.1:1/mcp"));
        let options = parsed("--mode legacy --peer x --transport stdio -- node --port 1").unwrap();
        assert_eq!(options.place(), Place::Command(&["node".into(), "--port".into(), "1".into()]));
    }

    #[test]
    fn neither_or_both_are_refused() {
        let start = "--mode modern --peer x --transport stdio";
        parsed(start).unwrap_err();
        parsed(&format!("{start} --")).unwrap_err();
        parsed(&format!("{start} http://x -- node")).unwrap_err();
        parsed("--mode new --peer x --transport stdio -- node").unwrap_err();
    }
}
