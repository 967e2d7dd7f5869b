//! What happens to a request at the lock.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, HeaderName, HeaderValue, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, Method, Response};
use throughline_proto::auth::{
    Claims, CompactJws, Confirmation, Credentials, Secret, TokenFault, TokenScheme, UnixTime, credentials,
};
use throughline_proto::jsonrpc::Raw;

use super::answer::{Document, Words};
use super::api_keys::KnownKeys;
use super::dpop::Proofs;
use super::introspection::Introspector;
use super::keys::Issuer;
use super::proxy::{Proxy, Word};
use super::verified::{Now, Print, Prints, Until, Verified};
use super::verifier::TokenVerifier;
use crate::{Authorized, ChallengeTerms, runtime};

/// The lock: whom it knows, and what it says to others.
///
/// ```text
///   request ── document? ── proxy? ── token ── verified before? ─┬─ yes ──────────────── proof? ── scopes? ── through
///                 │                     │                        │                         ^
///              answered              refused                     └─ no: API key, JWT, introspection, own verifier
///                                                                      (awaited where the network is needed)
/// ```
pub(super) struct Guard {
    pub(super) words: Words,
    pub(super) document: Option<Document>,
    pub(super) terms: Arc<ChallengeTerms>,
    pub(super) proxies: Vec<Proxy>,
    pub(super) api_keys: KnownKeys,
    pub(super) issuers: Vec<Issuer>,
    pub(super) introspectors: Vec<Introspector>,
    pub(super) verifier: Option<Arc<dyn TokenVerifier>>,
    pub(super) proofs: Proofs,
    pub(super) prints: Prints,
    pub(super) verified: Arc<Verified<Arc<Known>>>,
    /// How far the clocks of issuers may differ.
    pub(super) skew: Duration,
    pub(super) clock: Clock,
}

/// The time by the clock that tokens are held against.
#[derive(Clone)]
pub(super) struct Clock(pub(super) Arc<dyn Fn() -> UnixTime + Send + Sync>);

impl Clock {
    pub(super) fn now(&self) -> Now {
        Now { instant: runtime::now(), unix: (self.0)() }
    }
}

/// What is known of a token.
#[derive(Debug)]
pub(super) struct Known {
    authorized: Authorized,
    /// The thumbprint of the key that it is bound to.
    bound_key: Option<String>,
    /// Not all scopes that every request takes were granted.
    lacks_scopes: bool,
}

/// How far a request came at once.
pub(super) enum Begun {
    /// Through, with the nonce for the next proof.
    Pass(Option<HeaderValue>),
    /// It is answered with this.
    Answered(Response<Bytes>),
    /// It is not known yet.
    Pending(Pending),
}

/// A token that is to be verified.
pub(super) struct Pending {
    scheme: TokenScheme,
    token: Secret,
    print: Print,
    proofs: HeaderMap,
}

/// A token that was verified just now, and how long that holds.
pub(super) struct Fresh {
    pub(super) authorized: Authorized,
    pub(super) bound_key: Option<String>,
    /// `None`: it is asked about each time.
    pub(super) until: Option<Until>,
}

impl Guard {
    /// Decides about a request as far as that takes no waiting. Its credentials are taken out of it in any case.
    pub(super) fn begin(&self, parts: &mut Parts) -> Begun {
        if let Some(document) = &self.document
            && document.is_asked_for(parts)
        {
            return Begun::Answered(document.answer(&parts.method));
        }
        let now = self.clock.now();
        let spoken = self.proxy_words(parts);
        let proofs = take_proofs(&mut parts.headers);
        let decided = match spoken {
            Err(fault) => Err(fault),
            Ok(Some(authorized)) => {
                let known = self.known(authorized, None);
                self.let_in(parts, &known).map(|()| Begun::Pass(None))
            }
            Ok(None) if is_preflight(parts) => Ok(Begun::Pass(None)),
            Ok(None) => match credentials(&parts.headers, &parts.uri) {
                Err(fault) => Err(fault),
                Ok(Credentials { scheme, token, .. }) => {
                    let print = self.prints.of(token);
                    match self.verified.find(&print, now) {
                        Some(known) => self
                            .prove(parts, scheme, token, &known, &proofs, now)
                            .and_then(|nonce| self.let_in(parts, &known).map(|()| Begun::Pass(nonce))),
                        None => {
                            Ok(Begun::Pending(Pending { scheme, token: Secret::new(token), print, proofs }))
                        }
                    }
                }
            },
        };
        parts.headers.remove(AUTHORIZATION);
        decided.unwrap_or_else(|fault| Begun::Answered(self.refuse(&fault, now)))
    }

