//! Keys that signatures are checked with.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;
use jsonwebtoken::{Algorithm as Named, DecodingKey};
use serde::Deserialize;
use throughline_proto::auth::{Algorithm, KeyKind};

use crate::auth::BadAuthorization;

/// A key that the signatures of tokens are checked with: a public key, or a secret that is shared with the issuer.
///
/// `Debug` shows its kind and name, and nothing of the key.
///
/// ```
/// use throughline::auth::JwtKey;
///
/// let pem = "-----BEGIN PUBLIC KEY-----
/// MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
/// -----END PUBLIC KEY-----";
/// let key = JwtKey::pem(pem)?;
/// assert_eq!(format!("{key:?}"), "JwtKey { kind: Ed25519, id: None }");
/// # Ok::<(), throughline::auth::BadAuthorization>(())
/// ```
#[derive(Clone)]
pub struct JwtKey {
    id: Option<String>,
    kind: KeyKind,
    /// The only algorithm that it may be used with, where that was said.
    only: Option<Algorithm>,
    key: DecodingKey,
}

impl JwtKey {
    /// A public key in PEM: RSA of 2048 to 4096 bits, P-256, P-384 or Ed25519.
    ///
    /// # Errors
    ///
    /// When it is no such key, or a private one.
    pub fn pem(pem: impl AsRef<[u8]>) -> Result<Self, BadAuthorization> {
        let pem = pem.as_ref();
        let bad = || {
            BadAuthorization::new(
                "the key is no public key in PEM; give the one that begins with `-----BEGIN PUBLIC KEY-----`"
                    .into(),
            )
        };
        if contains(pem, b"PRIVATE KEY") || contains(pem, b"BEGIN CERTIFICATE") {
            return Err(bad());
        }
        let found = DecodingKey::from_rsa_pem(pem)
            .or_else(|_| DecodingKey::from_ec_pem(pem))
            .or_else(|_| DecodingKey::from_ed_pem(pem))
            .map_err(|_| bad())?;
        let bytes = found.try_get_as_bytes().map_err(|_| bad())?;
        let kind = match (found.family(), bytes.len()) {
            (jsonwebtoken::AlgorithmFamily::Rsa, _) => {
                let (modulus, exponent) =
                    (DEFAULT_PROVIDER.key_utils.rsa_pub_components_from_public_key)(bytes)
                        .map_err(|_| bad())?;
                return Self::rsa(&modulus, &exponent);
            }
            (jsonwebtoken::AlgorithmFamily::Ec, 65) => KeyKind::P256,
            (jsonwebtoken::AlgorithmFamily::Ec, 97) => KeyKind::P384,
            (jsonwebtoken::AlgorithmFamily::Ed, 32) => KeyKind::Ed25519,
            _ => return Err(bad()),
        };
        Self::new(kind, found).ok_or_else(bad)
    }

    /// A secret that is shared with the issuer, for `HS256`, `HS384` and `HS512`: as many bytes as
    /// their digests, 32 at least. Whoever has it can make tokens.
    ///
    /// # Errors
    ///
    /// When it is shorter ([RFC 7518, 3.2](https://www.rfc-editor.org/rfc/rfc7518#section-3.2)), or the text of a key pair or a
    /// certificate: its public part everybody has, and could sign with it then.
    pub fn secret(secret: impl AsRef<[u8]>) -> Result<Self, BadAuthorization> {
        let secret = secret.as_ref();
        if secret.len() < 32 {
            return Err(BadAuthorization::new(format!(
                "the secret for tokens has {} bytes, and a shorter one than 32 can be guessed; make one of 64 random bytes",
                secret.len()
            )));
        }
        if contains(secret, b"-----BEGIN ") || contains(secret, b"\"kty\"") || secret.starts_with(b"ssh-") {
            return Err(BadAuthorization::new(
                "the secret for tokens is the text of a key, which others may have; give a public key with `pem` or `jwks`, or make a secret of 64 random bytes".into(),
            ));
        }
        Ok(Self { id: None, kind: KeyKind::Hmac, only: None, key: DecodingKey::from_secret(secret) })
    }

