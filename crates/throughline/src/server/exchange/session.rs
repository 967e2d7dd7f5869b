//! A POST of a session, or of a request that stands for one without sessions.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{self, Poll};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use http::StatusCode;
use http::request::Parts;
use throughline_proto::jsonrpc::{self, ErrorCode, ErrorObject, Raw, RequestId};
use throughline_proto::model::{Answer, LoggingLevel};
use throughline_proto::session::{
    AskNo, CallNo, MessageKind, NoRoute, ProgressRoute, Roads, Route, StreamNo,
};

use super::{Answering, Answers, Done, Exchange, JsonBecause, Mode, write_answer};
use crate::handler::channel::{Channel, Note, QuestionBody};
use crate::handler::{AskError, CallOver, CallScope};
use crate::server::counters::Tally;
use crate::server::keeping::{Noted, ProgressFloors};
use crate::server::live::{Live, write_note};
use crate::server::outlet::Outlet;
use crate::server::stream::{Closing, Stream};

/// A POST of a session with at least one request.
pub(crate) struct SessionExchange {
    live: Arc<Live>,
    stream: StreamNo,
    progress: ProgressRoute,
    /// The head of the POST, where a handler asks for it.
    http_parts: OnceLock<Arc<Parts>>,
    answering: Answering,
    /// Progress that took the standalone stream: its last event there.
    standalone_seq: AtomicU64,
    /// What the requests are, where the store keeps sessions.
    noted: Option<Arc<Noted>>,
    /// What its calls said in an earlier life, where they run again.
    before: Option<Box<ProgressFloors>>,
}

impl SessionExchange {
    pub(crate) fn new(
        live: Arc<Live>,
        stream: StreamNo,
        mode: Mode,
        progress: ProgressRoute,
        answers: Answers,
        noted: Option<Arc<Noted>>,
    ) -> Arc<Self> {
        let exchange = Arc::new(Self {
            live,
            stream,
            progress,
            http_parts: OnceLock::new(),
            answering: Answering::new(mode, answers),
            standalone_seq: AtomicU64::new(0),
            noted,
            before: None,
        });
        if matches!(mode, Mode::Sse | Mode::Pipe) {
            exchange.upgrade();
        }
        exchange
    }

    /// A POST of an earlier life: so many of its calls run again, on its stream, and nobody waits for a response.
    pub(crate) fn again(
        live: Arc<Live>,
        stream: &Arc<Stream>,
        progress: ProgressRoute,
        calls: usize,
        before: ProgressFloors,
    ) -> Arc<Self> {
        Arc::new(Self {
            live,
            stream: StreamNo(stream.key().stream),
            progress,
            http_parts: OnceLock::new(),
            answering: Answering::again(Outlet::Log(Arc::clone(stream)), calls),
            standalone_seq: AtomicU64::new(0),
            noted: None,
            before: Some(Box::new(before)),
        })
    }

    pub(crate) fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// Keeps the head of the POST for the handlers that run in it.
    pub(crate) fn keep_http_parts(&self, parts: &Parts) {
        self.http_parts.get_or_init(|| Arc::new(parts.clone()));
    }

    pub(crate) fn http_parts(&self) -> Option<&Arc<Parts>> {
        self.http_parts.get()
    }

    /// An entry of a batch that is no request: an error, with the id where it could be read.
    pub(crate) fn settle_malformed(&self, slot: usize, id: Option<&RequestId>, error: &ErrorObject) {
        let mut body = BytesMut::new();
        jsonrpc::write_error(&mut body, id, error);
        self.answering.settle(slot, StatusCode::OK, body);
    }

    fn roads(&self) -> Roads {
        Roads {
            one_json_body: matches!(self.answering.mode(), Mode::Json(_)),
            // Filled in where the session is locked anyway.
            standalone_open: false,
            progress: self.progress,
        }
    }

    fn no_route(&self, why: NoRoute) -> AskError {
        match (why, self.answering.mode()) {
            (NoRoute::CallOver, _) => AskError::call_over(),
            (NoRoute::OneJsonBody, Mode::Json(JsonBecause::Accept)) => AskError::no_back_channel(
                "its request accepts only application/json, so nothing can be sent before the answer; accept text/event-stream too",
            ),
            (NoRoute::OneJsonBody, _) => AskError::no_back_channel(
                "this server answers with one JSON body (`json_response`), so nothing can be sent before the answer",
            ),
        }
    }
}

impl Exchange for SessionExchange {
    fn answering(&self) -> &Answering {
        &self.answering
    }

    fn open_outlet(&self) -> Outlet {
        self.live.open_outlet(self.stream, self.noted.clone())
    }

    fn tally(&self) -> &Tally {
        self.live.tally()
    }

