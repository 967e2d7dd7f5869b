use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use serde::Deserializer as _;
use serde::de::{Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::state::{Asked, MAX_ASKS, MAX_KEY, MAX_MEMOS, MAX_PAYLOAD, State};
use super::{Binding, KeyRing};
use crate::http::{Refusal, RefusalKind};
use crate::jsonrpc::{Raw, Str, reason};

/// Most members of `inputResponses`: every answer that we can have asked for, and as many that we ignore.
const MAX_RESPONSES: usize = 2 * MAX_ASKS;

/// Names a question within one run of a handler.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct AskNo(pub u64);

/// One request that may ask its client for input, over as many rounds as it takes.
///
/// The server keeps nothing between rounds. A handler runs anew in each and asks the same questions in the same order;
/// those that were answered have their answers at once, and when it waits for one that was not, the request is answered
/// "input required" and the run is dropped.
///
/// ```text
///   request               -> new    ask "a": no answer             input_required ->  {a: question}, state {a asked}
///   retry: {a}, state     -> open   ask "a": answer; ask "b": none  input_required ->  {b: question}, state {a: answer, b asked}
///   retry: {b}, state     -> open   ask "a": answer; ask "b": answer; the handler ends, and so does the call
/// ```
///
/// An answer counts for the question that it was given to: the state says under which key which question (its digest) was
/// asked, and a response under a key that was not asked is no answer. So a handler that asks something else under the same
/// key asks again. Order of calls: [`new`](Rounds::new) or [`open`](Rounds::open) when the request arrives,
/// [`ask`](Rounds::ask) and [`answer`](Rounds::answer) while the handler runs, and
/// [`input_required`](Rounds::input_required) when it cannot go on because [`is_waiting`](Rounds::is_waiting).
///
/// A state is good for one request, not for one use: until it expires, a client that sends the same request again with it gets
/// as far as before. What must happen once at most needs a record of its own.
///
/// A handler may also make its rounds itself, with [a state](Rounds::set_handler_state) of its own that is sealed with the
/// rest, [keys](Rounds::expect_responses) of its own and the [responses](Rounds::input_responses) as they came.
///
/// ```
/// use throughline_proto::jsonrpc::Raw;
/// use throughline_proto::stateless::{Binding, KeyRing, Rounds};
///
/// let keys = KeyRing::new([7; 32]); // random ones
/// let binding = Binding::new("tools/call", Some("delete"), None, None);
/// let question = br#"{"method":"elicitation/create","params":{"message":"Delete?"}}"#;
///
/// let mut first = Rounds::new(None)?;
/// let ask = first.ask(Some("approval"), question).expect("few were asked");
/// assert!(first.answer(ask).is_none() && first.is_waiting());
/// let required = first.input_required(&binding, &keys, [1; 24], 1_000).expect("it is short");
/// assert_eq!(required.requests[0].key, "approval");
///
/// let responses = Raw::from_json(r#"{"approval":{"action":"accept","content":{}}}"#)?;
/// let mut second = Rounds::open(Some(&responses), &required.state, &binding, &keys, 1_060)?;
/// let ask = second.ask(Some("approval"), question).expect("few were asked");
/// assert_eq!(second.answer(ask).expect("it came").as_str(), r#"{"action":"accept","content":{}}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Specification: <https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/mrtr>.
#[derive(Debug)]
pub struct Rounds {
    state: State,
    /// What this run knows of each of `state.asked`, by the same index.
    runs: Vec<Run>,
    ordinals: u64,
    responses: BTreeMap<Str, Raw>,
    is_expired: bool,
}

/// A question as this run of the handler sees it.
#[derive(Debug, Default)]
struct Run {
    /// The question's bytes; `None` while the handler has not asked it in this run.
    question: Option<Bytes>,
    is_open: bool,
}

/// What a request is answered with when its handler waits for input.
#[derive(Debug)]
pub struct InputRequired {
    /// The questions without an answer, in the order in which they were asked.
    pub requests: Vec<InputRequest>,
    /// The `requestState`, sealed.
    pub state: String,
}

/// One member of `inputRequests`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputRequest {
    /// Which question it is.
    pub ask: AskNo,
    /// The key that the response will have.
    pub key: Str,
    /// The bytes that [`Rounds::ask`] was given.
    pub question: Bytes,
}

