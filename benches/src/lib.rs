//! The load lab: targets, a load generator, and what compares them.
//!
//! ```text
//!   lab (this process, not pinned)
//!    |-- a target    child, pinned to the first core, prints its address
//!    `-- generate    child, pinned to the second core, prints one line of JSON
//! ```
//!
//! `BENCHMARKING.md` says how to use it, what it measures and what not; `benches/README.md` how it is built and how a
//! target is added.
//!
//! ```text
//!   lab/        rounds, turns, progress            counted/    instructions, system calls, gates
//!      |  \_______________________________________/  |
//!   report/     table, JSON, picture                 |
//!      |                                             |
//!   process/    children, pinned, with a deadline ---+
//!      |
//!   generator/  one file per scenario              target/     one file per server
//!      |                                             |
//!   client/     clients against the floor
//!   soak/       minutes of everything at once, and whether the server levels off
//!   scenario/   what is asked of a target, and what it must offer for that
//!   echo.rs     what goes over the wire
//! ```

mod client;
mod counted;
mod echo;
mod generator;
mod lab;
mod peer;
mod process;
mod report;
mod scenario;
mod soak;
mod target;

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Any failure of the lab: a sentence for the person who runs it.
type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// Tells the live heap bytes of this process, where the allocator counts.
pub type LiveHeap = fn() -> usize;

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
    Instructions(counted::instructions::Options),
    /// Counts system calls per request under strace: writes per reply, above all
    Writes(counted::writes::Options),
    /// Counts ours and fails where a gate is not met
    Gates(counted::gates::Options),
    /// Measures clients, ours and another, against the floor
    Client(client::Options),
    /// Draws the picture of figures that were kept with --json
    Picture(report::picture::Options),
    /// Puts the binary under a mixed load with churn for minutes, and judges whether it levels off
    Soak(soak::Options),
    /// Serves one target until its standard input is closed (started by the lab)
    #[command(hide = true)]
    Target(target::serve::Options),
    /// Runs our client against an address as the lab tells it to (started by the lab)
    #[command(hide = true)]
    Drive(client::ours::Options),
    /// Sends load to an address and prints what it measured as JSON (started by the lab)
    #[command(hide = true)]
    Generate(generator::Options),
}

/// Runs the program. `heap` where the allocator counts.
pub fn run(heap: Option<LiveHeap>) -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        None => lab::run(&arguments.lab),
        Some(Command::Instructions(options)) => counted::instructions::run(&options),
        Some(Command::Writes(options)) => counted::writes::run(&options),
        Some(Command::Gates(options)) => counted::gates::run(&options),
        Some(Command::Client(options)) => client::run(&options),
        Some(Command::Picture(options)) => report::picture::run(&options),
        Some(Command::Soak(options)) => soak::run(&options),
        Some(Command::Target(options)) => target::serve::run(&options, heap),
        Some(Command::Drive(options)) => client::ours::run(&options),
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
