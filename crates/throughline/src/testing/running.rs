//! A call that runs, and what a test expects of it.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use throughline_proto::jsonrpc::{Raw, RequestId};
use throughline_proto::model::{
    CallToolResult, CancelledParams, Content, CreateMessageParams, ElicitParams, LoggingLevel,
    LoggingMessageParams, ProgressParams,
};
use tokio::sync::Notify;

use super::answer::{Answer, value};
use super::event::{Event, Short};
use super::script::{Place, Script, read};
use crate::client::{Client, ClientError};
use crate::error::McpError;

/// A call that runs. Made by [`Kit::call`](super::Kit::call).
///
/// Each `expect_..` waits for the next message of the call, and panics when it is another: nothing is passed over. The
/// message of the panic has everything that was said so far. A call ends with one of [`text`](Self::text),
/// [`structured`](Self::structured), [`result`](Self::result), [`tool_error`](Self::tool_error),
/// [`protocol_error`](Self::protocol_error), [`answer`](Self::answer) and [`no_result`](Self::no_result).
///
/// # Cancel safety
///
/// An `expect_..` that is dropped before it is done has taken no message.
///
/// # Drop behavior
///
/// The call goes on at the server, and nobody looks at its messages any more.
#[must_use = "a call is checked by what it answers: `.text().await`, `.result().await`, .."]
pub struct Running {
    pub(super) script: Script,
    pub(super) client: Client,
    pub(super) id: i64,
    pub(super) taken: Arc<Taken>,
}

/// Whether the test took a call back.
#[derive(Debug, Default)]
pub(super) struct Taken {
    back: AtomicBool,
    told: Notify,
}

impl Running {
    /// From now on progress is passed over, wherever it comes.
    pub fn ignore_progress(mut self) -> Self {
        self.script.skips.progress = true;
        self
    }

    /// From now on log messages are passed over, wherever they come.
    pub fn ignore_logs(mut self) -> Self {
        self.script.skips.logs = true;
        self
    }

    /// Expects progress, this far. Gives all of it, for its total and message.
    ///
    /// # Panics
    ///
    /// When something else comes, or nothing.
    #[track_caller]
    pub fn expect_progress(&mut self, done: f64) -> impl Future<Output = ProgressParams> + Send {
        let at = Location::caller();
        async move {
            let expected = format!("progress {done}");
            match self.script.next(at, &expected).await {
                Event::Progress(progress) if progress.progress == done => progress,
                other => self.script.wrong(at, &expected, &other),
            }
        }
    }

    /// Expects a log message of this level and with this data.
    ///
    /// # Panics
    ///
    /// When something else comes, or nothing.
    #[track_caller]
    pub fn expect_log(
        &mut self,
        level: LoggingLevel,
        data: impl Serialize,
    ) -> impl Future<Output = LoggingMessageParams> + Send {
        let (at, data) = (Location::caller(), value(data));
        async move {
            let expected = format!("log {level} {data}");
            match self.script.next(at, &expected).await {
                Event::Log(log)
                    if log.level == level && log.data.parse::<Value>().ok().as_ref() == Some(&data) =>
                {
                    log
                }
                other => self.script.wrong(at, &expected, &other),
            }
        }
    }

    /// Expects a form or a page for the user, and answers it.
    ///
    /// # Panics
    ///
    /// When something else comes, or nothing.
    #[track_caller]
    pub fn expect_elicit<F>(&mut self, answer: F) -> impl Future<Output = ()> + Send + use<'_, F>
    where
        F: FnOnce(&ElicitParams) -> Answer + Send,
    {
        let at = Location::caller();
        async move {
            let answer = |params: Option<&Raw>| Ok(answer(&read(params)?));
            self.script.question(at, "elicitation/create", |it| answer(it.params.as_ref())).await;
        }
    }

    /// Expects a question to the client's model, and answers it.
    ///
    /// # Panics
    ///
    /// When something else comes, or nothing.
    #[track_caller]
    pub fn expect_sample<F>(&mut self, answer: F) -> impl Future<Output = ()> + Send + use<'_, F>
    where
        F: FnOnce(&CreateMessageParams) -> Answer + Send,
    {
        let at = Location::caller();
        async move {
            let answer = |params: Option<&Raw>| Ok(answer(&read(params)?));
            self.script.question(at, "sampling/createMessage", |it| answer(it.params.as_ref())).await;
        }
    }

