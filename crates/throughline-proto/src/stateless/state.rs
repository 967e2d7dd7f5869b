//! What a sealed state holds, and its bytes: the expiry, then records of a kind and parts with their lengths.

use bytes::{Buf, Bytes};

use crate::jsonrpc::{Raw, Str};

/// The longest payload. A client carries it there and back with every round, as base64, in a body of JSON.
pub(super) const MAX_PAYLOAD: usize = 64 * 1024;

/// Most questions of one call. More than a person would answer; and what a round costs to match grows with it.
pub(super) const MAX_ASKS: usize = 64;

/// Most remembered values of one call.
pub(super) const MAX_MEMOS: usize = 64;

/// The longest key, in bytes. Longer than any name, and short enough that keys do not fill a state.
pub(super) const MAX_KEY: usize = 256;

/// A digest of a question's bytes.
pub(super) type Digest = [u8; 32];

/// What is known of one question.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Asked {
    pub(super) key: Str,
    pub(super) digest: Digest,
    pub(super) answer: Option<Raw>,
}

/// What is carried from one round of a call to the next.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct State {
    pub(super) asked: Vec<Asked>,
    pub(super) memos: Vec<(Str, Raw)>,
    /// The state of a handler that makes its rounds itself.
    pub(super) handler: Option<Raw>,
    /// The keys that such a handler asked under.
    pub(super) handler_keys: Vec<Str>,
    /// The responses to those keys so far.
    pub(super) responses: Vec<(Str, Raw)>,
}

const ASKED: u8 = 1;
const ANSWERED: u8 = 2;
const MEMO: u8 = 3;
const HANDLER: u8 = 4;
const HANDLER_KEY: u8 = 5;
const RESPONSE: u8 = 6;

const EXPIRY: usize = 8;

impl State {
    /// The bytes to seal, `expires` in seconds since 1970; `None` when they would be too many.
    pub(super) fn encode(&self, expires: u64) -> Option<Vec<u8>> {
        let size = self.size();
        if size > MAX_PAYLOAD {
            return None;
        }
        let mut out = Vec::with_capacity(size);
        out.extend_from_slice(&expires.to_be_bytes());
        self.each_record(|kind, parts| {
            out.push(kind);
            for part in parts {
                let length = u32::try_from(part.len()).expect("the size was checked");
                out.extend_from_slice(&length.to_be_bytes());
                out.extend_from_slice(part);
            }
        });
        Some(out)
    }

    /// How many bytes [`encode`](State::encode) would need.
    pub(super) fn size(&self) -> usize {
        let mut size = EXPIRY;
        self.each_record(|_, parts| size += 1 + parts.iter().map(|part| 4 + part.len()).sum::<usize>());
        size
    }

    fn each_record(&self, mut record: impl FnMut(u8, &[&[u8]])) {
        for asked in &self.asked {
            let (key, digest) = (asked.key.as_bytes(), asked.digest.as_slice());
            match &asked.answer {
                None => record(ASKED, &[key, digest]),
                Some(answer) => record(ANSWERED, &[key, digest, answer.as_bytes()]),
            }
        }
        for (key, value) in &self.memos {
            record(MEMO, &[key.as_bytes(), value.as_bytes()]);
        }
        if let Some(state) = &self.handler {
            record(HANDLER, &[state.as_bytes()]);
        }
        for key in &self.handler_keys {
            record(HANDLER_KEY, &[key.as_bytes()]);
        }
        for (key, value) in &self.responses {
            record(RESPONSE, &[key.as_bytes(), value.as_bytes()]);
        }
    }

    /// The expiry and the state of a payload; `None` for what [`encode`](State::encode) does not write.
    pub(super) fn decode(payload: Vec<u8>) -> Option<(u64, State)> {
        let mut reader = Reader(Bytes::from(payload));
        let expires = reader.0.try_get_u64().ok()?;
        let mut state = State::default();
        while let Ok(kind) = reader.0.try_get_u8() {
            match kind {
                ASKED => state.asked.push(reader.asked(false)?),
                ANSWERED => state.asked.push(reader.asked(true)?),
                MEMO => state.memos.push((reader.str()?, reader.raw()?)),
                HANDLER => state.handler = Some(reader.raw()?),
                HANDLER_KEY => state.handler_keys.push(reader.str()?),
                RESPONSE => state.responses.push((reader.str()?, reader.raw()?)),
                _ => return None,
            }
        }
        Some((expires, state))
    }
}

struct Reader(Bytes);

impl Reader {
    fn part(&mut self) -> Option<Bytes> {
        let length = usize::try_from(self.0.try_get_u32().ok()?).ok()?;
        (length <= self.0.len()).then(|| self.0.split_to(length))
    }

    fn str(&mut self) -> Option<Str> {
        String::from_utf8(self.part()?.into()).ok().map(Str::from)
    }

    fn raw(&mut self) -> Option<Raw> {
        Raw::from_json(self.part()?).ok()
    }

    fn asked(&mut self, is_answered: bool) -> Option<Asked> {
        let key = self.str()?;
        let digest = self.part()?.as_ref().try_into().ok()?;
        let answer = if is_answered { Some(self.raw()?) } else { None };
        Some(Asked { key, digest, answer })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn raw() -> impl Strategy<Value = Raw> {
        ".{0,12}".prop_map(|text| Raw::new(&text).unwrap())
    }

    fn key() -> impl Strategy<Value = Str> {
        ".{1,9}".prop_map(Str::from)
    }

    fn state() -> impl Strategy<Value = State> {
        let asked = (key(), any::<Digest>(), prop::option::of(raw()))
            .prop_map(|(key, digest, answer)| Asked { key, digest, answer });
        let pairs = || prop::collection::vec((key(), raw()), 0..4);
        (
            prop::collection::vec(asked, 0..4),
            pairs(),
            prop::option::of(raw()),
            prop::collection::vec(key(), 0..4),
            pairs(),
        )
            .prop_map(|(asked, memos, handler, handler_keys, responses)| State {
                asked,
                memos,
                handler,
                handler_keys,
                responses,
            })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(expires: u64, state in state()) {
            let payload = state.encode(expires).unwrap();
            prop_assert_eq!(payload.len(), state.size());
            prop_assert_eq!(State::decode(payload.clone()), Some((expires, state)));
            for end in 0..payload.len() {
                // A part of it is another state at most, and never a panic.
                if let Some((_, part)) = State::decode(payload[..end].to_vec()) {
                    prop_assert_eq!(part.size(), end);
                }
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(
            state in state(),
            noise in prop::collection::vec(any::<u8>(), 0..80),
            at: prop::sample::Index,
            byte: u8,
        ) {
            State::decode(noise);
            let mut payload = state.encode(0).unwrap();
            *at.get_mut(&mut payload) = byte;
            State::decode(payload);
        }
    }

    #[test]
    fn it_has_at_most_64_kib() {
        let of = |length: usize| State {
            handler: Some(Raw::new(&"x".repeat(length - 2)).unwrap()),
            ..State::default()
        };
        let room = MAX_PAYLOAD - EXPIRY - 5;
        assert_eq!(of(room).encode(1).map(|payload| payload.len()), Some(MAX_PAYLOAD));
        assert_eq!(of(room + 1).encode(1), None);
    }
}
