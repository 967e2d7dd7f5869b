//! What the server asks and tells, and who answers and listens.

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use bytes::BytesMut;
use serde::Serialize;
use serde::de::DeserializeOwned;
use throughline_proto::jsonrpc::{
    self, ErrorCode, ErrorObject, Message, Notification, Raw, Request, RequestId, Str,
};
use throughline_proto::model::{
    CancelledParams, ElicitationCompleteParams, InputRequest, InputRequiredResult, LoggingMessageParams,
    ResourceUpdatedParams,
};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use super::core::Core;
use super::elicit::Elicitations;
use super::in_flight::{Held, guarded};
use crate::error::McpError;
use crate::lock::Lock;
use crate::runtime;

type Answering = Pin<Box<dyn Future<Output = Result<Raw, McpError>> + Send>>;
type Answerer = Box<dyn Fn(Request) -> Answering + Send + Sync>;
type Listener<T> = Box<dyn Fn(T) + Send + Sync>;
type Witness<T> = Box<dyn Fn(&T) + Send + Sync>;

/// The answerers by method, the listeners, and the answers being made.
#[allow(clippy::type_complexity, reason = "each is named nowhere else")]
pub(crate) struct Handlers {
    by_method: Vec<(&'static str, Answerer)>,
    other: Option<Answerer>,
    pub(crate) notified: Option<Witness<Notification>>,
    pub(crate) log: Option<Listener<LoggingMessageParams>>,
    pub(crate) updated: Option<Listener<ResourceUpdatedParams>>,
    pub(crate) tools_changed: Option<Listener<()>>,
    pub(crate) prompts_changed: Option<Listener<()>>,
    pub(crate) resources_changed: Option<Listener<()>>,
    /// Is told of everything that belongs to no call.
    pub(crate) stray: Option<Witness<Message>>,
    pub(crate) page_done: Option<Listener<ElicitationCompleteParams>>,
    pub(crate) elicitations: Arc<Elicitations>,
    /// By the generations of their sessions, as another session may use an id anew, and by their ids.
    running: Mutex<Vec<(u64, RequestId, AbortHandle)>>,
    /// Room to decline questions that are too many.
    declining: Arc<Semaphore>,
}

impl Default for Handlers {
    fn default() -> Self {
        Self {
            by_method: Vec::new(),
            other: None,
            notified: None,
            log: None,
            updated: None,
            tools_changed: None,
            prompts_changed: None,
            resources_changed: None,
            stray: None,
            page_done: None,
            elicitations: Arc::default(),
            running: Mutex::default(),
            declining: Arc::new(Semaphore::new(MOST_DECLINED)),
        }
    }
}

impl Handlers {
    pub(crate) fn set<P, R, F, Fut>(&mut self, method: &'static str, answer: F)
    where
        P: DeserializeOwned,
        R: Serialize,
        F: Fn(P) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, McpError>> + Send + 'static,
    {
        let answerer = move |request: Request| -> Answering {
            let params = request.params.unwrap_or_else(Raw::empty_object);
            match params.parse::<P>() {
                Ok(params) => {
                    let answer = answer(params);
                    Box::pin(async move {
                        Raw::new(&answer.await?)
                            .map_err(|error| McpError::internal(format!("the answer is no JSON: {error}")))
                    })
                }
                Err(error) => {
                    let misfit = McpError::invalid_params(format!("the params do not fit: {error}"));
                    Box::pin(std::future::ready(Err(misfit)))
                }
            }
        };
        self.by_method.retain(|(known, _)| *known != method);
        self.by_method.push((method, Box::new(answerer)));
    }

    pub(crate) fn set_other<F, Fut>(&mut self, answer: F)
    where
        F: Fn(Request) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Raw, McpError>> + Send + 'static,
    {
        self.other = Some(Box::new(move |request| Box::pin(answer(request))));
    }

    /// The methods that have an answerer of their own.
    #[cfg(feature = "testing")]
    pub(crate) fn methods(&self) -> Vec<&'static str> {
        self.by_method.iter().map(|(method, _)| *method).collect()
    }

