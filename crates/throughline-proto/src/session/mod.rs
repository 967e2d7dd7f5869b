//! The legacy machine: a session, from `initialize` to its end.
//!
//! [`Session`] is the server's side of one session, for the revisions that have sessions. It holds every rule about
//! requests in flight in both directions, and knows no transport: each input (`handle_*`) returns what the shell has
//! to do, by value, so a session is a plain value behind a lock that is held for one short call.
//!
//! ```text
//!                 initialize                 notifications/initialized
//!   (no session) ------------> [opened] ------------------------------> [ready]
//!                                  |   requests are served in both states    |
//!                                  +------------- ended by the shell <-------+
//!
//!   a call (request of the client)                  an ask (request of ours)
//!
//!   handle_request                                  handle_ask
//!        |                                               |
//!    [running] -- handle_done --> answered           [waiting] -- handle_response --> answered
//!        |                                               |  ^
//!        | notifications/cancelled                       |  +-- progress renews the timeout, never the total
//!        v                                               |
//!   [cancelled] -- handle_done --> swallowed             +-- handle_timeout, handle_abandon, its call is over
//!                                                             --> given up, `notifications/cancelled` is sent
//! ```

mod cursor;
mod deadline;
mod incoming;
mod offer;
mod outgoing;
mod record;
mod route;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

pub use cursor::{Cursor, CursorText, StreamNo};
pub use deadline::Patience;
pub use incoming::CallNo;
pub use offer::Offer;
pub use outgoing::{AskNo, Expired};
pub use record::SessionRecord;
pub use route::{MessageKind, NoRoute, ProgressRoute, Roads, Route};

pub use crate::model::Client;

use crate::jsonrpc::{
    ErrorCode, ErrorObject, Notification, Outline, ProgressToken, Raw, Request, RequestId, Response, Str,
    meta_outline, reason,
};
use crate::model::{
    Answer, CancelledParams, ClientCapabilities, InitializeParams, InitializeResult, LoggingLevel,
    ProgressParams, ResourceParams, SetLevelParams,
};
use crate::revision::Revision;

use incoming::Incoming;
use outgoing::Outgoing;

/// One session of the server, from `initialize` on.
///
/// Call order: [`open`](Session::open) (or [`restore`](Session::restore)), then any of the `handle_*` in the order in
/// which things happen. `now` must never go back.
#[derive(Debug)]
pub struct Session {
    revision: Revision,
    /// Shared with whoever tells handlers who calls: it is the largest part of a session at rest.
    client: Arc<Client>,
    tag: u32,
    limits: SessionLimits,
    keeps: Keeps,
    initialized: bool,
    used: bool,
    level: Option<LoggingLevel>,
    default_level: LoggingLevel,
    subscriptions: BTreeSet<Str>,
    incoming: Incoming,
    outgoing: Outgoing,
    streams: u64,
    changes: u64,
}

/// Bounds of one session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SessionLimits {
    /// Requests of the client in flight. Default 64: an order above what clients do, and a bound on what one client may
    /// make a server hold (design §8).
    pub calls: usize,
    /// Requests of ours in flight. Default 64, likewise.
    pub asks: usize,
    /// Resources subscribed to. Default 1,024: more than a dashboard shows, and 64 KiB of addresses at most in practice.
    pub subscriptions: usize,
    /// The longest parameters of `initialize` in bytes, which the session keeps. Default 64 KiB: name, capabilities and a
    /// small icon fit many times over, and the sessions of a whole server stay below 1 GB whatever their clients say.
    pub initialize_bytes: usize,
    /// The longest subscribed URI in bytes. Default 2,048, what browsers and proxies agree on.
    pub uri_bytes: usize,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self { calls: 64, asks: 64, subscriptions: 1024, initialize_bytes: 64 * 1024, uri_bytes: 2048 }
    }
}

/// How many bits a life has for the numbers of its streams: at a million POSTs a second a life of twelve days.
const STREAM_BITS: u32 = 40;
/// How many it has for its requests to the client. They are ids in JSON, which many read as a double: exact up to 2^53.
const ASK_BITS: u32 = 32;
/// The last life whose ids are exact.
const LAST_EPOCH: u64 = (1 << (53 - ASK_BITS)) - 1;

