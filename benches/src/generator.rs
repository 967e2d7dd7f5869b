//! The load generator: closed-loop `tools/call echo` over keep-alive connections, each in a session
//! of its own, every answer verified.

use std::borrow::Cow;
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::Result;
use crate::echo::{self, MAX_BODY, PATH, REVISION, SESSION_HEADER, VERSION_HEADER};
use crate::process::cpu;
use crate::scenario::{MAX_CONNECTIONS, MAX_REQUESTS, Mode};

#[derive(Args)]
pub(crate) struct Options {
    /// Where the target listens
    #[arg(long)]
    address: SocketAddr,
    /// How the target is expected to answer
    #[arg(long, default_value = "json")]
    mode: Mode,
    /// Connections, each with a session of its own
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

async fn load(options: &Options) -> Result<Measured> {
    let warm_up = options.warm_up / options.connections;
    let requests = options.requests / options.connections;

    let mut warming = JoinSet::new();
    for _ in 0..options.connections {
        let (address, mode) = (options.address, options.mode);
        warming.spawn(async move {
            let mut session = Session::open(address, mode).await?;
            for _ in 0..warm_up {
                session.call().await?;
            }
            Ok(session)
        });
    }
    let sessions = all(&mut warming).await?;

    let mut running = JoinSet::new();
    let cpu = options.server_pid.map(cpu::of_process).transpose()?;
    let started = Instant::now();
    for mut session in sessions {
        running.spawn(async move {
            let mut latencies = Vec::with_capacity(requests);
            for _ in 0..requests {
                latencies.push(session.call().await?);
            }
            Ok((session, latencies))
        });
    }
    let finished = all(&mut running).await?;
    let seconds = started.elapsed().as_secs_f64();
    let server_cpu_us = match (cpu, options.server_pid) {
        (Some(before), Some(pid)) => {
            Some(cpu::of_process(pid)?.saturating_sub(before).as_nanos() as f64 / 1_000.0)
        }
        _ => None,
    };

    let mut latencies = Vec::with_capacity(requests * options.connections);
    for (mut session, some) in finished {
        latencies.extend(some);
        session.close().await?;
    }
    latencies.sort_unstable();
    Ok(Measured {
        requests: latencies.len(),
        seconds,
        p50_us: percentile(&latencies, 50).as_nanos() as f64 / 1_000.0,
        p99_us: percentile(&latencies, 99).as_nanos() as f64 / 1_000.0,
        server_cpu_us,
    })
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

/// A connection and the MCP session opened over it.
struct Session {
    http: SendRequest<Full<Bytes>>,
    mode: Mode,
    host: HeaderValue,
    id: Option<HeaderValue>,
    next_request: u64,
}

#[derive(Deserialize)]
struct Initialized<'a> {
    id: u64,
    #[serde(borrow)]
    result: InitializeResult<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InitializeResult<'a> {
    #[serde(borrow)]
    protocol_version: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Echoed<'a> {
    id: u64,
    #[serde(borrow)]
    result: CallResult<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CallResult<'a> {
    #[serde(borrow)]
    content: Vec<Content<'a>>,
    #[serde(default)]
    is_error: bool,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    text: Cow<'a, str>,
}

impl Session {
    async fn open(address: SocketAddr, mode: Mode) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (http, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends when `http` is dropped; a failure shows in the request that it breaks.
        tokio::spawn(connection);
        let host = HeaderValue::try_from(address.to_string())?;
        let mut session = Self { http, mode, host, id: None, next_request: FIRST_REQUEST };

        let response = session.post(echo::initialize(0).into()).await?;
        session.id = response.headers().get(SESSION_HEADER).cloned();
        let (is_stream, body) = read(response).await?;
        let message = if is_stream { response_event(text(&body)?)? } else { text(&body)?.into() };
        let answer: Initialized<'_> = serde_json::from_str(&message)
            .map_err(|error| format!("initialize was answered with {message}: {error}"))?;
        if answer.id != 0 || answer.result.protocol_version != REVISION {
            return Err(format!("initialize asked for {REVISION} and was answered with {message}").into());
        }

        let response = session.post(Bytes::from_static(echo::initialized().as_bytes())).await?;
        if response.status() != StatusCode::ACCEPTED {
            return Err(format!("a notification must be answered with 202, not {}", response.status()).into());
        }
        response.into_body().collect().await?;
        Ok(session)
    }

    /// One call of `echo` and how long it took, up to the end of the body.
    async fn call(&mut self) -> Result<Duration> {
        let id = self.next_request;
        self.next_request += 1;
        let said = format!("what was said in request {id}");
        let body = Bytes::from(echo::call(id, &said));
        self.http.ready().await?;

        let started = Instant::now();
        let response = self.post(body).await?;
        let (is_stream, body) = read(response).await?;
        let took = started.elapsed();

        if is_stream != (self.mode == Mode::Sse) {
            return Err(format!("the answer is not {} as the mode asks", self.mode.media_type()).into());
        }
        let message = if is_stream { response_event(text(&body)?)? } else { text(&body)?.into() };
        let answer: Echoed<'_> = serde_json::from_str(&message)
            .map_err(|error| format!("request {id} was answered with {message}: {error}"))?;
        let is_ours = answer.id == id
            && !answer.result.is_error
            && matches!(&*answer.result.content, [content] if content.text == said);
        if !is_ours {
            return Err(format!("request {id} said {said:?} and was answered with {message}").into());
        }
        Ok(took)
    }

