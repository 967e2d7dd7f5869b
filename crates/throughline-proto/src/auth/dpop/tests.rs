use std::time::Duration;

use ::http::{HeaderMap, Method, Uri};
use proptest::prelude::*;

use super::*;
use crate::auth::{Algorithm, Algorithms, KeyKind, TokenFault, UnixTime, base64url};

const TOKEN: &str = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
const NOW: UnixTime = UnixTime(1_562_262_618);
const SECOND: Duration = Duration::from_secs(1);
const EC: &str = r#"{"kty":"EC","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA","crv":"P-256"}"#;
const ED: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

fn key(json: &str) -> Jwk {
    serde_json::from_str(json).unwrap()
}

fn text(header: &str, claims: &str) -> String {
    format!("{}.{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()), base64url(&[7; 64]))
}

fn uri() -> Uri {
    Uri::from_static("https://resource.example.org/protectedresource?page=2")
}

fn claims() -> ProofClaims {
    ProofClaims::of_request(&Method::GET, &uri(), "e1j3V_bKic8-LAEB", NOW, Some(TOKEN), None)
}

/// What the rule says to a proof with these claims, by the key that the token is bound to.
fn check(rule: &DpopRule, change: impl FnOnce(&mut ProofClaims)) -> Result<(), TokenFault> {
    let mut claims = claims();
    change(&mut claims);
    let key = key(EC);
    let text = text(&proof_header(Algorithm::ES256, &key), &serde_json::to_string(&claims).unwrap());
    let thumbprint = key.thumbprint();
    let uri = uri();
    let request = DpopRequest::new(&Method::GET, &uri, TOKEN, Some(&thumbprint));
    rule.check(&Proof::parse(&text).unwrap(), &request, NOW)
}

fn is_proof_fault(checked: Result<(), TokenFault>) -> bool {
    matches!(checked, Err(TokenFault::Proof(_)))
}

#[test]
fn the_proof_of_the_standard() {
    // https://www.rfc-editor.org/rfc/rfc9449#section-7.1
    let text = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";
    let proof = Proof::parse(text).unwrap();
    assert_eq!((proof.algorithm, proof.key.kind()), (Algorithm::ES256, KeyKind::P256));
    assert_eq!(proof.key.thumbprint(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    assert_eq!(proof.claims, claims(), "which is what a client makes");
    let uri = uri();
    let request =
        DpopRequest::new(&Method::GET, &uri, TOKEN, Some("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"));
    assert_eq!(DpopRule::new().check(&proof, &request, NOW), Ok(()));
}

#[test]
fn thumbprints() {
    // https://www.rfc-editor.org/rfc/rfc7638#section-3.1
    let rsa = key(
        r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#,
    );
    assert_eq!(rsa.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    // https://www.rfc-editor.org/rfc/rfc8037#appendix-A.3
    assert_eq!(key(ED).thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    for json in [EC, ED, &rsa.to_json()] {
        let key = key(json);
        assert_eq!(serde_json::to_string(&key).unwrap(), key.to_json());
        assert_eq!(serde_json::from_str::<Jwk>(&key.to_json()).unwrap(), key);
    }
}

#[test]
fn what_is_no_public_key() {
    let (short, long) = ("A".repeat(340), "A".repeat(1400));
    let secret = EC.replace("\"kty\"", "\"d\":\"AA\",\"kty\"");
    for bad in [
        "{}",
        "\"a\"",
        r#"{"kty":"oct","k":"AAAA"}"#,
        r#"{"kty":"EC","crv":"P-256"}"#,
        &secret,
        &ED.replace("\"kty\"", "\"d\":7,\"kty\""),
        &EC.replace("P-256", "P-384"),
        &EC.replace("P-256", "secp256k1"),
        &EC.replace("l8tF", "l8t"),
        &EC.replace("BFs\"", "BF+\""),
        &EC.replace("BFs\"", "BFs=\""),
        &ED.replace("Ed25519", "X25519"),
        // The last character has bits that mean nothing: the same key with another thumbprint.
        &ED.replace("HURo\"", "HURp\""),
        &format!(r#"{{"kty":"RSA","e":"AQAB","n":"{short}"}}"#),
        &format!(r#"{{"kty":"RSA","e":"AQAB","n":"{long}"}}"#),
        &format!(r#"{{"kty":"RSA","e":"AQABAQABAQAB","n":"{}"}}"#, "A".repeat(342)),
        &format!(r#"{{"kty":"RSA","e":"","n":"{}"}}"#, "A".repeat(342)),
    ] {
        assert!(serde_json::from_str::<Jwk>(bad).is_err(), "{bad:.80}");
    }
}

#[test]
fn what_is_no_proof() {
    let claims = serde_json::to_string(&claims()).unwrap();
    let header = |typ: &str, alg: &str, jwk: &str| format!(r#"{{"typ":"{typ}","alg":"{alg}","jwk":{jwk}}}"#);
    assert!(Proof::parse(&text(&header("dpop+jwt", "ES256", EC), &claims)).is_ok());
    assert!(Proof::parse(&text(&header("dpop+jwt", "EdDSA", ED), &claims)).is_ok());
    for bad in [
        String::new(),
        "a.b.c".into(),
        text(&header("JWT", "ES256", EC), &claims),
        text(&header("at+jwt", "ES256", EC), &claims),
        text(&format!(r#"{{"alg":"ES256","jwk":{EC}}}"#), &claims),
        text(r#"{"typ":"dpop+jwt","alg":"ES256","kid":"1"}"#, &claims),
        // An algorithm that is none, has a shared secret, or is not for this key.
        text(&header("dpop+jwt", "none", EC), &claims),
        text(&header("dpop+jwt", "None", EC), &claims),
        text(&header("dpop+jwt", "", EC), &claims),
        text(&header("dpop+jwt", "es256", EC), &claims),
        text(&header("dpop+jwt", "HS256", EC), &claims),
        text(&header("dpop+jwt", "RS256", EC), &claims),
        text(&header("dpop+jwt", "ES384", EC), &claims),
        text(&header("dpop+jwt", "ES256", ED), &claims),
        text(&header("dpop+jwt", "ES256", &EC.replace("\"kty\"", "\"d\":\"AA\",\"kty\"")), &claims),
        text(&header("dpop+jwt", "HS256", r#"{"kty":"oct","k":"AAAA"}"#), &claims),
        // Claims that are missing, twice or none.
        text(&header("dpop+jwt", "ES256", EC), "{}"),
        text(&header("dpop+jwt", "ES256", EC), &claims.replace("\"jti\"", "\"j\"")),
        text(&header("dpop+jwt", "ES256", EC), &claims.replace("\"htu\"", "\"h\"")),
        text(&header("dpop+jwt", "ES256", EC), &claims.replace("{", "{\"iat\":1,")),
        text(&header("dpop+jwt", "ES256", EC), &claims.replace("\"GET\"", "7")),
        text(
            &header("dpop+jwt", "ES256", EC),
            r#"["1","GET","https://resource.example.org/protectedresource",1562262618]"#,
        ),
        text(
            &header(
                "dpop+jwt",
                "EdDSA",
                r#"["OKP","Ed25519",null,null,"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"]"#,
            ),
            &claims,
        ),
    ] {
        assert!(is_proof_fault(Proof::parse(&bad).map(drop)), "{bad:.120}");
    }
}

#[test]
fn a_request_has_one_proof() {
    let good = text(&proof_header(Algorithm::ES256, &key(EC)), &serde_json::to_string(&claims()).unwrap());
    let mut headers = HeaderMap::new();
    assert!(is_proof_fault(Proof::of_request(&headers).map(drop)));
    headers.append("DPoP", good.parse().unwrap());
    assert_eq!(Proof::of_request(&headers).unwrap().claims, claims());
    headers.append("DPoP", good.parse().unwrap());
    assert!(is_proof_fault(Proof::of_request(&headers).map(drop)));
    headers.insert("DPoP", format!("{good}, {good}").parse().unwrap());
    assert!(is_proof_fault(Proof::of_request(&headers).map(drop)));
}

#[test]
fn a_proof_is_for_one_request() {
    let rule = DpopRule::new();
    assert_eq!(check(&rule, |_| {}), Ok(()));
    for htu in [
        "https://resource.example.org/protectedresource#top",
        "https://resource.example.org/protectedresource?page=3",
        "HTTPS://Resource.Example.ORG:443/protectedresource",
        "https://resource.example.org/p%72otected%72esource",
    ] {
        assert_eq!(check(&rule, |claims| claims.htu = htu.into()), Ok(()), "{htu}");
    }
    for htu in [
        "",
        "/protectedresource",
        "http://resource.example.org/protectedresource",
        "https://resource.example.org/",
        "https://resource.example.org/protectedresource/",
        "https://resource.example.org/Protectedresource",
        "https://resource.example.org:8443/protectedresource",
        "https://resource.example.org.evil.example/protectedresource",
        "https://ann@resource.example.org/protectedresource",
        "https://resource.example.org/protected%2Fresource",
        "https://resource.example.org/protectedresource%zz",
        "https://resource.example.org/protectedresource%",
        "https://resource.example.org/protectedresource%+5",
    ] {
        assert!(is_proof_fault(check(&rule, |claims| claims.htu = htu.into())), "{htu}");
    }
    for htm in ["POST", "get", "", "GET "] {
        assert!(is_proof_fault(check(&rule, |claims| claims.htm = htm.into())), "{htm}");
    }
    for ath in [None, Some(String::new()), Some(token_digest("another")), Some(token_digest(TOKEN) + "=")] {
        assert!(is_proof_fault(check(&rule, |claims| claims.ath = ath)));
    }
    for jti in [String::new(), "x".repeat(257)] {
        assert!(is_proof_fault(check(&rule, |claims| claims.jti = jti)));
    }
}

#[test]
fn a_token_is_bound_to_the_key_of_its_proof() {
    let (mine, other) = (key(EC), key(ED));
    let text = text(&proof_header(Algorithm::ES256, &mine), &serde_json::to_string(&claims()).unwrap());
    let proof = Proof::parse(&text).unwrap();
    let uri = uri();
    for (bound, expected) in [
        (Some(mine.thumbprint()), Ok(())),
        (Some(other.thumbprint()), Err(TokenFault::Binding)),
        (Some(String::new()), Err(TokenFault::Binding)),
        // A token that anybody may use is not made better by a proof of anybody's.
        (None, Err(TokenFault::Binding)),
    ] {
        let request = DpopRequest::new(&Method::GET, &uri, TOKEN, bound.as_deref());
        assert_eq!(DpopRule::new().check(&proof, &request, NOW), expected, "{bound:?}");
    }
}

#[test]
fn a_proof_has_its_time() {
    let rule = DpopRule::new();
    let (window, skew) = (DpopRule::DEFAULT_WINDOW, DpopRule::DEFAULT_SKEW);
    assert_eq!(check(&rule, |claims| claims.iat = NOW.minus(window)), Ok(()));
    assert!(is_proof_fault(check(&rule, |claims| claims.iat = NOW.minus(window).minus(SECOND))));
    assert_eq!(check(&rule, |claims| claims.iat = NOW.plus(skew)), Ok(()));
    assert!(is_proof_fault(check(&rule, |claims| claims.iat = NOW.plus(skew).plus(SECOND))));
    for iat in [0, u64::MAX] {
        assert!(is_proof_fault(check(&rule, |claims| claims.iat = UnixTime(iat))));
    }
    let narrow = DpopRule::new().with_window(SECOND).with_skew(Duration::ZERO);
    assert!(is_proof_fault(check(&narrow, |claims| claims.iat = NOW.plus(SECOND))));
    assert!(is_proof_fault(check(&narrow, |claims| claims.iat = NOW.minus(2 * SECOND))));
    assert_eq!(narrow.memory(), SECOND);
}

#[test]
fn a_proof_holds_the_nonce_that_was_given_out() {
    let rule = DpopRule::new().with_nonces(vec!["new".into(), "old".into()]);
    for (nonce, expected) in [
        (Some("new"), Ok(())),
        (Some("old"), Ok(())),
        (Some("older"), Err(TokenFault::DpopNonce)),
        (Some(""), Err(TokenFault::DpopNonce)),
        (None, Err(TokenFault::DpopNonce)),
    ] {
        assert_eq!(check(&rule, |claims| claims.nonce = nonce.map(Into::into)), expected, "{nonce:?}");
    }
    assert_eq!(check(&DpopRule::new(), |claims| claims.nonce = Some("any".into())), Ok(()));
}

#[test]
fn an_operator_names_the_algorithms() {
    assert!(DpopRule::new().with_algorithms(Algorithms::symmetric()).is_err());
    let only = Algorithms::of([Algorithm::EdDSA]).unwrap();
    let rule = DpopRule::new().with_algorithms(only).unwrap();
    assert!(is_proof_fault(check(&rule, |_| {})));
    assert_eq!(rule.algorithms().iter().collect::<Vec<_>>(), [Algorithm::EdDSA]);
}

#[test]
fn a_proof_is_used_once() {
    let rule = DpopRule::new();
    let mut memory = ReplayMemory::new(rule.memory(), 100);
    assert_eq!(memory.remember("key", "1", NOW), Ok(()));
    assert_eq!(memory.remember("key", "1", NOW), Err(TokenFault::Replayed));
    assert_eq!(memory.remember("key", "2", NOW), Ok(()));
    assert_eq!(memory.remember("other", "1", NOW), Ok(()), "the names of one key are not those of another");
    // As long as it could be taken: made as far in the future as it may be, and taken until it is too old.
    let last = NOW.plus(rule.memory());
    assert_eq!(memory.remember("key", "1", last), Err(TokenFault::Replayed));
    assert_eq!(memory.remember("key", "1", last.plus(SECOND)), Ok(()));
    assert_eq!(memory.len(), 1, "the others are forgotten");
    // A clock that goes back forgets nothing.
    assert_eq!(memory.remember("key", "1", NOW), Err(TokenFault::Replayed));
}

#[test]
fn a_full_memory_lets_nothing_in() {
    let mut memory = ReplayMemory::new(SECOND, 8);
    for n in 0..2 {
        assert_eq!(memory.remember("greedy", &n.to_string(), NOW), Ok(()));
    }
    assert_eq!(memory.remember("greedy", "3", NOW), Err(TokenFault::Unavailable), "a quarter is for one key");
    for key in ["a", "b", "c", "d", "e", "f"] {
        assert_eq!(memory.remember(key, "1", NOW), Ok(()));
    }
    assert_eq!(memory.remember("g", "1", NOW), Err(TokenFault::Unavailable));
    assert_eq!(memory.remember("a", "1", NOW), Err(TokenFault::Replayed));
    assert_eq!(memory.len(), 8);
    let later = NOW.plus(2 * SECOND);
    assert_eq!(memory.remember("greedy", "3", later), Ok(()));
    assert_eq!(memory.remember("greedy", "4", later), Ok(()));
    assert_eq!(memory.remember("greedy", "5", later), Err(TokenFault::Unavailable));
}

#[test]
fn an_address_is_normalised_once_and_for_all() {
    for (written, normal) in [
        ("https://A.example:443/%7eann/%2f%c3%A9", "https://a.example/~ann/%2F%C3%A9"),
        ("https://a.example", "https://a.example/"),
        // What is no escape is left alone, and so is all that stands beside it.
        ("https://a.example/%%330/%7e", "https://a.example/%%330/%7e"),
        ("https://a.example/%7e%", "https://a.example/%7e%"),
        ("https://a.example/%+5", "https://a.example/%+5"),
    ] {
        let normalised = proof::address(&written.parse().unwrap()).unwrap();
        assert_eq!(normalised, normal);
        assert_eq!(proof::address(&normalised.parse().unwrap()).unwrap(), normal, "it is its own");
    }
}

proptest! {
    #[test]
    fn a_memory_is_like_a_list(steps in prop::collection::vec((0_u64..3, 0_u8..3, 0_u8..6), 1..80)) {
        let keep = Duration::from_secs(5);
        let mut memory = ReplayMemory::new(keep, 1_000);
        let mut list: Vec<(UnixTime, String)> = Vec::new();
        let mut now = NOW;
        for (passed, key, jti) in steps {
            now = now.plus(Duration::from_secs(passed));
            list.retain(|(seen, _)| seen.plus(keep) >= now);
            let name = format!("{key}/{jti}");
            let known = list.iter().any(|(_, seen)| *seen == name);
            let expected = if known { Err(TokenFault::Replayed) } else { Ok(()) };
            prop_assert_eq!(memory.remember(&key.to_string(), &jti.to_string(), now), expected);
            if !known {
                list.push((now, name));
            }
            prop_assert_eq!(memory.len(), list.len());
        }
    }

    #[test]
    fn what_a_client_makes_a_server_takes(
        path in "(/[a-z0-9%~._-]{0,8}){0,4}", query in "[a-z=&]{0,8}", id in "[a-zA-Z0-9]{1,40}", token in "[a-zA-Z0-9._-]{1,80}",
    ) {
        if let Ok(uri) = format!("https://Example.com:443{path}?{query}").parse::<Uri>() {
            let key = key(ED);
            let claims = ProofClaims::of_request(&Method::POST, &uri, id, NOW, Some(&token), Some("n"));
            let text = text(&proof_header(Algorithm::EdDSA, &key), &serde_json::to_string(&claims).unwrap());
            let proof = Proof::parse(&text).unwrap();
            prop_assert_eq!(&proof.claims, &claims);
            let bound = key.thumbprint();
            let request = DpopRequest::new(&Method::POST, &uri, &token, Some(&bound));
            prop_assert_eq!(DpopRule::new().with_nonces(vec!["n".into()]).check(&proof, &request, NOW), Ok(()));
        }
    }

    #[test]
    fn any_header_and_claims(header in ".{0,100}", claims in ".{0,100}") {
        let _ = Proof::parse(&text(&header, &claims));
        let _ = Proof::parse(&text(&proof_header(Algorithm::ES256, &key(EC)), &claims));
        let _ = serde_json::from_str::<Jwk>(&header);
    }
}