/// What the session remembers of what a client sets: what the server offered in `initialize`.
#[derive(Clone, Copy, Debug)]
struct Keeps {
    level: bool,
    subscriptions: bool,
    /// There is no session to remember anything.
    nothing: bool,
}

impl Keeps {
    const NOTHING: Keeps = Keeps { level: false, subscriptions: false, nothing: true };

    fn of(offer: &Offer) -> Self {
        let subscriptions = offer.capabilities.resources.is_some_and(|resources| resources.subscribe);
        Self { level: offer.capabilities.logging, subscriptions, nothing: false }
    }

    #[cold]
    fn refuse(self) -> Begin {
        let why = if self.nothing {
            "this server keeps no sessions (`stateless_http`), so it could not remember this; do without it"
        } else {
            "this server did not offer this capability in `initialize`; do without it"
        };
        Begin::Fail(ErrorObject::new(ErrorCode::METHOD_NOT_FOUND, why))
    }
}

/// What to do with a request of the client.
#[derive(Debug)]
pub enum Begin {
    /// Run the handler; [`Session::handle_done`] settles the call.
    Run(CallNo),
    /// The engine answers it.
    Answer(Answer),
    /// The engine answers it with an error.
    Fail(ErrorObject),
    /// It is not taken on.
    Refuse(Refused),
}

/// Why a request of the client is not taken on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refused {
    /// A request with the same id has no answer yet.
    DuplicateId,
    /// The session has as many requests in flight as it may have.
    TooManyCalls {
        /// How many it may have.
        limit: usize,
    },
}

impl Refused {
    /// The error to answer with.
    pub fn error(self) -> ErrorObject {
        match self {
            Refused::DuplicateId => ErrorObject::new(
                ErrorCode::INVALID_REQUEST,
                "a request with this id is still in flight; give each request an id of its own",
            ),
            Refused::TooManyCalls { limit } => ErrorObject::new(
                ErrorCode::INTERNAL_ERROR,
                format!(
                    "this session has {limit} requests in flight, as many as it may have; wait for an answer first"
                ),
            ),
        }
    }
}

/// What a notification of the client means for the shell.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Effect {
    /// Nothing to do.
    Nothing,
    /// The client is ready.
    Initialized,
    /// Stop this call: its answer will be swallowed.
    Cancel(CallNo),
    /// The client's roots changed.
    RootsChanged,
    /// The client made progress with this request of ours.
    Progress(AskNo),
    /// A notification that MCP does not define: the handler may know it.
    Custom,
}

/// What becomes of a finished call.
#[derive(Debug, PartialEq)]
pub struct Finish {
    /// The id to answer under, or `None` when the client took the request back and must get no response.
    pub answer: Option<RequestId>,
    /// The stream of the request.
    pub stream: StreamNo,
    /// No other call of the same POST is left: the stream ends. True for exactly one call of a POST whose requests were
    /// all begun before the first was done; where they were not, count them.
    pub last: bool,
    /// Our requests that were asked for this call and have no answer: they are given up.
    pub given_up: Vec<Expired>,
}

/// A request of ours that may be sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ask {
    /// Its name; [`AskNo::request_id`] is its JSON-RPC id.
    pub no: AskNo,
    /// The stream it goes to.
    pub route: Route,
}

/// Why a request of ours cannot be sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AskRefused {
    /// The revision in use does not have this request.
    NotInRevision,
    /// The client did not declare the capability.
    NotCapable {
        /// The capability, as the specification spells it.
        capability: &'static str,
    },
    /// No stream can carry it.
    NoRoute(NoRoute),
    /// As many requests of ours are in flight as the session may have.
    TooManyAsks {
        /// How many it may have.
        limit: usize,
    },
}

