use std::fmt;

use ::http::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};

use super::ScopeSet;

mod parse;

/// Which credentials a challenge asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthScheme {
    /// A token that whoever has it may use ([RFC 6750](https://www.rfc-editor.org/rfc/rfc6750#section-3)).
    Bearer,
    /// A token that is bound to a key ([RFC 9449](https://www.rfc-editor.org/rfc/rfc9449#section-7.1)).
    Dpop,
    /// Another scheme, as it was written.
    Other(String),
}

impl AuthScheme {
    /// Its name on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            AuthScheme::Bearer => "Bearer",
            AuthScheme::Dpop => "DPoP",
            AuthScheme::Other(name) => name,
        }
    }

    fn named(name: &str) -> AuthScheme {
        [AuthScheme::Bearer, AuthScheme::Dpop]
            .into_iter()
            .find(|scheme| scheme.as_str().eq_ignore_ascii_case(name))
            .unwrap_or_else(|| AuthScheme::Other(name.to_owned()))
    }
}

/// Why the credentials of a request do not suffice: the `error` of a challenge
/// ([RFC 6750, 3.1](https://www.rfc-editor.org/rfc/rfc6750#section-3.1),
/// [RFC 9449, 7.1](https://www.rfc-editor.org/rfc/rfc9449#section-7.1)).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChallengeError {
    /// The request is malformed; with 400.
    InvalidRequest,
    /// The token is expired, revoked, malformed or not for this server; with 401.
    InvalidToken,
    /// The token is good and does not allow this; with 403.
    InsufficientScope,
    /// The proof must hold the nonce of the `DPoP-Nonce` header; with 401.
    UseDpopNonce,
    /// The proof is none, or not for this request; with 401.
    InvalidDpopProof,
    /// Another code, as it was written.
    Other(String),
}

impl ChallengeError {
    /// Its code on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            ChallengeError::InvalidRequest => "invalid_request",
            ChallengeError::InvalidToken => "invalid_token",
            ChallengeError::InsufficientScope => "insufficient_scope",
            ChallengeError::UseDpopNonce => "use_dpop_nonce",
            ChallengeError::InvalidDpopProof => "invalid_dpop_proof",
            ChallengeError::Other(code) => code,
        }
    }

    fn named(code: &str) -> ChallengeError {
        [
            ChallengeError::InvalidRequest,
            ChallengeError::InvalidToken,
            ChallengeError::InsufficientScope,
            ChallengeError::UseDpopNonce,
            ChallengeError::InvalidDpopProof,
        ]
        .into_iter()
        .find(|known| known.as_str() == code)
        .unwrap_or_else(|| ChallengeError::Other(code.to_owned()))
    }
}

/// One challenge of a `WWW-Authenticate` header: what a server wants to see before it answers.
///
/// ```
/// use http::HeaderMap;
/// use throughline_proto::auth::{AuthScheme, Challenge, ChallengeError, ScopeSet};
///
/// let refusal = Challenge::bearer()
///     .with_error(ChallengeError::InsufficientScope)
///     .with_scope(ScopeSet::parse("files:write")?)
///     .with_resource_metadata("https://mcp.example.com/.well-known/oauth-protected-resource/mcp");
/// let mut headers = HeaderMap::new();
/// headers.insert("www-authenticate", refusal.to_header_value());
///
/// let [read] = &Challenge::parse_all(&headers)[..] else { panic!("one challenge") };
/// assert_eq!(read, &refusal);
/// assert_eq!(read.scheme, AuthScheme::Bearer);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Specification:
/// <https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization/authorization-server-discovery#protected-resource-metadata-discovery-requirements>.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Challenge {
    /// Which credentials it asks for.
    pub scheme: AuthScheme,
    /// The part of the server that they are for.
    pub realm: Option<String>,
    /// What is wrong with those that were sent; none when there were none.
    pub error: Option<ChallengeError>,
    /// The same for a developer to read. A peer wrote it: it is shown as its words, if at all.
    pub error_description: Option<String>,
    /// The scopes that the operation needs.
    pub scope: Option<ScopeSet>,
    /// The address of the metadata document ([RFC 9728, 5.1](https://www.rfc-editor.org/rfc/rfc9728#section-5.1)).
    pub resource_metadata: Option<String>,
    /// The algorithms of proofs that are taken, the names of [`Algorithm`](super::Algorithm).
    pub algs: Vec<String>,
}

