//! The store on a disk that fails.

mod faults;
mod files;
mod model;
mod simulated;
mod tidying;

use throughline::store::{Event, ReadBudget, ReadError};

use self::simulated::{Disk, Fault};
use super::*;

fn open(disk: &Disk) -> RedbStore {
    RedbStore::open_source(disk.source(), Limits::default()).unwrap()
}

fn key(session: &str, stream: u64) -> StreamKey {
    StreamKey { session: session.into(), stream }
}

fn event(seq: u64, text: &str) -> Event {
    Event { seq, keep: seq.is_multiple_of(2), frame: format!("data: {text} {seq}\n\n").into() }
}

async fn append(store: &RedbStore, at: &StreamKey, events: &[Event]) -> Result<(), AppendError> {
    store.append(at, Epoch(0), Append { events, ..Append::default() }).await
}

async fn save(store: &RedbStore, session: &str, record: &str) -> Result<(), AppendError> {
    store.save(&session.into(), Epoch(0), Bytes::copy_from_slice(record.as_bytes())).await
}

/// What is held of a stream, whatever was dropped in between, and whether it has ended; `None` when it is unknown.
async fn held(store: &RedbStore, at: &StreamKey) -> Option<(Vec<Event>, bool)> {
    let (mut found, mut after) = (Vec::new(), 0);
    loop {
        match store.read(at, after, ReadBudget::default()).await {
            Ok(page) => {
                after += page.events.len() as u64;
                let is_last = page.head == after;
                found.extend(page.events);
                if is_last {
                    return Some((found, page.ended));
                }
            }
            Err(ReadError::Dropped(dropped)) => after = dropped.oldest - 1,
            Err(ReadError::Unknown) => return None,
            Err(error) => panic!("{error}"),
        }
    }
}

/// The cause that a failed append tells.
fn cause(outcome: Result<(), AppendError>) -> String {
    match outcome {
        Err(AppendError::Unavailable(cause)) => cause.to_string(),
        outcome => panic!("this should have failed: {outcome:?}"),
    }
}
