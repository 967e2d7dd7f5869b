//! When the keys of an issuer are used, fetched, and fetched again: the rules, on a given clock.

use std::time::{Duration, Instant};

/// The keys of one issuer as they were fetched last, and when they may be fetched next.
///
/// ```text
///            get: nothing held            done: fetched
///   empty ----------------------> fetching ------------> held, fresh
///     ^                              ^  | done: failed       |  age
///     |  older than STALE            |  v                    v
///     +------------------------- held, stale <---------- held, due
///                                    (used, and fetched again beside that; long overdue: fetched first)
/// ```
///
/// Whoever asks is told what to use and whether to begin a fetch; there is at most one at a time. Keys that are held are
/// used while a new fetch runs or fails, so that a slow issuer, or one that is down, stops nobody whose key is known.
#[derive(Debug)]
pub(super) struct KeyCache<K> {
    held: Option<Held<K>>,
    fetching: bool,
    /// When the last fetch ended, however it did.
    last_end: Option<Instant>,
    /// When the last fetch was begun for an unknown key.
    last_miss: Option<Instant>,
    /// How many fetches failed since the last that did not.
    failures: u32,
    /// Grows with each set of keys.
    generation: u64,
}

#[derive(Debug)]
struct Held<K> {
    keys: K,
    fetched: Instant,
    fresh_for: Duration,
}

/// What to do for a token.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer<K> {
    /// Check it with these keys, which are of this generation.
    Use(K, u64),
    /// Wait until the fetch has ended and ask again.
    Wait,
    /// Its key is not known, and the issuer may not be asked again yet.
    Unknown,
    /// There are no keys, and the issuer may only be asked again after this time.
    Unavailable(Duration),
}

impl<K: Clone> KeyCache<K> {
    pub(super) fn new() -> Self {
        Self { held: None, fetching: false, last_end: None, last_miss: None, failures: 0, generation: 0 }
    }

    /// The keys to check a token with. With `true` the caller begins a fetch, and says [how it ended](Self::done).
    pub(super) fn get(&mut self, now: Instant) -> (Answer<K>, bool) {
        let Some(held) = self.held.as_ref().filter(|held| held.age(now) < STALE) else {
            return self.await_fetch(now, |wait| Answer::Unavailable(wait));
        };
        // Nobody asked for so long: what was withdrawn meanwhile is found out first. An issuer that does not answer is not
        // waited for again.
        if self.failures == 0 && held.age(now) >= held.fresh_for + OVERDUE {
            return self.await_fetch(now, Answer::Unavailable);
        }
        let answer = Answer::Use(held.keys.clone(), self.generation);
        let begin = held.age(now) >= held.fresh_for && !self.fetching && self.pause(now).is_zero();
        self.fetching |= begin;
        (answer, begin)
    }

    /// The key of a token is none of the keys of this generation: has the issuer new ones? It is asked only so often, as
    /// anybody can make up the name of a key.
    pub(super) fn miss(&mut self, now: Instant, generation: u64) -> (Answer<K>, bool) {
        match &self.held {
            Some(held) if generation < self.generation => {
                (Answer::Use(held.keys.clone(), self.generation), false)
            }
            Some(_) if !self.fetching && self.missed_lately(now) => (Answer::Unknown, false),
            _ => {
                let (answer, begin) = self.await_fetch(now, |_| Answer::Unknown);
                if begin {
                    self.last_miss = Some(now);
                }
                (answer, begin)
            }
        }
    }

    /// The fetch has ended: with keys that are good for so long, or without.
    pub(super) fn done(&mut self, now: Instant, fetched: Option<(K, Duration)>) {
        self.fetching = false;
        self.last_end = Some(now);
        match fetched {
            Some((keys, fresh_for)) => {
                self.held = Some(Held { keys, fetched: now, fresh_for });
                self.failures = 0;
                self.generation += 1;
            }
            None => self.failures = self.failures.saturating_add(1),
        }
    }

