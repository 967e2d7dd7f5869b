//! What a handler does once, however many rounds its call takes.

use std::fmt;
use std::future::Future;
use std::sync::Mutex;

use serde::Serialize;
use serde::de::DeserializeOwned;
use throughline_proto::jsonrpc::{Raw, Str, reason};
use throughline_proto::stateless::{AskRefused, Rounds};

use super::Context;
use super::channel::Input;
use crate::error::Result;
use crate::lock::Lock;

impl Context {
    /// Does something once, although the handler may run several times: the result is kept under `key`, and when the
    /// handler runs again for the same call, it is read instead of made anew.
    ///
    /// A revision without sessions runs a handler again from its start for each [question](Context::elicit) that the client
    /// has answered. What has an effect and comes before a question belongs in here: a booking, a payment, a number that
    /// must stay the same. In a session a handler runs once, and so does this.
    ///
    /// ```
    /// use throughline::{Context, Result, tool};
    ///
    /// #[derive(serde::Deserialize, schemars::JsonSchema)]
    /// struct Confirm { ok: bool }
    ///
    /// async fn reserve() -> Result<u64> { Ok(7) }
    ///
    /// /// Books a seat.
    /// #[tool]
    /// async fn book(cx: Context) -> Result<String> {
    ///     let seat = cx.once("seat", || async { reserve().await }).await?;
    ///     let Confirm { ok } = cx.elicit(format!("Take seat {seat}?")).await?;
    ///     Ok(if ok { format!("seat {seat} is yours") } else { "nothing is booked".into() })
    /// }
    /// ```
    ///
    /// The result travels to the client and back, sealed: the client can neither read nor change it, and the server keeps
    /// nothing, so the next round may come to another process with the same key. It is kept when the round ends with a
    /// question, and lost when the answer comes later than the state is good for
    /// ([`KeyRing::with_ttl`](crate::KeyRing::with_ttl), ten minutes by default). What no question follows is not kept, and
    /// a client that sends the same round twice has it run twice: what must never happen twice needs a record of your own.
    ///
    /// It asks nothing itself: ask before it, and give it what the answer was.
    ///
    /// # Errors
    ///
    /// Whatever `make` ends with; then nothing is kept and the next round tries again. An [`OnceError`]: the result is too
    /// large, cannot be JSON, or the key is in use.
    ///
    /// # Cancel safety
    ///
    /// What is dropped half-way is not kept. The library itself drops a handler that waits for an answer only after its
    /// `once` are done.
    pub async fn once<T, F, Fut>(&self, key: impl Into<Str> + Send, make: F) -> Result<T>
    where
        T: Serialize + DeserializeOwned,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        let input = self.input();
        let key = key.into();
        if let Some(kept) = input.begin_once(&key)? {
            return kept.parse().map_err(|error| OnceError(Kind::Other(key, reason(&error))).into());
        }
        let making = Making { input, key: &key, ended: false };
        let made = MAKING.scope((), async { make().await }).await?;
        match Raw::new(&made) {
            Ok(kept) => making.end(kept)?,
            Err(error) => return Err(OnceError(Kind::NoJson(key.clone(), error.to_string())).into()),
        }
        Ok(made)
    }
}

tokio::task_local! {
    /// Set while the future is polled that makes a result.
    static MAKING: ();
}

/// Whether this is asked by what is being done once. A question there could have no answer in a revision without sessions:
/// the handler is not dropped before what it does once is done, and only another run would have the answer.
pub(super) fn is_making() -> bool {
    MAKING.try_with(|()| ()).is_ok()
}

/// A result that is being made.
///
/// # Drop behavior
///
/// It failed, or its handler was dropped: nothing is kept.
struct Making<'a> {
    input: &'a dyn Input,
    key: &'a str,
    ended: bool,
}

impl Making<'_> {
    fn end(mut self, made: Raw) -> Result<(), OnceError> {
        self.ended = true;
        self.input.end_once(self.key, Some(made))
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        if !self.ended {
            // Nothing is kept, so nothing can be too large.
            let _ = self.input.end_once(self.key, None);
        }
    }
}

