use std::error::Error;
use std::fmt;
use std::str::FromStr;

use subtle::ConstantTimeEq as _;

use super::{Secret, base64url, from_base64url, sha256};

const PREFIX: &str = "tl_";
/// 32 bytes in base64url.
const BODY: usize = 43;
/// Three bytes in base64url: a key that was mistyped or cut passes once in 16 million.
const CHECK: usize = 4;

/// A key that an operator gives out: `tl_`, 32 random bytes in base64url, and four characters that tell a mistyped key from an
/// unknown one. The prefix lets scanners of source code find a key that was published by mistake.
///
/// A server keeps its [digest](ApiKey::digest) only, so nobody who reads the server's settings has the key.
///
/// ```
/// use throughline_proto::auth::ApiKey;
///
/// let key = ApiKey::from_random([7; 32]);
/// assert_eq!(key.expose(), "tl_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc_QxG");
/// let kept = key.digest().to_string();
/// assert!(kept.parse::<throughline_proto::auth::ApiKeyDigest>()?.matches(key.expose()));
/// # Ok::<(), throughline_proto::auth::InvalidApiKey>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey(Secret);

impl ApiKey {
    /// The key made of these bytes, which must be random.
    #[must_use]
    pub fn from_random(bytes: [u8; 32]) -> ApiKey {
        let mut text = format!("{PREFIX}{}", base64url(&bytes));
        text.push_str(&check_of(&text));
        ApiKey(Secret::new(text))
    }

    /// Reads a key, and so finds one that was mistyped or cut. White space around it does not count.
    ///
    /// # Errors
    ///
    /// When it has not the form of a key, or the last characters do not go with the others.
    pub fn parse(text: &str) -> Result<ApiKey, InvalidApiKey> {
        let text = text.trim();
        if !is_key(text) {
            return Err(InvalidApiKey(Why::Key));
        }
        Ok(ApiKey(Secret::new(text)))
    }

    /// The key's text. Whoever asks for it sees to it that it ends nowhere else.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// What a server keeps of it.
    #[must_use]
    pub fn digest(&self) -> ApiKeyDigest {
        ApiKeyDigest::of(self.expose())
    }
}

/// What a server keeps of a key: its SHA-256. Its text is `sha256:` and 64 hex digits.
///
/// A fast digest is enough: there is nothing to guess about 32 random bytes.
#[derive(Clone, Copy, Debug)]
pub struct ApiKeyDigest([u8; 32]);

impl ApiKeyDigest {
    /// The digest of a token that came with a request.
    #[must_use]
    pub fn of(token: &str) -> ApiKeyDigest {
        ApiKeyDigest(sha256(token.as_bytes()))
    }

    /// Is it the digest of this token? In a time that does not depend on where they differ.
    #[must_use]
    pub fn matches(&self, token: &str) -> bool {
        *self == ApiKeyDigest::of(token)
    }

    /// Its 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for ApiKeyDigest {
    fn eq(&self, other: &ApiKeyDigest) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for ApiKeyDigest {}

impl fmt::Display for ApiKeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(DIGEST_PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for ApiKeyDigest {
    type Err = InvalidApiKey;

    fn from_str(text: &str) -> Result<ApiKeyDigest, InvalidApiKey> {
        let read = || {
            let digits = text.trim().strip_prefix(DIGEST_PREFIX)?;
            if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return None;
            }
            let mut bytes = [0; 32];
            for (at, byte) in bytes.iter_mut().enumerate() {
                *byte = u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()?;
            }
            Some(ApiKeyDigest(bytes))
        };
        read().ok_or(InvalidApiKey(Why::Digest))
    }
}

const DIGEST_PREFIX: &str = "sha256:";

fn is_key(text: &str) -> bool {
    text.len() == PREFIX.len() + BODY + CHECK
        && text.is_ascii()
        && text.starts_with(PREFIX)
        && from_base64url(&text[PREFIX.len()..PREFIX.len() + BODY]).is_some()
        && check_of(&text[..PREFIX.len() + BODY]) == text[PREFIX.len() + BODY..]
}

fn check_of(text: &str) -> String {
    base64url(&sha256(text.as_bytes())[..3])
}

/// A text that is no key, or no digest of one. It repeats nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidApiKey(Why);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Key,
    Digest,
}

impl fmt::Display for InvalidApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Why::Key => {
                "this is no key of throughline: it begins with tl_ and has 50 characters; copy it again"
            }
            Why::Digest => {
                "this is no digest of a key: it is sha256: and 64 hex digits; make a key to get one"
            }
        })
    }
}

impl Error for InvalidApiKey {}

#[cfg(test)]
mod tests;
