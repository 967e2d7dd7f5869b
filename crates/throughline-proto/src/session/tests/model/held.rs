//! What the server's session should hold, and the invariants of every moment.

use std::collections::{BTreeMap, BTreeSet};

use super::super::*;
use super::{BUDGETS, CROSSING, DELIVERED, LIMITS, ROUTED, SETTLED, TIMERS};

/// What the server's session should hold.
#[derive(Default)]
pub(super) struct Model {
    /// Calls without an answer.
    pub(super) calls: BTreeMap<CallNo, Call>,
    /// Every ask there ever was.
    pub(super) asks: BTreeMap<AskNo, Option<Ask>>,
    /// Where the client tried to read with the cursor of another session.
    pub(super) foreign: Vec<usize>,
    /// How much of the server's records was looked at.
    effects: usize,
    answers: usize,
    given_up: usize,
    seen: BTreeSet<CallNo>,
    /// Calls that ended, and asks that were abandoned, since the last look.
    over: BTreeSet<CallNo>,
    pub(super) abandoned: BTreeSet<AskNo>,
    /// The last deadline of each ask.
    deadlines: BTreeMap<AskNo, Instant>,
}

pub(super) struct Call {
    id: RequestId,
    stream: StreamNo,
    pub(super) cancelled: bool,
}

#[derive(Clone, Copy)]
pub(super) struct Ask {
    pub(super) call: Option<CallNo>,
    route: Route,
    patience: Duration,
    deadline: Instant,
    total: Instant,
}

impl Model {
    /// Takes in what one step did, and compares.
    pub(super) fn observe(&mut self, pair: &mut Pair) {
        for running in &pair.server.running {
            if self.seen.insert(running.call) {
                assert!(
                    self.calls.values().all(|other| other.id != running.id),
                    "{SETTLED}: two calls in flight have the id {:?}",
                    running.id
                );
                let call = Call { id: running.id.clone(), stream: running.stream, cancelled: false };
                self.calls.insert(running.call, call);
            }
        }
        for effect in &pair.server.effects[self.effects..] {
            match effect {
                Effect::Cancel(call) => {
                    let call = self.calls.get_mut(call);
                    let was_cancelled = call.map(|call| std::mem::replace(&mut call.cancelled, true));
                    assert_eq!(
                        was_cancelled,
                        Some(false),
                        "{SETTLED}: a call is cancelled while it runs, and once"
                    );
                }
                Effect::Progress(ask) => {
                    let open = self.asks.get_mut(ask).and_then(Option::as_mut);
                    let ask =
                        open.unwrap_or_else(|| panic!("{SETTLED}: {ask:?} made progress after its end"));
                    ask.deadline = (pair.now + ask.patience).min(ask.total);
                }
                _ => {}
            }
        }
        self.effects = pair.server.effects.len();
        for (ask, _) in &pair.server.answers[self.answers..] {
            assert!(self.close(*ask).is_some(), "{SETTLED}: {ask:?} is answered while it is open, and once");
        }
        self.answers = pair.server.answers.len();
        for expired in &pair.server.given_up[self.given_up..] {
            let ask = self.close(expired.ask);
            let ask = ask
                .unwrap_or_else(|| panic!("{SETTLED}: {expired:?} is given up while it is open, and once"));
            assert_eq!((expired.call, expired.route), (ask.call, ask.route), "{ROUTED}: {expired:?}");
            let with_call = ask.call.is_some_and(|call| self.over.contains(&call));
            let in_time = pair.now < ask.deadline;
            assert!(
                with_call || !in_time || self.abandoned.contains(&expired.ask),
                "{SETTLED}: {expired:?} is given up for a reason"
            );
        }
        self.given_up = pair.server.given_up.len();
        self.over.clear();
        self.abandoned.clear();
        self.compare(pair.now, pair.server.session());
        assert_eq!(pair.client.violations, [""; 0], "{DELIVERED}");
        let (held, most) = (pair.server.most_held(), pair.server.most_events);
        assert!(held <= most, "{BUDGETS}: a log holds {held} events of {most}");
    }

    fn compare(&mut self, now: Instant, session: &Session) {
        let open = || self.asks.values().flatten();
        assert_eq!(session.calls_in_flight(), self.calls.len(), "{SETTLED}: the calls in flight");
        let due = open().map(|ask| ask.deadline).min();
        assert_eq!(session.poll_timeout(), due, "{TIMERS}: the next one is of an open ask");
        assert!(due.is_none_or(|due| due >= now), "{TIMERS}: the next one has passed");
        assert_eq!(session.is_idle(), self.calls.is_empty() && open().next().is_none(), "{SETTLED}: idle");
        assert!(session.calls_in_flight() <= LIMITS.calls, "{BUDGETS}: {} calls", self.calls.len());
        assert!(open().count() <= LIMITS.asks, "{BUDGETS}: {} asks", open().count());
        let subscriptions = session.record().subscriptions.len();
        assert!(subscriptions <= LIMITS.subscriptions, "{BUDGETS}: {subscriptions} subscriptions");
        for (no, ask) in &self.asks {
            let deadline = session.ask_deadline(*no);
            assert_eq!(deadline, ask.map(|ask| ask.deadline), "{TIMERS}: that of {no:?}");
            if let Some(deadline) = deadline {
                let before = self.deadlines.insert(*no, deadline);
                assert!(
                    before.is_none_or(|before| before <= deadline),
                    "{TIMERS}: {no:?} has less time than before"
                );
            }
            let call_is_over = |call: CallNo| !self.calls.contains_key(&call);
            assert!(
                !ask.and_then(|ask| ask.call).is_some_and(call_is_over),
                "{SETTLED}: {no:?} is open after its call"
            );
        }
        for (no, call) in &self.calls {
            assert_eq!(session.is_cancelled(*no), call.cancelled, "{SETTLED}: {no:?} is cancelled or not");
        }
    }

