//! What a reader saw, and whether that is what it should have seen.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tokio::time::Instant;

/// A message, or a priming event without one.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Which connection of its stream brought it, counted from one.
    pub(crate) connection: usize,
    pub(crate) at: Instant,
    /// Its event id.
    pub(crate) id: Option<String>,
    /// Null for a priming event.
    pub(crate) message: Value,
}

/// The server said that so many events are gone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Loss {
    /// How many were seen before it.
    pub(crate) after: usize,
    pub(crate) count: u64,
}

/// What became of a request or a stream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Fate {
    /// Its response came.
    Answered,
    /// The connection broke before there was an id to come back with.
    Unknown,
    /// 404: the session is gone.
    SessionGone,
    /// The server refused it with this status.
    Refused(u16, String),
    /// The reader had what it wanted of a standalone stream.
    Left,
}

/// Everything that was seen of one request, or of one standalone stream.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// The id of the request; null for a standalone stream.
    pub(crate) id: Value,
    pub(crate) seen: Vec<Seen>,
    pub(crate) losses: Vec<Loss>,
    pub(crate) fate: Fate,
    /// How many connections it took, those that brought nothing included.
    pub(crate) connections: usize,
    /// The connections of a standalone stream that were opened without an id. What was written to a connection before is
    /// then lost without a word, as nobody can know that it did not arrive.
    pub(crate) opened: Vec<usize>,
    pub(crate) last_id: Option<String>,
}

impl Record {
    pub(crate) fn new(id: Value) -> Self {
        Self {
            id,
            seen: Vec::new(),
            losses: Vec::new(),
            fate: Fate::Unknown,
            connections: 0,
            opened: Vec::new(),
            last_id: None,
        }
    }

    pub(crate) fn messages(&self) -> impl Iterator<Item = &Value> {
        self.seen.iter().map(|seen| &seen.message).filter(|message| !message.is_null())
    }

    /// The message that answers the request.
    pub(crate) fn response(&self) -> Option<&Value> {
        self.messages().find(|message| is_response_to(message, &self.id))
    }

    /// Checks a call of the [`Ledger`](crate::support::Ledger)'s `work`: it settled once, or it is unknown and nothing
    /// came that it could have been resumed with; its progress is 1 to `steps`, in order, each once, but for what the
    /// server said is gone; nothing of another call came.
    pub(crate) fn check_work(&self, label: &str, steps: u64) -> Result<(), String> {
        let fail = |why: String| Err(format!("call {label}: {why}\n{self}"));
        let (mut next, mut answered, mut asked) = (1, false, false);
        let mut losses = self.losses.iter().peekable();
        for (at, seen) in self.seen.iter().enumerate() {
            while let Some(loss) = losses.next_if(|loss| loss.after <= at) {
                next += loss.count;
            }
            let message = &seen.message;
            if message.is_null() {
                continue;
            }
            if answered {
                return fail(format!("this came after the response: {message}"));
            }
            match message["method"].as_str() {
                Some("notifications/progress") => {
                    let params = &message["params"];
                    let named = params["message"].as_str().map(str::trim_end);
                    if params["progressToken"] != self.id || named != Some(label) {
                        return fail(format!("this belongs to another: {message}"));
                    }
                    if params["progress"].as_f64() != Some(next as f64) {
                        return fail(format!("{next} was to come, and this came: {message}"));
                    }
                    next += 1;
                }
                Some("roots/list") if !asked => asked = true,
                Some(_) => return fail(format!("nobody waits for this: {message}")),
                None if !is_response_to(message, &self.id) => {
                    return fail(format!("this answers another: {message}"));
                }
                None => {
                    answered = true;
                    if message["result"]["content"][0]["text"] != label {
                        return fail(format!("the result is another's, or none: {message}"));
                    }
                    if next != steps + 1 {
                        return fail(format!("the result came before {next} of {steps}"));
                    }
                }
            }
        }
        let has_ids = self.seen.iter().any(|seen| seen.id.is_some());
        match &self.fate {
            Fate::Answered if answered => Ok(()),
            Fate::Unknown if !answered && !has_ids => Ok(()),
            Fate::SessionGone if !answered => Ok(()),
            fate => fail(format!("that cannot be its fate: {fate:?}")),
        }
    }

    /// The same for a request of the modern era: there are no ids, and nothing is resumed.
    pub(crate) fn check_modern_work(&self, label: &str, steps: u64) -> Result<(), String> {
        if self.connections > 1 || self.seen.iter().any(|seen| seen.id.is_some()) {
            return Err(format!("call {label}: the modern era resumes nothing\n{self}"));
        }
        self.check_work(label, steps)
    }

    /// Checks the `it/n` notifications of a standalone stream: each at most once, in order. One is missing only where the
    /// server said so, or before the first one of a connection that was opened without an id.
    pub(crate) fn check_numbers(&self) -> Result<(), String> {
        let mut last = 0;
        let mut opened = &self.opened[..];
        let mut losses = self.losses.iter().peekable();
        for (at, seen) in self.seen.iter().enumerate() {
            while let Some(loss) = losses.next_if(|loss| loss.after <= at) {
                last += loss.count;
            }
            let message = &seen.message;
            if message.is_null() {
                continue;
            }
            let (Some("it/n"), Some(number)) = (message["method"].as_str(), message["params"]["n"].as_u64())
            else {
                return Err(format!("standalone: nobody waits for this: {message}\n{self}"));
            };
            let is_first = opened.first().is_some_and(|opened| *opened <= seen.connection);
            while let [first, rest @ ..] = opened
                && *first <= seen.connection
            {
                opened = rest;
            }
            if number != last + 1 && !(is_first && number > last) {
                return Err(format!("standalone: {number} came after {last}\n{self}"));
            }
            last = number;
        }
        Ok(())
    }
}

/// Checks all that one session got: no event came twice, and each stream belongs to one request.
pub(crate) fn check_session(records: &[Record]) -> Result<(), String> {
    let mut ids = BTreeSet::new();
    let mut streams = BTreeMap::new();
    for (at, record) in records.iter().enumerate() {
        for seen in record.seen.iter().filter(|seen| !seen.message.is_null()) {
            let Some(id) = &seen.id else { continue };
            if !ids.insert(id) {
                return Err(format!("event {id} came twice\n{record}"));
            }
            let stream = id.rsplit_once('-').ok_or_else(|| format!("not an id of ours: {id}"))?.0;
            if *streams.entry(stream).or_insert(at) != at {
                return Err(format!("stream {stream} came to two requests\n{record}"));
            }
        }
    }
    Ok(())
}

pub(crate) fn is_response_to(message: &Value, id: &Value) -> bool {
    message.get("method").is_none() && !id.is_null() && message["id"] == *id
}

impl std::fmt::Display for Record {
    /// The history, a line for each event: enough to see where it went wrong.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "  request {}: {:?}, {} connections, opened: {:?}",
            self.id, self.fate, self.connections, self.opened
        )?;
        for (at, seen) in self.seen.iter().enumerate() {
            for loss in self.losses.iter().filter(|loss| loss.after == at) {
                writeln!(f, "  gone: {}", loss.count)?;
            }
            let id = seen.id.as_deref().unwrap_or("no id");
            writeln!(f, "  connection {} [{id}] {}", seen.connection, seen.message)?;
        }
        Ok(())
    }
}
