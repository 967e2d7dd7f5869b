//! Tokens that are forged, altered, or made for something else.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rsa::pkcs1::EncodeRsaPublicKey;
use rsa::pkcs8::{EncodePublicKey, LineEnding};
use rsa::{BigUint, RsaPublicKey};
use serde_json::{Value, json};
use throughline::auth::{Authorization, JwtKey};

use super::super::lock::issuer::Issuer;
use super::super::lock::keys::Key;
use super::{Target, now};

#[tokio::test]
async fn a_token_for_somebody_else_or_of_somebody_else() {
    let target = Target::start().await;
    let (resource, issuer) = (target.resource.clone(), target.ours.name());
    let origin = resource.trim_end_matches("/mcp").to_owned();
    let audiences = [
        json!("https://other.example.com/mcp"),
        json!(issuer),
        json!("editor"),
        json!(origin),
        json!(format!("{resource}/")),
        json!(format!("{resource}/../mcp")),
        json!(format!("{resource}?x=y")),
        json!(format!("{resource}#x")),
        json!(format!("{resource}@other.example.com")),
        json!(resource.replace("http://", "http://user@")),
        json!(resource.replace("http", "https")),
        json!(format!("{resource} https://other.example.com")),
        json!([]),
        json!(["https://other.example.com", issuer]),
        json!([[resource]]),
        json!({ "0": resource }),
        json!(""),
        json!("*"),
        Value::Null,
    ];
    let issuers = [
        json!("https://other.example.com"),
        json!(format!("{issuer}/")),
        json!(issuer.to_uppercase()),
        json!([issuer]),
        json!(""),
        Value::Null,
    ];
    let tokens = audiences.into_iter().map(|value| ("aud", value));
    let tokens = tokens.chain(issuers.into_iter().map(|value| ("iss", value)));
    target
        .refuses(tokens.map(|(name, value)| (name, target.rsa.token(&target.claims_with(name, value)))))
        .await;
    let many: Vec<_> = (0..65).map(|number| format!("urn:{number}")).chain([resource]).collect();
    let for_all = target.rsa.token(&target.claims_with("aud", json!(many)));
    target.refuses([("for everybody", for_all)]).await;
    assert_eq!(target.whom(&target.rsa.token(&target.claims("ann"))).await, format!("ann at {issuer}"));
}

#[tokio::test]
async fn a_token_at_the_wrong_time() {
    let target = Target::start().await;
    let now = now();
    let times = [
        ("exp", json!(now - 61)),
        ("exp", json!(0)),
        ("exp", json!(-1)),
        ("exp", json!((now + 3600).to_string())),
        ("exp", json!([now + 3600])),
        ("exp", json!(true)),
        ("exp", Value::Null),
        ("nbf", json!(now + 120)),
        ("nbf", json!("never")),
        ("iat", json!(now + 120)),
    ];
    target
        .refuses(times.map(|(name, value)| (name, target.ec.token(&target.claims_with(name, value)))))
        .await;
    let claims = target.claims("ann").to_string();
    let header = r#"{"alg":"ES256","kid":"ec"}"#;
    let exp = format!("\"exp\":{}", now + 3600);
    let texts = ["\"exp\":1e999", "\"exp\":NaN", "\"exp\":Infinity"].map(|text| claims.replace(&exp, text));
    target.refuses(texts.iter().map(|text| (text.as_str(), target.ec.sign_text(header, text)))).await;
    target.whom(&target.ec.sign_text(header, &claims)).await;
}

#[tokio::test]
async fn one_issuer_speaks_not_for_the_other() {
    let target = Target::start().await;
    let (ours, theirs) = (target.claims("ann"), target.claims_with("iss", json!(target.theirs.name())));
    // Both have a key that is called `key`.
    let tokens = [
        ("their key says it is ours", target.ed.token(&ours)),
        ("our key says it is theirs", target.rsa.token(&theirs)),
        ("their key by the name of ours", target.ed.sign(&json!({ "alg": "EdDSA", "kid": "ec" }), &ours)),
        ("their key without a name", target.ed.sign(&json!({ "alg": "EdDSA" }), &ours)),
        (
            "the issuer in the header",
            target.ed.sign(&json!({ "alg": "EdDSA", "kid": "key", "iss": target.theirs.name() }), &ours),
        ),
    ];
    target.refuses(tokens).await;
    // The same name at two issuers is two people.
    let (a, b) = (target.whom(&target.rsa.token(&ours)).await, target.whom(&target.ed.token(&theirs)).await);
    assert_eq!(a, format!("ann at {}", target.ours.name()));
    assert_eq!(b, format!("ann at {}", target.theirs.name()));
}

