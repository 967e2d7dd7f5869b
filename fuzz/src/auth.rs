use http::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use http::{Method, Uri};
use throughline_proto::auth::dpop::{DpopRequest, DpopRule, Proof};
use throughline_proto::auth::{
    AddressRule, ApiKey, AuthorizationServer, Challenge, Claims, CompactJws, Expectation, IpClass,
    ProtectedResource, ScopeSet, UnixTime, authorization_server_addresses, canonical_resource, credentials,
    protected_resource_addresses, resource_covers, same_resource,
};

use crate::input::Input;

/// What strangers say about authorization: none of the rules panics, and what they let pass is what they promise.
///
/// The first byte says what the rest is: headers, one on each line; a document; a token; an address.
pub fn auth(data: &[u8]) {
    let mut input = Input::new(data);
    match input.below(4) {
        0 => headers(input),
        1 => documents(input.rest()),
        2 => token(&String::from_utf8_lossy(input.rest())),
        _ => address(&String::from_utf8_lossy(input.line()), &String::from_utf8_lossy(input.rest())),
    }
}

fn headers(mut input: Input<'_>) {
    let mut headers = HeaderMap::new();
    while !input.is_empty() {
        if let Ok(value) = HeaderValue::from_bytes(input.line()) {
            headers.append(WWW_AUTHENTICATE, value.clone());
            headers.append(AUTHORIZATION, value);
        }
    }
    let found = Challenge::parse_all(&headers);
    assert!(found.len() <= 16, "{found:?}");
    let endpoint = Uri::from_static("https://mcp.example.com/mcp");
    for challenge in &found {
        for address in protected_resource_addresses(&endpoint, Some(challenge)) {
            assert!(address.scheme().is_some() && address.host().is_some(), "{address}");
        }
        // What is written is one challenge, and is read as what was written.
        let mut written = HeaderMap::new();
        written.insert(WWW_AUTHENTICATE, challenge.to_header_value());
        let [read] = &Challenge::parse_all(&written)[..] else { panic!("{challenge:?}: {written:?}") };
        assert_eq!(read.scheme, challenge.scheme);
        assert_eq!(read.scope.is_some(), challenge.scope.is_some());
        assert_eq!(read.to_header_value(), challenge.to_header_value(), "{challenge:?}");
    }
    if let Ok(found) = credentials(&headers, &endpoint) {
        assert!(found.token.bytes().all(|byte| byte.is_ascii_graphic()), "{}", found.token);
        assert!(
            (1..=8192).contains(&found.token.len()) && headers.get_all(AUTHORIZATION).iter().count() == 1
        );
    }
}

fn documents(bytes: &[u8]) {
    if let Ok(document) = ProtectedResource::parse(bytes) {
        let json = serde_json::to_vec(&document).expect("it has no map");
        assert_eq!(ProtectedResource::parse(&json), Ok(document), "what is written is read");
    }
    if let Ok(document) = AuthorizationServer::parse(bytes) {
        let json = serde_json::to_vec(&document).expect("it has no map");
        assert_eq!(AuthorizationServer::parse(&json).as_ref(), Ok(&document), "what is written is read");
        assert_eq!(document.check_issuer(&document.issuer), Ok(()));
    }
    if let Ok(claims) = Claims::parse(bytes) {
        let expectation = Expectation::new("https://login.example.com", "https://mcp.example.com/mcp");
        if expectation.check(&claims, UnixTime(1_700_000_000)).is_ok() {
            assert_eq!(claims.iss.as_deref(), Some("https://login.example.com"));
            assert!(claims.exp > Some(UnixTime(1_699_999_940)) && claims.subject().is_some(), "{claims:?}");
        }
        assert!(claims.scopes().iter().all(|scope| ScopeSet::parse(scope).is_ok()), "{claims:?}");
    }
}

fn token(text: &str) {
    if let Ok(jws) = CompactJws::parse(text) {
        assert_eq!(format!("{}.{}", jws.signed, jws.signature), text);
    }
    if let Ok(proof) = Proof::parse(text) {
        assert_eq!((proof.algorithm.key_kind(), proof.algorithm.is_symmetric()), (proof.key.kind(), false));
        let uri = Uri::from_static("https://mcp.example.com/mcp");
        let bound = proof.key.thumbprint();
        let request = DpopRequest::new(&Method::POST, &uri, "token", Some(&bound));
        if DpopRule::new().check(&proof, &request, UnixTime(1_700_000_000)).is_ok() {
            assert_eq!(proof.claims.htm, "POST");
        }
    }
    if let Ok(key) = ApiKey::parse(text) {
        assert!(key.expose() == text.trim() && key.digest().matches(text.trim()));
    }
    if let Ok(scopes) = ScopeSet::parse(text) {
        assert_eq!(scopes, ScopeSet::parse_lossy(text));
        assert_eq!(ScopeSet::parse(scopes.as_str()).as_ref(), Ok(&scopes));
    }
}

fn address(text: &str, other: &str) {
    for address in authorization_server_addresses(text).into_iter().flatten() {
        assert!(address.path().contains("/.well-known/") && address.query().is_none(), "{address}");
    }
    assert!(same_resource(text, text) && same_resource(text, other) == same_resource(other, text));
    let Ok(uri) = text.parse::<Uri>() else { return };
    if let Some(name) = canonical_resource(&uri) {
        let again: Uri = name.parse().expect("a name is an address");
        assert_eq!(canonical_resource(&again).as_ref(), Some(&name), "a name is its own");
    }
    if resource_covers(other, &uri) {
        let resource: Uri = other.parse().expect("it was read");
        assert!(resource.host().expect("it has one").eq_ignore_ascii_case(uri.host().expect("it has one")));
        assert!(uri.path().starts_with(resource.path().trim_end_matches('/')), "{other} for {uri}");
    }
    let rule = AddressRule::public();
    if rule.check_uri(&uri).is_ok() {
        assert_eq!(uri.scheme_str(), Some("https"));
        let host = uri.host().expect("it has one").trim_matches(['[', ']']).trim_end_matches('.');
        if let Ok(ip) = host.parse() {
            assert_eq!(IpClass::of(ip), IpClass::Public, "{host}");
            assert!(rule.check_resolved(&uri, ip).is_ok());
        }
        assert!(rule.check_resolved(&uri, std::net::Ipv4Addr::LOCALHOST.into()).is_err());
    }
}
