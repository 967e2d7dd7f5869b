//! The binary `throughline`.

mod client;
mod connect;
mod demo;
mod flags;
mod key;
mod login;
mod serve;
mod signals;
mod terminal;

use std::process::ExitCode;

use flags::Parsed;

fn main() -> ExitCode {
    let stop = match flags::parse(std::env::args_os()) {
        Ok(Parsed::Print(text)) => {
            terminal::print(&text);
            return ExitCode::SUCCESS;
        }
        Ok(Parsed::Serve(settings)) => serve::run(*settings),
        Ok(Parsed::Connect(target)) => connect::run(*target),
        Ok(Parsed::Login(at)) => login::run(&at),
        Ok(Parsed::NewKey(wanted)) => key::new(&wanted),
        Ok(Parsed::Request(request)) => client::run(*request),
        Err(stop) => Err(stop),
    };
    match stop {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => {
            if !stop.sentence.is_empty() {
                terminal::complain(&stop.sentence);
            }
            ExitCode::from(stop.code)
        }
    }
}

/// Why the program cannot go on.
#[derive(Debug)]
struct Stop {
    /// What to do about it; empty when that was said.
    sentence: String,
    /// The exit code: 2 when another command line would help, 1 otherwise, or as the help of the command says.
    code: u8,
}

impl Stop {
    /// The command line, or the address in it, does not work here.
    fn usage(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), code: 2 }
    }

    /// Something failed that no other command line would help.
    fn failure(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), code: 1 }
    }
}