#[tokio::test]
async fn a_public_key_is_no_secret() {
    let target = Target::start().await;
    let jwk = target.rsa.jwk();
    let number = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let public =
        RsaPublicKey::new(BigUint::from_bytes_be(&number("n")), BigUint::from_bytes_be(&number("e")))
            .unwrap();
    let pem = public.to_public_key_pem(LineEnding::LF).unwrap();
    let secrets: Vec<(&str, Vec<u8>)> = vec![
        ("PEM", pem.clone().into()),
        ("PEM without its last line end", pem.trim_end().into()),
        ("PEM of PKCS#1", public.to_pkcs1_pem(LineEnding::LF).unwrap().into()),
        ("DER", public.to_public_key_der().unwrap().into_vec()),
        ("DER of PKCS#1", public.to_pkcs1_der().unwrap().into_vec()),
        ("modulus", number("n")),
        ("modulus as text", jwk["n"].as_str().unwrap().into()),
        ("JWK", jwk.to_string().into()),
        ("nothing", Vec::new()),
    ];
    let forge = |secret: &[u8], claims: &Value| {
        let header = json!({ "typ": "at+jwt", "alg": "HS256", "kid": "key" });
        Key::hs256(secret).sign(&header, claims)
    };
    let claims = target.claims("ann");
    target.refuses(secrets.iter().map(|(what, secret)| (*what, forge(secret, &claims)))).await;

    // A key that was given by its text: the very text that HMAC would take.
    let fixed =
        Target::start_with(|builder| builder.jwt_key("https://fixed.example", JwtKey::pem(&pem).unwrap()))
            .await;
    let claims = fixed.claims_with("iss", json!("https://fixed.example"));
    fixed.refuses(secrets.iter().map(|(what, secret)| (*what, forge(secret, &claims)))).await;
    fixed.whom(&fixed.rsa.token(&claims)).await;

    // And nobody makes a secret of it by mistake.
    for text in
        [pem.as_bytes(), public.to_pkcs1_pem(LineEnding::LF).unwrap().as_bytes(), jwk.to_string().as_bytes()]
    {
        let refused = JwtKey::secret(text).unwrap_err().to_string();
        assert!(refused.contains("the text of a key"), "{refused}");
    }
}

#[tokio::test]
async fn the_algorithm_is_not_the_tokens_choice() {
    let target = Target::start().await;
    let claims = target.claims("ann");
    let mut tokens = Vec::new();
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let payload = encode(&claims.to_string());
    let good = target.rsa.token(&claims);
    let signature = good.rsplit_once('.').unwrap().1;
    for name in ["none", "None", "NONE", "nOnE", "none ", " none", "", "null", "HS256", "rs256"] {
        let header = encode(&json!({ "alg": name, "kid": "key", "typ": "at+jwt" }).to_string());
        tokens.push(("unsigned", format!("{header}.{payload}.")));
        tokens.push(("without its last part", format!("{header}.{payload}")));
        tokens.push(("with the signature of another", format!("{header}.{payload}.{signature}")));
        tokens.push(("signed", target.rsa.sign(&json!({ "alg": name, "kid": "key" }), &claims)));
    }
    for alg in [Value::Null, json!(["RS256"]), json!(256), json!({ "alg": "RS256" })] {
        tokens.push(("no algorithm", target.rsa.sign(&json!({ "alg": alg, "kid": "key" }), &claims)));
    }
    for (alg, kid) in [
        ("PS256", "key"),
        ("RS512", "key"),
        ("ES256", "key"),
        ("RS256", "ec"),
        ("ES384", "ec"),
        ("EdDSA", "ec"),
    ] {
        tokens.push(("another algorithm", target.rsa.sign(&json!({ "alg": alg, "kid": kid }), &claims)));
        tokens.push(("another algorithm", target.ec.sign(&json!({ "alg": alg, "kid": kid }), &claims)));
    }
    tokens.retain(|(_, token)| *token != good);
    target.refuses(tokens).await;
    target.whom(&good).await;
}

