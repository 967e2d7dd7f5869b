//! What a request is authorized to do: who sends it, with which scopes, and until when.

use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use throughline_proto::auth::{Challenge, ScopeHierarchy, ScopeSet, UnixTime};
use throughline_proto::jsonrpc::Raw;

use super::Principal;

/// What a request is proven to be authorized for: who sends it, with which scopes, and until when.
///
/// Whoever checks the credentials of a request puts one into its
/// [extensions](http::Request::extensions_mut), before the request comes to an endpoint: the layer `Authorization` of the
/// feature `auth`, or middleware of your own. The endpoint then binds sessions, streams and sealed state to its
/// [principal](Self::principal), checks the scopes that tools, prompts, resources, methods and the endpoint itself ask for,
/// and ends streams when it expires. Handlers take it as an [extractor](super::Extract), or from
/// [`Caller::authorized`](super::Caller::authorized).
///
/// A client that refreshes its token is the same principal with another of these. The credentials themselves are no part of
/// it, and its `Debug` form is safe to log.
///
/// Cheap to clone.
///
/// ```
/// use throughline::auth::{ScopeSet, UnixTime};
/// use throughline::{Authorized, Principal};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let authorized = Authorized::new(Principal::new("https://login.example.com", "ann"))
///     .with_scopes(ScopeSet::parse("files:read files:write")?)
///     .with_expiry(UnixTime(1_900_000_000));
/// assert!(authorized.has_scope("files:read") && !authorized.has_scope("admin"));
///
/// let mut request = http::Request::post("http://localhost/mcp").body(())?;
/// request.extensions_mut().insert(authorized);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Authorized(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    principal: Principal,
    scopes: ScopeSet,
    expires_at: Option<UnixTime>,
    claims: Option<Raw>,
    terms: Option<Arc<ChallengeTerms>>,
}

impl Authorized {
    /// A principal without any scope, for as long as the request takes.
    pub fn new(principal: Principal) -> Self {
        Self(Arc::new(Inner {
            principal,
            scopes: ScopeSet::default(),
            expires_at: None,
            claims: None,
            terms: None,
        }))
    }

    /// With these scopes instead of those before.
    #[must_use]
    pub fn with_scopes(mut self, scopes: ScopeSet) -> Self {
        Arc::make_mut(&mut self.0).scopes = scopes;
        self
    }

    /// Until then: streams that were opened with it end, and their clients come back with credentials that are newer. Where a
    /// token is taken for some time after its expiry, because clocks differ, that time is part of it.
    #[must_use]
    pub fn with_expiry(mut self, at: UnixTime) -> Self {
        Arc::make_mut(&mut self.0).expires_at = Some(at);
        self
    }

    /// With the claims of the token, a JSON object, for handlers that read more of it.
    #[must_use]
    pub fn with_claims(mut self, claims: Raw) -> Self {
        Arc::make_mut(&mut self.0).claims = Some(claims);
        self
    }

    /// With what clients are told where its scopes do not suffice, and which scopes imply others.
    #[must_use]
    pub fn with_terms(mut self, terms: Arc<ChallengeTerms>) -> Self {
        Arc::make_mut(&mut self.0).terms = Some(terms);
        self
    }

    /// The same authorization of somebody else.
    #[must_use]
    pub(crate) fn of(mut self, principal: Principal) -> Self {
        Arc::make_mut(&mut self.0).principal = principal;
        self
    }

    /// Whether it is this very one, as with a request that comes with the token of the one before.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Who sends the request.
    pub fn principal(&self) -> &Principal {
        &self.0.principal
    }

    /// The client program that acts for the principal, where the token names it.
    pub fn client(&self) -> Option<&str> {
        self.0.principal.client.as_deref()
    }

    /// The scopes that were granted. Those that they imply are not among them: ask [`has_scope`](Self::has_scope).
    pub fn scopes(&self) -> &ScopeSet {
        &self.0.scopes
    }

    /// Whether this scope was granted, or one that implies it.
    pub fn has_scope(&self, scope: &str) -> bool {
        match &self.0.terms {
            Some(terms) => terms.hierarchy.includes(self.scopes(), scope),
            None => self.scopes().contains(scope),
        }
    }

    /// Those of the required scopes that neither were granted nor are implied by what was.
    pub fn missing(&self, required: &ScopeSet) -> ScopeSet {
        match &self.0.terms {
            Some(terms) => terms.hierarchy.missing(self.scopes(), required),
            None => required.difference(self.scopes()),
        }
    }

    /// Until when it holds; `None` where nobody said.
    pub fn expires_at(&self) -> Option<UnixTime> {
        self.0.expires_at
    }

    /// The claims of the token, read into `T`; `{}` is read where there are none.
    ///
    /// # Errors
    ///
    /// When they do not fit `T`.
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        self.0.claims.as_ref().map_or_else(|| serde_json::from_str("{}"), Raw::parse)
    }

    /// What clients are told where its scopes do not suffice.
    pub fn terms(&self) -> Option<&Arc<ChallengeTerms>> {
        self.0.terms.as_ref()
    }
}

/// Without the claims, which may tell more of a person than a log should.
impl fmt::Debug for Authorized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorized")
            .field("principal", &self.0.principal)
            .field("scopes", &self.0.scopes)
            .field("expires_at", &self.0.expires_at)
            .finish_non_exhaustive()
    }
}

/// What a server says of its authorization where it asks a client for more: the same for all its requests.
///
/// In the extensions of a request, as an `Arc`, without an [`Authorized`], it has one that nobody vouches for answered with 401
/// and where to log in, as soon as the request needs a scope.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChallengeTerms {
    /// What every challenge says: the scheme, where to log in, and the scopes that every request needs. The error and the scopes
    /// of the request are added for each.
    pub challenge: Challenge,
    /// Which scopes imply which.
    pub hierarchy: ScopeHierarchy,
}

impl ChallengeTerms {
    /// Challenges that say this, and no scope that implies another.
    pub fn new(challenge: Challenge) -> Self {
        Self { challenge, hierarchy: ScopeHierarchy::new() }
    }

    /// Says which scopes imply which.
    #[must_use]
    pub fn with_hierarchy(mut self, hierarchy: ScopeHierarchy) -> Self {
        self.hierarchy = hierarchy;
        self
    }
}
