use std::error::Error;
use std::fmt;

use super::said;
use crate::auth::Secret;

/// Why there are no tokens. Its text is one sentence that says what to do, and holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowError {
    kind: FlowErrorKind,
    text: String,
    refusal: Option<Refusal>,
}

/// The reasons for which a flow ends without tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FlowErrorKind {
    /// A server did not answer, or answered that it cannot at present. The same flow may succeed later.
    Unavailable,
    /// There is no metadata, or none that can be read.
    Metadata,
    /// The metadata is that of another resource.
    ResourceMismatch,
    /// The metadata is that of another authorization server.
    IssuerMismatch,
    /// The authorization server does not say that it has PKCE with `S256`.
    NoPkce,
    /// An address that may not be reached, or a redirect that may not be followed.
    Address,
    /// There is no client id for this authorization server, and no way to get one.
    NoClientId,
    /// The client id that was given is that of another authorization server.
    OtherIssuer,
    /// The authorization server refused to register the client.
    RegistrationRefused,
    /// The authorization server has no way of authentication that the client has.
    NoAuthMethod,
    /// What came back from the browser is no answer to this login.
    Redirect,
    /// What came back from the browser is that of another authorization server.
    ResponseIssuer,
    /// The authorization server refused, or the person did; see [`FlowError::refusal`].
    Denied,
    /// The token endpoint refused; see [`FlowError::refusal`].
    TokenRefused,
    /// The token endpoint answered with something that is no token.
    TokenAnswer,
    /// The login took too long.
    TooLate,
    /// What was handed over is not what the flow waits for.
    OutOfOrder,
}

/// What an authorization server says when it refuses
/// ([RFC 6749, 4.1.2.1 and 5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2)), made fit to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code, `invalid_grant` for instance.
    pub code: String,
    /// What it says to a developer.
    pub description: Option<String>,
}

impl FlowError {
    pub(super) fn new(kind: FlowErrorKind, text: impl Into<String>) -> FlowError {
        FlowError { kind, text: text.into(), refusal: None }
    }

    pub(super) fn refused(kind: FlowErrorKind, text: impl Into<String>, refusal: Refusal) -> FlowError {
        FlowError { kind, text: text.into(), refusal: Some(refusal) }
    }

    /// The same without the words of the server, if one of these secrets is in them: some servers repeat what they refuse.
    pub(super) fn hiding(mut self, secrets: &[Secret]) -> FlowError {
        if let Some(refusal) = &mut self.refusal
            && let Some(said) = &refusal.description
            && secrets.iter().any(|secret| said::tells(said, secret))
        {
            refusal.description = None;
            self.text = said::without_description(&self.text);
        }
        self
    }

    /// The reason.
    #[must_use]
    pub fn kind(&self) -> FlowErrorKind {
        self.kind
    }

    /// What the authorization server said, when it is it that refused.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_ref()
    }

    /// May the same succeed later, without anything changed?
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        self.kind == FlowErrorKind::Unavailable
    }

    /// Is the refresh token (or the code, or the assertion) used up, expired or revoked?
    #[must_use]
    pub fn is_invalid_grant(&self) -> bool {
        self.refusal.as_ref().is_some_and(|refusal| refusal.code == "invalid_grant")
    }

    /// Does the authorization server not know a scope that was asked for? Then log in without what is held, whose scopes
    /// are asked for again.
    #[must_use]
    pub fn is_invalid_scope(&self) -> bool {
        self.refusal.as_ref().is_some_and(|refusal| refusal.code == "invalid_scope")
    }

    /// Does the authorization server no longer know the client? Then a registration that is kept is to be deleted.
    #[must_use]
    pub fn is_invalid_client(&self) -> bool {
        self.refusal
            .as_ref()
            .is_some_and(|refusal| matches!(&*refusal.code, "invalid_client" | "unauthorized_client"))
    }
}

impl fmt::Display for FlowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for FlowError {}
