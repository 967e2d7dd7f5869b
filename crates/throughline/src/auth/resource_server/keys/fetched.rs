//! The keys of an issuer, fetched from where it publishes them.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, HeaderMap, HeaderValue};
use http::{Request, StatusCode, Uri};
use throughline_proto::auth::{AddressRule, AuthorizationServer, TokenFault, authorization_server_addresses};
use tokio::sync::Notify;

use super::cache::{Answer, KeyCache};
use super::key::{JwtKey, parse_set};
use crate::auth::fetch::Fetcher;
use crate::lock::Lock;
use crate::runtime;

/// The keys of an issuer: fetched when one is needed, used while they last, one fetch at a time.
pub(in crate::auth::resource_server) struct FetchedKeys {
    issuer: String,
    source: Source,
    fetcher: Fetcher,
    cache: Mutex<KeyCache<Arc<[JwtKey]>>>,
    /// A fetch has ended.
    ended: Notify,
    /// How many wait for that.
    waiting: AtomicUsize,
    /// Told when a key was withdrawn: tokens that it signed are to be verified again.
    on_withdrawal: Box<dyn Fn() + Send + Sync>,
}

/// Where the keys are.
#[derive(Clone, Debug)]
pub(in crate::auth::resource_server) enum Source {
    /// Where the metadata of the issuer says.
    Issuer,
    /// There.
    At(Uri),
}

/// Keys, and which generation of them.
type Generation = (Arc<[JwtKey]>, u64);

impl FetchedKeys {
    pub(in crate::auth::resource_server) fn new(
        issuer: String,
        source: Source,
        fetcher: Fetcher,
        on_withdrawal: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self {
            issuer,
            source,
            fetcher,
            cache: Mutex::new(KeyCache::new()),
            ended: Notify::new(),
            waiting: AtomicUsize::new(0),
            on_withdrawal: Box::new(on_withdrawal),
        }
    }

    /// The keys to check a token with.
    pub(in crate::auth::resource_server) async fn get(self: &Arc<Self>) -> Result<Generation, TokenFault> {
        self.ask(|cache| cache.get(runtime::now())).await
    }

    /// Keys that are newer than those of this generation, for a token whose key is none of them.
    pub(super) async fn newer(self: &Arc<Self>, generation: u64) -> Result<Generation, TokenFault> {
        self.ask(|cache| cache.miss(runtime::now(), generation)).await
    }

    async fn ask(
        self: &Arc<Self>,
        mut question: impl FnMut(&mut KeyCache<Arc<[JwtKey]>>) -> (Answer<Arc<[JwtKey]>>, bool),
    ) -> Result<Generation, TokenFault> {
        loop {
            // Before the question, so that no end is missed after it.
            let mut ended = pin!(self.ended.notified());
            ended.as_mut().enable();
            let (answer, begin) = question(&mut self.cache.locked());
            if begin {
                self.begin();
            }
            match answer {
                Answer::Use(keys, generation) => return Ok((keys, generation)),
                Answer::Unknown => return Err(TokenFault::UnknownKey),
                Answer::Unavailable(_) => return Err(TokenFault::Unavailable),
                Answer::Wait => {
                    let _place = Waiting::take(&self.waiting).ok_or(TokenFault::Unavailable)?;
                    ended.await;
                }
            }
        }
    }

    /// Fetches in a task of its own: it goes on when the request that needed it is given up.
    fn begin(self: &Arc<Self>) {
        let fetching = Fetching(Some(Arc::clone(self)));
        let _ = runtime::spawn(async move {
            let keys = fetching.0.as_ref().expect("it has not ended");
            let fetched = match tokio::time::timeout(TIMEOUT, keys.fetch()).await {
                Ok(fetched) => fetched,
                Err(_) => Err(format!("it took longer than {TIMEOUT:?}")),
            };
            match fetched {
                Ok(fetched) => fetching.end(Some(fetched)),
                Err(reason) => {
                    tracing::warn!(
                        issuer = keys.issuer,
                        reason,
                        "the keys of an issuer could not be fetched"
                    );
                    fetching.end(None);
                }
            }
        });
    }

    async fn fetch(&self) -> Result<(Arc<[JwtKey]>, Duration), String> {
        let address = match &self.source {
            Source::At(address) => address.clone(),
            Source::Issuer => {
                let document = discover(&self.fetcher, &self.issuer).await?;
                let address = document.jwks_uri.ok_or("its metadata names no keys (jwks_uri)")?;
                address.parse().map_err(|_| "its metadata names keys at what is no address")?
            }
        };
        let rule = self.fetcher.rule_for(&self.issuer_address(&address)).await;
        let (headers, body) = get(&self.fetcher, address, &rule).await?;
        let keys = parse_set(&body).ok_or("its keys are no JSON Web Key Set")?;
        if keys.is_empty() {
            // It is what an issuer says that withdrew all of them, so those of before are not used on.
            tracing::warn!(issuer = self.issuer, "an issuer publishes no key that can be used");
        }
        Ok((keys.into(), fresh_for(&headers)))
    }

