use ::http::Uri;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::auth::{Challenge, ScopeSet};

fn uri(text: &str) -> Uri {
    text.parse().unwrap()
}

fn texts(addresses: &[Uri]) -> Vec<String> {
    addresses.iter().map(Uri::to_string).collect()
}

#[test]
fn where_the_metadata_of_a_resource_is() {
    const ROOT: &str = "https://example.com/.well-known/oauth-protected-resource";
    for (endpoint, suffixes) in [
        ("https://example.com", &[""][..]),
        ("https://example.com/", &[""]),
        ("https://EXAMPLE.com:443/mcp", &["/mcp", ""]),
        ("https://example.com/public/mcp", &["/public/mcp", ""]),
        ("https://example.com/mcp/", &["/mcp/", "/mcp", ""]),
        ("https://example.com/mcp?team=1", &["/mcp?team=1", "/mcp", ""]),
        ("https://example.com/?team=1", &["?team=1", ""]),
    ] {
        let expected: Vec<_> = suffixes.iter().map(|suffix| format!("{ROOT}{suffix}")).collect();
        assert_eq!(texts(&protected_resource_addresses(&uri(endpoint), None)), expected, "{endpoint}");
        // A challenge that names nothing changes nothing.
        assert_eq!(
            texts(&protected_resource_addresses(&uri(endpoint), Some(&Challenge::bearer()))),
            expected
        );
    }
    assert!(protected_resource_addresses(&uri("/mcp"), None).is_empty());
    assert!(protected_resource_addresses(&uri("https://ann@example.com/mcp"), None).is_empty());
}

#[test]
fn a_challenge_that_names_an_address_is_followed() {
    let endpoint = uri("https://example.com/mcp");
    for (named, address) in [
        ("https://example.com/meta?x=1", "https://example.com/meta?x=1"),
        ("https://other.example.com/meta#top", "https://other.example.com/meta"),
        ("/meta", "https://example.com/meta"),
        (" https://example.com/meta ", "https://example.com/meta"),
        ("//other.example.com/meta", "https://other.example.com/meta"),
        // These are refused, and not passed over for another: see `AddressRule`.
        ("ftp://example.com/meta", "ftp://example.com/meta"),
        ("https://ann@example.com/", "https://ann@example.com/"),
    ] {
        let challenge = Challenge::bearer().with_resource_metadata(named);
        assert_eq!(texts(&protected_resource_addresses(&endpoint, Some(&challenge))), [address], "{named}");
    }
    for none in ["javascript:alert(1)", "https://", "http://exa mple.com/", "data:text/json,{}"] {
        let challenge = Challenge::bearer().with_resource_metadata(none);
        let found = protected_resource_addresses(&endpoint, Some(&challenge));
        assert_eq!(found, protected_resource_addresses(&endpoint, None), "{none}");
    }
}

#[test]
fn where_the_metadata_of_an_issuer_is() {
    for (issuer, addresses) in [
        (
            "https://auth.example.com/tenant1",
            &[
                "https://auth.example.com/.well-known/oauth-authorization-server/tenant1",
                "https://auth.example.com/.well-known/openid-configuration/tenant1",
                "https://auth.example.com/tenant1/.well-known/openid-configuration",
            ][..],
        ),
        (
            "https://auth.example.com",
            &[
                "https://auth.example.com/.well-known/oauth-authorization-server",
                "https://auth.example.com/.well-known/openid-configuration",
            ],
        ),
        (
            "https://auth.example.com/",
            &[
                "https://auth.example.com/.well-known/oauth-authorization-server",
                "https://auth.example.com/.well-known/openid-configuration",
            ],
        ),
        (
            "https://auth.example.com:8443/realms/a/",
            &[
                "https://auth.example.com:8443/.well-known/oauth-authorization-server/realms/a",
                "https://auth.example.com:8443/.well-known/openid-configuration/realms/a",
                "https://auth.example.com:8443/realms/a/.well-known/openid-configuration",
            ],
        ),
    ] {
        assert_eq!(texts(&authorization_server_addresses(issuer).unwrap()), addresses, "{issuer}");
    }
    for bad in [
        "",
        "auth.example.com",
        "/tenant1",
        "https://",
        "ftp://auth.example.com",
        "https://auth.example.com?a=b",
        "https://auth.example.com/#a",
        "https://ann:secret@auth.example.com",
        "https://auth example.com",
        "https://auth.example.com:x",
    ] {
        let error = authorization_server_addresses(bad).unwrap_err();
        assert!(!error.to_string().contains("secret"), "{bad}");
    }
}

