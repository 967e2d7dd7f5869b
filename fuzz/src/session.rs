use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use throughline_proto::jsonrpc::{Notification, Raw, Request, RequestId, Response, outline};
use throughline_proto::model::{Implementation, ResourcesCapability, ServerCapabilities};
use throughline_proto::revision::Revision;
use throughline_proto::session::{
    AskNo, Begin, CallNo, Effect, Expired, MessageKind, Offer, Patience, ProgressRoute, Question, Refused,
    Roads, Route, Session, SessionLimits, StreamNo,
};

use crate::input::Input;

const LIMITS: SessionLimits =
    SessionLimits { calls: 5, asks: 4, subscriptions: 3, initialize_bytes: 4_096, uri_bytes: 32 };

/// Bytes as operations on a session, beside a model of it: every request settles once, every ask is over once, limits hold,
/// time runs out when it was said to, and messages go where they belong.
pub fn session(data: &[u8]) {
    let mut input = Input::new(data);
    let capabilities = [
        "{}",
        r#"{"roots":{}}"#,
        r#"{"roots":{},"sampling":{"tools":{}},"elicitation":{"form":{},"url":{}}}"#,
    ];
    let revision = Revision::LEGACY[input.below(Revision::LEGACY.len())];
    let mut world = World::open(revision, capabilities[input.below(capabilities.len())]);
    while !input.is_empty() {
        world.step(&mut input);
        world.compare();
    }
    world.end();
}

struct World {
    session: Session,
    now: Instant,
    calls: BTreeMap<CallNo, Call>,
    asks: BTreeMap<AskNo, Ask>,
    last_call: Option<CallNo>,
    last_ask: Option<AskNo>,
    last_stream: StreamNo,
    subscriptions: std::collections::BTreeSet<String>,
}

struct Call {
    id: RequestId,
    stream: StreamNo,
    cancelled: bool,
}

struct Ask {
    call: Option<CallNo>,
    route: Route,
    deadline: Instant,
}

