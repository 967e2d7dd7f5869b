//! The real server and reference readers over a simulated network that drops, delays, partitions and heals.
//!
//! A seed decides everything: the calls, the weather, the limits, whether the server is started anew. What a seed gave is
//! the same each time; run one with `THROUGHLINE_SEED=17`, and another number of them with `THROUGHLINE_SEEDS=1000`.

mod story;
mod weather;

use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use throughline::revision::Revision;
use throughline::store::{Limits, MemoryStore};
use throughline::{Counters, Listener, ResponseMode, Server, SessionHandle, StreamableHttp, serve};
use tokio::task::JoinSet;
use tokio::time::Instant;
use turmoil::net::{TcpListener, TcpStream};

use crate::support::reader::{Dial, Habits, Reader};
use crate::support::{Ledger, Random};
use story::{Story, Told, Total, check, tell};
use weather::Weather;

/// Seeds that once failed, each with what it found.
const FAILED_ONCE: &[u64] = &[];

/// As many as fit into some ten seconds of a debug build.
const SEEDS: u64 = 24;

const CLIENTS: usize = 3;
/// How long the weather is bad.
const STORM: Duration = Duration::from_secs(60);
/// When nobody is there any more: sessions that nobody ever used expire, keep-alives find out that nobody reads.
const AFTERWARDS: Duration = Duration::from_secs(45);
/// By then everything is settled: nothing here waits for longer than a minute, some of it several times.
const END: Duration = Duration::from_secs(3600);
/// A reader of a standalone stream leaves with this number.
const LAST_NUMBER: u64 = 20;

const HABITS: Habits = Habits {
    // More than two keep-alives and the longest way there and back.
    patience: Duration::from_secs(40),
    pause: Duration::from_secs(1),
};

const SERVER: &str = "server";
const PORT: u16 = 80;

#[test]
fn whatever_the_network_does_nothing_is_lost_doubled_or_hung() {
    let seeds: Vec<u64> = match seed_of_the_environment("THROUGHLINE_SEED") {
        Some(seed) => vec![seed],
        None => {
            let count = seed_of_the_environment("THROUGHLINE_SEEDS").unwrap_or(SEEDS);
            FAILED_ONCE.iter().copied().chain(0..count).collect()
        }
    };
    let mut total = Total::default();
    for seed in &seeds {
        println!("THROUGHLINE_SEED={seed}");
        let story =
            Simulation::of(*seed).run().unwrap_or_else(|why| panic!("THROUGHLINE_SEED={seed}: {why}"));
        total.add(&story);
    }
    println!("{} seeds: {total:?}", seeds.len());
    if seeds.len() as u64 >= SEEDS {
        total.assert_that_it_means_something();
    }
}

#[test]
fn a_seed_gives_the_same_story_each_time() {
    for seed in [1, 2] {
        let [one, other] = [(); 2].map(|()| Simulation::of(seed).run().expect("it holds"));
        assert_eq!(one.text, other.text, "seed {seed}");
        assert_ne!(one.text, Simulation::of(seed + 1000).run().expect("it holds").text);
    }
}

fn seed_of_the_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// One run: everything that is decided before it begins.
struct Simulation {
    seed: u64,
    tick: Duration,
    mode: ResponseMode,
    limits: Limits,
    /// When the server is started anew, with all that it held forgotten.
    restart: Option<Duration>,
    weather: Weather,
    plans: Vec<Plan>,
    /// Between two notifications of a session's standalone stream.
    beat: Duration,
}

/// What one client does: session after session.
struct Plan {
    revision: Revision,
    sessions: Vec<Vec<Step>>,
}

/// A call, some time after the one before it.
#[derive(Clone, Copy)]
struct Step {
    after: Duration,
    steps: u64,
    pause: u64,
    /// Bytes that each progress carries for nothing.
    pad: usize,
    ask_after: u64,
    /// The client loses interest after this time: only in the modern era, where that ends the call.
    gives_up: Option<Duration>,
}

