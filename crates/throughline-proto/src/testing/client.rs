//! A small client: what it sent, where it is in each stream, what arrived.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::client::{Ending, Following, Next as Then, RetryPolicy, Stop, StreamKind};
use crate::http::Refusal;
use crate::jsonrpc::{
    ErrorObject, Frame, Malformed, Message, ParseLimits, ProgressToken, Raw, Request, RequestId, Response,
    parse,
};
use crate::model::CancelledParams;
use crate::session::{Cursor, StreamNo};
use crate::sse::{self, Decoder};

use super::link::{Conn, Packet};

/// What became of a request of the client.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    Result(Raw),
    Error(ErrorObject),
    /// The client took it back.
    Cancelled,
    /// The connection was lost before the client saw an id to resume from.
    Unknown,
    /// Its stream is over, and it had no answer.
    Unanswered,
}

/// A message, or an event without one, as it arrived.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Arrived {
    /// The stream that the event id names.
    pub(crate) stream: StreamNo,
    pub(crate) seq: u64,
    /// The message; empty for a priming event.
    pub(crate) text: String,
}

/// One stream as the client follows it, through all its connections.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) conn: Option<Conn>,
    decoder: Decoder,
    /// Where it is, and what the end of a connection means: the same as in the real client.
    following: Following,
    /// The requests of this POST.
    pub(crate) requests: Vec<RequestId>,
    /// Those of them without an outcome. A standalone stream waits for none.
    pub(crate) waits_for: Vec<RequestId>,
    pub(crate) is_standalone: bool,
    /// Events that the server said it had dropped, and that were not read before.
    pub(crate) lost: u64,
    /// A newer reader took over: what this one still reads counts no more.
    pub(crate) is_retired: bool,
    /// Up to here the reader before this one had read: what comes once more was asked for.
    already: u64,
    /// The place of `last_id`, to check that the next event follows it.
    place: Option<Cursor>,
}

/// What the client does after something arrived.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    Nothing,
    /// It asks for the rest of the source, not before this time.
    Resume(Instant, Option<String>),
}

#[derive(Debug, Default)]
pub(crate) struct Client {
    /// What became of each request. It has become exactly one thing when it is over.
    pub(crate) outcomes: BTreeMap<RequestId, Option<Outcome>>,
    /// Every event, in the order of arrival.
    pub(crate) arrived: Vec<Arrived>,
    /// Errors that came instead of a stream.
    pub(crate) refused: Vec<Refusal>,
    /// Requests of the server without an answer.
    pub(crate) asked: Vec<Request>,
    /// Responses to requests that the client had given up.
    pub(crate) late: usize,
    /// What must never happen, and did.
    pub(crate) violations: Vec<String>,
    pub(crate) sources: Vec<Source>,
    /// The tag in its session's cursors, once it saw one.
    pub(crate) tag: Option<u32>,
}

impl Source {
    /// What `Last-Event-ID` will say.
    pub(crate) fn last_id(&self) -> Option<String> {
        self.following.cursor().map(str::to_owned)
    }
}

impl Client {
    /// Follows a stream from its beginning, or after `cursor`.
    pub(super) fn follow(
        &mut self,
        conn: Conn,
        waits_for: Vec<RequestId>,
        is_standalone: bool,
        cursor: Option<&str>,
    ) -> usize {
        for id in &waits_for {
            // An id that is used twice keeps the outcome it has.
            self.outcomes.entry(id.clone()).or_default();
        }
        self.sources.push(Source {
            conn: Some(conn),
            decoder: Decoder::new(MAX_EVENT),
            following: following(is_standalone, cursor),
            requests: waits_for.clone(),
            waits_for,
            is_standalone,
            lost: 0,
            is_retired: false,
            already: 0,
            place: None,
        });
        self.sources.len() - 1
    }

    /// Where a newer reader of a source begins, `back` events before its last one. `None` when there is no id yet, or
    /// nothing left to wait for.
    pub(super) fn place_to_take_over(&self, source: usize, back: u64) -> Option<Cursor> {
        let source = &self.sources[source];
        let wants_more = source.is_standalone || !source.waits_for.is_empty();
        let place = source.place.filter(|_| wants_more && !source.is_retired)?;
        Some(Cursor { seq: place.seq.saturating_sub(back), ..place })
    }

