//! The load generator: a closed loop over keep-alive connections, every answer verified.

mod listen;
mod modern;
mod session;
mod wire;

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use clap::Args;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::Result;
use crate::process::cpu;
use crate::scenario::{MAX_CONNECTIONS, MAX_REQUESTS, Work};
use modern::Modern;
use session::Session;

#[derive(Args)]
pub(crate) struct Options {
    /// Where the target listens
    #[arg(long)]
    address: SocketAddr,
    /// What is asked, and how it must be answered
    #[arg(long, default_value = "json")]
    work: Work,
    /// Connections, each with a session of its own where there are sessions
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// Measured requests in all, spread evenly over the connections
    #[arg(long, default_value_t = 10_000)]
    requests: usize,
    /// Requests in all before the measurement starts
    #[arg(long, default_value_t = 1_000)]
    warm_up: usize,
    /// Process whose CPU time is charged to the requests
    #[arg(long)]
    server_pid: Option<u32>,
    /// Seconds until the run is given up
    #[arg(long, default_value_t = 60)]
    give_up: u64,
}

/// What one run measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Requests sent and verified in `seconds`.
    pub(crate) requests: usize,
    pub(crate) seconds: f64,
    /// Latency from sending a request to the end of its answer's body.
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// CPU time, user and kernel, the server process spent in `seconds`, in microseconds.
    pub(crate) server_cpu_us: Option<f64>,
}

/// Runs the load on one thread and prints [`Measured`] as one line of JSON.
///
/// # Errors
///
/// When a request fails, an answer is not what was asked for, or the time is up.
pub(crate) fn run(options: &Options) -> Result<()> {
    if !options.address.ip().is_loopback() {
        return Err(format!(
            "{} is not a loopback address; the lab loads only its own targets",
            options.address
        )
        .into());
    }
    if !(1..=MAX_CONNECTIONS).contains(&options.connections) {
        return Err(format!("ask for 1 to {MAX_CONNECTIONS} connections").into());
    }
    if !(options.connections..=MAX_REQUESTS).contains(&options.requests) || options.warm_up > MAX_REQUESTS {
        return Err(format!("ask for at least one request per connection and at most {MAX_REQUESTS}").into());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let patience = Duration::from_secs(options.give_up);
    let measured = runtime
        .block_on(async { tokio::time::timeout(patience, load(options)).await })
        .map_err(|_| format!("the run was not over after {patience:?}"))??;
    let mut out = std::io::stdout();
    serde_json::to_writer(&mut out, &measured)?;
    writeln!(out)?;
    Ok(())
}

/// What sends one request after another over a connection of its own.
trait Caller: Sized + Send + 'static {
    /// One request and how long it took, up to the end of its answer.
    fn call(&mut self) -> impl Future<Output = Result<Duration>> + Send;

    /// Leaves the target as it was found.
    fn close(&mut self) -> impl Future<Output = Result<()>> + Send;
}

async fn load(options: &Options) -> Result<Measured> {
    let (address, work) = (options.address, options.work);
    let (mut latencies, seconds, server_cpu_us) = match work {
        Work::Json | Work::Sse => call(options, || Session::open(address, work)).await?,
        Work::ModernJson | Work::ModernSse | Work::Rounds => {
            call(options, || Modern::open(address, work)).await?
        }
        Work::Listen => listen::load(options).await?,
    };
    latencies.sort_unstable();
    Ok(Measured {
        requests: latencies.len(),
        seconds,
        p50_us: percentile(&latencies, 50).as_nanos() as f64 / 1_000.0,
        p99_us: percentile(&latencies, 99).as_nanos() as f64 / 1_000.0,
        server_cpu_us,
    })
}