    /// Ends the session, where there is one.
    async fn close(&mut self) -> Result<()> {
        if self.id.is_none() {
            return Ok(());
        }
        let response = self.send(Method::DELETE, Bytes::new()).await?;
        if !response.status().is_success() {
            return Err(format!("ending the session was answered with {}", response.status()).into());
        }
        Ok(())
    }

    async fn post(&mut self, body: Bytes) -> Result<Response<hyper::body::Incoming>> {
        self.send(Method::POST, body).await
    }

    async fn send(&mut self, method: Method, body: Bytes) -> Result<Response<hyper::body::Incoming>> {
        self.http.ready().await?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = hyper::Uri::from_static(PATH);
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        if let Some(id) = &self.id {
            headers.insert(SESSION_HEADER, id.clone());
        }
        if self.next_request > FIRST_REQUEST {
            headers.insert(VERSION_HEADER, HeaderValue::from_static(REVISION));
        }
        Ok(self.http.send_request(request).await?)
    }
}

/// Whether a successful answer is an event stream, and its body to the end.
async fn read(response: Response<hyper::body::Incoming>) -> Result<(bool, Bytes)> {
    let status = response.status();
    let content_type = response.headers().get(CONTENT_TYPE).cloned();
    let body = Limited::new(response.into_body(), MAX_BODY).collect().await?.to_bytes();
    if status != StatusCode::OK {
        return Err(
            format!("a request was answered with {status}: {}", String::from_utf8_lossy(&body)).into()
        );
    }
    let is = |mode: Mode| {
        content_type.as_ref().is_some_and(|found| found.as_bytes().starts_with(mode.media_type().as_bytes()))
    };
    match (is(Mode::Json), is(Mode::Sse)) {
        (true, _) => Ok((false, body)),
        (_, true) => Ok((true, body)),
        _ => Err(format!("an answer has the content type {content_type:?}").into()),
    }
}

fn text(body: &[u8]) -> Result<&str> {
    Ok(std::str::from_utf8(body)?)
}

/// The data of the only event that has any. Events without data (priming) and comments (keep-alive)
/// are skipped; two messages, or none, are not an echo.
fn response_event(stream: &str) -> Result<Cow<'_, str>> {
    let mut message = None;
    let mut data: Option<Cow<'_, str>> = None;
    for line in stream.lines() {
        if let Some(value) = line.strip_prefix("data:") {
            let value = value.strip_prefix(' ').unwrap_or(value);
            match &mut data {
                None => data = Some(value.into()),
                Some(data) => {
                    data.to_mut().push('\n');
                    data.to_mut().push_str(value);
                }
            }
        } else if line.is_empty()
            && let Some(data) = data.take().filter(|data| !data.is_empty())
            && message.replace(data).is_some()
        {
            return Err(format!("more than one message came back: {stream:?}").into());
        }
    }
    message.ok_or_else(|| format!("no message came back: {stream:?}").into())
}

/// Ids start here, so that all have the same number of digits and each request the same length.
const FIRST_REQUEST: u64 = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_found_behind_priming_and_comments() {
        let stream = ": hello\nid: 0\nretry: 1000\ndata:\n\n: keep-alive\nid: 1\ndata: {\"id\":1}\n\n";
        assert_eq!(response_event(stream).unwrap(), "{\"id\":1}");
    }

    #[test]
    fn data_lines_are_joined() {
        assert_eq!(response_event("data: {\r\ndata:}\r\n\r\n").unwrap(), "{\n}");
    }

    #[test]
    fn none_two_or_half_a_message_is_an_error() {
        for stream in ["", "data:\n\n", "data: 1\n\ndata: 2\n\n", "data: 1\n"] {
            response_event(stream).unwrap_err();
        }
    }

    #[test]
    fn percentiles_are_nearest_ranks() {
        let sorted: Vec<_> = (1..=200).map(Duration::from_micros).collect();
        assert_eq!(percentile(&sorted, 50), Duration::from_micros(100));
        assert_eq!(percentile(&sorted, 99), Duration::from_micros(198));
        assert_eq!(percentile(&sorted[..1], 99), Duration::from_micros(1));
        assert_eq!(percentile(&[], 50), Duration::ZERO);
    }

    /// Loads a floor that answers in `served` and expects answers in `expected`.
    fn load_floor(served: Mode, expected: Mode) -> Result<Measured> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::spawn(crate::floor::serve(listener, served));
            let options = Options {
                address,
                mode: expected,
                connections: 3,
                requests: 10,
                warm_up: 3,
                server_pid: None,
                give_up: 60,
            };
            load(&options).await
        })
    }

    #[test]
    fn the_floor_answers_in_both_modes() {
        for mode in [Mode::Json, Mode::Sse] {
            let measured = load_floor(mode, mode).unwrap();
            assert_eq!(measured.requests, 9, "three connections share ten requests evenly");
        }
    }

    #[test]
    fn an_answer_of_the_other_mode_fails_the_run() {
        let error = load_floor(Mode::Json, Mode::Sse).unwrap_err();
        assert_eq!(error.to_string(), "the answer is not text/event-stream as the mode asks");
        load_floor(Mode::Sse, Mode::Json).unwrap_err();
    }
}
