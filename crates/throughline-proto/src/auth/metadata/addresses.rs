use std::error::Error;
use std::fmt;

use ::http::Uri;

use crate::auth::Challenge;
use crate::auth::resource::origin;
use crate::client::resolve;

const PROTECTED_RESOURCE: &str = "/.well-known/oauth-protected-resource";
const AUTHORIZATION_SERVER: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";

/// Where the metadata of the server at `endpoint` may be, in the order in which to try: the address that a challenge
/// names, and nothing else then; otherwise (or if that is no address) the well-known addresses with the path of the endpoint, and without.
///
/// ```
/// use http::Uri;
/// use throughline_proto::auth::protected_resource_addresses;
///
/// let endpoint = Uri::from_static("https://example.com/public/mcp");
/// assert_eq!(
///     protected_resource_addresses(&endpoint, None),
///     [
///         "https://example.com/.well-known/oauth-protected-resource/public/mcp",
///         "https://example.com/.well-known/oauth-protected-resource",
///     ],
/// );
/// ```
///
/// Specification:
/// <https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization/authorization-server-discovery#protected-resource-metadata-discovery-requirements>.
#[must_use]
pub fn protected_resource_addresses(endpoint: &Uri, challenge: Option<&Challenge>) -> Vec<Uri> {
    let named = challenge.and_then(|challenge| challenge.resource_metadata.as_deref());
    if let Some(address) = named
        .and_then(|reference| resolve(endpoint, reference.trim()))
        .filter(|address| address.scheme().is_some())
    {
        return vec![address];
    }
    let Some(origin) = origin(endpoint) else { return Vec::new() };
    let query = endpoint.query().map(|query| format!("?{query}")).unwrap_or_default();
    let path = endpoint.path();
    let plain = path.trim_end_matches('/');
    // The path is the endpoint's to the letter (https://www.rfc-editor.org/rfc/rfc9728#section-3.1), but for the slash
    // that stands for none. Many servers know neither a query nor a slash at the end.
    let path = if plain.is_empty() { "" } else { path };
    let mut addresses: Vec<Uri> = Vec::new();
    for suffix in [format!("{path}{query}"), path.into(), plain.into(), String::new()] {
        if let Ok(address) = format!("{origin}{PROTECTED_RESOURCE}{suffix}").parse()
            && !addresses.contains(&address)
        {
            addresses.push(address);
        }
    }
    addresses
}

/// The paths under which the metadata of a resource is looked for at its own origin: with the path of the resource, which
/// is the one to name in a challenge, and without. They are one when the resource is an origin.
///
/// ```
/// use http::Uri;
/// use throughline_proto::auth::protected_resource_paths;
///
/// let resource = Uri::from_static("https://example.com/mcp");
/// assert_eq!(
///     protected_resource_paths(&resource),
///     ["/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"],
/// );
/// ```
#[must_use]
pub fn protected_resource_paths(resource: &Uri) -> Vec<String> {
    let mut paths = vec![format!("{PROTECTED_RESOURCE}{}", resource.path().trim_end_matches('/'))];
    if paths[0].len() > PROTECTED_RESOURCE.len() {
        paths.push(PROTECTED_RESOURCE.into());
    }
    paths
}

/// Where the metadata of an issuer may be, in the order in which to try.
///
/// ```
/// use throughline_proto::auth::authorization_server_addresses;
///
/// assert_eq!(
///     authorization_server_addresses("https://auth.example.com/tenant1")?,
///     [
///         "https://auth.example.com/.well-known/oauth-authorization-server/tenant1",
///         "https://auth.example.com/.well-known/openid-configuration/tenant1",
///         "https://auth.example.com/tenant1/.well-known/openid-configuration",
///     ],
/// );
/// # Ok::<(), throughline_proto::auth::InvalidIssuer>(())
/// ```
///
/// Specification:
/// <https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization/authorization-server-discovery#authorization-server-metadata-discovery>.
///
/// # Errors
///
/// When the issuer is no address with `https` (or `http`, which only a loopback server may have: see
/// [`AddressRule`](crate::auth::AddressRule)), or has a query, a fragment or a user in it
/// ([RFC 8414, 2](https://www.rfc-editor.org/rfc/rfc8414#section-2)).
pub fn authorization_server_addresses(issuer: &str) -> Result<Vec<Uri>, InvalidIssuer> {
    if issuer.contains(['#', '?']) {
        return Err(InvalidIssuer);
    }
    let uri: Uri = issuer.parse().map_err(|_| InvalidIssuer)?;
    let origin = origin(&uri).ok_or(InvalidIssuer)?;
    // A slash at the end is not part of it: https://www.rfc-editor.org/rfc/rfc8414#section-3.1.
    let path = uri.path().trim_end_matches('/');
    let mut addresses =
        vec![format!("{origin}{AUTHORIZATION_SERVER}{path}"), format!("{origin}{OPENID}{path}")];
    if !path.is_empty() {
        addresses.push(format!("{origin}{path}{OPENID}"));
    }
    addresses.into_iter().map(|address| address.parse().map_err(|_| InvalidIssuer)).collect()
}

/// Where a server of the first revision with authorization has its metadata: at the origin of the MCP endpoint. Where there
/// is nothing, [`AuthorizationServer::legacy_defaults`](super::AuthorizationServer::legacy_defaults) count.
///
/// Specification:
/// <https://modelcontextprotocol.io/specification/2025-03-26/basic/authorization#authorization-base-url>.
#[must_use]
pub fn legacy_authorization_server_address(endpoint: &Uri) -> Option<Uri> {
    format!("{}{AUTHORIZATION_SERVER}", origin(endpoint)?).parse().ok()
}

/// A text that names no issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidIssuer;

impl fmt::Display for InvalidIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the issuer is no address: it must begin with https:// and have neither a query, a fragment nor a user name",
        )
    }
}

impl Error for InvalidIssuer {}
