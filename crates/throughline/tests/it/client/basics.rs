//! Calls, progress, questions and ends, in both eras and over a pipe.

use std::future::IntoFuture;
use std::sync::{Arc, Mutex};

use serde_json::json;
use throughline::jsonrpc::Raw;
use throughline::model::ElicitResult;
use throughline::revision::Revision;
use throughline::{Client, Connect, Context, Server, Stdio, StreamableHttp, tool};

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Count {
    to: u32,
}

async fn count(count: Count, cx: Context) -> throughline::Result<String> {
    for step in 1..=count.to {
        cx.progress(step.into()).await?;
    }
    Ok("counted".into())
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Approval {
    approved: bool,
}

async fn ask(cx: Context) -> throughline::Result<String> {
    let Approval { approved } = cx.elicit("May I?").await?;
    Ok(format!("approved: {approved}"))
}

pub(super) fn server() -> Server {
    Server::new("demo", "1.0.0").tool(tool("count", count)).tool(tool("ask", ask))
}

pub(super) fn approving(connect: Connect) -> Connect {
    let yes = Raw::new(&json!({ "approved": true })).unwrap();
    connect.on_elicit(move |_| std::future::ready(Ok(ElicitResult::accept(yes.clone()))))
}

pub(super) async fn check(client: Client) {
    let tools = client.list_tools().await.unwrap();
    assert_eq!(tools.iter().map(|tool| &*tool.name).collect::<Vec<_>>(), ["count", "ask"]);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hear = Arc::clone(&heard);
    let result = client
        .call_tool("count", &json!({ "to": 3 }))
        .on_progress(move |progress| hear.lock().unwrap().push(progress.progress))
        .await
        .unwrap();
    assert_eq!(result.content[0].as_text(), Some("counted"));
    assert_eq!(*heard.lock().unwrap(), [1.0, 2.0, 3.0]);
    // A name need not live as long as the program.
    let name = String::from("ask");
    let result = client.call_tool(name.as_str(), &()).await.unwrap();
    assert_eq!(result.content[0].as_text(), Some("approved: true"));
    client.close().await.unwrap();
    assert!(client.call_tool("ask", &()).await.unwrap_err().is_closed());
}

#[tokio::test]
async fn the_newest_revision_is_found_over_http() {
    let client = approving(Client::over(StreamableHttp::new(server()))).await.unwrap();
    assert_eq!(client.revision(), Revision::LATEST);
    check(client).await;
}

#[tokio::test]
async fn a_pinned_revision_is_spoken_over_http() {
    for revision in Revision::LEGACY {
        if revision.has_elicitation() {
            let client = Client::over(StreamableHttp::new(server())).revision(revision);
            let client = approving(client).await.unwrap();
            assert_eq!(client.revision(), revision);
            assert!(client.session_id().is_some());
            check(client).await;
        }
    }
}

#[tokio::test]
async fn both_eras_are_spoken_over_a_pipe() {
    for revision in [Revision::LATEST, Revision::LATEST_LEGACY] {
        let (ours, theirs) = tokio::io::duplex(4096);
        let (reader, writer) = tokio::io::split(theirs);
        let serving = tokio::spawn(Stdio::new(server()).over(reader, writer).into_future());
        let (reader, writer) = tokio::io::split(ours);
        let client = approving(Client::over_io(reader, writer)).revision(revision).await.unwrap();
        assert_eq!(client.revision(), revision);
        check(client).await;
        serving.await.unwrap().unwrap();
    }
}
