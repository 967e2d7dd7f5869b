//! A part of the sessions, behind one lock.

use std::collections::{HashMap, HashSet, VecDeque};

use foldhash::fast::RandomState;

use super::session::Session;
use crate::store::SessionId;

/// Some of the sessions: found by id, and in a vector that can be walked from where the last walk stopped.
#[derive(Default)]
pub(super) struct Shard {
    // The ids are the server's own, so nobody can flood the map with ids that meet: a cheap hash with a random key does.
    index: HashMap<SessionId, usize, RandomState>,
    sessions: Vec<Session>,
    next: usize,
    forgotten: HashSet<SessionId, RandomState>,
    forgotten_order: VecDeque<SessionId>,
}

/// The session was forgotten: nothing may start it again.
pub(super) struct Forgotten;

impl Shard {
    pub(super) fn find(&self, id: &SessionId) -> Option<&Session> {
        self.index.get(id).map(|index| &self.sessions[*index])
    }

    pub(super) fn find_mut(&mut self, id: &SessionId) -> Option<&mut Session> {
        self.index.get(id).map(|index| &mut self.sessions[*index])
    }

    /// The session, made if the store does not know it.
    pub(super) fn open(&mut self, id: &SessionId) -> Result<&mut Session, Forgotten> {
        let index = match self.index.get(id) {
            Some(index) => *index,
            None if self.forgotten.contains(id) => return Err(Forgotten),
            None => {
                self.sessions.push(Session::new(id.clone()));
                self.index.insert(id.clone(), self.sessions.len() - 1);
                self.sessions.len() - 1
            }
        };
        Ok(&mut self.sessions[index])
    }

    /// Puts in a session, unless it is there. Returns whether it was put in.
    pub(super) fn insert(&mut self, session: Session) -> bool {
        let is_new = !self.index.contains_key(&session.id);
        if is_new {
            self.index.insert(session.id.clone(), self.sessions.len());
            self.sessions.push(session);
        }
        is_new
    }

    /// Takes out a session.
    pub(super) fn remove(&mut self, id: &SessionId) -> Option<Session> {
        let index = self.index.remove(id)?;
        let session = self.sessions.swap_remove(index);
        if let Some(moved) = self.sessions.get(index) {
            self.index.insert(moved.id.clone(), index);
        }
        Some(session)
    }

    /// Takes out a session and remembers that it is over.
    pub(super) fn forget(&mut self, id: &SessionId) -> Option<Session> {
        if self.forgotten.insert(id.clone()) {
            self.forgotten_order.push_back(id.clone());
        }
        if self.forgotten_order.len() > FORGOTTEN {
            let oldest = self.forgotten_order.pop_front();
            oldest.map(|oldest| self.forgotten.remove(&oldest));
        }
        self.remove(id)
    }

    pub(super) fn is_forgotten(&self, id: &SessionId) -> bool {
        self.forgotten.contains(id)
    }

    pub(super) fn sessions(&self) -> &[Session] {
        &self.sessions
    }

    pub(super) fn sessions_mut(&mut self) -> &mut [Session] {
        &mut self.sessions
    }

    /// The session whose turn it is to give something up.
    pub(super) fn turn(&mut self) -> Option<&mut Session> {
        self.next = if self.next + 1 < self.sessions.len() { self.next + 1 } else { 0 };
        self.sessions.get_mut(self.next)
    }
}

/// How many ended sessions a shard remembers. With 32 shards these are 16,384, more than the 10,000 sessions a server
/// holds by default, in some 2 MiB at most. A writer that is later still starts the session anew.
pub(super) const FORGOTTEN: usize = 512;

#[cfg(test)]
impl Shard {
    pub(super) fn forgotten(&self) -> usize {
        assert_eq!(self.forgotten.len(), self.forgotten_order.len());
        self.forgotten.len()
    }
}
