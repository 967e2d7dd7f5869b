//! Other ways to be known: keys of the operator, a check of one's own, a proxy.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::request::Parts;
use serde_json::json;
use throughline::auth::{
    ApiKey, ApiKeys, ScopeSet, Secret, TokenFault, TokenVerifier, TrustedProxy, UnixTime,
};
use throughline::store::Soon;
use throughline::{Authorized, PeerAddress, Principal};

use super::keys::Key;
use super::{Door, Issuer, NOW, Time, builder, claims, post};

#[tokio::test(start_paused = true)]
async fn keys_of_the_operator() {
    let signing = Key::ed25519("key");
    let (issuer, time) = (Issuer::new(&[&signing]), Time::new());
    let (ci, reports) = (ApiKey::from_random([1; 32]), ApiKey::from_random([2; 32]));
    let keys = ApiKeys::new()
        .with("ci", ci.digest())
        .with_scoped("reports", reports.digest(), ["files:read"])
        .unwrap();
    let door = Door::new(builder(&issuer, &time).api_keys(keys).jwks(issuer.name()));
    for _ in 0..2 {
        assert_eq!(door.with(ci.expose()).await.subject(), "ci");
        let said = door.with(reports.expose()).await;
        assert_eq!(
            said.json()["who"],
            json!({ "issuer": "api-keys", "subject": "reports", "client": null, "scopes": "files:read", "until": null }),
        );
        assert_eq!(
            door.with(ApiKey::from_random([3; 32]).expose()).await.refusal(),
            (401, "invalid_token".to_owned())
        );
    }
    assert_eq!(door.with(&signing.token(&claims(&issuer, "ann"))).await.subject(), "ann", "beside tokens");
}

/// Knows one word, and how often it was asked.
struct Words {
    asked: Arc<AtomicUsize>,
    keep: Duration,
}

impl TokenVerifier for Words {
    fn verify(&self, token: &Secret, head: &Parts) -> Soon<Result<Authorized, TokenFault>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        assert!(!head.headers.contains_key("authorization"));
        let somebody = Authorized::new(Principal::new("words", "ali"));
        let found = match token.expose() {
            "sesame" => {
                Ok(somebody.with_scopes(ScopeSet::parse("cave").unwrap()).with_expiry(UnixTime(NOW + 30)))
            }
            "bound" => Ok(somebody.with_claims(
                throughline::jsonrpc::Raw::new(&json!({ "cnf": { "jkt": "thumbprint" } })).unwrap(),
            )),
            "down" => Err(TokenFault::Unavailable),
            _ => Err(TokenFault::Inactive),
        };
        Soon::later(async move { found })
    }

    fn cache_for(&self) -> Duration {
        self.keep
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_of_ones_own() {
    let (issuer, time) = (Issuer::new(&[]), Time::new());
    let asked = Arc::new(AtomicUsize::new(0));
    let door = |keep| {
        let verifier = Words { asked: Arc::clone(&asked), keep };
        Door::new(
            builder(&issuer, &time).verifier(verifier).authorization_server("https://login.example.com"),
        )
    };
    let careful = door(Duration::ZERO);
    for _ in 0..3 {
        assert_eq!(careful.with("sesame").await.subject(), "ali");
    }
    assert_eq!(asked.swap(0, Ordering::SeqCst), 3);
    assert_eq!(careful.with("simsim").await.refusal(), (401, "invalid_token".to_owned()));
    assert_eq!(careful.with("down").await.status, 503);
    assert_eq!(careful.with("bound").await.refusal(), (401, "invalid_token".to_owned()), "there is no proof");

    let quick = door(Duration::from_secs(60));
    asked.store(0, Ordering::SeqCst);
    for _ in 0..3 {
        assert_eq!(quick.with("sesame").await.subject(), "ali");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    time.pass(29).await;
    assert_eq!(quick.with("sesame").await.subject(), "ali");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    time.pass(1).await;
    assert_eq!(quick.with("sesame").await.status, 200, "it is asked again at the end that it named");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_proxy_is_believed_and_nobody_who_speaks_like_one() {
    let key = Key::ed25519("key");
    let (issuer, time) = (Issuer::new(&[&key]), Time::new());
    let proxy = TrustedProxy::new("X-User").at("10.0.0.0/24").scopes_from("X-Scopes").issuer("sso");
    let door = Door::new(builder(&issuer, &time).trusted_proxy(proxy).jwks(issuer.name()));
    let from = |peer: &str| {
        let peer: SocketAddr = peer.parse().unwrap();
        post().extension(PeerAddress(peer)).header("x-user", "ann").header("x-scopes", "files:read")
    };
    let said = door.send(from("10.0.0.9:4711")).await;
    assert_eq!(
        said.json(),
        json!({
            "who": { "issuer": "sso", "subject": "ann", "client": null, "scopes": "files:read", "until": null },
            "headers": [], "path": "/mcp",
        }),
    );
    for request in [from("10.0.1.9:4711"), post().header("x-user", "ann")] {
        assert_eq!(door.send(request).await.refusal(), (401, String::new()));
    }
    // Whoever has a token of one's own is oneself.
    let token = format!("Bearer {}", key.token(&claims(&issuer, "bob")));
    let said = door.send(from("203.0.113.7:80").header("authorization", &token)).await;
    assert_eq!((said.subject().as_str(), &said.json()["headers"]), ("bob", &json!([])));
    let unnamed =
        post().extension(PeerAddress("10.0.0.9:1".parse().unwrap())).header("authorization", &token);
    assert_eq!(door.send(unnamed).await.subject(), "bob");
    let twofold = from("10.0.0.9:4711").header("x-user", "bob");
    assert_eq!(door.send(twofold).await.refusal(), (400, "invalid_request".to_owned()));
}