    fn answer(&self, request: Request) -> Answering {
        let own = self.by_method.iter().find(|(method, _)| *method == &*request.method);
        match own.map(|(_, answerer)| answerer).or(self.other.as_ref().filter(|_| request.method != "ping")) {
            Some(answerer) => answerer(request),
            None if request.method == "ping" => Box::pin(std::future::ready(Ok(Raw::empty_object()))),
            None => {
                let why = format!("this client has no method `{}`", jsonrpc::excerpt(&request.method));
                Box::pin(std::future::ready(Err(ErrorObject::new(ErrorCode::METHOD_NOT_FOUND, why).into())))
            }
        }
    }

    /// Tells of a message that belongs to no call.
    pub(crate) fn tell_stray(&self, message: &Message) {
        if let Some(tell) = &self.stray {
            guarded(|| tell(message));
        }
    }

    /// Begins to answer. A panic of the answerer is an answer, and ends nothing else.
    fn answered(&self, request: Request) -> Answering {
        match catch_unwind(AssertUnwindSafe(|| self.answer(request))) {
            Ok(mut answering) => Box::pin(poll_fn(move |cx| {
                catch_unwind(AssertUnwindSafe(|| answering.as_mut().poll(cx)))
                    .unwrap_or_else(|_| Poll::Ready(Err(panicked())))
            })),
            Err(_) => Box::pin(std::future::ready(Err(panicked()))),
        }
    }

    /// Tells the listeners of the whole connection.
    pub(crate) fn tell(&self, notification: &Notification) {
        if let Some(tell) = &self.notified {
            guarded(|| tell(notification));
        }
        let params = notification.params.as_ref();
        match &*notification.method {
            "notifications/message" => tell_parsed(self.log.as_ref(), params),
            "notifications/resources/updated" => tell_parsed(self.updated.as_ref(), params),
            "notifications/tools/list_changed" => tell_changed(self.tools_changed.as_ref()),
            "notifications/prompts/list_changed" => tell_changed(self.prompts_changed.as_ref()),
            "notifications/resources/list_changed" => tell_changed(self.resources_changed.as_ref()),
            "notifications/elicitation/complete" => {
                let done = params.and_then(|params| params.parse().ok());
                let Some(done) = done.filter(|done| self.elicitations.complete(done)) else {
                    return tracing::debug!("the server says that a page is done with which is not known");
                };
                if let Some(tell) = &self.page_done {
                    guarded(|| tell(done));
                }
            }
            _ => {}
        }
    }

    /// Starts to answer a request of the server's, which it made in the session of this generation. `held`: the clocks that
    /// stand still for as long.
    pub(crate) fn begin(
        &self,
        core: &Arc<Core>,
        request: Request,
        held: Vec<Held>,
        generation: u64,
    ) -> Option<AbortHandle> {
        let mut running = self.running.locked();
        // Asked under the lock, so that nothing begins after `give_up`.
        if core.is_closed() {
            return None;
        }
        running.retain(|(_, _, task)| !task.is_finished());
        let id = request.id.clone();
        if running.iter().any(|(session, known, _)| *session == generation && *known == id) {
            tracing::warn!(?id, "the server asked again under the id of an open question; it is skipped");
            return None;
        }
        if running.len() >= MOST_QUESTIONS {
            self.decline(core, id, generation);
            return None;
        }
        drop(running);
        // At once, so that what comes right behind the question finds it known.
        let answering = self.answered(request);
        let mut running = self.running.locked();
        if core.is_closed() {
            return None;
        }
        let answering = answer_and_send(Arc::clone(core), id.clone(), answering, held, generation);
        let task = runtime::spawn(answering);
        running.push((generation, id, task.clone()));
        Some(task)
    }

    /// Says that a question is one too many.
    fn decline(&self, core: &Arc<Core>, id: RequestId, generation: u64) {
        let Ok(room) = Arc::clone(&self.declining).try_acquire_owned() else {
            tracing::warn!("the server asks more than can be declined; a question is skipped");
            return;
        };
        let declining = Arc::clone(core);
        core.spawn(async move {
            let why = "too many questions wait for an answer of this client; ask again later";
            declining.send_answer(id, Err(McpError::internal(why)), generation).await;
            drop(room);
        });
    }

