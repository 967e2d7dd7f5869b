//! What a request is sent with.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use crate::client::line::BoxError;

/// What says who sends a request: an `Authorization` header, and maybe others that belong to it.
///
/// Cheap to clone. Its `Debug` shows nothing of it, and nothing of it is logged.
#[derive(Clone, PartialEq)]
pub struct Credentials {
    headers: Arc<[(HeaderName, HeaderValue)]>,
    context: Option<Arc<str>>,
}

impl Credentials {
    /// A token that whoever holds it may use
    /// ([RFC 6750, 2.1](https://www.rfc-editor.org/rfc/rfc6750#section-2.1)).
    ///
    /// # Errors
    ///
    /// When it has a character that no such token has, as a line break or a space.
    pub fn bearer(token: impl AsRef<str>) -> Result<Self, TokenError> {
        Self::of_scheme("Bearer", token.as_ref())
    }

    /// The same with another scheme, as `DPoP`.
    ///
    /// # Errors
    ///
    /// As [`bearer`](Self::bearer).
    pub fn of_scheme(scheme: &'static str, token: &str) -> Result<Self, TokenError> {
        // A token has no space in it (RFC 6750, 2.1: b64token); a line break would begin another header.
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::new(
                "the token has characters that no access token has; give it without spaces, quotes and line breaks",
            ));
        }
        let mut value = HeaderValue::try_from(format!("{scheme} {token}"))
            .map_err(|_| TokenError::new("the token does not fit in a header"))?;
        value.set_sensitive(true);
        Ok(Self { headers: Arc::new([(AUTHORIZATION, value)]), context: None })
    }

    /// Credentials that are in a header of the server's own making, as `X-Api-Key`.
    #[must_use]
    pub fn header(name: HeaderName, mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        Self { headers: Arc::new([(name, value)]), context: None }
    }

    /// With another header, as a proof of possession.
    #[must_use]
    pub fn and_header(self, name: HeaderName, mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        let headers = self.headers.iter().cloned().chain([(name, value)]).collect();
        Self { headers, context: self.context }
    }

    /// With the name of whom they speak for, which stays the same when a token is refreshed. What a client keeps of results is
    /// not answered to another one. Default: the same for all credentials of the provider.
    #[must_use]
    pub fn context(mut self, name: impl Into<Arc<str>>) -> Self {
        self.context = Some(name.into());
        self
    }

    /// Whom they speak for.
    pub(crate) fn of_whom(&self) -> Option<&Arc<str>> {
        self.context.as_ref()
    }

    /// Whether both hold the same token.
    #[must_use]
    pub fn is_same_token(&self, other: &Self) -> bool {
        self.headers.first() == other.headers.first()
    }

    pub(crate) fn put_into(&self, headers: &mut HeaderMap) {
        for (name, value) in &*self.headers {
            headers.insert(name, value.clone());
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

/// Why there are no credentials: a sentence for people that says what to do, and holds no secret.
#[derive(Clone, Debug)]
pub struct TokenError {
    text: Arc<str>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl TokenError {
    /// An error that says this.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self { text: text.into(), source: None }
    }

    /// With what is behind it.
    #[must_use]
    pub fn because(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for TokenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn Error + 'static))
    }
}
