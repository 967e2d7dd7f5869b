//! What a store was given, what it was seen to hold, and which answers the laws allow.

use std::collections::{BTreeMap, BTreeSet};

use crate::store::{
    Append, AppendError, Dropped, Epoch, Event, Limits, Page, ReadBudget, ReadError, SessionId, StreamKey,
};

use super::ops::{Place, SESSIONS};

/// The law that was broken, and how.
#[derive(Debug)]
pub(super) struct Complaint {
    pub(super) law: &'static str,
    pub(super) what: String,
}

pub(super) const DURABLE: &str = "1 (durable)";
pub(super) const ORDERED: &str = "2 (ordered)";
pub(super) const SCOPED: &str = "3 (scoped)";
pub(super) const HONEST: &str = "4 (honest)";
pub(super) const WAKING: &str = "5 (waking)";
pub(super) const BOUNDED: &str = "6 (bounded)";
pub(super) const ENDING: &str = "7 (ending)";
pub(super) const FENCED: &str = "8 (fenced)";
pub(super) const FORGETTING: &str = "9 (forgetting)";

/// Returns a complaint unless the condition holds.
macro_rules! must {
    ($holds:expr, $law:expr, $($what:tt)+) => {
        if !$holds {
            return $crate::store::laws::random::model::broken($law, format!($($what)+));
        }
    };
}
pub(super) use must;

pub(super) fn broken<T>(law: &'static str, what: String) -> Result<T, Complaint> {
    Err(Complaint { law, what })
}

pub(super) struct Model {
    pub(super) limits: Limits,
    pub(super) sessions: Vec<Session>,
    ends: u64,
}

pub(super) struct Session {
    pub(super) id: SessionId,
    /// The newest epoch that it was written with.
    fence: Option<Epoch>,
    pub(super) forgotten: bool,
    pub(super) streams: BTreeMap<u64, Stream>,
}

#[derive(Clone, Default)]
pub(super) struct Stream {
    /// Every event it was ever given.
    pub(super) given: Vec<Event>,
    /// What the store was seen to hold of them, and after an append what it may hold.
    pub(super) held: BTreeSet<u64>,
    pub(super) written: u64,
    /// Which end of all it was.
    pub(super) ended: Option<u64>,
    /// It ended, and the store knows nothing of it any more.
    pub(super) lapsed: bool,
}

/// What a store shows of a stream.
pub(super) enum Seen {
    Unknown,
    Known { held: Vec<Event>, head: u64, ended: bool },
}

/// Why an append is refused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Refusal {
    Fenced,
    Ended,
    TooLarge,
    Gap,
}

impl Model {
    pub(super) fn new(limits: Limits) -> Self {
        let session =
            |id: &str| Session { id: id.into(), fence: None, forgotten: false, streams: BTreeMap::new() };
        Self { limits, sessions: NAMES.map(session).into(), ends: 0 }
    }

    pub(super) fn key(&self, at: Place) -> StreamKey {
        StreamKey { session: self.sessions[at.session].id.clone(), stream: at.stream }
    }

    pub(super) fn stream(&self, at: Place) -> Option<&Stream> {
        self.sessions[at.session].streams.get(&at.stream)
    }

    pub(super) fn head(&self, at: Place) -> u64 {
        self.stream(at).map_or(0, Stream::head)
    }

    /// The epoch of the session's writer.
    pub(super) fn epoch(&self, session: usize) -> Epoch {
        self.sessions[session].fence.unwrap_or(Epoch(1))
    }

    /// The refusals that a batch may get; none when it must be taken.
    pub(super) fn refusals(&self, at: Place, epoch: Epoch, batch: Append<'_>) -> Vec<Refusal> {
        let session = &self.sessions[at.session];
        if session.forgotten {
            return vec![Refusal::Ended];
        }
        if session.fence.is_some_and(|fence| epoch < fence) {
            return vec![Refusal::Fenced];
        }
        let Some(first) = batch.events.first() else { return Vec::new() };
        let (head, ended) = (self.head(at), self.stream(at).is_some_and(|stream| stream.ended.is_some()));
        let is_contiguous = batch.events.windows(2).all(|pair| pair[0].seq + 1 == pair[1].seq);
        let continues = is_contiguous && (1..=head + 1).contains(&first.seq);
        let is_fresh = batch.events.iter().any(|event| event.seq > head);
        let largest = self.limits.largest_event();
        [
            (batch.events.iter().any(|event| event.cost() > largest), Refusal::TooLarge),
            (!continues, Refusal::Gap),
            (ended && (is_fresh || !continues), Refusal::Ended),
        ]
        .into_iter()
        .filter_map(|(applies, refusal)| applies.then_some(refusal))
        .collect()
    }

