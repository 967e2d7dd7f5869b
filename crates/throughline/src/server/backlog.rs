//! How much readers have yet to read, over all streams of a session and of the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that attached readers have yet to read. The budgets of the store hold for whatever it keeps, so senders must
/// wait before unread events alone would fill one: then trimming never has to reach ahead of an attached reader.
#[derive(Debug)]
pub(crate) struct Backlog {
    bytes: AtomicUsize,
    most: usize,
    server: Option<Arc<Backlog>>,
}

impl Backlog {
    /// The backlog of a whole server: senders wait beyond half of the store's budget.
    pub(crate) fn of_server(store_bytes: usize) -> Arc<Self> {
        Arc::new(Self { bytes: AtomicUsize::new(0), most: store_bytes / 2, server: None })
    }

    /// The backlog of a session: senders wait beyond half of the session's budget.
    pub(crate) fn of_session(session_bytes: usize, server: &Arc<Backlog>) -> Self {
        Self { bytes: AtomicUsize::new(0), most: session_bytes / 2, server: Some(Arc::clone(server)) }
    }

    pub(crate) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if let Some(server) = &self.server {
            server.add(bytes);
        }
    }

    pub(crate) fn take(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        if let Some(server) = &self.server {
            server.take(bytes);
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) > self.most
            || self.server.as_ref().is_some_and(|server| server.is_full())
    }
}
