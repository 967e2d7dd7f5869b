//! What the peers in Rust have in common: flags, one thread, an address on standard output, an end with standard input.

use std::error::Error;
use std::io::Write as _;
use std::os::fd::AsFd as _;

use axum::Router;
use axum::serve::ListenerExt as _;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::net::unix::pipe;

/// What the lab asks of a target, see `benches/README.md`.
#[derive(Debug, Default)]
pub struct Flags {
    /// Whether calls are answered by event streams, and not by one JSON body: `--answers sse`.
    pub is_sse: bool,
    /// Whether the older revisions have no sessions either: `--stateless`.
    pub is_stateless: bool,
    /// Tools in all, `--tools N`; 0 means only those that the peer has anyway.
    pub tools: usize,
    /// Whether there is an event store, where the peer by itself has none: `--events`.
    pub has_events: bool,
    /// `TCP_NODELAY` on every connection, `--nodelay`: [`axum::serve`] by itself does not set it.
    pub is_nodelay: bool,
}

impl Flags {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let mut flags = Self::default();
        while let Some(flag) = arguments.next() {
            match &*flag {
                "--answers" => {
                    flags.is_sse = match arguments.next().as_deref() {
                        Some("json") => false,
                        Some("sse") => true,
                        _ => return Err("--answers takes json or sse".into()),
                    }
                }
                "--tools" => flags.tools = arguments.next().ok_or("--tools takes a number")?.parse()?,
                "--events" => flags.has_events = true,
                "--stateless" => flags.is_stateless = true,
                "--nodelay" => flags.is_nodelay = true,
                unknown => return Err(format!("{unknown} is not known").into()),
            }
        }
        Ok(flags)
    }
}

/// Serves what `router` makes of the flags on a free port of 127.0.0.1 until standard input is closed.
///
/// One thread: the lab gives a target one core, and a runtime with a thread per core would hand its work between threads that
/// share it.
///
/// # Errors
///
/// When a flag is not known, or there is no port to be had.
pub fn run(router: impl FnOnce(&Flags) -> Router) -> Result<(), Box<dyn Error>> {
    let flags = Flags::read(std::env::args().skip(1))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let router = router(&flags);
        let closed = input_closed();
        let mut out = std::io::stdout();
        writeln!(out, "listening http://{address}/mcp")?;
        out.flush()?;
        let served = async {
            if flags.is_nodelay {
                let listener = listener.tap_io(|stream| {
                    // A connection that is gone already fails in its first read.
                    let _ = stream.set_nodelay(true);
                });
                axum::serve(listener, router).await
            } else {
                axum::serve(listener, router).await
            }
        };
        tokio::select! {
            served = served => Ok(served?),
            () = closed => Ok(()),
        }
    })
}

/// Resolves when the pipe on standard input is closed; polled by the runtime, so that there is no second thread. Pending for
/// ever when standard input is no pipe.
async fn input_closed() {
    let input = std::io::stdin().as_fd().try_clone_to_owned().and_then(pipe::Receiver::from_owned_fd);
    let Ok(mut input) = input else {
        return std::future::pending().await;
    };
    let mut ignored = [0; 64];
    while input.read(&mut ignored).await.is_ok_and(|read| read > 0) {}
}
