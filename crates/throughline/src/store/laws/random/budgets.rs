//! Law 6 after one append: the budgets hold, and what was dropped for them had to go before what is left.

use std::collections::BTreeSet;

use super::model::{BOUNDED, Complaint, Model, NAMES, Stream, broken, must};
use super::ops::Place;

/// A stream, with what it would hold if nothing had been dropped and what it does hold.
pub(super) struct Change<'a> {
    pub(super) at: Place,
    pub(super) stream: &'a Stream,
    pub(super) now: &'a BTreeSet<u64>,
}

/// What has to go first has the lower place: the tier of law 6, and among ended streams their end.
type Turn = (u8, u64);

impl Change<'_> {
    fn turn(&self, seq: u64) -> Turn {
        match self.stream.ended {
            Some(end) if self.stream.is_written() => (1, end),
            None if seq <= self.stream.written => (2, 0),
            Some(end) => (3, end),
            None => (4, 0),
        }
    }

    /// The same within a stream that has its own budget to keep.
    fn turn_within(&self, seq: u64) -> (bool, bool) {
        (seq > self.stream.written, self.stream.event(seq).keep)
    }

    fn dropped(&self) -> impl Iterator<Item = u64> {
        self.stream.held.difference(self.now).copied()
    }

    fn bytes(&self, seqs: &BTreeSet<u64>) -> usize {
        seqs.iter().map(|seq| self.stream.event(*seq).cost()).sum()
    }

    /// It counts as an ended one that is held. One without any event may be counted or not.
    fn counts_as_ended(&self) -> bool {
        self.stream.ended.is_some() && (!self.stream.held.is_empty() || self.stream.given.is_empty())
    }
}

pub(super) fn check(model: &Model, changes: &[Change<'_>]) -> Result<(), Complaint> {
    let limits = &model.limits;
    let held = |of: &dyn Fn(&Change<'_>) -> bool| -> usize {
        changes.iter().filter(|change| of(change)).map(|change| change.bytes(change.now)).sum()
    };
    for change in changes {
        let (name, bytes) = (model.name(change.at), change.bytes(change.now));
        must!(
            change.now.len() <= limits.stream_events,
            BOUNDED,
            "{name} holds {} events; `stream_events` is {}",
            change.now.len(),
            limits.stream_events
        );
        must!(
            bytes <= limits.stream_bytes,
            BOUNDED,
            "{name} holds {bytes} bytes; `stream_bytes` is {}",
            limits.stream_bytes
        );
    }
    for (session, name) in NAMES.iter().enumerate() {
        let of = |change: &Change<'_>| change.at.session == session;
        let bytes = held(&of);
        must!(
            bytes <= limits.session_bytes,
            BOUNDED,
            "session {name} holds {bytes} bytes; `session_bytes` is {}",
            limits.session_bytes
        );
        let ended = changes
            .iter()
            .filter(|change| of(change) && change.stream.ended.is_some() && !change.now.is_empty())
            .count();
        must!(
            ended <= limits.session_ended_streams,
            BOUNDED,
            "session {name} holds {ended} ended streams; `session_ended_streams` is {}",
            limits.session_ended_streams
        );
    }
    let bytes = held(&|_| true);
    must!(
        bytes <= limits.store_bytes,
        BOUNDED,
        "the store holds {bytes} bytes; `store_bytes` is {}",
        limits.store_bytes
    );
    for change in changes {
        for seq in change.dropped() {
            check_drop(model, changes, change, seq)?;
        }
    }
    Ok(())
}

/// Some budget had no room for the event, and nothing that this budget drops earlier is left.
fn check_drop(model: &Model, changes: &[Change<'_>], of: &Change<'_>, seq: u64) -> Result<(), Complaint> {
    let limits = &model.limits;
    let bytes_of = |changes: &[&Change<'_>]| -> usize {
        changes.iter().map(|change| change.bytes(&change.stream.held)).sum()
    };
    let all: Vec<_> = changes.iter().collect();
    let session: Vec<_> = changes.iter().filter(|change| change.at.session == of.at.session).collect();
    let ended: Vec<_> = session.iter().copied().filter(|change| change.counts_as_ended()).collect();
    let scopes = [
        ("store_bytes", bytes_of(&all) > limits.store_bytes, all),
        ("session_bytes", bytes_of(&session) > limits.session_bytes, session),
        (
            "session_ended_streams",
            of.stream.ended.is_some() && ended.len() > limits.session_ended_streams,
            ended,
        ),
    ];
    let what = format!("{} of {}", seq, model.name(of.at));
    let mut wrong = None;
    for (budget, _, scope) in scopes.iter().filter(|(_, is_short, _)| *is_short) {
        match earlier(scope, of, seq) {
            None => return Ok(()),
            Some((place, left)) => {
                wrong = Some(format!(
                    "event {what} was dropped for `{budget}`, and {left} of {}, which goes first, is still held",
                    model.name(place)
                ));
            }
        }
    }
    let is_short =
        of.stream.held.len() > limits.stream_events || of.bytes(&of.stream.held) > limits.stream_bytes;
    if is_short {
        match of.now.iter().find(|left| of.turn_within(**left) < of.turn_within(seq)) {
            None => return Ok(()),
            Some(left) => {
                wrong = Some(format!(
                    "event {what} was dropped for its stream's budget, and {left}, which goes first, is still held"
                ));
            }
        }
    }
    let wrong = wrong.unwrap_or_else(|| format!("event {what} was dropped though every budget had room"));
    broken(BOUNDED, wrong)
}

/// What is left of these streams and has to go before the event.
fn earlier(scope: &[&Change<'_>], of: &Change<'_>, seq: u64) -> Option<(Place, u64)> {
    let turn = of.turn(seq);
    scope.iter().find_map(|change| {
        let goes_first = |left: &&u64| {
            let is_notification_of_the_same =
                change.at == of.at && of.stream.event(seq).keep && !of.stream.event(**left).keep;
            change.turn(**left) < turn || (change.turn(**left) == turn && is_notification_of_the_same)
        };
        change.now.iter().find(goes_first).map(|left| (change.at, *left))
    })
}
