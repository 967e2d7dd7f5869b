//! Connections that are cut anywhere: after a client saw its first id it misses nothing, before that it knows nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use throughline::revision::Revision;
use throughline::{Client, Context, Error, Server, StreamableHttp, tool};

use crate::support::{Checked, Cutter, Loopback, Tcp, Wire, call};

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
        let client = Wire::over(Tcp(cutter.address));
        clients.push(client.opened(Revision::LATEST_LEGACY, json!({})).await);
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
        assert_eq!(client.delete().send().await.status(), 204, "the session is still there");
    }
    served.stop().await;
}

/// Calls, and comes back with the last id as often as it takes. Fails where an event is missing, twice or out of order.
async fn research(client: Wire, number: usize) -> Fate {
    let request = call(number, "research", json!({ "number": number }));
    let Ok(answer) = client.post(request).try_send().await else { return Fate::Unknown };
    let mut events = answer.events();
    let (mut last_id, mut next_step, mut connections) = (None::<String>, 1, 1);
    loop {
        while let Ok(Some(event)) = events.try_next().await {
            last_id = event.id.or(last_id);
            let message = event.message;
            if message.is_null() {
                continue;
            }
            if message["method"] == "notifications/progress" {
                assert_eq!(message["params"]["progressToken"], number);
                assert_eq!(
                    message["params"]["progress"], next_step,
                    "call {number} after {connections} connections"
                );
                next_step += 1;
                continue;
            }
            assert_eq!(message["id"], number, "nobody asked for {message}");
            assert_eq!(next_step, STEPS + 1, "a result comes after all that belongs before it");
            let text = &message["result"]["content"][0]["text"];
            assert_eq!(*text, format!("report {number}"), "{message}");
            return Fate::Whole { connections };
        }
        let Some(after) = &last_id else { return Fate::Unknown };
        events = loop {
            connections += 1;
            assert!(connections < 10_000, "call {number} does not come to its end");
            if let Ok(answer) = client.resume(after).try_send().await {
                break answer.events();
            }
        };
    }
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
    let client = Client::over(Checked::new(Tcp(cutter.address))).revision(Revision::LATEST_LEGACY);
    let client = client.await.expect("nothing is cut yet");
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
    cutter.cut(false);
    client.ping().await.expect("the session is still there");
    served.stop().await;
}
