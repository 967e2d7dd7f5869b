//! Requests in flight that the client sent us.

use crate::jsonrpc::{ProgressToken, RequestId};

use super::StreamNo;

/// Names a running call within its session. Never used twice while the session lives in this process.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CallNo(pub u64);

/// A request of the client that has no answer yet.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) no: CallNo,
    pub(super) id: RequestId,
    pub(super) stream: StreamNo,
    pub(super) progress: Option<ProgressToken>,
    /// The client took the request back: its answer is swallowed.
    pub(super) cancelled: bool,
}

/// The calls in flight. A session has few (64 at most), so they stand in a row: no hashing, one small allocation.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    calls: Vec<Call>,
    opened: u64,
}

impl Incoming {
    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    pub(super) fn has_id(&self, id: &RequestId) -> bool {
        self.calls.iter().any(|call| call.id == *id)
    }

    pub(super) fn begin(
        &mut self,
        id: &RequestId,
        stream: StreamNo,
        progress: Option<ProgressToken>,
    ) -> CallNo {
        self.opened += 1;
        let no = CallNo(self.opened);
        // A call may run for hours: its id must not keep the whole body that it came in.
        let id = id.detached();
        self.calls.push(Call { no, id, stream, progress, cancelled: false });
        no
    }

    pub(super) fn get(&self, no: CallNo) -> Option<&Call> {
        self.calls.iter().find(|call| call.no == no)
    }

    /// Marks the request with this id as taken back; `None` when it is unknown, answered or taken back already.
    pub(super) fn cancel(&mut self, id: &RequestId) -> Option<CallNo> {
        let call = self.calls.iter_mut().find(|call| call.id == *id && !call.cancelled)?;
        call.cancelled = true;
        Some(call.no)
    }

    pub(super) fn finish(&mut self, no: CallNo) -> Option<Call> {
        let at = self.calls.iter().position(|call| call.no == no)?;
        Some(self.calls.swap_remove(at))
    }

    pub(super) fn runs_on(&self, stream: StreamNo) -> bool {
        self.calls.iter().any(|call| call.stream == stream)
    }
}