impl Simulation {
    fn of(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let small = random.chance(40);
        let stream_events = if small { random.within(4..=40) as usize } else { 8192 };
        Self {
            seed,
            tick: Duration::from_millis(random.pick(&[20, 50])),
            mode: random.pick(&[ResponseMode::Adaptive, ResponseMode::Adaptive, ResponseMode::Sse]),
            limits: Limits { stream_events, ..Limits::default() },
            restart: random.chance(20).then(|| Duration::from_millis(random.within(5_000..=60_000))),
            weather: Weather::new(&mut random, CLIENTS, STORM),
            plans: (0..CLIENTS).map(|_| Plan::new(&mut random)).collect(),
            beat: Duration::from_millis(random.within(200..=2_000)),
        }
    }

    fn run(self) -> Result<Story, String> {
        let Self { seed, tick, mode, limits, restart, mut weather, plans, beat } = self;
        let mut sim = turmoil::Builder::new()
            .rng_seed(seed)
            .tick_duration(tick)
            .simulation_duration(END)
            .min_message_latency(Duration::from_millis(20))
            .max_message_latency(Duration::from_millis(20))
            .enable_random_order()
            .build();
        let ledger = Ledger::default();
        let house = House::default();
        {
            let (ledger, house) = (ledger.clone(), house.clone());
            sim.host(SERVER, move || house.open(ledger.server(), mode, limits.clone(), beat));
        }
        let told = Arc::<Mutex<Vec<Told>>>::default();
        for (number, plan) in plans.into_iter().enumerate() {
            let told = Arc::clone(&told);
            sim.client(name(number), async move {
                let all = client(number, plan).await;
                told.lock().unwrap().extend(all);
                Ok(())
            });
        }
        let mut restarts = restart.into_iter().peekable();
        let mut restarted = 0;
        loop {
            weather.pass(&sim);
            if restarts.next_if(|at| *at <= sim.elapsed()).is_some() {
                sim.bounce(SERVER);
                restarted += 1;
            }
            if sim.step().map_err(|error| format!("{error}, after {:?}", sim.elapsed()))? {
                break;
            }
        }
        let settled = sim.elapsed();
        while sim.elapsed() < settled + AFTERWARDS {
            sim.step().map_err(|error| error.to_string())?;
        }
        let told = std::mem::take(&mut *told.lock().unwrap());
        let mut total = check(&told, &ledger, restarted > 0)?;
        let counters = house.check()?;
        total.detached = counters.readers_detached;
        total.restarts = restarted;
        total.virtual_seconds = settled.as_secs();
        Ok(Story { text: tell(&told), total })
    }
}

impl Plan {
    fn new(random: &mut Random) -> Self {
        let revision = random.pick(&[
            Revision::V2025_03_26,
            Revision::V2025_06_18,
            Revision::V2025_11_25,
            Revision::V2025_11_25,
            Revision::V2026_07_28,
        ]);
        let sessions = (0..random.within(1..=2)).map(|_| {
            let calls = random.within(4..=14);
            (0..calls).map(|_| Step::new(random, revision.is_modern())).collect()
        });
        let sessions = sessions.collect();
        Self { revision, sessions }
    }
}

impl Step {
    fn new(random: &mut Random, modern: bool) -> Self {
        let bulky = random.chance(8);
        let steps = if bulky { 400 } else { random.pick(&[0, 1, 5, 20, 60]) };
        let gives_up = modern && random.chance(25);
        let pause = if bulky { 40 } else { random.pick(&[0, 1, 100, 700, 2_000]) };
        Self {
            after: Duration::from_millis(random.within(0..=4_000)),
            // Without its client it would go on for a day.
            steps: if gives_up { 86_400 } else { steps },
            pause: if gives_up { 1_000 } else { pause },
            // A server that cannot write holds some 256 KiB before it stops taking more.
            pad: if bulky { 2_000 } else { 0 },
            ask_after: if !modern && steps > 1 && random.chance(30) { steps / 2 } else { 0 },
            gives_up: gives_up.then(|| Duration::from_millis(random.within(1..=30_000))),
        }
    }
}

/// The server's host: what outlives its restarts.
#[derive(Clone, Default)]
struct House(Arc<Mutex<Option<StreamableHttp>>>);