impl Session {
    /// Opens a session: negotiates the revision and answers `initialize`.
    ///
    /// `tag` is random; it marks the session's cursors.
    ///
    /// # Errors
    ///
    /// -32602 when the parameters are not those of `initialize`, or longer than
    /// [`SessionLimits::initialize_bytes`]
    /// ([lifecycle](https://modelcontextprotocol.io/specification/2025-11-25/basic/lifecycle#initialization)).
    pub fn open(
        params: Option<&Raw>,
        offer: &Offer,
        tag: u32,
        limits: SessionLimits,
    ) -> Result<(Session, InitializeResult), ErrorObject> {
        if params.is_some_and(|params| params.as_bytes().len() > limits.initialize_bytes) {
            let why = format!(
                "the params of `initialize` are longer than {} bytes; say less",
                limits.initialize_bytes
            );
            return Err(ErrorObject::new(ErrorCode::INVALID_PARAMS, why));
        }
        let params: InitializeParams = parse_params(params, "initialize")?;
        let revision = Revision::negotiate(&params.protocol_version);
        let client = Client { info: Some(params.client_info), capabilities: params.capabilities };
        let session = Session::fresh(revision, client, tag, Keeps::of(offer), limits);
        Ok((session, offer.initialize_result(revision)))
    }

    /// What stands for a session while one POST is served without any: the client said nothing about itself.
    pub fn stateless(revision: Revision, limits: SessionLimits) -> Session {
        let session = Session::fresh(revision, Client::default(), 0, Keeps::NOTHING, limits);
        Session { initialized: true, used: true, ..session }
    }

    /// Rebuilds a session from its record. `epoch` counts its lives: 0 was the one that [`open`](Session::open) began, and
    /// each one after it needs a higher number. The numbers of streams and of requests to the client begin anew in each
    /// life, far above those of the life before, so none is ever used twice and none need be kept.
    ///
    /// A session whose client was not ready counts as unused again.
    ///
    /// `None` when the record's revision has no sessions or is unknown, or after two million lives.
    pub fn restore(
        record: SessionRecord,
        epoch: u64,
        offer: &Offer,
        limits: SessionLimits,
    ) -> Option<Session> {
        let revision = Revision::parse(&record.protocol_version).filter(|revision| !revision.is_modern())?;
        if epoch > LAST_EPOCH {
            return None;
        }
        let client = Client { info: record.client_info, capabilities: record.capabilities };
        Some(Session {
            initialized: record.initialized,
            used: record.initialized,
            level: record.level,
            subscriptions: record.subscriptions.into_iter().collect(),
            outgoing: Outgoing::starting_after(epoch << ASK_BITS),
            streams: epoch << STREAM_BITS,
            ..Session::fresh(revision, client, record.tag, Keeps::of(offer), limits)
        })
    }

    fn fresh(revision: Revision, client: Client, tag: u32, keeps: Keeps, limits: SessionLimits) -> Session {
        Session {
            revision,
            client: Arc::new(client),
            tag,
            limits,
            keeps,
            initialized: false,
            used: false,
            level: None,
            default_level: LoggingLevel::Warning,
            subscriptions: BTreeSet::new(),
            incoming: Incoming::default(),
            outgoing: Outgoing::default(),
            streams: 0,
            changes: 0,
        }
    }

    /// What [`restore`](Session::restore) needs.
    pub fn record(&self) -> SessionRecord {
        SessionRecord {
            protocol_version: Str::from(self.revision.date()),
            client_info: self.client.info.clone(),
            capabilities: self.client.capabilities.clone(),
            level: self.level,
            subscriptions: self.subscriptions.iter().cloned().collect(),
            initialized: self.initialized,
            tag: self.tag,
        }
    }

    /// How often what is in its [`record`](Session::record) changed: with the same number it is the same record.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// The revision in use.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Who the client is and what it can do.
    pub fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// The level below which log messages are not sent until the client sets one by `logging/setLevel`.
    ///
    /// The specification leaves it to the server
    /// ([logging](https://modelcontextprotocol.io/specification/2025-11-25/server/utilities/logging)); `warning` unless set.
    pub fn set_default_level(&mut self, level: LoggingLevel) {
        self.default_level = level;
    }

    /// Whether the client wants log messages of this level.
    pub fn wants_log(&self, level: LoggingLevel) -> bool {
        level >= self.level.unwrap_or(self.default_level)
    }

    /// Whether the client subscribed to this resource.
    pub fn is_subscribed(&self, uri: &str) -> bool {
        self.subscriptions.contains(uri)
    }

    /// Whether no request is in flight, in either direction.
    pub fn is_idle(&self) -> bool {
        self.incoming.len() == 0 && self.outgoing.len() == 0
    }

    /// Whether the client sent anything since `initialize`.
    pub fn is_used(&self) -> bool {
        self.used
    }

    /// Whether the client said that it is ready.
    pub fn is_initialized(&self) -> bool {
        self.initialized
    }

