//! Sessions that ended, and what the store has to do about it.

use std::sync::{Arc, Mutex};

use throughline_proto::log::SessionId;
use tokio::sync::oneshot;

use crate::lock::Lock;
use crate::runtime;
use crate::store::{BoxError, EventStore, Soon};

/// A session that ended: the store is at it.
pub(super) struct Ended {
    id: SessionId,
    /// It is to be forgotten, and not only released.
    forgets: bool,
    done: Soon<Result<(), BoxError>>,
}

impl Ended {
    /// A session that is over.
    pub(super) fn forget(store: &dyn EventStore, id: &SessionId) -> Self {
        Self { id: id.clone(), forgets: true, done: store.forget(id) }
    }

    /// A session that lives on in the store.
    pub(super) fn release(store: &dyn EventStore, id: &SessionId) -> Self {
        Self { id: id.clone(), forgets: false, done: store.release(id) }
    }
}

/// Sessions that the store could not forget. They are tried again: one that ended must not come back with a restart.
#[derive(Clone)]
pub(super) struct Unforgotten {
    ids: Arc<Mutex<Vec<SessionId>>>,
    most: usize,
}

impl Unforgotten {
    /// At most so many are remembered.
    pub(super) fn new(most: usize) -> Self {
        Self { ids: Arc::default(), most }
    }

    /// Waits until the store is done. Who waits no longer leaves it to it.
    pub(super) async fn finish(&self, ended: Ended) {
        let (all, (done, heard)) = (self.clone(), oneshot::channel());
        runtime::spawn(async move {
            all.settle(ended).await;
            // Nobody may wait for it any more.
            let _ = done.send(());
        });
        let _ = heard.await;
    }

    async fn settle(&self, ended: Ended) {
        let Ended { id, forgets, done } = ended;
        let Err(error) = done.await else { return };
        tracing::warn!(%error, forgets, "the event store could not let go of a session");
        let mut ids = self.ids.locked();
        if forgets && ids.len() < self.most {
            ids.push(id);
        }
    }

    /// The same where nobody waits for it.
    pub(super) fn finish_later(&self, ended: Ended) {
        if matches!(ended.done, Soon::Now(Ok(()))) {
            return;
        }
        let all = self.clone();
        drop(runtime::spawn(async move { all.settle(ended).await }));
    }

    /// A second has passed: the next one is tried again, and with it all others once that succeeds.
    pub(super) fn handle_tick(&self, store: &Arc<dyn EventStore>) {
        let Some(next) = self.ids.locked().pop() else { return };
        let (all, store) = (self.clone(), Arc::clone(store));
        drop(runtime::spawn(async move {
            let mut next = Some(next);
            while let Some(id) = next {
                if store.forget(&id).await.is_err() {
                    return all.ids.locked().push(id);
                }
                next = all.ids.locked().pop();
            }
        }));
    }
}