impl House {
    /// Serves until the host is stopped.
    fn open(
        &self,
        server: Server,
        mode: ResponseMode,
        limits: Limits,
        beat: Duration,
    ) -> impl Future<Output = turmoil::Result> + use<> {
        let sessions = Arc::<Mutex<Vec<String>>>::default();
        let opened = Arc::clone(&sessions);
        let endpoint = StreamableHttp::builder(server.clone())
            .response_mode(mode)
            .event_store(MemoryStore::new(limits))
            .unused_timeout(Duration::from_secs(20))
            .on_session_opened(move |session: &SessionHandle| {
                opened.lock().unwrap().push(session.id().as_str().to_owned());
            })
            .build();
        *self.0.lock().unwrap() = Some(endpoint.clone());
        async move {
            tokio::spawn(drum(server, sessions, beat));
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
            serve(Simulated(listener), endpoint).await?;
            Ok(())
        }
    }

    /// Whether nothing is left when everybody is gone.
    fn check(&self) -> Result<Counters, String> {
        let endpoint = self.0.lock().unwrap().clone().expect("it was opened");
        let counters = endpoint.counters();
        if endpoint.in_flight() > 0 {
            return Err(format!("{} calls run without anybody to wait for them", endpoint.in_flight()));
        }
        if counters.sessions_opened != counters.sessions_closed
            || counters.panics + counters.store_failures > 0
        {
            return Err(format!("{counters:?}"));
        }
        Ok(counters)
    }
}

/// Sends numbers to every session, each on its standalone stream, in the order in which they were opened.
async fn drum(server: Server, sessions: Arc<Mutex<Vec<String>>>, beat: Duration) {
    let mut next = Vec::new();
    loop {
        tokio::time::sleep(beat).await;
        let sessions = sessions.lock().unwrap().clone();
        next.resize(sessions.len(), 1_u64);
        for (id, number) in sessions.iter().zip(&mut next) {
            let told = server.notify_where(
                |peer| peer.session.is_some_and(|session| session.id().as_str() == id),
                "it/n",
                &json!({ "n": number }),
            );
            told.expect("numbers are JSON");
            *number += 1;
        }
    }
}

/// Runs the sessions of a client one after the other, each with its calls and its standalone stream.
async fn client(number: usize, plan: Plan) -> Vec<Told> {
    let began = Instant::now();
    let mut told = Vec::new();
    for (session, steps) in plan.sessions.into_iter().enumerate() {
        let owner = format!("{}.{session}", name(number));
        let reader = match plan.revision.is_modern() {
            true => Reader::modern(Simulator, HABITS),
            false => Reader::open(Simulator, plan.revision, HABITS).await,
        };
        let listening = (!plan.revision.is_modern()).then(|| {
            let reader = reader.clone();
            tokio::spawn(async move {
                reader.listen(&|message| message["params"]["n"].as_u64() >= Some(LAST_NUMBER)).await
            })
        });
        let mut calls = JoinSet::new();
        for step in steps {
            tokio::time::sleep(step.after).await;
            let (reader, owner, id) = (reader.clone(), owner.clone(), reader.next_id());
            calls.spawn(async move {
                let work = json!({
                    "owner": owner, "call": id, "steps": step.steps, "pause": step.pause,
                    "pad": step.pad, "ask_after": step.ask_after,
                    // Then nothing but its cancellation ends it.
                    "wait_each": u64::from(step.gives_up.is_some()),
                });
                let call = reader.call(id, "work", work, &|_| {});
                let record = match step.gives_up {
                    Some(patience) => tokio::time::timeout(patience, call).await.ok(),
                    None => Some(call.await),
                };
                (step, id, record)
            });
        }
        let mut calls = calls.join_all().await;
        calls.sort_by_key(|(_, id, _)| *id);
        let standalone = match listening {
            Some(listening) => Some(listening.await.expect("it does not panic")),
            None => None,
        };
        let closed = if plan.revision.is_modern() { 204 } else { reader.close().await };
        told.push(Told {
            owner,
            revision: plan.revision,
            began,
            calls,
            standalone,
            resumes: reader.resumes(),
            closed,
        });
    }
    told
}

/// The simulated network, seen from a client.
#[derive(Clone)]
struct Simulator;

impl Dial for Simulator {
    type Io = TcpStream;

    async fn dial(&self) -> io::Result<TcpStream> {
        TcpStream::connect((SERVER, PORT)).await
    }
}

/// The same seen from the server.
struct Simulated(TcpListener);

impl Listener for Simulated {
    type Connection = TcpStream;

    async fn accept(&mut self) -> io::Result<TcpStream> {
        self.0.accept().await.map(|(connection, _)| connection)
    }
}

/// What a client's host is called.
fn name(client: usize) -> String {
    format!("client-{client}")
}