#[tokio::test]
async fn the_key_is_not_the_tokens_choice() {
    let target = Target::start().await;
    let eve = Key::ed25519("key");
    let hers = Issuer::listening(&[&eve]).await;
    let address = format!("{}/jwks", hers.name());
    let claims = target.claims("ann");
    let with = |member: &str, value: Value| {
        let mut header = json!({ "typ": "at+jwt", "alg": "EdDSA", "kid": "key" });
        header[member] = value;
        eve.sign(&header, &claims)
    };
    let certificate = STANDARD.encode([0x30; 64]);
    let mut tokens = vec![
        ("jwk", with("jwk", json!({ "kty": "OKP", "crv": "Ed25519", "x": eve.jwk()["x"] }))),
        ("jku", with("jku", json!(address))),
        ("x5u", with("x5u", json!(address))),
        ("x5c", with("x5c", json!([certificate]))),
        ("x5t", with("x5t", json!("AAAA"))),
        ("another issuer's address", with("kid", json!(address))),
    ];
    let long = "k".repeat(4000);
    for kid in ["", "/dev/null", "../../../../dev/null", "key' OR '1'='1", "key\0", "*", "KEY", "key ", &long]
    {
        tokens.push(("kid", with("kid", json!(kid))));
    }
    for kid in [json!(0), json!(["key"]), json!({ "key": "key" }), json!(true)] {
        tokens.push(("kid", target.rsa.sign(&json!({ "alg": "RS256", "kid": kid }), &claims)));
    }
    target.refuses(tokens).await;
    assert_eq!((hers.asked("/jwks"), hers.asked("/.well-known/oauth-authorization-server")), (0, 0));
}

#[tokio::test]
async fn a_signature_that_was_stripped_altered_or_made_of_nothing() {
    let target = Target::start().await;
    let (good, other) = (target.ec.token(&target.claims("ann")), target.ec.token(&target.claims("bob")));
    let parts: Vec<&str> = good.split('.').collect();
    let others: Vec<&str> = other.split('.').collect();
    let [header, payload, signature] = parts[..] else { unreachable!() };
    let mut flipped = URL_SAFE_NO_PAD.decode(signature).unwrap();
    flipped[40] ^= 1;
    let of = |bytes: &[u8]| format!("{header}.{payload}.{}", URL_SAFE_NO_PAD.encode(bytes));
    let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let tokens = [
        ("stripped", format!("{header}.{payload}.")),
        ("stripped with its point", format!("{header}.{payload}")),
        ("the payload alone", payload.to_owned()),
        ("one bit", of(&flipped)),
        ("cut", of(&bytes[..63])),
        ("longer", of(&[&bytes[..], &[0]].concat())),
        // https://nvd.nist.gov/vuln/detail/CVE-2022-21449
        ("zeros", of(&[0; 64])),
        ("DER", of(&[&[0x30, 6, 2, 1, 1, 2, 1, 1][..], &[0; 56]].concat())),
        ("of another token", format!("{header}.{payload}.{}", others[2])),
        ("of another payload", format!("{header}.{}.{signature}", others[1])),
        ("padded", format!("{good}==")),
        ("four parts", format!("{good}.{signature}")),
        ("of the plain alphabet", format!("{header}.{payload}.{}", "+/".repeat(43))),
    ];
    target.refuses(tokens).await;
    target.whom(&good).await;
}