impl Rounds {
    /// The rounds of a request that came without a `requestState`: the first one. Its responses answer no question,
    /// because none was asked; a handler that makes its rounds itself still [sees](Rounds::input_responses) them.
    ///
    /// # Errors
    ///
    /// Invalid params when `inputResponses` is not an object, has a key twice or more than 128 of them.
    pub fn new(input_responses: Option<&Raw>) -> Result<Rounds, Refusal> {
        Ok(Rounds::with(State::default(), responses(input_responses)?))
    }

    /// The rounds of a request that came with a `requestState`. `now` is in seconds since 1970.
    ///
    /// A state that has expired is no error: the rounds begin anew, as if neither state nor responses had come. What it
    /// remembered is lost with it.
    ///
    /// # Errors
    ///
    /// Invalid params, with one and the same sentence, when no key of the ring sealed the state for this request: it was
    /// changed, made up, or belongs to another method, target, other arguments or another principal. And what
    /// [`new`](Rounds::new) refuses.
    pub fn open(
        input_responses: Option<&Raw>,
        request_state: &str,
        binding: &Binding,
        keys: &KeyRing,
        now: u64,
    ) -> Result<Rounds, Refusal> {
        let responses = responses(input_responses)?;
        let opened = keys.open(binding, request_state).and_then(State::decode);
        let (expires, state) = opened.ok_or_else(foreign_state)?;
        if now >= expires {
            let mut rounds = Rounds::with(State::default(), BTreeMap::new());
            rounds.is_expired = true;
            return Ok(rounds);
        }
        let mut rounds = Rounds::with(state, responses);
        rounds.take_answers();
        Ok(rounds)
    }

    fn with(state: State, responses: BTreeMap<Str, Raw>) -> Rounds {
        let runs = state.asked.iter().map(|_| Run::default()).collect();
        Rounds { state, runs, ordinals: 0, responses, is_expired: false }
    }

    /// Gives the responses to the questions that they were asked for. Later rounds bring only newer ones, so all are kept.
    fn take_answers(&mut self) {
        for asked in self.state.asked.iter_mut().filter(|asked| asked.answer.is_none()) {
            // Every response is an object; what is not one answers nothing and is asked for again.
            asked.answer = self.responses.get(&asked.key).filter(|response| response.is_object()).cloned();
        }
        for key in &self.state.handler_keys {
            if let Some(response) = self.responses.get(key) {
                self.state.responses.retain(|(kept, _)| kept != key);
                self.state.responses.push((key.clone(), response.clone()));
            }
        }
        for (key, response) in &self.state.responses {
            self.responses.entry(key.clone()).or_insert_with(|| response.clone());
        }
    }

    /// Whether the request came with a state that had expired, so that all is asked anew.
    pub fn is_expired(&self) -> bool {
        self.is_expired
    }

    /// Asks `question`, the bytes of `{"method":..,"params":..}`, under `key` or, without one, under the number of such
    /// questions so far, from "1". A key that this run used before becomes `key#2`, `key#3`, ..
    ///
    /// # Errors
    ///
    /// When the key is empty or longer than 256 bytes, or when the call has 64 questions already.
    pub fn ask(&mut self, key: Option<&str>, question: &[u8]) -> Result<AskNo, AskRefused> {
        let key = match key {
            Some(key) => self.unused(checked_key(key)?),
            None => {
                self.ordinals += 1;
                self.unused(&self.ordinals.to_string())
            }
        };
        let digest = Sha256::digest(question).into();
        let at = match self.state.asked.iter().position(|asked| *asked.key == *key) {
            Some(at) => at,
            None if self.runs.len() >= MAX_ASKS => return Err(AskRefused::TooMany),
            None => {
                self.state.asked.push(Asked { key: Str::from(key), digest, answer: None });
                self.runs.push(Run::default());
                self.runs.len() - 1
            }
        };
        let asked = &mut self.state.asked[at];
        if asked.digest != digest {
            // The answer was to another question.
            asked.digest = digest;
            asked.answer = None;
        }
        self.runs[at] = Run { question: Some(Bytes::copy_from_slice(question)), is_open: true };
        Ok(AskNo(at as u64))
    }

    /// `key` as it is, or with the first number behind it that makes it new in this run.
    fn unused(&self, key: &str) -> String {
        let is_used = |key: &str| {
            self.state
                .asked
                .iter()
                .zip(&self.runs)
                .any(|(asked, run)| asked.key == key && run.question.is_some())
        };
        if !is_used(key) {
            return key.to_owned();
        }
        (2_u32..).map(|number| format!("{key}#{number}")).find(|key| !is_used(key)).expect("few are used")
    }

