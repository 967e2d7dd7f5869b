//! Logins that take no person, and tokens that are bound to a key, against the authorization server of these tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::KeyPair;
use serde_json::json;
use throughline::auth::flow::{ClientId, IdentityProvider, SubjectToken};
use throughline::auth::oauth::{ClientKey, MemoryTokenStore};
use throughline::auth::{OAuth, Secret};
use throughline::store::Soon;
use throughline::{Client, ClientError};
use tokio::task::JoinSet;

use super::support::{Authority, Person, Protected, Rules};

struct World {
    authority: Authority,
    server: Protected,
    person: Person,
}

impl World {
    async fn new(rules: Rules) -> Self {
        let authority = Authority::start(rules).await;
        let server = Protected::start(&authority).await;
        Self { authority, server, person: Person::default() }
    }

    fn oauth(&self) -> OAuth {
        OAuth::new().client_name("job").store(MemoryTokenStore::new()).prompt(self.person.clone())
    }

    async fn connect(&self, oauth: OAuth) -> Result<Client, ClientError> {
        Client::connect(self.server.url()).authorize(oauth).standalone_stream(false).await
    }
}

/// Calls so often at the same time.
async fn calls(client: &Client, count: usize) {
    let mut running = JoinSet::new();
    for _ in 0..count {
        let client = client.clone();
        running.spawn(async move { client.call_tool("count", &()).await.map(drop) });
    }
    running.join_all().await.into_iter().for_each(|outcome| outcome.unwrap());
}

#[tokio::test]
async fn a_client_is_itself_by_its_secret() {
    let world = World::new(Rules::default()).await;
    world.authority.register("robot", Some("s3cret of the robot"), "");
    let id =
        ClientId::new("robot").secret(Secret::new("s3cret of the robot")).issuer(world.authority.issuer());
    let client = world.connect(world.oauth().client_credentials(id)).await.unwrap();
    calls(&client, 5).await;
    assert_eq!(world.authority.log(), ["client"]);
    // There is no refresh token, and many calls make one login all the same.
    for _ in 0..2 {
        world.authority.expire();
        calls(&client, 50).await;
        assert_eq!(world.authority.log(), ["client"]);
    }
    assert_eq!((world.person.visits(), world.server.calls()), (0, 105));
    let wrong = ClientId::new("robot").secret(Secret::new("another secret"));
    let error = world.connect(world.oauth().client_credentials(wrong)).await.unwrap_err();
    assert!(error.is_login_failed() && !error.to_string().contains("another secret"), "{error}");
    assert_eq!(world.authority.log(), ["refused: invalid_client"]);
}

#[tokio::test]
async fn a_client_is_itself_by_its_key() {
    let world = World::new(Rules::default()).await;
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    world.authority.register_key("robot", key.public_key_pem());
    let with = |key: &KeyPair| {
        let key = ClientKey::pem(key.serialize_pem()).unwrap();
        world
            .oauth()
            .client_credentials(ClientId::new("robot").issuer(world.authority.issuer()))
            .signing_key(key)
    };
    let client = world.connect(with(&key)).await.unwrap();
    world.authority.expire();
    calls(&client, 10).await;
    assert_eq!(world.authority.log(), ["client", "client"]);
    world.connect(with(&other)).await.unwrap_err();
    assert_eq!(world.authority.log(), ["refused: invalid_client"]);
}

/// What a platform vouches with, for this audience.
fn vouched(audience: &str) -> String {
    let claims = json!({ "iss": "https://platform.example", "sub": "job", "aud": audience });
    format!("eyJhbGciOiJFUzI1NiJ9.{}.c2lnbmF0dXJl", URL_SAFE_NO_PAD.encode(claims.to_string()))
}

