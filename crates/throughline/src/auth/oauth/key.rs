//! Keys that a client signs with.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;
use jsonwebtoken::{AlgorithmFamily, EncodingKey};
use ring::rand::SystemRandom;
use ring::rsa::{KeyPair as RsaKeyPair, PublicKeyComponents};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256};
use throughline_proto::auth::flow::SigningKey;
use throughline_proto::auth::{Algorithm, Secret};

/// A private key of a client: what it proves itself with instead of a secret
/// ([`OAuth::signing_key`](super::OAuth::signing_key)).
///
/// Cheap to clone. `Debug` shows nothing of the key. It signs in a time that tells nothing of the key.
///
/// ```no_run
/// use throughline::auth::oauth::ClientKey;
///
/// let key = ClientKey::pem(std::fs::read("key.pem")?)?.with_id("2026");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ClientKey(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    key: Key,
    public: SigningKey,
    /// The key in PKCS #8, of one that is kept.
    kept: Option<Secret>,
}

#[derive(Clone)]
enum Key {
    Curve(EncodingKey),
    /// The `rsa` crate takes a time that depends on the key (RUSTSEC-2023-0071), ring does not.
    Rsa(Arc<RsaKeyPair>),
}

impl ClientKey {
    /// A private key in PEM: RSA of 2,048 to 4,096 bits (`RS256`), P-256 (`ES256`), P-384 (`ES384`) or Ed25519 (`EdDSA`), in
    /// PKCS #8 or, for RSA, in PKCS #1.
    ///
    /// # Errors
    ///
    /// When it is no such key.
    pub fn pem(pem: impl AsRef<[u8]>) -> Result<Self, KeyError> {
        let pem = pem.as_ref();
        let curves = [EncodingKey::from_ec_pem, EncodingKey::from_ed_pem];
        let of_a_curve = || curves.into_iter().find_map(|read| Self::of(read(pem).ok()?, None));
        of_a_curve().or_else(|| Self::rsa(&EncodingKey::from_rsa_pem(pem).ok()?)).ok_or(KeyError(
            "the key is no private key in PEM that can sign here; give one for ES256, ES384, EdDSA or RS256 that begins with \
             `-----BEGIN PRIVATE KEY-----`",
        ))
    }

    /// The same with the name that the authorization server knows it by (`kid`).
    #[must_use]
    pub fn with_id(self, id: impl Into<String>) -> Self {
        let mut inner = Arc::unwrap_or_clone(self.0);
        inner.public.key_id = Some(id.into());
        Self(Arc::new(inner))
    }

    /// A new key for `ES256`, which every authorization server with such keys takes.
    pub(super) fn generate() -> Option<Self> {
        let made =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).ok()?;
        Self::of_kept(&Secret::new(STANDARD.encode(made)))
    }

    /// A key that was kept.
    pub(super) fn of_kept(kept: &Secret) -> Option<Self> {
        let der = STANDARD.decode(kept.expose()).ok()?;
        Self::of(EncodingKey::from_ec_der(&der), Some(kept.clone()))
    }

    /// The key, to be kept; `None` for one that somebody else keeps.
    pub(super) fn to_keep(&self) -> Option<&Secret> {
        self.0.kept.as_ref()
    }

    fn of(key: EncodingKey, kept: Option<Secret>) -> Option<Self> {
        let public = public(&key)?;
        Some(Self(Arc::new(Inner { key: Key::Curve(key), public, kept })))
    }

    /// `key`: holds a key in PKCS #1.
    fn rsa(key: &EncodingKey) -> Option<Self> {
        let pair = RsaKeyPair::from_der(key.as_bytes()).ok()?;
        let PublicKeyComponents { n, e } = PublicKeyComponents::<Vec<u8>>::from(pair.public());
        let (n, e) = (URL_SAFE_NO_PAD.encode(n), URL_SAFE_NO_PAD.encode(e));
        let jwk = serde_json::json!({ "kty": "RSA", "n": n, "e": e });
        let public = serde_json::from_value(jwk).ok()?;
        let public = SigningKey { algorithm: Algorithm::RS256, key_id: None, public };
        Some(Self(Arc::new(Inner { key: Key::Rsa(Arc::new(pair)), public, kept: None })))
    }

    /// What is public of it.
    pub(super) fn public(&self) -> &SigningKey {
        &self.0.public
    }

    /// The signature of a text, in base64url.
    pub(super) fn sign(&self, input: &str) -> Option<String> {
        let input = input.as_bytes();
        let signature = match &self.0.key {
            Key::Curve(key) => {
                let signer = (DEFAULT_PROVIDER.signer_factory)(&named(self.0.public.algorithm)?, key).ok()?;
                signer.try_sign(input).ok()?
            }
            Key::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), input, &mut signature).ok()?;
                signature
            }
        };
        Some(URL_SAFE_NO_PAD.encode(signature))
    }
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientKey").field("algorithm", &self.0.public.algorithm).finish_non_exhaustive()
    }
}

