//! Messages to the server, each a POST of its own.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap};
use http::{Method, Response, Uri};
use tokio::sync::oneshot;

use super::{Shared, State};
use crate::client::ClientError;
use crate::client::core::FAREWELL;
use crate::client::http::Reading;
use crate::client::line::BoxBody;
use crate::client::pipe::take;
use crate::runtime;

/// Posts a message, and waits until the server has taken it, which some do when they have answered it. It is posted by a task
/// of its own: who gives up waiting, or has the answer already, leaves neither half a request nor a connection that cannot be
/// used again.
pub(super) async fn send(sse: &Arc<Shared>, endpoint: Uri, message: Bytes) -> Result<(), ClientError> {
    let Ok(place) = Arc::clone(&sse.posts).try_acquire_owned() else {
        return Err(ClientError::unsendable("too many messages wait for the server to take them"));
    };
    let (mut tell, told) = oneshot::channel();
    let mut state = sse.state.subscribe();
    let sse = Arc::clone(sse);
    runtime::spawn(async move {
        let _place = place;
        let abandoned = async {
            tell.closed().await;
            tokio::time::sleep(FAREWELL).await;
        };
        let outcome = tokio::select! {
            outcome = post(&sse, &endpoint, message) => outcome,
            () = abandoned => return,
            _ = state.wait_for(|state| matches!(state, State::Closed)) => return,
        };
        // Nobody may be waiting any more.
        let _nobody = tell.send(outcome);
    });
    told.await.unwrap_or_else(|_| Err(ClientError::closed()))
}

async fn post(sse: &Shared, endpoint: &Uri, message: Bytes) -> Result<(), ClientError> {
    let core = || sse.core.get()?.upgrade();
    let headers = core().map_or_else(HeaderMap::new, |core| core.agreed().headers.clone());
    let sent = sse.line.send_to(endpoint, Method::POST, message, &headers).await;
    let response = sent.map_err(ClientError::after_sending)?;
    if response.status().is_success() && !is_json(&response) {
        drain(response.into_body()).await;
        return Ok(());
    }
    // The rules know no such answers; some servers give them all the same.
    let mut reading = Reading::new(response).await.map_err(ClientError::after_sending)?;
    while let Some(received) = reading.next().await? {
        if let (Some(Ok(message)), Some(core)) = (received.message, core()) {
            take(&core, Ok(message));
        }
    }
    Ok(())
}

fn is_json(response: &Response<BoxBody>) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// Reads a word like "Accepted", so that the connection can be used again.
async fn drain(mut body: BoxBody) {
    let mut left = MOST_WORDS;
    while let Some(Ok(frame)) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// More than a word of acceptance has: the connection is given up instead.
const MOST_WORDS: usize = 64 * 1024;