#[test]
fn a_server_of_the_first_revision() {
    // https://modelcontextprotocol.io/specification/2025-03-26/basic/authorization#authorization-base-url
    let endpoint = uri("https://api.example.com/v1/mcp?a=b");
    assert_eq!(
        legacy_authorization_server_address(&endpoint).unwrap(),
        "https://api.example.com/.well-known/oauth-authorization-server"
    );
    let defaults = AuthorizationServer::legacy_defaults(&endpoint).unwrap();
    assert_eq!(defaults.issuer, "https://api.example.com");
    assert_eq!(defaults.authorization_endpoint.as_deref(), Some("https://api.example.com/authorize"));
    assert_eq!(defaults.token_endpoint.as_deref(), Some("https://api.example.com/token"));
    assert_eq!(defaults.registration_endpoint.as_deref(), Some("https://api.example.com/register"));
    assert!(!defaults.supports_s256());
    assert_eq!(AuthorizationServer::legacy_defaults(&uri("/mcp")), None);
}

#[test]
fn documents_as_servers_write_them() {
    // https://www.rfc-editor.org/rfc/rfc9728#section-3.2, with `null` where some frameworks write it.
    let document = ProtectedResource::parse(
        br#"{"resource":"https://resource.example.com","authorization_servers":["https://as1.example.com",
            "https://as2.example.net"],"bearer_methods_supported":["header","body"],"scopes_supported":["profile","email"],
            "resource_documentation":"https://resource.example.com/resource_documentation.html","resource_name":null,
            "dpop_bound_access_tokens_required":null,"resource_name#de":"Dateien","x":{"y":[1]}}"#,
    )
    .unwrap();
    assert_eq!(document.authorization_servers, ["https://as1.example.com", "https://as2.example.net"]);
    assert_eq!(document.scopes_supported, Some(ScopeSet::parse("profile email").unwrap()));
    assert_eq!((document.resource_name, document.dpop_bound_access_tokens_required), (None, false));

    // https://www.rfc-editor.org/rfc/rfc8414#section-3.2
    let document = AuthorizationServer::parse(
        br#"{"issuer":"https://server.example.com","authorization_endpoint":"https://server.example.com/authorize",
            "token_endpoint":"https://server.example.com/token",
            "token_endpoint_auth_methods_supported":["client_secret_basic","private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported":["RS256","ES256"],
            "userinfo_endpoint":"https://server.example.com/userinfo","jwks_uri":"https://server.example.com/jwks.json",
            "registration_endpoint":"https://server.example.com/register","scopes_supported":["openid","offline_access"],
            "response_types_supported":["code","code token"],"ui_locales_supported":["en-US"],
            "code_challenge_methods_supported":["plain","S256"],"client_id_metadata_document_supported":true,
            "authorization_response_iss_parameter_supported":true}"#,
    )
    .unwrap();
    assert!(
        document.supports_s256() && document.lists_scope("offline_access") && !document.lists_scope("mail")
    );
    assert!(
        document.client_id_metadata_document_supported
            && document.authorization_response_iss_parameter_supported
    );
    assert!(document.supports_auth_method("private_key_jwt") && !document.supports_auth_method("none"));
    let again = serde_json::to_vec(&document).unwrap();
    assert_eq!(AuthorizationServer::parse(&again), Ok(document));
}

