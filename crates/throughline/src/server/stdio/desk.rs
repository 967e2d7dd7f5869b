//! What becomes of each line. Its own shape says of which era it is; both may be spoken in one process
//! ([versioning](https://modelcontextprotocol.io/specification/2026-07-28/basic/versioning#compatibility-matrix)).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use throughline_proto::jsonrpc::{
    self, ErrorCode, ErrorObject, Frame, LineTooLong, Malformed, Message, MetaOutline, Notification, Outline,
    Raw, Request, RequestId,
};
use throughline_proto::model::{Answer, CancelledParams};
use throughline_proto::revision::{is_modern, is_modern_call};
use throughline_proto::session::{Begin, ProgressRoute, Refused, Session};
use throughline_proto::stateless::{Change, TraceContext};

use super::Config;
use super::modern::ModernDesk;
use crate::handler::{Handler, PeerInfo, PeerSet, Peers, Standing};
use crate::runtime;
use crate::server::calls::{CallPermit, Calls};
use crate::server::counters::Tally;
use crate::server::dispatch::{accept, answers_of, begin, run, run_batch, settle_malformed};
use crate::server::era::Era;
use crate::server::exchange::{Answers, Exchange, Mode, SessionExchange};
use crate::server::live::{Ground, Live};
use crate::server::modern::{Modern, refuse_initialize};
use crate::server::pipe::Pipe;
use crate::server::stream::Weight;

/// Takes in what one client sends, and holds its session once there is one.
pub(super) struct Desk {
    handler: Arc<dyn Handler>,
    config: Config,
    pipe: Arc<Pipe>,
    live: OnceLock<Arc<Live>>,
    modern: ModernDesk,
    calls: Calls,
    tally: Arc<Tally>,
}

impl Desk {
    pub(super) fn open(handler: Arc<dyn Handler>, config: Config) -> Arc<Self> {
        let tally = Arc::<Tally>::default();
        let pipe = Pipe::new(Arc::clone(&tally));
        let modern = Modern::new(config.era, Arc::clone(&config.seal), Arc::clone(&tally));
        let desk = Arc::new(Self {
            modern: ModernDesk::new(modern, Arc::clone(&pipe), config.session.calls),
            handler,
            config,
            pipe,
            live: OnceLock::new(),
            calls: Calls::default(),
            tally,
        });
        let weak = Arc::downgrade(&desk);
        desk.handler.attach(Peers::new(weak));
        desk
    }

    pub(super) fn pipe(&self) -> &Arc<Pipe> {
        &self.pipe
    }

    /// How many calls run.
    pub(super) fn in_flight(&self) -> usize {
        self.calls.running()
    }

    /// Ends when no call runs.
    pub(super) async fn finished(&self) {
        self.calls.finished().await;
    }

    /// Ends when who listened was told of the end.
    pub(super) async fn listeners_told(&self) {
        self.modern.finished().await;
    }

    /// The client sends nothing any more.
    pub(super) fn fall_silent(&self) {
        if let Some(live) = self.live.get() {
            live.fall_silent();
        }
    }

    /// The session is over, and what belongs to none.
    pub(super) fn end(&self) {
        self.modern.end();
        if let Some(live) = self.live.get()
            && live.end()
        {
            self.tally.sessions_closed.add_one();
        }
    }

    /// Takes a line in. What it asks for may run on as a task.
    pub(super) async fn take_in(&self, line: Result<Bytes, LineTooLong>) {
        let frame = match line {
            Ok(line) => jsonrpc::parse(&line, &self.config.parse),
            Err(error) => return self.refuse(None, &invalid(error.to_string())),
        };
        match frame {
            Err(malformed) => self.refuse_malformed(&malformed),
            Ok(Frame::Single(Message::Request(request))) => self.request(request).await,
            Ok(Frame::Single(message)) => self.accept(message),
            Ok(Frame::Batch(entries)) => self.batch(entries).await,
        }
    }

    /// What is not to be answered. What belongs to no session, or to an era that is not served, has no effect.
    fn accept(&self, message: Message) {
        if let Message::Notification(notification) = &message
            && self.take_back(notification)
        {
            return;
        }
        match self.live.get() {
            Some(live) if !is_modern(&message) => accept(&*self.handler, live, message),
            _ => {}
        }
    }

