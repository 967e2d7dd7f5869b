//! What the writer is asked to do.

use std::time::Instant;

use bytes::Bytes;
use throughline::store::{AppendError, BoxError, Epoch, Event, KeptSession, SessionId, StreamKey};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::error::Failure;

/// Something to write, and who waits for it.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) what: What,
    pub(crate) answer: Answer,
    /// Its share of what may wait, given back when the job is done.
    pub(crate) _share: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
pub(crate) enum What {
    Append(Batch),
    Save { session: SessionId, epoch: Epoch, record: Bytes },
    Forget(SessionId),
}

/// An append, owned.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) at: StreamKey,
    pub(crate) epoch: Epoch,
    pub(crate) events: Vec<Event>,
    pub(crate) written: u64,
    pub(crate) ends: bool,
    pub(crate) note: Option<Bytes>,
    /// When it was asked for, by the caller's clock.
    pub(crate) now: Instant,
}

#[derive(Debug)]
pub(crate) enum Answer {
    Append(oneshot::Sender<Result<(), AppendError>>),
    Forget(oneshot::Sender<Result<(), BoxError>>),
    /// Nobody waits.
    None,
}

impl Answer {
    /// Tells who waits. One that was dropped does not.
    pub(crate) fn send(self, outcome: Result<(), AppendError>) {
        match self {
            Self::None => {}
            Self::Append(waiter) => drop(waiter.send(outcome)),
            Self::Forget(waiter) => drop(waiter.send(outcome.map_err(|error| match error {
                AppendError::Unavailable(cause) => cause,
                error => error.into(),
            }))),
        }
    }
}

/// What is sent to the writer.
#[derive(Debug)]
pub(crate) enum Message {
    Job(Job),
    /// Flush the marks, and remove what was dropped and whom nobody knows.
    Tidy,
    Load(oneshot::Sender<Result<Vec<KeptSession>, Failure>>),
    /// Write everything that came before, close the file and say so.
    Close(oneshot::Sender<()>),
}

impl What {
    /// What it takes of the bytes that may wait: what it holds, and a place in the queue.
    pub(crate) fn cost(&self) -> usize {
        let held = match self {
            Self::Append(batch) => {
                batch.events.iter().map(Event::cost).sum::<usize>()
                    + batch.note.as_ref().map_or(0, Bytes::len)
            }
            Self::Save { record, .. } => record.len(),
            Self::Forget(_) => 0,
        };
        held + PLACE
    }
}

/// What a job with no bytes costs: its place in the queue, its answer and the key it names.
const PLACE: usize = 512;
