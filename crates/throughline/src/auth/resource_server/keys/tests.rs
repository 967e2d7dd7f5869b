//! Which key a signature is held against, with keys that are made here.

use jsonwebtoken::EncodingKey;
use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;
use throughline_proto::auth::{Algorithm, Algorithms, CompactJws, Expectation, KeyKind, TokenFault};

use super::*;

/// A key pair, with the text that the issuer publishes of it.
struct Pair {
    private: EncodingKey,
    jwk: String,
    algorithm: Algorithm,
}

fn ed25519(id: &str) -> Pair {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let x = URL_SAFE_NO_PAD.encode(pair.public_key_raw());
    let jwk = format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"{id}","use":"sig","x":"{x}"}}"#);
    let private = EncodingKey::from_ed_pem(pair.serialize_pem().as_bytes()).unwrap();
    Pair { private, jwk, algorithm: Algorithm::EdDSA }
}

fn p256(id: &str) -> Pair {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let point = pair.public_key_raw();
    let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
    let jwk = format!(r#"{{"kty":"EC","crv":"P-256","kid":"{id}","alg":"ES256","x":"{x}","y":"{y}"}}"#);
    let private = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap();
    Pair { private, jwk, algorithm: Algorithm::ES256 }
}

impl Pair {
    fn sign(&self, header: &str) -> String {
        let header = header.replace("ALG", self.algorithm.name());
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode("{}"));
        let algorithm = match self.algorithm {
            Algorithm::ES256 => jsonwebtoken::Algorithm::ES256,
            _ => jsonwebtoken::Algorithm::EdDSA,
        };
        let signer = (DEFAULT_PROVIDER.signer_factory)(&algorithm, &self.private).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signer.sign(signed.as_bytes())))
    }
}

fn issuer(keys: Vec<JwtKey>, algorithms: Algorithms) -> Issuer {
    let expectation = Expectation::new("https://login.example.com", "https://mcp.example.com");
    Issuer::new("https://login.example.com".into(), expectation, algorithms, Keys::Fixed(keys.into()))
}

fn set(pairs: &[&Pair]) -> Vec<JwtKey> {
    let keys: Vec<_> = pairs.iter().map(|pair| pair.jwk.as_str()).collect();
    JwtKey::jwks(format!(r#"{{"keys":[{}]}}"#, keys.join(","))).unwrap()
}

async fn check(issuer: &Issuer, token: &str) -> Result<(), TokenFault> {
    issuer.check_signature(&CompactJws::parse(token).unwrap()).await
}

#[tokio::test]
async fn a_key_is_found_by_its_name_or_else_by_its_kind() {
    let (ed, ec) = (ed25519("ed"), p256("ec"));
    let issuer = issuer(set(&[&ed, &ec]), Algorithms::asymmetric());
    assert_eq!(check(&issuer, &ed.sign(r#"{"alg":"ALG","kid":"ed"}"#)).await, Ok(()));
    assert_eq!(check(&issuer, &ec.sign(r#"{"alg":"ALG","kid":"ec"}"#)).await, Ok(()));
    assert_eq!(check(&issuer, &ec.sign(r#"{"alg":"ALG"}"#)).await, Ok(()));
    assert_eq!(check(&issuer, &ed.sign(r#"{"alg":"ALG","kid":"x"}"#)).await, Err(TokenFault::UnknownKey));
    assert_eq!(check(&issuer, &ed.sign(r#"{"alg":"ALG","kid":"ec"}"#)).await, Err(TokenFault::Algorithm));
    let other = ed25519("ed");
    assert_eq!(check(&issuer, &other.sign(r#"{"alg":"ALG","kid":"ed"}"#)).await, Err(TokenFault::Signature));
    assert_eq!(check(&issuer, &other.sign(r#"{"alg":"ALG"}"#)).await, Err(TokenFault::UnknownKey));
}

#[tokio::test]
async fn only_what_is_allowed_is_taken_whatever_a_token_says() {
    let (ed, ec) = (ed25519("ed"), p256("ec"));
    let only_es = issuer(set(&[&ed, &ec]), Algorithms::of([Algorithm::ES256]).unwrap());
    assert_eq!(check(&only_es, &ed.sign(r#"{"alg":"ALG"}"#)).await, Err(TokenFault::Algorithm));
    assert_eq!(check(&only_es, &ec.sign(r#"{"alg":"ALG"}"#)).await, Ok(()));
    let any = issuer(set(&[&ed, &ec]), Algorithms::asymmetric());
    for name in ["none", "HS256", "ES384", "RS256", "nonsense"] {
        let token = ed.sign(&format!(r#"{{"alg":"{name}","kid":"ed"}}"#));
        assert_eq!(check(&any, &token).await, Err(TokenFault::Algorithm), "{name}");
    }
}

#[test]
fn of_a_set_what_is_of_use_is_taken() {
    let good = ed25519("good");
    let x = "GawgguFyGrWKav7AX4VKUg";
    let json = format!(
        r#"{{"keys":[{},
            {{"kty":"oct","kid":"secret","k":"GawgguFyGrWKav7AX4VKUgGawgguFyGrWKav7AX4VKUg"}},
            {{"kty":"OKP","crv":"Ed25519","kid":"short","x":"{x}"}},
            {{"kty":"EC","crv":"P-256","kid":"no point","x":"{x}","y":"{x}"}},
            {{"kty":"RSA","kid":"small","n":"{x}","e":"AQAB"}},
            {{"kty":"new","kid":"unknown"}}, 7, null]}}"#,
        good.jwk
    );
    let keys = JwtKey::jwks(&json).unwrap();
    assert_eq!(keys.iter().map(JwtKey::id).collect::<Vec<_>>(), [Some("good")]);
    let for_encryption = good.jwk.replace(r#""sig""#, r#""enc""#);
    assert!(JwtKey::jwks(&for_encryption).is_err());
    assert!(JwtKey::jwks(r#"{"keys":[]}"#).is_err());
    assert!(JwtKey::jwks("nonsense").is_err());
}

#[test]
fn pem_is_taken_of_public_keys_alone() {
    for (algorithm, kind) in [
        (&rcgen::PKCS_ED25519, KeyKind::Ed25519),
        (&rcgen::PKCS_ECDSA_P256_SHA256, KeyKind::P256),
        (&rcgen::PKCS_ECDSA_P384_SHA384, KeyKind::P384),
    ] {
        let pair = rcgen::KeyPair::generate_for(algorithm).unwrap();
        assert_eq!(JwtKey::pem(pair.public_key_pem()).unwrap().kind(), kind);
        assert!(JwtKey::pem(pair.serialize_pem()).is_err(), "a private key is not to be given to a server");
    }
    assert!(JwtKey::pem("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----").is_err());
}

#[test]
fn a_secret_is_as_long_as_its_digests() {
    assert!(JwtKey::secret([1; 31]).is_err());
    let key = JwtKey::secret([1; 32]).unwrap();
    assert!(key.takes(Algorithm::HS256) && !key.takes(Algorithm::HS384) && !key.takes(Algorithm::RS256));
    assert!(JwtKey::secret([1; 64]).unwrap().takes(Algorithm::HS512));
    assert_eq!(format!("{key:?}"), "JwtKey { kind: Hmac, id: None }");
}
