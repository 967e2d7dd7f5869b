//! Appends to a store that may panic: that is a failure like any other, and no stream waits for it for ever.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

use super::Storing;
use crate::store::{Append, AppendError, Epoch, EventStore, Soon, StreamKey};

/// Asks the store to append.
pub(super) fn append(
    store: &dyn EventStore,
    at: &StreamKey,
    epoch: Epoch,
    batch: Append<'_>,
) -> Soon<Result<(), AppendError>> {
    catch_unwind(AssertUnwindSafe(|| store.append(at, epoch, batch)))
        .unwrap_or_else(|_| Soon::Now(Err(panicked())))
}

/// Waits for an append that takes its time.
pub(super) async fn settled(mut storing: Storing) -> Result<(), AppendError> {
    poll_fn(|cx| {
        catch_unwind(AssertUnwindSafe(|| storing.as_mut().poll(cx)))
            .unwrap_or_else(|_| Poll::Ready(Err(panicked())))
    })
    .await
}

fn panicked() -> AppendError {
    AppendError::Unavailable("the event store panicked; its message is above".into())
}
