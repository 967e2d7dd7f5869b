//! The client of the library against the binary, which is killed in the middle of calls and started again.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use throughline::model::CallToolResult;
use throughline::revision::Revision;
use throughline::{Client, ClientError};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::process::{Served, binary, serve, start};
use super::within;

/// Starts it where the one before was.
async fn again(address: SocketAddr, more: &[&str]) -> Served {
    let address = address.to_string();
    let line: Vec<&str> = ["serve", "--listen", &address].iter().chain(more).copied().collect();
    start(binary(&line)).await
}

async fn connect(address: SocketAddr, revision: Revision) -> Client {
    let connecting = Client::connect(format!("http://{address}/mcp")).revision(revision);
    within("the handshake", async { connecting.timeout(Duration::from_secs(50)).await })
        .await
        .expect("it is there")
}

/// More steps than a test takes.
const MANY: u32 = 1_000;

/// A call that is at its first step.
struct Research {
    steps: Arc<Mutex<Vec<f64>>>,
    running: JoinHandle<Result<CallToolResult, ClientError>>,
}

async fn research(client: &Client, count: u32) -> Research {
    let steps = Arc::<Mutex<Vec<f64>>>::default();
    let (told, mut first) = mpsc::unbounded_channel();
    let (calling, seen) = (client.clone(), Arc::clone(&steps));
    let running = tokio::spawn(async move {
        calling
            .call_tool("research", &json!({ "topic": "sea", "steps": count, "step_ms": 1_000 }))
            .on_progress(move |progress| {
                seen.lock().expect("nothing panics").push(progress.progress);
                let _ = told.send(());
            })
            .await
    });
    within("the first step", first.recv()).await.expect("it begins");
    Research { steps, running }
}

async fn echo(client: &Client, text: &str) -> Option<String> {
    let result = within("an echo", async { client.call_tool("echo", &json!({ "text": text })).await }).await;
    result.expect("it works by itself").content[0].as_text().map(str::to_owned)
}

#[tokio::test]
async fn killed_without_a_store_it_leaves_clear_errors_and_the_next_call_works() {
    let served = serve(&[]).await;
    let address = served.address;
    let session = connect(address, Revision::LATEST_LEGACY).await;
    let modern = connect(address, Revision::LATEST).await;
    let id = session.session_id().expect("there is a session");
    let in_session =
        [research(&session, MANY).await, research(&session, MANY).await, research(&session, MANY).await];
    let without = research(&modern, MANY).await;
    served.kill().await;
    // Of a stream without ids nothing can be had any more, so its call ends at once.
    let error = within("the end of a call", without.running).await.expect("no panic").unwrap_err();
    assert!(error.is_outcome_unknown() && error.is_connection_lost(), "{error}");
    // A call that cannot be sent did not run.
    let error = modern.call_tool("echo", &json!({ "text": "x" })).await.unwrap_err();
    assert!(error.is_connection_lost() && !error.is_outcome_unknown(), "{error}: {error:?}");

    let served = again(address, &[]).await;
    for call in in_session {
        let error = within("the end of a call", call.running).await.expect("no panic").unwrap_err();
        assert!(error.is_outcome_unknown() && error.is_session_gone(), "{error}");
        assert!(error.to_string().contains("no longer knows the session"), "{error}");
    }
    assert_eq!(echo(&session, "a").await.as_deref(), Some("a"));
    assert_eq!(echo(&modern, "b").await.as_deref(), Some("b"));
    assert_ne!(session.session_id().expect("there is another session"), id);
    session.close().await.expect("it is open");
    served.kill().await;
}

#[tokio::test]
async fn killed_with_a_store_it_goes_on_and_its_clients_get_their_results() {
    let data = tempfile::tempdir().expect("a directory");
    let more = ["--data", data.path().to_str().expect("a path of ASCII")];
    let served = serve(&more).await;
    let address = served.address;
    let client = connect(address, Revision::LATEST_LEGACY).await;
    let id = client.session_id();
    let calls = [research(&client, 4).await, research(&client, 4).await];
    served.kill().await;

    let served = again(address, &more).await;
    for call in calls {
        let result = within("the end of a call", call.running).await.expect("no panic").expect("it goes on");
        assert!(result.content[0].as_text().is_some_and(|text| text.starts_with("Report on sea")));
        assert_eq!(*call.steps.lock().expect("nothing panics"), [1.0, 2.0, 3.0, 4.0]);
    }
    assert_eq!(client.session_id(), id);
    assert_eq!(echo(&client, "a").await.as_deref(), Some("a"));
    served.kill().await;
}
