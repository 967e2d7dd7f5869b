//! Signed tokens: whose, for whom, when, and with which keys.

use futures_core::Future as _;
use serde_json::{Value, json};
use throughline::auth::{Algorithm, Algorithms, JwtKey, TokenType};

use super::keys::Key;
use super::{Door, Issuer, NOW, RESOURCE, Time, builder, claims};
use crate::support::{settle, within};

const METADATA: &str = "/.well-known/oauth-authorization-server";
const INVALID: (u16, &str) = (401, "invalid_token");

fn is(said: &super::Said, expected: (u16, &str)) {
    let (status, code) = said.refusal();
    assert_eq!((status, &*code), expected);
}

#[tokio::test(start_paused = true)]
async fn tokens_of_every_algorithm_come_through() {
    let all = [Key::rs256("r"), Key::ps256("p"), Key::es256("e"), Key::es384("f"), Key::ed25519("g")];
    let (issuer, time) = (Issuer::new(&all.iter().collect::<Vec<_>>()), Time::new());
    let door = Door::new(builder(&issuer, &time).jwks(issuer.name()));
    for key in &all {
        let said = door.with(&key.token(&claims(&issuer, &key.id))).await;
        assert_eq!(said.subject(), key.id);
        assert_eq!(
            said.json()["who"],
            json!({
                "issuer": "https://login.example.com", "subject": key.id, "client": "editor",
                "scopes": "files:read", "until": NOW + 3600 + 60,
            }),
        );
    }
    assert_eq!((issuer.asked(METADATA), issuer.asked("/jwks")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_a_token_has_to_say() {
    let key = Key::ed25519("key");
    let (issuer, time) = (Issuer::new(&[&key]), Time::new());
    let door = Door::new(builder(&issuer, &time).jwks(issuer.name()).audience("urn:mcp"));
    let good = claims(&issuer, "ann");
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        key.token(&claims)
    };
    let good_ones = [
        key.token(&good),
        with("aud", json!(["https://other.example.com", "urn:mcp"])),
        with("aud", json!("HTTPS://MCP.example.com:443/mcp")),
        with("exp", json!(NOW - 59)),
        with("nbf", json!(NOW + 60)),
        with("iat", json!(NOW + 60)),
        key.sign(&json!({ "alg": "EdDSA" }), &good),
        key.sign(&json!({ "alg": "Ed25519", "kid": "key", "typ": "JWT" }), &good),
    ];
    for token in good_ones {
        assert_eq!(door.with(&token).await.subject(), "ann");
    }
    let bad_ones = [
        with("iss", json!("https://login.example.com/")),
        with("iss", Value::Null),
        with("aud", json!("https://mcp.example.com")),
        with("aud", json!("https://mcp.example.com/mcp/other")),
        with("aud", Value::Null),
        with("exp", json!(NOW - 60)),
        with("exp", Value::Null),
        with("nbf", json!(NOW + 61)),
        with("iat", json!(NOW + 61)),
        key.sign(&json!({ "alg": "EdDSA", "typ": "dpop+jwt" }), &good),
        key.sign(&json!({ "alg": "EdDSA", "crit": ["b64"] }), &good),
        key.sign(&json!({ "alg": "none" }), &good),
        Key::ed25519("key").token(&good),
        "opaque".into(),
        "a.b.c".into(),
    ];
    let first = door.with(&bad_ones[0]).await;
    is(&first, INVALID);
    for token in bad_ones {
        let said = door.with(&token).await;
        assert_eq!((said.status, &said.headers, &said.body), (401, &first.headers, &first.body), "{token}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_known_costs_no_key_and_ends_when_it_expires() {
    let key = Key::es256("key");
    let (issuer, time) = (Issuer::new(&[&key]), Time::new());
    issuer.set_cache_control("public, max-age=3600");
    let door = Door::new(builder(&issuer, &time).jwks(issuer.name()));
    let token = key.token(&claims(&issuer, "ann"));
    assert_eq!(door.with(&token).await.subject(), "ann");
    issuer.set_down(true);
    time.pass(3659).await;
    assert_eq!(door.with(&token).await.subject(), "ann");
    time.pass(1).await;
    is(&door.with(&token).await, INVALID);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_new_is_fetched_and_one_that_was_withdrawn_is_forgotten() {
    let (old, new) = (Key::es256("old"), Key::es256("new"));
    let (issuer, time) = (Issuer::new(&[&old]), Time::new());
    let door = Door::new(builder(&issuer, &time).jwks(issuer.name()));
    let token = old.token(&claims(&issuer, "ann"));
    assert_eq!(door.with(&token).await.subject(), "ann");
    issuer.rotate(&[&new]);
    time.pass(10).await;
    assert_eq!(door.with(&new.token(&claims(&issuer, "bob"))).await.subject(), "bob");
    assert_eq!(issuer.asked("/jwks"), 2);
    is(&door.with(&token).await, INVALID);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_withdrawn_in_a_quiet_time_opens_nothing_not_even_once() {
    let (old, new) = (Key::es256("old"), Key::es256("new"));
    let (issuer, time) = (Issuer::new(&[&old]), Time::new());
    let door = Door::new(builder(&issuer, &time).jwks(issuer.name()));
    let mut later = claims(&issuer, "ann");
    later["exp"] = json!(NOW + 100_000);
    assert_eq!(door.with(&old.token(&later)).await.subject(), "ann");
    issuer.rotate(&[&new]);
    time.pass(3 * 3600).await;
    is(&door.with(&old.token(&later)).await, INVALID);
    assert_eq!(door.with(&new.token(&later)).await.subject(), "ann");
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_for_an_issuer_are_bounded() {
    let key = Key::ed25519("key");
    let (issuer, time) = (Issuer::new(&[&key]), Time::new());
    let door = Door::new(builder(&issuer, &time).jwks(issuer.name()));
    // A key that nobody has: what is waited for is whether the issuer has it.
    let token = Key::ed25519("made up").token(&claims(&issuer, "eve"));
    let gate = issuer.hold();
    let waiting: Vec<_> = (0..1_100)
        .map(|_| {
            let (door, token) = (door.clone(), token.clone());
            tokio::spawn(async move { door.with(&token).await.status })
        })
        .collect();
    gate.until_came(1).await;
    settle().await;
    gate.open(10);
    let mut statuses = Vec::new();
    for waiting in waiting {
        statuses.push(within(waiting).await.unwrap());
    }
    let count = |status| statuses.iter().filter(|found| **found == status).count();
    assert_eq!((count(401), count(503)), (1_024, 76));
    assert_eq!(door.with(&key.token(&claims(&issuer, "ann"))).await.subject(), "ann");
}

#[tokio::test(start_paused = true)]
async fn made_up_keys_have_the_issuer_asked_now_and_then_and_hold_nobody_up() {
    let key = Key::ed25519("key");
    let (issuer, time) = (Issuer::new(&[&key]), Time::new());
    let door = Door::new(builder(&issuer, &time).jwks(issuer.name()));
    let token = key.token(&claims(&issuer, "ann"));
    assert_eq!(door.with(&token).await.subject(), "ann");
    time.pass(10).await;
    let gate = issuer.hold();
    let waiting: Vec<_> = (0..200)
        .map(|number| {
            let forged = Key::ed25519(&format!("made up {number}")).token(&claims(&issuer, "eve"));
            let door = door.clone();
            tokio::spawn(async move { door.with(&forged).await.refusal() })
        })
        .collect();
    gate.until_came(1).await;
    // The issuer hangs: who is known comes through, and so does who has a key that is known.
    assert_eq!(door.with(&token).await.subject(), "ann");
    assert_eq!(door.with(&key.token(&claims(&issuer, "bob"))).await.subject(), "bob");
    gate.open(1_000);
    for waiting in waiting {
        assert_eq!(within(waiting).await.unwrap(), (401, "invalid_token".to_owned()));
    }
    assert_eq!(issuer.asked("/jwks"), 2, "one for the first token, one for all that were made up");
    for _ in 0..50 {
        is(&door.with(&Key::ed25519("again").token(&claims(&issuer, "eve"))).await, INVALID);
    }
    assert_eq!(issuer.asked("/jwks"), 2);
}

#[tokio::test(start_paused = true)]
async fn many_at_once_fetch_the_keys_once() {
    let key = Key::ed25519("key");
    let (issuer, time) = (Issuer::new(&[&key]), Time::new());
    let door = Door::new(builder(&issuer, &time).jwks(issuer.name()));
    let gate = issuer.hold();
    let mut waiting = Vec::new();
    for number in 0..50 {
        let (door, token) = (door.clone(), key.token(&claims(&issuer, &format!("user {number}"))));
        waiting.push(tokio::spawn(async move { door.with(&token).await.subject() }));
    }
    // One who asks first and gives up takes nothing away from the others.
    let token = key.token(&claims(&issuer, "gone"));
    let mut gone = Box::pin(door.with(&token));
    assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(gone.as_mut().poll(cx).is_pending())).await);
    drop(gone);
    settle().await;
    gate.open(10);
    for (number, waiting) in waiting.into_iter().enumerate() {
        assert_eq!(within(waiting).await.unwrap(), format!("user {number}"));
    }
    assert_eq!((issuer.asked(METADATA), issuer.asked("/jwks")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_is_down_refuses_nobody_whose_key_is_known() {
    let key = Key::ed25519("key");
    let (issuer, time) = (Issuer::new(&[&key]), Time::new());
    let lock = builder(&issuer, &time).jwks(issuer.name()).build().unwrap();
    let door = Door(lock.layer(super::Behind));
    issuer.set_down(true);
    let said = door.with(&key.token(&claims(&issuer, "ann"))).await;
    assert_eq!((said.status, said.challenges().len()), (503, 0));
    assert_eq!(said.headers["retry-after"], "5");
    assert_eq!(said.json()["error"]["code"], -32603);
    let error = lock.prepare().await.unwrap_err().to_string();
    assert!(error.contains("`https://login.example.com`"), "{error}");

    issuer.set_down(false);
    assert_eq!(
        door.with(&key.token(&claims(&issuer, "ann"))).await.status,
        503,
        "it is left alone for a second"
    );
    time.pass(2).await;
    assert_eq!(door.with(&key.token(&claims(&issuer, "ann"))).await.subject(), "ann");
    lock.prepare().await.unwrap();

    issuer.set_down(true);
    for hour in 1..12 {
        time.pass(3600).await;
        let mut later = claims(&issuer, "ann");
        later["exp"] = json!(time.now() + 60);
        assert_eq!(door.with(&key.token(&later)).await.subject(), "ann", "after {hour} hours");
        settle().await;
    }
    time.pass(2 * 3600).await;
    let mut later = claims(&issuer, "ann");
    later["exp"] = json!(time.now() + 60);
    assert_eq!(door.with(&key.token(&later)).await.status, 503);
}

#[tokio::test(start_paused = true)]
async fn keys_that_were_given_need_no_issuer() {
    let (mine, secret) = (Key::es256("mine"), Key::hs256(&[7; 32]));
    let (issuer, time) = (Issuer::new(&[]), Time::new());
    let keys = JwtKey::jwks(json!({ "keys": [mine.jwk()] }).to_string()).unwrap();
    let door = Door::new(
        builder(&issuer, &time)
            .jwt_keys(issuer.name(), keys)
            .jwt_key("the other office", JwtKey::secret([7; 32]).unwrap()),
    );
    assert_eq!(door.with(&mine.token(&claims(&issuer, "ann"))).await.subject(), "ann");
    let mut other = claims(&issuer, "bob");
    other["iss"] = json!("the other office");
    assert_eq!(door.with(&secret.token(&other)).await.subject(), "bob");
    // Whoever has one key speaks for one issuer.
    is(&door.with(&secret.token(&claims(&issuer, "eve"))).await, INVALID);
    is(&door.with(&mine.token(&other)).await, INVALID);
    assert_eq!(issuer.asked(METADATA), 0);
}

#[tokio::test(start_paused = true)]
async fn algorithms_and_types_can_be_narrowed() {
    let (es, ed) = (Key::es256("es"), Key::ed25519("ed"));
    let (issuer, time) = (Issuer::new(&[&es, &ed]), Time::new());
    let door = Door::new(
        builder(&issuer, &time)
            .jwks_at(issuer.name(), format!("{}/jwks", issuer.name()))
            .algorithms(Algorithms::of([Algorithm::ES256]).unwrap())
            .token_type(TokenType::AccessToken),
    );
    assert_eq!(door.with(&es.token(&claims(&issuer, "ann"))).await.subject(), "ann");
    is(&door.with(&ed.token(&claims(&issuer, "ann"))).await, INVALID);
    let untyped = es.sign(&json!({ "alg": "ES256", "kid": "es" }), &claims(&issuer, "ann"));
    is(&door.with(&untyped).await, INVALID);
    assert_eq!((issuer.asked(METADATA), issuer.asked("/jwks")), (0, 1));
}

#[tokio::test]
async fn what_cannot_be_a_lock_is_said() {
    let bad = |builder: throughline::auth::AuthorizationBuilder| builder.build().unwrap_err().to_string();
    let new = |resource: &str| throughline::auth::Authorization::builder(resource);
    assert!(bad(new(RESOURCE)).contains("nobody could be let in"));
    for resource in ["mcp.example.com", "https://mcp.example.com/mcp#x", "https://a/b?c=d", "ftp://a/b", ""] {
        assert!(bad(new(resource).jwks("https://login.example.com")).contains(resource));
    }
    for issuer in
        ["login.example.com", "http://login.example.com", "https://login.example.com?x", "http://10.1.2.3"]
    {
        let said = bad(new(RESOURCE).jwks(issuer));
        assert!(said.contains("login.example.com") || said.contains("10.1.2.3"), "{said}");
    }
    let twice = new(RESOURCE).jwks("https://login.example.com").jwks("https://login.example.com");
    assert!(bad(twice).contains("twice"));
    let mixed = new(RESOURCE)
        .jwt_key("me", JwtKey::secret([1; 32]).unwrap())
        .jwt_keys("me", JwtKey::jwks(Key::ed25519("x").jwk().to_string()).unwrap());
    assert!(bad(mixed).contains("not both"));
    assert!(bad(new(RESOURCE).jwks("https://login.example.com").scopes(["a b"])).contains("scope"));
}
