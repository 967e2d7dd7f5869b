//! One target of ours as a process: binds, prints its address, serves until its standard input is closed.

use std::io::Write as _;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;

use clap::{Args, ValueEnum};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::net::unix::pipe;

use super::{Key, Settings, durable, floor, locked, us};
use crate::echo::PATH;
use crate::scenario::Form;
use crate::{LiveHeap, Result};

#[derive(Args)]
pub(crate) struct Options {
    /// Which server to run
    target: Name,
    /// How calls are answered
    #[arg(long, value_enum, default_value_t = Answers::Json)]
    answers: Answers,
    /// Serves revision 2025-11-25 without sessions
    #[arg(long)]
    stateless: bool,
    /// How many tools there are in all
    #[arg(long)]
    tools: Option<usize>,
    /// Loopback address to listen on
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    Floor,
    #[value(name = "floor-8k")]
    Floor8k,
    Us,
    UsDurable,
    UsEs256,
    UsRs256,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Answers {
    Json,
    Sse,
}

/// The servers that are built into this binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BuiltIn {
    Floor { coalesces: bool },
    Us,
    UsDurable,
    UsLocked(Key),
}

impl BuiltIn {
    /// The name on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Floor { coalesces: false } => "floor",
            Self::Floor { coalesces: true } => "floor-8k",
            Self::Us => "us",
            Self::UsDurable => "us-durable",
            Self::UsLocked(Key::Es256) => "us-es256",
            Self::UsLocked(Key::Rs256) => "us-rs256",
        }
    }

    /// The token without which it answers nothing.
    pub(crate) fn token(self) -> Option<&'static str> {
        match self {
            Self::UsLocked(key) => Some(key.token()),
            Self::Floor { .. } | Self::Us | Self::UsDurable => None,
        }
    }
}

/// Runs one target on one thread.
///
/// # Errors
///
/// When the address is not loopback or taken, or the target stops by itself.
pub(crate) fn run(options: &Options, heap: Option<LiveHeap>) -> Result<()> {
    if !options.listen.ip().is_loopback() {
        return Err(
            format!("{} is not a loopback address; targets have no protection", options.listen).into()
        );
    }
    let which = match options.target {
        Name::Floor => BuiltIn::Floor { coalesces: false },
        Name::Floor8k => BuiltIn::Floor { coalesces: true },
        Name::Us => BuiltIn::Us,
        Name::UsDurable => BuiltIn::UsDurable,
        Name::UsEs256 => BuiltIn::UsLocked(Key::Es256),
        Name::UsRs256 => BuiltIn::UsLocked(Key::Rs256),
    };
    let settings = Settings {
        answers: match options.answers {
            Answers::Json => Form::Json,
            Answers::Sse => Form::Sse,
        },
        is_stateless: options.stateless,
        tools: options.tools,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let closed = input_closed();
        let serve = serve(which, listener, settings, heap);
        let mut out = std::io::stdout();
        write!(out, "listening http://{address}{PATH}")?;
        if let Some(token) = which.token() {
            write!(out, " {token}")?;
        }
        writeln!(out)?;
        out.flush()?;
        tokio::select! {
            served = serve => served,
            () = closed => Ok(()),
        }
    })
}

/// Serves until dropped.
///
/// # Errors
///
/// When the listener fails.
pub(crate) async fn serve(
    which: BuiltIn,
    listener: TcpListener,
    settings: Settings,
    heap: Option<LiveHeap>,
) -> Result<()> {
    match which {
        BuiltIn::Floor { coalesces } => floor::serve(listener, settings, coalesces, heap).await,
        BuiltIn::Us => us::serve(listener, settings, heap).await,
        BuiltIn::UsDurable => durable::serve(listener, settings, heap).await,
        BuiltIn::UsLocked(key) => locked::serve(listener, settings, heap, key).await,
    }
}

/// Resolves when the pipe on standard input is closed, so that a target never outlives the lab that
/// started it, however the lab ends. Pending for ever when standard input is no pipe.
///
/// The pipe is polled by the runtime: a thread that blocks on it would make the allocator lock, and
/// with that change what is measured.
async fn input_closed() {
    let input = std::io::stdin().as_fd().try_clone_to_owned().and_then(pipe::Receiver::from_owned_fd);
    let Ok(mut input) = input else {
        return std::future::pending().await;
    };
    let mut ignored = [0; 64];
    while input.read(&mut ignored).await.is_ok_and(|read| read > 0) {}
}
