//! GET: a stream of events, the standalone one or one to be resumed
//! ([listening](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#listening-for-messages-from-the-server),
//! [resumability](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#resumability-and-redelivery)).

use std::sync::Arc;

use http::Response;
use http::request::Parts;
use throughline_proto::http::{Refusal, RefusalKind, accepts, last_event_id, protocol_version};
use throughline_proto::revision::Revision;
use throughline_proto::session::{Cursor, StreamNo};

use super::endpoint::Endpoint;
use super::{ResponseBody, respond};
use crate::server::live::Live;
use crate::server::shares::Part;
use crate::server::stream::Stream;
use crate::server::tail::Tail;
use crate::server::who::Who;
use crate::store::{ReadBudget, ReadError};

pub(super) async fn answer(
    endpoint: &Arc<Endpoint>,
    parts: &Parts,
    who: &Who,
) -> Result<Response<ResponseBody>, Refusal> {
    if !accepts(&parts.headers).sse {
        let why = "a GET opens a stream of events; send: Accept: text/event-stream";
        return Err(Refusal::new(RefusalKind::NotAcceptable).with_message(why));
    }
    if let Some(date) = protocol_version(&parts.headers)?
        && Revision::parse(date).is_none_or(Revision::is_modern)
    {
        return Err(Refusal::unsupported_version(date, Revision::legacy_dates()));
    }
    endpoint.check_sender(who, parts)?;
    let live = endpoint.find_session(parts, who.principal())?;
    if endpoint.is_draining() {
        return Err(Refusal::new(RefusalKind::Draining));
    }
    let held = endpoint.take(who, Part::Stream)?;
    let tail = match last_event_id(&parts.headers)? {
        None => open(endpoint, &live).await?,
        Some(text) => resume(endpoint, &live, text).await.inspect_err(|refusal| {
            if refusal.kind() != RefusalKind::CursorGone {
                endpoint.tally.resumes_refused.add_one();
            }
        })?,
    };
    Ok(respond::events(ResponseBody::tail(tail).bound(who.expiry(), held)))
}

/// Opens the standalone stream, from what was never written to a connection.
async fn open(endpoint: &Endpoint, live: &Arc<Live>) -> Result<Tail, Refusal> {
    let stream = live.standalone().ok_or_else(super::unknown_session)?;
    live.note_listener().await;
    let written = stream.written();
    // Where the next events were dropped meanwhile the client begins with the oldest held: it has no cursor that could be
    // refused, and the id it is primed with must be one that it can come back with.
    let after = match stream.store().first_gap(stream.key(), written).await {
        Ok(Some(gap)) if gap.first() == written + 1 => gap.oldest - 1,
        _ => written,
    };
    let tail = Tail::new(stream, after, endpoint.config.retry).skipping_gaps();
    Ok(if live.revision.primes() { tail.primed() } else { tail })
}

/// Resumes a stream after a cursor. What cannot be resumed is said before the stream begins: never an empty 200.
async fn resume(endpoint: &Endpoint, live: &Arc<Live>, text: &str) -> Result<Tail, Refusal> {
    let invalid = || Refusal::new(RefusalKind::CursorInvalid);
    let cursor = live.session(|session| session.resume(text)).ok_or_else(invalid)?;
    let stream = find_stream(live, cursor)
        .await
        .map_err(|error| refuse(endpoint, cursor, error))?
        .ok_or_else(invalid)?;
    if cursor.seq > stream.head() {
        return Err(invalid());
    }
    let gap = match stream.store().first_gap(stream.key(), cursor.seq).await {
        // Nothing was sent on it yet: there is nothing to be missing.
        Err(ReadError::Unknown) if stream.is_before_first() => Ok(None),
        gap => gap,
    };
    // Only a hole right here. What is held before one further on is delivered: the connection ends at the hole, and who comes
    // back is told then.
    if let Some(gap) = gap.map_err(|error| refuse(endpoint, cursor, error))?
        && gap.first() == cursor.seq + 1
    {
        return Err(refuse(endpoint, cursor, ReadError::Dropped(gap)));
    }
    if stream.is_ended() && cursor.seq == stream.head() {
        return Err(Refusal::new(RefusalKind::CursorAtEnd));
    }
    endpoint.tally.resumes.add_one();
    Ok(Tail::new(stream, cursor.seq, endpoint.config.retry))
}

/// The stream of a cursor: one in use, or one of which only the log is left. `None` when it never had an event.
async fn find_stream(live: &Arc<Live>, cursor: Cursor) -> Result<Option<Arc<Stream>>, ReadError> {
    if cursor.stream == StreamNo::STANDALONE {
        return Ok(live.standalone());
    }
    if let Some(stream) = live.running_stream(cursor.stream) {
        return Ok(Some(stream));
    }
    let Some(store) = live.store() else { return Ok(None) };
    match store.read(&live.stream_key(cursor.stream), cursor.seq, ReadBudget { events: 1, bytes: 1 }).await {
        Ok(page) => Ok(live.reopen_stream(cursor.stream, page.head)),
        Err(error) => Err(error),
    }
}

fn refuse(endpoint: &Endpoint, cursor: Cursor, error: ReadError) -> Refusal {
    match error {
        ReadError::Dropped(gap) => {
            endpoint.tally.resumes_gone.add_one();
            let oldest = Cursor { seq: gap.oldest - 1, ..cursor };
            Refusal::cursor_gone(&oldest.to_string(), gap.count)
        }
        // Given up so long ago that not even the loss is remembered, or never kept: a client cannot tell either.
        ReadError::Unknown | ReadError::Ahead { .. } => Refusal::new(RefusalKind::CursorInvalid),
        ReadError::Unavailable(error) => {
            tracing::error!(%error, "the event store cannot be read");
            Refusal::new(RefusalKind::Internal)
        }
    }
}
