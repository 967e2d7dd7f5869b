//! What each principal takes of a front door: sessions, streams, requests in flight, and how fast it asks.
//!
//! ```text
//!   request of a principal --> Shares --> Share --+--> how fast?      429, and when to come back
//!                                                 +--> Held: a session, a stream, a request in flight; else 429
//! ```
//!
//! A share is there while something of it is held, and for as long as what was asked before still counts; then its
//! principal is forgotten. Whom nobody vouches for has no share: behind a proxy all of them have one address, and what
//! tells them apart is the proxy's to know. They share what the endpoint takes of all.

use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use throughline_proto::http::{Refusal, RefusalKind};

#[cfg(feature = "auth")]
use super::pace::{Pace, Rate};
use crate::handler::Principal;
use crate::lock::Lock;

/// What any one principal may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caps {
    pub(crate) sessions: usize,
    pub(crate) streams: usize,
    pub(crate) calls: usize,
    /// How fast it may ask; `None` as fast as it can.
    #[cfg(feature = "auth")]
    pub(crate) rate: Option<Rate>,
}

/// The shares of all principals, in shards so that two requests seldom meet at one lock.
pub(crate) struct Shares {
    shards: Box<[Shard]>,
    /// Says in which shard a principal is. The tables within have a hash that withstands floods.
    hasher: foldhash::fast::RandomState,
    caps: Caps,
    most_of_shard: usize,
}

type Shard = Mutex<HashMap<Principal, Arc<Share>>>;

/// What one principal takes.
pub(crate) struct Share {
    caps: Caps,
    sessions: AtomicUsize,
    streams: AtomicUsize,
    calls: AtomicUsize,
    #[cfg(feature = "auth")]
    pace: Option<Pace>,
}

/// What a principal can hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Part {
    Session,
    Stream,
    Call,
}

/// A part that a principal holds.
///
/// # Drop behavior
///
/// It is free again.
pub(crate) struct Held(Arc<Share>, Part);

impl Shares {
    pub(crate) fn new(caps: Caps) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: foldhash::fast::RandomState::default(),
            caps,
            most_of_shard: MOST_OF_SHARD,
        }
    }

    /// The share of a principal. `Err` when so many have one that no other is taken on.
    pub(crate) fn of(&self, principal: &Principal) -> Result<Arc<Share>, Refusal> {
        let principal = &owner(principal);
        let shard = &self.shards[self.hasher.hash_one(principal) as usize % self.shards.len()];
        let mut shard = shard.locked();
        if let Some(share) = shard.get(principal) {
            return Ok(Arc::clone(share));
        }
        if shard.len() >= self.most_of_shard {
            forget_idle(&mut shard, crate::runtime::now());
            if shard.len() >= self.most_of_shard {
                return Err(Refusal::new(RefusalKind::RequestsFull));
            }
        }
        let share = Arc::new(Share::new(self.caps));
        shard.insert(principal.clone(), Arc::clone(&share));
        Ok(share)
    }

    /// A second has passed: who takes nothing is forgotten.
    pub(crate) fn handle_tick(&self, now: Instant) {
        self.shards.iter().for_each(|shard| forget_idle(&mut shard.locked(), now));
    }

    /// How many principals are known.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.locked().len()).sum()
    }
}

/// Whose share it is: that of a person, through whatever clients. Anybody registers as many of those as they like, and each with a
/// share of its own would be a way to have more.
pub(crate) fn owner(principal: &Principal) -> Principal {
    Principal { client: None, ..principal.clone() }
}

/// Under the lock of the shard nobody comes by a share that is not held.
fn forget_idle(shard: &mut HashMap<Principal, Arc<Share>>, now: Instant) {
    shard.retain(|_, share| Arc::strong_count(share) > 1 || !share.is_rested(now));
}

impl Share {
    fn new(caps: Caps) -> Self {
        Self {
            caps,
            sessions: AtomicUsize::new(0),
            streams: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
            #[cfg(feature = "auth")]
            pace: caps.rate.map(Pace::new),
        }
    }

    /// So many more requests come.
    ///
    /// # Errors
    ///
    /// They come too fast: when they may.
    #[cfg_attr(not(feature = "auth"), allow(clippy::unused_self, reason = "there is no pace to keep to"))]
    pub(crate) fn ask(&self, requests: usize) -> Result<(), Refusal> {
        #[cfg(feature = "auth")]
        if let Some(pace) = &self.pace {
            return pace.ask(crate::runtime::now(), requests);
        }
        let _ = requests;
        Ok(())
    }

    /// Takes one more.
    ///
    /// # Errors
    ///
    /// It has as many as it may.
    pub(crate) fn take(self: &Arc<Self>, part: Part) -> Result<Held, Refusal> {
        let before = self.count(part).fetch_add(1, Ordering::Relaxed);
        let held = Held(Arc::clone(self), part);
        if before < self.most(part) { Ok(held) } else { Err(full(part, before)) }
    }

    /// Takes one that was there before, whatever there may be.
    pub(crate) fn retake(self: &Arc<Self>, part: Part) -> Held {
        self.count(part).fetch_add(1, Ordering::Relaxed);
        Held(Arc::clone(self), part)
    }