    /// The answer to a question, when there is one: an object whose shape nobody has looked at.
    pub fn answer(&self, ask: AskNo) -> Option<&Raw> {
        self.state.asked.get(index(ask))?.answer.as_ref()
    }

    /// The answer to a question cannot be used: it is dropped, and the question is asked again.
    pub fn reject(&mut self, ask: AskNo) {
        if let Some(asked) = self.state.asked.get_mut(index(ask)) {
            asked.answer = None;
        }
    }

    /// Nobody waits for a question any more: it is not asked unless the next run asks it. An answer that it has is kept for
    /// that run.
    pub fn close(&mut self, ask: AskNo) {
        if let Some(run) = self.runs.get_mut(index(ask)) {
            run.is_open = false;
        }
    }

    /// Whether an open question has no answer.
    pub fn is_waiting(&self) -> bool {
        (0..self.runs.len()).any(|at| self.waits(at))
    }

    fn waits(&self, at: usize) -> bool {
        self.runs[at].is_open && self.state.asked[at].answer.is_none()
    }

    /// The value that an earlier round, or this one, remembered under `key`.
    pub fn memo(&self, key: &str) -> Option<&Raw> {
        self.state.memos.iter().find(|(memo, _)| memo == key).map(|(_, value)| value)
    }

    /// Whether a value of some length could be remembered under `key` beside `others` that will be.
    ///
    /// # Errors
    ///
    /// When the key is empty or longer than 256 bytes, or when there would be more than 64 values.
    pub fn check_memo(&self, key: &str, others: usize) -> Result<(), AskRefused> {
        checked_key(key)?;
        let is_new = self.memo(key).is_none();
        if is_new && self.state.memos.len() + others >= MAX_MEMOS { Err(AskRefused::TooMany) } else { Ok(()) }
    }

    /// Remembers a value for the rounds to come, instead of one that had the same key.
    ///
    /// # Errors
    ///
    /// When the key is empty or longer than 256 bytes, there are 64 values already or the state would be longer than 64 KiB.
    /// Nothing is remembered then.
    pub fn remember(&mut self, key: &str, value: Raw) -> Result<(), AskRefused> {
        let key = checked_key(key)?;
        let before = self.state.memos.iter().position(|(memo, _)| memo == key);
        if before.is_none() && self.state.memos.len() >= MAX_MEMOS {
            return Err(AskRefused::TooMany);
        }
        let old = before.map(|at| self.state.memos.swap_remove(at));
        self.state.memos.push((Str::from(key.to_owned()), value));
        if self.state.size() > MAX_PAYLOAD {
            self.state.memos.pop();
            self.state.memos.extend(old);
            return Err(AskRefused::TooLarge);
        }
        Ok(())
    }

    /// The state that the handler itself gave in an earlier round.
    pub fn handler_state(&self) -> Option<&Raw> {
        self.state.handler.as_ref()
    }

    /// Seals `state`, or none, with the rest, for the next round of a handler that makes its rounds itself.
    pub fn set_handler_state(&mut self, state: impl Into<Option<Raw>>) {
        self.state.handler = state.into();
    }

