//! Tokens that are bound to a key: each request proves that whoever sends it has the key
//! ([RFC 9449](https://www.rfc-editor.org/rfc/rfc9449)).

use std::sync::Mutex;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, Method, Uri};
use sha2::{Digest as _, Sha256};
use throughline_proto::auth::dpop::{DpopRequest, DpopRule, Proof, ReplayMemory};
use throughline_proto::auth::{Algorithms, TokenFault, UnixTime, same_resource};

use super::keys::JwtKey;
use crate::lock::Lock;

/// How a lock treats tokens that are bound to a key ([RFC 9449](https://www.rfc-editor.org/rfc/rfc9449)).
///
/// A token that names a key (`cnf.jkt`) is always taken with a proof of that key only. With this a lock also says so to
/// clients, in its challenges and its metadata, and can ask for more.
///
/// A proof is for the address of its request, as clients know it. Behind a proxy the path may lack its beginning, or have one more;
/// one that was rewritten otherwise is another address, and refused.
///
/// Each proof is taken once. That is remembered by this process: where several answer at one address, a proof could be used once at
/// each of them within its minute, and [nonces](Self::nonces_from) of one secret do not change that.
///
/// ```
/// use throughline::auth::{Authorization, Dpop};
///
/// # fn main() -> Result<(), throughline::auth::BadAuthorization> {
/// let lock = Authorization::builder("https://mcp.example.com/mcp")
///     .jwks("https://login.example.com")
///     .dpop(Dpop::new().required().nonces())
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Dpop {
    pub(super) required: bool,
    pub(super) window: Duration,
    nonces: Option<[u8; 32]>,
}

impl Dpop {
    /// Tokens may be bound to a key, a proof may be a minute old, and needs no nonce.
    pub fn new() -> Self {
        Self { required: false, window: DpopRule::DEFAULT_WINDOW, nonces: None }
    }

    /// Takes only tokens that are bound to a key.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// How old a proof may be. Default: a minute.
    #[must_use]
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// Each proof must hold a nonce of this server, which changes every two minutes: so no proof can be made in advance
    /// ([RFC 9449, 9](https://www.rfc-editor.org/rfc/rfc9449#section-9)).
    #[must_use]
    pub fn nonces(self) -> Self {
        self.nonces_from(crate::runtime::random())
    }

    /// The same, with nonces that follow from this secret, of 32 random bytes: for several servers that answer at one address.
    #[must_use]
    pub fn nonces_from(mut self, secret: [u8; 32]) -> Self {
        self.nonces = Some(secret);
        self
    }
}

impl Default for Dpop {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Dpop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dpop")
            .field("required", &self.required)
            .field("window", &self.window)
            .field("nonces", &self.nonces.is_some())
            .finish()
    }
}

/// Checks proofs.
pub(super) struct Proofs {
    rule: DpopRule,
    nonces: Option<[u8; 32]>,
    seen: Mutex<ReplayMemory>,
    /// The public address of the resource.
    resource: Uri,
}

impl Proofs {
    pub(super) fn new(resource: Uri, dpop: &Dpop) -> Self {
        let rule = DpopRule::new().with_window(dpop.window);
        let seen = Mutex::new(ReplayMemory::new(rule.memory(), ReplayMemory::DEFAULT_CAPACITY));
        Self { rule, nonces: dpop.nonces, seen, resource }
    }

    pub(super) fn algorithms(&self) -> Algorithms {
        self.rule.algorithms()
    }

    /// Does one of these prove that whoever sent this request has the key?
    pub(super) fn check(
        &self,
        proofs: &HeaderMap,
        method: &Method,
        uri: &Uri,
        token: &str,
        key: &str,
        now: UnixTime,
    ) -> Result<(), TokenFault> {
        let proof = Proof::of_request(proofs)?;
        let verifier = JwtKey::jwk(proof.key.to_json().as_bytes())
            .ok_or(TokenFault::Proof("the key of the DPoP proof cannot be used"))?;
        let signature = URL_SAFE_NO_PAD
            .decode(proof.signature)
            .map_err(|_| TokenFault::Proof("the DPoP proof cannot be read"))?;
        if !verifier.verifies(proof.algorithm, proof.signed.as_bytes(), &signature) {
            return Err(TokenFault::Proof("the signature of the DPoP proof is wrong"));
        }
        let public = self.public_address(&proof.claims.htu, uri);
        let request = DpopRequest::new(method, &public, token, Some(key));
        match self.nonces {
            // Of the last two turns, so that none is out of date when it arrives.
            Some(secret) => {
                let turn = turn(now);
                let nonces = vec![nonce(&secret, turn), nonce(&secret, turn.saturating_sub(1))];
                self.rule.clone().with_nonces(nonces).check(&proof, &request, now)?;
            }
            None => self.rule.check(&proof, &request, now)?,
        }
        self.seen.locked().remember(key, &proof.claims.jti, now)
    }

    /// The nonce that proofs hold from now on.
    pub(super) fn nonce(&self, now: UnixTime) -> Option<HeaderValue> {
        let secret = self.nonces.as_ref()?;
        Some(HeaderValue::try_from(nonce(secret, turn(now))).expect("base64url is a header's value"))
    }

    /// The address of a request as its client knows it: that of the resource, where the proof says so and the path may be that of
    /// the resource behind a proxy, and otherwise the path of the request at the origin of the resource.
    fn public_address(&self, said: &str, uri: &Uri) -> Uri {
        if same_resource(said, &self.resource.to_string()) && is_rewritten(self.resource.path(), uri.path()) {
            return self.resource.clone();
        }
        let mut parts = self.resource.clone().into_parts();
        parts.path_and_query = uri.path().parse().ok();
        Uri::from_parts(parts).unwrap_or_else(|_| self.resource.clone())
    }
}

/// May a proxy have made this path of that of the resource? It takes a prefix of whole segments away, or puts one before.
fn is_rewritten(resource: &str, path: &str) -> bool {
    let (resource, path) = (resource.trim_end_matches('/'), path.trim_end_matches('/'));
    resource.ends_with(path) || (!resource.is_empty() && path.ends_with(resource))
}

/// A secret and a turn make a nonce that nobody else can make. Both are of a fixed length, so a plain digest will do.
fn nonce(secret: &[u8; 32], turn: u64) -> String {
    let digest = Sha256::new().chain_update(secret).chain_update(turn.to_be_bytes()).finalize();
    URL_SAFE_NO_PAD.encode(&digest[..16])
}

fn turn(now: UnixTime) -> u64 {
    now.0 / NONCE_TURN
}

/// Seconds. A client that sends a request now and then meets a new nonce with each, which costs it one answer more.
const NONCE_TURN: u64 = 120;
