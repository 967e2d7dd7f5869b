use ::http::Uri;
use serde::{Deserialize, Serialize};

use super::{InvalidMetadata, flag, texts, texts_or_none};
use crate::auth::ScopeSet;
use crate::auth::scope::list;

/// The metadata of an authorization server ([RFC 8414, 2](https://www.rfc-editor.org/rfc/rfc8414#section-2)), or of an OpenID
/// provider ([OpenID Connect Discovery 1.0, 3](https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata)).
/// Members that are not named here are passed over. Addresses are texts of the peer: none is checked.
///
/// ```
/// use throughline_proto::auth::AuthorizationServer;
///
/// let document = AuthorizationServer::parse(
///     br#"{"issuer":"https://login.example.com","token_endpoint":"https://login.example.com/token",
///         "code_challenge_methods_supported":["S256"]}"#,
/// )?;
/// document.check_issuer("https://login.example.com")?;
/// assert!(document.check_issuer("https://login.example.com/").is_err(), "compared as they are");
/// assert!(document.supports_s256());
/// # Ok::<(), throughline_proto::auth::InvalidMetadata>(())
/// ```
///
/// Specification:
/// <https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization/authorization-server-discovery#authorization-server-metadata-discovery>.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AuthorizationServer {
    /// Who it says it is.
    pub issuer: String,
    /// Where a person logs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_endpoint: Option<String>,
    /// Where tokens are given out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_endpoint: Option<String>,
    /// Where a client registers itself ([RFC 7591](https://www.rfc-editor.org/rfc/rfc7591#section-3)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration_endpoint: Option<String>,
    /// Where its keys are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// Where a token is given up ([RFC 7009](https://www.rfc-editor.org/rfc/rfc7009#section-2)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation_endpoint: Option<String>,
    /// Where a resource server asks about a token ([RFC 7662](https://www.rfc-editor.org/rfc/rfc7662#section-2)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub introspection_endpoint: Option<String>,
    /// Where a device without a browser begins ([RFC 8628](https://www.rfc-editor.org/rfc/rfc8628#section-4)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_authorization_endpoint: Option<String>,
    /// The scopes that can be asked for.
    #[serde(default, with = "list", skip_serializing_if = "Option::is_none")]
    pub scopes_supported: Option<ScopeSet>,
    /// The response types of the authorization endpoint.
    #[serde(default, deserialize_with = "texts_or_none", skip_serializing_if = "Vec::is_empty")]
    pub response_types_supported: Vec<String>,
    /// The grants of the token endpoint; see [`supports_grant`](AuthorizationServer::supports_grant).
    #[serde(default, deserialize_with = "texts", skip_serializing_if = "Option::is_none")]
    pub grant_types_supported: Option<Vec<String>>,
    /// How a client says who it is at the token endpoint; see
    /// [`supports_auth_method`](AuthorizationServer::supports_auth_method).
    #[serde(default, deserialize_with = "texts", skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// The algorithms of a client's assertions.
    #[serde(default, deserialize_with = "texts", skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_signing_alg_values_supported: Option<Vec<String>>,
    /// How a client says who it is when it gives a token up.
    #[serde(default, deserialize_with = "texts", skip_serializing_if = "Option::is_none")]
    pub revocation_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// How a resource server says who it is when it asks about a token.
    #[serde(default, deserialize_with = "texts", skip_serializing_if = "Option::is_none")]
    pub introspection_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// The methods of PKCE. A server that names none has none
    /// (<https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization/security-considerations#authorization-code-protection>).
    #[serde(default, deserialize_with = "texts", skip_serializing_if = "Option::is_none")]
    pub code_challenge_methods_supported: Option<Vec<String>>,
    /// Does it say who it is when it sends a person back ([RFC 9207](https://www.rfc-editor.org/rfc/rfc9207#section-3))?
    #[serde(default, deserialize_with = "flag", skip_serializing_if = "std::ops::Not::not")]
    pub authorization_response_iss_parameter_supported: bool,
    /// Does it fetch the metadata of a client whose id is an address
    /// (<https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization/client-registration#advertising-cimd-support>)?
    #[serde(default, deserialize_with = "flag", skip_serializing_if = "std::ops::Not::not")]
    pub client_id_metadata_document_supported: bool,
    /// Does it take a request of authorization only when it was sent ahead
    /// ([RFC 9126](https://www.rfc-editor.org/rfc/rfc9126#section-5))?
    #[serde(default, deserialize_with = "flag", skip_serializing_if = "std::ops::Not::not")]
    pub require_pushed_authorization_requests: bool,
    /// The algorithms of DPoP proofs that it takes ([RFC 9449, 5.1](https://www.rfc-editor.org/rfc/rfc9449#section-5.1)).
    #[serde(default, deserialize_with = "texts", skip_serializing_if = "Option::is_none")]
    pub dpop_signing_alg_values_supported: Option<Vec<String>>,
    /// The profiles of grants that it takes, such as that of the enterprise-managed authorization.
    #[serde(default, deserialize_with = "texts", skip_serializing_if = "Option::is_none")]
    pub authorization_grant_profiles_supported: Option<Vec<String>>,
}

