//! The soak: a server under a mixed load with churn for minutes or hours, and the question whether it levels off.
//!
//! ```text
//!   workers --- kinds of work, chosen at random ---> throughline serve     every answer is checked
//!   sampler --- /proc, /metrics, every few seconds ---^
//!   verdict: nothing wrong, nothing hung, nothing left running; memory and open files level off
//! ```

mod client;
mod modern;
mod random;
mod sampler;
mod server;
mod session;
mod tally;
mod verdict;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::task::JoinSet;

use crate::Result;
use random::Random;
use sampler::Sample;
use server::Server;
use tally::Tally;

#[derive(Args)]
pub(crate) struct Options {
    /// The binary `throughline` to put under load
    #[arg(long)]
    binary: PathBuf,
    /// How long the load goes on
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// Clients at a time
    #[arg(long, default_value_t = 48)]
    clients: usize,
    /// Have the server keep its sessions in this folder
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where to write the samples and the verdict as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// What the choices of the clients follow from; the same number chooses the same
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs the soak and prints what it saw.
///
/// # Errors
///
/// When the server cannot be started, or the verdict is that something is wrong.
pub(crate) fn run(options: &Options) -> Result<()> {
    if !(options.minutes.is_finite() && options.minutes > 0.0 && options.clients > 0) {
        return Err("give a time above 0 and at least one client".into());
    }
    crate::process::files::raise_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(soak(options))
}

async fn soak(options: &Options) -> Result<()> {
    let server = Server::start(&options.binary, options.data.as_deref())?;
    let length = Duration::from_secs_f64(options.minutes * 60.0);
    let tally = Arc::new(Tally::default());
    let began = Instant::now();
    let until = began + length;
    let mut workers = JoinSet::new();
    for number in 0..options.clients {
        let random = Random::new(options.seed ^ (number as u64 + 1) << 20);
        workers.spawn(work(server.address(), random, Arc::clone(&tally), until));
    }

    let every = (length / SAMPLES).clamp(Duration::from_secs(1), Duration::from_secs(10));
    let mut samples = Vec::new();
    sampler::print_head();
    while Instant::now() + every <= until {
        tokio::time::sleep(every).await;
        let sample = Sample::take(&server, began.elapsed(), &tally).await?;
        sample.print();
        samples.push(sample);
    }
    while let Some(ended) = workers.join_next().await {
        ended?;
    }
    let left = sampler::left_in_flight(&server).await?;
    tally.print();
    let log = server.stop()?;
    let verdict = verdict::judge(&samples, &tally, left, &log);
    verdict.print();
    if let Some(file) = &options.json {
        std::fs::write(
            file,
            verdict.json(options.minutes, options.clients, options.seed, &samples, &tally)?,
        )?;
    }
    if verdict.is_sound() { Ok(()) } else { Err("the soak found something wrong".into()) }
}

/// One client after another, until the time is up. Each piece of work has its time, beyond which it hangs.
async fn work(address: SocketAddr, mut random: Random, tally: Arc<Tally>, until: Instant) {
    while Instant::now() < until {
        let kind = random.below(10);
        let life = async {
            match kind {
                0..=6 => session::life(address, &mut random, &tally).await,
                _ => modern::life(address, &mut random, &tally).await,
            }
        };
        life.await;
    }
}

/// Runs one piece of work and counts what became of it. True: it went as it should.
async fn counted(tally: &Tally, kind: &'static str, work: impl Future<Output = Result<()>>) -> bool {
    let began = Instant::now();
    let outcome = tokio::time::timeout(PATIENCE, work).await;
    tally.count(kind, began.elapsed(), outcome.ok())
}

/// How many samples a run has at most, where they are not more than ten seconds apart.
const SAMPLES: u32 = 60;

/// The longest piece of work takes some three seconds; on a machine under full load it may be many times slower.
const PATIENCE: Duration = Duration::from_secs(60);
