//! A thousand calls over loopback, through a proxy that cuts connections anywhere: what the client tells its callers is true.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use throughline::revision::Revision;
use throughline::store::{Limits, MemoryStore};
use throughline::{Client, Context, Error, Server, StreamableHttp, tool};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::chaos::proxy::Proxy;
use crate::support::Loopback;

/// So many calls of one client. Those whose outcome is unknown run on, and count among what a session may have in flight.
const CALLS: usize = 200;
const AT_ONCE: usize = 24;
const STEPS: u32 = 60;
/// Four in sessions, one without.
const CLIENTS: [Revision; 5] = [
    Revision::LATEST_LEGACY,
    Revision::LATEST_LEGACY,
    Revision::LATEST_LEGACY,
    Revision::LATEST_LEGACY,
    Revision::LATEST,
];
/// Ends a test that hangs, and nothing else.
const PATIENCE: Duration = Duration::from_secs(300);

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Research {
    number: usize,
}

type Runs = Arc<Vec<AtomicUsize>>;

#[derive(Debug, Default)]
struct Fates {
    whole: usize,
    unknown: usize,
    resumed: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_calls_end_in_all_of_their_events_or_in_a_clear_error() {
    let runs: Runs = Arc::new((0..CALLS * CLIENTS.len()).map(|_| AtomicUsize::new(0)).collect());
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
    // A client that is away for some of its tries comes back after many other calls of its session have ended.
    let limits = Limits { session_ended_streams: CALLS, ..Limits::default() };
    let endpoint = StreamableHttp::builder(server)
        .retry(Duration::from_millis(5))
        .event_store(MemoryStore::new(limits))
        .build();
    let served = Loopback::serve(&endpoint).await;
    let proxy = Proxy::to(served.address, 0x5eed_cafe_f00d_0004).await;
    let mut clients = Vec::new();
    for revision in CLIENTS {
        let url = format!("http://{}/mcp", proxy.address);
        clients.push(Client::connect(url).revision(revision).timeout(PATIENCE).await.unwrap());
    }
    proxy.rough(true);
    let mut running = JoinSet::new();
    for (number, client) in clients.iter().enumerate() {
        running.spawn(all_calls(client.clone(), number * CALLS, Arc::clone(&runs)));
    }
    let (mut sessions, mut modern) = (Fates::default(), Fates::default());
    while let Some(ended) = running.join_next().await {
        let (is_modern, fates) = ended.expect("no call fails its checks");
        let total = if is_modern { &mut modern } else { &mut sessions };
        total.whole += fates.whole;
        total.unknown += fates.unknown;
        total.resumed += fates.resumed;
    }
    println!("sessions: {sessions:?}, modern: {modern:?}, proxy: {:?}", proxy.done());
    assert_eq!(sessions.whole + sessions.unknown, 4 * CALLS);
    assert_eq!(modern.whole + modern.unknown, CALLS);
    assert!(
        sessions.whole > CALLS && sessions.resumed > CALLS && modern.whole > 0,
        "the network was not too bad"
    );
    assert!(sessions.unknown > 0 && modern.unknown > 0, "the network was bad");
    // All is well again, and every client is usable as it is.
    proxy.rough(false);
    for (at, client) in clients.iter().enumerate() {
        // A connection that is cut may still wait to be reused.
        let mut tried = 0;
        while let Err(error) = client.list_tools().await {
            assert!(error.is_connection_lost() && tried < 100, "client {at}: {error}");
            tried += 1;
        }
        if let Err(error) = client.close().await {
            assert!(error.is_connection_lost(), "client {at}: {error}");
        }
    }
    served.stop().await;
}

async fn all_calls(client: Client, first: usize, runs: Runs) -> (bool, Fates) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for number in first..first + CALLS {
        let place = Arc::clone(&places).acquire_owned().await.expect("never closed");
        let (client, runs) = (client.clone(), Arc::clone(&runs));
        running.spawn(async move {
            let fate = one_call(&client, number, &runs).await;
            drop(place);
            fate
        });
    }
    let mut fates = Fates::default();
    while let Some(fate) = running.join_next().await {
        let (is_whole, has_id) = fate.expect("no call fails its checks");
        fates.whole += usize::from(is_whole);
        fates.unknown += usize::from(!is_whole);
        fates.resumed += usize::from(has_id);
    }
    (client.revision().is_modern(), fates)
}

/// Whether it came to its result, and whether it saw an id. Fails where that is not told as it is.
async fn one_call(client: &Client, number: usize, runs: &Runs) -> (bool, bool) {
    loop {
        let steps = Arc::new(Mutex::new(Vec::new()));
        let has_id = Arc::new(AtomicBool::new(false));
        let (seen, saw_id) = (Arc::clone(&steps), Arc::clone(&has_id));
        let outcome = client
            .call_tool("research", &json!({ "number": number }))
            .on_progress(move |progress| seen.lock().unwrap().push(progress.progress as u32))
            .on_resumption_token(move |_| saw_id.store(true, Ordering::SeqCst))
            .on_lost(|lost| panic!("the server keeps everything of this: {lost} lost"))
            .await;
        let (steps, has_id) = (steps.lock().unwrap().clone(), has_id.load(Ordering::SeqCst));
        let ran = runs[number].load(Ordering::SeqCst);
        assert!(steps.iter().copied().eq(1..=steps.len() as u32), "call {number}: {steps:?}");
        match outcome {
            Ok(result) => {
                assert_eq!(result.content[0].as_text(), Some(&*format!("report {number}")));
                assert_eq!((steps.len(), ran), (STEPS as usize, 1), "call {number}");
                return (true, has_id);
            }
            Err(error) if error.is_outcome_unknown() => {
                assert!(error.is_connection_lost(), "call {number}: {error}");
                assert!(!has_id, "call {number} had an id to come back with: {error}");
                assert!(ran <= 1, "call {number} ran {ran} times");
                return (false, has_id);
            }
            // What was not taken on, or never sent, did not run: it may be called again.
            Err(error) => {
                assert!(error.status().is_some() || error.is_connection_lost(), "call {number}: {error:?}");
                assert_eq!(ran, 0, "call {number}: {error}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}
