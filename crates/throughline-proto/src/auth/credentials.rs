use ::http::Uri;
use ::http::header::{AUTHORIZATION, HeaderMap};
use serde::{Deserialize, Serialize};

use super::TokenFault;

/// The longest token that is looked at, in bytes: what the usual servers and proxies take as one header. A JWT with many groups
/// in it has some 4,000.
pub const MAX_TOKEN: usize = 8 * 1024;

/// How a token is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TokenScheme {
    /// `Authorization: Bearer ..`: whoever has it may use it.
    Bearer,
    /// `Authorization: DPoP ..`: only with a proof ([`dpop`](super::dpop)).
    #[serde(rename = "DPoP")]
    Dpop,
}

impl TokenScheme {
    /// Its name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            TokenScheme::Bearer => "Bearer",
            TokenScheme::Dpop => "DPoP",
        }
    }
}

/// The token of a request. `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Credentials<'a> {
    /// How it was sent.
    pub scheme: TokenScheme,
    /// The token: 1 to 8192 characters of those that a token may have.
    pub token: &'a str,
}

impl std::fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

/// The token of a request: of its `Authorization` header, and nowhere else. It allocates nothing.
///
/// ```
/// use http::Request;
/// use throughline_proto::auth::{TokenFault, TokenScheme, credentials};
///
/// let request = Request::get("https://mcp.example.com/mcp").header("authorization", "Bearer abc.def").body(())?;
/// let found = credentials(request.headers(), request.uri())?;
/// assert_eq!((found.scheme, found.token), (TokenScheme::Bearer, "abc.def"));
///
/// let request = Request::get("https://mcp.example.com/mcp?access_token=abc.def").body(())?;
/// assert_eq!(credentials(request.headers(), request.uri()), Err(TokenFault::TokenInQuery));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Specification:
/// <https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization#token-requirements>.
///
/// # Errors
///
/// - [`TokenFault::Missing`] when there is no `Authorization`, or one of a scheme that has no token.
/// - [`TokenFault::Malformed`] when there are two: which of them counts is not for a server to guess.
/// - [`TokenFault::Unreadable`] when what follows the scheme is no token, or a too long one. That is an invalid token and no
///   malformed request, so a client that sent an empty one is told to log in.
/// - [`TokenFault::TokenInQuery`] when the address has an `access_token`, which ends up in logs and histories.
pub fn credentials<'a>(headers: &'a HeaderMap, uri: &Uri) -> Result<Credentials<'a>, TokenFault> {
    if uri.query().is_some_and(names_token) {
        return Err(TokenFault::TokenInQuery);
    }
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Err(TokenFault::Missing),
        (Some(value), None) => value.as_bytes(),
        (Some(_), Some(_)) => return Err(TokenFault::Malformed),
    };
    let end = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
    let (scheme, rest) = value.split_at(end);
    let scheme = if scheme.eq_ignore_ascii_case(b"bearer") {
        TokenScheme::Bearer
    } else if scheme.eq_ignore_ascii_case(b"dpop") {
        TokenScheme::Dpop
    } else {
        return Err(TokenFault::Missing);
    };
    let token = rest.trim_ascii();
    if !is_token(token) {
        return Err(TokenFault::Unreadable);
    }
    let token = std::str::from_utf8(token).map_err(|_| TokenFault::Unreadable)?;
    Ok(Credentials { scheme, token })
}

/// `b64token` of <https://www.rfc-editor.org/rfc/rfc6750#section-2.1>, of a bounded length.
fn is_token(text: &[u8]) -> bool {
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    let body = &text[..text.len() - padding];
    // All bytes, and no end at the first that is wrong: so it is a few instructions for a whole token.
    !body.is_empty() && text.len() <= MAX_TOKEN && body.iter().fold(true, |yes, byte| yes & is_68(*byte))
}

/// Whether a token has this byte, but for the `=` at its end. Ranges and no table: many bytes are compared at once.
fn is_68(byte: u8) -> bool {
    let is_letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    // `-`, `.`, `/` and the digits lie side by side.
    let is_digit_or_so = byte.wrapping_sub(b'-') < 13;
    is_letter | is_digit_or_so | (byte == b'_') | (byte == b'~') | (byte == b'+')
}

/// <https://www.rfc-editor.org/rfc/rfc6750#section-2.3>.
fn names_token(query: &str) -> bool {
    query.split('&').any(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        // However it is escaped: what reads the query later sees through that.
        name == "access_token"
            || (name.contains('%')
                && form_urlencoded::parse(name.as_bytes()).any(|(name, _)| name == "access_token"))
    })
}

#[cfg(test)]
mod tests;
