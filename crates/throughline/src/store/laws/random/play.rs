//! One sequence, played on a store and on the model.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;

use crate::store::laws::bounded::now;
use crate::store::laws::probe::{ALL, Witness};
use crate::store::{Append, AppendError, Epoch, Event, EventStore, Limits, Page, ReadError, StreamKey};

use super::budgets::{self, Change};
use super::dice::Dice;
use super::look::{check_usage, walk};
use super::model::{
    BOUNDED, Complaint, DURABLE, FENCED, FORGETTING, Model, NAMES, Refusal, SCOPED, Seen, Stream, WAKING,
    broken, must,
};
use super::ops::{Batch, Budgets, Claim, Op, Place, STREAMS, Start};

/// Operations, and the budgets of the store they are played on.
#[derive(Clone)]
pub(super) struct Play {
    pub(super) budgets: Budgets,
    pub(super) ops: Vec<Op>,
}

/// What went wrong, and the operations up to there.
pub(super) struct Failure {
    pub(super) complaint: Complaint,
    pub(super) trail: Vec<String>,
}

impl Failure {
    pub(super) fn lines(&self) -> String {
        let lines = self.trail.iter().enumerate();
        lines.map(|(number, line)| format!("{:>4}  {line}", number + 1)).collect::<Vec<_>>().join("\n")
    }
}

/// A bound for a store that is broken, not a time that is waited.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

impl Play {
    pub(super) fn from_seed(dice: &mut Dice, steps: usize, reopens: bool) -> Self {
        let budgets = Budgets::pick(dice);
        Self { budgets, ops: (0..steps).map(|_| Op::pick(dice, reopens)).collect() }
    }

    pub(super) async fn run<S: EventStore>(
        &self,
        make: &impl AsyncFn(Limits) -> S,
        reopen: &impl AsyncFn(S) -> S,
        patience: Duration,
    ) -> Result<(), Failure> {
        let mut trail = Vec::new();
        let outcome = caught(self.steps(make, reopen, patience, &mut trail)).await;
        outcome.map_err(|complaint| Failure { complaint, trail })
    }

    async fn steps<S: EventStore>(
        &self,
        make: &impl AsyncFn(Limits) -> S,
        reopen: &impl AsyncFn(S) -> S,
        patience: Duration,
        trail: &mut Vec<String>,
    ) -> Result<(), Complaint> {
        let limits = self.budgets.limits();
        let mut store = make(limits.clone()).await;
        let mut stage = Stage { model: Model::new(limits), watchers: Vec::new(), patience };
        for op in &self.ops {
            match op {
                Op::Reopen => {
                    trail.push("reopen".to_owned());
                    stage.watchers.clear();
                    store = reopen(store).await;
                    stage.observe(&store, Due::Nothing(DURABLE)).await?;
                }
                op => stage.apply(&store, op, trail).await?,
            }
        }
        Ok(())
    }
}

/// A store that panics has failed like any other.
async fn caught(run: impl Future<Output = Result<(), Complaint>>) -> Result<(), Complaint> {
    let mut run = pin!(run);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| run.as_mut().poll(cx))) {
        Ok(polled) => polled,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text");
            Poll::Ready(Err(Complaint { law: DURABLE, what: format!("the store panicked: {text}") }))
        }
    })
    .await
}

struct Stage {
    model: Model,
    watchers: Vec<(Place, Witness)>,
    patience: Duration,
}

/// What an operation may have dropped.
enum Due {
    /// If something is missing, this law is broken.
    Nothing(&'static str),
    /// What the budgets ask for.
    Budgets,
    /// The ended streams.
    Ended,
}

impl Due {
    fn law(&self) -> &'static str {
        match self {
            Self::Nothing(law) => law,
            Self::Budgets => DURABLE,
            Self::Ended => BOUNDED,
        }
    }

    /// The law that is broken when a stream shows up that was never appended to.
    fn law_of_strangers(&self) -> &'static str {
        match self {
            Self::Budgets => SCOPED,
            Self::Nothing(_) | Self::Ended => DURABLE,
        }
    }
}

