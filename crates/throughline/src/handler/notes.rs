//! Notifications that a running call sends.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{self, Poll, ready};

use throughline_proto::jsonrpc::{Raw, Str};
use throughline_proto::model::{LoggingMessageParams, ProgressParams};
use tokio::task::coop::{Coop, cooperative};

use super::channel::Note;
use super::{CallOver, Context};

/// Progress about to be sent: `.await` it. See [`Context::progress`].
#[derive(Debug)]
#[must_use = "progress is sent when awaited"]
pub struct Progress<'a> {
    cx: &'a Context,
    done: f64,
    total: Option<f64>,
    message: Option<Str>,
}

impl<'a> Progress<'a> {
    pub(super) fn new(cx: &'a Context, done: f64) -> Self {
        Self { cx, done, total: None, message: None }
    }

    /// How much there is to do, in the unit of `done`.
    pub fn total(mut self, total: f64) -> Self {
        self.total = Some(total);
        self
    }

    /// What is being done, for people.
    pub fn message(mut self, message: impl Into<Str>) -> Self {
        self.message = Some(message.into());
        self
    }
}

impl<'a> IntoFuture for Progress<'a> {
    type Output = Result<(), CallOver>;
    type IntoFuture = Sending<'a>;

    fn into_future(self) -> Sending<'a> {
        let token = self.cx.0.progress_token();
        let params = token.map(|token| {
            let mut params = ProgressParams::new(token.clone(), self.done);
            params.total = self.total;
            params.message = self.message;
            params
        });
        Sending::new(self.cx, params.map_or(Message::Unwanted, Message::Progress))
    }
}

/// A log message about to be sent: `.await` it. See [`Context::log`].
#[derive(Debug)]
#[must_use = "a log message is sent when awaited"]
pub struct Log<'a> {
    cx: &'a Context,
    params: Option<LoggingMessageParams>,
}

impl<'a> Log<'a> {
    /// `None`: the client does not want it.
    pub(super) fn new(cx: &'a Context, params: Option<LoggingMessageParams>) -> Self {
        Self { cx, params }
    }

    /// Names the part of the server that speaks.
    pub fn logger(mut self, name: impl Into<Str>) -> Self {
        if let Some(params) = &mut self.params {
            params.logger = Some(name.into());
        }
        self
    }
}

impl<'a> IntoFuture for Log<'a> {
    type Output = Result<(), CallOver>;
    type IntoFuture = Sending<'a>;

    fn into_future(self) -> Sending<'a> {
        Sending::new(self.cx, self.params.map_or(Message::Unwanted, Message::Log))
    }
}

/// A notification about to be sent: `.await` it. See [`Context::notify`].
#[derive(Debug)]
#[must_use = "a notification is sent when awaited"]
pub struct Notify<'a> {
    cx: &'a Context,
    method: &'a str,
    params: Option<Raw>,
}

impl<'a> Notify<'a> {
    pub(super) fn new(cx: &'a Context, method: &'a str, params: Option<Raw>) -> Self {
        Self { cx, method, params }
    }
}

impl<'a> IntoFuture for Notify<'a> {
    type Output = Result<(), CallOver>;
    type IntoFuture = Sending<'a>;

    fn into_future(self) -> Sending<'a> {
        Sending::new(self.cx, Message::Custom { method: self.method, params: self.params })
    }
}

/// A notification on its way: what [`Progress`], [`Log`] and [`Notify`] are when awaited.
///
/// Ready when it is sent and the reader is near enough. What a call sends first, and what it sends after a while, leaves at
/// once; a burst leaves together.
///
/// # Cancel safety
///
/// When it is dropped before it is ready, the notification may or may not have been sent.
#[must_use = "futures do nothing unless awaited"]
// A loop that only sends would never let another task run while no reader makes it wait.
pub struct Sending<'a>(Coop<Turn<'a>>);

struct Turn<'a> {
    cx: &'a Context,
    message: Message<'a>,
    is_sent: bool,
}

enum Message<'a> {
    Progress(ProgressParams),
    Log(LoggingMessageParams),
    Custom {
        method: &'a str,
        params: Option<Raw>,
    },
    /// The client did not ask for it.
    Unwanted,
}

impl<'a> Sending<'a> {
    fn new(cx: &'a Context, message: Message<'a>) -> Self {
        Self(cooperative(Turn { cx, message, is_sent: false }))
    }
}

impl Future for Sending<'_> {
    type Output = Result<(), CallOver>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl std::fmt::Debug for Sending<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sending(..)")
    }
}

impl Future for Turn<'_> {
    type Output = Result<(), CallOver>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        if self.is_sent {
            return Poll::Ready(Ok(()));
        }
        let scope = &self.cx.0;
        if scope.is_over() {
            return Poll::Ready(Err(CallOver));
        }
        let note = match &self.message {
            Message::Progress(params) => Note::Progress(params),
            Message::Log(params) => Note::Log(params),
            Message::Custom { method, params } => Note::Custom { method, params: params.as_ref() },
            Message::Unwanted => return Poll::Ready(Ok(())),
        };
        ready!(scope.poll_notify(note, cx))?;
        if scope.stands_aside() {
            self.is_sent = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}
