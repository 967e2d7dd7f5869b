//! The calls that wait for their answer.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use throughline_proto::client::{CallClock, Overdue, Patience};
use throughline_proto::jsonrpc::{Message, ProgressToken, Raw, Request};
use throughline_proto::model::{LoggingMessageParams, ProgressParams};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::{ClientError, ResumptionToken};
use crate::lock::Lock;
use crate::runtime;

type Witness<T> = Box<dyn FnMut(&T) + Send>;
type Usher<T> = Box<dyn FnMut(&mut T) + Send>;

/// What the caller wants to hear of while the call runs.
#[derive(Default)]
#[allow(clippy::type_complexity, reason = "each is named nowhere else")]
pub(crate) struct Hooks {
    /// Where the caller named the token of its progress itself; otherwise it is the id of the request.
    pub(crate) own_token: Option<ProgressToken>,
    pub(crate) progress: Option<Box<dyn FnMut(ProgressParams) + Send>>,
    pub(crate) log: Option<Box<dyn FnMut(LoggingMessageParams) + Send>>,
    pub(crate) message: Option<Witness<Message>>,
    /// Is shown each question that came in a result, before it is answered.
    pub(crate) question: Option<Usher<Request>>,
    pub(crate) token: Option<Witness<ResumptionToken>>,
    pub(crate) lost: Option<Box<dyn FnMut(u64) + Send>>,
}

/// The calls in flight, by the ids of their requests.
#[derive(Default)]
pub(crate) struct InFlight {
    calls: Mutex<HashMap<i64, Arc<Pending>>>,
}

impl InFlight {
    /// Registers a call.
    pub(crate) fn begin(
        &self,
        id: i64,
        patience: Patience,
        hooks: Hooks,
    ) -> Result<Arc<Pending>, ClientError> {
        let pending = Arc::new(Pending {
            id: AtomicI64::new(id),
            sent: Arc::default(),
            generation: AtomicU64::new(0),
            own_token: hooks.own_token.clone(),
            clock: Mutex::new(CallClock::new(runtime::now(), patience)),
            hooks: Mutex::new(hooks),
            outcome: Mutex::new(None),
            answered: Notify::new(),
            released: Notify::new(),
            questions: Mutex::default(),
        });
        let mut calls = self.calls.locked();
        if calls.len() >= MOST_IN_FLIGHT {
            return Err(ClientError::unsendable(format_args!(
                "{MOST_IN_FLIGHT} calls are in flight already; wait for some"
            )));
        }
        if calls.contains_key(&id) {
            return Err(ClientError::unsendable("the call that is to be resumed is in flight already"));
        }
        calls.insert(id, Arc::clone(&pending));
        Ok(pending)
    }

    /// The call goes on under another id.
    pub(crate) fn renew(&self, pending: &Arc<Pending>, id: i64) {
        let mut calls = self.calls.locked();
        calls.remove(&pending.id.swap(id, Ordering::Relaxed));
        calls.insert(id, Arc::clone(pending));
        drop(calls);
        pending.sent.store(false, Ordering::Relaxed);
    }

    pub(crate) fn end(&self, pending: &Pending) {
        self.calls.locked().remove(&pending.id());
    }

    pub(crate) fn get(&self, id: i64) -> Option<Arc<Pending>> {
        self.calls.locked().get(&id).cloned()
    }

    /// The call whose progress has this token.
    pub(crate) fn of_token(&self, token: &ProgressToken) -> Option<Arc<Pending>> {
        let calls = self.calls.locked();
        let of_id = match token {
            ProgressToken::Number(id) => calls.get(id).filter(|pending| pending.own_token.is_none()),
            ProgressToken::String(_) => None,
        };
        // Hardly any caller names its tokens.
        of_id.or_else(|| calls.values().find(|pending| pending.own_token.as_ref() == Some(token))).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Pending>> {
        self.calls.locked().values().cloned().collect()
    }

    /// Fails every call, as their answers can come no more.
    pub(crate) fn fail_all(&self, why: impl Fn(&Pending) -> ClientError) {
        for pending in self.all() {
            let why = why(&pending);
            pending.settle(Err(why));
        }
    }
}

/// A call that waits for its answer.
pub(crate) struct Pending {
    id: AtomicI64,
    /// Its request is on its way, so the server may have to be told that it is taken back.
    sent: Arc<AtomicBool>,
    /// The session that it was sent in, as [`Agreed`](super::core::Agreed) counts them.
    generation: AtomicU64,
    own_token: Option<ProgressToken>,
    clock: Mutex<CallClock>,
    hooks: Mutex<Hooks>,
    outcome: Mutex<Option<Result<Raw, ClientError>>>,
    /// The outcome is there.
    answered: Notify,
    /// The clock goes on.
    released: Notify,
    /// The answers that are made to what the server asks for this call.
    questions: Mutex<Vec<AbortHandle>>,
}

impl Pending {
    /// An answer to the server is made for this call.
    pub(crate) fn asks(&self, answering: AbortHandle) {
        let mut questions = self.questions.locked();
        questions.retain(|answering| !answering.is_finished());
        questions.push(answering);
    }

