//! The host's requests on their way to the server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;
use throughline::jsonrpc::{self, ErrorCode, ErrorObject, Message, Notification, Raw, Request, RequestId};
use throughline::model::{CancelledParams, Meta};
use throughline::{Client, ClientError};
use tokio::sync::oneshot;

use super::edit;
use super::out::{Out, Reply};
use super::work::Work;

/// The calls of the host that run. Cheap to clone.
#[derive(Clone)]
pub(super) struct Calls {
    out: Out,
    work: Work,
    /// All of them, also those that have no end of their own.
    all: Work,
    running: Arc<Mutex<HashMap<RequestId, Running>>>,
}

/// A call that runs.
struct Running {
    reply: Reply,
    /// Taken by whoever takes the call back.
    cancel: Option<oneshot::Sender<Option<String>>>,
}

impl Calls {
    pub(super) fn new(out: Out, work: Work) -> Self {
        Self { out, work, all: Work::new(), running: Arc::default() }
    }

    /// Passes a request on. `modern`: its stream's messages belong to it alone, and its questions are the host's own.
    pub(super) fn begin(&self, client: &Client, request: Request, reply: Reply, modern: bool) {
        let id = request.id.detached();
        let (cancel, cancelled) = oneshot::channel();
        {
            let mut running = self.running();
            let refused = if running.contains_key(&id) {
                Some("A request with this id is in flight. Use another id.")
            } else if running.len() >= MOST_RUNNING {
                Some("Too many requests are in flight. Wait for some to end.")
            } else {
                None
            };
            if let Some(why) = refused {
                drop(running);
                return refuse(&reply, Some(&id), why);
            }
            running.insert(id.clone(), Running { reply: reply.clone(), cancel: Some(cancel) });
        }
        let (calls, client) = (self.clone(), client.clone());
        // A stream of changes has no end to wait for.
        let work = (request.method != LISTEN).then(|| self.work.begin());
        let any = self.all.begin();
        tokio::spawn(async move {
            let outcome = calls.run(&client, &request, cancelled, modern).await;
            // Only now may the id be used again.
            let taken_back = calls.running().remove(&id).is_none_or(|running| running.cancel.is_none());
            match outcome {
                // It is not answered: https://modelcontextprotocol.io/specification/2025-11-25/basic/utilities/cancellation
                _ if taken_back => {}
                Ok(result) => reply.send(|out| jsonrpc::write_raw_result(out, &id, &result)),
                Err(error) => fail(&reply, Some(&id), &to_object(&error)),
            }
            drop((work, any));
        });
    }

    /// The host takes a call back.
    pub(super) fn cancel(&self, params: Option<&Raw>) {
        let Some(Ok(CancelledParams { request_id, reason, .. })) = params.map(Raw::parse) else { return };
        let call = self.running().get_mut(&request_id).and_then(|running| running.cancel.take());
        let _ended = call.map(|call| call.send(reason.map(|reason| reason.to_string())));
    }

    /// Takes everything back, and waits until that was said. Whoever still reads is told so.
    pub(super) async fn give_up(&self) {
        let mut all = Vec::new();
        for (id, running) in self.running().iter_mut() {
            all.extend(running.cancel.take().map(|cancel| (id.clone(), running.reply.clone(), cancel)));
        }
        for (id, reply, cancel) in all {
            refuse(&reply, Some(&id), "The call was given up, since `throughline connect` was told to end.");
            let _ended = cancel.send(Some("the host ended".into()));
        }
        self.all.done().await;
    }

    async fn run(
        &self,
        client: &Client,
        request: &Request,
        cancelled: oneshot::Receiver<Option<String>>,
        modern: bool,
    ) -> Result<Raw, ClientError> {
        let params = request.params.clone().unwrap_or_else(Raw::empty_object);
        let mut call = client
            .request::<Raw>(&request.method, &params)
            // The host has a clock of its own.
            .timeout(FOR_EVER)
            .max_total(FOR_EVER)
            .ask_for_progress(false)
            .cancel_with(async {
                match cancelled.await {
                    Ok(reason) => reason,
                    Err(_) => std::future::pending().await,
                }
            });
        let listens = modern && request.method == LISTEN;
        if modern {
            let (out, id) = (self.out.clone(), request.id.detached());
            call = call.questions_as_result().on_message(move |message| {
                if let Message::Notification(notification) = message {
                    pass(&out, notification, listens.then_some(&id));
                }
            });
        }
        let result = call.await?;
        let renamed = listens.then(|| edit::with_id(&result, &SUBSCRIPTION, &request.id)).flatten();
        Ok(renamed.unwrap_or(result))
    }

    fn running(&self) -> MutexGuard<'_, HashMap<RequestId, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers with an error.
pub(super) fn fail(reply: &Reply, id: Option<&RequestId>, error: &ErrorObject) {
    reply.send(|out| jsonrpc::write_error(out, id, error));
}

/// Answers that a request cannot be sent, or not now.
pub(super) fn refuse(reply: &Reply, id: Option<&RequestId>, why: &'static str) {
    fail(reply, id, &ErrorObject::new(ErrorCode::INVALID_REQUEST, why));
}

/// The error that the host gets: the server's own as it came, else what happened on the way.
pub(super) fn to_object(error: &ClientError) -> ErrorObject {
    if let Some(object) = error.error() {
        return object.clone();
    }
    let data = json!({
        "outcomeUnknown": error.is_outcome_unknown(),
        "sessionGone": error.is_session_gone(),
        "timeout": error.is_timeout(),
    });
    ErrorObject::new(ErrorCode::INTERNAL_ERROR, what_to_do(error)).with_data(&data)
}

/// What happened, and what to do about it.
pub(super) fn what_to_do(error: &ClientError) -> String {
    let sentence = crate::terminal::sentence(error);
    match crate::client::advice(error) {
        Some(advice) => format!("{}{advice}", sentence.trim_end_matches('.')),
        None => sentence,
    }
}

/// Passes a notification on. `subscription`: the id under which the host knows what it belongs to.
pub(super) fn pass(out: &Out, notification: &Notification, subscription: Option<&RequestId>) {
    let params = notification.params.as_ref();
    let renamed = subscription.and_then(|id| edit::with_id(params?, &SUBSCRIPTION, id));
    out.notify(|out| {
        let _ = jsonrpc::write_notification(out, &notification.method, renamed.as_ref().or(params));
    });
}

const LISTEN: &str = "subscriptions/listen";
const SUBSCRIPTION: [&str; 2] = ["_meta", Meta::SUBSCRIPTION_ID];
/// Far more than a host has in flight.
const MOST_RUNNING: usize = 1_024;
/// Ten years: who waits is the host.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 3_600);
