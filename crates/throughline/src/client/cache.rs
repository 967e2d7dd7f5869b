//! Results that are answered from memory.

use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use throughline_proto::client::{Asked, CacheKey, CacheLimits, ResponseCache};
use throughline_proto::jsonrpc::{ErrorCode, Raw};

use super::ClientError;
use super::authorize::Authorizing;
use crate::lock::Lock;
use crate::runtime;

/// Results that several clients of **one server** keep together ([`Connect::shared_cache`](crate::Connect::shared_cache)), for
/// as long as the server says that they are fresh. Clones are the same cache.
///
/// Results that the server calls `public` are answered to all of them. `private` ones are answered to clients with the same
/// [partition](crate::Connect::cache_partition) alone; a client that names none has one of its own.
///
/// It holds 1,024 results and 16 MiB at most; stale results go first, then those that were not asked for the longest.
///
/// ```
/// use throughline::{Client, Server, SharedCache, StreamableHttp};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), throughline::ClientError> {
/// let endpoint = StreamableHttp::new(Server::new("demo", "1.0.0"));
/// let cache = SharedCache::new();
/// let ann = Client::over(endpoint.clone()).shared_cache(cache.clone()).cache_partition("ann").await?;
/// let bob = Client::over(endpoint).shared_cache(cache).cache_partition("bob").await?;
/// assert_eq!(ann.list_tools().await?, bob.list_tools().await?);
/// # Ok(())
/// # }
/// ```
///
/// Specification:
/// [cache scope](https://modelcontextprotocol.io/specification/2026-07-28/server/utilities/caching#cache-scope-field).
#[derive(Clone)]
pub struct SharedCache(Arc<Mutex<ResponseCache>>);

impl SharedCache {
    /// An empty cache.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(ResponseCache::new(CacheLimits::default()))))
    }
}

impl Default for SharedCache {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SharedCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not what is in it: some of it is private.
        f.debug_struct("SharedCache").field("results", &self.0.locked().len()).finish_non_exhaustive()
    }
}

/// What one client keeps.
#[derive(Clone)]
pub(crate) struct Cache {
    shared: SharedCache,
    partition: String,
    /// Who asks may change with the credentials.
    authorizing: Option<Arc<Authorizing>>,
}

/// A request whose result may be kept.
pub(crate) struct Keeping<'a> {
    cache: &'a Cache,
    key: CacheKey,
    asked: Asked,
    /// Whom the request speaks for.
    switched: u64,
}

impl Cache {
    /// `partition`: the name of the authorization context; `None` for one of its own.
    pub(crate) fn new(
        shared: Option<SharedCache>,
        partition: Option<String>,
        authorizing: Option<Arc<Authorizing>>,
    ) -> Self {
        /// Counts the clients of this process that name no partition.
        static OWN: AtomicU64 = AtomicU64::new(0);
        let partition = match partition {
            Some(name) => format!("named {name}"),
            None => format!("own {}", OWN.fetch_add(1, Ordering::Relaxed)),
        };
        Self { shared: shared.unwrap_or_default(), partition, authorizing }
    }

    /// The name of the authorization context of the requests that are sent at this moment.
    fn partition(&self) -> Cow<'_, str> {
        match &self.authorizing {
            Some(authorizing) => authorizing.partition(&self.partition),
            None => Cow::Borrowed(&self.partition),
        }
    }

    fn switched(&self) -> u64 {
        self.authorizing.as_ref().map_or(0, |authorizing| authorizing.switched())
    }

    /// Looks a request up: its result, or how to keep it when it comes. `fresh`: whatever there is, the server is asked.
    pub(crate) fn look_up(
        &self,
        method: &str,
        params: &Raw,
        fresh: bool,
    ) -> Result<Raw, Option<Keeping<'_>>> {
        let Some(key) = CacheKey::of(method, params) else { return Err(None) };
        let mut cache = self.shared.0.locked();
        let found = if fresh { None } else { cache.get(runtime::now(), &self.partition(), &key) };
        found.ok_or_else(|| Some(Keeping { cache: self, key, asked: cache.ask(), switched: self.switched() }))
    }

    /// The server told of a change, or one may have been missed.
    pub(crate) fn handle_notification(&self, method: &str, params: Option<&Raw>) {
        self.shared.0.locked().handle_notification(method, params);
    }

    pub(crate) fn clear(&self) {
        self.shared.0.locked().clear();
    }
}

impl Keeping<'_> {
    /// The server answered. `result`: it is complete.
    pub(crate) fn handle_answer(self, outcome: &Result<Raw, ClientError>, is_complete: bool) {
        let partition = self.cache.partition();
        let mut cache = self.cache.shared.0.locked();
        match outcome {
            // Where somebody else logged in meanwhile, nobody knows whose it is.
            Ok(_) if self.cache.switched() != self.switched => {}
            Ok(result) if is_complete => {
                cache.insert(runtime::now(), &partition, self.key, self.asked, result);
            }
            Ok(_) => {}
            Err(error) => {
                let is_invalid = error.error().is_some_and(|error| error.code == ErrorCode::INVALID_PARAMS);
                if is_invalid && self.key.has_cursor() {
                    cache.throw_pages(&self.key);
                }
            }
        }
    }
}