    /// How many requests of the client have no answer yet.
    pub fn calls_in_flight(&self) -> usize {
        self.incoming.len()
    }

    /// A number for the stream that answers `initialize`.
    pub fn open_first_stream(&mut self) -> StreamNo {
        self.streams += 1;
        StreamNo(self.streams)
    }

    /// A number for the stream of a new POST.
    pub fn open_stream(&mut self) -> StreamNo {
        self.used = true;
        self.streams += 1;
        StreamNo(self.streams)
    }

    /// The cursor after event `seq` of `stream`.
    pub fn cursor(&self, stream: StreamNo, seq: u64) -> Cursor {
        Cursor { tag: self.tag, stream, seq }
    }

    /// Reads a `Last-Event-ID`: `None` for nonsense, for another session's cursor, and for a stream that never was.
    pub fn resume(&self, text: &str) -> Option<Cursor> {
        Cursor::parse(text).filter(|cursor| cursor.tag == self.tag && cursor.stream.0 <= self.streams)
    }

    /// A request of the client that arrived on the POST of `stream`.
    pub fn handle_request(&mut self, stream: StreamNo, request: &Request, outline: &Outline<'_>) -> Begin {
        self.used = true;
        // Before anything else: two responses under one id could not be told apart.
        if self.incoming.has_id(&request.id) {
            return Begin::Refuse(Refused::DuplicateId);
        }
        match &*request.method {
            "ping" => return Begin::Answer(Answer::Empty),
            "initialize" => {
                return Begin::Fail(ErrorObject::new(
                    ErrorCode::INVALID_REQUEST,
                    "`initialize` opens a session, so it is sent alone and without a session id; send it so to open another",
                ));
            }
            "logging/setLevel" if self.keeps.level => return self.set_level(request),
            "resources/subscribe" if self.keeps.subscriptions => return self.subscribe(request),
            "resources/unsubscribe" if self.keeps.subscriptions => return self.unsubscribe(request),
            "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe" => {
                return self.keeps.refuse();
            }
            _ => {}
        }
        if self.incoming.len() >= self.limits.calls {
            return Begin::Refuse(Refused::TooManyCalls { limit: self.limits.calls });
        }
        match progress_token(outline) {
            Ok(token) => Begin::Run(self.incoming.begin(&request.id, stream, token)),
            Err(error) => Begin::Fail(error),
        }
    }

    /// Whether a request of the client with this id has no answer yet.
    pub fn is_in_flight(&self, id: &RequestId) -> bool {
        self.incoming.has_id(id)
    }

    /// Whether the client took the request of this call back.
    pub fn is_cancelled(&self, call: CallNo) -> bool {
        self.incoming.get(call).is_some_and(|call| call.cancelled)
    }

    /// The stream of the POST that a call came with.
    pub fn stream_of(&self, call: CallNo) -> Option<StreamNo> {
        self.incoming.get(call).map(|call| call.stream)
    }

    /// The progress token that came with a call.
    pub fn progress_token(&self, call: CallNo) -> Option<&ProgressToken> {
        self.incoming.get(call)?.progress.as_ref()
    }

    /// A notification of the client.
    pub fn handle_notification(&mut self, now: Instant, notification: &Notification) -> Effect {
        self.used = true;
        match &*notification.method {
            "notifications/initialized" => {
                self.changes += u64::from(!std::mem::replace(&mut self.initialized, true));
                Effect::Initialized
            }
            "notifications/roots/list_changed" => Effect::RootsChanged,
            "notifications/cancelled" => {
                let params = notification.params.as_ref().and_then(|raw| raw.parse::<CancelledParams>().ok());
                // An unknown or answered request is no error: the cancellation and the answer crossed on the way
                // (https://modelcontextprotocol.io/specification/2025-11-25/basic/utilities/cancellation#error-handling).
                let call = params.and_then(|params| self.incoming.cancel(&params.request_id));
                call.map_or(Effect::Nothing, Effect::Cancel)
            }
            "notifications/progress" => {
                let params = notification.params.as_ref().and_then(|raw| raw.parse::<ProgressParams>().ok());
                let ask = params.and_then(|params| self.outgoing.find_token(&params.progress_token));
                match ask {
                    Some(ask) if self.outgoing.handle_progress(now, ask) => Effect::Progress(ask),
                    _ => Effect::Nothing,
                }
            }
            _ => Effect::Custom,
        }
    }

