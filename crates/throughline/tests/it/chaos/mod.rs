//! A thousand long calls over loopback, through a proxy that cuts, stalls, splits and delays: none lost, none doubled,
//! none hung.

pub(crate) mod proxy;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use throughline::revision::Revision;
use throughline::{Server, StreamableHttp};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::support::reader::{Fate, Habits, Reader, Record, check_session};
use crate::support::{Ledger, Loopback, Ran, Tcp, until};
use proxy::Proxy;

const SESSIONS: [Revision; 5] = [
    Revision::V2025_03_26,
    Revision::V2025_06_18,
    Revision::V2025_11_25,
    Revision::V2025_11_25,
    Revision::V2025_11_25,
];
/// What a session may have in flight (design §8). A client cannot keep to it by counting: calls whose outcome is unknown to
/// it may still run.
const IN_FLIGHT: usize = 64;
/// The server waits so often until its client has seen everything: a call lives as long as its connections let it.
const WAIT_EACH: u64 = 10;

/// What one client does.
#[derive(Clone, Copy)]
struct Load {
    calls: u64,
    /// Progress notifications of each call.
    steps: u64,
    /// What the client tries to have in flight.
    at_once: usize,
}

/// Each session: a thousand calls in all, and a few more at once than are taken.
const OF_SESSION: Load = Load { calls: 200, steps: 100, at_once: IN_FLIGHT + 8 };
/// The client without a session, for which a cut is the end of the call: short enough to come through now and then.
const OF_MODERN: Load = Load { calls: 100, steps: 30, at_once: IN_FLIGHT };

