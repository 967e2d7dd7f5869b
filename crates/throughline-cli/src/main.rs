//! The binary `throughline`.

mod demo;
mod flags;
mod serve;
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
        Err(stop) => Err(stop),
    };
    match stop {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => {
            terminal::complain(&stop.sentence);
            ExitCode::from(stop.code)
        }
    }
}

/// Why the program cannot go on.
#[derive(Debug)]
struct Stop {
    /// What to do about it.
    sentence: String,
    /// The exit code: 2 when another command line would help, 1 otherwise.
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
