//! `throughline key new`, and the file of the keys.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use throughline::auth::ApiKey;

use crate::Stop;
use crate::flags::NewKey;
use crate::terminal;

/// Makes a key, and says it once.
pub(crate) fn new(wanted: &NewKey) -> Result<(), Stop> {
    let mut random = [0; 32];
    getrandom::fill(&mut random)
        .map_err(|error| Stop::failure(format!("error: the system has no random bytes to give: {error}.")))?;
    let key = ApiKey::from_random(random);
    let digest = key.digest();
    let [a, b, c, d, ..] = digest.as_bytes();
    // As many as there are, they hardly meet.
    let name = wanted.name.clone().unwrap_or_else(|| format!("key-{a:02x}{b:02x}{c:02x}{d:02x}"));
    let mut line = format!("{digest} {name}");
    for scope in &wanted.scopes {
        line.push(' ');
        line.push_str(scope);
    }
    if let Some(file) = &wanted.file {
        add(file, &line).map_err(|error| {
            Stop::usage(format!("error: --file: {} cannot be written: {error}.", file.display()))
        })?;
    }
    if wanted.json {
        terminal::print(&serde_json::json!({ "key": key.expose(), "line": line }).to_string());
        return Ok(());
    }
    // First what it is, as on a terminal both are in one place.
    terminal::complain(&format!("A new key for {name}, shown this once:"));
    terminal::print(key.expose());
    terminal::complain(&match &wanted.file {
        Some(file) => {
            format!("Its digest is in {} for `throughline serve --auth key --auth-key-file`.", file.display())
        }
        None => format!("A line for the file of `throughline serve --auth key --auth-key-file`:\n{line}"),
    });
    Ok(())
}

/// Adds a line, to a file that nobody else can write.
fn add(file: &Path, line: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(file)?;
    let mut text = String::new();
    if !ends_line(&mut file)? {
        text.push('\n');
    }
    text.push_str(line);
    text.push('\n');
    // At once, so that two that add at the same time do not mix.
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Whether what follows is on a line of its own.
fn ends_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}
