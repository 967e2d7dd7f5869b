//! The stream of a server's messages.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use http::header::HeaderMap;
use http::{Method, Uri};
use throughline_proto::client::message_endpoint;
use throughline_proto::jsonrpc::{Malformed, Message};

use crate::client::ClientError;
use crate::client::authorize::{Asks, in_time};
use crate::client::http::{MAX_EVENT, Reading};
use crate::client::line::Line;

/// What comes on a stream after its `endpoint`, and what came before.
pub(super) struct Incoming {
    reading: Reading,
    early: VecDeque<Result<Message, Malformed>>,
}

/// Opens a stream; gives where messages go, too.
pub(super) async fn open(line: &Line, patience: Duration) -> Result<(Uri, Incoming), ClientError> {
    let patience = patience.min(ENDPOINT_WAIT);
    in_time(line.authorizing(), patience, wait_for_endpoint(line)).await.unwrap_or_else(|| {
        Err(ClientError::peer(format!(
            "it did not open a stream that begins with an `endpoint` event within {patience:?}"
        )))
    })
}

async fn wait_for_endpoint(line: &Line) -> Result<(Uri, Incoming), ClientError> {
    let response = line.send(Method::GET, Bytes::new(), &HeaderMap::new(), Asks::Person).await?;
    let mut reading = Reading::new(response).await?;
    if !reading.is_stream() {
        let status = reading.status;
        return Err(ClientError::peer(format!("it answered GET with {status} and no stream of events")));
    }
    let (mut early, mut bytes) = (VecDeque::new(), 0);
    while let Some(received) = reading.next().await? {
        if let Some(told) = received.endpoint {
            let endpoint =
                message_endpoint(line.uri(), &told).map_err(|error| ClientError::peer(error.to_string()))?;
            return Ok((endpoint, Incoming { reading, early }));
        }
        bytes += received.bytes;
        if bytes > MAX_EVENT {
            return Err(ClientError::peer(format!(
                "its stream brought more than {MAX_EVENT} bytes and no `endpoint` event before them"
            )));
        }
        early.extend(received.message);
        if early.len() > MOST_EARLY {
            return Err(ClientError::peer(format!(
                "its stream brought {MOST_EARLY} messages and no `endpoint` event before them"
            )));
        }
    }
    Err(ClientError::peer("it ended its stream before an `endpoint` event"))
}

impl Incoming {
    /// The next message; `None` when the server ended the stream. May be dropped and called again.
    pub(super) async fn next(&mut self) -> Result<Option<Result<Message, Malformed>>, ClientError> {
        if let Some(message) = self.early.pop_front() {
            return Ok(Some(message));
        }
        while let Some(received) = self.reading.next().await? {
            if let Some(message) = received.message {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }
}

/// The `endpoint` is the first thing that a server says, so it comes with the head of the response; as long as a new
/// connection may take.
const ENDPOINT_WAIT: Duration = Duration::from_secs(10);
/// Nothing should come before the `endpoint`; some servers log there. All of it together may be as large as one event.
const MOST_EARLY: usize = 64;
