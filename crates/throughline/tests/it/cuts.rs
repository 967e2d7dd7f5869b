//! Connections that are cut anywhere: after a client saw its first id it misses nothing, before that it knows nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use throughline::jsonrpc::{Message, RequestId};
use throughline::{Client, ClientError, Context, Error, Server, StreamableHttp, tool};

use crate::support::{Checked, Cutter, Loopback, Tcp};

const CLIENTS: usize = 4;
const CALLS: usize = 200;
const STEPS: u32 = 60;

#[derive(Deserialize, JsonSchema)]
struct Research {
    number: usize,
}

/// What became of a call.
enum Fate {
    /// All its events and its result came.
    Whole { connections: usize },
    /// The connection was cut before any id came.
    Unknown,
}

/// Two hundred long calls at once, through a proxy that cuts each connection at a random byte.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_connection_costs_nothing_after_the_first_id() {
    let runs: Arc<[AtomicUsize; CALLS]> = Arc::new([const { AtomicUsize::new(0) }; CALLS]);
    let counting = Arc::clone(&runs);
    let server = Server::new("it", "1").tool(tool("research", move |research: Research, cx: Context| {
        counting[research.number].fetch_add(1, Ordering::SeqCst);
        async move {
            for step in 1..=STEPS {
                cx.progress(step.into()).total(STEPS.into()).message("reading").await?;
                tokio::task::yield_now().await;
            }
            Ok::<_, Error>(format!("report {}", research.number))
        }
    }));
    let endpoint = StreamableHttp::new(server);
    let served = Loopback::serve(&endpoint).await;
    let cutter = Cutter::to(served.address, 0x5eed_cafe_f00d_0001).await;

    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(
            Client::over(Checked::new(Tcp(cutter.address))).connect().await.expect("nothing is cut yet"),
        );
    }
    cutter.cut(true);
    let calls: Vec<_> =
        (0..CALLS).map(|number| tokio::spawn(research(clients[number % CLIENTS].clone(), number))).collect();
    let (mut whole, mut unknown, mut connections) = (0, 0, 0);
    for (number, call) in calls.into_iter().enumerate() {
        let ran = match call.await.expect("no call fails its checks") {
            Fate::Whole { connections: some } => {
                whole += 1;
                connections += some;
                1..=1
            }
            Fate::Unknown => {
                unknown += 1;
                0..=1
            }
        };
        let runs = runs[number].load(Ordering::SeqCst);
        assert!(ran.contains(&runs), "call {number} ran {runs} times");
    }
    assert_eq!(whole + unknown, CALLS);
    assert!(whole >= CALLS / 4 && unknown >= 1, "both fates were met: {whole} whole, {unknown} unknown");
    assert!(
        connections > 2 * whole,
        "calls were cut more than once: {connections} connections, {whole} calls"
    );
    assert!(cutter.cuts() > CALLS, "{} cuts", cutter.cuts());
    cutter.cut(false);
    for client in clients {
        client.close().await.expect("the session is still there");
    }
    served.stop().await;
}

/// Calls, and comes back with the last id as often as it takes. Fails where an event is missing, twice or out of order.
async fn research(client: Client, number: usize) -> Fate {
    let params = json!({
        "name": "research",
        "arguments": { "number": number },
        "_meta": { "progressToken": number },
    });
    let (id, mut incoming) = match client.start("tools/call", &params).await {
        Ok(started) => started,
        Err(error) => return lost(&error),
    };
    let (mut last_id, mut next_step, mut connections) = (None::<String>, 1, 1);
    loop {
        match incoming.next().await {
            Ok(Some(received)) => {
                last_id = received.id.or(last_id);
                match received.message {
                    Some(Message::Notification(notification)) => {
                        let params: serde_json::Value =
                            notification.params.expect("params").parse().expect("JSON");
                        assert_eq!(params["progressToken"], number);
                        assert_eq!(
                            params["progress"], next_step,
                            "call {number} after {connections} connections"
                        );
                        next_step += 1;
                    }
                    Some(Message::Response(response)) => {
                        assert_eq!(response.id, Some(id));
                        assert_eq!(next_step, STEPS + 1, "a result comes after all that belongs before it");
                        let result = response.outcome.expect("a result");
                        assert!(result.as_str().contains(&format!("report {number}")), "{result:?}");
                        return Fate::Whole { connections };
                    }
                    Some(Message::Request(_)) => panic!("nobody asked"),
                    None => {}
                }
                continue;
            }
            Ok(None) => {}
            Err(error) => assert!(error.is_connection_lost(), "{error}"),
        }
        let Some(after) = &last_id else { return Fate::Unknown };
        incoming = loop {
            connections += 1;
            assert!(connections < 10_000, "call {number} does not come to its end");
            match client.resume(after).await {
                Ok(incoming) => break incoming,
                Err(error) => assert!(error.is_connection_lost(), "call {number}: {error}"),
            }
        };
    }
}

fn lost(error: &ClientError) -> Fate {
    assert!(error.is_connection_lost(), "one clear error: {error}");
    Fate::Unknown
}

/// A client that calls without looking after its stream itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_cut_before_any_id_ends_with_one_clear_error() {
    let runs = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&runs);
    let server = Server::new("it", "1").tool(tool("quick", move || {
        counting.fetch_add(1, Ordering::SeqCst);
        async { "done" }
    }));
    let endpoint = StreamableHttp::new(server);
    let served = Loopback::serve(&endpoint).await;
    let cutter = Cutter::to(served.address, 0x5eed_cafe_f00d_0002).await;
    let client = Client::over(Checked::new(Tcp(cutter.address))).connect().await.expect("nothing is cut yet");
    cutter.cut(true);
    let (mut done, mut lost) = (0, 0);
    for _ in 0..100 {
        let before = runs.load(Ordering::SeqCst);
        match client.call_tool("quick", &json!({})).await {
            Ok(_) => done += 1,
            Err(error) => {
                assert!(error.is_connection_lost() || error.is_outcome_unknown(), "{error}");
                lost += 1;
            }
        }
        assert!(runs.load(Ordering::SeqCst) <= before + 1, "it ran at most once");
    }
    assert!(done > 0 && lost > 0, "{done} done, {lost} lost");
    assert!(matches!(client.start("ping", &json!({})).await, Ok((RequestId::Number(_), _)) | Err(_)));
    served.stop().await;
}