    /// A newer reader follows the stream from `place`. The older one reads what is on its way and its end.
    pub(super) fn take_over(&mut self, source: usize, conn: Conn, place: Cursor) -> usize {
        let old = &mut self.sources[source];
        let read = old.place.map_or(0, |place| place.seq);
        let heir = Source {
            conn: Some(conn),
            decoder: Decoder::new(MAX_EVENT),
            following: following(old.is_standalone, Some(&place.to_string())),
            requests: old.requests.clone(),
            waits_for: std::mem::take(&mut old.waits_for),
            is_standalone: std::mem::take(&mut old.is_standalone),
            lost: old.lost,
            is_retired: false,
            already: old.already.max(read),
            place: Some(place),
        };
        old.is_retired = true;
        self.sources.push(heir);
        self.sources.len() - 1
    }

    pub(super) fn source_of(&self, conn: Conn) -> Option<usize> {
        self.sources.iter().position(|source| source.conn == Some(conn))
    }

    /// Gives up a request.
    pub(super) fn cancel(&mut self, id: &RequestId) {
        self.settle(id, Outcome::Cancelled);
    }

    pub(super) fn handle(&mut self, now: Instant, source: usize, packet: Packet) -> Next {
        match packet {
            Packet::Bytes(bytes) => {
                self.sources[source].decoder.push(&bytes);
                self.read(source);
                Next::Nothing
            }
            Packet::Refused(refusal) => {
                let next = self.handle_refusal(now, source, &refusal);
                self.refused.push(*refusal);
                next
            }
            Packet::End => self.handle_end(now, source, Ending::Closed),
            Packet::Broken => self.handle_end(now, source, Ending::Lost),
            Packet::Accepted => {
                self.sources[source].conn = None;
                self.give_up(source, &Outcome::Unanswered);
                Next::Nothing
            }
            Packet::Post(_) | Packet::Get(_) => unreachable!("these go to the server"),
        }
    }

    fn handle_end(&mut self, now: Instant, at: usize, ending: Ending<'_>) -> Next {
        let source = &mut self.sources[at];
        source.conn = None;
        source.decoder = Decoder::new(MAX_EVENT);
        let is_over = source.waits_for.is_empty() && !source.is_standalone;
        if is_over && !matches!(ending, Ending::Refused { .. }) {
            return Next::Nothing;
        }
        match source.following.handle_end(now, ending, 0) {
            Then::Reopen { at, lost } => {
                if lost > 0 {
                    let oldest = source.last_id().expect("it goes on there");
                    let oldest = Cursor::parse(&oldest).expect("it is a cursor");
                    let last_read = source.already.max(oldest.seq - lost);
                    source.lost += oldest.seq.saturating_sub(last_read);
                    source.place = Some(oldest);
                }
                Next::Resume(at, source.last_id())
            }
            Then::Stop(Stop::NoCursor) => {
                self.give_up(at, &Outcome::Unknown);
                Next::Nothing
            }
            Then::Stop(_) | Then::Reinitialize { .. } | Then::Authorize => {
                self.give_up(at, &Outcome::Unanswered);
                Next::Nothing
            }
        }
    }

    fn handle_refusal(&mut self, now: Instant, at: usize, refusal: &Refusal) -> Next {
        let source = &mut self.sources[at];
        let error = refusal.error();
        if source.last_id().is_none() && !source.is_standalone {
            // A POST that was not taken on.
            source.conn = None;
            self.give_up(at, &Outcome::Error(error));
            return Next::Nothing;
        }
        let ending = Ending::Refused { status: refusal.status(), error: Some(&error), retry_after: None };
        self.handle_end(now, at, ending)
    }

    fn give_up(&mut self, source: usize, outcome: &Outcome) {
        for id in std::mem::take(&mut self.sources[source].waits_for) {
            self.settle(&id, outcome.clone());
        }
    }

    fn read(&mut self, source: usize) {
        while let Some(event) = self.sources[source].decoder.next_event() {
            let event = event.expect("no event of a test is that large");
            if event.id.is_some() || !event.data.is_empty() {
                self.handle_event(source, event);
            }
        }
    }

