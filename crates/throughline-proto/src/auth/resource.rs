use ::http::Uri;

/// The name of the resource at an address: scheme and host in lower case, no default port, no fragment, no query, and no
/// slash where the path is nothing else. `None` for what is no `http` or `https` address, or has a user name in it.
///
/// The query is left out because it may hold a key, and this is told to an authorization server.
///
/// ```
/// use http::Uri;
/// use throughline_proto::auth::canonical_resource;
///
/// let endpoint = Uri::from_static("HTTPS://MCP.Example.com:443/");
/// assert_eq!(canonical_resource(&endpoint).as_deref(), Some("https://mcp.example.com"));
/// ```
///
/// Specification:
/// <https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization#canonical-server-uri>.
#[must_use]
pub fn canonical_resource(endpoint: &Uri) -> Option<String> {
    let mut resource = origin(endpoint)?;
    if endpoint.path() != "/" {
        resource.push_str(endpoint.path());
    }
    Some(resource)
}

/// May the metadata of this resource speak for this endpoint? It is of the same origin, and its path is the endpoint's or
/// a beginning of it that ends where a segment does. A resource with a query is that one address only.
///
/// ```
/// use http::Uri;
/// use throughline_proto::auth::resource_covers;
///
/// let endpoint = Uri::from_static("https://example.com/team/mcp");
/// assert!(resource_covers("https://example.com", &endpoint));
/// assert!(resource_covers("https://example.com/team", &endpoint));
/// assert!(!resource_covers("https://example.com/te", &endpoint));
/// assert!(!resource_covers("https://example.org/team/mcp", &endpoint));
/// ```
///
/// Specification: [RFC 9728, 3.3](https://www.rfc-editor.org/rfc/rfc9728#section-3.3) wants them identical; a prefix is
/// taken because a server may have one document for all its endpoints, and a token for the origin is sent nowhere else.
#[must_use]
pub fn resource_covers(resource: &str, endpoint: &Uri) -> bool {
    if resource.contains('#') {
        return false;
    }
    let Ok(resource) = resource.parse::<Uri>() else { return false };
    let (Some(a), Some(b)) = (origin(&resource), origin(endpoint)) else { return false };
    if a != b || has_dots(resource.path()) || has_dots(endpoint.path()) {
        return false;
    }
    let prefix = resource.path().trim_end_matches('/');
    let Some(rest) = endpoint.path().strip_prefix(prefix) else { return false };
    match resource.query() {
        Some(query) => rest.trim_end_matches('/').is_empty() && endpoint.query() == Some(query),
        None => rest.is_empty() || rest.starts_with('/'),
    }
}

/// Do two texts name the same resource? They are the same to the letter, or differ in what [`canonical_resource`] takes
/// away: case of scheme and host, a default port, the slash of an empty path.
#[must_use]
pub fn same_resource(a: &str, b: &str) -> bool {
    let canonical = |text: &str| {
        let uri: Uri = text.parse().ok().filter(|_| !text.contains('#'))?;
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        Some(canonical_resource(&uri)? + &query)
    };
    a == b || canonical(a).is_some_and(|a| Some(a) == canonical(b))
}

/// `scheme://host[:port]` in lower case and without a default port; only of addresses with `http` or `https` and without a
/// user name.
pub(super) fn origin(uri: &Uri) -> Option<String> {
    let authority = uri.authority()?;
    let host = uri.host().filter(|host| !matches!(*host, "" | "[]"))?;
    if authority.as_str().contains('@') {
        return None;
    }
    let (scheme, implied) = match uri.scheme_str()? {
        "https" => ("https", 443),
        "http" => ("http", 80),
        _ => return None,
    };
    let mut origin = format!("{scheme}://{}", host.to_ascii_lowercase());
    match uri.port_u16() {
        Some(port) if port == implied => {}
        Some(0) => return None,
        Some(port) => origin.push_str(&format!(":{port}")),
        // Behind a colon there is a number, or nothing at all.
        None if authority.as_str().len() > host.len() => return None,
        None => {}
    }
    Some(origin)
}

/// A path that means another one once its dots are followed: how a server does that is its own affair.
fn has_dots(path: &str) -> bool {
    path.split('/').any(|segment| {
        let plain = segment.replace("%2e", ".").replace("%2E", ".");
        plain == "." || plain == ".."
    })
}

#[cfg(test)]
mod tests;
