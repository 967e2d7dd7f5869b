//! Any sequence of operations, over links that do anything, against a simple model.
//!
//! Several sessions live on one clock, each with a client, a server and a link of its own. What must hold at every moment is
//! in `held.rs`; each failure begins with the invariant that it breaks.

mod held;
mod ops;

use proptest::collection::vec;
use proptest::prelude::*;

use self::held::{Model, assert_healed};
use self::ops::{Op, op};
use super::*;
use crate::model::ServerNotification;
use crate::testing::request;

/// One of `all`, whatever the number.
fn pick<T: Clone>(all: &[T], number: usize) -> Option<T> {
    (!all.is_empty()).then(|| all[number % all.len()].clone())
}

fn apply(pair: &mut Pair, model: &mut Model, foreign: Option<&str>, op: Op) {
    let running: Vec<_> = model.calls.keys().copied().collect();
    let asked: Vec<_> = pair.client.asked.iter().map(|request| request.id.clone()).collect();
    match op {
        Op::Call => drop(pair.call_tool()),
        Op::Batch(count) if pair.server.session().revision().has_batches() => drop(pair.call_tools(count)),
        Op::Batch(_) => {}
        Op::Mixed if pair.server.session().revision().has_batches() => {
            let tool = pair.next_request("tools/call", r#"{"name":"t"}"#);
            let ping = pair.next_request("ping", "{}");
            let note =
                r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"nobody's"}}"#;
            pair.post([b"[", &tool[..], b",", &ping, b",", note.as_bytes(), b"]"].concat());
        }
        Op::Mixed => drop(pair.call("ping", "{}")),
        Op::Subscribe(number) => drop(pair.call("resources/subscribe", &resource(number))),
        Op::Unsubscribe(number) => drop(pair.call("resources/unsubscribe", &resource(number))),
        Op::SameId(number) => {
            let used: Vec<_> = pair.client.outcomes.keys().cloned().collect();
            if let Some(id) = pick(&used, number) {
                pair.post_and_leave(request(&id, "tools/call", r#"{"name":"t"}"#));
            }
        }
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
        Op::ReplyLate(number) => {
            let over: Vec<_> =
                model.asks.iter().filter(|(_, ask)| ask.is_none()).map(|(no, _)| *no).collect();
            if let Some(ask) = pick(&over, number) {
                pair.reply(&ask.request_id(), Ok("{}"));
            }
        }
        Op::ClientProgress(number) => {
            if let Some(id) = pick(&asked, number) {
                pair.client_progress(&id);
            }
        }
        Op::Listen => pair.listen(),
        Op::TakeOver(number, back) => {
            let at = number % pair.client.sources.len();
            pair.take_over(at, back);
        }
        Op::Foreign(_) => {
            if let Some(cursor) = foreign {
                model.foreign.push(pair.get(Some(cursor)));
            }
        }
        Op::Finish(number) => {
            if let Some(call) = pick(&running, number) {
                model.finish(pair, call);
            }
        }
        Op::Progress(number) => {
            if let Some(call) = pick(&running, number) {
                let route = pair.progress(call, 1.0);
                let is_nowhere = route == Some(Route::Nowhere(NoRoute::CallOver));
                assert_eq!(
                    is_nowhere,
                    route.is_some() && model.calls[&call].cancelled,
                    "{ROUTED}: progress of a call goes somewhere until it is cancelled"
                );
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
        Op::Wait(millis) => wait(pair, model, pair.now + Duration::from_millis(millis)),
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

fn wait(pair: &mut Pair, model: &mut Model, until: Instant) {
    while pair.step(until) {
        model.observe(pair);
    }
    pair.now = until;
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
    wait(pair, model, pair.now + MINUTE);
    settle(pair, model);
}

fn resource(number: usize) -> String {
    format!(r#"{{"uri":"file:///{number}"}}"#)
}

/// The cursors that a client got in its own session.
fn own_cursors(pair: &Pair, model: &Model) -> Vec<String> {
    let own = pair.client.sources.iter().enumerate().filter(|(at, _)| !model.foreign.contains(at));
    own.filter_map(|(_, source)| source.last_id()).collect()
}

/// Sessions on one clock.
struct World(Vec<(Pair, Model)>);

impl World {
    fn new(revisions: &[Revision]) -> Self {
        let mut sessions: Vec<_> = (1..)
            .zip(revisions)
            .map(|(tag, revision)| (Pair::with_tag(*revision, LIMITS, tag), Model::default()))
            .collect();
        let now = sessions.iter().map(|(pair, _)| pair.now).max();
        for (pair, _) in &mut sessions {
            pair.now = now.unwrap_or(pair.now);
        }
        Self(sessions)
    }

    fn apply(&mut self, session: usize, op: Op) {
        let session = session % self.0.len();
        let foreign = match op {
            Op::Foreign(number) => {
                let others = self.0.iter().enumerate().filter(|(other, _)| *other != session);
                let cursors: Vec<_> =
                    others.flat_map(|(_, (pair, model))| own_cursors(pair, model)).collect();
                pick(&cursors, number)
            }
            _ => None,
        };
        let (pair, model) = &mut self.0[session];
        apply(pair, model, foreign.as_deref(), op);
        let now = pair.now;
        for (pair, model) in &mut self.0 {
            wait(pair, model, now);
            model.observe(pair);
        }
    }

    fn end(mut self) {
        for (pair, model) in &mut self.0 {
            heal(pair, model);
            assert_healed(pair, model);
        }
        let mut tags: Vec<_> = self.0.iter().filter_map(|(pair, _)| pair.client.tag).collect();
        tags.dedup();
        assert!(
            tags.is_sorted() && tags.len() <= self.0.len(),
            "{CROSSING}: the cursors that came are {tags:?}"
        );
    }
}

const LIMITS: SessionLimits =
    SessionLimits { calls: 6, asks: 4, subscriptions: 2, initialize_bytes: 4096, uri_bytes: 64 };

// The invariants, as a failure names them.
const SETTLED: &str = "every request settles exactly once";
const DELIVERED: &str = "every event is delivered exactly once and in order";
const CROSSING: &str = "nothing crosses sessions";
const BUDGETS: &str = "the budgets hold";
const TIMERS: &str = "a timer is armed for what is open and never goes back";
const ROUTED: &str = "each message goes to the stream it belongs to";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn whatever_happens_calls_settle_once_and_events_arrive_once(
        revisions in vec(prop::sample::select(Revision::LEGACY.to_vec()), 2),
        standalone_progress: bool,
        most_events in prop::option::of(3..20_usize),
        ops in vec((any::<usize>(), op()), 1..120),
    ) {
        let mut world = World::new(&revisions);
        for (pair, _) in &mut world.0 {
            pair.server.most_events = most_events.unwrap_or(usize::MAX);
            if standalone_progress {
                pair.server.roads.progress = ProgressRoute::Standalone;
            }
        }
        for (session, op) in ops {
            world.apply(session, op);
        }
        world.end();
    }

    /// The end of a session: what the shell does leaves nothing open.
    #[test]
    fn no_ask_outlives_its_session(ops in vec(op(), 1..40)) {
        let mut world = World::new(&[Revision::LATEST_LEGACY]);
        for op in ops {
            world.apply(0, op);
        }
        let (pair, model) = &mut world.0[0];
        for call in model.calls.keys().copied().collect::<Vec<_>>() {
            model.finish(pair, call);
            model.observe(pair);
        }
        let left: Vec<_> = model.asks.iter().filter(|(_, ask)| ask.is_some()).map(|(no, ask)| (*no, *ask)).collect();
        for (no, ask) in left {
            prop_assert_eq!(ask.unwrap().call, None, "what belongs to a call went with it");
            model.abandoned.insert(no);
            prop_assert!(pair.abandon(no));
            model.observe(pair);
        }
        prop_assert!(pair.server.session().is_idle());
    }
}

/// As many as one core tries in some seconds.
const CASES: u32 = 200;
