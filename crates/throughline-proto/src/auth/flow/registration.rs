use serde::{Deserialize, Serialize};

use super::endpoint_auth::EndpointAuth;
use crate::auth::{ScopeSet, Secret, UnixTime};

/// What an authorization server knows a client as. It belongs to that server alone: its credentials are never shown to
/// another one.
///
/// Specification:
/// [authorization server binding](https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization/client-registration#authorization-server-binding).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// The authorization server, as its metadata names itself.
    pub issuer: String,
    /// The client id.
    pub client_id: String,
    /// The client's secret, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<Secret>,
    /// When the secret ends to be valid; `None`: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_expires_at: Option<UnixTime>,
    /// How the client says at the token endpoint who it is.
    pub endpoint_auth: EndpointAuth,
    /// How it came to be.
    pub kind: RegistrationKind,
    /// The redirect URIs that were registered; empty when that was done elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirect_uris: Vec<String>,
    /// The scopes that were registered; `None` when that was done elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<ScopeSet>,
}

/// How a registration came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegistrationKind {
    /// Somebody registered the client beforehand ([`ClientProfile::client_id`](super::ClientProfile::client_id)).
    Preregistered,
    /// The client id is the address of a document that describes the client
    /// ([`ClientProfile::metadata_document`](super::ClientProfile::metadata_document)).
    Document,
    /// The client registered itself ([RFC 7591](https://www.rfc-editor.org/rfc/rfc7591)). Only these are worth keeping: the
    /// others are in the profile.
    Dynamic,
}

impl Registration {
    /// Will it do for a login that comes back to `redirect_uri` and asks for `scope`? A registration that will not is made
    /// anew, which costs one request and no person.
    pub(super) fn serves(&self, redirect_uri: &str, scope: &ScopeSet, now: UnixTime) -> bool {
        self.redirect_uris.iter().any(|registered| registered == redirect_uri)
            && self.scope.as_ref().is_none_or(|registered| scope.is_subset_of(registered))
            && self.secret_expires_at.is_none_or(|end| now < end)
    }
}
