use serde::{Deserialize, Serialize};

use super::{InvalidMetadata, flag, texts, texts_or_none};
use crate::auth::ScopeSet;
use crate::auth::scope::list;

/// The metadata of a protected resource: what it is called, and where to log in for it
/// ([RFC 9728, 2](https://www.rfc-editor.org/rfc/rfc9728#section-2)). Members that are not named here are passed over.
///
/// ```
/// use throughline_proto::auth::{ProtectedResource, ScopeSet};
///
/// let document = ProtectedResource::new("https://mcp.example.com/mcp")
///     .with_authorization_server("https://login.example.com")
///     .with_scopes(ScopeSet::parse("files:read files:write")?);
/// let json = serde_json::to_string(&document)?;
/// assert_eq!(
///     json,
///     r#"{"resource":"https://mcp.example.com/mcp","authorization_servers":["https://login.example.com"],"#.to_owned()
///         + r#""scopes_supported":["files:read","files:write"],"bearer_methods_supported":["header"]}"#,
/// );
/// assert_eq!(ProtectedResource::parse(json.as_bytes())?, document);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Specification:
/// <https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization/authorization-server-discovery#authorization-server-location>.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProtectedResource {
    /// The identifier of the resource: the address of the MCP endpoint, or a beginning of it.
    pub resource: String,
    /// The issuers whose tokens it takes.
    #[serde(default, deserialize_with = "texts_or_none", skip_serializing_if = "Vec::is_empty")]
    pub authorization_servers: Vec<String>,
    /// The scopes that can be asked for.
    #[serde(default, with = "list", skip_serializing_if = "Option::is_none")]
    pub scopes_supported: Option<ScopeSet>,
    /// How a token may be sent: `header`, `body`, `query`. Here it is the header only.
    #[serde(default, deserialize_with = "texts", skip_serializing_if = "Option::is_none")]
    pub bearer_methods_supported: Option<Vec<String>>,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_name: Option<String>,
    /// The address of a page for developers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_documentation: Option<String>,
    /// The address of a page on how data is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_policy_uri: Option<String>,
    /// The address of the terms of service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_tos_uri: Option<String>,
    /// The algorithms of DPoP proofs that it takes.
    #[serde(default, deserialize_with = "texts", skip_serializing_if = "Option::is_none")]
    pub dpop_signing_alg_values_supported: Option<Vec<String>>,
    /// Does it take only tokens that are bound to a key?
    #[serde(default, deserialize_with = "flag", skip_serializing_if = "std::ops::Not::not")]
    pub dpop_bound_access_tokens_required: bool,
}

impl ProtectedResource {
    /// The document of a resource that takes tokens in the header.
    #[must_use]
    pub fn new(resource: impl Into<String>) -> ProtectedResource {
        ProtectedResource {
            resource: resource.into(),
            bearer_methods_supported: Some(vec!["header".into()]),
            ..ProtectedResource::default()
        }
    }

    /// Adds an issuer whose tokens it takes.
    #[must_use]
    pub fn with_authorization_server(mut self, issuer: impl Into<String>) -> ProtectedResource {
        self.authorization_servers.push(issuer.into());
        self
    }

    /// Sets the scopes that can be asked for.
    #[must_use]
    pub fn with_scopes(mut self, scopes: ScopeSet) -> ProtectedResource {
        self.scopes_supported = Some(scopes);
        self
    }

    /// Sets the name for people.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> ProtectedResource {
        self.resource_name = Some(name.into());
        self
    }

    /// Reads a document of at most 128 KiB. `null` counts as missing, and of a list the first 64 entries are kept.
    ///
    /// Whether it speaks of the server that was asked for is another question:
    /// [`resource_covers`](crate::auth::resource_covers).
    ///
    /// # Errors
    ///
    /// When it is too long, no JSON, has no `resource`, or a member of another type.
    pub fn parse(bytes: &[u8]) -> Result<ProtectedResource, InvalidMetadata> {
        super::parse("metadata of the protected resource", bytes)
    }
}
