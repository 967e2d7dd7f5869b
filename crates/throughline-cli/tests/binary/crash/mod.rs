//! `kill -9` at random moments under load: nothing that a client saw is lost or changed, and everything settles.
//!
//! Clients that only know what they saw call, resume, set their level and end their sessions, while the server is killed
//! and started again and again on the same directory. The moments are drawn from a seed and counted in what clients saw,
//! not in time. `THROUGHLINE_TEST_KILLS` says how often (25 unless set; 200 takes some minutes), `THROUGHLINE_TEST_SEED` with
//! which seed.

mod client;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Notify, watch};

use super::process::{Served, serve};
use super::within;
use client::{Client, Saw};

/// Draws numbers: xorshift64*.
#[derive(Clone)]
struct Draw(u64);

impl Draw {
    fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % most
    }
}

/// What all clients saw, counted.
#[derive(Default)]
struct Seen {
    count: AtomicU64,
    more: Notify,
}

impl Seen {
    fn one(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.more.notify_one();
    }

    async fn reaches(&self, count: u64) {
        while self.count.load(Ordering::SeqCst) < count {
            self.more.notified().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_seen_is_lost_however_often_it_is_killed() {
    let number = |name: &str, usual: u64| {
        std::env::var(name).map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name}: {text}")))
    };
    let (kills, seed) = (number("THROUGHLINE_TEST_KILLS", 25), number("THROUGHLINE_TEST_SEED", 0x5eed));
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().to_str().expect("a path of ASCII").to_owned();
    let start = async |round: u64| -> Served {
        // Interrupted calls run again in one life and fail in the next.
        let then = if round.is_multiple_of(2) { "again" } else { "fail" };
        serve(&["--data", &data, "--interrupted", then, "--shutdown-grace", "60s", "--log", "warn"]).await
    };
    let mut draw = Draw::new(seed);
    let seen = Arc::new(Seen::default());
    let mut served = start(0).await;
    let (address, addresses) = watch::channel(Some(served.address));
    let (stop, stopping) = watch::channel(false);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let draw = Draw::new(draw.below(u64::MAX >> 33) + number + 1);
            let client = Client::new(draw, addresses.clone(), stopping.clone(), Arc::clone(&seen));
            tokio::spawn(client.run())
        })
        .collect();
    for round in 1..=kills {
        let moment = seen.count.load(Ordering::SeqCst) + draw.below(MOST_SEEN);
        within("the moment to kill", seen.reaches(moment)).await;
        address.send_replace(None);
        served.kill().await;
        served = start(round).await;
        address.send_replace(Some(served.address));
        if let Some(client) = clients.iter().find(|client| client.is_finished()) {
            panic!("a client gave up in round {round} of seed {seed}: {client:?}");
        }
    }
    stop.send_replace(true);
    let mut saw = Saw::default();
    for client in clients {
        saw.add(
            &within("the end of a client", client).await.expect("a client that found all as it should be"),
        );
    }
    println!("{kills} kills, seed {seed}: {saw:?}");
    // Everything has settled: what still ran ends by itself, and no life after this one finds anything to do.
    served.terminate();
    let (code, log) = served.ended().await;
    assert!(code == 0 && !log.contains("did not finish"), "{log}");
    let last = start(kills + 1).await;
    assert!(last.greeting.contains(" sessions go on\n"), "{}", last.greeting);
    assert!(saw.results > 0 && saw.events > 0, "{saw:?}");
    assert!(
        kills < 10 || (saw.interrupted > 0 && saw.resumed > 0 && saw.levels > 0 && saw.deleted > 0),
        "{saw:?}"
    );
}

/// As many as keep the server busy.
const CLIENTS: u64 = 8;
/// A moment is at most so many events away: some fall into the start, most into the middle of calls.
const MOST_SEEN: u64 = 250;
