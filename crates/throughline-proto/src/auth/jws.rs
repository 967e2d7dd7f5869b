use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use super::dpop::Jwk;
use super::{MAX_TOKEN, TokenFault, from_base64url, object};

/// A signed text in its compact form, taken apart and not checked
/// ([RFC 7515, 7.1](https://www.rfc-editor.org/rfc/rfc7515#section-7.1)): what a JWT and a DPoP proof are.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompactJws<'a> {
    /// What it says of itself.
    pub header: JoseHeader,
    /// What it says.
    pub payload: Vec<u8>,
    /// The text that was signed.
    pub signed: &'a str,
    /// The signature, in base64url.
    pub signature: &'a str,
}

impl std::fmt::Debug for CompactJws<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompactJws").field("header", &self.header).finish_non_exhaustive()
    }
}

/// The header of a signed text ([RFC 7515, 4.1](https://www.rfc-editor.org/rfc/rfc7515#section-4.1)). What could lead to a
/// key that the signer chose (`jku`, `x5u`, `x5c`) is passed over, and `jwk` is of use to a DPoP proof only.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct JoseHeader {
    /// The algorithm; see [`Algorithms::check`](super::Algorithms::check).
    pub alg: String,
    /// The kind of text; see [`Expectation::check_type`](super::Expectation::check_type).
    #[serde(default)]
    pub typ: Option<String>,
    /// The name of the key.
    #[serde(default)]
    pub kid: Option<String>,
    /// The key itself.
    #[serde(default, deserialize_with = "object::optional")]
    pub jwk: Option<Jwk>,
    #[serde(default, deserialize_with = "present")]
    crit: bool,
    #[serde(default, deserialize_with = "present")]
    b64: bool,
}

impl<'a> CompactJws<'a> {
    /// Takes a text of at most 8 KiB apart.
    ///
    /// # Errors
    ///
    /// [`TokenFault::Unreadable`] when it is longer, has not three parts of base64url, or a header that is none, or one with
    /// an extension that must be understood (`crit`): none is.
    pub fn parse(text: &'a str) -> Result<CompactJws<'a>, TokenFault> {
        if text.len() > MAX_TOKEN {
            return Err(TokenFault::Unreadable);
        }
        let read = || {
            let (signed, signature) = text.rsplit_once('.')?;
            let (header, payload) = signed.split_once('.')?;
            if signature.is_empty() || from_base64url(signature).is_none() {
                return None;
            }
            let header: JoseHeader = object::parse(&from_base64url(header)?).ok()?;
            if header.crit || header.b64 {
                return None;
            }
            Some(CompactJws { header, payload: from_base64url(payload)?, signed, signature })
        };
        read().ok_or(TokenFault::Unreadable)
    }
}

/// Is the member there, whatever it holds?
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

#[cfg(test)]
mod tests;
