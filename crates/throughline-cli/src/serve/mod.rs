//! `throughline serve`.

mod data;
mod front;
mod greeting;
mod lock;
mod stdio;
mod tls;

use std::io;

use throughline::{
    AfterRestart, Closed, Era, HttpSse, Interrupted, InvalidPath, SessionHandle, StreamableHttp, serve,
};
use throughline_redb::RedbStore;
use tokio::net::TcpListener;

use crate::flags::{Hosts, Serve, SsePaths};
use crate::signals::Signals;
use crate::{Stop, demo, terminal};
use front::Front;

pub(crate) use front::HEALTH_PATHS;

/// Serves the demo until a signal comes.
pub(crate) fn run(settings: Serve) -> Result<(), Stop> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| {
        Stop::failure(format!("error: the system gives no threads to work with: {error}."))
    })?;
    runtime.block_on(async {
        if settings.stdio { stdio::run(settings).await } else { run_here(settings).await }
    })
}

async fn run_here(settings: Serve) -> Result<(), Stop> {
    let demo = demo::server().page_size(settings.page_size);
    let store = settings.data.as_deref().map(data::open).transpose()?;
    let endpoint = endpoint(demo.clone(), &settings, store.clone())?;
    let sse = settings.sse.as_ref().map(|paths| http_sse(&endpoint, paths)).transpose()?;
    let tls = settings.guard.tls.as_ref().map(tls::open).transpose()?;
    let listener =
        TcpListener::bind(&settings.listen).await.map_err(|error| unusable(&settings.listen, &error))?;
    let address = listener.local_addr().map_err(|error| unusable(&settings.listen, &error))?;
    if let Some(refusal) = greeting::refusal(address, &settings.guard) {
        return Err(refusal);
    }
    let url = greeting::url(address, &settings.guard, &settings.path);
    let lock = settings
        .guard
        .lock
        .as_ref()
        .map(|lock| lock::make(lock, &url, settings.sse.is_some()))
        .transpose()?;
    // Before the greeting: who reads it may send a signal at once.
    let signals = signals()?;
    let tls = tls.map(|tls| Ok::<_, Stop>((tls, tls::Hangup::listen()?))).transpose()?;
    let grace = settings.shutdown_grace;

    terminal::start_log(settings.log.clone(), settings.log_format);
    // Before the greeting too: whoever reads it may come with a session.
    let restored = match &settings.data {
        Some(directory) => data::restore(&endpoint, directory).await?,
        None => String::new(),
    };
    terminal::print(&greeting::text(address, &settings, &restored));
    for limitation in endpoint.limitations() {
        tracing::warn!("{limitation}");
    }
    if let Some(warning) = settings.data.as_deref().and_then(data::warning) {
        tracing::warn!("{warning}");
    }
    for warning in greeting::warnings(address, &settings.guard, &settings.hosts) {
        tracing::warn!("{warning}");
    }
    // Without sessions, and without clients that need none, there is nobody to tell.
    if !(settings.stateless && settings.era == Era::Legacy) {
        tokio::spawn(demo::announce_metrics(demo));
    }
    let front = Front::new(endpoint.clone(), settings.path, sse, lock.as_ref());
    let serving = serve(listener, front).shutdown_on(signals.stop()).draining(endpoint, grace);
    let served = match tls {
        Some((tls, hangup)) => {
            tokio::spawn(tls::renew(tls.clone(), hangup));
            serving.tls(tls).await
        }
        None => serving.await,
    };
    served.map_err(|error| Stop::failure(format!("error: serving failed: {error}.")))?;
    if let Some(store) = store {
        store.close().await;
    }
    tracing::info!("stopped");
    Ok(())
}

fn signals() -> Result<Signals, Stop> {
    Signals::listen()
        .map_err(|error| Stop::failure(format!("error: signals cannot be listened for: {error}.")))
}

fn endpoint(
    demo: throughline::Server,
    settings: &Serve,
    store: Option<RedbStore>,
) -> Result<StreamableHttp, Stop> {
    let mut builder = StreamableHttp::builder(demo)
        .era(settings.era)
        .response_mode(settings.mode)
        .stateless_http(settings.stateless)
        .max_sessions(settings.max_sessions)
        .idle_timeout(settings.idle_timeout)
        .keep_alive(settings.keep_alive)
        .measure(true)
        .on_session_opened(opened)
        .on_session_closed(closed);
    if let Some(store) = store {
        builder = builder.event_store(store);
        if settings.interrupted == AfterRestart::RunAgain {
            builder = builder.on_interrupted(Interrupted::run_again_if_idempotent);
        }
    }
    if let Some(keys) = &settings.seal {
        builder = builder.seal_key(keys.clone());
    }
    for origin in &settings.origins {
        builder = builder
            .allow_origin(origin)
            .map_err(|error| Stop::usage(format!("error: --allow-origin: {error}")))?;
    }
    match &settings.hosts {
        Hosts::Any => builder = builder.any_host(),
        Hosts::Named(hosts) => {
            if let Some(host) = settings.guard.public_host() {
                builder = builder
                    .allow_host(host)
                    .map_err(|error| Stop::usage(format!("error: --public-url: {error}")))?;
            }
            for host in hosts {
                builder = builder
                    .allow_host(host)
                    .map_err(|error| Stop::usage(format!("error: --allow-host: {error}")))?;
            }
        }
    }
    Ok(builder.build())
}

/// HTTP+SSE beside the endpoint, at these paths.
fn http_sse(endpoint: &StreamableHttp, paths: &SsePaths) -> Result<HttpSse, Stop> {
    let at = |flag: &'static str| move |error: InvalidPath| Stop::usage(format!("error: {flag}: {error}"));
    let sse = endpoint.http_sse().sse_path(&paths.stream).map_err(at("--sse-path"))?;
    sse.message_path(&paths.message).map_err(at("--sse-message-path"))
}

// The id of a session is a secret, and a client's name is its own words: neither is logged.

fn opened(session: &SessionHandle) {
    tracing::info!(revision = %session.caller().revision(), "a session was opened");
}

fn closed(_: &SessionHandle, why: Closed) {
    let why = match why {
        Closed::ByClient => "its client ended it",
        Closed::Idle => "nothing happened in it",
        Closed::Evicted => "it was never used and made room for another",
        Closed::Unread => "its client read nothing of its stream",
        Closed::Shutdown => "the server stops",
        other => return tracing::info!("a session was closed: {other:?}"),
    };
    tracing::info!("a session was closed: {why}");
}

/// Why an address cannot be listened on, and what to do.
fn unusable(listen: &str, error: &io::Error) -> Stop {
    Stop::usage(match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "error: {listen} is in use by another program; stop that one, or give another address with --listen."
            )
        }
        io::ErrorKind::PermissionDenied => {
            format!("error: this user may not listen on {listen}; give a port above 1023 with --listen.")
        }
        _ => format!("error: {listen} cannot be listened on ({error}); give another address with --listen."),
    })
}
