//! The answer of a login as a pasted line.

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::loopback::is_answer;
use super::stdin::Stdin;
use super::{PromptError, Redirect};

type Reader = Pin<Box<dyn AsyncRead + Send>>;

/// Lines of people, bounded. A clone reads on where the other one stopped.
#[derive(Clone)]
pub(super) struct Lines(Arc<Mutex<Buffered>>);

struct Buffered {
    input: Reader,
    /// What was read beyond the last line.
    rest: Zeroizing<Vec<u8>>,
}

/// What a person typed.
enum Line {
    Text(Zeroizing<String>),
    TooLong,
    End,
}

impl Lines {
    pub(super) fn new(input: impl AsyncRead + Send + 'static) -> Self {
        let rest = Zeroizing::new(Vec::new());
        Self(Arc::new(Mutex::new(Buffered { input: Box::pin(input), rest })))
    }

    /// The lines of standard input.
    pub(super) fn of_stdin() -> Result<Self, PromptError> {
        let why = "standard input cannot be read; start the login again";
        Ok(Self::new(Stdin::open().map_err(|error| PromptError::caused(why, error))?))
    }
}

impl Buffered {
    /// # Cancel safety
    ///
    /// What was read stays for the next call, except for the rest of a line that is too long.
    async fn line(&mut self) -> io::Result<Line> {
        let mut too_long = false;
        let mut chunk = Zeroizing::new([0; 1024]);
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line = Zeroizing::new(self.rest.drain(..=end).collect::<Vec<u8>>());
                if too_long || line.len() > MOST_LINE_BYTES {
                    return Ok(Line::TooLong);
                }
                return Ok(Line::Text(Zeroizing::new(String::from_utf8_lossy(&line).trim().to_owned())));
            }
            if self.rest.len() > MOST_LINE_BYTES {
                // Its end is waited for, as the next line begins there.
                too_long = true;
                self.rest.clear();
            }
            match self.input.read(&mut chunk[..]).await? {
                0 if self.rest.is_empty() => return Ok(Line::End),
                // The last line need not have an end.
                0 => self.rest.push(b'\n'),
                count => self.rest.extend_from_slice(&chunk[..count]),
            }
        }
    }
}

/// What a pasted line is checked against.
pub(super) struct Pasted<'a> {
    pub(super) redirect_uri: &'a str,
    pub(super) state: &'a str,
    pub(super) tell: &'a (dyn Fn(&str) + Send + Sync),
}

impl Pasted<'_> {
    /// Reads lines until one is the answer.
    pub(super) async fn read(&self, lines: &Lines) -> Result<Redirect, PromptError> {
        let mut lines = lines.0.lock().await;
        for _ in 0..MOST_LINES {
            let line = lines.line().await.map_err(|error| {
                PromptError::caused("the pasted line could not be read; start the login again", error)
            })?;
            let told = match line {
                Line::End => {
                    return Err(PromptError::declined(
                        "the input ended before the login was finished; start it again",
                    ));
                }
                Line::TooLong => {
                    "That line is too long. Copy the address that the browser ended up at, and paste it here."
                }
                Line::Text(line) if line.is_empty() => continue,
                Line::Text(line) => match self.understand(&line) {
                    Ok(redirect) => return Ok(redirect),
                    Err(told) => told,
                },
            };
            (self.tell)(told);
        }
        Err(PromptError::declined("no pasted line was the answer of the login; start it again"))
    }

    /// The answer in a line: the whole address, its query, or the code alone. A code alone brings no `state` and no `iss`; that
    /// it belongs to this login is known at the token endpoint, by PKCE.
    fn understand(&self, line: &str) -> Result<Redirect, &'static str> {
        const FOREIGN: &str = "That is not the answer of this login. Copy the address that the browser ended up at, and paste it here.";
        let query = match line.strip_prefix(self.redirect_uri) {
            Some(rest) => rest.strip_prefix('?').ok_or(FOREIGN)?,
            None if line.contains("://") => return Err(FOREIGN),
            None => line.strip_prefix('?').unwrap_or(line),
        };
        let query = query.split('#').next().unwrap_or_default();
        let query = if query.contains('=') && query.contains("state") {
            if !is_answer(query, self.state) {
                return Err(FOREIGN);
            }
            Zeroizing::new(query.to_owned())
        } else {
            if line.starts_with(self.redirect_uri) || !is_code(query) {
                return Err(FOREIGN);
            }
            let mut written = form_urlencoded::Serializer::new(String::new());
            written.append_pair("code", query).append_pair("state", self.state);
            Zeroizing::new(written.finish())
        };
        Redirect::new(format!("{}?{}", self.redirect_uri, *query)).map_err(|_| FOREIGN)
    }
}

/// Whether it can be a code ([RFC 6749](https://www.rfc-editor.org/rfc/rfc6749#appendix-A.11)); nobody types a space.
fn is_code(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The most bytes of a line, its end included: as long as an answer may be.
const MOST_LINE_BYTES: usize = Redirect::MAX_BYTES;
/// How many lines are tried. Who pastes the wrong thing does so a few times; a program that writes nonsense does not stop.
const MOST_LINES: u32 = 20;
