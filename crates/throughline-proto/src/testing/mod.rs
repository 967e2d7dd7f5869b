//! `Pair`: a server and a client on a virtual clock, and a link between them that misbehaves on demand.
//!
//! ```text
//!   Client                          Link                           Server
//!   outcomes, cursors  -- POST, GET: delayed, lost, doubled -->    Session
//!   what arrived       <-- SSE bytes: delayed, cut anywhere --     a Log per stream
//! ```
//!
//! The server does what a shell does: it parses bodies, asks the [`Session`](crate::session::Session), appends every event
//! to the log of its stream before it is sent, and a connection is a reader of that log. A test plays the handlers and the
//! user. Nothing here waits: a test turns the clock.

mod client;
mod link;
mod server;

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use self::client::{Client, Next, ids_in, token_of};
pub(crate) use self::client::{Outcome, Source};
use self::link::{Link, Packet};
use self::server::{Server, Weight};
use crate::jsonrpc::{
    ErrorObject, Raw, RequestId, write_error, write_notification, write_raw_result, write_request,
};
use crate::model::{
    Answer, CancelledParams, ElicitParams, Implementation, LoggingLevel, LoggingMessageParams,
    ProgressParams, PromptsCapability, ResourcesCapability, ServerCapabilities, ServerNotification,
    ServerRequest, ToolsCapability,
};
use crate::revision::Revision;
use crate::session::{
    Ask, AskNo, AskRefused, CallNo, Finish, MessageKind, Offer, Patience, Question, Route, SessionLimits,
    StreamNo,
};

/// A client and a server.
///
/// What is sent arrives when the clock is turned, by [`settle`](Pair::settle) or [`advance`](Pair::advance).
pub(crate) struct Pair {
    pub(crate) now: Instant,
    pub(crate) client: Client,
    pub(crate) server: Server,
    pub(crate) link: Link,
    ids: i64,
    steps: usize,
}

impl Pair {
    /// A session of this revision, initialized, with a client that can do everything.
    pub(crate) fn new(revision: Revision) -> Self {
        Self::with(revision, SessionLimits::default(), ALL_CAPABILITIES)
    }

    /// A session of this revision, initialized.
    pub(crate) fn with(revision: Revision, limits: SessionLimits, capabilities: &str) -> Self {
        Self::unopened(limits).opened(revision, capabilities)
    }

    /// A session of this revision, initialized, whose cursors have this tag.
    pub(crate) fn with_tag(revision: Revision, limits: SessionLimits, tag: u32) -> Self {
        Self::unopened_with_tag(limits, tag).opened(revision, ALL_CAPABILITIES)
    }

    fn opened(self, revision: Revision, capabilities: &str) -> Self {
        let mut pair = self;
        let date = revision.date();
        pair.call(
            "initialize",
            &format!(
                r#"{{"protocolVersion":"{date}","capabilities":{capabilities},"clientInfo":{{"name":"client","version":"1"}}}}"#
            ),
        );
        pair.settle();
        pair.notify("notifications/initialized", "{}");
        pair.settle();
        pair.client.arrived.clear();
        pair.server.effects.clear();
        pair
    }

    /// Before `initialize`.
    pub(crate) fn unopened(limits: SessionLimits) -> Self {
        Self::unopened_with_tag(limits, TAG)
    }

    fn unopened_with_tag(limits: SessionLimits, tag: u32) -> Self {
        let capabilities = ServerCapabilities::new()
            .with_tools(ToolsCapability { list_changed: true })
            .with_prompts(PromptsCapability { list_changed: true })
            .with_resources(ResourcesCapability { subscribe: true, list_changed: true })
            .with_logging(true);
        let info = Implementation::new("server", "1").with_title("Server");
        let offer = Offer::new(info, capabilities);
        Self {
            now: Instant::now(),
            client: Client::default(),
            server: Server::new(offer, limits, tag),
            link: Link::default(),
            ids: 0,
            steps: 0,
        }
    }