    /// Verifies a token, and lets its request in with the nonce for the next proof.
    pub(super) async fn finish(
        &self,
        pending: Pending,
        parts: &mut Parts,
    ) -> Result<Option<HeaderValue>, Response<Bytes>> {
        let epoch = self.verified.epoch();
        let decided = match self.verify(&pending, parts).await {
            Err(fault) => Err(fault),
            Ok(Fresh { authorized, bound_key, until }) => {
                let known = Arc::new(self.known(authorized, bound_key));
                if let Some(until) = until {
                    self.verified.keep(pending.print, Arc::clone(&known), until, epoch);
                }
                let (token, now) = (pending.token.expose(), self.clock.now());
                self.prove(parts, pending.scheme, token, &known, &pending.proofs, now)
                    .and_then(|nonce| self.let_in(parts, &known).map(|()| nonce))
            }
        };
        decided.map_err(|fault| self.refuse(&fault, self.clock.now()))
    }

    /// Asks whoever may know this token.
    async fn verify(&self, pending: &Pending, parts: &Parts) -> Result<Fresh, TokenFault> {
        let token = pending.token.expose();
        if let Some(authorized) = self.api_keys.find(token)? {
            let until = Some(self.clock.now().until(None, KEPT));
            return Ok(Fresh { authorized, bound_key: None, until });
        }
        let mut fault = TokenFault::Issuer;
        if !self.issuers.is_empty() {
            match self.verify_jwt(token).await {
                // Somebody else may know it: an opaque token, or a JWT that only its issuer may read.
                Err(unread @ (TokenFault::Unreadable | TokenFault::Issuer)) => fault = unread,
                verified => return verified,
            }
        }
        for introspector in &self.introspectors {
            match introspector.ask(&pending.token, &pending.print, &self.clock).await {
                Err(other @ (TokenFault::Inactive | TokenFault::Issuer)) => fault = other,
                verified => return verified,
            }
        }
        let Some(verifier) = &self.verifier else { return Err(fault) };
        let authorized = verifier.verify(&pending.token, parts).await?;
        #[derive(serde::Deserialize)]
        struct Bound {
            #[serde(default)]
            cnf: Option<Confirmation>,
        }
        let bound = authorized.claims::<Bound>().map_err(|_| TokenFault::Unreadable)?.cnf;
        let keep = verifier.cache_for();
        let until = (!keep.is_zero()).then(|| self.clock.now().until(authorized.expires_at(), keep));
        Ok(Fresh { authorized, bound_key: bound_key(bound.as_ref())?, until })
    }

    async fn verify_jwt(&self, token: &str) -> Result<Fresh, TokenFault> {
        let jws = CompactJws::parse(token)?;
        // Nothing in it is believed yet: it says who is to be asked.
        let claims = Claims::parse(&jws.payload)?;
        let issuer = self.issuers.iter().find(|issuer| claims.iss.as_deref() == Some(issuer.name()));
        let issuer = issuer.ok_or(TokenFault::Issuer)?;
        // What can be seen without a signature is looked at first: it costs less, and a token that was thrown together does
        // not have an issuer asked for its keys.
        issuer.check(&claims, jws.header.typ.as_deref(), self.clock.now().unix)?;
        issuer.check_signature(&jws).await?;
        let now = self.clock.now();
        let expiry = claims.exp.map(|exp| exp.plus(self.skew));
        let authorized = authorized(&claims, issuer.name(), &jws.payload, expiry)?;
        let bound_key = bound_key(claims.cnf.as_ref())?;
        Ok(Fresh { authorized, bound_key, until: Some(now.until(expiry, KEPT)) })
    }

    fn known(&self, authorized: Authorized, bound_key: Option<String>) -> Known {
        let authorized = authorized.with_terms(Arc::clone(&self.terms));
        let lacks_scopes = !authorized.missing(&self.words.required).is_empty();
        Known { authorized, bound_key, lacks_scopes }
    }

