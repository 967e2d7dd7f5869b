//! Tokens that were verified, so that the next request with one costs no signature.

use std::collections::{HashMap, VecDeque};
use std::hash::Hasher as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use siphasher::sip128::{Hasher128 as _, SipHasher24};
use throughline_proto::auth::UnixTime;

use crate::lock::Lock;
use crate::runtime;

/// What is kept of a token: 128 bits that only who has the key of their [`Prints`] can reckon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Print(pub(super) u128);

/// Tells tokens apart without keeping them.
///
/// It is done for every request, so it is SipHash-2-4 with 128 bits, a keyed hash for authentication that takes a fraction of the
/// time of SHA-256, and without the instructions for that a tenth. The key is random and stays here: nobody can make a text with
/// the print of another's token, and how long a look-up takes says nothing of a token.
pub(super) struct Prints(SipHasher24);

impl Prints {
    /// With a key of their own.
    pub(super) fn new() -> Self {
        Self(SipHasher24::new_with_key(&runtime::random()))
    }

    /// The print of a token.
    pub(super) fn of(&self, token: &str) -> Print {
        let mut hasher = self.0;
        hasher.write(token.as_bytes());
        Print(hasher.finish128().as_u128())
    }
}

/// What was found out of tokens, until then. Bounded: the oldest that nobody used since goes first.
///
/// Cut in parts of their own lock each, so that cores do not wait for one another.
pub(super) struct Verified<V> {
    parts: Vec<Mutex<Part<V>>>,
    /// Grows when everything is forgotten: what was found out before is not put in any more.
    epoch: AtomicU64,
}

struct Part<V> {
    held: HashMap<Print, Entry<V>, RandomState>,
    /// In the order in which they came in.
    order: VecDeque<Print>,
    most: usize,
}

struct Entry<V> {
    value: V,
    until: Until,
    used: bool,
}

/// How long something holds: by the clock that tokens have, and by the one that never goes back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Until {
    pub(super) expiry: Option<UnixTime>,
    pub(super) checked_again: Instant,
}

/// Both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) instant: Instant,
    pub(super) unix: UnixTime,
}

impl Now {
    /// Until then by the token's own words, and for this long at most.
    pub(super) fn until(self, expiry: Option<UnixTime>, at_most: Duration) -> Until {
        Until { expiry, checked_again: self.instant + at_most }
    }
}

impl Until {
    fn is_past(self, now: Now) -> bool {
        self.checked_again <= now.instant || self.expiry.is_some_and(|expiry| expiry <= now.unix)
    }
}

impl<V: Clone> Verified<V> {
    /// Room for so many tokens.
    pub(super) fn new(most: usize) -> Self {
        let part = || {
            Mutex::new(Part { held: HashMap::default(), order: VecDeque::new(), most: most.div_ceil(PARTS) })
        };
        Self { parts: (0..PARTS).map(|_| part()).collect(), epoch: AtomicU64::new(0) }
    }

    /// What is known of this token.
    pub(super) fn find(&self, token: &Print, now: Now) -> Option<V> {
        let mut part = self.part(token).locked();
        let entry = part.held.get_mut(token)?;
        if entry.until.is_past(now) {
            // It stays in the order, where it is found to be gone.
            part.held.remove(token);
            return None;
        }
        entry.used = true;
        Some(entry.value.clone())
    }

    /// To be taken before a token is verified, and given to [`keep`](Self::keep).
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Keeps what was found out, unless everything was forgotten since.
    pub(super) fn keep(&self, token: Print, value: V, until: Until, epoch: u64) {
        let mut part = self.part(&token).locked();
        if epoch != self.epoch() {
            return;
        }
        if let Some(entry) = part.held.get_mut(&token) {
            *entry = Entry { value, until, used: false };
            return;
        }
        part.make_room();
        part.held.insert(token, Entry { value, until, used: false });
        part.order.push_back(token);
    }

    /// Forgets everything, as when an issuer withdrew a key.
    pub(super) fn forget(&self) {
        self.epoch.fetch_add(1, Ordering::Release);
        for part in &self.parts {
            let mut part = part.locked();
            part.held.clear();
            part.order.clear();
        }
    }

