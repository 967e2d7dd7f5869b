//! `login-peer`: servers of ours that are locked, and our client that logs in, with an authorization server of others.
//!
//! `login-peer serve --issuer URL` serves one for clients of others; its first line says where. `login-peer check --issuer URL`
//! has servers of its own, and prints a line for each check, `ok NAME` or `FAIL NAME: why`; it exits with 1 when one failed.
//! The authorization server is told of in `conformance/peers/README.md`; `cargo xtask peers` starts it and counts the
//! checks.
#![allow(clippy::print_stdout, reason = "a check is a line there")]

#[path = "../peers/checks.rs"]
mod checks;
mod locked;
mod logins;
mod person;
#[path = "../web.rs"]
mod web;

use checks::{Checked, Checks};
use clap::{Parser, Subcommand};
use locked::{Kind, Locked};
use person::Person;
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(name = "login-peer", about = "Servers of ours that are locked, and our client that logs in.")]
struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Serves a locked server until it is ended.
    Serve {
        /// The authorization server.
        #[arg(long)]
        issuer: String,
    },
    /// Has our client log in to servers of its own, and prints a line for each check.
    Check {
        /// The authorization server.
        #[arg(long)]
        issuer: String,
    },
}

fn main() -> ExitCode {
    let options = Options::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG)
        .init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("the operating system gives a runtime what it needs");
    match runtime.block_on(run(options.what)) {
        Ok(code) => code,
        Err(error) => {
            println!("FAIL start: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(what: What) -> Checked<ExitCode> {
    match what {
        What::Serve { issuer } => {
            let server = Locked::start(&issuer, Kind::Jwt).await?;
            println!("listening on {}", server.url);
            std::future::pending().await
        }
        What::Check { issuer } => {
            let mut checks = Checks::default();
            logins::check(&Person::new(issuer), &mut checks).await;
            Ok(if checks.all_passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}
