//! `conformance-server`: the server that the official conformance suite and the clients of other projects are run
//! against.
//!
//! It offers what the suite asks for by name, and is written as any server is: with the public items of `throughline`
//! alone. The names are the suite's; what each has to do is told by `list` and the scenarios' descriptions in the suite.

mod media;
mod prompts;
mod questions;
mod resources;
mod rounds;
mod tools;

use std::io::{self, Write};
use std::net::SocketAddr;

use clap::{Parser, ValueEnum};
use throughline::model::LoggingLevel;
use throughline::{ResponseMode, Server, StreamableHttp, serve};

/// Serves the fixtures of the MCP conformance suite over Streamable HTTP at /mcp.
#[derive(Parser)]
#[command(name = "conformance-server")]
struct Options {
    /// Serve over standard input and output instead of HTTP.
    #[arg(long)]
    stdio: bool,
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8001")]
    listen: SocketAddr,
    /// How a POST with requests is answered. The suite checks more of answers that are streams.
    #[arg(long, value_enum, default_value_t = Mode::Sse)]
    response_mode: Mode,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    /// As JSON when the answer is the first thing to send, else as a stream: the library's default.
    Adaptive,
    /// As a stream.
    Sse,
}

impl From<Mode> for ResponseMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Adaptive => Self::Adaptive,
            Mode::Sse => Self::Sse,
        }
    }
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let options = Options::parse();
    tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(false).init();

    let server = Server::new("throughline-conformance", env!("CARGO_PKG_VERSION"))
        .instructions("Fixtures of the MCP conformance suite; nothing here is of use otherwise.");
    let server = tools::register(server);
    let server = rounds::register(questions::register(server));
    let server = resources::register(prompts::register(server));
    // The suite expects messages of this level without setting one.
    let log_level = LoggingLevel::Info;
    if options.stdio {
        return server.stdio().log_level(log_level).await;
    }
    let endpoint = StreamableHttp::builder(server)
        .response_mode(options.response_mode.into())
        .log_level(log_level)
        .build();

    let listener = tokio::net::TcpListener::bind(options.listen).await?;
    let address = listener.local_addr()?;
    let mut stdout = io::stdout();
    writeln!(stdout, "listening on http://{address}/mcp")?;
    stdout.flush()?;
    serve(listener, endpoint).await
}
