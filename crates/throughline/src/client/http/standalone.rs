//! The standalone stream of a session: what belongs to no request.
//!
//! Specification:
//! [listening](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#listening-for-messages-from-the-server).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use throughline_proto::client::{Ending, Following, Next, RetryPolicy, StreamKind};

use super::{Http, Reading, dice, ending_of};
use crate::client::authorize::Asks;
use crate::client::core::{Agreed, Core, Origin, Transport};
use crate::client::{ClientError, StreamStatus};
use crate::runtime;

/// Keeps the standalone stream open for as long as the client lives.
pub(crate) async fn keep_open(core: Arc<Core>) {
    let mut following = Following::new(StreamKind::Standalone, RetryPolicy::STANDALONE);
    let mut agreed = core.agreed();
    loop {
        let now = core.agreed();
        if now.peer.revision.is_modern() {
            // There is no such stream any more.
            core.keeps_open.store(false, Ordering::Relaxed);
            return;
        }
        if now.generation != agreed.generation {
            following.restart();
        }
        agreed = now;
        // Before the stream is asked for, so that what is renewed meanwhile is not missed.
        let renewals = core.config.authorizing.as_ref().map(|authorizing| authorizing.renewals());
        let next = tokio::select! {
            ended = connection(&core, &agreed, &mut following) => match ended {
                Ok(next) => next,
                Err(error) => {
                    tracing::warn!(%error, "the server has no stream for what belongs to no call");
                    unavailable(&core);
                    return;
                }
            },
            // A call found that the session is gone, and opened another: this stream brings nothing any more.
            () = superseded(&core, &agreed) => {
                core.set_status(StreamStatus::Reconnecting { lost: 0 });
                continue;
            }
        };
        match next {
            Next::Reopen { at, lost } => {
                if lost > 0 {
                    tracing::warn!(
                        lost,
                        "the server no longer has some events of the standalone stream: they are lost"
                    );
                }
                core.set_status(StreamStatus::Reconnecting { lost });
                tokio::select! {
                    () = runtime::sleep_until(at) => {}
                    () = superseded(&core, &agreed) => {}
                }
            }
            // Without a session there is none that could be gone: the server has no GET.
            Next::Reinitialize { at } if core.config.renews && agreed.session_id().is_some() => {
                core.set_status(StreamStatus::Reconnecting { lost: 0 });
                tokio::select! {
                    () = runtime::sleep_until(at) => {}
                    () = superseded(&core, &agreed) => continue,
                }
                if let Err(error) = http(&core).renew(&core, agreed.generation).await {
                    tracing::warn!(%error, "no other session can be opened now");
                }
            }
            Next::Authorize => {
                let Some(mut renewals) = renewals else { return unavailable(&core) };
                // Nobody waits for this stream, so nobody is asked to log in for it.
                core.set_status(StreamStatus::Unavailable);
                tokio::select! {
                    // Its sender lives as long as the client.
                    _ = renewals.changed() => {}
                    () = superseded(&core, &agreed) => {}
                }
            }
            Next::Reinitialize { .. } | Next::Stop(_) => {
                unavailable(&core);
                return;
            }
        }
    }
}

/// The server has no such stream, unless it is another server by now, whose way it is to have none.
fn unavailable(core: &Core) {
    core.keeps_open.store(false, Ordering::Relaxed);
    if !core.is_modern() {
        core.set_status(StreamStatus::Unavailable);
    }
}

/// One connection from its opening to its end. An error when what the server sends is no such stream.
async fn connection(
    core: &Arc<Core>,
    agreed: &Agreed,
    following: &mut Following,
) -> Result<Next, ClientError> {
    let reading = match http(core).get(agreed, following.cursor(), Asks::Nobody).await {
        Ok(reading) => reading,
        Err(error) if error.is_connection_lost() || error.status().is_some() => {
            tracing::debug!(%error, "the standalone stream cannot be opened");
            return Ok(following.handle_end(runtime::now(), ending_of(&error), dice()));
        }
        Err(error) => return Err(error),
    };
    following.handle_open(runtime::now());
    core.set_status(StreamStatus::Open);
    let ended = listen(core, following, reading).await;
    Ok(following.handle_end(runtime::now(), ended, dice()))
}

/// Waits until another session is open.
async fn superseded(core: &Core, agreed: &Agreed) {
    let mut generation = http(core).generation.subscribe();
    // Its sender lives as long as the client.
    let _ = generation.wait_for(|open| *open > agreed.generation).await;
}

/// Reads one connection to its end.
async fn listen(core: &Arc<Core>, following: &mut Following, mut reading: Reading) -> Ending<'static> {
    loop {
        let received = match reading.next().await {
            Ok(Some(received)) => received,
            Ok(None) => return Ending::Closed,
            Err(error) => {
                if !error.is_connection_lost() {
                    tracing::warn!(%error, "the standalone stream cannot be read on");
                }
                return Ending::Lost;
            }
        };
        let is_message = matches!(received.message, Some(Ok(_)));
        following.handle_event(received.id.as_deref(), received.retry, is_message);
        match received.message {
            Some(Ok(message)) => core.take(message, Origin::Standalone),
            Some(Err(error)) => tracing::warn!(%error, "the server sent what is no message; it is skipped"),
            None => {}
        }
    }
}

fn http(core: &Core) -> &Http {
    match &core.transport {
        Transport::Http(http) => http,
        Transport::Pipe(_) => unreachable!("a pipe has no standalone stream of its own"),
    }
}
