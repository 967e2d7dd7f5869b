//! Results that may be answered from memory.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use crate::jsonrpc::{self, Raw, Str};
use crate::model::{CacheHints, CacheScope, Method, ResourceUpdatedParams};

/// Bounds of a [`ResponseCache`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// Results. Default 1,024: every page of the lists of a large server, and some hundred resources.
    pub entries: usize,
    /// All of them together, with what they answer, in bytes. Default 16 MiB, as much as one event may be. One result may
    /// be a quarter of it: a single resource must not push everything else out.
    pub bytes: usize,
}

impl Default for CacheLimits {
    fn default() -> Self {
        Self { entries: 1_024, bytes: 16 * 1024 * 1024 }
    }
}

/// What a request asks for, as far as a cache is concerned: its method and its params without `_meta`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CacheKey {
    method: Method,
    /// The members of the params ordered by name, each as it was written.
    params: Box<str>,
    /// Of a `resources/read`.
    uri: Option<Box<str>>,
    has_cursor: bool,
}

impl CacheKey {
    /// The key of a request; `None` when its result must not be kept: the method has no hints, or the request carries answers or
    /// the state of an earlier round.
    #[must_use]
    pub fn of(method: &str, params: &Raw) -> Option<Self> {
        let method = Method::parse(method).filter(|method| method.is_cacheable())?;
        let outline = jsonrpc::outline(Some(params)).ok()?;
        if outline.input_responses.is_some() || outline.request_state.is_some() {
            return None;
        }
        let mut members: BTreeMap<Str, Raw> = params.parse().ok()?;
        members.remove("_meta");
        let uri = members.get("uri").and_then(|uri| uri.parse().ok());
        let has_cursor = members.contains_key("cursor");
        let mut key = String::new();
        for (name, value) in &members {
            key.extend([&serde_json::to_string(name).ok()?, ":", value.as_str(), ","]);
        }
        Some(Self { method, params: key.into_boxed_str(), uri, has_cursor })
    }

    /// Whether it asks for a page that is not the first.
    #[must_use]
    pub fn has_cursor(&self) -> bool {
        self.has_cursor
    }
}

/// When a request was sent, for what changed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked(u64);

/// Keeps results for as long as their server said that they are fresh.
///
/// Private results are answered to their own partition alone: one authorization context. Public ones are answered to all. Nothing is
/// kept of a request that was sent before a change and answered after it.
///
/// ```
/// use std::time::{Duration, Instant};
/// use throughline_proto::client::{CacheKey, CacheLimits, ResponseCache};
/// use throughline_proto::jsonrpc::Raw;
///
/// let mut cache = ResponseCache::new(CacheLimits::default());
/// let start = Instant::now();
/// let key = CacheKey::of("tools/list", &Raw::empty_object()).expect("lists have hints");
/// let page = Raw::from_json(r#"{"tools":[],"ttlMs":1000,"cacheScope":"private"}"#)?;
/// let asked = cache.ask();
/// cache.insert(start, "ann", key.clone(), asked, &page);
/// let later = start + Duration::from_millis(999);
/// assert_eq!(cache.get(later, "ann", &key), Some(page));
/// assert_eq!(cache.get(later, "bob", &key), None);
/// cache.handle_notification("notifications/tools/list_changed", None);
/// assert_eq!(cache.get(later, "ann", &key), None);
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// Specification: [caching](https://modelcontextprotocol.io/specification/2026-07-28/server/utilities/caching).
#[derive(Debug)]
pub struct ResponseCache {
    limits: CacheLimits,
    /// By what was asked, then by partition; `None`: everybody's.
    entries: HashMap<(CacheKey, Option<Str>), Entry>,
    bytes: usize,
    /// Counts what happens, for the order of it.
    clock: u64,
    /// When results of a method were last thrown away.
    thrown: HashMap<Method, u64>,
}

#[derive(Debug)]
struct Entry {
    result: Raw,
    received: Instant,
    ttl: Duration,
    used: u64,
    bytes: usize,
}

impl Entry {
    /// [Freshness](https://modelcontextprotocol.io/specification/2026-07-28/server/utilities/caching#freshness-calculation).
    fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.received) < self.ttl
    }
}

impl ResponseCache {
    /// An empty cache.
    #[must_use]
    pub fn new(limits: CacheLimits) -> Self {
        Self { limits, entries: HashMap::new(), bytes: 0, clock: 0, thrown: HashMap::new() }
    }

    /// A request is about to be sent; [`insert`](Self::insert) wants to know when.
    #[must_use]
    pub fn ask(&self) -> Asked {
        Asked(self.clock)
    }

