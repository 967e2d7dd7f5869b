//! Streams that nobody reads slow nobody else, and what they hold is bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use throughline::revision::Revision;
use throughline::store::{
    Append, AppendError, BoxError, Dropped, Epoch, EventStore, Limits, MemoryStore, Page, ReadBudget,
    ReadError, SessionId, Soon, StreamKey, Usage, Watch,
};
use throughline::{Context, Error, StreamableHttp, tool};

use crate::support::{Gate, Wire, call, kit, settle, text, until};

const FLOODS: usize = 3;
const EVENTS: usize = 50_000;

/// A memory store that looks at its budgets after every append.
struct Audited {
    store: MemoryStore,
    /// How many streams there can be at most.
    streams: usize,
    appends: Arc<AtomicUsize>,
    most_bytes: Arc<AtomicUsize>,
}

impl EventStore for Audited {
    fn append(&self, at: &StreamKey, epoch: Epoch, batch: Append<'_>) -> Soon<Result<(), AppendError>> {
        let appended = self.store.append(at, epoch, batch);
        let (usage, limits) = (self.store.usage(), self.store.limits());
        assert!(usage.bytes <= limits.store_bytes, "{usage:?}");
        assert!(usage.bytes <= limits.session_bytes * usage.sessions, "{usage:?}");
        assert!(usage.bytes <= limits.stream_bytes * usage.streams, "{usage:?}");
        assert!(usage.events <= limits.stream_events * usage.streams, "{usage:?}");
        assert!(usage.streams <= self.streams, "{usage:?}");
        self.appends.fetch_add(1, Ordering::Relaxed);
        self.most_bytes.fetch_max(usage.bytes, Ordering::Relaxed);
        appended
    }

    fn read(&self, at: &StreamKey, after: u64, max: ReadBudget) -> Soon<Result<Page, ReadError>> {
        self.store.read(at, after, max)
    }

    fn first_gap(&self, at: &StreamKey, after: u64) -> Soon<Result<Option<Dropped>, ReadError>> {
        self.store.first_gap(at, after)
    }

    fn watch(&self, at: &StreamKey) -> Watch {
        self.store.watch(at)
    }

    fn forget(&self, session: &SessionId) -> Soon<Result<(), BoxError>> {
        self.store.forget(session)
    }

    fn sweep(&self, now: Instant) {
        self.store.sweep(now);
    }

    fn limits(&self) -> Limits {
        self.store.limits()
    }

    fn usage(&self) -> Usage {
        self.store.usage()
    }
}

/// Everybody else's work: quick calls, streams and pings, all done before any time passes.
async fn others_work(mine: &Wire, others: &Wire, round: usize) {
    let began = tokio::time::Instant::now();
    for (who, wire) in [("the same session", mine), ("another session", others)] {
        for number in 0..10 {
            let id = format!("{round}-{number}");
            let echo = wire.post(call(format!("e{id}"), "echo", json!({ "text": id }))).send().await;
            assert_eq!(text(&echo.json().await), id, "{who}");
            let steps = wire.call(format!("s{id}"), "steps", json!({ "count": 400 })).await.all().await;
            let progress = steps.iter().filter(|event| event.progress().is_some()).count();
            assert_eq!((progress, text(&steps.last().unwrap().message)), (400, "done"), "{who}");
        }
        let mut stream = wire.get().send().await.events();
        assert!(stream.next().await.is_some(), "{who}");
    }
    assert_eq!(began.elapsed(), Duration::ZERO, "nobody had to wait for anything");
}

#[tokio::test(start_paused = true)]
async fn unread_streams_slow_nobody_and_stay_within_the_budgets() {
    let sent: Arc<[AtomicUsize; FLOODS]> = Arc::new([const { AtomicUsize::new(0) }; FLOODS]);
    let (counting, started) = (Arc::clone(&sent), Arc::new(AtomicUsize::new(0)));
    let server = kit::server(&Gate::new()).tool(tool("flood", move |cx: Context| {
        let (sent, flood) = (Arc::clone(&counting), started.fetch_add(1, Ordering::SeqCst));
        async move {
            for step in 1..=EVENTS {
                cx.progress(step as f64).message("something that nobody reads").await?;
                sent[flood].fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, Error>("flooded")
        }
    }));
    let sent = || sent.iter().map(|sent| sent.load(Ordering::Relaxed)).collect::<Vec<_>>();
    let (appends, most_bytes) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let store = Audited {
        store: MemoryStore::new(Limits::default()),
        // Of two sessions: what runs, what ended and is kept, and a standalone stream each.
        streams: 2 * (64 + 64 + 1),
        appends: Arc::clone(&appends),
        most_bytes: Arc::clone(&most_bytes),
    };
    let endpoint = StreamableHttp::builder(server).event_store(store).build();
    let mine = Wire::open(&endpoint, Revision::V2025_11_25).await;
    let others = Wire::open(&endpoint, Revision::V2025_11_25).await;

    // Three streams whose connections are there and read nothing: their calls, and only those, wait.
    let mut unread = Vec::new();
    for flood in 0..FLOODS {
        unread.push(mine.call(format!("flood-{flood}"), "flood", json!({})).await);
    }
    settle().await;
    let stuck = sent();
    assert!(stuck.iter().all(|sent| (1..=256).contains(sent)), "{stuck:?}");
    others_work(&mine, &others, 0).await;
    assert_eq!(sent(), stuck, "they were stuck all the while");
    assert_eq!(endpoint.in_flight(), FLOODS);

    // After ten seconds their readers are detached, and they flood the log: others go on between their turns.
    while endpoint.counters().readers_detached < FLOODS as u64 {
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    let flooding = sent();
    assert!(flooding.iter().all(|sent| *sent < EVENTS), "{flooding:?}");
    others_work(&mine, &others, 1).await;
    let flooded = sent();
    assert!(
        flooded.iter().zip(&flooding).all(|(after, before)| after > before),
        "{flooding:?} then {flooded:?}"
    );
    assert!(flooded.iter().any(|sent| *sent < EVENTS), "others did not wait for the end: {flooded:?}");
    until(|| endpoint.in_flight() == 0).await;
    assert_eq!(sent(), [EVENTS; FLOODS]);
    assert!(appends.load(Ordering::Relaxed) > FLOODS * EVENTS);
    assert!(most_bytes.load(Ordering::Relaxed) > 1 << 20, "the budgets were put to the test");

    // What was left of each is still to be had: the rest of its progress, and its result.
    for (flood, mut events) in unread.into_iter().enumerate() {
        let mut last = None;
        while let Some(event) = events.next().await {
            last = event.id.or(last);
        }
        let gone = mine.resume(&last.expect("a prime")).send().await.json().await["error"]["data"].clone();
        assert_eq!(gone["reason"], "gone", "{gone}");
        let rest = mine.resume(gone["oldest"].as_str().unwrap()).send().await.events().all().await;
        assert_eq!(text(&rest.last().unwrap().message), "flooded", "flood {flood}");
    }
}