    /// Whether the notification takes a request back that belongs to no session. It may say of which era it is, or not
    /// ([cancellation](https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/cancellation)).
    fn take_back(&self, notification: &Notification) -> bool {
        notification.method == "notifications/cancelled"
            && notification
                .params
                .as_ref()
                .and_then(|params| params.parse::<CancelledParams>().ok())
                .is_some_and(|params| self.modern.cancel(&params.request_id))
    }

    async fn request(&self, request: Request) {
        let outline = jsonrpc::outline(request.params.as_ref());
        let meta = match &outline {
            Ok(outline) => jsonrpc::meta_outline(outline.meta),
            Err(_) => Ok(MetaOutline::default()),
        };
        let is_modern = is_modern_call(&request.method, meta.as_ref().unwrap_or(&MetaOutline::default()));
        match self.config.era {
            Era::Modern if request.method == "initialize" && !is_modern => {
                self.refuse(Some(&request.id), &refuse_initialize(request.params.as_ref()).error());
            }
            // A code that is none of the modern era's has a client of both eras fall back
            // (https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/stdio#backward-compatibility).
            Era::Legacy if is_modern => self.refuse(Some(&request.id), &invalid(NOT_INITIALIZED)),
            Era::Hybrid | Era::Legacy if !is_modern => self.session_request(&request, outline, meta).await,
            _ => {
                if let Err(error) = self.modern_request(&request, outline, meta).await {
                    self.refuse(Some(&request.id), &error);
                }
            }
        }
    }

    /// A request that carries all that is needed to answer it.
    async fn modern_request(
        &self,
        request: &Request,
        outline: Result<Outline<'_>, ErrorObject>,
        meta: Result<MetaOutline<'_>, ErrorObject>,
    ) -> Result<(), ErrorObject> {
        // Two responses under one id could not be told apart, whatever era they are of.
        if self.live.get().is_some_and(|live| live.session(|session| session.is_in_flight(&request.id))) {
            return Err(Refused::DuplicateId.error());
        }
        let principal = self.config.principal.clone();
        self.modern.request(&*self.handler, request, &outline?, &meta?, principal, &self.calls).await
    }

    /// A request of a session, or one that opens it.
    async fn session_request(
        &self,
        request: &Request,
        outline: Result<Outline<'_>, ErrorObject>,
        meta: Result<MetaOutline<'_>, ErrorObject>,
    ) {
        if self.modern.is_in_flight(&request.id) {
            return self.refuse(Some(&request.id), &Refused::DuplicateId.error());
        }
        if request.method == "initialize" {
            return self.initialize(request);
        }
        let Some(live) = self.live.get() else { return self.before_session(request) };
        let (stream, begun) = live.handle_request(|session| {
            let stream = session.open_stream();
            (stream, begin(session, stream, request, outline))
        });
        let begun = begun.traced(TraceContext::of(&meta.unwrap_or_default(), None).map(Box::new));
        match self.permit(&begun.begin) {
            Ok(permit) => {
                let exchange = SessionExchange::new(
                    Arc::clone(live),
                    stream,
                    Mode::Pipe,
                    ProgressRoute::Request,
                    Answers::One,
                    None,
                );
                run(&*self.handler, &exchange, 0, &request.id, begun, permit).await;
            }
            Err(error) => self.refuse(Some(&request.id), &error),
        }
    }

    /// Before `initialize` only a ping is answered
    /// ([lifecycle](https://modelcontextprotocol.io/specification/2025-11-25/basic/lifecycle#initialization)).
    fn before_session(&self, request: &Request) {
        if request.method == "ping" {
            self.pipe.send(Weight::KEPT, |out| {
                jsonrpc::write_raw_result(out, &request.id, &Raw::empty_object());
            });
        } else {
            self.refuse(Some(&request.id), &invalid(NOT_INITIALIZED));
        }
    }