    /// The public keys of a JSON Web Key Set (`{"keys":[..]}`), or one key
    /// ([RFC 7517](https://www.rfc-editor.org/rfc/rfc7517)). Those that check no signatures, and those of kinds that are not
    /// supported, are left out.
    ///
    /// # Errors
    ///
    /// When it is none, or no key is left.
    pub fn jwks(json: impl AsRef<[u8]>) -> Result<Vec<Self>, BadAuthorization> {
        let json = json.as_ref();
        let keys = match parse_set(json) {
            Some(keys) => keys,
            None => parse_one(json).into_iter().collect(),
        };
        if keys.is_empty() {
            return Err(BadAuthorization::new(
                "the text holds no public key that signatures can be checked with; give a JSON Web Key Set with one".into(),
            ));
        }
        Ok(keys)
    }

    /// The same with the name that tokens call it by (`kid`): it is used for tokens that name it, or name none.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// What kind of key it is.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    pub(crate) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// May it be used with this algorithm?
    pub(crate) fn takes(&self, algorithm: Algorithm) -> bool {
        let long_enough = match algorithm {
            Algorithm::HS384 => 48,
            Algorithm::HS512 => 64,
            _ => 0,
        };
        algorithm.key_kind() == self.kind
            && self.only.is_none_or(|only| only == algorithm)
            && self.key.try_get_as_bytes().map_or(true, |bytes| bytes.len() >= long_enough)
    }

    /// Did the key sign this?
    pub(crate) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        self.takes(algorithm)
            && (DEFAULT_PROVIDER.verifier_factory)(&named(algorithm), &self.key)
                .is_ok_and(|verifier| verifier.verify(message, &signature.to_vec()).is_ok())
    }

    /// The public key that is written as a JSON Web Key; one that is private, or of no use here, is none.
    pub(crate) fn jwk(json: &[u8]) -> Option<Self> {
        parse_one(json)
    }

    /// Is it the same key, by the same name?
    pub(super) fn is_same(&self, other: &Self) -> bool {
        use jsonwebtoken::DecodingKeyKind as Kind;
        let same = match (self.key.kind(), other.key.kind()) {
            (Kind::SecretOrDer(a), Kind::SecretOrDer(b)) => a == b,
            (Kind::RsaModulusExponent { n, e }, Kind::RsaModulusExponent { n: m, e: f }) => n == m && e == f,
            _ => false,
        };
        same && self.id == other.id && self.only == other.only
    }

    fn new(kind: KeyKind, key: DecodingKey) -> Option<Self> {
        let key = Self { id: None, kind, only: None, key };
        // Whether it is a point on its curve is seen here, and not at the first token.
        let algorithm = Algorithm::ALL.into_iter().find(|algorithm| algorithm.key_kind() == kind)?;
        (DEFAULT_PROVIDER.verifier_factory)(&named(algorithm), &key.key).is_ok().then_some(key)
    }

    fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, BadAuthorization> {
        let bits = bit_length(modulus);
        if !(MIN_RSA..=MAX_RSA).contains(&bits) {
            return Err(BadAuthorization::new(format!(
                "the RSA key has {bits} bits; use one of {MIN_RSA} to {MAX_RSA}"
            )));
        }
        let key = DecodingKey::from_rsa_raw_components(modulus, exponent);
        Self::new(KeyKind::Rsa, key)
            .ok_or_else(|| BadAuthorization::new("the RSA key cannot be used; make another".into()))
    }
}

impl fmt::Debug for JwtKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtKey").field("kind", &self.kind).field("id", &self.id).finish()
    }
}

/// The keys of a set, as far as they are of use; `None` when it is no set.
pub(super) fn parse_set(json: &[u8]) -> Option<Vec<JwtKey>> {
    #[derive(Deserialize)]
    struct Set<'a> {
        #[serde(borrow)]
        keys: Vec<&'a serde_json::value::RawValue>,
    }
    let set: Set<'_> = serde_json::from_slice(json).ok()?;
    Some(set.keys.iter().filter_map(|key| parse_one(key.get().as_bytes())).take(MAX_KEYS).collect())
}

