use std::error::Error;
use std::fmt;

/// A signature algorithm of tokens and proofs ([RFC 7518, 3.1](https://www.rfc-editor.org/rfc/rfc7518#section-3.1),
/// [RFC 8037](https://www.rfc-editor.org/rfc/rfc8037#section-3.1)). `none` is not among them: it cannot be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each is the registered name")]
pub enum Algorithm {
    HS256,
    HS384,
    HS512,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

/// What a key is: the algorithms that it can be used with follow from it, and never from what a token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyKind {
    /// A secret that both sides share.
    Hmac,
    /// RSA.
    Rsa,
    /// The curve P-256.
    P256,
    /// The curve P-384.
    P384,
    /// Ed25519.
    Ed25519,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Algorithm; 12] = [
        Algorithm::HS256,
        Algorithm::HS384,
        Algorithm::HS512,
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::EdDSA,
    ];

    /// The one with this name, to the letter. `Ed25519` is the newer name of `EdDSA` with that curve
    /// ([RFC 9864](https://www.rfc-editor.org/rfc/rfc9864#section-2.2)).
    #[must_use]
    pub fn named(name: &str) -> Option<Algorithm> {
        if name == "Ed25519" {
            return Some(Algorithm::EdDSA);
        }
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// Its registered name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Algorithm::HS256 => "HS256",
            Algorithm::HS384 => "HS384",
            Algorithm::HS512 => "HS512",
            Algorithm::RS256 => "RS256",
            Algorithm::RS384 => "RS384",
            Algorithm::RS512 => "RS512",
            Algorithm::PS256 => "PS256",
            Algorithm::PS384 => "PS384",
            Algorithm::PS512 => "PS512",
            Algorithm::ES256 => "ES256",
            Algorithm::ES384 => "ES384",
            Algorithm::EdDSA => "EdDSA",
        }
    }

    /// The kind of key that it takes.
    #[must_use]
    pub const fn key_kind(self) -> KeyKind {
        match self {
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => KeyKind::Hmac,
            Algorithm::RS256
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512 => KeyKind::Rsa,
            Algorithm::ES256 => KeyKind::P256,
            Algorithm::ES384 => KeyKind::P384,
            Algorithm::EdDSA => KeyKind::Ed25519,
        }
    }

    /// Does whoever can check a signature also make one?
    #[must_use]
    pub const fn is_symmetric(self) -> bool {
        matches!(self.key_kind(), KeyKind::Hmac)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The algorithms that are allowed: those with a public key, or those with a shared secret, and never both. Otherwise a
/// token that is signed with the text of a public key as the secret could pass
/// ([RFC 8725, 2.1 and 3.1](https://www.rfc-editor.org/rfc/rfc8725#section-3.1)).
///
/// ```
/// use throughline_proto::auth::{Algorithm, Algorithms, KeyKind, TokenFault};
///
/// let allowed = Algorithms::asymmetric();
/// assert_eq!(allowed.check("RS256", KeyKind::Rsa), Ok(Algorithm::RS256));
/// assert_eq!(allowed.check("HS256", KeyKind::Rsa), Err(TokenFault::Algorithm));
/// assert_eq!(allowed.check("none", KeyKind::Rsa), Err(TokenFault::Algorithm));
/// assert!(Algorithms::of([Algorithm::RS256, Algorithm::HS256]).is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Algorithms {
    /// One bit for each.
    allowed: u16,
}

impl Algorithms {
    /// All with a public key.
    #[must_use]
    pub fn asymmetric() -> Algorithms {
        Algorithms::filtered(|algorithm| !algorithm.is_symmetric())
    }

    /// All with a shared secret.
    #[must_use]
    pub fn symmetric() -> Algorithms {
        Algorithms::filtered(Algorithm::is_symmetric)
    }

    /// These.
    ///
    /// # Errors
    ///
    /// When there is none, or some take a public key and some a shared secret.
    pub fn of(algorithms: impl IntoIterator<Item = Algorithm>) -> Result<Algorithms, MixedAlgorithms> {
        let allowed = algorithms.into_iter().fold(0, |bits, algorithm| bits | bit(algorithm));
        let shared = allowed & Algorithms::symmetric().allowed;
        if allowed == 0 || (shared != 0 && shared != allowed) {
            return Err(MixedAlgorithms);
        }
        Ok(Algorithms { allowed })
    }