    fn initialize(&self, request: &Request) {
        if self.live.get().is_some() {
            return self.refuse(Some(&request.id), &invalid(INITIALIZED));
        }
        let Ok(offer) = catch_unwind(AssertUnwindSafe(|| self.handler.offer())) else {
            self.tally.panics.add_one();
            tracing::error!("a handler panicked when it was asked what it offers");
            let why = "the handler failed unexpectedly; the server's log says more";
            return self.refuse(Some(&request.id), &ErrorObject::new(ErrorCode::INTERNAL_ERROR, why));
        };
        // There are no cursors that a tag would mark.
        let (mut session, result) =
            match Session::open(request.params.as_ref(), &offer, 0, self.config.session) {
                Ok(opened) => opened,
                Err(error) => return self.refuse(Some(&request.id), &error),
            };
        session.set_default_level(self.config.log_level);
        let stream = session.open_first_stream();
        let live = Live::new(
            runtime::random_id().into(),
            session,
            Standing::local(self.config.principal.clone()),
            Ground::Pipe(Arc::clone(&self.pipe)),
            Arc::clone(&self.tally),
        );
        let exchange = SessionExchange::new(
            Arc::clone(&live),
            stream,
            Mode::Pipe,
            ProgressRoute::Request,
            Answers::One,
            None,
        );
        exchange.settle(0, Some(&request.id), Ok(Answer::Initialize(Box::new(result))));
        self.tally.sessions_opened.add_one();
        // After the answer: nothing that is sent to all sessions may come before it.
        self.live.get_or_init(|| live);
    }

    /// A batch (2025-03-26 only): its answers are one line
    /// ([batching](https://modelcontextprotocol.io/specification/2025-03-26/basic#batching)).
    async fn batch(&self, entries: Vec<Result<Message, Malformed>>) {
        let live = match self.live.get() {
            _ if self.config.era == Era::Modern || entries.iter().flatten().any(is_modern) => {
                return self.refuse_batch(&entries, NO_BATCHES);
            }
            Some(live) if live.revision.has_batches() => live,
            Some(_) => return self.refuse_batch(&entries, NO_BATCHES),
            None => return self.refuse_batch(&entries, NOT_INITIALIZED),
        };
        let answers = answers_of(&entries);
        let stream = live.session(|session| session.open_stream());
        let exchange = (answers > 0).then(|| {
            SessionExchange::new(
                Arc::clone(live),
                stream,
                Mode::Pipe,
                ProgressRoute::Request,
                Answers::Batch(answers),
                None,
            )
        });
        let permit = |begun: &Begin| self.permit(begun);
        run_batch(&*self.handler, live, None, stream, exchange.as_ref(), entries, None, permit).await;
    }

    /// Whoever waits for an answer gets one, on a line of its own: an array would be a batch again.
    fn refuse_batch(&self, entries: &[Result<Message, Malformed>], why: &'static str) {
        let mut is_answered = false;
        for entry in entries {
            if let Ok(Message::Request(Request { id, .. })) | Err(Malformed { id: Some(id), .. }) = entry {
                self.refuse(Some(id), &invalid(why));
                is_answered = true;
            }
        }
        if !is_answered {
            self.refuse(None, &invalid(why));
        }
    }

    fn refuse_malformed(&self, malformed: &Malformed) {
        if let Some(live) = self.live.get() {
            settle_malformed(live, malformed);
        }
        self.refuse(malformed.id.as_ref(), &malformed.error);
    }

    fn refuse(&self, id: Option<&RequestId>, error: &ErrorObject) {
        self.pipe.send(Weight::KEPT, |out| jsonrpc::write_error(out, id, error));
    }

    fn permit(&self, begun: &Begin) -> Result<Option<CallPermit>, ErrorObject> {
        match begun {
            // The session bounds them: there is only one.
            Begin::Run(_) => Ok(self.calls.permit(usize::MAX)),
            Begin::Refuse(refused) => Err(refused.error()),
            Begin::Answer(_) | Begin::Fail(_) => Ok(None),
        }
    }
}

impl PeerSet for Desk {
    fn broadcast(
        &self,
        resource: Option<&str>,
        choose: &dyn Fn(&PeerInfo<'_>) -> bool,
        method: &str,
        params: Option<&Raw>,
    ) -> usize {
        let told = self.live.get().is_some_and(|live| live.broadcast(resource, choose, method, params));
        let change = Change::told_by(method, resource);
        usize::from(told) + change.map_or(0, |change| self.modern.listeners().broadcast(change, choose))
    }
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> ErrorObject {
    ErrorObject::new(ErrorCode::INVALID_REQUEST, message)
}

const NOT_INITIALIZED: &str = "This server needs a session. Send initialize first.";
const INITIALIZED: &str = "This session is initialized already. Start the server anew to open another.";
const NO_BATCHES: &str = "This revision has no batches. Send each message on a line of its own.";