    /// Takes in a batch that the store has taken. Returns whether a watcher has to be woken.
    pub(super) fn take(&mut self, at: Place, epoch: Epoch, batch: Append<'_>) -> bool {
        let session = &mut self.sessions[at.session];
        session.fence = Some(epoch);
        let stream = session.streams.entry(at.stream).or_default();
        let head = stream.head();
        let fresh: Vec<_> = batch.events.iter().filter(|event| event.seq > head).cloned().collect();
        let ends_now = batch.ends && stream.ended.is_none();
        let changed = !fresh.is_empty() || ends_now;
        stream.held.extend(fresh.iter().map(|event| event.seq));
        stream.given.extend(fresh);
        stream.written = stream.written.max(batch.written.min(stream.head()));
        if ends_now {
            self.ends += 1;
            stream.ended = Some(self.ends);
        }
        changed
    }

    pub(super) fn forget(&mut self, session: usize) {
        let session = &mut self.sessions[session];
        session.forgotten = true;
        session.streams.clear();
    }

    /// Compares what one stream shows with what it was given. What is missing breaks the law
    /// `lost`, what was never appended to the law `stranger`.
    pub(super) fn check_seen(
        &self,
        at: Place,
        seen: &Seen,
        lost: &'static str,
        stranger: &'static str,
    ) -> Result<(), Complaint> {
        let name = self.name(at);
        let stream = match (self.stream(at), seen) {
            (None, Seen::Unknown) => return Ok(()),
            (None, Seen::Known { .. }) if self.sessions[at.session].forgotten => {
                return broken(FORGETTING, format!("{name} can be read though its session was forgotten"));
            }
            (None, Seen::Known { head, .. }) => {
                return broken(
                    stranger,
                    format!("{name} is known with head {head} though nothing was appended to it"),
                );
            }
            (Some(stream), _) => stream,
        };
        let Seen::Known { held, head, ended } = seen else {
            must!(
                stream.ended.is_some(),
                lost,
                "{name} is unknown though it was appended to and has not ended"
            );
            return Ok(());
        };
        must!(*head >= stream.head(), lost, "{name} has head {head}, and {} was appended", stream.head());
        must!(
            *head <= stream.head(),
            DURABLE,
            "{name} has head {head}: a part of a refused batch is visible"
        );
        must!(
            *ended == stream.ended.is_some(),
            ENDING,
            "{name} says {} and {}",
            if *ended { "that it ended" } else { "that it runs" },
            if stream.ended.is_some() { "was ended" } else { "was not ended" }
        );
        for event in held {
            let given = &stream.given[event.seq as usize - 1];
            must!(event == given, SCOPED, "{name} has {event:?} where {given:?} was appended");
            must!(
                stream.held.contains(&event.seq),
                ORDERED,
                "{name} has event {} again, which it had dropped",
                event.seq
            );
        }
        Ok(())
    }

