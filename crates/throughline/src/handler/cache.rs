//! How clients of the modern era may keep what they were told
//! ([caching](https://modelcontextprotocol.io/specification/2026-07-28/server/utilities/caching)).

use std::time::Duration;

use throughline_proto::model::{Answer, CacheHints, CacheScope, ReadResourceResult};

use super::{Caller, Outcome, ResourceDef, Server, TemplateDef};

impl Server {
    /// How clients of the modern era may keep the lists of this server (tools, prompts, resources, resource templates) and
    /// what it says of itself: for 60 s, by anybody, unless said otherwise here.
    ///
    /// `private` is said instead of `public` on every page of a list as soon as the caller has a
    /// [principal](Caller::principal), or an entry of that list is [visible](super::ToolDef::visible_to) to some callers
    /// only, or needs scopes where [only what is permitted is listed](Server::list_permitted). Clients that listen for changes hear of them at once, however long a list is fresh. What is read of a resource
    /// is stale at once unless [`ResourceDef::cache`] or [`TemplateDef::cache`] says otherwise.
    ///
    /// ```
    /// use std::time::Duration;
    /// use throughline::Server;
    /// use throughline::model::CacheHints;
    ///
    /// let server = Server::new("demo", "1.0.0").cache(CacheHints::public(Duration::from_secs(3600)));
    /// ```
    #[must_use]
    pub fn cache(self, lists: CacheHints) -> Self {
        self.change(|tables| tables.list_cache = ListCache(lists));
        self
    }
}

impl ResourceDef {
    /// How clients of the modern era may keep its contents. Unless said here, or by the function in what it returns
    /// ([`ReadResourceResult::with_cache`]), they are stale at once and private: nothing is known about what the function
    /// will say the next time, and to whom.
    ///
    /// `public` means that a proxy may serve the contents to anybody, whoever the caller was that read them. It is said of
    /// no resource that is [visible](Self::visible_to) to some callers only or needs [scopes](Self::scopes).
    ///
    /// ```
    /// use std::time::Duration;
    /// use throughline::model::CacheHints;
    /// use throughline::resource;
    ///
    /// let terms = resource("demo://terms", "terms", || async { "Be kind." })
    ///     .cache(CacheHints::public(Duration::from_secs(24 * 3600)));
    /// ```
    pub fn cache(mut self, contents: CacheHints) -> Self {
        self.cache = Some(contents);
        self
    }

    pub(super) fn keeping(&self) -> Keeping {
        Keeping { hints: self.cache, limited: self.visibility.is_limited() || !self.scopes.is_empty() }
    }
}

impl TemplateDef {
    /// How clients of the modern era may keep the contents of its resources; see [`ResourceDef::cache`].
    pub fn cache(mut self, contents: CacheHints) -> Self {
        self.cache = Some(contents);
        self
    }

    pub(super) fn keeping(&self) -> Keeping {
        Keeping { hints: self.cache, limited: self.visibility.is_limited() || !self.scopes.is_empty() }
    }
}

/// How the lists of a server may be kept, by those who see all of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListCache(CacheHints);

impl ListCache {
    /// For callers that are shown what everybody is.
    pub(super) fn of_everybody(self) -> CacheHints {
        self.0
    }

    /// For a list of which some entries are `limited` to some callers.
    pub(super) fn hints(self, caller: &Caller, limited: impl FnOnce() -> bool) -> CacheHints {
        if caller.principal().is_some() || limited() { self.0.kept_private() } else { self.0 }
    }
}

impl Default for ListCache {
    fn default() -> Self {
        Self(CacheHints::public(LISTS))
    }
}

/// How what is read of a resource may be kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keeping {
    hints: Option<CacheHints>,
    /// Only some callers may read it.
    limited: bool,
}

impl Keeping {
    /// What the function said itself comes first; what nobody says, the revision fills in.
    pub(super) fn say(self, outcome: Outcome) -> Outcome {
        match outcome {
            Ok(Answer::ReadResource(result)) => Ok(Answer::ReadResource(self.say_of(result))),
            outcome => outcome,
        }
    }

    fn say_of(self, mut result: ReadResourceResult) -> ReadResourceResult {
        if let Some(hints) = self.hints {
            result.ttl_ms.get_or_insert(hints.ttl_ms);
            result.cache_scope.get_or_insert(hints.scope);
        }
        if self.limited && result.cache_scope == Some(CacheScope::Public) {
            result.cache_scope = Some(CacheScope::Private);
        }
        result
    }
}

/// The lists of most servers change when they are deployed anew. A minute saves the many requests of a client that lists
/// before each turn of its model, and is no longer than people wait for a new tool; clients that listen need not wait.
const LISTS: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use throughline_proto::revision::Revision;

    use super::*;
    use crate::handler::{Authorized, Principal};

    #[test]
    fn lists_are_public_only_where_everybody_sees_the_same() {
        let nobody = Caller::new(Revision::V2026_07_28, None, None.into());
        let somebody = Caller::new(
            Revision::V2026_07_28,
            None,
            Some(Authorized::new(Principal::new("it", "ann"))).into(),
        );
        let lists = ListCache::default();
        assert_eq!(lists.hints(&nobody, || false), CacheHints { ttl_ms: 60_000, scope: CacheScope::Public });
        let private = CacheHints { ttl_ms: 60_000, scope: CacheScope::Private };
        assert_eq!(lists.hints(&nobody, || true), private);
        assert_eq!(lists.hints(&somebody, || false), private);
    }

    #[test]
    fn contents_are_kept_as_the_function_says_then_as_the_resource_does() {
        let hour = CacheHints::public(Duration::from_secs(3600));
        let read = || ReadResourceResult::new([]);
        let say = |hints, limited, result| {
            let result = Keeping { hints, limited }.say_of(result);
            (result.ttl_ms, result.cache_scope)
        };
        assert_eq!(say(None, false, read()), (None, None));
        assert_eq!(say(Some(hour), false, read()), (Some(3_600_000), Some(CacheScope::Public)));
        assert_eq!(say(Some(hour), true, read()), (Some(3_600_000), Some(CacheScope::Private)));
        let own = CacheHints::private(Duration::from_millis(5));
        assert_eq!(say(Some(hour), false, read().with_cache(own)), (Some(5), Some(CacheScope::Private)));
        assert_eq!(say(None, true, read().with_cache(hour)), (Some(3_600_000), Some(CacheScope::Private)));
    }
}
