//! The host's notifications on their way to the server, one after the other.

use throughline::Client;
use throughline::jsonrpc::Notification;
use tokio::sync::mpsc;

use super::work::{Running, Work};

/// Sends notifications, in their order, without anybody waiting for the server.
pub(super) struct Notes {
    waiting: mpsc::Sender<(Client, Notification, Running)>,
    work: Work,
}

impl Notes {
    pub(super) fn new(work: Work) -> Self {
        let (waiting, mut notes) = mpsc::channel::<(Client, Notification, Running)>(MOST_WAITING);
        tokio::spawn(async move {
            while let Some((client, note, _running)) = notes.recv().await {
                if let Err(error) = client.notify(&note.method, &note.params).await {
                    tracing::warn!(%error, method = &*note.method, "a notification of the host could not be passed on");
                }
            }
        });
        Self { waiting, work }
    }

    pub(super) fn pass(&self, client: &Client, note: Notification) {
        if self.waiting.try_send((client.clone(), note, self.work.begin())).is_err() {
            tracing::warn!(
                "the server does not take notifications of the host as fast as they come: one is dropped"
            );
        }
    }
}

/// Far more than a host sends while one of them travels.
const MOST_WAITING: usize = 256;
