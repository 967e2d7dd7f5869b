//! One POST (or one line, over stdio) that carries requests: how it is answered, and the way back of its calls.
//!
//! ```text
//!                     all answered before anything was sent
//!     [undecided] ------------------------------------------> [body]       one JSON body
//!          |
//!          | the first message, the upgrade delay, or a mode that wants it
//!          v
//!     [streaming] --> events of the stream ... the last response ends it   SSE
//! ```
//!
//! A pipe needs no decision: it streams from the start, and only the answers of a batch are gathered for their one line.
//!
//! That much is the same for every era ([`Answering`]). Who knows the calls, and what carries their messages, is not:
//! [`SessionExchange`] asks the session, [`ModernExchange`] has its one call and knows all itself.

mod answering;
mod modern;
mod session;

use std::sync::Arc;
use std::task::{self, Poll};

use bytes::BytesMut;
use throughline_proto::jsonrpc::{self, ErrorCode, ErrorObject, RequestId};
use throughline_proto::model::Answer;
use throughline_proto::session::CallNo;

pub(crate) use answering::{Answering, Answers, Decided, Decision, JsonBecause, Mode};
pub(crate) use modern::ModernExchange;
pub(crate) use session::SessionExchange;

use super::counters::Tally;
use super::outlet::Outlet;
use crate::handler::channel::Channel;
use crate::handler::{CallScope, Outcome};

/// What the calls of one POST and its response share.
pub(crate) trait Exchange: Channel {
    fn answering(&self) -> &Answering;

    /// What carries the messages of the stream that begins.
    fn open_outlet(&self) -> Outlet;

    fn tally(&self) -> &Tally;

    /// A call did not answer at once: from now on it can be cancelled.
    fn call_runs(&self, scope: &Arc<CallScope>);

    /// A call is over: who gets its answer.
    fn call_done(&self, call: CallNo) -> Done;

    /// The request in this slot has its answer, or none (no id) when it was taken back.
    fn settle(&self, slot: usize, id: Option<&RequestId>, answer: Result<Answer, ErrorObject>);

    /// The runtime ends before a call does: where its log lives on, that says what becomes of it.
    fn interrupt(&self) {}

    /// What a call is answered with whose handler was dropped before its end.
    fn dropped(&self) -> ErrorObject;

    /// The connection is gone, and its calls with it: they are cancelled, and what they still send fails, because nobody
    /// will ever take it.
    fn abandon(&self);

    /// What a handler ended with, as it is answered.
    fn finish(&self, outcome: Outcome) -> Outcome {
        outcome
    }

    /// Asked when a handler waits: the answer to give instead of waiting on. Pending wakes `cx` when there may be one.
    fn poll_instead(&self, _: &task::Context<'_>) -> Poll<Outcome> {
        Poll::Pending
    }

    /// Ready when what must not be overtaken by the answer was written.
    fn poll_written(&self, _: &task::Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    /// Goes over to streaming, if it is not decided yet and the mode allows it; where messages go then.
    fn upgrade(&self) -> Option<Outlet> {
        self.answering().upgrade(|| self.open_outlet())
    }
}

/// What becomes of a call that is over.
pub(crate) enum Done {
    /// This request gets the answer.
    Answer(RequestId),
    /// The request was taken back: nobody gets it.
    TakenBack,
    /// It was settled before.
    Settled,
}

/// Writes the answer of a request, with what `write` does for a result; the error that it came to, if it did.
fn write_answer(
    out: &mut BytesMut,
    id: &RequestId,
    answer: Result<Answer, ErrorObject>,
    write: impl FnOnce(&mut BytesMut, &mut Answer) -> Result<(), serde_json::Error>,
) -> Option<ErrorCode> {
    let start = out.len();
    let error = match answer {
        Ok(mut answer) => match write(out, &mut answer) {
            Ok(()) => return None,
            Err(error) => {
                tracing::error!(%error, "a result cannot be written");
                ErrorObject::new(ErrorCode::INTERNAL_ERROR, "the result cannot be written in this revision")
            }
        },
        Err(error) => error,
    };
    out.truncate(start);
    jsonrpc::write_error(out, Some(id), &error);
    Some(error.code)
}

/// A short result fits without growing.
const BODY_CAPACITY: usize = 256;
