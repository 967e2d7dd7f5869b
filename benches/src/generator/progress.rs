//! Calls that report progress a thousand times.

use std::time::Instant;

use bytes::Bytes;

use super::check;
use super::loops::{Caller, Took};
use super::modern;
use super::session::Session;
use super::sse::{Event, Events};
use super::wire::{Endpoint, Wire};
use crate::Result;
use crate::echo;
use crate::scenario::{EVENTS, Way};

/// Has a tool report its progress, again and again.
pub(super) enum Progress {
    InSession(Session),
    Modern { wire: Wire, next_request: u64 },
}

impl Progress {
    pub(super) async fn open(endpoint: Endpoint, way: Way) -> Result<Self> {
        Ok(match way {
            Way::Session | Way::Stateless => Self::InSession(Session::open(&endpoint, way).await?),
            Way::Modern => Self::Modern {
                wire: modern::connect(&endpoint, "progress").await?,
                next_request: super::FIRST_REQUEST,
            },
        })
    }
}

impl Caller for Progress {
    async fn call(&mut self) -> Result<Took> {
        let (id, way, body, wire) = match self {
            Self::InSession(session) => {
                let id = session.next_id();
                (id, Way::Session, echo::progress(id, EVENTS), &mut session.wire)
            }
            Self::Modern { wire, next_request } => {
                *next_request += 1;
                let id = *next_request - 1;
                (id, Way::Modern, echo::modern_progress(id, EVENTS), wire)
            }
        };
        wire.ready().await?;
        let started = Instant::now();
        let mut events = Events::of(wire.post(Bytes::from(body)).await?)?;
        read_all(&mut events, way, id, EVENTS).await?;
        Ok(Took { started, ended: Instant::now() })
    }

    async fn close(self) -> Result<()> {
        match self {
            Self::InSession(session) => session.delete().await.map(drop),
            Self::Modern { .. } => Ok(()),
        }
    }
}

/// Reads progress from 1 to `count`, the response, and the end of the stream. The first id that comes by.
pub(super) async fn read_all(
    events: &mut Events,
    way: Way,
    id: u64,
    count: usize,
) -> Result<Option<Vec<u8>>> {
    let mut first_id = None;
    let mut expected = 1;
    while let Some(event) = events.next().await? {
        if first_id.is_none() {
            first_id = event.id().map(<[u8]>::to_vec);
        }
        let data = event.data();
        if data.is_empty() {
            continue;
        }
        let is_expected = if expected <= count {
            is_progress(&data, id, expected)
        } else {
            expected == count + 1 && check::text_of(std::str::from_utf8(&data)?, way, id)? == "done"
        };
        if !is_expected {
            return Err(unexpected(&event, expected).into());
        }
        expected += 1;
    }
    if expected == count + 2 {
        Ok(first_id)
    } else {
        Err(format!("a stream ended before event {expected} of {}", count + 1).into())
    }
}

fn unexpected(event: &Event, expected: usize) -> String {
    format!("event {expected} was expected, and {} came", String::from_utf8_lossy(&event.data()))
}

/// Whether this is the notification of progress `number` of call `id`, whose id is its token, without parsing all of it: the
/// generator must be faster than its target.
fn is_progress(data: &[u8], id: u64, number: usize) -> bool {
    memchr::memmem::find(data, b"\"notifications/progress\"").is_some()
        && whole_number(data, b"\"progressToken\":") == Some(id)
        && whole_number(data, b"\"progress\":") == Some(number as u64)
}

/// The number behind this member's name, where it is a whole one.
fn whole_number(data: &[u8], name: &[u8]) -> Option<u64> {
    let at = memchr::memmem::find(data, name)?;
    let value = data[at + name.len()..].trim_ascii_start();
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=18).contains(&digits) {
        return None;
    }
    // Some write a whole number as 1.0.
    let rest = value[digits..].strip_prefix(b".0").unwrap_or(&value[digits..]);
    matches!(rest.trim_ascii_start().first(), Some(b',' | b'}'))
        .then(|| value[..digits].iter().fold(0, |so_far, digit| so_far * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_from_other_numbers() {
        let event = |progress: &str| {
            format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":7,"progress":{progress}}}}}"#
            )
        };
        for good in ["12", "12.0", " 12", "12, \"total\":100"] {
            assert!(is_progress(event(good).as_bytes(), 7, 12), "{good}");
        }
        for bad in ["1", "123", "12.5", "012x", "", "-12", "1e1"] {
            assert!(!is_progress(event(bad).as_bytes(), 7, 12), "{bad}");
        }
        assert!(!is_progress(event("12").as_bytes(), 8, 12), "another call's");
        assert!(!is_progress(br#"{"id":1,"result":{"progressToken":7,"progress":12}}"#, 7, 12));
    }
}