impl Stage {
    async fn apply<S: EventStore>(
        &mut self,
        store: &S,
        op: &Op,
        trail: &mut Vec<String>,
    ) -> Result<(), Complaint> {
        match op {
            Op::Append(batch) => {
                let events = self.events(batch);
                let head = events.last().map_or(0, |last| last.seq).max(self.model.head(batch.at));
                let written = batch.unwritten.map_or(0, |left| head.saturating_sub(left));
                let append = Append { events: &events, written, ends: batch.ends, note: None };
                self.append(store, batch.at, batch.claim, append, trail).await
            }
            Op::End { at, claim } => {
                let append = Append { ends: true, ..Append::default() };
                self.append(store, *at, *claim, append, trail).await
            }
            Op::Read { at, after, max } => {
                let after = after % (self.model.head(*at) + 2);
                let name = self.model.name(*at);
                trail.push(format!(
                    "read {name} after {after}, at most {} events and {} bytes",
                    max.events, max.bytes
                ));
                let answer = store.read(&self.model.key(*at), after, *max).await;
                self.model.check_read(*at, after, *max, &answer)
            }
            Op::FirstGap { at, after } => {
                let after = after % (self.model.head(*at) + 2);
                trail.push(format!("first_gap of {} after {after}", self.model.name(*at)));
                let answer = store.first_gap(&self.model.key(*at), after).await;
                self.model.check_gap(*at, after, &answer)
            }
            Op::Watch { at } => {
                trail.push(format!("watch {}", self.model.name(*at)));
                if self.watchers.len() < MOST_WATCHERS && !self.model.sessions[at.session].forgotten {
                    self.watchers.push((*at, Witness::new(store.watch(&self.model.key(*at)))));
                }
                Ok(())
            }
            Op::Unwatch { number } => {
                let number = number % self.watchers.len().max(1);
                let name = self.watchers.get(number).map(|(at, _)| self.model.name(*at));
                trail.push(format!("drop a watch of {}", name.as_deref().unwrap_or("nothing")));
                if number < self.watchers.len() {
                    self.watchers.remove(number);
                }
                Ok(())
            }
            Op::Forget { session } => {
                trail.push(format!("forget {}", NAMES[*session]));
                self.forget(store, *session).await?;
                self.observe(store, Due::Nothing(FORGETTING)).await
            }
            Op::Release { session } => {
                trail.push(format!("release {}", NAMES[*session]));
                let outcome = store.release(&self.model.sessions[*session].id).await;
                must!(outcome.is_ok(), FORGETTING, "a release failed: {outcome:?}");
                self.observe(store, Due::Nothing(FORGETTING)).await
            }
            Op::Sweep { past_retention } => {
                let retention = self.model.limits.retention;
                // A second more, so that a store may keep time in whole seconds.
                let (later, due) = match past_retention {
                    true => (retention + Duration::from_secs(1), Due::Ended),
                    false => (retention / 2, Due::Nothing(BOUNDED)),
                };
                trail.push(format!("sweep {} s later", later.as_secs()));
                store.sweep(now() + later);
                self.observe(store, due).await
            }
            Op::Reopen => unreachable!("whoever owns the store reopens it"),
        }
    }

