//! What was typed of the keys of a server.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

use crate::Stop;

#[derive(Debug, ClapArgs)]
pub(super) struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make a key that opens a server.
    ///
    /// The key goes to standard output, and is shown this once: give it to whoever is to come, who sends it with --bearer, or in
    /// the header `Authorization: Bearer KEY`. The server gets a line that holds only its digest: with --file it is
    /// added to the file that `throughline serve --auth key --auth-key-file FILE` reads, else it is shown on standard error.
    New(NewArgs),
}

#[derive(Debug, ClapArgs)]
struct NewArgs {
    /// Who the key is for: how the server calls whoever comes with it. Keys of the same name are the same person [default: a
    /// name of its own].
    #[arg(value_name = "NAME")]
    name: Option<String>,

    /// What it allows; may be repeated.
    #[arg(long, value_name = "SCOPE", value_delimiter = ',')]
    scope: Vec<String>,

    /// Add the line of the server to this file, which is made where it is not there.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Print one line of JSON to standard output, with `key` and `line`, and nothing to standard error.
    #[arg(long)]
    json: bool,
}

/// A key to be made.
#[derive(Debug)]
pub(crate) struct NewKey {
    /// One word.
    pub(crate) name: Option<String>,
    /// One word each.
    pub(crate) scopes: Vec<String>,
    pub(crate) file: Option<PathBuf>,
    pub(crate) json: bool,
}

impl NewKey {
    pub(super) fn check(args: KeyArgs) -> Result<Self, Stop> {
        let KeyCommand::New(args) = args.command;
        let scopes: Vec<_> = args.scope.into_iter().filter(|scope| !scope.is_empty()).collect();
        if let Some(word) = args.name.iter().chain(&scopes).find(|word| !is_word(word)) {
            return Err(Stop::usage(format!(
                "error: \"{}\" is no word; write names and scopes without spaces, quotes and other signs than . : / @ _ + -",
                word.escape_debug()
            )));
        }
        Ok(Self { name: args.name, scopes, file: args.file, json: args.json })
    }
}

/// What stands between spaces in the file of the keys.
fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MOST_BYTES
        && text.chars().all(|c| c.is_ascii_alphanumeric() || ".:/@_+-".contains(c))
}

/// More than an address for mail has.
const MOST_BYTES: usize = 256;
