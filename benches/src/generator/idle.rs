//! Sessions that do nothing: what the server holds for each.

use std::io::Write as _;

use hyper::Response;
use hyper::body::Incoming;

use super::check;
use super::measured::{Charged, Measured, Memory};
use super::session::Session;
use super::wire::{Wire, read};
use super::{Options, sse::Events};
use crate::Result;
use crate::echo;
use crate::process::{files, proc};
use crate::scenario::{Task, Way};

/// What a server holds at a moment.
struct Held {
    heap: Option<f64>,
    rss: Option<f64>,
}

impl Held {
    /// Asks in a session of its own that is gone afterwards: one that waits may have lost its connection.
    async fn now(options: &Options) -> Result<Self> {
        let mut asking = Session::open(&options.address, Way::Session).await?;
        let id = asking.next_id();
        let response = asking.wire.post(echo::call(id, "heap", "")).await?;
        // A target that cannot tell refuses, each in its way.
        let heap = match read(response).await {
            Ok(answer) => {
                let message = answer.message()?;
                check::text_of(&message, Way::Session, id).ok().and_then(|bytes| bytes.parse().ok())
            }
            Err(_) => None,
        };
        let rss = options.server_pid.map(proc::resident).transpose()?.map(|bytes| bytes as f64);
        asking.delete().await?;
        Ok(Self { heap, rss })
    }
}

/// A session that hears what its standalone stream has to say.
struct Hearing {
    _session: Session,
    _stream: Response<Incoming>,
}

/// Opens as many sessions as there are connections, and compares what the server holds before and after. With streams, each
/// session has a connection with an open GET; else all were opened over one connection, which is all that is left of them here.
pub(super) async fn load(options: &Options) -> Result<Measured> {
    let with_streams = options.work.task == Task::IdleStreams;
    let count = if with_streams { possible(options.connections)? } else { options.connections };
    let endpoint = &options.address;
    let mut wire = Wire::connect(endpoint).await?;
    // What is made at first use is no part of a session.
    for _ in 0..count.min(FIRST_SESSIONS) {
        let mut session = Session::open_over(wire, Way::Session).await?;
        let id = session.next_id();
        read(session.wire.post(echo::call(id, "echo", "first")).await?).await?;
        wire = session.delete().await?;
    }
    let before = Held::now(options).await?;
    let charged = Charged::begin(options.server_pid)?;
    let mut latencies = Vec::with_capacity(count);
    let mut hearing = Vec::new();
    for number in 0..count {
        let started = std::time::Instant::now();
        if with_streams {
            let wire = Wire::connect_one_of_many(endpoint, number).await?;
            let mut session = Session::open_over(wire, Way::Session).await?;
            let stream = session.get().await?;
            if !Events::is_stream(&stream) {
                return Err(format!("GET was answered with {}", stream.status()).into());
            }
            hearing.push(Hearing { _session: session, _stream: stream });
        } else {
            // The session is left behind, its connection is used for the next.
            wire = Session::open_over(wire, Way::Session).await?.wire;
        }
        latencies.push(started.elapsed());
    }
    let mut measured = charged.end(latencies, 1)?;
    let after = Held::now(options).await?;
    let each = |after: Option<f64>, before: Option<f64>| Some((after? - before?) / count as f64);
    measured.memory = Some(Memory {
        sessions: count,
        heap_bytes: each(after.heap, before.heap),
        rss_bytes: each(after.rss, before.rss),
    });
    drop(hearing);
    Ok(measured)
}

/// How many connections there can be; said plainly when it is fewer than asked for.
fn possible(wanted: usize) -> Result<usize> {
    let possible = files::limit().saturating_sub(files::SPARE);
    if wanted > possible {
        writeln!(
            std::io::stderr(),
            "note: {possible} streams are open at once, not {wanted}: a process may have no more files open here"
        )?;
    }
    Ok(wanted.min(possible))
}

/// Enough that lazily made tables are there.
const FIRST_SESSIONS: usize = 100;
