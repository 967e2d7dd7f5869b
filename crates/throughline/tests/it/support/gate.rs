//! A place where a tool waits until the test lets it go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use super::until;

/// Counts who came, and lets as many through as it was told to.
#[derive(Clone)]
pub(crate) struct Gate(Arc<Inner>);

struct Inner {
    came: AtomicUsize,
    went: AtomicUsize,
    passes: Semaphore,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            came: AtomicUsize::new(0),
            went: AtomicUsize::new(0),
            passes: Semaphore::new(0),
        }))
    }

    /// Waits at the gate.
    pub(crate) async fn pass(&self) {
        self.0.came.fetch_add(1, Ordering::SeqCst);
        self.0.passes.acquire().await.expect("never closed").forget();
        self.0.went.fetch_add(1, Ordering::SeqCst);
    }

    /// Lets so many through.
    pub(crate) fn open(&self, passes: usize) {
        self.0.passes.add_permits(passes);
    }

    /// How many came so far.
    pub(crate) fn came(&self) -> usize {
        self.0.came.load(Ordering::SeqCst)
    }

    /// How many went through so far.
    pub(crate) fn went(&self) -> usize {
        self.0.went.load(Ordering::SeqCst)
    }

    /// Waits until so many came.
    pub(crate) async fn until_came(&self, count: usize) {
        until(|| self.came() >= count).await;
    }
}
