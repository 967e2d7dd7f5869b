//! The keys of the tables. They sort by session, stream, kind and sequence, so that what belongs together lies together and
//! goes with one range.
//!
//! ```text
//!   sessions   length of the id (4) | id
//!   streams    length of the id (4) | id | stream (8)
//!   events     length of the id (4) | id | stream (8) | kept (1) | sequence (8)          numbers are big-endian
//! ```

use std::ops::RangeInclusive;

use throughline::store::{SessionId, StreamKey};

/// The key of a session, and the start of every key in it. The length keeps it from being the start of another's.
pub(crate) fn session(id: &SessionId) -> Vec<u8> {
    let id = id.as_str().as_bytes();
    let mut key = Vec::with_capacity(4 + id.len() + STREAM + EVENT);
    // No id is as long as that: it came in a header.
    key.extend(u32::try_from(id.len()).unwrap_or(u32::MAX).to_be_bytes());
    key.extend(id);
    key
}

/// The key of a stream, and the start of those of its events.
pub(crate) fn stream(at: &StreamKey) -> Vec<u8> {
    let mut key = session(&at.session);
    key.extend(at.stream.to_be_bytes());
    key
}

/// Turns the key of a stream, or of another event of it, into that of an event.
pub(crate) fn set_event(key: &mut Vec<u8>, stream_len: usize, keep: bool, seq: u64) {
    key.truncate(stream_len);
    key.push(u8::from(keep));
    key.extend(seq.to_be_bytes());
}

/// Every key of a session, of any table.
pub(crate) fn of_session(id: &SessionId) -> RangeInclusive<Vec<u8>> {
    let first = session(id);
    let mut last = first.clone();
    last.extend([0xff; STREAM + EVENT]);
    first..=last
}

/// The keys of a stream's events of one kind, up to a sequence and without it.
pub(crate) fn events_before(stream: &[u8], keep: bool, seq: u64) -> std::ops::Range<Vec<u8>> {
    let (mut first, mut end) = (stream.to_vec(), stream.to_vec());
    set_event(&mut first, stream.len(), keep, 0);
    set_event(&mut end, stream.len(), keep, seq);
    first..end
}

/// The keys of all events of a stream.
pub(crate) fn events_of(stream: &[u8]) -> RangeInclusive<Vec<u8>> {
    let mut last = stream.to_vec();
    last.extend([0xff; EVENT]);
    stream.to_vec()..=last
}

/// Takes the id of a session off a key; what is left follows it.
pub(crate) fn split_session(key: &[u8]) -> Option<(SessionId, &[u8])> {
    let (len, rest) = key.split_first_chunk::<4>()?;
    let (id, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
    Some((SessionId::from(std::str::from_utf8(id).ok()?), rest))
}

/// Reads the key of a stream.
pub(crate) fn read_stream(key: &[u8]) -> Option<StreamKey> {
    let (session, rest) = split_session(key)?;
    Some(StreamKey { session, stream: u64::from_be_bytes(rest.try_into().ok()?) })
}

/// Splits the key of an event into that of its stream, its kind and its sequence.
pub(crate) fn read_event(key: &[u8]) -> Option<(&[u8], bool, u64)> {
    let (stream, [keep, seq @ ..]) = key.split_last_chunk::<EVENT>()?;
    (*keep <= 1).then(|| (stream, *keep == 1, u64::from_be_bytes(*seq)))
}

const STREAM: usize = 8;
const EVENT: usize = 9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_by_session_stream_kind_and_sequence_and_read_back() {
        let mut keys = Vec::new();
        for session in ["", "a", "b", "aa"] {
            for number in [0, 1, 256, u64::MAX] {
                let at = StreamKey { session: session.into(), stream: number };
                let prefix = stream(&at);
                assert_eq!(read_stream(&prefix), Some(at.clone()));
                for (keep, seq) in [(false, 1), (false, 300), (true, 2), (true, u64::MAX)] {
                    let mut key = prefix.clone();
                    set_event(&mut key, prefix.len(), keep, seq);
                    assert_eq!(read_event(&key), Some((&prefix[..], keep, seq)));
                    assert!(events_of(&prefix).contains(&key) && of_session(&at.session).contains(&key));
                    assert!(!events_before(&prefix, keep, seq).contains(&key));
                    assert!(seq == u64::MAX || events_before(&prefix, keep, seq + 1).contains(&key));
                    keys.push((at.clone(), key));
                }
            }
        }
        assert!(keys.is_sorted_by_key(|(_, key)| key));
        for (at, key) in &keys {
            for (other, _) in &keys {
                assert_eq!(of_session(&other.session).contains(key), at.session == other.session);
                assert_eq!(events_of(&stream(other)).contains(key), at == other);
            }
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for key in [&[][..], &[0, 0, 0], &[0, 0, 0, 2, b'a'], &[0, 0, 0, 1, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]] {
            assert_eq!(read_stream(key), None);
        }
        assert_eq!(read_event(&[2, 0, 0, 0, 0, 0, 0, 0, 0]), None);
    }
}