/// A text that is no key to sign with. It shows nothing of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyError(&'static str);

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for KeyError {}

/// The public half of a key of a curve, and what it signs with.
fn public(key: &EncodingKey) -> Option<SigningKey> {
    let utils = &DEFAULT_PROVIDER.key_utils;
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let curve = |algorithm| (utils.ec_pub_components_from_private_key)(key.as_bytes(), algorithm).ok();
    let (algorithm, jwk) = match key.family() {
        AlgorithmFamily::Ec => {
            let (algorithm, name, (_, x, y)) = match curve(jsonwebtoken::Algorithm::ES256) {
                Some(found) => (Algorithm::ES256, "P-256", found),
                None => (Algorithm::ES384, "P-384", curve(jsonwebtoken::Algorithm::ES384)?),
            };
            (algorithm, serde_json::json!({ "kty": "EC", "crv": name, "x": part(&x), "y": part(&y) }))
        }
        AlgorithmFamily::Ed => {
            let curve = jsonwebtoken::jwk::EllipticCurve::Ed25519;
            let x = (utils.ed_pub_components_from_private_key)(key.as_bytes(), &curve).ok()?;
            (Algorithm::EdDSA, serde_json::json!({ "kty": "OKP", "crv": "Ed25519", "x": part(&x) }))
        }
        AlgorithmFamily::Rsa | AlgorithmFamily::Hmac => return None,
    };
    Some(SigningKey { algorithm, key_id: None, public: serde_json::from_value(jwk).ok()? })
}

fn named(algorithm: Algorithm) -> Option<jsonwebtoken::Algorithm> {
    algorithm.name().parse().ok()
}

#[cfg(test)]
mod tests {
    use throughline_proto::auth::KeyKind;

    use super::*;

    #[test]
    fn a_key_that_was_made_is_the_same_after_it_was_kept() {
        let key = ClientKey::generate().unwrap();
        assert_eq!(key.public().public.kind(), KeyKind::P256);
        let again = ClientKey::of_kept(key.to_keep().unwrap()).unwrap();
        assert_eq!(again.public(), key.public());
        // 64 bytes, as JWS wants them.
        assert_eq!(again.sign("a.b").unwrap().len(), 86);
        assert_eq!(format!("{key:?}"), "ClientKey { algorithm: ES256, .. }");
        assert!(ClientKey::of_kept(&Secret::new("AAAA")).is_none());
    }

    #[test]
    fn a_key_comes_as_pem() {
        let made =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        let body = STANDARD.encode(&made);
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
        let key = ClientKey::pem(&pem).unwrap().with_id("k1");
        assert_eq!(key.public().key_id.as_deref(), Some("k1"));
        assert!(key.to_keep().is_none());
        assert!(ClientKey::pem(pem.replace("PRIVATE", "PUBLIC")).is_err());
        let rsa = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap();
        let pkcs8 = rsa::pkcs8::EncodePrivateKey::to_pkcs8_pem(&rsa, rsa::pkcs8::LineEnding::LF).unwrap();
        let pkcs1 = rsa::pkcs1::EncodeRsaPrivateKey::to_pkcs1_pem(&rsa, rsa::pkcs8::LineEnding::LF).unwrap();
        for pem in [pkcs8, pkcs1] {
            let key = ClientKey::pem(pem.as_bytes()).unwrap();
            assert_eq!(key.public().algorithm, Algorithm::RS256);
            let public = key.public().public.clone();
            let signed = URL_SAFE_NO_PAD.decode(key.sign("a.b").unwrap()).unwrap();
            assert_eq!(public.kind(), KeyKind::Rsa);
            let modulus = rsa::traits::PublicKeyParts::n(&rsa).to_bytes_be();
            let of_it = PublicKeyComponents { n: modulus, e: vec![1, 0, 1] };
            of_it.verify(&ring::signature::RSA_PKCS1_2048_8192_SHA256, b"a.b", &signed).unwrap();
            assert_eq!(format!("{key:?}"), "ClientKey { algorithm: RS256, .. }");
        }
        assert!(ClientKey::pem("no key").unwrap_err().to_string().contains("BEGIN PRIVATE KEY"));
    }
}