    /// Nobody waits any more for what was asked for this call.
    pub(crate) fn give_up_questions(&self) {
        self.questions.locked().drain(..).for_each(|answering| answering.abort());
    }

    pub(crate) fn id(&self) -> i64 {
        self.id.load(Ordering::Relaxed)
    }

    pub(crate) fn is_sent(&self) -> bool {
        self.sent.load(Ordering::Relaxed)
    }

    pub(crate) fn set_sent(&self) {
        self.sent.store(true, Ordering::Relaxed);
    }

    /// The request was answered: whatever happens to the call now, there is nothing to take back until it sends another.
    pub(crate) fn set_answered(&self) {
        self.sent.store(false, Ordering::Relaxed);
    }

    /// To be set as soon as the request is on its way.
    pub(crate) fn sent_mark(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.sent)
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    pub(crate) fn set_generation(&self, generation: u64) {
        self.generation.store(generation, Ordering::Relaxed);
    }

    fn owns(&self, token: &ProgressToken) -> bool {
        match &self.own_token {
            Some(own) => own == token,
            None => *token == ProgressToken::Number(self.id()),
        }
    }

    /// Its answer came by another way than the response to its request. The first counts.
    pub(crate) fn settle(&self, outcome: Result<Raw, ClientError>) {
        self.outcome.locked().get_or_insert(outcome);
        self.answered.notify_one();
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.outcome.locked().is_some()
    }

    /// Waits until it is settled so. For one waiter.
    pub(crate) async fn settled(&self) -> Result<Raw, ClientError> {
        loop {
            if let Some(outcome) = self.outcome.locked().take() {
                return outcome;
            }
            self.answered.notified().await;
        }
    }

    /// Waits until nothing can come of it any more, while no request of it is open. For one waiter.
    pub(crate) async fn failed(&self) -> ClientError {
        loop {
            // A second answer to a request that was answered is none.
            if let Err(error) = self.settled().await {
                return error;
            }
        }
    }

    /// Waits until the clock that stood still goes on.
    pub(crate) async fn released(&self) {
        self.released.notified().await;
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.clock.locked().deadline()
    }

    pub(crate) fn overdue(&self) -> Option<(Overdue, Patience)> {
        let clock = self.clock.locked();
        clock.overdue(runtime::now()).map(|overdue| (overdue, clock.patience()))
    }

    /// The clock stands still as long as this is held.
    pub(crate) fn hold(self: &Arc<Self>) -> Held {
        self.clock.locked().hold(runtime::now());
        Held(Arc::clone(self))
    }

    /// A message that belongs to this call. What its caller's functions do wrong is theirs: a panic is logged.
    pub(crate) fn tell(&self, message: &Message) {
        let mut hooks = self.hooks.locked();
        if let Message::Notification(notification) = message
            && let Some(params) = &notification.params
        {
            match &*notification.method {
                "notifications/progress" => self.tell_progress(&mut hooks, params),
                "notifications/message" => hooks.tell_log(params),
                _ => {}
            }
        }
        if let Some(tell) = &mut hooks.message {
            guarded(|| tell(message));
        }
    }

    /// A question that came in a result of this call.
    pub(crate) fn show(&self, question: &mut Request) {
        if let Some(show) = &mut self.hooks.locked().question {
            guarded(|| show(question));
        }
    }

    /// Progress of another call is none of this one, and does not give it more time.
    fn tell_progress(&self, hooks: &mut Hooks, params: &Raw) {
        match params.parse::<ProgressParams>() {
            Ok(progress) if self.owns(&progress.progress_token) => {
                self.clock.locked().handle_progress(runtime::now());
                if let Some(tell) = &mut hooks.progress {
                    guarded(|| tell(progress));
                }
            }
            Ok(_) => tracing::warn!("the server sent progress of what nobody waits for; it is skipped"),
            Err(error) => tracing::warn!(%error, "the server sent progress that is none"),
        }
    }

    pub(crate) fn tell_token(&self, token: impl FnOnce() -> ResumptionToken) {
        if let Some(tell) = &mut self.hooks.locked().token {
            let token = token();
            guarded(|| tell(&token));
        }
    }

    pub(crate) fn tell_lost(&self, lost: u64) {
        tracing::warn!(lost, "the server no longer has some events of a call: they are lost");
        if let Some(tell) = &mut self.hooks.locked().lost {
            guarded(|| tell(lost));
        }
    }
}

impl Hooks {
    fn tell_log(&mut self, params: &Raw) {
        let Some(tell) = &mut self.log else { return };
        match params.parse() {
            Ok(log) => guarded(|| tell(log)),
            Err(error) => tracing::warn!(%error, "the server sent a log message that is none"),
        }
    }
}

/// Keeps a call's clock standing still.
pub(crate) struct Held(Arc<Pending>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.clock.locked().release(runtime::now());
        self.0.released.notify_one();
    }
}

/// Runs a function of the user's: its panic must not end the reader of a stream that others share.
pub(crate) fn guarded(run: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(run)).is_err() {
        tracing::error!("a function that was given to the client panicked");
    }
}

/// As many as a server takes on in all by default (design §8).
const MOST_IN_FLIGHT: usize = 4_096;
