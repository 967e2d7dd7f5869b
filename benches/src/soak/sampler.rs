//! What a server holds at a moment.

use std::io::Write as _;
use std::time::{Duration, Instant};

use hyper::Method;
use serde::Serialize;

use super::client::Connection;
use super::server::Server;
use super::tally::Tally;
use crate::Result;
use crate::process::proc;

/// One look at the server.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Sample {
    pub(super) seconds: f64,
    pub(super) resident_bytes: u64,
    pub(super) open_files: u64,
    pub(super) sessions: u64,
    pub(super) in_flight: u64,
    pub(super) streams: u64,
    pub(super) listeners: u64,
    pub(super) store_bytes: u64,
    /// Pieces of work that were done so far.
    pub(super) done: u64,
}

impl Sample {
    pub(super) async fn take(server: &Server, at: Duration, tally: &Tally) -> Result<Self> {
        let page = metrics(server).await?;
        let number = |name| number(&page, name);
        Ok(Self {
            seconds: at.as_secs_f64(),
            resident_bytes: proc::resident(server.pid())?,
            open_files: std::fs::read_dir(format!("/proc/{}/fd", server.pid()))?.count() as u64,
            sessions: number("throughline_sessions")?,
            in_flight: number("throughline_calls_in_flight")?,
            streams: number("throughline_streams")?,
            listeners: number("throughline_listeners")?,
            store_bytes: number("throughline_store_bytes")?,
            done: tally.sums()[0],
        })
    }

    pub(super) fn print(&self) {
        let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
        // Nothing is left to do when the output is closed.
        let _ = writeln!(
            std::io::stdout(),
            "{:>8.0}{:>10.1}{:>8}{:>10}{:>11}{:>9}{:>11}{:>11.1}{:>10}",
            self.seconds,
            mib(self.resident_bytes),
            self.open_files,
            self.sessions,
            self.in_flight,
            self.streams,
            self.listeners,
            mib(self.store_bytes),
            self.done
        );
    }
}

pub(super) fn print_head() {
    let _ = writeln!(
        std::io::stdout(),
        "{:>8}{:>10}{:>8}{:>10}{:>11}{:>9}{:>11}{:>11}{:>10}",
        "seconds",
        "RSS MiB",
        "files",
        "sessions",
        "in flight",
        "streams",
        "listeners",
        "store MiB",
        "done"
    );
}

/// The calls that are still in flight when all clients have gone and had time to be missed.
pub(super) async fn left_in_flight(server: &Server) -> Result<u64> {
    let until = Instant::now() + FAREWELL;
    loop {
        let left = number(&metrics(server).await?, "throughline_calls_in_flight")?;
        if left == 0 || Instant::now() > until {
            return Ok(left);
        }
        tokio::time::sleep(GLANCE).await;
    }
}

async fn metrics(server: &Server) -> Result<String> {
    let mut connection = Connection::open(server.address()).await?;
    connection.send(Method::GET, "/metrics", &[], "").await?.text().await
}

fn number(page: &str, name: &str) -> Result<u64> {
    let mut values = page.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let value = values.next().ok_or_else(|| format!("the metrics have no {name}"))?;
    Ok(value.parse()?)
}

/// The longest call that a client leaves behind takes two seconds.
const FAREWELL: Duration = Duration::from_secs(20);

const GLANCE: Duration = Duration::from_millis(200);
