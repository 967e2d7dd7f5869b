//! The command line, in two layers: [`args`] is what was typed, [`settings`] is what it means, checked.
//!
//! The rest of the program sees only the second.

mod args;
mod duration;
mod settings;

use std::ffi::OsString;

use clap::Parser;

pub(crate) use args::LogFormat;
pub(crate) use settings::{Hosts, Serve};

use crate::Stop;
use args::{Args, Command};

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// Serve.
    Serve(Box<Serve>),
    /// Print this text: help or the version.
    Print(String),
}

/// Reads the command line, the program's name first, and the environment.
pub(crate) fn parse(line: impl IntoIterator<Item = OsString>) -> Result<Parsed, Stop> {
    match Args::try_parse_from(line) {
        Ok(Args { command: Command::Serve(args) }) => Ok(Parsed::Serve(Box::new(Serve::check(args)?))),
        Err(error) if error.use_stderr() => Err(Stop::usage(error.render().to_string())),
        Err(text) => Ok(Parsed::Print(text.render().to_string())),
    }
}

#[cfg(test)]
mod tests;