    async fn append<S: EventStore>(
        &mut self,
        store: &S,
        at: Place,
        claim: Claim,
        batch: Append<'_>,
        trail: &mut Vec<String>,
    ) -> Result<(), Complaint> {
        let current = self.model.epoch(at.session).0;
        let epoch = Epoch(match claim {
            Claim::Current => current,
            Claim::Newer => current + 1,
            Claim::Older => current.saturating_sub(1),
        });
        trail.push(describe(&self.model.name(at), epoch, batch));
        if self.model.stream(at).is_some_and(|stream| stream.lapsed) {
            // A number is never used for a second stream, so what becomes of this is for no law to say.
            return Ok(());
        }
        let key = self.model.key(at);
        let refusals = self.model.refusals(at, epoch, batch);
        let what = trail.last().map_or("an append", String::as_str);
        if refusals.is_empty() {
            let changed = self.model.take(at, epoch, batch);
            let (head, ends) = (self.model.head(at), batch.ends);
            let watchers: Vec<_> = self
                .watchers
                .iter()
                .filter(|(watched, _)| *watched == at && changed)
                .map(|(_, watcher)| watcher)
                .collect();
            watchers.iter().for_each(|watcher| watcher.look_away());
            let woken = self.woken(store, &key, &watchers, |seen| match seen {
                Ok(page) => page.head >= head && (!ends || page.ended),
                Err(ReadError::Dropped(dropped)) => dropped.oldest > head,
                // An ended stream may lapse at once.
                Err(ReadError::Unknown) => ends,
                Err(_) => false,
            });
            let (outcome, woken) = tokio::join!(store.append(&key, epoch, batch), woken);
            if let Err(error) = outcome {
                let law = Refusal::of(&error).map_or(DURABLE, Refusal::law);
                return broken(law, format!("`{what}` was refused, and must be taken: {error:?}"));
            }
            must!(woken, WAKING, "a watcher was not woken by `{what}`, or only before it could be read");
        } else {
            let outcome = store.append(&key, epoch, batch).await;
            let is_due = matches!(&outcome, Err(error) if Refusal::of(error).is_some_and(|refusal| refusals.contains(&refusal)));
            let law = match &outcome {
                _ if self.model.sessions[at.session].forgotten => FORGETTING,
                Err(AppendError::Fenced) => FENCED,
                _ => refusals[0].law(),
            };
            must!(is_due, law, "`{what}` got {outcome:?}, and must be refused as {refusals:?}");
            return self.observe(store, Due::Nothing(DURABLE)).await;
        }
        self.observe(store, Due::Budgets).await
    }

    async fn forget<S: EventStore>(&mut self, store: &S, session: usize) -> Result<(), Complaint> {
        let id = self.model.sessions[session].id.clone();
        let (gone, left) = std::mem::take(&mut self.watchers)
            .into_iter()
            .partition(|(at, _): &(Place, Witness)| at.session == session);
        self.watchers = left;
        let gone: Vec<(Place, Witness)> = gone;
        let key = |at: &Place| StreamKey { session: id.clone(), stream: at.stream };
        let is_gone = |seen: &Result<_, ReadError>| matches!(seen, Err(ReadError::Unknown));
        gone.iter().for_each(|(_, watcher)| watcher.look_away());
        let woken = async {
            let mut woken = true;
            for (at, watcher) in &gone {
                woken &= self.woken(store, &key(at), &[watcher], is_gone).await;
            }
            woken
        };
        let (outcome, woken) = tokio::join!(store.forget(&id), woken);
        must!(outcome.is_ok(), FORGETTING, "forgetting failed: {outcome:?}");
        must!(
            woken,
            FORGETTING,
            "a watcher was not woken when its session was forgotten, or only before it was"
        );
        self.model.forget(session);
        Ok(())
    }

    /// Whether each of the watchers is woken, later than it looked away, when what it then reads is `new`.
    async fn woken<S: EventStore>(
        &self,
        store: &S,
        key: &StreamKey,
        watchers: &[&Witness],
        new: impl Fn(&Result<Page, ReadError>) -> bool,
    ) -> bool {
        let all = async {
            for watcher in watchers {
                loop {
                    watcher.woken().await;
                    let from = self.cursor_for_watching(key);
                    if new(&store.read(key, from, ALL).await) {
                        break;
                    }
                }
            }
        };
        tokio::time::timeout(self.patience, all).await.is_ok()
    }

    /// The head as it will be: a read from there has nothing in it but says how far the stream is.
    fn cursor_for_watching(&self, key: &StreamKey) -> u64 {
        let session = self.model.sessions.iter().find(|session| session.id == key.session);
        session.and_then(|session| session.streams.get(&key.stream)).map_or(0, Stream::head)
    }