    /// The server takes a question of the session of this generation back: it is not answered.
    pub(crate) fn withdraw(&self, params: Option<&Raw>, generation: u64) {
        let Some(params) = params.and_then(|params| params.parse::<CancelledParams>().ok()) else { return };
        self.running.locked().retain(|(session, id, task)| {
            let is_it = *session == generation && *id == params.request_id;
            if is_it {
                task.abort();
            }
            !is_it
        });
    }

    /// Everything that is being answered is given up.
    pub(crate) fn give_up(&self) {
        self.running.locked().drain(..).for_each(|(_, _, task)| task.abort());
    }

    /// Answers the questions of a result that requires input, all at the same time. `show` sees each before it is answered.
    pub(crate) async fn answer_all(
        &self,
        required: InputRequiredResult,
        show: impl Fn(&mut Request),
    ) -> Result<Vec<(Str, Raw)>, McpError> {
        let count = required.input_requests.len();
        if count > MOST_QUESTIONS {
            let why =
                format!("{count} questions at once are more than the {MOST_QUESTIONS} that are answered");
            return Err(McpError::internal(why));
        }
        let mut answers = Vec::new();
        let mut open: Vec<(Str, Answering)> = Vec::new();
        for (name, question) in required.input_requests {
            let InputRequest::Request(question) = question else { continue };
            let params = Raw::new(&*question)
                .map_err(|error| McpError::internal(format!("the question is no JSON: {error}")))?;
            let method = Str::from_static(question.method().as_str());
            let id = RequestId::String(name.clone());
            let mut asked = Request { id, method, params: Some(params) };
            show(&mut asked);
            open.push((name, self.answered(asked)));
        }
        std::future::poll_fn(|cx| {
            let mut failed = None;
            open.retain_mut(|(name, answering)| match answering.as_mut().poll(cx) {
                std::task::Poll::Ready(Ok(answer)) => {
                    answers.push((name.clone(), answer));
                    false
                }
                std::task::Poll::Ready(Err(error)) => {
                    failed.get_or_insert(error);
                    false
                }
                std::task::Poll::Pending => true,
            });
            match failed {
                Some(error) => std::task::Poll::Ready(Err(error)),
                None if open.is_empty() => std::task::Poll::Ready(Ok(())),
                None => std::task::Poll::Pending,
            }
        })
        .await?;
        Ok(answers)
    }
}

async fn answer_and_send(
    core: Arc<Core>,
    id: RequestId,
    answering: Answering,
    held: Vec<Held>,
    generation: u64,
) {
    let outcome = answering.await;
    drop(held);
    core.send_answer(id, outcome, generation).await;
}

fn panicked() -> McpError {
    tracing::error!("an answerer of the client panicked");
    McpError::internal("the client failed to answer")
}

/// The message that answers a request of the server's.
pub(crate) fn write_answer(id: &RequestId, outcome: Result<Raw, McpError>) -> BytesMut {
    let mut out = BytesMut::new();
    match outcome {
        Ok(result) => jsonrpc::write_raw_result(&mut out, id, &result),
        Err(error) => jsonrpc::write_error(&mut out, Some(id), &error.into_object()),
    }
    out
}

fn tell_parsed<T: DeserializeOwned>(listener: Option<&Listener<T>>, params: Option<&Raw>) {
    let (Some(tell), Some(params)) = (listener, params) else { return };
    match params.parse() {
        Ok(params) => guarded(|| tell(params)),
        Err(error) => tracing::warn!(%error, "the server sent a notification that cannot be read"),
    }
}

pub(crate) fn tell_changed(listener: Option<&Listener<()>>) {
    if let Some(tell) = listener {
        guarded(|| tell(()));
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let methods: Vec<_> = self.by_method.iter().map(|(method, _)| method).collect();
        f.debug_struct("Handlers").field("by_method", &methods).finish_non_exhaustive()
    }
}

/// As many questions of the server's as are answered at the same time: as many as a server has in flight in a session.
const MOST_QUESTIONS: usize = 64;
/// As many as are told so, at the same time, that they are too many: more is a flood, and a server that does not read the
/// answers to it must not fill the memory.
const MOST_DECLINED: usize = 1_024;