/// What is read of a JSON Web Key ([RFC 7517, 4](https://www.rfc-editor.org/rfc/rfc7517#section-4),
/// [RFC 7518, 6](https://www.rfc-editor.org/rfc/rfc7518#section-6)).
#[derive(Deserialize)]
struct Jwk<'a> {
    #[serde(borrow)]
    kty: Cow<'a, str>,
    #[serde(borrow, default)]
    kid: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    alg: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "use")]
    purpose: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    key_ops: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow, default)]
    crv: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    n: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    e: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    x: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    y: Option<Cow<'a, str>>,
}

fn parse_one(json: &[u8]) -> Option<JwtKey> {
    let jwk: Jwk<'_> = serde_json::from_slice(json).ok()?;
    let is_for_signatures = jwk.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
        && jwk
            .key_ops
            .as_ref()
            .is_none_or(|operations| operations.iter().any(|operation| operation == "verify"));
    if !is_for_signatures || jwk.kid.as_ref().is_some_and(|id| id.len() > MAX_ID) {
        return None;
    }
    let mut key = match (&*jwk.kty, jwk.crv.as_deref()) {
        ("RSA", _) => JwtKey::rsa(&number(jwk.n.as_deref()?)?, &number(jwk.e.as_deref()?)?).ok()?,
        ("EC", Some("P-256")) => point(&jwk, KeyKind::P256, 32)?,
        ("EC", Some("P-384")) => point(&jwk, KeyKind::P384, 48)?,
        ("OKP", Some("Ed25519")) => {
            let x = number(jwk.x.as_deref()?)?;
            // The verifier takes for granted that it is as long.
            (x.len() == 32).then(|| JwtKey::new(KeyKind::Ed25519, DecodingKey::from_ed_der(&x)))??
        }
        // Never a shared secret: whoever reads a set of public keys would know it.
        _ => return None,
    };
    if let Some(name) = jwk.alg {
        // A key for an algorithm that is not known here is for none.
        key.only = Some(Algorithm::named(&name).filter(|only| only.key_kind() == key.kind)?);
    }
    key.id = jwk.kid.map(Cow::into_owned);
    Some(key)
}

fn point(jwk: &Jwk<'_>, kind: KeyKind, length: usize) -> Option<JwtKey> {
    let (x, y) = (number(jwk.x.as_deref()?)?, number(jwk.y.as_deref()?)?);
    if x.len() != length || y.len() != length {
        return None;
    }
    // The uncompressed form: https://www.rfc-editor.org/rfc/rfc5480#section-2.2.
    let key = DecodingKey::from_ec_der(&[&[4][..], &x, &y].concat());
    JwtKey::new(kind, key)
}

fn number(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
}

fn bit_length(number: &[u8]) -> usize {
    let number = &number[number.iter().take_while(|byte| **byte == 0).count()..];
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn named(algorithm: Algorithm) -> Named {
    match algorithm {
        Algorithm::HS256 => Named::HS256,
        Algorithm::HS384 => Named::HS384,
        Algorithm::HS512 => Named::HS512,
        Algorithm::RS256 => Named::RS256,
        Algorithm::RS384 => Named::RS384,
        Algorithm::RS512 => Named::RS512,
        Algorithm::PS256 => Named::PS256,
        Algorithm::PS384 => Named::PS384,
        Algorithm::PS512 => Named::PS512,
        Algorithm::ES256 => Named::ES256,
        Algorithm::ES384 => Named::ES384,
        _ => Named::EdDSA,
    }
}

/// The least that [RFC 7518, 3.3](https://www.rfc-editor.org/rfc/rfc7518#section-3.3) takes.
const MIN_RSA: usize = 2048;
/// Beyond it a signature costs more than a request.
const MAX_RSA: usize = 4096;
/// An issuer has two or three keys, and some large ones a dozen.
const MAX_KEYS: usize = 64;
/// The name of a key: a digest, usually.
const MAX_ID: usize = 256;
