//! Calls in one session at a steady rate, first alone, then beside streams that nobody reads.

use std::time::{Duration, Instant};

use hyper::Response;
use hyper::body::Incoming;

use super::Options;
use super::calls::Calls;
use super::loops::at_rate;
use super::measured::{Charged, Measured};
use super::session::Session;
use super::sse::Events;
use super::wire::Wire;
use crate::Result;
use crate::echo;
use crate::process::proc;
use crate::scenario::{Task, Way, Work};

/// A session whose call has much to say to somebody who does not listen.
struct Stalled {
    _session: Session,
    _unread: Response<Incoming>,
}

/// What is measured are the calls beside the streams; what they took alone is their `alone_p99_us`.
pub(super) async fn load(options: &Options) -> Result<Measured> {
    let alone = sing(options).await?;
    let mut stalled = Vec::with_capacity(options.connections);
    for _ in 0..options.connections {
        let wire = Wire::connect_narrow(&options.address).await?;
        let mut session = Session::open_over(wire, Way::Session).await?;
        let id = session.next_id();
        let unread = session.wire.post(echo::progress(id, UNREAD)).await?;
        if !Events::is_stream(&unread) {
            return Err(format!("a call that reports progress was answered with {}", unread.status()).into());
        }
        stalled.push(Stalled { _session: session, _unread: unread });
    }
    if let Some(pid) = options.server_pid {
        until_calm(pid).await?;
    }

    let beside = sing(options).await?;
    drop(stalled);
    Ok(Measured { alone_p99_us: Some(alone.p99_us), ..beside })
}

/// Calls at a steady rate in a new session.
async fn sing(options: &Options) -> Result<Measured> {
    let work = Work { task: Task::Echo, ..options.work };
    let mut canary = vec![Calls::open(options.address.clone(), work).await?];
    canary = at_rate(canary, options.warm_up(), INTERVAL, &mut Vec::new()).await?;
    let mut latencies = Vec::new();
    let charged = Charged::begin(options.server_pid)?;
    at_rate(canary, options.until(), INTERVAL, &mut latencies).await?;
    charged.end(latencies, 1)
}

/// Waits until the server has filled what buffers there are, or has been busy with it for so long that it belongs to the picture.
async fn until_calm(pid: u32) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut before = proc::cpu(pid)?;
    while Instant::now() < deadline {
        tokio::time::sleep(GLANCE).await;
        let now = proc::cpu(pid)?;
        if now.saturating_sub(before) < GLANCE / 20 {
            return Ok(());
        }
        before = now;
    }
    Ok(())
}

/// A call each millisecond: some percent of what a core does.
const INTERVAL: Duration = Duration::from_millis(1);

/// Events of a stream that nobody reads: 6 MB, where Linux takes 4 MiB off a writer (`tcp_wmem`) before it has to wait.
const UNREAD: usize = 50_000;

/// Ours parts with a reader that takes nothing for ten seconds: what is measured must lie before that.
const PATIENCE: Duration = Duration::from_secs(4);

const GLANCE: Duration = Duration::from_millis(50);
