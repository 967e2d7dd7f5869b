//! What people are told at a terminal.

use std::io::{self, Write};

use super::PromptError;

/// Writes a line to standard error.
pub(super) fn on_stderr(line: &str) -> Result<(), PromptError> {
    writeln!(io::stderr(), "{line}").map_err(|error| {
        PromptError::caused("standard error cannot be written to, so nobody can be asked", error)
    })
}

/// A text of a server as it may be shown at a terminal: without control characters, which could rewrite the screen, and
/// without those that turn the direction of text around; cut after 8 KiB, which no address in use has.
pub(super) fn plain(text: &str) -> String {
    let shown = |c: &char| {
        !c.is_control()
            && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().filter(shown).take(MOST_SHOWN).collect()
}

const MOST_SHOWN: usize = 8 * 1024;
