//! Any sequence of operations, over a link that does anything, against a simple model.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::model::ServerNotification;
use crate::testing::ALL_CAPABILITIES;

/// What may happen. Numbers pick one of what there is at that moment.
#[derive(Clone, Debug)]
enum Op {
    // The client
    Call,
    Batch(usize),
    SetLevel,
    Cancel(usize),
    CancelUnknown,
    Reply(usize),
    ReplyTwice(usize),
    ClientProgress(usize),
    Listen,
    // The handlers
    Finish(usize),
    Progress(usize),
    Log(usize),
    Ask(Option<usize>, u64),
    Abandon(usize),
    Tell,
    // The link and the clock
    Delay(u64),
    DropNext,
    DuplicateNext,
    Cut(usize, usize),
    Wait(u64),
    Settle,
}

fn op() -> impl Strategy<Value = Op> {
    let pick = any::<usize>;
    prop_oneof![
        8 => Just(Op::Call),
        2 => (1..4_usize).prop_map(Op::Batch),
        1 => Just(Op::SetLevel),
        3 => pick().prop_map(Op::Cancel),
        1 => Just(Op::CancelUnknown),
        3 => pick().prop_map(Op::Reply),
        1 => pick().prop_map(Op::ReplyTwice),
        2 => pick().prop_map(Op::ClientProgress),
        2 => Just(Op::Listen),
        6 => pick().prop_map(Op::Finish),
        5 => pick().prop_map(Op::Progress),
        2 => pick().prop_map(Op::Log),
        6 => (prop::option::weighted(0.8, pick()), 1..30_u64).prop_map(|(call, patience)| Op::Ask(call, patience)),
        1 => pick().prop_map(Op::Abandon),
        3 => Just(Op::Tell),
        2 => (0..3_000_u64).prop_map(Op::Delay),
        1 => Just(Op::DropNext),
        1 => Just(Op::DuplicateNext),
        5 => (pick(), 0..400_usize).prop_map(|(source, kept)| Op::Cut(source, kept)),
        4 => (0..10_000_u64).prop_map(Op::Wait),
        4 => Just(Op::Settle),
    ]
}

/// What the server's session should hold.
#[derive(Default)]
struct Model {
    /// Calls without an answer.
    calls: BTreeMap<CallNo, Call>,
    /// Every ask there ever was.
    asks: BTreeMap<AskNo, Option<Ask>>,
    /// How much of the server's records was looked at.
    effects: usize,
    answers: usize,
    given_up: usize,
    seen: BTreeSet<CallNo>,
    /// Calls that ended, and asks that were abandoned, since the last look.
    over: BTreeSet<CallNo>,
    abandoned: BTreeSet<AskNo>,
}

struct Call {
    id: RequestId,
    stream: StreamNo,
    cancelled: bool,
}

#[derive(Clone, Copy)]
struct Ask {
    call: Option<CallNo>,
    route: Route,
    patience: Duration,
    deadline: Instant,
    total: Instant,
}

impl Model {
    /// Takes in what one step did, and compares.
    fn observe(&mut self, pair: &mut Pair) {
        for running in &pair.server.running {
            if self.seen.insert(running.call) {
                let call = Call { id: running.id.clone(), stream: running.stream, cancelled: false };
                self.calls.insert(running.call, call);
            }
        }
        for effect in &pair.server.effects[self.effects..] {
            match effect {
                Effect::Cancel(call) => {
                    let call = self.calls.get_mut(call).expect("only a running call is cancelled");
                    assert!(!std::mem::replace(&mut call.cancelled, true), "a call is cancelled once");
                }
                Effect::Progress(ask) => {
                    let ask =
                        self.asks.get_mut(ask).and_then(Option::as_mut).expect("progress of an open ask");
                    ask.deadline = (pair.now + ask.patience).min(ask.total);
                }
                _ => {}
            }
        }
        self.effects = pair.server.effects.len();
        for (ask, _) in &pair.server.answers[self.answers..] {
            assert!(self.close(*ask).is_some(), "an ask is answered while it is open, and once");
        }
        self.answers = pair.server.answers.len();
        for expired in &pair.server.given_up[self.given_up..] {
            let ask = self.close(expired.ask).expect("an ask is given up while it is open, and once");
            assert_eq!((expired.call, expired.route), (ask.call, ask.route));
            let with_call = ask.call.is_some_and(|call| self.over.contains(&call));
            let in_time = pair.now < ask.deadline;
            assert!(
                with_call || !in_time || self.abandoned.contains(&expired.ask),
                "an ask is given up for a reason"
            );
        }
        self.given_up = pair.server.given_up.len();
        self.over.clear();
        self.abandoned.clear();
        self.compare(pair.server.session());
        assert_sound(pair);
    }

