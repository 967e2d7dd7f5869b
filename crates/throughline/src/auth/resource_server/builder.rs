//! What is configured about a lock.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::Body;
use throughline_proto::auth::{
    Algorithms, Challenge, Expectation, InvalidScope, KeyKind, ProtectedResource, ScopeHierarchy, ScopeSet,
    TokenType, UnixTime, authorization_server_addresses, canonical_resource, protected_resource_paths,
};
use tower_service::Service;

use super::answer::{Document, Words};
use super::api_keys::{ApiKeys, KnownKeys};
use super::dpop::{Dpop, Proofs};
use super::guard::{Clock, Guard};
use super::introspection::Introspection;
use super::keys::{FetchedKeys, Issuer, JwtKey, Keys, Source};
use super::proxy::TrustedProxy;
use super::verified::{Prints, Verified};
use super::verifier::TokenVerifier;
use super::{Authorization, BadAuthorization};
use crate::auth::fetch::Fetcher;
use crate::client::{BoxError, RequestBody};
use crate::{ChallengeTerms, HttpOptions, runtime};

/// Says whom a lock lets in: see [`Authorization::builder`].
///
/// At least one way to know somebody has to be named: [`jwks`](Self::jwks), [`jwt_key`](Self::jwt_key),
/// [`introspection`](Self::introspection), [`api_keys`](Self::api_keys), [`verifier`](Self::verifier) or
/// [`trusted_proxy`](Self::trusted_proxy). Several go together: a token is held against the keys of the operator, then the
/// issuers by the one that it names, then those that are asked, then the check of your own.
#[must_use = "there is no lock until it is built"]
pub struct AuthorizationBuilder {
    resource: String,
    fetched: Vec<(String, Option<String>)>,
    fixed: Vec<(String, Vec<JwtKey>)>,
    introspections: Vec<Introspection>,
    api_keys: Vec<ApiKeys>,
    verifier: Option<Arc<dyn TokenVerifier>>,
    proxies: Vec<TrustedProxy>,
    audiences: Vec<String>,
    servers: Vec<String>,
    required: Result<ScopeSet, InvalidScope>,
    supported: Result<ScopeSet, InvalidScope>,
    hierarchy: ScopeHierarchy,
    algorithms: Option<Algorithms>,
    token_type: TokenType,
    skew: Duration,
    dpop: Option<Dpop>,
    name: Option<String>,
    documentation: Option<String>,
    options: HttpOptions,
    fetcher: Option<Fetcher>,
    clock: Clock,
    cached_tokens: usize,
}

impl AuthorizationBuilder {
    pub(super) fn new(resource: String) -> Self {
        Self {
            resource,
            fetched: Vec::new(),
            fixed: Vec::new(),
            introspections: Vec::new(),
            api_keys: Vec::new(),
            verifier: None,
            proxies: Vec::new(),
            audiences: Vec::new(),
            servers: Vec::new(),
            required: Ok(ScopeSet::new()),
            supported: Ok(ScopeSet::new()),
            hierarchy: ScopeHierarchy::new(),
            algorithms: None,
            token_type: TokenType::Usual,
            skew: Expectation::DEFAULT_SKEW,
            dpop: None,
            name: None,
            documentation: None,
            options: HttpOptions::new(),
            fetcher: None,
            clock: Clock(Arc::new(|| UnixTime(runtime::unix_time()))),
            cached_tokens: CACHED_TOKENS,
        }
    }

    /// Takes JWTs of this issuer, whose keys are found by its metadata
    /// ([RFC 8414](https://www.rfc-editor.org/rfc/rfc8414), or OpenID Connect Discovery). The name is compared to the letter with
    /// the `iss` of a token: a slash at the end counts.
    ///
    /// Keys are fetched when the first token comes, kept as long as the issuer says (between a minute and an hour, ten
    /// minutes unless told), and for twelve hours when it does not answer. A token that names an unknown key has them fetched
    /// again, every ten seconds at most. Tokens of a key that the issuer withdrew are refused as soon as its keys were fetched.
    pub fn jwks(mut self, issuer: impl Into<String>) -> Self {
        self.fetched.push((issuer.into(), None));
        self
    }

    /// The same with the keys at this address, whatever the metadata of the issuer say.
    pub fn jwks_at(mut self, issuer: impl Into<String>, address: impl Into<String>) -> Self {
        self.fetched.push((issuer.into(), Some(address.into())));
        self
    }

