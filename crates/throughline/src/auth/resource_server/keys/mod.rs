//! Who signs tokens, and with which keys.

mod cache;
mod fetched;
mod key;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use throughline_proto::auth::{Algorithm, Algorithms, Claims, CompactJws, Expectation, TokenFault, UnixTime};

pub(super) use fetched::{FetchedKeys, Source};
pub use key::JwtKey;

/// An issuer whose signed tokens are taken.
#[derive(Debug)]
pub(super) struct Issuer {
    name: String,
    expectation: Expectation,
    algorithms: Algorithms,
    keys: Keys,
}

#[derive(Debug)]
pub(super) enum Keys {
    Fixed(Arc<[JwtKey]>),
    Fetched(Arc<FetchedKeys>),
}

impl Issuer {
    pub(super) fn new(name: String, expectation: Expectation, algorithms: Algorithms, keys: Keys) -> Self {
        Self { name, expectation, algorithms, keys }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The keys that are fetched, if they are.
    pub(super) fn fetched(&self) -> Option<&Arc<FetchedKeys>> {
        match &self.keys {
            Keys::Fixed(_) => None,
            Keys::Fetched(keys) => Some(keys),
        }
    }

    /// Is it a token of this issuer for this resource, and is it its time?
    pub(super) fn check(&self, claims: &Claims, typ: Option<&str>, now: UnixTime) -> Result<(), TokenFault> {
        self.expectation.check_type(typ)?;
        self.expectation.check(claims, now)
    }

    /// Did this issuer sign it?
    pub(super) async fn check_signature(&self, jws: &CompactJws<'_>) -> Result<(), TokenFault> {
        let algorithm = Algorithm::named(&jws.header.alg).filter(|named| self.algorithms.allows(*named));
        let algorithm = algorithm.ok_or(TokenFault::Algorithm)?;
        let signature = URL_SAFE_NO_PAD.decode(jws.signature).map_err(|_| TokenFault::Unreadable)?;
        let signed = Signed { algorithm, id: jws.header.kid.as_deref(), text: jws.signed, signature };
        match &self.keys {
            Keys::Fixed(keys) => signed.check(keys),
            Keys::Fetched(fetched) => {
                let (keys, generation) = fetched.get().await?;
                match signed.check(&keys) {
                    // A key that is new, perhaps.
                    Err(TokenFault::UnknownKey) => {
                        let (keys, _) = fetched.newer(generation).await?;
                        signed.check(&keys)
                    }
                    checked => checked,
                }
            }
        }
    }
}

/// A text and its signature.
struct Signed<'a> {
    algorithm: Algorithm,
    /// The name of its key.
    id: Option<&'a str>,
    text: &'a str,
    signature: Vec<u8>,
}

impl Signed<'_> {
    /// Is it signed with one of these keys? A key is looked for by its name, and where there is none by its kind.
    fn check(&self, keys: &[JwtKey]) -> Result<(), TokenFault> {
        let named = |key: &&JwtKey| match (self.id, key.id()) {
            (Some(wanted), Some(id)) => wanted == id,
            _ => true,
        };
        let mut candidates = keys.iter().filter(named).peekable();
        if candidates.peek().is_none() {
            return Err(TokenFault::UnknownKey);
        }
        let mut fault = TokenFault::Algorithm;
        for key in candidates.filter(|key| key.takes(self.algorithm)).take(MOST_TRIES) {
            if key.verifies(self.algorithm, self.text.as_bytes(), &self.signature) {
                return Ok(());
            }
            fault = TokenFault::Signature;
        }
        // Without a name it may be a key that is not known yet.
        Err(if self.id.is_none() { TokenFault::UnknownKey } else { fault })
    }
}

/// How many keys a token without the name of one is held against. Issuers with several keys name them.
const MOST_TRIES: usize = 4;

#[cfg(test)]
mod tests;