    /// The keys that are held, however old they are.
    pub(super) fn held(&self) -> Option<&K> {
        self.held.as_ref().map(|held| &held.keys)
    }

    fn await_fetch(&mut self, now: Instant, otherwise: impl Fn(Duration) -> Answer<K>) -> (Answer<K>, bool) {
        if self.fetching {
            return (Answer::Wait, false);
        }
        let pause = self.pause(now);
        if !pause.is_zero() {
            return (otherwise(pause), false);
        }
        self.fetching = true;
        (Answer::Wait, true)
    }

    /// Was the issuer asked about an unknown key only just now? That its keys were fetched otherwise does not count: it may have
    /// a new one since.
    fn missed_lately(&self, now: Instant) -> bool {
        self.last_miss.is_some_and(|at| now.saturating_duration_since(at) < MISS_PAUSE)
    }

    /// How long the issuer is left alone after fetches that failed: 1 s, then twice as long each time, up to a minute.
    fn pause(&self, now: Instant) -> Duration {
        let (Some(end), Some(doublings)) = (self.last_end, self.failures.checked_sub(1)) else {
            return Duration::ZERO;
        };
        let pause = FIRST_PAUSE.saturating_mul(1 << doublings.min(6)).min(LONGEST_PAUSE);
        pause.saturating_sub(now.saturating_duration_since(end))
    }
}

impl<K> Held<K> {
    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.fetched)
    }
}

/// How long keys are used while the issuer does not answer: through a night and a morning. A key that the issuer withdrew is
/// trusted no longer than this.
pub(super) const STALE: Duration = Duration::from_secs(12 * 3600);

/// For so long after they are due keys are used beside a fetch. When the first token after a quiet time comes later than that, it
/// waits for the fetch: so a key that was withdrawn in that time opens nothing, not even once.
const OVERDUE: Duration = Duration::from_secs(300);

/// How often tokens with unknown keys have the issuer asked: six times a minute, whatever anybody sends. A new key that was
/// not announced is known after this time at most.
pub(super) const MISS_PAUSE: Duration = Duration::from_secs(10);

