//! `metrics://cpu` and `metrics://memory`: readings of this machine, for dashboards that update themselves.
//!
//! They are read from `/proc` when somebody asks. Where there is no `/proc`, reading them is an error that says so.

mod cpu;
mod memory;

use std::time::Duration;

use serde::Serialize;
use throughline::{Error, ResourceDef, Result, Server};
use tokio::time::{MissedTickBehavior, interval};

const CPU: &str = "metrics://cpu";
const MEMORY: &str = "metrics://memory";

pub(super) fn cpu() -> ResourceDef {
    throughline::resource(CPU, "cpu", || async { json(&cpu::Reading::take().await?) })
        .title("Processor")
        .description("How busy the processors are, and the load averages. Changes every second.")
        .mime_type("application/json")
}

pub(super) fn memory() -> ResourceDef {
    throughline::resource(MEMORY, "memory", || async { json(&memory::Reading::take()?) })
        .title("Memory")
        .description("How much memory there is, and how much of it this server uses. Changes every second.")
        .mime_type("application/json")
}

/// Tells subscribers every second that there are new readings. Nothing is read for it, and nothing is sent where
/// nobody subscribed.
pub(crate) async fn announce(server: Server) {
    let mut ticks = interval(PERIOD);
    // After a pause of the whole machine, one update is as good as all that were missed.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        for uri in [CPU, MEMORY] {
            server.resource_updated(uri);
        }
    }
}

fn json(reading: &impl Serialize) -> Result<String> {
    Ok(serde_json::to_string(reading)?)
}

/// A file of `/proc`. They are made up by the kernel when read, so reading one does not wait for a disk.
fn proc(file: &str) -> Result<String> {
    let path = format!("/proc/{file}");
    std::fs::read_to_string(&path).map_err(|_| {
        Error::msg(format!("metrics are not available here: they are read from {path}, which only Linux has"))
    })
}

fn unreadable(file: &str) -> Error {
    Error::msg(format!("metrics are not available here: /proc/{file} is not as expected"))
}

/// How often subscribers hear of new readings.
const PERIOD: Duration = Duration::from_secs(1);
