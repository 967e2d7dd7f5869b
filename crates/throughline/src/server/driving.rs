//! Runs a call to its end: exactly one answer, whatever the handler does.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};

use throughline_proto::jsonrpc::{ErrorCode, ErrorObject};

use super::calls::CallPermit;
use super::exchange::Exchange;
use super::watch::Watch;
use crate::error::McpError;
use crate::handler::{Call, CallScope, Handler, Outcome, Reply, Verdict};

/// A call with its handler. A future of its own, so that no reader can hold a handler up.
///
/// # Drop behavior
///
/// A call that is dropped before its end, by a runtime that shuts down, is settled without an answer.
pub(crate) struct Driving {
    running: Option<Pin<Box<dyn Future<Output = Outcome> + Send>>>,
    outcome: Option<Outcome>,
    scope: Arc<CallScope>,
    exchange: Arc<Exchange>,
    slot: usize,
    /// Held to the end: a place among the requests in flight.
    _permit: CallPermit,
    watch: Watch,
    settled: bool,
}

impl Driving {
    /// Starts the handler. A handler that has its answer at hand is settled at once.
    pub(crate) fn start(
        handler: &dyn Handler,
        call: Call,
        scope: Arc<CallScope>,
        exchange: Arc<Exchange>,
        slot: usize,
        permit: CallPermit,
        watch: Watch,
    ) -> Self {
        let method = call.method.clone();
        let entered = watch.span().enter();
        let reply = catch_unwind(AssertUnwindSafe(|| handler.call(call, scope.context())));
        let (running, outcome) = match reply {
            Ok(Reply::Later(running)) => (Some(running), None),
            Ok(Reply::Ready(outcome)) => (None, Some(outcome)),
            Err(panic) => (None, Some(panicked(&exchange, &method, &*panic))),
        };
        drop(entered);
        Self { running, outcome, scope, exchange, slot, _permit: permit, watch, settled: false }
    }

    /// Drops the handler. It may panic even then, and the call must be settled all the same.
    fn drop_handler(&mut self) {
        let running = self.running.take();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(running))) {
            drop(panicked(&self.exchange, "", &*panic));
        }
    }

    fn settle(&mut self, outcome: Option<Outcome>) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        self.drop_handler();
        self.scope.finish();
        let finish = self.exchange.live().call_done(self.scope.call());
        // A call that was taken back while its answer was made, gets none.
        let answered = finish.as_ref().is_some_and(|finish| finish.answer.is_some());
        self.watch.end(outcome.as_ref().filter(|_| answered));
        let Some(finish) = finish else { return };
        let outcome = outcome.unwrap_or_else(|| {
            Err(ErrorObject::new(
                ErrorCode::INVALID_REQUEST,
                "the session ended before the call was answered",
            )
            .into())
        });
        self.exchange.settle(self.slot, finish.answer.as_ref(), outcome.map_err(McpError::into_object));
    }
}

impl Future for Driving {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if let Some(running) = &mut this.running {
            let entered = this.watch.span().enter();
            let polled = catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(cx)));
            drop(entered);
            match polled {
                Ok(Poll::Ready(outcome)) => this.outcome = Some(outcome),
                Ok(Poll::Pending) => {
                    return match this.scope.poll_cancelled(cx) {
                        Verdict::Run => Poll::Pending,
                        Verdict::Drop => {
                            this.settle(None);
                            Poll::Ready(())
                        }
                    };
                }
                Err(panic) => this.outcome = Some(panicked(&this.exchange, "", &*panic)),
            }
            this.drop_handler();
        }
        if this.exchange.poll_progress_written(cx).is_pending() {
            return Poll::Pending;
        }
        let outcome = this.outcome.take();
        this.settle(outcome);
        Poll::Ready(())
    }
}

impl Drop for Driving {
    fn drop(&mut self) {
        self.settle(None);
    }
}

/// A panic is an answer, never silence. Its message goes to the log, not to the client.
fn panicked(exchange: &Exchange, method: &str, panic: &(dyn Any + Send)) -> Outcome {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    exchange.live().tally().panics.add_one();
    tracing::error!(method, message, "a handler panicked");
    Err(McpError::internal("the handler failed unexpectedly; the server's log says more"))
}
