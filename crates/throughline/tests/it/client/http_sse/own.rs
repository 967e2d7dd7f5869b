//! Against our own server, over real sockets.

use std::sync::{Arc, Mutex};

use serde_json::json;
use throughline::model::LoggingLevel;
use throughline::revision::Revision;
use throughline::{Builder, Client, Connect, Context, Server, StreamableHttp, TransportChoice, serve, tool};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::super::basics::{approving, check, server};

/// HTTP+SSE alone, with messages posted to the same path.
struct Serving {
    url: String,
    stop: oneshot::Sender<()>,
    served: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Serving {
    async fn start(server: Server, build: impl FnOnce(Builder) -> Builder) -> Self {
        Self::start_at("127.0.0.1:0", server, build).await
    }

    async fn start_at(address: &str, server: Server, build: impl FnOnce(Builder) -> Builder) -> Self {
        let endpoint = build(StreamableHttp::builder(server)).build();
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = serve(listener, endpoint.http_sse()).shutdown_on(async {
            let _ = stopped.await;
        });
        let serving = serving.draining(endpoint, std::time::Duration::ZERO);
        Self { url: format!("http://{address}/sse"), stop, served: tokio::spawn(serving.into_future()) }
    }

    fn client(&self) -> Connect {
        Client::connect(&self.url).transport(TransportChoice::Sse)
    }

    /// Stops, with its sessions and its port.
    async fn stop(self) {
        let _ = self.stop.send(());
        self.served.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn everything_works_that_works_over_a_session() {
    let serving = Serving::start(server(), |builder| builder).await;
    let client = approving(serving.client()).await.unwrap();
    assert_eq!(client.revision(), Revision::LATEST_LEGACY);
    assert_eq!(client.session_id(), None);
    check(client).await;
    serving.stop().await;
}

#[tokio::test]
async fn it_is_found_where_nothing_newer_is_spoken() {
    let serving = Serving::start(server(), |builder| builder).await;
    let client = approving(Client::connect(&serving.url)).await.unwrap();
    assert_eq!(client.revision(), Revision::LATEST_LEGACY);
    check(client).await;
    serving.stop().await;
}

#[tokio::test]
async fn the_revision_can_be_pinned_down_to_the_first() {
    let serving = Serving::start(server(), |builder| builder).await;
    for revision in Revision::LEGACY {
        let client = serving.client().revision(revision).await.unwrap();
        assert_eq!(client.revision(), revision);
        client.ping().await.unwrap();
        client.close().await.unwrap();
    }
    serving.stop().await;
}

#[tokio::test]
async fn a_call_that_is_dropped_is_cancelled_at_the_server() {
    let (tell, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let wait = move |cx: Context| {
        let tell = tell.clone();
        async move {
            tell.send("began").unwrap();
            cx.cancelled().await;
            tell.send("cancelled").unwrap();
            "done"
        }
    };
    let server = Server::new("demo", "1.0.0").tool(tool("wait", wait));
    let serving = Serving::start(server, |builder| builder).await;
    let client = serving.client().await.unwrap();
    let calling = {
        let client = client.clone();
        tokio::spawn(async move { client.call_tool("wait", &()).await })
    };
    assert_eq!(heard.recv().await, Some("began"));
    calling.abort();
    assert_eq!(heard.recv().await, Some("cancelled"));
    // The client goes on.
    client.ping().await.unwrap();
    client.close().await.unwrap();
    serving.stop().await;
}

async fn log(cx: Context) -> throughline::Result<&'static str> {
    cx.log(LoggingLevel::Debug, "heard").await?;
    Ok("logged")
}

#[tokio::test]
async fn a_server_that_comes_back_is_used_again() {
    let began = Arc::new(tokio::sync::Notify::new());
    let build = |began: &Arc<tokio::sync::Notify>| {
        let began = Arc::clone(began);
        Server::new("demo", "1.0.0")
            .tool(tool("wait", move || {
                let began = Arc::clone(&began);
                async move {
                    began.notify_one();
                    std::future::pending::<()>().await;
                    "never"
                }
            }))
            .tool(tool("log", log))
    };
    let serving = Serving::start(build(&began), |builder| builder).await;
    let logs = Arc::new(Mutex::new(Vec::new()));
    let hear = Arc::clone(&logs);
    let client = serving
        .client()
        .log_level(LoggingLevel::Debug)
        .on_log(move |log| hear.lock().unwrap().push(log.level))
        .await
        .unwrap();
    let calling = {
        let client = client.clone();
        tokio::spawn(async move { client.call_tool("wait", &()).await })
    };
    began.notified().await;
    let address = serving.url.trim_start_matches("http://").trim_end_matches("/sse").to_owned();
    serving.stop().await;
    // A server that stops in order says that it does not answer.
    let error = calling.await.unwrap().unwrap_err();
    assert!(error.error().is_some() || error.is_outcome_unknown(), "{error:?}");
    let error = client.ping().await.unwrap_err();
    assert!(error.is_connection_lost() && !error.is_outcome_unknown() && !error.is_closed(), "{error:?}");

    let serving = Serving::start_at(&address, build(&began), |builder| builder).await;
    let (a, b) = tokio::join!(client.ping(), client.list_tools());
    assert_eq!((a.is_ok(), b.unwrap().len()), (true, 2));
    client.call_tool("log", &json!({})).await.unwrap();
    client.close().await.unwrap();
    assert!(client.ping().await.unwrap_err().is_closed());
    serving.stop().await;
}
