//! Challenges as servers write them: <https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1>.

use super::{AuthScheme, Challenge, ChallengeError};
use crate::auth::ScopeSet;

/// Bytes of all headers together that are looked at: what servers take of a whole request head, and many times what
/// any challenge needs.
const MAX_BYTES: usize = 8 * 1024;

/// Challenges that are kept. Servers send one to three.
const MAX_CHALLENGES: usize = 16;

/// Characters of a description that are kept: some sentences, for a person to read.
const MAX_DESCRIPTION: usize = 512;

/// Algorithms that are kept of one challenge: twice as many as are registered for signatures.
const MAX_ALGS: usize = 32;

pub(super) fn all<'a>(values: impl Iterator<Item = &'a [u8]>) -> Vec<Challenge> {
    let mut challenges = Vec::new();
    let mut left = MAX_BYTES;
    for value in values {
        let value = &value[..value.len().min(left)];
        left -= value.len();
        Reader { rest: value }.challenges(&mut challenges);
        if left == 0 {
            break;
        }
    }
    challenges
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn challenges(&mut self, found: &mut Vec<Challenge>) {
        // A parameter belongs to the challenge before it in the same value; what comes before the first scheme belongs
        // to none.
        let mut current = None;
        loop {
            self.skip(|byte| matches!(byte, b' ' | b'\t' | b','));
            if self.rest.is_empty() {
                break;
            }
            let name = self.token();
            if name.is_empty() {
                // Nothing that begins anything: on to the next comma.
                self.skip_element();
            } else if self.takes_equals() {
                let value = self.value();
                if let Some(challenge) = current.and_then(|at: usize| found.get_mut(at)) {
                    set(challenge, name, value);
                }
            } else if found.len() == MAX_CHALLENGES {
                return;
            } else {
                current = Some(found.len());
                found.push(Challenge::new(AuthScheme::named(name)));
                self.skip_token68();
            }
        }
    }

    /// The longest run of bytes that make a name.
    fn token(&mut self) -> &'a str {
        let is_tchar = |byte: &u8| super::is_token_char(char::from(*byte));
        let end = self.rest.iter().position(|byte| !is_tchar(byte)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        std::str::from_utf8(token).unwrap_or_default()
    }

    /// Goes beyond `=` and the white space around it, if that is what comes.
    fn takes_equals(&mut self) -> bool {
        let before = self.rest;
        self.skip(is_space);
        if let [b'=', rest @ ..] = self.rest {
            self.rest = rest;
            self.skip(is_space);
            return true;
        }
        self.rest = before;
        false
    }

    /// What follows `=`: a quoted text, or everything up to a comma or white space, because addresses come without quotes.
    fn value(&mut self) -> String {
        let [b'"', quoted @ ..] = self.rest else {
            let ends = |byte: &u8| matches!(byte, b',' | b' ' | b'\t');
            let end = self.rest.iter().position(ends).unwrap_or(self.rest.len());
            let (value, rest) = self.rest.split_at(end);
            self.rest = rest;
            return String::from_utf8_lossy(value).into_owned();
        };
        self.rest = quoted;
        let mut value = Vec::new();
        while let [byte, rest @ ..] = self.rest {
            self.rest = rest;
            match (byte, rest) {
                (b'"', _) => break,
                (b'\\', [escaped, after @ ..]) => {
                    value.push(*escaped);
                    self.rest = after;
                }
                (byte, _) => value.push(*byte),
            }
        }
        String::from_utf8_lossy(&value).into_owned()
    }

    /// Behind a scheme there may be one text without a name, in a form of its own; none of the schemes here has one.
    fn skip_token68(&mut self) {
        let before = self.rest;
        self.skip(is_space);
        let is_68 = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
        let start = self.rest;
        self.skip(is_68);
        let some = self.rest.len() < start.len();
        self.skip(|byte| byte == b'=');
        self.skip(is_space);
        if !some || !matches!(self.rest, [] | [b',', ..]) {
            self.rest = before;
        } else if start.len() == before.len() {
            // Not set off from the scheme: it is no text of its own.
            self.rest = before;
        }
    }

    /// Up to the next comma that is not in quotes; always at least one byte.
    fn skip_element(&mut self) {
        while let [byte, rest @ ..] = self.rest {
            if *byte == b'"' {
                self.value();
                continue;
            }
            self.rest = rest;
            if *byte == b',' {
                break;
            }
        }
    }

    fn skip(&mut self, skipped: impl Fn(u8) -> bool) {
        while let [byte, rest @ ..] = self.rest
            && skipped(*byte)
        {
            self.rest = rest;
        }
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn set(challenge: &mut Challenge, name: &str, mut value: String) {
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    if is("realm") {
        challenge.realm.get_or_insert(value);
    } else if is("error") {
        challenge.error.get_or_insert_with(|| ChallengeError::named(&value));
    } else if is("error_description") {
        if let Some((end, _)) = value.char_indices().nth(MAX_DESCRIPTION) {
            value.truncate(end);
        }
        challenge.error_description.get_or_insert(value);
    } else if is("scope") {
        challenge.scope.get_or_insert_with(|| ScopeSet::parse_lossy(&value));
    } else if is("resource_metadata") {
        challenge.resource_metadata.get_or_insert(value);
    } else if is("algs") && challenge.algs.is_empty() {
        challenge.algs = value.split_ascii_whitespace().take(MAX_ALGS).map(str::to_owned).collect();
    }
}
