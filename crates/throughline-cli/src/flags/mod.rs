//! The command line, in two layers: [`args`] is what was typed, [`settings`] is what it means, checked.
//!
//! The rest of the program sees only the second.

mod args;
mod client;
mod duration;
mod guard;
mod key;
mod login;
mod request;
mod secret;
mod settings;
mod target;

use std::ffi::OsString;

use clap::{CommandFactory, Parser};

pub(crate) use args::LogFormat;
pub(crate) use client::Output;
pub(crate) use guard::{By, Guard, Lock, TlsFiles};
pub(crate) use key::NewKey;
pub(crate) use login::{At, Login, Way, What};

pub(crate) use request::{Arguments, Ask, Given, List, Request};
pub(crate) use settings::{Hosts, Serve, SsePaths};
pub(crate) use target::Target;

use crate::Stop;
use args::{Args, Command};

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// Serve.
    Serve(Box<Serve>),
    /// Be a server over standard input and output that is another one, elsewhere.
    Connect(Box<Target>),
    /// Ask a server for something.
    Request(Box<Request>),
    /// Something about a login.
    Login(Box<At>),
    /// Make a key of a server.
    NewKey(NewKey),
    /// Print this text: help or the version.
    Print(String),
}

/// Reads the command line, the program's name first, and the environment.
pub(crate) fn parse(line: impl IntoIterator<Item = OsString>) -> Result<Parsed, Stop> {
    let command = match Args::try_parse_from(line) {
        Ok(Args { command }) => command,
        Err(error) if error.use_stderr() => return Err(Stop::usage(error.render().to_string())),
        Err(text) => return Ok(Parsed::Print(text.render().to_string())),
    };
    let request = |request| Parsed::Request(Box::new(request));
    Ok(match command {
        Command::Serve(args) => Parsed::Serve(Box::new(Serve::check(args)?)),
        Command::Connect(args) => Parsed::Connect(Box::new(Target::of_address(args)?)),
        Command::Call(args) => request(Request::call(args)?),
        Command::List(args) => request(Request::list(args)?),
        Command::Read(args) => request(Request::read(args)?),
        Command::Prompt(args) => request(Request::prompt(args)?),
        Command::Ping(args) => request(Request::ping(args)?),
        Command::Login(args) => Parsed::Login(Box::new(At::login(args)?)),
        Command::Logout(args) => Parsed::Login(Box::new(At::kept(What::LogOut, args)?)),
        Command::Whoami(args) => Parsed::Login(Box::new(At::kept(What::Tell, args)?)),
        Command::Key(args) => Parsed::NewKey(NewKey::check(args)?),
        Command::Completions(args) => Parsed::Print(completions(args.shell)),
    })
}

/// What a shell reads to complete a command line.
fn completions(shell: clap_complete::Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "throughline", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests;