impl World {
    fn open(revision: Revision, capabilities: &str) -> Self {
        let mut offered = ServerCapabilities::new().with_logging(true);
        offered = offered.with_resources(ResourcesCapability { subscribe: true, list_changed: true });
        let offer = Offer::new(Implementation::new("server", "1"), offered);
        let params = format!(
            r#"{{"protocolVersion":"{}","capabilities":{capabilities},"clientInfo":{{"name":"c","version":"1"}}}}"#,
            revision.date()
        );
        let params = Raw::from_json(params).expect("JSON");
        let (session, result) = Session::open(Some(&params), &offer, 7, LIMITS).expect("it is sound");
        assert_eq!(result.protocol_version, revision.date());
        #[expect(
            clippy::disallowed_methods,
            reason = "a clock needs a first instant; it is turned by hand from there"
        )]
        let now = Instant::now();
        Self {
            session,
            now,
            calls: BTreeMap::new(),
            asks: BTreeMap::new(),
            last_call: None,
            last_ask: None,
            last_stream: StreamNo::STANDALONE,
            subscriptions: Default::default(),
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.byte() % 12 {
            0 | 1 => self.request(input),
            2 => self.method(input),
            3 => self.done(input),
            4 => self.cancel(input),
            5 | 6 => self.ask(input),
            7 => self.respond(input),
            8 => self.progress(input),
            9 => self.abandon(input),
            10 => self.wait(input),
            _ => self.resume(input),
        }
    }

    /// A call under one of a few ids, so that some are taken; alone or on the stream of the one before, as in a batch.
    fn request(&mut self, input: &mut Input<'_>) {
        let id = id(input);
        if input.below(3) > 0 || self.last_stream == StreamNo::STANDALONE {
            self.open_stream();
        }
        let params = raw(r#"{"name":"t","_meta":{"progressToken":1}}"#);
        let request = Request { id: id.clone(), method: "tools/call".into(), params: Some(params.clone()) };
        let begun =
            self.session.handle_request(self.last_stream, &request, &outline(Some(&params)).expect("sound"));
        let taken = self.calls.values().any(|call| call.id == id);
        match begun {
            Begin::Run(no) => {
                assert!(!taken && self.calls.len() < LIMITS.calls);
                assert!(self.last_call.is_none_or(|last| last < no), "no number is used twice");
                self.last_call = Some(no);
                self.calls.insert(no, Call { id, stream: self.last_stream, cancelled: false });
            }
            Begin::Refuse(Refused::DuplicateId) => assert!(taken),
            Begin::Refuse(Refused::TooManyCalls { .. }) => {
                assert!(!taken && self.calls.len() == LIMITS.calls)
            }
            other => panic!("a call runs or is refused: {other:?}"),
        }
    }

    /// A request that the engine answers itself, with parameters that may be anything.
    fn method(&mut self, input: &mut Input<'_>) {
        let stream = self.open_stream();
        let method =
            ["ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe", "initialize"]
                [input.below(5)];
        let uri = String::from_utf8_lossy(input.piece()).into_owned();
        let params = match input.below(3) {
            0 => raw(&serde_json::json!({ "uri": uri, "level": "debug" }).to_string()),
            1 => raw(r#"{"level":7,"uri":[]}"#),
            _ => Raw::from_json(uri.clone()).ok().filter(Raw::is_object).unwrap_or_else(Raw::empty_object),
        };
        let request = Request { id: id(input), method: method.into(), params: Some(params.clone()) };
        let Ok(outlined) = outline(Some(&params)) else { return };
        let before = self.subscriptions.len();
        let begun = self.session.handle_request(stream, &request, &outlined);
        let is_fine = matches!(begun, Begin::Answer(_));
        assert!(!matches!(begun, Begin::Run(_)));
        let Some(uri) = is_fine
            .then(|| params.parse::<serde_json::Value>().ok())
            .flatten()
            .and_then(|value| value["uri"].as_str().map(str::to_owned))
        else {
            return;
        };
        match method {
            "resources/subscribe" => {
                assert!(
                    uri.len() <= LIMITS.uri_bytes
                        && (before < LIMITS.subscriptions || self.subscriptions.contains(&uri))
                );
                self.subscriptions.insert(uri);
            }
            "resources/unsubscribe" => {
                self.subscriptions.remove(&uri);
            }
            _ => {}
        }
    }

    fn done(&mut self, input: &mut Input<'_>) {
        let Some(no) = pick(&self.calls, input) else {
            assert_eq!(self.session.handle_done(CallNo(u64::from(input.byte()) << 32)), None);
            return;
        };
        let call = self.calls.remove(&no).expect("it was picked");
        let finish = self.session.handle_done(no).expect("it runs");
        assert_eq!(finish.answer, (!call.cancelled).then_some(call.id));
        assert_eq!(finish.stream, call.stream);
        assert_eq!(finish.last, self.calls.values().all(|other| other.stream != call.stream));
        let given_up: Vec<_> =
            self.asks.iter().filter(|(_, ask)| ask.call == Some(no)).map(|(no, _)| *no).collect();
        assert_eq!(finish.given_up.iter().map(|expired| expired.ask).collect::<Vec<_>>(), given_up);
        finish.given_up.iter().for_each(|expired| self.over(expired));
        assert_eq!(self.session.handle_done(no), None, "it settles once");
    }

    fn cancel(&mut self, input: &mut Input<'_>) {
        let id = id(input);
        let params = raw(&format!(r#"{{"requestId":{}}}"#, serde_json::to_string(&id).expect("an id")));
        let effect = self.notify("notifications/cancelled", params);
        let running = self.calls.iter_mut().find(|(_, call)| call.id == id && !call.cancelled);
        match running {
            Some((no, call)) => {
                assert_eq!(effect, Effect::Cancel(*no));
                call.cancelled = true;
            }
            None => assert_eq!(effect, Effect::Nothing),
        }
    }

    fn ask(&mut self, input: &mut Input<'_>) {
        let question = [
            Question::Ping,
            Question::Roots,
            Question::ElicitForm,
            Question::ElicitUrl,
            Question::Sample { with_tools: true },
            Question::Sample { with_tools: false },
            Question::Custom,
        ][input.below(7)];
        let from = if input.below(4) == 0 { None } else { pick(&self.calls, input) };
        let roads = Roads {
            one_json_body: input.below(4) == 0,
            standalone_open: input.below(2) == 0,
            progress: [ProgressRoute::Request, ProgressRoute::Standalone][input.below(2)],
        };
        let seconds = u64::from(input.byte());
        let patience =
            Patience::new(Duration::from_secs(seconds)).max_total(Duration::from_secs(seconds * 2));
        let route = self.session.route(from, MessageKind::Related, roads);
        if let Some(call) = from {
            let call = &self.calls[&call];
            assert!(
                matches!(route, Route::Nowhere(_)) || (route == Route::Post(call.stream) && !call.cancelled)
            );
        } else {
            assert_eq!(route, Route::Standalone);
        }
        let Ok(asked) = self.session.handle_ask(self.now, from, question, roads, patience) else { return };
        assert!(self.asks.len() < LIMITS.asks && !matches!(asked.route, Route::Nowhere(_)));
        assert_eq!(asked.route, route);
        assert!(self.last_ask.is_none_or(|last| last < asked.no), "no number is used twice");
        self.last_ask = Some(asked.no);
        let deadline = self.session.ask_deadline(asked.no).expect("it is open");
        self.asks.insert(asked.no, Ask { call: from, route, deadline });
    }

    fn respond(&mut self, input: &mut Input<'_>) {
        let open = pick(&self.asks, input);
        let id = match open {
            Some(no) if input.below(4) > 0 => no.request_id(),
            _ => id(input),
        };
        let is_open = self.asks.keys().copied().find(|no| no.request_id() == id);
        let response = Response { id: Some(id), outcome: Ok(Raw::empty_object()) };
        assert_eq!(self.session.handle_response(&response), is_open);
        if let Some(no) = is_open {
            self.asks.remove(&no);
            assert_eq!(self.session.handle_response(&response), None, "it is answered once");
        }
    }

    fn progress(&mut self, input: &mut Input<'_>) {
        let Some(no) = pick(&self.asks, input) else { return };
        let token = serde_json::to_string(&no.request_id()).expect("an id");
        let effect = self
            .notify("notifications/progress", raw(&format!(r#"{{"progressToken":{token},"progress":1}}"#)));
        assert_eq!(effect, Effect::Progress(no));
        let renewed = self.session.ask_deadline(no).expect("it is open");
        let ask = self.asks.get_mut(&no).expect("it was picked");
        assert!(renewed >= ask.deadline, "progress never shortens the wait");
        ask.deadline = renewed;
    }

    fn abandon(&mut self, input: &mut Input<'_>) {
        match pick(&self.asks, input) {
            Some(no) => {
                let expired = self.session.handle_abandon(no).expect("it is open");
                self.over(&expired);
                assert_eq!(self.session.handle_abandon(no), None);
            }
            None => assert_eq!(self.session.handle_abandon(AskNo(u64::MAX >> 1)), None),
        }
    }

    fn wait(&mut self, input: &mut Input<'_>) {
        self.now += Duration::from_secs(u64::from(input.byte()));
        let due = self.session.poll_timeout().is_some_and(|at| at <= self.now);
        let expired = self.session.handle_timeout(self.now);
        assert_eq!(due, !expired.is_empty(), "time runs out when it was said to");
        for expired in &expired {
            assert!(self.asks[&expired.ask].deadline <= self.now);
            self.over(expired);
        }
    }

    fn resume(&mut self, input: &mut Input<'_>) {
        let cursor = self.session.cursor(StreamNo(u64::from(input.byte())), u64::from(input.byte()));
        let known = self.session.resume(&cursor.to_string());
        assert_eq!(known, Some(cursor).filter(|cursor| cursor.stream <= self.last_stream));
        let text = String::from_utf8_lossy(input.piece()).into_owned();
        if let Some(cursor) = self.session.resume(&text) {
            assert_eq!((cursor.tag, cursor.to_string()), (7, text));
        }
    }

    fn open_stream(&mut self) -> StreamNo {
        let stream = self.session.open_stream();
        assert!(stream > self.last_stream, "each has a number of its own");
        self.last_stream = stream;
        stream
    }

    fn notify(&mut self, method: &'static str, params: Raw) -> Effect {
        self.session
            .handle_notification(self.now, &Notification { method: method.into(), params: Some(params) })
    }

    fn over(&mut self, expired: &Expired) {
        let ask = self.asks.remove(&expired.ask).expect("an ask is over once");
        assert_eq!((expired.call, expired.route), (ask.call, ask.route));
    }

    fn compare(&self) {
        assert_eq!(self.session.calls_in_flight(), self.calls.len());
        assert_eq!(self.session.is_idle(), self.calls.is_empty() && self.asks.is_empty());
        assert_eq!(self.session.poll_timeout(), self.asks.values().map(|ask| ask.deadline).min());
        for (no, call) in &self.calls {
            assert_eq!(self.session.is_cancelled(*no), call.cancelled);
            assert!(self.session.is_in_flight(&call.id));
        }
        for ask in self.asks.values() {
            assert!(ask.call.is_none_or(|call| self.calls.contains_key(&call)), "no ask outlives its call");
        }
        assert!(self.subscriptions.iter().all(|uri| self.session.is_subscribed(uri)));
        assert!(self.subscriptions.len() <= LIMITS.subscriptions);
    }

    /// Every handler comes to its end, and nothing is left.
    fn end(mut self) {
        while let Some(no) = self.calls.keys().next().copied() {
            let finish = self.session.handle_done(no).expect("it runs");
            finish.given_up.iter().for_each(|expired| self.over(expired));
            self.calls.remove(&no);
        }
        while let Some(no) = self.asks.keys().next().copied() {
            let expired = self.session.handle_abandon(no).expect("it is open");
            self.over(&expired);
        }
        assert!(self.session.is_idle());
        self.compare();
    }
}

/// One of few, of both types.
fn id(input: &mut Input<'_>) -> RequestId {
    let number = input.byte() % 8;
    if input.below(4) == 0 {
        RequestId::String(number.to_string().into())
    } else {
        RequestId::Number(number.into())
    }
}

fn raw(text: &str) -> Raw {
    Raw::from_json(text.to_owned()).expect("JSON")
}

fn pick<K: Copy + Ord, V>(of: &BTreeMap<K, V>, input: &mut Input<'_>) -> Option<K> {
    of.keys().copied().nth(input.below(of.len()))
}
