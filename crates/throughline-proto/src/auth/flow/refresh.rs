use std::time::Duration;

use super::tokens::Tokens;
use crate::auth::UnixTime;

/// The least time before its end at which a token is refreshed: a request that begins with it is checked somewhat later,
/// by a clock that differs somewhat.
const LEAST_MARGIN: Duration = Duration::from_secs(30);

/// The part of a token's life that is left when it is refreshed: one in ten.
const PART_OF_LIFE: u64 = 10;

/// What is to be done with tokens before they go with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Freshness {
    /// Use them.
    Fresh,
    /// Use them if they cannot be refreshed: they end soon.
    Due,
    /// Refresh them first, or log in: they have ended.
    Expired,
}

impl Tokens {
    /// What is to be done with them before they go with a request. Tokens of which it was not said when they end are
    /// fresh until a server refuses them.
    ///
    /// They are due when a tenth of their life is left, but at least 30 seconds, and at most half of it.
    ///
    /// ```
    /// use throughline_proto::auth::flow::{Freshness, Tokens};
    /// use throughline_proto::auth::{ScopeSet, Secret, TokenScheme, UnixTime};
    ///
    /// let tokens = Tokens {
    ///     access_token: Secret::new("a"),
    ///     scheme: TokenScheme::Bearer,
    ///     issued_at: UnixTime(1000),
    ///     expires_at: Some(UnixTime(4600)),
    ///     refresh_token: None,
    ///     granted: ScopeSet::new(),
    /// };
    /// assert_eq!(tokens.freshness(UnixTime(4239)), Freshness::Fresh);
    /// assert_eq!(tokens.freshness(UnixTime(4240)), Freshness::Due);
    /// assert_eq!(tokens.freshness(UnixTime(4600)), Freshness::Expired);
    /// ```
    #[must_use]
    pub fn freshness(&self, now: UnixTime) -> Freshness {
        let Some(end) = self.expires_at else { return Freshness::Fresh };
        if now >= end {
            return Freshness::Expired;
        }
        let life = end.since(self.issued_at);
        let margin = Duration::from_secs(life.as_secs() / PART_OF_LIFE).max(LEAST_MARGIN).min(life / 2);
        if now.until(end) <= margin { Freshness::Due } else { Freshness::Fresh }
    }

    /// Are they due, or past it? See [`freshness`](Tokens::freshness).
    #[must_use]
    pub fn is_due(&self, now: UnixTime) -> bool {
        self.freshness(now) != Freshness::Fresh
    }
}

/// What to do after a server refused a token (401), or a token endpoint refused a refresh token (`invalid_grant`), by what the
/// store holds by now. Read it with the store's lock held: another process may have been quicker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Recovery {
    /// The store holds another access token: use that.
    UseStored,
    /// Refresh with what the store holds.
    Refresh,
    /// There is nothing to refresh with: log in.
    LogIn,
}

impl Recovery {
    /// After a server refused the access token of `used`.
    #[must_use]
    pub fn after_unauthorized(used: &Tokens, stored: Option<&Tokens>, now: UnixTime) -> Recovery {
        let Some(stored) = stored else { return Recovery::LogIn };
        if stored.access_token != used.access_token && stored.freshness(now) != Freshness::Expired {
            return Recovery::UseStored;
        }
        if stored.refresh_token.is_some() { Recovery::Refresh } else { Recovery::LogIn }
    }

    /// After the token endpoint refused the refresh token of `used`. A refresh token that was rotated by another process
    /// is refused too, and what that process got is in the store.
    #[must_use]
    pub fn after_invalid_grant(used: &Tokens, stored: Option<&Tokens>, now: UnixTime) -> Recovery {
        let Some(stored) = stored.filter(|stored| stored.refresh_token != used.refresh_token) else {
            return Recovery::LogIn;
        };
        Recovery::after_unauthorized(used, Some(stored), now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{ScopeSet, Secret, TokenScheme};

    fn tokens(access: &str, refresh: Option<&str>, life: Option<u64>) -> Tokens {
        Tokens {
            access_token: Secret::new(access),
            scheme: TokenScheme::Bearer,
            issued_at: UnixTime(0),
            expires_at: life.map(UnixTime),
            refresh_token: refresh.map(Secret::new),
            granted: ScopeSet::new(),
        }
    }

    #[test]
    fn the_margin_follows_the_life() {
        for (life, fresh_until) in [(3600, 3239), (86_400, 77_759), (300, 269), (60, 29), (40, 19), (2, 0)] {
            let tokens = tokens("a", None, Some(life));
            assert_eq!(tokens.freshness(UnixTime(fresh_until)), Freshness::Fresh, "{life}");
            assert_eq!(tokens.freshness(UnixTime(fresh_until + 1)), Freshness::Due, "{life}");
            assert_eq!(tokens.freshness(UnixTime(life)), Freshness::Expired, "{life}");
        }
        assert_eq!(tokens("a", None, Some(0)).freshness(UnixTime(0)), Freshness::Expired);
        assert_eq!(tokens("a", None, None).freshness(UnixTime(u64::MAX)), Freshness::Fresh);
    }

    #[test]
    fn the_store_decides_after_a_refusal() {
        let now = UnixTime(10);
        let used = tokens("a", Some("r"), Some(100));
        let by_another = tokens("b", Some("s"), Some(100));
        let ended = tokens("b", Some("s"), Some(5));
        let without = tokens("a", None, Some(100));
        for (stored, unauthorized, invalid_grant) in [
            (None, Recovery::LogIn, Recovery::LogIn),
            (Some(&used), Recovery::Refresh, Recovery::LogIn),
            (Some(&by_another), Recovery::UseStored, Recovery::UseStored),
            (Some(&ended), Recovery::Refresh, Recovery::Refresh),
            (Some(&without), Recovery::LogIn, Recovery::LogIn),
        ] {
            assert_eq!(Recovery::after_unauthorized(&used, stored, now), unauthorized, "{stored:?}");
            assert_eq!(Recovery::after_invalid_grant(&used, stored, now), invalid_grant, "{stored:?}");
        }
    }
}
