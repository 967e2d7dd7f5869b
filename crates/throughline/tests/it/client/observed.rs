//! What a client says of the way to its server, and that it says goodbye in order.

use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use throughline::revision::Revision;
use throughline::{
    AnswerForm, Client, ClientTransport, ConnectStep, Context, RequestBody, ResponseBody, Server, Stdio,
    StreamableHttp, tool,
};
use tower_service::Service;

use super::basics::server;

#[tokio::test]
async fn a_client_says_over_what_it_speaks_and_how_it_is_answered() {
    for revision in [Revision::LATEST, Revision::LATEST_LEGACY] {
        let client = Client::over(StreamableHttp::new(server())).revision(revision).await.unwrap();
        assert_eq!(client.transport(), ClientTransport::Streamable);
        assert_eq!(client.answered_by(), None, "nothing was called yet");
        client.list_tools().await.unwrap();
        assert_eq!(client.answered_by(), Some(AnswerForm::Json));
        client.call_tool("count", &json!({ "to": 1 })).await.unwrap();
        assert_eq!(client.answered_by(), Some(AnswerForm::Stream));
        client.close().await.unwrap();
    }
    let (near, far) = tokio::io::duplex(4096);
    let (input, output) = tokio::io::split(far);
    let serving = tokio::spawn(Stdio::new(server()).over(input, output).into_future());
    let (reader, writer) = tokio::io::split(near);
    let client = Client::over_io(reader, writer).await.unwrap();
    assert_eq!((client.transport(), client.answered_by()), (ClientTransport::Stdio, None));
    client.close().await.unwrap();
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_steps_of_connecting_are_told() {
    for (revision, steps) in [
        (Revision::LATEST, vec![ConnectStep::Discovered]),
        (Revision::LATEST_LEGACY, vec![ConnectStep::Initialized]),
    ] {
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = Arc::clone(&told);
        let connect = Client::over(StreamableHttp::new(server())).revision(revision);
        connect.on_step(move |step| tell.lock().unwrap().push(step)).await.unwrap();
        assert_eq!(*told.lock().unwrap(), steps);
    }
}

/// What a client sends, by method.
#[derive(Clone)]
struct Recording {
    endpoint: StreamableHttp,
    sent: Arc<Mutex<Vec<String>>>,
}

impl Service<Request<RequestBody>> for Recording {
    type Response = Response<ResponseBody>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let Self { endpoint, sent } = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body: Bytes = body.collect().await.unwrap().to_bytes();
            let message: Value = serde_json::from_slice(&body).unwrap_or_default();
            let what = message["method"].as_str().unwrap_or(parts.method.as_str()).to_owned();
            sent.lock().unwrap().push(what);
            Ok(endpoint.handle(Request::from_parts(parts, Full::<Bytes>::from(body))).await)
        })
    }
}

#[tokio::test]
async fn a_call_that_was_given_up_is_cancelled_before_the_session_ends() {
    let (begun, mut begins) = tokio::sync::mpsc::unbounded_channel();
    let stuck = tool("stuck", move |cx: Context| {
        let begun = begun.clone();
        async move {
            begun.send(()).unwrap();
            cx.cancelled().await;
            "never"
        }
    });
    let endpoint = StreamableHttp::new(Server::new("stuck", "1.0.0").tool(stuck));
    let sent = Arc::new(Mutex::new(Vec::new()));
    let recording = Recording { endpoint, sent: Arc::clone(&sent) };
    let connect = Client::over(recording).revision(Revision::LATEST_LEGACY).standalone_stream(false);
    let client = connect.await.unwrap();
    tokio::select! {
        result = client.call_tool("stuck", &()) => panic!("it ended: {result:?}"),
        begun = begins.recv() => begun.unwrap(),
    }
    client.close().await.unwrap();
    assert_eq!(
        *sent.lock().unwrap(),
        ["initialize", "notifications/initialized", "tools/call", "notifications/cancelled", "DELETE"]
    );
}
