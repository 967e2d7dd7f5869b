//! An answer that is at hand or will be.

use std::fmt;
use std::future::{Future, pending};
use std::pin::Pin;
use std::task::{Context, Poll};

/// An answer that is at hand, or a future that will have it.
///
/// It keeps a trait usable as `dyn` without a box for the implementation that need not wait. Await it, or
/// match on it to take the short way.
///
/// ```
/// # use throughline::store::Soon;
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// assert_eq!(Soon::now(20).map(|n| n + 1).await, 21);
/// assert_eq!(Soon::later(async { 20 }).map(|n| n + 1).await, 21);
/// # });
/// ```
///
/// # Cancel safety
///
/// Dropping it drops the future inside; whether the work behind it still happens is for the one who made it
/// to say. After it was ready it stays pending.
pub enum Soon<T> {
    /// The answer.
    Now(T),
    /// The future that will have it.
    Later(Pin<Box<dyn Future<Output = T> + Send>>),
}

impl<T> Soon<T> {
    /// An answer at hand.
    pub fn now(answer: T) -> Self {
        Self::Now(answer)
    }

    /// An answer that takes waiting.
    pub fn later(answer: impl Future<Output = T> + Send + 'static) -> Self {
        Self::Later(Box::pin(answer))
    }

    /// Changes the answer, now or when it is there.
    pub fn map<U>(self, change: impl FnOnce(T) -> U + Send + 'static) -> Soon<U>
    where
        T: 'static,
    {
        match self {
            Self::Now(answer) => Soon::Now(change(answer)),
            Self::Later(future) => Soon::later(async move { change(future.await) }),
        }
    }
}

/// `T` is moved, never pinned.
impl<T> Unpin for Soon<T> {}

impl<T: 'static> Future for Soon<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        if let Self::Later(future) = &mut *self {
            return future.as_mut().poll(cx);
        }
        // `Pending` has no size, so this box allocates nothing.
        match std::mem::replace(&mut *self, Self::Later(Box::pin(pending()))) {
            Self::Now(answer) => Poll::Ready(answer),
            Self::Later(_) => Poll::Pending,
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Soon<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(answer) => f.debug_tuple("Now").field(answer).finish(),
            Self::Later(_) => f.write_str("Later(..)"),
        }
    }
}