    /// A response of the client: the request of ours that it answers, or `None` when none waits for it (it came late,
    /// twice, or answers nothing).
    pub fn handle_response(&mut self, response: &Response) -> Option<AskNo> {
        self.used = true;
        let no = self.outgoing.find(response.id.as_ref()?)?;
        self.outgoing.close(no);
        Some(no)
    }

    /// A call is finished. `None` when it was settled before, so a call settles exactly once.
    pub fn handle_done(&mut self, call: CallNo) -> Option<Finish> {
        let call = self.incoming.finish(call)?;
        Some(Finish {
            answer: (!call.cancelled).then_some(call.id),
            stream: call.stream,
            last: !self.incoming.runs_on(call.stream),
            given_up: self.outgoing.close_call(call.no),
        })
    }

    /// A request that we want to send: `from` is the call it belongs to, `None` outside any call.
    ///
    /// # Errors
    ///
    /// [`AskRefused`] says at once why it cannot be sent; nothing is ever sent that the client cannot answer.
    pub fn handle_ask(
        &mut self,
        now: Instant,
        from: Option<CallNo>,
        question: Question,
        roads: Roads,
        patience: Patience,
    ) -> Result<Ask, AskRefused> {
        question.check(self.revision, &self.client.capabilities)?;
        if self.outgoing.len() >= self.limits.asks {
            return Err(AskRefused::TooManyAsks { limit: self.limits.asks });
        }
        let route = self.route(from, MessageKind::Related, roads);
        if let Route::Nowhere(why) = route {
            return Err(AskRefused::NoRoute(why));
        }
        Ok(Ask { no: self.outgoing.open(now, from, route, patience), route })
    }

    /// Nobody waits for this request of ours any more; what is returned is taken back by `notifications/cancelled`.
    pub fn handle_abandon(&mut self, ask: AskNo) -> Option<Expired> {
        self.outgoing.close(ask)
    }

    /// The time is `now`: the requests of ours whose time is up. Each is taken back by `notifications/cancelled`
    /// ([timeouts](https://modelcontextprotocol.io/specification/2025-11-25/basic/lifecycle#timeouts)).
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<Expired> {
        self.outgoing.expire(now)
    }

    /// When [`handle_timeout`](Session::handle_timeout) has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.outgoing.next_deadline()
    }

    /// When the time of this request of ours is up; `None` when it is over.
    pub fn ask_deadline(&self, ask: AskNo) -> Option<Instant> {
        self.outgoing.deadline(ask)
    }

    /// Where a message goes: `from` is the call it belongs to, `None` for what belongs to no request.
    ///
    /// A request's messages go to the stream of its POST, everything else to the standalone stream
    /// ([listening](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#listening-for-messages-from-the-server)).
    /// Progress follows [`ProgressRoute`], and takes the standalone stream while the request's own cannot carry it.
    pub fn route(&self, from: Option<CallNo>, kind: MessageKind, roads: Roads) -> Route {
        let Some(call) = from else { return Route::Standalone };
        let Some(call) = self.incoming.get(call).filter(|call| !call.cancelled) else {
            return Route::Nowhere(NoRoute::CallOver);
        };
        let prefers_standalone = kind == MessageKind::Progress && roads.progress == ProgressRoute::Standalone;
        if prefers_standalone && roads.standalone_open {
            Route::Standalone
        } else if roads.one_json_body {
            Route::Nowhere(NoRoute::OneJsonBody)
        } else {
            Route::Post(call.stream)
        }
    }

    fn set_level(&mut self, request: &Request) -> Begin {
        match parse_params::<SetLevelParams>(request.params.as_ref(), &request.method) {
            Ok(params) => {
                let before = self.level.replace(params.level);
                self.changes += u64::from(before != self.level);
                Begin::Answer(Answer::Empty)
            }
            Err(error) => Begin::Fail(error),
        }
    }

    fn subscribe(&mut self, request: &Request) -> Begin {
        let uri = match parse_params::<ResourceParams>(request.params.as_ref(), &request.method) {
            Ok(params) => params.uri,
            Err(error) => return Begin::Fail(error),
        };
        if uri.len() > self.limits.uri_bytes {
            return Begin::Fail(ErrorObject::new(
                ErrorCode::INVALID_PARAMS,
                format!("`uri` is longer than {} bytes; subscribe to a shorter one", self.limits.uri_bytes),
            ));
        }
        let full = self.subscriptions.len() >= self.limits.subscriptions;
        if full && !self.subscriptions.contains(&uri) {
            return Begin::Fail(ErrorObject::new(
                ErrorCode::INVALID_REQUEST,
                format!(
                    "this session has {} subscriptions, as many as it may have; unsubscribe from one first",
                    self.limits.subscriptions
                ),
            ));
        }
        self.changes += u64::from(self.subscriptions.insert(uri));
        Begin::Answer(Answer::Empty)
    }

    fn unsubscribe(&mut self, request: &Request) -> Begin {
        match parse_params::<ResourceParams>(request.params.as_ref(), &request.method) {
            Ok(params) => {
                self.changes += u64::from(self.subscriptions.remove(&params.uri));
                Begin::Answer(Answer::Empty)
            }
            Err(error) => Begin::Fail(error),
        }
    }
}

