//! `peer-client`: our client against a server of others, one server, transport and mode a process.
//!
//! It prints a line for each check, `ok NAME` or `FAIL NAME: why`, and exits with 1 when one failed. What the servers offer
//! is told in `conformance/peers/README.md`; `cargo xtask peers` starts them and counts the checks.
#![allow(clippy::print_stdout, reason = "a check is a line there")]

mod checks;
mod everything;
mod fixtures;
mod meeting;
mod options;
mod relay;
mod shared;

use checks::Checks;
use clap::Parser;
use meeting::Meeting;
use options::Options;
use std::process::ExitCode;

fn main() -> ExitCode {
    let meeting = Meeting::new(Options::parse());
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("the operating system gives a runtime what it needs");
    let mut checks = Checks::default();
    runtime.block_on(async {
        match &*meeting.options.peer {
            "everything" => everything::check(&meeting, &mut checks).await,
            _ => fixtures::check(&meeting, &mut checks).await,
        }
    });
    if checks.all_passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