    fn count(&self, part: Part) -> &AtomicUsize {
        match part {
            Part::Session => &self.sessions,
            Part::Stream => &self.streams,
            Part::Call => &self.calls,
        }
    }

    fn most(&self, part: Part) -> usize {
        match part {
            Part::Session => self.caps.sessions,
            Part::Stream => self.caps.streams,
            Part::Call => self.caps.calls,
        }
    }

    /// Whether nothing that it asked before counts any more.
    fn is_rested(&self, now: Instant) -> bool {
        #[cfg(feature = "auth")]
        return self.pace.as_ref().is_none_or(|pace| pace.is_rested(now));
        #[cfg(not(feature = "auth"))]
        {
            let _ = now;
            true
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.count(self.1).fetch_sub(1, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Held").field(&self.1).finish()
    }
}

#[cold]
fn full(part: Part, most: usize) -> Refusal {
    let sentence = match part {
        Part::Session => {
            format!("You have {most} sessions, as many as you may. End one with DELETE, then open another.")
        }
        Part::Stream => {
            format!("You have {most} streams open, as many as you may. Close one, then open another.")
        }
        Part::Call => {
            format!("You have {most} requests in flight, as many as you may. Await one, then send another.")
        }
    };
    Refusal::new(RefusalKind::TooManyRequests).with_message(sentence)
}

/// Far more than cores that would contend for them.
const SHARDS: usize = 16;

/// All in all 65,536 principals at a time, each some 300 bytes with its names: 20 MB. Those that hold something are bounded by
/// what the endpoint takes of all, some 15,000; the rest asked within the last seconds.
const MOST_OF_SHARD: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    fn caps() -> Caps {
        Caps {
            sessions: 2,
            streams: 1,
            calls: 3,
            #[cfg(feature = "auth")]
            rate: None,
        }
    }

    #[test]
    fn each_principal_has_its_own_share() {
        let shares = Shares::new(caps());
        let (ann, bob) = (Principal::new("it", "ann"), Principal::new("it", "bob"));
        let hers = shares.of(&ann).unwrap();
        let held: Vec<Held> = (0..2).map(|_| hers.take(Part::Session).unwrap()).collect();
        let refusal = shares.of(&ann).unwrap().take(Part::Session).unwrap_err();
        assert_eq!(
            refusal.message(),
            "You have 2 sessions, as many as you may. End one with DELETE, then open another."
        );
        assert_eq!(refusal.status(), 429);
        assert!(refusal.retry_after().is_some());
        assert!(shares.of(&bob).unwrap().take(Part::Session).is_ok());
        assert!(
            hers.take(Part::Stream).is_ok() && hers.take(Part::Call).is_ok(),
            "one has nothing to do with the other"
        );
        drop(held);
        assert!(hers.take(Part::Session).is_ok());
        // What was there before is counted, and never refused.
        let restored: Vec<Held> = (0..3).map(|_| hers.retake(Part::Session)).collect();
        assert!(hers.take(Part::Session).is_err());
        drop(restored);
        assert!(hers.take(Part::Session).is_ok());
    }

    #[test]
    fn more_clients_of_a_person_are_no_more_shares() {
        let shares = Shares::new(caps());
        let through = |client: &str| shares.of(&Principal::new("it", "ann").with_client(client)).unwrap();
        let held: Vec<Held> =
            (0..2).map(|no| through(&no.to_string()).take(Part::Session).unwrap()).collect();
        assert!(through("another").take(Part::Session).is_err());
        assert_eq!(shares.len(), 1);
        drop(held);
        assert!(through("another").take(Part::Session).is_ok());
    }

    #[test]
    fn who_holds_nothing_is_forgotten() {
        let shares = Shares::new(caps());
        let held: Vec<Held> = (0..10)
            .map(|number| {
                let share = shares.of(&Principal::new("it", number.to_string())).unwrap();
                share.take(Part::Call).unwrap()
            })
            .collect();
        for number in 10..1000 {
            shares.of(&Principal::new("it", number.to_string())).unwrap().ask(1).unwrap();
        }
        assert_eq!(shares.len(), 1000);
        shares.handle_tick(crate::runtime::now());
        assert_eq!(shares.len(), 10);
        drop(held);
        shares.handle_tick(crate::runtime::now());
        assert_eq!(shares.len(), 0);
    }

    #[test]
    fn the_shares_are_bounded() {
        let shares = Shares { most_of_shard: 8, ..Shares::new(caps()) };
        let mut held = Vec::new();
        let mut refused = 0;
        for number in 0..1000 {
            match shares.of(&Principal::new("it", number.to_string())) {
                Ok(share) => held.push(share),
                Err(refusal) => {
                    assert_eq!(refusal.kind(), RefusalKind::RequestsFull);
                    refused += 1;
                }
            }
        }
        assert_eq!((shares.len(), refused), (SHARDS * 8, 1000 - SHARDS * 8));
        // Those that are known keep theirs, and as soon as others rest there is room again.
        assert!(shares.of(&Principal::new("it", "0")).is_ok());
        held.clear();
        assert!(shares.of(&Principal::new("it", "new")).is_ok());
    }
}
