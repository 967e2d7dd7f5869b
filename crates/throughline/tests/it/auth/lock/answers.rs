//! What the lock says by itself: challenges, refusals, and the metadata document.

use http::{Method, Request};
use serde_json::json;
use throughline::auth::{ApiKey, ApiKeys, AuthScheme, Dpop, ScopeHierarchy};

use super::keys::Key;
use super::{Door, Issuer, RESOURCE, Time, builder, claims, post};

const DOCUMENT: &str = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp";

#[tokio::test(start_paused = true)]
async fn whoever_brings_nothing_is_told_where_to_log_in() {
    let (issuer, time) = (Issuer::new(&[]), Time::new());
    let door = Door::new(builder(&issuer, &time).jwks(issuer.name()).scopes(["files:read", "mail"]));
    for request in [post(), post().header("authorization", "Basic YTpi"), post().method(Method::GET)] {
        let said = door.send(request).await;
        assert_eq!(said.status, 401);
        assert_eq!(
            said.headers["www-authenticate"],
            format!(r#"Bearer scope="files:read mail", resource_metadata="{DOCUMENT}""#)
        );
        assert_eq!(said.headers["content-type"], "application/json");
        assert_eq!(said.headers["cache-control"], "no-store");
        assert_eq!(said.headers["access-control-allow-origin"], "*");
        assert!(said.headers["access-control-expose-headers"].to_str().unwrap().contains("WWW-Authenticate"));
        assert_eq!(
            said.json(),
            json!({ "jsonrpc": "2.0", "error": {
                "code": -32600,
                "message": "This server takes an access token. Log in where the WWW-Authenticate header says, and send one.",
            }}),
        );
    }
    assert_eq!(issuer.asked("/jwks"), 0);
}

#[tokio::test(start_paused = true)]
async fn malformed_credentials_are_a_bad_request() {
    let key = Key::ed25519("key");
    let (issuer, time) = (Issuer::new(&[&key]), Time::new());
    let door = Door::new(builder(&issuer, &time).jwks(issuer.name()));
    let token = key.token(&claims(&issuer, "ann"));
    let bearer = format!("Bearer {token}");
    for request in [
        post().header("authorization", &bearer).header("authorization", &bearer),
        post().uri(format!("/mcp?access_token={token}")),
        post().uri(format!("/mcp?access_token={token}")).header("authorization", &bearer),
    ] {
        let said = door.send(request).await;
        assert_eq!(said.refusal(), (400, "invalid_request".to_owned()));
        assert_eq!(said.challenges()[0].resource_metadata.as_deref(), Some(DOCUMENT));
        assert_eq!(said.json()["error"]["code"], -32600);
    }
    for no_token in ["Bearer", "Bearer a b", &format!("Bearer {}", "a".repeat(8193))] {
        let said = door.send(post().header("authorization", no_token)).await;
        assert_eq!(said.refusal(), (401, "invalid_token".to_owned()));
    }
    assert_eq!(
        door.send(post().header("authorization", bearer.replace("Bearer", "bEARER "))).await.subject(),
        "ann"
    );
}

#[tokio::test(start_paused = true)]
async fn all_scopes_are_asked_for_at_once_and_broader_ones_suffice() {
    let key = Key::ed25519("key");
    let (issuer, time) = (Issuer::new(&[&key]), Time::new());
    let hierarchy = ScopeHierarchy::new().implies("files:all", "files:read").unwrap();
    let door = Door::new(
        builder(&issuer, &time).jwks(issuer.name()).scopes(["files:read", "mail"]).hierarchy(hierarchy),
    );
    let with = |scopes: &str| {
        let mut claims = claims(&issuer, "ann");
        claims["scope"] = json!(scopes);
        key.token(&claims)
    };
    for scopes in ["", "files:read", "files:all", "mail"] {
        // The second time the token is known.
        for _ in 0..2 {
            let said = door.with(&with(scopes)).await;
            assert_eq!(said.refusal(), (403, "insufficient_scope".to_owned()));
            let challenge = &said.challenges()[0];
            assert_eq!(challenge.scope.as_ref().unwrap().as_str(), "files:read mail");
            assert_eq!(challenge.resource_metadata.as_deref(), Some(DOCUMENT));
            assert_eq!(said.json()["error"]["code"], -32600);
        }
    }
    assert_eq!(door.with(&with("mail files:all")).await.subject(), "ann");
}

#[tokio::test(start_paused = true)]
async fn credentials_end_at_the_lock() {
    let key = Key::ed25519("key");
    let (issuer, time) = (Issuer::new(&[&key]), Time::new());
    let door = Door::new(builder(&issuer, &time).jwks(issuer.name()));
    let token = key.token(&claims(&issuer, "ann"));
    for _ in 0..2 {
        let request = post()
            .header("authorization", format!("Bearer {token}"))
            .header("dpop", "x")
            .header("x-other", "y");
        assert_eq!(door.send(request).await.json()["headers"], json!(["x-other"]));
    }
    let preflight = post()
        .method(Method::OPTIONS)
        .header("origin", "https://app.example.com")
        .header("access-control-request-method", "POST")
        .header("authorization", format!("Bearer {token}"));
    let said = door.send(preflight).await;
    assert_eq!(said.status, 200, "whether a page may ask is for the server to say");
    assert_eq!(said.json()["who"], json!(null));
    assert_eq!(said.json()["headers"], json!(["origin", "access-control-request-method"]));
    assert_eq!(door.send(post().method(Method::OPTIONS)).await.status, 401);
}

#[tokio::test(start_paused = true)]
async fn the_document_is_at_both_paths_for_everybody() {
    let (issuer, time) = (Issuer::new(&[]), Time::new());
    let door = Door::new(
        builder(&issuer, &time)
            .jwks(issuer.name())
            .jwt_key("no address", throughline::auth::JwtKey::secret([1; 32]).unwrap())
            .authorization_server("https://second.example.com")
            .scopes(["files:read"])
            .name("Files")
            .documentation("https://example.com/docs"),
    );
    let get = |path: &str| Request::builder().uri(path);
    for path in [
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/",
    ] {
        let said = door.send(get(path).header("host", "10.0.0.3:8808")).await;
        assert_eq!((said.status, &said.headers["content-type"]), (200, &"application/json".parse().unwrap()));
        assert_eq!(said.headers["access-control-allow-origin"], "*");
        assert_eq!(
            said.json(),
            json!({
                "resource": RESOURCE,
                "authorization_servers": ["https://second.example.com", "https://login.example.com"],
                "scopes_supported": ["files:read"],
                "bearer_methods_supported": ["header"],
                "resource_name": "Files",
                "resource_documentation": "https://example.com/docs",
            }),
        );
        let head = door.send(get(path).method(Method::HEAD)).await;
        assert_eq!((head.status, head.body.len()), (200, 0));
        let options = door.send(get(path).method(Method::OPTIONS)).await;
        assert_eq!(
            (options.status, &options.headers["access-control-allow-methods"]),
            (204, &"GET".parse().unwrap())
        );
        let post = door.send(get(path).method(Method::POST)).await;
        assert_eq!((post.status, &post.headers["allow"]), (405, &"GET, HEAD, OPTIONS".parse().unwrap()));
    }
    assert_eq!(door.send(get("/.well-known/oauth-protected-resource/other")).await.status, 401);
}

#[tokio::test(start_paused = true)]
async fn where_nobody_can_log_in_nobody_is_sent_to() {
    let (issuer, time) = (Issuer::new(&[]), Time::new());
    let keys = ApiKeys::new().with("ci", ApiKey::from_random([1; 32]).digest());
    let door = Door::new(builder(&issuer, &time).api_keys(keys));
    let said = door.send(post()).await;
    assert_eq!((said.status, said.headers["www-authenticate"].to_str().unwrap()), (401, "Bearer"));
    let sentence = said.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(sentence.starts_with("This server is locked. Ask whoever runs it for a key"), "{sentence}");
    assert_eq!(door.send(Request::builder().uri("/.well-known/oauth-protected-resource")).await.status, 401);
}

#[tokio::test(start_paused = true)]
async fn proofs_are_announced() {
    let (issuer, time) = (Issuer::new(&[]), Time::new());
    let door = Door::new(builder(&issuer, &time).jwks(issuer.name()).dpop(Dpop::new()));
    let challenges = door.send(post()).await.challenges();
    assert_eq!(
        challenges.iter().map(|challenge| &challenge.scheme).collect::<Vec<_>>(),
        [&AuthScheme::Bearer, &AuthScheme::Dpop]
    );
    assert!(challenges[0].algs.is_empty() && challenges[1].algs.contains(&"ES256".to_owned()));

    let door = Door::new(builder(&issuer, &time).jwks(issuer.name()).dpop(Dpop::new().required()));
    let challenges = door.send(post()).await.challenges();
    assert_eq!(challenges.iter().map(|challenge| &challenge.scheme).collect::<Vec<_>>(), [&AuthScheme::Dpop]);
    let document = door.send(Request::builder().uri("/.well-known/oauth-protected-resource")).await.json();
    assert_eq!(document["dpop_bound_access_tokens_required"], true);
    assert!(document["dpop_signing_alg_values_supported"].as_array().unwrap().contains(&json!("EdDSA")));
}