const HABITS: Habits = Habits {
    // Every cut shows at once on loopback: this ends a test that hangs, and nothing else.
    patience: Duration::from_secs(120),
    pause: Duration::from_millis(5),
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_calls_over_connections_that_break_are_neither_lost_nor_doubled_nor_hung() {
    let all = tokio::time::timeout(Duration::from_secs(900), chaos(0x5eed_cafe_f00d_0003));
    all.await.expect("everything settles");
}

async fn chaos(seed: u64) {
    let ledger = Ledger::default();
    let server = ledger.server();
    let endpoint = StreamableHttp::builder(server.clone()).retry(Duration::from_millis(5)).build();
    let served = Loopback::serve(&endpoint).await;
    let proxy = Proxy::to(served.address, seed).await;

    let network = Tcp(proxy.address);
    let mut readers = Vec::new();
    for revision in SESSIONS {
        readers.push(Reader::open(network.clone(), revision, HABITS).await);
    }
    proxy.rough(true);
    let drum = Drum { server, last: Arc::default() };
    let mut listening = JoinSet::new();
    let mut sessions = JoinSet::new();
    for (number, reader) in readers.iter().cloned().enumerate() {
        let listener = reader.clone();
        listening.spawn(async move {
            (number, listener.listen(&|message| number_of(message) >= Some(OF_SESSION.calls)).await)
        });
        sessions.spawn(session(number, reader, OF_SESSION, ledger.clone(), drum.clone()));
    }
    let modern = Reader::modern(network, HABITS);
    let modern = tokio::spawn(session(SESSIONS.len(), modern, OF_MODERN, ledger.clone(), drum.clone()));

    let mut told: Vec<Vec<Record>> = vec![Vec::new(); SESSIONS.len()];
    for (number, records) in sessions.join_all().await {
        told[number] = records;
    }
    let (_, modern) = modern.await.expect("no panic");
    // A listener may have lost any number of the last ones, where it had no id to come back with.
    while !listening.is_empty() {
        drum.beat();
        tokio::select! {
            biased;
            Some(left) = listening.join_next() => {
                let (number, record) = left.expect("no panic");
                assert_eq!(record.fate, Fate::Left, "{record}");
                record.check_numbers().unwrap_or_else(|why| panic!("{why}"));
                told[number].push(record);
            }
            () = tokio::time::sleep(Duration::from_millis(10)) => {}
        }
    }
    proxy.rough(false);
    // Calls without a client end too: in the modern era because it is gone, in a session by themselves.
    until(|| endpoint.in_flight() == 0).await;

    let mut total = Total::default();
    for (number, (reader, records)) in readers.iter().zip(&told).enumerate() {
        check_session(records).unwrap_or_else(|why| panic!("{why}"));
        for record in records.iter().filter(|record| !record.id.is_null()) {
            total.check(&ledger, &number.to_string(), reader.revision(), record);
        }
        total.resumes += reader.resumes();
        total.full += reader.full();
    }
    let mut of_modern = Total::default();
    for record in &modern {
        of_modern.check(&ledger, &SESSIONS.len().to_string(), Revision::V2026_07_28, record);
    }
    let counters = endpoint.counters();
    println!("sessions: {total:?}\nmodern: {of_modern:?}\nproxy: {:?}\nserver: {counters:?}", proxy.done());
    assert_eq!(total.answered + total.unknown, SESSIONS.len() * OF_SESSION.calls as usize);
    assert!(total.unknown > 0 && total.unknown < total.answered / 4, "{total:?}");
    assert!(total.connections > 3 * total.answered && proxy.done().cuts() > 3 * total.answered, "{total:?}");
    assert!(total.resumes > 2 * total.answered, "{total:?}");
    assert!(total.full > 0, "{total:?}");
    assert!(of_modern.answered > 0 && of_modern.cancelled > 0, "{of_modern:?}");
    // Without a session there is no such bound: a call goes on until the server hears that its client is gone.
    for number in 0..SESSIONS.len() {
        let most = ledger.most_at_once(&number.to_string());
        assert!((1..=IN_FLIGHT).contains(&most), "{most} at once in session {number}");
    }
    assert_eq!((counters.panics, counters.store_failures, counters.resumes_gone), (0, 0, 0), "{counters:?}");
    for reader in readers {
        assert_eq!(reader.close().await, 204);
    }
    assert_eq!(counters.sessions_opened as usize, SESSIONS.len());
    assert_eq!(endpoint.counters().sessions_closed as usize, SESSIONS.len());
    served.stop().await;
}

/// All calls of one client.
async fn session(
    number: usize,
    reader: Reader<Tcp>,
    load: Load,
    ledger: Ledger,
    drum: Drum,
) -> (usize, Vec<Record>) {
    let places = Arc::new(Semaphore::new(load.at_once));
    let mut running = JoinSet::new();
    for _ in 0..load.calls {
        let place = Arc::clone(&places).acquire_owned().await.expect("never closed");
        let (reader, ledger, drum) = (reader.clone(), ledger.clone(), drum.clone());
        running.spawn(async move {
            let (owner, id) = (number.to_string(), reader.next_id());
            let label = Ledger::label(&owner, id);
            let work = json!({ "owner": owner, "call": id, "steps": load.steps, "wait_each": WAIT_EACH });
            let saw = |message: &Value| {
                if let Some(step) = message["params"]["progress"].as_f64() {
                    ledger.saw(&label, step as u64);
                }
            };
            let record = reader.call(id, "work", work, &saw).await;
            if !reader.revision().is_modern() {
                ledger.let_go(&label);
            }
            drum.beat();
            drop(place);
            record
        });
    }
    (number, running.join_all().await)
}

/// Sends numbers to the standalone streams of all sessions.
#[derive(Clone)]
struct Drum {
    server: Server,
    last: Arc<Mutex<u64>>,
}

impl Drum {
    fn beat(&self) {
        // Held while it is sent, so that the numbers are sent in their order.
        let mut last = self.last.lock().unwrap();
        *last += 1;
        self.server.notify_all("it/n", &json!({ "n": *last })).expect("numbers are JSON");
    }
}

fn number_of(message: &Value) -> Option<u64> {
    message["params"]["n"].as_u64()
}

/// What became of the calls of one kind.
#[derive(Debug, Default)]
struct Total {
    answered: usize,
    /// Cut before there was anything to come back with ..
    unknown: usize,
    /// .. although the server had begun,
    unknown_begun: usize,
    /// .. and although a priming event was on its way.
    unknown_primed: usize,
    cancelled: usize,
    connections: usize,
    resumes: usize,
    full: usize,
}

impl Total {
    fn check(&mut self, ledger: &Ledger, owner: &str, revision: Revision, record: &Record) {
        let label = Ledger::label(owner, record.id.as_u64().expect("a number"));
        let checked = match revision.is_modern() {
            true => record.check_modern_work(&label, OF_MODERN.steps),
            false => record.check_work(&label, OF_SESSION.steps),
        };
        checked.unwrap_or_else(|why| panic!("{why}"));
        assert!(record.losses.is_empty(), "{label}: events were lost\n{record}");
        self.connections += record.connections;
        let ran = ledger.ran(&label);
        let whole = Ran { begun: 1, finished: 1, dropped: 0 };
        let cancelled = Ran { begun: 1, finished: 0, dropped: 1 };
        match record.fate {
            Fate::Answered if ran == whole => self.answered += 1,
            Fate::Unknown if ran == Ran::default() => self.unknown += 1,
            // It ran to its end, or, where nobody could ever fetch its result, not on.
            Fate::Unknown if ran == whole || (ran == cancelled && revision.is_modern()) => {
                self.unknown += 1;
                self.unknown_begun += 1;
                self.unknown_primed += usize::from(revision.primes());
                self.cancelled += ran.dropped;
            }
            _ => panic!("{label}: {ran:?}\n{record}"),
        }
    }
}