    fn handle_event(&mut self, at: usize, event: sse::Event) {
        let Some(id) = event.id else {
            return self.violations.push(format!("an event has no id: {}", event.data));
        };
        let Some(place) = Cursor::parse(&id) else {
            return self.violations.push(format!("`{id}` is no cursor"));
        };
        let source = &mut self.sources[at];
        let is_prime = event.data.is_empty();
        source.following.handle_event(Some(&id), event.retry, !is_prime);
        if let Some(last) = source.place {
            let expected = Cursor { seq: last.seq + u64::from(!is_prime), ..last };
            if place != expected {
                self.violations.push(format!("{place} came after {last}"));
            }
        }
        source.place = Some(place);
        if *self.tag.get_or_insert(place.tag) != place.tag {
            self.violations.push(format!("{place} is of another session"));
        }
        if source.is_retired {
            return;
        }
        if !is_prime && place.seq <= source.already {
            let before =
                self.arrived.iter().find(|event| (event.stream, event.seq) == (place.stream, place.seq));
            if before.is_none_or(|before| before.text != event.data) {
                self.violations.push(format!("{place} is not what it was: {before:?}, now {}", event.data));
            }
            return;
        }
        self.arrived.push(Arrived { stream: place.stream, seq: place.seq, text: event.data.clone() });
        if is_prime {
            return;
        }
        match parse(&event.data.into(), &ParseLimits::default()) {
            Ok(Frame::Single(Message::Response(response))) => self.handle_response(at, response),
            Ok(Frame::Single(Message::Request(request))) => self.asked.push(request),
            Ok(Frame::Single(Message::Notification(notification))) => {
                if notification.method == "notifications/cancelled" {
                    let params: CancelledParams =
                        notification.params.expect("it has params").parse().unwrap();
                    self.asked.retain(|request| request.id != params.request_id);
                }
            }
            other => self.violations.push(format!("not a message of a server: {other:?}")),
        }
    }

    fn handle_response(&mut self, at: usize, response: Response) {
        let Some(id) = response.id else {
            // The answer to an entry of a batch that was no message.
            return;
        };
        self.sources[at].waits_for.retain(|waiting| *waiting != id);
        match self.outcomes.get(&id) {
            None => self.violations.push(format!("{id:?} was never asked")),
            Some(Some(Outcome::Cancelled | Outcome::Unknown)) => self.late += 1,
            Some(Some(before)) => {
                self.violations.push(format!("{id:?} was answered twice, first {before:?}"));
            }
            Some(None) => {
                let outcome = match response.outcome {
                    Ok(result) => Outcome::Result(result),
                    Err(error) => Outcome::Error(error),
                };
                self.settle(&id, outcome);
            }
        }
    }

    /// The first outcome counts.
    fn settle(&mut self, id: &RequestId, outcome: Outcome) {
        for source in &mut self.sources {
            source.waits_for.retain(|waiting| waiting != id);
        }
        let place = self.outcomes.get_mut(id).expect("only what was asked is settled");
        place.get_or_insert(outcome);
    }

    /// The place in the stream of a source.
    pub(crate) fn place(&self, source: usize) -> Option<Cursor> {
        self.sources[source].place
    }

    /// The messages of one stream in the order of arrival, priming events left out.
    pub(crate) fn messages_on(&self, stream: StreamNo) -> Vec<&str> {
        let of_stream = self.arrived.iter().filter(|event| event.stream == stream && !event.text.is_empty());
        of_stream.map(|event| event.text.as_str()).collect()
    }
}

/// Comes back at once and for ever: how long a client waits is tested where it is decided, and a test heals its link.
fn following(is_standalone: bool, cursor: Option<&str>) -> Following {
    let kind = if is_standalone { StreamKind::Standalone } else { StreamKind::Call };
    let policy = RetryPolicy { first: Duration::ZERO, factor: 1.0, most: Duration::ZERO, tries: None };
    match cursor {
        Some(cursor) => Following::after(kind, policy, cursor),
        None => Following::new(kind, policy),
    }
}

/// The ids under which a body will be answered.
pub(super) fn ids_in(body: &Bytes) -> Vec<RequestId> {
    let id = |entry: Result<Message, Malformed>| match entry {
        Ok(Message::Request(request)) => Some(request.id),
        Ok(_) => None,
        Err(malformed) => malformed.id,
    };
    match parse(body, &ParseLimits::default()) {
        Ok(Frame::Single(message)) => id(Ok(message)).into_iter().collect(),
        Ok(Frame::Batch(entries)) => entries.into_iter().filter_map(id).collect(),
        Err(malformed) => id(Err(malformed)).into_iter().collect(),
    }
}

/// Our requests carry their id as progress token.
pub(super) fn token_of(id: &RequestId) -> ProgressToken {
    match id {
        RequestId::Number(number) => ProgressToken::Number(*number),
        RequestId::String(text) => ProgressToken::String(text.clone()),
    }
}

/// Far more than an event of a test has.
const MAX_EVENT: usize = 64 * 1024;