    // The client's side

    /// Sends a body as it is. Returns the source that follows its stream, if it has requests.
    pub(crate) fn post(&mut self, body: impl Into<Bytes>) -> Option<usize> {
        let body = body.into();
        let requests = ids_in(&body);
        let conn = self.link.open(self.now, Packet::Post(body));
        let source = self.client.follow(conn, requests.clone(), false, None);
        (!requests.is_empty()).then_some(source)
    }

    /// Sends a request under the next id.
    pub(crate) fn call(&mut self, method: &str, params: &str) -> RequestId {
        let body = self.next_request(method, params);
        self.post(body);
        RequestId::Number(self.ids)
    }

    /// The text of a request with the next id.
    pub(crate) fn next_request(&mut self, method: &str, params: &str) -> Bytes {
        self.ids += 1;
        request(&RequestId::Number(self.ids), method, params)
    }

    /// Calls a tool and wants progress, with the request's id as token.
    pub(crate) fn call_tool(&mut self) -> RequestId {
        let token = self.ids + 1;
        self.call("tools/call", &format!(r#"{{"name":"t","_meta":{{"progressToken":{token}}}}}"#))
    }

    /// Calls several tools in one body.
    pub(crate) fn call_tools(&mut self, count: usize) -> Vec<RequestId> {
        let ids: Vec<_> = (0..count as i64).map(|at| RequestId::Number(self.ids + 1 + at)).collect();
        self.ids += count as i64;
        let entries = ids.iter().map(|id| request(id, "tools/call", r#"{"name":"t"}"#));
        let body =
            entries.reduce(|body, entry| [&body[..], b",", &entry].concat().into()).unwrap_or_default();
        self.post([b"[", &body[..], b"]"].concat());
        ids
    }

    pub(crate) fn notify(&mut self, method: &str, params: &str) {
        let mut body = BytesMut::new();
        write_notification(&mut body, method, Some(&Raw::from_json(params.to_owned()).unwrap())).unwrap();
        self.post(body);
    }

    /// The client gives up a request, and says so.
    pub(crate) fn cancel(&mut self, id: &RequestId) {
        self.client.cancel(id);
        self.notify(
            "notifications/cancelled",
            &serde_json::to_string(&CancelledParams::new(id.clone())).unwrap(),
        );
    }

    /// The client answers a request of the server.
    pub(crate) fn reply(&mut self, id: &RequestId, outcome: Result<&str, ErrorObject>) {
        self.client.asked.retain(|request| request.id != *id);
        let mut body = BytesMut::new();
        match outcome {
            Ok(result) => write_raw_result(&mut body, id, &Raw::from_json(result.to_owned()).unwrap()),
            Err(error) => write_error(&mut body, Some(id), &error),
        }
        self.post(body);
    }

    /// The client makes progress with a request of the server.
    pub(crate) fn client_progress(&mut self, ask: &RequestId) {
        let params = ProgressParams::new(token_of(ask), 1.0);
        self.notify("notifications/progress", &serde_json::to_string(&params).unwrap());
    }

    /// The client opens the standalone stream, once.
    pub(crate) fn listen(&mut self) {
        if !self.client.sources.iter().any(|source| source.is_standalone) {
            self.get(None);
        }
    }

    /// Asks for a stream after a cursor. Returns the source that follows it.
    pub(crate) fn get(&mut self, cursor: Option<&str>) -> usize {
        let conn = self.link.open(self.now, Packet::Get(cursor.map(str::to_owned)));
        self.client.follow(conn, Vec::new(), cursor.is_none(), cursor)
    }

    /// A newer reader takes a stream over, `back` events before the last that was read. `None` when there is nothing to take
    /// over.
    pub(crate) fn take_over(&mut self, source: usize, back: u64) -> Option<usize> {
        let place = self.client.place_to_take_over(source, back)?;
        let conn = self.link.open(self.now, Packet::Get(Some(place.to_string())));
        Some(self.client.take_over(source, conn, place))
    }

    /// Sends a body on a connection that nobody reads.
    pub(crate) fn post_and_leave(&mut self, body: Bytes) {
        self.link.open(self.now, Packet::Post(body));
    }

    /// What became of a request; `None` while it is open.
    pub(crate) fn outcome(&self, id: &RequestId) -> Option<&Outcome> {
        self.client.outcomes[id].as_ref()
    }

    // The link

    /// Cuts the connection of a source, after `kept` more bytes of what is on its way to the client. The server does not
    /// notice, as with a connection that is half open.
    pub(crate) fn cut(&mut self, source: usize, kept: usize) {
        let Some(conn) = self.client.sources[source].conn else { return };
        let mut left = kept;
        for packet in self.link.cut(conn) {
            if let Packet::Bytes(bytes) = packet {
                let arrives = bytes.slice(..left.min(bytes.len()));
                left -= arrives.len();
                self.client.handle(self.now, source, Packet::Bytes(arrives));
            }
        }
        self.deliver(source, Packet::Broken);
    }

    /// Turns the clock. What arrives or runs out by then does so, in order.
    pub(crate) fn advance(&mut self, by: Duration) {
        let until = self.now + by;
        while self.step(until) {}
        self.now = until;
    }

    /// Turns the clock until nothing is on its way.
    pub(crate) fn settle(&mut self) {
        while let Some(next) = self.link.next_arrival() {
            self.step(next.max(self.now));
        }
    }

    /// The next thing that happens, if it does so by `until`: one packet arrives, or the time of asks is up.
    pub(crate) fn step(&mut self, until: Instant) -> bool {
        let arrival = self.link.next_arrival();
        let deadline = self.server.session.as_ref().and_then(|session| session.poll_timeout());
        let Some(next) = arrival.into_iter().chain(deadline).min().filter(|next| *next <= until) else {
            return false;
        };
        self.now = self.now.max(next);
        self.steps += 1;
        assert!(self.steps < MOST_STEPS, "the two go in circles");
        if deadline.is_some_and(|deadline| deadline <= self.now) {
            let expired = self.server.session().handle_timeout(self.now);
            assert!(!expired.is_empty(), "`poll_timeout` named a time at which nothing runs out");
            for ask in expired {
                self.server.take_back(self.now, &mut self.link, ask);
            }
            return true;
        }
        if let Some((conn, packet)) = self.link.arrive(self.now) {
            match packet {
                Packet::Post(_) | Packet::Get(_) => {
                    self.server.handle(self.now, &mut self.link, conn, packet);
                }
                packet => {
                    // A connection that the client has left delivers nothing.
                    if let Some(source) = self.client.source_of(conn) {
                        self.deliver(source, packet);
                    }
                }
            }
        }
        true
    }

    fn deliver(&mut self, source: usize, packet: Packet) {
        if let Next::Resume(at, cursor) = self.client.handle(self.now, source, packet) {
            let conn = self.link.open(at, Packet::Get(cursor));
            self.client.sources[source].conn = Some(conn);
        }
    }

    // The server's side

    /// The call that runs for a request of the client.
    pub(crate) fn running(&self, id: &RequestId) -> CallNo {
        self.server.running.iter().find(|running| running.id == *id).expect("the request runs").call
    }

    /// The handler answers.
    pub(crate) fn answer(&mut self, call: CallNo, outcome: Result<Answer, ErrorObject>) -> Option<Finish> {
        self.server.done(self.now, &mut self.link, call, outcome)
    }

    /// The handler answers with an empty result.
    pub(crate) fn finish(&mut self, call: CallNo) -> Option<Finish> {
        self.answer(call, Ok(Answer::Empty))
    }

    /// The handler makes progress. Returns where it went; `None` without a token.
    pub(crate) fn progress(&mut self, call: CallNo, progress: f64) -> Option<Route> {
        let token = self.server.session().progress_token(call)?.clone();
        let params = ProgressParams::new(token, progress).with_message("on the way");
        Some(self.tell(Some(call), MessageKind::Progress, ServerNotification::Progress(params)))
    }

    /// The handler logs. Returns where it went; `None` when the client does not want it.
    pub(crate) fn log(&mut self, call: CallNo, level: LoggingLevel, data: &Raw) -> Option<Route> {
        if !self.server.session().wants_log(level) {
            return None;
        }
        let params = LoggingMessageParams::new(level, data.clone());
        Some(self.tell(Some(call), MessageKind::Related, ServerNotification::LoggingMessage(params)))
    }

    /// The server sends a notification, about a call or none.
    pub(crate) fn tell(
        &mut self,
        from: Option<CallNo>,
        kind: MessageKind,
        mut notification: ServerNotification,
    ) -> Route {
        let roads = self.server.roads();
        let session = self.server.session();
        let route = session.route(from, kind, roads);
        let mut out = BytesMut::new();
        session.revision().write_server_notification(&mut out, &mut notification).unwrap();
        self.server.send_by(self.now, &mut self.link, route, &out, Weight { keep: false, ends: false });
        route
    }

    /// The server asks the client.
    pub(crate) fn ask(
        &mut self,
        from: Option<CallNo>,
        mut request: ServerRequest,
        patience: Patience,
    ) -> Result<Ask, AskRefused> {
        let question = question(&request);
        let roads = self.server.roads();
        let session = self.server.session();
        let ask = session.handle_ask(self.now, from, question, roads, patience)?;
        let mut out = BytesMut::new();
        session.revision().write_server_request(&mut out, &ask.no.request_id(), &mut request).unwrap();
        self.server.send_by(self.now, &mut self.link, ask.route, &out, Weight { keep: true, ends: false });
        Ok(ask)
    }

    /// The server pings the client and waits so long.
    pub(crate) fn ping(&mut self, from: Option<CallNo>, patience: Duration) -> Result<Ask, AskRefused> {
        self.ask(from, ServerRequest::Ping(Default::default()), Patience::new(patience))
    }

    /// The handler no longer waits for an answer.
    pub(crate) fn abandon(&mut self, ask: AskNo) -> bool {
        let Some(expired) = self.server.session().handle_abandon(ask) else { return false };
        self.server.take_back(self.now, &mut self.link, expired);
        true
    }

    /// The log of a stream keeps only so many events.
    pub(crate) fn trim(&mut self, stream: StreamNo, events: usize) {
        self.server.trim(stream, events);
    }
}

/// The text of a request.
pub(crate) fn request(id: &RequestId, method: &str, params: &str) -> Bytes {
    let mut body = BytesMut::new();
    write_request(&mut body, id, method, &Raw::from_json(params.to_owned()).unwrap()).unwrap();
    body.freeze()
}

/// What a request of a server is, for the rules of asking.
pub(crate) fn question(request: &ServerRequest) -> Question {
    match request {
        ServerRequest::Ping(_) => Question::Ping,
        ServerRequest::ListRoots(_) => Question::Roots,
        ServerRequest::CreateMessage(params) => Question::Sample { with_tools: params.uses_tools() },
        ServerRequest::Elicit(ElicitParams::Form(_)) => Question::ElicitForm,
        ServerRequest::Elicit(ElicitParams::Url(_)) => Question::ElicitUrl,
    }
}

/// What a client says that can be asked everything.
pub(crate) const ALL_CAPABILITIES: &str =
    r#"{"roots":{},"sampling":{"tools":{}},"elicitation":{"form":{},"url":{}}}"#;

/// The tag of a session's cursors, where a test has one session.
const TAG: u32 = 0x0bad_cafe;

/// Far more than any test takes: two sides that only ever reconnect are found out, and no test hangs.
const MOST_STEPS: usize = 20_000;