    /// Takes JWTs of this issuer that are signed with this key. Can be called several times.
    pub fn jwt_key(self, issuer: impl Into<String>, key: JwtKey) -> Self {
        self.jwt_keys(issuer, [key])
    }

    /// The same with several keys, such as those that [`JwtKey::jwks`] reads.
    pub fn jwt_keys(mut self, issuer: impl Into<String>, keys: impl IntoIterator<Item = JwtKey>) -> Self {
        let issuer = issuer.into();
        match self.fixed.iter_mut().find(|(name, _)| *name == issuer) {
            Some((_, known)) => known.extend(keys),
            None => self.fixed.push((issuer, keys.into_iter().collect())),
        }
        self
    }

    /// Asks this authorization server about tokens. Can be called several times.
    pub fn introspection(mut self, introspection: Introspection) -> Self {
        self.introspections.push(introspection);
        self
    }

    /// Takes these keys of the operator. Can be called several times.
    pub fn api_keys(mut self, keys: ApiKeys) -> Self {
        self.api_keys.push(keys);
        self
    }

    /// Asks this check of your own about tokens that nobody else knows.
    pub fn verifier(mut self, verifier: impl TokenVerifier) -> Self {
        self.verifier = Some(Arc::new(verifier));
        self
    }

    /// Believes what this proxy says about who sends a request. Can be called several times.
    pub fn trusted_proxy(mut self, proxy: TrustedProxy) -> Self {
        self.proxies.push(proxy);
        self
    }

    /// Takes tokens for this audience too, under which an authorization server knows this server.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Names this authorization server in the metadata. Issuers of [`jwks`](Self::jwks), [`jwt_key`](Self::jwt_key) and
    /// [`introspection`](Self::introspection) are named by themselves, where they are addresses.
    pub fn authorization_server(mut self, issuer: impl Into<String>) -> Self {
        self.servers.push(issuer.into());
        self
    }

    /// The scopes that every request needs. Those of single tools, prompts, resources and methods are said there.
    pub fn scopes<I>(mut self, scopes: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.required = ScopeSet::of(scopes);
        self
    }

    /// The scopes that the metadata name, for clients that are told none: those for basic use. Default: those that
    /// [every request needs](Self::scopes).
    pub fn scopes_supported<I>(mut self, scopes: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.supported = ScopeSet::of(scopes);
        self
    }

    /// Which scopes imply others, here and at the endpoint.
    pub fn hierarchy(mut self, hierarchy: ScopeHierarchy) -> Self {
        self.hierarchy = hierarchy;
        self
    }

    /// Takes JWTs that are signed with one of these algorithms. Default: all with a public key, and for keys that are a
    /// shared secret those with one; `none` never.
    pub fn algorithms(mut self, algorithms: Algorithms) -> Self {
        self.algorithms = Some(algorithms);
        self
    }

    /// Which kinds of JWT are taken. Default: [`TokenType::Usual`].
    pub fn token_type(mut self, token_type: TokenType) -> Self {
        self.token_type = token_type;
        self
    }

    /// How far the clocks of issuers may differ from this one. Default: a minute.
    pub fn skew(mut self, skew: Duration) -> Self {
        self.skew = skew;
        self
    }

    /// Announces that tokens may be, or must be, bound to a key.
    pub fn dpop(mut self, dpop: Dpop) -> Self {
        self.dpop = Some(dpop);
        self
    }

    /// A name of the server for people, in the metadata.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The address of a page for developers, in the metadata.
    pub fn documentation(mut self, address: impl Into<String>) -> Self {
        self.documentation = Some(address.into());
        self
    }

    /// How many tokens that were verified are remembered. Default: 8,192, of a KiB or two each.
    pub fn cached_tokens(mut self, tokens: usize) -> Self {
        self.cached_tokens = tokens;
        self
    }

    /// How issuers are reached over the network.
    pub fn http(mut self, options: HttpOptions) -> Self {
        self.options = options;
        self
    }