    /// The result that answers this request for this partition, while it is fresh.
    pub fn get(&mut self, now: Instant, partition: &str, key: &CacheKey) -> Option<Raw> {
        for partition in [Some(Str::from(partition.to_owned())), None] {
            let place = (key.clone(), partition);
            let Some(entry) = self.entries.get_mut(&place) else { continue };
            if entry.is_fresh(now) {
                self.clock += 1;
                entry.used = self.clock;
                return Some(entry.result.clone());
            }
            self.remove(&place);
        }
        None
    }

    /// Takes a complete result in, where it says that it may be kept. What this partition had for the request is replaced.
    pub fn insert(&mut self, now: Instant, partition: &str, key: CacheKey, asked: Asked, result: &Raw) {
        self.remove(&(key.clone(), Some(Str::from(partition.to_owned()))));
        let hints = CacheHints::of(result);
        let partition = match hints.scope {
            CacheScope::Private => Some(Str::from(partition.to_owned())),
            CacheScope::Public => None,
        };
        let outdated = self.thrown.get(&key.method).is_some_and(|thrown| *thrown > asked.0);
        let bytes =
            result.as_str().len() + key.params.len() + partition.as_ref().map_or(0, |name| name.len());
        if hints.ttl_ms == 0 || outdated || bytes > self.limits.bytes / 4 {
            return;
        }
        let place = (key, partition);
        self.remove(&place);
        self.make_room(now, bytes);
        // A copy: what came is a slice of a body that may be much larger.
        let Ok(result) = Raw::new(result) else { return };
        self.clock += 1;
        let ttl = Duration::from_millis(hints.ttl_ms);
        self.entries.insert(place, Entry { result, received: now, ttl, used: self.clock, bytes });
        self.bytes += bytes;
    }

    /// The server told of a change: what it concerns is stale, for every partition; see
    /// [notifications](https://modelcontextprotocol.io/specification/2026-07-28/server/utilities/caching#interaction-with-notifications).
    pub fn handle_notification(&mut self, method: &str, params: Option<&Raw>) {
        match Method::parse(method) {
            Some(Method::ToolListChanged) => self.throw(&[Method::ListTools], |_| true),
            Some(Method::PromptListChanged) => self.throw(&[Method::ListPrompts], |_| true),
            Some(Method::ResourceListChanged) => {
                self.throw(&[Method::ListResources, Method::ListResourceTemplates], |_| true);
            }
            Some(Method::ResourceUpdated) => {
                let params = params.and_then(|params| params.parse::<ResourceUpdatedParams>().ok());
                if let Some(params) = params {
                    self.throw_read(&params.uri);
                }
            }
            _ => {}
        }
    }

    /// A resource changed: neither it nor what it is a part of is fresh, as an update may name a part of what was read.
    pub fn throw_read(&mut self, uri: &str) {
        self.throw(&[Method::ReadResource], |key| {
            key.uri.as_deref().is_none_or(|read| uri.starts_with(read))
        });
    }

    /// A cursor of this list is no longer good: all of its pages are thrown away; see
    /// [pagination](https://modelcontextprotocol.io/specification/2026-07-28/server/utilities/caching#interaction-with-pagination).
    pub fn throw_pages(&mut self, key: &CacheKey) {
        self.throw(&[key.method], |_| true);
    }

    /// Forgets everything, also what is being asked.
    pub fn clear(&mut self) {
        let all = [
            Method::Discover,
            Method::ListTools,
            Method::ListPrompts,
            Method::ListResources,
            Method::ListResourceTemplates,
            Method::ReadResource,
        ];
        self.throw(&all, |_| true);
    }

    /// How many results there are, stale ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn throw(&mut self, methods: &[Method], wanted: impl Fn(&CacheKey) -> bool) {
        self.clock += 1;
        for method in methods {
            self.thrown.insert(*method, self.clock);
        }
        let mut freed = 0;
        self.entries.retain(|(key, _), entry| {
            let keep = !methods.contains(&key.method) || !wanted(key);
            freed += if keep { 0 } else { entry.bytes };
            keep
        });
        self.bytes -= freed;
    }

    fn remove(&mut self, place: &(CacheKey, Option<Str>)) {
        if let Some(entry) = self.entries.remove(place) {
            self.bytes -= entry.bytes;
        }
    }

    /// Stale results go first, then those that were not asked for the longest.
    fn make_room(&mut self, now: Instant, bytes: usize) {
        while self.entries.len() >= self.limits.entries || self.bytes + bytes > self.limits.bytes {
            let worst = self.entries.iter().min_by_key(|(_, entry)| (entry.is_fresh(now), entry.used));
            let Some(place) = worst.map(|(place, _)| place.clone()) else { return };
            self.remove(&place);
        }
    }
}
