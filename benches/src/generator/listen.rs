//! Many streams that listen, and changes that all of them are told of.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::{Response, StatusCode};

use super::modern::connect;
use super::wire::{Wire, is_stream, read};
use super::{FIRST_REQUEST, Options};
use crate::Result;
use crate::echo::{self, MAX_BODY, METHOD_HEADER, MODERN_REVISION, VERSION_HEADER};
use crate::process::cpu;

/// A stream that listens.
struct Listener {
    body: Incoming,
    /// What came and is not read.
    buffer: BytesMut,
    /// How each of its messages names it.
    mark: String,
    _wire: Wire,
}

impl Listener {
    async fn open(address: std::net::SocketAddr, id: u64) -> Result<Self> {
        let mut wire = Wire::connect(address).await?;
        wire.keep_header(VERSION_HEADER, HeaderValue::from_static(MODERN_REVISION));
        wire.keep_header(METHOD_HEADER, HeaderValue::from_static("subscriptions/listen"));
        let response: Response<Incoming> = wire.post(echo::listen(id)).await?;
        if response.status() != StatusCode::OK || is_stream(&response) != Some(true) {
            return Err(format!("a request to listen was answered with {}", response.status()).into());
        }
        let mark = format!(r#""io.modelcontextprotocol/subscriptionId":{id}"#);
        let mut listener = Self { body: response.into_body(), buffer: BytesMut::new(), mark, _wire: wire };
        listener.next("notifications/subscriptions/acknowledged").await?;
        Ok(listener)
    }

    /// Waits for the next message, which must be this notification.
    async fn next(&mut self, method: &str) -> Result<()> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\n\n") {
                let event = self.buffer.split_to(end + 2);
                let event = std::str::from_utf8(&event)?;
                let Some(data) = event.lines().find_map(|line| line.strip_prefix("data:")) else { continue };
                if data.contains(method) && data.contains(&self.mark) {
                    return Ok(());
                }
                return Err(format!("{method} with {} was expected, and {data} came", self.mark).into());
            }
            if self.buffer.len() > MAX_BODY {
                return Err("an event does not end".into());
            }
            let frame = self.body.frame().await.ok_or("a stream ended that should go on")??;
            if let Ok(data) = frame.into_data() {
                self.buffer.extend_from_slice(&data);
            }
        }
    }
}

/// Opens a stream per connection and has the target tell all of them of a change, again and again. A message that arrived
/// counts as a request, and its latency is that from the change being asked for.
pub(super) async fn load(options: &Options) -> Result<(Vec<Duration>, f64, Option<f64>)> {
    let mut listeners = Vec::with_capacity(options.connections);
    for id in (FIRST_REQUEST..).take(options.connections) {
        listeners.push(Listener::open(options.address, id).await?);
    }
    let mut trigger = connect(options.address, "touch").await?;
    let (warm_up, changes) =
        (options.warm_up / options.connections, (options.requests / options.connections).max(1));
    let mut latencies = Vec::with_capacity(changes * options.connections);
    let mut next_request = 0;
    for _ in 0..warm_up {
        touch(&mut trigger, &mut listeners, &mut next_request, &mut latencies).await?;
    }
    latencies.clear();
    let cpu = options.server_pid.map(cpu::of_process).transpose()?;
    let started = Instant::now();
    for _ in 0..changes {
        touch(&mut trigger, &mut listeners, &mut next_request, &mut latencies).await?;
    }
    let seconds = started.elapsed().as_secs_f64();
    Ok((latencies, seconds, super::cpu_since(cpu, options.server_pid)?))
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
