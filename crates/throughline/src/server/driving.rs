//! Runs a call to its end: exactly one answer, whatever the handler does.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};

use super::calls::CallPermit;
use super::exchange::{Done, Exchange};
use super::watch::Watch;
use crate::error::McpError;
use crate::handler::{Call, CallScope, Handler, Outcome, Reply, Verdict};
use crate::runtime;

/// A call with its handler. A future of its own, so that no reader can hold a handler up.
///
/// # Drop behavior
///
/// A call that is dropped before its end, by a runtime that shuts down, is settled without an answer.
pub(crate) struct Driving<E: Exchange> {
    running: Option<Pin<Box<dyn Future<Output = Outcome> + Send>>>,
    outcome: Option<Outcome>,
    scope: Arc<CallScope>,
    exchange: Arc<E>,
    slot: usize,
    /// Held to the end: a place among the requests in flight.
    _permit: CallPermit,
    watch: Watch,
    settled: bool,
}

impl<E: Exchange> Driving<E> {
    /// Starts the handler. A handler that has its answer at hand is settled at once.
    pub(crate) fn start(
        handler: &dyn Handler,
        call: Call,
        scope: Arc<CallScope>,
        exchange: Arc<E>,
        slot: usize,
        permit: CallPermit,
        watch: Watch,
    ) -> Self {
        let method = call.method.clone();
        let entered = watch.span().enter();
        let reply = catch_unwind(AssertUnwindSafe(|| handler.call(call, scope.context())));
        let (running, outcome) = match reply {
            Ok(Reply::Later(running)) => (Some(running), None),
            Ok(Reply::Ready(outcome)) => (None, Some(exchange.finish(outcome))),
            Err(panic) => (None, Some(panicked(&*exchange, &method, &*panic))),
        };
        drop(entered);
        Self { running, outcome, scope, exchange, slot, _permit: permit, watch, settled: false }
    }

    /// Polled once where it is: only a call that is not ready then becomes a task.
    pub(crate) fn polled_once(self) -> Started<E> {
        Started(Some(self))
    }

    /// Drops the handler. It may panic even then, and the call must be settled all the same.
    fn drop_handler(&mut self) {
        let running = self.running.take();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(running))) {
            drop(panicked(&*self.exchange, "", &*panic));
        }
    }

    fn settle(&mut self, outcome: Option<Outcome>) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        self.drop_handler();
        self.scope.finish();
        let done = self.exchange.call_done(self.scope.call());
        // A call that was taken back while its answer was made, gets none.
        self.watch.end(outcome.as_ref().filter(|_| matches!(done, Done::Answer(_))));
        let id = match done {
            Done::Answer(id) => Some(id),
            Done::TakenBack => None,
            Done::Settled => return,
        };
        let answer = match outcome {
            Some(outcome) => outcome.map_err(McpError::into_object),
            None => Err(self.exchange.dropped()),
        };
        self.exchange.settle(self.slot, id.as_ref(), answer);
    }
}

impl<E: Exchange> Future for Driving<E> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if let Some(running) = &mut this.running {
            let entered = this.watch.span().enter();
            let polled = catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(cx)));
            drop(entered);
            match polled {
                Ok(Poll::Ready(outcome)) => this.outcome = Some(this.exchange.finish(outcome)),
                Ok(Poll::Pending) => {
                    match this.scope.poll_cancelled(cx) {
                        Verdict::Run => {}
                        // Once more here: what woke itself may be a task of the handler's own.
                        Verdict::Again => {
                            cx.waker().wake_by_ref();
                            return Poll::Pending;
                        }
                        Verdict::Drop => {
                            this.settle(None);
                            return Poll::Ready(());
                        }
                    }
                    match this.exchange.poll_instead(cx) {
                        Poll::Ready(outcome) => this.outcome = Some(outcome),
                        Poll::Pending => return Poll::Pending,
                    }
                }
                Err(panic) => this.outcome = Some(panicked(&*this.exchange, "", &*panic)),
            }
            this.drop_handler();
        }
        if this.exchange.poll_written(cx).is_pending() {
            return Poll::Pending;
        }
        let outcome = this.outcome.take();
        this.settle(outcome);
        Poll::Ready(())
    }
}

impl<E: Exchange> Drop for Driving<E> {
    fn drop(&mut self) {
        if !self.settled {
            self.exchange.interrupt();
        }
        self.settle(None);
    }
}

/// A call whose handler was started. Ready with the first poll: a call that is not done by then goes on as a task.
pub(crate) struct Started<E: Exchange>(Option<Driving<E>>);

impl<E: Exchange> Started<E> {
    /// The call was answered without a handler.
    pub(crate) fn nothing() -> Self {
        Self(None)
    }
}

impl<E: Exchange> Future for Started<E> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<()> {
        if let Some(driving) = &mut self.0
            && Pin::new(&mut *driving).poll(cx).is_pending()
        {
            driving.exchange.call_runs(&driving.scope);
            runtime::spawn(self.0.take().expect("it was just polled"));
        }
        Poll::Ready(())
    }
}

/// A panic is an answer, never silence. Its message goes to the log, not to the client.
fn panicked(exchange: &impl Exchange, method: &str, panic: &(dyn Any + Send)) -> Outcome {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    exchange.tally().panics.add_one();
    tracing::error!(method, message, "a handler panicked");
    Err(McpError::internal("the handler failed unexpectedly; the server's log says more"))
}
