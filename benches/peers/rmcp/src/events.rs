//! An event store in memory. The SDK has none of its own, only the trait: what a session keeps by itself of a stream is gone
//! once the response has been sent.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use rmcp::transport::streamable_http_server::session::{
    EventId, EventStore, EventStoreError, EventStream, ServerSseMessage,
};

/// Keeps the events of each stream in order, and forgets a stream that is not among the last 1,000.
#[derive(Default)]
pub(crate) struct Events(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    streams: HashMap<String, Vec<ServerSseMessage>>,
    /// The streams, oldest first.
    order: VecDeque<String>,
}

#[async_trait::async_trait]
impl EventStore for Events {
    async fn store_event(
        &self,
        stream_id: &str,
        event: &ServerSseMessage,
    ) -> Result<EventId, EventStoreError> {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = &mut *guard;
        if !kept.streams.contains_key(stream_id) {
            kept.order.push_back(stream_id.to_owned());
            kept.streams.insert(stream_id.to_owned(), Vec::new());
            if kept.order.len() > STREAMS
                && let Some(oldest) = kept.order.pop_front()
            {
                kept.streams.remove(&oldest);
            }
        }
        let stream = kept.streams.get_mut(stream_id).ok_or("a stream that was just opened is gone")?;
        let id = format!("{stream_id}/{}", stream.len());
        let mut event = event.clone();
        event.event_id = Some(id.clone());
        stream.push(event);
        Ok(id)
    }

    async fn replay_events_after(&self, last_event_id: &str) -> Result<EventStream, EventStoreError> {
        let (stream_id, index) = last_event_id.rsplit_once('/').ok_or("this id is not of this store")?;
        let after = index.parse::<usize>()?.saturating_add(1);
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let stream = kept.streams.get(stream_id).ok_or("this stream is forgotten")?;
        let events = stream.get(after..).unwrap_or_default().to_vec();
        Ok(Box::pin(tokio_stream::iter(events)))
    }
}

const STREAMS: usize = 1_000;
