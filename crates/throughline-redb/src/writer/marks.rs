//! What the writer is told without being waited for: what was handed to connections, and what time it is.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use throughline::store::StreamKey;

/// The newest mark of each stream. Losing one costs nothing but a replay of what was written, so none is waited for.
#[derive(Debug, Default)]
pub(crate) struct Marks(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    marks: HashMap<StreamKey, u64>,
    /// When the store was swept, until the writer saw it.
    swept: Option<Instant>,
}

impl Marks {
    /// Notes that a stream was written up to a sequence. Returns whether so many marks wait that they should be flushed.
    pub(crate) fn note(&self, at: &StreamKey, written: u64) -> bool {
        let State { marks, .. } = &mut *self.lock();
        if let Some(known) = marks.get_mut(at) {
            *known = written.max(*known);
            return false;
        }
        // While the disk fails nothing takes them away.
        if marks.len() >= MOST {
            return false;
        }
        marks.insert(at.clone(), written);
        marks.len() == MANY
    }

    /// Takes the marks to flush: all of them when it is time, none when they are few and something else is being written.
    pub(crate) fn take(&self, due: bool) -> HashMap<StreamKey, u64> {
        let State { marks, .. } = &mut *self.lock();
        if due || marks.len() >= MANY { std::mem::take(marks) } else { HashMap::new() }
    }

    /// Puts marks back whose flush failed.
    pub(crate) fn put_back(&self, taken: HashMap<StreamKey, u64>) {
        for (at, written) in taken {
            self.note(&at, written);
        }
    }

    /// Asks the writer to tidy up. Returns whether it must be told: not when it was and has not come to it yet.
    pub(crate) fn sweep(&self, now: Instant) -> bool {
        self.lock().swept.replace(now).is_none()
    }

    /// When it was asked to last, once.
    pub(crate) fn take_sweep(&self) -> Option<Instant> {
        self.lock().swept.take()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No step under the lock panics half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As many marks are flushed together at least, unless the store is swept before: they are changes of rows all over the
/// file, and most are followed by a newer mark of the same stream.
const MANY: usize = 1_024;

/// More are not held: some 2 MiB.
const MOST: usize = 8_192;
