use http::Uri;
use serde::{Deserialize, Serialize};

use super::registration::Registration;
use super::tokens::Tokens;
use crate::auth::{Challenge, ScopeSet, resource_covers};

/// A login that succeeded: the tokens for one resource, and all that it takes to refresh them and to ask for more. It
/// serialises with its secrets, for a token store; `Debug` shows none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// The resource that the tokens are for, as its metadata names it.
    pub resource: String,
    /// The authorization server that issued them.
    pub server: IssuedBy,
    /// What the client is there.
    pub registration: Registration,
    /// All scopes that were asked for, which is not always what was granted.
    pub requested: ScopeSet,
    /// The tokens.
    pub tokens: Tokens,
}

/// The authorization server that issued tokens, and where it takes requests about them: from metadata that was validated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuedBy {
    /// Its issuer identifier.
    pub issuer: String,
    /// Where tokens are refreshed.
    pub token_endpoint: String,
    /// Where tokens are given back ([RFC 7009](https://www.rfc-editor.org/rfc/rfc7009)), if it takes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation_endpoint: Option<String>,
}

impl Login {
    /// May its token go to this endpoint? Only to one that the resource covers: same origin, same path or below. Ask it
    /// before each request.
    #[must_use]
    pub fn covers(&self, endpoint: &Uri) -> bool {
        resource_covers(&self.resource, endpoint)
    }
}

/// What a login is for.
#[derive(Clone, Debug)]
pub struct LoginRequest {
    /// The MCP endpoint.
    pub endpoint: Uri,
    /// The challenge of the answer that said that a login is needed; `None` when nothing was asked yet.
    pub challenge: Option<Challenge>,
    /// What is held for this endpoint already. Its scopes are asked for again, and its authorization server is preferred.
    pub held: Option<Login>,
    /// The registrations that are kept from earlier logins, of any authorization server. Only that of the right one is used.
    pub registrations: Vec<Registration>,
}

impl LoginRequest {
    /// A login for this endpoint, by nothing but its address.
    #[must_use]
    pub fn new(endpoint: Uri) -> LoginRequest {
        LoginRequest { endpoint, challenge: None, held: None, registrations: Vec::new() }
    }

    /// The same, with the challenge that asked for it.
    #[must_use]
    pub fn challenged(mut self, challenge: Challenge) -> LoginRequest {
        self.challenge = Some(challenge);
        self
    }

    /// The same, with what is held already.
    #[must_use]
    pub fn holding(mut self, held: Login) -> LoginRequest {
        self.held = Some(held);
        self
    }

    /// The same, with the registrations that are kept.
    #[must_use]
    pub fn registered(mut self, registrations: impl IntoIterator<Item = Registration>) -> LoginRequest {
        self.registrations.extend(registrations);
        self
    }
}
