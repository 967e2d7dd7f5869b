//! Proofs of a key that were stolen, or are none.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::super::lock::keys::Key;
use super::{Target, now, touch};
use crate::support::{Answer, Tcp, Wire};

/// Somebody with a token that is bound to a key.
struct Ann {
    key: Key,
    token: String,
}

impl Ann {
    fn new(target: &Target) -> Self {
        let key = Key::es256("");
        let token = target.rsa.token(&target.claims_with("cnf", json!({ "jkt": key.thumbprint() })));
        Self { key, token }
    }

    fn says(&self, target: &Target, jti: &str) -> Value {
        json!({
            "jti": jti, "htm": "POST", "htu": target.resource, "iat": now(),
            "ath": URL_SAFE_NO_PAD.encode(Sha256::digest(&self.token)),
        })
    }

    /// Calls the tool with this proof.
    fn wire(&self, target: &Target, proof: &str) -> Wire {
        Wire::over(Tcp(target.address))
            .with("authorization", &format!("DPoP {}", self.token))
            .with("dpop", proof)
    }

    async fn call(&self, target: &Target, proof: &str) -> Answer {
        self.wire(target, proof).post_modern(touch()).send().await
    }
}

#[tokio::test]
async fn a_proof_that_was_seen_on_the_wire_is_of_no_use() {
    let target = Target::start().await;
    let ann = Ann::new(&target);
    // However many come with it at once, one does.
    for round in 1..=3 {
        let proof = ann.key.proof(&ann.says(&target, &format!("round {round}")));
        let calls: Vec<_> = (0..20).map(|_| ann.wire(&target, &proof).post_modern(touch()).start()).collect();
        let mut statuses = Vec::new();
        for call in calls {
            statuses.push(call.await.unwrap().status());
        }
        statuses.sort_unstable();
        assert_eq!((statuses[0], statuses[1], statuses[19]), (200, 401, 401));
        assert_eq!(target.ran(), round);
    }
    // Nor one for the endpoint at another of its paths, which nothing between may have made of it.
    let proof = ann.key.proof(&ann.says(&target, "elsewhere"));
    for path in ["http://localhost/messages?sessionId=1", "http://localhost/sse", "http://localhost/mcp/mcp2"]
    {
        let stolen = ann.wire(&target, &proof).post_modern(touch()).uri(path).send().await;
        assert_eq!(stolen.status(), 401, "{path}");
    }
    let get = ann.wire(&target, &proof).get().send().await;
    assert_eq!(get.status(), 401, "another method");
    assert_eq!(ann.call(&target, &proof).await.status(), 200, "none of them used it up");
}

#[tokio::test]
async fn what_is_no_proof() {
    let target = Target::start().await;
    let (ann, eve) = (Ann::new(&target), Ann::new(&target));
    let says = ann.says(&target, "1");
    let public = |key: &Key| {
        let mut jwk = key.jwk();
        jwk.as_object_mut().unwrap().retain(|name, _| name != "kid" && name != "use");
        jwk
    };
    let mut private = public(&ann.key);
    private["d"] = json!("AAAA");
    let header = |alg: &str, jwk: Value| json!({ "typ": "dpop+jwt", "alg": alg, "jwk": jwk });
    let good = ann.key.proof(&says);
    let (signed, _) = good.rsplit_once('.').unwrap();
    let secret = json!({ "kty": "oct", "k": "AAAA" });
    let with = |member: &str, value: Value| {
        let mut says = says.clone();
        says[member] = value;
        ann.key.proof(&says)
    };
    let mut other_typ = header("ES256", public(&ann.key));
    other_typ["typ"] = json!("JWT");
    let mut critical = header("ES256", public(&ann.key));
    critical["crit"] = json!(["jwk"]);
    let proofs = [
        ("a private key", ann.key.sign(&header("ES256", private), &says)),
        ("no key", ann.key.sign(&json!({ "typ": "dpop+jwt", "alg": "ES256" }), &says)),
        ("a secret", Key::hs256(&[0; 3]).sign(&header("HS256", secret), &says)),
        ("unsigned", format!("{signed}.")),
        ("none", format!("{}.e30.", URL_SAFE_NO_PAD.encode(header("none", public(&ann.key)).to_string()))),
        ("another kind", ann.key.sign(&other_typ, &says)),
        ("critical", ann.key.sign(&critical, &says)),
        ("her key, his signature", eve.key.sign(&header("ES256", public(&ann.key)), &says)),
        ("his key", eve.key.proof(&says)),
        ("his token", ann.key.proof(&eve.says(&target, "2"))),
        ("its token as the proof", ann.token.clone()),
        ("a minute ago", with("iat", json!(now() - 120))),
        ("later", with("iat", json!(now() + 120))),
        ("no name", with("jti", Value::Null)),
        ("a long name", with("jti", json!("j".repeat(257)))),
        ("another host", with("htu", json!("https://other.example.com/mcp"))),
        ("another scheme", with("htu", json!(target.resource.replace("http", "https")))),
        ("a lower method", with("htm", json!("post"))),
    ];
    for (what, proof) in proofs {
        let answer = ann.call(&target, &proof).await;
        assert_eq!(answer.status(), 401, "{what}");
        assert!(answer.header("www-authenticate").contains("invalid_"), "{what}");
    }
    // The token alone, by either scheme.
    assert_eq!(target.call(&ann.token).await.status(), 401);
    let alone = Wire::over(Tcp(target.address)).with("authorization", &format!("DPoP {}", ann.token));
    assert_eq!(alone.post_modern(touch()).send().await.status(), 401);
    let with_proof = target.wire(&ann.token).with("dpop", &good).post_modern(touch()).send().await;
    assert_eq!(with_proof.status(), 401, "a proof makes no bearer token of it");
    assert_eq!(target.ran(), 0);
    assert_eq!(ann.call(&target, &good).await.status(), 200);
}