    fn close(&mut self, ask: AskNo) -> Option<Ask> {
        self.asks.get_mut(&ask)?.take()
    }

    pub(super) fn finish(&mut self, pair: &mut Pair, no: CallNo) {
        let call = self.calls.remove(&no).expect("it runs");
        let asks: Vec<_> = self
            .asks
            .iter()
            .filter(|(_, ask)| ask.is_some_and(|ask| ask.call == Some(no)))
            .map(|(no, _)| *no)
            .collect();
        self.over.insert(no);
        let finish = pair.finish(no).unwrap_or_else(|| panic!("{SETTLED}: {no:?} runs, and does not settle"));
        assert_eq!(
            finish.answer,
            (!call.cancelled).then_some(call.id),
            "{SETTLED}: a cancelled call is not answered, any other is"
        );
        assert_eq!(finish.stream, call.stream, "{ROUTED}: an answer goes to the stream of its request");
        let others = self.calls.values().any(|other| other.stream == call.stream);
        assert_eq!(finish.last, !others, "{ROUTED}: the last answer ends its stream");
        let given_up: Vec<_> = finish.given_up.iter().map(|expired| expired.ask).collect();
        assert_eq!(given_up, asks, "{SETTLED}: the asks of a call are given up with it");
        assert_eq!(pair.server.session().handle_done(no), None, "{SETTLED}: {no:?} settles once");
    }

    pub(super) fn ask(&mut self, pair: &mut Pair, call: Option<CallNo>, patience: Duration) {
        // Half as much again in total, so that progress meets the end of it.
        let total = patience * 3 / 2;
        let open = self.asks.values().flatten().count();
        let asked = pair.ask(
            call,
            crate::model::ServerRequest::Ping(Default::default()),
            Patience::new(patience).max_total(total),
        );
        if open >= LIMITS.asks {
            assert_eq!(
                asked,
                Err(AskRefused::TooManyAsks { limit: LIMITS.asks }),
                "{BUDGETS}: one ask too many"
            );
        } else if call.is_some_and(|call| self.calls[&call].cancelled) {
            assert_eq!(asked, Err(AskRefused::NoRoute(NoRoute::CallOver)), "{ROUTED}: the call is over");
        } else {
            let asked = asked.unwrap_or_else(|why| panic!("{SETTLED}: an ask was refused: {why:?}"));
            let route = call.map_or(Route::Standalone, |call| Route::Post(self.calls[&call].stream));
            assert_eq!(asked.route, route, "{ROUTED}: an ask goes to the stream of its call");
            assert!(
                self.asks.last_key_value().is_none_or(|(last, _)| *last < asked.no),
                "{SETTLED}: no number is used twice"
            );
            let ask = Ask { call, route, patience, deadline: pair.now + patience, total: pair.now + total };
            self.asks.insert(asked.no, Some(ask));
        }
    }
}

/// Nothing is on its way any more: every call has become one thing, and who reads a stream has read all of it.
pub(super) fn assert_healed(pair: &mut Pair, model: &Model) {
    assert!(pair.server.session().is_idle(), "{SETTLED}: something is in flight after the end");
    assert_eq!(pair.server.session().poll_timeout(), None, "{TIMERS}: one is armed after the end");
    assert_eq!(
        model.answers + model.given_up,
        model.asks.len(),
        "{SETTLED}: every ask is answered or given up"
    );
    for (id, outcome) in &pair.client.outcomes {
        let outcome = outcome.as_ref().unwrap_or_else(|| panic!("{SETTLED}: {id:?} never became anything"));
        let is_lost = |source: &&crate::testing::Source| source.requests.contains(id) && source.lost > 0;
        assert!(
            *outcome != Outcome::Unanswered || pair.client.sources.iter().any(|source| is_lost(&source)),
            "{SETTLED}: {id:?} has no answer though its stream is over and nothing of it was lost"
        );
    }
    let mut read = BTreeSet::new();
    for event in pair.client.arrived.iter().filter(|event| !event.text.is_empty()) {
        assert!(read.insert((event.stream, event.seq)), "{DELIVERED}: {event:?} was read twice");
        let sent = &pair.server.sent[&event.stream][event.seq as usize - 1];
        assert_eq!(&event.text, sent, "{DELIVERED}: what was read is not what was sent");
    }
    for at in 0..pair.client.sources.len() {
        let source = &pair.client.sources[at];
        let Some(place) = pair.client.place(at).filter(|_| !source.is_retired) else { continue };
        assert!(
            !model.foreign.contains(&at),
            "{CROSSING}: {place} was read with a cursor of another session"
        );
        // A client reads on for an answer. Once it gave up a request, it need not come back for the rest.
        if source.requests.iter().any(|id| pair.outcome(id) == Some(&Outcome::Cancelled)) {
            continue;
        }
        assert_eq!(place.seq, pair.server.head(place.stream), "{DELIVERED}: {source:?} has not read all");
        // A standalone stream begins where nobody had read, and the answer to `initialize` came before the test.
        if ![StreamNo::STANDALONE, StreamNo(1)].contains(&place.stream) {
            let count = read.iter().filter(|(stream, _)| *stream == place.stream).count() as u64;
            assert_eq!(count + source.lost, place.seq, "{DELIVERED}: {source:?} was not told of every loss");
        }
    }
}
