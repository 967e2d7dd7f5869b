//! Checks that every server has.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use throughline::Client;

use crate::checks::{Checked, holds, same};
use crate::meeting::{Meeting, lock, text};
use crate::options::Place;
use crate::relay::Relay;

pub(crate) async fn connect(meeting: &Meeting) -> Checked<Client> {
    let client = meeting.connect(None).await?;
    same("the modern era", client.revision().is_modern(), meeting.is_modern())?;
    Ok(client)
}

pub(crate) async fn close(client: &Client) -> Checked {
    client.close().await?;
    let after = client.list_prompts().await;
    holds("a call afterwards", after.err().ok_or("it gave a result")?.is_closed())
}

/// A call loses its connection on the way. Where the server keeps its stream it is resumed, with nothing missing and
/// nothing twice; elsewhere it ends in an error that says so, and the client goes on as far as its transport can.
pub(crate) async fn lost(
    meeting: &Meeting,
    (tool, arguments): (&'static str, Value),
    wanted: &str,
    last: u32,
) -> Checked {
    let Place::Url(url) = meeting.options.place() else { return Err("a child has no address".into()) };
    let relay = Arc::new(Relay::open(url).await?);
    let client = meeting.connect(Some(&relay.url)).await?;
    let steps = Arc::new(Mutex::new(Vec::new()));
    let (told, wire) = (Arc::clone(&steps), Arc::clone(&relay));
    // One that goes on elsewhere is never heard of again.
    let patience = Duration::from_secs(if meeting.resumes() { 30 } else { 5 });
    let call = client.call_tool(tool, &arguments).timeout(patience).on_progress(move |progress| {
        lock(&told).push(progress.progress);
        if lock(&told).len() == 2 {
            wire.cut();
        }
    });
    let outcome = call.await;
    if meeting.resumes() {
        same("the result", text(&outcome?)?, wanted)?;
        meeting.all_came(&lock(&steps), last)?;
    } else {
        let error = outcome.err().ok_or("it gave a result")?;
        let settled = error.is_outcome_unknown() || error.is_timeout();
        holds(&format!("the error says that the outcome is not known ({error})"), settled)?;
    }
    if meeting.is_http() {
        holds("it is there", !client.list_tools().await?.is_empty())?;
    }
    // Whatever became of its connection.
    let _ = client.close().await;
    Ok(())
}
