use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::auth::{TokenFault, UnixTime, sha256};

/// Half of a digest: nobody finds a second text for it, and it is half the memory.
type Name = [u8; 16];

/// Remembers the proofs that were used, so that each is used once
/// ([RFC 9449, 11.1](https://www.rfc-editor.org/rfc/rfc9449#section-11.1)).
///
/// A proof is remembered until it is too old to be taken anyway. When the memory is full of proofs that are not, the next is
/// refused: to forget one would let it in again. One key fills a quarter of it, so that it takes more than one client to
/// keep the others out.
#[derive(Debug)]
pub struct ReplayMemory {
    seen: BTreeSet<Name>,
    /// The proofs in the order of their end, each with its key.
    ends: VecDeque<(UnixTime, Name, Name)>,
    /// How many of them a key has.
    of_key: BTreeMap<Name, usize>,
    keep: Duration,
    capacity: usize,
}

impl ReplayMemory {
    /// Proofs that are remembered unless told otherwise: a thousand requests per second for the 90 s of the usual rule, in
    /// some 10 MiB.
    pub const DEFAULT_CAPACITY: usize = 100_000;

    /// A memory of `capacity` proofs, each kept for `keep`: that of the rule
    /// ([`DpopRule::memory`](super::DpopRule::memory)).
    #[must_use]
    pub fn new(keep: Duration, capacity: usize) -> ReplayMemory {
        ReplayMemory {
            seen: BTreeSet::new(),
            ends: VecDeque::new(),
            of_key: BTreeMap::new(),
            keep,
            capacity: capacity.max(1),
        }
    }

    /// Remembers a proof by the thumbprint of its key and its name, when it is new.
    ///
    /// # Errors
    ///
    /// [`TokenFault::Replayed`] when it is not, [`TokenFault::Unavailable`] when the memory, or the part of it that one key
    /// may fill, is full.
    pub fn remember(&mut self, thumbprint: &str, jti: &str, now: UnixTime) -> Result<(), TokenFault> {
        self.forget(now);
        let key = name(&[thumbprint]);
        let proof = name(&[thumbprint, ".", jti]);
        if self.seen.contains(&proof) {
            return Err(TokenFault::Replayed);
        }
        let of_key = self.of_key.get(&key).copied().unwrap_or(0);
        if self.seen.len() >= self.capacity || of_key >= self.capacity.div_ceil(4) {
            return Err(TokenFault::Unavailable);
        }
        self.seen.insert(proof);
        self.of_key.insert(key, of_key + 1);
        self.ends.push_back((now.plus(self.keep), proof, key));
        Ok(())
    }

    /// How many proofs are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Is none remembered?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    fn forget(&mut self, now: UnixTime) {
        while let Some((end, proof, key)) = self.ends.front()
            && *end < now
        {
            self.seen.remove(proof);
            if let Some(count) = self.of_key.get_mut(key) {
                *count -= 1;
                if *count == 0 {
                    self.of_key.remove(key);
                }
            }
            self.ends.pop_front();
        }
    }
}

fn name(parts: &[&str]) -> Name {
    let mut name = Name::default();
    name.copy_from_slice(&sha256(parts.concat().as_bytes())[..16]);
    name
}
