//! A session on a store that keeps sessions: saved when it changed, and gone on with after a restart.

use std::sync::Arc;

use throughline_proto::session::{CallNo, StreamNo};

use super::{Core, Ground, Live};
use crate::lock::Lock;
use crate::server::keeping::{Keeping, NotKept, Record};
use crate::server::stream::{StoreFailure, Stream};
use crate::store::AppendError;

impl Live {
    /// What is to be known where the store keeps sessions.
    pub(crate) fn keeping(&self) -> Option<&Keeping> {
        match &self.ground {
            Ground::Logs(logs) => logs.keeping.as_deref(),
            Ground::Pipe(_) | Ground::Passing => None,
        }
    }

    /// Whether the hooks know of the session.
    pub(crate) fn is_announced(&self) -> bool {
        self.keeping().is_none_or(Keeping::is_announced)
    }

    /// Saves the session if it changed since it was saved last.
    ///
    /// # Errors
    ///
    /// When the store did not take it, and calls are to fail then. It is tried again with the next change.
    pub(crate) async fn save(&self) -> Result<(), NotKept> {
        let (Ground::Logs(logs), Some(keeping)) = (&self.ground, self.keeping()) else { return Ok(()) };
        let Some(store) = logs.store.sessions() else { return Ok(()) };
        let mut saved = keeping.saved.lock().await;
        let listened = keeping.has_listened();
        let (version, record) = {
            let core = self.core.locked();
            let version = core.session.changes() + u64::from(listened);
            if *saved == Some(version) {
                return Ok(());
            }
            (version, core.session.record())
        };
        let record = Record::new(record, self.caller.principal(), listened).to_bytes();
        match store.save(&self.id, keeping.epoch, record).await {
            Ok(()) => *saved = Some(version),
            // It ended meanwhile: there is nothing to be kept any more.
            Err(AppendError::Ended) => {}
            Err(error) => {
                self.tally.store_failures.add_one();
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "the event store did not keep a session; {:?}", logs.on_failure);
                if logs.on_failure == StoreFailure::FailCall {
                    return Err(NotKept);
                }
            }
        }
        Ok(())
    }

    /// A client reads the standalone stream. From the first time on it has a place there, and after a restart one that comes
    /// without it gets what is new and not everything once more.
    pub(crate) async fn note_listener(&self) {
        if self.keeping().is_some_and(Keeping::listen) {
            // A failure is logged: what is at stake is only what a client hears twice.
            let _ = self.save().await;
        }
    }

    /// Goes on with the standalone stream of the life before.
    pub(crate) fn resume_standalone(&self, head: u64) {
        let (Some(logs), Some(keeping)) = (self.logs(), self.keeping()) else { return };
        let written = if keeping.has_listened() { head } else { 0 };
        let key = self.stream_key(StreamNo::STANDALONE);
        let (places, tally) = ((head, written), Arc::clone(&self.tally));
        let stream = Stream::resume(key, self.tag(), places, false, logs.clone(), tally);
        self.core.locked().standalone = Some(stream);
    }

    /// Goes on with the stream of a POST whose calls run again, `is_of_one` where it is one call.
    pub(crate) fn resume_stream(&self, no: StreamNo, head: u64, is_of_one: bool) -> Option<Arc<Stream>> {
        let (key, logs, tally) = (self.stream_key(no), self.logs()?.clone(), Arc::clone(&self.tally));
        let stream = Stream::resume(key, self.tag(), (head, 0), is_of_one, logs, tally);
        Some(self.keep_stream(no, stream))
    }
}

impl Core {
    /// The stream of a call that was taken back, if it has one.
    pub(super) fn stream_of(&self, call: CallNo) -> Option<Arc<Stream>> {
        let no = self.session.stream_of(call)?;
        self.streams.iter().find(|(number, _)| *number == no).and_then(|(_, stream)| stream.upgrade())
    }
}
