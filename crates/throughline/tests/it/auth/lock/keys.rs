//! Keys that are made here, and tokens that are signed with them.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;
use jsonwebtoken::{Algorithm, EncodingKey};
use rsa::pkcs1::EncodeRsaPrivateKey;
use rsa::traits::PublicKeyParts;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A key pair of an issuer or of a client.
#[derive(Clone)]
pub(in crate::auth) struct Key {
    pub(in crate::auth) id: String,
    algorithm: Algorithm,
    name: &'static str,
    private: EncodingKey,
    /// The members that make the key.
    public: Value,
}

/// It takes a while to make one: all tests share it.
static RSA: LazyLock<rsa::RsaPrivateKey> =
    LazyLock::new(|| rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap());

impl Key {
    pub(in crate::auth) fn ed25519(id: &str) -> Self {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let public =
            json!({ "kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(pair.public_key_raw()) });
        Self {
            id: id.into(),
            algorithm: Algorithm::EdDSA,
            name: "EdDSA",
            private: EncodingKey::from_ed_der(&pair.serialize_der()),
            public,
        }
    }

    pub(in crate::auth) fn es256(id: &str) -> Self {
        Self::ec(id, &rcgen::PKCS_ECDSA_P256_SHA256, ("P-256", Algorithm::ES256, "ES256"))
    }

    pub(in crate::auth) fn es384(id: &str) -> Self {
        Self::ec(id, &rcgen::PKCS_ECDSA_P384_SHA384, ("P-384", Algorithm::ES384, "ES384"))
    }

    fn ec(
        id: &str,
        kind: &'static rcgen::SignatureAlgorithm,
        (curve, algorithm, name): (&str, Algorithm, &'static str),
    ) -> Self {
        let pair = rcgen::KeyPair::generate_for(kind).unwrap();
        let point = &pair.public_key_raw()[1..];
        let (x, y) = point.split_at(point.len() / 2);
        let public = json!({
            "kty": "EC", "crv": curve, "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        });
        Self {
            id: id.into(),
            algorithm,
            name,
            private: EncodingKey::from_ec_der(&pair.serialize_der()),
            public,
        }
    }

    pub(in crate::auth) fn rs256(id: &str) -> Self {
        Self::rsa(id, Algorithm::RS256, "RS256")
    }

    pub(in crate::auth) fn ps256(id: &str) -> Self {
        Self::rsa(id, Algorithm::PS256, "PS256")
    }

    fn rsa(id: &str, algorithm: Algorithm, name: &'static str) -> Self {
        let public = json!({
            "kty": "RSA",
            "n": URL_SAFE_NO_PAD.encode(RSA.n().to_bytes_be()),
            "e": URL_SAFE_NO_PAD.encode(RSA.e().to_bytes_be()),
        });
        let private = EncodingKey::from_rsa_der(RSA.to_pkcs1_der().unwrap().as_bytes());
        Self { id: id.into(), algorithm, name, private, public }
    }

    pub(in crate::auth) fn hs256(secret: &[u8]) -> Self {
        Self {
            id: "secret".into(),
            algorithm: Algorithm::HS256,
            name: "HS256",
            private: EncodingKey::from_secret(secret),
            public: Value::Null,
        }
    }

    /// What the issuer publishes of it.
    pub(in crate::auth) fn jwk(&self) -> Value {
        let mut jwk = self.public.clone();
        jwk["kid"] = json!(self.id);
        jwk["use"] = json!("sig");
        jwk
    }

    /// Its name that follows from the key (RFC 7638).
    pub(in crate::auth) fn thumbprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.public.to_string()))
    }

    /// A token with these claims.
    pub(in crate::auth) fn token(&self, claims: &Value) -> String {
        self.sign(&json!({ "typ": "at+jwt", "alg": self.name, "kid": self.id }), claims)
    }

    /// A DPoP proof with these claims.
    pub(in crate::auth) fn proof(&self, claims: &Value) -> String {
        self.sign(&json!({ "typ": "dpop+jwt", "alg": self.name, "jwk": self.public }), claims)
    }

    pub(in crate::auth) fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    /// The same of texts that may be no JSON, or no proper one.
    pub(in crate::auth) fn sign_text(&self, header: &str, claims: &str) -> String {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signer = (DEFAULT_PROVIDER.signer_factory)(&self.algorithm, &self.private).unwrap();
        let signature = signer.try_sign(signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}