impl Challenge {
    /// Asks for a bearer token.
    #[must_use]
    pub fn bearer() -> Challenge {
        Challenge::new(AuthScheme::Bearer)
    }

    /// Asks for a token that is bound to a key, and a proof.
    #[must_use]
    pub fn dpop() -> Challenge {
        Challenge::new(AuthScheme::Dpop)
    }

    /// Asks for credentials of a scheme.
    #[must_use]
    pub fn new(scheme: AuthScheme) -> Challenge {
        Challenge {
            scheme,
            realm: None,
            error: None,
            error_description: None,
            scope: None,
            resource_metadata: None,
            algs: Vec::new(),
        }
    }

    /// Sets the realm.
    #[must_use]
    pub fn with_realm(mut self, realm: impl Into<String>) -> Challenge {
        self.realm = Some(realm.into());
        self
    }

    /// Sets what is wrong.
    #[must_use]
    pub fn with_error(mut self, error: ChallengeError) -> Challenge {
        self.error = Some(error);
        self
    }

    /// Says what is wrong to a developer: printable ASCII, the rest is replaced when it is written.
    #[must_use]
    pub fn with_error_description(mut self, text: impl Into<String>) -> Challenge {
        self.error_description = Some(text.into());
        self
    }

    /// Sets the scopes that the operation needs.
    #[must_use]
    pub fn with_scope(mut self, scope: ScopeSet) -> Challenge {
        self.scope = Some(scope);
        self
    }

    /// Sets the address of the metadata document.
    #[must_use]
    pub fn with_resource_metadata(mut self, address: impl Into<String>) -> Challenge {
        self.resource_metadata = Some(address.into());
        self
    }

    /// Sets the algorithms of proofs that are taken.
    #[must_use]
    pub fn with_algs<I>(mut self, algs: I) -> Challenge
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.algs = algs.into_iter().map(Into::into).collect();
        self
    }

    /// The challenges of all `WWW-Authenticate` headers, in their order. Whatever cannot be read is passed over, since what
    /// remains may still say where to log in.
    ///
    /// It takes what servers send: several challenges in one header, parameters without a comma between them, a quote
    /// that never ends. Of a parameter that occurs twice the first counts. It looks at 8 KiB, and keeps 16 challenges.
    #[must_use]
    pub fn parse_all(headers: &HeaderMap) -> Vec<Challenge> {
        parse::all(headers.get_all(WWW_AUTHENTICATE).iter().map(HeaderValue::as_bytes))
    }

    /// The challenge as a header's value: each value quoted, printable ASCII only. Whatever must not stand in a value is
    /// replaced, so that no text of a caller ends the header or begins a parameter.
    #[must_use]
    pub fn to_header_value(&self) -> HeaderValue {
        let text = self.to_string();
        // `write_quoted` lets nothing through but printable ASCII, and a name is made of token characters.
        HeaderValue::try_from(text).expect("printable ASCII is a header's value")
    }
}

/// The text of the header's value.
impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scheme.as_str() {
            "" => f.write_str("Other")?,
            name => name.chars().try_for_each(|c| write!(f, "{}", if is_token_char(c) { c } else { '-' }))?,
        }
        let algs = (!self.algs.is_empty()).then(|| self.algs.join(" "));
        let parameters = [
            ("realm", self.realm.as_deref()),
            ("error", self.error.as_ref().map(ChallengeError::as_str)),
            ("error_description", self.error_description.as_deref()),
            ("scope", self.scope.as_ref().map(ScopeSet::as_str)),
            ("resource_metadata", self.resource_metadata.as_deref()),
            ("algs", algs.as_deref()),
        ];
        let mut separator = " ";
        for (name, value) in parameters {
            if let Some(value) = value {
                write!(f, "{separator}{name}=")?;
                // Only these two may hold what has to be escaped:
                // https://www.rfc-editor.org/rfc/rfc6750#section-3.
                write_quoted(f, value, matches!(name, "realm" | "resource_metadata"))?;
                separator = ", ";
            }
        }
        Ok(())
    }
}

fn write_quoted(f: &mut fmt::Formatter<'_>, text: &str, escapes: bool) -> fmt::Result {
    use fmt::Write as _;
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' | '\\' if escapes => write!(f, "\\{c}")?,
            '"' => f.write_char('\'')?,
            '\\' => f.write_char('/')?,
            ' '..='~' => f.write_char(c)?,
            _ => f.write_char('?')?,
        }
    }
    f.write_char('"')
}

/// `tchar` of <https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2>.
fn is_token_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests;
