use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::login::IssuedBy;
use super::registration::Registration;
use super::step::Visit;
use crate::auth::{ScopeSet, Secret, UnixTime};

/// How long a login waits for the person. A second factor or a forgotten password takes some minutes; a link that still
/// works tomorrow is one that somebody else finds.
pub const LOGIN_PATIENCE: Duration = Duration::from_secs(30 * 60);

/// A login that waits for a person: all that it takes to go on, in this process or in another. It serialises with its
/// secrets (the PKCE verifier among them); keep it where the person's session is kept, and **take it out before** it is
/// finished, so that it is used once.
///
/// This is the per-request record of
/// [authorization response validation](https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization#authorization-response-validation).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingLogin {
    pub(super) address: String,
    pub(super) redirect_uri: String,
    pub(super) state: Secret,
    pub(super) verifier: Secret,
    /// Whether the server promises to name itself in its answer.
    pub(super) names_issuer: bool,
    pub(super) server: IssuedBy,
    pub(super) registration: Registration,
    pub(super) resource: String,
    pub(super) requested: ScopeSet,
    /// Whether the tokens are to be bound to the client's key.
    pub(super) binds_tokens: bool,
    /// The MCP endpoint.
    pub(super) endpoint: String,
    pub(super) expires_at: UnixTime,
}

impl PendingLogin {
    /// Where the person is sent, and what comes back.
    #[must_use]
    pub fn visit(&self) -> Visit {
        Visit {
            address: self.address.clone(),
            redirect_uri: self.redirect_uri.clone(),
            state: self.state.clone(),
        }
    }

    /// The `state` of this login: what tells it from others when the redirect comes.
    #[must_use]
    pub fn state(&self) -> &Secret {
        &self.state
    }

    /// When it is too late to finish it.
    #[must_use]
    pub fn expires_at(&self) -> UnixTime {
        self.expires_at
    }

    /// The registration that it uses: worth keeping already, if it is new.
    #[must_use]
    pub fn registration(&self) -> &Registration {
        &self.registration
    }

    /// The MCP endpoint that it is for: its address says what may be reached
    /// ([`AddressRule::for_server`](crate::auth::AddressRule::for_server)).
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The resource that it is for.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.resource
    }
}

impl fmt::Debug for PendingLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingLogin")
            .field("resource", &self.resource)
            .field("issuer", &self.server.issuer)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
