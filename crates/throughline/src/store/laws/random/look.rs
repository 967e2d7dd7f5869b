//! What a store shows of a stream, and of itself.

use crate::store::laws::probe::ALL;
use crate::store::{EventStore, ReadError, StreamKey, Usage};

use super::budgets::Change;
use super::model::{BOUNDED, Complaint, HONEST, Seen, broken, must};

/// Reads a stream from its start to its head. Every answer must fit the one before.
pub(super) async fn walk<S: EventStore>(store: &S, key: &StreamKey, name: &str) -> Result<Seen, Complaint> {
    let (mut held, mut after, mut lost) = (Vec::new(), 0, false);
    loop {
        match store.read(key, after, ALL).await {
            Ok(page) => {
                let seqs: Vec<_> = page.events.iter().map(|event| event.seq).collect();
                let is_whole = seqs.iter().copied().eq((after + 1..).take(seqs.len()));
                must!(is_whole, HONEST, "a page of {name} after {after} has the events {seqs:?}");
                after += seqs.len() as u64;
                must!(
                    after <= page.head && (!seqs.is_empty() || after == page.head),
                    HONEST,
                    "a page of {name} goes up to {after} with the events {seqs:?}, and the head is {}",
                    page.head
                );
                held.extend(page.events);
                if after == page.head {
                    return Ok(Seen::Known { held, head: page.head, ended: page.ended });
                }
                lost = false;
            }
            Err(ReadError::Dropped(dropped)) => {
                let first = dropped.oldest.checked_sub(dropped.count);
                must!(
                    !lost && dropped.count > 0 && first == Some(after + 1),
                    HONEST,
                    "a read of {name} after {after} got {dropped:?}"
                );
                (after, lost) = (dropped.oldest - 1, true);
            }
            Err(ReadError::Unknown) if after == 0 => return Ok(Seen::Unknown),
            Err(error) => return broken(HONEST, format!("a read of {name} after {after} got {error:?}")),
        }
    }
}

/// A store that cannot tell reports zeros.
pub(super) fn check_usage(usage: Usage, changes: &[Change<'_>]) -> Result<(), Complaint> {
    if usage == Usage::default() {
        return Ok(());
    }
    let events: usize = changes.iter().map(|change| change.now.len()).sum();
    let bytes: usize =
        changes.iter().flat_map(|change| change.now.iter().map(|seq| change.stream.event(*seq).cost())).sum();
    must!(
        (usage.events, usage.bytes) == (events, bytes),
        BOUNDED,
        "`usage` tells of {} events and {} bytes; {events} events and {bytes} bytes can be read",
        usage.events,
        usage.bytes
    );
    Ok(())
}
