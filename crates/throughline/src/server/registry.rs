//! The sessions of a front door: found by id, bounded in number, ended when idle.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use foldhash::fast::RandomState;
use throughline_proto::log::SessionId;

use super::http_sse::Link;
use super::live::Live;
use crate::handler::Principal;
use crate::lock::Lock;

/// Why a session was closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Closed {
    /// The client ended it (DELETE), or over HTTP+SSE its stream ended.
    ByClient,
    /// Nothing happened for the idle timeout, or nothing at all after `initialize`.
    Idle,
    /// It was never used, and had to make room for another.
    Evicted,
    /// Over HTTP+SSE, its client read nothing of its stream for ten seconds: what is lost there cannot be resumed.
    Unread,
    /// Over HTTP+SSE, its client's authorization expired, and it sent no newer credentials with a message.
    Expired,
    /// The server shuts down. Where the store keeps sessions it lives on in the next process.
    Shutdown,
}

/// All sessions, in shards so that two requests seldom meet at one lock.
///
/// Those of HTTP+SSE, which begin with their stream, have a place of their own: none is found by a header, and all of them
/// count together.
pub(crate) struct Registry {
    shards: Box<[Shard]>,
    links: Mutex<HashMap<SessionId, Arc<Link>, RandomState>>,
    hasher: RandomState,
    count: AtomicUsize,
    most: usize,
    /// Sessions in the order they were opened: where the cap looks for one that was never used.
    opened: Mutex<VecDeque<SessionId>>,
}

impl Registry {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            links: Mutex::default(),
            hasher: RandomState::default(),
            count: AtomicUsize::new(0),
            most,
            opened: Mutex::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Makes room for one more: `Ok` with the session that had to go for it, if any, and `Err` when there is no room.
    /// Sessions that were used are never evicted.
    pub(crate) fn admit(&self) -> Result<Option<Unused>, Full> {
        if self.count.fetch_add(1, Ordering::Relaxed) < self.most {
            return Ok(None);
        }
        let evicted = self.take_unused();
        if evicted.is_none() {
            self.count.fetch_sub(1, Ordering::Relaxed);
            return Err(Full);
        }
        Ok(evicted)
    }

    /// Makes room for one that was there before, and evicts nobody for it. False when there is none.
    pub(crate) fn readmit(&self) -> bool {
        let has_room = self.count.fetch_add(1, Ordering::Relaxed) < self.most;
        if !has_room {
            self.withdraw();
        }
        has_room
    }

    /// Gives back the room of a session that was admitted and not inserted.
    pub(crate) fn withdraw(&self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    /// Inserts an admitted session. False when its id is taken: then nothing is changed.
    pub(crate) fn insert(&self, live: &Arc<Live>) -> bool {
        let mut shard = self.shard(&live.id).locked();
        if shard.contains_key(&live.id) {
            return false;
        }
        shard.insert(live.id.clone(), Arc::clone(live));
        drop(shard);
        self.note_opened(&live.id);
        true
    }

    /// The same for one of HTTP+SSE.
    pub(crate) fn insert_link(&self, link: &Arc<Link>) -> bool {
        if self.get(&link.id).is_some() {
            return false;
        }
        let mut links = self.links.locked();
        if links.contains_key(&link.id) {
            return false;
        }
        links.insert(link.id.clone(), Arc::clone(link));
        drop(links);
        self.note_opened(&link.id);
        true
    }

    fn note_opened(&self, id: &SessionId) {
        let mut opened = self.opened.locked();
        opened.push_back(id.clone());
        // Ids of sessions that are gone or in use go with those in front of them; this bounds the rest.
        if opened.len() > 2 * self.most {
            opened.retain(|id| self.unused(id).is_some());
        }
    }

    /// The session with this id. One of another principal is as unknown as one that never was.
    pub(crate) fn find(&self, id: &str, principal: Option<&Principal>) -> Option<Arc<Live>> {
        let shard = self.shards[self.index(id)].locked();
        let live = shard.get(id)?;
        (live.caller.principal() == principal).then(|| Arc::clone(live))
    }

    /// The same for one of HTTP+SSE.
    pub(crate) fn find_link(&self, id: &str, principal: Option<&Principal>) -> Option<Arc<Link>> {
        let links = self.links.locked();
        links.get(id).filter(|link| link.principal() == principal).map(Arc::clone)
    }

    /// Takes a session out. False when somebody else did, even if another has its id by now.
    pub(crate) fn remove(&self, live: &Arc<Live>) -> bool {
        let mut shard = self.shard(&live.id).locked();
        if !shard.get(&live.id).is_some_and(|known| Arc::ptr_eq(known, live)) {
            return false;
        }
        shard.remove(&live.id);
        drop(shard);
        self.count.fetch_sub(1, Ordering::Relaxed);
        true
    }

    /// The same for one of HTTP+SSE.
    pub(crate) fn remove_link(&self, link: &Arc<Link>) -> bool {
        let mut links = self.links.locked();
        if !links.get(&link.id).is_some_and(|known| Arc::ptr_eq(known, link)) {
            return false;
        }
        links.remove(&link.id);
        drop(links);
        self.count.fetch_sub(1, Ordering::Relaxed);
        true
    }

    /// All sessions of HTTP+SSE at this moment, also those that only have their stream yet.
    pub(crate) fn links(&self) -> Vec<Arc<Link>> {
        self.links.locked().values().cloned().collect()
    }

    /// All sessions at this moment, but those of HTTP+SSE.
    pub(crate) fn all(&self) -> Vec<Arc<Live>> {
        self.shards.iter().flat_map(|shard| shard.locked().values().cloned().collect::<Vec<_>>()).collect()
    }

    fn take_unused(&self) -> Option<Unused> {
        loop {
            let id = self.opened.locked().pop_front()?;
            let Some(unused) = self.unused(&id) else { continue };
            let is_taken = match &unused {
                Unused::Session(live) => self.remove(live),
                Unused::Link(link) => self.remove_link(link),
            };
            if is_taken {
                return Some(unused);
            }
        }
    }

    /// The session with this id, if it was never used.
    fn unused(&self, id: &SessionId) -> Option<Unused> {
        if let Some(live) = self.get(id) {
            return live.is_unused().then_some(Unused::Session(live));
        }
        let link = self.links.locked().get(id).cloned()?;
        link.is_unused().then_some(Unused::Link(link))
    }

    fn get(&self, id: &SessionId) -> Option<Arc<Live>> {
        self.shard(id).locked().get(id).cloned()
    }

    fn shard(&self, id: &SessionId) -> &Shard {
        &self.shards[self.index(id.as_str())]
    }

    fn index(&self, id: &str) -> usize {
        self.hasher.hash_one(id) as usize % self.shards.len()
    }
}

// Ids are ours or the server's own generator's, so nobody can flood a map with ids that meet: the hash need not withstand
// that, though it has a random key. SipHash would cost a request some hundred instructions.
type Shard = Mutex<HashMap<SessionId, Arc<Live>, RandomState>>;

/// A session that was never used, and had to make room.
pub(crate) enum Unused {
    Session(Arc<Live>),
    Link(Arc<Link>),
}

/// There is no room for another session.
#[derive(Debug)]
pub(crate) struct Full;

/// Far more than cores that would contend for them, and no burden when empty.
const SHARDS: usize = 64;