    fn compare(&self, session: &Session) {
        let open = || self.asks.values().flatten();
        assert_eq!(session.calls_in_flight(), self.calls.len());
        assert_eq!(session.poll_timeout(), open().map(|ask| ask.deadline).min());
        assert_eq!(session.is_idle(), self.calls.is_empty() && open().next().is_none());
        for (no, ask) in &self.asks {
            assert_eq!(session.ask_deadline(*no), ask.map(|ask| ask.deadline), "{no:?}");
            let call_is_over = |call: CallNo| !self.calls.contains_key(&call);
            assert!(!ask.and_then(|ask| ask.call).is_some_and(call_is_over), "{no:?} is open after its call");
        }
        for (no, call) in &self.calls {
            assert_eq!(session.is_cancelled(*no), call.cancelled);
        }
    }

    fn close(&mut self, ask: AskNo) -> Option<Ask> {
        self.asks.get_mut(&ask)?.take()
    }

    fn finish(&mut self, pair: &mut Pair, no: CallNo) {
        let call = self.calls.remove(&no).expect("it runs");
        let asks: Vec<_> = self
            .asks
            .iter()
            .filter(|(_, ask)| ask.is_some_and(|ask| ask.call == Some(no)))
            .map(|(no, _)| *no)
            .collect();
        self.over.insert(no);
        let finish = pair.finish(no).expect("a call that runs settles");
        assert_eq!(
            finish.answer,
            (!call.cancelled).then_some(call.id),
            "a cancelled call is not answered, any other is"
        );
        assert_eq!(finish.stream, call.stream);
        assert_eq!(finish.last, !self.calls.values().any(|other| other.stream == call.stream));
        assert_eq!(finish.given_up.iter().map(|expired| expired.ask).collect::<Vec<_>>(), asks);
        assert_eq!(pair.server.session().handle_done(no), None, "it settles once");
    }

    fn ask(&mut self, pair: &mut Pair, call: Option<CallNo>, patience: Duration) {
        // Half as much again in total, so that progress meets the end of it.
        let total = patience * 3 / 2;
        let open = self.asks.values().flatten().count();
        let asked = pair.ask(
            call,
            crate::model::ServerRequest::Ping(Default::default()),
            Patience::new(patience).max_total(total),
        );
        if open >= LIMITS.asks {
            assert_eq!(asked, Err(AskRefused::TooManyAsks { limit: LIMITS.asks }));
        } else if call.is_some_and(|call| self.calls[&call].cancelled) {
            assert_eq!(asked, Err(AskRefused::NoRoute(NoRoute::CallOver)));
        } else {
            let asked = asked.expect("nothing speaks against it");
            let route = call.map_or(Route::Standalone, |call| Route::Post(self.calls[&call].stream));
            assert_eq!(asked.route, route);
            assert!(
                self.asks.last_key_value().is_none_or(|(last, _)| *last < asked.no),
                "no number is used twice"
            );
            let ask = Ask { call, route, patience, deadline: pair.now + patience, total: pair.now + total };
            self.asks.insert(asked.no, Some(ask));
        }
    }
}

/// One of `all`, whatever the number.
fn pick<T: Clone>(all: &[T], number: usize) -> Option<T> {
    (!all.is_empty()).then(|| all[number % all.len()].clone())
}

