//! The clients behind a front door, as far as a handler reaches them.

use std::sync::Weak;

use throughline_proto::jsonrpc::Raw;

use super::{Caller, SessionHandle};

/// What a broadcast is told of each peer, to choose by: a session, or a client that listens without one.
#[derive(Debug)]
pub struct PeerInfo<'a> {
    /// The session; clone the handle to keep it. `None` for a `subscriptions/listen` of the modern era.
    pub session: Option<&'a SessionHandle>,
    /// Who it is.
    pub caller: &'a Caller,
}

/// The sessions of a front door, and the clients that listen without one. Implemented by transports.
pub trait PeerSet: Send + Sync {
    /// Sends a notification to the standalone stream of each session that `choose` takes, and the changes that MCP defines
    /// to each `subscriptions/listen` that asked for them and that `choose` takes; how many those are. With `resource`,
    /// only peers subscribed to it are offered to `choose`.
    fn broadcast(
        &self,
        resource: Option<&str>,
        choose: &dyn Fn(&PeerInfo<'_>) -> bool,
        method: &str,
        params: Option<&Raw>,
    ) -> usize;
}

/// A weak handle to the peers of a front door: it does not keep the front door alive.
#[derive(Clone)]
pub struct Peers(Weak<dyn PeerSet>);

impl Peers {
    /// A handle to these peers.
    pub fn new(set: Weak<dyn PeerSet>) -> Self {
        Self(set)
    }

    /// Whether the front door is gone.
    pub fn is_gone(&self) -> bool {
        self.0.strong_count() == 0
    }

    /// See [`PeerSet::broadcast`].
    pub fn broadcast(
        &self,
        resource: Option<&str>,
        choose: &dyn Fn(&PeerInfo<'_>) -> bool,
        method: &str,
        params: Option<&Raw>,
    ) -> usize {
        self.0.upgrade().map_or(0, |set| set.broadcast(resource, choose, method, params))
    }
}

impl std::fmt::Debug for Peers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peers").field("gone", &self.is_gone()).finish()
    }
}
