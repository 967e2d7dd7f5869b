//! What is still to be done for the host.

use tokio::sync::watch;

/// Counts what runs. Cheap to clone.
#[derive(Clone)]
pub(super) struct Work(watch::Sender<usize>);

/// Something that runs, until it is dropped.
pub(super) struct Running(watch::Sender<usize>);

impl Work {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    pub(super) fn begin(&self) -> Running {
        self.0.send_modify(|running| *running += 1);
        Running(self.0.clone())
    }

    /// Waits until nothing runs.
    pub(super) async fn done(&self) {
        // It cannot fail: the sender is here.
        let _ = self.0.subscribe().wait_for(|running| *running == 0).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}
