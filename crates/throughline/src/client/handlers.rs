//! What the server asks, and who answers.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use http::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use throughline_proto::jsonrpc::{
    self, ErrorCode, ErrorObject, Message, Notification, Raw, Request, RequestId,
};
use throughline_proto::model::CancelledParams;
use tokio::task::AbortHandle;

use super::Inner;
use crate::error::McpError;
use crate::lock::Lock;
use crate::runtime;

type Answering = Pin<Box<dyn Future<Output = Result<Raw, McpError>> + Send>>;
type Notified = Box<dyn Fn(&Notification) + Send + Sync>;
type Answerer = Box<dyn Fn(Request) -> Answering + Send + Sync>;

/// The answerers by method, and the answers being made.
#[derive(Default)]
pub(super) struct Handlers {
    by_method: Vec<(&'static str, Answerer)>,
    other: Option<Answerer>,
    notified: Option<Notified>,
    running: Mutex<Vec<(RequestId, AbortHandle)>>,
}

impl Handlers {
    pub(super) fn set<P, R, F, Fut>(&mut self, method: &'static str, answer: F)
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

    pub(super) fn set_other<F, Fut>(&mut self, answer: F)
    where
        F: Fn(Request) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Raw, McpError>> + Send + 'static,
    {
        self.other = Some(Box::new(move |request| Box::pin(answer(request))));
    }

    pub(super) fn set_notified(&mut self, tell: impl Fn(&Notification) + Send + Sync + 'static) {
        self.notified = Some(Box::new(tell));
    }

    fn answer(&self, request: Request) -> Answering {
        let own = self
            .by_method
            .iter()
            .find(|(method, _)| *method == &*request.method)
            .map(|(_, answerer)| answerer);
        match own.or(self.other.as_ref().filter(|_| request.method != "ping")) {
            Some(answerer) => answerer(request),
            None if request.method == "ping" => Box::pin(std::future::ready(Ok(Raw::empty_object()))),
            None => {
                let why = format!("this client has no method `{}`", request.method);
                Box::pin(std::future::ready(Err(ErrorObject::new(ErrorCode::METHOD_NOT_FOUND, why).into())))
            }
        }
    }
}

/// Takes a message that came on a stream: starts an answer to a request, and stops it when it is taken back.
pub(super) fn take(inner: &Arc<Inner>, message: &Message) {
    match message {
        Message::Request(request) => start(inner, request),
        Message::Notification(notification) => {
            if notification.method == "notifications/cancelled" {
                let params =
                    notification.params.as_ref().and_then(|params| params.parse::<CancelledParams>().ok());
                if let Some(params) = params {
                    inner.handlers.stop(&params.request_id);
                }
            }
            if let Some(tell) = &inner.handlers.notified {
                tell(notification);
            }
        }
        Message::Response(_) => {}
    }
}

/// Answers in a task of its own, so that the stream can be read on meanwhile.
fn start(inner: &Arc<Inner>, request: &Request) {
    let id = request.id.clone();
    let mut running = inner.handlers.running.locked();
    running.retain(|(_, task)| !task.is_finished());
    let answering = if running.len() < MOST_ANSWERS {
        inner.handlers.answer(request.clone())
    } else {
        let why = format!("{MOST_ANSWERS} questions are being answered; ask again later");
        Box::pin(std::future::ready(Err(McpError::internal(why)))) as Answering
    };
    let client = Arc::downgrade(inner);
    let task = runtime::spawn(async move {
        let outcome = answering.await;
        let Some(client) = client.upgrade() else { return };
        let mut body = BytesMut::new();
        match outcome {
            Ok(result) => jsonrpc::write_raw_result(&mut body, &id, &result),
            Err(error) => jsonrpc::write_error(&mut body, Some(&id), &error.into_object()),
        }
        if let Err(error) = client.line.send(Method::POST, body.freeze(), None).await {
            tracing::warn!(%error, "an answer to the server could not be sent");
        }
    });
    running.push((request.id.clone(), task));
}

impl Handlers {
    fn stop(&self, id: &RequestId) {
        self.running.locked().retain(|(running, task)| {
            if running == id {
                task.abort();
            }
            running != id
        });
    }
}

impl Drop for Handlers {
    fn drop(&mut self) {
        self.running.locked().iter().for_each(|(_, task)| task.abort());
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.by_method.iter().map(|(method, _)| method)).finish()
    }
}

/// As many as a server may ask at a time by default (design §8).
const MOST_ANSWERS: usize = 64;
