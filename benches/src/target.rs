//! One target as a process: binds, prints its address, serves until its standard input is closed.

use std::io::Write as _;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;

use clap::Args;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::net::unix::pipe;

use crate::Result;
use crate::scenario::{Target, Work};
use crate::{floor, us};

#[derive(Args)]
pub(crate) struct Options {
    /// Which server to run
    target: Target,
    /// What will be asked of it
    #[arg(long, default_value = "json")]
    work: Work,
    /// Loopback address to listen on
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

/// Runs one target on one thread.
///
/// # Errors
///
/// When the address is not loopback or taken, or the target stops by itself.
pub(crate) fn run(options: &Options) -> Result<()> {
    if !options.listen.ip().is_loopback() {
        return Err(
            format!("{} is not a loopback address; targets have no protection", options.listen).into()
        );
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let closed = input_closed();
        let serve = serve(options.target, listener, options.work);
        let mut out = std::io::stdout();
        writeln!(out, "{address}")?;
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
pub(crate) async fn serve(target: Target, listener: TcpListener, work: Work) -> Result<()> {
    match target {
        Target::Floor => floor::serve(listener, work).await,
        Target::Us => us::serve(listener, work).await,
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