    fn part(&self, token: &Print) -> &Mutex<Part<V>> {
        &self.parts[(token.0 % PARTS as u128) as usize]
    }
}

impl<V> Part<V> {
    fn make_room(&mut self) {
        while self.order.len() >= self.most {
            let Some(oldest) = self.order.pop_front() else { return };
            // Who was used since gets another turn: each at most once, so this ends.
            match self.held.get_mut(&oldest) {
                Some(entry) if entry.used => {
                    entry.used = false;
                    self.order.push_back(oldest);
                }
                Some(_) => {
                    self.held.remove(&oldest);
                }
                None => {}
            }
        }
    }
}

impl<V> std::fmt::Debug for Verified<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verified").finish_non_exhaustive()
    }
}

/// More than servers have cores that would wait for one another.
const PARTS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Now {
        Now { instant: crate::runtime::now(), unix: UnixTime(1_000) }
    }

    fn later(now: Now, seconds: u64) -> Now {
        let span = Duration::from_secs(seconds);
        Now { instant: now.instant + span, unix: now.unix.plus(span) }
    }

    /// A token whose print lies in the first part.
    fn token(number: u32) -> Print {
        Print(u128::from(number) * PARTS as u128)
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn tokens_are_told_apart_by_each_byte_and_by_the_key() {
        let (prints, others) = (Prints::new(), Prints::new());
        let token = "eyJhbGciOiJFUzI1NiJ9.".repeat(40);
        assert_eq!(prints.of(&token), prints.of(&token.clone()));
        assert_ne!(prints.of(&token), others.of(&token));
        for at in 0..token.len() {
            let mut other = token.clone();
            other.replace_range(at..=at, "~");
            assert_ne!(prints.of(&token), prints.of(&other), "byte {at}");
        }
        assert_ne!(prints.of(&token), prints.of(&token[..token.len() - 1]));
        assert_ne!(prints.of(""), prints.of("\0"));
    }

    #[test]
    fn what_is_kept_is_found_until_it_is_to_be_checked_again() {
        let (verified, now) = (Verified::new(16), now());
        verified.keep(token(1), "one", now.until(None, MINUTE), verified.epoch());
        assert_eq!(verified.find(&token(1), later(now, 59)), Some("one"));
        assert_eq!(verified.find(&token(2), now), None);
        assert_eq!(verified.find(&token(1), later(now, 60)), None);
        assert_eq!(verified.find(&token(1), now), None, "gone is gone");
    }

    #[test]
    fn nothing_is_found_past_the_expiry_of_the_token() {
        let (verified, now) = (Verified::new(16), now());
        verified.keep(token(1), 1, now.until(Some(UnixTime(1_010)), MINUTE), verified.epoch());
        assert_eq!(verified.find(&token(1), later(now, 9)), Some(1));
        assert_eq!(verified.find(&token(1), later(now, 10)), None);
    }

    #[test]
    fn it_is_bounded_and_those_in_use_stay() {
        let (verified, now) = (Verified::new(16 * 4), now());
        let keep = |number| verified.keep(token(number), number, now.until(None, MINUTE), verified.epoch());
        for number in 0..4 {
            keep(number);
        }
        assert_eq!(verified.find(&token(0), now), Some(0));
        for number in 4..7 {
            keep(number);
        }
        let held: Vec<u32> = (0..7).filter_map(|number| verified.find(&token(number), now)).collect();
        assert_eq!(held, [0, 4, 5, 6]);
        for number in 100..10_000 {
            keep(number);
        }
        let part = verified.parts[0].locked();
        assert!(part.held.len() <= 4 && part.order.len() <= 4);
    }

    #[test]
    fn what_was_found_out_before_everything_was_forgotten_is_not_kept() {
        let (verified, now) = (Verified::new(16), now());
        let before = verified.epoch();
        verified.keep(token(1), 1, now.until(None, MINUTE), before);
        verified.forget();
        assert_eq!(verified.find(&token(1), now), None);
        verified.keep(token(2), 2, now.until(None, MINUTE), before);
        assert_eq!(verified.find(&token(2), now), None);
        verified.keep(token(3), 3, now.until(None, MINUTE), verified.epoch());
        assert_eq!(verified.find(&token(3), now), Some(3));
    }
}