/// What a server may ask its client for, as far as the rules of asking depend on it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Question {
    /// `elicitation/create` in form mode.
    ElicitForm,
    /// `elicitation/create` in URL mode.
    ElicitUrl,
    /// `sampling/createMessage`.
    Sample {
        /// It offers tools to the model.
        with_tools: bool,
    },
    /// `roots/list`.
    Roots,
    /// `ping`: every client answers it.
    Ping,
    /// A method that MCP does not define: the client's own business.
    Custom,
}

impl Question {
    /// Whether a client of this revision and these capabilities can be asked
    /// ([capability negotiation](https://modelcontextprotocol.io/specification/2025-11-25/basic/lifecycle#capability-negotiation)).
    ///
    /// # Errors
    ///
    /// What is missing.
    pub fn check(self, revision: Revision, client: &ClientCapabilities) -> Result<(), AskRefused> {
        let (in_revision, declared, capability) = match self {
            Question::ElicitForm => (
                revision.has_elicitation(),
                client.elicitation.is_some_and(|elicitation| elicitation.has_form()),
                "elicitation",
            ),
            Question::ElicitUrl => (
                revision.has_url_elicitation(),
                client.elicitation.is_some_and(|elicitation| elicitation.url),
                "elicitation.url",
            ),
            Question::Sample { with_tools: false } => (true, client.sampling.is_some(), "sampling"),
            Question::Sample { with_tools: true } => (
                revision.has_sampling_tools(),
                client.sampling.is_some_and(|sampling| sampling.tools),
                "sampling.tools",
            ),
            Question::Roots => (true, client.roots.is_some(), "roots"),
            Question::Ping | Question::Custom => return Ok(()),
        };
        if !in_revision {
            return Err(AskRefused::NotInRevision);
        }
        if !declared {
            return Err(AskRefused::NotCapable { capability });
        }
        Ok(())
    }
}

/// The progress token in `_meta`, if there is one
/// ([progress](https://modelcontextprotocol.io/specification/2025-11-25/basic/utilities/progress)).
fn progress_token(outline: &Outline<'_>) -> Result<Option<ProgressToken>, ErrorObject> {
    let Some(token) = meta_outline(outline.meta)?.progress_token else { return Ok(None) };
    let invalid = |why| ErrorObject::new(ErrorCode::INVALID_PARAMS, why);
    match serde_json::from_str::<ProgressToken>(token.get()) {
        Ok(token) if token.is_too_long() => Err(invalid(ProgressToken::TOO_LONG)),
        Ok(token) => Ok(Some(token)),
        Err(_) => Err(invalid("`_meta.progressToken` must be a text or a whole number")),
    }
}

/// Parses the parameters of a method; absent ones count as `{}`.
fn parse_params<T: serde::de::DeserializeOwned>(
    params: Option<&Raw>,
    method: &str,
) -> Result<T, ErrorObject> {
    let text = params.map_or("{}", Raw::as_str);
    serde_json::from_str(text).map_err(|error| {
        ErrorObject::new(
            ErrorCode::INVALID_PARAMS,
            format!("the params of `{method}` do not fit: {}", reason(&error)),
        )
    })
}
