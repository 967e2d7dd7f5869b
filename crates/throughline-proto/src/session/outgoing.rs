//! Requests in flight that we sent to the peer: asks.

use std::time::Instant;

use crate::jsonrpc::{ProgressToken, RequestId};

use super::deadline::Deadline;
use super::{CallNo, Patience, Route};

/// Names a request that we sent, within its session. Never used twice; it is also the request's JSON-RPC id.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct AskNo(pub u64);

impl AskNo {
    /// The JSON-RPC id under which the request is sent.
    pub fn request_id(self) -> RequestId {
        RequestId::Number(i64::try_from(self.0).expect("no session sends 2^63 requests"))
    }
}

/// A request of ours that is over without an answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Expired {
    /// The request.
    pub ask: AskNo,
    /// The call it was asked for.
    pub call: Option<CallNo>,
    /// Where the request went: the `notifications/cancelled` that takes it back goes there too.
    pub route: Route,
}

#[derive(Debug)]
struct Ask {
    no: AskNo,
    call: Option<CallNo>,
    route: Route,
    deadline: Deadline,
}

/// Our requests without an answer, in the order they were sent.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    asks: Vec<Ask>,
    opened: u64,
}

impl Outgoing {
    /// No request yet; the numbers up to `opened` are those of earlier lives.
    pub(super) fn starting_after(opened: u64) -> Self {
        Self { asks: Vec::new(), opened }
    }

    pub(super) fn len(&self) -> usize {
        self.asks.len()
    }

    pub(super) fn open(
        &mut self,
        now: Instant,
        call: Option<CallNo>,
        route: Route,
        patience: Patience,
    ) -> AskNo {
        self.opened += 1;
        let no = AskNo(self.opened);
        self.asks.push(Ask { no, call, route, deadline: Deadline::start(now, patience) });
        no
    }

    /// The request with this id has its answer (or is given up).
    pub(super) fn close(&mut self, no: AskNo) -> Option<Expired> {
        let at = self.asks.iter().position(|ask| ask.no == no)?;
        Some(self.asks.remove(at).into_expired())
    }

    pub(super) fn find(&self, id: &RequestId) -> Option<AskNo> {
        let RequestId::Number(id) = id else { return None };
        let no = AskNo(u64::try_from(*id).ok()?);
        self.asks.iter().any(|ask| ask.no == no).then_some(no)
    }

    /// Our requests carry their id as progress token.
    pub(super) fn find_token(&self, token: &ProgressToken) -> Option<AskNo> {
        match token {
            ProgressToken::Number(id) => self.find(&RequestId::Number(*id)),
            ProgressToken::String(_) => None,
        }
    }

    pub(super) fn handle_progress(&mut self, now: Instant, no: AskNo) -> bool {
        let Some(ask) = self.asks.iter_mut().find(|ask| ask.no == no) else { return false };
        ask.deadline.handle_progress(now);
        true
    }

    pub(super) fn deadline(&self, no: AskNo) -> Option<Instant> {
        self.asks.iter().find(|ask| ask.no == no).map(|ask| ask.deadline.at())
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.asks.iter().map(|ask| ask.deadline.at()).min()
    }

    pub(super) fn expire(&mut self, now: Instant) -> Vec<Expired> {
        self.take(|ask| ask.deadline.is_over(now))
    }

    /// The call is over: nothing waits for its requests any more.
    pub(super) fn close_call(&mut self, call: CallNo) -> Vec<Expired> {
        self.take(|ask| ask.call == Some(call))
    }

    fn take(&mut self, over: impl Fn(&Ask) -> bool) -> Vec<Expired> {
        if !self.asks.iter().any(&over) {
            return Vec::new();
        }
        let (gone, left) = self.asks.drain(..).partition(|ask| over(ask));
        self.asks = left;
        let gone: Vec<Ask> = gone;
        gone.into_iter().map(Ask::into_expired).collect()
    }
}

impl Ask {
    fn into_expired(self) -> Expired {
        Expired { ask: self.no, call: self.call, route: self.route }
    }
}
