//! What the log of an interrupted stream tells: which requests were answered, and how far their progress was.

use throughline_proto::jsonrpc::{self, Frame, Message, ParseLimits, ProgressToken, RequestId};
use throughline_proto::model::ProgressParams;

use super::NotedRequest;
use crate::server::stream::data_of;
use crate::store::{Event, EventStore, ReadBudget, ReadError, StreamKey};

/// A log, read back.
#[derive(Default)]
pub(crate) struct ReadBack {
    answered: Vec<RequestId>,
    progress: ProgressFloors,
}

/// How far the progress under each token was. It may only grow
/// ([progress](https://modelcontextprotocol.io/specification/2025-11-25/basic/utilities/progress)), so a call that runs
/// again says nothing until it is further.
#[derive(Default)]
pub(crate) struct ProgressFloors(Vec<(ProgressToken, f64)>);

impl ReadBack {
    /// Reads what is held of a stream, up to `head`.
    pub(crate) async fn read(store: &dyn EventStore, at: &StreamKey, head: u64) -> Result<Self, ReadError> {
        let mut all = Self::default();
        let mut after = 0;
        while after < head {
            match store.read(at, after, ReadBudget::default()).await {
                Ok(page) => {
                    let Some(last) = page.events.last() else { break };
                    after = last.seq;
                    page.events.iter().for_each(|event| all.take(event));
                }
                // What was dropped was written to a connection long ago, or only progress.
                Err(ReadError::Dropped(gap)) if gap.oldest > after + 1 => after = gap.oldest - 1,
                Err(ReadError::Unknown) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    fn take(&mut self, event: &Event) {
        let Ok(Frame::Single(message)) = jsonrpc::parse(&data_of(&event.frame), &ParseLimits::default())
        else {
            return;
        };
        match message {
            Message::Response(response) => self.answered.extend(response.id),
            Message::Notification(told) if told.method == "notifications/progress" => {
                let progress = told.params.as_ref().and_then(|params| params.parse::<ProgressParams>().ok());
                if let Some(progress) = progress {
                    self.progress.raise(progress);
                }
            }
            Message::Notification(_) | Message::Request(_) => {}
        }
    }

    /// Those of the requests that have no answer in the log.
    pub(crate) fn unanswered(&mut self, requests: Vec<NotedRequest>) -> Vec<NotedRequest> {
        let mut open = requests;
        open.retain(|request| match self.answered.iter().position(|id| *id == request.id) {
            Some(at) => {
                self.answered.swap_remove(at);
                false
            }
            None => true,
        });
        open
    }

    pub(crate) fn into_progress(self) -> ProgressFloors {
        self.progress
    }
}

impl ProgressFloors {
    fn raise(&mut self, progress: ProgressParams) {
        match self.0.iter_mut().find(|(token, _)| *token == progress.progress_token) {
            Some((_, floor)) => *floor = floor.max(progress.progress),
            None => self.0.push((progress.progress_token, progress.progress)),
        }
    }

    /// Whether the client has heard of as much progress already.
    pub(crate) fn covers(&self, progress: &ProgressParams) -> bool {
        self.0.iter().any(|(token, floor)| *token == progress.progress_token && progress.progress <= *floor)
    }
}
