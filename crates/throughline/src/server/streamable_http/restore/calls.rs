//! Calls that a restart interrupted: answered with an error, or run again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::BytesMut;
use throughline_proto::jsonrpc::{self, ErrorCode, ErrorObject, Request, RequestId};
use throughline_proto::session::{Begin, StreamNo};
use throughline_proto::sse;
use throughline_proto::stateless::TraceContext;

use super::Stuck;
use crate::server::calls::CallPermit;
use crate::server::dispatch::{begin, run, to_call};
use crate::server::exchange::{Exchange, SessionExchange};
use crate::server::keeping::{AfterRestart, Interrupted, Noted, NotedRequest, ProgressFloors, ReadBack};
use crate::server::live::Live;
use crate::server::stream::Stream;
use crate::server::streamable_http::endpoint::Endpoint;
use crate::store::{Append, AppendError, Epoch, Event, KeptStream, ReadError, StreamKey};

/// What became of the calls of a stream.
pub(super) struct Settled {
    /// So many were answered with an error.
    pub(super) failed: usize,
    pub(super) again: Option<StreamAgain>,
}

/// A stream with calls that run again.
pub(super) struct StreamAgain {
    no: StreamNo,
    stream: Arc<Stream>,
    calls: Vec<CallAgain>,
    before: ProgressFloors,
}

/// A call that runs again, with its place among the requests in flight.
struct CallAgain {
    request: Request,
    permit: CallPermit,
}

impl Endpoint {
    /// Settles what a stream was left with: afterwards it has ended, or has calls that run again.
    pub(super) async fn settle_stream(&self, live: &Arc<Live>, kept: &KeptStream) -> Result<Settled, Stuck> {
        let no = StreamNo(kept.stream);
        let key = live.stream_key(no);
        let noted = match kept.note.as_deref().map(Noted::parse).transpose() {
            Ok(noted) => noted.unwrap_or_default(),
            Err(error) => {
                tracing::error!(%error, "what a stream was for cannot be read; it ends without an answer");
                Noted::default()
            }
        };
        // The only request of a stream has no answer: with it the stream would have ended.
        let mut log = ReadBack::default();
        if noted.requests.len() > 1 || self.runs_again() {
            match ReadBack::read(&*self.store, &key, kept.head).await {
                Ok(read) => log = read,
                Err(ReadError::Unavailable(error)) => return Err(Stuck::For(error)),
                Err(error) => tracing::error!(%error, "the log of an interrupted call cannot be read"),
            }
        }
        let (mut calls, mut failed) = (Vec::new(), Vec::new());
        for request in log.unanswered(noted.requests) {
            match self.take_again(live, &request) {
                Some(call) => calls.push(call),
                None => failed.push(request.id),
            }
        }
        self.fail(live, &key, kept.head, &failed, calls.is_empty()).await?;
        let head = kept.head + failed.len() as u64;
        let before = log.into_progress();
        // There before anybody can find the session: a client that comes back meets its writer, and not only its log.
        let stream = if calls.is_empty() { None } else { live.resume_stream(no, head, calls.len() == 1) };
        let again = stream.map(|stream| StreamAgain { no, stream, calls, before });
        Ok(Settled { failed: failed.len(), again })
    }

    /// A call that the hook wants to be run again, if there is room for it.
    fn take_again(&self, live: &Arc<Live>, noted: &NotedRequest) -> Option<CallAgain> {
        let hook = self.config.interrupted.as_ref()?;
        let request = noted.to_request()?;
        let outline = jsonrpc::outline(request.params.as_ref()).ok()?;
        let call = to_call(&request, &outline);
        let tool = call.target.as_deref().filter(|_| call.method == "tools/call");
        let annotations = tool.and_then(|tool| self.handler.annotations(tool));
        let interrupted = Interrupted::new(call, annotations, live.handle()?);
        let verdict = catch_unwind(AssertUnwindSafe(|| hook(&interrupted))).unwrap_or_else(|_| {
            self.tally.panics.add_one();
            tracing::error!("the hook for interrupted calls panicked; the call is answered with an error");
            AfterRestart::Fail
        });
        if verdict == AfterRestart::Fail {
            return None;
        }
        Some(CallAgain { request, permit: self.permit_of_nobody().ok()? })
    }

    /// Answers requests with an error in the log, after its `head`; the stream `ends` with the last.
    async fn fail(
        &self,
        live: &Live,
        key: &StreamKey,
        head: u64,
        requests: &[RequestId],
        ends: bool,
    ) -> Result<(), Stuck> {
        if requests.is_empty() && !ends {
            return Ok(());
        }
        let epoch = live.keeping().map_or(Epoch(0), |keeping| keeping.epoch);
        let events: Vec<Event> =
            (head + 1..).zip(requests).map(|(seq, id)| interrupted(live, key, seq, id)).collect();
        let batch = Append { events: &events, ends, ..Append::default() };
        match self.store.append(key, epoch, batch).await {
            // An earlier try came so far.
            Ok(()) | Err(AppendError::Ended) => Ok(()),
            Err(error @ (AppendError::Gap | AppendError::TooLarge)) => {
                tracing::error!(%error, "the log of an interrupted call takes no answer; it ends without one");
                Ok(self.store.end(key, epoch).await?)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Runs the calls of a stream again; how many those are.
    pub(super) async fn run_again(&self, live: &Arc<Live>, stream: StreamAgain) -> usize {
        let StreamAgain { no, stream, calls, before } = stream;
        let (live, progress) = (Arc::clone(live), self.config.progress);
        let exchange = SessionExchange::again(Arc::clone(&live), &stream, progress, calls.len(), before);
        let mut count = 0;
        for (slot, CallAgain { request, permit }) in calls.into_iter().enumerate() {
            let (outline, meta) = jsonrpc::outlines(request.params.as_ref());
            let trace = TraceContext::of(&meta.unwrap_or_default(), None).map(Box::new);
            let begun = live.handle_request(|session| begin(session, no, &request, outline)).traced(trace);
            if let Begin::Refuse(refused) = &begun.begin {
                exchange.settle(slot, Some(&request.id), Err(refused.error()));
                continue;
            }
            count += 1;
            self.tally.calls_run_again.add_one();
            run(&*self.handler, &exchange, slot, &request.id, begun, Some(permit)).await;
        }
        count
    }
}

/// The event that answers an interrupted request.
fn interrupted(live: &Live, key: &StreamKey, seq: u64, id: &RequestId) -> Event {
    let cursor = live.session(|session| session.cursor(StreamNo(key.stream), seq));
    let error = ErrorObject::new(ErrorCode::INTERNAL_ERROR, INTERRUPTED);
    let mut frame = BytesMut::new();
    sse::write_event_with(&mut frame, cursor.text(), |out| jsonrpc::write_error(out, Some(id), &error));
    Event { seq, keep: true, frame: frame.freeze() }
}

const INTERRUPTED: &str = "the server stopped while this ran, so its outcome is unknown; look whether it took effect before you send it again";
