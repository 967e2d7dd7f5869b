//! The load generator: one process, one thread, every answer verified. Each kind of load is a file.

mod calls;
mod canary;
mod check;
mod churn;
mod idle;
mod listen;
mod loops;
mod measured;
mod modern;
mod progress;
mod replay;
mod session;
mod sse;
#[cfg(test)]
mod tests;
mod until;
mod wire;

use std::io::Write as _;
use std::time::Duration;

use clap::Args;

use crate::Result;
use crate::scenario::{MAX_CONNECTIONS, MAX_REQUESTS, Task, Way, Work};
use loops::Caller;
use measured::Charged;
pub(crate) use measured::{Measured, Memory};
use until::Until;
pub(crate) use wire::Endpoint;

#[derive(Args)]
pub(crate) struct Options {
    /// Where the target listens
    #[arg(long)]
    address: Endpoint,
    /// What is asked, and how it must be answered
    #[arg(long, default_value = "json")]
    work: Work,
    /// Connections, each with a session of its own where there are sessions
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// Measured requests in all, spread evenly over the connections; without it, time is what ends the load
    #[arg(long)]
    requests: Option<usize>,
    /// Requests before the measurement starts, where `--requests` says how many are measured; else a fifth of the time
    #[arg(long, default_value_t = 0)]
    warm_up: usize,
    /// Measured seconds
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Requests per second in the open loop; without it, the loop is closed
    #[arg(long)]
    rate: Option<f64>,
    /// Process whose CPU time is charged to the requests
    #[arg(long)]
    server_pid: Option<u32>,
    /// Seconds until the run is given up
    #[arg(long, default_value_t = 60)]
    give_up: u64,
}

impl Options {
    fn until(&self) -> Until {
        self.requests.map_or(Until::Seconds(self.seconds), Until::Answers)
    }

    fn warm_up(&self) -> Until {
        self.requests.map_or(Until::Seconds(self.seconds / 5.0), |_| Until::Answers(self.warm_up))
    }

    /// # Errors
    ///
    /// When it asks for more than may be.
    fn check(&self) -> Result<()> {
        if !(1..=MAX_CONNECTIONS).contains(&self.connections) {
            return Err(format!("ask for 1 to {MAX_CONNECTIONS} connections").into());
        }
        if self.requests.is_some_and(|requests| !(1..=MAX_REQUESTS).contains(&requests))
            || self.warm_up > MAX_REQUESTS
        {
            return Err(format!("ask for 1 to {MAX_REQUESTS} requests").into());
        }
        if !(0.0..=600.0).contains(&self.seconds) {
            return Err("ask for at most 600 seconds".into());
        }
        if self.rate.is_some_and(|rate| !(1.0..=1e6).contains(&rate)) {
            return Err("ask for a rate of 1 to 1,000,000 requests per second".into());
        }
        Ok(())
    }
}

/// Runs the load on one thread and prints [`Measured`] as one line of JSON.
///
/// # Errors
///
/// When a request fails, an answer is not what was asked for, or the time is up.
pub(crate) fn run(options: &Options) -> Result<()> {
    options.check()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let patience = Duration::from_secs(options.give_up);
    let measured = runtime
        .block_on(async { tokio::time::timeout(patience, load(options)).await })
        .map_err(|_| format!("the run was not over after {patience:?}"))?
        // An answer may be long; what is told must fit the pipe.
        .map_err(|error| error.to_string().chars().take(500).collect::<String>())?;
    let mut out = std::io::stdout();
    serde_json::to_writer(&mut out, &measured)?;
    writeln!(out)?;
    Ok(())
}

async fn load(options: &Options) -> Result<Measured> {
    let (endpoint, work) = (&options.address, options.work);
    match (work.task, work.way) {
        (Task::Listen, _) => listen::load(options).await,
        (Task::Idle | Task::IdleStreams, _) => idle::load(options).await,
        (Task::Canary, _) => canary::load(options).await,
        (Task::Progress, way) => call(options, || progress::Progress::open(endpoint.clone(), way)).await,
        (Task::Replay, _) => call(options, || replay::Replay::open(endpoint.clone())).await,
        (Task::Churn, _) => call(options, || churn::Churn::open(endpoint.clone(), work)).await,
        (_, Way::Modern) => call(options, || modern::Modern::open(endpoint.clone(), work)).await,
        (_, Way::Session | Way::Stateless) => {
            call(options, || calls::Calls::open(endpoint.clone(), work)).await
        }
    }
}

/// Has a caller for each connection send requests, in the closed loop or at a rate.
async fn call<C, F>(options: &Options, open: impl Fn() -> F) -> Result<Measured>
where
    C: Caller,
    F: Future<Output = Result<C>> + Send + 'static,
{
    let callers = loops::open(options.connections, open).await?;
    let mut latencies = Vec::new();
    let callers = loops::closed(callers, options.warm_up(), &mut latencies).await?;
    latencies.clear();
    let charged = Charged::begin(options.server_pid)?;
    let callers = match options.rate {
        None => loops::closed(callers, options.until(), &mut latencies).await?,
        Some(rate) => {
            let interval = Duration::from_secs_f64(1.0 / rate);
            loops::at_rate(callers, options.until(), interval, &mut latencies).await?
        }
    };
    let measured = charged.end(latencies, options.work.units_per_answer())?;
    for caller in callers {
        caller.close().await?;
    }
    Ok(measured)
}

/// Ids start here, so that all have the same number of digits and each request the same length.
const FIRST_REQUEST: u64 = 10_000_000;