/// See [`KeyCache::pause`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: Duration = Duration::from_secs(600);

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    /// A cache that holds key set 1, and when it was fetched.
    fn filled() -> (KeyCache<u8>, Instant) {
        let (mut cache, now) = (KeyCache::new(), crate::runtime::now());
        assert_eq!(cache.get(now), (Answer::Wait, true));
        cache.done(now, Some((1, FRESH)));
        (cache, now)
    }

    #[test]
    fn the_first_who_asks_fetches_and_the_others_wait() {
        let (mut cache, now) = (KeyCache::<u8>::new(), crate::runtime::now());
        assert_eq!(cache.get(now), (Answer::Wait, true));
        assert_eq!(cache.get(now), (Answer::Wait, false));
        cache.done(now, Some((1, FRESH)));
        assert_eq!(cache.get(now), (Answer::Use(1, 1), false));
    }

    #[test]
    fn old_keys_are_used_while_one_fetches_new_ones() {
        let (mut cache, now) = filled();
        assert_eq!(cache.get(now + FRESH - seconds(1)), (Answer::Use(1, 1), false));
        let due = now + FRESH;
        assert_eq!(cache.get(due), (Answer::Use(1, 1), true));
        assert_eq!(cache.get(due), (Answer::Use(1, 1), false));
        cache.done(due, Some((2, FRESH)));
        assert_eq!(cache.get(due), (Answer::Use(2, 2), false));
    }

    #[test]
    fn an_issuer_that_is_down_is_asked_less_and_less_and_its_keys_serve_on() {
        let (mut cache, now) = filled();
        let mut at = now + FRESH;
        let mut pauses = Vec::new();
        for _ in 0..9 {
            assert_eq!(cache.get(at), (Answer::Use(1, 1), true));
            cache.done(at, None);
            let failed = at;
            while !cache.get(at).1 {
                at += seconds(1);
            }
            cache.done(at, None);
            pauses.push((at - failed).as_secs());
            at += LONGEST_PAUSE;
        }
        assert_eq!(pauses[..4], [1, 4, 16, 60]);
        assert!(pauses[4..].iter().all(|pause| *pause == 60));
    }

    #[test]
    fn after_a_quiet_time_keys_are_fetched_first_and_used_when_that_fails() {
        let (mut cache, now) = filled();
        let late = now + FRESH + OVERDUE;
        assert_eq!(cache.get(late), (Answer::Wait, true));
        assert_eq!(cache.get(late), (Answer::Wait, false));
        cache.done(late, None);
        assert_eq!(cache.get(late), (Answer::Use(1, 1), false));
        // From now on it is asked beside that.
        assert_eq!(cache.get(late + FIRST_PAUSE), (Answer::Use(1, 1), true));
        cache.done(late + FIRST_PAUSE, Some((2, FRESH)));
        assert_eq!(cache.get(late + FIRST_PAUSE), (Answer::Use(2, 2), false));
    }

    #[test]
    fn keys_that_are_too_old_are_not_used() {
        let (mut cache, now) = filled();
        assert_eq!(cache.get(now + STALE), (Answer::Wait, true));
        cache.done(now + STALE, None);
        assert_eq!(cache.get(now + STALE), (Answer::Unavailable(FIRST_PAUSE), false));
    }

    #[test]
    fn unknown_keys_have_the_issuer_asked_once_in_a_while() {
        let (mut cache, now) = filled();
        let mut fetches = 0;
        // A thousand tokens with made-up keys in a minute and a half.
        for tick in 0..1000 {
            let now = now + Duration::from_millis(tick * 90);
            let (Answer::Use(_, generation), _) = cache.get(now) else { panic!("keys are held") };
            let (answer, begin) = cache.miss(now, generation);
            if begin {
                assert_eq!(answer, Answer::Wait);
                fetches += 1;
                cache.done(now, Some((1, FRESH)));
            } else {
                assert_eq!(answer, Answer::Unknown);
            }
        }
        assert_eq!(fetches, 9);
    }

    #[test]
    fn a_key_that_is_new_since_a_fetch_is_asked_for_at_once() {
        let (mut cache, now) = filled();
        assert_eq!(cache.miss(now, 1), (Answer::Wait, true));
        cache.done(now, Some((2, FRESH)));
        assert_eq!(cache.get(now), (Answer::Use(2, 2), false));
        assert_eq!(cache.miss(now, 2), (Answer::Unknown, false));
        assert_eq!(cache.miss(now + MISS_PAUSE, 2), (Answer::Wait, true));
    }

    #[test]
    fn a_miss_that_somebody_else_fetched_for_uses_what_came() {
        let (mut cache, now) = filled();
        let later = now + MISS_PAUSE;
        assert_eq!(cache.miss(later, 1), (Answer::Wait, true));
        assert_eq!(cache.miss(later, 1), (Answer::Wait, false));
        assert_eq!(cache.get(later), (Answer::Use(1, 1), false));
        cache.done(later, Some((2, FRESH)));
        assert_eq!(cache.miss(later, 1), (Answer::Use(2, 2), false));
        assert_eq!(cache.miss(later, 2), (Answer::Unknown, false));
    }

    #[test]
    fn a_miss_while_the_issuer_is_down_waits_for_nothing() {
        let (mut cache, now) = filled();
        let later = now + MISS_PAUSE;
        assert_eq!(cache.miss(later, 1), (Answer::Wait, true));
        cache.done(later, None);
        assert_eq!(cache.miss(later, 1), (Answer::Unknown, false));
        assert_eq!(cache.get(later), (Answer::Use(1, 1), false));
    }
}