#[test]
fn what_a_server_leaves_out() {
    let bare = AuthorizationServer::parse(br#"{"issuer":"https://a.example"}"#).unwrap();
    assert!(bare.supports_grant("authorization_code") && bare.supports_grant("implicit"));
    assert!(!bare.supports_grant("refresh_token") && !bare.supports_grant("client_credentials"));
    assert!(
        bare.supports_auth_method("client_secret_basic") && !bare.supports_auth_method("client_secret_post")
    );
    assert!(!bare.supports_s256() && !bare.client_id_metadata_document_supported);
    assert_eq!(serde_json::to_string(&bare).unwrap(), r#"{"issuer":"https://a.example"}"#);
    let none =
        AuthorizationServer::parse(br#"{"issuer":"https://a.example","grant_types_supported":[]}"#).unwrap();
    assert!(!none.supports_grant("authorization_code"));
    let plain = br#"{"issuer":"https://a.example","code_challenge_methods_supported":["plain","s256"]}"#;
    assert!(!AuthorizationServer::parse(plain).unwrap().supports_s256());
}

#[test]
fn an_issuer_is_who_was_asked() {
    let document = AuthorizationServer::parse(br#"{"issuer":"https://honest.example"}"#).unwrap();
    assert_eq!(document.check_issuer("https://honest.example"), Ok(()));
    for asked in [
        "https://attacker.example",
        "https://honest.example/",
        "HTTPS://honest.example",
        "https://honest.example:443",
        "",
    ] {
        let error = document.check_issuer(asked).unwrap_err().to_string();
        assert!(!error.contains("honest") && !error.contains("attacker"), "{error}");
    }
}

#[test]
fn what_is_no_document() {
    let long = format!(r#"{{"resource":"{}"}}"#, "x".repeat(MAX_METADATA));
    let deep = format!(r#"{{"resource":"a","x":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    for bad in [
        "",
        "<!doctype html><secret>",
        "{}",
        "[]",
        r#"{"resource":7}"#,
        r#"{"resource":null}"#,
        r#"{"resource":"a","authorization_servers":"https://secret.example"}"#,
        r#"{"resource":"a","authorization_servers":[7]}"#,
        r#"{"resource":"a","resource":"secret"}"#,
        r#"{"resource":"a","dpop_bound_access_tokens_required":"secret"}"#,
        &long,
        r#"["a"]"#,
    ] {
        let error = ProtectedResource::parse(bad.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("the metadata of the protected resource cannot be used: "), "{error}");
        assert!(!error.contains("secret") && error.len() < 200, "{error}");
    }
    assert!(ProtectedResource::parse(deep.as_bytes()).is_ok(), "what is passed over takes no stack");
    assert!(AuthorizationServer::parse(br#"{"authorization_endpoint":"https://a.example"}"#).is_err());
}

#[test]
fn lists_have_an_end() {
    let many =
        serde_json::json!({"resource": "a", "authorization_servers": vec!["https://a.example"; 1_000]});
    let document = ProtectedResource::parse(many.to_string().as_bytes()).unwrap();
    assert_eq!(document.authorization_servers.len(), MAX_LIST);
}

proptest! {
    #[test]
    fn any_bytes(bytes in vec(any::<u8>(), 0..300), text in ".{0,100}") {
        let _ = ProtectedResource::parse(&bytes);
        let _ = AuthorizationServer::parse(&bytes);
        let _ = authorization_server_addresses(&text);
        let challenge = Challenge::bearer().with_resource_metadata(&*text);
        for address in protected_resource_addresses(&uri("https://example.com/mcp"), Some(&challenge)) {
            prop_assert!(address.host().is_some());
        }
    }

    #[test]
    fn what_is_written_is_read(
        resource in ".{0,40}", servers in vec(".{0,40}", 0..5), scopes in prop::option::of(vec("[a-z:]{1,8}", 0..5)), name in prop::option::of(".{0,20}"),
    ) {
        let mut document = ProtectedResource::new(resource);
        document.authorization_servers = servers;
        document.scopes_supported = scopes.map(|scopes| ScopeSet::of(scopes).unwrap());
        document.resource_name = name;
        let json = serde_json::to_vec(&document).unwrap();
        prop_assert_eq!(ProtectedResource::parse(&json).unwrap(), document);
    }
}