    /// Is it one of them?
    #[must_use]
    pub fn allows(self, algorithm: Algorithm) -> bool {
        self.allowed & bit(algorithm) != 0
    }

    /// One after the other.
    pub fn iter(self) -> impl Iterator<Item = Algorithm> {
        Algorithm::ALL.into_iter().filter(move |algorithm| self.allows(*algorithm))
    }

    /// The algorithm that a token names, when it is allowed and goes with the key.
    ///
    /// # Errors
    ///
    /// [`TokenFault::Algorithm`](super::TokenFault::Algorithm) otherwise.
    pub fn check(self, name: &str, key: KeyKind) -> Result<Algorithm, super::TokenFault> {
        Algorithm::named(name)
            .filter(|algorithm| self.allows(*algorithm) && algorithm.key_kind() == key)
            .ok_or(super::TokenFault::Algorithm)
    }

    fn filtered(keep: impl Fn(Algorithm) -> bool) -> Algorithms {
        let allowed =
            Algorithm::ALL.into_iter().filter(|algorithm| keep(*algorithm)).fold(0, |bits, a| bits | bit(a));
        Algorithms { allowed }
    }
}

const fn bit(algorithm: Algorithm) -> u16 {
    1 << algorithm as u16
}

/// A list of algorithms that is none, or that mixes public keys and shared secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MixedAlgorithms;

impl fmt::Display for MixedAlgorithms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "allow at least one algorithm, and either those with a public key or those with a shared secret (HS..), \
             not both",
        )
    }
}

impl Error for MixedAlgorithms {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::TokenFault;

    const KINDS: [KeyKind; 5] = [KeyKind::Hmac, KeyKind::Rsa, KeyKind::P256, KeyKind::P384, KeyKind::Ed25519];

    #[test]
    fn an_algorithm_is_of_its_key_and_not_of_its_token() {
        for allowed in [Algorithms::asymmetric(), Algorithms::symmetric()] {
            for algorithm in Algorithm::ALL {
                for kind in KINDS {
                    let good = allowed.allows(algorithm) && algorithm.key_kind() == kind;
                    let expected = if good { Ok(algorithm) } else { Err(TokenFault::Algorithm) };
                    assert_eq!(allowed.check(algorithm.name(), kind), expected, "{algorithm} with {kind:?}");
                }
            }
        }
        // A public key as a secret: https://www.rfc-editor.org/rfc/rfc8725#section-2.1.
        for name in ["HS256", "HS384", "HS512"] {
            for kind in KINDS {
                assert_eq!(Algorithms::asymmetric().check(name, kind), Err(TokenFault::Algorithm));
            }
        }
    }

    #[test]
    fn none_is_never_an_algorithm() {
        for name in [
            "none", "None", "NONE", "nOnE", "", "rs256", "RS256 ", "ES256K", "ES512", "RSA-OAEP", "dir",
            "Ed448",
        ] {
            assert_eq!(Algorithm::named(name), None, "{name}");
            for kind in KINDS {
                assert_eq!(Algorithms::asymmetric().check(name, kind), Err(TokenFault::Algorithm));
                assert_eq!(Algorithms::symmetric().check(name, kind), Err(TokenFault::Algorithm));
            }
        }
    }

    #[test]
    fn a_list_is_of_one_kind() {
        assert_eq!(Algorithms::of(Algorithm::ALL), Err(MixedAlgorithms));
        assert_eq!(Algorithms::of([]), Err(MixedAlgorithms));
        assert_eq!(Algorithms::of([Algorithm::ES256, Algorithm::HS512]), Err(MixedAlgorithms));
        let two = Algorithms::of([Algorithm::EdDSA, Algorithm::RS256]).unwrap();
        assert_eq!(two.iter().collect::<Vec<_>>(), [Algorithm::RS256, Algorithm::EdDSA]);
        assert_eq!(two.check("Ed25519", KeyKind::Ed25519), Ok(Algorithm::EdDSA));
        assert_eq!(two.check("RS384", KeyKind::Rsa), Err(TokenFault::Algorithm));
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::named(algorithm.name()), Some(algorithm));
        }
    }
}
