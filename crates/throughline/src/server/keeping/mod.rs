//! Sessions that outlive the process: what is kept of them, and how their interrupted calls are found again.
//!
//! ```text
//!   a session   Record    saved when it is opened, and when its client changed something
//!   a POST      Noted     along with the first append of its stream: what its requests are
//!   an event    the log   before anybody sees it
//! ```
//!
//! Nothing else is kept. Who reads it after a restart is `streamable_http/restore/`.

mod interrupted;
mod log;
mod noted;
mod record;

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Mutex;

pub use interrupted::{AfterRestart, Interrupted};
pub(crate) use log::{ProgressFloors, ReadBack};
pub(crate) use noted::{Noted, NotedRequest};
pub(crate) use record::Record;

use crate::store::Epoch;

/// What a session knows beside others where the store keeps sessions.
pub(crate) struct Keeping {
    /// Its life: 0 until the first restart.
    pub(crate) epoch: Epoch,
    /// A client has read the standalone stream, so it has a place there to come back to.
    listened: AtomicBool,
    /// The version of the record that was saved last. Held while one is being saved: an older one must not come later.
    pub(crate) saved: Mutex<Option<u64>>,
    /// The hooks know of the session.
    announced: AtomicBool,
}

impl Keeping {
    /// A session that is new.
    pub(crate) fn new() -> Self {
        Self {
            epoch: Epoch(0),
            listened: AtomicBool::new(false),
            saved: Mutex::new(None),
            announced: AtomicBool::new(false),
        }
    }

    /// A session of the life after `last`, whose record is as it was saved.
    pub(crate) fn again(last: Epoch, listened: bool) -> Self {
        Self {
            epoch: Epoch(last.0 + 1),
            listened: AtomicBool::new(listened),
            saved: Mutex::new(Some(u64::from(listened))),
            announced: AtomicBool::new(false),
        }
    }

    pub(crate) fn has_listened(&self) -> bool {
        self.listened.load(Ordering::Acquire)
    }

    /// A client reads the standalone stream; true when none has before.
    pub(crate) fn listen(&self) -> bool {
        !self.listened.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn is_announced(&self) -> bool {
        self.announced.load(Ordering::Acquire)
    }

    pub(crate) fn announce(&self) {
        self.announced.store(true, Ordering::Release);
    }
}

/// A change of a session that the store did not take.
#[derive(Debug)]
pub(crate) struct NotKept;
