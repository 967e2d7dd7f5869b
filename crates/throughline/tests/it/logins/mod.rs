//! Logins of several programs of one user: real processes, one store in files, one authorization server.
//!
//! The processes are this test program once more, told by its environment to be one of them ([`child`]).

pub(crate) mod child;
mod issuer;
mod processes;

use std::path::Path;

use throughline::auth::oauth::{Record, RecordKey};

/// What a login is for.
fn key() -> RecordKey {
    RecordKey::login("https://mcp.example.com/mcp", "it")
}

/// A record that is too long to be written at once, of one letter.
fn long_record(letter: char) -> Record {
    Record::of(&letter.to_string().repeat(200_000)).unwrap()
}

/// The names in a directory.
fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