    /// Says under which keys such a handler asks in this round, which it ended: no other question is open any more. The
    /// responses to these keys stay readable while rounds follow that the handler did not make itself; those of its earlier
    /// rounds are forgotten.
    ///
    /// # Errors
    ///
    /// When a key is empty, longer than 256 bytes or there twice, or when there are more than 64.
    pub fn expect_responses<'k>(
        &mut self,
        keys: impl IntoIterator<Item = &'k str>,
    ) -> Result<(), AskRefused> {
        let mut expected: Vec<Str> = Vec::new();
        for key in keys {
            let key = checked_key(key)?;
            if expected.iter().any(|other| other == key) {
                return Err(AskRefused::SameKey);
            }
            if expected.len() >= MAX_ASKS {
                return Err(AskRefused::TooMany);
            }
            expected.push(Str::from(key.to_owned()));
        }
        self.runs.iter_mut().for_each(|run| run.is_open = false);
        self.state.handler_keys = expected;
        self.state.responses.clear();
        Ok(())
    }

    /// The responses of this round as they came, whatever was asked, and those to the handler's own keys from earlier rounds.
    /// Their values are what the client sent: any JSON.
    pub fn input_responses(&self) -> &BTreeMap<Str, Raw> {
        &self.responses
    }

    /// What to answer the request with: the open questions without an answer, and everything so far, sealed for `binding`.
    /// `nonce` is random and never used twice; `now` is in seconds since 1970.
    ///
    /// # Errors
    ///
    /// When the state is longer than 64 KiB.
    pub fn input_required(
        &self,
        binding: &Binding,
        keys: &KeyRing,
        nonce: [u8; 24],
        now: u64,
    ) -> Result<InputRequired, AskRefused> {
        let mut state = self.state.clone();
        let mut requests = Vec::new();
        let mut at = 0..self.runs.len();
        // A question that nobody waits for and that has no answer is forgotten.
        state.asked.retain(|asked| {
            let at = at.next().expect("as many as there are runs");
            match &self.runs[at].question {
                Some(question) if self.waits(at) => requests.push(InputRequest {
                    ask: AskNo(at as u64),
                    key: asked.key.clone(),
                    question: question.clone(),
                }),
                _ => return asked.answer.is_some(),
            }
            true
        });
        let expires = now.saturating_add(keys.ttl().as_secs());
        let payload = state.encode(expires).ok_or(AskRefused::TooLarge)?;
        Ok(InputRequired { requests, state: keys.seal(binding, nonce, &payload) })
    }
}

fn index(ask: AskNo) -> usize {
    usize::try_from(ask.0).unwrap_or(usize::MAX)
}

fn checked_key(key: &str) -> Result<&str, AskRefused> {
    if key.is_empty() || key.len() > MAX_KEY { Err(AskRefused::BadKey) } else { Ok(key) }
}

/// One sentence whatever is wrong with a state, so that nobody learns by trying what would be right.
fn foreign_state() -> Refusal {
    Refusal::new(RefusalKind::InvalidParams).with_message(
        "The requestState was not given for this request. Send the request again without requestState and inputResponses.",
    )
}

/// Reads `inputResponses`: an object, each key once. Its values are slices of the message.
fn responses(input_responses: Option<&Raw>) -> Result<BTreeMap<Str, Raw>, Refusal> {
    let Some(object) = input_responses else { return Ok(BTreeMap::new()) };
    serde_json::Deserializer::from_str(object.as_str()).deserialize_map(Responses(object)).map_err(|error| {
        Refusal::new(RefusalKind::InvalidParams).with_message(format!(
            "The member \"inputResponses\" cannot be read: {}. Send an object with one response for each key of inputRequests.",
            reason(&error)
        ))
    })
}

struct Responses<'a>(&'a Raw);

impl<'de> Visitor<'de> for Responses<'_> {
    type Value = BTreeMap<Str, Raw>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<BTreeMap<Str, Raw>, A::Error> {
        let mut responses = BTreeMap::new();
        while let Some((key, response)) = map.next_entry::<Str, &RawValue>()? {
            if responses.len() >= MAX_RESPONSES {
                return Err(A::Error::custom(format_args!("it has more than {MAX_RESPONSES} members")));
            }
            if responses.insert(key, self.0.slice(response.into())).is_some() {
                return Err(A::Error::custom("it has a key twice"));
            }
        }
        Ok(responses)
    }
}

/// Why a handler may not ask or remember something. Each is a mistake of the handler, not of its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskRefused {
    /// One call has more than 64 questions or remembered values.
    TooMany,
    /// A key is empty or longer than 256 bytes.
    BadKey,
    /// A handler that makes its rounds itself asks twice under one key.
    SameKey,
    /// What is carried from round to round is longer than 64 KiB.
    TooLarge,
}

impl fmt::Display for AskRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AskRefused::TooMany => write!(
                f,
                "one call asks at most {MAX_ASKS} questions and remembers at most {MAX_MEMOS} values: ask for several things at once"
            ),
            AskRefused::BadKey => {
                write!(
                    f,
                    "the key of a question or a remembered value has 1 to {MAX_KEY} bytes: use a short name"
                )
            }
            AskRefused::SameKey => f.write_str("two input requests have the same key: give each its own"),
            AskRefused::TooLarge => write!(
                f,
                "the answers and remembered values of one call are longer than {} KiB: keep large ones elsewhere and remember where",
                MAX_PAYLOAD / 1024
            ),
        }
    }
}

impl std::error::Error for AskRefused {}

#[cfg(test)]
mod tests;