/// Why something cannot be done [once](Context::once).
#[derive(Clone, Debug)]
pub struct OnceError(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Refused(Str, AskRefused),
    NoJson(Str, String),
    Other(Str, String),
    Running(Str),
    CallOver,
}

impl OnceError {
    /// What is kept for a call would have too many bytes.
    pub fn is_too_large(&self) -> bool {
        matches!(self.0, Kind::Refused(_, AskRefused::TooLarge))
    }

    pub(crate) fn refused(key: &str, why: AskRefused) -> Self {
        Self(Kind::Refused(key.to_owned().into(), why))
    }

    pub(crate) fn call_over() -> Self {
        Self(Kind::CallOver)
    }
}

impl fmt::Display for OnceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Refused(key, why) => write!(f, "the result of `{key}` cannot be kept: {why}"),
            Kind::NoJson(key, why) => write!(f, "the result of `{key}` cannot be kept: {why}"),
            Kind::Other(key, why) => {
                write!(f, "another result is kept under `{key}`; give each its own key: {why}")
            }
            Kind::Running(key) => {
                write!(f, "`{key}` is being done already; give each its own key, or wait for the first")
            }
            Kind::CallOver => f.write_str("the call is over; nothing is kept for it any more"),
        }
    }
}

impl std::error::Error for OnceError {}

/// What a call remembers, and what is being made: never two under the same key. The bounds are those of the machine that
/// carries it from round to round, also where there is only one round.
#[derive(Debug, Default)]
pub(crate) struct Running(Vec<Str>);

impl Running {
    pub(crate) fn begin(&mut self, rounds: &Rounds, key: &str) -> Result<Option<Raw>, OnceError> {
        if let Some(kept) = rounds.memo(key) {
            return Ok(Some(kept.clone()));
        }
        if self.0.iter().any(|running| **running == *key) {
            return Err(OnceError(Kind::Running(key.to_owned().into())));
        }
        // Before it is made: what has an effect had better not happen than be lost.
        rounds.check_memo(key, self.0.len()).map_err(|why| OnceError::refused(key, why))?;
        self.0.push(key.to_owned().into());
        Ok(None)
    }

    pub(crate) fn end(&mut self, rounds: &mut Rounds, key: &str, made: Option<Raw>) -> Result<(), OnceError> {
        self.0.retain(|running| **running != *key);
        let Some(made) = made else { return Ok(()) };
        rounds.remember(key, made).map_err(|why| OnceError::refused(key, why))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What a call carries where it awaits its answers: there is one round, unless the handler asks by its own
/// [`InputRequired`](super::InputRequired), which the library then turns into questions and another round.
#[derive(Debug)]
pub(super) struct OwnInput(Mutex<Carried>);

#[derive(Debug)]
struct Carried {
    rounds: Rounds,
    running: Running,
    responses: Vec<(Str, Raw)>,
    request_state: Option<Str>,
}

impl Default for OwnInput {
    fn default() -> Self {
        Self(Mutex::new(Carried {
            rounds: Rounds::new(None).expect("nothing came, so nothing is wrong with it"),
            running: Running::default(),
            responses: Vec::new(),
            request_state: None,
        }))
    }
}

impl OwnInput {
    /// The next round begins, with these answers.
    pub(super) fn next_round(&self, responses: Vec<(Str, Raw)>, request_state: Option<Str>) {
        let mut carried = self.0.locked();
        carried.responses = responses;
        carried.request_state = request_state;
    }
}

impl Input for OwnInput {
    fn begin_once(&self, key: &str) -> Result<Option<Raw>, OnceError> {
        let Carried { rounds, running, .. } = &mut *self.0.locked();
        running.begin(rounds, key)
    }

    fn end_once(&self, key: &str, made: Option<Raw>) -> Result<(), OnceError> {
        let Carried { rounds, running, .. } = &mut *self.0.locked();
        running.end(rounds, key, made)
    }

    fn response(&self, key: &str) -> Option<Raw> {
        let carried = self.0.locked();
        carried.responses.iter().find(|(name, _)| **name == *key).map(|(_, answer)| answer.clone())
    }

    fn request_state(&self) -> Option<Str> {
        self.0.locked().request_state.clone()
    }
}