    /// Whether the request came from the one that its token is bound to; with the nonce for the next proof.
    fn prove(
        &self,
        parts: &Parts,
        scheme: TokenScheme,
        token: &str,
        known: &Known,
        proofs: &HeaderMap,
        now: Now,
    ) -> Result<Option<HeaderValue>, TokenFault> {
        match (scheme, &known.bound_key) {
            (TokenScheme::Bearer, None) if !self.words.proofs_only => Ok(None),
            (TokenScheme::Dpop, Some(key)) => {
                self.proofs.check(proofs, &parts.method, &parts.uri, token, key, now.unix)?;
                Ok(self.proofs.nonce(now.unix))
            }
            _ => Err(TokenFault::Binding),
        }
    }

    fn let_in(&self, parts: &mut Parts, known: &Known) -> Result<(), TokenFault> {
        if known.lacks_scopes {
            return Err(TokenFault::InsufficientScope(self.words.required.clone()));
        }
        parts.extensions.insert(known.authorized.clone());
        Ok(())
    }

    fn proxy_words(&self, parts: &mut Parts) -> Result<Option<Authorized>, TokenFault> {
        let mut found = None;
        for proxy in &self.proxies {
            match proxy.read(parts) {
                Word::None => {}
                Word::Of(authorized) => found = found.or(Some(Ok(authorized))),
                Word::Unreadable(header) => {
                    tracing::warn!(
                        header = header.as_str(),
                        "a trusted proxy sent a header that cannot be understood"
                    );
                    found = found.or(Some(Err(TokenFault::Malformed)));
                }
            }
        }
        // After all were heard, as two may use the same header; and of all, so that none of them stays in the request.
        self.proxies.iter().for_each(|proxy| proxy.strip(&mut parts.headers));
        found.transpose()
    }

    fn refuse(&self, fault: &TokenFault, now: Now) -> Response<Bytes> {
        let nonce = matches!(fault, TokenFault::DpopNonce).then(|| self.proofs.nonce(now.unix)).flatten();
        self.words.refuse(fault, nonce)
    }
}

/// Who a token stands for, by its claims.
pub(super) fn authorized(
    claims: &Claims,
    issuer: &str,
    json: &[u8],
    expiry: Option<UnixTime>,
) -> Result<Authorized, TokenFault> {
    let mut principal = crate::Principal::new(issuer, &*claims.subject().ok_or(TokenFault::NoSubject)?);
    principal.client = claims.client().map(Into::into);
    let raw = Raw::from_json(Bytes::copy_from_slice(json)).map_err(|_| TokenFault::Unreadable)?;
    let authorized = Authorized::new(principal).with_scopes(claims.scopes()).with_claims(raw);
    Ok(match expiry {
        Some(expiry) => authorized.with_expiry(expiry),
        None => authorized,
    })
}

/// The thumbprint of the key that a token is bound to. One that is bound to anything else is of no use here.
pub(super) fn bound_key(confirmation: Option<&Confirmation>) -> Result<Option<String>, TokenFault> {
    confirmation.map(|bound| bound.proof_key().map(str::to_owned)).transpose()
}

/// Takes the proofs out of a request.
fn take_proofs(headers: &mut HeaderMap) -> HeaderMap {
    let mut taken = HeaderMap::new();
    if headers.contains_key(DPOP) {
        for value in headers.get_all(DPOP) {
            taken.append(DPOP, value.clone());
        }
        headers.remove(DPOP);
    }
    taken
}

/// A browser asks so whether a page may send a request, and never with credentials
/// ([Fetch](https://fetch.spec.whatwg.org/#cors-preflight-fetch)).
fn is_preflight(parts: &Parts) -> bool {
    parts.method == Method::OPTIONS
        && parts.headers.contains_key(ORIGIN)
        && parts.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("words", &self.words).finish_non_exhaustive()
    }
}

const DPOP: HeaderName = HeaderName::from_static("dpop");

/// After so long a token is verified again, though it did not change: so nothing that was withdrawn goes on for longer.
const KEPT: Duration = Duration::from_secs(300);