#[tokio::test]
async fn a_token_that_is_huge_or_holds_another() {
    let target = Target::start().await;
    let huge = target.rsa.token(&target.claims_with("groups", json!("x".repeat(7000))));
    assert!(huge.len() > 8 * 1024, "it is good but for its length");
    let deep = format!("{{\"a\":{}1{},", "[".repeat(2000), "]".repeat(2000));
    let deep = target.claims("ann").to_string().replacen('{', &deep, 1).replace("\"exp\"", "\"expires\"");
    let inner = target.rsa.token(&target.claims("ann"));
    let header = r#"{"alg":"RS256","kid":"key","cty":"JWT"}"#;
    let tokens = [
        ("huge", huge),
        ("deep", target.rsa.sign_text(header, &deep)),
        ("nested", target.rsa.sign_text(header, &inner)),
        ("nested as a text", target.rsa.sign_text(header, &json!(inner).to_string())),
        ("encrypted", format!("{}.{inner}.e30", URL_SAFE_NO_PAD.encode(r#"{"alg":"dir","enc":"A256GCM"}"#))),
        ("a list of its claims", target.rsa.sign_text(header, &json!([target.claims("ann")]).to_string())),
        ("no claims", target.rsa.sign_text(header, "")),
    ];
    target.refuses(tokens).await;
    // One that no server takes at all.
    let answer = target.wire(&"x".repeat(100_000)).post_modern(super::touch()).try_send().await;
    assert!(answer.is_ok_and(|answer| matches!(answer.status(), 401 | 431)));
    assert_eq!(target.ran(), 0);
}

#[tokio::test]
async fn what_must_be_understood_and_what_is_there_twice() {
    let target = Target::start().await;
    let claims = target.claims("ann").to_string();
    let mut tokens = Vec::new();
    for more in [
        r#""crit":["exp"],"exp":1"#,
        r#""crit":[]"#,
        r#""crit":null"#,
        r#""b64":false"#,
        r#""b64":true"#,
        r#""alg":"none""#,
        r#""alg":"RS256""#,
        r#""kid":"ec""#,
        r#""typ":"dpop+jwt""#,
        r#""typ":"logout+jwt""#,
        r#""typ":"secevent+jwt""#,
        r#""typ":"JOSE""#,
        r#""typ":["at+jwt"]"#,
    ] {
        let header = format!(r#"{{"alg":"RS256","kid":"key",{more}}}"#);
        tokens.push((more, target.rsa.sign_text(&header, &claims)));
    }
    let header = r#"{"alg":"RS256","kid":"key"}"#;
    let twice = ["iss", "sub", "aud", "exp", "nbf", "iat", "scope", "client_id", "cnf"];
    for name in twice {
        let value = target.claims("ann")[name].clone();
        // First and last, with the good one at either end.
        for (first, last) in [(&value, &json!("other")), (&json!("other"), &value), (&value, &value)] {
            let mut rest = target.claims("ann");
            rest.as_object_mut().unwrap().remove(name);
            let mut text = format!("{{\"{name}\":{first},");
            write!(text, "{},\"{name}\":{last}}}", rest.to_string().trim_matches(['{', '}'])).unwrap();
            tokens.push((name, target.rsa.sign_text(header, &text)));
        }
    }
    target.refuses(tokens).await;
    target.whom(&target.rsa.sign_text(header, &claims)).await;
}

#[tokio::test]
async fn what_is_bound_to_something_unknown_is_no_bearer_token() {
    let target = Target::start().await;
    let bounds = [
        json!({}),
        json!({ "jwk": target.ec.jwk() }),
        json!({ "kid": "key" }),
        json!({ "jku": "https://other.example.com" }),
        json!({ "x5t#S256": "thumbprint" }),
        json!({ "jkt": null }),
        json!({ "jkt": "" }),
        json!({ "jkt": "a", "x5t#S256": "b" }),
        json!([]),
        json!("thumbprint"),
    ];
    target.refuses(bounds.map(|bound| ("cnf", target.rsa.token(&target.claims_with("cnf", bound))))).await;
}

#[tokio::test]
async fn a_client_that_acts_for_itself_is_no_person_of_its_name() {
    let target = Target::start().await;
    let mut client = target.claims_with("client_id", json!("ann"));
    client.as_object_mut().unwrap().remove("sub");
    let person = target.claims_with("client_id", json!("ann"));
    let (client, person) = (target.rsa.token(&client), target.rsa.token(&person));
    let issuer = target.ours.name();
    assert_eq!(target.whom(&client).await, format!("client_id=ann at {issuer}"));
    assert_eq!(target.whom(&person).await, format!("ann at {issuer}"));
    let posing = target.rsa.token(&target.claims("client_id=ann"));
    target.refuses([("a person with the name of a client", posing)]).await;
}

#[tokio::test]
async fn an_issuer_that_withdraws_all_its_keys_is_believed() {
    let target = Target::start().await;
    let token = target.rsa.token(&target.claims("ann"));
    target.whom(&token).await;
    target.ours.rotate(&[]);
    // A token with an unknown key has the keys fetched: those that were withdrawn go.
    let unknown = Key::ed25519("unknown").token(&target.claims("eve"));
    target
        .refuses([
            ("unknown", unknown),
            ("withdrawn", token),
            ("another", target.ec.token(&target.claims("bob"))),
        ])
        .await;
    let lock = Authorization::builder(&target.resource).jwks(target.ours.name()).build().unwrap();
    let none = lock.prepare().await.unwrap_err().to_string();
    assert!(none.contains("no key that can be used"), "{none}");
}
