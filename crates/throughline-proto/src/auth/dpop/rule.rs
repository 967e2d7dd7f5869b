use std::time::Duration;

use ::http::{Method, Uri};

use super::proof::address;
use super::{Proof, token_digest};
use crate::auth::{Algorithms, MixedAlgorithms, TokenFault, UnixTime};

/// Characters of a proof's name. A UUID has 36.
const MAX_JTI: usize = 256;

/// What a proof has to be for: one request.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct DpopRequest<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its whole address, as clients know it: behind a proxy that is not what the server was asked for.
    pub uri: &'a Uri,
    /// The token that came with it.
    pub token: &'a str,
    /// The thumbprint that the token is bound to: its `cnf.jkt`.
    pub bound_key: Option<&'a str>,
}

impl<'a> DpopRequest<'a> {
    /// A request with a token that is bound to the key with this thumbprint.
    #[must_use]
    pub fn new(
        method: &'a Method,
        uri: &'a Uri,
        token: &'a str,
        bound_key: Option<&'a str>,
    ) -> DpopRequest<'a> {
        DpopRequest { method, uri, token, bound_key }
    }
}

impl std::fmt::Debug for DpopRequest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DpopRequest")
            .field("method", self.method)
            .field("uri", self.uri)
            .finish_non_exhaustive()
    }
}

/// Which proofs a server takes.
///
/// The checks are those of [RFC 9449, 4.3](https://www.rfc-editor.org/rfc/rfc9449#section-4.3), but for the signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DpopRule {
    algorithms: Algorithms,
    window: Duration,
    skew: Duration,
    nonces: Vec<String>,
}

impl Default for DpopRule {
    fn default() -> DpopRule {
        DpopRule {
            algorithms: Algorithms::asymmetric(),
            window: DpopRule::DEFAULT_WINDOW,
            skew: DpopRule::DEFAULT_SKEW,
            nonces: Vec::new(),
        }
    }
}

impl DpopRule {
    /// How old a proof may be unless told otherwise: it is made for the request that it comes with, and a minute is
    /// what a slow one and a clock that is behind take together.
    pub const DEFAULT_WINDOW: Duration = Duration::from_secs(60);

    /// How far in the future a proof may be unless told otherwise: a client's clock that is ahead.
    pub const DEFAULT_SKEW: Duration = Duration::from_secs(30);

    /// Proofs with a public key, of the last minute, without a nonce.
    #[must_use]
    pub fn new() -> DpopRule {
        DpopRule::default()
    }

    /// Takes proofs of these algorithms only.
    ///
    /// # Errors
    ///
    /// When they take a shared secret.
    pub fn with_algorithms(mut self, algorithms: Algorithms) -> Result<DpopRule, MixedAlgorithms> {
        if algorithms.iter().any(|algorithm| algorithm.is_symmetric()) {
            return Err(MixedAlgorithms);
        }
        self.algorithms = algorithms;
        Ok(self)
    }

    /// How old a proof may be.
    #[must_use]
    pub fn with_window(mut self, window: Duration) -> DpopRule {
        self.window = window;
        self
    }

    /// How far in the future a proof may be.
    #[must_use]
    pub fn with_skew(mut self, skew: Duration) -> DpopRule {
        self.skew = skew;
        self
    }

    /// Takes proofs with one of these nonces only: the one that is given out, and the one before it.
    #[must_use]
    pub fn with_nonces(mut self, nonces: Vec<String>) -> DpopRule {
        self.nonces = nonces;
        self
    }

    /// The algorithms, for the challenge and the metadata document.
    #[must_use]
    pub fn algorithms(&self) -> Algorithms {
        self.algorithms
    }

    /// How long a proof must be remembered, so that it is used once.
    #[must_use]
    pub fn memory(&self) -> Duration {
        self.window.saturating_add(self.skew)
    }

    /// Is it a proof for this request? Its signature was checked before; whether it is new the
    /// [`ReplayMemory`](super::ReplayMemory) says after.
    ///
    /// # Errors
    ///
    /// [`TokenFault::Binding`] when the token is bound to another key or to none, [`TokenFault::DpopNonce`] when the nonce is
    /// missing or old, [`TokenFault::Proof`] for everything else.
    pub fn check(
        &self,
        proof: &Proof<'_>,
        request: &DpopRequest<'_>,
        now: UnixTime,
    ) -> Result<(), TokenFault> {
        let refuse = |why| Err(TokenFault::Proof(why));
        let claims = &proof.claims;
        if !self.algorithms.allows(proof.algorithm) {
            return refuse("the algorithm of the DPoP proof is not allowed");
        }
        if claims.jti.is_empty() || claims.jti.len() > MAX_JTI {
            return refuse("the DPoP proof has no name, or a too long one");
        }
        if claims.htm != request.method.as_str() {
            return refuse("the DPoP proof is for another method");
        }
        let here = address(request.uri);
        if here.is_none() || claims.htu.parse().ok().as_ref().and_then(address) != here {
            return refuse("the DPoP proof is for another address");
        }
        if claims.ath.as_deref() != Some(&*token_digest(request.token)) {
            return refuse("the DPoP proof is for another token");
        }
        if request.bound_key != Some(&*proof.key.thumbprint()) {
            return Err(TokenFault::Binding);
        }
        if !self.nonces.is_empty() && !claims.nonce.as_ref().is_some_and(|nonce| self.nonces.contains(nonce))
        {
            return Err(TokenFault::DpopNonce);
        }
        if claims.iat > now.plus(self.skew) || claims.iat.plus(self.window) < now {
            return refuse("the DPoP proof is too old, or of the future");
        }
        Ok(())
    }
}
