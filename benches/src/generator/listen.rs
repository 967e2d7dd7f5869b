//! Many streams that listen, and changes that all of them are told of.

use std::time::{Duration, Instant};

use hyper::header::HeaderValue;

use super::measured::{Charged, Measured};
use super::modern::connect;
use super::sse::Events;
use super::wire::{Endpoint, Wire, read};
use super::{FIRST_REQUEST, Options, Until};
use crate::Result;
use crate::echo::{self, METHOD_HEADER, MODERN_REVISION, VERSION_HEADER};

/// A stream that listens.
struct Listener {
    events: Events,
    /// How each of its messages names it.
    mark: String,
    _wire: Wire,
}

impl Listener {
    async fn open(endpoint: &Endpoint, id: u64) -> Result<Self> {
        let mut wire = Wire::connect(endpoint).await?;
        wire.keep_header(VERSION_HEADER, HeaderValue::from_static(MODERN_REVISION));
        wire.keep_header(METHOD_HEADER, HeaderValue::from_static("subscriptions/listen"));
        let events = Events::of(wire.post(echo::listen(id)).await?)?;
        let mark = format!(r#""io.modelcontextprotocol/subscriptionId":{id}"#);
        let mut listener = Self { events, mark, _wire: wire };
        listener.next("notifications/subscriptions/acknowledged").await?;
        Ok(listener)
    }

    /// Waits for the next message, which must be this notification.
    async fn next(&mut self, method: &str) -> Result<()> {
        let event = self.events.message().await?;
        let data = event.data();
        let data = std::str::from_utf8(&data)?;
        if data.contains(method) && data.contains(&self.mark) {
            Ok(())
        } else {
            Err(format!("{method} with {} was expected, and {data} came", self.mark).into())
        }
    }
}

/// Opens a stream per connection and has the target tell all of them of a change, again and again. A message that arrived
/// counts as a request, and its latency is that from the change being asked for.
pub(super) async fn load(options: &Options) -> Result<Measured> {
    let mut listeners = Vec::with_capacity(options.connections);
    for id in (FIRST_REQUEST..).take(options.connections) {
        listeners.push(Listener::open(&options.address, id).await?);
    }
    let mut trigger = connect(&options.address, "touch").await?;
    let mut latencies = Vec::new();
    let mut next_request = 0;
    // A change is told to all: it stands for as many requests as there are streams.
    let warm_up = options.warm_up().per(options.connections);
    let until = options.until().per(options.connections);
    repeat(warm_up, &mut trigger, &mut listeners, &mut next_request, &mut latencies).await?;
    latencies.clear();
    let charged = Charged::begin(options.server_pid)?;
    repeat(until, &mut trigger, &mut listeners, &mut next_request, &mut latencies).await?;
    charged.end(latencies, 1)
}

async fn repeat(
    until: Until,
    trigger: &mut Wire,
    listeners: &mut [Listener],
    next_request: &mut u64,
    latencies: &mut Vec<Duration>,
) -> Result<()> {
    let mut going = until.begin();
    while going.is_on(Instant::now()) {
        touch(trigger, listeners, next_request, latencies).await?;
    }
    Ok(())
}

/// One change, and its way to every stream.
async fn touch(
    trigger: &mut Wire,
    listeners: &mut [Listener],
    next_request: &mut u64,
    latencies: &mut Vec<Duration>,
) -> Result<()> {
    *next_request += 1;
    let started = Instant::now();
    read(trigger.post(echo::modern_call(*next_request, "touch", "", "")).await?).await?;
    for listener in listeners {
        listener.next("notifications/resources/updated").await?;
        latencies.push(started.elapsed());
    }
    Ok(())
}