/// Has a caller for each connection send its share of the requests; all latencies, the seconds it took and the server's CPU
/// time in microseconds.
async fn call<C, F>(options: &Options, open: impl Fn() -> F) -> Result<(Vec<Duration>, f64, Option<f64>)>
where
    C: Caller,
    F: Future<Output = Result<C>> + Send + 'static,
{
    let warm_up = options.warm_up / options.connections;
    let requests = options.requests / options.connections;

    let mut warming = JoinSet::new();
    for _ in 0..options.connections {
        let opening = open();
        warming.spawn(async move {
            let mut caller = opening.await?;
            for _ in 0..warm_up {
                caller.call().await?;
            }
            Ok(caller)
        });
    }
    let callers = all(&mut warming).await?;

    let mut running = JoinSet::new();
    let cpu = options.server_pid.map(cpu::of_process).transpose()?;
    let started = Instant::now();
    for mut caller in callers {
        running.spawn(async move {
            let mut latencies = Vec::with_capacity(requests);
            for _ in 0..requests {
                latencies.push(caller.call().await?);
            }
            Ok((caller, latencies))
        });
    }
    let finished = all(&mut running).await?;
    let seconds = started.elapsed().as_secs_f64();
    let server_cpu_us = cpu_since(cpu, options.server_pid)?;

    let mut latencies = Vec::with_capacity(requests * options.connections);
    for (mut caller, some) in finished {
        latencies.extend(some);
        caller.close().await?;
    }
    Ok((latencies, seconds, server_cpu_us))
}

/// The server's CPU time since `before`, in microseconds.
fn cpu_since(before: Option<Duration>, server_pid: Option<u32>) -> Result<Option<f64>> {
    let (Some(before), Some(pid)) = (before, server_pid) else { return Ok(None) };
    Ok(Some(cpu::of_process(pid)?.saturating_sub(before).as_nanos() as f64 / 1_000.0))
}

/// Waits for all tasks; the first failure drops the others.
async fn all<T: 'static>(tasks: &mut JoinSet<Result<T>>) -> Result<Vec<T>> {
    let mut done = Vec::with_capacity(tasks.len());
    while let Some(task) = tasks.join_next().await {
        done.push(task??);
    }
    Ok(done)
}

/// The smallest latency that `percent` of all are not above. Zero when there are none.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// Ids start here, so that all have the same number of digits and each request the same length.
const FIRST_REQUEST: u64 = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Target;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let sorted: Vec<_> = (1..=200).map(Duration::from_micros).collect();
        assert_eq!(percentile(&sorted, 50), Duration::from_micros(100));
        assert_eq!(percentile(&sorted, 99), Duration::from_micros(198));
        assert_eq!(percentile(&sorted[..1], 99), Duration::from_micros(1));
        assert_eq!(percentile(&[], 50), Duration::ZERO);
    }

    /// Loads a target that serves `served` and expects the answers of `expected`.
    fn load_target(target: Target, served: Work, expected: Work) -> Result<Measured> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::spawn(crate::target::serve(target, listener, served));
            let options = Options {
                address,
                work: expected,
                connections: 3,
                requests: 10,
                warm_up: 3,
                server_pid: None,
                give_up: 60,
            };
            load(&options).await
        })
    }

    const ALL: [Work; 6] =
        [Work::Json, Work::Sse, Work::ModernJson, Work::ModernSse, Work::Rounds, Work::Listen];

    #[test]
    fn every_target_does_every_work() {
        for target in [Target::Floor, Target::Us] {
            for work in ALL {
                let measured = load_target(target, work, work)
                    .unwrap_or_else(|error| panic!("{} against {target}: {error}", work.name()));
                assert_eq!(measured.requests, 9, "three connections share ten requests evenly");
            }
        }
    }

    #[test]
    fn an_answer_of_another_form_fails_the_run() {
        let error = load_target(Target::Floor, Work::Json, Work::Sse).unwrap_err();
        assert_eq!(error.to_string(), "the answer is not text/event-stream as the work asks");
        load_target(Target::Floor, Work::Sse, Work::Json).unwrap_err();
        load_target(Target::Floor, Work::ModernJson, Work::ModernSse).unwrap_err();
    }
}