    /// Reaches issuers through this service and not over the network, as in tests.
    pub fn http_service<S, B>(mut self, service: S) -> Self
    where
        S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.fetcher = Some(Fetcher::over(service));
        self
    }

    /// Takes the time that tokens are held against from here, as in tests. Default: the system's clock.
    pub fn clock(mut self, clock: impl Fn() -> UnixTime + Send + Sync + 'static) -> Self {
        self.clock = Clock(Arc::new(clock));
        self
    }

    /// The lock.
    ///
    /// # Errors
    ///
    /// When an address, a scope or an issuer is none, a key cannot be used, or nobody could ever be let in.
    pub fn build(self) -> Result<Authorization, BadAuthorization> {
        let bad = BadAuthorization::new;
        let (resource, address) = resource_of(&self.resource)?;
        let required = self.required.clone().map_err(|error| bad(error.to_string()))?;
        let supported = self.supported.clone().map_err(|error| bad(error.to_string()))?;
        if self.is_empty() {
            return Err(bad(
                "nobody could be let in: name an issuer (`jwks`), keys (`jwt_key`, `api_keys`), `introspection`, a `verifier` or a `trusted_proxy`".into(),
            ));
        }
        let fetcher = match self.fetcher.clone() {
            Some(fetcher) => fetcher,
            None => Fetcher::new(self.options.clone()).map_err(|error| bad(error.to_string()))?,
        };
        let verified = Arc::new(Verified::new(self.cached_tokens));
        let issuers = self.issuers(&resource, &fetcher, &verified)?;
        let servers = self.servers();
        let introspectors = self.introspections.iter().map(|introspection| {
            let expectation = self.expectation(introspection.issuer(), &resource);
            introspection.clone().checked(&resource, expectation, self.skew, fetcher.clone())
        });
        let introspectors = introspectors.collect::<Result<_, _>>()?;

        let proofs = Proofs::new(address.clone(), &self.dpop.clone().unwrap_or_default());
        let announced: Option<Vec<_>> = self
            .dpop
            .as_ref()
            .map(|_| proofs.algorithms().iter().map(|algorithm| algorithm.name()).collect());
        let proofs_only = self.dpop.as_ref().is_some_and(|dpop| dpop.required);

        let paths = protected_resource_paths(&address);
        let mut document = ProtectedResource::new(&resource);
        document.authorization_servers = servers;
        let supported = if supported.is_empty() { required.clone() } else { supported };
        document.scopes_supported = (!supported.is_empty()).then_some(supported);
        document.resource_name = self.name;
        document.resource_documentation = self.documentation;
        document.dpop_signing_alg_values_supported =
            announced.as_ref().map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        document.dpop_bound_access_tokens_required = proofs_only;
        // Without an authorization server there is nowhere to log in, and a client that is sent there would be lost.
        let document =
            (!document.authorization_servers.is_empty()).then(|| Document::new(paths.clone(), &document));
        let metadata = document.as_ref().map(|_| format!("{}{}", origin_of(&address), paths[0]));

        let mut challenge = if proofs_only { Challenge::dpop() } else { Challenge::bearer() };
        challenge.resource_metadata.clone_from(&metadata);
        challenge.scope = (!required.is_empty()).then(|| required.clone());
        let terms = ChallengeTerms::new(challenge).with_hierarchy(self.hierarchy);
        Ok(Authorization {
            guard: Arc::new(Guard {
                words: Words { resource_metadata: metadata, required, proofs: announced, proofs_only },
                document,
                terms: Arc::new(terms),
                proxies: self.proxies.into_iter().map(TrustedProxy::checked).collect::<Result<_, _>>()?,
                api_keys: KnownKeys::new(self.api_keys),
                issuers,
                introspectors,
                verifier: self.verifier,
                proofs,
                prints: Prints::new(),
                verified,
                skew: self.skew,
                clock: self.clock,
            }),
        })
    }

    fn is_empty(&self) -> bool {
        self.fetched.is_empty()
            && self.fixed.is_empty()
            && self.introspections.is_empty()
            && self.api_keys.iter().all(ApiKeys::is_empty)
            && self.verifier.is_none()
            && self.proxies.is_empty()
    }

    fn issuers(
        &self,
        resource: &str,
        fetcher: &Fetcher,
        verified: &Arc<Verified<Arc<super::guard::Known>>>,
    ) -> Result<Vec<Issuer>, BadAuthorization> {
        let bad = BadAuthorization::new;
        let mut issuers: Vec<Issuer> = Vec::new();
        for (name, address) in &self.fetched {
            if issuers.iter().any(|issuer| issuer.name() == name)
                || self.fixed.iter().any(|(fixed, _)| fixed == name)
            {
                return Err(bad(format!(
                    "the issuer `{name}` is named twice; name it once, with all its keys"
                )));
            }
            let source = match address {
                Some(address) => {
                    let address: Uri =
                        address.parse().map_err(|_| bad(format!("`{address}` is no address of keys")))?;
                    fetcher.check(&address).map_err(bad)?;
                    Source::At(address)
                }
                None => {
                    authorization_server_addresses(name)
                        .map_err(|error| bad(format!("the issuer `{name}` cannot be asked: {error}")))?;
                    let address: Uri = name.parse().map_err(|_| bad(format!("`{name}` is no address")))?;
                    fetcher.check(&address).map_err(bad)?;
                    Source::Issuer
                }
            };
            let verified = Arc::downgrade(verified);
            let forget = move || {
                if let Some(verified) = verified.upgrade() {
                    verified.forget();
                }
            };
            let keys = FetchedKeys::new(name.clone(), source, fetcher.clone(), forget);
            let algorithms =
                self.algorithms.filter(|chosen| !is_symmetric(*chosen)).unwrap_or(Algorithms::asymmetric());
            let expectation = self.expectation(name, resource);
            issuers.push(Issuer::new(name.clone(), expectation, algorithms, Keys::Fetched(Arc::new(keys))));
        }
        for (name, keys) in &self.fixed {
            let secret = keys.iter().any(|key| key.kind() == KeyKind::Hmac);
            if keys.is_empty() || (secret && !keys.iter().all(|key| key.kind() == KeyKind::Hmac)) {
                return Err(bad(format!(
                    "give the issuer `{name}` public keys or shared secrets, at least one and not both: else a token that is signed with the text of a public key could pass"
                )));
            }
            let all = if secret { Algorithms::symmetric() } else { Algorithms::asymmetric() };
            let algorithms = self.algorithms.filter(|chosen| is_symmetric(*chosen) == secret).unwrap_or(all);
            let expectation = self.expectation(name, resource);
            let keys = Keys::Fixed(keys.clone().into());
            issuers.push(Issuer::new(name.clone(), expectation, algorithms, keys));
        }
        Ok(issuers)
    }

    fn expectation(&self, issuer: &str, resource: &str) -> Expectation {
        let expectation =
            Expectation::new(issuer, resource).with_skew(self.skew).with_token_type(self.token_type);
        self.audiences.iter().fold(expectation, Expectation::or_audience)
    }

    /// The authorization servers of the metadata: those that are addresses.
    fn servers(&self) -> Vec<String> {
        let mut servers: Vec<String> = Vec::new();
        let named = self
            .servers
            .iter()
            .chain(self.fetched.iter().map(|(issuer, _)| issuer))
            .chain(self.fixed.iter().map(|(issuer, _)| issuer))
            .map(String::as_str)
            .chain(self.introspections.iter().map(Introspection::issuer));
        for issuer in named {
            let is_address = authorization_server_addresses(issuer).is_ok();
            if is_address && !servers.iter().any(|known| known == issuer) {
                servers.push(issuer.to_owned());
            }
        }
        servers
    }
}

impl std::fmt::Debug for AuthorizationBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthorizationBuilder").field("resource", &self.resource).finish_non_exhaustive()
    }
}

/// The name of the resource, and its address.
fn resource_of(text: &str) -> Result<(String, Uri), BadAuthorization> {
    let bad = || {
        BadAuthorization::new(format!(
            "`{text}` is no public address of a server; write it as clients do, like `https://mcp.example.com/mcp`, without a query"
        ))
    };
    if text.contains(['#', '?']) {
        return Err(bad());
    }
    let resource = text.parse().ok().as_ref().and_then(canonical_resource).ok_or_else(bad)?;
    let address = resource.parse().map_err(|_| bad())?;
    Ok((resource, address))
}

fn origin_of(address: &Uri) -> String {
    format!(
        "{}://{}",
        address.scheme_str().unwrap_or_default(),
        address.authority().map_or("", |authority| authority.as_str())
    )
}

fn is_symmetric(algorithms: Algorithms) -> bool {
    algorithms.iter().any(|algorithm| algorithm.is_symmetric())
}

/// Some 16 MiB with tokens of two KiB; 64 with the longest. A server with more clients than this at once verifies some of
/// them again.
const CACHED_TOKENS: usize = 8192;