    fn call_runs(&self, scope: &Arc<CallScope>) {
        self.live.call_runs(scope);
    }

    fn call_done(&self, call: CallNo) -> Done {
        match self.live.call_done(call) {
            None => Done::Settled,
            Some(finish) => finish.answer.map_or(Done::TakenBack, Done::Answer),
        }
    }

    fn settle(&self, slot: usize, id: Option<&RequestId>, answer: Result<Answer, ErrorObject>) {
        let Some(id) = id else {
            // Nothing is written for a request that was taken back.
            return self.answering.settle(slot, StatusCode::OK, BytesMut::new());
        };
        let revision = self.live.revision;
        self.answering.settle_with(slot, |out| {
            write_answer(out, id, answer, |out, answer| revision.write_answer(out, id, answer));
        });
    }

    fn interrupt(&self) {
        if self.live.keeping().is_some()
            && let Some(stream) = self.live.running_stream(self.stream)
        {
            stream.cut();
        }
    }

    fn dropped(&self) -> ErrorObject {
        ErrorObject::new(ErrorCode::INVALID_REQUEST, "the session ended before the call was answered")
    }

    /// For a POST without a session; with one, its calls outlive the connection.
    fn abandon(&self) {
        self.live.cancel_calls();
        self.answering.abandon();
    }

    fn poll_written(&self, cx: &task::Context<'_>) -> Poll<()> {
        let seq = self.standalone_seq.load(Ordering::Acquire);
        if seq == 0 {
            return Poll::Ready(());
        }
        self.live.standalone().map_or(Poll::Ready(()), |stream| stream.poll_written(seq, cx))
    }
}

impl Channel for SessionExchange {
    fn poll_notify(
        &self,
        call: Option<CallNo>,
        note: Note<'_>,
        cx: &mut task::Context<'_>,
    ) -> Poll<Result<(), CallOver>> {
        if let (Some(before), Note::Progress(progress)) = (&self.before, note)
            && before.covers(progress)
        {
            return Poll::Ready(Ok(()));
        }
        let kind =
            if matches!(note, Note::Progress(_)) { MessageKind::Progress } else { MessageKind::Related };
        match self.live.route(call, kind, self.roads()) {
            Route::Post(_) => match self.upgrade() {
                Some(outlet) => outlet.poll_send(|out| write_note(out, note), cx),
                None => Poll::Ready(Err(CallOver)),
            },
            Route::Standalone => {
                let Some(stream) = self.live.standalone() else { return Poll::Ready(Err(CallOver)) };
                let sent = stream.poll_send(|out| write_note(out, note), cx);
                if sent.is_ready() {
                    self.standalone_seq.fetch_max(stream.head(), Ordering::AcqRel);
                }
                sent
            }
            Route::Nowhere(NoRoute::CallOver) => Poll::Ready(Err(CallOver)),
            Route::Nowhere(NoRoute::OneJsonBody) => {
                self.live.tally().notifications_undeliverable.add_one();
                Poll::Ready(Ok(()))
            }
        }
    }

    fn is_held_up_by_its_handler(&self) -> bool {
        // Standard output has a thread of its own, and what is ready leaves together.
        self.answering.mode() != Mode::Pipe || self.live.shares_runtime()
    }

    fn wants_log(&self, level: LoggingLevel) -> bool {
        self.live.session(|session| session.wants_log(level))
    }

    fn open_ask(&self, call: Option<CallNo>, question: &QuestionBody) -> Result<AskNo, AskError> {
        if !self.live.is_session() {
            return Err(AskError::no_back_channel(
                "this server keeps no sessions (`stateless_http`), so no answer could find its way back",
            ));
        }
        self.live.open_ask(call, question, self.roads(), |why| self.no_route(why), || self.upgrade())
    }

    fn poll_ask(&self, ask: AskNo, cx: &mut task::Context<'_>) -> Poll<Result<Raw, AskError>> {
        self.live.poll_ask(ask, cx)
    }

    fn ask_deadline(&self, ask: AskNo) -> Option<Instant> {
        self.live.ask_deadline(ask)
    }

    fn expire_asks(&self, now: Instant) {
        self.live.expire_asks(now);
    }

    fn close_ask(&self, ask: AskNo) {
        self.live.close_ask(ask);
    }

    fn close_connection(&self, _: CallNo, retry: Duration) -> bool {
        // Before priming there may be no id on the wire to come back with
        // (https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#sending-messages-to-the-server).
        if !self.live.revision.primes() || !self.live.is_session() {
            return false;
        }
        match self.upgrade() {
            Some(Outlet::Log(stream)) => {
                stream.close_reader_soon(Closing::Retry(retry));
                true
            }
            _ => false,
        }
    }
}
