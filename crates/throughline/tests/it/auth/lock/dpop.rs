//! Tokens that are bound to a key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use throughline::auth::{AuthScheme, Dpop};

use super::keys::Key;
use super::{Door, Issuer, NOW, RESOURCE, Said, Time, builder, claims, post};

/// A client with a key, and a token that is bound to it.
struct Bound {
    key: Key,
    token: String,
}

impl Bound {
    fn new(issuer: &Issuer, signing: &Key, key: Key) -> Self {
        let mut claims = claims(issuer, "ann");
        claims["cnf"] = json!({ "jkt": key.thumbprint() });
        Self { token: signing.token(&claims), key }
    }

    /// What a proof for a POST to the server says.
    fn says(&self, jti: &str) -> Value {
        json!({
            "jti": jti, "htm": "POST", "htu": RESOURCE, "iat": NOW,
            "ath": URL_SAFE_NO_PAD.encode(Sha256::digest(&self.token)),
        })
    }

    async fn send(&self, door: &Door, proof: &Value) -> Said {
        self.send_text(door, &self.key.proof(proof)).await
    }

    async fn send_text(&self, door: &Door, proof: &str) -> Said {
        let request = post().header("authorization", format!("DPoP {}", self.token)).header("dpop", proof);
        door.send(request).await
    }
}

const PROOF: (u16, &str) = (401, "invalid_dpop_proof");

fn is(said: &Said, expected: (u16, &str)) {
    let (status, code) = said.refusal();
    assert_eq!((status, &*code), expected);
}

#[tokio::test(start_paused = true)]
async fn a_bound_token_comes_through_with_a_proof_each_time_a_new_one() {
    let signing = Key::ed25519("key");
    let (issuer, time) = (Issuer::new(&[&signing]), Time::new());
    let door = Door::new(builder(&issuer, &time).jwks(issuer.name()));
    for key in [Key::es256(""), Key::es384(""), Key::ed25519(""), Key::rs256("")] {
        let ann = Bound::new(&issuer, &signing, key);
        let said = ann.send(&door, &ann.says("first")).await;
        assert_eq!((said.subject().as_str(), &said.json()["headers"]), ("ann", &json!([])));
        is(&ann.send(&door, &ann.says("first")).await, PROOF);
        assert_eq!(ann.send(&door, &ann.says("second")).await.subject(), "ann");
    }
}

#[tokio::test(start_paused = true)]
async fn a_proof_is_for_one_request() {
    let signing = Key::ed25519("key");
    let (issuer, time) = (Issuer::new(&[&signing]), Time::new());
    let door = Door::new(builder(&issuer, &time).jwks(issuer.name()).dpop(Dpop::new()));
    let ann = Bound::new(&issuer, &signing, Key::es256(""));
    let with = |member: &str, value: Value| {
        let mut says = ann.says(member);
        says[member] = value;
        says
    };
    for bad in [
        with("htm", json!("GET")),
        with("htu", json!("https://mcp.example.com/other")),
        with("htu", json!("https://other.example.com/mcp")),
        with("iat", json!(NOW - 61)),
        with("iat", json!(NOW + 31)),
        with("ath", json!(URL_SAFE_NO_PAD.encode(Sha256::digest("another token")))),
        with("ath", Value::Null),
        with("jti", json!("")),
    ] {
        let said = ann.send(&door, &bad).await;
        is(&said, PROOF);
        assert_eq!(said.challenges()[0].scheme, AuthScheme::Dpop);
        assert!(said.challenges()[0].algs.contains(&"ES256".to_owned()));
    }
    // A proof that was refused was not used.
    assert_eq!(ann.send(&door, &ann.says("jti")).await.subject(), "ann");

    let says = ann.says("signed by nobody");
    let proof = ann.key.proof(&says);
    is(&ann.send_text(&door, &proof[..proof.len() - 4]).await, PROOF);
    is(&ann.send_text(&door, "nonsense").await, PROOF);
    is(&ann.send_text(&door, &ann.key.token(&says)).await, PROOF);
    let twice = post()
        .header("authorization", format!("DPoP {}", ann.token))
        .header("dpop", &proof)
        .header("dpop", &proof);
    is(&door.send(twice).await, PROOF);
    // The key of somebody else.
    is(&ann.send_text(&door, &Key::es256("").proof(&says)).await, (401, "invalid_token"));
}