#[tokio::test]
async fn a_platform_vouches_for_what_runs_on_it() {
    let world = World::new(Rules::default()).await;
    world.authority.register("robot", None, "");
    let jwt = vouched(world.authority.issuer());
    world.authority.rule(|rules| rules.vouched = Some(jwt.clone()));
    let asked = Arc::<AtomicUsize>::default();
    let platform = |jwt: String| {
        let asked = Arc::clone(&asked);
        world.oauth().workload_identity(ClientId::new("robot"), move || {
            asked.fetch_add(1, Ordering::Relaxed);
            Soon::now(Ok(Secret::new(jwt.clone())))
        })
    };
    let client = world.connect(platform(jwt)).await.unwrap();
    world.authority.expire();
    calls(&client, 20).await;
    assert_eq!(world.authority.log(), ["assertion", "assertion"]);
    assert_eq!(asked.swap(0, Ordering::Relaxed), 2, "anew for each login");

    // One that is refused is shown once, and in no error, whatever the server repeats.
    world.authority.rule(|rules| rules.vouched = None);
    let refused = vouched(world.authority.issuer());
    let error = world.connect(platform(refused.clone())).await.unwrap_err();
    assert!(error.is_login_failed());
    assert!(!format!("{error} {error:?}").contains(&refused[..16]), "{error:?}");
    assert_eq!(
        (world.authority.log(), asked.swap(0, Ordering::Relaxed)),
        (vec!["refused: invalid_grant".to_owned()], 1)
    );

    // One that is for another authorization server is not shown to this one.
    let error = world.connect(platform(vouched("https://login.example.com"))).await.unwrap_err();
    assert!(error.to_string().contains("does not say that it is for that one"), "{error}");
    assert_eq!((world.authority.log(), world.person.visits()), (vec![], 0));
}

#[tokio::test]
async fn an_identity_provider_vouches_for_a_person() {
    let world = World::new(Rules::default()).await;
    let provider = Authority::start(Rules::default()).await;
    provider.register("app-at-provider", None, "");
    world.authority.register("app", Some("secret of the app"), "");
    let managed = |subject: &'static str| {
        let id =
            ClientId::new("app").secret(Secret::new("secret of the app")).issuer(world.authority.issuer());
        let at = IdentityProvider {
            token_endpoint: format!("{}/token", provider.issuer()),
            client_id: "app-at-provider".into(),
            client_secret: None,
            subject_token: Secret::new(""),
            subject: SubjectToken::IdToken,
        };
        world.oauth().enterprise_managed(id, at, move || Soon::now(Ok(Secret::new(subject))))
    };
    let client = world.connect(managed("id-token-of-ann")).await.unwrap();
    world.authority.expire();
    calls(&client, 20).await;
    let exchange = format!("exchange for {}", world.authority.issuer());
    assert_eq!(provider.log(), [exchange.clone(), exchange]);
    assert_eq!(world.authority.log(), ["assertion", "assertion"]);
    let error = world.connect(managed("id-token-of-nobody")).await.unwrap_err();
    assert!(error.to_string().contains("the identity provider refused"), "{error}");
    assert_eq!((world.authority.log(), world.person.visits()), (vec![], 0));
}

#[tokio::test]
async fn tokens_are_bound_to_a_key_with_nonces_on_both_sides() {
    let world = World::new(Rules { nonce: Some("nonce-of-the-authority"), ..Rules::default() }).await;
    world.server.wants_nonce("first-of-the-server");
    let store = MemoryTokenStore::new();
    let oauth = world.oauth().store(store.clone());
    let client = world.connect(oauth.clone()).await.unwrap();
    calls(&client, 10).await;
    let login = ["register job", "authorize read offline_access", "refused: use_dpop_nonce", "code"];
    assert_eq!(world.authority.log(), login);
    // Another nonce costs one more turn, and no login.
    world.server.wants_nonce("second-of-the-server");
    calls(&client, 10).await;
    // It is refreshed with the same key, in another process too.
    world.authority.expire();
    calls(&world.connect(world.oauth().store(store)).await.unwrap(), 10).await;
    assert_eq!(world.authority.log(), ["refused: use_dpop_nonce", "refresh"]);
    assert_eq!((world.person.visits(), world.server.calls()), (1, 30));
    assert!(oauth.logout(world.server.url()).await.unwrap());
}

/// It asks for another nonce each time.
#[tokio::test]
async fn a_server_that_is_never_content_with_a_nonce_is_left_alone() {
    let world = World::new(Rules { nonce: Some("nonce-of-the-authority"), ..Rules::default() }).await;
    world.server.wants_nonce("");
    let error = world.connect(world.oauth()).await.unwrap_err();
    assert!(error.is_unauthorized(), "{error}");
    // One request without a token, and five with one.
    assert_eq!((world.server.refused(), world.person.visits()), (6, 1));
}