fn apply(pair: &mut Pair, model: &mut Model, op: Op) {
    let running: Vec<_> = model.calls.keys().copied().collect();
    let asked: Vec<_> = pair.client.asked.iter().map(|request| request.id.clone()).collect();
    match op {
        Op::Call => drop(pair.call_tool()),
        Op::Batch(count) if pair.server.session().revision().has_batches() => drop(pair.call_tools(count)),
        Op::Batch(_) => {}
        Op::SetLevel => drop(pair.call("logging/setLevel", r#"{"level":"debug"}"#)),
        Op::Cancel(number) => {
            let open = pair.client.outcomes.iter().filter(|(_, outcome)| outcome.is_none());
            let open: Vec<_> = open.map(|(id, _)| id.clone()).collect();
            if let Some(id) = pick(&open, number) {
                pair.cancel(&id);
            }
        }
        Op::CancelUnknown => pair.notify("notifications/cancelled", r#"{"requestId":"nobody's"}"#),
        Op::Reply(number) => {
            if let Some(id) = pick(&asked, number) {
                pair.reply(&id, Ok("{}"));
            }
        }
        Op::ReplyTwice(number) => {
            if let Some(id) = pick(&asked, number) {
                pair.reply(&id, Ok("{}"));
                pair.reply(&id, Err(ErrorObject::new(ErrorCode::INTERNAL_ERROR, "again")));
            }
        }
        Op::ClientProgress(number) => {
            if let Some(id) = pick(&asked, number) {
                pair.client_progress(&id);
            }
        }
        Op::Listen => pair.listen(),
        Op::Finish(number) => {
            if let Some(call) = pick(&running, number) {
                model.finish(pair, call);
            }
        }
        Op::Progress(number) => {
            if let Some(call) = pick(&running, number) {
                let route = pair.progress(call, 1.0);
                let is_nowhere = route == Some(Route::Nowhere(NoRoute::CallOver));
                assert_eq!(is_nowhere, route.is_some() && model.calls[&call].cancelled);
            }
        }
        Op::Log(number) => {
            if let Some(call) = pick(&running, number) {
                pair.log(call, LoggingLevel::Info, &Raw::null());
            }
        }
        Op::Ask(number, seconds) => {
            let call = number.map(|number| pick(&running, number));
            if call != Some(None) {
                model.ask(pair, call.flatten(), Duration::from_secs(seconds));
            }
        }
        Op::Abandon(number) => {
            let open: Vec<_> =
                model.asks.iter().filter(|(_, ask)| ask.is_some()).map(|(no, _)| *no).collect();
            if let Some(ask) = pick(&open, number) {
                model.abandoned.insert(ask);
                assert!(pair.abandon(ask));
            }
        }
        Op::Tell => {
            pair.tell(None, MessageKind::Related, ServerNotification::ToolListChanged(Default::default()));
        }
        Op::Delay(millis) => pair.link.delay = Duration::from_millis(millis),
        Op::DropNext => pair.link.drop_next += 1,
        Op::DuplicateNext => pair.link.duplicate_next += 1,
        Op::Cut(number, kept) => {
            let open = |at: &usize| pair.client.sources[*at].conn.is_some();
            let open: Vec<_> = (0..pair.client.sources.len()).filter(open).collect();
            if let Some(source) = pick(&open, number) {
                pair.cut(source, kept);
            }
        }
        Op::Wait(millis) => {
            let until = pair.now + Duration::from_millis(millis);
            while pair.step(until) {
                model.observe(pair);
            }
            pair.now = until;
        }
        Op::Settle => settle(pair, model),
    }
    model.observe(pair);
}

fn settle(pair: &mut Pair, model: &mut Model) {
    while let Some(next) = pair.link.next_arrival() {
        pair.step(next.max(pair.now));
        model.observe(pair);
    }
}

/// The link behaves, and every handler comes to its end.
fn heal(pair: &mut Pair, model: &mut Model) {
    pair.link.delay = Duration::ZERO;
    pair.link.drop_next = 0;
    pair.link.duplicate_next = 0;
    settle(pair, model);
    while let Some(call) = model.calls.keys().next().copied() {
        model.finish(pair, call);
        model.observe(pair);
        settle(pair, model);
    }
    apply(pair, model, Op::Wait(60_000));
    settle(pair, model);
}

/// Every call has become one thing, and who reads a stream has read all of it.
fn assert_healed(pair: &mut Pair) {
    assert!(pair.server.session().is_idle());
    for (id, outcome) in &pair.client.outcomes {
        let outcome = outcome.as_ref().unwrap_or_else(|| panic!("{id:?} never became anything"));
        assert_ne!(*outcome, Outcome::Unanswered, "{id:?}: its stream ended without an answer");
    }
    let mut read = BTreeSet::new();
    for event in pair.client.arrived.iter().filter(|event| !event.text.is_empty()) {
        assert!(read.insert((event.stream, event.seq)), "{event:?} was read twice");
        assert_eq!(event.text, pair.server.sent[&event.stream][event.seq as usize - 1]);
    }
    for (at, source) in pair.client.sources.iter().enumerate() {
        let Some(place) = pair.client.place(at) else { continue };
        // A client reads on for an answer. Once it gave up a request, it need not come back for the rest.
        let gave_up = source.requests.iter().any(|id| pair.outcome(id) == Some(&Outcome::Cancelled));
        if !gave_up {
            assert_eq!(place.seq, pair.server.head(place.stream), "{source:?} has not read all");
        }
    }
}

const LIMITS: SessionLimits =
    SessionLimits { calls: 6, asks: 4, subscriptions: 2, initialize_bytes: 4096, uri_bytes: 64 };

proptest! {
    #[test]
    fn whatever_happens_calls_settle_once_and_events_arrive_once(
        revision in prop::sample::select(Revision::LEGACY.to_vec()),
        standalone_progress: bool,
        ops in vec(op(), 1..80),
    ) {
        let mut pair = Pair::with(revision, LIMITS, ALL_CAPABILITIES);
        if standalone_progress {
            pair.server.roads.progress = ProgressRoute::Standalone;
        }
        let mut model = Model::default();
        for op in ops {
            apply(&mut pair, &mut model, op);
        }
        heal(&mut pair, &mut model);
        assert_healed(&mut pair);
    }

    /// The end of a session: what the shell does leaves nothing open.
    #[test]
    fn no_ask_outlives_its_session(ops in vec(op(), 1..40)) {
        let mut pair = Pair::with(Revision::LATEST_LEGACY, LIMITS, ALL_CAPABILITIES);
        let mut model = Model::default();
        for op in ops {
            apply(&mut pair, &mut model, op);
        }
        for call in model.calls.keys().copied().collect::<Vec<_>>() {
            model.finish(&mut pair, call);
            model.observe(&mut pair);
        }
        let left: Vec<_> = model.asks.iter().filter(|(_, ask)| ask.is_some()).map(|(no, ask)| (*no, *ask)).collect();
        for (no, ask) in left {
            prop_assert_eq!(ask.unwrap().call, None, "what belongs to a call went with it");
            model.abandoned.insert(no);
            prop_assert!(pair.abandon(no));
            model.observe(&mut pair);
        }
        prop_assert!(pair.server.session().is_idle());
    }
}