    /// Checks the answer of a read. What is held is known.
    pub(super) fn check_read(
        &self,
        at: Place,
        after: u64,
        max: ReadBudget,
        answer: &Result<Page, ReadError>,
    ) -> Result<(), Complaint> {
        let what = format!("a read of {} after {after}", self.name(at));
        let Some(stream) = self.stream(at).filter(|stream| !stream.lapsed) else {
            must!(
                matches!(answer, Err(ReadError::Unknown)),
                SCOPED,
                "{what}, which is unknown, got {answer:?}"
            );
            return Ok(());
        };
        let head = stream.head();
        let run: Vec<_> = (after + 1..=head).take_while(|seq| stream.held.contains(seq)).collect();
        match answer {
            Err(ReadError::Ahead { head: told }) => {
                must!(after > head && *told == head, HONEST, "{what} got {answer:?}; the head is {head}");
            }
            Err(ReadError::Dropped(dropped)) => {
                let due = stream.hole_after(after);
                must!(due == Some(*dropped), HONEST, "{what} got {dropped:?}; the loss is {due:?}");
            }
            Ok(page) => {
                let seqs: Vec<_> = page.events.iter().map(|event| event.seq).collect();
                must!(after <= head, HONEST, "{what} got a page; the head is {head}");
                must!(page.head == head, HONEST, "{what} says the head is {}, and it is {head}", page.head);
                must!(
                    run.starts_with(&seqs),
                    HONEST,
                    "{what} got the events {seqs:?}; held without a hole are {run:?}"
                );
                must!(!seqs.is_empty() || after == head, HONEST, "{what} got no event; held are {run:?}");
                must!(
                    page.events.iter().all(|event| *event == stream.given[event.seq as usize - 1]),
                    SCOPED,
                    "{what} got other events than were appended: {:?}",
                    page.events
                );
                let bytes: usize = page.events.iter().map(|event| event.frame.len()).sum();
                must!(
                    seqs.len() <= max.events.max(1) && (bytes <= max.bytes || seqs.len() == 1),
                    ORDERED,
                    "{what} got {} events of {bytes} bytes; its budget was {max:?}",
                    seqs.len()
                );
                let reaches_end = stream.ended.is_some() && after + seqs.len() as u64 == head;
                must!(
                    page.ended == reaches_end,
                    ENDING,
                    "{what} got {seqs:?} of {head} events with `ended: {}`; the stream {}",
                    page.ended,
                    if stream.ended.is_some() { "has ended" } else { "runs" }
                );
            }
            Err(error) => return broken(DURABLE, format!("{what} failed: {error:?}")),
        }
        Ok(())
    }

    /// Checks the answer of `first_gap`. What is held is known.
    pub(super) fn check_gap(
        &self,
        at: Place,
        after: u64,
        answer: &Result<Option<Dropped>, ReadError>,
    ) -> Result<(), Complaint> {
        let what = format!("`first_gap` of {} after {after}", self.name(at));
        let Some(stream) = self.stream(at).filter(|stream| !stream.lapsed) else {
            must!(
                matches!(answer, Err(ReadError::Unknown)),
                SCOPED,
                "{what}, which is unknown, got {answer:?}"
            );
            return Ok(());
        };
        let head = stream.head();
        let is_right = match answer {
            Ok(gap) => after <= head && *gap == stream.first_gap(after),
            Err(ReadError::Ahead { head: told }) => after > head && *told == head,
            Err(_) => false,
        };
        must!(is_right, HONEST, "{what} got {answer:?}; of {head} events these are held: {:?}", stream.held);
        Ok(())
    }

    pub(super) fn name(&self, at: Place) -> String {
        format!("{}/{}", NAMES[at.session], at.stream)
    }
}

impl Stream {
    pub(super) fn head(&self) -> u64 {
        self.given.len() as u64
    }

    pub(super) fn event(&self, seq: u64) -> &Event {
        &self.given[seq as usize - 1]
    }

    pub(super) fn is_written(&self) -> bool {
        self.written == self.head()
    }

    fn hole_after(&self, after: u64) -> Option<Dropped> {
        if after >= self.head() || self.held.contains(&(after + 1)) {
            return None;
        }
        let oldest = self.held.range(after + 1..).next().copied().unwrap_or(self.head() + 1);
        Some(Dropped { oldest, count: oldest - after - 1 })
    }

    fn first_gap(&self, after: u64) -> Option<Dropped> {
        (after..self.head()).find_map(|after| self.hole_after(after))
    }
}

impl Refusal {
    pub(super) fn of(error: &AppendError) -> Option<Self> {
        match error {
            AppendError::Fenced => Some(Self::Fenced),
            AppendError::Ended => Some(Self::Ended),
            AppendError::TooLarge => Some(Self::TooLarge),
            AppendError::Gap => Some(Self::Gap),
            AppendError::Unavailable(_) => None,
        }
    }

    /// The law that tells when it is due.
    pub(super) fn law(self) -> &'static str {
        match self {
            Self::Fenced => FENCED,
            Self::Ended => ENDING,
            Self::TooLarge => BOUNDED,
            Self::Gap => ORDERED,
        }
    }
}

pub(super) const NAMES: [&str; SESSIONS] = ["a", "b", "c"];