impl AuthorizationServer {
    /// Reads a document of at most 128 KiB. `null` counts as missing, and of a list the first 64 entries are kept.
    ///
    /// # Errors
    ///
    /// When it is too long, no JSON, has no `issuer`, or a member of another type.
    pub fn parse(bytes: &[u8]) -> Result<AuthorizationServer, InvalidMetadata> {
        super::parse(WHAT, bytes)
    }

    /// Is it the document of the issuer that was asked for? The two are compared as they are, byte by byte
    /// ([RFC 8414, 3.3](https://www.rfc-editor.org/rfc/rfc8414#section-3.3)).
    ///
    /// # Errors
    ///
    /// When they differ: then nothing of the document may be used.
    pub fn check_issuer(&self, asked: &str) -> Result<(), InvalidMetadata> {
        if self.issuer == asked {
            return Ok(());
        }
        let why = "its issuer is not the one that was asked for; correct the issuer, at the protected resource or at \
                   the authorization server";
        Err(InvalidMetadata { what: WHAT, why: why.into() })
    }

    /// The addresses of a server that publishes no metadata: `/authorize`, `/token` and `/register` at the origin of the MCP
    /// endpoint.
    ///
    /// Specification:
    /// <https://modelcontextprotocol.io/specification/2025-03-26/basic/authorization#fallbacks-for-servers-without-metadata-discovery>.
    #[must_use]
    pub fn legacy_defaults(endpoint: &Uri) -> Option<AuthorizationServer> {
        let origin = crate::auth::resource::origin(endpoint)?;
        Some(AuthorizationServer {
            authorization_endpoint: Some(format!("{origin}/authorize")),
            token_endpoint: Some(format!("{origin}/token")),
            registration_endpoint: Some(format!("{origin}/register")),
            issuer: origin,
            ..AuthorizationServer::default()
        })
    }

    /// Does it say that it checks PKCE with SHA-256?
    #[must_use]
    pub fn supports_s256(&self) -> bool {
        self.code_challenge_methods_supported.iter().flatten().any(|method| method == "S256")
    }

    /// Does its token endpoint know this grant? A server that names none has `authorization_code` and `implicit`
    /// ([RFC 8414, 2](https://www.rfc-editor.org/rfc/rfc8414#section-2)).
    #[must_use]
    pub fn supports_grant(&self, grant: &str) -> bool {
        match &self.grant_types_supported {
            Some(grants) => grants.iter().any(|known| known == grant),
            None => matches!(grant, "authorization_code" | "implicit"),
        }
    }

    /// Does its token endpoint know this way to say who a client is? A server that names none has `client_secret_basic`
    /// ([RFC 8414, 2](https://www.rfc-editor.org/rfc/rfc8414#section-2)).
    #[must_use]
    pub fn supports_auth_method(&self, method: &str) -> bool {
        match &self.token_endpoint_auth_methods_supported {
            Some(methods) => methods.iter().any(|known| known == method),
            None => method == "client_secret_basic",
        }
    }

    /// Can this scope be asked for, as far as it says?
    #[must_use]
    pub fn lists_scope(&self, scope: &str) -> bool {
        self.scopes_supported.as_ref().is_some_and(|scopes| scopes.contains(scope))
    }
}

const WHAT: &str = "metadata of the authorization server";