    /// Expects that the roots are asked for, and answers: [`roots`](super::roots).
    ///
    /// # Panics
    ///
    /// When something else comes, or nothing.
    #[track_caller]
    pub fn expect_roots(&mut self, answer: Answer) -> impl Future<Output = ()> + Send {
        let at = Location::caller();
        async move { self.script.question(at, "roots/list", |_| Ok(answer)).await }
    }

    /// Expects a question of this method, one that MCP does not define for instance, and answers it.
    ///
    /// # Panics
    ///
    /// When something else comes, or nothing.
    #[track_caller]
    pub fn expect_question<'a, F>(
        &'a mut self,
        method: &'a str,
        answer: F,
    ) -> impl Future<Output = ()> + Send + use<'a, F>
    where
        F: FnOnce(&Value) -> Answer + Send,
    {
        let at = Location::caller();
        async move {
            let answer = |params: Option<&Raw>| Ok(answer(&read(params)?));
            self.script.question(at, method, |it| answer(it.params.as_ref())).await;
        }
    }

    /// Expects that the server takes its last question back, as it does when its patience ends.
    ///
    /// # Panics
    ///
    /// When something else comes, or nothing.
    #[track_caller]
    pub fn expect_withdrawn(&mut self) -> impl Future<Output = ()> + Send {
        let at = Location::caller();
        async move {
            self.script.notification(at, "notifications/cancelled").await;
        }
    }

    /// Expects another notification of this method. Gives its parameters; `null` where it has none.
    ///
    /// # Panics
    ///
    /// When something else comes, or nothing.
    #[track_caller]
    pub fn expect_notification<'a>(
        &'a mut self,
        method: &'a str,
    ) -> impl Future<Output = Value> + Send + use<'a> {
        let at = Location::caller();
        async move { self.script.notification(at, method).await }
    }

    /// Expects that nothing comes for this long. On a paused clock this takes no time.
    ///
    /// # Panics
    ///
    /// When something comes.
    #[track_caller]
    pub fn expect_nothing_for(&mut self, time: Duration) -> impl Future<Output = ()> + Send {
        let at = Location::caller();
        async move { self.script.nothing(at, time).await }
    }

    /// Takes the call back: by `notifications/cancelled`, or by closing its connection where that says it.
    ///
    /// # Panics
    ///
    /// When the server refuses that.
    pub async fn cancel(&mut self, reason: &str) {
        self.script.transcript.sent(&self.script.who, &format_args!("notifications/cancelled {reason:?}"));
        self.taken.take();
        if !self.client.streams_end_by_themselves() {
            return;
        }
        let params = CancelledParams::new(RequestId::Number(self.id)).with_reason(reason.to_owned());
        if let Err(error) = self.client.notify("notifications/cancelled", &params).await {
            panic!("{}: it cannot be cancelled: {error}\n{}", self.script.who, self.script.transcript);
        }
    }

    /// Expects the result of a tool, one that is no error.
    ///
    /// # Panics
    ///
    /// When something else comes, or nothing.
    #[track_caller]
    pub fn result(self) -> impl Future<Output = CallToolResult> + Send {
        let at = Location::caller();
        async move { self.good_result(at).await.0 }
    }

    /// Expects the result of a tool, and gives its text. The texts of several contents are joined by line breaks.
    ///
    /// # Panics
    ///
    /// When something else comes, or nothing, or there is content that is no text.
    #[track_caller]
    pub fn text(self) -> impl Future<Output = String> + Send {
        let at = Location::caller();
        async move {
            let (result, script) = self.good_result(at).await;
            text_of(&result)
                .unwrap_or_else(|| script.fail(at, &"only text", &"this result has other content too"))
        }
    }

    /// Expects the result of a tool, and reads its structured content.
    ///
    /// # Panics
    ///
    /// When something else comes, or nothing, or the content is missing or does not fit `T`.
    #[track_caller]
    pub fn structured<T: DeserializeOwned>(self) -> impl Future<Output = T> + Send {
        let at = Location::caller();
        async move {
            let (result, script) = self.good_result(at).await;
            let expected = "structured content";
            let Some(content) = &result.structured_content else {
                script.fail(at, &expected, &"the result has none");
            };
            read(Some(content)).unwrap_or_else(|why| script.fail(at, &expected, &why))
        }
    }

    /// Expects a tool error: a result that the model sees as a failure. Gives its text.
    ///
    /// # Panics
    ///
    /// When something else comes, or nothing.
    #[track_caller]
    pub fn tool_error(self) -> impl Future<Output = String> + Send {
        let at = Location::caller();
        async move {
            let (result, script) = self.outcome::<CallToolResult>(at, "a tool error").await;
            if !result.is_error {
                script.fail(at, &"a tool error", &"the result is none");
            }
            text_of(&result).unwrap_or_default()
        }
    }

    /// Expects the result of any request.
    ///
    /// # Panics
    ///
    /// When something else comes, or nothing, or the result does not fit `T`.
    #[track_caller]
    pub fn answer<T: DeserializeOwned>(self) -> impl Future<Output = T> + Send {
        let at = Location::caller();
        async move { self.outcome(at, "a result").await.0 }
    }

    /// Expects a protocol error.
    ///
    /// # Panics
    ///
    /// When something else comes, or nothing.
    #[track_caller]
    pub fn protocol_error(mut self) -> impl Future<Output = McpError> + Send {
        let at = Location::caller();
        async move {
            let event = self.script.next(at, "a protocol error").await;
            match &event {
                Event::Over(Err(refusal)) if refusal.error().is_some() => {
                    refusal.error().cloned().expect("it was just there").into()
                }
                _ => self.script.wrong(at, &"a protocol error", &event),
            }
        }
    }

    /// Expects that the call ends without a result, as one that is [cancelled](Self::cancel) does, or one
    /// [without a session](super#both-eras) whose question is answered with an error.
    ///
    /// # Panics
    ///
    /// When something else comes, or nothing.
    #[track_caller]
    pub fn no_result(mut self) -> impl Future<Output = ()> + Send {
        let at = Location::caller();
        async move {
            match self.script.next(at, "no result").await {
                Event::Over(Ok(None)) => {}
                Event::Over(Err(error)) if error.is_outcome_unknown() || error.is_unanswered() => {}
                other => self.script.wrong(at, &"no result", &other),
            }
        }
    }

    async fn good_result(self, at: Place) -> (CallToolResult, Script) {
        let (result, script) = self.outcome::<CallToolResult>(at, "a result").await;
        if result.is_error {
            let text = text_of(&result).unwrap_or_default();
            script.fail(at, &"a result", &format_args!("this tool error came: {}", Short(&text)));
        }
        (result, script)
    }

    async fn outcome<T: DeserializeOwned>(mut self, at: Place, expected: &str) -> (T, Script) {
        match self.script.next(at, expected).await {
            Event::Over(Ok(Some(result))) => match read(Some(&result)) {
                Ok(read) => (read, self.script),
                Err(why) => self.script.fail(at, &expected, &why),
            },
            other => self.script.wrong(at, &expected, &other),
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("call", &self.script.who).finish_non_exhaustive()
    }
}

fn text_of(result: &CallToolResult) -> Option<String> {
    let texts: Option<Vec<&str>> = result.content.iter().map(Content::as_text).collect();
    texts.map(|texts| texts.join("\n"))
}

impl Taken {
    fn take(&self) {
        self.back.store(true, Ordering::Relaxed);
        self.told.notify_one();
    }

    /// Waits until it is taken back.
    pub(super) async fn wait(self: Arc<Self>) {
        self.told.notified().await;
    }

    /// What a call's end is, from what the client says.
    pub(super) fn end(&self, outcome: Result<Raw, ClientError>) -> Event {
        match outcome {
            // No answer comes to what was taken back, and the client says so in its own words.
            Err(error) if self.back.load(Ordering::Relaxed) && error.error().is_none() => {
                Event::Over(Ok(None))
            }
            outcome => Event::Over(outcome.map(Some)),
        }
    }
}