    /// The address that the operator trusts: what it may lead to follows from that.
    fn issuer_address(&self, keys: &Uri) -> Uri {
        match self.source {
            Source::Issuer => self.issuer.parse().unwrap_or_else(|_| keys.clone()),
            Source::At(_) => keys.clone(),
        }
    }
}

/// A place among those who wait.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    /// `None` where as many wait as may.
    fn take(waiting: &'a AtomicUsize) -> Option<Self> {
        let before = waiting.fetch_add(1, Ordering::Relaxed);
        let place = Self(waiting);
        (before < MOST_WAITING).then_some(place)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A fetch that was begun. It ends in any case, so that nobody waits for one that is gone.
struct Fetching(Option<Arc<FetchedKeys>>);

impl Fetching {
    fn end(mut self, fetched: Option<(Arc<[JwtKey]>, Duration)>) {
        if let Some(keys) = self.0.take() {
            let withdrawn = {
                let mut cache = keys.cache.locked();
                let withdrawn = match (cache.held(), &fetched) {
                    (Some(before), Some((after, _))) => {
                        !before.iter().all(|key| after.iter().any(|other| key.is_same(other)))
                    }
                    _ => false,
                };
                cache.done(runtime::now(), fetched);
                withdrawn
            };
            if withdrawn {
                (keys.on_withdrawal)();
            }
            keys.ended.notify_waiters();
        }
    }
}

impl Drop for Fetching {
    fn drop(&mut self) {
        if let Some(keys) = self.0.take() {
            keys.cache.locked().done(runtime::now(), None);
            keys.ended.notify_waiters();
        }
    }
}

impl std::fmt::Debug for FetchedKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FetchedKeys")
            .field("issuer", &self.issuer)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// The metadata of an issuer, from the first address that has it.
async fn discover(fetcher: &Fetcher, issuer: &str) -> Result<AuthorizationServer, String> {
    let address: Uri = issuer.parse().map_err(|_| "its name is no address")?;
    let rule = fetcher.rule_for(&address).await;
    let mut reason = String::from("it has no metadata");
    for address in authorization_server_addresses(issuer).map_err(|error| error.to_string())? {
        let found = match get(fetcher, address, &rule).await {
            Ok((_, body)) => AuthorizationServer::parse(&body)
                .and_then(|document| document.check_issuer(issuer).map(|()| document))
                .map_err(|error| error.to_string()),
            Err(error) => Err(error),
        };
        match found {
            Ok(document) => return Ok(document),
            Err(error) => reason = error,
        }
    }
    Err(reason)
}

async fn get(fetcher: &Fetcher, address: Uri, rule: &AddressRule) -> Result<(HeaderMap, Bytes), String> {
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() = address;
    request
        .headers_mut()
        .insert(ACCEPT, HeaderValue::from_static("application/json, application/jwk-set+json"));
    let response = fetcher.fetch(request, rule).await.map_err(|error| error.to_string())?;
    if response.status() != StatusCode::OK {
        return Err(format!("it answered {}", response.status()));
    }
    let (parts, body) = response.into_parts();
    Ok((parts.headers, body))
}

/// How long keys need not be fetched again: as long as their issuer says, between a minute and an hour
/// ([RFC 9111, 5.2.2.1](https://www.rfc-editor.org/rfc/rfc9111#section-5.2.2.1)).
fn fresh_for(headers: &HeaderMap) -> Duration {
    let directives = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let age = directives
        .flat_map(|value| value.split(','))
        .find_map(|directive| directive.trim().to_ascii_lowercase().strip_prefix("max-age=")?.parse().ok());
    age.map_or(FRESH, Duration::from_secs).clamp(LEAST_FRESH, MOST_FRESH)
}

/// Of issuers that do not say. A new key is fetched when a token names it, so that this only says how long one that was
/// withdrawn is trusted.
const FRESH: Duration = Duration::from_secs(600);
const LEAST_FRESH: Duration = Duration::from_secs(60);
const MOST_FRESH: Duration = Duration::from_secs(3600);

/// Metadata at three addresses and then the keys, from an issuer that is slow: whoever waits has waited long enough.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Requests that wait for one fetch. Anybody can send a token with a made-up key, and while an issuer hangs each would be held; the
/// rest is answered with 503.
const MOST_WAITING: usize = 1024;
