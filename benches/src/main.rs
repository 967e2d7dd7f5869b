//! The load lab: targets, a load generator, and what compares them.
//!
//! ```text
//!   lab (this process, not pinned)
//!    |-- target floor | us     child, pinned to the first core, prints its address
//!    `-- generate              child, pinned to the second core, prints one line of JSON
//! ```
//!
//! Absolute figures belong to one machine on one day. What is worth comparing is the ratio to the
//! floor, a server that does the least work possible, measured in turns in the same run. The method
//! and its limits are described in `benches/README.md`.

mod echo;
mod floor;
mod generator;
mod instructions;
mod lab;
mod process;
mod scenario;
mod syscalls;
mod target;
mod us;

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Any failure of the lab: a sentence for the person who runs it.
type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

#[derive(Parser)]
#[command(name = "throughline-benches", about = "Measures servers side by side under the same load")]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    lab: lab::Options,
}

#[derive(Subcommand)]
enum Command {
    /// Counts user-space instructions per request under callgrind
    Instructions(instructions::Options),
    /// Counts system calls per request under strace: writes per reply, above all
    Writes(syscalls::Options),
    /// Serves one target until its standard input is closed (started by the lab)
    Target(target::Options),
    /// Sends load to an address and prints what it measured as JSON (started by the lab)
    Generate(generator::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        None => lab::run(&arguments.lab),
        Some(Command::Instructions(options)) => instructions::run(&options),
        Some(Command::Writes(options)) => syscalls::run(&options),
        Some(Command::Target(options)) => target::run(&options),
        Some(Command::Generate(options)) => generator::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do when the error stream itself is closed.
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}