    /// Looks at everything the store shows, and compares.
    async fn observe<S: EventStore>(&mut self, store: &S, due: Due) -> Result<(), Complaint> {
        let mut held: Vec<(Place, BTreeSet<u64>, bool)> = Vec::new();
        for session in 0..self.model.sessions.len() {
            for stream in 0..STREAMS {
                let at = Place { session, stream };
                let seen = walk(store, &self.model.key(at), &self.model.name(at)).await?;
                self.model.check_seen(at, &seen, due.law(), due.law_of_strangers())?;
                match seen {
                    Seen::Known { held: events, .. } => {
                        held.push((at, events.iter().map(|event| event.seq).collect(), false));
                    }
                    Seen::Unknown if self.model.stream(at).is_some() => {
                        held.push((at, BTreeSet::new(), true));
                    }
                    Seen::Unknown => {}
                }
            }
        }
        let changes: Vec<_> = held
            .iter()
            .filter_map(|(at, now, _)| Some(Change { at: *at, stream: self.model.stream(*at)?, now }))
            .collect();
        match due {
            Due::Budgets => budgets::check(&self.model, &changes)?,
            Due::Nothing(_) | Due::Ended => {
                for Change { at, stream, now } in &changes {
                    let goes = matches!(due, Due::Ended) && stream.ended.is_some();
                    let (name, left) = (self.model.name(*at), BTreeSet::new());
                    let expected = if goes { &left } else { &stream.held };
                    must!(
                        now.is_subset(expected),
                        BOUNDED,
                        "{name} still holds {now:?}, and its retention is over"
                    );
                    must!(
                        expected.is_subset(now),
                        due.law(),
                        "{name} has lost events: it holds {now:?} of {expected:?}"
                    );
                }
            }
        }
        check_usage(store.usage(), &changes)?;
        for (at, now, lapsed) in held {
            if let Some(stream) = self.model.sessions[at.session].streams.get_mut(&at.stream) {
                stream.held = now;
                stream.lapsed |= lapsed;
            }
        }
        Ok(())
    }

    /// The events of a batch, at the place where the stream is now.
    fn events(&self, batch: &Batch) -> Vec<Event> {
        let (name, head) = (self.model.name(batch.at), self.model.head(batch.at));
        let known = self.model.stream(batch.at).map_or(&[][..], |stream| &stream.given);
        let largest = self.model.limits.largest_event();
        let event = |seq: u64, size: &super::ops::Size| {
            let mut frame = format!("{name} {seq} ").into_bytes();
            frame.resize(frame.len() + size.bytes.unwrap_or(largest + 1), b'.');
            Event { seq, keep: size.keep, frame: Bytes::from(frame) }
        };
        let fresh = |from: u64| (from..).zip(&batch.sizes).map(move |(seq, size)| event(seq, size));
        match batch.start {
            Start::Next => fresh(head + 1).collect(),
            Start::Again(count) => {
                let again = &known[known.len().saturating_sub(count as usize)..];
                again.iter().cloned().chain(fresh(head + 1)).collect()
            }
            Start::Hole => fresh(head + 2).collect(),
            Start::Zero => fresh(0).collect(),
            Start::Twice => {
                let first: Vec<_> = fresh(head + 1).take(1).collect();
                first.into_iter().chain(fresh(head + 1)).collect()
            }
        }
    }
}

fn describe(name: &str, epoch: Epoch, batch: Append<'_>) -> String {
    let mut text = format!("append to {name}, epoch {}:", epoch.0);
    for event in batch.events {
        let kind = if event.keep { 'R' } else { 'n' };
        text += &format!(" {}{kind}({} bytes)", event.seq, event.cost());
    }
    if batch.events.is_empty() {
        text += " nothing";
    }
    if batch.written > 0 {
        text += &format!(", written up to {}", batch.written);
    }
    if batch.ends {
        text += ", and end it";
    }
    text
}

const MOST_WATCHERS: usize = 8;