#[tokio::test(start_paused = true)]
async fn a_bound_token_is_no_bearer_token_nor_the_other_way_round() {
    let signing = Key::ed25519("key");
    let (issuer, time) = (Issuer::new(&[&signing]), Time::new());
    let door = Door::new(builder(&issuer, &time).jwks(issuer.name()));
    let ann = Bound::new(&issuer, &signing, Key::es256(""));
    is(&door.with(&ann.token).await, (401, "invalid_token"));
    assert_eq!(ann.send(&door, &ann.says("1")).await.subject(), "ann");
    is(&door.with(&ann.token).await, (401, "invalid_token"));
    let unbound = Bound { token: signing.token(&claims(&issuer, "bob")), key: Key::es256("") };
    assert_eq!(door.with(&unbound.token).await.subject(), "bob");
    is(&unbound.send(&door, &unbound.says("2")).await, (401, "invalid_token"));

    let strict = Door::new(builder(&issuer, &time).jwks(issuer.name()).dpop(Dpop::new().required()));
    is(&strict.with(&unbound.token).await, (401, "invalid_token"));
    assert_eq!(ann.send(&strict, &ann.says("3")).await.subject(), "ann");
}

#[tokio::test(start_paused = true)]
async fn a_proof_is_made_after_the_server_has_spoken() {
    let signing = Key::ed25519("key");
    let (issuer, time) = (Issuer::new(&[&signing]), Time::new());
    let dpop = Dpop::new().nonces_from([9; 32]);
    let door = Door::new(builder(&issuer, &time).jwks(issuer.name()).dpop(dpop.clone()));
    let ann = Bound::new(&issuer, &signing, Key::es256(""));
    let said = ann.send(&door, &ann.says("1")).await;
    is(&said, (401, "use_dpop_nonce"));
    let nonce = said.headers["dpop-nonce"].to_str().unwrap().to_owned();
    let with = |jti: &str, nonce: &str, now: u64| {
        let mut says = ann.says(jti);
        (says["nonce"], says["iat"]) = (json!(nonce), json!(now));
        says
    };
    let said = ann.send(&door, &with("1", &nonce, NOW)).await;
    assert_eq!(said.subject(), "ann");
    assert_eq!(said.headers["dpop-nonce"], nonce);
    is(&ann.send(&door, &with("2", "made up", NOW)).await, (401, "use_dpop_nonce"));

    // Another server with the same secret takes it too, and the one before the last turn.
    let other = Door::new(builder(&issuer, &time).jwks(issuer.name()).dpop(dpop));
    time.pass(120).await;
    let said = ann.send(&other, &with("3", &nonce, NOW + 120)).await;
    assert_eq!(said.subject(), "ann");
    let next = said.headers["dpop-nonce"].to_str().unwrap().to_owned();
    assert_ne!(next, nonce);
    time.pass(120).await;
    is(&ann.send(&door, &with("4", &nonce, NOW + 240)).await, (401, "use_dpop_nonce"));
    assert_eq!(ann.send(&door, &with("4", &next, NOW + 240)).await.subject(), "ann");
}

#[tokio::test(start_paused = true)]
async fn the_address_is_the_public_one() {
    let signing = Key::ed25519("key");
    let (issuer, time) = (Issuer::new(&[&signing]), Time::new());
    let door = Door::new(builder(&issuer, &time).jwks(issuer.name()));
    let ann = Bound::new(&issuer, &signing, Key::es256(""));
    for (number, (asked, said)) in [
        // A proxy took the prefix away.
        ("http://10.0.0.3:8808/", RESOURCE),
        ("/", RESOURCE),
        ("/mcp?session=1", "https://MCP.example.com:443/mcp"),
        ("/messages/7", "https://mcp.example.com/messages/7"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut says = ann.says(&number.to_string());
        says["htu"] = json!(said);
        let request = post()
            .uri(asked)
            .header("authorization", format!("dpop {}", ann.token))
            .header("dpop", ann.key.proof(&says));
        assert_eq!(door.send(request).await.subject(), "ann", "{asked}");
    }
}
