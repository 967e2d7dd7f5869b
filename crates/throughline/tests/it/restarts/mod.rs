//! Sessions that outlive their process, on a store that keeps them.

mod again;
mod calls;
mod mishaps;
mod opening;
mod sessions;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use throughline::model::{LoggingLevel, ToolAnnotations};
use throughline::{Builder, Context, Error, ResponseMode, Server, StreamableHttp, resource, tool};

use crate::support::{Disk, Event, Events, Gate, kit};

#[derive(Deserialize, JsonSchema)]
struct Work {
    before: u32,
    after: u32,
}

/// The kit, and what a restart matters to: `look`, the kit's `gated` annotated as read-only; `stubborn`, which heeds no
/// cancellation; `chatty`, which logs; `curious`, which asks for roots; and a resource to subscribe to.
fn server(gate: &Gate) -> Server {
    let (looking, stubborn) = (gate.clone(), gate.clone());
    let look = tool("look", move |work: Work, cx: Context| {
        let gate = looking.clone();
        async move {
            for step in 1..=work.before {
                cx.progress(step.into()).await?;
            }
            gate.pass().await;
            for step in work.before + 1..=work.before + work.after {
                cx.progress(step.into()).await?;
            }
            Ok::<_, Error>("seen")
        }
    });
    kit::server(gate)
        .tool(look.annotations(ToolAnnotations::new().with_read_only_hint(true)))
        .tool(tool("stubborn", move |cx: Context| {
            let gate = stubborn.clone();
            async move {
                cx.progress(1.0).await?;
                // Whoever watches for it is not dropped.
                let mut cancelled = Box::pin(cx.cancelled());
                tokio::select! {
                    biased;
                    () = &mut cancelled => {}
                    () = gate.pass() => {}
                }
                gate.pass().await;
                Ok::<_, Error>("done all the same")
            }
        }))
        .tool(tool("chatty", |cx: Context| async move {
            cx.log(LoggingLevel::Debug, "psst").await?;
            Ok::<_, Error>("said")
        }))
        .tool(tool("curious", |cx: Context| async move {
            let roots = cx.roots().await?;
            Ok::<_, Error>(format!("{} roots", roots.len()))
        }))
        .resource(resource("it://news", "news", || async { "none" }))
}

/// An endpoint that always streams.
fn builder(server: Server, disk: &Disk) -> Builder {
    StreamableHttp::builder(server).response_mode(ResponseMode::Sse).event_store(disk.clone())
}

fn endpoint(gate: &Gate, disk: &Disk) -> StreamableHttp {
    builder(server(gate), disk).build()
}

/// The next events that are progress, so many.
async fn progress(events: &mut Events, count: usize) -> Vec<Event> {
    let mut all = Vec::new();
    while all.len() < count {
        let event = events.message().await;
        assert!(event.progress().is_some(), "{event:?}");
        all.push(event);
    }
    all
}

/// The error that a restart answers this request with.
fn interrupted(id: impl Into<Value>) -> Value {
    json!({ "jsonrpc": "2.0", "id": id.into(), "error": { "code": -32603, "message":
        "the server stopped while this ran, so its outcome is unknown; look whether it took effect before you send it again" } })
}
