use super::*;

fn uri(text: &str) -> Uri {
    text.parse().unwrap()
}

#[test]
fn what_a_resource_is_called() {
    for (endpoint, name) in [
        ("https://mcp.example.com/mcp", "https://mcp.example.com/mcp"),
        ("https://mcp.example.com", "https://mcp.example.com"),
        ("https://mcp.example.com/", "https://mcp.example.com"),
        ("https://mcp.example.com:8443", "https://mcp.example.com:8443"),
        ("HTTPS://MCP.example.COM:443/Server/mcp", "https://mcp.example.com/Server/mcp"),
        ("http://localhost:80/mcp", "http://localhost/mcp"),
        ("http://[::1]:3000/mcp/", "http://[::1]:3000/mcp/"),
        ("https://mcp.example.com/mcp?key=secret", "https://mcp.example.com/mcp"),
    ] {
        assert_eq!(canonical_resource(&uri(endpoint)).as_deref(), Some(name), "{endpoint}");
    }
    for none in
        ["/mcp", "mcp.example.com:443", "ftp://example.com/", "https://ann@example.com/", "https://a:0/"]
    {
        assert_eq!(canonical_resource(&uri(none)), None, "{none}");
    }
}

#[test]
fn which_endpoints_a_resource_covers() {
    for (resource, endpoint, covers) in [
        ("https://example.com/mcp", "https://example.com/mcp", true),
        ("https://example.com/mcp", "https://example.com/mcp?a=b", true),
        ("https://example.com/mcp/", "https://example.com/mcp", true),
        ("https://example.com/mcp", "https://example.com/mcp/", true),
        ("https://example.com", "https://example.com/a/b", true),
        ("https://example.com/", "https://example.com/a/b", true),
        ("https://example.com/a", "https://example.com/a/b", true),
        ("HTTPS://EXAMPLE.com:443/mcp", "https://example.com/mcp", true),
        ("https://example.com/mcp?a=b", "https://example.com/mcp?a=b", true),
        // Not at the end of a segment, or longer than the endpoint.
        ("https://example.com/mc", "https://example.com/mcp", false),
        ("https://example.com/mcp", "https://example.com/mcp2", false),
        ("https://example.com/mcp/a", "https://example.com/mcp", false),
        ("https://example.com/MCP", "https://example.com/mcp", false),
        // Somebody else's.
        ("https://example.org/mcp", "https://example.com/mcp", false),
        ("https://example.com.evil.org/mcp", "https://example.com/mcp", false),
        ("https://evil.example.com/mcp", "https://example.com/mcp", false),
        ("http://example.com/mcp", "https://example.com/mcp", false),
        ("https://example.com:8443/mcp", "https://example.com/mcp", false),
        ("https://example.com@evil.org/mcp", "https://example.com/mcp", false),
        ("https://user@example.com/mcp", "https://example.com/mcp", false),
        // What is no address, or a part of one.
        ("", "https://example.com/mcp", false),
        ("/mcp", "https://example.com/mcp", false),
        ("example.com", "https://example.com/mcp", false),
        ("https://example.com/mcp#a", "https://example.com/mcp", false),
        ("https://example.com/mcp?a=b", "https://example.com/mcp", false),
        ("https://example.com/mcp?a=b", "https://example.com/mcp?a=c", false),
        ("https://example.com/mcp?a=b", "https://example.com/mcp/x?a=b", false),
        // Dots lead somewhere else.
        ("https://example.com/mcp", "https://example.com/mcp/../admin", false),
        ("https://example.com/mcp", "https://example.com/mcp/%2e%2E/admin", false),
        ("https://example.com/mcp", "https://example.com/mcp/.%2e/admin", false),
        ("https://example.com/a/../mcp", "https://example.com/a/../mcp", false),
        ("https://example.com/mcp", "https://example.com/mcp/..admin", true),
    ] {
        assert_eq!(resource_covers(resource, &uri(endpoint)), covers, "{resource} for {endpoint}");
    }
}

#[test]
fn which_names_are_the_same() {
    for (a, b, same) in [
        ("https://example.com", "https://example.com/", true),
        ("https://EXAMPLE.com:443/mcp", "https://example.com/mcp", true),
        ("urn:example:api", "urn:example:api", true),
        ("client-1", "client-1", true),
        ("https://example.com/mcp", "https://example.com/mcp/", false),
        ("https://example.com/mcp", "https://example.com", false),
        ("https://example.com/mcp", "https://example.com/mcp?a=b", false),
        ("https://example.com/mcp", "http://example.com/mcp", false),
        ("https://example.com/mcp", "https://example.com/mcp#a", false),
        ("https://example.com/mcp", "https://example.com/Mcp", false),
        ("urn:example:api", "URN:example:api", false),
        ("", "https://example.com", false),
    ] {
        assert_eq!(same_resource(a, b), same, "{a} and {b}");
        assert_eq!(same_resource(b, a), same, "{b} and {a}");
    }
}
