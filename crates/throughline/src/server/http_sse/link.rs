//! One client of HTTP+SSE: its stream, and the session once `initialize` opened it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::task::{self, Poll};
use std::time::Instant;

use bytes::Bytes;
use throughline_proto::log::SessionId;

use crate::handler::{Authorized, Principal, Standing};
use crate::lock::Lock;
use crate::runtime;
use crate::server::Closed;
use crate::server::calls::Calls;
use crate::server::live::Live;
use crate::server::pipe::Pipe;
use crate::server::shares::Held;
use crate::server::streamable_http::Endpoint;
use crate::server::who::{Who, expiry_of};

/// What the stream of a client and its POSTs share.
///
/// ```text
///   GET              initialize            the stream ends, by whomever
///   ---> [waiting] ----------------> [open] ------------------------------> [over]
///            |                                                                 ^
///            +-----------------------------------------------------------------+
/// ```
pub(crate) struct Link {
    /// Names the session in the address that messages are posted to.
    pub(crate) id: SessionId,
    /// Of whoever opened the stream.
    authorized: Option<Authorized>,
    pipe: Arc<Pipe>,
    opened: Instant,
    /// POSTs that wait for the client to read.
    pub(super) waiting: Calls,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    live: Option<Arc<Live>>,
    /// An `initialize` is being looked at.
    is_opening: bool,
    /// The hook is being told that the session is open.
    is_told: bool,
    /// Why it was closed meanwhile.
    closed: Option<Closed>,
    is_over: bool,
    /// When its client is no longer authorized, unless it sends newer credentials with a message.
    expiry: Option<Instant>,
    /// Its places in the share of its principal, until it ends.
    held: Vec<Held>,
}

impl Link {
    pub(super) fn new(id: SessionId, who: &Who, pipe: Arc<Pipe>, held: Vec<Held>) -> Arc<Self> {
        Arc::new(Self {
            id,
            authorized: who.authorized().cloned(),
            pipe,
            opened: runtime::now(),
            waiting: Calls::default(),
            state: Mutex::new(State { expiry: who.expiry(), held, ..State::default() }),
        })
    }

    pub(crate) fn principal(&self) -> Option<&Principal> {
        self.authorized.as_ref().map(Authorized::principal)
    }

    pub(super) fn standing(&self) -> Standing {
        self.authorized.clone().into()
    }

    /// Its client sends something with these credentials. The stream cannot be resumed, so it lasts as long as what its client
    /// sends is authorized, and not only as long as the credentials that it was opened with.
    pub(super) fn renew(&self, who: &Who) {
        let Some(authorized) = who.authorized() else { return };
        let expiry = authorized.expires_at().map(expiry_of);
        let mut state = self.state.locked();
        state.expiry = state.expiry.zip(expiry).map(|(before, now)| before.max(now));
    }

    /// Whether its client is no longer authorized.
    pub(super) fn is_expired(&self, now: Instant) -> bool {
        self.state.locked().expiry.is_some_and(|expiry| expiry <= now)
    }

    pub(super) fn pipe(&self) -> &Arc<Pipe> {
        &self.pipe
    }

    pub(super) fn opened_at(&self) -> Instant {
        self.opened
    }

    /// The session, once there is one.
    pub(crate) fn live(&self) -> Option<Arc<Live>> {
        self.state.locked().live.clone()
    }

    /// Whether the client has sent nothing but `initialize`, or not even that.
    pub(crate) fn is_unused(&self) -> bool {
        self.live().is_none_or(|live| !live.session(|session| session.is_used()))
    }

    pub(super) fn is_over(&self) -> bool {
        self.state.locked().is_over
    }

    /// An `initialize` came. `None` when there was one before: a stream has one session.
    pub(super) fn begin_opening(self: &Arc<Self>) -> Option<Opening> {
        let mut state = self.state.locked();
        if state.live.is_some() || std::mem::replace(&mut state.is_opening, true) {
            return None;
        }
        Some(Opening(Arc::clone(self)))
    }

    /// The stream is at its end, and the session with it. The session, if there was one.
    pub(super) fn end(&self) -> Option<Arc<Live>> {
        let mut state = self.state.locked();
        state.is_over = true;
        state.held.clear();
        state.live.clone()
    }

    /// The hook was told that the session is open. Why it was closed meanwhile: that is to be told now.
    pub(super) fn opened_told(&self) -> Option<Closed> {
        let mut state = self.state.locked();
        state.is_told = false;
        state.closed.take()
    }

    /// Whether it can be told that the session is closed. False while the hook hears that it is open: then whoever tells that
    /// tells this too, or the hooks would hear of both the wrong way round.
    pub(super) fn tells_closed(&self, why: Closed) -> bool {
        let mut state = self.state.locked();
        if state.is_told {
            state.closed = Some(why);
        }
        !state.is_told
    }
}

/// An `initialize` that is being looked at.
///
/// # Drop behavior
///
/// Unless it opened the session another one may.
pub(super) struct Opening(Arc<Link>);

impl Opening {
    /// The session is open. `answer` answers `initialize`: before anybody can send to the session, and before the client
    /// can send it anything. The hook is to be told next. False when the stream has ended meanwhile.
    pub(super) fn open(self, live: &Arc<Live>, answer: impl FnOnce()) -> bool {
        let mut state = self.0.state.locked();
        if state.is_over {
            return false;
        }
        answer();
        state.live = Some(Arc::clone(live));
        state.is_told = true;
        true
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.0.state.locked().is_opening = false;
    }
}

/// The body of the response to the GET.
///
/// # Drop behavior
///
/// The session ends: what its client misses it could never ask for.
pub(crate) struct LinkStream {
    endpoint: Arc<Endpoint>,
    link: Arc<Link>,
}

impl LinkStream {
    pub(super) fn new(endpoint: Arc<Endpoint>, link: Arc<Link>) -> Self {
        Self { endpoint, link }
    }

    pub(crate) fn poll_frame(&self, cx: &task::Context<'_>) -> Poll<Option<Bytes>> {
        self.link.pipe.poll_piece(cx)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.link.pipe.is_over()
    }
}

impl Drop for LinkStream {
    fn drop(&mut self) {
        let why = if self.endpoint.is_draining() { Closed::Shutdown } else { Closed::ByClient };
        let close = || self.endpoint.close_link(&self.link, why);
        // A connection may be dropped while something else fails, and a second panic would end the process.
        if catch_unwind(AssertUnwindSafe(close)).is_err() {
            tracing::error!("a hook panicked when a session was closed");
        }
        // Nobody reads what is left.
        self.link.pipe.break_off();
    }
}
