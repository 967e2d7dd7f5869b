//! Secrets, given as themselves or as `@FILE`.

use std::fs::File;
use std::io::Read;

use super::args::Secret;
use crate::Stop;

/// The secret: what was given, or what the file holds that was named.
pub(super) fn read(flag: &str, given: Secret) -> Result<Secret, Stop> {
    let Some(path) = given.0.strip_prefix('@') else { return Ok(given) };
    let text = file(flag, path)?;
    match text.trim() {
        "" => Err(Stop::usage(format!("error: {flag}: \"{path}\" is empty; give a file with a secret."))),
        secret if secret.contains('\n') => Err(Stop::usage(format!(
            "error: {flag}: \"{path}\" has more than one line; give a file with the secret alone."
        ))),
        secret => Ok(Secret(secret.to_owned())),
    }
}

/// The text of a file with secrets.
pub(super) fn file(flag: &str, path: &str) -> Result<String, Stop> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MOST + 1).read_to_string(&mut text));
    match read {
        Ok(bytes) if bytes as u64 > MOST => Err(Stop::usage(format!(
            "error: {flag}: \"{path}\" is too large for a file with secrets; give the right one."
        ))),
        Ok(_) => Ok(text),
        Err(error) => Err(Stop::usage(format!(
            "error: {flag}: \"{path}\" cannot be read ({error}); give a file with a secret."
        ))),
    }
}

/// Bytes of a file with secrets: a few dozen lines, or one long token, and whoever names another file by mistake learns of it.
const MOST: u64 = 16 * 1024;
